//! When the call fell apart: two branches of one history meet again.
//!
//! Both sides of a connection say which branch they are in, with proofs. The group's rule decides
//! the same way on both: a branch a majority agreed on wins, then the larger, then the older.
//! Whoever lost stops sealing, sends a key package for its old leaf key and credential to the
//! winner's member on that connection, and is added there without an invite. Histories never
//! merge; everybody in the losing branch takes this way for itself.

use super::beat::Place;
use super::changes::{Change, Checker};
use super::former::Former;
use super::handshake::Stage;
use super::wishes::Wish;
use super::*;
use crate::group::{self, Branch, Expect, OrderTaken, PendingJoin, Reason, RosterRow, Standing};
use crate::identity::{Credential, IdentityPublic, contact_proof, handshake};
use crate::wire::control::Control;

/// Members apart for this long, with nothing on its way that would bring them together, compare
/// their branches.
const APART: Duration = Duration::from_secs(4);
/// The same branch is not told again on a connection for this long.
const TOLD: Duration = Duration::from_secs(2);
/// The way back takes at most this long; then it is tried again, maybe through another member.
const RETURN: Duration = Duration::from_secs(8);
/// A door that didn't open isn't tried again for this long, if there are others.
const ELSEWHERE: Duration = Duration::from_secs(4);

/// On the way back: the key package is with a member of the other branch.
pub(super) struct Returning {
    link: LinkId,
    /// Who must be in the group we come into: the member that takes us back.
    door: [u8; 32],
    pending: PendingJoin,
    until: Instant,
}

/// What a branch says of itself, to be compared: the greater goes on.
fn word_of(branch: &Branch) -> impl Ord + use<> {
    use std::cmp::Reverse;
    let (sequencer, term) = (Reverse(branch.sequencer), Reverse(branch.term));
    let (whole, led) = (!branch.split, branch.led);
    (whole, led, branch.members, sequencer, term, branch.epoch(), branch.encode())
}

impl Call {
    pub(super) fn is_returning(&self) -> bool {
        self.returning.is_some()
    }

    pub(super) fn returning_over(&self, link: LinkId) -> bool {
        self.returning.as_ref().is_some_and(|r| r.link == link)
    }

    pub(super) fn returning_wake(&self) -> Option<Instant> {
        self.returning.as_ref().map(|r| r.until)
    }

    /// A member is somewhere else in the history: behind, ahead, or in another branch.
    pub(super) fn elsewhere(&mut self, link: LinkId, from: MemberId, theirs: Place, now: Now) {
        let Some(ours) = self.place() else { return };
        if theirs.epoch == ours.epoch {
            return self.send_branch(link, now);
        }
        self.help_laggard(link, theirs);
        let Some(peer) = self.peers.members.get(&from) else { return };
        let since = if theirs.epoch < ours.epoch { peer.moved } else { self.entered };
        let apart = peer.apart.map(|at| at.max(since));
        if apart.is_some_and(|at| at + APART <= now.mono) {
            self.send_branch(link, now);
        }
    }

    /// Tells which branch we are in, if that wasn't told just now.
    pub(super) fn send_branch(&mut self, link: LinkId, now: Now) {
        let led = self.is_led(now.mono);
        let (Some(place), Some(group)) = (self.place(), &self.group) else { return };
        if self.is_returning() || self.leaving.is_some() {
            return;
        }
        let Some(state) = self.links.get_mut(&link) else { return };
        if state.told.is_some_and(|(p, at)| p == place && at + TOLD > now.mono) {
            return;
        }
        state.told = Some((place, now.mono));
        let branch = group.branch(led).encode();
        self.send_control(link, &Control::Branch(branch.into()));
    }

