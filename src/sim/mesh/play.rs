//! Plays a plan: lets people do what it says, waits for quiet, and asks whether everybody agrees.

use super::network::{Network, address};
use super::path::Person;
use super::plan::{Act, MOST, Plan, Setup, between};
use super::seen::{Branch, Vice, Violation, What};
use crate::call::{Admit, Call, CallConfig, Command, Tracks};
use crate::identity::DisplayName;
use crate::invite::Invite;
use crate::sim::model::Dice;
use crate::wire::link::MemberId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Everybody who can talk agrees this long after the last disturbance.
pub const AGREE: Duration = Duration::from_secs(30);
/// How often somebody tries to come in before giving up.
const TRIES: usize = 6;
/// Whoever comes first founds the call.
const FOUNDER: Person = 0;
/// Between two tries.
const TRY: Duration = Duration::from_secs(3);

const NAMES: [&str; 16] = [
    "Ada", "Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "Jude", "Kim", "Lena",
    "Mio", "Nell", "Otto", "Pia",
];

/// What came of one simulation.
#[derive(Clone, Debug)]
pub struct Played {
    /// Which.
    pub seed: u64,
    /// People at the start.
    pub members: usize,
    /// Virtual time, all in all.
    pub time: Duration,
    /// Hash of the trace.
    pub hash: u64,
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// Epochs entered by anybody.
    pub changes: usize,
    /// Sequencers that followed others.
    pub successions: usize,
    /// Branches without a majority.
    pub splits: usize,
    /// Returns from another branch.
    pub healings: usize,
    /// For each change, from the first to the last who entered it, when all who were there did.
    pub agreement: Vec<Duration>,
    /// From the last disturbance until everybody agreed.
    pub healed: Option<Duration>,
    /// Handshake bytes per second, of members and of sequencers.
    pub member_rate: Vec<f64>,
    /// The same, while leading.
    pub sequencer_rate: Vec<f64>,
    /// Frames opened.
    pub opened: u64,
    /// Frames sealed.
    pub spoken: u64,
    /// Errors of people's own calls.
    pub errors: Vec<String>,
    /// What happened last, if kept.
    pub lines: Vec<String>,
}

enum Step {
    Act(Act),
    /// A path as it was.
    Reopen(Vec<Person>, Vec<Person>),
    /// One direction.
    ReopenOne(Person, Person),
    Wake(Person),
    /// Somebody tries to come in, for so many more times.
    Try(Person, usize),
}

struct Player {
    network: Network,
    dice: Dice,
    steps: BTreeMap<(Duration, u64), Step>,
    next: u64,
    /// People that were given up: removed by decision.
    removed: BTreeSet<Person>,
    /// Nobody tries to come in after this: it would disturb the agreement.
    last_try: Option<Duration>,
}

/// Plays one simulation.
pub fn play(setup: &Setup) -> Played {
    let plan = Plan::new(setup);
    let mut player = Player {
        network: Network::new(setup.seed, setup.strictness, setup.keep),
        dice: Dice::new(setup.seed, 0x7065_7273),
        steps: BTreeMap::new(),
        next: 0,
        removed: BTreeSet::new(),
        last_try: None,
    };
    for (at, act) in &plan.acts {
        player.later(*at, Step::Act(*act));
    }
    player.found();
    player.until(plan.quiet);
    player.calm(&plan);
    let healed = player.wait_for_agreement(plan.quiet);
    player.judge(plan.quiet);
    player.result(setup, &plan, healed)
}

fn config(person: Person) -> CallConfig {
    let name = NAMES.get(person % NAMES.len()).copied().unwrap_or("Zoe");
    #[expect(clippy::expect_used, reason = "the names above are valid")]
    let name = DisplayName::parse(&format!("{name} {person}")).expect("a name");
    CallConfig {
        name,
        admit: Admit::Any,
        expect: None,
        invite_uses: 16,
        invite_life: Duration::from_secs(24 * 3600),
        tracks: Tracks { mic: true, camera: false },
        known: Vec::new(),
        addresses: vec![address(person)],
        knock_life: Duration::from_secs(120),
        constant_rate: false,
    }
}

