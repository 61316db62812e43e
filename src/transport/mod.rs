//! QUIC (RFC 9000) between two peers: one [`Endpoint`] per call, one [`Link`] per peer.
//!
//! Three kinds of traffic share a connection. *Control* messages go on one bidirectional stream,
//! reliable and in order. *Sound* goes in datagrams (RFC 9221), never repeated by QUIC. Each *video
//! frame* has a unidirectional stream of its own: lost parts are repeated while the frame is still
//! worth it, and the stream is reset when it isn't.
//!
//! What a link establishes is only that the peer holds the key it showed. Until the handshake
//! above says [`Link::authenticated`], control messages are short, datagrams and frames are not
//! read, and the time is limited.

mod address;
mod congestion;
mod endpoint;
mod error;
mod inbox;
mod limits;
mod link;
mod pace;
mod receive;
mod send;
mod tls;

pub use address::{BindError, Reach, bind_udp, only_private, reach, usable_addresses};
pub use endpoint::{Endpoint, Socket};
pub use error::{DialError, Full};
pub use limits::{
    CONNECTIONS, CONTROL_AFTER, CONTROL_BEFORE, CONTROL_QUEUE, EndpointOptions, FRAME, FRAMES_OUT,
};
pub use link::{Link, LinkStats};
pub use tls::{ALPN, EXPORTER};
