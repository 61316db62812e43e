//! A call of two goes on while its port is flooded – the real stack in virtual time – and what a
//! call holds on behalf of strangers stays within its stated bounds.

mod call_stage;
mod transport_support;

use bytes::Bytes;
use call_stage::{Person, SECOND, Stage, stamp, until};
use facetty::call::Refusal;
use facetty::call::bounds::MAX_KNOCKS;
use facetty::identity::handshake::{self, Transcript};
use facetty::invite::Invite;
use facetty::sim::attacks::manners::Manners;
use facetty::sim::model::Dice;
use facetty::sim::net::{Datagram, Fate, Network};
use facetty::transport::{Endpoint, Link};
use facetty::wire::control::Control;
use facetty::wire::handshake::{Knock, Proof};
use facetty::wire::link::{LinkEvent, LinkUp};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::time::sleep;
use transport_support::{MS, bare, control, endpoint, event, host};

/// Hostile knocks over a full TLS handshake: with a made-up MAC, and with the invite but a proof
/// of nothing.
const WRONG_MAC: usize = 2000;
const WRONG_PROOF: usize = 500;
/// First flights from addresses that never answer.
const HALF_OPEN: usize = 7500;
/// Peers that send a byte now and then.
const SLOW: usize = 10;

/// Dials again and again until `count` (shared) knocks were made and answered with a hang-up.
async fn knocking(from: Endpoint, invite: Arc<String>, holds: bool, left: Arc<AtomicUsize>) {
    let invite = Invite::parse(&invite).expect("an invite");
    let mut dice = Dice::new(7, u64::from(from.local_addr().expect("bound").port()));
    while left.load(Ordering::Relaxed) > 0 {
        let Ok(link) = from.dial(host(1)).await else {
            // The strangers' places are taken: come back.
            sleep(50 * MS).await;
            continue;
        };
        let LinkEvent::Up(up) = event(&link).await else { continue };
        if one_knock(&from, &link, &up, &invite, holds, &mut dice).await {
            let count = |n: usize| n.checked_sub(1);
            let _ = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        }
    }
}

/// Whether the knock got as far as it could.
async fn one_knock(
    from: &Endpoint,
    link: &Link,
    up: &LinkUp,
    invite: &Invite,
    holds: bool,
    dice: &mut Dice,
) -> bool {
    let n = match from.local_addr().expect("bound").ip() {
        std::net::IpAddr::V4(ip) => ip.octets()[3],
        std::net::IpAddr::V6(_) => unreachable!("hosts are 10.0.0.n"),
    };
    let own = transport_support::key(n);
    let mut knock = Knock { invite_id: invite.id(), mac: [dice.roll() as u8; 32] };
    if holds {
        let transcript = Transcript::new(&up.exporter, &own, &up.peer_key);
        knock = handshake::knock(&invite.k_proof(), invite.id(), &transcript);
    }
    if link.send(control(&Control::Knock(knock).encode())).is_err() {
        return false;
    }
    loop {
        match event(link).await {
            LinkEvent::Control(bytes) => {
                assert!(holds, "nobody without the invite is answered");
                let answer = Control::decode(&bytes).expect("our own message");
                assert!(matches!(answer, Control::Answer(_)), "{answer:?}");
                let sealed = Bytes::from(vec![dice.roll() as u8; 3000]);
                let proof = Control::Proof(Proof { sealed }).encode();
                if link.send(control(&proof)).is_err() {
                    return false;
                }
            }
            LinkEvent::Down(_) => return true,
            other => panic!("a stranger got {other:?}"),
        }
    }
}

/// Opens a control message and never ends it; starts again when it is thrown out.
async fn slow_loris(stranger: quinn::Endpoint, thrown_out: Arc<AtomicUsize>) {
    loop {
        let connecting = stranger.connect(host(1), "facetty").expect("config");
        let Ok(connection) = connecting.await else {
            sleep(50 * MS).await;
            continue;
        };
        let Ok((mut writer, _reader)) = connection.open_bi().await else { continue };
        let _ = writer.write_all(&4000u32.to_be_bytes()).await;
        while writer.write_all(b"x").await.is_ok() {
            sleep(200 * MS).await;
        }
        thrown_out.fetch_add(1, Ordering::Relaxed);
    }
}

/// First flights of real handshakes; each is two packets.
async fn first_flights(net: &Network, count: usize) -> Vec<Bytes> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let taken = seen.clone();
    net.intercept(Some(Box::new(move |datagram: &Datagram| {
        if datagram.from == host(250) {
            taken.lock().expect("taken").push(datagram.bytes.clone());
            return Fate::Drop;
        }
        Fate::Forward
    })));
    let stranger = bare(&Manners::default(), net, 250);
    let attempts: Vec<_> =
        (0..count).map(|_| stranger.connect(host(1), "facetty").expect("config")).collect();
    sleep(5 * MS).await;
    drop(attempts);
    sleep(SECOND).await;
    net.intercept(None);
    std::mem::take(&mut *seen.lock().expect("taken"))
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_hostile_knocks_and_slow_peers_cost_a_running_call_no_frame() {
    tokio::task::LocalSet::new().run_until(flooded_call()).await;
}

