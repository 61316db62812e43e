//! Members: who is in the group, how they are reached, what they said about themselves; and the
//! group's changes on their way through the mesh.

use super::feedback::Feedback;
use super::handshake::Stage;
use super::*;
use crate::group::{
    Agreement, CheckedCredential, CredentialCheck, CredentialRefused, LocalMember, Pending, Reason,
    ReceiveError, Received,
};
use crate::identity::Credential;
use crate::identity::words::WordsInput;
use crate::media::frame::Want;
use crate::wire::control::{Ack, Control, MemberMessage};
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
const CREDENTIAL_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Commits kept for members that missed them.
const KEEP_BUNDLES: usize = 16;
/// Messages kept for a member until they can be sealed.
const MAX_PENDING: usize = 16;
/// Messages kept, unread, for a connection whose key the roster does not name yet.
const MAX_HELD: usize = 16;
/// Keyframes are asked of a member at most this often.
const KEYFRAME_GAP: Duration = Duration::from_millis(500);

/// All other members.
#[derive(Default)]
pub(super) struct Peers {
    members: BTreeMap<MemberId, Peer>,
    bundles: VecDeque<(u64, Bytes)>,
    held: BTreeMap<LinkId, Vec<Bytes>>,
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
    addresses: Vec<SocketAddr>,
    tried: usize,
    dialling: bool,
    next_dial: Option<Instant>,
    their_want: Option<Want>,
    my_want: Option<Want>,
    pending: Vec<MemberMessage>,
    keyframe_asked: Option<Instant>,
    feedback: Feedback,
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

    pub(super) fn words_compared(&mut self) {
        for peer in self.members.values_mut() {
            peer.compared = true;
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
            if let Some(t) = peer.feedback.wake_at() {
                earlier(t);
            }
        }
        at
    }
}

/// Checks credentials inside the group, at a time.
pub(super) struct Checker {
    pub(super) group_id: [u8; 16],
    pub(super) now: crate::time::Wall,
}

impl CredentialCheck for Checker {
    fn check(&self, credential: &[u8]) -> Result<CheckedCredential, CredentialRefused> {
        let refused = |e: &dyn std::fmt::Display| CredentialRefused(e.to_string());
        let credential = Credential::decode(credential).map_err(|e| refused(&e))?;
        credential.verify(&self.group_id, self.now).map_err(|e| refused(&e))?;
        Ok(CheckedCredential { identity: credential.identity.0, leaf_key: credential.leaf_key })
    }
}

/// A change of the group, as the call follows it.
pub(super) struct Change {
    by: MemberId,
    added: bool,
    removed: Vec<(MemberId, Reason)>,
}

impl Call {
    pub(super) fn check(&self, group_id: [u8; 16], now: Now) -> Checker {
        Checker { group_id, now: now.wall }
    }

    /// This participant's credential as it stands in its leaf.
    pub(super) fn my_credential(&self) -> Vec<u8> {
        let Some(group) = &self.group else { return Vec::new() };
        group.roster().member(group.me()).map(|row| row.credential.clone()).unwrap_or_default()
    }

    /// This participant's credential and leaf key for a group.
    pub(super) fn local_member(
        &self,
        group_id: [u8; 16],
        now: Now,
    ) -> Result<LocalMember, CallError> {
        let not_after = crate::time::Wall(
            now.wall.0 + u64::try_from(CREDENTIAL_LIFE.as_millis()).unwrap_or(u64::MAX / 2),
        );
        let credential = Credential::issue(
            &self.identity,
            self.config.name.clone(),
            self.leaf.public(),
            group_id,
            not_after,
        )?;
        Ok(LocalMember {
            credential: credential.encode(),
            leaf_seed: self.leaf.seed_for_tls_or_mls(),
            leaf_key: self.leaf.public(),
        })
    }

    pub(super) fn member_with_key(&self, key: &[u8; 32]) -> Option<MemberId> {
        let group = self.group.as_ref()?;
        let me = group.me();
        group.roster().members.iter().find(|m| m.leaf_key == *key && m.id != me).map(|m| m.id)
    }

