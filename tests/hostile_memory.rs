//! What hostile peers leave behind in the memory of a call they never get into: nothing.
//!
//! An allocator counts the bytes alive, so that neither what an allocator keeps for later nor other
//! programs matter. Knockers and call share the process; both have to be gone without a trace. The
//! network is perfect, hence has nothing to remember of addresses either.

mod counted;
mod transport_support;

use facetty::call::{Admit, Call, CallConfig, Tracks};
use facetty::identity::handshake::{self, Transcript};
use facetty::identity::{DisplayName, IdentityKey};
use facetty::invite::Invite;
use facetty::media::apm::ApmConfig;
use facetty::media::frame::{Size, Want};
use facetty::media::sink::null::Null;
use facetty::node::{Clock, MediaEnds, Node, NodeConfig, NodeHandle, NodeView, Runner};
use facetty::secret::Secret;
use facetty::sim::attacks::manners::Manners;
use facetty::sim::model::Dice;
use facetty::sim::net::{Datagram, Fate, Network};
use facetty::time::Wall;
use facetty::transport::{Endpoint, EndpointOptions, Link, Socket};
use facetty::wire::control::Control;
use facetty::wire::handshake::{Knock, Proof};
use facetty::wire::link::{LinkEvent, LinkUp};
use rand::SeedableRng as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use transport_support::{MS, bare, control, event, host};

/// Bytes that may be alive after thousands of knocks and weren't after few: a table that happens to
/// be larger, less than five bytes a knock.
const SLACK: isize = 16 * 1024;
/// Bytes by which tables grow for the first crowd, once.
const TABLES: isize = 128 * 1024;
/// Bytes that all strangers there may be at once use on both sides together.
const MOST: isize = 8 << 20;
/// All closed connections have drained, all of the call's patience has run out.
const CALM: Duration = Duration::from_secs(60);

/// A host alone in its call, at [`host`] 1, and the first invite.
struct Door {
    net: Network,
    view: watch::Receiver<Arc<NodeView>>,
    invite: Invite,
    flights: Vec<bytes::Bytes>,
    dice: Dice,
    strangers: u32,
}

impl Door {
    async fn open() -> Self {
        let net = Network::new(1);
        let flights = first_flights(&net).await;
        let start = tokio::time::Instant::now().into_std();
        let clock = Clock::Virtual { wall: Wall(1_767_225_600_000), start };
        let mut rng = rand::rng();
        let tracks = Tracks { mic: false, camera: false };
        let config = CallConfig {
            name: DisplayName::sanitise("Ada Byron"),
            admit: Admit::Ask,
            expect: None,
            invite_uses: 3,
            invite_life: Duration::from_secs(86_400),
            tracks,
            known: Vec::new(),
            addresses: vec![host(1)],
            knock_life: Duration::from_secs(120),
            constant_rate: false,
        };
        let identity = Arc::new(IdentityKey::generate(&mut rng));
        let call = Call::host(config, identity, vec![host(1)], clock.now(), &mut rng);
        let call = call.expect("founded");
        let text = call.view().invites.last().map(|open| open.text.clone()).unwrap_or_default();
        let socket = Socket::Custom(net.socket(host(1)).expect("free address"));
        let options = EndpointOptions { rng_seed: Some([1; 32]), ..EndpointOptions::default() };
        let leaf = call.leaf_key().seed_for_tls_or_mls();
        let endpoint = Endpoint::bind(socket, leaf, options).expect("endpoint");
        let size = Size::new(80, 48);
        let want = Want { size, decifps: 150, max_kbps: 0, paused: false, focus: false };
        let ends = MediaEnds {
            apm: ApmConfig::OFF,
            video: None,
            view: Box::new(Null::new(want)),
            mic: None,
            speaker: None,
            origin: start,
            decifps: 150,
        };
        let config = NodeConfig {
            runner: Runner::Inline,
            clock,
            witness: None,
            rng: Box::new(rand::rngs::StdRng::from_os_rng()),
        };
        let (node, handle) = Node::new(call, endpoint, ends, tracks, config).expect("node");
        let NodeHandle { commands, mut events, view } = handle;
        tokio::task::spawn_local(node.run());
        tokio::task::spawn_local(async move {
            let _commands = commands;
            while events.recv().await.is_some() {}
        });
        let invite = Invite::parse(&text).expect("an invite");
        Self { net, view, invite, flights, dice: Dice::new(1, 1), strangers: 0 }
    }

    /// An address nobody had before.
    fn nowhere(&mut self) -> SocketAddr {
        self.strangers += 1;
        let [_, a, b, c] = self.strangers.to_be_bytes();
        SocketAddr::from(([172, 16 + a, b, c], 4000))
    }

    /// `count` of everything a stranger can do, 24 strangers at a time.
    async fn crowd(&mut self, count: usize) {
        for round in 0..count.div_ceil(24) {
            let mut here = tokio::task::JoinSet::new();
            for n in 0..24 {
                let at = self.nowhere();
                let net = self.net.clone();
                if n % 6 == 5 {
                    here.spawn_local(endless(net, at));
                } else {
                    let invite = (n % 6 > 2).then(|| self.invite.duplicate());
                    here.spawn_local(knock(net, at, invite));
                }
            }
            for _ in 0..24 {
                let (bytes, from) = (noise(&mut self.dice), self.nowhere());
                self.net.inject(Datagram { from, to: host(1), ecn: 0, bytes });
                // Both packets of a first flight under an address that never answers.
                let (from, at) = (self.nowhere(), 2 * (round % (self.flights.len() / 2)));
                for bytes in &self.flights[at..at + 2] {
                    let datagram = Datagram { from, to: host(1), ecn: 0, bytes: bytes.clone() };
                    self.net.inject(datagram);
                }
            }
            while here.join_next().await.is_some() {}
        }
    }