async fn flooded_call() {
    let stage = Stage::new(25);
    let flights = first_flights(&stage.net, 300).await;
    assert!(flights.len() >= 600, "two packets each: {}", flights.len());
    let (mut ada, invite) = stage.enter(1, "Ada Byron", None);
    let (mut ben, _) = stage.enter(2, "Ben Nevis", Some(&invite));
    until(&mut ada.view, |v| v.call.members.len() == 2).await;
    until(&mut ben.view, |v| v.call.members.len() == 2).await;
    sleep(4 * SECOND).await;
    let (began, before) = (stage.clock.now().mono, concealed(&ada, &ben));

    // The flood.
    let invite = Arc::new(invite);
    let (macs, proofs) =
        (Arc::new(AtomicUsize::new(WRONG_MAC)), Arc::new(AtomicUsize::new(WRONG_PROOF)));
    for n in 0..12u8 {
        let from = endpoint(&stage.net, 100 + n);
        let (holds, left) = if n % 4 == 3 { (true, &proofs) } else { (false, &macs) };
        for _ in 0..2 {
            tokio::spawn(knocking(from.clone(), invite.clone(), holds, left.clone()));
        }
    }
    let thrown_out = Arc::new(AtomicUsize::new(0));
    for n in 0..SLOW as u8 {
        let stranger = bare(&Manners::default(), &stage.net, 200 + n);
        tokio::spawn(slow_loris(stranger, thrown_out.clone()));
    }
    let mut opened = 0;
    let mut most_knocks = 0;
    while macs.load(Ordering::Relaxed) + proofs.load(Ordering::Relaxed) > 0 || opened < HALF_OPEN {
        for _ in 0..60usize.min(HALF_OPEN - opened) {
            // Both packets of a flight under one address that nobody has.
            let from =
                SocketAddr::from(([172, 16, (opened / 250) as u8, (opened % 250) as u8], 4000));
            for half in [0, 1] {
                let bytes = flights[(2 * opened + half) % flights.len()].clone();
                stage.net.inject(Datagram { from, to: host(1), ecn: 0, bytes });
            }
            opened += 1;
        }
        sleep(100 * MS).await;
        let view = ada.view.borrow().clone();
        most_knocks = most_knocks.max(view.call.knocks.len());
        assert_eq!((view.call.epoch, view.call.members.len()), (1, 2));
        assert!(stage.clock.now().mono - began < 120 * SECOND, "the flood gets through");
    }
    let lasted = stage.clock.now().mono - began;
    assert!(most_knocks <= MAX_KNOCKS);
    assert!(lasted > 6 * SECOND, "slow peers had time to be slow: {lasted:?}");
    let ended = stage.clock.now().mono;
    sleep(SECOND).await;

    // Not one picture, not 10 ms of sound.
    let window = |at: Instant| stamp((at - stage.origin).as_micros() as u64);
    for (sender, receiver) in [(&ada, &ben), (&ben, &ada)] {
        let sent = sender.seen.coded.lock().expect("coded");
        let sent = sent.values().next().expect("somebody to send to");
        let sent: Vec<u64> = sent.range(window(began)..window(ended)).copied().collect();
        assert!(sent.len() as u64 >= 14 * lasted.as_secs(), "{} in {lasted:?}", sent.len());
        let shown = receiver.seen.shown.lock().expect("shown");
        let shown = shown.values().next().expect("pictures");
        let missing = |at: &u64| (at - 1..=at + 1).all(|near| !shown.contains_key(&near));
        let lost: Vec<_> = sent.iter().filter(|at| missing(at)).collect();
        assert!(lost.is_empty(), "{lost:?} of {}", sent.len());
    }
    assert_eq!(concealed(&ada, &ben), before);

    // Each was refused, counted, and is named by its address.
    let view = ada.view.borrow().clone();
    let refused = std::mem::take(&mut *ada.seen.refused.lock().expect("refused"));
    let bad_proofs = refused.iter().filter(|(_, why)| *why == Refusal::BadProof).count();
    assert!(bad_proofs >= WRONG_MAC + WRONG_PROOF, "{bad_proofs}");
    assert_eq!(view.call.counters.refused, refused.len() as u64);
    for (from, why) in &refused {
        let from = from.expect("TLS was done: the address is known");
        assert!(from != host(2) && from.ip() >= host(100).ip(), "{from}: {why:?}");
    }
    assert!(thrown_out.load(Ordering::Relaxed) >= SLOW);
}

/// Made-up sound so far in ms, in either direction, and packets nobody could decode.
fn concealed(ada: &Person, ben: &Person) -> Vec<(u64, u64)> {
    let of = |person: &Person| {
        let view = person.view.borrow().clone();
        let heard = view.media.audio.members.values().next().cloned().expect("heard");
        (heard.jitter.concealed_ms, heard.broken)
    };
    vec![of(ada), of(ben)]
}
