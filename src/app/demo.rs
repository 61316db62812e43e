//! The demonstration: Ada and Ben, in one process but each with keys, endpoint and codecs of
//! their own, call each other over real UDP sockets – through Eve, who carries every packet.

use crate::app::exit::{Exit, Failure};
use crate::app::mischief;
use crate::app::model::{Rates, SUITE};
use crate::app::options::{DemoOptions, Front};
use crate::app::out::Out;
use crate::app::run::runtime;
use crate::app::stage::{self, Board, Pictures, ScreenSink, Stage, Wake};
use crate::call::{Admit, Call, CallConfig, Command as CallCommand, Event, LinkView, Tracks};
use crate::config::{PatternKind, VideoSpec};
use crate::identity::{DisplayName, Fingerprint, IdentityKey};
use crate::invite::Invite;
use crate::media::apm::ApmConfig;
use crate::media::frame::Size;
use crate::media::sink::null::NoSpeaker;
use crate::media::source::voice::{Speech, Voice};
use crate::media::source::{self, VideoOptions, pattern};
use crate::node::{
    Clock, MediaEnds, Node, NodeCommand, NodeConfig, NodeEvent, NodeHandle, NodeView, OWN, Runner,
};
use crate::paint::{Depth, Look, Mode, Tones};
use crate::seal::Receipt;
use crate::secret::Secret;
use crate::sim::attacks::live::{self, Mischief, Trick};
use crate::sim::eve::{Eve, EveView, Window};
use crate::sim::evidence::{Delivered, Evidence, Recorded};
use crate::sim::line::{Line, LineOptions};
use crate::sim::net::Happened;
use crate::sim::search::Kind;
use crate::transport::{Endpoint, EndpointOptions, Socket, bind_udp};
use crate::tui::keymap;
use crate::tui::model::{
    DemoFlow, DemoScreen, EveSees, Model, Screen, SearchRow, TileInfo, TileRole, Trust,
};
use crate::tui::plain::demo_lines;
use crate::tui::theme::Theme;
use crate::tui::update::Command;
use crate::wire::link::MemberId;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Frame rate of the demonstration's pictures, in tenths of fps.
const DECIFPS: u16 = 250;
/// Tile of a demonstration without a screen.
const TILE: Size = Size::new(240, 144);
/// Columns and rows of the picture of the screen.
const SHOT: (u16, u16) = (120, 30);
/// How long the picture of the screen waits for the call to be in full swing.
const SHOT_AFTER: Duration = Duration::from_secs(4);
/// An attack asked for on the command line begins this long after the call.
const ATTACK_AFTER: Duration = Duration::from_secs(2);
/// Leaving in order may take this long.
const GRACE: Duration = Duration::from_secs(2);
/// Ada founds the call, Ben joins.
const ADA: MemberId = MemberId(0);
const BEN: MemberId = MemberId(1);

/// One of the two.
struct Side {
    commands: mpsc::Sender<NodeCommand>,
    view: watch::Receiver<Arc<NodeView>>,
    rosters: BTreeMap<u64, [u8; 32]>,
    rates: Rates,
}

/// The whole demonstration, as its owner sees it.
struct Demo {
    sides: [Side; 2],
    eve: Arc<Mutex<Eve>>,
    pictures: Arc<Pictures>,
    eve_view: EveView,
    handed_over: bool,
    /// UDP ports of Ada, of Eve's door for Ada, of Ben.
    ports: (u16, u16, u16),
    started: Instant,
    /// Let in without asking; nobody else is.
    ben: Fingerprint,
    mischief: Mischief,
    tricks: mpsc::Sender<Trick>,
    evidence: Evidence,
    exporting: Option<String>,
}

/// Runs the demonstration on the terminal, or as lines.
pub fn run(options: &DemoOptions) -> Result<Exit, Failure> {
    if let Some(path) = &options.shot {
        return shot(path, options);
    }
    match options.front {
        Front::Screen => screen(options),
        Front::Plain | Front::Json => plain(options),
    }
}

