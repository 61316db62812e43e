//! One run of somebody's program: the real [`Call`], a screen that shows rosters, a clock that
//! stands still while the machine sleeps.

use super::cheat::Cheat;
use super::network::Given;
use super::path::Person;
use super::seen::Branch;
use crate::call::Call;
use crate::seal::Receipt;
use crate::time::{Now, Wall};
use crate::wire::link::{LinkId, MemberId};
use rand::rngs::StdRng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Wall time at the start of every simulation.
pub const EPOCH: Wall = Wall(1_800_000_000_000);
/// Epochs whose keys may still be in use.
const KEPT: usize = 6;

/// An epoch that a run has been in.
#[derive(Clone)]
pub struct Been {
    pub(super) epoch: u64,
    pub(super) roster: [u8; 32],
    pub(super) branch: Branch,
    pub(super) sequencer: Person,
    /// When whoever led before, and handed over to this sequencer, was heard last: what it decided up to
    /// there is known.
    pub(super) handed: Duration,
}

/// One run. `call` is `None` after a crash.
pub struct Run {
    pub(super) person: Person,
    pub(super) call: Option<Call>,
    pub(super) rng: StdRng,
    /// Time this machine slept in all.
    pub(super) slept: Duration,
    /// Asleep since.
    pub(super) asleep: Option<Duration>,
    /// What came while it slept.
    pub(super) backlog: VecDeque<Given>,
    /// Number of the timer that counts; earlier ones are out of date.
    pub(super) timer: u64,
    /// The screen needs this long.
    pub(super) screen: Duration,
    pub(super) links: BTreeMap<LinkId, usize>,
    /// When the newest word of each person that got here left them, and when that got here.
    pub(super) heard: Vec<Option<Duration>>,
    pub(super) heard_at: Vec<Duration>,
    pub(super) woke: Option<Duration>,
    pub(super) been: VecDeque<Been>,
    pub(super) members: BTreeSet<Person>,
    pub(super) person_of: BTreeMap<MemberId, Person>,
    pub(super) ended: bool,
    pub(super) cheat: Option<Cheat>,
    /// People this run calls equivocators.
    pub(super) alarms: BTreeSet<Person>,
    /// Dies after this many more commits have been sent (of one, to several).
    pub(super) dies_after: Option<usize>,
    pub(super) speaks: Option<u64>,
    /// Bytes of control messages sent, without what members tell each other.
    pub(super) handshake_bytes: u64,
    pub(super) began: Duration,
    /// Time in the group.
    pub(super) there: Duration,
    /// Time in which this run was the sequencer, and bytes sent in it.
    pub(super) led: (Duration, u64),
}

impl Run {
    pub(super) fn new(person: Person, call: Call, rng: StdRng, at: Duration) -> Self {
        Self {
            person,
            call: Some(call),
            rng,
            slept: Duration::ZERO,
            asleep: None,
            backlog: VecDeque::new(),
            timer: 0,
            screen: Duration::ZERO,
            links: BTreeMap::new(),
            heard: Vec::new(),
            heard_at: Vec::new(),
            woke: None,
            been: VecDeque::new(),
            members: BTreeSet::new(),
            person_of: BTreeMap::new(),
            ended: false,
            cheat: None,
            alarms: BTreeSet::new(),
            dies_after: None,
            speaks: None,
            handshake_bytes: 0,
            began: at,
            there: Duration::ZERO,
            led: (Duration::ZERO, 0),
        }
    }

    /// This machine's clocks.
    pub(super) fn now(&self, base: Instant, at: Duration) -> Now {
        let wall = EPOCH.0 + u64::try_from(at.as_millis()).unwrap_or(u64::MAX / 2);
        Now { mono: base + (at - self.slept), wall: Wall(wall) }
    }

    /// It runs, and takes part.
    pub fn is_on(&self) -> bool {
        self.call.is_some() && !self.ended
    }

    /// It is awake, too.
    pub(super) fn is_awake(&self) -> bool {
        self.is_on() && self.asleep.is_none()
    }

    /// The epoch it is in.
    pub(super) fn newest(&self) -> Option<&Been> {
        self.been.back()
    }

    pub(super) fn entered(&mut self, been: Been) {
        self.been.push_back(been);
        while self.been.len() > KEPT {
            self.been.pop_front();
        }
    }

    /// The epoch that a key identifier's four bits mean now.
    pub(super) fn of_kid(&self, is_of: impl Fn(u64) -> bool) -> Option<&Been> {
        self.been.iter().rev().find(|b| is_of(b.epoch))
    }

    /// The epoch a receipt is for.
    pub(super) fn of_roster(&self, epoch: u64, roster: [u8; 32]) -> Option<&Been> {
        self.been.iter().rev().find(|b| b.epoch == epoch && b.roster == roster)
    }

    /// What somebody's message tells of who could be heard.
    pub(super) fn learn(&mut self, heard: &[Option<Duration>], at: Duration) {
        self.room_for(heard.len());
        for ((known, since), new) in self.heard.iter_mut().zip(&mut self.heard_at).zip(heard) {
            if *new > *known {
                *known = *new;
                *since = at;
            }
        }
    }

    fn room_for(&mut self, people: usize) {
        if self.heard.len() < people {
            self.heard.resize(people, None);
            self.heard_at.resize(people, Duration::ZERO);
        }
    }

    /// The sequencer, or a majority, has said something since.
    pub(super) fn asked(&self, sequencer: Person, since: Duration) -> bool {
        let spoke = |p: &Person| self.heard.get(*p).copied().flatten().is_some_and(|t| t >= since);
        let others = self.members.iter().filter(|p| **p != self.person && spoke(p)).count();
        spoke(&sequencer) || (others + 1) * 2 > self.members.len()
    }

    /// What a message of ours tells now.
    pub(super) fn tells(&mut self, people: usize, at: Duration) -> Rc<[Option<Duration>]> {
        self.room_for(people);
        if let Some(mine) = self.heard.get_mut(self.person) {
            *mine = Some(at);
        }
        self.heard.as_slice().into()
    }
}

/// The screen has shown a roster.
pub(super) fn shown(epoch: u64, roster: [u8; 32]) -> Receipt {
    Receipt::shown(epoch, roster)
}
