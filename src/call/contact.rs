//! People this participant's user knows: whom a newcomer looks like, and the question that blocks
//! when somebody has a contact's name and another key.
//!
//! A name is a claim. Whoever claims a contact's name with another key is either that contact with
//! a new device or somebody who wants to be taken for it, and only the user can tell. Until the
//! user has, nothing is sent to them and nothing of them is shown.

use super::*;
use crate::identity::{Credential, DisplayName, IdentityPublic, contact_id};
use std::collections::BTreeSet;

/// The contact whose name somebody with another key claims, or one that looks the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namesake {
    /// What the user calls that contact.
    pub name: String,
    /// That contact's key.
    pub fingerprint: Fingerprint,
    /// "met 2026-11-03, not verified" or "verified 2026-11-03, call words".
    pub note: String,
    /// The very same name, capital letters aside; else one that only looks like it.
    pub same_name: bool,
}

/// Somebody with a contact's name and another key, about whom the user has not decided.
#[derive(Clone, Debug)]
pub struct DoubtView {
    /// Their key: proven.
    pub identity: IdentityPublic,
    /// The same, in short.
    pub fingerprint: Fingerprint,
    /// The name they claim.
    pub name: String,
    /// The contact of that name.
    pub known: Namesake,
    /// Already in the call (let in by somebody else); else the host we are about to join.
    pub member: Option<MemberId>,
}

/// The contacts, prepared for looking people up, and what the user decided in this call.
pub(super) struct Contacts {
    known: Vec<Prepared>,
    /// Contacts by the number they knock with when they have no invite.
    doors: BTreeMap<[u8; 8], IdentityPublic>,
    /// Contacts may ring.
    pub(super) answers: bool,
    /// The same for members of this call: whoever crashed comes back without an invite.
    met: BTreeMap<[u8; 8], IdentityPublic>,
    /// By key: looked at once, shown often.
    seen: BTreeMap<[u8; 32], Option<Namesake>>,
    /// Keys the user has said yes to in this call.
    believed: BTreeSet<[u8; 32]>,
    /// Keys the user has said no to.
    disbelieved: BTreeSet<[u8; 32]>,
    /// Somebody can be asked: there is a screen.
    pub(super) asks: bool,
    /// Members no media goes to or comes from.
    held: BTreeSet<MemberId>,
}

struct Prepared {
    known: Known,
    names: Vec<String>,
    skeletons: Vec<String>,
}

/// People met in one call who may ring: more than ever sit in it.
const MOST_MET: usize = 64;
/// Entries of `seen` before it starts anew; a call has 16 members, the rest are knocks.
const MOST_SEEN: usize = 256;

impl Contacts {
    pub(super) fn new(config: &CallConfig, me: &IdentityPublic) -> Self {
        let door = |known: &Known| (contact_id(me, &known.identity), known.identity);
        let known = config.known.iter().map(|known| {
            let names: Vec<_> = known.petname.iter().chain(&known.names).collect();
            let skeleton = |n: &&String| DisplayName::sanitise(n).skeleton();
            Prepared {
                names: names.iter().map(|n| n.to_lowercase()).collect(),
                skeletons: names.iter().map(skeleton).collect(),
                known: known.clone(),
            }
        });
        Self {
            known: known.collect(),
            doors: config.known.iter().map(door).collect(),
            answers: false,
            met: BTreeMap::new(),
            seen: BTreeMap::new(),
            believed: BTreeSet::new(),
            disbelieved: BTreeSet::new(),
            asks: false,
            held: BTreeSet::new(),
        }
    }

    pub(super) fn of(&self, identity: &IdentityPublic) -> Option<&Known> {
        self.known.iter().map(|p| &p.known).find(|k| k.identity == *identity)
    }

    /// The contact who knocks with this number, if contacts may; or who was in this call.
    pub(super) fn at_door(&self, id: &[u8; 8]) -> Option<IdentityPublic> {
        let contact = self.doors.get(id).filter(|_| self.answers);
        contact.or_else(|| self.met.get(id)).copied()
    }

