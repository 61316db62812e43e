//! What a member remembers of the epochs behind it: who was in them, what led from one to the
//! next, who said so. No keys of those epochs: only names, hashes and signatures, enough to find
//! the epoch two branches have in common, to show a majority, and to catch a member that told
//! different people different things.

use super::export::Ack;
use super::state::MAX_MEMBERS;
use super::statement::{Equivocation, Statement};
use super::succession::Grants;
use crate::wire::link::MemberId;
use std::collections::{BTreeMap, VecDeque};

/// Epochs remembered, the current one among them.
pub const KEPT_EPOCHS: usize = 64;
/// Proofs of equivocation kept: one for each member there can be.
const MAX_PROOFS: usize = MAX_MEMBERS;

/// A member as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its number then.
    pub member: MemberId,
    /// Identity key.
    pub identity: [u8; 32],
    /// Leaf key, which its connections show.
    pub leaf_key: [u8; 32],
    /// The last epoch in which it was in the roster.
    pub epoch: u64,
}

/// One epoch.
pub(super) struct Entry {
    pub(super) epoch: u64,
    pub(super) confirmation: [u8; 32],
    /// Leaf key and identity key of everybody in it.
    pub(super) people: BTreeMap<MemberId, ([u8; 32], [u8; 32])>,
    pub(super) sequencer: MemberId,
    /// The statement on the commit that led here; `None` for the founder's and a joiner's first.
    pub(super) statement: Option<Statement>,
    /// SHA-256 of the authenticator.
    pub(super) auth_hash: [u8; 32],
    /// By whom and with which grants, if the commit that led here was a succession.
    pub(super) succession: Option<(MemberId, Grants)>,
    /// Signatures of acks that name this epoch's commit and authenticator.
    pub(super) acks: BTreeMap<MemberId, [u8; 64]>,
    /// Statements on commits that follow this epoch, the first of each signer.
    pub(super) statements: BTreeMap<[u8; 32], Statement>,
}

impl Entry {
    fn signs(&self, key: &[u8; 32]) -> bool {
        self.people.values().any(|(leaf_key, _)| leaf_key == key)
    }
}

/// A statement by somebody who wasn't in the epoch it speaks of.
#[derive(Debug)]
pub(super) struct NoSigner;

/// The last epochs, oldest first; the last one is the current one.
#[derive(Default)]
pub(super) struct History {
    entries: VecDeque<Entry>,
    proofs: Vec<Equivocation>,
    /// The newest ack of each member for an epoch we haven't reached.
    early: BTreeMap<MemberId, Ack>,
}

impl History {
    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn at(&self, epoch: u64) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.epoch == epoch)
    }

    pub(super) fn at_mut(&mut self, epoch: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.epoch == epoch)
    }

    pub(super) fn push(&mut self, entry: Entry) {
        if self.entries.len() >= KEPT_EPOCHS {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// We were in this epoch of this branch.
    pub(super) fn holds(&self, epoch: u64, confirmation: &[u8; 32]) -> bool {
        self.at(epoch).is_some_and(|entry| entry.confirmation == *confirmation)
    }

    /// Remembers a statement whose signature has been checked; the proof, if its signer has made
    /// another one for the same epoch.
    pub(super) fn note(
        &mut self,
        group: &[u8; 16],
        statement: &Statement,
    ) -> Result<Option<Equivocation>, NoSigner> {
        let entry =
            self.at_mut(statement.epoch).filter(|e| e.confirmation == statement.confirmation);
        let entry = entry.filter(|entry| entry.signs(&statement.by)).ok_or(NoSigner)?;
        let first = *entry.statements.entry(statement.by).or_insert(*statement);
        let proof = Equivocation::from(group, first, *statement);
        if let Some(proof) = proof {
            self.convict(proof);
        }
        Ok(proof)
    }

    pub(super) fn convict(&mut self, proof: Equivocation) {
        if self.proofs.len() < MAX_PROOFS && self.proof_against(&proof.by()).is_none() {
            self.proofs.push(proof);
        }
    }

    #[cfg(test)]
    pub(super) fn pardon(&mut self) {
        self.proofs.clear();
    }

    pub(super) fn proof_against(&self, key: &[u8; 32]) -> Option<&Equivocation> {
        self.proofs.iter().find(|proof| proof.by() == *key)
    }

    pub(super) fn keep_early(&mut self, member: MemberId, ack: Ack) {
        if self.early.len() < MAX_MEMBERS || self.early.contains_key(&member) {
            self.early.insert(member, ack);
        }
    }

    pub(super) fn take_early(&mut self) -> BTreeMap<MemberId, Ack> {
        std::mem::take(&mut self.early)
    }

    /// The last member with this leaf key.
    pub(super) fn with_key(&self, key: &[u8; 32]) -> Option<Remembered> {
        self.entries.iter().rev().find_map(|entry| {
            let (member, (leaf_key, identity)) =
                entry.people.iter().find(|(_, (leaf_key, _))| leaf_key == key)?;
            Some(Remembered {
                member: *member,
                identity: *identity,
                leaf_key: *leaf_key,
                epoch: entry.epoch,
            })
        })
    }

    /// Leaf key of whoever has this number in an epoch, or in the one it follows.
    pub(super) fn key_in(&self, epoch: u64, member: MemberId) -> Option<[u8; 32]> {
        let key = |at: u64| self.at(at)?.people.get(&member).map(|(leaf_key, _)| *leaf_key);
        key(epoch).or_else(|| key(epoch.checked_sub(1)?))
    }
}
