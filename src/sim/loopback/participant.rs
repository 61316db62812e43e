//! One participant of a scenario, put together as in the product.

use super::network::{Net, Place};
use super::{Flag, LoopbackError, MaybeLeak, derived};
use crate::call::{Admit, Call, CallConfig, EndReason, Event, Tracks};
use crate::config::{AudioSpec, PatternKind, VideoSpec};
use crate::identity::{DisplayName, IdentityKey};
use crate::invite::Invite;
use crate::media::apm::ApmConfig;
use crate::media::device::Mic;
use crate::media::device::card::{CardMic, CardSpeaker};
use crate::media::frame::Want;
use crate::media::seams::{PcmSink, PcmSource};
use crate::media::source::pattern::{ADA, BEN, Render};
use crate::media::source::tone::Tone;
use crate::media::source::voice::{Speech, Voice};
use crate::media::source::wav::WavFile;
use crate::media::source::{self, Mouth, OpenError, VideoOptions};
use crate::node::{Clock, MediaEnds, Node, NodeCommand, NodeConfig, NodeEvent, NodeHandle, Runner};
use crate::seal::Receipt;
use crate::sim::gate::Gate;
use crate::sim::measure::{Asked, Bench, Eyes, Probe, Recorder, display_name};
use crate::sim::scenario::{self, Scenario};
use crate::sim::search::Kind;
use crate::transport::{Endpoint, EndpointOptions};
use crate::wire::link::MemberId;
use rand::{CryptoRng, TryRngCore as _};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// As in the product: silence after which a connection is lost, and the sign of life before.
const IDLE: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// Invites of a scenario outlast it.
const INVITE_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Somebody who has joined.
pub(super) struct Participant {
    pub(super) commands: mpsc::Sender<NodeCommand>,
    /// What it says is silence.
    pub(super) muted: Flag,
    /// Stops all of it.
    pub(super) gate: Gate,
    view: watch::Receiver<Arc<crate::node::NodeView>>,
    tasks: [JoinHandle<()>; 2],
}

/// All participants, as they come.
pub(super) struct Cast {
    bench: Bench,
    clock: Clock,
    seed: u64,
    real: bool,
    leak: MaybeLeak,
    invite: Option<String>,
    present: BTreeMap<usize, Participant>,
    /// Who somebody is stays, whatever process it comes with.
    identities: BTreeMap<usize, Arc<IdentityKey>>,
}

fn entropy() -> Box<dyn CryptoRng + Send> {
    // Keys are never seeded.
    Box::new(rand::rngs::OsRng.unwrap_err())
}

