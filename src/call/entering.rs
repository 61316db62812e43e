//! A new epoch: who is in it and who is out, keys, roster, words.

use super::beat::UNHEARD;
use super::changes::Change;
use super::former::Former;
use super::handshake::Stage;
use super::membership::Peer;
use super::*;
use crate::group::{Reason, Roster, RosterRow, Succession};
use crate::identity::words::WordsInput;
use crate::identity::{Credential, IdentityPublic};

/// A member that was heard this recently isn't lost, whoever says so.
const CONTRADICTS: Duration = Duration::from_secs(5);

impl Call {
    /// Follows the group into its current epoch: people, keys, roster, words.
    pub(super) fn enter_epoch(&mut self, now: Now, change: Change) -> Result<(), CallError> {
        self.note_predecessor(&change);
        let Some(group) = &self.group else { return Ok(()) };
        let roster = group.roster();
        let me = group.me();
        let authenticator = group.authenticator();
        let group_id = group.id();
        // Nothing more under an epoch that the fence would close.
        let cut_off = self.sequencer_unheard_before(now.mono) >= UNHEARD || self.fenced(now);
        // Whoever hands over speaks for the next: a hand-over that comes late is as old as that word.
        let led_on = self.leader == Some(roster.sequencer) || change.succession.is_none();
        let passed_on = led_on && !change.direct && change.by.is_some();
        self.leader = Some(roster.sequencer);
        (self.entered, self.entered_wall) = (now.mono, now.wall);
        self.pulse = match passed_on {
            true => Pulse::passed_on(now, &self.pulse),
            false => Pulse::new(now),
        };
        let waiting = self.ballot.waiting.filter(|_| !group.orders_waiting().is_empty());
        self.ballot.entered(waiting);
        // Whoever comes with a void invite is told so at the door. (Used ones tell by whom.)
        let voided = &group.state().voided;
        self.invites.retain(|open| open.left == 0 || !voided.contains(&open.invite.id()));
        self.reseat(&roster.members);
        let gone = self.peers.members.keys().copied();
        let gone: Vec<_> = gone.filter(|id| roster.member(*id).is_none()).collect();
        let out = !gone.is_empty() || !change.removed.is_empty() || cut_off;
        self.enter_keys(&roster, out, now)?;
        for id in gone {
            let reason = change.removed.iter().find(|(m, _)| *m == id).map(|(_, r)| *r);
            if reason == Some(Reason::Lost) {
                self.contradict(id, change.by, now);
            }
            self.forget(id, reason, change.by, now);
        }
        let mut joined = Vec::new();
        for row in roster.members.iter().filter(|m| m.id != me) {
            if self.peers.members.contains_key(&row.id) {
                continue;
            }
            let Ok(credential) = Credential::decode(&row.credential) else { continue };
            let mut peer = Peer::new(credential, row, now.mono);
            if let Some(former) = self.former.list.remove(&row.leaf_key) {
                peer.addresses = former.addresses;
                peer.next_dial = former.link.is_none().then_some(now.mono);
            }
            let (identity, name) = (peer.credential.identity, peer.credential.name.clone());
            self.peers.members.insert(row.id, peer);
            self.meet(row.id, &identity, &name);
            joined.push((row.id, row.added_by, row.since_epoch));
        }
        // Nobody waits for an earlier program of somebody who is here.
        for row in &roster.members {
            self.former.list.retain(|_, former| former.identity.0 != row.identity);
        }
        let why = change.why(&roster);
        let Some(group) = &self.group else { return Ok(()) };
        if why == EpochWhy::Begun && roster.members.len() > 1 {
            let mine = roster.members.iter().find(|m| m.id == me);
            joined.push((me, mine.and_then(|m| m.added_by), roster.epoch));
        }
        let state = Box::new(epoch_state(group, &roster, change.succession));
        self.event(Event::Epoch { epoch: roster.epoch, roster: roster.digest(), why, state });
        for (member, by, epoch) in joined {
            self.event(Event::Joined { member, by, epoch });
        }
        if let Some(member) = change.added.filter(|_| change.back) {
            self.event(Event::Back(member));
        }
        if why != EpochWhy::Keys {
            let identities =
                roster.members.iter().map(|m| crate::keys::IdentityPublic(m.identity)).collect();
            let input = WordsInput { identities, group_id, authenticator };
            self.words_for = roster.epoch;
            self.event(Event::WordsNeeded { epoch: roster.epoch, input });
        }
        self.wishes.seated(&roster.members, roster.epoch);
        self.look_at_seats(&roster.members, change.by_welcome(), now);
        self.wishes.entered(why == EpochWhy::Begun || change.healed, now.mono);
        self.fence_epoch();
        self.note_removals();
        self.adopt_waiting(now);
        self.acknowledge()?;
        if let Some(by) = change.by {
            self.offer_merged(by, now);
        }
        self.open_waiting(now);
        self.event(Event::Budgets);
        self.take_early_acks(now)
    }

