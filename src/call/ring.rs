//! Calling a contact without an invite.
//!
//! The caller knocks as a joiner at the group of the contact, with a proof that both keys make
//! (`identity::contact_proof`); what authenticates is that each has the other's key pinned. Whoever
//! is there and knows the caller hears a ring. When both call each other at once, both are joiners:
//! then the one with the lower identity key turns into the host, and the other comes to it. A
//! contact who is not reached gets an invite by other means: the caller then waits as a host.

use super::handshake::{Door, Stage};
use super::*;
use crate::group::Group;
use crate::identity::{IdentityPublic, contact_id, contact_proof};
use crate::secret::Secret;

/// A ring unanswered for this long is over, on both sides.
pub(super) const RING: Duration = Duration::from_secs(60);
/// The caller hears "unanswered" from the other side first.
pub(super) const RING_PATIENCE: Duration = Duration::from_secs(65);
/// Who was told "I am calling you too" looks again after this time, if no ring came.
const AGAIN: Duration = Duration::from_secs(2);

/// The way to a contact.
pub(super) struct Ring {
    pub(super) them: IdentityPublic,
    pub(super) me: IdentityPublic,
    pub(super) addresses: Vec<SocketAddr>,
}

impl Ring {
    pub(super) fn id(&self) -> [u8; 8] {
        contact_id(&self.me, &self.them)
    }

    pub(super) fn k_proof(&self) -> Secret<32> {
        contact_proof(&self.me, &self.them)
    }
}

/// Whom this participant calls, until the call stands or it waits as a host.
pub(super) struct Calling {
    them: IdentityPublic,
    addresses: Vec<SocketAddr>,
    /// Not reached by then: not reached.
    until: Instant,
    /// Something to do at this moment.
    at: Option<Instant>,
    /// What every address said.
    failures: Option<Vec<(SocketAddr, DialFailure)>>,
    /// Drawn beforehand: turning into a host happens where no randomness is at hand.
    invite: Option<Secret<16>>,
}

impl Call {
    /// Prepares to call a contact at `addresses`, best first; the first [`Call::poll`]s say whom
    /// to dial.
    pub fn ring(
        config: CallConfig,
        identity: Arc<IdentityKey>,
        them: IdentityPublic,
        addresses: Vec<SocketAddr>,
        now: Now,
        rng: &mut dyn CryptoRng,
    ) -> Self {
        let mut call = Self::bare(config, identity, PhaseState::Waiting, now, rng);
        call.contacts.answers = true;
        call.calling = Some(Calling {
            them,
            addresses,
            until: now.mono + RING,
            at: None,
            failures: None,
            invite: Some(Secret::build(|bytes| rng.fill_bytes(bytes))),
        });
        call.dial_contact(now);
        call
    }

    /// Waits for rings of contacts; there is no invite.
    pub fn listen(
        config: CallConfig,
        identity: Arc<IdentityKey>,
        now: Now,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, CallError> {
        let mut call = Self::bare(config, identity, PhaseState::Waiting, now, rng);
        call.contacts.answers = true;
        let mut group_id = [0; 16];
        rng.fill_bytes(&mut group_id);
        call.found(group_id, now)?;
        Ok(call)
    }

    /// Says whether contacts may ring here without an invite.
    pub fn answer_contacts(&mut self, yes: bool) {
        self.contacts.answers = yes;
    }

    /// Makes the group, with this participant alone in it.
    pub(super) fn found(&mut self, group_id: [u8; 16], now: Now) -> Result<(), CallError> {
        let local = self.local_member(group_id, now)?;
        self.group = Some(Group::create(local, group_id, &self.check(group_id, now))?);
        self.enter_epoch(now, Change::default())
    }

    /// Dials the contact's addresses, if there are any.
    pub(super) fn dial_contact(&mut self, now: Now) {
        let me = self.identity.public();
        let Some(calling) = &mut self.calling else { return };
        calling.at = None;
        if calling.addresses.is_empty() {
            calling.failures = Some(Vec::new());
            calling.at = Some(now.mono);
        }
        let ring = Ring { them: calling.them, me, addresses: calling.addresses.clone() };
        self.begin_joining(Door::Contact(ring));
    }

    /// Whether this participant itself calls them: then their ring needs no answer.
    pub(super) fn calls(&self, them: &IdentityPublic) -> bool {
        self.calling.as_ref().is_some_and(|c| c.them == *them)
    }

    pub(super) fn ring_wake_at(&self) -> Option<Instant> {
        self.calling.as_ref().and_then(|c| c.at)
    }

    /// None of the contact's addresses led to them.
    pub(super) fn contact_not_reached(&mut self, failures: Vec<(SocketAddr, DialFailure)>) {
        // A moment that has passed: the next tick sees to it, with the time at hand.
        let soon = self.next_heartbeat - HEARTBEAT;
        if let Some(calling) = &mut self.calling {
            // They may be about to call us: the connection was closed for that.
            if calling.at.is_none() {
                calling.failures = Some(failures);
                calling.at = Some(soon);
            }
        }
    }

    /// They said that they are calling us too: their ring should be here in a moment.
    pub(super) fn called_too(&mut self, now: Now) {
        if let Some(calling) = &mut self.calling {
            calling.at = Some(now.mono + AGAIN);
        }
    }

    pub(super) fn ring_tick(&mut self, now: Now) -> Result<(), CallError> {
        let Some(calling) = &mut self.calling else { return Ok(()) };
        if calling.at.is_none_or(|at| at > now.mono) {
            return Ok(());
        }
        calling.at = None;
        if self.group.is_some() {
            return Ok(());
        }
        let failures = calling.failures.take();
        if failures.is_none() && calling.until > now.mono {
            if self.on_the_way() {
                return Ok(());
            }
            self.dial_contact(now);
            return Ok(());
        }
        self.event(Event::NotReached { tried: failures.unwrap_or_default() });
        self.become_host(now)
    }

    /// From a caller to a host, with an invite of its own.
    fn become_host(&mut self, now: Now) -> Result<(), CallError> {
        let Some(secret) = self.calling.as_mut().and_then(|c| c.invite.take()) else {
            return Ok(());
        };
        let links: Vec<_> =
            self.links.iter().filter(|(_, l)| to_host(l)).map(|(id, _)| *id).collect();
        for link in links {
            self.close_link(link, close::DUPLICATE);
        }
        self.phase = PhaseState::Waiting;
        let group_id = self.invite_with(secret, self.config.addresses.clone(), now);
        self.found(group_id, now)
    }

    /// Some connection may still lead to the contact.
    fn on_the_way(&self) -> bool {
        self.links.values().any(to_host)
    }

    /// A contact rings while this participant has no group. Whether it has one now.
    pub(super) fn rung_while_calling(
        &mut self,
        link: LinkId,
        them: &IdentityPublic,
        now: Now,
    ) -> Result<bool, CallError> {
        if !self.calls(them) {
            // On the way to somebody else.
            self.close_link(link, close::DECLINED);
            return Ok(false);
        }
        if self.identity.public() > *them && self.on_the_way() {
            // Both call each other: the lower key stays host, and we are on the way there.
            self.close_link(link, close::DUPLICATE);
            return Ok(false);
        }
        self.become_host(now)?;
        Ok(self.group.is_some())
    }
}

/// A connection on which we are the ones who want something.
fn to_host(link: &handshake::LinkState) -> bool {
    matches!(link.stage, Stage::DiallingHost(_) | Stage::KnockSent | Stage::ProofSent)
}
