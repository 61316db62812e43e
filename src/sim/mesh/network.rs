//! The virtual network: a queue of things to happen, in the order of a virtual clock.

use super::cheat::Cheat;
use super::pair::{DIAL, Heard, IDLE, Pair};
use super::path::{Paths, Person};
use super::run::{self, Run};
use super::seen::{Branch, Epoch, Seen, Vice, What};
use super::trace::Trace;
use super::watch::{Strictness, Watch};
use crate::call::{Call, CallError, CallView, Command, DialFailure, Input};
use crate::identity::IdentityKey;
use crate::keys::IdentityPublic;
use crate::media::frame::{Coded, CodedAudio};
use crate::sim::model::Dice;
use crate::time::MediaTime;
use crate::wire::link::{LinkDown, LinkEvent, LinkId, LinkUp};
use bytes::Bytes;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Everybody says something this often.
const SPEAK: Duration = Duration::from_millis(200);
/// Connections are looked at for silence this often.
const SWEEP: Duration = Duration::from_secs(1);

/// Somebody, over all restarts.
pub struct Body {
    pub(super) identity: Arc<IdentityKey>,
    /// The run that counts, if any.
    pub(super) run: Option<usize>,
}

/// Something for a run.
pub enum Given {
    /// On a connection, with what it tells of who could be heard.
    Link(LinkId, LinkEvent, Option<Heard>),
    /// A connection came in, and is up.
    Up(usize, Box<LinkUp>),
    /// A dialling failed.
    DialFailed(LinkId),
    /// A roster was shown.
    Shown(u64, [u8; 32]),
}

/// Something to happen.
pub(super) enum Happen {
    /// A run's timer.
    Timer(usize, u64),
    /// For a run, at once.
    Give(usize, Given),
    /// A dialling reaches its address: connection, where to.
    Ring { run: usize, link: LinkId, to: Person, wait: Duration },
    /// A control message, or what is missing of it, is sent (again).
    Attempt { pair: usize, side: usize, number: u64 },
    /// A control message is there.
    Arrive { pair: usize, side: usize, number: u64 },
    /// A datagram or frame is there.
    Packet { pair: usize, side: usize, event: LinkEvent, heard: Heard },
    /// The news that an end is closed.
    Down { pair: usize, side: usize, why: LinkDown },
    /// Everybody speaks.
    Speak,
    /// Silent connections end.
    Sweep,
}

struct Entry {
    at: Duration,
    order: u64,
    what: Happen,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Everybody and everything between them.
pub struct Network {
    pub(super) base: Instant,
    pub(super) now: Duration,
    pub(super) dice: Dice,
    queue: BinaryHeap<Reverse<Entry>>,
    order: u64,
    pub(super) people: Vec<Body>,
    pub(super) by_identity: BTreeMap<IdentityPublic, Person>,
    pub(super) runs: Vec<Run>,
    pub(super) pairs: Vec<Pair>,
    /// What lies between people.
    pub paths: Paths,
    /// The rules.
    pub watch: Watch,
    /// What happened.
    pub trace: Trace,
    /// Epochs seen, by authenticator; numbered.
    pub(super) branches: BTreeMap<[u8; 32], Branch>,
    pub(super) epochs: Vec<Epoch>,
    /// For each branch, when the first and the newest of its members entered, and who did.
    pub(super) entries: Vec<Vec<(Duration, usize)>>,
    /// Every frame spoken: by whom, under which epoch.
    pub(super) spoken: Vec<(Person, Option<Branch>)>,
    /// Errors of people's own calls (commands that came at a wrong moment).
    pub errors: Vec<String>,
    pub(super) screens: Duration,
    /// Audio frames opened.
    pub opened: u64,
    /// When somebody last opened a frame of another.
    pub(super) last_heard: BTreeMap<(Person, Person), Duration>,
    /// Returns from another branch.
    pub healings: usize,
}

/// Where somebody can be reached.
pub fn address(person: Person) -> SocketAddr {
    let number = u8::try_from(person + 1).unwrap_or(u8::MAX);
    SocketAddr::from(([10, 0, 0, number], 7000))
}

fn person_at(to: SocketAddr) -> Option<Person> {
    match to {
        SocketAddr::V4(v4) => usize::from(v4.ip().octets()[3]).checked_sub(1),
        SocketAddr::V6(_) => None,
    }
}

impl Network {
    /// Nobody yet.
    #[expect(clippy::disallowed_methods, reason = "an origin for the virtual clock")]
    pub fn new(seed: u64, strictness: Strictness, keep: bool) -> Self {
        let mut network = Self {
            base: Instant::now(),
            now: Duration::ZERO,
            dice: Dice::new(seed, 0x6e65_7477),
            queue: BinaryHeap::new(),
            order: 0,
            people: Vec::new(),
            by_identity: BTreeMap::new(),
            runs: Vec::new(),
            pairs: Vec::new(),
            paths: Paths::default(),
            watch: Watch::new(strictness),
            trace: Trace::new(keep),
            branches: BTreeMap::new(),
            epochs: Vec::new(),
            entries: Vec::new(),
            spoken: Vec::new(),
            errors: Vec::new(),
            screens: Duration::ZERO,
            opened: 0,
            last_heard: BTreeMap::new(),
            healings: 0,
        };
        network.after(SPEAK, Happen::Speak);
        network.after(SWEEP, Happen::Sweep);
        network
    }

