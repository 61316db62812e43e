//! The invariants. Each rule is a small machine that is fed with what is [`Seen`] and complains.

use super::path::Person;
use super::seen::{Branch, Epoch, Run, Seen, Vice, Violation, What};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Nothing may be sealed when the sequencer was unheard for longer than this.
pub const UNHEARD: Duration = Duration::from_secs(10);
/// Timers are looked at this much later at most.
const SLACK: Duration = Duration::from_millis(1200);

/// One invariant.
pub trait Rule {
    /// Its name, a claim.
    fn name(&self) -> &'static str;
    /// Takes in what happened; the complaint, if it must not.
    fn see(&mut self, seen: &Seen) -> Option<String>;
}

/// Which rules hold for the code under test; all do by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strictness {
    /// Nothing is sealed long after the sequencer went unheard, or between waking and its word.
    pub fence: bool,
}

impl Default for Strictness {
    fn default() -> Self {
        Self { fence: true }
    }
}

/// All rules, and what they said.
pub struct Watch {
    rules: Vec<Box<dyn Rule>>,
    /// What did not hold, in order of time; the first of each rule and person.
    pub violations: Vec<Violation>,
}

impl Watch {
    /// All rules.
    pub fn new(strictness: Strictness) -> Self {
        let mut rules: Vec<Box<dyn Rule>> = vec![
            Box::new(OneRoster::default()),
            Box::new(OneSuccessor::default()),
            Box::new(OneGrant::default()),
            Box::new(FreshNonces::default()),
            Box::new(ShownFirst::default()),
            Box::new(NothingAfterRemoval::default()),
            Box::new(NothingForTheRemoved::default()),
            Box::new(OnlyMembersOpen::default()),
            Box::new(NoFalseAlarm::default()),
            Box::new(RemovedStaysOut::default()),
            Box::new(NoNewcomerLeads::default()),
        ];
        if strictness.fence {
            rules.push(Box::new(Fence));
        }
        Self { rules, violations: Vec::new() }
    }

    /// Takes in what happened.
    pub fn see(&mut self, seen: &Seen) {
        let complaint = |rule: &mut Box<dyn Rule>| Some((rule.name(), rule.see(seen)?));
        let complaints: Vec<_> = self.rules.iter_mut().filter_map(complaint).collect();
        for (rule, what) in complaints {
            self.complain(Violation { at: seen.at, person: seen.person, rule, what });
        }
    }

    /// Notes a violation, once per rule and person.
    pub fn complain(&mut self, violation: Violation) {
        let known = |v: &Violation| v.rule == violation.rule && v.person == violation.person;
        if !self.violations.iter().any(known) {
            self.violations.push(violation);
        }
    }
}

/// Everybody in an epoch of one authenticator has the same roster and sequencer.
#[derive(Default)]
pub struct OneRoster(BTreeMap<Branch, Epoch>);

impl Rule for OneRoster {
    fn name(&self) -> &'static str {
        "one authenticator is one roster"
    }

    fn see(&mut self, seen: &Seen) -> Option<String> {
        let What::Entered(epoch) = &seen.what else { return None };
        let first = self.0.entry(epoch.branch).or_insert_with(|| epoch.clone());
        let same = first.epoch == epoch.epoch
            && first.members == epoch.members
            && first.sequencer == epoch.sequencer
            && first.term == epoch.term;
        (!same).then(|| format!("{epoch:?}, but others have {first:?}"))
    }
}

/// From one epoch at most one majority goes on per term.
#[derive(Default)]
pub struct OneSuccessor {
    next: BTreeMap<(Branch, u64), Branch>,
    cheats: BTreeSet<Person>,
    of: BTreeMap<Branch, Person>,
}

impl Rule for OneSuccessor {
    fn name(&self) -> &'static str {
        "at most one majority successor per epoch and term"
    }

    fn see(&mut self, seen: &Seen) -> Option<String> {
        match &seen.what {
            What::Cheats(Vice::Equivocate) => {
                self.cheats.insert(seen.person);
                None
            }
            What::Entered(epoch) => {
                self.of.insert(epoch.branch, epoch.sequencer);
                let parent = epoch.parent?;
                // Two commits of one sequencer are the alarm's business.
                let cheated = self.of.get(&parent).is_some_and(|s| self.cheats.contains(s));
                if !epoch.granted || cheated {
                    return None;
                }
                let first = *self.next.entry((parent, epoch.term)).or_insert(epoch.branch);
                (first != epoch.branch).then(|| {
                    let (term, branch) = (epoch.term, epoch.branch);
                    format!("after {parent} in term {term}: branch {first} and branch {branch}")
                })
            }
            _ => None,
        }
    }
}

/// Nobody grants one term of one epoch to two candidates.
#[derive(Default)]
pub struct OneGrant(BTreeMap<(Run, Branch, u64), Person>);

