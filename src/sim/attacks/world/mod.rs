//! A world for attacks on whole calls: real participants with real keys, groups and seals; messages
//! travel through a queue under a virtual clock, and Eve stands wherever she likes – on the line
//! with TLS broken, at a door as a stranger, or behind a member's own connection.

mod apart;
mod speech;

pub(crate) use speech::voice;

use super::{Lab, LabError, setup};
use crate::call::{
    Admit, Call, CallConfig, Command, DialFailure, EndReason, Event, Input, Output, Tracks,
};
use crate::identity::{DisplayName, IdentityKey, LeafKey};
use crate::invite::Invite;
use crate::media::frame::Coded;
use crate::seal::Receipt;
use crate::time::Now;
use crate::wire::link::{LinkDown, LinkEvent, LinkId, LinkUp, MemberId, Send};
use bytes::Bytes;
use rand::CryptoRng;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One-way delay.
const DELAY: Duration = Duration::from_millis(20);
/// Bytes of one packet of "sound".
const PACKET: usize = 60;

/// A participant, or Eve at an address of her own.
pub(crate) struct Party {
    pub(crate) address: SocketAddr,
    /// Rosters are shown at once.
    pub(crate) shows: bool,
    /// Hears nothing any more; only Eve feeds it.
    pub(crate) deaf: bool,
    pub(crate) events: Vec<Event>,
    pub(crate) media: Vec<(MemberId, Coded)>,
    /// What came in at Eve's address.
    pub(crate) inbox: Vec<(LinkId, LinkEvent)>,
    who: Who,
    bed: apart::Bed,
    wait: Instant,
    said: u32,
}

enum Who {
    Caller(Box<Call>),
    Eve { leaf: LeafKey, next: u64 },
}

/// Something a connection carried.
#[derive(Clone)]
pub(crate) struct Taped {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// The receiver's end.
    pub(crate) link: LinkId,
    pub(crate) event: LinkEvent,
}

/// What Eve makes of something on its way: everything in the list is delivered instead, each later
/// than usual by its duration.
pub(crate) type Meddle = Box<dyn FnMut(&Taped) -> Vec<(Duration, LinkEvent)>>;

/// Everything and everybody.
pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) parties: Vec<Party>,
    /// Every message, frame and datagram of every connection, as if TLS were broken.
    pub(crate) tape: Vec<Taped>,
    pub(crate) meddle: Option<Meddle>,
    rng: Box<dyn CryptoRng + std::marker::Send>,
    /// (at, order, to, what), delivered in this order.
    queue: Vec<(Instant, u64, usize, Input)>,
    order: u64,
    pairs: Vec<[(usize, LinkId); 2]>,
    pub(crate) cut: BTreeSet<usize>,
    /// What one sends to another is kept back.
    held: BTreeSet<(usize, usize)>,
    kept: Vec<Taped>,
    parted: Option<Instant>,
    /// What TLS established for each connection, at the end that was dialled.
    pub(crate) established: Vec<(usize, LinkUp)>,
}

fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(n + 1).unwrap_or(u8::MAX)], 7000))
}

pub(crate) fn config(name: &str, admit: Admit) -> CallConfig {
    CallConfig {
        name: DisplayName::sanitise(name),
        admit,
        expect: None,
        invite_uses: 8,
        invite_life: Duration::from_secs(3600),
        tracks: Tracks { mic: true, camera: true },
        known: Vec::new(),
        addresses: Vec::new(),
        knock_life: Duration::from_secs(120),
        constant_rate: false,
    }
}

impl World {
    pub(crate) fn new(lab: &Lab) -> Self {
        Self {
            now: lab.beginning(),
            parties: Vec::new(),
            tape: Vec::new(),
            meddle: None,
            rng: lab.rng(),
            queue: Vec::new(),
            order: 0,
            pairs: Vec::new(),
            cut: BTreeSet::new(),
            held: BTreeSet::new(),
            kept: Vec::new(),
            parted: None,
            established: Vec::new(),
        }
    }

    /// Ada alone, with her first invite.
    pub(crate) fn host(&mut self, admit: Admit, uses: u8) -> Result<(usize, Invite), LabError> {
        let at = address(self.parties.len());
        let config =
            CallConfig { addresses: vec![at], invite_uses: uses, ..config("Ada Byron", admit) };
        let identity = self.identity();
        let call = Call::host(config, identity, vec![at], self.now, &mut *self.rng)?;
        let host = self.add(Who::Caller(Box::new(call)));
        Ok((host, self.invite(host)?))
    }

