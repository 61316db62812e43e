//! Making commits. The sequencer does, or whoever was granted to take over from it; every commit
//! brings new keys of its own leaf, takes along what the pool holds and what was ordered, and
//! passes the judgement receivers will pass on it.

use super::bundle::Bundle;
use super::join::{KeyPackageError, package_hash, parse_key_package};
use super::message::PskOffer;
use super::note::Note;
use super::order::OrderKind;
use super::policy::Verdict;
use super::provider::{SUITE, context_extensions};
use super::rules::{Ask, CredentialCheck, PolicyViolation, Reason, Violation};
use super::state::{Added, Changes, GroupState, Impossible, Lead};
use super::statement::Statement;
use super::succession::{Grant, GrantError, Grants, Succession};
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
    /// A grant isn't of this epoch, for us, in this term.
    #[error("a grant: {0}")]
    Grant(#[from] GrantError),
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
/// and when dropped instead, the group stays in its epoch. One that was sent must be merged: a
/// second commit for the same epoch would convict us of equivocation.
#[must_use = "send the bundle and merge, or the group stays in its epoch"]
pub struct Pending {
    /// For all members.
    pub bundle: Vec<u8>,
    /// For the new member only.
    pub welcome: Option<Vec<u8>>,
    /// The new member.
    pub added: Option<MemberId>,
    /// It was in before: same identity, back.
    pub back: bool,
    /// Who asked for it, if somebody did: the Welcome goes there.
    pub added_for: Option<MemberId>,
    /// Who is out afterwards, and why.
    pub removed: Vec<(MemberId, Reason)>,
    /// The role goes to another member.
    pub handed_over: bool,
    /// We take over from the sequencer, and how.
    pub succession: Option<Succession>,
    /// Orders it carries out.
    pub orders: Vec<OrderKind>,
    /// The roster the commit leads to.
    pub roster_after: Roster,
    /// Epoch authenticator (RFC 9420 §8.7) the commit leads to.
    pub authenticator_after: [u8; 32],
    /// Proposals left out because no commit can contain them, with who made them.
    pub dropped: Vec<PolicyViolation>,
    /// Our signed word on this commit.
    pub statement: Statement,
    verdict: Verdict,
}

/// What the committer decides itself, beside what the pool holds.
#[derive(Default)]
struct Plan<'a> {
    add: Option<Newcomer<'a>>,
    lost: BTreeSet<u8>,
    hand_over: bool,
    succeed: Option<(Grants, bool)>,
}

/// Somebody the committer adds itself.
struct Newcomer<'a> {
    package: KeyPackage,
    identity: [u8; 32],
    psk: Option<InvitePsk<'a>>,
}

/// What a commit will do, worked out before MLS is asked.
struct Draft {
    note: Note,
    /// Of the newcomer's PSK, ours or the proposer's.
    psk: Option<([u8; 8], Secret<32>)>,
    /// The message others got that PSK in, when its proposer sent one.
    offered: Option<Vec<u8>>,
    added_for: Option<MemberId>,
    state: GroupState,
}

impl Group {
    /// Adds the owner of a key package; `psk` is that of the invite it came with, `None` for
    /// somebody who was a member before. An older seat of the same identity goes with the same
    /// commit. Returns the bundle for the members and the Welcome for the newcomer.
    pub fn add(
        &mut self,
        key_package: &[u8],
        psk: Option<InvitePsk<'_>>,
        check: &dyn CredentialCheck,
    ) -> Result<Pending, CommitError> {
        let package = parse_key_package(&self.provider, key_package)?;
        if self.used.contains(&package_hash(&package)) {
            return Err(CommitError::Refused(Violation::UsedBefore));
        }
        let view = self.view(check);
        let person = view.newcomer(&self.state, &package).map_err(CommitError::Refused)?;
        let add = Newcomer { package, identity: person.identity, psk };
        self.commit(&Plan { add: Some(add), ..Plan::default() }, check)
    }

