//! What proposals and commits may do, and who may do it. MLS checks that a change is well-formed
//! and signed by a member; whether that member may make it, nobody but us decides. Proposals are
//! judged before they are stored (one bad stored proposal blocks every later commit), commits
//! before they are offered for merging. Our own commits pass the same judgement.

use super::bytes::Malformed;
use super::provider::{self, SUITE};
use super::rules::{Ask, CredentialCheck, Note, Person, Reason, Violation};
use super::state::{Changes, GroupState, Impossible};
use crate::wire::link::MemberId;
use openmls::prelude::tls_codec::{DeserializeBytes as _, Serialize as _};
use openmls::prelude::{
    KeyPackage, LeafNode, Proposal, ProposalOrRefType, QueuedProposal, Sender, StagedCommit,
};
use openmls::schedule::{PreSharedKeyId, psk::Psk};
use std::collections::{BTreeMap, BTreeSet};

/// What judgement rests on: the current epoch.
pub(super) struct View<'a> {
    pub(super) epoch: u64,
    pub(super) state: &'a GroupState,
    pub(super) people: &'a BTreeMap<u8, Person>,
    pub(super) check: &'a dyn CredentialCheck,
}

/// What an allowed commit makes of the group.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) state: GroupState,
    pub(super) people: BTreeMap<u8, Person>,
    pub(super) added: Option<MemberId>,
    pub(super) removed: Vec<(MemberId, Reason)>,
    pub(super) updated: Vec<MemberId>,
    pub(super) handed_over: bool,
}