    /// Whoever came back sits under a new number: what is known of it, and its connection, go
    /// along.
    pub(super) fn reseat(&mut self, rows: &[RosterRow]) {
        for row in rows {
            let same = |(id, p): &(&MemberId, &Peer)| {
                p.credential.leaf_key == row.leaf_key && **id != row.id
            };
            let Some(old) = self.peers.members.iter().find(same).map(|(id, _)| *id) else {
                continue;
            };
            let Some(mut peer) = self.peers.members.remove(&old) else { continue };
            peer.take_seat(row, self.entered);
            if let Some(state) = peer.link.and_then(|link| self.links.get_mut(&link)) {
                state.settle(Stage::Member(row.id));
            }
            let name = peer.credential.name.to_string();
            self.peers.members.insert(row.id, peer);
            self.reseated(old, name, row);
        }
    }

    pub(super) fn reseated(&mut self, old: MemberId, name: String, row: &RosterRow) {
        self.part_from(old);
        if let Some(peer) = self.peers.members.get(&row.id) {
            let (identity, name) = (peer.credential.identity, peer.credential.name.clone());
            self.meet(row.id, &identity, &name);
        }
        self.event(Event::Left { member: old, name, how: LeftHow::Lost });
        let (member, by, epoch) = (row.id, row.added_by, row.since_epoch);
        self.event(Event::Joined { member, by, epoch });
    }

    /// "Lost", says the sequencer, but we heard it just now: that is worth knowing.
    fn contradict(&mut self, member: MemberId, says: Option<MemberId>, now: Now) {
        let Some(peer) = self.peers.members.get(&member) else { return };
        let recent = now.mono.saturating_duration_since(peer.heard) < CONTRADICTS;
        if let Some(by) = says.filter(|by| recent && !peer.parted && Some(*by) != self.me()) {
            let name = peer.credential.name.to_string();
            self.event(Event::LostContradicted { member, name, by });
        }
    }

    pub(super) fn forget(
        &mut self,
        id: MemberId,
        reason: Option<Reason>,
        by: Option<MemberId>,
        now: Now,
    ) {
        if let Some(peer) = self.peers.members.remove(&id) {
            self.let_go(id, peer, reason, by, now);
        }
    }

    /// Somebody is no member any more: remembered, or parted with.
    pub(super) fn let_go(
        &mut self,
        id: MemberId,
        peer: Peer,
        reason: Option<Reason>,
        by: Option<MemberId>,
        now: Now,
    ) {
        self.part_from(id);
        let key = peer.credential.leaf_key;
        let waited_for = matches!(reason, Some(Reason::Lost | Reason::Replaced) | None);
        if waited_for && !peer.parted && self.group.is_some() {
            let former =
                Former::new(peer.credential.identity, peer.reachable_at(), peer.link, now.mono);
            self.former.remember(key, former);
            if let Some(link) = peer.link {
                if let Some(state) = self.links.get_mut(&link) {
                    state.settle(Stage::Former(key));
                }
                self.send_branch(link, now);
            }
        } else if let Some(link) = peer.link {
            let code = match reason {
                Some(Reason::Decision) => {
                    self.former.barred.insert(key);
                    self.send_orders(link);
                    close::REMOVED
                }
                _ => close::LEFT,
            };
            self.part(link, code, now);
        }
        let how = match (reason, by) {
            (Some(Reason::Lost | Reason::Replaced) | None, _) => LeftHow::Lost,
            (Some(Reason::Decision), Some(by)) => LeftHow::Removed(by),
            _ => LeftHow::Left,
        };
        self.event(Event::Left { member: id, name: peer.credential.name.to_string(), how });
    }
}

fn epoch_state(group: &Group, roster: &Roster, succession: Option<Succession>) -> EpochState {
    let state = group.state();
    EpochState {
        authenticator: group.authenticator(),
        sequencer: state.sequencer,
        term: state.term,
        split: state.split,
        succession,
        members: roster.members.iter().map(|m| (m.id, IdentityPublic(m.identity))).collect(),
    }
}
