//! The UDP socket of a call: dials, accepts, and keeps strangers few.

use super::address::BindError;
use super::congestion::{SharedRate, WindowFactory};
use super::error::DialError;
use super::limits::{
    CONNECTIONS, DATAGRAM_IN_BYTES, DATAGRAM_OUT_BYTES, EndpointOptions, FRAME, INCOMING_BYTES,
    INCOMING_BYTES_ALL, SEND_WINDOW, STRANGERS, STRANGERS_BEFORE_RETRY, STRANGERS_PER_HOST,
    WINDOW_BEFORE,
};
use super::link::Link;
use super::pace::Writers;
use super::tls::{self, TlsConfigs};
use crate::secret::Secret;
use crate::wire::link::close;
use quinn::{AckFrequencyConfig, IdleTimeout, Runtime, TransportConfig, VarInt};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

/// rustls wants a server name; it isn't sent (no SNI) and not checked (raw keys).
const SERVER_NAME: &str = "facetty";

/// What an endpoint sends and receives through.
pub enum Socket {
    /// The system's.
    Udp(UdpSocket),
    /// Any other, as in a simulation.
    Custom(Arc<dyn quinn::AsyncUdpSocket>),
}

/// One UDP socket with one TLS key; any number of links. Cheap to clone.
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    quic: quinn::Endpoint,
    tls: TlsConfigs,
    options: EndpointOptions,
    /// Dialling may ask the system for a route first.
    system_socket: bool,
    incoming: tokio::sync::Mutex<mpsc::Receiver<Link>>,
    writers: Writers,
    accepting: Option<AbortHandle>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = &self.accepting {
            task.abort();
        }
    }
}

impl Endpoint {
    /// Sets up QUIC on `socket` with the Ed25519 key of `leaf_seed`. Must be called within a tokio
    /// runtime; everything runs there.
    pub fn bind(
        socket: Socket,
        leaf_seed: Secret<32>,
        options: EndpointOptions,
    ) -> Result<Self, BindError> {
        let tls = tls::configs(&leaf_seed).map_err(|e| BindError::Tls(e.to_string()))?;
        let system_socket = matches!(socket, Socket::Udp(_));
        let runtime = options.runtime.clone().unwrap_or_else(|| Arc::new(quinn::TokioRuntime));
        let socket = abstract_socket(socket, &*runtime)?;
        let mut config = quinn::EndpointConfig::default();
        config.rng_seed(options.rng_seed);
        let server = options.accept.then(|| server_config(&tls, &options).0);
        let quic = quinn::Endpoint::new_with_abstract_socket(config, server, socket, runtime)
            .map_err(no_socket)?;

        let (found, incoming) = mpsc::channel(STRANGERS);
        let writers = Writers::default();
        let tls_server = TlsConfigs { client: tls.client.clone(), server: tls.server.clone() };
        let accepting = options.accept.then(|| {
            let task =
                accept_all(quic.clone(), tls_server, options.clone(), writers.clone(), found);
            tokio::spawn(task).abort_handle()
        });
        let incoming = tokio::sync::Mutex::new(incoming);
        let inner = Inner { quic, tls, options, system_socket, incoming, writers, accepting };
        Ok(Self(Arc::new(inner)))
    }

