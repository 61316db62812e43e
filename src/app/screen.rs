//! A call on the terminal: the screen's thread beside the thread of transport and call.

use crate::app::contacts::Book;
use crate::app::exit::{Exit, Failure};
use crate::app::headless::{Aim, dial_failure, exit_of};
use crate::app::history::History;
use crate::app::keeper::Keeper;
use crate::app::model::{self, Rates, Showing};
use crate::app::options::{PartyOptions, Way};
use crate::app::party;
use crate::app::run::runtime;
use crate::app::stage::{self, Pictures, ScreenSink, Stage, Wake};
use crate::call::{Command as CallCommand, EndReason, Event, KnockId, LeftHow, Phase};
use crate::identity::{Fingerprint, IdentityKey, IdentityPublic};
use crate::media::seams::FrameSink;
use crate::node::{NodeCommand, NodeEvent, NodeView, OWN};
use crate::seal::Receipt;
use crate::store::contacts::Contacts;
use crate::term;
use crate::tui::keymap;
use crate::tui::model::{Model, Screen, TileRole};
use crate::tui::strings;
use crate::tui::summary::{self, Summary};
use crate::tui::theme::Theme;
use crate::tui::update::Command;
use crate::wire::link::MemberId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Leaving in order may take this long; then the screen goes anyway.
const GRACE: Duration = Duration::from_secs(2);
/// A stopping process waits this long for its media to stop first.
const STOPPING: Duration = Duration::from_millis(400);
/// Knocks are refused after this time unanswered.
const KNOCK_LIFE: Duration = Duration::from_secs(120);

/// The bell rings again after this time while a contact calls.
const RING_AGAIN: Duration = Duration::from_secs(3);

/// What the network's thread hands over when it is up.
struct Up {
    commands: mpsc::Sender<NodeCommand>,
    view: watch::Receiver<Arc<NodeView>>,
    notes: Vec<String>,
    addresses: Vec<SocketAddr>,
}

/// Runs a call on the terminal until it ends.
pub fn run(
    options: &PartyOptions,
    key: Arc<IdentityKey>,
    contacts: &Contacts,
    way: Way,
    first_run: Option<String>,
) -> Result<Exit, Failure> {
    let expects = match &way {
        Way::Join(invite) => Some(Fingerprint::of(&invite.host).to_string()),
        Way::Ring(callee) => Some(Fingerprint::of(&callee.identity).to_string()),
        Way::Host | Way::Listen { .. } => None,
    };
    let calling = match &way {
        Way::Ring(callee) => Some(callee.name.clone()),
        _ => None,
    };
    let aim = Aim::of(&way);
    let log = std::fs::OpenOptions::new().append(true).open(options.base.log.path()).ok();
    let decifps = options.media.decifps.unwrap_or(300);
    let stage = Stage::open(options.media.graphics, options.media.tones, log, decifps)?;
    let sink = sink(options, &stage)?;
    let up = start(options, key, contacts, way, sink, stage.waker.clone());
    let up = match up {
        Ok(up) => up,
        Err(failure) => {
            stage.close();
            return Err(failure);
        }
    };
    let keeper = match crate::app::run::keeper(options) {
        Ok(keeper) => keeper,
        Err(failure) => {
            stage.close();
            return Err(failure);
        }
    };
    let mut play = Play::new(stage, up, options, expects, aim);
    play.keeper = keeper;
    play.show_ledger_file();
    play.showing.calling = calling;
    play.showing.listening = matches!(aim, Aim::Listen { .. });
    if let Some(line) = first_run {
        play.model.tell(line, stage::instant());
    }
    play.run()
}

fn sink(options: &PartyOptions, stage: &Stage) -> Result<Box<dyn FrameSink>, Failure> {
    if options.media.view != crate::config::ViewSpec::Tty {
        return crate::app::run::view(options);
    }
    Ok(Box::new(ScreenSink {
        pictures: Arc::clone(&stage.pictures),
        role: Box::new(role),
        wake: stage.waker.clone(),
        origin: None,
        fixed: (options.media.tile, options.media.decifps),
    }))
}

#[expect(clippy::unnecessary_wraps, reason = "the demonstration hides some")]
fn role(who: MemberId) -> Option<TileRole> {
    Some(if who == OWN { TileRole::Own } else { TileRole::Member(who) })
}

