//! The group's changes on their way through the mesh: commits, proposals, acknowledgements; new
//! keys, removals, handing over and leaving.

use super::handshake::{LinkState, Stage};
use super::membership::{CREDENTIAL_LIFE, Peer};
use super::wishes::Wish;
use super::*;
use crate::group::{
    Agreement, CheckedCredential, CredentialCheck, CredentialRefused, LocalMember, Pending, Reason,
    ReceiveError, Received, Roster, Staged, Statement, Succession,
};
use crate::identity::Credential;
use crate::wire::control::{Ack, Control};
use crate::wire::link::Send;
use bytes::Bytes;

/// So many of a member's acknowledgements of epochs to come are kept.
pub const EARLY_ACKS: usize = 8;

/// Checks credentials inside the group, at a time.
pub(super) struct Checker {
    pub(super) group_id: [u8; 16],
    pub(super) now: crate::time::Wall,
}

impl CredentialCheck for Checker {
    fn check(&self, credential: &[u8]) -> Result<CheckedCredential, CredentialRefused> {
        let refused = |e: &dyn std::fmt::Display| CredentialRefused(e.to_string());
        let credential = Credential::decode(credential).map_err(|e| refused(&e))?;
        credential.verify(&self.group_id, self.now).map_err(|e| refused(&e))?;
        Ok(CheckedCredential { identity: credential.identity.0, leaf_key: credential.leaf_key })
    }
}

/// A change of the group, as the call follows it.
#[derive(Default)]
pub(super) struct Change {
    /// Whose commit; `None` when we just came in.
    pub(super) by: Option<MemberId>,
    pub(super) added: Option<MemberId>,
    /// Who was added had been a member before.
    pub(super) back: bool,
    pub(super) removed: Vec<(MemberId, Reason)>,
    /// New keys for more members than the committer: the healing commit.
    pub(super) healed: bool,
    /// The commit came from whoever made it.
    pub(super) direct: bool,
    /// The committer took over with it.
    pub(super) succession: Option<Succession>,
}

impl Change {
    fn of(staged: &Staged, direct: bool) -> Self {
        Self {
            by: Some(staged.by),
            added: staged.added,
            back: staged.back,
            removed: staged.removed.clone(),
            healed: staged.added.is_none() && staged.removed.is_empty(),
            succession: staged.succession,
            direct,
        }
    }

    /// The epoch was entered by a Welcome: another branch, or the first one.
    pub(super) fn by_welcome(&self) -> bool {
        self.by.is_none()
    }

    /// What is shown as the reason of an epoch.
    pub(super) fn why(&self, _roster: &Roster) -> EpochWhy {
        match self {
            Self { by: None, back: true, .. } => EpochWhy::Returned,
            Self { by: None, .. } => EpochWhy::Begun,
            Self { added: Some(_), back: true, .. } => EpochWhy::Back,
            Self { added: Some(_), .. } => EpochWhy::Joined,
            Self { removed, .. } if !removed.is_empty() => EpochWhy::Left,
            Self { .. } => EpochWhy::Keys,
        }
    }
}

impl Call {
    pub(super) fn check(&self, group_id: [u8; 16], now: Now) -> Checker {
        Checker { group_id, now: now.wall }
    }

    /// This participant's credential as it stands in its leaf.
    pub(super) fn my_credential(&self) -> Vec<u8> {
        let Some(group) = &self.group else { return Vec::new() };
        group.roster().member(group.me()).map(|row| row.credential.clone()).unwrap_or_default()
    }

    /// This participant's credential and leaf key for a group.
    pub(super) fn local_member(
        &self,
        group_id: [u8; 16],
        now: Now,
    ) -> Result<LocalMember, CallError> {
        let not_after = crate::time::Wall(
            now.wall.0 + u64::try_from(CREDENTIAL_LIFE.as_millis()).unwrap_or(u64::MAX / 2),
        );
        let credential = Credential::issue(
            &self.identity,
            self.config.name.clone(),
            self.leaf.public(),
            group_id,
            not_after,
        )?;
        Ok(LocalMember {
            credential: credential.encode(),
            leaf_seed: self.leaf.seed_for_tls_or_mls(),
            leaf_key: self.leaf.public(),
        })
    }

