//! Members: who is in the group, how they are reached, what they said about themselves; and the
//! group's changes on their way through the mesh.

use super::beat::{Place, UNHEARD};
use super::changes::wire_ack;
use super::feedback::Feedback;
use super::handshake::Stage;
use super::wishes::Wish;
use super::*;
use crate::group::RosterRow;
use crate::identity::Credential;
use crate::media::frame::Want;
use crate::wire::control::{Ack, Control, MemberMessage};
use crate::wire::link::LinkDown;
use bytes::Bytes;
use std::collections::BTreeSet;

/// Fresh keys for everybody at least this often (PROTOCOL §4).
pub(super) const HEALING: Duration = Duration::from_secs(120);
/// A member unheard for this long is shown as lost.
const LOST: Duration = UNHEARD;
/// A member lost for this long is removed by whoever orders the changes.
const GIVE_UP: Duration = Duration::from_secs(20);
/// Between attempts to reach a lost member.
const REDIAL: Duration = Duration::from_secs(2);
/// Two dials that cross come up within this time of each other, mostly at once. (Where one takes
/// longer, both sides agree on it, too: it is the newer one.)
const CROSSING: Duration = Duration::from_secs(3);
/// A credential is good for this long after it is made; calls are shorter.
pub(super) const CREDENTIAL_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Messages kept for a member until they can be sealed.
pub const MAX_PENDING: usize = 16;
/// Messages kept, unread, for a connection whose key the roster does not name yet.
pub const MAX_HELD: usize = 16;
/// Keyframes are asked of a member at most this often.
pub(super) const KEYFRAME_GAP: Duration = Duration::from_millis(500);

/// A member that is heard after so long a silence is back: it was stopped, or had no network.
const BACK_AFTER: Duration = Duration::from_secs(1);

/// All other members.
#[derive(Default)]
pub(super) struct Peers {
    pub(super) members: BTreeMap<MemberId, Peer>,
    pub(super) held: BTreeMap<LinkId, Vec<Bytes>>,
}

/// One other member.
pub(super) struct Peer {
    pub(super) credential: Credential,
    pub(super) added_by: Option<MemberId>,
    pub(super) since_epoch: u64,
    pub(super) link: Option<LinkId>,
    pub(super) remote: Option<SocketAddr>,
    pub(super) heard: Instant,
    pub(super) lost_since: Option<Instant>,
    pub(super) tracks: Tracks,
    pub(super) compared: bool,
    pub(super) forged: u64,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) tried: usize,
    pub(super) dialling: bool,
    pub(super) next_dial: Option<Instant>,
    pub(super) their_want: Option<Want>,
    pub(super) my_want: Option<Want>,
    pub(super) pending: Vec<MemberMessage>,
    pub(super) keyframe_asked: Option<Instant>,
    pub(super) feedback: Feedback,
    /// Where it is in the history, as it last said.
    pub(super) place: Option<Place>,
    /// Whom it hears directly, as it last said.
    pub(super) hears: BTreeSet<MemberId>,
    /// Since when it is not where we are.
    pub(super) apart: Option<Instant>,
    /// When it last changed its place.
    pub(super) moved: Instant,
    /// It has not been told about us since it took its seat.
    pub(super) fresh: bool,
    /// It is ahead of us, and said so of each epoch.
    pub(super) early_acks: VecDeque<Ack>,
    /// It said goodbye: not waited for.
    pub(super) parted: bool,
    /// Lost: not looked at again before this.
    look: Instant,
}

impl Peer {
    pub(super) fn new(credential: Credential, row: &RosterRow, now: Instant) -> Self {
        Self {
            credential,
            added_by: row.added_by,
            since_epoch: row.since_epoch,
            link: None,
            remote: None,
            heard: now,
            lost_since: None,
            tracks: Tracks { mic: false, camera: false },
            compared: false,
            forged: 0,
            addresses: Vec::new(),
            tried: 0,
            dialling: false,
            next_dial: None,
            their_want: None,
            my_want: None,
            pending: Vec::new(),
            keyframe_asked: None,
            feedback: Feedback::new(now),
            place: None,
            hears: BTreeSet::new(),
            apart: None,
            moved: now,
            fresh: true,
            early_acks: VecDeque::new(),
            parted: false,
            look: now,
        }
    }

    /// A new seat for the same person: what we know of it stays, what it knows of us doesn't.
    pub(super) fn take_seat(&mut self, row: &RosterRow, now: Instant) {
        (self.added_by, self.since_epoch) = (row.added_by, row.since_epoch);
        (self.place, self.apart, self.fresh) = (None, None, true);
        self.feedback = Feedback::new(now);
        self.hears.clear();
    }

