//! What proposals and commits may do, and who may do it. MLS checks that a change is well-formed
//! and signed by a member; whether that member may make it, nobody but us decides. Proposals are
//! judged before they are stored (one bad stored proposal blocks every later commit), commits
//! before they are offered for merging. Our own commits pass the same judgement.

use super::bytes::Malformed;
use super::history::History;
use super::note::Note;
use super::order::{Mark, OrderKind, SignedOrder, mark};
use super::propose::Pool;
use super::provider::{self, SUITE};
use super::rules::{Ask, CredentialCheck, Person, Reason, Violation};
use super::state::{Added, Changes, GroupState, Impossible, Lead};
use super::succession::{EpochName, Grants, MAX_TERM_AHEAD, Succession};
use crate::wire::link::MemberId;
use openmls::prelude::tls_codec::{DeserializeBytes as _, Serialize as _};
use openmls::prelude::{
    KeyPackage, LeafNode, Proposal, ProposalOrRefType, QueuedProposal, Sender, StagedCommit,
};
use openmls::schedule::{PreSharedKeyId, psk::Psk};
use std::collections::{BTreeMap, BTreeSet};

/// What judgement rests on: the current epoch, and what we granted and were ordered in it.
pub(super) struct View<'a> {
    pub(super) name: EpochName,
    pub(super) state: &'a GroupState,
    pub(super) people: &'a BTreeMap<u8, Person>,
    pub(super) check: &'a dyn CredentialCheck,
    pub(super) pool: &'a Pool,
    pub(super) history: &'a History,
    pub(super) me: MemberId,
    pub(super) granted: Option<(u32, MemberId)>,
    /// Identities that orders we hold remove, not yet carried out.
    pub(super) orders_out: BTreeSet<[u8; 32]>,
}

/// What an allowed commit makes of the group.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) state: GroupState,
    pub(super) people: BTreeMap<u8, Person>,
    pub(super) added: Option<MemberId>,
    pub(super) back: bool,
    pub(super) removed: Vec<(MemberId, Reason)>,
    pub(super) updated: Vec<MemberId>,
    pub(super) handed_over: bool,
    pub(super) succession: Option<Succession>,
    /// Term in which the committer led.
    pub(super) authority: u32,
    pub(super) note: Note,
    /// Names the key package of the newcomer.
    pub(super) package: Option<[u8; 32]>,
}