    /// Tells former members that are reached where we are, again and again: what was decided at the
    /// first word may be over, as when whoever led them has left. Not who waits at our door.
    pub(super) fn retell(&mut self, now: Now) {
        if self.is_returning() || self.leaving.is_some() {
            return;
        }
        let waits = |link| self.knocks.values().any(|k| k.link == link && !k.decided);
        let links = &self.links;
        let told = |link| links.get(&link).and_then(|state| Some(state.told?.1));
        let due = |former: &mut Former| {
            let link = former.link.filter(|link| !waits(*link))?;
            former.retells(told(link), now.mono).then_some(link)
        };
        let due: Vec<_> = self.former.list.values_mut().filter_map(due).collect();
        for link in due {
            self.send_branch(link, now);
        }
    }

    /// The other side says where it is: we answer with what we did since we were together.
    pub(super) fn take_branch(
        &mut self,
        link: LinkId,
        bytes: &[u8],
        now: Now,
    ) -> Result<(), CallError> {
        let Some(theirs) = self.parse_branch(link, bytes) else { return Ok(()) };
        if self.answer_branch(link, &theirs, now).is_some() {
            return Ok(());
        }
        // Whoever comes back remembers nothing from before: two that did so in different branches
        // may share no epoch. Then what both say of themselves decides, the same way on both sides.
        let led = self.is_led(now.mono);
        let Some(ours) = self.group.as_ref().map(|group| group.branch(led)) else { return Ok(()) };
        if word_of(&ours) < word_of(&theirs) {
            return self.come_back(link, now);
        }
        self.send_branch(link, now);
        Ok(())
    }

    /// Where somebody is. Whoever says so is not on its way to us, or not any more.
    fn parse_branch(&mut self, link: LinkId, bytes: &[u8]) -> Option<Branch> {
        if let Some(key) = self.links.get(&link).and_then(LinkState::key) {
            self.wishes.stays_away(&key);
        }
        let branch = Branch::parse(bytes);
        self.counters.malformed += u64::from(branch.is_err());
        let branch = branch.ok().filter(|_| !self.is_returning() && self.leaving.is_none())?;
        self.note_branch(link, &branch);
        Some(branch)
    }

    fn answer_branch(&mut self, link: LinkId, theirs: &Branch, now: Now) -> Option<Branch> {
        let ours = self.group.as_ref()?.branch_for(theirs, self.is_led(now.mono))?;
        let place = self.place()?;
        let state = self.links.get_mut(&link)?;
        state.answered = Some(ours.clone());
        state.told = Some((place, now.mono));
        self.send_control(link, &Control::BranchAnswer(ours.encode().into()));
        Some(ours)
    }

    /// Compares branches by both answers; whoever lost comes back.
    pub(super) fn take_branch_answer(
        &mut self,
        link: LinkId,
        bytes: &[u8],
        now: Now,
    ) -> Result<(), CallError> {
        let Some(theirs) = self.parse_branch(link, bytes) else { return Ok(()) };
        let answered = self.links.get_mut(&link).and_then(|state| state.answered.take());
        let ours = answered.or_else(|| self.answer_branch(link, &theirs, now));
        let (Some(group), Some(ours)) = (&self.group, ours) else { return Ok(()) };
        if let Some(state) = self.links.get_mut(&link) {
            state.answered = None;
        }
        match group.compare(&ours, &theirs) {
            Standing::Theirs => self.come_back(link, now),
            Standing::Ours | Standing::Same | Standing::NoCommon | Standing::Unproven => Ok(()),
        }
    }

