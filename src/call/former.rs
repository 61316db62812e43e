//! Members that are out only because they couldn't be heard: they stay known, with their keys and
//! addresses, for the whole call, are dialled again and again, and need no invite to come back.

use super::handshake::{LinkState, Stage};
use super::*;
use crate::identity::IdentityPublic;
use std::collections::BTreeSet;

/// First pause between two diallings; doubles …
const FIRST: Duration = Duration::from_millis(500);
/// … up to this.
const LONGEST: Duration = Duration::from_secs(10);
/// Pause before those are dialled again who say that we were removed.
const SHUT_OUT: Duration = Duration::from_secs(60);
/// Whoever is reached hears where we are after this time, then after twice that …
const RETELL: Duration = Duration::from_secs(4);
/// … up to this.
const RETELL_LONGEST: Duration = Duration::from_secs(60);
/// Former members remembered.
pub const MAX_FORMER: usize = 64;

/// Everybody who was a member and may be again, by leaf key.
#[derive(Default)]
pub(super) struct Formers {
    pub(super) list: BTreeMap<[u8; 32], Former>,
    /// Leaf keys of those who were removed by decision.
    pub(super) barred: BTreeSet<[u8; 32]>,
    /// Leaf keys of people who were introduced, and not let in.
    pub(super) turned_away: BTreeSet<[u8; 32]>,
}

/// One of them.
pub(super) struct Former {
    pub(super) identity: IdentityPublic,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) link: Option<LinkId>,
    /// Known by a member's word only: never a member of any branch we were in.
    pub(super) introduced: bool,
    /// Named to us as one who may let us in, by the member we asked.
    pub(super) door: bool,
    dialling: bool,
    tried: usize,
    pause: Duration,
    next_dial: Option<Instant>,
    /// Until it is told again where we are.
    retell: Duration,
}

impl Formers {
    /// Identities that may come back.
    pub(super) fn waiting_for(&self) -> impl Iterator<Item = IdentityPublic> + '_ {
        self.list.values().filter(|former| !former.introduced).map(|former| former.identity)
    }

    pub(super) fn remember(&mut self, key: [u8; 32], former: Former) {
        if self.barred.contains(&key) {
            return;
        }
        while self.list.len() >= MAX_FORMER {
            self.list.pop_first();
        }
        self.list.insert(key, former);
    }

    /// A person has one key at a time: earlier ones that nobody answers under are forgotten.
    pub(super) fn instead(&mut self, identity: IdentityPublic, key: [u8; 32]) {
        self.list.retain(|k, f| f.identity != identity || *k == key || f.link.is_some());
    }

    /// Somebody who was introduced is not let in: neither dialled nor expected any more.
    pub(super) fn turn_away(&mut self, key: [u8; 32]) {
        self.list.remove(&key);
        self.turned_away.insert(key);
        if self.turned_away.len() > MAX_FORMER {
            self.turned_away.pop_first();
        }
    }

    /// Removed there, by a decision that doesn't hold here: asked again now and then, in case it is
    /// taken back.
    pub(super) fn shut_out(&mut self, key: &[u8; 32], now: Instant) {
        if let Some(former) = self.list.get_mut(key) {
            former.next_dial = Some(now + SHUT_OUT);
        }
    }

    /// Somebody we were introduced to does not let us in.
    pub(super) fn declined(&mut self, key: &[u8; 32]) {
        if self.list.get(key).is_some_and(|former| former.introduced) {
            self.turn_away(*key);
        }
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        let open = self.list.values().filter(|f| f.link.is_none() && !f.dialling);
        open.filter_map(|f| f.next_dial).min()
    }

    pub(super) fn unlink(&mut self, id: LinkId, now: Instant) {
        for former in self.list.values_mut().filter(|f| f.link == Some(id)) {
            former.link = None;
            former.next_dial = Some(now + former.pause);
        }
    }

    pub(super) fn dial_failed(&mut self, key: &[u8; 32], now: Instant) {
        let Some(former) = self.list.get_mut(key) else { return };
        former.dialling = false;
        former.tried += 1;
        former.next_dial = Some(now + former.pause);
        if former.tried % former.addresses.len().max(1) == 0 {
            former.pause = (former.pause * 2).min(LONGEST);
        }
    }
}