/// Sets everything up inside a runtime.
async fn set_up(
    pictures: Arc<Pictures>,
    wake: SyncSender<Wake>,
    fixed: (Option<Size>, Option<u16>),
    keep: &Keep,
) -> Result<(Demo, [Node; 2], [mpsc::Receiver<NodeEvent>; 2], Arc<Line>), Failure> {
    let bug = |e: &dyn std::fmt::Display| Failure::new(Exit::Bug, e);
    let clock = Clock::Real;
    let now = clock.now();
    let line = Arc::new(Line::open(LineOptions { opened: now.wall, ..LineOptions::default() }));
    let unwritable =
        |e: std::io::Error| Failure::new(Exit::Usage, format_args!("cannot write a file: {e}"));
    let evidence = Evidence::open(keep.quic.as_deref(), keep.keys.as_deref(), now);
    let evidence = evidence.map_err(unwritable)?;
    if let Some(path) = &keep.tap {
        let file = std::fs::File::create(path).map_err(|e| {
            Failure::new(Exit::Usage, format_args!("cannot write {}: {e}", path.display()))
        })?;
        line.capture(Box::new(std::io::BufWriter::new(file))).map_err(|e| bug(&e))?;
    }
    let mut rng = crate::app::entropy();
    let guess = Secret::build(|bytes| rng.fill_bytes(bytes));
    let eve = Arc::new(Mutex::new(Eve::new(guess).map_err(|e| bug(&e))?));
    let tapped = Arc::clone(&eve);
    line.tap(Box::new(move |seen| {
        if seen.what == Happened::Sent {
            lock(&tapped).datagram(&seen.datagram.bytes);
        }
    }));

    let sockets = [loopback_socket()?, loopback_socket()?];
    let address = |n: usize| sockets[n].local_addr().map_err(|e| bug(&e));
    let (ada_at, ben_at) = (address(0)?, address(1)?);
    // The only address of Ada's that Ben ever learns is Eve's.
    let door = line.door(ada_at).map_err(|e| Failure::new(Exit::Unreachable, e))?;

    let names = ["Ada Byron", "Ben Nevis"];
    let identities = [identity(&mut rng), identity(&mut rng)];
    let ada = Call::host(
        config(names[0], Admit::Ask)?,
        Arc::clone(&identities[0]),
        vec![door],
        now,
        &mut *rng,
    )
    .map_err(|e| bug(&e))?;
    let text = ada.view().invites.last().map(|i| i.text.clone()).unwrap_or_default();
    let invite = Invite::parse(&text).map_err(|e| bug(&e))?;
    {
        let mut eve = lock(&eve);
        for name in names {
            eve.look_for(Kind::Name, name.as_bytes());
        }
        eve.look_for(Kind::Invite, invite.secret.expose());
        eve.look_for(Kind::Invite, invite.k_proof().expose());
        eve.look_for(Kind::Invite, invite.psk().expose());
        for identity in &identities {
            eve.look_for(Kind::PrivateKey, identity.seed_for_storage().expose());
        }
    }
    let (tricks, told) = mpsc::channel(4);
    let mischief = Mischief::default();
    let setting = live::Setting {
        line: Arc::clone(&line),
        eve: Arc::clone(&eve),
        ada: ada_at,
        ben: ben_at,
        invite: invite.duplicate(),
    };
    tokio::task::spawn_local(live::serve(setting, told, mischief.clone()));
    let ben = Call::join(
        config(names[1], Admit::Nobody)?,
        Arc::clone(&identities[1]),
        invite,
        now,
        &mut *rng,
    )
    .map_err(|e| bug(&e))?;

    let mut nodes = Vec::new();
    let mut sides = Vec::new();
    let mut events = Vec::new();
    for (n, (call, socket)) in [ada, ben].into_iter().zip(sockets).enumerate() {
        let leaf = call.leaf_key().seed_for_tls_or_mls();
        lock(&eve).look_for(Kind::PrivateKey, leaf.expose());
        let endpoint = Endpoint::bind(Socket::Udp(socket), leaf, EndpointOptions::default())
            .map_err(|e| Failure::new(Exit::Unreachable, e))?;
        let speech = Speech::new(n as u64 + 1, n as u32, 2);
        let video = VideoOptions {
            // Faces as different as can be: identities of the demonstration are made afresh.
            identity: [pattern::ADA, pattern::BEN][n].to_vec(),
            seed: n as u64 + 1,
            decifps: DECIFPS,
            mouth: Voice::mouth(speech),
            ..VideoOptions::new(now.mono)
        };
        let pattern = VideoSpec::Pattern(PatternKind::Face);
        let ends = MediaEnds {
            apm: ApmConfig::OFF,
            video: Some(source::open_video(&pattern, video).map_err(|e| bug(&e))?),
            view: Box::new(ScreenSink {
                pictures: Arc::clone(&pictures),
                role: Box::new(move |who| seen_by(n, who)),
                wake: wake.clone(),
                origin: Some(now.mono),
                fixed,
            }),
            mic: Some(Box::new(Voice::new(speech, now.mono))),
            speaker: Some(Box::new(NoSpeaker::default())),
            origin: now.mono,
            decifps: DECIFPS,
        };
        let window = Window { eve: Arc::clone(&eve), watched: n == 1 };
        let receiver = n as u8;
        let witness = Recorded { window, evidence: evidence.clone(), receiver };
        let config = NodeConfig {
            runner: Runner::Threads,
            clock,
            witness: Some(Arc::new(witness)),
            rng: crate::app::entropy(),
        };
        let tracks = Tracks { mic: true, camera: true };
        let (node, handle) =
            Node::new(call, endpoint, ends, tracks, config).map_err(|e| bug(&e))?;
        let NodeHandle { commands, events: receiver, view } = handle;
        nodes.push(node);
        events.push(receiver);
        sides.push(Side { commands, view, rosters: BTreeMap::new(), rates: Rates::default() });
    }
    let two = |_: Vec<_>| Failure::new(Exit::Bug, "two participants were expected");
    let nodes: [Node; 2] = nodes.try_into().map_err(|_| two(Vec::<()>::new()))?;
    let sides: [Side; 2] = sides.try_into().map_err(|_| two(Vec::<()>::new()))?;
    let events: [mpsc::Receiver<NodeEvent>; 2] =
        events.try_into().map_err(|_| two(Vec::<()>::new()))?;
    let demo = Demo {
        sides,
        eve,
        pictures,
        eve_view: EveView::BrokenTls,
        handed_over: false,
        ports: (ada_at.port(), door.port(), ben_at.port()),
        started: now.mono,
        ben: Fingerprint::of(&identities[1].public()),
        mischief,
        tricks,
        evidence,
        exporting: keep.keys.as_ref().map(|path| path.display().to_string()),
    };
    Ok((demo, nodes, events, line))
}