    pub(super) fn leaf_key_of(&self, member: MemberId) -> Option<[u8; 32]> {
        self.group.as_ref()?.roster().members.iter().find(|m| m.id == member).map(|m| m.leaf_key)
    }

    pub(super) fn sequencer_name(&self) -> String {
        let Some(group) = &self.group else { return "nobody".into() };
        let sequencer = group.roster().sequencer;
        self.peers
            .members
            .get(&sequencer)
            .map_or_else(|| "you".into(), |p| p.credential.name.to_string())
    }

    /// Merges an own commit and tells everybody.
    pub(super) fn commit(&mut self, pending: Pending, now: Now) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let before = group.epoch();
        let bundle = Bytes::from(pending.bundle.clone());
        for violation in &pending.dropped {
            self.counters.bad_group += 1;
            let from = violation.by;
            self.out.push_back(Output::Event(Event::BadGroupMessage {
                from,
                why: violation.to_string(),
            }));
        }
        let change = Change {
            by: group.me(),
            added: pending.added.is_some(),
            removed: pending.removed.clone(),
        };
        group.merge_pending(pending)?;
        self.broadcast(&Control::Bundle(bundle.clone()));
        self.remember_bundle(before, bundle);
        self.enter_epoch(now, Some(change))
    }

    fn remember_bundle(&mut self, epoch: u64, bundle: Bytes) {
        self.peers.bundles.push_back((epoch, bundle));
        while self.peers.bundles.len() > KEEP_BUNDLES {
            self.peers.bundles.pop_front();
        }
    }

    fn broadcast(&mut self, message: &Control) {
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
            self.peers.members.insert(row.id, peer);
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

    fn forget(&mut self, id: MemberId, reason: Option<Reason>, by: Option<MemberId>) {
        let Some(peer) = self.peers.members.remove(&id) else { return };
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

    /// Says, signed, which state we are in.
    fn acknowledge(&mut self) -> Result<(), CallError> {
        let Some(group) = &self.group else { return Ok(()) };
        if self.peers.members.is_empty() {
            return Ok(());
        }
        let ack = wire_ack(group.sign_ack());
        self.broadcast(&Control::Ack(ack));
        Ok(())
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
            LinkDown::ClosedByPeer(close::REMOVED) => {
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

    fn dial_member(&mut self, id: MemberId, now: Now) {
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

    /// One message of the control stream, whoever sent it.
    pub(super) fn control(&mut self, id: LinkId, bytes: Bytes, now: Now) -> Result<(), CallError> {
        let Some(state) = self.links.get(&id) else { return Ok(()) };
        let stage = state.stage;
        let Ok(message) = Control::decode(&bytes) else {
            self.counters.malformed += 1;
            self.close_link_of(id, close::MISBEHAVED, now)?;
            return Ok(());
        };
        match stage {
            Stage::Member(member) => self.member_says(id, member, message, now),
            Stage::Stranger if !matches!(message, Control::Knock(_)) => {
                let held = self.peers.held.entry(id).or_default();
                if held.len() < MAX_HELD {
                    held.push(bytes);
                }
                Ok(())
            }
            _ => self.stranger_says(id, message, now),
        }
    }

    fn close_link_of(&mut self, id: LinkId, code: u32, now: Now) -> Result<(), CallError> {
        let stage = self.links.get(&id).map(|l| l.stage);
        self.out.push_back(Output::Close(id, code));
        if stage.is_some() {
            self.link_down(id, LinkDown::ClosedByUs, now)?;
        }
        Ok(())
    }

    fn member_says(
        &mut self,
        id: LinkId,
        member: MemberId,
        message: Control,
        now: Now,
    ) -> Result<(), CallError> {
        match message {
            Control::Hello { epoch } => {
                self.help_laggard(id, epoch);
                Ok(())
            }
            Control::Bundle(bytes) | Control::Proposal(bytes) => {
                self.group_message(member, bytes, now)
            }
            Control::Ack(ack) => {
                self.take_ack(member, &ack);
                Ok(())
            }
            Control::Heartbeat { epoch, .. } => {
                self.help_laggard(id, epoch);
                Ok(())
            }
            Control::GroupMessage(bytes) => {
                self.sealed_in_group(member, &bytes, now);
                Ok(())
            }
            Control::Sealed(bytes) => {
                self.open_control(id, &bytes, now);
                Ok(())
            }
            // An answer to a handshake that is over, or a repetition.
            _ => {
                self.counters.malformed += 1;
                Ok(())
            }
        }
    }

    fn group_message(&mut self, from: MemberId, bytes: Bytes, now: Now) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let check = Checker { group_id: group.id(), now: now.wall };
        let before = group.epoch();
        match group.receive(&bytes, &check) {
            Ok(Received::Duplicate) => Ok(()),
            Ok(Received::Proposal { .. }) => {
                if group.is_sequencer() {
                    // A commit takes everything along that was proposed.
                    let pending = group.update(&check)?;
                    return self.commit(pending, now);
                }
                Ok(())
            }
            Ok(Received::Commit(staged)) => {
                if staged.evicts_me {
                    let by = self.peers.members.get(&staged.by);
                    let by = by.map(|p| p.credential.name.to_string()).unwrap_or_default();
                    let reason = match &self.leaving {
                        Some((_, reason)) => reason.clone(),
                        None => EndReason::Removed { by },
                    };
                    self.finish(reason);
                    return Ok(());
                }
                let change = Change {
                    by: staged.by,
                    added: staged.added.is_some(),
                    removed: staged.removed.clone(),
                };
                group.merge(*staged)?;
                self.remember_bundle(before, bytes);
                self.enter_epoch(now, Some(change))?;
                self.say_farewell_again(now)
            }
            // A commit or proposal that crossed another on the way: the next epoch settles it.
            Err(ReceiveError::Stale(_)) => Ok(()),
            Err(error) => {
                self.counters.bad_group += 1;
                self.event(Event::BadGroupMessage { from, why: error.to_string() });
                Ok(())
            }
        }
    }

    fn take_ack(&mut self, from: MemberId, ack: &Ack) {
        let Some(group) = &self.group else { return };
        match group.verify_ack(from, &group_ack(ack)) {
            Ok(Agreement::Same) => self.epoch_acked(from, ack.epoch),
            Ok(Agreement::Differs) => self.event(Event::Split(from)),
            Ok(Agreement::OtherEpoch) => {}
            Err(_) => self.counters.bad_group += 1,
        }
    }

    /// A member behind us gets the commits it missed.
    fn help_laggard(&mut self, link: LinkId, theirs: u64) {
        let Some(group) = &self.group else { return };
        if theirs >= group.epoch() {
            return;
        }
        let missed: Vec<_> = self
            .peers
            .bundles
            .iter()
            .filter(|(epoch, _)| *epoch >= theirs)
            .map(|(_, b)| b.clone())
            .collect();
        for bundle in missed {
            self.send_control(link, &Control::Bundle(bundle));
        }
    }

    fn sealed_in_group(&mut self, from: MemberId, bytes: &[u8], now: Now) {
        let Some(group) = &mut self.group else { return };
        match group.open_message(bytes) {
            Ok((sender, plaintext)) if sender == from => match MemberMessage::decode(&plaintext) {
                Ok(message) => self.member_message(from, message, now),
                Err(_) => self.counters.malformed += 1,
            },
            Ok(_) => self.counters.forged += 1,
            Err(_) => self.counters.bad_group += 1,
        }
    }

    pub(super) fn member_message(&mut self, from: MemberId, message: MemberMessage, now: Now) {
        match message {
            MemberMessage::Want(want) => {
                if let Some(peer) = self.peers.members.get_mut(&from) {
                    peer.their_want = Some(want);
                }
                self.event(Event::Want(from, want));
            }
            MemberMessage::KeyframePlease => self.event(Event::KeyframeWanted(from)),
            MemberMessage::Tracks { mic, camera } => {
                let tracks = Tracks { mic, camera };
                if let Some(peer) = self.peers.members.get_mut(&from) {
                    peer.tracks = tracks;
                }
                self.event(Event::Tracks(from, tracks));
            }
            MemberMessage::Addresses(list) => self.learn_addresses(from, list, now),
            MemberMessage::Report(report) => self.take_report(from, &report, now),
        }
    }

    /// Tells members where the others can be reached: what they said and what was seen.
    pub(super) fn announce_addresses(&mut self) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let mut list = vec![(group.me(), self.config.addresses.clone())];
        for (id, peer) in &self.peers.members {
            let mut addresses = peer.addresses.clone();
            if let Some(remote) = peer.remote.filter(|r| !addresses.contains(r)) {
                addresses.push(remote);
            }
            list.push((*id, addresses));
        }
        let message = MemberMessage::Addresses(list).encode();
        let sealed = group.seal_message(&message)?;
        self.broadcast(&Control::GroupMessage(sealed.into()));
        Ok(())
    }

    fn learn_addresses(
        &mut self,
        from: MemberId,
        list: Vec<(MemberId, Vec<SocketAddr>)>,
        now: Now,
    ) {
        let me = self.me();
        for (id, addresses) in list {
            let Some(peer) = self.peers.members.get_mut(&id) else { continue };
            for address in addresses {
                // A member's own word comes first; others can only add.
                if peer.addresses.len() < 8 && !peer.addresses.contains(&address) {
                    if id == from {
                        peer.addresses.insert(0, address);
                    } else {
                        peer.addresses.push(address);
                    }
                }
            }
            // The newcomer dials.
            if peer.link.is_none() && !peer.dialling && me > Some(id) {
                peer.next_dial = Some(now.mono);
            }
            self.dial_member(id, now);
        }
    }

    /// Queues a message for a member; it goes out as soon as it can be sealed.
    pub(super) fn tell(&mut self, member: MemberId, message: MemberMessage) {
        if let Some(peer) = self.peers.members.get_mut(&member) {
            let kind = std::mem::discriminant(&message);
            peer.pending.retain(|m| std::mem::discriminant(m) != kind);
            if peer.pending.len() < MAX_PENDING {
                peer.pending.push(message);
            }
        }
        self.flush_member_messages();
    }

    pub(super) fn flush_member_messages(&mut self) {
        let waiting: Vec<_> = self
            .peers
            .members
            .iter()
            .filter(|(_, p)| !p.pending.is_empty())
            .filter_map(|(id, p)| Some((*id, p.link?)))
            .collect();
        for (id, link) in waiting {
            let Some(peer) = self.peers.members.get_mut(&id) else { continue };
            let messages = std::mem::take(&mut peer.pending);
            for (i, message) in messages.iter().enumerate() {
                let Some(sealed) = self.seal_data(&message.encode()) else {
                    if let Some(peer) = self.peers.members.get_mut(&id) {
                        peer.pending = messages.into_iter().skip(i).collect();
                    }
                    return;
                };
                self.send_control(link, &Control::Sealed(sealed));
            }
        }
    }

    pub(super) fn set_want(&mut self, member: MemberId, want: Want) {
        let Some(peer) = self.peers.members.get_mut(&member) else { return };
        if peer.my_want == Some(want) {
            return;
        }
        peer.my_want = Some(want);
        self.tell(member, MemberMessage::Want(want));
    }

    pub(super) fn ask_keyframe(&mut self, member: MemberId, now: Now) {
        let Some(peer) = self.peers.members.get_mut(&member) else { return };
        if peer.keyframe_asked.is_some_and(|t| t + KEYFRAME_GAP > now.mono) {
            return;
        }
        peer.keyframe_asked = Some(now.mono);
        self.tell(member, MemberMessage::KeyframePlease);
    }

    pub(super) fn announce_tracks(&mut self) {
        let message = MemberMessage::Tracks { mic: self.tracks.mic, camera: self.tracks.camera };
        let ids: Vec<_> = self.peers.members.keys().copied().collect();
        for id in ids {
            self.tell(id, message.clone());
        }
    }

    fn send_heartbeat(&mut self, link: LinkId) {
        let Some(group) = &self.group else { return };
        let (epoch, confirmation_hash) = (group.epoch(), group.confirmation_hash());
        self.send_control(link, &Control::Heartbeat { epoch, confirmation_hash });
    }

    pub(super) fn heartbeat(&mut self, _now: Now) {
        let links: Vec<_> = self.peers.connected().map(|(_, l)| l).collect();
        for link in links {
            self.send_heartbeat(link);
        }
    }

    /// Fresh keys for everybody, on request.
    pub(super) fn rekey(&mut self, now: Now) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Err(CallError::Gone("the call")) };
        if group.is_sequencer() {
            let pending = group.update(&Checker { group_id: group.id(), now: now.wall })?;
            self.commit(pending, now)
        } else {
            let proposal = group.propose_update()?;
            self.broadcast(&Control::Proposal(proposal.into()));
            Ok(())
        }
    }

    /// Fresh keys for everybody, in time.
    pub(super) fn heal_if_due(&mut self, now: Now) -> Result<(), CallError> {
        if self.next_healing > now.mono {
            return Ok(());
        }
        self.next_healing = now.mono + HEALING;
        let sequencer = self.group.as_ref().is_some_and(Group::is_sequencer);
        if sequencer && !self.peers.members.is_empty() { self.rekey(now) } else { Ok(()) }
    }

    pub(super) fn remove(&mut self, member: MemberId, now: Now) -> Result<(), CallError> {
        self.remove_because(member, Reason::Decision, now)
    }

    pub(super) fn remove_lost(&mut self, member: MemberId, now: Now) -> Result<(), CallError> {
        self.remove_because(member, Reason::Lost, now)
    }

    fn remove_because(
        &mut self,
        member: MemberId,
        reason: Reason,
        now: Now,
    ) -> Result<(), CallError> {
        let who = self.sequencer_name();
        let Some(group) = &mut self.group else { return Err(CallError::Gone("the call")) };
        let check = Checker { group_id: group.id(), now: now.wall };
        if !group.is_sequencer() {
            return Err(CallError::NotSequencer(who));
        }
        if !group.roster().members.iter().any(|m| m.id == member) {
            return Err(CallError::Gone("that member"));
        }
        let pending = group.remove(&[member], reason, &check)?;
        self.commit(pending, now)
    }

    /// Hands over what only we can do, then says goodbye.
    pub(super) fn say_farewell(&mut self, now: Now) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        if group.is_sequencer() {
            let reached = |id: MemberId| {
                self.peers
                    .members
                    .get(&id)
                    .is_some_and(|p| p.lost_since.is_none() && p.link.is_some())
            };
            let lost: Vec<_> =
                self.peers.members.keys().copied().filter(|id| !reached(*id)).collect();
            if self.peers.members.len() == lost.len() {
                if let Some((_, reason)) = self.leaving.clone() {
                    self.finish(reason);
                }
                return Ok(());
            }
            // The first in join order that can still be heard takes over.
            let check = Checker { group_id: group.id(), now: now.wall };
            let pending = group.hand_over(&lost, &check)?;
            self.commit(pending, now)?;
        }
        let Some(group) = &mut self.group else { return Ok(()) };
        let proposal = group.propose_leave()?;
        self.broadcast(&Control::Proposal(proposal.into()));
        Ok(())
    }

    /// A commit that crossed our farewell emptied it: say it again in the new epoch.
    fn say_farewell_again(&mut self, now: Now) -> Result<(), CallError> {
        if self.leaving.is_some() { self.say_farewell(now) } else { Ok(()) }
    }
}

fn wire_ack(ack: crate::group::Ack) -> Ack {
    let crate::group::Ack { epoch, commit_hash, auth_hash, signature } = ack;
    Ack { epoch, commit_hash, auth_hash, signature }
}

fn group_ack(ack: &Ack) -> crate::group::Ack {
    let Ack { epoch, commit_hash, auth_hash, signature } = *ack;
    crate::group::Ack { epoch, commit_hash, auth_hash, signature }
}