    /// The newest invite of a participant.
    pub(crate) fn invite(&self, party: usize) -> Result<Invite, LabError> {
        let view = self.call(party)?.view();
        let text = view.invites.last().map(|i| i.text.clone()).unwrap_or_default();
        Invite::parse(&text).map_err(setup)
    }

    /// Somebody sets out to join.
    pub(crate) fn join(&mut self, name: &str, invite: Invite) -> Result<usize, LabError> {
        let config = config(name, Admit::Nobody);
        self.join_as(config, invite)
    }

    pub(crate) fn join_as(
        &mut self,
        config: CallConfig,
        invite: Invite,
    ) -> Result<usize, LabError> {
        let config = CallConfig { addresses: vec![address(self.parties.len())], ..config };
        let identity = self.identity();
        let call = Call::join(config, identity, invite, self.now, &mut *self.rng)?;
        Ok(self.add(Who::Caller(Box::new(call))))
    }

    /// Ada and these others, all in.
    pub(crate) fn call_of(lab: &Lab, others: &[&str]) -> Result<Self, LabError> {
        let mut world = Self::new(lab);
        let (_, invite) = world.host(Admit::Any, 8)?;
        for name in others {
            world.join(name, invite.duplicate())?;
            world.run(1000)?;
        }
        world.run(1000)?;
        let all = others.len() + 1;
        match (0..all).all(|n| world.names(n).len() == all) {
            true => Ok(world),
            false => Err(setup("the participants did not meet")),
        }
    }

    /// Eve, at an address of her own, with a TLS key of her own or one she is given.
    pub(crate) fn eve(&mut self, leaf: Option<LeafKey>) -> usize {
        let leaf = leaf.unwrap_or_else(|| LeafKey::generate(&mut *self.rng));
        self.add(Who::Eve { leaf, next: 0 })
    }

    pub(crate) fn identity(&mut self) -> Arc<IdentityKey> {
        Arc::new(IdentityKey::generate(&mut *self.rng))
    }

    pub(crate) fn rng(&mut self) -> &mut dyn CryptoRng {
        &mut *self.rng
    }

    fn add(&mut self, who: Who) -> usize {
        let n = self.parties.len();
        self.parties.push(Party {
            address: address(n),
            shows: true,
            deaf: false,
            events: Vec::new(),
            media: Vec::new(),
            inbox: Vec::new(),
            who,
            bed: apart::Bed::default(),
            wait: self.now.mono,
            said: 0,
        });
        // Only a participant can fail here, and one just made has nothing to fail at.
        let _ = self.drain(n);
        n
    }

    pub(crate) fn call(&self, party: usize) -> Result<&Call, LabError> {
        match &self.parties[party].who {
            Who::Caller(call) => Ok(call),
            Who::Eve { .. } => Err(setup("Eve is in no call")),
        }
    }

    pub(crate) fn leaf_public(&self, party: usize) -> [u8; 32] {
        match &self.parties[party].who {
            Who::Caller(call) => call.leaf_key().public(),
            Who::Eve { leaf, .. } => leaf.public(),
        }
    }

    pub(crate) fn input(&mut self, party: usize, input: Input) -> Result<(), LabError> {
        let now = self.clock(party);
        match (&mut self.parties[party].who, input) {
            (Who::Caller(call), input) => call.handle(now, &mut *self.rng, input)?,
            (Who::Eve { .. }, Input::Link(link, event)) => {
                self.parties[party].inbox.push((link, event));
            }
            _ => {}
        }
        self.drain(party)
    }

    pub(crate) fn user(&mut self, party: usize, command: Command) -> Result<(), LabError> {
        self.input(party, Input::User(command))
    }

    fn later(&mut self, to: usize, by: Duration, what: Input) {
        self.order += 1;
        self.queue.push((self.now.mono + DELAY + by, self.order, to, what));
    }

    fn other_end(&self, party: usize, link: LinkId) -> Option<(usize, LinkId)> {
        self.pairs.iter().find_map(|[a, b]| match () {
            () if *a == (party, link) => Some(*b),
            () if *b == (party, link) => Some(*a),
            () => None,
        })
    }

    fn drain(&mut self, party: usize) -> Result<(), LabError> {
        loop {
            let now = self.clock(party);
            let Who::Caller(call) = &mut self.parties[party].who else { return Ok(()) };
            match call.poll(now) {
                Output::Wait(at) => {
                    self.parties[party].wait = self.parties[party].bed.to_world(at);
                    return Ok(());
                }
                Output::Dial(link, to) => self.dial(party, link, to)?,
                Output::Close(link, code) => self.close(party, link, code),
                Output::Send(link, send) => self.carry(party, link, event_of(send)),
                Output::Media(from, coded) => self.parties[party].media.push((from, coded)),
                Output::Event(event) => self.event(party, event)?,
                _ => {}
            }
        }
    }