impl View<'_> {
    /// The member a message claims to come from.
    pub(super) fn member(&self, sender: &Sender) -> Option<(MemberId, u8)> {
        let Sender::Member(index) = sender else { return None };
        let leaf = u8::try_from(index.u32()).ok()?;
        self.state.at_leaf(leaf).map(|seat| (seat.id, leaf))
    }

    /// The founder, or, once the founder has left, whoever leads the group.
    fn is_host(&self, leaf: u8) -> bool {
        if self.people.values().any(|person| person.identity == self.state.host) {
            return self.people.get(&leaf).is_some_and(|person| person.identity == self.state.host);
        }
        self.state.at_leaf(leaf).is_some_and(|seat| seat.id == self.state.sequencer)
    }

    /// Judges a proposal that came as a message of its own.
    pub(super) fn proposal(
        &self,
        by: MemberId,
        leaf: u8,
        proposal: &Proposal,
    ) -> Result<Ask, Violation> {
        match proposal {
            Proposal::Remove(remove) => {
                let target = u8::try_from(remove.removed().u32()).ok();
                let target = target.and_then(|leaf| self.state.at_leaf(leaf));
                let target = target.ok_or(Violation::Impossible(Impossible::NobodyThere))?;
                if target.id == by {
                    Ok(Ask::Leave)
                } else if self.is_host(leaf) {
                    Ok(Ask::Remove(target.id))
                } else {
                    Err(Violation::MayNotRemove)
                }
            }
            Proposal::Update(update) => {
                self.same_leaf(leaf, update.leaf_node())?;
                Ok(Ask::Update)
            }
            _ => Err(Violation::Kind),
        }
    }

    /// New keys, but the same credential and signature key, byte for byte.
    fn same_leaf(&self, at: u8, leaf: &LeafNode) -> Result<(), Violation> {
        if !self.people.get(&at).is_some_and(|person| person.sits_on(leaf)) {
            return Err(Violation::Swapped);
        }
        if !provider::is_plain(leaf) {
            return Err(Violation::Leaf);
        }
        Ok(())
    }

    /// Judges a commit and tells what it makes of the group.
    pub(super) fn commit(
        &self,
        by: MemberId,
        leaf: u8,
        aad: &[u8],
        staged: &StagedCommit,
    ) -> Result<Verdict, Violation> {
        if by != self.state.sequencer {
            return Err(Violation::NotSequencer);
        }
        let path = staged.update_path_leaf_node().ok_or(Violation::NoPath)?;
        self.same_leaf(leaf, path)?;
        let content = self.content(leaf, staged)?;
        let removed = self.removals(leaf, &content, aad)?;
        let invite = content.psk.map(invite_of).transpose()?;
        let joiner = content.add.map(|add| self.joiner(leaf, &removed, add)).transpose()?;
        if invite.is_some() && joiner.is_none() {
            return Err(Violation::Psk);
        }

        let claimed = match content.context {
            Some(Proposal::GroupContextExtensions(context)) => {
                Some(provider::context_state(context.extensions()).ok_or(Violation::Context)?)
            }
            _ => None,
        };
        let changes = Changes {
            epoch: self.epoch.saturating_add(1),
            removed: removed.keys().copied().collect(),
            added: joiner.as_ref().map(|_| (by, invite)),
            hand_over: claimed.as_ref().is_some_and(|claimed| claimed.term != self.state.term),
        };
        let state = self.state.after(&changes)?;
        // Rewritten when it changes, and only then.
        if claimed.as_ref() != (state != *self.state).then_some(&state) {
            return Err(Violation::State);
        }
        Ok(self.verdict(state, joiner, &removed, &content.updates, changes.hand_over))
    }

    fn verdict(
        &self,
        state: GroupState,
        joiner: Option<Person>,
        removed: &BTreeMap<u8, Reason>,
        updates: &BTreeSet<u8>,
        handed_over: bool,
    ) -> Verdict {
        let id = |leaf: &u8| self.state.at_leaf(*leaf).map(|seat| seat.id);
        let mut people = self.people.clone();
        people.retain(|leaf, _| !removed.contains_key(leaf));
        let mut added = None;
        if let (Some(person), Some(seat)) = (joiner, state.order.last()) {
            people.insert(seat.leaf, person);
            added = Some(seat.id);
        }
        Verdict {
            people,
            added,
            removed: removed.iter().filter_map(|(leaf, why)| Some((id(leaf)?, *why))).collect(),
            updated: updates.iter().filter_map(id).collect(),
            handed_over,
            state,
        }
    }

    /// Sorts a commit's proposals; refuses kinds, senders and doubles that don't belong.
    fn content<'a>(
        &self,
        committer: u8,
        staged: &'a StagedCommit,
    ) -> Result<Content<'a>, Violation> {
        let mut content = Content::default();
        for queued in staged.queued_proposals() {
            let (by, leaf) = self.member(queued.sender()).ok_or(Violation::NotAMember)?;
            match queued.proposal_or_ref_type() {
                ProposalOrRefType::Reference => self.referred(by, leaf, queued, &mut content)?,
                ProposalOrRefType::Proposal if leaf == committer => {
                    content.inline(queued.proposal())?
                }
                ProposalOrRefType::Proposal => return Err(Violation::Kind),
            }
        }
        Ok(content)
    }

    fn referred(
        &self,
        by: MemberId,
        leaf: u8,
        queued: &QueuedProposal,
        content: &mut Content<'_>,
    ) -> Result<(), Violation> {
        let fresh = match self.proposal(by, leaf, queued.proposal())? {
            Ask::Leave => content.asked.insert(leaf, Reason::Left).is_none(),
            Ask::Remove(target) => {
                let target = self.state.of(target).ok_or(Violation::MayNotRemove)?;
                content.asked.insert(target.leaf, Reason::Decision).is_none()
            }
            Ask::Update => content.updates.insert(leaf),
        };
        if fresh { Ok(()) } else { Err(Violation::Kind) }
    }

    /// All removals with their reasons: asked for by proposal, or made by the committer and
    /// explained in the commit's note.
    fn removals(
        &self,
        committer: u8,
        content: &Content<'_>,
        aad: &[u8],
    ) -> Result<BTreeMap<u8, Reason>, Violation> {
        let note = Note::parse(aad).map_err(|Malformed| Violation::Note)?;
        if !note.0.keys().eq(content.removes.iter()) {
            return Err(Violation::Note);
        }
        let mut removed = content.asked.clone();
        for (leaf, why) in note.0 {
            match why {
                Reason::Left => return Err(Violation::Note),
                Reason::Decision if !self.is_host(committer) => {
                    return Err(Violation::MayNotRemove);
                }
                Reason::Decision | Reason::Lost => {}
            }
            if removed.insert(leaf, why).is_some() {
                return Err(Violation::Kind);
            }
        }
        Ok(removed)
    }

    /// The person a commit adds.
    fn joiner(
        &self,
        committer: u8,
        removed: &BTreeMap<u8, Reason>,
        add: &KeyPackage,
    ) -> Result<Person, Violation> {
        let may = self.people.get(&committer).is_some_and(|p| self.state.may_add(&p.identity));
        if !may && !self.is_host(committer) {
            return Err(Violation::MayNotAdd);
        }
        let leaf = add.leaf_node();
        if add.ciphersuite() != SUITE || !provider::is_plain(leaf) {
            return Err(Violation::Leaf);
        }
        let credential = leaf.credential().serialized_content();
        let person = Person::checked(credential, self.check).map_err(Violation::Credential)?;
        if !person.sits_on(leaf) {
            return Err(Violation::Swapped);
        }
        let mut staying = self.people.iter().filter(|(leaf, _)| !removed.contains_key(leaf));
        if staying.any(|(_, other)| other.identity == person.identity) {
            return Err(Violation::IdentityTwice);
        }
        if self.state.lock.as_ref().is_some_and(|lock| !lock.contains(&person.identity)) {
            return Err(Violation::Locked);
        }
        Ok(person)
    }
}

