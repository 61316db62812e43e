//! Decisions: removing somebody for good, locking, naming who may let people in.
//!
//! A decision is an order signed with an identity key. It goes to everybody at once and into the
//! sequencer's next commit; who holds it holds it in every epoch and branch. From the moment a
//! member knows of a removal it seals nothing more that the removed one could read.

use super::*;
use crate::group::{OrderError, OrderKind, OrderTaken};
use crate::identity::IdentityPublic;
use crate::wire::control::Control;

impl Call {
    /// Signs a decision, takes it in, tells everybody.
    pub(super) fn decide(&mut self, kind: OrderKind, now: Now) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Err(CallError::Gone("the call")) };
        let order = group.draft_order(kind)?;
        let fields = order.fields();
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        let signature = self.identity.sign(crate::group::Order::PURPOSE, &fields);
        let signed = order.signed(self.identity.public().0, signature);
        match group.take_order(&signed) {
            Ok(OrderTaken::Known) => return Ok(()),
            Ok(OrderTaken::Waiting(kind)) => self.order_taken(&kind, now)?,
            Err(OrderError::NotHost) => return Err(CallError::NotHost),
            Err(error) => return Err(error.into()),
        }
        if self.order_due() {
            // The commit tells everybody; whoever gets the order before it stops for longer.
            return self.pursue(now);
        }
        self.broadcast(&Control::Order(signed.into()));
        Ok(())
    }

    /// Somebody's signed decision.
    pub(super) fn take_order(
        &mut self,
        from: Option<MemberId>,
        bytes: &[u8],
        now: Now,
    ) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        match group.take_order(bytes) {
            Ok(OrderTaken::Known) => Ok(()),
            Ok(OrderTaken::Waiting(kind)) => {
                self.order_taken(&kind, now)?;
                if self.ended {
                    return Ok(());
                }
                // Known to one honest member is known to all.
                let links: Vec<_> = self.peers.connected().filter(|l| Some(l.0) != from).collect();
                for (_, link) in links {
                    self.send_control(link, &Control::Order(bytes.to_vec().into()));
                }
                self.pursue(now)
            }
            Err(error) => {
                self.counters.bad_group += 1;
                if let Some(from) = from {
                    self.event(Event::BadGroupMessage { from, why: error.to_string() });
                }
                Ok(())
            }
        }
    }

    /// What an order means from now on, before any commit carries it out.
    fn order_taken(&mut self, kind: &OrderKind, now: Now) -> Result<(), CallError> {
        let Some(group) = &self.group else { return Ok(()) };
        let (me, sequencer) = (group.me(), group.is_sequencer());
        let out_of_us = group.is_ordered_out(me);
        if !sequencer {
            self.ballot.waiting.get_or_insert(now.mono);
        }
        if let OrderKind::Remove(who) = kind {
            self.note_removals();
            self.bar(&IdentityPublic(*who), now);
        }
        if out_of_us && !sequencer {
            let by = self.host_name();
            self.finish(EndReason::Removed { by });
        }
        Ok(())
    }

    /// Looks anew whether somebody in this epoch is ordered out of it.
    pub(super) fn note_removals(&mut self) {
        let Some(group) = &self.group else { return };
        let ids = group.state().order.iter().map(|seat| seat.id);
        self.removal_known = ids.into_iter().any(|id| group.is_ordered_out(id));
        if self.removal_known {
            self.epochs.close();
        }
    }

    /// Somebody is to be removed, and isn't yet.
    pub(super) fn removal_pending(&self) -> bool {
        self.removal_known
    }

    /// Does an order wait for a commit of ours?
    pub(super) fn order_due(&self) -> bool {
        self.group.as_ref().is_some_and(|g| g.is_sequencer() && !g.orders_waiting().is_empty())
    }

    /// All orders we hold, to somebody who may not know them.
    pub(super) fn send_orders(&mut self, link: LinkId) {
        let Some(group) = &self.group else { return };
        for order in group.orders_held().into_iter().take(16) {
            self.send_control(link, &Control::Order(order.into()));
        }
    }

    pub(super) fn remove(&mut self, member: MemberId, now: Now) -> Result<(), CallError> {
        let Some(group) = &self.group else { return Err(CallError::Gone("the call")) };
        let identity = group.roster().member(member).map(|row| row.identity);
        let identity = identity.ok_or(CallError::Gone("that member"))?;
        self.decide(OrderKind::Remove(identity), now)
    }

    /// From now on only who is or was here may come (back).
    pub(super) fn lock(&mut self, now: Now) -> Result<(), CallError> {
        let Some(group) = &self.group else { return Err(CallError::Gone("the call")) };
        let here = group.roster().members.into_iter().map(|row| row.identity);
        let away = self.former.waiting_for().map(|identity| identity.0);
        let list = here.chain(away).collect();
        self.decide(OrderKind::Lock(list), now)
    }

    pub(super) fn unlock(&mut self, now: Now) -> Result<(), CallError> {
        self.decide(OrderKind::Unlock, now)
    }

    pub(super) fn readmit(&mut self, who: IdentityPublic, now: Now) -> Result<(), CallError> {
        self.decide(OrderKind::Readmit(who.0), now)
    }

    /// Names a member who may let people in, or takes that back.
    pub(super) fn admitter(
        &mut self,
        member: MemberId,
        may: bool,
        now: Now,
    ) -> Result<(), CallError> {
        let Some(group) = &self.group else { return Err(CallError::Gone("the call")) };
        let identity = group.roster().member(member).map(|row| row.identity);
        let identity = identity.ok_or(CallError::Gone("that member"))?;
        let mut list = group.state().admitters.clone();
        if may {
            list.insert(identity);
        } else {
            list.remove(&identity);
        }
        self.decide(OrderKind::Admitters(list), now)
    }

    /// Nobody comes in with this invite any more (number as listed, from 1).
    pub(super) fn void_invite(&mut self, number: usize, now: Now) -> Result<(), CallError> {
        let index = number.checked_sub(1).filter(|i| *i < self.invites.len());
        let index = index.ok_or(CallError::Gone("that invite"))?;
        let open = self.invites.remove(index);
        self.decide(OrderKind::VoidInvite(open.invite.id()), now)
    }

    /// The founder may decide, and without the founder whoever orders the group's changes.
    pub(super) fn may_decide(&self) -> bool {
        let Some(group) = &self.group else { return false };
        let (mine, host) = (self.identity.public().0, group.state().host);
        let founder_here = group.roster().members.iter().any(|row| row.identity == host);
        mine == host || (!founder_here && group.is_sequencer())
    }

    pub(super) fn host_name(&self) -> String {
        let Some(group) = &self.group else { return String::new() };
        let host = group.state().host;
        let members = self.peers.members.values();
        let mut host = members.filter(|p| p.credential.identity.0 == host);
        host.next().map_or_else(|| self.sequencer_name(), |p| p.credential.name.to_string())
    }
}
