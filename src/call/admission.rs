//! The door: invites that are open, knocks that wait, letting in and turning away.

use super::changes::Checker;
use super::handshake::Stage;
use super::ring::RING;
use super::wishes::Wish;
use super::*;
use crate::group::{InvitePsk, MAX_MEMBERS, RosterRow};
use crate::identity::Credential;
use crate::invite::Invite;
use crate::secret::Secret;
use crate::time::Wall;
use std::collections::BTreeSet;

/// At most this many knocks wait at once; a further one is turned away.
pub const MAX_KNOCKS: usize = 8;

/// Somebody who proved who they are and waits for a decision.
pub(super) struct Knocking {
    pub(super) link: LinkId,
    pub(super) invite: [u8; 8],
    pub(super) entry: Entry,
    pub(super) credential: Credential,
    pub(super) key_package: Vec<u8>,
    pub(super) since: Instant,
    pub(super) deadline: Instant,
    /// Let in; the group's change is under way.
    pub(super) decided: bool,
    /// The change was made, by somebody else; the Welcome is under way.
    pub(super) seated: bool,
}

/// What somebody knocks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// An invite.
    Invite,
    /// A contact without an invite.
    Ring,
    /// A member of a branch that gave way.
    Introduced,
}

impl Entry {
    /// There is no secret of an invite, and nothing is used up.
    fn is_free(self) -> bool {
        self != Self::Invite
    }
}

/// From the decision to the Welcome, or from the change to it when somebody else makes that, at most.
pub(super) const DECIDED: Duration = Duration::from_secs(15);

impl Call {
    /// Makes a further invite, the first one also the group's id; returns that id.
    pub(super) fn new_invite(
        &mut self,
        addresses: Vec<SocketAddr>,
        now: Now,
        rng: &mut dyn CryptoRng,
    ) -> [u8; 16] {
        let secret = Secret::build(|bytes| rng.fill_bytes(bytes));
        self.invite_with(secret, addresses, now)
    }

    /// The same with a secret drawn before.
    pub(super) fn invite_with(
        &mut self,
        secret: Secret<16>,
        addresses: Vec<SocketAddr>,
        now: Now,
    ) -> [u8; 16] {
        let life = u64::try_from(self.config.invite_life.as_millis()).unwrap_or(u64::MAX / 2);
        let expires = Wall(now.wall.0.saturating_add(life));
        let uses = self.config.invite_uses;
        let mut invite = Invite::new(self.identity.public(), secret, expires, uses, addresses);
        if let Some(group) = &self.group {
            invite = invite.for_group(group.id());
        }
        let text = invite.to_text();
        let group_id = invite.group_id();
        self.invites.retain(|i| i.expires >= now.wall && i.left > 0);
        self.invites.push(OpenInvite {
            text: text.clone(),
            left: uses,
            used_by: None,
            expires,
            invite,
        });
        self.event(Event::Invite { text });
        group_id
    }

