//! Members: who is in the group, how they are reached, what they said about themselves; and the
//! group's changes on their way through the mesh.

use super::changes::{Change, wire_ack};
use super::feedback::Feedback;
use super::handshake::Stage;
use super::*;
use crate::group::Reason;
use crate::identity::Credential;
use crate::identity::words::WordsInput;
use crate::media::frame::Want;
use crate::wire::control::{Control, MemberMessage};
use crate::wire::link::LinkDown;
use bytes::Bytes;

/// Fresh keys for everybody at least this often (PROTOCOL §4).
pub(super) const HEALING: Duration = Duration::from_secs(120);
/// A member unheard for this long is shown as lost.
const LOST: Duration = Duration::from_secs(3);
/// A member lost for this long is removed by whoever orders the changes.
const GIVE_UP: Duration = Duration::from_secs(20);
/// Between attempts to reach a lost member.
const REDIAL: Duration = Duration::from_secs(2);
/// A credential is good for this long after it is made; calls are shorter.
pub(super) const CREDENTIAL_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Commits kept for members that missed them.
pub const KEEP_BUNDLES: usize = 16;
/// Messages kept for a member until they can be sealed.
pub const MAX_PENDING: usize = 16;
/// Messages kept, unread, for a connection whose key the roster does not name yet.
pub const MAX_HELD: usize = 16;
/// Keyframes are asked of a member at most this often.
pub(super) const KEYFRAME_GAP: Duration = Duration::from_millis(500);

/// All other members.
#[derive(Default)]
pub(super) struct Peers {
    pub(super) members: BTreeMap<MemberId, Peer>,
    pub(super) bundles: VecDeque<(u64, Bytes)>,
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

