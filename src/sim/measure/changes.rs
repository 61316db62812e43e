//! Changes of the group: from the moment one is asked for until the last member seals with the new
//! keys, and what was lost of the sound meanwhile.

use super::State;
use crate::call::EpochWhy;
use crate::sim::report::{ChangeReport, round};
use std::collections::BTreeMap;

/// Sound made up within this time after a change is counted as its fault, in µs.
const AFTERMATH: u64 = 1_500_000;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Somebody proved an invite and was let in.
    Join,
    /// Somebody leaves.
    Leave,
    /// A decision removes somebody.
    Remove,
    /// New keys for everybody.
    Rekey,
}

impl Asked {
    fn word(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Remove => "remove",
            Self::Rekey => "rekey",
        }
    }

    fn leads_to(self, why: EpochWhy) -> bool {
        matches!(
            (self, why),
            (Self::Join, EpochWhy::Joined | EpochWhy::Back)
                | (Self::Leave | Self::Remove, EpochWhy::Left)
                | (Self::Rekey, EpochWhy::Keys)
        )
    }
}

/// All changes so far. Times are µs since the beginning of the call.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    asked: Vec<(Asked, u64)>,
    epochs: BTreeMap<u64, Change>,
}

#[derive(Clone, Debug)]
struct Change {
    /// `None`: nobody asked (the healing commit, handing over, somebody lost).
    asked: Option<(Asked, u64)>,
    committed: u64,
    /// By participant.
    entered: BTreeMap<usize, u64>,
    sealing: BTreeMap<usize, u64>,
}

impl Changes {
    pub(super) fn asked(&mut self, what: Asked, at: u64) {
        self.asked.push((what, at));
    }

    /// A participant is in this epoch; the first who is made it.
    pub(super) fn entered(&mut self, index: usize, epoch: u64, why: EpochWhy, at: u64) {
        let asked = &mut self.asked;
        let change = self.epochs.entry(epoch).or_insert_with(|| {
            let found = asked.iter().position(|(what, _)| what.leads_to(why));
            let asked = found.map(|i| asked.remove(i));
            Change { asked, committed: at, entered: BTreeMap::new(), sealing: BTreeMap::new() }
        });
        change.entered.entry(index).or_insert(at);
    }

    /// A participant sealed its first frame in this epoch.
    pub(super) fn sealing(&mut self, index: usize, epoch: u64, at: u64) {
        // Whoever went on to a later epoch at once is past the earlier one, too.
        for (_, change) in self.epochs.range_mut(..=epoch) {
            if change.entered.contains_key(&index) {
                change.sealing.entry(index).or_insert(at);
            }
        }
    }
}

impl State {
    /// What somebody asked for, in order; changes that nobody asked for are left out.
    pub(in crate::sim) fn change_reports(&self) -> Vec<ChangeReport> {
        let ms = |us: u64| round(us as f64 / 1000.0, 1);
        let changes = self.changes.epochs.iter();
        changes
            .filter_map(|(epoch, change)| {
                let (what, asked) = change.asked?;
                let members: Vec<usize> = change.entered.keys().copied().collect();
                let last = |times: &BTreeMap<usize, u64>| {
                    let all = members.iter().map(|i| times.get(i).copied());
                    let all: Option<Vec<u64>> = all.collect();
                    all?.into_iter().max().map(|at| ms(at.saturating_sub(asked)))
                };
                Some(ChangeReport {
                    what: what.word(),
                    epoch: *epoch,
                    members: members.len(),
                    s: round(asked as f64 / 1e6, 3),
                    committed_ms: ms(change.committed.saturating_sub(asked)),
                    entered_ms: last(&change.entered),
                    sealing_ms: last(&change.sealing),
                    concealed_ms: self.concealed_by(&members, asked),
                })
            })
            .collect()
    }

    /// Most sound made up between two of these after `since`.
    fn concealed_by(&self, members: &[usize], since: u64) -> u64 {
        let inside = |to: &usize, from: &crate::wire::link::MemberId| {
            members.contains(to) && self.who.get(from).is_some_and(|i| members.contains(i))
        };
        let pairs = self.directions.iter().filter(|((to, from), _)| inside(to, from));
        pairs.map(|(_, d)| d.concealed_between(since, since + AFTERMATH)).max().unwrap_or_default()
    }
}
