//! Crowds at the door: floods of datagrams and knocks, peers that never finish a sentence, and
//! garbage on every channel, beside a call that goes on.

use super::stack::{Brings, Stack, host, virtually, wait};
use super::world::World;
use super::{Lab, LabError, Outcome, setup};
use crate::call::{Admit, Event, Input};
use crate::identity::LeafKey;
use crate::identity::handshake::{self, Transcript};
use crate::invite::Invite;
use crate::sim::model::Dice;
use crate::sim::net::{Datagram, Network};
use crate::transport::{Endpoint, EndpointOptions, Link, Socket};
use crate::wire::control::Control;
use crate::wire::handshake::Knock;
use crate::wire::link::{LinkEvent, Send};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// Raw datagrams thrown at Ada.
const DATAGRAMS: u64 = 10_000;
/// Peers that say one byte a second.
const LORISES: usize = 12;
/// The flood comes in steps of a tenth of a second; in the first so many, everything comes at once.
const STEPS: u64 = 30;
/// Resident memory may grow by this much in those, in bytes: everybody's buffers, and pages that
/// are touched for the first time.
const GROWTH: u64 = 16 << 20;
/// And by this much in all the steps after them, however many knocks they bring: nothing of a knock
/// stays.
const LATER: u64 = 2 << 20;