/// Starts the thread of transport and call.
fn start(
    options: &PartyOptions,
    key: Arc<IdentityKey>,
    contacts: &Contacts,
    way: Way,
    sink: Box<dyn FrameSink>,
    wakes: SyncSender<Wake>,
) -> Result<Up, Failure> {
    let (options, contacts) = (options.clone(), contacts.clone());
    let (tell, told) = sync_channel(1);
    std::thread::Builder::new()
        .name("facetty net".into())
        .spawn(move || {
            let runtime = match runtime() {
                Ok(runtime) => runtime,
                Err(failure) => {
                    let _ = tell.send(Err(failure));
                    return;
                }
            };
            let local = tokio::task::LocalSet::new();
            runtime.block_on(local.run_until(async {
                let party = match party::assemble(&options, key, &contacts, way, sink, true) {
                    Ok(party) => party,
                    Err(failure) => {
                        let _ = tell.send(Err(failure));
                        return;
                    }
                };
                let mut handle = party.handle;
                let up = Up {
                    commands: handle.commands,
                    view: handle.view,
                    notes: party.notes,
                    addresses: party.addresses,
                };
                if tell.send(Ok(up)).is_err() {
                    return;
                }
                let events = wakes.clone();
                let forward = tokio::task::spawn_local(async move {
                    while let Some(event) = handle.events.recv().await {
                        stage::wake(&events, Wake::Node(0, event)).await;
                    }
                });
                let reason = party.node.run().await;
                // All events come before the end.
                let _ = forward.await;
                stage::wake(&wakes, Wake::Ended(reason)).await;
            }));
        })
        .map_err(|e| Failure::new(Exit::Bug, format_args!("cannot start a thread: {e}")))?;
    told.recv().unwrap_or_else(|_| Err(Failure::new(Exit::Bug, "the network thread ended")))
}

/// A call being shown.
struct Play<'o> {
    stage: Stage,
    up: Up,
    options: &'o PartyOptions,
    model: Model,
    showing: Showing,
    rosters: BTreeMap<u64, [u8; 32]>,
    with: Vec<String>,
    lasted: Duration,
    book: Book,
    keeper: Keeper,
    media_held: bool,
    aim: Aim,
    /// When the bell rang last for a contact who calls.
    rung: Option<Instant>,
    leaving: Option<Instant>,
    exit: Option<Exit>,
    end: Option<Instant>,
}

impl<'o> Play<'o> {
    fn new(
        stage: Stage,
        up: Up,
        options: &'o PartyOptions,
        expects: Option<String>,
        aim: Aim,
    ) -> Self {
        let now = stage::instant();
        let mut showing = Showing {
            since: None,
            knock_life: KNOCK_LIFE,
            addresses: up.addresses.clone(),
            expects,
            calling: None,
            not_reached: None,
            ledger: None,
            listening: false,
            compared: None,
            changed: None,
            history: History::default(),
            rates: Rates::default(),
            camera_lost: None,
        };
        let view = up.view.borrow().clone();
        let screen = screen_of(&view, &mut showing, &stage.pictures, stage.graphics(), now);
        let theme = Theme::for_env(
            std::env::var_os("NO_COLOR").as_deref(),
            stage.depth() == crate::paint::Depth::True,
        );
        let mut model = Model::new(screen, theme, view.media.mic_on, view.media.camera_on);
        for note in &up.notes {
            model.tell(note.clone(), now);
        }
        let end = options.seconds.map(|s| now + s);
        Self {
            stage,
            up,
            options,
            model,
            showing,
            rosters: BTreeMap::new(),
            with: Vec::new(),
            lasted: Duration::ZERO,
            book: Book::new(options.base.paths.contacts.clone(), options.expect),
            keeper: Keeper::default(),
            media_held: false,
            aim,
            rung: None,
            leaving: None,
            exit: None,
            end,
        }
    }