    /// The local address of the socket.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.quic.local_addr()
    }

    /// Connects and completes TLS. How long to wait is the caller's choice: dropping the future
    /// gives up; by itself it ends after the idle time. A returned link means that the peer
    /// answered, not yet that it accepted us.
    pub async fn dial(&self, addr: SocketAddr) -> Result<Link, DialError> {
        if self.0.system_socket {
            route_to(addr)?;
        }
        let rate = SharedRate::new(self.0.options.initial_rate);
        let mut config = quinn::ClientConfig::new(self.0.tls.client.clone());
        config.transport_config(Arc::new(transport_config(&self.0.options, &rate, true)));
        let connecting = self
            .0
            .quic
            .connect_with(config, addr, SERVER_NAME)
            .map_err(|e| DialError::connect(addr, e))?;
        let connection = connecting.await.map_err(|e| DialError::connection(addr, e))?;
        let authenticate_by = Instant::now() + self.0.options.authenticate_within;
        Link::start(connection, true, rate, self.0.writers.clone(), None, authenticate_by)
            .ok_or_else(|| DialError::Misbehaved { addr, why: "it shows no Ed25519 key".into() })
    }

    /// The next peer that completed TLS; `None` once the endpoint is closed, or if it was bound
    /// not to accept.
    pub async fn accept(&self) -> Option<Link> {
        self.0.incoming.lock().await.recv().await
    }

    /// Moves all links to another socket (another network). Only links we dialled survive it:
    /// QUIC lets the dialling side change its address, not the other (RFC 9000 §9).
    pub fn rebind(&self, socket: Socket) -> Result<(), BindError> {
        let socket = abstract_socket(socket, &quinn::TokioRuntime)?;
        self.0.quic.rebind_abstract(socket).map_err(no_socket)
    }

    /// The address that packets to `to` leave from now: the socket's own, or what the system chooses
    /// for a socket bound to none in particular. Sends nothing. `None`: there is no way there. When
    /// it changes, the host has moved to another network.
    pub fn source(&self, to: SocketAddr) -> Option<IpAddr> {
        let own = self.0.quic.local_addr().ok()?.ip();
        if !own.is_unspecified() || !self.0.system_socket {
            return Some(own.to_canonical());
        }
        let probe = UdpSocket::bind(any_like(to)).and_then(|probe| {
            probe.connect(to)?;
            probe.local_addr()
        });
        probe.ok().map(|addr| addr.ip().to_canonical())
    }

    /// Connections that take up memory now: dialled and accepted, in the handshake, up, and closed
    /// but still draining. No more than [`CONNECTIONS`] are ever accepted.
    pub fn connections(&self) -> usize {
        self.0.quic.open_connections()
    }

    /// Closes every link with `code` (see [`close`]) and accepts no more.
    pub fn close_all(&self, code: u32) {
        self.0.quic.close(VarInt::from_u32(code), b"");
    }

    /// Waits until the peers of closed links had their chance to hear of it; without this, they
    /// wait for the idle time. Bounded by a few round trips.
    pub async fn wait_idle(&self) {
        self.0.quic.wait_idle().await;
    }
}

fn abstract_socket(
    socket: Socket,
    runtime: &dyn Runtime,
) -> Result<Arc<dyn quinn::AsyncUdpSocket>, BindError> {
    match socket {
        Socket::Udp(socket) => {
            socket.set_nonblocking(true).map_err(no_socket)?;
            runtime.wrap_udp_socket(socket).map_err(no_socket)
        }
        Socket::Custom(socket) => Ok(socket),
    }
}

fn no_socket(error: std::io::Error) -> BindError {
    BindError::from_io(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), error)
}

/// Asks the system whether there is a way to `addr`; sends nothing. QUIC itself can't tell a
/// missing route from a lost packet.
fn route_to(addr: SocketAddr) -> Result<(), DialError> {
    let unreachable = |e: std::io::Error| DialError::Unreachable { addr, why: e.to_string() };
    UdpSocket::bind(any_like(addr)).and_then(|probe| probe.connect(addr)).map_err(unreachable)
}