    /// Time since the start.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Somebody new, with an identity and nothing else.
    pub fn person(&mut self) -> Person {
        let person = self.people.len();
        let mut rng = self.randomness();
        let identity = Arc::new(IdentityKey::generate(&mut rng));
        self.by_identity.insert(identity.public(), person);
        self.people.push(Body { identity, run: None });
        person
    }

    pub(super) fn randomness(&mut self) -> StdRng {
        StdRng::seed_from_u64(self.dice.roll())
    }

    pub(super) fn identity(&self, person: Person) -> Arc<IdentityKey> {
        self.people[person].identity.clone()
    }

    /// Every screen needs this long for a roster, from now on.
    pub fn screens_take(&mut self, time: Duration) {
        self.screens = time;
        self.runs.iter_mut().for_each(|r| r.screen = time);
    }

    pub(super) fn begin(&mut self, person: Person, call: Call, rng: StdRng) {
        let number = self.runs.len();
        let mut run = Run::new(person, call, rng, self.now);
        run.screen = self.screens;
        self.runs.push(run);
        self.people[person].run = Some(number);
        self.see(number, What::Began);
        self.drain(number);
    }

    /// The run of somebody that counts.
    pub fn run_of(&self, person: Person) -> Option<&Run> {
        let run = self.people.get(person)?.run?;
        self.runs.get(run).filter(|r| r.is_on())
    }

    /// Somebody's call as it stands.
    pub fn view(&self, person: Person) -> Option<CallView> {
        self.run_of(person)?.call.as_ref().map(Call::view)
    }

    /// People whose program runs and has not ended.
    pub fn present(&self) -> Vec<Person> {
        (0..self.people.len()).filter(|p| self.run_of(*p).is_some()).collect()
    }

    /// People who are in a group.
    pub fn members(&self) -> Vec<Person> {
        self.present()
            .into_iter()
            .filter(|p| self.run_of(*p).is_some_and(|r| r.newest().is_some()))
            .collect()
    }

    /// What somebody's user asks for. A sleeper's user waits in vain.
    pub fn user(&mut self, person: Person, command: Command) {
        if let Some(run) = self.people[person].run
            && self.runs[run].is_awake()
        {
            self.trace.note(self.now, "user", &[person as u64], || format!("{command:?}"));
            self.input(run, Input::User(command));
        }
    }

    /// Somebody's program is gone without a word.
    pub fn crash(&mut self, person: Person) {
        let Some(run) = self.people[person].run else { return };
        if self.runs[run].call.take().is_none() {
            return;
        }
        self.runs[run].ended = true;
        self.runs[run].backlog.clear();
        for end in self.pairs.iter_mut().flat_map(|p| &mut p.0).filter(|e| e.run == run) {
            end.up = false;
        }
        self.see(run, What::Crashed);
    }