    fn run(mut self) -> Result<Exit, Failure> {
        loop {
            let due = [self.model.due(), self.leaving, self.end].into_iter().flatten().min();
            match self.stage.wait(due) {
                Some(Wake::Term(event)) => self.terminal(event)?,
                Some(Wake::Node(_, event)) => self.node_event(event),
                Some(Wake::Ended(reason)) => return self.ended(&reason),
                Some(Wake::Picture | Wake::Ready) | None => {}
            }
            let now = stage::instant();
            if let Some(command) = self.model.tick(now) {
                self.command(command)?;
            }
            if self.leaving.is_some_and(|at| at <= now) {
                // The network's thread hangs: the screen goes anyway.
                return self.ended(&EndReason::Left);
            }
            if self.end.is_some_and(|at| at <= now) && self.leaving.is_none() {
                self.leave(Exit::Ended);
            }
            self.refresh(now);
            if let Some(epoch) = self.stage.draw(&self.model) {
                self.shown(epoch);
            }
            self.model.saw(self.stage.seen(), stage::instant());
        }
    }

    /// Fills the model from the newest view.
    fn refresh(&mut self, now: Instant) {
        let view = self.up.view.borrow().clone();
        if view.call.phase == Phase::InCall && self.showing.since.is_none() {
            self.showing.since = Some(now);
        }
        if let Some(since) = self.showing.since {
            self.lasted = now.saturating_duration_since(since);
        }
        let graphics = self.stage.graphics();
        self.model.cell_px = self.stage.cell_px();
        self.model.screen =
            screen_of(&view, &mut self.showing, &self.stage.pictures, graphics, now);
        let before = self.model.knocks_waiting();
        self.model.set_knocks(model::knocks(&view.call, self.showing.knock_life, now), now);
        let doubts = model::doubts(&view.call);
        let listening = matches!(self.aim, Aim::Listen { .. });
        let waiting = listening && view.call.phase == Phase::Alone;
        self.hold_media(waiting || doubts.iter().any(|d| !d.member));
        let over = waiting && self.showing.since.is_some();
        if over && self.aim == (Aim::Listen { once: true }) {
            self.leave(Exit::Ended);
        }
        self.ring(&view, now);
        let doubting = self.model.doubts_waiting();
        self.model.set_doubts(doubts, now);
        if self.model.knocks_waiting() > before || self.model.doubts_waiting() > doubting {
            self.stage.ring();
        }
        if let Err(error) = self.book.follow(&view) {
            tracing::warn!(%error, "contacts");
            self.model.tell(format!("contacts: {error}"), now);
        }
    }

    /// The terminal has taken a frame with the whole roster of `epoch` in it.
    fn shown(&mut self, epoch: u64) {
        if let Some(roster) = self.rosters.remove(&epoch) {
            self.tell(NodeCommand::RosterShown(Receipt::shown(epoch, roster)));
        }
        self.rosters.retain(|e, _| *e > epoch);
    }

    fn tell(&self, command: NodeCommand) {
        // A full queue means that the network's thread hangs; leaving ends it.
        let _ = self.up.commands.try_send(command);
    }

    fn terminal(&mut self, event: term::Event) -> Result<(), Failure> {
        match event {
            term::Event::Key(key) => {
                if let Some((key, press)) = keymap::from_event(key)
                    && let Some(command) = self.model.press(key, press, stage::instant())
                {
                    self.command(command)?;
                }
            }
            term::Event::Terminate(2) => self.leave(Exit::Interrupted),
            term::Event::Terminate(_) | term::Event::Lost => self.leave(Exit::Terminated),
            term::Event::Suspend => self.suspend()?,
            _ => {}
        }
        Ok(())
    }

