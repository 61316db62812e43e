//! The loop.

use super::audio::{AudioEvent, AudioMessage, AudioSide};
use super::moves::{Moved, Moves};
use super::side::Hosted;
use super::video::{Ready, VideoEvent, VideoIn, VideoInMessage, VideoOut, VideoOutMessage};
use super::view::{LinkReport, MediaView, NodeView};
use super::{Clock, MediaEnds, NodeCommand, NodeEvent, Runner, VIEW_EVERY, Witness};
use crate::call::{
    Budget, Call, Command, DialFailure, EndReason, Event, Input, LinkView, Output, Tracks,
};
use crate::media::engine::audio::AudioSettings;
use crate::media::frame::{Coded, Size, Want};
use crate::media::rate;
use crate::media::rate::estimator::Feedback as Freshness;
use crate::media::rate::path::PathSeen;
use crate::time::Now;
use crate::transport::{DialError, Endpoint, Full, Link};
use crate::wire::link::{LinkDown, LinkEvent, LinkId, MemberId, close};
use rand::CryptoRng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Link events, commands and media events wait here; a full queue makes its sender wait.
const QUEUE: usize = 256;
/// A dialling without an answer ends after this time.
const DIAL_TIMEOUT: Duration = Duration::from_secs(8);
/// What a member wants that has not said yet.
const NOTHING: Want =
    Want { size: Size::new(80, 48), decifps: 0, max_kbps: 0, paused: true, focus: false };
/// The picture of an 80x24 terminal in half blocks.
const SMALL: Size = Size::new(80, 48);
/// The wall clock may run this much ahead of the monotonic one between two looks, in ms; more
/// means that the machine slept.
const SLEPT_MS: u64 = 3000;
/// From so many others on, packets of sound are 40 ms long.
const MANY: usize = 4;
/// Loss that sound is prepared for while a path is new, in per cent: enough for Opus to make room for
/// coarse copies of speech at 20 kbit/s (none at 5).
const UNKNOWN_LOSS_PCT: u8 = 20;
/// What writing a picture takes on a narrow path.
const WRITING: Duration = Duration::from_millis(100);
/// Budgets are looked at again at least this often.
const BUDGETS_EVERY: Duration = Duration::from_millis(200);

/// How a node runs.
pub struct NodeConfig {
    /// Threads or inline.
    pub runner: Runner,
    /// Where time comes from.
    pub clock: Clock,
    /// Somebody who watches from inside.
    pub witness: Option<Arc<dyn Witness>>,
    /// Randomness for further invites; production: the operating system's.
    pub rng: Box<dyn CryptoRng + Send>,
}

/// The owner's ends of a node.
pub struct NodeHandle {
    /// Commands in.
    pub commands: mpsc::Sender<NodeCommand>,
    /// Events out; the node keeps what the owner has not taken yet.
    pub events: mpsc::Receiver<NodeEvent>,
    /// The newest view.
    pub view: watch::Receiver<Arc<NodeView>>,
}

enum FromNetwork {
    Event(LinkId, LinkEvent),
    Dialled(LinkId, Result<Link, DialError>),
    Accepted(Link),
    Words(u64, crate::identity::words::CallWords),
}

/// One participant. Made by [`Node::new`], driven by [`Node::run`].
pub struct Node {
    call: Call,
    endpoint: Endpoint,
    links: BTreeMap<LinkId, Link>,
    config: NodeConfig,
    video_out: Hosted<VideoOut>,
    video_in: Hosted<VideoIn>,
    audio: Hosted<AudioSide>,
    video_events: mpsc::Receiver<VideoEvent>,
    audio_events: mpsc::Receiver<AudioEvent>,
    network: mpsc::Receiver<FromNetwork>,
    to_loop: mpsc::Sender<FromNetwork>,
    commands: mpsc::Receiver<NodeCommand>,
    events: mpsc::Sender<NodeEvent>,
    pending: VecDeque<NodeEvent>,
    view: watch::Sender<Arc<NodeView>>,
    ready: Ready,
    media: MediaView,
    decifps: u16,
    tracks: Tracks,
    members: Vec<MemberId>,
    has_camera: bool,
    has_mic: bool,
    wake: Instant,
    /// The last look at both clocks.
    looked: Now,
    moves: Moves,
    next_view: Instant,
    next_budgets: Instant,
    ended: Option<EndReason>,
}