    /// Somebody's machine falls asleep.
    pub fn sleep(&mut self, person: Person) {
        let Some(run) = self.people[person].run else { return };
        if self.runs[run].is_awake() {
            self.trace.note(self.now, "asleep", &[person as u64], String::new);
            self.runs[run].asleep = Some(self.now);
        }
    }

    /// It wakes, and takes what came in the meantime.
    pub fn wake(&mut self, person: Person) {
        let Some(run) = self.people[person].run else { return };
        let Some(since) = self.runs[run].asleep.take() else { return };
        self.runs[run].slept += self.now - since;
        self.runs[run].woke = Some(self.now);
        self.see(run, What::Woke);
        self.input(run, Input::Woke);
        for given in std::mem::take(&mut self.runs[run].backlog) {
            self.give(run, given);
        }
        self.input(run, Input::Tick);
    }

    /// Somebody starts to cheat; an equivocator at once.
    pub fn cheat(&mut self, person: Person, vice: Vice) {
        let Some(run) = self.people[person].run.filter(|r| self.runs[*r].is_awake()) else {
            return;
        };
        let mut cheat = Cheat::new(vice);
        cheat.audience.clone_from(&self.runs[run].members);
        cheat.at = self.now;
        cheat.base = self.runs[run].newest().map(|been| been.branch);
        if vice == Vice::Equivocate {
            let now = self.runs[run].now(self.base, self.now);
            cheat.other = self.runs[run].call.as_mut().and_then(|call| call.forge_commit(now));
            if cheat.other.is_none() {
                return;
            }
        }
        self.runs[run].cheat = Some(cheat);
        self.see(run, What::Cheats(vice));
        if vice == Vice::Equivocate {
            self.input(run, Input::User(Command::Rekey));
        }
    }

    /// Two people's programs have been in one epoch.
    pub(super) fn met(&self, a: Person, b: Person) -> bool {
        let (Some(a), Some(b)) = (self.people[a].run, self.people[b].run) else { return false };
        let was_in = |entries: &Vec<(Duration, usize)>, run| entries.iter().any(|e| e.1 == run);
        self.entries.iter().any(|entries| was_in(entries, a) && was_in(entries, b))
    }

    /// Somebody's program runs and is not asleep.
    pub fn is_awake(&self, person: Person) -> bool {
        self.people[person].run.is_some_and(|run| self.runs[run].is_awake())
    }

    /// Somebody cheats, or did.
    pub fn is_honest(&self, person: Person) -> bool {
        !self.runs.iter().any(|r| r.person == person && r.cheat.is_some())
    }

    /// Somebody dies while sending its next commit, after this many of its recipients.
    pub fn dies_after(&mut self, person: Person, recipients: usize) {
        if let Some(run) = self.people[person].run {
            self.runs[run].dies_after = Some(recipients);
        }
    }

    pub(super) fn after(&mut self, time: Duration, what: Happen) {
        self.at(self.now + time, what);
    }

    pub(super) fn at(&mut self, at: Duration, what: Happen) {
        self.order += 1;
        self.queue.push(Reverse(Entry { at, order: self.order, what }));
    }

    /// Runs until this time.
    pub fn run_until(&mut self, end: Duration) {
        while self.queue.peek().is_some_and(|Reverse(e)| e.at <= end) {
            let Some(Reverse(entry)) = self.queue.pop() else { break };
            self.now = self.now.max(entry.at);
            self.happen(entry.what);
        }
        self.now = self.now.max(end);
    }