    fn command(&mut self, command: Command) -> Result<(), Failure> {
        let call = |c| NodeCommand::Call(c);
        match command {
            Command::Mic(on) => self.tell(NodeCommand::Mic(on)),
            Command::Camera(on) => self.tell(NodeCommand::Camera(on)),
            Command::Admit(id) => self.tell(call(CallCommand::Admit(KnockId(id)))),
            Command::Decline(id) => self.tell(call(CallCommand::Decline(KnockId(id)))),
            Command::NewInvite => {
                self.tell(call(CallCommand::NewInvite(self.up.addresses.clone())));
            }
            Command::CopyInvite => {
                let view = self.up.view.borrow().clone();
                if let Some(invite) = view.call.invites.last() {
                    self.stage.copy(&invite.text);
                }
            }
            Command::NextGraphics => {
                self.stage.next_graphics();
                self.model.tell(format!("graphics: {}", self.stage.graphics()), stage::instant());
            }
            Command::WordsMatch(epoch) => {
                self.showing.compared = Some(epoch);
                self.showing.changed = None;
                self.tell(call(CallCommand::WordsCompared(Some(epoch))));
            }
            Command::Remove(member) => {
                self.tell(call(CallCommand::Remove(MemberId(member))));
            }
            Command::Lock(on) => {
                self.tell(call(if on { CallCommand::Lock } else { CallCommand::Unlock }));
            }
            Command::Admitter(member, may) => {
                self.tell(call(CallCommand::Admitter(MemberId(member), may)));
            }
            Command::Readmit(identity) => {
                self.tell(call(CallCommand::Readmit(IdentityPublic(identity))));
            }
            Command::VoidInvite => {
                // The pane shows the newest one.
                let newest = self.up.view.borrow().call.invites.len();
                self.tell(call(CallCommand::VoidInvite(newest)));
            }
            Command::KeepLedger => self.keep_ledger(),
            Command::Believe(identity) => {
                self.tell(call(CallCommand::Believe(IdentityPublic(identity))));
            }
            Command::Disbelieve(identity) => {
                self.tell(call(CallCommand::Disbelieve(IdentityPublic(identity))));
            }
            Command::Redraw => self.stage.invalidate(),
            Command::Suspend => self.suspend()?,
            Command::Leave => self.leave(Exit::Ended),
            // Only the demonstration has an Eve.
            Command::HandOver | Command::NewKeys | Command::SwitchEve | Command::Attack(_) => {}
        }
        self.stage.touch();
        Ok(())
    }

    /// Writes the ledger so far, and what follows, into a file of its own.
    fn keep_ledger(&mut self) {
        let now = stage::instant();
        if let Some(path) = self.keeper.path() {
            let text = format!("the ledger is kept in {}", path.display());
            return self.model.tell(text, now);
        }
        let wall = crate::node::Clock::Real.now().wall;
        let name = format!("{}-{}.jsonl", crate::store::date::day(wall), wall.secs());
        let path = self.options.base.paths.ledgers.join(name);
        let text = match self.keeper.keep(&path) {
            Some(Ok(())) => format!("the ledger is kept in {}", path.display()),
            Some(Err(error)) => format!("the ledger can't be kept: {error}"),
            None => "too late: its first lines are not in memory any more".into(),
        };
        self.show_ledger_file();
        self.model.tell(text, now);
    }

    fn show_ledger_file(&mut self) {
        let name = self.keeper.path().and_then(|p| p.file_name());
        self.showing.ledger = name.map(|n| n.to_string_lossy().into_owned());
    }

    /// A contact calls: the bell, until somebody answers, and a notice where the terminal has them.
    fn ring(&mut self, view: &NodeView, now: Instant) {
        let Some(knock) = view.call.knocks.iter().find(|k| k.ring) else {
            self.rung = None;
            return;
        };
        match self.rung {
            None => self.stage.notify(&format!("{} calls", knock.name)),
            Some(at) if at + RING_AGAIN <= now => self.stage.ring(),
            Some(_) => return,
        }
        self.rung = Some(now);
    }

    /// Nothing is captured while the user has not said whether the host is who it says it is.
    fn hold_media(&mut self, hold: bool) {
        if hold != self.media_held {
            self.media_held = hold;
            let (done, _) = sync_channel(1);
            self.tell(NodeCommand::Suspend(hold, done));
        }
    }

    /// Mutes and stops the camera, then stops the process; goes on where it was.
    fn suspend(&mut self) -> Result<(), Failure> {
        let commands = self.up.commands.clone();
        let ask = |on| {
            let (done, answered) = sync_channel(1);
            let _ = commands.try_send(NodeCommand::Suspend(on, done));
            // A network thread that hangs sends nothing either.
            let _ = answered.recv_timeout(STOPPING);
        };
        ask(true);
        let result = self.stage.suspend();
        ask(false);
        self.media_held = false;
        if self.model.mic || self.model.camera {
            self.model.tell(strings::AGAIN, stage::instant());
        }
        result
    }

    fn leave(&mut self, exit: Exit) {
        if self.leaving.is_none() {
            self.exit = Some(exit);
            self.leaving = Some(stage::instant() + GRACE);
            self.tell(NodeCommand::Call(CallCommand::Leave));
        }
    }