/// A call doesn't notice ten thousand datagrams, knocks without invite, and endless sentences.
pub(super) fn flood(lab: &mut Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    let messages = garbage(lab, &mut outcome)?;
    let lab = &*lab;
    virtually(async {
        let mut stack = Stack::new(lab)?;
        stack.forgets();
        let invite = stack.found(lab, Admit::Ask, Brings::Both, vec![host(0)])?;
        stack.join(lab, "Ben Nevis", invite.duplicate(), Brings::Both)?;
        wait(1000).await;
        admit_all(&stack).await;
        wait(1500).await;
        if stack.sides[0].members() != 2 {
            return Err(setup("Ada and Ben did not meet"));
        }
        let quiet = stack.painted();
        wait(3000).await;
        let quiet = stack.painted() - quiet;

        let (steps, each) = if lab.full { (334, 30) } else { (STEPS + 15, 8) };
        let knocks = steps * each;
        let mut dice = Dice::new(lab.seed, 25);
        let mut sent = 0;
        let mut memory = vec![resident()];
        let lorises = spawn_lorises(&stack.net)?;
        let loud = stack.painted();
        let begun = super::instant();
        for step in 0..steps {
            if step == STEPS {
                memory.push(resident());
            }
            for _ in 0..if step < STEPS { DATAGRAMS / STEPS } else { 0 } {
                stack.net.inject(noise(&mut dice));
                sent += 1;
            }
            for n in 0..each {
                let from = stranger_address(step * each + n);
                outcome.eve.add(knock(lab, &stack.net, from, None).await?);
            }
            wait(100).await;
        }
        let seconds = begun_seconds(begun);
        let loud = stack.painted() - loud;
        let expected = quiet as f64 / 3.0 * seconds;
        memory.push(resident());
        drop(lorises);
        wait(200).await;
        let view = stack.sides[0].view();
        outcome.eve.tried += sent;
        outcome.eve.got += view.call.knocks.len() as u64;
        let grown: Vec<u64> = memory.windows(2).map(|w| w[1].saturating_sub(w[0])).collect();
        let (grown, later) = (grown[0], grown.get(1).copied().unwrap_or(0));
        outcome.sees("no picture is lost", loud as f64 >= expected * 0.97);
        outcome.sees("memory stays bounded", grown < GROWTH);
        outcome.sees("no knock leaves anything in memory", later < LATER);
        let refused = view.call.counters.refused;
        outcome.sees("every knock without invite is refused and counted", refused >= knocks);
        outcome.sees("Ada and Ben are still there", view.call.members.len() == 2);

        // Control: the same knock with the invite is shown.
        outcome
            .control
            .add(knock(lab, &stack.net, stranger_address(300_000), Some(&invite)).await?);
        outcome.evidence = format!(
            "{messages} malformed messages on members' and strangers' channels, {sent} datagrams, \
             {knocks} knocks without invite, {LORISES} endless sentences: {} got in, {loud} \
             pictures painted in {seconds:.1} s (quiet: {quiet} in 3 s), memory +{:.1} MB in the \
             first {} knocks, +{:.1} MB in the others; with an invite: {}",
            outcome.eve.got,
            megabytes(grown),
            STEPS * each,
            megabytes(later),
            outcome.control.got
        );
        Ok(outcome)
    })
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn begun_seconds(begun: std::time::Instant) -> f64 {
    super::instant().saturating_duration_since(begun).as_secs_f64()
}

async fn admit_all(stack: &Stack) {
    for knock in &stack.sides[0].view().call.knocks {
        let admit = crate::call::Command::Admit(knock.id);
        stack.tell(0, crate::node::NodeCommand::Call(admit)).await;
    }
}

fn stranger_address(n: u64) -> SocketAddr {
    let octet = |shift: u64| u8::try_from(n >> shift & 0xff).unwrap_or(0);
    SocketAddr::from(([10, 1 + octet(16), octet(8), octet(0)], 5000))
}

/// Noise; some of it looks like QUIC's first packet.
fn noise(dice: &mut Dice) -> Datagram {
    let long = dice.chance(0.5);
    let length = if long { 1200 } else { 1 + usize::try_from(dice.roll() % 1400).unwrap_or(0) };
    let mut bytes: Vec<u8> = (0..length).map(|_| (dice.roll() >> 24) as u8).collect();
    if long {
        bytes[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
    }
    let from = stranger_address(dice.roll() & 0xffff);
    Datagram { from, to: host(0), ecn: 0, bytes: bytes.into() }
}

/// Somebody connects and knocks; was it answered?
async fn knock(
    lab: &Lab,
    net: &Network,
    from: SocketAddr,
    invite: Option<&Invite>,
) -> Result<bool, LabError> {
    let leaf = LeafKey::generate(&mut *lab.rng());
    let socket = Socket::Custom(net.socket(from).map_err(setup)?);
    let options = EndpointOptions { accept: false, ..EndpointOptions::default() };
    let endpoint = Endpoint::bind(socket, leaf.seed_for_tls_or_mls(), options).map_err(setup)?;
    let Ok(Ok(link)) = timeout(Duration::from_secs(2), endpoint.dial(host(0))).await else {
        return Ok(false);
    };
    let LinkEvent::Up(up) = link.event().await else { return Ok(false) };
    let knock = match invite {
        Some(invite) => {
            let transcript = Transcript::new(&up.exporter, &leaf.public(), &up.peer_key);
            handshake::knock(&invite.k_proof(), invite.id(), &transcript)
        }
        None => Knock { invite_id: [7; 8], mac: [7; 32] },
    };
    let _ = link.send(Send::Control(Control::Knock(knock).encode().into()));
    Ok(answered(&link).await)
}

async fn answered(link: &Link) -> bool {
    loop {
        match timeout(Duration::from_secs(1), link.event()).await {
            Ok(LinkEvent::Control(b)) => {
                return matches!(Control::decode(&b), Ok(Control::Answer(_)));
            }
            Ok(LinkEvent::Down(_)) | Err(_) => return false,
            _ => {}
        }
    }
}

/// Peers that open the control stream, announce a message, and send a byte a second.
fn spawn_lorises(net: &Network) -> Result<Vec<tokio::task::JoinHandle<()>>, LabError> {
    let mut all = Vec::new();
    for n in 0..LORISES {
        let endpoint = super::manners::Manners::default()
            .stranger(net, stranger_address(200_000 + n as u64))?;
        all.push(tokio::task::spawn_local(async move {
            let Ok(connecting) = endpoint.connect(host(0), "facetty") else { return };
            let Ok(connection) = connecting.await else { return };
            let Ok((mut writer, _reader)) = connection.open_bi().await else { return };
            let _ = writer.write_all(&4000u32.to_be_bytes()).await;
            while writer.write_all(b"x").await.is_ok() {
                wait(1000).await;
            }
        }));
    }
    Ok(all)
}

/// Malformed, cut, oversized and misplaced messages of every kind, on members' own connections and
/// on strangers'; none is taken, and the call goes on.
fn garbage(lab: &Lab, outcome: &mut Outcome) -> Result<u64, LabError> {
    let mut world = World::call_of(lab, &["Ben Nevis", "Cleo Stone"])?;
    let mut dice = Dice::new(lab.seed, 26);
    let members = world.names(0);
    let epoch = world.epoch(0);
    let heard = |world: &World| world.heard(0).packets;
    let rounds = if lab.full { 200_000 } else { 4000 };
    let before = heard(&world);
    for round in 0..rounds {
        let length = usize::try_from(dice.roll() % 600).unwrap_or(0);
        let mut bytes: Vec<u8> = (0..length).map(|_| (dice.roll() >> 24) as u8).collect();
        if let Some(kind) = bytes.first_mut().filter(|_| round % 3 == 2) {
            *kind %= 18;
        }
        let bytes = Bytes::from(bytes);
        let event = match round % 3 {
            0 => LinkEvent::Datagram(bytes),
            1 => LinkEvent::Frame(bytes),
            _ => LinkEvent::Control(bytes),
        };
        // Control garbage costs its sender the connection: Cleo's, who sends it here. Ben's stays.
        let from = if matches!(event, LinkEvent::Control(_)) { 2 } else { 1 };
        if let Some(link) = world.link(0, from) {
            world.input(0, Input::Link(link, event))?;
        }
    }
    for length in [0usize, 1, 100_000, 700_000] {
        let eve = world.eve(None);
        let link = world.eve_dials(eve, 0, None)?;
        world.run(50)?;
        world.eve_says(eve, link, LinkEvent::Control(vec![1; length].into()));
        world.run(50)?;
    }
    outcome.eve.tried += rounds + 4;
    outcome.eve.got += heard(&world) - before;
    world.talk(&[0, 1], 30)?;
    outcome.sees("Ada and Ben talk on after the garbage", world.heard_of(0, 1) > 20);
    outcome.sees("nobody new is in", world.names(0).iter().all(|n| members.contains(n)));
    let ended = |e: &Event| matches!(e, Event::Ended(_));
    outcome.sees("Ada's call goes on", !world.parties[0].events.iter().any(ended));
    outcome.sees("the epoch stands", world.epoch(0) >= epoch);
    Ok(rounds + 4)
}

/// Resident memory of this process, in bytes; 0 where there is no /proc.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|p| p.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
