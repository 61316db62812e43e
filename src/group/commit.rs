//! Making commits. Only the sequencer does; every commit brings new keys of its own leaf, takes
//! along what the pool holds, and passes the judgement receivers will pass on it.

use super::bundle::Bundle;
use super::join::{KeyPackageError, parse_key_package};
use super::message::PskOffer;
use super::policy::Verdict;
use super::provider::{SUITE, context_extensions};
use super::rules::{Ask, CredentialCheck, Note, PolicyViolation, Reason, Violation};
use super::state::{Changes, GroupState, Impossible};
use super::{Group, Roster, sha256};
use crate::secret::Secret;
use crate::wire::link::MemberId;
use openmls::prelude::{
    CommitMessageBundle, KeyPackage, LeafNodeIndex, MlsMessageOut, PreSharedKeyProposal, Proposal,
    ProtocolVersion,
};
use openmls::schedule::{ExternalPsk, PreSharedKeyId, psk::Psk};
use openmls_traits::OpenMlsProvider as _;
use std::collections::{BTreeMap, BTreeSet};

/// An invite's pre-shared key: mixed into the commit that adds its user, so that nobody without
/// the invite can read that epoch.
#[derive(Clone, Copy)]
pub struct InvitePsk<'a> {
    /// Public id of the invite.
    pub invite: [u8; 8],
    /// The invite's PSK.
    pub secret: &'a Secret<32>,
}

/// Committing failed. The group is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// We are not in the group any more.
    #[error("no longer a member")]
    Evicted,
    /// Somebody else makes the commits.
    #[error("not the sequencer")]
    NotSequencer,
    /// Nobody of that number is in the group.
    #[error("{0} is not in the group")]
    UnknownMember(MemberId),
    /// A committer can't remove itself: hand over, then propose to leave.
    #[error("the sequencer hands over before it leaves")]
    OwnRemoval,
    /// Members leave by their own proposal; a reason to give is a decision or a loss.
    #[error("nobody leaves by somebody else's commit")]
    NotAReason,
    /// The newcomer's key package is not valid.
    #[error("key package: {0}")]
    KeyPackage(#[from] KeyPackageError),
    /// The change is impossible in this state, for example because the group is full.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// Receivers would refuse this commit.
    #[error("receivers would refuse: {0}")]
    Refused(Violation),
    /// The commit is longer than a bundle may be.
    #[error("the bundle is too long")]
    TooLong,
    /// The MLS library refused.
    #[error("MLS: {0}")]
    Mls(String),
}

/// A commit of ours, ready to be sent. It takes effect with [`Group::merge_pending`]; until then,
/// and when dropped instead, the group stays in its epoch.
#[must_use = "send the bundle and merge, or the group stays in its epoch"]
pub struct Pending {
    /// For all members.
    pub bundle: Vec<u8>,
    /// For the new member only.
    pub welcome: Option<Vec<u8>>,
    /// The new member.
    pub added: Option<MemberId>,
    /// Who is out afterwards, and why.
    pub removed: Vec<(MemberId, Reason)>,
    /// The role goes to another member.
    pub handed_over: bool,
    /// The roster the commit leads to.
    pub roster_after: Roster,
    /// Epoch authenticator (RFC 9420 §8.7) the commit leads to.
    pub authenticator_after: [u8; 32],
    /// Proposals left out because no commit can contain them, with who made them.
    pub dropped: Vec<PolicyViolation>,
    commit_hash: [u8; 32],
    verdict: Verdict,
}

/// What the sequencer decides itself, beside what the pool holds.
#[derive(Default)]
struct Plan<'a> {
    add: Option<KeyPackage>,
    psk: Option<InvitePsk<'a>>,
    remove: BTreeMap<u8, Reason>,
    hand_over: bool,
}

impl Group {
    /// Adds the owner of a key package; `psk` is that of the invite it came with, `None` for
    /// somebody who was a member before. Returns the bundle for the members and the Welcome for
    /// the newcomer.
    pub fn add(
        &mut self,
        key_package: &[u8],
        psk: Option<InvitePsk<'_>>,
        check: &dyn CredentialCheck,
    ) -> Result<Pending, CommitError> {
        let add = parse_key_package(&self.provider, key_package)?;
        self.commit(&Plan { add: Some(add), psk, ..Plan::default() }, check)
    }

    /// Removes members: as a decision (we must be the host), or as lost.
    pub fn remove(
        &mut self,
        who: &[MemberId],
        reason: Reason,
        check: &dyn CredentialCheck,
    ) -> Result<Pending, CommitError> {
        let remove = self.seats(who, reason)?;
        self.commit(&Plan { remove, ..Plan::default() }, check)
    }

    /// New keys for our leaf, and everything the pool holds: leaves, removals, updates.
    pub fn update(&mut self, check: &dyn CredentialCheck) -> Result<Pending, CommitError> {
        self.commit(&Plan::default(), check)
    }

