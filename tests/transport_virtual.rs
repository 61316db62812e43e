//! Links between well-behaved peers over the virtual network, in virtual time.

mod transport_support;

use bytes::Bytes;
use facetty::sim::model::{Jitter, LinkModel, Queue, Shape};
use facetty::sim::net::{Happened, Network};
use facetty::transport::{DialError, EndpointOptions, Full, Socket};
use facetty::wire::link::{LinkDown, LinkEvent, Send, close};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use transport_support::*;

#[tokio::test(start_paused = true)]
async fn each_side_learns_the_others_key_and_both_the_same_exporter() {
    let net = Network::new(1);
    let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
    let dialled = dialler.dial(host(1)).await.expect("dial");
    let accepted = listener.accept().await.expect("accept");
    let (near, far) = (up(&dialled).await, up(&accepted).await);
    assert_eq!((near.peer_key, far.peer_key), (key(1), key(2)));
    assert_eq!((near.remote, far.remote), (host(1), host(2)));
    assert!(near.dialled && !far.dialled);
    assert_eq!(near.exporter, far.exporter);
    let other = dialler.dial(host(1)).await.expect("dial again");
    assert_ne!(up(&other).await.exporter, near.exporter, "each connection has its own");
}

#[tokio::test(start_paused = true)]
async fn control_messages_arrive_whole_and_in_order_whatever_the_loss() {
    let net = Network::new(2);
    net.set_default_path(LinkModel::delayed(40 * MS).with_loss(0.2));
    let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
    let (dialled, accepted) = call(&listener, &dialler).await;
    let big = vec![9; 600 * 1024];
    for n in 0..40u8 {
        accepted.send(control(&[n; 1000])).expect("room");
    }
    accepted.send(control(&big)).expect("room");
    accepted.send(control(b"")).expect("room");
    for n in 0..40u8 {
        assert!(matches!(event(&dialled).await, LinkEvent::Control(m) if m[..] == [n; 1000]));
    }
    assert!(matches!(event(&dialled).await, LinkEvent::Control(m) if m == big));
    assert!(matches!(event(&dialled).await, LinkEvent::Control(m) if m.is_empty()));
}

/// A call's worth of traffic; returns (frames delivered, datagrams delivered).
async fn traffic(net: &Network, seconds: u64) -> (usize, usize) {
    let (listener, dialler) = (endpoint(net, 1), endpoint(net, 2));
    let (dialled, accepted) = call(&listener, &dialler).await;
    let sender = dialled.clone();
    let sending = tokio::spawn(async move {
        let start = Instant::now();
        let mut next_frame = start;
        for n in 0..seconds * 50 {
            tokio::time::sleep_until(start + 20 * MS * n as u32).await;
            sender.send(Send::Datagram(Bytes::from(vec![n as u8; 120]))).expect("room");
            if Instant::now() >= next_frame {
                next_frame += Duration::from_secs(1) / 15;
                let length = if n % 100 == 0 { 5000 } else { 1200 };
                sender.send(frame(1, length, 400 * MS, false)).expect("room");
            }
            if n % 25 == 0 {
                sender.send(control(b"heartbeat")).expect("room");
            }
        }
        sleep(Duration::from_secs(1)).await;
        sender.close(close::LEFT);
    });
    let (mut frames, mut datagrams, mut messages) = (0, 0, 0);
    loop {
        match event(&accepted).await {
            LinkEvent::Frame(_) => frames += 1,
            LinkEvent::Datagram(_) => datagrams += 1,
            LinkEvent::Control(_) => messages += 1,
            LinkEvent::Up(_) => panic!("twice up"),
            LinkEvent::Down(why) => {
                // The one packet that says so may be lost; then the peer knows of no connection.
                let told = [LinkDown::ClosedByPeer(close::LEFT), LinkDown::Network];
                assert!(told.contains(&why), "{why:?}");
                break;
            }
        }
    }
    sending.await.expect("sender");
    assert_eq!(messages, seconds * 2);
    (frames, datagrams)
}

#[tokio::test(start_paused = true)]
async fn at_20_percent_loss_datagrams_arrive_as_lost_and_frames_all_the_same() {
    let net = Network::new(3);
    net.set_default_path(LinkModel::delayed(50 * MS).with_loss(0.2));
    let (frames, datagrams) = traffic(&net, 60).await;
    assert!(frames >= 882, "{frames} of 900 frames");
    assert!((2300..2500).contains(&datagrams), "{datagrams} of 3000 datagrams");
}