impl Node {
    /// Joins call, endpoint and media ends. Fails only when a thread cannot be started.
    pub fn new(
        call: Call,
        endpoint: Endpoint,
        ends: MediaEnds,
        tracks: Tracks,
        config: NodeConfig,
    ) -> std::io::Result<(Self, NodeHandle)> {
        let now = config.clock.now();
        let ready: Ready = Arc::new(Mutex::new(BTreeSet::new()));
        let (video_tx, video_events) = mpsc::channel(QUEUE);
        let (audio_tx, audio_events) = mpsc::channel(QUEUE);
        let (to_loop, network) = mpsc::channel(QUEUE);
        let (commands_tx, commands) = mpsc::channel(QUEUE);
        let (events, events_rx) = mpsc::channel(QUEUE);
        let has_camera = ends.video.is_some();
        let has_mic = ends.mic.is_some();
        let constant = call.constant_rate();
        let video_out =
            VideoOut::new(ends.video, ends.origin, Arc::clone(&ready), ends.decifps, constant);
        let video_in = VideoIn::new(ends.view, ends.origin);
        let witness = config.witness.clone();
        let audio =
            AudioSide::new(ends.mic, ends.speaker, ends.apm, ends.origin, tracks.mic, witness);
        let (video_out, video_in, audio) = match config.runner {
            Runner::Inline => {
                (Hosted::inline(video_out), Hosted::inline(video_in), Hosted::inline(audio))
            }
            Runner::Threads => (
                Hosted::thread("encode", video_out, config.clock, video_tx.clone())?,
                Hosted::thread("decode", video_in, config.clock, video_tx)?,
                Hosted::thread("audio", audio, config.clock, audio_tx)?,
            ),
        };
        let media =
            MediaView { mic_on: tracks.mic, camera_on: tracks.camera, ..MediaView::default() };
        let first = NodeView {
            at: now.mono,
            call: call.view(),
            media: media.clone(),
            links: BTreeMap::new(),
            budgets: BTreeMap::new(),
        };
        let (view, view_rx) = watch::channel(Arc::new(first));
        let mut node = Self {
            call,
            endpoint,
            links: BTreeMap::new(),
            config,
            video_out,
            video_in,
            audio,
            video_events,
            audio_events,
            network,
            to_loop,
            commands,
            events,
            pending: VecDeque::new(),
            view,
            ready,
            media,
            decifps: ends.decifps,
            tracks,
            members: Vec::new(),
            has_camera,
            has_mic,
            wake: now.mono,
            looked: now,
            moves: Moves::new(now.mono),
            next_view: now.mono,
            next_budgets: now.mono,
            ended: None,
        };
        if !tracks.camera {
            node.video_out.send(VideoOutMessage::Enable(false), now);
        }
        Ok((node, NodeHandle { commands: commands_tx, events: events_rx, view: view_rx }))
    }

    /// Runs until the call is over; returns why it ended.
    pub async fn run(mut self) -> EndReason {
        self.start_accepting();
        loop {
            self.drain().await;
            if let Some(reason) = self.ended.take() {
                self.close_down().await;
                return reason;
            }
            let wake = tokio::time::Instant::from_std(self.wake_at());
            tokio::select! {
                biased;
                Some(command) = self.commands.recv() => self.command(command),
                Some(from) = self.network.recv() => self.network_event(from),
                Some(event) = self.audio_events.recv() => self.audio_event(event),
                Some(event) = self.video_events.recv() => self.video_event(event),
                permit = self.events.clone().reserve_owned(), if !self.pending.is_empty() => {
                    match (permit, self.pending.pop_front()) {
                        (Ok(permit), Some(event)) => drop(permit.send(event)),
                        // Nobody listens any more: the owner is gone, so is the call.
                        _ => self.input(Input::User(Command::Leave)),
                    }
                }
                () = tokio::time::sleep_until(wake) => {}
            }
            self.timers();
        }
    }

    fn now(&self) -> Now {
        self.config.clock.now()
    }