/// Ada sees Ben, Ben sees Ada; their self-views are not shown.
fn seen_by(side: usize, who: MemberId) -> Option<TileRole> {
    match (side, who) {
        (_, OWN) => None,
        (0, _) => Some(TileRole::Ada),
        _ => Some(TileRole::Ben),
    }
}

fn loopback_socket() -> Result<std::net::UdpSocket, Failure> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    bind_udp(Some(any)).map_err(|e| Failure::new(Exit::Unreachable, e))
}

fn identity(rng: &mut Box<dyn rand::CryptoRng + Send>) -> Arc<IdentityKey> {
    Arc::new(IdentityKey::generate(&mut **rng))
}

fn config(name: &str, admit: Admit) -> Result<CallConfig, Failure> {
    Ok(CallConfig {
        name: DisplayName::parse(name).map_err(|e| Failure::new(Exit::Bug, e))?,
        admit,
        expect: None,
        // One for Ben, one for whoever copies it.
        invite_uses: 2,
        invite_life: Duration::from_secs(3600),
        tracks: Tracks { mic: true, camera: true },
        known: Vec::new(),
        addresses: Vec::new(),
        knock_life: Duration::from_secs(120),
        constant_rate: false,
    })
}

fn lock(eve: &Mutex<Eve>) -> MutexGuard<'_, Eve> {
    eve.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Demo {
    fn tell(&self, side: usize, command: NodeCommand) {
        // A full queue means that the network's thread hangs; leaving ends it.
        let _ = self.sides[side].commands.try_send(command);
    }

    fn event(&mut self, side: usize, event: &NodeEvent) {
        match event {
            NodeEvent::Call(Event::Epoch { epoch, roster, .. }) => {
                self.sides[side].rosters.insert(*epoch, *roster);
            }
            NodeEvent::Call(Event::Knock { id, fingerprint, .. }) if *fingerprint == self.ben => {
                self.tell(side, NodeCommand::Call(CallCommand::Admit(*id)));
            }
            _ => {}
        }
    }

    /// The roster up to this epoch is before the user's eyes, on both sides.
    fn shown(&mut self, epoch: u64) {
        for side in &mut self.sides {
            while let Some(first) = side.rosters.first_entry().filter(|e| *e.key() <= epoch) {
                let (epoch, roster) = first.remove_entry();
                let receipt = Receipt::shown(epoch, roster);
                let _ = side.commands.try_send(NodeCommand::RosterShown(receipt));
            }
        }
    }

    /// Hands Eve Ben's keys for Ada's frames of this epoch.
    fn hand_over(&mut self) {
        self.tell(1, NodeCommand::TellWitness(ADA));
        self.handed_over = true;
    }

    /// Eve attacks while the call goes on.
    fn attack(&self, key: u8) {
        if let Some(trick) = Trick::of(key) {
            // A full queue means that the network's thread hangs; leaving ends it.
            let _ = self.tricks.try_send(trick);
        }
    }

    /// New keys for everybody: what Eve was given is worth nothing any more.
    fn new_keys(&mut self) {
        self.tell(0, NodeCommand::Call(CallCommand::Rekey));
        self.handed_over = false;
    }

    fn leave(&self) {
        self.tell(1, NodeCommand::Call(CallCommand::Leave));
        self.tell(0, NodeCommand::Call(CallCommand::Leave));
    }

    /// Paints what Eve has, and gathers the facts.
    fn facts(&mut self, now: Instant) -> DemoScreen {
        let views = [0, 1].map(|n| self.sides[n].view.borrow().clone());
        for (side, view) in self.sides.iter_mut().zip(&views) {
            side.rates.take(view);
        }
        let eve = lock(&self.eve);
        let (picture, face) = eve.picture(self.eve_view, now);
        self.pictures.put(TileRole::Eve, picture, now, None);
        let found = eve.findings();
        let searches = Kind::ALL.map(|kind| {
            let of = |hits: &crate::sim::search::Hits| hits.get(&kind).copied().unwrap_or(0);
            SearchRow {
                what: kind.word(),
                hits: of(&found.line.hits) + of(&found.quic.hits),
                control: of(&found.control.hits),
            }
        });
        let words = |n: usize| views[n].call.words.as_ref().map(|(_, w)| w.to_string());
        let sees = |n: usize, who: MemberId, role: TileRole| {
            let picture = self.pictures.get(role);
            let name = views[n].call.members.iter().find(|m| m.id == who);
            TileInfo {
                trust: Trust::Known("the demonstration".into()),
                picture_age: picture.map(|p| now.saturating_duration_since(p.at)),
                ..TileInfo::new(role, name.map_or("-", |m| m.name.as_str()))
            }
        };
        let flow = |from: usize, to: usize, role: TileRole, who: MemberId| {
            let picture = self
                .pictures
                .get(role)
                .filter(|p| now.saturating_duration_since(p.at) < Duration::from_secs(1));
            DemoFlow {
                fps: picture.as_ref().map_or(0.0, |p| p.fps),
                latency_ms: picture.and_then(|p| p.latency).map(|l| l.as_millis() as u32),
                loss_pct: views[from].budgets.get(&who).map_or(0.0, |b| (b.loss * 100.0) as f32),
                kbps: self.sides[to].rates.down,
            }
        };
        let eve_port = views[0].call.members.iter().find_map(|m| match m.link {
            LinkView::Direct(_, at) => Some(at.port()),
            _ => None,
        });
        DemoScreen {
            ada: sees(0, BEN, TileRole::Ada),
            eve: TileInfo {
                picture_age: Some(Duration::ZERO),
                ..TileInfo::new(TileRole::Eve, "Eve")
            },
            ben: sees(1, ADA, TileRole::Ben),
            eve_sees: match self.eve_view {
                EveView::Line => EveSees::Udp,
                EveView::BrokenTls => EveSees::Quic,
            },
            handed_over: self.handed_over && (face || self.eve_view == EveView::Line),
            ports: [self.ports.0, eve_port.unwrap_or(0), self.ports.1, self.ports.2],
            epoch: [views[0].call.epoch, views[1].call.epoch],
            suite: SUITE.to_owned(),
            words: [words(0), words(1)],
            roster: views[0].call.members.iter().map(|m| m.name.clone()).collect(),
            flows: [flow(0, 1, TileRole::Ben, BEN), flow(1, 0, TileRole::Ada, ADA)],
            searches: searches.to_vec(),
            entropy: [&found.control, &found.line]
                .map(|tap| tap.entropy.bits_per_byte().unwrap_or(0.0) as f32),
            seen: [found.line.packets, found.line.bytes],
            tried: [found.tried, found.opened],
            attack: mischief::in_words(&self.mischief, &views, now),
            exporting: self.exporting.clone(),
        }
    }
}

