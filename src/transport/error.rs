//! Errors, sorted by whose fault it is.

use crate::wire::link::LinkDown;
use quinn::{ConnectError, ConnectionError};
use std::net::SocketAddr;

/// Why dialling failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// There is no way to that address from here.
    #[error("{addr} cannot be reached from here: {why}")]
    Unreachable {
        /// Who was dialled.
        addr: SocketAddr,
        /// The system's word.
        why: String,
    },
    /// Nobody answered.
    #[error("{addr} does not answer (is it running, and does a firewall let UDP through?)")]
    TimedOut {
        /// Who was dialled.
        addr: SocketAddr,
    },
    /// Somebody answered who doesn't speak facetty/1 (ALPN, TLS version, key exchange, raw keys).
    #[error("{addr} answers, but not as facetty/1: {why}")]
    Incompatible {
        /// Who was dialled.
        addr: SocketAddr,
        /// What didn't fit.
        why: String,
    },
    /// The peer takes no connections now (too many strangers, or it is closing).
    #[error("{addr} takes no connections now")]
    Refused {
        /// Who was dialled.
        addr: SocketAddr,
    },
    /// The peer broke TLS or QUIC, or somebody between changed what it said.
    #[error("{addr} broke the protocol: {why}")]
    Misbehaved {
        /// Who was dialled.
        addr: SocketAddr,
        /// What was wrong.
        why: String,
    },
    /// Our own endpoint is closed.
    #[error("this endpoint is closed")]
    Closed,
}

impl DialError {
    pub(crate) fn connect(addr: SocketAddr, error: ConnectError) -> Self {
        match error {
            ConnectError::EndpointStopping | ConnectError::CidsExhausted => Self::Closed,
            ConnectError::InvalidRemoteAddress(_) => Self::Unreachable {
                addr,
                why: "the address is not usable with our socket (IPv6 on an IPv4-only one?)".into(),
            },
            other => Self::Misbehaved { addr, why: other.to_string() },
        }
    }

    pub(crate) fn connection(addr: SocketAddr, error: ConnectionError) -> Self {
        let why = error.to_string();
        match down(&error) {
            LinkDown::TimedOut => Self::TimedOut { addr },
            LinkDown::Incompatible => Self::Incompatible { addr, why },
            LinkDown::ClosedByUs => Self::Closed,
            LinkDown::Network | LinkDown::ClosedByPeer(_) => Self::Refused { addr },
            LinkDown::Misbehaved => Self::Misbehaved { addr, why },
        }
    }
}

/// Why something was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The peer doesn't take control messages as fast as they come; the link is being closed.
    #[error("the control queue is full")]
    Control,
    /// Longer than this kind may be (control 600 kB, frame 256 kB, datagram: see
    /// [`Link::max_datagram`](super::Link::max_datagram)).
    #[error("too long for this link")]
    TooLong,
    /// Too many frames are under way; this one was not taken.
    #[error("too many frames are under way")]
    Frames,
    /// The link is down.
    #[error("the link is down")]
    Down,
}

/// TLS alerts (RFC 8446 §6.2) that mean "we have no common ground" rather than "you cheat":
/// handshake_failure, unsupported_certificate, protocol_version, insufficient_security,
/// missing_extension, unsupported_extension, certificate_required, no_application_protocol.
const NO_COMMON_GROUND: [u64; 8] = [40, 43, 70, 71, 109, 110, 116, 120];
/// CONNECTION_REFUSED (RFC 9000 §20.1).
const CONNECTION_REFUSED: u64 = 2;
/// NO_ERROR and APPLICATION_ERROR (an application close during the handshake).
const CLOSED_EARLY: [u64; 2] = [0, 0xc];

/// Sorts what ended a connection by blame.
pub(crate) fn down(error: &ConnectionError) -> LinkDown {
    match error {
        ConnectionError::VersionMismatch => LinkDown::Incompatible,
        ConnectionError::TransportError(e) => by_code(e.code.into()),
        ConnectionError::ConnectionClosed(close) => by_code(close.error_code.into()),
        ConnectionError::ApplicationClosed(close) => {
            LinkDown::ClosedByPeer(u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX))
        }
        ConnectionError::Reset | ConnectionError::CidsExhausted => LinkDown::Network,
        ConnectionError::TimedOut => LinkDown::TimedOut,
        ConnectionError::LocallyClosed => LinkDown::ClosedByUs,
    }
}

fn by_code(code: u64) -> LinkDown {
    match code {
        CONNECTION_REFUSED => LinkDown::Network,
        code if CLOSED_EARLY.contains(&code) => LinkDown::Network,
        code if code & !0xff == 0x100 && NO_COMMON_GROUND.contains(&(code & 0xff)) => {
            LinkDown::Incompatible
        }
        _ => LinkDown::Misbehaved,
    }
}
