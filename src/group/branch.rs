//! Two branches of one group meet: which one goes on?
//!
//! Histories never merge. Members of the losing branch give it up and come back to the winning one
//! by Add. Both sides must decide alike, from the same two descriptions ([`Branch`]) and the roster
//! of the last epoch they share, which both remember.
//!
//! In this order: a branch whose first own commit has a *proven majority* of the shared epoch's
//! members (their acks of it, or the grants that made it); one whose members hear who leads it; one
//! that didn't split off; one led on by the shared epoch's own sequencer; more members; the
//! sequencer that joined earlier; the lower term; the longer branch. The proof can't be forged; the
//! rest is the presenter's word.

use super::bytes::{Malformed, Reader};
use super::history::{Entry, KEPT_EPOCHS};
use super::state::MAX_MEMBERS;
use super::statement::Statement;
use super::succession::{EpochName, Grants, put_signatures, read_signatures};
use super::{Group, export};
use crate::wire::link::MemberId;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

const VERSION: u8 = 1;
/// Longest encoded branch, in bytes.
pub const MAX_BRANCH: usize = 8 * 1024;

/// A branch, as its members describe it to those they meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Epochs and their confirmation hashes, oldest first, the current one last.
    path: Vec<(u64, [u8; 32])>,
    /// Members in the roster.
    pub members: u8,
    /// Who leads.
    pub sequencer: MemberId,
    /// Its term.
    pub term: u32,
    /// Begun by a minority, and nobody is back yet.
    pub split: bool,
    /// Who describes it hears who leads it, or leads it itself.
    pub led: bool,
    proof: Option<Proof>,
}

/// What the branch did after one epoch, and who went along.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Proof {
    /// The epoch it follows.
    after: u64,
    /// The commit's statement; `None` when the branch made no commit since, or lost its record.
    step: Option<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    statement: Statement,
    auth_hash: [u8; 32],
    acks: BTreeMap<MemberId, [u8; 64]>,
    succession: Option<(MemberId, Grants)>,
}

/// How two branches of a group stand to each other, seen from ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The same epoch of the same branch.
    Same,
    /// Ours goes on; the other side comes back to us.
    Ours,
    /// Theirs goes on; we give ours up and come back.
    Theirs,
    /// No epoch in common that both remember.
    NoCommon,
    /// A description doesn't show what followed the common epoch: ask for one that answers ours
    /// ([`Group::branch_for`]).
    Unproven,
}

impl Standing {
    /// As the other side sees it.
    pub fn reversed(self) -> Self {
        match self {
            Self::Ours => Self::Theirs,
            Self::Theirs => Self::Ours,
            other => other,
        }
    }
}

impl Branch {
    /// The epoch it is in.
    pub fn epoch(&self) -> u64 {
        self.path.last().map_or(0, |(epoch, _)| *epoch)
    }

    /// For the wire: at most [`MAX_BRANCH`] bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        super::bytes::put_count(&mut out, self.path.len());
        for (epoch, confirmation) in &self.path {
            out.extend_from_slice(&epoch.to_be_bytes());
            out.extend_from_slice(confirmation);
        }
        out.push(self.members);
        out.extend_from_slice(&self.sequencer.0.to_be_bytes());
        out.extend_from_slice(&self.term.to_be_bytes());
        out.push(u8::from(self.split));
        out.push(u8::from(self.led));
        let Some(proof) = &self.proof else {
            out.push(0);
            return out;
        };
        out.push(1 + u8::from(proof.step.is_some()));
        out.extend_from_slice(&proof.after.to_be_bytes());
        if let Some(step) = &proof.step {
            step.statement.put(&mut out);
            out.extend_from_slice(&step.auth_hash);
            put_signatures(&mut out, &step.acks);
            out.push(u8::from(step.succession.is_some()));
            if let Some((by, grants)) = &step.succession {
                out.extend_from_slice(&by.0.to_be_bytes());
                grants.put(&mut out);
            }
        }
        out
    }

    /// Reads a description; what it proves is judged by [`Group::compare`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_BRANCH {
            return Err(Malformed);
        }
        let mut r = Reader::new(bytes);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let n = usize::from(r.u8()?);
        if !(1..=KEPT_EPOCHS).contains(&n) {
            return Err(Malformed);
        }
        let path = (0..n).map(|_| Ok((r.u64()?, r.array()?))).collect::<Result<Vec<_>, _>>()?;
        let members = r.u8()?;
        let (sequencer, term) = (MemberId(r.u32()?), r.u32()?);
        let (split, led) = (read_bool(&mut r)?, read_bool(&mut r)?);
        let proof = match r.u8()? {
            0 => None,
            1 => Some(Proof { after: r.u64()?, step: None }),
            2 => Some(Proof { after: r.u64()?, step: Some(Step::read(&mut r)?) }),
            _ => return Err(Malformed),
        };
        r.end()?;
        let sensible = path.is_sorted_by(|a, b| a.0 < b.0)
            && (1..=MAX_MEMBERS).contains(&usize::from(members));
        let branch = Self { path, members, sequencer, term, split, led, proof };
        if sensible { Ok(branch) } else { Err(Malformed) }
    }

    /// The last epoch two branches share.
    fn common(&self, other: &Self) -> Option<(u64, [u8; 32])> {
        self.path.iter().rev().find(|step| other.path.contains(step)).copied()
    }
}