/// On the terminal.
fn screen(options: &DemoOptions) -> Result<Exit, Failure> {
    let log = std::fs::OpenOptions::new().append(true).open(options.base.log.path()).ok();
    let stage = Stage::open(options.graphics, Tones::default(), log, DECIFPS)?;
    let (tell, told) = sync_channel(1);
    let (wakes, pictures) = (stage.waker.clone(), Arc::clone(&stage.pictures));
    let keep = Keep::of(options);
    let network = std::thread::Builder::new().name("facetty net".into()).spawn(move || {
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(failure) => {
                let _ = tell.send(Err(failure));
                return;
            }
        };
        let local = tokio::task::LocalSet::new();
        runtime.block_on(local.run_until(async {
            match set_up(pictures, wakes.clone(), (None, None), &keep).await {
                Err(failure) => {
                    let _ = tell.send(Err(failure));
                }
                Ok((demo, nodes, events, line)) => {
                    if tell.send(Ok(demo)).is_err() {
                        return;
                    }
                    let [one, two] = nodes.map(|node| tokio::task::spawn_local(node.run()));
                    for (n, mut receiver) in events.into_iter().enumerate() {
                        let wakes = wakes.clone();
                        tokio::task::spawn_local(async move {
                            while let Some(event) = receiver.recv().await {
                                stage::wake(&wakes, Wake::Node(n, event)).await;
                            }
                        });
                    }
                    let reason = one.await;
                    let _ = two.await;
                    let _ = line.flush_capture();
                    if let Ok(reason) = reason {
                        stage::wake(&wakes, Wake::Ended(reason)).await;
                    }
                }
            }
        }));
    });
    if let Err(error) = network {
        stage.close();
        return Err(Failure::new(Exit::Bug, format_args!("cannot start a thread: {error}")));
    }
    match told.recv() {
        Ok(Ok(demo)) => show(stage, demo, options),
        Ok(Err(failure)) => {
            stage.close();
            Err(failure)
        }
        Err(_) => {
            stage.close();
            Err(Failure::new(Exit::Bug, "the network's thread ended"))
        }
    }
}