/// No address in particular, of the same family.
fn any_like(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

async fn accept_all(
    quic: quinn::Endpoint,
    tls: TlsConfigs,
    options: EndpointOptions,
    writers: Writers,
    found: mpsc::Sender<Link>,
) {
    let strangers = Arc::new(Strangers::default());
    while let Some(incoming) = quic.accept().await {
        let proved = incoming.remote_address_validated();
        if !proved && incoming.may_retry() && strangers.count() >= STRANGERS_BEFORE_RETRY {
            let _ = incoming.retry();
            continue;
        }
        let room = quic.open_connections() < CONNECTIONS;
        let place = room.then(|| strangers.enter(incoming.remote_address().ip())).flatten();
        let Some(place) = place else {
            incoming.refuse();
            continue;
        };
        let authenticate_by = Instant::now() + options.authenticate_within;
        let (config, rate) = server_config(&tls, &options);
        let Ok(connecting) = incoming.accept_with(Arc::new(config)) else { continue };
        let (found, writers) = (found.clone(), writers.clone());
        tokio::spawn(async move {
            let Ok(Ok(connection)) = timeout_at(authenticate_by, connecting).await else { return };
            let link = Link::start(connection, false, rate, writers, Some(place), authenticate_by);
            let Some(link) = link else { return };
            if let Err(mpsc::error::TrySendError::Full(link)) = found.try_send(link) {
                link.close(close::TIMEOUT);
            }
        });
    }
}

fn server_config(
    tls: &TlsConfigs,
    options: &EndpointOptions,
) -> (quinn::ServerConfig, Arc<SharedRate>) {
    let rate = SharedRate::new(options.initial_rate);
    let mut config = quinn::ServerConfig::with_crypto(tls.server.clone());
    config.transport_config(Arc::new(transport_config(options, &rate, false)));
    config.max_incoming(2 * STRANGERS);
    config.incoming_buffer_size(INCOMING_BYTES);
    config.incoming_buffer_size_total(INCOMING_BYTES_ALL);
    config.validation_token.sent(0);
    (config, rate)
}

fn transport_config(
    options: &EndpointOptions,
    rate: &Arc<SharedRate>,
    dialling: bool,
) -> TransportConfig {
    let mut acks = AckFrequencyConfig::default();
    acks.max_ack_delay(Some(Duration::from_millis(25)));
    let mut config = TransportConfig::default();
    config
        // The dialler opens the one control stream; frames get credit once authenticated.
        .max_concurrent_bidi_streams(VarInt::from_u32(if dialling { 0 } else { 1 }))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(u32::try_from(2 * FRAME).unwrap_or(u32::MAX)))
        .receive_window(VarInt::from_u32(WINDOW_BEFORE))
        .send_window(SEND_WINDOW)
        // Without it a stream once begun isn't interrupted, and control or a more important frame
        // would wait behind it. No two streams have equal priority (see `send::rank`), so they go
        // one after the other all the same.
        .send_fairness(true)
        // 333 ms, QUIC's guess, makes a handshake over a lossy path three times slower.
        .initial_rtt(Duration::from_millis(100))
        .ack_frequency_config(Some(acks))
        .max_idle_timeout(IdleTimeout::try_from(options.idle).ok())
        .keep_alive_interval(Some(options.keep_alive))
        .datagram_send_buffer_size(DATAGRAM_OUT_BYTES)
        .datagram_receive_buffer_size(Some(DATAGRAM_IN_BYTES))
        .congestion_controller_factory(Arc::new(WindowFactory(rate.clone())));
    config
}

/// Accepted connections that haven't proved who they are, counted.
#[derive(Default)]
pub(crate) struct Strangers(Mutex<BTreeMap<IpAddr, usize>>);

impl Strangers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) -> usize {
        self.lock().values().sum()
    }

    fn enter(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let ip = whose(ip);
        let mut by_ip = self.lock();
        let total: usize = by_ip.values().sum();
        let here = by_ip.get(&ip).copied().unwrap_or(0);
        if total >= STRANGERS || here >= STRANGERS_PER_HOST {
            return None;
        }
        by_ip.insert(ip, here + 1);
        Some(Place { strangers: self.clone(), ip })
    }
}

/// The address that stands for one host: an IPv6 host has all of a /64 to itself (RFC 4291 §2.5.1).
fn whose(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

/// One stranger's place; given back when dropped.
pub(crate) struct Place {
    strangers: Arc<Strangers>,
    ip: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_ip = self.strangers.lock();
        if let Some(count) = by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                by_ip.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_have_limited_places_per_address_and_in_all() {
        let strangers = Arc::new(Strangers::default());
        let ip = |n: u8| IpAddr::from([10, 0, 0, n]);
        let mut places: Vec<_> = (0..STRANGERS_PER_HOST).map(|_| strangers.enter(ip(1))).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(strangers.enter(ip(1)).is_none());
        places.extend((STRANGERS_PER_HOST..STRANGERS).map(|n| strangers.enter(ip(n as u8 + 2))));
        assert_eq!(strangers.count(), STRANGERS);
        assert!(strangers.enter(ip(200)).is_none());
        places.clear();
        assert_eq!(strangers.count(), 0);
        assert!(strangers.enter(ip(1)).is_some());
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_the_same_host() {
        let strangers = Arc::new(Strangers::default());
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().expect("test address");
        let plain: IpAddr = "10.0.0.1".parse().expect("test address");
        let _places: Vec<_> = (0..STRANGERS_PER_HOST).map(|_| strangers.enter(mapped)).collect();
        assert!(strangers.enter(plain).is_none());
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_the_same_host() {
        let strangers = Arc::new(Strangers::default());
        let ip = |text: &str| text.parse::<IpAddr>().expect("test address");
        let mine = |n: usize| ip(&format!("2001:db8:0:1:{n:x}::{n:x}"));
        let _places: Vec<_> = (0..STRANGERS_PER_HOST).map(|n| strangers.enter(mine(n))).collect();
        assert!(strangers.enter(mine(99)).is_none());
        assert!(strangers.enter(ip("2001:db8:0:2::1")).is_some());
    }
}
