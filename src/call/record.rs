//! What the ledger keeps of a call: every epoch with its whole roster, who acknowledged it, who
//! went and how, and what bears on trust.

use super::*;
use crate::ledger::{Chain, Happened, Member};
use crate::time::Wall;

/// The ledger's end, and the time of what is being handled.
pub(super) struct Record {
    pub(super) chain: Chain,
    pub(super) now: Wall,
}

/// The ledger as a screen shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerView {
    /// Lines so far.
    pub lines: u64,
    /// Hash of the last one: whoever has it can check the whole file.
    pub head: [u8; 32],
}

impl Call {
    /// Adds what this event means to the ledger, if it means anything there.
    pub(super) fn record(&mut self, event: &Event) {
        let Some(what) = self.happened(event) else { return };
        self.add_line(what);
    }

    /// The user says that the call words matched.
    pub(super) fn record_words(&mut self) {
        self.add_line(Happened::WordsMatch);
    }

    fn add_line(&mut self, what: Happened) {
        let Some(group) = &self.group else { return };
        let (epoch, confirmation) = (group.epoch(), group.confirmation_hash());
        let line = self.record.chain.add(self.record.now, epoch, &confirmation, what);
        self.out.push_back(Output::Event(Event::Ledger { line: line.into() }));
    }

    fn happened(&self, event: &Event) -> Option<Happened> {
        let seen = |member: &MemberId, what: &str| {
            Some(Happened::Seen { member: member.0, what: what.to_owned() })
        };
        match event {
            Event::Epoch { why, .. } => self.epoch_line(*why),
            Event::Acked { member, agrees } => {
                Some(Happened::Ack { member: member.0, agrees: *agrees })
            }
            Event::Left { member, how, .. } => Some(Happened::Out {
                member: member.0,
                how: match how {
                    LeftHow::Left => "left".into(),
                    LeftHow::Lost => "lost".into(),
                    LeftHow::Removed(by) => format!("removed by {}", by.0),
                },
            }),
            Event::Lost(member, true) => seen(member, "not heard"),
            Event::Lost(member, false) => seen(member, "heard again"),
            Event::Back(member) => seen(member, "back, same identity"),
            Event::Succession { split } => {
                let leader = self.sequencer()?;
                seen(&leader, if *split { "leads a split branch" } else { "leads by a majority" })
            }
            Event::LostContradicted { by, name, .. } => {
                seen(by, &format!("says lost, but heard here: {name}"))
            }
            Event::Equivocation { by, .. } => seen(by, "signed two commits for one epoch"),
            Event::BadGroupMessage { from, why } => seen(from, &format!("refused: {why}")),
            _ => None,
        }
    }

    fn epoch_line(&self, why: EpochWhy) -> Option<Happened> {
        let roster = self.group.as_ref()?.roster();
        let member = |row: &crate::group::RosterRow| {
            let name = crate::identity::Credential::decode(&row.credential)
                .map(|c| c.name.to_string())
                .unwrap_or_default();
            Member {
                member: row.id.0,
                fingerprint: Fingerprint::of(&crate::keys::IdentityPublic(row.identity)).full(),
                name,
                since: row.since_epoch,
                by: row.added_by.map(|by| by.0),
            }
        };
        Some(Happened::Epoch {
            why: match why {
                EpochWhy::Begun => "begun",
                EpochWhy::Joined => "joined",
                EpochWhy::Left => "left",
                EpochWhy::Keys => "keys",
                EpochWhy::Back => "back",
                EpochWhy::Returned => "returned",
            }
            .into(),
            sequencer: roster.sequencer.0,
            roster: roster.members.iter().map(member).collect(),
        })
    }

    pub(super) fn ledger_view(&self) -> LedgerView {
        LedgerView { lines: self.record.chain.lines(), head: self.record.chain.head() }
    }
}