/// Time, direction, size and fate of every packet of a lossy, jittery call of ten seconds.
async fn trace(seed: u64) -> Vec<(Duration, u8, usize, Happened)> {
    let net = Network::new(seed);
    net.set_default_path(
        LinkModel {
            jitter: Some(Jitter { shape: Shape::Exponential(10 * MS), keep_order: false }),
            ..LinkModel::delayed(40 * MS)
        }
        .with_loss(0.05)
        .with_rate(2_000_000, Queue::Time(200 * MS)),
    );
    let trace = Arc::new(Mutex::new(Vec::new()));
    let seen = trace.clone();
    net.tap(Box::new(move |t| {
        let from = if t.datagram.from == host(1) { 1 } else { 2 };
        seen.lock().expect("tap").push((t.at, from, t.datagram.bytes.len(), t.what));
    }));
    let (frames, datagrams) = traffic(&net, 10).await;
    assert!(frames >= 145 && datagrams > 450, "{frames} frames, {datagrams} datagrams");
    std::mem::take(&mut *trace.lock().expect("tap"))
}

#[tokio::test(start_paused = true)]
async fn equal_seeds_give_equal_packet_traces() {
    let first = trace(4).await;
    let second = trace(4).await;
    assert!(first.len() > 1000, "{} packets", first.len());
    for (n, (a, b)) in first.iter().zip(&second).enumerate() {
        assert_eq!(a, b, "event {n}");
    }
    assert_eq!(first.len(), second.len());
    let other = trace(5).await;
    assert_ne!(first, other);
}