    fn happen(&mut self, what: Happen) {
        match what {
            Happen::Timer(run, number) => {
                if self.runs[run].timer == number && self.runs[run].is_awake() {
                    self.input(run, Input::Tick);
                }
            }
            Happen::Give(run, given) => self.give(run, given),
            Happen::Ring { run, link, to, wait } => self.ring(run, link, to, wait),
            Happen::Attempt { pair, side, number } => self.attempt(pair, side, number),
            Happen::Arrive { pair, side, number } => self.arrive(pair, side, number),
            Happen::Packet { pair, side, event, heard } => {
                let end = &self.pairs[pair].0[side];
                let (run, id) = (end.run, end.id);
                if end.up {
                    self.give(run, Given::Link(id, event, Some(heard)));
                }
            }
            Happen::Down { pair, side, why } => self.down(pair, side, why),
            Happen::Speak => {
                self.after(SPEAK, Happen::Speak);
                for run in 0..self.runs.len() {
                    self.speak(run);
                }
            }
            Happen::Sweep => {
                self.after(SWEEP, Happen::Sweep);
                self.sweep();
            }
        }
    }

    /// Hands something to a run; a sleeper gets it later, a dead one never.
    pub(super) fn give(&mut self, run: usize, given: Given) {
        let state = &mut self.runs[run];
        if !state.is_on() {
            return;
        }
        if state.asleep.is_some() {
            state.backlog.push_back(given);
            return;
        }
        match given {
            Given::Link(id, event, heard) => {
                // Beats travel in control messages; a frame is nobody's word about the group.
                if let (Some(heard), LinkEvent::Control(_)) = (heard, &event) {
                    state.learn(&heard, self.now);
                }
                if !self.note_delivery(run, id, &event) {
                    return;
                }
                self.input(run, Input::Link(id, event));
            }
            Given::Up(pair, up) => {
                let Some(call) = &mut state.call else { return };
                let id = call.accept_link();
                state.links.insert(id, pair);
                let end = &mut self.pairs[pair].0[1];
                end.id = id;
                end.up = true;
                end.alive = self.now;
                self.input(run, Input::Accepted(id));
                self.input(run, Input::Link(id, LinkEvent::Up(*up)));
            }
            Given::DialFailed(id) => {
                self.input(run, Input::DialFailed(id, DialFailure::TimedOut));
            }
            Given::Shown(epoch, roster) => self.show(run, epoch, roster),
        }
    }

    /// Gives an input to a run's call and does what it wants done.
    pub(super) fn input(&mut self, run: usize, input: Input) {
        let state = &mut self.runs[run];
        let now = state.now(self.base, self.now);
        let Some(call) = &mut state.call else { return };
        if let Err(error) = call.handle(now, &mut state.rng, input) {
            self.own_error(run, &error);
        }
        self.drain(run);
    }

    fn own_error(&mut self, run: usize, error: &CallError) {
        let person = self.runs[run].person;
        self.trace.note(self.now, "error", &[person as u64], || error.to_string());
        if self.errors.len() < 64 {
            let at = self.now.as_secs_f64();
            self.errors.push(format!("{at:.3} s, person {person}: {error}"));
        }
    }

    /// The screen shows a roster.
    pub(super) fn show(&mut self, run: usize, epoch: u64, roster: [u8; 32]) {
        let branch = self.runs[run].of_roster(epoch, roster).map(|b| b.branch);
        if let Some(branch) = branch {
            self.see(run, What::Shown(branch));
        }
        self.input(run, Input::RosterShown(run::shown(epoch, roster)));
    }

    fn speak(&mut self, run: usize) {
        if !self.runs[run].is_awake() || self.runs[run].newest().is_none() {
            return;
        }
        let serial = self.spoken.len() as u64;
        self.spoken.push((self.runs[run].person, None));
        self.runs[run].speaks = Some(serial);
        let packet = CodedAudio {
            seq: u32::try_from(serial).unwrap_or(0),
            at: MediaTime(0),
            millis: 20,
            level: 10,
            bytes: Bytes::copy_from_slice(&serial.to_be_bytes()),
        };
        self.input(run, Input::Coded(Vec::new(), Coded::Audio(packet)));
        self.runs[run].speaks = None;
    }