impl Cast {
    pub(super) fn new(bench: Bench, clock: Clock, seed: u64, real: bool, leak: MaybeLeak) -> Self {
        Self {
            bench,
            clock,
            seed,
            real,
            leak,
            invite: None,
            present: BTreeMap::new(),
            identities: BTreeMap::new(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&Participant> {
        self.present.get(&index)
    }

    /// The participant of this index enters; the first founds the call.
    pub(super) fn join(
        &mut self,
        scenario: &Scenario,
        index: usize,
        origin: Instant,
        net: &mut Net,
    ) -> Result<(), LoopbackError> {
        let Some(part) = scenario.participants.get(index) else { return Ok(()) };
        let now = self.clock.now();
        let bench = self.bench.clone();
        let role = Role::of(part, index, scenario.participants.len(), self.seed);
        let place = match self.present.remove(&index) {
            None => {
                let number = bench.participant(&part.name, part.tile, role.clean(&part.video));
                debug_assert_eq!(number, index, "participants join in their order");
                net.place(index)?
            }
            // What is left of the one that has gone ends here.
            Some(before) => {
                before.tasks.iter().for_each(JoinHandle::abort);
                net.place_again(index)?
            }
        };
        bench.address(index, place.own);

        let fresh = || Arc::new(IdentityKey::generate(&mut *entropy()));
        let identity = Arc::clone(self.identities.entry(index).or_insert_with(fresh));
        bench.look_for(Kind::Name, display_name(&part.name).as_bytes());
        bench.look_for(Kind::PrivateKey, identity.seed_for_storage().expose());
        let tracks =
            Tracks { mic: part.audio != AudioSpec::None, camera: part.video != VideoSpec::None };
        let config = CallConfig {
            name: DisplayName::sanitise(&display_name(&part.name)),
            admit: Admit::Any,
            expect: None,
            invite_uses: u8::MAX,
            invite_life: INVITE_LIFE,
            tracks,
            known: Vec::new(),
            addresses: vec![place.public],
            knock_life: Duration::from_secs(120),
            constant_rate: part.constant_rate,
        };
        let mut rng = entropy();
        let call = match &self.invite {
            None => Call::host(config, identity, vec![place.public], now, &mut *rng)?,
            Some(text) => {
                let invite = Invite::parse(text)
                    .map_err(|e| LoopbackError::Scenario(format!("the invite is unusable: {e}")))?;
                Call::join(config, identity, invite, now, &mut *rng)?
            }
        };
        if self.invite.is_none() {
            self.take_invite(&call);
        }
        bench.look_for(Kind::PrivateKey, call.leaf_key().seed_for_tls_or_mls().expose());
        let ends = self.ends(part, &role, index, origin, tracks)?;
        self.start(call, place, ends, tracks, index, rng)
    }

    fn take_invite(&mut self, call: &Call) {
        let Some(open) = call.view().invites.into_iter().next() else { return };
        self.bench.look_for(Kind::Invite, open.text.as_bytes());
        if let Ok(invite) = Invite::parse(&open.text) {
            self.bench.look_for(Kind::Invite, invite.secret.expose());
            self.bench.look_for(Kind::Invite, invite.k_proof().expose());
            self.bench.look_for(Kind::Invite, invite.psk().expose());
        }
        self.invite = Some(open.text);
    }

    fn ends(
        &self,
        part: &scenario::Participant,
        role: &Role,
        index: usize,
        origin: Instant,
        tracks: Tracks,
    ) -> Result<(MediaEnds, Flag), LoopbackError> {
        self.check_sources(part)?;
        let source = |why| LoopbackError::Source { name: part.name.clone(), why };
        let options = VideoOptions {
            identity: role.face.clone(),
            seed: role.seed,
            decifps: part.decifps,
            size: part.tile,
            mouth: role.mouth(&part.audio),
            ..VideoOptions::new(origin)
        };
        let video = match part.video {
            VideoSpec::None => None,
            _ => Some(source::open_video(&part.video, options).map_err(source)?),
        };
        let mic: Option<Box<dyn PcmSource>> = match &part.audio {
            AudioSpec::None => None,
            AudioSpec::Voice => Some(Box::new(Voice::new(role.speech, origin))),
            AudioSpec::Tone => Some(Box::new(Tone::new(origin))),
            AudioSpec::Wav(path) => Some(Box::new(WavFile::open(path, false).map_err(source)?)),
            AudioSpec::Mic => Some(Box::new(Mic::open(None))),
        };
        let muted: Flag = Arc::new(AtomicBool::new(!tracks.mic));
        let mut mic = mic.map(|mic| {
            let recorder = Recorder::new(mic, self.bench.clone(), index, Arc::clone(&muted));
            Box::new(recorder) as Box<dyn PcmSource>
        });
        let mut speaker: Option<Box<dyn PcmSink>> = None;
        if let Some(ppm) = part.clock_ppm
            && let Some(source) = mic.take()
        {
            let now = self.clock.now().mono;
            let (taken, given) = (CardMic::new(source, ppm, now), CardSpeaker::new(ppm, now));
            self.bench.card(index, taken.figures(), given.figures());
            mic = Some(Box::new(taken));
            speaker = Some(Box::new(given));
        }
        let want = Want {
            size: part.tile,
            decifps: part.decifps,
            max_kbps: 0,
            paused: false,
            focus: false,
        };
        let view = Box::new(Eyes::new(self.bench.clone(), index, want));
        let decifps = part.decifps;
        Ok((MediaEnds { video, view, mic, speaker, apm: ApmConfig::OFF, origin, decifps }, muted))
    }

    /// Devices and commands live in real time.
    fn check_sources(&self, part: &scenario::Participant) -> Result<(), LoopbackError> {
        let device = match (&part.video, &part.audio) {
            (VideoSpec::Camera(_) | VideoSpec::Pipe(_), _) => part.video.to_string(),
            (_, AudioSpec::Mic) => part.audio.to_string(),
            _ => return Ok(()),
        };
        if self.real {
            return Ok(());
        }
        let why = "devices and commands run in real time only: add --real-time".to_owned();
        let why = OpenError::InvalidInput { what: device, why };
        Err(LoopbackError::Source { name: part.name.clone(), why })
    }

    fn start(
        &mut self,
        call: Call,
        place: Place,
        (ends, muted): (MediaEnds, Flag),
        tracks: Tracks,
        index: usize,
        rng: Box<dyn CryptoRng + Send>,
    ) -> Result<(), LoopbackError> {
        let gate = Gate::default();
        let options = EndpointOptions {
            runtime: Some(Arc::new(gate.clone())),
            rng_seed: Some(seed_bytes(derived(self.seed, "quic", index))),
            idle: IDLE,
            keep_alive: KEEP_ALIVE,
            ..EndpointOptions::default()
        };
        let leaf = call.leaf_key().seed_for_tls_or_mls();
        let endpoint = Endpoint::bind(place.socket, leaf, options)?;
        let probe = Probe::new(self.bench.clone(), index, self.leak.clone());
        let config = NodeConfig {
            runner: if self.real { Runner::Threads } else { Runner::Inline },
            clock: self.clock,
            witness: Some(Arc::new(probe)),
            rng,
        };
        let (node, handle) = Node::new(call, endpoint, ends, tracks, config)?;
        let NodeHandle { commands, events, view } = handle;
        let bench = self.bench.clone();
        let running = tokio::task::spawn_local(gate.hold(async move {
            let reason = node.run().await;
            let removed = matches!(reason, EndReason::Removed { .. }) && bench.has_left(index);
            if reason != EndReason::Left && !removed {
                bench.ended(index, format!("{reason:?}"));
            }
        }));
        let owner = Owner { bench: self.bench.clone(), index, commands: commands.clone() };
        let owning = tokio::task::spawn_local(gate.hold(owner.run(events, view.clone())));
        let tasks = [running, owning];
        self.present.insert(index, Participant { commands, muted, gate, view, tasks });
        Ok(())
    }

    /// Somebody's number in the group, as another one sees it.
    pub(super) fn number(&self, scenario: &Scenario, of: usize, by: usize) -> Option<MemberId> {
        let name = display_name(&scenario.participants.get(of)?.name);
        let view = self.present.get(&by)?.view.borrow();
        view.call.members.iter().find(|m| m.claimed == name).map(|m| m.id)
    }

    /// Connections that are open, counted at both ends.
    pub(super) fn links(&self) -> usize {
        self.present.values().map(|participant| participant.view.borrow().links.len()).sum()
    }

    /// A last look at everybody's view.
    pub(super) fn look(&self, bench: &Bench) {
        for (index, participant) in &self.present {
            bench.saw(*index, &participant.view.borrow());
        }
    }

    /// The curtain: ends all tasks as they stand.
    pub(super) fn dismiss(self) {
        for participant in self.present.into_values() {
            for task in participant.tasks {
                task.abort();
            }
        }
    }
}

fn seed_bytes(seed: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(seed.to_le_bytes().iter().cycle()) {
        *to = *from;
    }
    bytes
}

/// Who somebody is on this stage: face, voice and seeds by place in the cast, not by key.
struct Role {
    face: Vec<u8>,
    speech: Speech,
    seed: u64,
}

impl Role {
    fn of(_part: &scenario::Participant, index: usize, all: usize, seed: u64) -> Self {
        let face = match index {
            0 => ADA.to_vec(),
            1 => BEN.to_vec(),
            n => vec![u8::try_from(n * 77 % 251).unwrap_or(0); 32],
        };
        let turn = u32::try_from(index).unwrap_or(0);
        let turns = u32::try_from(all).unwrap_or(2);
        let seed = derived(seed, "role", index);
        Self { face, speech: Speech::new(seed, turn, turns), seed }
    }

    fn mouth(&self, audio: &AudioSpec) -> Mouth {
        match audio {
            AudioSpec::Voice => Voice::mouth(self.speech),
            _ => Arc::new(|_| 0.0),
        }
    }

    /// Pictures with strong grain are compared with the clean ones: grain is not to be kept.
    fn clean(&self, video: &VideoSpec) -> Option<Render> {
        let kind = PatternKind::Noise;
        let mouth = Voice::mouth(self.speech);
        (*video == VideoSpec::Pattern(kind))
            .then(|| Render::new(kind, &self.face, self.seed, mouth))
    }
}

/// Stands in for the person in front of a node.
struct Owner {
    bench: Bench,
    index: usize,
    commands: mpsc::Sender<NodeCommand>,
}

impl Owner {
    async fn run(
        self,
        mut events: mpsc::Receiver<NodeEvent>,
        mut view: watch::Receiver<Arc<crate::node::NodeView>>,
    ) {
        loop {
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Some(event) => self.event(event).await,
                    None => return,
                },
                Ok(()) = view.changed() => {
                    let newest = Arc::clone(&view.borrow_and_update());
                    self.bench.saw(self.index, &newest);
                }
            }
        }
    }

    async fn event(&self, event: NodeEvent) {
        let now = tokio::time::Instant::now().into_std();
        match event {
            NodeEvent::Call(Event::Epoch { epoch, roster, why, .. }) => {
                self.bench.entered(self.index, epoch, why, now);
                // Nobody sits here: the roster counts as shown at once.
                let shown = NodeCommand::RosterShown(Receipt::shown(epoch, roster));
                // A node that is gone needs no receipt.
                let _ = self.commands.send(shown).await;
            }
            NodeEvent::Call(Event::Joined { member, .. }) => self.bench.joined(member, now),
            NodeEvent::Call(Event::Lost(member, lost)) => {
                self.bench.misses(self.index, member, lost, now);
            }
            NodeEvent::Call(Event::Sealing { epoch }) => {
                self.bench.sealing(self.index, epoch, now);
            }
            // Everybody is let in at once.
            NodeEvent::Call(Event::Knock { .. }) => self.bench.asks(Asked::Join, now),
            NodeEvent::Call(Event::Words { epoch, words }) => {
                self.bench.words(self.index, epoch, words);
            }
            NodeEvent::MediaLost { what, why } => {
                self.bench.trouble(self.index, format!("lost {what}: {why}"));
            }
            NodeEvent::Trouble(what) => self.bench.trouble(self.index, what),
            _ => {}
        }
    }
}
