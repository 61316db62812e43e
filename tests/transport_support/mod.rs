//! Endpoints on the virtual network, for the transport tests.
#![allow(dead_code, reason = "each test file uses its part")]

use bytes::Bytes;
use facetty::secret::Secret;
use facetty::sim::attacks::manners::Manners;
use facetty::sim::net::Network;
use facetty::transport::{Endpoint, EndpointOptions, Link, Socket};
use facetty::wire::link::{LinkDown, LinkEvent, LinkUp, Send};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::{Instant, timeout};

pub const MS: Duration = Duration::from_millis(1);

/// Host `n` of the virtual network.
pub fn host(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 7000))
}

pub fn ip(n: u8) -> IpAddr {
    host(n).ip()
}

pub fn options(n: u8) -> EndpointOptions {
    EndpointOptions { rng_seed: Some([n; 32]), ..EndpointOptions::default() }
}

/// An endpoint at host `n` whose TLS seed is `[n; 32]`.
pub fn endpoint(net: &Network, n: u8) -> Endpoint {
    endpoint_with(net, n, options(n))
}

pub fn endpoint_with(net: &Network, n: u8, options: EndpointOptions) -> Endpoint {
    let socket = Socket::Custom(net.socket(host(n)).expect("free address"));
    Endpoint::bind(socket, Secret::build(|b| b.fill(n)), options).expect("endpoint")
}

/// A peer on bare QUIC and TLS at host `n`, for what our own transport never would do.
pub fn bare(manners: &Manners, net: &Network, n: u8) -> quinn::Endpoint {
    manners.stranger(net, host(n)).expect("endpoint")
}

/// The public key of host `n`.
pub fn key(n: u8) -> [u8; 32] {
    ed25519_dalek::SigningKey::from_bytes(&[n; 32]).verifying_key().to_bytes()
}

/// The next event; a test that waits two minutes (of virtual time) waits in vain.
pub async fn event(link: &Link) -> LinkEvent {
    timeout(Duration::from_secs(120), link.event()).await.expect("something happens")
}

pub async fn up(link: &Link) -> LinkUp {
    match event(link).await {
        LinkEvent::Up(up) => up,
        other => panic!("the first event is {other:?}"),
    }
}

/// The end of a link, whatever came before it.
pub async fn down(link: &Link) -> LinkDown {
    loop {
        if let LinkEvent::Down(why) = event(link).await {
            return why;
        }
    }
}

/// Host 2 dials host 1, both are up: (link at the dialler, link at the listener).
pub async fn connect(listener: &Endpoint, dialler: &Endpoint) -> (Link, Link) {
    let address = listener.local_addr().expect("bound");
    let (dialled, accepted) = tokio::join!(dialler.dial(address), listener.accept());
    let (dialled, accepted) = (dialled.expect("dial"), accepted.expect("accept"));
    up(&dialled).await;
    up(&accepted).await;
    (dialled, accepted)
}

/// The same, with the control stream open and both authenticated.
pub async fn call(listener: &Endpoint, dialler: &Endpoint) -> (Link, Link) {
    let (dialled, accepted) = connect(listener, dialler).await;
    dialled.authenticated();
    accepted.authenticated();
    dialled.send(control(b"hello")).expect("room");
    assert!(matches!(event(&accepted).await, LinkEvent::Control(m) if m == "hello"));
    (dialled, accepted)
}

pub fn control(message: &[u8]) -> Send {
    Send::Control(Bytes::copy_from_slice(message))
}

/// A frame of `length` bytes, all `fill`, worth something for `life`.
pub fn frame(fill: u8, length: usize, life: Duration, supersedes: bool) -> Send {
    Send::Frame {
        bytes: Bytes::from(vec![fill; length]),
        priority: 0,
        deadline: (Instant::now() + life).into_std(),
        supersedes,
    }
}
