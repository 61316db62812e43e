//! Figures: of one simulation, and of many.

use super::network::Network;
use super::path::Person;
use super::play::Played;
use std::collections::BTreeSet;
use std::time::Duration;

impl Network {
    /// For each epoch that all of its members entered who were there to the end: the time from the
    /// first to the last.
    pub(super) fn agreement(&self) -> Vec<Duration> {
        let mut times = Vec::new();
        for (epoch, entries) in self.epochs.iter().zip(&self.entries) {
            let entered: BTreeSet<Person> =
                entries.iter().map(|(_, run)| self.runs[*run].person).collect();
            let all = epoch.members.is_subset(&entered);
            let (first, last) =
                (entries.iter().map(|e| e.0).min(), entries.iter().map(|e| e.0).max());
            if let (Some(first), Some(last), true) = (first, last, all && epoch.members.len() > 1) {
                times.push(last - first);
            }
        }
        times
    }

    /// Handshake bytes per second: of members over their whole time, of sequencers while leading.
    pub(super) fn rates(&self) -> (Vec<f64>, Vec<f64>) {
        let mut members = Vec::new();
        let mut sequencers = Vec::new();
        for run in &self.runs {
            let led = run.led.0.as_secs_f64();
            let all = run.there.as_secs_f64();
            if led > 1.0 {
                sequencers.push(run.led.1 as f64 / led);
            }
            if all - led > 1.0 {
                members.push((run.handshake_bytes - run.led.1) as f64 / (all - led));
            }
        }
        (members, sequencers)
    }

    /// Equivocators who got both their commits to somebody, and honest members that were there then
    /// and are still, but do not name them.
    pub(super) fn unnamed(&self) -> Vec<(Person, Person)> {
        let mut missing = Vec::new();
        for liar in &self.runs {
            let Some(cheat) = liar.cheat.as_ref().filter(|c| c.fooled.len() > 1) else { continue };
            for run in self.runs.iter().filter(|r| r.is_on() && r.cheat.is_none()) {
                let there = cheat.audience.contains(&run.person) && run.began < cheat.at;
                if there && !run.alarms.contains(&liar.person) {
                    missing.push((liar.person, run.person));
                }
            }
        }
        missing
    }

    /// The first pair of members of which one has opened nothing of the other since.
    pub(super) fn deaf(&self, members: &[Person], since: Duration) -> Option<(Person, Person)> {
        for a in members {
            for b in members.iter().filter(|b| *b != a) {
                let last = self.last_heard.get(&(*a, *b));
                if last.is_none_or(|t| *t < since) {
                    return Some((*a, *b));
                }
            }
        }
        None
    }
}

/// Many simulations together.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many.
    pub seeds: usize,
    /// People at the start, together.
    pub members: usize,
    /// Virtual time.
    pub time: Duration,
    /// Epochs.
    pub changes: usize,
    /// New sequencers.
    pub successions: usize,
    /// Branches without a majority.
    pub splits: usize,
    /// Returns from another branch.
    pub healings: usize,
    /// Frames.
    pub spoken: u64,
    /// Frames opened.
    pub opened: u64,
    /// Errors of people's own calls.
    pub errors: usize,
    /// From the first to the last who entered an epoch.
    pub agreement: Vec<Duration>,
    /// From the last disturbance to agreement.
    pub healed: Vec<Duration>,
    /// Bytes per second.
    pub member_rate: Vec<f64>,
    /// Bytes per second while leading.
    pub sequencer_rate: Vec<f64>,
    /// What did not hold, by seed.
    pub violations: Vec<(u64, String)>,
}

impl Summary {
    /// Adds one simulation.
    pub fn add(&mut self, played: &Played) {
        self.seeds += 1;
        self.members += played.members;
        self.time += played.time;
        self.changes += played.changes;
        self.successions += played.successions;
        self.splits += played.splits;
        self.healings += played.healings;
        self.spoken += played.spoken;
        self.opened += played.opened;
        self.errors += played.errors.len();
        self.agreement.extend(&played.agreement);
        self.healed.extend(played.healed);
        self.member_rate.extend(&played.member_rate);
        self.sequencer_rate.extend(&played.sequencer_rate);
        let violations = played.violations.iter().map(|v| (played.seed, v.to_string()));
        self.violations.extend(violations);
    }

    /// Median, 95th percentile and largest of some times, in milliseconds.
    pub fn spread(times: &[Duration]) -> [u128; 3] {
        let mut sorted = times.to_vec();
        sorted.sort();
        let at = |share: f64| {
            let last = sorted.len().saturating_sub(1);
            let index = (last as f64 * share).round() as usize;
            sorted.get(index.min(last)).map_or(0, Duration::as_millis)
        };
        [at(0.5), at(0.95), at(1.0)]
    }

    /// Mean and largest of some rates, in bytes per second.
    pub fn mean_and_most(rates: &[f64]) -> [f64; 2] {
        let sum: f64 = rates.iter().sum();
        let mean = if rates.is_empty() { 0.0 } else { sum / rates.len() as f64 };
        [mean, rates.iter().copied().fold(0.0, f64::max)]
    }

    /// The figures for people.
    pub fn text(&self) -> String {
        let [p50, p95, most] = Self::spread(&self.agreement);
        let [h50, h95, hmost] = Self::spread(&self.healed);
        let [member, _] = Self::mean_and_most(&self.member_rate);
        let [leads, leads_most] = Self::mean_and_most(&self.sequencer_rate);
        format!(
            "seeds {}, people {}, simulated {:.0} s\n\
             changes {}, successions {}, splits {}, healings {}\n\
             frames spoken {}, opened {}; own errors {}\n\
             one change, first to last member: p50 {p50} ms, p95 {p95} ms, most {most} ms\n\
             last disturbance to agreement: p50 {h50} ms, p95 {h95} ms, most {hmost} ms\n\
             handshake: {member:.0} B/s a member; {leads:.0} B/s at the sequencer \
             (most {leads_most:.0})\n\
             violations {}",
            self.seeds,
            self.members,
            self.time.as_secs_f64(),
            self.changes,
            self.successions,
            self.splits,
            self.healings,
            self.spoken,
            self.opened,
            self.errors,
            self.violations.len(),
        )
    }

    /// The figures for programs.
    pub fn json(&self, wall: Duration) -> serde_json::Value {
        let spread = |times: &[Duration]| {
            let [p50, p95, most] = Self::spread(times);
            let ms = |t: u128| u64::try_from(t).unwrap_or(u64::MAX);
            serde_json::json!({ "p50": ms(p50), "p95": ms(p95), "max": ms(most) })
        };
        let [member, _] = Self::mean_and_most(&self.member_rate);
        let [leads, leads_most] = Self::mean_and_most(&self.sequencer_rate);
        let violations: Vec<_> = self
            .violations
            .iter()
            .map(|(seed, what)| serde_json::json!({ "seed": seed, "what": what }))
            .collect();
        serde_json::json!({
            "version": 1,
            "seeds": self.seeds,
            "members": self.members,
            "simulated_s": self.time.as_secs(),
            "wall_s": wall.as_secs_f64(),
            "changes": self.changes,
            "successions": self.successions,
            "splits": self.splits,
            "healings": self.healings,
            "frames_spoken": self.spoken,
            "frames_opened": self.opened,
            "own_errors": self.errors,
            "change_ms": spread(&self.agreement),
            "agreement_ms": spread(&self.healed),
            "handshake_bytes_per_s": {
                "member": member,
                "sequencer": leads,
                "sequencer_max": leads_most,
            },
            "violations": violations,
        })
    }
}