    fn wake_at(&self) -> Instant {
        [
            Some(self.wake),
            Some(self.next_view),
            Some(self.next_budgets),
            self.video_out.due(),
            self.video_in.due(),
            self.audio.due(),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(self.wake)
    }

    /// A machine that sleeps stops the monotonic clock but not the wall clock.
    fn notice_sleep(&mut self, now: Now) {
        let wall = now.wall.0.saturating_sub(self.looked.wall.0);
        let mono = now.mono.saturating_duration_since(self.looked.mono).as_millis();
        self.looked = now;
        if u128::from(wall) > mono + u128::from(SLEPT_MS) {
            self.input(Input::Woke);
        }
    }

    fn timers(&mut self) {
        let now = self.now();
        self.notice_sleep(now);
        for event in self.audio.step(now) {
            self.audio_event(event);
        }
        for event in self.video_out.step(now) {
            self.video_event(event);
        }
        for event in self.video_in.step(now) {
            self.video_event(event);
        }
        if self.wake <= now.mono {
            self.input(Input::Tick);
        }
        if self.next_budgets <= now.mono {
            self.next_budgets = now.mono + BUDGETS_EVERY;
            self.apply_budgets(now);
        }
        if self.next_view <= now.mono {
            self.next_view = now.mono + VIEW_EVERY;
            self.publish(now);
            for Moved { link, ours, remote } in
                self.moves.look(&self.links, &self.endpoint, now.mono)
            {
                self.input(Input::Moved { link, ours, remote });
            }
        }
        self.update_ready();
    }

    fn input(&mut self, input: Input) {
        let now = self.now();
        if let Err(error) = self.call.handle(now, &mut *self.config.rng, input) {
            tracing::warn!(%error, "call");
            self.pending.push_back(NodeEvent::Trouble(error.to_string()));
        }
    }

    fn command(&mut self, command: NodeCommand) {
        let now = self.now();
        match command {
            NodeCommand::Call(command) => self.input(Input::User(command)),
            NodeCommand::RosterShown(receipt) => self.input(Input::RosterShown(receipt)),
            NodeCommand::Mic(on) => {
                self.tracks.mic = on && self.has_mic;
                self.audio.send(AudioMessage::Mic(self.tracks.mic), now);
                self.announce();
            }
            NodeCommand::Camera(on) => {
                self.tracks.camera = on && self.has_camera;
                self.video_out.send(VideoOutMessage::Enable(self.tracks.camera), now);
                self.announce();
            }
            NodeCommand::Suspend(on, done) => {
                self.audio.send(AudioMessage::Mic(self.tracks.mic && !on), now);
                self.video_out.send(VideoOutMessage::Enable(self.tracks.camera && !on), now);
                self.input(Input::User(Command::Suspend(on)));
                // Whoever asked may have given up waiting.
                let _ = done.try_send(());
            }
            NodeCommand::TellWitness(member) => {
                if let (Some(witness), Some(keys)) =
                    (&self.config.witness, self.call.surrender_opener(member))
                {
                    witness.keys(keys, now);
                }
            }
        }
    }

    fn announce(&mut self) {
        self.media.mic_on = self.tracks.mic;
        self.media.camera_on = self.tracks.camera;
        self.input(Input::User(Command::Tracks(self.tracks)));
    }

    /// Carries out everything the call wants done.
    async fn drain(&mut self) {
        loop {
            let now = self.now();
            match self.call.poll(now) {
                Output::Wait(at) => {
                    self.wake = at;
                    return;
                }
                Output::Dial(id, to) => self.dial(id, to),
                Output::Close(id, code) => {
                    if let Some(link) = self.links.remove(&id) {
                        link.close(code);
                    }
                }
                Output::Authenticated(id) => {
                    if let Some(link) = self.links.get(&id) {
                        link.authenticated();
                    }
                }
                Output::Rate(id, bps) => {
                    if let Some(link) = self.links.get(&id) {
                        link.set_rate(bps);
                    }
                }
                Output::Send(id, send) => {
                    let full =
                        self.links.get(&id).is_some_and(|l| l.send(send) == Err(Full::Control));
                    if full {
                        // Control is never dropped: a peer that takes nothing is disconnected.
                        if let Some(link) = self.links.remove(&id) {
                            link.close(close::TIMEOUT);
                        }
                        self.input(Input::Link(id, LinkEvent::Down(LinkDown::TimedOut)));
                    }
                }
                Output::Media(from, coded) => match coded {
                    Coded::Audio(packet) => {
                        self.audio.send(AudioMessage::Coded(from, packet), now);
                    }
                    Coded::Video(frame) => {
                        self.video_in.send(VideoInMessage::Coded(from, frame), now);
                    }
                },
                Output::Event(event) => self.call_event(event, now),
            }
        }
    }

    fn call_event(&mut self, event: Event, now: Now) {
        match &event {
            Event::Want(..) | Event::Budgets => self.next_budgets = now.mono,
            Event::KeyframeWanted(member) => {
                self.video_out.send(VideoOutMessage::Keyframe(*member), now);
            }
            Event::Epoch { .. } => {
                self.follow_members(now);
                self.tell_witness_of_keys();
            }
            Event::Tracks(member, tracks) if !tracks.camera => {
                self.video_in.send(VideoInMessage::Paused(*member), now);
            }
            Event::Left { member, .. } => self.audio.send(AudioMessage::Gone(*member), now),
            Event::WordsNeeded { epoch, input } => self.compute_words(*epoch, input.clone()),
            Event::Ended(reason) => self.ended = Some(reason.clone()),
            _ => {}
        }
        // Others make these as often as they like: an owner that takes nothing must not pile them up.
        // The view counts, or shows, them all.
        let surplus = matches!(event, Event::Refused { .. } | Event::Tracks(..) | Event::Thin(..))
            && self.pending.len() >= QUEUE;
        if !surplus && !matches!(event, Event::Budgets | Event::Want(..) | Event::KeyframeWanted(_))
        {
            self.pending.push_back(NodeEvent::Call(event));
            self.next_view = now.mono;
        }
    }

    /// The words are slow on purpose (Argon2id, 64 MiB): not on this thread, unless time is virtual.
    fn compute_words(&mut self, epoch: u64, input: crate::identity::words::WordsInput) {
        if self.config.runner == Runner::Inline {
            let words = crate::identity::words::call_words(&input);
            self.input(Input::Words(epoch, words));
            return;
        }
        let to_loop = self.to_loop.clone();
        tokio::task::spawn(async move {
            let words =
                tokio::task::spawn_blocking(move || crate::identity::words::call_words(&input));
            if let Ok(words) = words.await {
                // The loop being gone means the call is over.
                let _ = to_loop.send(FromNetwork::Words(epoch, words)).await;
            }
        });
    }

    fn tell_witness_of_keys(&self) {
        let Some(witness) = &self.config.witness else { return };
        for member in self.call.view().members {
            if let Some(keys) = self.call.surrender_opener(member.id) {
                witness.new_keys(&keys);
            }
        }
    }

    fn follow_members(&mut self, now: Now) {
        let view = self.call.view();
        let others: Vec<_> = view.members.iter().filter(|m| !m.is_me).map(|m| m.id).collect();
        if others != self.members {
            self.members.clone_from(&others);
            self.audio.send(AudioMessage::Anybody(!others.is_empty()), now);
            self.video_in.send(VideoInMessage::Members(others), now);
        }
    }

    /// Splits what the paths can bear into sound and pictures, and tells the engine.
    fn apply_budgets(&mut self, now: Now) {
        for (_, id) in self.call.view_links() {
            if let Some(stats) = self.links.get(&id).map(Link::stats) {
                let (rtt, shortest, carries) = (stats.rtt, stats.shortest_rtt, stats.carries_bps);
                self.input(Input::Path(id, PathSeen { rtt, shortest, carries }));
            }
        }
        let budgets = self.call.budgets(now.mono);
        if budgets.is_empty() {
            return;
        }
        // Whoever does not say what arrives gets whatever the others can bear.
        let heard_of = |budget: &Budget| budget.freshness == Freshness::Fresh;
        let anybody = budgets.values().any(heard_of);
        let mut peers = BTreeMap::new();
        let mut audio: Option<AudioSettings> = None;
        for (member, budget) in &budgets {
            let want = budget.want.unwrap_or(NOTHING);
            let rate = budget.rate_bps.saturating_sub(budget.copies_bps);
            let split = rate::split::split(rate, budget.loss, budget.deep, budget.freshness, &want);
            let settings = AudioSettings {
                bps: split.audio_bps,
                deep_ms: split.audio_deep_ms,
                millis: split.audio_millis,
                // Whole copies are better than coarse ones, and leave the rate to the voice.
                loss_pct: match budget {
                    Budget { copies: 1.., .. } => 0,
                    // What the path loses isn't known at first: then coarse copies are cheap.
                    Budget { loss_known: false, .. } => UNKNOWN_LOSS_PCT,
                    Budget { loss, .. } if split.audio_fec => (loss * 100.0).clamp(5.0, 30.0) as u8,
                    _ => 0,
                },
            };
            // One stream of sound for all: the thinnest path decides.
            if heard_of(budget) || !anybody {
                audio = Some(audio.map_or(settings, |a| thinner(a, settings)));
            }
            let decifps = want.decifps.min(self.decifps);
            let paused = want.paused || split.video.is_none();
            peers.insert(*member, (Want { decifps, paused, ..want }, split.video_bps()));
        }
        if let Some(mut audio) = audio {
            // Where everybody shows only the smallest picture, half the packets of sound save more
            // than the picture costs.
            let small = |(want, _): &(Want, u64)| !want.paused && want.size.luma() <= SMALL.luma();
            if !peers.is_empty() && peers.values().all(small) {
                audio.millis = audio.millis.max(40);
            }
            // Everybody gets packets of their own: the more there are, the more their headers weigh.
            if peers.len() >= MANY {
                audio.millis = audio.millis.max(40);
            }
            self.audio.send(AudioMessage::Budget(audio), now);
        }
        self.video_out.send(VideoOutMessage::Peers(peers), now);
    }

    /// Members whose connection has room for a further frame.
    fn update_ready(&mut self) {
        let mut ready = BTreeSet::new();
        for member in self.call.view_links() {
            let (id, link) = member;
            let Some(link) = self.links.get(&link) else { continue };
            let rtt = link.stats().rtt;
            // Unacknowledged frames are normal for a round trip, and while they are written piece by
            // piece; more means a queue.
            let each = if self.call.sends_copies(id) { 2 } else { 1 };
            let under_way = (rtt + WRITING).as_millis();
            let normal = each * (2 + under_way * u128::from(self.decifps) / 10_000);
            if (link.frames_in_flight() as u128) < normal.min(24) {
                ready.insert(id);
            }
        }
        *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = ready;
    }

    fn audio_event(&mut self, event: AudioEvent) {
        let now = self.now();
        match event {
            AudioEvent::Coded(packet) => {
                let coded = Coded::Audio(packet);
                if let Some(witness) = &self.config.witness {
                    witness.before_seal(&coded, now);
                }
                self.input(Input::Coded(Vec::new(), coded));
            }
            AudioEvent::Clock(member, zero) => {
                self.video_in.send(VideoInMessage::AudioClock(member, zero), now);
            }
            AudioEvent::Lost(what, why) => self.lost(what, why),
            AudioEvent::Stats(view) => self.media.audio = view,
        }
    }

    fn video_event(&mut self, event: VideoEvent) {
        let now = self.now();
        match event {
            VideoEvent::Own(frame) => {
                if let Some(witness) = &self.config.witness {
                    witness.captured(&frame, now);
                }
                self.video_in.send(VideoInMessage::Own(frame), now);
            }
            VideoEvent::Coded(to, frame) if frame.bytes.is_empty() => {
                // Cover: nothing that anybody could search for.
                self.input(Input::Coded(to, Coded::Video(frame)));
            }
            VideoEvent::Coded(to, frame) => {
                if let Some(witness) = &self.config.witness {
                    witness.coded_for(&to, &frame, now);
                }
                let coded = Coded::Video(frame);
                if let Some(witness) = &self.config.witness {
                    witness.before_seal(&coded, now);
                }
                self.input(Input::Coded(to, coded));
            }
            VideoEvent::NeedKeyframe(member) => self.input(Input::NeedKeyframe(member)),
            VideoEvent::Want(member, want) => self.input(Input::Want(member, want)),
            VideoEvent::First(member) => self.pending.push_back(NodeEvent::FirstPicture(member)),
            VideoEvent::SourceLost(what, why) | VideoEvent::SinkLost(what, why) => {
                self.lost(what, why);
            }
            VideoEvent::Received(stats) => self.media.received = stats,
            VideoEvent::Sent(stats) => self.media.sent = stats,
        }
    }

    fn lost(&mut self, what: String, why: String) {
        tracing::warn!(what, why, "media end lost");
        self.pending.push_back(NodeEvent::MediaLost { what, why });
    }

    fn start_accepting(&self) {
        let endpoint = self.endpoint.clone();
        let to_loop = self.to_loop.clone();
        tokio::spawn(async move {
            while let Some(link) = endpoint.accept().await {
                if to_loop.send(FromNetwork::Accepted(link)).await.is_err() {
                    return;
                }
            }
        });
    }

    fn dial(&self, id: LinkId, to: SocketAddr) {
        let endpoint = self.endpoint.clone();
        let to_loop = self.to_loop.clone();
        tokio::spawn(async move {
            let dialled = match tokio::time::timeout(DIAL_TIMEOUT, endpoint.dial(to)).await {
                Ok(result) => result,
                Err(_) => Err(DialError::TimedOut { addr: to }),
            };
            // The loop being gone means the call is over.
            let _ = to_loop.send(FromNetwork::Dialled(id, dialled)).await;
        });
    }

    fn network_event(&mut self, from: FromNetwork) {
        match from {
            FromNetwork::Accepted(link) => {
                let id = self.call.accept_link();
                self.input(Input::Accepted(id));
                self.pump(id, link);
            }
            FromNetwork::Dialled(id, Ok(link)) => self.pump(id, link),
            FromNetwork::Dialled(id, Err(error)) => {
                let why = match &error {
                    DialError::TimedOut { .. } => DialFailure::TimedOut,
                    DialError::Incompatible { .. } => DialFailure::Incompatible,
                    _ => DialFailure::Network(error.to_string()),
                };
                self.input(Input::DialFailed(id, why));
            }
            FromNetwork::Event(id, event) => {
                if let Some(witness) = &self.config.witness {
                    let from = self.call.member_of(id);
                    witness.delivered(id, from, &event, self.now());
                }
                if matches!(event, LinkEvent::Down(_)) {
                    self.links.remove(&id);
                }
                self.input(Input::Link(id, event));
            }
            FromNetwork::Words(epoch, words) => self.input(Input::Words(epoch, words)),
        }
    }

    /// Brings a connection's events into the loop, until it is down.
    fn pump(&mut self, id: LinkId, link: Link) {
        let to_loop = self.to_loop.clone();
        self.links.insert(id, link.clone());
        tokio::spawn(async move {
            loop {
                let event = link.event().await;
                let down = matches!(event, LinkEvent::Down(_));
                if to_loop.send(FromNetwork::Event(id, event)).await.is_err() || down {
                    return;
                }
            }
        });
    }

    fn publish(&mut self, now: Now) {
        let call = self.call.view();
        let mut links = BTreeMap::new();
        for member in &call.members {
            let LinkView::Direct(id, _) = member.link else { continue };
            let Some(link) = self.links.get(&id) else { continue };
            let stats = link.stats();
            self.video_in.send(VideoInMessage::RoundTrip(member.id, stats.rtt), now);
            links.insert(
                member.id,
                LinkReport {
                    rtt: stats.rtt,
                    tx_bytes: stats.tx_bytes,
                    rx_bytes: stats.rx_bytes,
                    tx_packets: stats.tx_packets,
                    rx_packets: stats.rx_packets,
                    lost_packets: stats.lost_packets,
                },
            );
        }
        let budgets: BTreeMap<MemberId, Budget> = self.call.budgets(now.mono);
        let media = self.media.clone();
        self.view.send_replace(Arc::new(NodeView { at: now.mono, call, media, links, budgets }));
    }

    /// Says the last things, then lets the connections go.
    async fn close_down(&mut self) {
        let now = self.now();
        self.publish(now);
        for link in std::mem::take(&mut self.links).into_values() {
            link.close(close::LEFT);
        }
        for event in std::mem::take(&mut self.pending) {
            if self.events.try_send(event).is_err() {
                break;
            }
        }
        self.endpoint.close_all(close::LEFT);
        // quinn sends the closing frames while somebody waits for it; a dead peer isn't waited for.
        let _ = tokio::time::timeout(Duration::from_millis(500), self.endpoint.wait_idle()).await;
    }
}

/// Of two settings the one that needs less and protects more.
fn thinner(a: AudioSettings, b: AudioSettings) -> AudioSettings {
    AudioSettings {
        bps: a.bps.min(b.bps),
        millis: a.millis.max(b.millis),
        loss_pct: a.loss_pct.max(b.loss_pct),
        deep_ms: a.deep_ms.max(b.deep_ms),
    }
}
