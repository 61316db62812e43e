//! The tapping line on real sockets: QUIC passes through it unharmed, and everything is seen.

use bytes::Bytes;
use facetty::secret::Secret;
use facetty::sim::line::{Line, LineOptions};
use facetty::sim::model::LinkModel;
use facetty::sim::net::{Fate, Happened};
use facetty::time::Wall;
use facetty::transport::{Endpoint, EndpointOptions, Link, Socket, bind_udp};
use facetty::wire::link::{LinkEvent, Send};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn endpoint(seed: u8) -> Endpoint {
    let socket = bind_udp(Some("127.0.0.1:0".parse().expect("address"))).expect("loopback");
    let seed = Secret::build(|b| b.fill(seed));
    Endpoint::bind(Socket::Udp(socket), seed, EndpointOptions::default()).expect("endpoint")
}

async fn connect(listener: &Endpoint, dialler: &Endpoint, door: SocketAddr) -> (Link, Link) {
    let (dialled, accepted) = tokio::join!(dialler.dial(door), listener.accept());
    let (dialled, accepted) = (dialled.expect("dial"), accepted.expect("accept"));
    for link in [&dialled, &accepted] {
        assert!(matches!(link.event().await, LinkEvent::Up(_)));
        link.authenticated();
    }
    (dialled, accepted)
}

/// A file in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("memory").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn two_parties_talk_through_the_line_which_sees_every_datagram() {
    let (alice, bob, carol) = (endpoint(1), endpoint(2), endpoint(3));
    let alice_at = alice.local_addr().expect("bound");
    let line = Line::open(LineOptions { opened: Wall(1_700_000_000_000), ..Default::default() });
    let file = Memory::default();
    line.capture(Box::new(file.clone())).expect("memory");
    let seen = Arc::new(Mutex::new((0usize, 0usize, Vec::new(), 0usize)));
    let tapped = seen.clone();
    line.tap(Box::new(move |t| {
        let mut seen = tapped.lock().expect("tap");
        seen.3 += usize::from(matches!(t.what, Happened::Lost(_)));
        if t.what == Happened::Sent {
            if t.datagram.to == alice_at {
                seen.0 += 1;
            } else {
                assert_eq!(t.datagram.from, alice_at);
                seen.1 += 1;
            }
            seen.2.extend_from_slice(&t.datagram.bytes);
        }
    }));
    let door = line.door(alice_at).expect("door");
    // Two callers through one door.
    for caller in [&bob, &carol] {
        let (dialled, accepted) = connect(&alice, caller, door).await;
        dialled.send(Send::Control(Bytes::from_static(b"can you hear me"))).expect("room");
        let got = accepted.event().await;
        assert!(matches!(got, LinkEvent::Control(m) if m == "can you hear me"));
        accepted.send(Send::Datagram(Bytes::from(vec![5; 1000]))).expect("room");
        assert!(matches!(dialled.event().await, LinkEvent::Datagram(d) if d.len() == 1000));
    }
    line.flush_capture().expect("memory");
    let seen = seen.lock().expect("tap");
    assert!(seen.0 >= 6 && seen.1 >= 6);
    assert_eq!(seen.3, 0, "nothing is lost on the line, not even a caller's first packet");
    assert!(!seen.2.windows(8).any(|window| window == b"can you "));
    // Every payload seen is in the capture: 32 bytes of block and 28 of headers around each.
    let packets = seen.0 + seen.1;
    let length = file.0.lock().expect("memory").len();
    assert!(length >= seen.2.len() + packets * 60, "{length} bytes for {packets} packets");
    if let Some(path) = std::env::var_os("FACETTY_TEST_CAPTURE") {
        std::fs::write(path, &*file.0.lock().expect("memory")).expect("capture");
    }
}

#[tokio::test]
async fn the_line_delays_and_loses_as_told_in_real_time() {
    let (alice, bob) = (endpoint(1), endpoint(2));
    let slow = LinkModel::delayed(Duration::from_millis(30));
    let line = Line::open(LineOptions {
        towards: slow.clone(),
        back: slow.clone().with_loss(0.1),
        seed: 7,
        ..Default::default()
    });
    let door = line.door(alice.local_addr().expect("bound")).expect("door");
    let (dialled, accepted) = connect(&alice, &bob, door).await;
    dialled.send(Send::Control(Bytes::from_static(b"far away"))).expect("room");
    assert!(matches!(accepted.event().await, LinkEvent::Control(_)));
    // A bound from below only: how busy this machine is must not matter.
    assert!(dialled.stats().rtt >= Duration::from_millis(60), "{:?}", dialled.stats().rtt);
    line.set_models(LinkModel::default(), LinkModel::default());
    dialled.send(Send::Control(Bytes::from_static(b"near"))).expect("room");
    assert!(matches!(accepted.event().await, LinkEvent::Control(m) if m == "near"));
}

#[tokio::test]
async fn somebody_on_the_line_may_change_packets_but_not_messages() {
    let (alice, bob) = (endpoint(1), endpoint(2));
    let line = Line::open(LineOptions::default());
    let door = line.door(alice.local_addr().expect("bound")).expect("door");
    let (dialled, accepted) = connect(&alice, &bob, door).await;
    let mut n = 0usize;
    line.intercept(Some(Box::new(move |datagram| {
        n += 1;
        let mut bytes = datagram.bytes.to_vec();
        match n % 5 {
            0 => {
                let at = n % bytes.len();
                bytes[at] ^= 0x40;
                Fate::Replace(vec![bytes.into()])
            }
            1 => Fate::Drop,
            2 => Fate::Replace(vec![datagram.bytes.clone(), datagram.bytes.clone()]),
            _ => Fate::Forward,
        }
    })));
    for n in 0..40u8 {
        dialled.send(Send::Control(Bytes::from(vec![n; 500]))).expect("room");
    }
    for n in 0..40u8 {
        assert!(matches!(accepted.event().await, LinkEvent::Control(m) if m[..] == [n; 500]));
    }
}
