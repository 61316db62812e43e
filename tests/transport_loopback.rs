//! Two endpoints on real sockets of the loopback interface.

use bytes::Bytes;
use facetty::secret::Secret;
use facetty::transport::{DialError, Endpoint, EndpointOptions, Link, Socket, bind_udp};
use facetty::wire::link::{LinkDown, LinkEvent, LinkUp, Send, close};
use std::time::Duration;
use tokio::time::{Instant, timeout};

fn endpoint(seed: u8) -> Endpoint {
    let socket = bind_udp(Some("127.0.0.1:0".parse().expect("address"))).expect("loopback");
    let seed = Secret::build(|b| b.fill(seed));
    Endpoint::bind(Socket::Udp(socket), seed, EndpointOptions::default()).expect("endpoint")
}

async fn up(link: &Link) -> LinkUp {
    match link.event().await {
        LinkEvent::Up(up) => up,
        other => panic!("first event is {other:?}"),
    }
}

#[tokio::test]
async fn two_endpoints_talk_over_real_sockets() {
    let (alice, bob) = (endpoint(1), endpoint(2));
    let to_alice = bob.dial(alice.local_addr().expect("bound")).await.expect("dial");
    let to_bob = alice.accept().await.expect("accept");
    let (at_bob, at_alice) = (up(&to_alice).await, up(&to_bob).await);
    assert_eq!(at_bob.exporter, at_alice.exporter);
    assert!(at_bob.dialled && !at_alice.dialled);

    to_alice.send(Send::Control(Bytes::from_static(b"knock"))).expect("room");
    assert!(matches!(to_bob.event().await, LinkEvent::Control(m) if m == "knock"));
    to_bob.send(Send::Control(Bytes::from_static(b"answer"))).expect("room");
    assert!(matches!(to_alice.event().await, LinkEvent::Control(m) if m == "answer"));

    to_alice.authenticated();
    to_bob.authenticated();
    let frame = Bytes::from(vec![7; 20_000]);
    to_alice
        .send(Send::Frame {
            bytes: frame.clone(),
            priority: 0,
            deadline: (Instant::now() + Duration::from_secs(5)).into_std(),
            supersedes: false,
        })
        .expect("room");
    assert!(matches!(to_bob.event().await, LinkEvent::Frame(f) if f == frame));
    to_bob.send(Send::Datagram(Bytes::from_static(b"sound"))).expect("room");
    assert!(matches!(to_alice.event().await, LinkEvent::Datagram(d) if d == "sound"));

    to_bob.close(close::DECLINED);
    let down = to_alice.event().await;
    assert!(matches!(down, LinkEvent::Down(LinkDown::ClosedByPeer(close::DECLINED))), "{down:?}");
    assert!(matches!(to_bob.event().await, LinkEvent::Down(LinkDown::ClosedByUs)));
    bob.close_all(close::LEFT);
    timeout(Duration::from_secs(5), alice.wait_idle()).await.expect("idle soon");
}

#[tokio::test]
async fn an_address_without_route_is_named_at_once() {
    let alice = endpoint(1);
    // The socket is bound to IPv4 loopback: IPv6 can't be dialled from it.
    let addr = "[2001:db8::1]:9".parse().expect("address");
    let error = alice.dial(addr).await.expect_err("no way");
    assert!(matches!(error, DialError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("2001:db8::1"));
}