    /// Merges an own commit and tells everybody.
    pub(super) fn commit(&mut self, mut pending: Pending, now: Now) -> Result<(), CallError> {
        let Some(place) = self.place() else { return Ok(()) };
        let Some(group) = &mut self.group else { return Ok(()) };
        let bundle = Bytes::from(pending.bundle.clone());
        for violation in std::mem::take(&mut pending.dropped) {
            self.counters.bad_group += 1;
            let (from, why) = (violation.by, violation.to_string());
            self.out.push_back(Output::Event(Event::BadGroupMessage { from, why }));
        }
        let change = Change {
            by: Some(group.me()),
            added: pending.added,
            back: pending.back,
            removed: pending.removed.clone(),
            healed: pending.added.is_none() && pending.removed.is_empty(),
            succession: pending.succession,
            direct: true,
        };
        let welcome = pending.welcome.take();
        let newcomer = pending.added.and_then(|id| pending.roster_after.member(id).cloned());
        let proposer = pending.added_for.filter(|id| *id != group.me());
        group.merge_pending(pending)?;
        self.send_bundle(bundle.clone(), !change.removed.is_empty());
        self.offers.keep(place, bundle);
        self.enter_epoch(now, change)?;
        if let (Some(welcome), Some(row)) = (welcome, newcomer) {
            match proposer {
                None => self.deliver_welcome(row.leaf_key, welcome.into(), now)?,
                Some(proposer) => self.keep_welcome(proposer, row.leaf_key, welcome.into(), now),
            }
        }
        Ok(())
    }

    /// A commit's bundle to everybody. After a removal nothing is sealed with the old keys any more,
    /// so all that we say from here on waits for it at their end.
    fn send_bundle(&mut self, bundle: Bytes, removes: bool) {
        let message: Bytes = Control::Bundle(bundle).encode().into();
        let links: Vec<_> = self.peers.connected().map(|(_, link)| link).collect();
        for link in links {
            let message = message.clone();
            let send = if removes { Send::Urgent(message) } else { Send::Control(message) };
            self.out.push_back(Output::Send(link, send));
        }
    }

    /// The newcomer's connection is ours: the Welcome goes out, and it is a member's from now on.
    pub(super) fn deliver_welcome(
        &mut self,
        key: [u8; 32],
        welcome: Bytes,
        now: Now,
    ) -> Result<(), CallError> {
        let waiting = |state: &LinkState| {
            let theirs = state.up.as_ref().is_some_and(|up| up.peer_key == key);
            theirs
                && matches!(state.stage, Stage::Knocking(_) | Stage::Former(_) | Stage::Member(_))
        };
        let link = self.links.iter().find(|(_, state)| waiting(state));
        let Some((link, stage)) = link.map(|(link, state)| (*link, state.stage)) else {
            return Ok(());
        };
        self.out.push_back(Output::Authenticated(link));
        self.send_control(link, &Control::Welcome(welcome));
        let knock = self.knocks.iter().find(|(_, knock)| knock.link == link).map(|(id, _)| *id);
        if let Some(knock) = knock {
            self.admitted(knock);
        }
        match self.member_with_key(&key) {
            Some(member) if stage == Stage::Member(member) => self.greet(member, link, now),
            Some(member) => self.adopt(link, member, now),
            None => {}
        }
        self.announce_addresses()
    }

    /// Says, signed, which state we are in.
    pub(super) fn acknowledge(&mut self) -> Result<(), CallError> {
        let Some(group) = &self.group else { return Ok(()) };
        if self.peers.members.is_empty() {
            return Ok(());
        }
        let ack = wire_ack(group.sign_ack());
        self.broadcast(&Control::Ack(ack));
        Ok(())
    }