    fn refused(&self) -> u64 {
        self.view.borrow().call.counters.refused
    }
}

/// First flights of handshakes that go no further, two packets each.
async fn first_flights(net: &Network) -> Vec<bytes::Bytes> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let taken = seen.clone();
    net.intercept(Some(Box::new(move |datagram: &Datagram| {
        taken.lock().expect("taken").push(datagram.bytes.clone());
        Fate::Drop
    })));
    let stranger = bare(&Manners::default(), net, 250);
    let attempts: Vec<_> =
        (0..20).map(|_| stranger.connect(host(1), "facetty").expect("config")).collect();
    sleep(5 * MS).await;
    drop(attempts);
    sleep(MS).await;
    net.intercept(None);
    let seen = std::mem::take(&mut *seen.lock().expect("seen"));
    assert!(seen.len() >= 40, "two packets each: {}", seen.len());
    seen[..40].to_vec()
}

fn noise(dice: &mut Dice) -> bytes::Bytes {
    let mut bytes: Vec<u8> = (0..1200).map(|_| dice.roll() as u8).collect();
    if dice.chance(0.5) {
        // Looks like QUIC's first packet.
        bytes[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
    }
    bytes.into()
}

/// Connects, knocks – with an invite: rightly, and then proves nothing – and hears that it is not
/// wanted.
async fn knock(net: Network, at: SocketAddr, invite: Option<Invite>) {
    let socket = Socket::Custom(net.socket(at).expect("free address"));
    let options = EndpointOptions { accept: false, ..EndpointOptions::default() };
    let endpoint = Endpoint::bind(socket, Secret::build(|b| b.fill(9)), options).expect("endpoint");
    // The places may all be taken: then that is the answer.
    let Ok(link) = endpoint.dial(host(1)).await else { return };
    let LinkEvent::Up(up) = event(&link).await else { return };
    let knock = match &invite {
        Some(invite) => knock_of(invite, &up),
        None => Knock { invite_id: [7; 8], mac: [7; 32] },
    };
    if link.send(control(&Control::Knock(knock).encode())).is_ok() {
        turned_away(&link).await;
    }
}

fn knock_of(invite: &Invite, up: &LinkUp) -> Knock {
    let transcript = Transcript::new(&up.exporter, &transport_support::key(9), &up.peer_key);
    handshake::knock(&invite.k_proof(), invite.id(), &transcript)
}

async fn turned_away(link: &Link) {
    loop {
        match event(link).await {
            LinkEvent::Control(_) => {
                let proof = Control::Proof(Proof { sealed: vec![5; 3000].into() }).encode();
                // A closed link says so in its next event.
                let _ = link.send(control(&proof));
            }
            LinkEvent::Down(_) => return,
            other => panic!("a stranger got {other:?}"),
        }
    }
}

/// Announces a message and never ends it, until thrown out.
async fn endless(net: Network, at: SocketAddr) {
    let stranger = Manners::default().stranger(&net, at).expect("endpoint");
    let connecting = stranger.connect(host(1), "facetty").expect("config");
    let Ok(connection) = connecting.await else { return };
    let Ok((mut writer, _reader)) = connection.open_bi().await else { return };
    let _ = writer.write_all(&8000u32.to_be_bytes()).await;
    while writer.write_all(&[1; 400]).await.is_ok() {
        sleep(300 * MS).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_lives_after_many_hostile_knocks_is_what_lived_after_few() {
    tokio::task::LocalSet::new().run_until(many_and_few()).await;
}

#[expect(clippy::disallowed_macros, reason = "the figures, with --no-capture")]
async fn many_and_few() {
    let mut door = Door::open().await;
    sleep(CALM).await;
    let empty = counted::live();
    let mut alive = Vec::new();
    // The first wave makes tables grow to what a crowd needs.
    for knocks in [240, 1200, 2400] {
        let refused = door.refused();
        counted::most();
        door.crowd(knocks).await;
        let most = counted::most() - empty;
        sleep(CALM).await;
        alive.push(counted::live() - empty);
        let refused = door.refused() - refused;
        println!("{refused} refused of {knocks}: {most} bytes more at most, then {alive:?}");
        assert_eq!(refused, knocks as u64, "everybody got as far as the call");
        assert!(most < MOST, "{most} bytes at once");
    }
    assert!(alive[0] < TABLES, "the first ones leave {alive:?}");
    assert!(alive[2] - alive[0] < SLACK, "{alive:?}");
}

/// The control: an owner that forgets nothing is found out by the same measure.
#[tokio::test(start_paused = true)]
async fn links_that_somebody_keeps_are_seen_by_the_measure() {
    tokio::task::LocalSet::new().run_until(kept()).await;
}

async fn kept() {
    let net = Network::new(2);
    let listener = transport_support::endpoint(&net, 1);
    tokio::task::spawn_local(async move {
        let mut kept = Vec::new();
        while let Some(link) = listener.accept().await {
            kept.push(link);
        }
    });
    let mut alive = Vec::new();
    for wave in 0..3u8 {
        for n in 0..10 {
            let at = SocketAddr::from(([172, 16, wave, n], 4000));
            knock(net.clone(), at, None).await;
        }
        sleep(CALM).await;
        alive.push(counted::live());
    }
    assert!(alive[2] - alive[1] > SLACK, "{alive:?}");
}