    fn close(&mut self, party: usize, link: LinkId, code: u32) {
        if let Some((other, there)) = self.other_end(party, link) {
            self.pairs.retain(|pair| !pair.contains(&(party, link)));
            if self.held.contains(&(party, other)) {
                return;
            }
            let down = LinkEvent::Down(LinkDown::ClosedByPeer(code));
            self.later(other, Duration::ZERO, Input::Link(there, down));
        }
    }

    fn carry(&mut self, party: usize, link: LinkId, event: LinkEvent) {
        let Some((to, there)) = self.other_end(party, link) else { return };
        let taped = Taped { from: party, to, link: there, event };
        let instead = match &mut self.meddle {
            Some(meddle) => meddle(&taped),
            None => vec![(Duration::ZERO, taped.event.clone())],
        };
        self.tape.push(taped.clone());
        if self.held.contains(&(party, to)) {
            self.kept.push(taped);
            return;
        }
        if self.cut.contains(&party) || self.cut.contains(&to) {
            return;
        }
        for (by, event) in instead {
            self.later(to, by, Input::Link(there, event));
        }
    }

    fn event(&mut self, party: usize, event: Event) -> Result<(), LabError> {
        self.parties[party].events.push(event.clone());
        match event {
            Event::Epoch { epoch, roster, .. } if self.parties[party].shows => {
                self.feed(party, Input::RosterShown(Receipt::shown(epoch, roster)))
            }
            Event::WordsNeeded { epoch, input } => {
                let words = crate::identity::words::call_words(&input);
                self.feed(party, Input::Words(epoch, words))
            }
            _ => Ok(()),
        }
    }

    /// Input in the middle of draining.
    fn feed(&mut self, party: usize, input: Input) -> Result<(), LabError> {
        let now = self.clock(party);
        if let Who::Caller(call) = &mut self.parties[party].who {
            call.handle(now, &mut *self.rng, input)?;
        }
        Ok(())
    }

    fn dial(&mut self, party: usize, link: LinkId, to: SocketAddr) -> Result<(), LabError> {
        let other = self.parties.iter().position(|p| p.address == to);
        let reached = |o: &usize| !self.cut.contains(o) && !self.held.contains(&(party, *o));
        let Some(other) = other.filter(reached) else {
            self.later(party, Duration::ZERO, Input::DialFailed(link, DialFailure::TimedOut));
            return Ok(());
        };
        let mut exporter = [0; 32];
        self.rng.fill_bytes(&mut exporter);
        let shown = self.leaf_public(party);
        self.connect((party, link), other, exporter, shown)
    }

    /// A connection: `shown` is the TLS key the dialler proves.
    fn connect(
        &mut self,
        here: (usize, LinkId),
        other: usize,
        exporter: [u8; 32],
        shown: [u8; 32],
    ) -> Result<(), LabError> {
        let now = self.clock(other);
        let there = match &mut self.parties[other].who {
            Who::Caller(call) => {
                let there = call.accept_link();
                call.handle(now, &mut *self.rng, Input::Accepted(there))?;
                there
            }
            Who::Eve { next, .. } => {
                *next += 1;
                LinkId(*next)
            }
        };
        self.pairs.push([here, (other, there)]);
        let up = |peer_key, remote, dialled| LinkUp { peer_key, exporter, remote, dialled };
        let here_up = up(self.leaf_public(other), self.parties[other].address, true);
        let there_up = up(shown, self.parties[here.0].address, false);
        self.established.push((other, there_up.clone()));
        self.later(here.0, Duration::ZERO, Input::Link(here.1, LinkEvent::Up(here_up)));
        self.later(other, Duration::ZERO, Input::Link(there, LinkEvent::Up(there_up)));
        Ok(())
    }

    /// Eve dials somebody with her own key, as anybody may. `given`: a TLS exporter and key that
    /// only somebody with that key could bring about.
    pub(crate) fn eve_dials(
        &mut self,
        eve: usize,
        to: usize,
        given: Option<([u8; 32], [u8; 32])>,
    ) -> Result<LinkId, LabError> {
        let Who::Eve { leaf, next } = &mut self.parties[eve].who else {
            return Err(setup("not Eve"));
        };
        *next += 1;
        let link = LinkId(*next);
        let own = leaf.public();
        let mut exporter = [0; 32];
        self.rng.fill_bytes(&mut exporter);
        let (exporter, shown) = given.unwrap_or((exporter, own));
        self.connect((eve, link), to, exporter, shown)?;
        Ok(link)
    }