    /// Gives the sequencer's role to the first other member in join order, skipping members that
    /// are `lost`: they are removed by the same commit.
    pub fn hand_over(
        &mut self,
        lost: &[MemberId],
        check: &dyn CredentialCheck,
    ) -> Result<Pending, CommitError> {
        let remove = self.seats(lost, Reason::Lost)?;
        self.commit(&Plan { remove, hand_over: true, ..Plan::default() }, check)
    }

    /// Enters the epoch our commit leads to.
    pub fn merge_pending(&mut self, pending: Pending) -> Result<(), super::MergeError> {
        if self.pending != Some(pending.commit_hash) {
            return Err(super::MergeError::Stale);
        }
        self.mls
            .merge_pending_commit(&self.provider)
            .map_err(|e| super::MergeError::Mls(e.to_string()))?;
        self.enter(pending.verdict, pending.commit_hash);
        self.consistent()
    }

    fn seats(&self, who: &[MemberId], reason: Reason) -> Result<BTreeMap<u8, Reason>, CommitError> {
        if reason == Reason::Left {
            return Err(CommitError::NotAReason);
        }
        who.iter()
            .map(|id| match self.state.of(*id) {
                Some(_) if *id == self.me => Err(CommitError::OwnRemoval),
                Some(seat) => Ok((seat.leaf, reason)),
                None => Err(CommitError::UnknownMember(*id)),
            })
            .collect()
    }

    /// Commits the plan and the pool. A proposal that spoils the commit is left out and named.
    fn commit(
        &mut self,
        plan: &Plan<'_>,
        check: &dyn CredentialCheck,
    ) -> Result<Pending, CommitError> {
        if self.evicted {
            return Err(CommitError::Evicted);
        }
        if !self.is_sequencer() {
            return Err(CommitError::NotSequencer);
        }
        self.discard_pending();
        let mut chosen = self.pool.choose(self.me);
        let mut dropped = Vec::new();
        loop {
            let error = match self.try_commit(plan, &chosen, check) {
                Ok(mut pending) => {
                    pending.dropped = dropped;
                    return Ok(pending);
                }
                Err(error) => error,
            };
            let mut poisoned: Vec<([u8; 32], String)> = Vec::new();
            for hash in &chosen {
                if let Err(why) = self.try_commit(&Plan::default(), &[*hash], check) {
                    poisoned.push((*hash, why.to_string()));
                }
                self.discard_pending();
            }
            if poisoned.is_empty() {
                // Each is fine alone. Either the plan isn't, or they are only bad together.
                if chosen.is_empty() || self.try_commit(plan, &[], check).is_err() {
                    return Err(error);
                }
                self.discard_pending();
                poisoned = chosen.iter().map(|hash| (*hash, error.to_string())).collect();
            }
            for (hash, why) in poisoned {
                chosen.retain(|other| *other != hash);
                if let Some(pooled) = self.pool.remove(&hash) {
                    dropped
                        .push(PolicyViolation { by: pooled.from, what: Violation::Poisoned(why) });
                }
            }
        }
    }

    /// Forgets a commit of ours that wasn't merged.
    pub(super) fn discard_pending(&mut self) {
        self.pending = None;
        // Fails only if the storage fails, and ours doesn't keep group state.
        let _ = self.mls.clear_pending_commit(self.provider.storage());
    }

    /// Builds, stages and judges one commit. Leaves no trace when it fails.
    fn try_commit(
        &mut self,
        plan: &Plan<'_>,
        chosen: &[[u8; 32]],
        check: &dyn CredentialCheck,
    ) -> Result<Pending, CommitError> {
        let result = self.stage(plan, chosen);
        self.clear_library_proposals();
        self.provider.storage().forget_psks();
        let result =
            result.and_then(|(staged, aad)| self.finish(plan, chosen, staged, &aad, check));
        if result.is_err() {
            self.discard_pending();
        }
        result
    }

