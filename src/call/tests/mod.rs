//! Calls with each other, without network or runtime: messages travel through a queue with a
//! virtual clock. Keys, group and seals are the real ones.
//!
//! A cut between two participants loses datagrams; control waits, as QUIC would repeat it, until
//! the cut heals or the connection has been idle for too long.

mod adversary;
mod branches;
mod contacts;
mod copies;
mod door;
mod introduced;
mod keys;
mod ledgers;
mod lies;
mod meeting;
mod moves;
mod orders;
mod rings;
mod succession;
mod traffic;

use super::*;
use crate::identity::DisplayName;
use crate::invite::Invite;
use crate::media::frame::{Coded, CodedAudio};
use crate::seal::Receipt;
use crate::secret::Secret;
use crate::time::{MediaTime, Wall};
use crate::wire::link::{LinkDown, LinkUp, Send};
use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// One-way delay of the queue.
const DELAY: Duration = Duration::from_millis(20);
/// A connection without a sign of life ends after this time.
const IDLE: Duration = Duration::from_secs(30);

struct Party {
    call: Call,
    address: SocketAddr,
    shows: bool,
    events: Vec<Event>,
    media: Vec<(MemberId, Coded)>,
    /// By its own clock.
    wait: Instant,
    /// Time it slept through: its clock is behind by that.
    slept: Duration,
    awake: bool,
    /// Bytes of control sent, by this participant.
    control: usize,
}

/// Everything and everybody.
struct World {
    now: Now,
    rng: StdRng,
    parties: Vec<Party>,
    /// (at, order, from, to, what), delivered in this order.
    queue: Vec<(Instant, u64, usize, usize, Input)>,
    order: u64,
    /// (party, link) ↔ (party, link)
    pairs: Vec<((usize, LinkId), (usize, LinkId))>,
    /// What every connection carried, for Eve.
    carried: Vec<Bytes>,
    /// Cut off from everybody.
    cut: Vec<usize>,
    /// Cut off from each other, both ways.
    apart: BTreeSet<(usize, usize)>,
    /// Since when a pair is cut.
    since: BTreeMap<(usize, usize), Instant>,
    /// What waits for a cut to heal.
    held: Vec<(usize, usize, Input)>,
    /// Own mistakes of participants (a knock that can't be granted) are expected.
    forgive: bool,
    /// How much longer control messages take from one to another: a queue of large ones.
    clogged: BTreeMap<(usize, usize), Duration>,
}

fn config(name: &str, admit: Admit) -> CallConfig {
    CallConfig {
        name: DisplayName::parse(name).unwrap(),
        admit,
        expect: None,
        invite_uses: 20,
        invite_life: Duration::from_secs(3600),
        tracks: Tracks { mic: true, camera: true },
        known: Vec::new(),
        addresses: Vec::new(),
        knock_life: Duration::from_secs(120),
        constant_rate: false,
    }
}

fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n as u8 + 1], 7000))
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const NAMES: [&str; 16] = [
    "Ada Byron",
    "Ben Nevis",
    "Cleo Stone",
    "Dora Lind",
    "Emil Berg",
    "Fay Wood",
    "Gus Hill",
    "Hana Sato",
    "Ivo Kral",
    "Jun Park",
    "Kim Lake",
    "Leo Dahl",
    "Mia Roth",
    "Nils Ek",
    "Ona Vik",
    "Pia Lund",
];

impl World {
    #[expect(clippy::disallowed_methods, reason = "an origin for the virtual clock")]
    fn new() -> Self {
        // Clocks of sleepers run behind it.
        let mono = Instant::now() + secs(100_000);
        let now = Now { mono, wall: Wall(1_800_000_000_000) };
        Self {
            now,
            rng: StdRng::seed_from_u64(7),
            parties: Vec::new(),
            queue: Vec::new(),
            order: 0,
            pairs: Vec::new(),
            carried: Vec::new(),
            cut: Vec::new(),
            apart: BTreeSet::new(),
            since: BTreeMap::new(),
            held: Vec::new(),
            forgive: false,
            clogged: BTreeMap::new(),
        }
    }

    fn identity(&mut self) -> Arc<IdentityKey> {
        Arc::new(IdentityKey::generate(&mut self.rng))
    }

    /// The time by a participant's own clock.
    fn now_of(&self, party: usize) -> Now {
        let slept = self.parties.get(party).map_or(Duration::ZERO, |p| p.slept);
        Now { mono: self.now.mono - slept, wall: self.now.wall }
    }

    fn add(&mut self, call: Call) -> usize {
        let n = self.parties.len();
        self.parties.push(Party {
            call,
            address: address(n),
            shows: true,
            events: Vec::new(),
            media: Vec::new(),
            wait: self.now.mono,
            slept: Duration::ZERO,
            awake: true,
            control: 0,
        });
        self.drain(n);
        n
    }