    pub(super) fn is_heard(&self, now: Instant) -> bool {
        self.link.is_some() && now.saturating_duration_since(self.heard) < UNHEARD
    }

    /// Does it not hear this member directly?
    pub(super) fn lacks(&self, member: Option<MemberId>) -> bool {
        member.is_some_and(|m| !self.hears.contains(&m))
    }

    pub(super) fn is_behind(&self, place: Place) -> bool {
        self.place.is_none_or(|p| p.epoch < place.epoch)
    }

    /// It said where it is.
    pub(super) fn stand(&mut self, theirs: Place, ours: Place, now: Instant) {
        if self.place != Some(theirs) {
            self.place = Some(theirs);
            self.moved = now;
        }
        self.apart = if theirs == ours { None } else { self.apart.or(Some(now)) };
    }

    /// Everything it can be reached at.
    pub(super) fn reachable_at(&self) -> Vec<SocketAddr> {
        let mut addresses = self.addresses.clone();
        addresses.extend(self.remote.filter(|r| !self.addresses.contains(r)));
        addresses
    }
}

impl Peers {
    /// Members that are reached now.
    pub(super) fn connected(&self) -> impl Iterator<Item = (MemberId, LinkId)> + '_ {
        self.members.iter().filter_map(|(id, p)| Some((*id, p.link?)))
    }

    /// All other members.
    pub(super) fn present(&self) -> impl Iterator<Item = (MemberId, &Peer)> {
        self.members.iter().map(|(id, p)| (*id, p))
    }

    /// Connections of members of which this holds.
    pub(super) fn links_where(&self, which: impl Fn(&Peer) -> bool) -> Vec<LinkId> {
        self.members.values().filter(|p| which(p)).filter_map(|p| p.link).collect()
    }

    pub(super) fn link(&self, member: MemberId) -> Option<LinkId> {
        self.members.get(&member)?.link
    }

    pub(super) fn feedback(&mut self, member: MemberId) -> Option<&mut Feedback> {
        self.members.get_mut(&member).map(|p| &mut p.feedback)
    }

    pub(super) fn feedback_ref(&self, member: MemberId) -> Option<&Feedback> {
        self.members.get(&member).map(|p| &p.feedback)
    }

    pub(super) fn budgets(&self, now: Instant) -> BTreeMap<MemberId, Budget> {
        self.members
            .iter()
            .filter(|(_, p)| p.link.is_some() && p.lost_since.is_none())
            .map(|(id, p)| (*id, p.feedback.budget(p.their_want, now)))
            .collect()
    }

    /// Something came from a member. Whether pictures can go to it again because of that.
    pub(super) fn heard(&mut self, member: MemberId, now: Instant) -> bool {
        let Some(peer) = self.members.get_mut(&member) else { return false };
        let before = std::mem::replace(&mut peer.heard, now);
        now.saturating_duration_since(before) >= BACK_AFTER && peer.feedback.heard_again(now)
    }

    pub(super) fn forged(&mut self, member: MemberId) {
        if let Some(peer) = self.members.get_mut(&member) {
            peer.forged += 1;
        }
    }

    /// The words of epoch `of` were read to each other: whoever came later did not read them.
    pub(super) fn words_compared(&mut self, of: Option<u64>, but: impl Fn(MemberId) -> bool) {
        for (id, peer) in &mut self.members {
            peer.compared |= of.is_some_and(|of| peer.since_epoch <= of) && !but(*id);
        }
    }

    pub(super) fn dial_failed(&mut self, member: MemberId, now: Instant) {
        if let Some(peer) = self.members.get_mut(&member) {
            peer.dialling = false;
            peer.tried += 1;
            peer.next_dial =
                Some(if peer.tried < peer.reachable_at().len() { now } else { now + REDIAL });
        }
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        let mut at: Option<Instant> = None;
        let mut earlier = |t: Instant| at = Some(at.map_or(t, |a| a.min(t)));
        for peer in self.members.values() {
            match peer.lost_since {
                None => earlier(peer.heard + LOST),
                Some(_) => earlier(peer.look.max(peer.heard + GIVE_UP)),
            }
            if let Some(t) = peer.next_dial {
                earlier(t);
            }
            // Without a link there is nowhere to send a report.
            if let Some(t) = peer.link.and_then(|_| peer.feedback.wake_at()) {
                earlier(t);
            }
        }
        at
    }
}

impl Call {
    pub(super) fn member_with_key(&self, key: &[u8; 32]) -> Option<MemberId> {
        let group = self.group.as_ref()?;
        let me = group.me();
        group.roster().members.iter().find(|m| m.leaf_key == *key && m.id != me).map(|m| m.id)
    }