    /// Takes a proven knock: decides by the settings or asks the user.
    pub(super) fn knock(
        &mut self,
        link: LinkId,
        invite: [u8; 8],
        credential: Credential,
        key_package: Vec<u8>,
        now: Now,
    ) -> Result<(), CallError> {
        let identity = credential.identity;
        let fingerprint = Fingerprint::of(&identity);
        let id = KnockId(self.next_knock);
        self.next_knock += 1;
        let introduced = invite == introduce::NO_INVITE;
        if let Some(state) = self.links.get_mut(&link).filter(|_| !introduced) {
            state.settle(Stage::Knocking(id));
        }
        // They have proved an invite and a key: their connection may wait for the decision.
        self.out.push_back(Output::Authenticated(link));
        let full = self.knocks.len() >= MAX_KNOCKS;
        let name = credential.name.to_string();
        let ring = !introduced && self.contacts.at_door(&invite).is_some();
        let life = if ring { RING } else { self.config.knock_life };
        let deadline = now.mono + life;
        let since = now.mono;
        self.contacts.look_at(&identity, &credential.name);
        let knocking = Knocking {
            link,
            invite,
            entry: match (introduced, ring) {
                (true, _) => Entry::Introduced,
                (false, true) => Entry::Ring,
                (false, false) => Entry::Invite,
            },
            credential,
            key_package,
            since,
            deadline,
            decided: false,
            seated: false,
        };
        self.knocks.insert(id, knocking);
        self.event(Event::Knock { id, fingerprint, name: name.clone(), ring, introduced });
        let expected = self.config.expect.is_none_or(|wanted| wanted.matches(&identity));
        // A contact's name with another key is never let in on the strength of an invite alone.
        let named = self.is_named(&identity);
        let known = self.contacts.changed(&identity).filter(|_| !named).cloned();
        let changed = known.is_some();
        if let Some(known) = known {
            self.event(Event::Doubt { identity, name, known });
        }
        // Only contacts ring, and only where contacts may – or who was in this call, to come back.
        let uncalled = ring && !self.contacts.answers && !self.comes_back(&identity);
        let welcome = match &self.config.admit {
            // Each calls the other: both have said yes.
            _ if ring && self.calls(&identity) => Some(true),
            Admit::Any => Some(true),
            Admit::Only(wanted) => Some(wanted.iter().any(|w| w.matches(&identity))),
            // Nobody new; who is back was let in before.
            Admit::Nobody => Some(ring && self.comes_back(&identity)),
            Admit::Ask => None,
        };
        match welcome {
            _ if full || !expected || uncalled || (changed && !self.contacts.asks) => {
                self.decline(id);
                Ok(())
            }
            Some(true) if changed => Ok(()),
            Some(true) => self.admit(id, now),
            Some(false) => {
                self.decline(id);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A member, or one that was only lost: with a new program, and without an invite.
    fn comes_back(&self, identity: &crate::identity::IdentityPublic) -> bool {
        let barred = |group: &crate::group::Group| group.state().is_barred(&identity.0);
        self.may_come_back(identity) && !self.group.as_ref().is_some_and(barred)
    }

    /// Lets somebody in: an Add by us or, asked by us, by the sequencer; the Welcome goes out on
    /// the knock's connection when that is done.
    pub(super) fn admit(&mut self, id: KnockId, now: Now) -> Result<(), CallError> {
        let Some(knocking) = self.knocks.get_mut(&id).filter(|k| !k.decided) else {
            return Err(CallError::Gone("the knock"));
        };
        self.contacts.believe(&knocking.credential.identity);
        let (invite, free) = (knocking.invite, knocking.entry.is_free());
        let open = self.invites.iter_mut().find(|i| i.invite.id() == invite && i.left > 0);
        if open.is_none() && !free {
            // Admitted twice with a one-use invite: the second comes too late.
            if let Some(knocking) = self.knocks.remove(&id) {
                self.tell_used(knocking.link, &knocking.invite, now);
            }
            self.event(Event::KnockGone { id, end: KnockEnd::Declined });
            return Ok(());
        }
        if let Some(open) = open {
            open.left -= 1;
            open.used_by = Some(Fingerprint::of(&knocking.credential.identity));
        }
        knocking.decided = true;
        knocking.deadline = now.mono + DECIDED;
        self.wishes.add(Wish::Admit(id));
        self.pursue(now)
    }

    /// Sequencer: the Add itself.
    pub(super) fn admit_now(&mut self, id: KnockId, now: Now) -> Result<(), CallError> {
        let Some(knocking) = self.knocks.get(&id) else { return Ok(()) };
        let Ok(psk) = self.psk_of(knocking) else {
            self.turn_away(id);
            return Ok(());
        };
        let psk = psk.as_ref().map(|secret| InvitePsk { invite: knocking.invite, secret });
        let Some(group) = &mut self.group else { return Err(CallError::Gone("the call")) };
        let check = Checker { group_id: group.id(), now: now.wall };
        match group.add(&knocking.key_package, psk, &check) {
            Ok(pending) => self.commit(pending, now),
            Err(error) => {
                self.turn_away(id);
                Err(error.into())
            }
        }
    }

    /// The secret of the invite they came with; a contact came without one.
    pub(super) fn psk_of(&self, knocking: &Knocking) -> Result<Option<Secret<32>>, CallError> {
        if knocking.entry.is_free() {
            return Ok(None);
        }
        let open = self.invites.iter().find(|i| i.invite.id() == knocking.invite);
        open.map(|open| Some(open.invite.psk())).ok_or(CallError::Gone("that invite"))
    }

    /// The group refused: locked, full, barred, or not ours to let in.
    pub(super) fn turn_away(&mut self, id: KnockId) {
        let Some(knocking) = self.knocks.remove(&id) else { return };
        let full = self.group.as_ref().is_some_and(|group| {
            let state = group.state();
            let identity = knocking.credential.identity.0;
            state.order.len() >= MAX_MEMBERS
                || !state.lock_admits(&identity)
                || state.is_barred(&identity)
        });
        self.not_let_in(&knocking);
        self.close_link(knocking.link, if full { close::LOCKED } else { close::REFUSED });
        self.give_back(&knocking);
        self.event(Event::KnockGone { id, end: KnockEnd::Declined });
    }

    /// They were let in and the group did not take them: their invite was not used.
    fn give_back(&mut self, knocking: &Knocking) {
        let ours = |open: &&mut OpenInvite| open.invite.id() == knocking.invite;
        if let Some(open) = self.invites.iter_mut().find(ours).filter(|_| !knocking.entry.is_free())
        {
            open.left = open.left.saturating_add(1);
        }
    }

    /// A new epoch may be what we asked for, by somebody else's commit: the key package is used up,
    /// and whoever knocked gets a Welcome or has to knock again.
    pub(super) fn look_at_seats(&mut self, rows: &[RosterRow], by_welcome: bool, now: Now) {
        let Some(group) = &self.group else { return };
        let new = |row: &&RosterRow| by_welcome || row.since_epoch == group.epoch();
        let seats: BTreeSet<_> = rows.iter().filter(new).map(|row| row.leaf_key).collect();
        let mut let_in = Vec::new();
        for (id, knock) in self.knocks.iter_mut().filter(|(_, knock)| knock.decided) {
            let used = group.has_used(&knock.key_package);
            if knock.entry == Entry::Introduced {
                // Through whichever door.
                let_in.extend((used || seats.contains(&knock.credential.leaf_key)).then_some(*id));
            } else if used && !std::mem::replace(&mut knock.seated, true) {
                knock.deadline = now.mono + DECIDED;
                self.wishes.done(&Wish::Admit(*id));
            }
        }
        let_in.into_iter().for_each(|id| self.admitted(id));
    }

    /// The Welcome is on its way to them.
    pub(super) fn admitted(&mut self, id: KnockId) {
        self.wishes.done(&Wish::Admit(id));
        if self.knocks.remove(&id).is_some() {
            self.event(Event::KnockGone { id, end: KnockEnd::Admitted });
        }
    }

    pub(super) fn decline(&mut self, id: KnockId) {
        if let Some(knocking) = self.knocks.remove(&id) {
            self.not_let_in(&knocking);
            self.close_link(knocking.link, close::DECLINED);
            self.event(Event::KnockGone { id, end: KnockEnd::Declined });
        }
    }

    /// Whoever was introduced and not let in is not expected any more.
    fn not_let_in(&mut self, knocking: &Knocking) {
        if knocking.entry == Entry::Introduced {
            self.former.turn_away(knocking.credential.leaf_key);
        }
    }

    pub(super) fn knock_withdrawn(&mut self, id: KnockId) {
        self.wishes.done(&Wish::Admit(id));
        if self.knocks.remove(&id).is_some() {
            self.event(Event::KnockGone { id, end: KnockEnd::Withdrawn });
        }
    }

    pub(super) fn expire_knocks(&mut self, now: Now) {
        let late: Vec<_> =
            self.knocks.iter().filter(|(_, k)| k.deadline <= now.mono).map(|(id, _)| *id).collect();
        for id in late {
            self.wishes.done(&Wish::Admit(id));
            let decided = self.knocks.get(&id).filter(|knocking| knocking.decided);
            match decided.map(|knocking| knocking.entry) {
                // The group didn't get to it; with a new key package it may. Whoever is on the way
                // from another branch asks anew unbidden.
                Some(Entry::Introduced) => self.knock_withdrawn(id),
                _ => self.unanswered(id),
            }
        }
    }

    fn unanswered(&mut self, id: KnockId) {
        let Some(knocking) = self.knocks.remove(&id) else { return };
        self.not_let_in(&knocking);
        let nobody = knocking.decided || knocking.entry == Entry::Ring;
        self.close_link(knocking.link, if nobody { close::UNANSWERED } else { close::DECLINED });
        if knocking.decided {
            self.give_back(&knocking);
        }
        self.event(Event::KnockGone { id, end: KnockEnd::Unanswered });
    }
}
