//! Links against peers that break the rules, and strangers on the line. The hostile side is built
//! on bare QUIC and TLS, so that it can do what our own transport never would.

mod transport_support;

use bytes::Bytes;
use facetty::sim::attacks::manners::{Manners, bad};
use facetty::sim::model::LinkModel;
use facetty::sim::net::{Datagram, Fate, Network};
use facetty::transport::{CONNECTIONS, DialError, Endpoint, Link};
use facetty::wire::link::{LinkDown, LinkEvent, Send, close};
use quinn::ConnectionError;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use transport_support::*;

/// The stranger connects; what it got in the end.
async fn knock(stranger: &quinn::Endpoint) -> Result<quinn::Connection, ConnectionError> {
    stranger.connect(host(1), "facetty").expect("config").await
}

/// A stranger with good manners so far, and our link to it.
async fn stranger_in(listener: &Endpoint, stranger: &quinn::Endpoint) -> (quinn::Connection, Link) {
    let connection = knock(stranger).await.expect("good manners");
    let link = listener.accept().await.expect("accepted");
    up(&link).await;
    (connection, link)
}

/// What a connection was closed with by us.
fn close_code(error: ConnectionError) -> Option<u64> {
    match error {
        ConnectionError::ApplicationClosed(close) => Some(close.error_code.into_inner()),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_with_good_manners_gets_in() {
    let net = Network::new(1);
    let listener = endpoint(&net, 1);
    let stranger = bare(&Manners::default(), &net, 2);
    let (connection, link) = stranger_in(&listener, &stranger).await;
    assert!(connection.close_reason().is_none());
    drop(link);
    let dialler = endpoint(&net, 3);
    let (ours, theirs) = tokio::join!(dialler.dial(host(2)), async {
        stranger.accept().await.expect("incoming").await
    });
    assert_eq!(up(&ours.expect("dial")).await.remote, host(2));
    theirs.expect("accepted");
}

#[tokio::test(start_paused = true)]
async fn diallers_with_other_keys_algorithms_or_protocols_never_become_a_link() {
    let mut all = bad(key(3));
    all.push(("nothing at all", Manners { anonymous: true, ..Manners::default() }));
    for (what, manners) in all {
        let net = Network::new(2);
        let listener = endpoint(&net, 1);
        let stranger = bare(&manners, &net, 2);
        let refused = match knock(&stranger).await {
            Err(error) => error,
            // The dialler's own half is done before the listener has judged it.
            Ok(connection) => timeout(Duration::from_secs(3), connection.closed())
                .await
                .unwrap_or_else(|_| panic!("{what} was let in")),
        };
        assert!(
            matches!(
                refused,
                ConnectionError::ConnectionClosed(_) | ConnectionError::TransportError(_)
            ),
            "{what}: {refused:?}"
        );
        assert!(timeout(Duration::from_secs(9), listener.accept()).await.is_err(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn dialling_something_else_is_called_by_its_name() {
    for (what, manners) in bad(key(3)) {
        let net = Network::new(3);
        let stranger = bare(&manners, &net, 1);
        tokio::spawn(async move {
            while let Some(incoming) = stranger.accept().await {
                let _ = incoming.await;
            }
        });
        let error = endpoint(&net, 2).dial(host(1)).await.err().unwrap_or_else(|| panic!("{what}"));
        let expected = match what {
            // These two are lies or unreadable, not merely another protocol.
            "somebody else's key" | "a P-256 key" => {
                matches!(error, DialError::Misbehaved { .. } | DialError::Incompatible { .. })
            }
            _ => matches!(error, DialError::Incompatible { .. }),
        };
        assert!(expected, "{what}: {error:?}");
        assert!(error.to_string().contains("10.0.0.1:7000"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_middle_man_leaves_different_exporters_and_keys_at_the_two_ends() {
    let net = Network::new(4);
    let (alice, bob, eve) = (endpoint(&net, 1), endpoint(&net, 2), endpoint(&net, 6));
    let (from_bob, bobs) = {
        let (dialled, accepted) = tokio::join!(bob.dial(host(6)), eve.accept());
        (accepted.expect("accept"), dialled.expect("dial"))
    };
    let (to_alice, alices) = {
        let (dialled, accepted) = tokio::join!(eve.dial(host(1)), alice.accept());
        (dialled.expect("dial"), accepted.expect("accept"))
    };
    let (at_bob, at_alice) = (up(&bobs).await, up(&alices).await);
    assert_ne!(at_bob.exporter, at_alice.exporter);
    assert_ne!(at_bob.peer_key, key(1));
    assert_ne!(at_alice.peer_key, key(2));
    drop((from_bob, to_alice));
}

#[tokio::test(start_paused = true)]
async fn an_oversized_message_before_authentication_closes() {
    for (length, taken) in [(8 * 1024u32, true), (8 * 1024 + 1, false), (u32::MAX, false)] {
        let net = Network::new(5);
        let listener = endpoint(&net, 1);
        let stranger = bare(&Manners::default(), &net, 2);
        let (connection, link) = stranger_in(&listener, &stranger).await;
        let (mut writer, _reader) = connection.open_bi().await.expect("stream");
        writer.write_all(&length.to_be_bytes()).await.expect("sent");
        let _ = writer.write_all(&vec![1; (length as usize).min(20_000)]).await;
        if taken {
            assert!(matches!(event(&link).await, LinkEvent::Control(m) if m.len() == 8 * 1024));
        } else {
            assert_eq!(down(&link).await, LinkDown::Misbehaved);
            assert_eq!(close_code(connection.closed().await), Some(close::MISBEHAVED.into()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_higher_after_authentication_but_still_there() {
    let net = Network::new(6);
    let listener = endpoint(&net, 1);
    let stranger = bare(&Manners::default(), &net, 2);
    let (connection, link) = stranger_in(&listener, &stranger).await;
    link.authenticated();
    let (mut writer, _reader) = connection.open_bi().await.expect("stream");
    let longest = vec![1; 600 * 1024];
    writer.write_all(&(longest.len() as u32).to_be_bytes()).await.expect("sent");
    writer.write_all(&longest).await.expect("sent");
    assert!(matches!(event(&link).await, LinkEvent::Control(m) if m.len() == longest.len()));
    writer.write_all(&(longest.len() as u32 + 1).to_be_bytes()).await.expect("sent");
    assert_eq!(down(&link).await, LinkDown::Misbehaved);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_never_ends_is_cut_off_after_five_seconds() {
    let net = Network::new(7);
    let listener = endpoint(&net, 1);
    let stranger = bare(&Manners::default(), &net, 2);
    let start = Instant::now();
    let (connection, link) = stranger_in(&listener, &stranger).await;
    let (mut writer, _reader) = connection.open_bi().await.expect("stream");
    writer.write_all(&4000u32.to_be_bytes()).await.expect("sent");
    tokio::spawn(async move {
        while writer.write_all(b"x").await.is_ok() {
            sleep(100 * MS).await;
        }
    });
    assert_eq!(down(&link).await, LinkDown::TimedOut);
    assert!(start.elapsed() <= 5100 * MS, "{:?}", start.elapsed());
    assert_eq!(close_code(connection.closed().await), Some(close::TIMEOUT.into()));
}

#[tokio::test(start_paused = true)]
async fn an_authenticated_link_outlives_the_five_seconds() {
    let net = Network::new(8);
    let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
    let (dialled, accepted) = call(&listener, &dialler).await;
    sleep(Duration::from_secs(60)).await;
    dialled.send(control(b"still here")).expect("up");
    assert!(matches!(event(&accepted).await, LinkEvent::Control(_)));
}

#[tokio::test(start_paused = true)]
async fn ending_the_control_stream_is_against_the_rules() {
    let net = Network::new(9);
    let listener = endpoint(&net, 1);
    let stranger = bare(&Manners::default(), &net, 2);
    let (connection, link) = stranger_in(&listener, &stranger).await;
    link.authenticated();
    let (mut writer, _reader) = connection.open_bi().await.expect("stream");
    writer.write_all(&3u32.to_be_bytes()).await.expect("sent");
    writer.finish().expect("open");
    assert_eq!(down(&link).await, LinkDown::Misbehaved);
}

#[tokio::test(start_paused = true)]
async fn before_authentication_datagrams_are_not_read_and_streams_have_no_credit() {
    let net = Network::new(10);
    let listener = endpoint(&net, 1);
    let stranger = bare(&Manners::default(), &net, 2);
    let (connection, link) = stranger_in(&listener, &stranger).await;
    for _ in 0..50 {
        connection.send_datagram(Bytes::from_static(b"too early")).expect("sent");
    }
    assert!(timeout(Duration::from_secs(2), connection.open_uni()).await.is_err());
    let _control = connection.open_bi().await.expect("the one stream");
    assert!(timeout(Duration::from_secs(1), connection.open_bi()).await.is_err());
    assert_eq!(link.stats().datagrams_early, 50);
    link.authenticated();
    connection.send_datagram(Bytes::from_static(b"now")).expect("sent");
    assert!(matches!(event(&link).await, LinkEvent::Datagram(d) if d == "now"));
    let mut stream = connection.open_uni().await.expect("credit");
    stream.write_all(b"frame").await.expect("sent");
    stream.finish().expect("open");
    assert!(matches!(event(&link).await, LinkEvent::Frame(f) if f == "frame"));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_streams_and_bytes_is_bounded() {
    let net = Network::new(11);
    let listener = endpoint(&net, 1);
    let stranger = bare(&Manners::default(), &net, 2);
    let (connection, link) = stranger_in(&listener, &stranger).await;
    link.authenticated();
    let (mut writer, _reader) = connection.open_bi().await.expect("stream");
    writer.write_all(&[0, 0, 0, 1, b'c']).await.expect("sent");
    assert!(matches!(event(&link).await, LinkEvent::Control(_)));
    // Frames that are never finished, and one that is too long.
    let mut open = Vec::new();
    let start = Instant::now();
    while let Ok(stream) = timeout(500 * MS, connection.open_uni()).await {
        let mut stream = stream.expect("connected");
        let _ = timeout(20 * MS, stream.write_all(&vec![1; 200_000])).await;
        open.push(stream);
        assert!(link.stats().arriving <= 2 * 1024 * 1024, "{:?}", link.stats());
        assert!(open.len() <= 64, "no more than 64 at once");
        assert!(start.elapsed() < Duration::from_secs(60));
        if open.len() == 64 {
            break;
        }
    }
    assert!(link.stats().frames_refused > 0, "{:?}", link.stats());
    sleep(Duration::from_secs(3)).await;
    assert!(link.stats().frames_refused >= 10, "{:?}", link.stats());
    drop(open);
    // Afterwards the link works as before.
    let mut stream = timeout(Duration::from_secs(9), connection.open_uni())
        .await
        .expect("credit is given back")
        .expect("connected");
    stream.write_all(b"fine").await.expect("sent");
    stream.finish().expect("open");
    let arrived = async {
        loop {
            if matches!(event(&link).await, LinkEvent::Frame(f) if f == "fine") {
                return;
            }
        }
    };
    timeout(Duration::from_secs(9), arrived).await.expect("arrives");
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_too_long_is_refused_and_the_link_goes_on() {
    let net = Network::new(12);
    let listener = endpoint(&net, 1);
    let stranger = bare(&Manners::default(), &net, 2);
    let (connection, link) = stranger_in(&listener, &stranger).await;
    link.authenticated();
    let mut stream = connection.open_uni().await.expect("credit");
    let _ = stream.write_all(&vec![1; 256 * 1024 + 1]).await;
    let _ = stream.finish();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(link.stats().frames_refused, 1);
    assert_eq!(link.stats().frames_received, 0);
    assert!(connection.close_reason().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_datagrams_drops_the_oldest() {
    let net = Network::new(13);
    let listener = endpoint(&net, 1);
    let stranger = bare(&Manners::default(), &net, 2);
    let (connection, link) = stranger_in(&listener, &stranger).await;
    link.authenticated();
    for n in 0..5000u32 {
        connection.send_datagram(Bytes::copy_from_slice(&n.to_be_bytes())).expect("sent");
        if n % 50 == 0 {
            sleep(2 * MS).await;
        }
    }
    sleep(Duration::from_secs(2)).await;
    let mut got = Vec::new();
    while let Ok(LinkEvent::Datagram(d)) = timeout(MS, link.event()).await {
        got.push(u32::from_be_bytes(d[..].try_into().expect("four bytes")));
    }
    assert!(got.len() <= 256 && got.is_sorted(), "{}", got.len());
    assert_eq!(got.last(), Some(&4999));
    assert!(link.stats().untaken > 4000);
}

#[tokio::test(start_paused = true)]
async fn strangers_who_hang_about_are_limited_and_sent_away_and_honest_peers_get_in() {
    let net = Network::new(14);
    net.set_default_path(LinkModel::delayed(10 * MS));
    let listener = endpoint(&net, 1);
    let mut strangers = Vec::new();
    let mut refused = 0;
    for n in 0..40 {
        let stranger = bare(&Manners::default(), &net, 100 + n);
        match knock(&stranger).await {
            Ok(connection) => strangers.push((stranger, connection)),
            Err(_) => refused += 1,
        }
    }
    assert_eq!((strangers.len(), refused), (32, 8));
    let honest = endpoint(&net, 2);
    assert_eq!(honest.dial(host(1)).await.expect_err("full"), DialError::Refused { addr: host(1) });
    sleep(Duration::from_secs(6)).await;
    for (_, connection) in &strangers {
        assert!(connection.close_reason().is_some());
    }
    // The links that were never taken say why they are gone; then the honest one comes.
    let dialled = honest.dial(host(1)).await.expect("room again");
    let mut accepted = listener.accept().await.expect("link");
    while up(&accepted).await.remote != host(2) {
        assert_eq!(down(&accepted).await, LinkDown::TimedOut);
        accepted = listener.accept().await.expect("link");
    }
    assert_eq!(up(&dialled).await.remote, host(1));
}

#[tokio::test(start_paused = true)]
async fn half_open_handshakes_from_forged_addresses_do_not_keep_honest_peers_out() {
    let net = Network::new(15);
    net.set_default_path(LinkModel::delayed(10 * MS));
    // Whatever host 6 sends arrives under ever new addresses: it can't read the answers.
    let forged = Arc::new(Mutex::new(0u32));
    let count = forged.clone();
    net.intercept(Some(Box::new(move |datagram: &Datagram| {
        if datagram.from == host(6) {
            *count.lock().expect("count") += 1;
            return Fate::Drop;
        }
        Fate::Forward
    })));
    let listener = endpoint(&net, 1);
    let captured = {
        // One real ClientHello per forged address: a fresh connection each time, seen by the tap.
        let seen = Arc::new(Mutex::new(Vec::new()));
        let tapped = seen.clone();
        net.tap(Box::new(move |t| {
            if t.datagram.from == host(6) {
                tapped.lock().expect("tap").push(t.datagram.bytes.clone());
            }
        }));
        let stranger = bare(&Manners::default(), &net, 6);
        let attempts: Vec<_> =
            (0..60).map(|_| stranger.connect(host(1), "facetty").expect("config")).collect();
        sleep(5 * MS).await;
        drop(attempts);
        std::mem::take(&mut *seen.lock().expect("tap"))
    };
    assert!(captured.len() >= 120, "two Initial packets each: {}", captured.len());
    for (n, bytes) in captured.into_iter().enumerate() {
        // Both packets of one ClientHello come from the same forged address.
        let from = std::net::SocketAddr::from(([172, 16, 0, (n / 2) as u8], 4000));
        net.inject(Datagram { from, to: host(1), ecn: 0, bytes });
    }
    sleep(50 * MS).await;
    let honest = endpoint(&net, 2);
    let start = Instant::now();
    let (dialled, accepted) = tokio::join!(honest.dial(host(1)), listener.accept());
    assert_eq!(up(&dialled.expect("dial")).await.remote, host(1));
    assert_eq!(up(&accepted.expect("accept")).await.remote, host(2));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_and_goes_quickly_leaves_a_bounded_number_of_closed_connections() {
    let net = Network::new(18);
    // A long way makes a closed connection drain for seconds.
    net.set_default_path(LinkModel::delayed(200 * MS));
    let listener = endpoint(&net, 1);
    let accepting = listener.clone();
    tokio::spawn(async move {
        while let Some(link) = accepting.accept().await {
            link.close(close::REFUSED);
        }
    });
    let mut coming = tokio::task::JoinSet::new();
    for n in 0..64 {
        let stranger = bare(&Manners::default(), &net, 100 + n);
        coming.spawn(async move {
            loop {
                match knock(&stranger).await {
                    Ok(connection) => drop(connection.closed().await),
                    Err(_) => sleep(20 * MS).await,
                }
            }
        });
    }
    let mut most = 0;
    for _ in 0..600 {
        sleep(50 * MS).await;
        most = most.max(listener.connections());
    }
    assert_eq!(most, CONNECTIONS);
    coming.shutdown().await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(listener.connections(), 0);
    let honest = endpoint(&net, 2).dial(host(1)).await.expect("room again");
    assert_eq!(up(&honest).await.remote, host(1));
}

#[tokio::test(start_paused = true)]
async fn noise_on_the_port_changes_nothing() {
    let net = Network::new(16);
    let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
    let (dialled, accepted) = call(&listener, &dialler).await;
    let mut dice = facetty::sim::model::Dice::new(1, 1);
    for n in 0..3000u32 {
        let length = (dice.roll() % 1400) as usize;
        let bytes: Vec<u8> = (0..length).map(|_| dice.roll() as u8).collect();
        // From the peer's own address, and from strangers'.
        let from = if n % 2 == 0 { host(2) } else { host(9) };
        net.inject(Datagram { from, to: host(1), ecn: 0, bytes: bytes.into() });
        if n % 100 == 0 {
            sleep(MS).await;
        }
    }
    dialled.send(control(b"undisturbed")).expect("up");
    assert!(matches!(event(&accepted).await, LinkEvent::Control(m) if m == "undisturbed"));
    assert!(timeout(Duration::from_secs(1), listener.accept()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_flips_repeats_and_swallows_can_delay_but_not_change_anything() {
    let net = Network::new(17);
    net.set_default_path(LinkModel::delayed(20 * MS));
    let (listener, dialler) = (endpoint(&net, 1), endpoint(&net, 2));
    let (dialled, accepted) = call(&listener, &dialler).await;
    let mut n = 0u32;
    net.intercept(Some(Box::new(move |datagram: &Datagram| {
        n += 1;
        match n % 8 {
            0 => {
                let mut flipped = datagram.bytes.to_vec();
                let at = n as usize % flipped.len();
                flipped[at] ^= 1 << (n % 7);
                Fate::Replace(vec![flipped.into()])
            }
            1 | 2 => Fate::Replace(vec![datagram.bytes.clone(), datagram.bytes.clone()]),
            3 => Fate::Drop,
            _ => Fate::Forward,
        }
    })));
    for n in 0..500u32 {
        dialled.send(control(&n.to_be_bytes())).expect("room");
        dialled.send(Send::Datagram(Bytes::copy_from_slice(&n.to_be_bytes()))).expect("up");
        sleep(20 * MS).await;
    }
    let (mut messages, mut datagrams) = (Vec::new(), Vec::new());
    let number = |b: &Bytes| u32::from_be_bytes(b[..].try_into().expect("untouched"));
    while messages.len() < 500 {
        match event(&accepted).await {
            LinkEvent::Control(m) => messages.push(number(&m)),
            LinkEvent::Datagram(d) => datagrams.push(number(&d)),
            other => panic!("{other:?}"),
        }
    }
    assert!(messages.iter().copied().eq(0..500), "whole, in order, once");
    let before = datagrams.len();
    datagrams.sort_unstable();
    datagrams.dedup();
    assert_eq!(datagrams.len(), before, "a repeated packet is delivered once");
}
