//! Proposals: asking the sequencer for a change, and keeping what others asked for.
//!
//! openmls keeps received proposals in the group and puts all of them into the next commit, where
//! one that can't be committed blocks the rest. So they stay in a pool of our own – judged first –
//! and enter the library only for the one commit that uses them.

use super::policy::View;
use super::rules::{Ask, PolicyViolation, Reason, Violation};
use super::{Group, sha256};
use crate::wire::link::MemberId;
use openmls::prelude::{LeafNodeIndex, LeafNodeParameters, MlsMessageOut, QueuedProposal};
use openmls_traits::OpenMlsProvider as _;
use std::collections::BTreeMap;

/// Proposals one member may have in the pool in one epoch.
const MAX_PER_MEMBER: usize = 32;

/// Asking failed.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// We are not in the group any more.
    #[error("no longer a member")]
    Evicted,
    /// The sequencer commits its own changes; to leave, it hands over first.
    #[error("the sequencer doesn't propose")]
    IsSequencer,
    /// Only the host asks for others to be removed.
    #[error("only the host removes others")]
    NotHost,
    /// Nobody of that number is in the group.
    #[error("{0} is not in the group")]
    UnknownMember(MemberId),
    /// The MLS library refused.
    #[error("MLS: {0}")]
    Mls(String),
}

/// A judged proposal.
pub(super) struct Pooled {
    pub(super) from: MemberId,
    pub(super) ask: Ask,
    /// The MLS message it came in, to be passed on inside a bundle.
    pub(super) message: Vec<u8>,
    pub(super) queued: QueuedProposal,
    /// Arrival, to tell the newest.
    serial: usize,
}

/// Proposals of one epoch, by hash of their message.
#[derive(Default)]
pub(super) struct Pool(BTreeMap<[u8; 32], Pooled>);

impl Pool {
    pub(super) fn get(&self, hash: &[u8; 32]) -> Option<&Pooled> {
        self.0.get(hash)
    }

    pub(super) fn remove(&mut self, hash: &[u8; 32]) -> Option<Pooled> {
        self.0.remove(hash)
    }

    /// Nothing is evicted to make room: a bundle may refer to any proposal of the epoch, and MLS
    /// decrypts each message only once.
    pub(super) fn insert(
        &mut self,
        from: MemberId,
        ask: Ask,
        message: &[u8],
        queued: QueuedProposal,
    ) -> Result<[u8; 32], PolicyViolation> {
        if self.0.values().filter(|pooled| pooled.from == from).count() >= MAX_PER_MEMBER {
            return Err(PolicyViolation { by: from, what: Violation::TooMany });
        }
        let hash = sha256(message);
        let serial = self.0.values().map(|pooled| pooled.serial + 1).max().unwrap_or(0);
        self.0.insert(hash, Pooled { from, ask, message: message.to_vec(), queued, serial });
        Ok(hash)
    }

    /// What a commit by `sequencer` takes from the pool besides the removals it makes itself: one
    /// removal per member (its own wish to leave first), the newest update of each member that
    /// stays. Ordered by leaf-independent rules, so that the same pool gives the same commit.
    pub(super) fn choose(&self, sequencer: MemberId) -> Vec<[u8; 32]> {
        let mut removals: BTreeMap<MemberId, (Reason, [u8; 32])> = BTreeMap::new();
        let mut updates: BTreeMap<MemberId, (usize, [u8; 32])> = BTreeMap::new();
        for (hash, pooled) in &self.0 {
            match pooled.ask {
                Ask::Leave => {
                    removals.insert(pooled.from, (Reason::Left, *hash));
                }
                Ask::Remove(who) => {
                    removals.entry(who).or_insert((Reason::Decision, *hash));
                }
                Ask::Update => {
                    let newest = updates.entry(pooled.from).or_insert((pooled.serial, *hash));
                    *newest = (*newest).max((pooled.serial, *hash));
                }
            }
        }
        removals.remove(&sequencer);
        updates.remove(&sequencer);
        updates.retain(|who, _| !removals.contains_key(who));
        let removals = removals.into_values().map(|(_, hash)| hash);
        removals.chain(updates.into_values().map(|(_, hash)| hash)).collect()
    }
}

impl Group {
    /// Asks to leave. Send it to the sequencer; membership ends when its commit arrives.
    pub fn propose_leave(&mut self) -> Result<Vec<u8>, ProposeError> {
        self.may_propose()?;
        let message = self.mls.leave_group(&self.provider, &self.signer);
        self.proposed(Ask::Leave, message)
    }

    /// Asks for new keys of our own leaf, which heals the group from an earlier copy of our state.
    /// Send it to the sequencer.
    pub fn propose_update(&mut self) -> Result<Vec<u8>, ProposeError> {
        self.may_propose()?;
        let message = self
            .mls
            .propose_self_update(&self.provider, &self.signer, LeafNodeParameters::default())
            .map(|(message, _)| message);
        self.proposed(Ask::Update, message)
    }

    /// As the host, asks for a member to be removed.
    pub fn propose_remove(&mut self, who: MemberId) -> Result<Vec<u8>, ProposeError> {
        self.may_propose()?;
        let host = self.people.get(&self.leaf()).is_some_and(|me| me.identity == self.state.host);
        if !host {
            return Err(ProposeError::NotHost);
        }
        let seat = self.state.of(who).ok_or(ProposeError::UnknownMember(who))?;
        let leaf = LeafNodeIndex::new(u32::from(seat.leaf));
        let message = self
            .mls
            .propose_remove_member(&self.provider, &self.signer, leaf)
            .map(|(message, _)| message);
        self.proposed(Ask::Remove(who), message)
    }

    fn may_propose(&self) -> Result<(), ProposeError> {
        if self.evicted {
            Err(ProposeError::Evicted)
        } else if self.is_sequencer() {
            Err(ProposeError::IsSequencer)
        } else {
            Ok(())
        }
    }

    /// Moves what the library just stored into the pool. Our own messages can't be decrypted by
    /// us, so this is the only way to find them again in a bundle.
    fn proposed<E: std::error::Error>(
        &mut self,
        ask: Ask,
        message: Result<MlsMessageOut, E>,
    ) -> Result<Vec<u8>, ProposeError> {
        let refused = |e: String| ProposeError::Mls(e);
        let message = message.map_err(|e| refused(e.to_string()))?;
        let bytes = message.to_bytes().map_err(|e| refused(e.to_string()))?;
        let queued = self.mls.pending_proposals().last().cloned();
        self.clear_library_proposals();
        let queued = queued.ok_or_else(|| refused("the proposal was not stored".into()))?;
        self.pool.insert(self.me, ask, &bytes, queued).map_err(|e| refused(e.to_string()))?;
        Ok(bytes)
    }

    /// Empties the library's own store of proposals.
    pub(super) fn clear_library_proposals(&mut self) {
        // Fails only if the storage fails, and ours can't: it keeps no proposals.
        let _ = self.mls.clear_pending_proposals(self.provider.storage());
    }

    /// What policy rests on.
    pub(super) fn view<'a>(&'a self, check: &'a dyn super::CredentialCheck) -> View<'a> {
        View { epoch: self.epoch(), state: &self.state, people: &self.people, check }
    }
}