    /// Whom this name belongs to, if not to this key.
    pub(super) fn look_at(&mut self, identity: &IdentityPublic, name: &DisplayName) {
        if self.seen.len() >= MOST_SEEN {
            self.seen.clear();
        }
        let found = self.namesake(identity, name);
        self.seen.insert(identity.0, found);
    }

    fn namesake(&self, identity: &IdentityPublic, name: &DisplayName) -> Option<Namesake> {
        let (lower, skeleton) = (name.as_str().to_lowercase(), name.skeleton());
        let own = self.known.iter().find(|p| p.known.identity == *identity);
        if own.is_some_and(|p| p.names.contains(&lower)) {
            // A contact under a name it has had before, even if another one has it too.
            return None;
        }
        let others = || self.known.iter().filter(|p| p.known.identity != *identity);
        let same = others().find(|p| p.names.contains(&lower));
        let alike = || others().find(|p| p.skeletons.contains(&skeleton));
        let found = same.or_else(alike)?;
        let called = found.known.petname.as_ref().or(found.known.names.last());
        Some(Namesake {
            name: called.cloned().unwrap_or_default(),
            fingerprint: Fingerprint::of(&found.known.identity),
            note: found.known.note.clone(),
            same_name: same.is_some(),
        })
    }

    /// The contact this key's owner could be taken for. Of the same name: `None` once the user has
    /// said yes; the warning about a look-alike stays.
    pub(super) fn looks_like(&self, identity: &IdentityPublic) -> Option<&Namesake> {
        let believed = self.believed.contains(&identity.0);
        self.seen.get(&identity.0)?.as_ref().filter(|n| !(n.same_name && believed))
    }

    /// The contact whose very name this key's owner claims, if the user has not said yes.
    pub(super) fn changed(&self, identity: &IdentityPublic) -> Option<&Namesake> {
        self.looks_like(identity).filter(|n| n.same_name)
    }

    pub(super) fn believe(&mut self, identity: &IdentityPublic) {
        self.disbelieved.remove(&identity.0);
        self.believed.insert(identity.0);
    }

    /// No media goes to or comes from this member.
    pub(super) fn holds(&self, member: MemberId) -> bool {
        self.held.contains(&member)
    }
}

impl Call {
    /// Says whether somebody can be asked (a screen): a contact's name with another key is then a
    /// question, else it is refused.
    pub fn can_ask(&mut self, yes: bool) {
        self.contacts.asks = yes;
    }

    /// A member is here whom nobody asked our user about.
    pub(super) fn meet(&mut self, member: MemberId, identity: &IdentityPublic, name: &DisplayName) {
        self.contacts.look_at(identity, name);
        if self.contacts.met.len() < MOST_MET {
            let door = contact_id(&self.identity.public(), identity);
            self.contacts.met.insert(door, *identity);
        }
        if self.config.expect.is_some_and(|wanted| wanted.matches(identity)) {
            self.contacts.believe(identity);
        }
        let Some(known) = self.contacts.changed(identity).cloned() else { return };
        self.contacts.held.insert(member);
        let name = name.to_string();
        self.event(Event::Doubt { identity: *identity, name, known });
    }

    /// The member is gone, and with it the question.
    pub(super) fn part_from(&mut self, member: MemberId) {
        self.contacts.held.remove(&member);
    }

    /// The user's answer about a contact's name with another key.
    pub(super) fn decide_doubt(
        &mut self,
        identity: IdentityPublic,
        yes: bool,
        now: Now,
    ) -> Result<(), CallError> {
        if !yes {
            self.contacts.disbelieved.insert(identity.0);
            self.refuse_doubted_host(&identity);
            return Ok(());
        }
        self.contacts.believe(&identity);
        let members: Vec<_> = self
            .peers
            .present()
            .filter(|(_, p)| p.credential.identity == identity)
            .map(|(id, _)| id)
            .collect();
        for member in members {
            self.contacts.held.remove(&member);
            self.ask_keyframe(member, now);
        }
        self.event(Event::Budgets);
        self.knock_again(&identity);
        Ok(())
    }

