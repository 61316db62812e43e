//! What a call and a connection say to each other: plain values, so that neither knows the other.

use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Instant;

/// One connection to a peer, numbered by whoever drives the call; never reused within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// A member of the group: the serial number of its joining (the founder is 0), agreed through the
/// group state. Never reused in a call, and not derived from a key, so it may steer order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u32);

impl std::fmt::Display for MemberId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Something to send on a connection.
#[derive(Clone, Debug)]
pub enum Send {
    /// One message on the reliable, ordered control stream. Never dropped: a full queue (64
    /// messages) disconnects.
    Control(Bytes),
    /// The same, of the same stream, that the sound behind it can't be opened without: it isn't
    /// held back for the sound's sake, however long it is.
    Urgent(Bytes),
    /// One QUIC DATAGRAM (RFC 9221); dropped, oldest first, when the buffer is full.
    Datagram(Bytes),
    /// One sealed video frame on a unidirectional stream of its own.
    Frame {
        /// The sealed frame.
        bytes: Bytes,
        /// Higher goes first.
        priority: i32,
        /// The stream is reset when it isn't acknowledged by then: nobody would paint it.
        deadline: Instant,
        /// Reset all frames still under way: this one (a keyframe) replaces them.
        supersedes: bool,
    },
}

/// Something that happened on a connection.
#[derive(Clone, Debug)]
pub enum LinkEvent {
    /// TLS is up, both sides proved possession of a key. *Who* that is, the handshake decides.
    Up(LinkUp),
    /// One whole control message.
    Control(Bytes),
    /// One datagram.
    Datagram(Bytes),
    /// One whole frame stream.
    Frame(Bytes),
    /// The connection is gone.
    Down(LinkDown),
}

/// What TLS established.
#[derive(Clone, Debug)]
pub struct LinkUp {
    /// The peer's TLS key = the leaf key it must prove to be entitled to: raw Ed25519 bytes.
    pub peer_key: [u8; 32],
    /// TLS exporter (RFC 8446 §7.5) under label `EXPORTER-facetty 1`, empty context.
    pub exporter: [u8; 32],
    /// The peer's UDP address.
    pub remote: SocketAddr,
    /// We dialled.
    pub dialled: bool,
}

/// Why a connection ended, by blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkDown {
    /// The peer closed with an application code (see [`close`]).
    ClosedByPeer(u32),
    /// We closed it.
    ClosedByUs,
    /// Nothing heard for too long.
    TimedOut,
    /// The peer broke TLS, QUIC or our limits.
    Misbehaved,
    /// The other side does not speak facetty/1 (ALPN, TLS version, key exchange).
    Incompatible,
    /// The network refused (unreachable, reset, no route).
    Network,
}

/// Application close codes on the wire.
pub mod close {
    /// Normal end: left the call.
    pub const LEFT: u32 = 0;
    /// Knock not accepted: bad proof, unknown invite. Says no more than that.
    pub const REFUSED: u32 = 1;
    /// The invite has expired.
    pub const EXPIRED: u32 = 2;
    /// The invite is used up.
    pub const USED_UP: u32 = 3;
    /// The host declined, or did not answer.
    pub const DECLINED: u32 = 4;
    /// The group is locked or full.
    pub const LOCKED: u32 = 5;
    /// Removed from the call.
    pub const REMOVED: u32 = 6;
    /// Another connection of the same pair is kept.
    pub const DUPLICATE: u32 = 7;
    /// The peer broke the protocol.
    pub const MISBEHAVED: u32 = 8;
    /// Took too long.
    pub const TIMEOUT: u32 = 9;
    /// Nobody answered the ring, or the group never got to somebody who was let in.
    pub const UNANSWERED: u32 = 10;
}