fn theme(depth: Depth) -> Theme {
    Theme::for_env(std::env::var_os("NO_COLOR").as_deref(), depth == Depth::True)
}

fn show(mut stage: Stage, mut demo: Demo, options: &DemoOptions) -> Result<Exit, Failure> {
    let now = stage::instant();
    let facts = demo.facts(now);
    let mut model = Model::new(Screen::Demo(Box::new(facts)), theme(stage.depth()), true, true);
    let end = options.seconds.map(|s| demo.started + s);
    let mut leaving: Option<(Instant, Exit)> = None;
    loop {
        let due = [model.due(), leaving.map(|(at, _)| at), end].into_iter().flatten().min();
        let mut command = None;
        match stage.wait(due) {
            Some(Wake::Term(crate::term::Event::Key(key))) => {
                if let Some((key, press)) = keymap::from_event(key) {
                    command = model.press(key, press, stage::instant());
                }
            }
            Some(Wake::Term(crate::term::Event::Terminate(2))) => {
                leaving.get_or_insert((stage::instant() + GRACE, Exit::Interrupted));
                demo.leave();
            }
            Some(Wake::Term(crate::term::Event::Terminate(_) | crate::term::Event::Lost)) => {
                leaving.get_or_insert((stage::instant() + GRACE, Exit::Terminated));
                demo.leave();
            }
            Some(Wake::Term(crate::term::Event::Suspend)) => stage.suspend()?,
            Some(Wake::Node(side, event)) => demo.event(side, &event),
            Some(Wake::Ended(_)) => break,
            _ => {}
        }
        let now = stage::instant();
        command = command.or_else(|| model.tick(now));
        match command {
            Some(Command::HandOver) => demo.hand_over(),
            Some(Command::NewKeys) => demo.new_keys(),
            Some(Command::Attack(key)) => demo.attack(key),
            Some(Command::SwitchEve) => {
                demo.eve_view = match demo.eve_view {
                    EveView::Line => EveView::BrokenTls,
                    EveView::BrokenTls => EveView::Line,
                };
            }
            Some(Command::NextGraphics) => stage.next_graphics(),
            Some(Command::Redraw) => stage.invalidate(),
            Some(Command::Suspend) => stage.suspend()?,
            Some(Command::Leave) => {
                leaving.get_or_insert((now + GRACE, Exit::Ended));
                demo.leave();
            }
            _ => {}
        }
        if end.is_some_and(|at| at <= now) && leaving.is_none() {
            leaving = Some((now + GRACE, Exit::Ended));
            demo.leave();
        }
        if leaving.is_some_and(|(at, _)| at <= now) {
            break;
        }
        model.screen = Screen::Demo(Box::new(demo.facts(now)));
        if let Some(epoch) = stage.draw(&model) {
            demo.shown(epoch);
        }
    }
    let facts = demo.facts(stage::instant());
    stage.close();
    demo.evidence.finish().map_err(|e| Failure::new(Exit::Device, e))?;
    let mut out = Out::default();
    let (hits, control) = facts.totals();
    out.line(format_args!(
        "The line carried {} packets; of what was said, shown or named, Eve found {hits} (control {control}).",
        facts.seen[0]
    ));
    out.end(leaving.map_or(Exit::Ended, |(_, exit)| exit))
}