impl Rule for OneGrant {
    fn name(&self) -> &'static str {
        "no term is granted twice"
    }

    fn see(&mut self, seen: &Seen) -> Option<String> {
        let What::Granted(g) = &seen.what else { return None };
        let first = *self.0.entry((seen.run, g.branch, g.term)).or_insert(g.candidate);
        (first != g.candidate).then(|| {
            let (term, branch, second) = (g.term, g.branch, g.candidate);
            format!("term {term} after branch {branch}: to {first} and to {second}")
        })
    }
}

/// No key and counter seal two objects.
#[derive(Default)]
pub struct FreshNonces(BTreeMap<(Run, Option<Branch>, u64), BTreeMap<u64, u64>>);

impl Rule for FreshNonces {
    fn name(&self) -> &'static str {
        "no key and nonce twice"
    }

    fn see(&mut self, seen: &Seen) -> Option<String> {
        let What::Sealed(s) = &seen.what else { return None };
        let used = self.0.entry((seen.run, s.branch, s.kid)).or_default();
        let first = *used.entry(s.ctr).or_insert(s.digest);
        (first != s.digest).then(|| format!("KID {:#x}, counter {}", s.kid, s.ctr))
    }
}

/// Nothing is sealed for an epoch whose roster was not shown.
#[derive(Default)]
pub struct ShownFirst(BTreeSet<(Run, Branch)>);

impl Rule for ShownFirst {
    fn name(&self) -> &'static str {
        "nothing is sealed before the roster was shown"
    }

    fn see(&mut self, seen: &Seen) -> Option<String> {
        match &seen.what {
            What::Shown(branch) => {
                self.0.insert((seen.run, *branch));
                None
            }
            What::Sealed(s) => match s.branch {
                Some(branch) if self.0.contains(&(seen.run, branch)) => None,
                Some(branch) => Some(format!("for branch {branch}")),
                None => Some(format!("KID {:#x} is of no epoch it was in", s.kid)),
            },
            _ => None,
        }
    }
}

/// Once somebody is known to be out, nothing is sealed under a key they hold.
#[derive(Default)]
pub struct NothingAfterRemoval {
    now: BTreeMap<Run, (u64, Branch)>,
    closed: BTreeMap<Run, BTreeSet<Branch>>,
    before: BTreeMap<Run, BTreeSet<Branch>>,
}

impl Rule for NothingAfterRemoval {
    fn name(&self) -> &'static str {
        "nothing is sealed under an older epoch after a removal"
    }

    fn see(&mut self, seen: &Seen) -> Option<String> {
        match &seen.what {
            What::Entered(epoch) => {
                let before = self.before.entry(seen.run).or_default();
                if epoch.dropped {
                    self.closed.entry(seen.run).or_default().append(before);
                }
                before.insert(epoch.branch);
                self.now.insert(seen.run, (epoch.epoch, epoch.branch));
                None
            }
            What::Sealed(s) => {
                let branch = s.branch?;
                let closed = self.closed.get(&seen.run)?.contains(&branch);
                closed.then(|| format!("branch {branch}, now in {:?}", self.now.get(&seen.run)))
            }
            _ => None,
        }
    }
}

/// Whoever knows of a removal seals nothing more that the removed one could open.
#[derive(Default)]
pub struct NothingForTheRemoved {
    know: BTreeMap<Person, BTreeSet<Run>>,
    /// Epochs entered without them by somebody who knows.
    without: BTreeSet<(Person, Branch)>,
    members: BTreeMap<Branch, BTreeSet<Person>>,
}

impl Rule for NothingForTheRemoved {
    fn name(&self) -> &'static str {
        "nothing is sealed for the removed"
    }

    fn see(&mut self, seen: &Seen) -> Option<String> {
        match &seen.what {
            What::Decided(whom) => {
                self.know.entry(*whom).or_default().insert(seen.run);
                None
            }
            What::Admitted(whom) => {
                self.know.remove(whom);
                self.without.retain(|(who, _)| who != whom);
                None
            }
            What::Entered(epoch) => {
                self.members.entry(epoch.branch).or_insert_with(|| epoch.members.clone());
                let before = epoch.parent.and_then(|parent| self.members.get(&parent))?;
                for (out, runs) in &mut self.know {
                    let gone = before.contains(out) && !epoch.members.contains(out);
                    if gone && runs.contains(&seen.run) {
                        self.without.insert((*out, epoch.branch));
                    }
                    if self.without.contains(&(*out, epoch.branch)) {
                        runs.insert(seen.run);
                    }
                }
                None
            }
            What::Sealed(s) => {
                let members = self.members.get(&s.branch?)?;
                let knows = |(out, runs): &(&Person, &BTreeSet<Run>)| {
                    members.contains(*out) && runs.contains(&seen.run) && **out != seen.person
                };
                let (out, _) = self.know.iter().find(knows)?;
                Some(format!("{out} could open it"))
            }
            _ => None,
        }
    }
}

/// Nothing is sealed when the sequencer was unheard for too long, or since waking.
pub struct Fence;