    /// Eve says something on a connection of hers.
    pub(crate) fn eve_says(&mut self, eve: usize, link: LinkId, event: LinkEvent) {
        self.carry(eve, link, event);
    }

    /// What Eve heard on a connection of hers.
    pub(crate) fn eve_heard(&self, eve: usize, link: LinkId) -> Vec<&LinkEvent> {
        self.parties[eve].inbox.iter().filter(|(l, _)| *l == link).map(|(_, e)| e).collect()
    }

    /// Somebody's own end of the connection to another, if there is one.
    pub(crate) fn link(&self, party: usize, to: usize) -> Option<LinkId> {
        self.pairs.iter().find_map(|[a, b]| match () {
            () if a.0 == party && b.0 == to => Some(a.1),
            () if b.0 == party && a.0 == to => Some(b.1),
            () => None,
        })
    }

    /// With TLS broken, Eve puts something into the stream that comes from `from` at `to`.
    pub(crate) fn inject(
        &mut self,
        from: usize,
        to: usize,
        event: LinkEvent,
    ) -> Result<(), LabError> {
        let link = self.link(to, from).ok_or_else(|| setup("no such connection"))?;
        self.input(to, Input::Link(link, event))
    }

    /// Runs the world for this long.
    pub(crate) fn run(&mut self, millis: u64) -> Result<(), LabError> {
        let end = self.now.mono + Duration::from_millis(millis);
        loop {
            let message = self.queue.iter().map(|(at, order, ..)| (*at, *order)).min();
            let parties = self.parties.iter().enumerate();
            let callers =
                parties.filter(|(_, p)| matches!(p.who, Who::Caller(_)) && p.bed.is_awake());
            let tick = callers.map(|(i, p)| (p.wait, i)).min();
            let next = [message.map(|m| m.0), tick.map(|t| t.0)].into_iter().flatten().min();
            let Some(next) = next.filter(|t| *t <= end) else { break };
            self.advance(next.max(self.now.mono));
            if message.is_some_and(|m| m.0 <= next) {
                let at = self.queue.iter().position(|(at, n, ..)| Some((*at, *n)) == message);
                let Some(at) = at else { break };
                let (_, _, to, input) = self.queue.swap_remove(at);
                let party = &mut self.parties[to];
                match () {
                    () if party.deaf => {}
                    () if !party.bed.is_awake() => party.bed.queue(input),
                    () => self.input(to, input)?,
                }
            } else if let Some((_, party)) = tick {
                self.input(party, Input::Tick)?;
                if self.parties[party].wait <= self.now.mono {
                    self.parties[party].wait = self.now.mono + Duration::from_millis(1);
                }
            }
        }
        self.advance(end);
        Ok(())
    }

    fn advance(&mut self, to: Instant) {
        let by = to.saturating_duration_since(self.now.mono);
        self.now.mono += by;
        self.now.wall.0 += u64::try_from(by.as_millis()).unwrap_or(0);
    }

    pub(crate) fn ended(&self, party: usize) -> Option<&EndReason> {
        self.parties[party].events.iter().find_map(|e| match e {
            Event::Ended(reason) => Some(reason),
            _ => None,
        })
    }

    pub(crate) fn names(&self, party: usize) -> Vec<String> {
        let Ok(call) = self.call(party) else { return Vec::new() };
        call.view().members.iter().map(|m| m.name.clone()).collect()
    }

    pub(crate) fn epoch(&self, party: usize) -> u64 {
        self.call(party).map_or(0, |call| call.view().epoch)
    }
}

pub(crate) fn event_of(send: Send) -> LinkEvent {
    match send {
        Send::Control(b) | Send::Urgent(b) => LinkEvent::Control(b),
        Send::Datagram(b) => LinkEvent::Datagram(b),
        Send::Frame { bytes, .. } => LinkEvent::Frame(bytes),
    }
}

/// The bytes of an event, if it carries any.
pub(crate) fn bytes_of(event: &LinkEvent) -> Option<&Bytes> {
    match event {
        LinkEvent::Control(b) | LinkEvent::Datagram(b) | LinkEvent::Frame(b) => Some(b),
        _ => None,
    }
}
