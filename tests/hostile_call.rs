//! A call of two goes on while its port is flooded – the real stack in virtual time – and what a
//! call holds on behalf of strangers stays within its stated bounds.

mod transport_support;

use bytes::Bytes;
use facetty::call::bounds::MAX_KNOCKS;
use facetty::call::{Admit, Call, CallConfig, Event, Refusal, Tracks};
use facetty::config::{PatternKind, VideoSpec};
use facetty::identity::handshake::{self, Transcript};
use facetty::identity::{DisplayName, IdentityKey};
use facetty::invite::Invite;
use facetty::media::apm::ApmConfig;
use facetty::media::frame::{CodedVideo, RawFrame, Size, Want};
use facetty::media::seams::{FrameSink, SinkLost};
use facetty::media::source::voice::{Speech, Voice};
use facetty::media::source::{VideoOptions, open_video};
use facetty::node::{
    Clock, MediaEnds, Node, NodeCommand, NodeConfig, NodeEvent, NodeHandle, NodeView, OWN, Runner,
    Witness,
};
use facetty::seal::Receipt;
use facetty::sim::attacks::manners::Manners;
use facetty::sim::model::{Dice, LinkModel};
use facetty::sim::net::{Datagram, Fate, Network};
use facetty::time::{Now, Wall};
use facetty::transport::{Endpoint, EndpointOptions, Link, Socket};
use facetty::wire::control::Control;
use facetty::wire::handshake::{Knock, Proof};
use facetty::wire::link::{LinkEvent, LinkUp, MemberId};
use rand::SeedableRng as _;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use transport_support::{MS, bare, control, endpoint, event, host};

/// Hostile knocks over a full TLS handshake: with a made-up MAC, and with the invite but a proof
/// of nothing.
const WRONG_MAC: usize = 2000;
const WRONG_PROOF: usize = 500;
/// First flights from addresses that never answer.
const HALF_OPEN: usize = 7500;
/// Peers that send a byte now and then.
const SLOW: usize = 10;
const SECOND: Duration = Duration::from_secs(1);

/// What one participant saw and sent, pictures by their time.
#[derive(Default)]
struct Seen {
    coded: Mutex<BTreeSet<u64>>,
    shown: Mutex<BTreeMap<MemberId, BTreeSet<u64>>>,
    refused: Mutex<Vec<(Option<SocketAddr>, Refusal)>>,
}

/// Times travel in steps of 125 µs; this tells pictures apart all the same.
fn stamp(frame_us: u64) -> u64 {
    (frame_us + 500) / 1000
}

impl Witness for Seen {
    fn coded_for(&self, _to: &[MemberId], frame: &CodedVideo, _now: Now) {
        self.coded.lock().expect("coded").insert(stamp(frame.at.0));
    }
}

struct Screen(Arc<Seen>);

impl FrameSink for Screen {
    fn want(&self, _who: MemberId) -> Want {
        let size = Size::new(80, 48);
        Want { size, decifps: 150, max_kbps: 0, paused: false, focus: false }
    }

    fn show(&mut self, who: MemberId, frame: Arc<RawFrame>, _now: Now) -> Result<(), SinkLost> {
        if who != OWN {
            let mut shown = self.0.shown.lock().expect("shown");
            shown.entry(who).or_default().insert(stamp(frame.at.0));
        }
        Ok(())
    }
}

/// Somebody in the call.
struct Person {
    seen: Arc<Seen>,
    view: watch::Receiver<Arc<NodeView>>,
}

/// The place where it happens.
struct Stage {
    net: Network,
    clock: Clock,
    origin: Instant,
}

impl Stage {
    fn new(seed: u64) -> Self {
        let net = Network::new(seed);
        net.set_default_path(LinkModel::delayed(10 * MS));
        let origin = tokio::time::Instant::now().into_std();
        let clock = Clock::Virtual { wall: Wall(1_767_225_600_000), start: origin };
        Self { net, clock, origin }
    }