impl Rule for Fence {
    fn name(&self) -> &'static str {
        "nothing is sealed without the sequencer's word"
    }

    fn see(&mut self, seen: &Seen) -> Option<String> {
        let What::Sealed(s) = &seen.what else { return None };
        if s.drowsy {
            return Some("since waking".into());
        }
        let unheard = s.unheard.filter(|u| *u > UNHEARD + SLACK)?;
        Some(format!("for {:.1} s", unheard.as_secs_f64()))
    }
}

/// Whoever opens a frame was a member of the epoch it was sealed for, and is told the truth about
/// who spoke: joiners read nothing from before, removed ones nothing from after.
#[derive(Default)]
pub struct OnlyMembersOpen(BTreeMap<Branch, BTreeSet<Person>>);

impl Rule for OnlyMembersOpen {
    fn name(&self) -> &'static str {
        "only members of its epoch open a frame"
    }

    fn see(&mut self, seen: &Seen) -> Option<String> {
        match &seen.what {
            What::Entered(epoch) => {
                // The sealer's own word: it enters before anybody it tells.
                self.0.entry(epoch.branch).or_insert_with(|| epoch.members.clone());
                None
            }
            What::Opened(o) => {
                if o.from != Some(o.by) {
                    return Some(format!("{} spoke, {:?} was shown", o.by, o.from));
                }
                let members = o.branch.and_then(|b| self.0.get(&b));
                let allowed = members.is_some_and(|m| m.contains(&seen.person));
                (!allowed).then(|| format!("from {}: {:?} is for {members:?}", o.by, o.branch))
            }
            _ => None,
        }
    }
}

/// Nobody is named an equivocator who is none.
#[derive(Default)]
pub struct NoFalseAlarm {
    cheats: BTreeSet<Person>,
}

impl Rule for NoFalseAlarm {
    fn name(&self) -> &'static str {
        "no alarm about honest people"
    }

    fn see(&mut self, seen: &Seen) -> Option<String> {
        match &seen.what {
            What::Cheats(Vice::Equivocate) => {
                self.cheats.insert(seen.person);
                None
            }
            What::Alarm(about) if !self.cheats.contains(about) => Some(format!("about {about}")),
            _ => None,
        }
    }
}

/// Once somebody was removed by decision, no epoch that follows has them, nor do those who know take
/// them as their leader, until somebody lets them in again. (Who decides it in one branch may find
/// them in another: there the decision is carried in, and carried out.)
#[derive(Default)]
pub struct RemovedStaysOut {
    decided: BTreeSet<Person>,
    /// Epochs without them since the decision.
    without: BTreeMap<Person, BTreeSet<Branch>>,
    /// Runs that decided it or have been in such an epoch.
    know: BTreeMap<Person, BTreeSet<Run>>,
    epochs: BTreeMap<Branch, (BTreeSet<Person>, Person)>,
}

impl Rule for RemovedStaysOut {
    fn name(&self) -> &'static str {
        "the removed stay out"
    }

    fn see(&mut self, seen: &Seen) -> Option<String> {
        match &seen.what {
            What::Decided(whom) => {
                self.decided.insert(*whom);
                self.know.entry(*whom).or_default().insert(seen.run);
                None
            }
            What::Admitted(whom) => {
                self.decided.remove(whom);
                self.know.remove(whom);
                self.without.remove(whom);
                None
            }
            What::Entered(epoch) => {
                self.epochs.insert(epoch.branch, (epoch.members.clone(), epoch.sequencer));
                let before = epoch.parent.and_then(|parent| self.epochs.get(&parent));
                let (Some(parent), Some((members, sequencer))) = (epoch.parent, before) else {
                    return None;
                };
                for out in &self.decided {
                    let without = self.without.entry(*out).or_default();
                    let know = self.know.entry(*out).or_default();
                    if !epoch.members.contains(out) {
                        // Others may only have lost them.
                        let by_decision = members.contains(out) && know.contains(&seen.run);
                        if by_decision || without.contains(&parent) {
                            without.insert(epoch.branch);
                        }
                        if without.contains(&epoch.branch) {
                            know.insert(seen.run);
                        }
                        continue;
                    }
                    if without.contains(&parent) {
                        return Some(format!("{out} is back in {}", epoch.branch));
                    }
                    let takes_over = epoch.sequencer == *out && sequencer != out;
                    if know.contains(&seen.run) && takes_over {
                        return Some(format!("{out} leads {}", epoch.branch));
                    }
                }
                None
            }
            _ => None,
        }
    }
}

/// A new sequencer was a member in the epoch before.
#[derive(Default)]
pub struct NoNewcomerLeads(BTreeMap<Branch, Epoch>);

impl Rule for NoNewcomerLeads {
    fn name(&self) -> &'static str {
        "no newcomer leads"
    }

    fn see(&mut self, seen: &Seen) -> Option<String> {
        let What::Entered(epoch) = &seen.what else { return None };
        self.0.entry(epoch.branch).or_insert_with(|| epoch.clone());
        let parent = self.0.get(&epoch.parent?)?;
        let newcomer =
            parent.sequencer != epoch.sequencer && !parent.members.contains(&epoch.sequencer);
        newcomer.then(|| format!("{} leads {}", epoch.sequencer, epoch.branch))
    }
}