    fn host(&mut self, admit: Admit) -> usize {
        let identity = self.identity();
        let to = address(self.parties.len());
        let mut config = config("Ada Byron", admit);
        config.addresses = vec![to];
        let call = Call::host(config, identity, vec![to], self.now, &mut self.rng).unwrap();
        self.add(call)
    }

    fn invite(&self, party: usize) -> Invite {
        let view = self.view(party);
        Invite::parse(&view.invites.last().unwrap().text).unwrap()
    }

    fn join(&mut self, name: &str, invite: Invite) -> usize {
        let mut config = config(name, Admit::Nobody);
        config.addresses = vec![address(self.parties.len())];
        self.join_with(config, invite)
    }

    fn join_with(&mut self, config: CallConfig, invite: Invite) -> usize {
        let identity = self.identity();
        let call = Call::join(config, identity, invite, self.now, &mut self.rng).unwrap();
        self.add(call)
    }

    fn input(&mut self, party: usize, input: Input) {
        let now = self.now_of(party);
        let p = &mut self.parties[party];
        let result = p.call.handle(now, &mut self.rng, input);
        assert!(self.forgive || result.is_ok(), "{party}: {result:?}");
        self.drain(party);
    }

    /// As `input`, with the error.
    fn attempt(&mut self, party: usize, command: Command) -> Result<(), CallError> {
        let now = self.now_of(party);
        let result = self.parties[party].call.handle(now, &mut self.rng, Input::User(command));
        self.drain(party);
        result
    }

    fn user(&mut self, party: usize, command: Command) {
        self.input(party, Input::User(command));
    }

    fn later(&mut self, from: usize, to: usize, what: Input) {
        let control = matches!(what, Input::Link(_, LinkEvent::Control(_)));
        let queue = self.clogged.get(&(from, to)).filter(|_| control).copied().unwrap_or_default();
        self.order += 1;
        self.queue.push((self.now.mono + DELAY + queue, self.order, from, to, what));
    }

    fn is_cut(&self, a: usize, b: usize) -> bool {
        a != b
            && (self.cut.contains(&a)
                || self.cut.contains(&b)
                || self.apart.contains(&(a.min(b), a.max(b)))
                || !self.parties[a].awake
                || !self.parties[b].awake)
    }

    fn other_end(&self, party: usize, link: LinkId) -> Option<(usize, LinkId)> {
        self.pairs.iter().find_map(|(a, b)| match () {
            () if *a == (party, link) => Some(*b),
            () if *b == (party, link) => Some(*a),
            () => None,
        })
    }

    fn drain(&mut self, party: usize) {
        loop {
            let now = self.now_of(party);
            let output = self.parties[party].call.poll(now);
            match output {
                Output::Wait(at) => {
                    self.parties[party].wait = at;
                    return;
                }
                Output::Dial(link, to) => self.dial(party, link, to),
                Output::Close(link, code) => {
                    if let Some((other, there)) = self.other_end(party, link) {
                        self.pairs.retain(|(a, b)| *a != (party, link) && *b != (party, link));
                        let down = LinkEvent::Down(LinkDown::ClosedByPeer(code));
                        self.later(party, other, Input::Link(there, down));
                    }
                }
                Output::Send(link, send) => self.send(party, link, send),
                Output::Media(from, coded) => self.parties[party].media.push((from, coded)),
                Output::Event(event) => self.event(party, event),
                Output::Authenticated(_) | Output::Rate(..) => {}
            }
        }
    }

    fn send(&mut self, party: usize, link: LinkId, send: Send) {
        let event = match send {
            Send::Control(b) | Send::Urgent(b) => {
                self.parties[party].control += b.len();
                LinkEvent::Control(b)
            }
            Send::Datagram(b) => LinkEvent::Datagram(b),
            Send::Frame { bytes, .. } => LinkEvent::Frame(bytes),
        };
        if let LinkEvent::Control(b) | LinkEvent::Datagram(b) | LinkEvent::Frame(b) = &event {
            self.carried.push(b.clone());
        }
        if let Some((other, there)) = self.other_end(party, link) {
            self.later(party, other, Input::Link(there, event));
        }
    }

    fn event(&mut self, party: usize, event: Event) {
        let now = self.now_of(party);
        match &event {
            Event::Epoch { epoch, roster, .. } if self.parties[party].shows => {
                let receipt = Receipt::shown(*epoch, *roster);
                let p = &mut self.parties[party];
                p.call.handle(now, &mut self.rng, Input::RosterShown(receipt)).unwrap();
            }
            Event::WordsNeeded { epoch, input } => {
                let words = words_of(input);
                let p = &mut self.parties[party];
                p.call.handle(now, &mut self.rng, Input::Words(*epoch, words)).unwrap();
            }
            _ => {}
        }
        self.parties[party].events.push(event);
    }

