//! Whole participants – call, connections, codecs – in one virtual network, and what each of them
//! saw and heard of the others.
#![allow(dead_code, reason = "each test program uses its part")]

use facetty::call::{Admit, Call, CallConfig, Event, Refusal, Tracks};
use facetty::config::{PatternKind, VideoSpec};
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
use facetty::seal::{Receipt, Surrendered};
use facetty::secret::Secret;
use facetty::sim::model::LinkModel;
use facetty::sim::net::Network;
use facetty::time::{Now, Wall};
use facetty::transport::{Endpoint, EndpointOptions, Socket};
use facetty::wire::link::MemberId;
use rand::SeedableRng as _;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::timeout;

pub const SECOND: Duration = Duration::from_secs(1);
/// Hosts of the network are numbered from here: 10.0.0.n.
const PORT: u16 = 7000;

/// One block of a member's sound as played: when and how old (µs), and how much of it all was made
/// up by then (ms).
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    pub at: u64,
    pub age: u64,
    pub made_up: u64,
}

/// What one participant saw and sent, pictures by their time.
pub struct Seen {
    origin: Instant,
    pub coded: Mutex<BTreeMap<MemberId, BTreeSet<u64>>>,
    /// When each was shown, in µs.
    pub shown: Mutex<BTreeMap<MemberId, BTreeMap<u64, u64>>>,
    pub heard: Mutex<BTreeMap<MemberId, Vec<Heard>>>,
    pub refused: Mutex<Vec<(Option<SocketAddr>, Refusal)>>,
    /// Base keys by epoch and leaf: a member holds everybody's.
    pub keys: Mutex<BTreeMap<(u64, u8), Secret<32>>>,
}

/// Times travel in steps of 125 µs; this tells pictures apart all the same.
pub fn stamp(frame_us: u64) -> u64 {
    (frame_us + 500) / 1000
}

impl Seen {
    pub fn new(origin: Instant) -> Self {
        Self {
            origin,
            coded: Mutex::default(),
            shown: Mutex::default(),
            heard: Mutex::default(),
            refused: Mutex::default(),
            keys: Mutex::default(),
        }
    }

    fn micros(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.origin).as_micros() as u64
    }
}

impl Witness for Seen {
    fn coded_for(&self, to: &[MemberId], frame: &CodedVideo, _now: Now) {
        let mut coded = self.coded.lock().expect("coded");
        for member in to {
            coded.entry(*member).or_default().insert(stamp(frame.at.0));
        }
    }

    fn heard(&self, from: MemberId, zero: Instant, made_up: u64, now: Now) {
        let heard = Heard { at: self.micros(now.mono), age: self.micros(zero), made_up };
        self.heard.lock().expect("heard").entry(from).or_default().push(heard);
    }

    fn new_keys(&self, keys: &Surrendered) {
        let base = keys.base().duplicate();
        self.keys.lock().expect("keys").insert((keys.epoch(), keys.leaf()), base);
    }
}

struct Screen(Arc<Seen>);

impl FrameSink for Screen {
    fn want(&self, _who: MemberId) -> Want {
        let size = Size::new(80, 48);
        Want { size, decifps: 150, max_kbps: 0, paused: false, focus: false }
    }

    fn show(&mut self, who: MemberId, frame: Arc<RawFrame>, now: Now) -> Result<(), SinkLost> {
        if who != OWN {
            let at = self.0.micros(now.mono);
            let mut shown = self.0.shown.lock().expect("shown");
            shown.entry(who).or_default().insert(stamp(frame.at.0), at);
        }
        Ok(())
    }
}

/// Somebody in the call.
pub struct Person {
    pub seen: Arc<Seen>,
    pub view: watch::Receiver<Arc<NodeView>>,
    pub commands: tokio::sync::mpsc::Sender<NodeCommand>,
}

/// The place where it happens.
pub struct Stage {
    pub net: Network,
    pub clock: Clock,
    pub origin: Instant,
}

impl Stage {
    pub fn new(seed: u64) -> Self {
        let net = Network::new(seed);
        net.set_default_path(LinkModel::delayed(Duration::from_millis(10)));
        let origin = tokio::time::Instant::now().into_std();
        let clock = Clock::Virtual { wall: Wall(1_767_225_600_000), start: origin };
        Self { net, clock, origin }
    }