impl View<'_> {
    /// The member a message claims to come from.
    pub(super) fn member(&self, sender: &Sender) -> Option<(MemberId, u8)> {
        let Sender::Member(index) = sender else { return None };
        let leaf = u8::try_from(index.u32()).ok()?;
        self.state.at_leaf(leaf).map(|seat| (seat.id, leaf))
    }

    fn host_present(&self) -> bool {
        self.people.values().any(|person| person.identity == self.state.host)
    }

    fn identity(&self, leaf: u8) -> Option<[u8; 32]> {
        self.people.get(&leaf).map(|person| person.identity)
    }

    /// Host, admitter, or, while the founder isn't a member, whoever leads.
    pub(super) fn may_add(&self, leaf: u8) -> bool {
        self.identity(leaf).is_some_and(|identity| self.state.may_add(&identity))
            || (!self.host_present()
                && self.state.at_leaf(leaf).is_some_and(|seat| seat.id == self.state.sequencer))
    }

    /// Judges a proposal that came as a message of its own, with its authenticated data.
    pub(super) fn proposal(
        &self,
        by: MemberId,
        leaf: u8,
        proposal: &Proposal,
        aad: &[u8],
    ) -> Result<Ask, Violation> {
        if !aad.is_empty() && !matches!(proposal, Proposal::Add(_)) {
            return Err(Violation::Note);
        }
        match proposal {
            Proposal::Remove(remove) => {
                let target = u8::try_from(remove.removed().u32()).ok();
                let target = target.and_then(|leaf| self.state.at_leaf(leaf));
                let target = target.ok_or(Violation::Impossible(Impossible::NobodyThere))?;
                if target.id == by { Ok(Ask::Leave) } else { Err(Violation::MayNotRemove) }
            }
            Proposal::Update(update) => {
                self.same_leaf(leaf, update.leaf_node())?;
                Ok(Ask::Update)
            }
            Proposal::Add(add) => self.ask_add(by, leaf, add.key_package(), invite_in(aad)?),
            _ => Err(Violation::Kind),
        }
    }

    /// Judges the wish to add somebody by proposal.
    pub(super) fn ask_add(
        &self,
        by: MemberId,
        leaf: u8,
        package: &KeyPackage,
        invite: Option<[u8; 8]>,
    ) -> Result<Ask, Violation> {
        let person = self.newcomer(self.state, package)?;
        let identity = person.identity;
        // Nobody commits the removal of its own seat.
        let sequencer = self.state.of(self.state.sequencer).map(|seat| seat.leaf);
        if sequencer.and_then(|leaf| self.identity(leaf)) == Some(identity) {
            return Err(Violation::IdentityTwice);
        }
        let back = self.added(self.state, by, leaf, &person, invite)?.back;
        Ok(Ask::Add { identity, invite, back })
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
        let note = Note::parse(aad).map_err(|Malformed| Violation::Note)?;
        let (authority, succession) = self.authority(by, leaf, &note)?;
        let path = staged.update_path_leaf_node().ok_or(Violation::NoPath)?;
        self.same_leaf(leaf, path)?;
        let content = self.content(leaf, staged)?;
        let orders = self.orders(by, &note)?;
        let mut ordered = self.state.clone();
        for (mark, kind) in &orders {
            if !ordered.apply_order(*mark, kind)? {
                return Err(Violation::Order);
            }
        }

        let psk = content.psk.map(invite_of).transpose()?;
        let mut newcomer = None;
        if let Some((adder, add)) = content.add {
            let (adder_id, adder_leaf) = adder.map_or((by, leaf), |(id, leaf, _)| (id, leaf));
            // With the secret of the invite its proposer named, and no other.
            if adder.is_some_and(|(_, _, invite)| psk != invite) {
                return Err(Violation::Psk);
            }
            let person = self.newcomer(&ordered, add)?;
            let added = self.added(&ordered, adder_id, adder_leaf, &person, psk)?;
            newcomer = Some((person, added));
        } else if psk.is_some() {
            return Err(Violation::Psk);
        }
        let removed = self.removals(&content, &note, &ordered, newcomer.as_ref())?;

        let claimed = match content.context {
            Some(Proposal::GroupContextExtensions(context)) => {
                Some(provider::context_state(context.extensions()).ok_or(Violation::Context)?)
            }
            _ => None,
        };
        let lead = match (succession, &note.grants) {
            (Some(kind), Some(grants)) => {
                Lead::Succeed { term: grants.term, split: kind == Succession::Split }
            }
            _ if claimed.as_ref().is_some_and(|claimed| claimed.term != self.state.term) => {
                Lead::HandOver
            }
            _ => Lead::Stay,
        };
        let changes = Changes {
            epoch: self.name.epoch.saturating_add(1),
            committer: by,
            removed: removed
                .iter()
                .filter_map(|(l, w)| Some((*l, (*w, self.identity(*l)?))))
                .collect(),
            added: newcomer.as_ref().map(|(_, added)| *added),
            orders,
            lead,
        };
        let state = self.state.after(&changes)?;
        // Rewritten when it changes, and only then.
        if claimed.as_ref() != (state != *self.state).then_some(&state) {
            return Err(Violation::State);
        }
        let mut verdict = self.verdict(state, newcomer, &removed, &content.updates, note);
        verdict.handed_over = lead == Lead::HandOver;
        (verdict.succession, verdict.authority) = (succession, authority);
        verdict.package = content.add.map(|(_, add)| super::join::package_hash(add));
        Ok(verdict)
    }

    /// Whether `by` may commit at all, in which term, and with whose consent.
    fn authority(
        &self,
        by: MemberId,
        leaf: u8,
        note: &Note,
    ) -> Result<(u32, Option<Succession>), Violation> {
        let authority = match &note.grants {
            None if by == self.state.sequencer => self.state.term,
            None => return Err(Violation::NotSequencer),
            Some(grants) => grants.term,
        };
        if let Some((granted, _)) = self.granted.filter(|(granted, _)| authority < *granted) {
            return Err(Violation::Fenced(granted));
        }
        let key = self.people.get(&leaf).map(|person| person.leaf_key);
        if key.is_some_and(|key| self.history.proof_against(&key).is_some()) {
            return Err(Violation::Equivocated);
        }
        let grants = note.grants.as_ref();
        let succession = grants.map(|grants| self.succession(by, leaf, grants)).transpose()?;
        Ok((authority, succession))
    }

    fn succession(&self, by: MemberId, leaf: u8, grants: &Grants) -> Result<Succession, Violation> {
        let ahead = grants.term.saturating_sub(self.state.term);
        let all_hold = grants.by.iter().all(|(voter, signature)| {
            let key = self.state.of(*voter).and_then(|seat| self.people.get(&seat.leaf));
            key.is_some_and(|p| self.name.is_granted(&p.leaf_key, grants.term, by, signature))
        });
        if !all_hold || !(1..=MAX_TERM_AHEAD).contains(&ahead) {
            return Err(Violation::Grants);
        }
        if self.identity(leaf).is_none_or(|identity| self.orders_out.contains(&identity)) {
            return Err(Violation::OrderedOut);
        }
        let renewal = by == self.state.sequencer;
        if grants.by.len() * 2 > self.state.order.len() {
            return Ok(if renewal { Succession::Renewal } else { Succession::Majority });
        }
        // Whoever follows a minority has said so itself, and still knows. The sequencer is followed
        // without, by those who haven't granted its role to anybody.
        let consented = self.granted == Some((grants.term, by)) && grants.by.contains_key(&self.me);
        match (renewal, consented, self.granted) {
            (true, true, _) | (true, _, None) => Ok(Succession::Renewal),
            (false, true, _) => Ok(Succession::Split),
            _ => Err(Violation::Minority),
        }
    }

    /// The commit's orders with their weights.
    fn orders(&self, by: MemberId, note: &Note) -> Result<Vec<(Mark, OrderKind)>, Violation> {
        let leader = self.state.of(by).and_then(|seat| self.identity(seat.leaf));
        let host_present = self.host_present();
        let weigh = |order: &SignedOrder| {
            let mark = mark(self.state, host_present, leader, order)?;
            order.is_signed(&self.name.group).then_some((mark, order.kind.clone()))
        };
        note.orders.iter().map(|order| weigh(order).ok_or(Violation::Order)).collect()
    }

    fn verdict(
        &self,
        state: GroupState,
        newcomer: Option<(Person, Added)>,
        removed: &BTreeMap<u8, Reason>,
        updates: &BTreeSet<u8>,
        note: Note,
    ) -> Verdict {
        let id = |leaf: &u8| self.state.at_leaf(*leaf).map(|seat| seat.id);
        let mut people = self.people.clone();
        people.retain(|leaf, _| !removed.contains_key(leaf));
        let mut added = None;
        let back = newcomer.as_ref().is_some_and(|(_, added)| added.back);
        if let (Some((person, _)), Some(seat)) = (newcomer, state.order.last()) {
            people.insert(seat.leaf, person);
            added = Some(seat.id);
        }
        Verdict {
            people,
            added,
            back,
            removed: removed.iter().filter_map(|(leaf, why)| Some((id(leaf)?, *why))).collect(),
            updated: updates.iter().filter_map(id).collect(),
            handed_over: false,
            succession: None,
            authority: self.state.term,
            note,
            package: None,
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

    fn referred<'a>(
        &self,
        by: MemberId,
        leaf: u8,
        queued: &'a QueuedProposal,
        content: &mut Content<'a>,
    ) -> Result<(), Violation> {
        let fresh = match queued.proposal() {
            // Judged together with the commit's orders and removals.
            Proposal::Add(add) => {
                let invite = self.pool.invite_of(queued);
                content.add.replace((Some((by, leaf, invite)), add.key_package())).is_none()
            }
            other => match self.proposal(by, leaf, other, &[])? {
                Ask::Leave => content.asked.insert(leaf),
                Ask::Update => content.updates.insert(leaf),
                Ask::Add { .. } => false,
            },
        };
        if fresh { Ok(()) } else { Err(Violation::Kind) }
    }

    /// All removals with their reasons: asked for by whoever leaves, or made by the committer,
    /// explained in the commit's note. Nobody stays whom an order removes.
    fn removals(
        &self,
        content: &Content<'_>,
        note: &Note,
        ordered: &GroupState,
        newcomer: Option<&(Person, Added)>,
    ) -> Result<BTreeMap<u8, Reason>, Violation> {
        if !note.removals.keys().eq(content.removes.iter()) {
            return Err(Violation::Note);
        }
        let mut removed = BTreeMap::new();
        for (leaf, why) in &note.removals {
            let identity =
                self.identity(*leaf).ok_or(Violation::Impossible(Impossible::NobodyThere))?;
            let barred = ordered.is_barred(&identity);
            let replaced = newcomer.is_some_and(|(person, _)| person.identity == identity);
            let fits = match why {
                Reason::Left => false,
                Reason::Decision => barred,
                Reason::Replaced => replaced,
                Reason::Lost => !barred && !replaced,
            };
            if !fits {
                return Err(Violation::MayNotRemove);
            }
            removed.insert(*leaf, *why);
        }
        for leaf in &content.asked {
            let barred = self.identity(*leaf).is_some_and(|who| ordered.is_barred(&who));
            let why = if barred { Reason::Decision } else { Reason::Left };
            if removed.insert(*leaf, why).is_some() {
                return Err(Violation::Kind);
            }
        }
        for (_, person) in self.people.iter().filter(|(leaf, _)| !removed.contains_key(leaf)) {
            if ordered.is_barred(&person.identity) {
                return Err(Violation::Order);
            }
            if newcomer.is_some_and(|(new, _)| new.identity == person.identity) {
                return Err(Violation::IdentityTwice);
            }
        }
        Ok(removed)
    }

    /// Whose key package this is, and that it may come in at all in `state`.
    pub(super) fn newcomer(
        &self,
        state: &GroupState,
        add: &KeyPackage,
    ) -> Result<Person, Violation> {
        let leaf = add.leaf_node();
        if add.ciphersuite() != SUITE || !provider::is_plain(leaf) {
            return Err(Violation::Leaf);
        }
        let credential = leaf.credential().serialized_content();
        let person = Person::checked(credential, self.check).map_err(Violation::Credential)?;
        if !person.sits_on(leaf) {
            return Err(Violation::Swapped);
        }
        if state.is_barred(&person.identity) {
            return Err(Violation::Barred);
        }
        if !state.lock_admits(&person.identity) {
            return Err(Violation::Locked);
        }
        Ok(person)
    }

    /// Whether `by` may bring this person in: host and admitters anybody, every member somebody
    /// who was lost or is (from an earlier connection) still there.
    pub(super) fn added(
        &self,
        state: &GroupState,
        by: MemberId,
        leaf: u8,
        person: &Person,
        invite: Option<[u8; 8]>,
    ) -> Result<Added, Violation> {
        let identity = person.identity;
        let back = state.is_former(&identity)
            || self.people.values().any(|other| other.identity == identity);
        if invite.is_some_and(|invite| !state.may_use(&invite)) {
            return Err(Violation::Voided);
        }
        if self.may_add(leaf) || (back && invite.is_none()) {
            Ok(Added { by, invite, identity, back })
        } else {
            Err(Violation::MayNotAdd)
        }
    }
}

/// The invite named by an Add proposal's authenticated data; empty for none.
pub(super) fn invite_in(aad: &[u8]) -> Result<Option<[u8; 8]>, Violation> {
    match aad {
        [] => Ok(None),
        aad => aad.try_into().map(Some).map_err(|_| Violation::Note),
    }
}

/// Who proposed an Add: number, leaf, and the invite it named.
type Proposer = (MemberId, u8, Option<[u8; 8]>);

/// A commit's proposals, sorted.
#[derive(Default)]
struct Content<'a> {
    /// Leaves whose members asked to leave.
    asked: BTreeSet<u8>,
    /// Updates by proposal, by leaf.
    updates: BTreeSet<u8>,
    /// Removals by the committer.
    removes: BTreeSet<u8>,
    /// The addition; its proposer, if that isn't the committer, with the invite it named.
    add: Option<(Option<Proposer>, &'a KeyPackage)>,
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
            Proposal::Add(add) => self.add.replace((None, add.key_package())).is_none(),
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
