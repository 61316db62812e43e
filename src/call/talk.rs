//! What members tell each other: the control stream once a connection belongs to a member, and the
//! sealed messages in it.

use super::fence::Answer;
use super::handshake::Stage;
use super::membership::{KEYFRAME_GAP, MAX_HELD, MAX_PENDING};
use super::*;
use crate::media::frame::Want;
use crate::wire::control::{Control, MemberMessage};
use crate::wire::link::LinkDown;
use bytes::Bytes;

impl Call {
    /// One message of the control stream, whoever sent it.
    pub(super) fn control(&mut self, id: LinkId, bytes: Bytes, now: Now) -> Result<(), CallError> {
        let Some(state) = self.links.get(&id) else { return Ok(()) };
        let stage = state.stage;
        let Ok(message) = Control::decode(&bytes) else {
            self.counters.malformed += 1;
            self.close_link_of(id, close::MISBEHAVED, now)?;
            return Ok(());
        };
        if self.returning_over(id) {
            // Whatever they say, we aren't where they think we are – until the Welcome.
            return match message {
                Control::Welcome(welcome) => self.take_welcome_back(id, &welcome, now),
                Control::Introduce(people) => {
                    self.take_introduction(id, people, now);
                    Ok(())
                }
                _ => Ok(()),
            };
        }
        match stage {
            Stage::Parting(_) => Ok(()),
            Stage::Former(_) => self.former_says(id, message, now),
            Stage::Member(member) => self.member_says(id, member, message, now),
            Stage::Stranger if matches!(message, Control::Me { .. }) => {
                self.take_name(id, &message, now);
                Ok(())
            }
            Stage::Stranger if matches!(message, Control::Who { .. }) => {
                if let Control::Who { tag } = message {
                    self.say_name(id, &tag);
                }
                Ok(())
            }
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

    pub(super) fn close_link_of(
        &mut self,
        id: LinkId,
        code: u32,
        now: Now,
    ) -> Result<(), CallError> {
        let stage = self.links.get(&id).map(|l| l.stage);
        self.out.push_back(Output::Close(id, code));
        if stage.is_some() {
            self.link_down(id, LinkDown::ClosedByUs, now)?;
        }
        Ok(())
    }

    pub(super) fn member_says(
        &mut self,
        id: LinkId,
        member: MemberId,
        message: Control,
        now: Now,
    ) -> Result<(), CallError> {
        if !matches!(message, Control::Who { .. }) {
            self.peers.heard(member, now.mono);
        }
        match message {
            // Its heartbeat says more.
            Control::Hello { .. } => Ok(()),
            Control::Bundle(bytes) | Control::Proposal(bytes) => {
                self.group_message(id, member, bytes, now)
            }
            Control::Ack(ack) => self.take_ack(id, member, &ack, now),
            Control::Heartbeat(heartbeat) => {
                self.take_heartbeat(id, member, &heartbeat, now);
                Ok(())
            }
            Control::Offer { epoch, hash } => {
                self.take_offer(id, epoch, hash, now);
                Ok(())
            }
            Control::Fetch { epoch, hash } => {
                self.take_fetch(id, epoch, hash);
                Ok(())
            }
            Control::GrantRequest { epoch, confirmation, term } => {
                self.take_grant_request(id, member, Place { epoch, confirmation }, term, now)
            }
            Control::Grant(bytes) => self.take_grant(member, &bytes, now),
            Control::WelcomeFor { proposer, key, welcome } => {
                self.take_welcome_for(id, proposer, key, welcome, now)
            }
            Control::Ping { nonce } => {
                self.take_ping(id, nonce);
                Ok(())
            }
            Control::Pong { nonce, epoch, confirmation, woke } => {
                let answer = Answer { place: Place { epoch, confirmation }, woke };
                self.take_pong(member, nonce, answer, now);
                Ok(())
            }
            // A member's word; of anybody else only whoever we asked to be taken back.
            Control::Introduce(people) => {
                self.take_introduction(id, people, now);
                Ok(())
            }
            Control::Order(bytes) => self.take_order(Some(member), &bytes, now),
            Control::Equivocation(bytes) => self.take_equivocation(&bytes, now),
            Control::Branch(_)
            | Control::BranchAnswer(_)
            | Control::Back(_)
            | Control::Who { .. } => self.former_says(id, message, now),
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

    /// Messages between branches: from former members, and from members that moved on.
    fn former_says(&mut self, id: LinkId, message: Control, now: Now) -> Result<(), CallError> {
        match message {
            Control::Branch(bytes) => self.take_branch(id, &bytes, now),
            Control::BranchAnswer(bytes) => self.take_branch_answer(id, &bytes, now),
            Control::Back(package) => self.take_back(id, &package, now),
            Control::Who { tag } => {
                self.say_name(id, &tag);
                Ok(())
            }
            Control::Order(bytes) => self.take_order(None, &bytes, now),
            Control::Equivocation(bytes) => self.take_equivocation(&bytes, now),
            // It still takes us for a member of its branch.
            _ => Ok(()),
        }
    }

    pub(super) fn sealed_in_group(&mut self, from: MemberId, bytes: &[u8], now: Now) {
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
                let Some(peer) = self.peers.members.get_mut(&from) else { return };
                if peer.their_want.replace(want) != Some(want) {
                    self.event(Event::Want(from, want));
                }
            }
            MemberMessage::KeyframePlease => self.event(Event::KeyframeWanted(from)),
            MemberMessage::Tracks { mic, camera } => {
                let tracks = Tracks { mic, camera };
                let Some(peer) = self.peers.members.get_mut(&from) else { return };
                if std::mem::replace(&mut peer.tracks, tracks) != tracks {
                    self.event(Event::Tracks(from, tracks));
                }
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
            list.push((*id, peer.reachable_at()));
        }
        let message = MemberMessage::Addresses(list).encode();
        let sealed = group.seal_message(&message)?;
        self.broadcast(&Control::GroupMessage(sealed.into()));
        Ok(())
    }

    pub(super) fn learn_addresses(
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
}