    fn dial(&mut self, party: usize, link: LinkId, to: SocketAddr) {
        let other = self.parties.iter().position(|p| p.address == to);
        let Some(other) = other.filter(|o| !self.is_cut(party, *o)) else {
            let failed = Input::DialFailed(link, DialFailure::TimedOut);
            self.later(party, party, failed);
            return;
        };
        let now = self.now_of(other);
        let there = self.parties[other].call.accept_link();
        self.parties[other].call.handle(now, &mut self.rng, Input::Accepted(there)).unwrap();
        self.pairs.push(((party, link), (other, there)));
        let mut exporter = [0; 32];
        rand::RngCore::fill_bytes(&mut self.rng, &mut exporter);
        let up = |peer: &Call, remote, dialled| {
            LinkEvent::Up(LinkUp { peer_key: peer.leaf_key().public(), exporter, remote, dialled })
        };
        let here_up = up(&self.parties[other].call, to, true);
        let there_up = up(&self.parties[party].call, self.parties[party].address, false);
        self.later(party, party, Input::Link(link, here_up));
        self.later(other, other, Input::Link(there, there_up));
    }

    /// Runs the world for this long.
    fn run(&mut self, time: Duration) {
        let end = self.now.mono + time;
        loop {
            self.heal();
            let message = self.queue.iter().map(|(at, order, ..)| (*at, *order)).min();
            let awake = self.parties.iter().enumerate().filter(|(_, p)| p.awake);
            let tick = awake.map(|(i, p)| (p.wait + p.slept, i)).min();
            let idle = self.since.values().map(|at| *at + IDLE).min();
            let next = [message.map(|m| m.0), tick.map(|t| t.0), idle];
            let Some(next) = next.into_iter().flatten().min().filter(|t| *t <= end) else { break };
            self.advance(next.max(self.now.mono));
            if message.is_some_and(|m| m.0 <= next) {
                let i = self.queue.iter().position(|m| Some((m.0, m.1)) == message).unwrap();
                let (_, _, from, to, input) = self.queue.remove(i);
                self.deliver(from, to, input);
            } else if let Some((_, party)) = tick.filter(|t| t.0 <= next) {
                self.input(party, Input::Tick);
                let now = self.now_of(party).mono;
                let p = &mut self.parties[party];
                assert!(p.wait > now - secs(2), "wakes in the past");
                p.wait = p.wait.max(now + Duration::from_millis(1));
            }
        }
        self.advance(end);
    }

    fn deliver(&mut self, from: usize, to: usize, input: Input) {
        if !self.is_cut(from, to) {
            let known = match &input {
                Input::Link(link, LinkEvent::Down(_)) => Some(*link),
                Input::Link(link, _) => self.other_end(to, *link).map(|_| *link),
                _ => Some(LinkId(0)),
            };
            if known.is_some() && self.parties[to].awake {
                self.input(to, input);
            }
            return;
        }
        // Datagrams are lost, the rest is repeated.
        if !matches!(&input, Input::Link(_, LinkEvent::Datagram(_) | LinkEvent::Frame(_))) {
            self.held.push((from, to, input));
        }
    }

    /// Delivers what waited for a cut that is over; ends connections cut for too long.
    fn heal(&mut self) {
        let n = self.parties.len();
        for a in 0..n {
            for b in a + 1..n {
                let key = (a, b);
                if !self.is_cut(a, b) {
                    if self.since.remove(&key).is_some() {
                        let (ready, rest) = std::mem::take(&mut self.held)
                            .into_iter()
                            .partition(|(f, t, _)| (*f.min(t), *f.max(t)) == key);
                        self.held = rest;
                        let ready: Vec<(usize, usize, Input)> = ready;
                        for (from, to, input) in ready {
                            self.later(from, to, input);
                        }
                    }
                    continue;
                }
                let since = *self.since.entry(key).or_insert(self.now.mono);
                if since + IDLE <= self.now.mono {
                    self.since.insert(key, self.now.mono);
                    self.held.retain(|(f, t, _)| (*f.min(t), *f.max(t)) != key);
                    let (gone, rest) = std::mem::take(&mut self.pairs)
                        .into_iter()
                        .partition(|(x, y)| (x.0.min(y.0), x.0.max(y.0)) == key);
                    self.pairs = rest;
                    let gone: Vec<((usize, LinkId), (usize, LinkId))> = gone;
                    for (party, link) in gone.into_iter().flat_map(|(x, y)| [x, y]) {
                        let down = LinkEvent::Down(LinkDown::TimedOut);
                        self.later(party, party, Input::Link(link, down));
                    }
                }
            }
        }
    }