    fn node_event(&mut self, event: NodeEvent) {
        let now = stage::instant();
        match event {
            NodeEvent::Call(Event::Epoch { epoch, roster, .. }) => {
                self.rosters.insert(epoch, roster);
            }
            NodeEvent::Call(Event::Joined { member, .. }) => {
                let view = self.up.view.borrow().clone();
                let name = view.call.members.iter().find(|m| m.id == member && !m.is_me);
                if let Some(member) = name {
                    if !self.with.contains(&member.name) {
                        self.with.push(member.name.clone());
                    }
                    let like = member.looks_like.as_ref();
                    let warning = like.map(|l| format!(": looks like your contact {}", l.name));
                    let warning = warning.unwrap_or_default();
                    self.model.tell(format!("{} joined{warning}", member.name), now);
                    self.words_changed(format!("{} joined", member.name));
                }
            }
            NodeEvent::Call(Event::Ledger { line }) => {
                if let Err(error) = self.keeper.line(&line) {
                    self.model.tell(format!("ledger: {error}"), now);
                }
            }
            NodeEvent::Call(Event::Equivocation { name, .. }) => {
                let text = format!("{name} told members different things: nothing goes to them");
                self.model.tell(text, now);
                self.stage.ring();
            }
            NodeEvent::Call(Event::LostContradicted { name, .. }) => {
                let text = format!("{name} was removed as lost, but was heard here a moment ago");
                self.model.tell(text, now);
            }
            NodeEvent::Call(Event::NotReached { tried }) => {
                let at: Vec<_> =
                    tried.iter().map(|(to, why)| format!("{to} ({})", dial_failure(why))).collect();
                self.showing.not_reached = Some(at.join(", "));
                self.stage.ring();
            }
            NodeEvent::Call(Event::Left { name, how, .. }) => {
                let how = match how {
                    LeftHow::Left => "left",
                    LeftHow::Lost => "was lost",
                    LeftHow::Removed(_) => "was removed",
                };
                self.model.tell(format!("{name} {how}"), now);
                self.words_changed(format!("{name} {how}"));
            }
            NodeEvent::Call(Event::Thin(member, thin)) => {
                let view = self.up.view.borrow().clone();
                let name = view.call.members.iter().find(|m| m.id == member);
                let name = name.map_or("somebody", |m| m.name.as_str());
                self.model.tell(strings::width(name, thin), now);
            }
            NodeEvent::Call(Event::Refused { why, .. }) => {
                self.model.tell(format!("somebody was turned away: {why:?}"), now);
            }
            NodeEvent::MediaLost { what, why } => {
                self.model.tell(format!("{what}: {why}"), now);
                if what.starts_with("camera") || what.starts_with("pipe") {
                    self.showing.camera_lost = Some(format!("{what}: {why}"));
                }
            }
            NodeEvent::Trouble(what) => self.model.tell(what, now),
            _ => {}
        }
    }

    fn words_changed(&mut self, why: String) {
        if self.showing.compared.is_some() {
            self.showing.changed = Some(why);
        }
    }

    fn ended(self, reason: &EndReason) -> Result<Exit, Failure> {
        let result = match (self.exit, exit_of(reason)) {
            (Some(exit), _) => Ok(exit),
            (None, result) => result,
        };
        let failed = self.options.base.log.failures() > 0;
        let summary = Summary {
            with: self.with,
            lasted: self.lasted,
            compared: self.showing.compared.is_some() && self.showing.changed.is_none(),
            reason: None,
            log: failed.then(|| self.options.base.log.path().to_owned()),
        };
        self.stage.close();
        let mut out = crate::app::out::Out::default();
        if result.is_ok() {
            for line in summary::lines(&summary) {
                out.line(line);
            }
        }
        result
    }
}

fn screen_of(
    view: &NodeView,
    showing: &mut Showing,
    pictures: &Pictures,
    graphics: &'static str,
    now: Instant,
) -> Screen {
    match view.call.phase {
        Phase::InCall => {
            Screen::Call(Box::new(model::call(view, showing, pictures, graphics, now)))
        }
        // Alone again after others were here: still a call, with an invite for more.
        Phase::Alone if showing.since.is_some() => {
            Screen::Call(Box::new(model::call(view, showing, pictures, graphics, now)))
        }
        _ => Screen::Waiting(Box::new(model::waiting(view, showing, pictures, now))),
    }
}
