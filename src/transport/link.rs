//! One connection to one peer: the handle others hold, and the task that drives it.

use super::congestion::SharedRate;
use super::endpoint::Place;
use super::error::{Full, down};
use super::inbox::Inbox;
use super::limits::{CONTROL_AFTER, CONTROL_BEFORE, FRAMES_IN, WINDOW_AFTER};
use super::pace::{Pace, Writers};
use super::send::{ControlOut, FramesOut};
use super::tls::{EXPORTER, ed25519_of_spki};
use super::{receive, send};
use crate::wire::link::{self as wire, LinkDown, LinkEvent, LinkUp, close};
use quinn::VarInt;
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// A connection to one peer. Cheap to clone; when the last clone is dropped, the connection closes
/// with [`close::LEFT`].
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
    _guard: Arc<CloseOnDrop>,
}

/// Counts of one connection since it was set up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// Shortest round-trip time of the present path; zero before the first.
    pub shortest_rtt: Duration,
    /// What the present path was seen to carry while it was full, in bit/s, IP and UDP headers not
    /// counted; `None` if nothing has filled it.
    pub carries_bps: Option<u64>,
    /// UDP datagrams sent.
    pub tx_packets: u64,
    /// Bytes of UDP payload sent.
    pub tx_bytes: u64,
    /// UDP datagrams received.
    pub rx_packets: u64,
    /// Bytes of UDP payload received.
    pub rx_bytes: u64,
    /// Packets we sent that QUIC declared lost.
    pub lost_packets: u64,
    /// Largest UDP payload the path is known to carry, in bytes.
    pub mtu: u16,
    /// Frames that were acknowledged whole.
    pub frames_delivered: u64,
    /// Frames we reset at their deadline.
    pub frames_expired: u64,
    /// Frames we reset because a keyframe replaced them.
    pub frames_superseded: u64,
    /// Frames received whole.
    pub frames_received: u64,
    /// Frames the peer reset.
    pub frames_reset: u64,
    /// Frames of the peer that were too slow or too long.
    pub frames_refused: u64,
    /// Bytes held for frames of the peer that are still arriving.
    pub arriving: usize,
    /// Datagrams dropped because our send buffer was full.
    pub datagrams_unsent: u64,
    /// Datagrams that came before the peer was authenticated; not read.
    pub datagrams_early: u64,
    /// Datagrams and frames received but not taken in time.
    pub untaken: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) frames_delivered: AtomicU64,
    pub(crate) frames_expired: AtomicU64,
    pub(crate) frames_superseded: AtomicU64,
    pub(crate) frames_received: AtomicU64,
    pub(crate) frames_reset: AtomicU64,
    pub(crate) frames_refused: AtomicU64,
    pub(crate) datagrams_unsent: AtomicU64,
    pub(crate) datagrams_early: AtomicU64,
    /// Bytes of frames now arriving.
    pub(crate) arriving: AtomicUsize,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What the handle and the tasks of a link share.
pub(crate) struct Shared {
    pub(crate) connection: quinn::Connection,
    pub(crate) dialled: bool,
    pub(crate) inbox: Inbox,
    pub(crate) control: ControlOut,
    pub(crate) frames: FramesOut,
    pub(crate) rate: Arc<SharedRate>,
    pub(crate) writers: Writers,
    pub(crate) counters: Counters,
    pub(crate) runtime: tokio::runtime::Handle,
    authenticated: AtomicBool,
    /// Our own reason for closing, when it was ours.
    verdict: OnceLock<LinkDown>,
    /// The place among the strangers an accepted link holds until it is authenticated.
    place: Mutex<Option<Place>>,
}

struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close(LinkDown::ClosedByUs, close::LEFT);
    }
}

impl Link {
    /// Starts driving a connection whose TLS handshake is complete. `None`: it shows no key we can
    /// read, or is gone already.
    pub(crate) fn start(
        connection: quinn::Connection,
        dialled: bool,
        rate: Arc<SharedRate>,
        writers: Writers,
        place: Option<Place>,
        authenticate_by: Instant,
    ) -> Option<Self> {
        let peer_key = peer_key(&connection)?;
        let mut exporter = [0u8; 32];
        connection.export_keying_material(&mut exporter, EXPORTER, b"").ok()?;
        let up =
            LinkUp { peer_key, exporter, remote: canonical(connection.remote_address()), dialled };
        let shared = Arc::new(Shared {
            connection,
            dialled,
            inbox: Inbox::new(up),
            control: ControlOut::default(),
            frames: FramesOut::default(),
            rate,
            writers,
            counters: Counters::default(),
            runtime: tokio::runtime::Handle::current(),
            authenticated: AtomicBool::new(false),
            verdict: OnceLock::new(),
            place: Mutex::new(place),
        });
        tokio::spawn(drive(shared.clone(), authenticate_by));
        Some(Self { _guard: Arc::new(CloseOnDrop(shared.clone())), shared })
    }

    /// The next thing that happened: first [`LinkEvent::Up`], last [`LinkEvent::Down`] (which it
    /// then keeps returning). For one caller at a time; safe to cancel.
    pub async fn event(&self) -> LinkEvent {
        self.shared.inbox.next().await
    }

    /// Sends, or says why not. Never waits, and may be called on any thread.
    pub fn send(&self, what: wire::Send) -> Result<(), Full> {
        if self.shared.inbox.is_down() {
            return Err(Full::Down);
        }
        match what {
            wire::Send::Control(message) => send::control(&self.shared, message, Pace::Gentle),
            wire::Send::Urgent(message) => send::control(&self.shared, message, Pace::Urgent),
            wire::Send::Datagram(bytes) => send::datagram(&self.shared, bytes),
            wire::Send::Frame { bytes, priority, deadline, supersedes } => {
                send::frame(&self.shared, bytes, priority, deadline.into(), supersedes)
            }
        }
    }