/// A commit's proposals, sorted.
#[derive(Default)]
struct Content<'a> {
    /// Removals asked for by proposal, by leaf.
    asked: BTreeMap<u8, Reason>,
    /// Updates by proposal, by leaf.
    updates: BTreeSet<u8>,
    /// Removals by the committer.
    removes: BTreeSet<u8>,
    add: Option<&'a KeyPackage>,
    psk: Option<&'a Proposal>,
    context: Option<&'a Proposal>,
}

impl<'a> Content<'a> {
    fn inline(&mut self, proposal: &'a Proposal) -> Result<(), Violation> {
        let fresh = match proposal {
            Proposal::Remove(remove) => {
                let leaf = u8::try_from(remove.removed().u32()).map_err(|_| Violation::Kind)?;
                self.removes.insert(leaf)
            }
            Proposal::Add(add) => self.add.replace(add.key_package()).is_none(),
            Proposal::PreSharedKey(_) => self.psk.replace(proposal).is_none(),
            Proposal::GroupContextExtensions(_) => self.context.replace(proposal).is_none(),
            _ => false,
        };
        if fresh { Ok(()) } else { Err(Violation::Kind) }
    }
}

/// The invite a PSK proposal names.
fn invite_of(proposal: &Proposal) -> Result<[u8; 8], Violation> {
    let Proposal::PreSharedKey(psk) = proposal else { return Err(Violation::Psk) };
    // The library shows a proposal's PSK id only in its wire form.
    let bytes = psk.tls_serialize_detached().map_err(|_| Violation::Psk)?;
    let id = PreSharedKeyId::tls_deserialize_exact_bytes(&bytes).map_err(|_| Violation::Psk)?;
    invite_id(&id).ok_or(Violation::Psk)
}

/// The invite of an external PSK; `None` for any other PSK.
pub(super) fn invite_id(id: &PreSharedKeyId) -> Option<[u8; 8]> {
    match id.psk() {
        Psk::External(external) => external.psk_id().try_into().ok(),
        _ => None,
    }
}