    /// Gives up this branch: nothing is sealed any more, a key package goes to the winner.
    pub(super) fn come_back(&mut self, link: LinkId, now: Now) -> Result<(), CallError> {
        if self.is_returning() || self.leaving.is_some() {
            return Ok(());
        }
        let Some(door) = self.identity_at(link) else { return Ok(()) };
        let key = self.links.get(&link).and_then(LinkState::key);
        let former = key.and_then(|key| self.former.list.get(&key));
        if former.is_some_and(|former| former.introduced && !former.door) {
            return Ok(());
        }
        let others = self.former.list.values().filter_map(|f| f.link).any(|other| other != link);
        if others && self.closed_door.is_some_and(|(shut, until)| shut == door && now.mono < until)
        {
            return Ok(());
        }
        let Some(group) = &self.group else { return Ok(()) };
        let group_id = group.id();
        let mut local = self.local_member(group_id, now)?;
        local.credential = self.my_credential();
        let check = Checker { group_id, now: now.wall };
        let (package, pending) = group::key_package(local, group_id, &check)?;
        let Some(up) = self.links.get(&link).and_then(|l| l.up.as_ref()) else { return Ok(()) };
        let proof = contact_proof(&self.identity.public(), &IdentityPublic(door));
        let sealed = handshake::back(&proof, &self.transcript(up), &package);
        self.returning = Some(Returning { link, door, pending, until: now.mono + RETURN });
        self.send_control(link, &Control::Back(sealed.into()));
        self.event(Event::Returning(true));
        Ok(())
    }

    /// The identity behind a connection, if it is or was a member.
    fn identity_at(&self, link: LinkId) -> Option<[u8; 32]> {
        let key = self.links.get(&link)?.up.as_ref()?.peer_key;
        if self.former.barred.contains(&key) || self.liars.contains_key(&key) {
            return None;
        }
        let former = self.former.list.get(&key).map(|f| f.identity.0);
        former.or_else(|| {
            let members = self.peers.members.values();
            members.map(|p| &p.credential).find(|c| c.leaf_key == key).map(|c| c.identity.0)
        })
    }

    /// The way back was not found in time: on in our own branch, and again at the next contact.
    pub(super) fn returning_tick(&mut self, now: Now) {
        if self.returning.as_ref().is_some_and(|r| r.until <= now.mono) {
            self.stop_returning(now);
        }
    }

    /// Not through that door. What the others said meanwhile went unheard: they are asked again.
    pub(super) fn stop_returning(&mut self, now: Now) {
        let Some(returning) = self.returning.take() else { return };
        self.event(Event::Returning(false));
        self.closed_door = Some((returning.door, now.mono + ELSEWHERE));
        let others: Vec<_> = self.former.list.values().filter_map(|f| f.link).collect();
        for link in others.into_iter().filter(|link| *link != returning.link) {
            if let Some(state) = self.links.get_mut(&link) {
                state.told = None;
            }
            self.send_branch(link, now);
        }
    }

    /// Somebody of a losing branch asks to be taken back.
    pub(super) fn take_back(
        &mut self,
        link: LinkId,
        sealed: &[u8],
        now: Now,
    ) -> Result<(), CallError> {
        let (Some(group), Some(up)) =
            (&self.group, self.links.get(&link).and_then(|l| l.up.as_ref()))
        else {
            return Ok(());
        };
        let key = up.peer_key;
        let package = self.identity_at(link).and_then(|known| {
            let proof = contact_proof(&self.identity.public(), &IdentityPublic(known));
            let package = handshake::open_back(&proof, &self.transcript(up), sealed).ok()?;
            let applicant = group.read_key_package(&package).ok()?;
            let credential = Credential::decode(&applicant.credential).ok()?;
            let same = applicant.leaf_key == key && credential.leaf_key == key;
            let valid = credential.verify(&group.id(), now.wall).is_ok();
            (same && valid && credential.identity.0 == known).then_some((package, credential))
        });
        let Some((package, credential)) = package else {
            self.counters.bad_group += 1;
            return Ok(());
        };
        if self.is_returning() {
            self.send_away(&[key]);
            return Ok(());
        }
        if !self.may_come_back(&credential.identity) {
            return self.take_newcomer_back(link, credential, &package, now);
        }
        // Then they will have given up, and ask anew with another key package.
        self.wishes.add_until(Wish::Back { key, package }, Some(now.mono + RETURN));
        self.pursue(now)
    }