    /// A run dials. As in QUIC, the first packet is sent again after one, two and four seconds.
    pub(super) fn dial(&mut self, run: usize, link: LinkId, to: SocketAddr) {
        let from = self.runs[run].person;
        let Some(to) = person_at(to).filter(|p| *p < self.people.len()) else {
            return self.after(DIAL, Happen::Give(run, Given::DialFailed(link)));
        };
        let time = self.paths.get(from, to).time(&mut self.dice);
        self.after(time, Happen::Ring { run, link, to, wait: Duration::from_secs(1) });
    }

    fn ring(&mut self, run: usize, link: LinkId, to: Person, wait: Duration) {
        let from = self.runs[run].person;
        if !self.runs[run].is_on() {
            return;
        }
        let there = self.people[to].run.filter(|r| self.runs[*r].is_awake() && *r != run);
        let awake = self.runs[run].is_awake();
        let passes = awake
            && self.paths.get(to, from).open
            && self.paths.get(from, to).packet(&mut self.dice).is_some();
        let Some(there) = there.filter(|_| passes) else {
            // One, two and four seconds have passed at the fourth attempt; one more is left.
            if wait * 2 <= DIAL {
                self.after(wait, Happen::Ring { run, link, to, wait: wait * 2 });
            } else {
                let left = DIAL - (wait - Duration::from_secs(1));
                self.after(left, Happen::Give(run, Given::DialFailed(link)));
            }
            return;
        };
        let mut exporter = [0; 32];
        rand::RngCore::fill_bytes(&mut self.randomness(), &mut exporter);
        let up = |peer: &Call, remote, dialled| LinkUp {
            peer_key: peer.leaf_key().public(),
            exporter,
            remote,
            dialled,
        };
        let (Some(caller), Some(callee)) = (&self.runs[run].call, &self.runs[there].call) else {
            return;
        };
        let here_up = up(callee, address(to), true);
        let there_up = Box::new(up(caller, address(from), false));
        let pair = self.pairs.len();
        // The listener gives its own number when the connection comes up there.
        self.pairs.push(Pair::new((run, link), (there, LinkId(u64::MAX))));
        self.runs[run].links.insert(link, pair);
        let back = self.paths.get(to, from).time(&mut self.dice);
        let forth = self.paths.get(from, to).time(&mut self.dice);
        self.pairs[pair].0[0].up = true;
        self.pairs[pair].0[0].alive = self.now;
        self.after(back, Happen::Give(run, Given::Link(link, LinkEvent::Up(here_up), None)));
        self.after(back + forth, Happen::Give(there, Given::Up(pair, there_up)));
    }

    fn sweep(&mut self) {
        for run in self.runs.iter_mut().filter(|r| r.is_awake()) {
            let person = run.person;
            let Some(leads) = run.newest().map(|b| b.sequencer == person) else { continue };
            run.there += SWEEP;
            if leads {
                run.led.0 += SWEEP;
            }
        }
        for pair in 0..self.pairs.len() {
            for side in 0..2 {
                let there = &self.pairs[pair].0[1 - side];
                let here = &self.pairs[pair].0[side];
                let (a, b) = (&self.runs[there.run], &self.runs[here.run]);
                let comes = there.up && a.is_awake() && self.paths.get(a.person, b.person).open;
                let (up, awake, quiet) = (here.up, b.is_awake(), self.now - here.alive);
                if comes || !awake {
                    self.pairs[pair].0[side].alive = self.now;
                } else if up && quiet >= IDLE {
                    self.down(pair, side, LinkDown::TimedOut);
                }
            }
        }
    }

    /// Everybody's newest epoch, for looking at from outside.
    pub fn newest(&self, person: Person) -> Option<&Epoch> {
        let branch = self.run_of(person)?.newest()?.branch;
        self.epochs.get(branch as usize)
    }

    pub(super) fn see(&mut self, run: usize, what: What) {
        let seen = Seen { at: self.now, run, person: self.runs[run].person, what };
        self.trace.seen(&seen);
        self.watch.see(&seen);
    }
}
