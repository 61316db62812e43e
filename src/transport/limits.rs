//! Every bound of a connection in one place. Media drops, control pushes back; a peer can make us
//! hold no more than what stands here. What the call above holds on behalf of others stands in
//! [`call::bounds`](crate::call::bounds).
//!
//! | held for one stranger, who has proved nothing yet | at most |
//! |---|---|
//! | handshake that arrives in disorder (QUIC's own bound, three times) | 48 kB |
//! | stream data, unread | [`WINDOW_BEFORE`] |
//! | datagrams on their way to be dropped | [`DATAGRAM_IN_BYTES`] |
//! | control messages nobody has taken, each ≤ [`CONTROL_BEFORE`] | [`CONTROL_INBOX_BYTES`] |
//! | all of it, for | [`EndpointOptions::authenticate_within`], then the draining |
//!
//! | held for one member | at most |
//! |---|---|
//! | stream data, unread | [`WINDOW_AFTER`] |
//! | frames arriving, and frames nobody has taken | [`FRAMES_IN_BYTES`], [`FRAME_INBOX_BYTES`] |
//! | a control message arriving, and those nobody has taken | twice [`CONTROL_AFTER`] |
//! | datagrams before and after we read them | [`DATAGRAM_IN_BYTES`], [`DATAGRAM_INBOX`] |
//! | stream data, datagrams and messages to send | [`SEND_WINDOW`], [`DATAGRAM_OUT_BYTES`], [`CONTROL_QUEUE`] |
//!
//! | of one endpoint | at most |
//! |---|---|
//! | handshakes not taken up, and bytes of theirs | twice [`STRANGERS`], [`INCOMING_BYTES_ALL`] |
//! | strangers, of one host, in all | [`STRANGERS_PER_HOST`], [`STRANGERS`] |
//! | connections, closed ones until they have drained included | [`CONNECTIONS`] |
//!
//! Nothing of a connection stays when it has drained (`tests/hostile_memory.rs`).

use std::sync::Arc;
use std::time::Duration;

/// Longest control message before the peer is authenticated, in bytes.
pub const CONTROL_BEFORE: usize = 8 * 1024;
/// Longest control message after that (a Welcome of a full group), in bytes.
pub const CONTROL_AFTER: usize = 600 * 1024;
/// Control messages waiting to be written; one more disconnects.
pub const CONTROL_QUEUE: usize = 64;
/// Control messages received and not yet taken; the stream is not read on beyond this.
pub const CONTROL_INBOX: usize = 64;
/// Bytes of the same; a single message may be longer.
pub const CONTROL_INBOX_BYTES: usize = 256 * 1024;
/// Longest video frame, sealed, in bytes.
pub const FRAME: usize = 256 * 1024;
/// Frames under way to one peer (opened, neither acknowledged nor reset).
pub const FRAMES_OUT: usize = 16;
/// Frame streams a peer may have open at once.
pub const FRAMES_IN: u32 = 64;
/// Frames received and not yet taken; the oldest is dropped.
pub const FRAME_INBOX: usize = 64;
/// Bytes of the same.
pub const FRAME_INBOX_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of frames of one peer that are still arriving; a stream that would exceed it is refused.
pub const FRAMES_IN_BYTES: usize = 2 * 1024 * 1024;
/// A frame stream must be complete this long after it was first seen.
pub const FRAME_PATIENCE: Duration = Duration::from_secs(2);
/// Datagrams received and not yet taken; the oldest is dropped.
pub const DATAGRAM_INBOX: usize = 256;
/// Bytes of datagrams waiting to be sent; the oldest are dropped. QUIC's usual default of 1 MiB
/// would be seconds of stale sound.
pub const DATAGRAM_OUT_BYTES: usize = 16 * 1024;
/// Bytes of datagrams between QUIC and us.
pub const DATAGRAM_IN_BYTES: usize = 64 * 1024;
/// Flow-control window of a connection before the peer is authenticated, in bytes.
pub const WINDOW_BEFORE: u32 = 16 * 1024;
/// Flow-control window of a connection after that, in bytes.
pub const WINDOW_AFTER: u32 = 2 * 1024 * 1024;
/// Bytes of stream data we hold for one peer until it acknowledges them.
pub const SEND_WINDOW: u64 = 4 * 1024 * 1024;
/// Accepted connections that have not proved who they are.
pub const STRANGERS: usize = 32;
/// The same for one host – an IPv4 address, or an IPv6 network of 64 bits –, so that it can't take
/// all places.
pub const STRANGERS_PER_HOST: usize = 16;
/// Connections in all from which on no further one is accepted, those included that are closed and
/// still draining (RFC 9000 §10.2): whoever comes and goes quickly leaves some behind for three
/// probe timeouts each. A full call has up to 30 (both sides of a pair may dial), strangers 32.
pub const CONNECTIONS: usize = 128;
/// Bytes of first packets of one handshake that we have not yet taken up.
pub const INCOMING_BYTES: u64 = 16 * 1024;
/// The same of all such handshakes.
pub const INCOMING_BYTES_ALL: u64 = 256 * 1024;
/// From this many strangers on, newcomers must first prove their address (QUIC Retry,
/// RFC 9000 §8.1.2).
pub const STRANGERS_BEFORE_RETRY: usize = 8;

/// What a caller may choose for an endpoint; the default is right for a call.
#[derive(Clone, Debug)]
pub struct EndpointOptions {
    /// Seed of QUIC's own random choices (connection ids, packet number skips), for repeatable
    /// packet traces in a simulation. Never keys. `None`: from the operating system.
    pub rng_seed: Option<[u8; 32]>,
    /// Silence after which a connection counts as lost; the lower value of the two sides holds.
    pub idle: Duration,
    /// A packet at least this often, so that silence means something.
    pub keep_alive: Duration,
    /// A new connection must be called [`authenticated`](super::Link::authenticated) within this.
    pub authenticate_within: Duration,
    /// Rate assumed until [`Link::set_rate`](super::Link::set_rate) says better, in bit/s.
    pub initial_rate: u64,
    /// Accept incoming connections at all.
    pub accept: bool,
    /// What QUIC's tasks run on; `None`: tokio. A simulation stops a whole participant here.
    pub runtime: Option<Arc<dyn quinn::Runtime>>,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            rng_seed: None,
            idle: Duration::from_secs(30),
            keep_alive: Duration::from_secs(5),
            authenticate_within: Duration::from_secs(5),
            initial_rate: 600_000,
            accept: true,
            runtime: None,
        }
    }
}