    /// Where host `n` is.
    pub fn host(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], PORT))
    }

    /// µs since the beginning.
    pub fn micros(&self) -> u64 {
        self.clock.now().mono.saturating_duration_since(self.origin).as_micros() as u64
    }

    /// A call of host `n` that it founds, or joins by an invite; also the first invite's text.
    pub fn call(&self, n: u8, name: &str, invite: Option<&str>) -> (Call, String) {
        let mut rng = rand::rng();
        let config = CallConfig {
            name: DisplayName::sanitise(name),
            admit: Admit::Any,
            expect: None,
            invite_uses: 3,
            invite_life: 3600 * SECOND,
            tracks: TRACKS,
            known: Vec::new(),
            addresses: vec![Self::host(n)],
            knock_life: 120 * SECOND,
            constant_rate: false,
        };
        let identity = Arc::new(IdentityKey::generate(&mut rng));
        let now = self.clock.now();
        let call = match invite {
            None => {
                Call::host(config, identity, vec![Self::host(n)], now, &mut rng).expect("founded")
            }
            Some(text) => {
                let invite = Invite::parse(text).expect("an invite");
                Call::join(config, identity, invite, now, &mut rng).expect("joining")
            }
        };
        let text = call.view().invites.last().map(|open| open.text.clone()).unwrap_or_default();
        (call, text)
    }

    /// The connections of that call.
    pub fn endpoint(&self, n: u8, call: &Call) -> Endpoint {
        let socket = Socket::Custom(self.net.socket(Self::host(n)).expect("free address"));
        let options = EndpointOptions { rng_seed: Some([n; 32]), ..EndpointOptions::default() };
        let leaf = call.leaf_key().seed_for_tls_or_mls();
        Endpoint::bind(socket, leaf, options).expect("endpoint")
    }

    /// Host `n` founds a call, or joins by an invite; returns also the first invite's text.
    pub fn enter(&self, n: u8, name: &str, invite: Option<&str>) -> (Person, String) {
        let (call, text) = self.call(n, name, invite);
        (self.start(n, call), text)
    }

    fn start(&self, n: u8, call: Call) -> Person {
        let endpoint = self.endpoint(n, &call);
        let seen = Arc::new(Seen::new(self.origin));
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
        let (node, handle) = Node::new(call, endpoint, ends, TRACKS, config).expect("node");
        tokio::task::spawn_local(node.run());
        let NodeHandle { commands, mut events, view } = handle;
        let (noted, receipts) = (seen.clone(), commands.clone());
        tokio::task::spawn_local(async move {
            while let Some(event) = events.recv().await {
                match event {
                    NodeEvent::Call(Event::Epoch { epoch, roster, .. }) => {
                        let shown = NodeCommand::RosterShown(Receipt::shown(epoch, roster));
                        // Who has left already shows nothing more.
                        let _ = receipts.send(shown).await;
                    }
                    NodeEvent::Call(Event::Refused { from, why }) => {
                        noted.refused.lock().expect("refused").push((from, why));
                    }
                    NodeEvent::Trouble(what) => panic!("{what}"),
                    _ => {}
                }
            }
        });
        Person { seen, view, commands }
    }
}

/// Everybody has a microphone and a camera.
pub const TRACKS: Tracks = Tracks { mic: true, camera: true };

pub async fn until(view: &mut watch::Receiver<Arc<NodeView>>, what: impl Fn(&NodeView) -> bool) {
    let reached = timeout(20 * SECOND, view.wait_for(|view| what(view)));
    reached.await.expect("in time").expect("the node is there");
}

/// What came through of one participant at another, over a span of the call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Pictures coded for the receiver, and how many of them it never showed.
    pub coded: usize,
    pub missing: usize,
    /// 95th percentile from capture to screen, in ms.
    pub picture_ms: u64,
    /// 95th percentile from mouth to ear, in ms.
    pub sound_ms: u64,
    /// Sound played, and how much of it was made up, in ms.
    pub played_ms: u64,
    pub made_up_ms: u64,
}

/// Of `from`, who is `sender` in the group, at `to`, who is `receiver`; span in µs.
pub fn figures(
    (from, sender): (&Person, MemberId),
    (to, receiver): (&Person, MemberId),
    span: std::ops::Range<u64>,
) -> Figures {
    let coded = from.seen.coded.lock().expect("coded");
    let none = BTreeSet::new();
    let coded: Vec<u64> = coded
        .get(&receiver)
        .unwrap_or(&none)
        .range(stamp(span.start)..stamp(span.end))
        .copied()
        .collect();
    let shown = to.seen.shown.lock().expect("shown");
    let nothing = BTreeMap::new();
    let shown = shown.get(&sender).unwrap_or(&nothing);
    let mut ages = Vec::new();
    for at in &coded {
        if let Some((captured, when)) = shown.range(at - 1..=at + 1).next() {
            ages.push(when.saturating_sub(captured * 1000) / 1000);
        }
    }
    let heard = to.seen.heard.lock().expect("heard");
    let heard: Vec<Heard> = heard
        .get(&sender)
        .map(|all| all.iter().filter(|h| span.contains(&h.at)).copied().collect())
        .unwrap_or_default();
    let mut old: Vec<u64> = heard.iter().map(|h| h.age / 1000).collect();
    let made_up = |heard: Option<&Heard>| heard.map_or(0, |h| h.made_up);
    Figures {
        coded: coded.len(),
        missing: coded.len() - ages.len(),
        picture_ms: percentile(&mut ages, 95),
        sound_ms: percentile(&mut old, 95),
        played_ms: 10 * heard.len() as u64,
        made_up_ms: made_up(heard.last()).saturating_sub(made_up(heard.first())),
    }
}

fn percentile(values: &mut [u64], share: usize) -> u64 {
    values.sort_unstable();
    values
        .get((values.len() * share / 100).min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0)
}
