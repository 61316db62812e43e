//! A network in memory. Real QUIC endpoints talk over it; under tokio's paused clock a minute of a
//! call takes a fraction of a second, and equal seeds give equal packet traces.
//!
//! Each host (IP address) may have an uplink and a downlink of its own, which all its packets
//! share, and between two hosts lies a path; each is a [`LinkModel`] that may change while packets
//! are under way. A tap sees every datagram, and somebody on the line may change them.

use super::model::{Cause, Dice, LinkModel, Pipe};
use super::socket::VirtualSocket;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::sleep_until;

/// Bytes a socket holds until they are read, like a kernel's buffer.
const INBOX: usize = 512 * 1024;

/// One UDP datagram.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Sender.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
    /// Explicit congestion notification bits (RFC 3168).
    pub ecn: u8,
    /// Payload.
    pub bytes: Bytes,
}

/// What a tap sees.
#[derive(Clone, Copy, Debug)]
pub struct Tapped<'a> {
    /// Time since the network was made.
    pub at: Duration,
    /// The datagram.
    pub datagram: &'a Datagram,
    /// What happened to it.
    pub what: Happened,
}

/// Stations of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It left its sender.
    Sent,
    /// It reached its receiver.
    Delivered,
    /// It got lost.
    Lost(Cause),
}

/// What somebody on the line does with a datagram.
#[derive(Clone, Debug)]
pub enum Fate {
    /// Lets it pass.
    Forward,
    /// Takes it away.
    Drop,
    /// Sends these instead: changed, repeated, several.
    Replace(Vec<Bytes>),
}