/// As lines: for scripts, and without a terminal.
fn plain(options: &DemoOptions) -> Result<Exit, Failure> {
    let seconds = options.seconds.unwrap_or(Duration::from_secs(10));
    let (facts, painted, delivered) = watch_call(options, seconds, None)?;
    let mut out = Out::default();
    for line in demo_lines(&facts).into_iter().chain(mischief::delivered_lines(&delivered)) {
        out.line(line);
    }
    if let Some(attack) = &facts.attack {
        let over = if attack.over { " (over)" } else { "" };
        out.line(format_args!("attack {} {} → {}{over}", attack.key, attack.eve, attack.members));
    }
    if let Some(file) = &facts.exporting {
        out.line(crate::tui::strings::exporting(file));
    }
    out.line(format_args!("painted ada {} ben {}", painted[0], painted[1]));
    let (hits, control) = facts.totals();
    let verdicts = [
        (hits == 0, "something that must not be there was found on the line"),
        (control > 0, "the search found nothing before sealing either: it proves nothing"),
        (facts.words_agree(), "the call words differ"),
        (painted.iter().all(|n| *n > 0), "a side painted nothing"),
    ];
    let mut exit = Exit::Ended;
    for (_, what) in verdicts.iter().filter(|(holds, _)| !holds) {
        out.line(format_args!("failed: {what}"));
        exit = Exit::Failed;
    }
    if exit == Exit::Ended {
        out.line("verdict: held");
    }
    out.end(exit)
}