    pub(super) fn heard(&mut self, member: MemberId, now: Instant) {
        if let Some(peer) = self.members.get_mut(&member) {
            peer.heard = now;
        }
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
                Some(if peer.tried < peer.addresses.len() { now } else { now + REDIAL });
        }
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        let mut at: Option<Instant> = None;
        let mut earlier = |t: Instant| at = Some(at.map_or(t, |a| a.min(t)));
        for peer in self.members.values() {
            match peer.lost_since {
                None => earlier(peer.heard + LOST),
                Some(since) => earlier(since + GIVE_UP),
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

    /// Follows the group into its current epoch: people, keys, roster, words.
    pub(super) fn enter_epoch(
        &mut self,
        now: Now,
        change: Option<Change>,
    ) -> Result<(), CallError> {
        let Some(group) = &self.group else { return Ok(()) };
        let roster = group.roster();
        let me = group.me();
        let authenticator = group.authenticator();
        let group_id = group.id();
        let removed: Vec<_> = change.as_ref().map(|c| c.removed.clone()).unwrap_or_default();
        let gone: Vec<MemberId> = self
            .peers
            .members
            .keys()
            .copied()
            .filter(|id| !roster.members.iter().any(|m| m.id == *id))
            .collect();
        let why = match &change {
            None => EpochWhy::Begun,
            Some(c) if c.added => EpochWhy::Joined,
            Some(c) if !c.removed.is_empty() => EpochWhy::Left,
            Some(_) => EpochWhy::Keys,
        };
        self.enter_keys(&roster, !gone.is_empty(), now)?;
        for id in gone {
            let reason = removed.iter().find(|(m, _)| *m == id).map(|(_, r)| *r);
            self.forget(id, reason, change.as_ref().map(|c| c.by));
        }
        let mut joined = Vec::new();
        for row in roster.members.iter().filter(|m| m.id != me) {
            if self.peers.members.contains_key(&row.id) {
                continue;
            }
            let Ok(credential) = Credential::decode(&row.credential) else { continue };
            let peer = Peer {
                credential,
                added_by: row.added_by,
                since_epoch: row.since_epoch,
                link: None,
                remote: None,
                heard: now.mono,
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
                feedback: Feedback::new(now.mono),
            };
            let (identity, name) = (peer.credential.identity, peer.credential.name.clone());
            self.peers.members.insert(row.id, peer);
            self.meet(row.id, &identity, &name);
            joined.push((row.id, row.added_by, row.since_epoch));
        }
        if why == EpochWhy::Begun && roster.members.len() > 1 {
            let mine = roster.members.iter().find(|m| m.id == me);
            joined.push((me, mine.and_then(|m| m.added_by), roster.epoch));
        }
        self.event(Event::Epoch { epoch: roster.epoch, roster: roster.digest(), why });
        for (member, by, epoch) in joined {
            self.event(Event::Joined { member, by, epoch });
        }
        if why != EpochWhy::Keys {
            let identities =
                roster.members.iter().map(|m| crate::keys::IdentityPublic(m.identity)).collect();
            let input = WordsInput { identities, group_id, authenticator };
            self.event(Event::WordsNeeded { epoch: roster.epoch, input });
        }
        self.next_healing = now.mono + HEALING;
        self.adopt_waiting(now);
        self.acknowledge()?;
        self.open_waiting(now);
        self.event(Event::Budgets);
        Ok(())
    }

    pub(super) fn forget(&mut self, id: MemberId, reason: Option<Reason>, by: Option<MemberId>) {
        let Some(peer) = self.peers.members.remove(&id) else { return };
        self.part_from(id);
        if let Some(link) = peer.link {
            let code = match reason {
                Some(Reason::Decision) => close::REMOVED,
                _ => close::LEFT,
            };
            self.close_link(link, code);
        }
        let how = match (reason, by) {
            (Some(Reason::Lost), _) => LeftHow::Lost,
            (Some(Reason::Decision), Some(by)) => LeftHow::Removed(by),
            _ => LeftHow::Left,
        };
        self.event(Event::Left { member: id, name: peer.credential.name.to_string(), how });
    }

    /// A connection belongs to a member from now on.
    pub(super) fn adopt(&mut self, id: LinkId, member: MemberId, now: Now) {
        let me = self.me();
        let Some(state) = self.links.get_mut(&id) else { return };
        let Some(up) = state.up.clone() else { return };
        let Some(peer) = self.peers.members.get_mut(&member) else { return };
        if let Some(old) = peer.link.filter(|old| *old != id) {
            let old_dialled = self.links.get(&old).and_then(|l| l.up.as_ref()).map(|u| u.dialled);
            let silent = now.mono.saturating_duration_since(peer.heard) > HEARTBEAT * 2;
            // Both dialled at once: the connection dialled by the later member stays.
            let glare = old_dialled.is_some_and(|d| d != up.dialled) && !silent;
            let keep_new = !glare || (up.dialled == (me > Some(member)));
            if !keep_new {
                self.close_link(id, close::DUPLICATE);
                return;
            }
            self.close_link(old, close::DUPLICATE);
        }
        let Some(state) = self.links.get_mut(&id) else { return };
        state.settle(Stage::Member(member));
        let Some(peer) = self.peers.members.get_mut(&member) else { return };
        peer.link = Some(id);
        peer.remote = Some(up.remote);
        peer.heard = now.mono;
        peer.dialling = false;
        peer.next_dial = None;
        peer.tried = 0;
        peer.feedback = Feedback::new(now.mono);
        if up.dialled && !peer.addresses.contains(&up.remote) {
            peer.addresses.insert(0, up.remote);
        }
        let was_lost = peer.lost_since.take().is_some();
        let wants = peer.my_want;
        self.out.push_back(Output::Authenticated(id));
        if was_lost {
            self.event(Event::Lost(member, false));
        }
        self.tell(
            member,
            MemberMessage::Tracks { mic: self.tracks.mic, camera: self.tracks.camera },
        );
        if let Some(want) = wants {
            self.tell(member, MemberMessage::Want(want));
        }
        if was_lost {
            self.tell(member, MemberMessage::KeyframePlease);
        }
        self.send_heartbeat(id);
        if let Some(group) = &self.group {
            let ack = wire_ack(group.sign_ack());
            self.send_control(id, &Control::Ack(ack));
        }
        self.event(Event::Budgets);
        for bytes in self.peers.held.remove(&id).unwrap_or_default() {
            // Errors are this side's own; the message has been counted if it was bad.
            let _ = self.control(id, bytes, now);
        }
    }

    pub(super) fn member_link_down(
        &mut self,
        id: LinkId,
        member: MemberId,
        why: LinkDown,
        now: Now,
    ) -> Result<(), CallError> {
        let Some(peer) = self.peers.members.get_mut(&member) else { return Ok(()) };
        if peer.link != Some(id) {
            return Ok(());
        }
        peer.link = None;
        if let Some((_, reason)) = self.leaving.clone() {
            // Nobody left to say goodbye to.
            if self.peers.connected().next().is_none() {
                self.finish(reason);
            }
            return Ok(());
        }
        let up_dialled = !peer.addresses.is_empty();
        match why {
            LinkDown::ClosedByPeer(close::LEFT) => {
                let sequencer = self.group.as_ref().is_some_and(Group::is_sequencer);
                if sequencer {
                    return self.remove_lost(member, now);
                }
            }
            // Only whoever makes the commits can say so; from others it is a lost connection.
            LinkDown::ClosedByPeer(close::REMOVED) if self.leads(member) => {
                let by = self.peers.members.get(&member).map(|p| p.credential.name.to_string());
                self.finish(EndReason::Removed { by: by.unwrap_or_default() });
                return Ok(());
            }
            _ => {}
        }
        let Some(peer) = self.peers.members.get_mut(&member) else { return Ok(()) };
        if up_dialled {
            peer.next_dial = Some(now.mono + Duration::from_millis(250));
        }
        if peer.lost_since.is_none() {
            peer.lost_since = Some(now.mono);
            self.event(Event::Lost(member, true));
        }
        Ok(())
    }

    /// This member makes the commits.
    fn leads(&self, member: MemberId) -> bool {
        self.group.as_ref().is_some_and(|g| g.roster().sequencer == member)
    }

    /// Lost members: shown, redialled, in the end removed.
    pub(super) fn check_peers(&mut self, now: Now) -> Result<(), CallError> {
        let sequencer = self.group.as_ref().is_some_and(Group::is_sequencer);
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
                Some(since) if since + GIVE_UP <= now.mono => {
                    if sequencer {
                        self.remove_lost(id, now)?;
                        continue;
                    }
                    // Not ours to remove: look again later.
                    peer.lost_since = Some(now.mono - GIVE_UP + REDIAL);
                }
                _ => {}
            }
            self.dial_member(id, now);
        }
        Ok(())
    }

    pub(super) fn dial_member(&mut self, id: MemberId, now: Now) {
        let link = LinkId(self.next_link);
        let Some(peer) = self.peers.members.get_mut(&id) else { return };
        if peer.dialling || peer.next_dial.is_none_or(|t| t > now.mono) {
            return;
        }
        if peer.link.is_some() || peer.addresses.is_empty() {
            peer.next_dial = None;
            return;
        }
        let Some(to) = peer.addresses.get(peer.tried % peer.addresses.len()).copied() else {
            return;
        };
        peer.dialling = true;
        peer.next_dial = None;
        self.next_link += 1;
        self.links.insert(link, LinkState::dialling_member(id));
        self.out.push_back(Output::Dial(link, to));
    }
}