impl Step {
    fn of(entry: &Entry) -> Option<Self> {
        Some(Self {
            statement: entry.statement?,
            auth_hash: entry.auth_hash,
            acks: entry.acks.clone(),
            succession: entry.succession.clone(),
        })
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let statement = Statement::read(r)?;
        let auth_hash = r.array()?;
        let acks = read_signatures(r)?;
        let succession = match read_bool(r)? {
            true => Some((MemberId(r.u32()?), Grants::read(r)?)),
            false => None,
        };
        Ok(Self { statement, auth_hash, acks, succession })
    }

    /// Its commit was made in the common epoch.
    fn follows(&self, group: &[u8; 16], common: &Entry) -> bool {
        let parent = (self.statement.epoch, self.statement.confirmation);
        parent == (common.epoch, common.confirmation) && self.statement.verify(group)
    }

    /// The term in which a majority of the common epoch's members stood behind this step; `None`
    /// without one.
    fn majority(&self, group: &[u8; 16], common: &Entry) -> Option<u32> {
        let statement = &self.statement;
        let key = |member: &MemberId| common.people.get(member).map(|(leaf_key, _)| leaf_key);
        let enough = |n: usize| n * 2 > common.people.len();
        let (mut term, mut granted) = (0, 0);
        if let Some((by, grants)) = &self.succession
            && key(by) == Some(&statement.by)
        {
            let name =
                EpochName { group: *group, epoch: common.epoch, confirmation: common.confirmation };
            let held = grants.by.iter().filter(|(voter, signature)| {
                key(voter).is_some_and(|key| name.is_granted(key, grants.term, *by, signature))
            });
            (term, granted) = (grants.term, held.count());
        }
        let acked = self.acks.iter().filter(|(member, signature)| {
            key(member).is_some_and(|key| {
                export::ack_fits(group, key, statement, &self.auth_hash, signature)
            })
        });
        (enough(granted) || enough(acked.count())).then_some(term)
    }
}

/// What a branch is worth; the greater goes on.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Worth {
    /// A majority, by the term it was given for: of two majorities of grants the later one's
    /// members have refused the earlier.
    majority: Option<u32>,
    led: bool,
    goes_on: bool,
    /// The common epoch's sequencer made the first commit of its own.
    by_sequencer: bool,
    members: u8,
    sequencer: Reverse<MemberId>,
    term: Reverse<u32>,
    epoch: u64,
    /// Two branches alike in everything above exist only when one member led both.
    last: [u8; 32],
}

impl Worth {
    fn of(group: &[u8; 16], branch: &Branch, common: &Entry) -> Option<Self> {
        let (epoch, last) = *branch.path.last()?;
        let step = match &branch.proof {
            // No step since: the branch *is* the common epoch.
            _ if epoch == common.epoch => None,
            Some(proof) if proof.after == common.epoch => proof.step.as_ref(),
            _ => return None,
        };
        let follows = step.filter(|step| step.follows(group, common));
        let leader = common.people.get(&common.sequencer).map(|(leaf_key, _)| *leaf_key);
        Some(Self {
            majority: follows.and_then(|step| step.majority(group, common)),
            led: branch.led,
            goes_on: !branch.split,
            by_sequencer: follows.is_some_and(|step| Some(step.statement.by) == leader),
            members: branch.members,
            sequencer: Reverse(branch.sequencer),
            term: Reverse(branch.term),
            epoch,
            last,
        })
    }
}

/// Decides between two descriptions, from what both sides remember of the common epoch.
fn decide(group: &[u8; 16], ours: &Branch, theirs: &Branch, common: &Entry) -> Standing {
    let worth = |branch| Worth::of(group, branch, common);
    let (Some(ours), Some(theirs)) = (worth(ours), worth(theirs)) else {
        return Standing::Unproven;
    };
    match ours.cmp(&theirs) {
        Ordering::Greater => Standing::Ours,
        Ordering::Less => Standing::Theirs,
        Ordering::Equal => Standing::Same,
    }
}

impl Group {
    /// Whether this describes the epoch we are in.
    pub fn is_in(&self, branch: &Branch) -> bool {
        branch.path.last() == Some(&(self.epoch(), self.confirmation_hash()))
    }

    /// Describes our branch to somebody we meet again: the first message. `led` says whether we
    /// hear its sequencer.
    pub fn branch(&self, led: bool) -> Branch {
        let path = self.history.entries().map(|entry| (entry.epoch, entry.confirmation)).collect();
        Branch {
            path,
            members: u8::try_from(self.state.order.len()).unwrap_or(u8::MAX),
            sequencer: self.state.sequencer,
            term: self.state.term,
            split: self.state.split,
            led: led || self.is_sequencer(),
            proof: None,
        }
    }

