//! The group's changes on their way through the mesh: commits, proposals, acknowledgements; new
//! keys, removals, handing over and leaving.

use super::membership::{CREDENTIAL_LIFE, HEALING, KEEP_BUNDLES};
use super::*;
use crate::group::{
    Agreement, CheckedCredential, CredentialCheck, CredentialRefused, LocalMember, Order,
    OrderKind, Pending, Reason, ReceiveError, Received, Statement,
};
use crate::identity::Credential;
use crate::wire::control::{Ack, Control};
use bytes::Bytes;

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
pub(super) struct Change {
    pub(super) by: MemberId,
    pub(super) added: bool,
    pub(super) removed: Vec<(MemberId, Reason)>,
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
    pub(super) fn commit(&mut self, pending: Pending, now: Now) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let before = group.epoch();
        let bundle = Bytes::from(pending.bundle.clone());
        for violation in &pending.dropped {
            self.counters.bad_group += 1;
            let from = violation.by;
            self.out.push_back(Output::Event(Event::BadGroupMessage {
                from,
                why: violation.to_string(),
            }));
        }
        let change = Change {
            by: group.me(),
            added: pending.added.is_some(),
            removed: pending.removed.clone(),
        };
        group.merge_pending(pending)?;
        self.broadcast(&Control::Bundle(bundle.clone()));
        self.remember_bundle(before, bundle);
        self.enter_epoch(now, Some(change))
    }

    pub(super) fn remember_bundle(&mut self, epoch: u64, bundle: Bytes) {
        self.peers.bundles.push_back((epoch, bundle));
        while self.peers.bundles.len() > KEEP_BUNDLES {
            self.peers.bundles.pop_front();
        }
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
        from: MemberId,
        bytes: Bytes,
        now: Now,
    ) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let check = Checker { group_id: group.id(), now: now.wall };
        let before = group.epoch();
        match group.receive(&bytes, &check) {
            Ok(Received::Duplicate) => Ok(()),
            Ok(Received::Proposal { .. }) => {
                if group.is_sequencer() {
                    // A commit takes everything along that was proposed.
                    let pending = group.update(&check)?;
                    return self.commit(pending, now);
                }
                Ok(())
            }
            Ok(Received::Commit(staged)) => {
                if staged.evicts_me {
                    let by = self.peers.members.get(&staged.by);
                    let by = by.map(|p| p.credential.name.to_string()).unwrap_or_default();
                    let reason = match &self.leaving {
                        Some((_, reason)) => reason.clone(),
                        None => EndReason::Removed { by },
                    };
                    self.finish(reason);
                    return Ok(());
                }
                let change = Change {
                    by: staged.by,
                    added: staged.added.is_some(),
                    removed: staged.removed.clone(),
                };
                group.merge(*staged)?;
                self.remember_bundle(before, bytes);
                self.enter_epoch(now, Some(change))?;
                self.say_farewell_again(now)
            }
            // A commit or proposal that crossed another on the way: the next epoch settles it.
            Err(ReceiveError::Stale(_)) => Ok(()),
            Err(error) => {
                self.counters.bad_group += 1;
                self.event(Event::BadGroupMessage { from, why: error.to_string() });
                Ok(())
            }
        }
    }

    pub(super) fn take_ack(&mut self, from: MemberId, ack: &Ack) {
        let Some(group) = &mut self.group else { return };
        let taken = group_ack(ack).map(|ack| group.take_ack(from, &ack));
        match taken.and_then(Result::ok).map(|taken| taken.agreement) {
            Some(Agreement::Same) => {
                self.event(Event::Acked { member: from, agrees: true });
                self.epoch_acked(from, ack.epoch);
            }
            Some(Agreement::Differs) => {
                self.event(Event::Acked { member: from, agrees: false });
                self.event(Event::Split(from));
            }
            Some(Agreement::OtherEpoch) => {}
            None => self.counters.bad_group += 1,
        }
    }

    /// A member behind us gets the commits it missed.
    pub(super) fn help_laggard(&mut self, link: LinkId, theirs: u64) {
        let Some(group) = &self.group else { return };
        if theirs >= group.epoch() {
            return;
        }
        let missed: Vec<_> = self
            .peers
            .bundles
            .iter()
            .filter(|(epoch, _)| *epoch >= theirs)
            .map(|(_, b)| b.clone())
            .collect();
        for bundle in missed {
            self.send_control(link, &Control::Bundle(bundle));
        }
    }

    /// Fresh keys for everybody, on request.
    pub(super) fn rekey(&mut self, now: Now) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Err(CallError::Gone("the call")) };
        if group.is_sequencer() {
            let pending = group.update(&Checker { group_id: group.id(), now: now.wall })?;
            self.commit(pending, now)
        } else {
            let proposal = group.propose_update()?;
            self.broadcast(&Control::Proposal(proposal.into()));
            Ok(())
        }
    }

    /// Fresh keys for everybody, in time.
    pub(super) fn heal_if_due(&mut self, now: Now) -> Result<(), CallError> {
        if self.next_healing > now.mono {
            return Ok(());
        }
        self.next_healing = now.mono + HEALING;
        let sequencer = self.group.as_ref().is_some_and(Group::is_sequencer);
        if sequencer && !self.peers.members.is_empty() { self.rekey(now) } else { Ok(()) }
    }

    /// By decision: an order, signed by this participant's identity, that the next commit carries.
    pub(super) fn remove(&mut self, member: MemberId, now: Now) -> Result<(), CallError> {
        let who = self.sequencer_name();
        let Some(group) = &mut self.group else { return Err(CallError::Gone("the call")) };
        if !group.is_sequencer() {
            return Err(CallError::NotSequencer(who));
        }
        let roster = group.roster();
        let row = roster.member(member).ok_or(CallError::Gone("that member"))?;
        let order = group.draft_order(OrderKind::Remove(row.identity))?;
        let [id, serial, body] = order.fields();
        let signature = self.identity.sign(Order::PURPOSE, &[&id, &serial, &body]);
        group.take_order(&order.signed(self.identity.public().0, signature))?;
        let pending = group.update(&Checker { group_id: group.id(), now: now.wall })?;
        self.commit(pending, now)
    }

    pub(super) fn remove_lost(&mut self, member: MemberId, now: Now) -> Result<(), CallError> {
        let who = self.sequencer_name();
        let Some(group) = &mut self.group else { return Err(CallError::Gone("the call")) };
        let check = Checker { group_id: group.id(), now: now.wall };
        if !group.is_sequencer() {
            return Err(CallError::NotSequencer(who));
        }
        if !group.roster().members.iter().any(|m| m.id == member) {
            return Err(CallError::Gone("that member"));
        }
        let pending = group.remove_lost(&[member], &check)?;
        self.commit(pending, now)
    }

    /// Hands over what only we can do, then says goodbye.
    pub(super) fn say_farewell(&mut self, now: Now) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        if group.is_sequencer() {
            let reached = |id: MemberId| {
                self.peers
                    .members
                    .get(&id)
                    .is_some_and(|p| p.lost_since.is_none() && p.link.is_some())
            };
            let lost: Vec<_> =
                self.peers.members.keys().copied().filter(|id| !reached(*id)).collect();
            if self.peers.members.len() == lost.len() {
                if let Some((_, reason)) = self.leaving.clone() {
                    self.finish(reason);
                }
                return Ok(());
            }
            // The first in join order that can still be heard takes over.
            let check = Checker { group_id: group.id(), now: now.wall };
            let pending = group.hand_over(&lost, &check)?;
            self.commit(pending, now)?;
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
    let commit_hash = ack.commit_hash();
    let crate::group::Ack { epoch, auth_hash, statement, signature } = ack;
    let statement = statement.map(|statement| statement.encode()).unwrap_or_default().into();
    Ack { epoch, commit_hash, auth_hash, signature, statement }
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