impl Player {
    fn later(&mut self, at: Duration, step: Step) {
        self.next += 1;
        self.steps.insert((at, self.next), step);
    }

    fn found(&mut self) {
        let person = self.network.person();
        let mut rng = self.network.randomness();
        let identity = self.network.identity(person);
        let now = crate::time::Now { mono: self.network.base, wall: super::run::EPOCH };
        let call = Call::host(config(person), identity, vec![address(person)], now, &mut rng);
        match call {
            Ok(call) => self.network.begin(person, call, rng),
            Err(error) => self.network.errors.push(format!("cannot found: {error}")),
        }
    }

    fn until(&mut self, end: Duration) {
        while let Some(entry) = self.steps.first_entry() {
            let at = entry.key().0;
            if at > end {
                break;
            }
            let step = entry.remove();
            self.network.run_until(at);
            self.step(step);
        }
        self.network.run_until(end);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Act(act) => self.act(act),
            Step::Reopen(here, there) => self.network.paths.part(&here, &there, true),
            Step::ReopenOne(a, b) => self.network.paths.change(a, b, |p| p.open = true),
            Step::Wake(person) => self.network.wake(person),
            Step::Try(person, left) => self.try_to_join(person, left),
        }
    }

    fn one_of(&mut self, people: &[Person]) -> Option<Person> {
        if people.is_empty() {
            return None;
        }
        let index = between(&mut self.dice, 0, people.len() - 1);
        people.get(index).copied()
    }

    /// Who leads, as most of those who are there see it.
    fn sequencer(&self) -> Option<Person> {
        let mut votes: BTreeMap<Person, usize> = BTreeMap::new();
        for person in self.network.members() {
            if let Some(epoch) = self.network.newest(person) {
                *votes.entry(epoch.sequencer).or_default() += 1;
            }
        }
        let most = votes.iter().max_by_key(|(p, n)| (**n, std::cmp::Reverse(**p)))?;
        Some(*most.0).filter(|p| self.network.run_of(*p).is_some())
    }

    fn act(&mut self, act: Act) {
        let members = self.network.members();
        let sequencer = self.sequencer();
        let others: Vec<_> = members.iter().copied().filter(|p| Some(*p) != sequencer).collect();
        let at = self.network.now();
        self.network.trace.note(at, "act", &[], || format!("{act:?}"));
        match act {
            Act::Join => {
                if self.network.present().len() < MOST && self.network.people.len() < MOST {
                    let person = self.network.person();
                    self.try_to_join(person, TRIES);
                }
            }
            Act::Leave if members.len() > 2 => {
                if let Some(person) = self.one_of(&others) {
                    self.network.user(person, Command::Leave);
                }
            }
            Act::HandOver if members.len() > 2 => {
                if let Some(person) = sequencer {
                    self.network.user(person, Command::Leave);
                }
            }
            Act::Rekey => {
                if let Some(person) = self.one_of(&members) {
                    self.network.user(person, Command::Rekey);
                }
            }
            Act::Remove if members.len() > 2 => self.remove(&members),
            Act::Lock(on) => {
                if let Some(person) = self.decides() {
                    let command = if on { Command::Lock } else { Command::Unlock };
                    self.network.user(person, command);
                }
            }
            Act::Weather(path) => self.network.paths.all(path),
            Act::Odd(there, back) => {
                if let Some((a, b)) = self.two(&members) {
                    self.network.paths.change(a, b, |p| *p = there);
                    self.network.paths.change(b, a, |p| *p = back);
                }
            }
            Act::Cut { one_way, time } => {
                let Some((a, b)) = self.two(&members) else { return };
                if one_way {
                    self.network.paths.change(a, b, |p| p.open = false);
                    self.later(at + time, Step::ReopenOne(a, b));
                } else {
                    self.network.paths.part(&[a], &[b], false);
                    self.later(at + time, Step::Reopen(vec![a], vec![b]));
                }
            }
            Act::Part(time) => {
                let (here, there): (Vec<_>, Vec<_>) =
                    members.iter().partition(|_| self.dice.chance(0.5));
                self.network.paths.part(&here, &there, false);
                self.later(at + time, Step::Reopen(here, there));
            }
            Act::Alone(time) => {
                let Some(one) = self.one_of(&members) else { return };
                let there: Vec<_> = members.iter().copied().filter(|p| *p != one).collect();
                self.network.paths.part(&[one], &there, false);
                self.later(at + time, Step::Reopen(vec![one], there));
            }
            Act::Crash if members.len() > 2 => {
                if let Some(person) = self.one_of(&others) {
                    self.network.crash(person);
                }
            }
            Act::CrashSequencer if members.len() > 2 => {
                if let Some(person) = sequencer {
                    self.network.crash(person);
                }
            }
            Act::DieCommitting(recipients) if members.len() > 2 => {
                if let Some(person) = sequencer {
                    self.network.dies_after(person, recipients);
                    self.network.user(person, Command::Rekey);
                }
            }
            Act::Return => {
                let out: Vec<_> = (0..self.network.people.len())
                    .filter(|p| self.network.run_of(*p).is_none())
                    .collect();
                if let Some(person) = self.one_of(&out)
                    && self.network.present().len() < MOST
                {
                    self.try_to_join(person, TRIES);
                }
            }
            Act::Sleep(time) => {
                if let Some(person) = self.one_of(&members) {
                    self.network.sleep(person);
                    self.later(at + time, Step::Wake(person));
                }
            }
            Act::Screens(time) => self.network.screens_take(time),
            Act::Cheat(vice) => {
                let leads = vice == Vice::Equivocate || self.dice.chance(0.6);
                let person = if leads { sequencer } else { self.one_of(&members) };
                if let Some(person) = person {
                    self.network.cheat(person, vice);
                }
            }
            // Too few people for it.
            Act::Leave
            | Act::HandOver
            | Act::Remove
            | Act::Crash
            | Act::CrashSequencer
            | Act::DieCommitting(_) => {}
        }
    }

    fn two(&mut self, people: &[Person]) -> Option<(Person, Person)> {
        let a = self.one_of(people)?;
        let rest: Vec<_> = people.iter().copied().filter(|p| *p != a).collect();
        Some((a, self.one_of(&rest)?))
    }

    /// Who may decide: the founder, or whoever leads without them.
    fn decides(&self) -> Option<Person> {
        let may = |p: &Person| self.network.view(*p).is_some_and(|v| v.may_decide);
        let mut members = self.network.members().into_iter();
        let there = |p: &Person| self.network.is_honest(*p) && self.network.is_awake(*p);
        members.find(|p| there(p) && may(p))
    }

    /// Somebody is removed by decision.
    fn remove(&mut self, members: &[Person]) {
        let Some(decides) = self.decides() else { return };
        let others: Vec<_> = members.iter().copied().filter(|p| *p != decides).collect();
        let Some(whom) = self.one_of(&others) else { return };
        let Some(member) = self.member_of(decides, whom) else { return };
        // What the founder decides holds everywhere; whoever leads without the founder decides for
        // that branch, and another need not follow.
        if decides == FOUNDER
            && let Some(run) = self.network.people[decides].run
        {
            self.network.see(run, What::Decided(whom));
        }
        self.removed.insert(whom);
        self.network.user(decides, Command::Remove(member));
    }

    /// Somebody's number, as another sees it.
    fn member_of(&self, by: Person, whom: Person) -> Option<MemberId> {
        let run = self.network.run_of(by)?;
        run.person_of.iter().find(|(_, p)| **p == whom).map(|(m, _)| *m)
    }

    /// Gets an invite from whoever leads and joins by it; again if that failed.
    fn try_to_join(&mut self, person: Person, left: usize) {
        let at = self.network.now();
        if self.last_try.is_some_and(|last| at > last) {
            return;
        }
        if self.network.run_of(person).is_some() || left == 0 {
            // In, or on the way: looked at again only if it may still fail.
            let in_group = self.network.run_of(person).is_some_and(|r| r.newest().is_some());
            if left > 0 && !in_group {
                self.later(at + TRY, Step::Try(person, left));
            }
            return;
        }
        self.later(at + TRY, Step::Try(person, left - 1));
        let Some(leads) = self.decides() else { return };
        if self.removed.remove(&person)
            && let Some(run) = self.network.people[leads].run
        {
            let identity = self.network.identity(person).public();
            self.network.see(run, What::Admitted(person));
            self.network.user(leads, Command::Readmit(identity));
        }
        self.network.user(leads, Command::NewInvite(vec![address(leads)]));
        let text = self.network.view(leads).and_then(|v| Some(v.invites.last()?.text.clone()));
        let Some(invite) = text.and_then(|t| Invite::parse(&t).ok()) else { return };
        let mut rng = self.network.randomness();
        let identity = self.network.identity(person);
        let mono = self.network.base + at;
        let wall = super::run::EPOCH.0 + u64::try_from(at.as_millis()).unwrap_or(0);
        let now = crate::time::Now { mono, wall: crate::time::Wall(wall) };
        match Call::join(config(person), identity, invite, now, &mut rng) {
            Ok(call) => self.network.begin(person, call, rng),
            Err(error) => self.network.errors.push(format!("cannot join: {error}")),
        }
    }

    /// Heals everything.
    fn calm(&mut self, plan: &Plan) {
        let at = self.network.now();
        self.network.trace.note(at, "quiet", &[], String::new);
        self.last_try = Some(at + AGREE / 3);
        self.network.paths.all(plan.calm);
        self.network.screens_take(Duration::ZERO);
        let waiting = std::mem::take(&mut self.steps);
        for person in 0..self.network.people.len() {
            self.network.wake(person);
            if let Some(run) = self.network.people[person].run {
                self.network.runs[run].dies_after = None;
            }
        }
        // Nobody new starts, but who is on the way may go on trying.
        for ((at, _), step) in waiting {
            if let Step::Try(person, left) = step
                && self.network.run_of(person).is_some()
            {
                self.later(at, Step::Try(person, left.min(1)));
            }
        }
    }

    /// Members that never cheated.
    fn honest(&self) -> Vec<Person> {
        self.network.members().into_iter().filter(|p| self.network.is_honest(*p)).collect()
    }

    /// Those who can find each other: through people who were in one epoch, and are here. Whoever was
    /// let in by somebody who is gone, while the call had fallen apart, needs a new invite.
    fn circles(&self) -> Vec<Vec<Person>> {
        let mut open = self.honest();
        let mut circles = Vec::new();
        while let Some(first) = open.pop() {
            let mut circle = vec![first];
            let mut next = 0;
            while let Some(person) = circle.get(next).copied() {
                next += 1;
                let (met, rest) = open.iter().partition(|other| self.network.met(person, **other));
                open = rest;
                circle.extend::<Vec<_>>(met);
            }
            circle.sort_unstable();
            circles.push(self.without_removed(circle));
        }
        circles
    }

    /// Without those who were removed by decision where most are, and may not believe it: whoever
    /// leads without the founder decides for one branch.
    fn without_removed(&self, mut circle: Vec<Person>) -> Vec<Person> {
        let branch = |p: &Person| self.network.newest(*p).map(|epoch| epoch.branch);
        let size = |b: &Option<Branch>| circle.iter().filter(|p| branch(p) == *b).count();
        let most = circle.iter().map(branch).max_by_key(size).flatten();
        let roster = most.map(|b| self.network.epochs[b as usize].members.clone());
        let in_it = |p: &Person| roster.as_ref().is_some_and(|roster| roster.contains(p));
        circle.retain(|p| !self.removed.contains(p) || in_it(p));
        circle
    }

    /// Why not everybody agrees now.
    fn disagreement(&self) -> Option<String> {
        self.circles().into_iter().find_map(|circle| self.discord(circle))
    }

    fn discord(&self, members: Vec<Person>) -> Option<String> {
        let newest = |p: &Person| self.network.newest(*p);
        let mut by_branch: BTreeMap<Branch, Vec<Person>> = BTreeMap::new();
        for person in &members {
            by_branch.entry(newest(person)?.branch).or_default().push(*person);
        }
        if by_branch.len() > 1 {
            let list: Vec<_> = by_branch
                .iter()
                .map(|(b, people)| {
                    let epoch = &self.network.epochs[*b as usize];
                    let (number, sequencer) = (epoch.epoch, epoch.sequencer);
                    format!("{people:?} in branch {b} (epoch {number}, led by {sequencer})")
                })
                .collect();
            return Some(list.join(", "));
        }
        let roster = &members.first().and_then(newest)?.members;
        let honest = |p: &&Person| self.network.is_honest(**p);
        let roster: BTreeSet<Person> = roster.iter().filter(honest).copied().collect();
        let there: BTreeSet<Person> = members.iter().copied().collect();
        (roster != there).then(|| format!("the roster is {roster:?}, {there:?} are there"))
    }

    fn wait_for_agreement(&mut self, quiet: Duration) -> Option<Duration> {
        let mut since = None;
        let step = Duration::from_millis(200);
        let mut at = quiet;
        while at < quiet + AGREE {
            self.until(at);
            match self.disagreement() {
                None => since = since.or(Some(at - quiet)),
                Some(_) => since = None,
            }
            at += step;
        }
        self.until(quiet + AGREE);
        since
    }

    fn judge(&mut self, quiet: Duration) {
        let at = self.network.now();
        if let Some(what) = self.disagreement() {
            let rule = "everybody who can talk agrees";
            self.network.watch.complain(Violation { at, person: 0, rule, what });
        }
        for (liar, fooled) in self.network.unnamed() {
            let rule = "every planted equivocation is named";
            let what = format!("{fooled} does not name {liar}");
            self.network.watch.complain(Violation { at, person: fooled, rule, what });
        }
        let since = quiet + AGREE - Duration::from_secs(5);
        let deaf = self.circles().iter().find_map(|circle| self.network.deaf(circle, since));
        if let Some((a, b)) = deaf {
            let rule = "everybody hears everybody in the end";
            let what = format!("{a} does not hear {b}");
            self.network.watch.complain(Violation { at, person: a, rule, what });
        }
    }

    fn result(self, setup: &Setup, plan: &Plan, healed: Option<Duration>) -> Played {
        let network = self.network;
        let successions = network
            .epochs
            .iter()
            .filter(|e| {
                e.parent.is_some_and(|p| network.epochs[p as usize].sequencer != e.sequencer)
            })
            .count();
        let (member_rate, sequencer_rate) = network.rates();
        Played {
            seed: setup.seed,
            members: plan.members,
            time: network.now(),
            hash: network.trace.hash(),
            changes: network.epochs.len(),
            successions,
            splits: network.epochs.iter().filter(|e| e.split).count(),
            healings: network.healings,
            agreement: network.agreement(),
            healed,
            member_rate,
            sequencer_rate,
            opened: network.opened,
            spoken: network.spoken.len() as u64,
            lines: network.trace.lines().map(String::from).collect(),
            violations: network.watch.violations,
            errors: network.errors,
        }
    }
}