/// Watches. Called in order, with the network locked: must not call it.
pub type Tap = Box<dyn FnMut(Tapped<'_>) + Send>;
/// Interferes, right after the sender. Called with the network locked: must not call it.
pub type Intercept = Box<dyn FnMut(&Datagram) -> Fate + Send>;

/// The network. Cheap to clone.
#[derive(Clone)]
pub struct Network(Arc<Shared>);

pub(crate) struct Shared {
    state: Mutex<State>,
    /// The driver has to look again.
    changed: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Leg {
    Up(IpAddr),
    Path(IpAddr, IpAddr),
    Down(IpAddr),
}

struct State {
    origin: Instant,
    seed: u64,
    legs: BTreeMap<Leg, Pipe<Datagram>>,
    default_path: LinkModel,
    sockets: BTreeMap<SocketAddr, Inbox>,
    /// By the socket's own number.
    addresses: BTreeMap<u64, Place>,
    next_socket: u64,
    tap: Option<Tap>,
    intercept: Option<Intercept>,
    /// What the driver waits for.
    armed: Option<Instant>,
}

/// Where a socket is.
#[derive(Clone, Copy)]
struct Place {
    /// As it knows itself.
    inner: SocketAddr,
    /// As others see it.
    outer: SocketAddr,
}

#[derive(Default)]
struct Inbox {
    waiting: VecDeque<Datagram>,
    bytes: usize,
    waker: Option<Waker>,
}

impl Network {
    /// An empty network with perfect paths. Must be called within a tokio runtime, which drives it.
    pub fn new(seed: u64) -> Self {
        let origin = tokio::time::Instant::now().into_std();
        let state = State {
            origin,
            seed,
            legs: BTreeMap::new(),
            default_path: LinkModel::default(),
            sockets: BTreeMap::new(),
            addresses: BTreeMap::new(),
            next_socket: 0,
            tap: None,
            intercept: None,
            armed: None,
        };
        let changed = Arc::new(Notify::new());
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: changed.clone() });
        let network = Arc::downgrade(&shared);
        tokio::spawn(async move {
            loop {
                let Some(shared) = network.upgrade() else { return };
                let next = shared.advance();
                drop(shared);
                tokio::select! {
                    biased;
                    () = changed.notified() => {}
                    () = wait(next) => {}
                }
            }
        });
        Self(shared)
    }

    /// A socket at `addr`; its port must be given.
    pub fn socket(&self, addr: SocketAddr) -> io::Result<Arc<VirtualSocket>> {
        let mut state = self.0.lock();
        if addr.port() == 0 || addr.ip().is_unspecified() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if state.sockets.contains_key(&addr) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let number = state.next_socket;
        state.next_socket += 1;
        state.sockets.insert(addr, Inbox::default());
        state.addresses.insert(number, Place { inner: addr, outer: addr });
        Ok(Arc::new(VirtualSocket::new(self.0.clone(), number)))
    }

    /// What lies on the way from `from` to `to`, this direction only.
    pub fn set_path(&self, from: IpAddr, to: IpAddr, model: LinkModel) {
        self.set_leg(Leg::Path(from, to), model);
    }

    /// What lies between two hosts, the same in both directions.
    pub fn set_path_between(&self, one: IpAddr, other: IpAddr, model: LinkModel) {
        self.set_path(one, other, model.clone());
        self.set_path(other, one, model);
    }

    /// What lies between hosts without a path of their own. Pairs that have already exchanged
    /// packets keep theirs.
    pub fn set_default_path(&self, model: LinkModel) {
        self.0.lock().default_path = model;
    }

    /// The line all packets *from* `host` share.
    pub fn set_uplink(&self, host: IpAddr, model: LinkModel) {
        self.set_leg(Leg::Up(host), model);
    }

    /// The line all packets *to* `host` share.
    pub fn set_downlink(&self, host: IpAddr, model: LinkModel) {
        self.set_leg(Leg::Down(host), model);
    }

    fn set_leg(&self, leg: Leg, model: LinkModel) {
        let now = tokio::time::Instant::now().into_std();
        let mut state = self.0.lock();
        state.advance(now);
        let seed = state.seed;
        match state.legs.get_mut(&leg) {
            Some(pipe) => pipe.set_model(model, now),
            None => {
                state.legs.insert(leg, Pipe::new(model, leg.seed(seed)));
            }
        }
        drop(state);
        self.0.changed.notify_one();
    }

    /// The host's address changes without its knowing, as when a NAT forgets it: its socket at
    /// `old` is seen at `new` from now on; packets to `old` are lost. The socket itself still goes
    /// by the address it had.
    pub fn renumber(&self, old: SocketAddr, new: SocketAddr) -> io::Result<()> {
        self.give(old, new, false)
    }

    /// The host has moved to another network: its socket at `old` – bound to no address in
    /// particular, as sockets of the product are – sends from `new` from now on, and says so when
    /// asked; packets to `old` are lost.
    pub fn relocate(&self, old: SocketAddr, new: SocketAddr) -> io::Result<()> {
        self.give(old, new, true)
    }

    fn give(&self, old: SocketAddr, new: SocketAddr, known: bool) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.sockets.contains_key(&new) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let inbox = state.sockets.remove(&old).ok_or(io::ErrorKind::AddrNotAvailable)?;
        state.sockets.insert(new, inbox);
        for place in state.addresses.values_mut().filter(|place| place.outer == old) {
            place.outer = new;
            if known {
                place.inner = new;
            }
        }
        Ok(())
    }

    /// Watches every datagram from now on; replaces an earlier tap.
    pub fn tap(&self, tap: Tap) {
        self.0.lock().tap = Some(tap);
    }

    /// Puts somebody on the line who may change, take away, or repeat; `None` removes them.
    pub fn intercept(&self, intercept: Option<Intercept>) {
        self.0.lock().intercept = intercept;
    }

    /// Sends a forged datagram; it passes the same legs as a real one.
    pub fn inject(&self, datagram: Datagram) {
        self.0.send(datagram, false);
    }

    /// Time since the network was made.
    pub fn elapsed(&self) -> Duration {
        tokio::time::Instant::now().into_std() - self.0.lock().origin
    }
}