    /// Sequencer: adds somebody again.
    pub(super) fn take_back_now(
        &mut self,
        key: [u8; 32],
        package: &[u8],
        now: Now,
    ) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let check = Checker { group_id: group.id(), now: now.wall };
        match group.add(package, None, &check) {
            Ok(pending) => self.commit(pending, now),
            Err(_) => {
                // Locked out, barred, or back already: theirs to ask again.
                self.counters.bad_group += 1;
                self.send_away(&[key]);
                Ok(())
            }
        }
    }

    /// The Welcome back: the old group goes, the new one is ours – if it is the same call, and the
    /// member that took us back is in it.
    pub(super) fn take_welcome_back(
        &mut self,
        link: LinkId,
        welcome: &[u8],
        now: Now,
    ) -> Result<(), CallError> {
        let Some(returning) = self.returning.take_if(|r| r.link == link) else { return Ok(()) };
        let Some(old) = &self.group else { return Ok(()) };
        let check = Checker { group_id: old.id(), now: now.wall };
        let expect = Expect { psk: None, host: returning.door };
        let joined = returning.pending.join(welcome, &expect, &check);
        match joined {
            Ok(group) if group.state().host == old.state().host => {
                self.change_branch(group, now)?;
                self.event(Event::Returning(false));
                Ok(())
            }
            _ => {
                self.counters.bad_group += 1;
                self.event(Event::Returning(false));
                Ok(())
            }
        }
    }

    /// Everything that belonged to the old branch goes; people are known again by their keys.
    fn change_branch(&mut self, group: Group, now: Now) -> Result<(), CallError> {
        let orders = self.group.as_ref().map(Group::orders_held).unwrap_or_default();
        self.epochs.erase();
        self.words = None;
        self.offers.clear();
        self.welcomes.clear();
        self.group = Some(group);
        let waiting = self.wishes.changed_branch();
        self.send_away(&waiting);
        let Some(group) = &mut self.group else { return Ok(()) };
        let mut news = Vec::new();
        for order in orders {
            if matches!(group.take_order(&order), Ok(OrderTaken::Waiting(_))) {
                news.push(order);
            }
        }
        for proof in self.liars.values() {
            // Unknown to a group in which that key never was.
            let _ = group.take_equivocation(proof);
        }
        let rows = group.roster().members;
        self.rename_all(&rows, now);
        self.enter_epoch(now, Change { back: true, ..Change::default() })?;
        let links: Vec<_> = self.peers.connected().collect();
        for (member, link) in links {
            self.greet(member, link, now);
            for order in &news {
                self.send_control(link, &Control::Order(order.clone().into()));
            }
        }
        self.announce_addresses()?;
        // Whoever else is still in the old branch hears of the new one.
        let old: Vec<_> = self.former.list.values().filter_map(|f| f.link).collect();
        for link in old {
            self.send_branch(link, now);
        }
        self.pursue(now)
    }

    /// Numbers mean other people in another branch: everybody is known by leaf key, takes the seat
    /// of the new roster, or becomes a former member.
    fn rename_all(&mut self, rows: &[RosterRow], now: Now) {
        let mut old = std::mem::take(&mut self.peers.members);
        for row in rows {
            let id = old.iter().find(|(_, p)| p.credential.leaf_key == row.leaf_key);
            let Some(id) = id.map(|(id, _)| *id) else { continue };
            let Some(mut peer) = old.remove(&id) else { continue };
            peer.take_seat(row, self.entered);
            if let Some(state) = peer.link.and_then(|link| self.links.get_mut(&link)) {
                state.settle(Stage::Member(row.id));
            }
            let name = peer.credential.name.to_string();
            self.peers.members.insert(row.id, peer);
            if id != row.id {
                self.reseated(id, name, row);
            }
        }
        for (id, peer) in old {
            self.let_go(id, peer, Some(Reason::Lost), None, now);
        }
    }
}