impl Former {
    pub(super) fn new(
        identity: IdentityPublic,
        addresses: Vec<SocketAddr>,
        link: Option<LinkId>,
        now: Instant,
    ) -> Self {
        let next_dial = Some(now + FIRST);
        Self {
            identity,
            addresses,
            link,
            introduced: false,
            door: false,
            dialling: false,
            tried: 0,
            pause: FIRST,
            next_dial,
            retell: RETELL,
        }
    }

    /// It is time to tell it again where we are, having told it then: a longer while each time.
    pub(super) fn retells(&mut self, told: Option<Instant>, now: Instant) -> bool {
        let due = told.is_none_or(|at| at + self.retell <= now);
        if due {
            self.retell = (self.retell * 2).min(RETELL_LONGEST);
        }
        due
    }
}

impl Call {
    /// A connection's key belongs to a former member: it is theirs now.
    pub(super) fn adopt_former(&mut self, id: LinkId, key: [u8; 32], now: Now) {
        let Some(up) = self.links.get(&id).and_then(|l| l.up.clone()) else { return };
        let Some(former) = self.former.list.get_mut(&key) else { return };
        let old = former.link.filter(|old| *old != id);
        if let Some(old_up) = old.and_then(|old| self.links.get(&old)).and_then(|l| l.up.as_ref()) {
            let glare = old_up.dialled != up.dialled;
            if glare && up.dialled != (self.leaf.public() < key) {
                self.close_link(id, close::DUPLICATE);
                return;
            }
        }
        former.link = Some(id);
        former.dialling = false;
        (former.pause, former.retell) = (FIRST, RETELL);
        if up.dialled && !former.addresses.contains(&up.remote) {
            former.addresses.insert(0, up.remote);
        }
        if let Some(old) = old {
            self.close_link(old, close::DUPLICATE);
        }
        if let Some(state) = self.links.get_mut(&id) {
            state.settle(Stage::Former(key));
        }
        self.out.push_back(Output::Authenticated(id));
        self.send_branch(id, now);
    }

    pub(super) fn dial_formers(&mut self, now: Now) {
        if self.leaving.is_some() || self.group.is_none() {
            return;
        }
        let due = |f: &Former| {
            f.link.is_none() && !f.dialling && f.next_dial.is_some_and(|t| t <= now.mono)
        };
        let keys: Vec<_> =
            self.former.list.iter().filter(|(_, f)| due(f)).map(|(key, _)| *key).collect();
        for key in keys {
            let link = self.fresh_link();
            let Some(former) = self.former.list.get_mut(&key) else { continue };
            former.next_dial = None;
            let to = former.addresses.get(former.tried % former.addresses.len().max(1)).copied();
            let Some(to) = to else { continue };
            former.dialling = true;
            self.links.insert(link, LinkState::dialling_former(key));
            self.out.push_back(Output::Dial(link, to));
        }
    }

    /// Somebody was removed by decision: not waited for, not let back in.
    pub(super) fn bar(&mut self, who: &IdentityPublic, now: Now) {
        let keys = self.former.list.iter().filter(|(_, f)| f.identity == *who).map(|(k, _)| *k);
        let mut keys: Vec<_> = keys.collect();
        let ids: Vec<_> = self
            .peers
            .members
            .iter()
            .filter(|(_, p)| p.credential.identity == *who)
            .map(|(_, p)| p.credential.leaf_key)
            .collect();
        keys.extend(ids);
        for key in keys {
            self.former.barred.insert(key);
            if let Some(link) = self.former.list.remove(&key).and_then(|f| f.link) {
                self.send_orders(link);
                self.part(link, close::REMOVED, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn who_stays_elsewhere_is_told_ever_more_rarely() {
        let start = Instant::now();
        let mut former = Former::new(IdentityPublic([1; 32]), Vec::new(), None, start);
        let mut told = Some(start);
        let mut at = Vec::new();
        for s in 0..200 {
            let now = start + Duration::from_secs(s);
            if former.retells(told, now) {
                told = Some(now);
                at.push(s);
            }
        }
        assert_eq!(at, [4, 12, 28, 60, 120, 180]);
        assert!(former.retells(None, start), "at once when nothing was told");
    }
}
