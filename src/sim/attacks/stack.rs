//! The whole stack on a stage: participants put together as in the product – QUIC, TLS, codecs –
//! on a network in memory under a paused clock, with Eve on the line and, as if TLS were broken,
//! behind it.

use super::memory::Masked;
use super::world::config;
use super::{Lab, LabError, instant, setup};
use crate::call::{Admit, Call, CallConfig, Event, Tracks};
use crate::config::{PatternKind, VideoSpec};
use crate::identity::IdentityKey;
use crate::invite::Invite;
use crate::media::apm::ApmConfig;
use crate::media::frame::{Size, Want};
use crate::media::seams::{FrameSource, PcmSource};
use crate::media::sink::null::{Counts, Null};
use crate::media::source::voice::{Speech, Voice};
use crate::media::source::{self, VideoOptions, pattern};
use crate::node::{
    Clock, MediaEnds, Node, NodeCommand, NodeConfig, NodeEvent, NodeHandle, NodeView, Runner,
    Witness,
};
use crate::seal::Receipt;
use crate::secret::Secret;
use crate::sim::eve::{Eve, Window};
use crate::sim::model::LinkModel;
use crate::sim::net::{Happened, Network};
use crate::sim::search::Kind;
use crate::time::Wall;
use crate::transport::{Endpoint, EndpointOptions, Socket};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Port of everybody.
const PORT: u16 = 4433;
/// Tile and rate of everybody's pictures: the picture of a small terminal.
const TILE: Size = Size::new(80, 48);
const DECIFPS: u16 = 100;

/// What a participant brings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Brings {
    /// Face and voice.
    Both,
    /// A voice that speaks all the time.
    Voice,
    /// Nothing.
    Nothing,
}

/// Everything and everybody.
pub(crate) struct Stack {
    pub(crate) net: Network,
    pub(crate) sides: Vec<Side>,
    eve: Arc<Mutex<Eve>>,
    clock: Clock,
    seed: u64,
    collector: Option<Collector>,
}

/// Somebody else who watches instead of Eve, and where keys are noted for a search of memory.
type Collector = (Arc<dyn Witness>, Arc<Mutex<Masked>>);

/// One participant.
pub(crate) struct Side {
    pub(crate) commands: mpsc::Sender<NodeCommand>,
    pub(crate) pictures: Counts,
    view: watch::Receiver<Arc<NodeView>>,
    events: Arc<Mutex<Vec<Event>>>,
    tasks: [JoinHandle<()>; 2],
}

impl Side {
    pub(crate) fn view(&self) -> Arc<NodeView> {
        self.view.borrow().clone()
    }

    pub(crate) fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn members(&self) -> usize {
        self.view().call.members.len()
    }
}

/// Runs something in virtual time.
pub(crate) fn virtually<T>(
    stage: impl Future<Output = Result<T, LabError>>,
) -> Result<T, LabError> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().map_err(setup)?;
    let all = tokio::task::LocalSet::new();
    let result = all.block_on(&runtime, stage);
    drop(all);
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

pub(crate) fn host(n: usize) -> SocketAddr {
    let last = u8::try_from(n + 1).unwrap_or(u8::MAX);
    SocketAddr::new(Ipv4Addr::new(10, 0, 0, last).into(), PORT)
}