    /// Removes members that can't be heard.
    pub fn remove_lost(
        &mut self,
        who: &[MemberId],
        check: &dyn CredentialCheck,
    ) -> Result<Pending, CommitError> {
        let lost = self.seats(who)?;
        self.commit(&Plan { lost, ..Plan::default() }, check)
    }

    /// New keys for our leaf, and everything that waits: orders, leaves, updates, an Add.
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
        let lost = self.seats(lost)?;
        self.commit(&Plan { lost, hand_over: true, ..Plan::default() }, check)
    }

    /// Takes over from the sequencer in `term` (or, as the sequencer, leads on in it), with the
    /// grants others gave us for it; ours is added. With more than half of the epoch's members it is a [`Succession::Majority`], with
    /// fewer a [`Succession::Split`] that only those follow who granted it. Removes the `lost`,
    /// the old sequencer perhaps among them.
    pub fn succeed(
        &mut self,
        term: u32,
        grants: &[Grant],
        lost: &[MemberId],
        check: &dyn CredentialCheck,
    ) -> Result<Pending, CommitError> {
        let lost = self.seats(lost)?;
        let own = self.grant(term, self.me)?;
        let mut by = BTreeMap::from([(self.me, own.signature)]);
        for grant in grants {
            self.verify_grant(grant)?;
            if (grant.term, grant.candidate) != (term, self.me) {
                return Err(GrantError::Term.into());
            }
            by.insert(grant.voter, grant.signature);
        }
        let split = by.len() < self.majority() && !self.is_sequencer();
        let succeed = Some((Grants { term, by }, split));
        self.commit(&Plan { lost, succeed, ..Plan::default() }, check)
    }

    /// Enters the epoch our commit leads to.
    pub fn merge_pending(&mut self, pending: Pending) -> Result<(), super::MergeError> {
        if self.pending != Some(pending.statement.commit_hash) {
            return Err(super::MergeError::Stale);
        }
        if let Some((granted, _)) =
            self.granted.filter(|(term, _)| *term > pending.verdict.authority)
        {
            return Err(super::MergeError::Fenced(granted));
        }
        self.mls
            .merge_pending_commit(&self.provider)
            .map_err(|e| super::MergeError::Mls(e.to_string()))?;
        self.enter(pending.verdict, pending.statement);
        self.consistent()
    }

    fn seats(&self, who: &[MemberId]) -> Result<BTreeSet<u8>, CommitError> {
        who.iter()
            .map(|id| match self.state.of(*id) {
                Some(_) if *id == self.me => Err(CommitError::OwnRemoval),
                Some(seat) => Ok(seat.leaf),
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
        if !self.is_sequencer() && plan.succeed.is_none() {
            return Err(CommitError::NotSequencer);
        }
        self.discard_pending();
        let mut chosen = self.choose(plan);
        // The least we may commit: to try proposals alone.
        let bare = Plan { succeed: plan.succeed.clone(), ..Plan::default() };
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
                if let Err(why) = self.try_commit(&bare, &[*hash], check) {
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
        let draft = self.draft(plan, chosen)?;
        let aad = draft.note.encode();
        let result = self.stage(plan, chosen, &draft, &aad);
        // A note that wasn't sent must not go with the next message instead.
        self.mls.set_aad(Vec::new());
        self.clear_library_proposals();
        self.provider.storage().forget_psks();
        let result = result.and_then(|staged| self.finish(&draft, chosen, staged, &aad, check));
        if result.is_err() {
            self.discard_pending();
        }
        result
    }

    /// What the pool gives to this plan.
    fn choose(&self, plan: &Plan<'_>) -> Vec<[u8; 32]> {
        let ordered = self.orders_out();
        let out = self.state.order.iter().filter(|seat| {
            let identity = self.people.get(&seat.leaf).map(|person| person.identity);
            plan.lost.contains(&seat.leaf)
                || identity.is_some_and(|identity| {
                    ordered.contains(&identity)
                        || plan.add.as_ref().is_some_and(|add| add.identity == identity)
                })
        });
        let out = out.map(|seat| seat.id).collect();
        let leads_on = plan.add.is_none() && !plan.hand_over && plan.succeed.is_none();
        let mut chosen = self.pool.choose(self.me, &out, leads_on);
        // Updates of a seat that a chosen Add replaces go with the seat.
        let replaced = chosen.iter().find_map(|hash| match self.pool.get(hash)?.ask {
            Ask::Add { identity, .. } => Some(identity),
            _ => None,
        });
        chosen.retain(|hash| {
            let pooled = self.pool.get(hash);
            pooled.is_some_and(|pooled| {
                matches!(pooled.ask, Ask::Add { .. })
                    || replaced.is_none()
                    || self.identity_of(pooled.from) != replaced
            })
        });
        chosen
    }

    /// Works out removals with their reasons, orders, the newcomer, and the state after.
    fn draft(&self, plan: &Plan<'_>, chosen: &[[u8; 32]]) -> Result<Draft, CommitError> {
        let orders = self.orders_to_carry();
        let mut ordered = self.state.clone();
        for (order, mark) in &orders {
            ordered.apply_order(*mark, &order.kind)?;
        }
        let mut asked = BTreeSet::new();
        let mut added: Option<Added> = None;
        let (mut psk, mut offered, mut added_for) = (None, None, None);
        for pooled in chosen.iter().filter_map(|hash| self.pool.get(hash)) {
            match pooled.ask {
                Ask::Leave => asked.extend(self.state.of(pooled.from).map(|seat| seat.leaf)),
                Ask::Update => {}
                Ask::Add { identity, invite, back } => {
                    added = Some(Added { by: pooled.from, invite, identity, back });
                    added_for = Some(pooled.from);
                    let offer = self.psks.values().find(|offered| {
                        offered.by == pooled.from && Some(offered.offer.invite) == invite
                    });
                    if let Some(found) = offer {
                        psk = Some((found.offer.invite, found.offer.secret.duplicate()));
                        offered = Some(found.message.clone());
                    } else if invite.is_some() {
                        return Err(CommitError::Refused(Violation::Psk));
                    }
                }
            }
        }
        if let Some(add) = &plan.add {
            let (by, identity) = (self.me, add.identity);
            let back = self.state.is_former(&identity)
                || self.people.values().any(|person| person.identity == identity);
            let invite = add.psk.map(|psk| psk.invite);
            added = Some(Added { by, invite, identity, back });
            psk = add.psk.map(|psk| (psk.invite, psk.secret.duplicate()));
        }

        let mut note = Note::default();
        for (leaf, person) in self.people.iter().filter(|(leaf, _)| !asked.contains(leaf)) {
            let why = if ordered.is_barred(&person.identity) {
                Reason::Decision
            } else if added.is_some_and(|added| added.identity == person.identity) {
                Reason::Replaced
            } else if plan.lost.contains(leaf) {
                Reason::Lost
            } else {
                continue;
            };
            note.removals.insert(*leaf, why);
        }
        let left = asked.iter().map(|leaf| {
            let barred = self.people.get(leaf).is_some_and(|p| ordered.is_barred(&p.identity));
            (*leaf, if barred { Reason::Decision } else { Reason::Left })
        });
        let removed = note.removals.iter().map(|(leaf, why)| (*leaf, *why)).chain(left);
        let removed = removed
            .filter_map(|(leaf, why)| Some((leaf, (why, self.people.get(&leaf)?.identity))))
            .collect();
        let lead = match &plan.succeed {
            Some((grants, split)) => Lead::Succeed { term: grants.term, split: *split },
            None if plan.hand_over => Lead::HandOver,
            None => Lead::Stay,
        };
        let changes = Changes {
            epoch: self.epoch().saturating_add(1),
            committer: self.me,
            removed,
            added,
            orders: orders.iter().map(|(order, mark)| (*mark, order.kind.clone())).collect(),
            lead,
        };
        let state = self.state.after(&changes)?;
        note.orders = orders.into_iter().map(|(order, _)| order).collect();
        note.grants = plan.succeed.as_ref().map(|(grants, _)| grants.clone());
        Ok(Draft { note, psk, offered, added_for, state })
    }

    fn stage(
        &mut self,
        plan: &Plan<'_>,
        chosen: &[[u8; 32]],
        draft: &Draft,
        aad: &[u8],
    ) -> Result<CommitMessageBundle, CommitError> {
        for hash in chosen {
            if let Some(pooled) = self.pool.get(hash) {
                let queued = pooled.queued.clone();
                self.mls.store_pending_proposal(self.provider.storage(), queued).map_err(mls)?;
            }
        }
        let psk = draft.psk.as_ref().map(|(invite, secret)| self.psk_proposal(*invite, secret));
        let psk = psk.transpose()?;
        self.mls.set_aad(aad.to_vec());
        let leaves = draft.note.removals.keys();
        let mut builder = self
            .mls
            .commit_builder()
            .consume_proposal_store(true)
            .force_self_update(true)
            .propose_adds(plan.add.as_ref().map(|add| add.package.clone()))
            .propose_removals(leaves.map(|leaf| LeafNodeIndex::new(u32::from(*leaf))))
            .add_proposals(psk);
        if draft.state != self.state {
            let extensions =
                context_extensions(&draft.state).ok_or(CommitError::Mls("extensions".into()))?;
            builder = builder.propose_group_context_extensions(extensions).map_err(mls)?;
        }
        // No GroupInfo is ever made: it is what an external commit would start from.
        builder
            .load_psks(self.provider.storage())
            .map_err(mls)?
            .create_group_info(false)
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .map_err(mls)?
            .stage_commit(&self.provider)
            .map_err(mls)
    }

    fn psk_proposal(&self, invite: [u8; 8], secret: &Secret<32>) -> Result<Proposal, CommitError> {
        let external = Psk::External(ExternalPsk::new(invite.to_vec()));
        let id = PreSharedKeyId::new(SUITE, self.provider.rand(), external).map_err(mls)?;
        id.store(&self.provider, secret.expose()).map_err(mls)?;
        Ok(Proposal::PreSharedKey(Box::new(PreSharedKeyProposal::new(id))))
    }

    /// Judges the staged commit as a receiver would, and packs it for sending.
    fn finish(
        &mut self,
        draft: &Draft,
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

        let psk = match (&draft.offered, &draft.psk) {
            (Some(message), _) => Some(message.clone()),
            (None, Some((invite, secret))) if self.state.order.len() > 1 => {
                let offer = PskOffer { invite: *invite, secret: secret.duplicate() };
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
        let name = self.epoch_name();
        let hash = sha256(&commit);
        let statement =
            Statement::sign(&self.signer, &self.id, name.epoch, name.confirmation, hash);
        let bundle = Bundle { psk: psk.as_deref(), proposals, commit: &commit, statement }.encode();
        if bundle.len() > super::MAX_BUNDLE {
            return Err(CommitError::TooLong);
        }

        self.pending = Some(hash);
        self.seen.insert(sha256(&bundle));
        Ok(Pending {
            bundle,
            welcome,
            added: verdict.added,
            back: verdict.back,
            added_for: draft.added_for,
            removed: verdict.removed.clone(),
            handed_over: verdict.handed_over,
            succession: verdict.succession,
            orders: verdict.note.orders.iter().map(|order| order.kind.clone()).collect(),
            roster_after: Roster::of(
                self.id,
                self.epoch().saturating_add(1),
                &verdict.state,
                &verdict.people,
            ),
            authenticator_after,
            dropped: Vec::new(),
            statement,
            verdict,
        })
    }
}

fn mls(e: impl std::fmt::Display) -> CommitError {
    CommitError::Mls(e.to_string())
}
