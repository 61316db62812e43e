//! Somebody let in by a branch that gave way, after the call fell apart: the winning branch knows
//! neither its key nor a reason to let it in.
//!
//! Its own people come back first, and know it. Whoever is asked to take it back and may not do so
//! introduces it to those who may let people in – and them to it: both then know each other's leaf
//! key, identity and addresses, and dial. There it asks again, and becomes a knock: the user (or
//! the settings) decides as about anybody new. An introduction gives no right to anything; it only
//! says whose connection to expect. Nor does anybody follow an introduced person into another
//! branch: else a member could lure others away. Only who was about to give way goes to the doors it
//! was shown.
//!
//! The same person with a new program has a new leaf key. A connection that speaks as a member's
//! and whose key nobody has named is asked who it is, and answers with a signature of its identity
//! for that key and connection: if that identity was or is one of us, branches are compared as with
//! any former member. Identities are never said unasked, nor to anybody who doesn't know the group.

use super::former::Former;
use super::*;
use crate::identity::handshake::{check_question, question};
use crate::identity::{Credential, IdentityPublic, verify};
use crate::wire::control::{Acquaintance, Control};

/// People kept because somebody introduced them.
pub const MAX_INTRODUCED: usize = 16;
/// The number of an invite that nobody has.
pub(super) const NO_INVITE: [u8; 8] = [0; 8];

/// Purpose of the signature by which somebody is known again.
const PURPOSE: &str = "me";

impl Call {
    /// Asks connections who they are that speak as a member's, with a key that nobody has named.
    pub(super) fn ask_strangers(&mut self, now: Now) {
        let held = &self.peers.held;
        let speaks = |id: &LinkId| held.get(id).is_some_and(|messages| !messages.is_empty());
        let due =
            self.links.iter_mut().filter_map(|(id, state)| state.wonders(now.mono).then_some(*id));
        let due: Vec<_> = due.filter(speaks).collect();
        for link in due {
            self.ask_who(link);
        }
    }

    pub(super) fn ask_who(&mut self, link: LinkId) {
        let (Some(group), Some(state)) = (&self.group, self.links.get(&link)) else { return };
        let Some(up) = &state.up else { return };
        let tag = question(&group.id(), &self.transcript(up), up.dialled);
        self.send_control(link, &Control::Who { tag });
    }

    /// Says who we are to somebody who knows the group.
    pub(super) fn say_name(&mut self, link: LinkId, tag: &[u8; 32]) {
        let (Some(group), Some(state)) = (&self.group, self.links.get(&link)) else { return };
        let Some(up) = &state.up else { return };
        if check_question(&group.id(), &self.transcript(up), !up.dialled, tag).is_err() {
            self.counters.refused += 1;
            return;
        }
        let (group, key) = (group.id(), self.leaf.public());
        let signature = self.identity.sign(PURPOSE, &[&group, &key, &up.exporter]);
        let identity = self.identity.public().0;
        self.send_control(link, &Control::Me { identity, signature });
    }

    /// A stranger says who it is: if it was or is one of us, it is a former member with a new key.
    pub(super) fn take_name(&mut self, link: LinkId, message: &Control, now: Now) {
        let Control::Me { identity, signature } = message else { return };
        let identity = IdentityPublic(*identity);
        let (Some(group), Some(state)) = (&self.group, self.links.get(&link)) else { return };
        let Some(up) = state.up.clone() else { return };
        let fields: [&[u8]; 3] = [&group.id(), &up.peer_key, &up.exporter];
        let proved = verify(&identity, PURPOSE, &fields, signature).is_ok();
        let barred = group.state().is_barred(&identity.0);
        let known = self.may_come_back(&identity)
            || self.former.list.values().any(|former| former.identity == identity);
        if !proved || barred || !known || self.former.turned_away.contains(&up.peer_key) {
            self.counters.refused += 1;
            self.close_link(link, close::REFUSED);
            return;
        }
        let addresses = if up.dialled { vec![up.remote] } else { Vec::new() };
        self.former.instead(identity, up.peer_key);
        self.former.remember(up.peer_key, Former::new(identity, addresses, None, now.mono));
        self.peers.held.remove(&link);
        self.adopt_former(link, up.peer_key, now);
    }