    fn stage(
        &mut self,
        plan: &Plan<'_>,
        chosen: &[[u8; 32]],
    ) -> Result<(CommitMessageBundle, Vec<u8>), CommitError> {
        let asked = self.asked_removals(chosen);
        let remove: BTreeMap<u8, Reason> = plan
            .remove
            .iter()
            .filter(|(leaf, _)| !asked.contains(leaf))
            .map(|(leaf, why)| (*leaf, *why))
            .collect();
        let state = self.state_after(plan, &asked, &remove)?;
        for hash in chosen {
            if let Some(pooled) = self.pool.get(hash) {
                let queued = pooled.queued.clone();
                self.mls.store_pending_proposal(self.provider.storage(), queued).map_err(mls)?;
            }
        }
        let psk = plan.psk.map(|psk| self.psk_proposal(psk)).transpose()?;
        let aad = Note(remove.clone()).encode();
        self.mls.set_aad(aad.clone());

        let mut builder = self
            .mls
            .commit_builder()
            .consume_proposal_store(true)
            .force_self_update(true)
            .propose_adds(plan.add.clone())
            .propose_removals(remove.keys().map(|leaf| LeafNodeIndex::new(u32::from(*leaf))))
            .add_proposals(psk);
        if state != self.state {
            let extensions =
                context_extensions(&state).ok_or(CommitError::Mls("extensions".into()))?;
            builder = builder.propose_group_context_extensions(extensions).map_err(mls)?;
        }
        // No GroupInfo is ever made: it is what an external commit would start from.
        let bundle = builder
            .load_psks(self.provider.storage())
            .map_err(mls)?
            .create_group_info(false)
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .map_err(mls)?
            .stage_commit(&self.provider)
            .map_err(mls)?;
        Ok((bundle, aad))
    }

    fn asked_removals(&self, chosen: &[[u8; 32]]) -> BTreeSet<u8> {
        let asked = chosen.iter().filter_map(|hash| {
            let pooled = self.pool.get(hash)?;
            match pooled.ask {
                Ask::Leave => Some(pooled.from),
                Ask::Remove(who) => Some(who),
                Ask::Update => None,
            }
        });
        asked.filter_map(|id| self.state.of(id)).map(|seat| seat.leaf).collect()
    }

    fn state_after(
        &self,
        plan: &Plan<'_>,
        asked: &BTreeSet<u8>,
        remove: &BTreeMap<u8, Reason>,
    ) -> Result<GroupState, CommitError> {
        let changes = Changes {
            epoch: self.epoch().saturating_add(1),
            removed: asked.iter().chain(remove.keys()).copied().collect(),
            added: plan.add.as_ref().map(|_| (self.me, plan.psk.map(|psk| psk.invite))),
            hand_over: plan.hand_over,
        };
        Ok(self.state.after(&changes)?)
    }

    fn psk_proposal(&self, psk: InvitePsk<'_>) -> Result<Proposal, CommitError> {
        let external = Psk::External(ExternalPsk::new(psk.invite.to_vec()));
        let id = PreSharedKeyId::new(SUITE, self.provider.rand(), external).map_err(mls)?;
        id.store(&self.provider, psk.secret.expose()).map_err(mls)?;
        Ok(Proposal::PreSharedKey(Box::new(PreSharedKeyProposal::new(id))))
    }

    /// Judges the staged commit as a receiver would, and packs it for sending.
    fn finish(
        &mut self,
        plan: &Plan<'_>,
        chosen: &[[u8; 32]],
        staged: CommitMessageBundle,
        aad: &[u8],
        check: &dyn CredentialCheck,
    ) -> Result<Pending, CommitError> {
        let pending = self.mls.pending_commit().ok_or(CommitError::Mls("nothing staged".into()))?;
        let verdict = self
            .view(check)
            .commit(self.me, self.leaf(), aad, pending)
            .map_err(CommitError::Refused)?;
        let authenticator =
            pending.epoch_authenticator().and_then(|secret| secret.as_slice().try_into().ok());
        let authenticator_after =
            authenticator.ok_or(CommitError::Mls("no authenticator".into()))?;

        let psk = match plan.psk {
            Some(psk) if self.state.order.len() > 1 => {
                let offer = PskOffer { invite: psk.invite, secret: psk.secret.duplicate() };
                Some(self.seal_psk(&offer).map_err(mls)?)
            }
            _ => None,
        };
        let (commit, welcome, _) = staged.into_contents();
        let commit = commit.to_bytes().map_err(mls)?;
        let welcome = welcome
            .map(|welcome| MlsMessageOut::from_welcome(welcome, ProtocolVersion::Mls10).to_bytes())
            .transpose()
            .map_err(mls)?;
        let proposals = chosen
            .iter()
            .filter_map(|hash| self.pool.get(hash))
            .map(|pooled| &*pooled.message)
            .collect();
        let bundle = Bundle { psk: psk.as_deref(), proposals, commit: &commit }.encode();
        if bundle.len() > super::MAX_BUNDLE {
            return Err(CommitError::TooLong);
        }

        let commit_hash = sha256(&commit);
        self.pending = Some(commit_hash);
        self.seen.insert(sha256(&bundle));
        Ok(Pending {
            bundle,
            welcome,
            added: verdict.added,
            removed: verdict.removed.clone(),
            handed_over: verdict.handed_over,
            roster_after: Roster::of(
                self.id,
                self.epoch().saturating_add(1),
                &verdict.state,
                &verdict.people,
            ),
            authenticator_after,
            dropped: Vec::new(),
            commit_hash,
            verdict,
        })
    }
}

fn mls(e: impl std::fmt::Display) -> CommitError {
    CommitError::Mls(e.to_string())
}