    /// What waits for the user's word.
    pub(super) fn doubts_view(&self) -> Vec<DoubtView> {
        let mut doubts = Vec::new();
        let mut doubt = |identity: &IdentityPublic, name: &DisplayName, member| {
            let open = !self.contacts.disbelieved.contains(&identity.0);
            if let Some(known) = self.contacts.changed(identity).filter(|_| open) {
                doubts.push(DoubtView {
                    identity: *identity,
                    fingerprint: Fingerprint::of(identity),
                    name: name.to_string(),
                    known: known.clone(),
                    member,
                });
            }
        };
        if let Some((identity, name)) = self.doubted_host() {
            doubt(identity, name, None);
        }
        for (id, peer) in self.peers.present() {
            if self.contacts.holds(id) {
                doubt(&peer.credential.identity, &peer.credential.name, Some(id));
            }
        }
        doubts
    }
}

/// The host at the invite's end.
impl Call {
    /// `--expect` or `--admit` names this very key.
    pub(super) fn is_named(&self, identity: &IdentityPublic) -> bool {
        let admitted = match &self.config.admit {
            Admit::Only(wanted) => wanted.as_slice(),
            _ => &[],
        };
        admitted.iter().chain(&self.config.expect).any(|wanted| wanted.matches(identity))
    }

    /// The contact whose name this host has, if the key is another one and the user has not
    /// answered yet.
    pub(super) fn doubts_host(&mut self, host: &Credential) -> Option<Namesake> {
        self.contacts.look_at(&host.identity, &host.name);
        if self.config.expect.is_some_and(|wanted| wanted.matches(&host.identity)) {
            self.contacts.believe(&host.identity);
        }
        self.contacts.changed(&host.identity).cloned()
    }

    /// Nothing is said to this host before the user is sure; it need not wait meanwhile.
    pub(super) fn hang_up_and_ask(&mut self, host: &Credential, known: Namesake) {
        let (identity, name) = (host.identity, host.name.clone());
        if !self.contacts.asks {
            self.finish(EndReason::WrongIdentity(changed_words(&identity, &name, &known)));
            return;
        }
        self.stop_dialling(None);
        if let PhaseState::Joining(joining) = &mut self.phase {
            joining.doubt = Some((identity, name.clone()));
        }
        self.event(Event::Doubt { identity, name: name.to_string(), known });
    }

    fn doubted_host(&self) -> Option<(&IdentityPublic, &DisplayName)> {
        match &self.phase {
            PhaseState::Joining(joining) => joining.doubt.as_ref().map(|(i, n)| (i, n)),
            PhaseState::Waiting => None,
        }
    }

    fn refuse_doubted_host(&mut self, identity: &IdentityPublic) {
        let Some((_, name)) = self.doubted_host().filter(|(i, _)| *i == identity) else { return };
        if let Some(known) = self.contacts.changed(identity) {
            let why = changed_words(identity, name, known);
            self.finish(EndReason::WrongIdentity(why));
        }
    }

    /// The user is sure of the host: once more to its door.
    fn knock_again(&mut self, identity: &IdentityPublic) {
        if self.doubted_host().is_none_or(|(i, _)| i != identity) {
            return;
        }
        if let PhaseState::Joining(joining) =
            std::mem::replace(&mut self.phase, PhaseState::Waiting)
        {
            self.begin_joining(joining.door);
        }
    }
}

fn changed_words(identity: &IdentityPublic, name: &DisplayName, known: &Namesake) -> String {
    let met = Fingerprint::of(identity);
    let Namesake { fingerprint, note, .. } = known;
    format!("{name} has another key than the {name} you know: {met}, not {fingerprint} ({note})")
}