    /// Describes our branch in answer to `theirs`, with what followed the epoch both share: the
    /// second message. Both sides send one and decide by these two; whoever sent it keeps it as it
    /// was sent. `None` without a common epoch.
    pub fn branch_for(&self, theirs: &Branch, led: bool) -> Option<Branch> {
        let mut ours = self.branch(led);
        let (after, _) = ours.common(theirs)?;
        let next = self.history.at(after.checked_add(1)?);
        ours.proof = Some(Proof { after, step: next.and_then(Step::of) });
        Some(ours)
    }

    /// Which of two branches goes on: `ours` as we have sent it, `theirs` as it came in answer.
    /// Both sides, given the same two, decide alike.
    pub fn compare(&self, ours: &Branch, theirs: &Branch) -> Standing {
        let Some((epoch, confirmation)) = ours.common(theirs) else { return Standing::NoCommon };
        let tip = |branch: &Branch| branch.path.last() == Some(&(epoch, confirmation));
        if tip(ours) && tip(theirs) {
            return Standing::Same;
        }
        match self.history.at(epoch).filter(|entry| entry.confirmation == confirmation) {
            Some(common) => decide(&self.id, ours, theirs, common),
            None => Standing::NoCommon,
        }
    }
}

fn read_bool(r: &mut Reader<'_>) -> Result<bool, Malformed> {
    match r.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
pub(super) mod tests {
    //! Made-up branches for the property in `group::tests::branches`.

    use super::super::provider::LeafSigner;
    use super::super::signed::signed_bytes;
    use super::*;
    use crate::secret::Secret;
    use proptest::prelude::*;

    const GROUP: [u8; 16] = [0x67; 16];
    const COMMON: (u64, [u8; 32]) = (9, [9; 32]);

    /// What a presenter says.
    #[derive(Clone, Debug)]
    pub(in super::super) struct Said {
        epochs: u8,
        fork: u8,
        members: u8,
        sequencer: u32,
        term: u32,
        split: bool,
        led: bool,
        committer: u8,
        acks: u8,
        grants: Option<(u32, u8)>,
    }

    pub(in super::super) fn said() -> impl Strategy<Value = Said> {
        let flags = (any::<bool>(), any::<bool>(), proptest::option::of((1..4u32, 0..32u8)));
        let summary = (0..3u8, 0..3u8, 1..4u8, 0..3u32, 0..3u32, 0..5u8, 0..32u8);
        (summary, flags).prop_map(
            |((epochs, fork, members, sequencer, term, committer, acks), (split, led, grants))| {
                Said { epochs, fork, members, sequencer, term, split, led, committer, acks, grants }
            },
        )
    }

    fn signer(n: u8) -> LeafSigner {
        LeafSigner::new(Secret::build(|seed| seed.fill(n + 1)))
    }

    /// Five members in the common epoch, led by the first.
    fn common() -> Entry {
        let people = (0..5u8).map(|n| (MemberId(n.into()), (signer(n).public(), [n; 32])));
        Entry {
            epoch: COMMON.0,
            confirmation: COMMON.1,
            people: people.collect(),
            sequencer: MemberId(0),
            statement: None,
            auth_hash: [0; 32],
            succession: None,
            acks: BTreeMap::new(),
            statements: BTreeMap::new(),
        }
    }

    pub(in super::super) fn made(said: &Said) -> Branch {
        let own = (1..=said.epochs).map(|n| (COMMON.0 + u64::from(n), [said.fork * 16 + n; 32]));
        let path: Vec<_> = std::iter::once(COMMON).chain(own).collect();
        let step = (said.epochs > 0).then(|| {
            let hash = [said.fork; 32];
            let by = signer(said.committer);
            let statement = Statement::sign(&by, &GROUP, COMMON.0, COMMON.1, hash);
            let auth_hash = [said.fork; 32];
            let chosen = |mask: u8| (0..5u8).filter(move |n| mask & (1 << n) != 0);
            let acks = chosen(said.acks).map(|n| {
                let (ack, id) = (signer(n), MemberId(n.into()));
                let ack = export::Ack::sign(&ack, &GROUP, COMMON.0 + 1, auth_hash, Some(statement));
                (id, ack.signature)
            });
            let name = EpochName { group: GROUP, epoch: COMMON.0, confirmation: COMMON.1 };
            let to = MemberId(said.committer.into());
            let succession = said.grants.map(|(term, mask)| {
                let by = chosen(mask).map(|n| {
                    let message = name.grant(term, to, |fields| signed_bytes("grant", fields));
                    (MemberId(n.into()), signer(n).sign_bytes(&message))
                });
                (to, Grants { term, by: by.collect() })
            });
            Step { statement, auth_hash, acks: acks.collect(), succession }
        });
        Branch {
            path,
            members: said.members,
            sequencer: MemberId(said.sequencer),
            term: said.term,
            split: said.split,
            led: said.led,
            proof: Some(Proof { after: COMMON.0, step }),
        }
    }

    /// What both sides make of it.
    pub(in super::super) fn decided(a: &Branch, b: &Branch) -> (Standing, Standing) {
        let common = common();
        (decide(&GROUP, a, b, &common), decide(&GROUP, b, a, &common))
    }
}