    /// Cuts these two sets off from each other.
    fn partition(&mut self, left: &[usize], right: &[usize]) {
        for a in left {
            for b in right {
                self.apart.insert((*a.min(b), *a.max(b)));
            }
        }
    }

    fn sleep(&mut self, party: usize, time: Duration) {
        self.parties[party].awake = false;
        self.run(time);
        self.parties[party].awake = true;
        self.parties[party].slept += time;
        self.input(party, Input::Woke);
    }

    fn advance(&mut self, to: Instant) {
        let by = to.saturating_duration_since(self.now.mono);
        self.now.mono += by;
        self.now.wall.0 += by.as_millis() as u64;
    }

    fn audio(&mut self, party: usize, byte: u8) {
        let packet = CodedAudio {
            seq: 0,
            at: MediaTime(0),
            millis: 20,
            level: 10,
            bytes: Bytes::from(vec![byte; 60]),
        };
        self.input(party, Input::Coded(Vec::new(), Coded::Audio(packet)));
    }

    fn heard(&self, party: usize, byte: u8) -> usize {
        let of = |c: &Coded| matches!(c, Coded::Audio(a) if a.bytes.first() == Some(&byte));
        self.parties[party].media.iter().filter(|(_, c)| of(c)).count()
    }

    fn view(&self, party: usize) -> CallView {
        self.parties[party].call.view()
    }

    fn ended(&self, party: usize) -> Option<&EndReason> {
        self.parties[party].events.iter().find_map(|e| match e {
            Event::Ended(reason) => Some(reason),
            _ => None,
        })
    }

    fn saw(&self, party: usize, which: impl Fn(&Event) -> bool) -> usize {
        self.parties[party].events.iter().filter(|e| which(e)).count()
    }

    fn words(&self, party: usize) -> String {
        self.view(party).words.map(|(_, w)| w.to_string()).unwrap_or_default()
    }

    fn names(&self, party: usize) -> Vec<String> {
        self.view(party).members.iter().map(|m| m.name.clone()).collect()
    }

    /// This participant's number as another one sees it.
    fn id_of(&self, of: usize, seen_by: usize) -> MemberId {
        let key = self.parties[of].call.leaf_key().public();
        self.parties[seen_by].call.member_with_key(&key).unwrap()
    }

    fn three() -> Self {
        Self::of(3)
    }

    /// A call of this many, all connected, calm.
    fn of(n: usize) -> Self {
        let mut world = Self::new();
        let ada = world.host(Admit::Any);
        for name in NAMES.iter().take(n).skip(1) {
            world.join(name, world.invite(ada));
            world.run(secs(1));
        }
        world.run(secs(1));
        world
    }

    /// All of these are in one epoch with the same keys and the same people.
    #[track_caller]
    fn agree(&self, parties: &[usize]) {
        let names = self.names(parties[0]);
        let (epoch, keys) = (self.view(parties[0]).epoch, self.view(parties[0]).authenticator);
        assert_eq!(names.len(), parties.len(), "{names:?}");
        for party in parties {
            assert_eq!(self.ended(*party), None, "{party} ended");
            let view = self.view(*party);
            let mut theirs = self.names(*party);
            let mut ours = names.clone();
            theirs.sort();
            ours.sort();
            assert_eq!(theirs, ours, "{party}'s roster");
            assert_eq!(view.epoch, epoch, "{party}'s epoch");
            assert_eq!(view.authenticator, keys, "{party}'s keys");
        }
    }

    /// Everybody of these hears everybody else of these.
    #[track_caller]
    fn talk(&mut self, parties: &[usize]) {
        for party in parties {
            let before: Vec<_> =
                parties.iter().map(|p| self.heard(*p, 100 + *party as u8)).collect();
            self.audio(*party, 100 + *party as u8);
            self.run(Duration::from_millis(100));
            for (other, before) in parties.iter().zip(before) {
                let expected = before + usize::from(other != party);
                let heard = self.heard(*other, 100 + *party as u8);
                assert_eq!(heard, expected, "{other} of {party}: {:?}", self.view(*party).held);
            }
        }
    }
}

/// The words, computed once for all members: they are slow on purpose.
fn words_of(input: &crate::identity::words::WordsInput) -> CallWords {
    type Known = (Vec<u8>, CallWords);
    thread_local!(static KNOWN: std::cell::RefCell<Vec<Known>> = const { std::cell::RefCell::new(Vec::new()) });
    let mut identities: Vec<_> = input.identities.iter().map(|i| i.0).collect();
    identities.sort_unstable();
    let key = [&input.authenticator[..], &identities.concat()].concat();
    KNOWN.with_borrow_mut(|known| {
        if let Some((_, words)) = known.iter().find(|(k, _)| *k == key) {
            return *words;
        }
        let words = crate::identity::words::call_words(input);
        known.push((key, words));
        words
    })
}