pub(crate) async fn wait(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

impl Stack {
    /// An empty stage. Within [`virtually`].
    pub(crate) fn new(lab: &Lab) -> Result<Self, LabError> {
        let net = Network::new(lab.seed);
        net.set_default_path(LinkModel::delayed(Duration::from_millis(1)));
        let clock = Clock::Virtual { wall: Wall(1_800_000_000_000), start: instant() };
        let guess = Secret::build(|bytes| lab.rng().fill_bytes(bytes));
        let eve = Arc::new(Mutex::new(Eve::new(guess).map_err(setup)?));
        let tapped = Arc::clone(&eve);
        net.tap(Box::new(move |seen| {
            if seen.what == Happened::Sent {
                tapped
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .datagram(&seen.datagram.bytes);
            }
        }));
        Ok(Self { net, sides: Vec::new(), eve, clock, seed: lab.seed, collector: None })
    }

    /// A stage on which nobody but `witness` watches, and keys are noted masked.
    pub(crate) fn collect(&mut self, witness: Arc<dyn Witness>, masked: Arc<Mutex<Masked>>) {
        self.collector = Some((witness, masked));
    }

    /// From now on nobody on the stage remembers what passes – Eve keeps pictures, a network with
    /// delays the pairs of hosts it has seen – so that whatever memory grows is the participants'.
    pub(crate) fn forgets(&mut self) {
        self.net.tap(Box::new(|_| {}));
        self.net.set_default_path(LinkModel::default());
        self.collect(Arc::new(Forgets), Arc::default());
    }

    /// Notes a secret: for Eve's search, or – masked – for the search of memory.
    fn note(&self, kind: Kind, what: &'static str, secret: &[u8]) {
        match &self.collector {
            Some((_, masked)) => {
                masked.lock().unwrap_or_else(PoisonError::into_inner).add(what, secret);
            }
            None => self.eve().look_for(kind, secret),
        }
    }

    pub(crate) fn eve(&self) -> MutexGuard<'_, Eve> {
        self.eve.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where somebody new will live.
    pub(crate) fn next_address(&self) -> SocketAddr {
        host(self.sides.len())
    }

    /// Ada founds a call; `addresses` stand in her invite.
    pub(crate) fn found(
        &mut self,
        lab: &Lab,
        admit: Admit,
        brings: Brings,
        addresses: Vec<SocketAddr>,
    ) -> Result<Invite, LabError> {
        let now = self.clock.now();
        let own = CallConfig { addresses: vec![self.next_address()], ..config("Ada Byron", admit) };
        let identity = self.identity(lab, "Ada Byron");
        let call = Call::host(own, identity, addresses, now, &mut *lab.rng())?;
        let text = call.view().invites.last().map(|i| i.text.clone()).unwrap_or_default();
        let invite = Invite::parse(&text).map_err(setup)?;
        self.note(Kind::Invite, "invite secret", invite.secret.expose());
        self.note(Kind::Invite, "invite proof key", invite.k_proof().expose());
        self.note(Kind::Invite, "invite pre-shared key", invite.psk().expose());
        self.start(lab, call, brings)?;
        Ok(invite)
    }

    /// Somebody joins.
    pub(crate) fn join(
        &mut self,
        lab: &Lab,
        name: &str,
        invite: Invite,
        brings: Brings,
    ) -> Result<usize, LabError> {
        let now = self.clock.now();
        let own =
            CallConfig { addresses: vec![self.next_address()], ..config(name, Admit::Nobody) };
        let identity = self.identity(lab, name);
        let call = Call::join(own, identity, invite, now, &mut *lab.rng())?;
        self.start(lab, call, brings)
    }

    fn identity(&self, lab: &Lab, name: &str) -> Arc<IdentityKey> {
        let identity = IdentityKey::generate(&mut *lab.rng());
        if self.collector.is_none() {
            self.eve().look_for(Kind::Name, name.as_bytes());
        }
        self.note(Kind::PrivateKey, "identity key", identity.seed_for_storage().expose());
        Arc::new(identity)
    }

    fn start(&mut self, lab: &Lab, call: Call, brings: Brings) -> Result<usize, LabError> {
        let n = self.sides.len();
        let leaf = call.leaf_key().seed_for_tls_or_mls();
        self.note(Kind::PrivateKey, "leaf key", leaf.expose());
        let socket = Socket::Custom(self.net.socket(host(n)).map_err(setup)?);
        let mut seed = [u8::try_from(n).unwrap_or(0); 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        let options = EndpointOptions { rng_seed: Some(seed), ..EndpointOptions::default() };
        let endpoint = Endpoint::bind(socket, leaf, options).map_err(setup)?;
        let want = Want { size: TILE, decifps: DECIFPS, max_kbps: 0, paused: false, focus: false };
        let sink = Null::new(want);
        let pictures = sink.counts();
        let (video, mic) = self.sources(n, brings)?;
        let origin = instant();
        let tracks = Tracks { mic: mic.is_some(), camera: video.is_some() };
        let ends = MediaEnds {
            video,
            view: Box::new(sink),
            mic,
            speaker: None,
            apm: ApmConfig::OFF,
            origin,
            decifps: DECIFPS,
        };
        let config = NodeConfig {
            runner: Runner::Inline,
            clock: self.clock,
            witness: Some(match &self.collector {
                Some((witness, _)) => Arc::clone(witness),
                None => Arc::new(Window { eve: Arc::clone(&self.eve), watched: n == 1 }),
            }),
            rng: lab.rng(),
        };
        let (node, handle) = Node::new(call, endpoint, ends, tracks, config).map_err(setup)?;
        let NodeHandle { commands, events, view } = handle;
        let running = tokio::task::spawn_local(async move {
            node.run().await;
        });
        let seen = Arc::new(Mutex::new(Vec::new()));
        let watching = tokio::task::spawn_local(watch(events, commands.clone(), Arc::clone(&seen)));
        let tasks = [running, watching];
        self.sides.push(Side { commands, pictures, view, events: seen, tasks });
        Ok(n)
    }

    #[expect(clippy::type_complexity, reason = "picture and sound, each perhaps")]
    fn sources(
        &self,
        n: usize,
        brings: Brings,
    ) -> Result<(Option<Box<dyn FrameSource>>, Option<Box<dyn PcmSource>>), LabError> {
        let origin = instant();
        let speech = Speech::new(self.seed + n as u64, 0, 1);
        let voice = || Some(Box::new(Voice::new(speech, origin)) as Box<dyn PcmSource>);
        match brings {
            Brings::Nothing => Ok((None, None)),
            Brings::Voice => Ok((None, voice())),
            Brings::Both => {
                let options = VideoOptions {
                    identity: [pattern::ADA, pattern::BEN][n % 2].to_vec(),
                    seed: self.seed + n as u64,
                    decifps: DECIFPS,
                    size: TILE,
                    mouth: Voice::mouth(speech),
                    ..VideoOptions::new(origin)
                };
                let face = VideoSpec::Pattern(PatternKind::Face);
                Ok((Some(source::open_video(&face, options).map_err(setup)?), voice()))
            }
        }
    }

    /// Ada and Ben in a call.
    pub(crate) async fn two(lab: &Lab, brings: Brings) -> Result<Self, LabError> {
        let mut stack = Self::new(lab)?;
        let invite = stack.found(lab, Admit::Any, brings, vec![host(0)])?;
        stack.join(lab, "Ben Nevis", invite, brings)?;
        wait(1500).await;
        match stack.sides.iter().all(|side| side.members() == 2) {
            true => Ok(stack),
            false => Err(setup("Ada and Ben did not meet")),
        }
    }

    pub(crate) async fn tell(&self, side: usize, command: NodeCommand) {
        // A node that has ended does nothing more.
        let _ = self.sides[side].commands.send(command).await;
    }

    /// Ends everybody, in whatever state they are.
    pub(crate) fn dismiss(self) {
        for task in self.sides.into_iter().flat_map(|side| side.tasks) {
            task.abort();
        }
    }

    /// Pictures painted so far, by everybody.
    pub(crate) fn painted(&self) -> u64 {
        self.sides.iter().map(|side| side.pictures.total()).sum()
    }
}

/// Watches and remembers nothing.
struct Forgets;

impl Witness for Forgets {}

/// Stands in for the person: rosters are shown at once.
async fn watch(
    mut events: mpsc::Receiver<NodeEvent>,
    commands: mpsc::Sender<NodeCommand>,
    seen: Arc<Mutex<Vec<Event>>>,
) {
    while let Some(event) = events.recv().await {
        let NodeEvent::Call(event) = event else { continue };
        if let Event::Epoch { epoch, roster, .. } = event {
            let shown = NodeCommand::RosterShown(Receipt::shown(epoch, roster));
            // A node that is gone needs no receipt.
            let _ = commands.send(shown).await;
        }
        // There are as many of these as strangers like; the call counts them.
        if !matches!(event, Event::Refused { .. }) {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        }
    }
}