    /// Closes with an application code (see [`close`]); what is still queued is lost.
    pub fn close(&self, code: u32) {
        self.shared.close(LinkDown::ClosedByUs, code);
    }

    /// The peer has proved who it is: longer control messages are taken, datagrams and frames are
    /// read, and the connection no longer counts as a stranger's.
    pub fn authenticated(&self) {
        let shared = &self.shared;
        if shared.authenticated.swap(true, Ordering::Relaxed) {
            return;
        }
        shared.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        shared.connection.set_receive_window(VarInt::from_u32(WINDOW_AFTER));
        shared.connection.set_max_concurrent_uni_streams(VarInt::from_u32(FRAMES_IN));
    }

    /// The rate this link may send at, in bit/s; bounds what is in flight (see the congestion hook)
    /// and how fast a frame is written.
    pub fn set_rate(&self, bits_per_second: u64) {
        self.shared.rate.set(bits_per_second);
    }

    /// Frames sent and neither acknowledged nor reset yet.
    pub fn frames_in_flight(&self) -> usize {
        self.shared.frames.len()
    }

    /// Longest datagram that fits now, in bytes; changes both ways with the path, so ask per send.
    pub fn max_datagram(&self) -> usize {
        self.shared.connection.max_datagram_size().unwrap_or(0)
    }

    /// The peer's UDP address now; the dialling side may move.
    pub fn remote(&self) -> SocketAddr {
        canonical(self.shared.connection.remote_address())
    }

    /// Counts since the connection was set up.
    pub fn stats(&self) -> LinkStats {
        let quic = self.shared.connection.stats();
        let counters = &self.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LinkStats {
            rtt: quic.path.rtt,
            shortest_rtt: self.shared.rate.shortest_rtt().unwrap_or_default(),
            carries_bps: self.shared.rate.carries(),
            tx_packets: quic.udp_tx.datagrams,
            tx_bytes: quic.udp_tx.bytes,
            rx_packets: quic.udp_rx.datagrams,
            rx_bytes: quic.udp_rx.bytes,
            lost_packets: quic.path.lost_packets,
            mtu: quic.path.current_mtu,
            frames_delivered: read(&counters.frames_delivered),
            frames_expired: read(&counters.frames_expired),
            frames_superseded: read(&counters.frames_superseded),
            frames_received: read(&counters.frames_received),
            frames_reset: read(&counters.frames_reset),
            frames_refused: read(&counters.frames_refused),
            arriving: counters.arriving.load(Ordering::Relaxed),
            datagrams_unsent: read(&counters.datagrams_unsent),
            datagrams_early: read(&counters.datagrams_early),
            untaken: self.shared.inbox.dropped(),
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link to {}", self.remote())
    }
}

impl Shared {
    /// Closes for our own reason; the first reason stands.
    pub(crate) fn close(&self, verdict: LinkDown, code: u32) {
        if self.verdict.set(verdict).is_ok() {
            self.connection.close(VarInt::from_u32(code), b"");
        }
    }

    pub(crate) fn is_authenticated(&self) -> bool {
        self.authenticated.load(Ordering::Relaxed)
    }

    /// Longest control message the peer may send now, in bytes.
    pub(crate) fn control_limit(&self) -> usize {
        if self.is_authenticated() { CONTROL_AFTER } else { CONTROL_BEFORE }
    }
}

/// Runs until the connection is gone, then says so.
async fn drive(shared: Arc<Shared>, authenticate_by: Instant) {
    tokio::select! {
        biased;
        _ = shared.connection.closed() => {}
        () = authentication_overdue(&shared, authenticate_by) => {
            shared.close(LinkDown::TimedOut, close::TIMEOUT);
        }
        () = control(&shared) => shared.close(LinkDown::Misbehaved, close::MISBEHAVED),
        () = receive::datagrams(&shared) => {}
        () = receive::frames(&shared) => {}
    }
    let reason = shared.connection.closed().await;
    let peer_or_us = match down(&reason) {
        LinkDown::ClosedByUs => shared.verdict.get().copied().unwrap_or(LinkDown::ClosedByUs),
        other => other,
    };
    shared.place.lock().unwrap_or_else(PoisonError::into_inner).take();
    shared.inbox.down(peer_or_us);
}

/// Returns when the peer's time is up; never once it is authenticated.
async fn authentication_overdue(shared: &Shared, deadline: Instant) {
    sleep_until(deadline).await;
    if shared.is_authenticated() {
        std::future::pending().await
    }
}

/// Runs the control stream. Returns when the peer broke its rules.
async fn control(shared: &Shared) {
    let streams = if shared.dialled {
        shared.connection.open_bi().await
    } else {
        shared.connection.accept_bi().await
    };
    let Ok((writer, reader)) = streams else {
        // The connection is gone; `drive` knows why.
        return std::future::pending().await;
    };
    tokio::select! {
        biased;
        () = receive::control(shared, reader) => {}
        () = send::control_writer(shared, writer) => {}
    }
}

/// A socket for both families shows IPv4 peers as `::ffff:a.b.c.d`; people and invites don't.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

fn peer_key(connection: &quinn::Connection) -> Option<[u8; 32]> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    ed25519_of_spki(chain.first()?)
}