#[tokio::test(start_paused = true)]
async fn a_frame_nobody_would_paint_any_more_is_reset() {
    let net = Network::new(6);
    let slow = LinkModel::delayed(20 * MS).with_rate(400_000, Queue::Time(Duration::from_secs(5)));
    net.set_default_path(slow);
    let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
    let (dialled, accepted) = call(&listener, &dialler).await;
    // 100 kB need two seconds; 5 kB a tenth.
    dialled.send(frame(1, 100_000, 300 * MS, false)).expect("room");
    assert_eq!(dialled.frames_in_flight(), 1);
    sleep(320 * MS).await;
    assert_eq!(dialled.frames_in_flight(), 0);
    assert_eq!(dialled.stats().frames_expired, 1);
    dialled.send(frame(2, 5000, Duration::from_secs(3), false)).expect("room");
    assert!(matches!(event(&accepted).await, LinkEvent::Frame(f) if f[..] == [2; 5000]));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(accepted.stats().frames_reset, 1);
    assert_eq!(accepted.stats().frames_received, 1);
    assert_eq!(dialled.stats().frames_delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_keyframe_replaces_everything_under_way() {
    let net = Network::new(7);
    net.set_default_path(
        LinkModel::delayed(20 * MS).with_rate(400_000, Queue::Time(Duration::from_secs(5))),
    );
    let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
    let (dialled, accepted) = call(&listener, &dialler).await;
    for n in 0..3 {
        dialled.send(frame(n, 40_000, Duration::from_secs(9), false)).expect("room");
    }
    sleep(10 * MS).await;
    assert_eq!(dialled.frames_in_flight(), 3);
    dialled.send(frame(9, 3000, Duration::from_secs(9), true)).expect("room");
    assert_eq!(dialled.frames_in_flight(), 1, "at once, not after a round trip");
    let start = Instant::now();
    assert!(matches!(event(&accepted).await, LinkEvent::Frame(f) if f[..] == [9; 3000]));
    assert!(start.elapsed() < 700 * MS, "{:?}", start.elapsed());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(dialled.stats().frames_superseded, 3);
    assert_eq!(dialled.frames_in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn control_and_more_important_frames_overtake_a_frame_under_way() {
    let net = Network::new(8);
    let thin =
        LinkModel::delayed(20 * MS).with_rate(1_000_000, Queue::Time(Duration::from_secs(5)));
    net.set_default_path(thin);
    let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
    let (dialled, accepted) = call(&listener, &dialler).await;
    dialled.set_rate(1_000_000);
    let deadline = (Instant::now() + Duration::from_secs(9)).into_std();
    for (fill, priority) in [(1u8, 0), (2, 0), (3, 5)] {
        let bytes = Bytes::from(vec![fill; 50_000]);
        let frame = Send::Frame { bytes, priority, deadline, supersedes: false };
        dialled.send(frame).expect("room");
        sleep(100 * MS).await;
    }
    dialled.send(control(b"c")).expect("room");
    let mut order = Vec::new();
    while order.len() < 4 {
        match event(&accepted).await {
            LinkEvent::Frame(bytes) | LinkEvent::Control(bytes) => order.push(bytes[0]),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(order, [b'c', 3, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_large_frame_is_spread_in_time_not_dumped() {
    let net = Network::new(9);
    let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
    let (dialled, accepted) = call(&listener, &dialler).await;
    // MTU discovery and the end of the handshake are over.
    sleep(Duration::from_secs(2)).await;
    let sent = Arc::new(Mutex::new(Vec::new()));
    let seen = sent.clone();
    net.tap(Box::new(move |t| {
        if t.what == Happened::Sent && t.datagram.from == host(2) && t.datagram.bytes.len() > 500 {
            seen.lock().expect("tap").push(t.at);
        }
    }));
    dialled.send(frame(1, 24_000, Duration::from_secs(1), false)).expect("room");
    assert!(matches!(event(&accepted).await, LinkEvent::Frame(f) if f.len() == 24_000));
    let sent = sent.lock().expect("tap");
    for at in sent.iter() {
        let together = sent.iter().filter(|other| **other >= *at && **other < *at + 5 * MS).count();
        assert!(together <= 3, "{together} packets within 5 ms");
    }
    assert!(sent[sent.len() - 1] - sent[0] >= 40 * MS);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_follows_the_rate_set() {
    // A sender that ignores its rate: frames as fast as they go, over an unlimited path.
    let mut delivered = Vec::new();
    for rate in [200_000u64, 8_000_000] {
        let net = Network::new(10);
        net.set_default_path(LinkModel::delayed(50 * MS));
        let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
        let (dialled, accepted) = call(&listener, &dialler).await;
        dialled.set_rate(rate);
        let sender = dialled.clone();
        let flood = tokio::spawn(async move {
            loop {
                let _ = sender.send(frame(1, 50_000, Duration::from_secs(9), false));
                sleep(5 * MS).await;
            }
        });
        let before = accepted.stats().rx_bytes;
        sleep(Duration::from_secs(5)).await;
        flood.abort();
        delivered.push((accepted.stats().rx_bytes - before) * 8 / 5);
    }
    // 16 kB per 100 ms round trip is the floor; 2 × rate × 150 ms per 100 ms the ceiling.
    assert!(delivered[0] < 1_600_000, "{delivered:?}");
    assert!((8_000_000..26_000_000).contains(&delivered[1]), "{delivered:?}");
}

#[tokio::test(start_paused = true)]
async fn stale_sound_is_dropped_not_queued() {
    let net = Network::new(11);
    net.set_default_path(LinkModel::delayed(50 * MS));
    let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
    let (dialled, accepted) = call(&listener, &dialler).await;
    dialled.set_rate(1);
    for n in 0..200u8 {
        dialled.send(Send::Datagram(Bytes::from(vec![n; 1000]))).expect("taken");
    }
    assert!(dialled.stats().datagrams_unsent >= 180);
    sleep(Duration::from_secs(2)).await;
    let mut got = Vec::new();
    while let Ok(LinkEvent::Datagram(d)) = timeout(MS, accepted.event()).await {
        got.push(d[0]);
    }
    assert!(got.len() <= 40 && got.contains(&199), "{got:?}");
}

#[tokio::test(start_paused = true)]
async fn too_long_or_too_many_is_refused_to_the_caller() {
    let net = Network::new(12);
    let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
    let (dialled, _accepted) = call(&listener, &dialler).await;
    let long = vec![0; dialled.max_datagram() + 1];
    assert_eq!(dialled.send(Send::Datagram(long.into())), Err(Full::TooLong));
    assert_eq!(dialled.send(frame(0, 256 * 1024 + 1, MS, false)), Err(Full::TooLong));
    assert_eq!(dialled.send(control(&vec![0; 600 * 1024 + 1])), Err(Full::TooLong));
    net.set_default_path(LinkModel::default());
    net.set_path(ip(2), ip(1), LinkModel::cut());
    for _ in 0..16 {
        dialled.send(frame(0, 1000, Duration::from_secs(9), false)).expect("room");
    }
    assert_eq!(dialled.send(frame(0, 1000, MS, false)), Err(Full::Frames));
    assert_eq!(dialled.send(frame(0, 1000, MS, true)), Ok(()), "a keyframe makes room");
}

#[tokio::test(start_paused = true)]
async fn a_control_queue_that_overflows_disconnects() {
    let net = Network::new(13);
    let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
    let (dialled, _accepted) = call(&listener, &dialler).await;
    net.set_path(ip(2), ip(1), LinkModel::cut());
    let mut refused = None;
    for n in 0..200 {
        if let Err(full) = dialled.send(control(&vec![0; 100_000])) {
            refused = Some((n, full));
            break;
        }
        sleep(MS).await;
    }
    // Four MB of them are QUIC's to hold, 64 ours.
    assert!(matches!(refused, Some((64..130, Full::Control))), "{refused:?}");
    assert_eq!(down(&dialled).await, LinkDown::TimedOut);
    assert_eq!(dialled.send(control(b"more")), Err(Full::Down));
}

#[tokio::test(start_paused = true)]
async fn control_nobody_takes_pushes_back_on_its_sender() {
    let net = Network::new(14);
    let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
    let (dialled, accepted) = call(&listener, &dialler).await;
    let mut sent = 0;
    for n in 0..60_000u32 {
        if dialled.send(control(&n.to_be_bytes().repeat(250))).is_err() {
            break;
        }
        sent += 1;
        sleep(MS).await;
    }
    // 64 in the inbox, a flow-control window of half a megabyte, 64 at the sender.
    assert!((400..900).contains(&sent), "{sent}");
    let mut got = 0u32;
    while let LinkEvent::Control(m) = event(&accepted).await {
        assert_eq!(m[..4], got.to_be_bytes());
        got += 1;
    }
    assert!(got >= 64, "{got}");
}

#[tokio::test(start_paused = true)]
async fn close_codes_arrive() {
    for code in [close::LEFT, close::REFUSED, close::DECLINED, close::REMOVED] {
        let net = Network::new(15);
        net.set_default_path(LinkModel::delayed(30 * MS));
        let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
        let (dialled, accepted) = call(&listener, &dialler).await;
        accepted.close(code);
        assert_eq!(down(&dialled).await, LinkDown::ClosedByPeer(code));
        assert_eq!(down(&accepted).await, LinkDown::ClosedByUs);
        assert_eq!(down(&accepted).await, LinkDown::ClosedByUs, "and stays so");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_link_closes_and_closing_all_reaches_everybody() {
    let net = Network::new(16);
    let (one, two, three) = (endpoint(&net, 1), endpoint(&net, 2), endpoint(&net, 3));
    let (dialled, accepted) = call(&one, &two).await;
    drop(dialled);
    assert_eq!(down(&accepted).await, LinkDown::ClosedByPeer(close::LEFT));
    let (from_two, _a) = call(&one, &two).await;
    let (from_three, _b) = call(&one, &three).await;
    one.close_all(close::REMOVED);
    assert_eq!(down(&from_two).await, LinkDown::ClosedByPeer(close::REMOVED));
    assert_eq!(down(&from_three).await, LinkDown::ClosedByPeer(close::REMOVED));
    timeout(Duration::from_secs(5), one.wait_idle()).await.expect("idle");
    assert!(one.accept().await.is_none());
    assert_eq!(one.dial(host(2)).await.expect_err("closed"), DialError::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_vanishes_times_out_after_the_idle_time() {
    let net = Network::new(17);
    let quick = |n| EndpointOptions {
        idle: Duration::from_secs(8),
        keep_alive: Duration::from_secs(2),
        ..options(n)
    };
    let (listener, dialler) = (endpoint_with(&net, 1, quick(1)), endpoint(&net, 2));
    let (dialled, accepted) = call(&listener, &dialler).await;
    sleep(Duration::from_secs(60)).await;
    assert!(accepted.send(control(b"still there")).is_ok(), "keep-alives keep it alive");
    net.set_path_between(ip(1), ip(2), LinkModel::cut());
    let start = Instant::now();
    assert_eq!(down(&accepted).await, LinkDown::TimedOut);
    assert_eq!(down(&dialled).await, LinkDown::TimedOut, "the lower idle time holds for both");
    assert!((8..20).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn sound_flows_again_right_after_an_outage() {
    let net = Network::new(18);
    let path = LinkModel::delayed(40 * MS);
    net.set_path_between(ip(1), ip(2), path.clone());
    let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
    let (dialled, accepted) = call(&listener, &dialler).await;
    dialled.set_rate(100_000);
    let sender = dialled.clone();
    let talking = tokio::spawn(async move {
        loop {
            let _ = sender.send(Send::Datagram(Bytes::from(vec![1; 120])));
            sleep(20 * MS).await;
        }
    });
    sleep(Duration::from_secs(2)).await;
    net.set_path_between(ip(1), ip(2), LinkModel::cut());
    sleep(Duration::from_secs(5)).await;
    while timeout(MS, accepted.event()).await.is_ok() {}
    net.set_path_between(ip(1), ip(2), path);
    let start = Instant::now();
    assert!(matches!(event(&accepted).await, LinkEvent::Datagram(_)));
    assert!(start.elapsed() <= 100 * MS, "{:?}", start.elapsed());
    talking.abort();
}

#[tokio::test(start_paused = true)]
async fn a_link_survives_when_the_dialling_side_moves() {
    let net = Network::new(19);
    net.set_default_path(LinkModel::delayed(40 * MS));
    let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
    let (dialled, accepted) = call(&listener, &dialler).await;
    // Another network, known to the dialler.
    dialler.rebind(Socket::Custom(net.socket(host(3)).expect("free"))).expect("rebind");
    let start = Instant::now();
    dialled.send(control(b"from elsewhere")).expect("room");
    assert!(matches!(event(&accepted).await, LinkEvent::Control(m) if m == "from elsewhere"));
    accepted.send(control(b"welcome back")).expect("room");
    assert!(matches!(event(&dialled).await, LinkEvent::Control(m) if m == "welcome back"));
    assert!(start.elapsed() < 500 * MS, "{:?}", start.elapsed());
    assert_eq!(accepted.remote(), host(3));
    // Another port, as when a NAT forgets: unknown to the dialler.
    let moved = "10.0.0.3:9999".parse().expect("address");
    net.renumber(host(3), moved).expect("free");
    dialled.send(control(b"and again")).expect("room");
    assert!(matches!(event(&accepted).await, LinkEvent::Control(m) if m == "and again"));
    accepted.send(control(b"ok")).expect("room");
    assert!(matches!(event(&dialled).await, LinkEvent::Control(m) if m == "ok"));
    assert_eq!(accepted.remote(), moved);
}

#[tokio::test(start_paused = true)]
async fn dialling_nobody_times_out_with_the_address_in_the_message() {
    let net = Network::new(20);
    let dialler = endpoint(&net, 2);
    let error = dialler.dial(host(9)).await.expect_err("nobody there");
    assert_eq!(error, DialError::TimedOut { addr: host(9) });
    assert!(error.to_string().contains("10.0.0.9:7000"));
    assert!(timeout(Duration::from_secs(3), dialler.dial(host(9))).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn handshakes_succeed_at_20_percent_loss() {
    let mut times = Vec::new();
    for seed in 0..20 {
        let net = Network::new(100 + seed);
        net.set_default_path(LinkModel::delayed(50 * MS).with_loss(0.2));
        let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
        let start = Instant::now();
        let _link = connect(&listener, &dialler).await;
        times.push(start.elapsed());
    }
    times.sort();
    assert!(times[10] < 700 * MS && times[17] < Duration::from_secs(2), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_but_quic_is_on_the_wire_and_no_server_name() {
    let net = Network::new(21);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tapped = seen.clone();
    net.tap(Box::new(move |t| {
        if t.what == Happened::Sent {
            tapped.lock().expect("tap").extend_from_slice(&t.datagram.bytes);
        }
    }));
    let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
    let (dialled, accepted) = call(&listener, &dialler).await;
    dialled.send(control(b"a very recognisable sentence")).expect("room");
    assert!(matches!(event(&accepted).await, LinkEvent::Control(_)));
    let seen = seen.lock().expect("tap");
    let shows = |needle: &[u8]| seen.windows(needle.len()).any(|window| window == needle);
    assert!(!shows(b"recognisable"));
    assert!(!shows(&key(1)) && !shows(&key(2)), "keys travel under TLS");
}