    pub(super) fn leaf_key_of(&self, member: MemberId) -> Option<[u8; 32]> {
        self.group.as_ref()?.roster().members.iter().find(|m| m.id == member).map(|m| m.leaf_key)
    }

    pub(super) fn broadcast(&mut self, message: &Control) {
        let links: Vec<_> = self.peers.connected().map(|(_, link)| link).collect();
        for link in links {
            self.send_control(link, message);
        }
    }

    /// A connection belongs to a member from now on.
    pub(super) fn adopt(&mut self, id: LinkId, member: MemberId, now: Now) {
        let mine = self.leaf.public();
        let Some(state) = self.links.get_mut(&id) else { return };
        let Some(up) = state.up.clone() else { return };
        let Some(peer) = self.peers.members.get_mut(&member) else { return };
        let replaced = peer.link.filter(|old| *old != id);
        if let Some(replaced) = replaced {
            let old = self.links.get(&replaced);
            let old_dialled = old.and_then(|l| l.up.as_ref()).map(|u| u.dialled);
            let silent = now.mono.saturating_duration_since(peer.heard) > HEARTBEAT * 2;
            // Whoever dials although there has been a connection for a while has moved to where
            // that one can't follow.
            let age = old.and_then(|l| l.since).map(|t| now.mono.saturating_duration_since(t));
            let crossed = age.is_some_and(|age| age < CROSSING);
            // Both dialled at once: the connection dialled by the lower leaf key stays.
            let glare = old_dialled.is_some_and(|d| d != up.dialled) && crossed && !silent;
            let keep_new = !glare || (up.dialled == (mine < up.peer_key));
            if !keep_new {
                self.close_link(id, close::DUPLICATE);
                return;
            }
            self.close_link(replaced, close::DUPLICATE);
        }
        let Some(state) = self.links.get_mut(&id) else { return };
        state.settle(Stage::Member(member));
        let Some(peer) = self.peers.members.get_mut(&member) else { return };
        peer.link = Some(id);
        peer.remote = Some(up.remote);
        // Not heard yet: it may hold the key and not be in the group, its Welcome being lost.
        peer.dialling = false;
        peer.next_dial = None;
        peer.tried = 0;
        peer.parted = false;
        peer.feedback = Feedback::new(now.mono);
        if self.config.constant_rate {
            peer.feedback.constant();
        }
        self.peers.share_line();
        let Some(peer) = self.peers.members.get_mut(&member) else { return };
        if up.dialled && !peer.addresses.contains(&up.remote) {
            peer.addresses.insert(0, up.remote);
        }
        self.out.push_back(Output::Authenticated(id));
        self.greet(member, id, now);
        self.send_proofs(id);
        self.event(Event::Budgets);
        if replaced.is_some() {
            // The pictures under way went with the old connection.
            self.event(Event::KeyframeWanted(member));
        }
        for bytes in self.peers.held.remove(&id).unwrap_or_default() {
            // Errors are this side's own; the message has been counted if it was bad.
            let _ = self.control(id, bytes, now);
        }
    }

    /// Tells a member about us: where we are, what we send, what we want of it.
    pub(super) fn greet(&mut self, member: MemberId, link: LinkId, now: Now) {
        let Some(peer) = self.peers.members.get_mut(&member) else { return };
        let wants = peer.my_want;
        let Tracks { mic, camera } = self.tracks;
        self.tell(member, MemberMessage::Tracks { mic, camera });
        if let Some(want) = wants {
            self.tell(member, MemberMessage::Want(want));
        }
        self.send_heartbeat(member, link, now);
        if let Some(group) = &self.group {
            let ack = wire_ack(group.sign_ack());
            self.send_control(link, &Control::Ack(ack));
        }
    }

    pub(super) fn member_link_down(
        &mut self,
        id: LinkId,
        member: MemberId,
        why: LinkDown,
        now: Now,
    ) -> Result<(), CallError> {
        let removes = self.may_remove(member);
        let Some(peer) = self.peers.members.get_mut(&member) else { return Ok(()) };
        if peer.link != Some(id) {
            return Ok(());
        }
        peer.link = None;
        self.peers.share_line();
        let Some(peer) = self.peers.members.get_mut(&member) else { return Ok(()) };
        if let Some((_, reason)) = self.leaving.clone() {
            // Nobody left to say goodbye to.
            if self.peers.connected().next().is_none() {
                self.finish(reason);
            }
            return Ok(());
        }
        match why {
            LinkDown::ClosedByPeer(close::LEFT) => {
                peer.parted = true;
                peer.lost_since = Some(now.mono);
                self.event(Event::Lost(member, true));
                self.wishes.add(Wish::Lost(member));
                return self.pursue(now);
            }
            LinkDown::ClosedByPeer(close::REMOVED) if removes => {
                let by = self.peers.members.get(&member).map(|p| p.credential.name.to_string());
                self.finish(EndReason::Removed { by: by.unwrap_or_default() });
                return Ok(());
            }
            _ => {}
        }
        peer.next_dial = Some(now.mono + Duration::from_millis(250));
        if peer.lost_since.is_none() {
            peer.lost_since = Some(now.mono);
            self.event(Event::Lost(member, true));
        }
        Ok(())
    }