    /// Host `n` founds a call, or joins by an invite; returns also the first invite's text.
    fn enter(&self, n: u8, name: &str, invite: Option<&str>) -> (Person, String) {
        let mut rng = rand::rng();
        let tracks = Tracks { mic: true, camera: true };
        let config = CallConfig {
            name: DisplayName::sanitise(name),
            admit: Admit::Any,
            expect: None,
            invite_uses: 3,
            invite_life: 3600 * SECOND,
            tracks,
            known: Vec::new(),
            addresses: vec![host(n)],
            knock_life: 120 * SECOND,
            constant_rate: false,
        };
        let identity = Arc::new(IdentityKey::generate(&mut rng));
        let now = self.clock.now();
        let call = match invite {
            None => Call::host(config, identity, vec![host(n)], now, &mut rng).expect("founded"),
            Some(text) => {
                let invite = Invite::parse(text).expect("an invite");
                Call::join(config, identity, invite, now, &mut rng).expect("joining")
            }
        };
        let text = call.view().invites.last().map(|open| open.text.clone()).unwrap_or_default();
        (self.start(n, call, tracks), text)
    }

    fn start(&self, n: u8, call: Call, tracks: Tracks) -> Person {
        let socket = Socket::Custom(self.net.socket(host(n)).expect("free address"));
        let options = EndpointOptions { rng_seed: Some([n; 32]), ..EndpointOptions::default() };
        let leaf = call.leaf_key().seed_for_tls_or_mls();
        let endpoint = Endpoint::bind(socket, leaf, options).expect("endpoint");
        let seen = Arc::new(Seen::default());
        let size = Size::new(80, 48);
        let video = VideoOptions {
            identity: vec![n; 32],
            seed: u64::from(n),
            decifps: 150,
            size,
            ..VideoOptions::new(self.origin)
        };
        let ends = MediaEnds {
            apm: ApmConfig::OFF,
            video: Some(open_video(&VideoSpec::Pattern(PatternKind::Face), video).expect("face")),
            view: Box::new(Screen(seen.clone())),
            mic: Some(Box::new(Voice::new(Speech::new(u64::from(n), 0, 1), self.origin))),
            speaker: None,
            origin: self.origin,
            decifps: 150,
        };
        let config = NodeConfig {
            runner: Runner::Inline,
            clock: self.clock,
            witness: Some(seen.clone()),
            rng: Box::new(rand::rngs::StdRng::from_os_rng()),
        };
        let (node, handle) = Node::new(call, endpoint, ends, tracks, config).expect("node");
        tokio::task::spawn_local(node.run());
        let NodeHandle { commands, mut events, view } = handle;
        let noted = seen.clone();
        tokio::task::spawn_local(async move {
            while let Some(event) = events.recv().await {
                match event {
                    NodeEvent::Call(Event::Epoch { epoch, roster, .. }) => {
                        let shown = NodeCommand::RosterShown(Receipt::shown(epoch, roster));
                        commands.send(shown).await.expect("the node is there");
                    }
                    NodeEvent::Call(Event::Refused { from, why }) => {
                        noted.refused.lock().expect("refused").push((from, why));
                    }
                    NodeEvent::Trouble(what) => panic!("{what}"),
                    _ => {}
                }
            }
        });
        Person { seen, view }
    }
}

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

async fn until(view: &mut watch::Receiver<Arc<NodeView>>, what: impl Fn(&NodeView) -> bool) {
    let reached = timeout(20 * SECOND, view.wait_for(|view| what(view)));
    reached.await.expect("in time").expect("the node is there");
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
        let sent: Vec<u64> = sent.range(window(began)..window(ended)).copied().collect();
        assert!(sent.len() as u64 >= 14 * lasted.as_secs(), "{} in {lasted:?}", sent.len());
        let shown = receiver.seen.shown.lock().expect("shown");
        let shown = shown.values().next().expect("pictures");
        let missing = |at: &u64| (at - 1..=at + 1).all(|near| !shown.contains(&near));
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