    /// Whether `identity` may be taken back by any member, without asking.
    pub(super) fn may_come_back(&self, identity: &IdentityPublic) -> bool {
        let Some(group) = &self.group else { return false };
        group.state().is_former(&identity.0)
            || group.roster().members.iter().any(|row| row.identity == identity.0)
    }

    /// Members that may let people in, without us.
    fn doorkeepers(&self) -> Vec<MemberId> {
        let Some(group) = &self.group else { return Vec::new() };
        let members = self.peers.members.keys().copied();
        members.filter(|id| group.may_admit(*id)).collect()
    }

    /// Somebody asks to be taken back whom the group doesn't know: a knock, if we may let people
    /// in, else an introduction to those who may.
    pub(super) fn take_newcomer_back(
        &mut self,
        link: LinkId,
        credential: Credential,
        package: &[u8],
        now: Now,
    ) -> Result<(), CallError> {
        let Some(group) = &self.group else { return Ok(()) };
        let (me, identity) = (group.me(), credential.identity);
        if group.state().is_barred(&identity.0) {
            self.counters.bad_group += 1;
            return Ok(());
        }
        if !group.state().lock_admits(&identity.0) {
            self.former.turn_away(credential.leaf_key);
            self.close_link(link, close::LOCKED);
            return Ok(());
        }
        if !group.may_admit(me) {
            self.introduce(link, &credential);
            return Ok(());
        }
        let waiting = self.knocks.values_mut().find(|knock| knock.link == link);
        match waiting {
            Some(knock) if knock.decided => Ok(()),
            Some(knock) => {
                // It asked anew meanwhile: only its newest key package can still be used.
                knock.key_package = package.to_vec();
                Ok(())
            }
            None => self.knock(link, NO_INVITE, credential, package.to_vec(), now),
        }
    }

    /// Makes somebody at our door and those who may let it in known to each other.
    fn introduce(&mut self, link: LinkId, who: &Credential) {
        let Some(former) = self.former.list.get(&who.leaf_key) else { return };
        let them = Acquaintance {
            key: who.leaf_key,
            identity: who.identity.0,
            addresses: former.addresses.clone(),
        };
        let mut doors = Vec::new();
        for id in self.doorkeepers() {
            let Some(peer) = self.peers.members.get(&id) else { continue };
            let Credential { leaf_key: key, identity, .. } = &peer.credential;
            let addresses = peer.reachable_at();
            doors.push(Acquaintance { key: *key, identity: identity.0, addresses });
            if let Some(to) = peer.link {
                self.send_control(to, &Control::Introduce(vec![them.clone()]));
            }
        }
        self.send_control(link, &Control::Introduce(doors));
    }

    /// We can't take these back any more: they may ask elsewhere at once.
    pub(super) fn send_away(&mut self, keys: &[[u8; 32]]) {
        let waits = |state: &handshake::LinkState| state.key().is_some_and(|k| keys.contains(&k));
        let links = self.links.iter().filter(|(_, state)| waits(state)).map(|(id, _)| *id);
        for link in links.collect::<Vec<_>>() {
            self.send_control(link, &Control::Introduce(Vec::new()));
        }
    }

    /// Somebody introduces people: their connections are expected from now on.
    pub(super) fn take_introduction(&mut self, link: LinkId, people: Vec<Acquaintance>, now: Now) {
        let asked = self.returning_over(link);
        if asked {
            // Nobody comes back through that door; maybe through these.
            self.stop_returning(now);
        }
        for Acquaintance { key, identity, addresses } in people {
            let known = self.former.list.contains_key(&key) || self.member_with_key(&key).is_some();
            let unwanted = self.former.barred.contains(&key)
                || self.former.turned_away.contains(&key)
                || self.liars.contains_key(&key);
            let introduced = self.former.list.values().filter(|f| f.introduced).count();
            if known || unwanted || key == self.leaf.public() || introduced >= MAX_INTRODUCED {
                continue;
            }
            let mut former = Former::new(IdentityPublic(identity), addresses, None, now.mono);
            (former.introduced, former.door) = (true, asked);
            self.former.remember(key, former);
        }
        self.adopt_waiting(now);
    }
}