    /// Its word alone ends our part: the host's, or that of whoever leads.
    fn may_remove(&self, member: MemberId) -> bool {
        let Some(group) = &self.group else { return false };
        let host = group.roster().member(member).map(|row| row.identity);
        host == Some(group.state().host) || self.sequencer() == Some(member)
    }

    /// The path of a connection is another one: our machine, or the peer's, has moved to another
    /// network. QUIC moves a connection along with the side that dialled it (RFC 9000 §9); where
    /// that is the other side, and it is we who moved, only a new one helps.
    pub(super) fn moved(&mut self, link: LinkId, ours: bool, remote: SocketAddr, now: Now) {
        let Some(state) = self.links.get(&link) else { return };
        let dialled = state.up.as_ref().is_some_and(|up| up.dialled);
        let Some(member) = state.member() else { return };
        let Some(peer) = self.peers.members.get_mut(&member) else { return };
        if peer.link != Some(link) {
            return;
        }
        peer.remote = Some(remote);
        peer.feedback.moved(now.mono);
        self.event(Event::Budgets);
        let Some(peer) = self.peers.members.get_mut(&member) else { return };
        if ours && !dialled && !peer.dialling {
            peer.dialling = true;
            let anew = self.fresh_link();
            self.links.insert(anew, LinkState::dialling_member(member));
            self.out.push_back(Output::Dial(anew, remote));
        }
    }

    /// Lost members: shown, redialled, in the end removed.
    pub(super) fn check_peers(&mut self, now: Now) -> Result<(), CallError> {
        let ids: Vec<_> = self.peers.members.keys().copied().collect();
        for id in ids {
            let Some(peer) = self.peers.members.get_mut(&id) else { continue };
            let silent = now.mono.saturating_duration_since(peer.heard) >= LOST;
            match peer.lost_since {
                None if silent => {
                    peer.lost_since = Some(now.mono);
                    self.event(Event::Lost(id, true));
                    self.event(Event::Budgets);
                }
                Some(_) if !silent && peer.link.is_some() => {
                    peer.lost_since = None;
                    self.event(Event::Lost(id, false));
                    self.tell(id, MemberMessage::KeyframePlease);
                    self.event(Event::Budgets);
                }
                Some(_) if peer.look.max(peer.heard + GIVE_UP) <= now.mono => {
                    peer.look = now.mono + REDIAL;
                    if self.lost_to_most(id, now.mono) {
                        self.wishes.add(Wish::Lost(id));
                    }
                }
                _ => {}
            }
            self.dial_member(id, now);
        }
        self.dial_formers(now);
        self.pursue(now)
    }

    /// Most members we hear don't hear it either.
    pub(super) fn lost_to_most(&self, id: MemberId, now: Instant) -> bool {
        let place = self.place();
        let others = self
            .peers
            .members
            .iter()
            .filter(|(other, p)| **other != id && p.is_heard(now) && p.place == place);
        let (all, lack) = others.fold((0, 0), |(all, lack), (_, p)| {
            (all + 1, lack + usize::from(!p.hears.contains(&id)))
        });
        all == 0 || lack * 2 > all
    }

    pub(super) fn dial_member(&mut self, id: MemberId, now: Now) {
        let link = LinkId(self.next_link);
        let Some(peer) = self.peers.members.get_mut(&id) else { return };
        if peer.dialling || peer.next_dial.is_none_or(|t| t > now.mono) {
            return;
        }
        let addresses = peer.reachable_at();
        if peer.link.is_some() || addresses.is_empty() {
            peer.next_dial = None;
            return;
        }
        let Some(to) = addresses.get(peer.tried % addresses.len()).copied() else { return };
        peer.dialling = true;
        peer.next_dial = None;
        self.next_link += 1;
        self.links.insert(link, LinkState::dialling_member(id));
        self.out.push_back(Output::Dial(link, to));
    }
}