/// A picture of the screen, drawn without a terminal.
fn shot(path: &Path, options: &DemoOptions) -> Result<Exit, Failure> {
    let svg = std::cell::RefCell::new(String::new());
    let mut board: Option<Board> = None;
    let mut draw = |facts: &DemoScreen, pictures: &Arc<Pictures>, now: Instant| {
        let board = board.get_or_insert_with(|| {
            Board::new(SHOT, Look::Cells(Mode::Sextant), Depth::True, Arc::clone(pictures), DECIFPS)
        });
        let screen = Screen::Demo(Box::new(facts.clone()));
        let model = Model::new(screen, Theme::colour(), true, true);
        board.compose(&model, now, None);
        *svg.borrow_mut() = board.svg("facetty demo");
    };
    watch_call(options, SHOT_AFTER, Some(&mut draw))?;
    std::fs::write(path, svg.into_inner()).map_err(|e| {
        Failure::new(Exit::Usage, format_args!("cannot write {}: {e}", path.display()))
    })?;
    Ok(Exit::Ended)
}

/// What is kept of a demonstration.
struct Keep {
    tap: Option<PathBuf>,
    quic: Option<PathBuf>,
    keys: Option<PathBuf>,
}

impl Keep {
    fn of(options: &DemoOptions) -> Self {
        let DemoOptions { tap, tap_quic, export_keys, .. } = options;
        Self { tap: tap.clone(), quic: tap_quic.clone(), keys: export_keys.clone() }
    }
}

/// Draws the facts somewhere.
type Draw<'a> = &'a mut dyn FnMut(&DemoScreen, &Arc<Pictures>, Instant);

/// Lets the two call each other for a while; returns the facts and how many pictures were shown
/// to Ada and to Ben.
fn watch_call(
    options: &DemoOptions,
    seconds: Duration,
    mut draw: Option<Draw<'_>>,
) -> Result<(DemoScreen, [u64; 2], Delivered), Failure> {
    let (wake, wakes) = sync_channel(1);
    let pictures = Arc::new(Pictures::default());
    let fixed = if draw.is_some() { (None, None) } else { (Some(TILE), Some(DECIFPS)) };
    runtime()?.block_on(tokio::task::LocalSet::new().run_until(async {
        let (mut demo, nodes, mut events, line) =
            set_up(Arc::clone(&pictures), wake, fixed, &Keep::of(options)).await?;
        let running = nodes.map(|node| tokio::task::spawn_local(node.run()));
        let end = tokio::time::Instant::now() + seconds;
        let mut attack = options.attack.map(|key| (demo.started + ATTACK_AFTER, key));
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            let [one, two] = &mut events;
            tokio::select! {
                biased;
                Some(event) = one.recv() => demo.event(0, &event),
                Some(event) = two.recv() => demo.event(1, &event),
                _ = tick.tick() => {
                    let now = stage::instant();
                    if let Some((_, key)) = attack.take_if(|(at, _)| *at <= now) {
                        demo.attack(key);
                    }
                    let facts = demo.facts(now);
                    if let Some(draw) = &mut draw {
                        draw(&facts, &pictures, now);
                        while wakes.try_recv().is_ok() {}
                    }
                }
                () = tokio::time::sleep_until(end) => break,
            }
            // Without a screen the roster is in the lines of the end; with one, in its picture.
            demo.shown(u64::MAX);
        }
        let facts = demo.facts(stage::instant());
        let painted = [TileRole::Ada, TileRole::Ben]
            .map(|role| pictures.get(role).map_or(0, |p| p.serial + 1));
        demo.leave();
        for node in running {
            let _ = tokio::time::timeout(GRACE, node).await;
        }
        line.flush_capture().map_err(|e| Failure::new(Exit::Device, e))?;
        demo.evidence.finish().map_err(|e| Failure::new(Exit::Device, e))?;
        Ok((facts, painted, demo.evidence.delivered()))
    }))
}