    pub(super) fn group_message(
        &mut self,
        link: LinkId,
        from: MemberId,
        bytes: Bytes,
        now: Now,
    ) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let check = Checker { group_id: group.id(), now: now.wall };
        match group.receive(&bytes, &check) {
            Ok(Received::Duplicate) => Ok(()),
            Ok(Received::Proposal { ask, .. }) => {
                self.proposal_pooled(ask, now);
                self.pass_on(from, &bytes);
                self.pursue(now)
            }
            Ok(Received::Commit(staged)) => self.take_commit(link, *staged, bytes, now),
            // A commit or proposal that crossed another on the way: the next epoch settles it.
            Err(ReceiveError::Stale(_) | ReceiveError::Ahead(_)) => Ok(()),
            Err(ReceiveError::Equivocation(proof)) => self.equivocated(&proof, now),
            Err(error) => {
                self.counters.bad_group += 1;
                self.event(Event::BadGroupMessage { from, why: error.to_string() });
                // Nothing is wrong with us, something may be wrong between us.
                self.send_branch(link, now);
                Ok(())
            }
        }
    }

    /// A commit that passed.
    fn take_commit(
        &mut self,
        link: LinkId,
        staged: Staged,
        bytes: Bytes,
        now: Now,
    ) -> Result<(), CallError> {
        let (Some(place), Some(group)) = (self.place(), &mut self.group) else { return Ok(()) };
        if staged.evicts_me {
            let me = group.me();
            let why = staged.removed.iter().find(|(id, _)| *id == me).map(|(_, why)| *why);
            if let Some((_, reason)) = self.leaving.clone() {
                self.finish(reason);
            } else if matches!(why, Some(Reason::Lost | Reason::Replaced)) {
                // They couldn't hear us. Here we are.
                return self.come_back(link, now);
            } else {
                let by = self.peers.members.get(&staged.by);
                let by = by.map(|p| p.credential.name.to_string()).unwrap_or_default();
                self.finish(EndReason::Removed { by });
            }
            return Ok(());
        }
        let from = self.links.get(&link).and_then(LinkState::member);
        let change = Change::of(&staged, from == Some(staged.by));
        if staged.updated.contains(&group.me()) {
            self.wishes.done(&Wish::Update);
        }
        let split = match staged.succession {
            Some(Succession::Majority) => Some(false),
            Some(Succession::Split) => Some(true),
            Some(Succession::Renewal) | None => None,
        };
        group.merge(staged)?;
        self.offers.keep(place, bytes);
        self.enter_epoch(now, change)?;
        if let Some(split) = split {
            self.event(Event::Succession { split });
        }
        self.say_farewell_again(now)?;
        self.pursue(now)
    }

    /// A proposal by somebody who doesn't reach the sequencer goes on through us.
    pub(super) fn pass_on(&mut self, from: MemberId, bytes: &Bytes) {
        let sequencer = self.sequencer();
        let cut_off = self.peers.members.get(&from).is_some_and(|p| p.lacks(sequencer));
        if let Some(link) = sequencer.and_then(|s| self.peers.link(s)).filter(|_| cut_off) {
            self.send_control(link, &Control::Proposal(bytes.clone()));
        }
    }

    pub(super) fn take_ack(
        &mut self,
        link: LinkId,
        from: MemberId,
        ack: &Ack,
        now: Now,
    ) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let Some(theirs) = group_ack(ack) else {
            self.counters.malformed += 1;
            return Ok(());
        };
        let Ok(taken) = group.take_ack(from, &theirs) else {
            self.counters.bad_group += 1;
            return Ok(());
        };
        match taken.agreement {
            Agreement::Same => {
                self.event(Event::Acked { member: from, agrees: true });
                self.epoch_acked(from, ack.epoch);
            }
            Agreement::Differs => {
                self.event(Event::Acked { member: from, agrees: false });
                self.event(Event::Split(from));
                self.send_branch(link, now);
            }
            Agreement::OtherEpoch => {
                let ours = self.group.as_ref().map_or(0, Group::epoch);
                // Its way was shorter than the commits': looked at again after them.
                if let Some(peer) = self.peers.members.get_mut(&from).filter(|_| ack.epoch > ours) {
                    if peer.early_acks.len() >= EARLY_ACKS {
                        peer.early_acks.pop_front();
                    }
                    peer.early_acks.push_back(ack.clone());
                }
            }
        }
        match taken.equivocation {
            Some(proof) => self.equivocated(&proof, now),
            None => Ok(()),
        }
    }

    /// Members that merged before us said so already.
    pub(super) fn take_early_acks(&mut self, now: Now) -> Result<(), CallError> {
        let mut early = Vec::new();
        for (id, peer) in &mut self.peers.members {
            let Some(link) = peer.link else { continue };
            early.extend(peer.early_acks.drain(..).map(|ack| (link, *id, ack)));
        }
        early.into_iter().try_for_each(|(link, id, ack)| self.take_ack(link, id, &ack, now))
    }

    /// Fresh keys for everybody, on request.
    pub(super) fn rekey(&mut self, now: Now) -> Result<(), CallError> {
        let Some(group) = &self.group else { return Err(CallError::Gone("the call")) };
        if group.is_sequencer() {
            return self.commit_pool(now);
        }
        self.wishes.add(Wish::Update);
        self.pursue(now)
    }

    /// Sequencer: commits what was asked for and ordered.
    pub(super) fn commit_pool(&mut self, now: Now) -> Result<(), CallError> {
        if self.group.as_ref().is_some_and(Group::must_hand_over) {
            let reached = |p: &Peer| p.lost_since.is_none() && p.link.is_some();
            if self.peers.members.values().any(reached) {
                return self.hand_over(now);
            }
            // Ordered out, and nobody there to lead on.
            let by = self.host_name();
            self.finish(EndReason::Removed { by });
            return Ok(());
        }
        let Some(group) = &mut self.group else { return Ok(()) };
        let check = Checker { group_id: group.id(), now: now.wall };
        let pending = group.update(&check)?;
        self.commit(pending, now)
    }

    /// Sequencer: removes somebody as lost.
    pub(super) fn remove_lost_now(&mut self, member: MemberId, now: Now) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let check = Checker { group_id: group.id(), now: now.wall };
        if group.roster().member(member).is_none() {
            return Ok(());
        }
        let pending = group.remove_lost(&[member], &check)?;
        self.commit(pending, now)
    }

    /// Gives the role to the first in join order that can still be heard.
    fn hand_over(&mut self, now: Now) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let reached = |p: &Peer| p.lost_since.is_none() && p.link.is_some();
        let members = self.peers.members.iter();
        let lost: Vec<_> = members.filter(|(_, p)| !reached(p)).map(|(id, _)| *id).collect();
        let check = Checker { group_id: group.id(), now: now.wall };
        let pending = group.hand_over(&lost, &check)?;
        self.commit(pending, now)
    }

    /// Hands over what only we can do, then says goodbye.
    pub(super) fn say_farewell(&mut self, now: Now) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        if group.is_sequencer() {
            let reached = |p: &Peer| p.lost_since.is_none() && p.link.is_some();
            // Whoever gets the lead back has nobody to give it to: the others are leaving as well.
            if self.gave_lead_away || !self.peers.members.values().any(reached) {
                if let Some((_, reason)) = self.leaving.clone() {
                    self.finish(reason);
                }
                return Ok(());
            }
            self.gave_lead_away = true;
            self.hand_over(now)?;
        }
        let Some(group) = &mut self.group else { return Ok(()) };
        let proposal = group.propose_leave()?;
        self.broadcast(&Control::Proposal(proposal.into()));
        Ok(())
    }

    /// A commit that crossed our farewell emptied it: say it again in the new epoch.
    pub(super) fn say_farewell_again(&mut self, now: Now) -> Result<(), CallError> {
        if self.leaving.is_some() { self.say_farewell(now) } else { Ok(()) }
    }

    pub(super) fn sequencer_name(&self) -> String {
        let Some(group) = &self.group else { return "nobody".into() };
        let sequencer = group.roster().sequencer;
        self.peers
            .members
            .get(&sequencer)
            .map_or_else(|| "you".into(), |p| p.credential.name.to_string())
    }
}

pub(super) fn wire_ack(ack: crate::group::Ack) -> Ack {
    let crate::group::Ack { epoch, auth_hash, statement, signature } = ack;
    let statement = statement.map(|statement| statement.encode()).unwrap_or_default().into();
    Ack { epoch, auth_hash, signature, statement }
}

/// `None` when the statement in it doesn't parse.
fn group_ack(ack: &Ack) -> Option<crate::group::Ack> {
    let statement = match &ack.statement[..] {
        [] => None,
        bytes => Some(Statement::parse(bytes).ok()?),
    };
    let Ack { epoch, auth_hash, signature, .. } = *ack;
    Some(crate::group::Ack { epoch, auth_hash, statement, signature })
}