async fn wait(until: Option<Instant>) {
    match until {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Lets the driver notice and end.
        self.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(&self) -> Option<Instant> {
        let now = tokio::time::Instant::now().into_std();
        let mut state = self.lock();
        state.advance(now);
        state.armed = state.next();
        state.armed
    }

    pub(crate) fn send(&self, datagram: Datagram, may_intercept: bool) {
        let now = tokio::time::Instant::now().into_std();
        let mut state = self.lock();
        state.advance(now);
        state.send(datagram, now, may_intercept);
        let next = state.next();
        let sooner = match (next, state.armed) {
            (Some(next), Some(armed)) => next < armed,
            (next, None) => next.is_some(),
            (None, Some(_)) => false,
        };
        drop(state);
        if sooner {
            self.changed.notify_one();
        }
    }

    pub(crate) fn poll_recv(&self, socket: u64, waker: &Waker) -> Poll<io::Result<Datagram>> {
        let mut state = self.lock();
        let Some(inbox) = state.inbox(socket) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        match inbox.waiting.pop_front() {
            Some(datagram) => {
                inbox.bytes -= datagram.bytes.len();
                Poll::Ready(Ok(datagram))
            }
            None => {
                inbox.waker = Some(waker.clone());
                Poll::Pending
            }
        }
    }

    /// Where a socket's packets come from, as others see it.
    pub(crate) fn outer(&self, socket: u64) -> io::Result<SocketAddr> {
        self.place(socket).map(|place| place.outer)
    }

    /// Where a socket is, as far as it knows.
    pub(crate) fn inner(&self, socket: u64) -> io::Result<SocketAddr> {
        self.place(socket).map(|place| place.inner)
    }

    fn place(&self, socket: u64) -> io::Result<Place> {
        let place = self.lock().addresses.get(&socket).copied();
        place.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    pub(crate) fn close(&self, socket: u64) {
        let mut state = self.lock();
        if let Some(place) = state.addresses.remove(&socket) {
            state.sockets.remove(&place.outer);
        }
    }
}

impl Leg {
    /// A seed of its own for each leg, whatever the order in which legs come up (FNV-1a).
    fn seed(self, seed: u64) -> u64 {
        let text = format!("{self:?}");
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Dice::new(seed, hash).roll()
    }
}

impl State {
    fn inbox(&mut self, socket: u64) -> Option<&mut Inbox> {
        self.sockets.get_mut(&self.addresses.get(&socket)?.outer)
    }

    fn next(&self) -> Option<Instant> {
        self.legs.values().filter_map(Pipe::next).min()
    }

    /// Moves everything on that is due by `now`, in order of time.
    fn advance(&mut self, now: Instant) {
        loop {
            let due = self.legs.iter().filter_map(|(leg, pipe)| pipe.next().map(|at| (at, *leg)));
            let Some((at, leg)) = due.min().filter(|(at, _)| *at <= now) else { return };
            while let Some((datagram, arrived)) =
                self.legs.get_mut(&leg).and_then(|pipe| pipe.poll(at))
            {
                self.onward(datagram, Some(leg), arrived);
            }
        }
    }

    fn send(&mut self, datagram: Datagram, now: Instant, may_intercept: bool) {
        self.see(&datagram, now, Happened::Sent);
        let fate = match &mut self.intercept {
            Some(intercept) if may_intercept => intercept(&datagram),
            _ => Fate::Forward,
        };
        match fate {
            Fate::Forward => self.onward(datagram, None, now),
            Fate::Drop => self.see(&datagram, now, Happened::Lost(Cause::Intercepted)),
            Fate::Replace(others) => {
                for bytes in others {
                    self.onward(Datagram { bytes, ..datagram.clone() }, None, now);
                }
            }
        }
    }

    /// Puts a datagram on the leg after `leg`, skipping legs that don't exist.
    fn onward(&mut self, datagram: Datagram, leg: Option<Leg>, at: Instant) {
        let (from, to) = (datagram.from.ip(), datagram.to.ip());
        let next = match leg {
            None => Leg::Up(from),
            Some(Leg::Up(_)) => Leg::Path(from, to),
            Some(Leg::Path(..)) => Leg::Down(to),
            Some(Leg::Down(_)) => return self.deliver(datagram, at),
        };
        if matches!(next, Leg::Path(..)) && self.default_path != LinkModel::default() {
            let (seed, model) = (self.seed, &self.default_path);
            self.legs.entry(next).or_insert_with(|| Pipe::new(model.clone(), next.seed(seed)));
        }
        let Some(pipe) = self.legs.get_mut(&next) else {
            return self.onward(datagram, Some(next), at);
        };
        let length = datagram.bytes.len();
        if let Err((datagram, cause)) = pipe.offer(datagram, length, at) {
            self.see(&datagram, at, Happened::Lost(cause));
        }
    }

    fn deliver(&mut self, datagram: Datagram, at: Instant) {
        let length = datagram.bytes.len();
        let what = match self.sockets.get(&datagram.to) {
            None => Happened::Lost(Cause::NoSocket),
            Some(inbox) if inbox.bytes + length > INBOX => Happened::Lost(Cause::InboxFull),
            Some(_) => Happened::Delivered,
        };
        self.see(&datagram, at, what);
        if what != Happened::Delivered {
            return;
        }
        if let Some(inbox) = self.sockets.get_mut(&datagram.to) {
            inbox.bytes += length;
            inbox.waiting.push_back(datagram);
            if let Some(waker) = inbox.waker.take() {
                waker.wake();
            }
        }
    }

    fn see(&mut self, datagram: &Datagram, at: Instant, what: Happened) {
        if let Some(tap) = &mut self.tap {
            tap(Tapped { at: at.saturating_duration_since(self.origin), datagram, what });
        }
    }
}
