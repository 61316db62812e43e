//! Connections before they belong to a member: dialling, the three messages, closing strangers.
//!
//! A connection starts as a stranger's. Ours (dialled) either knocks at the host's door or, inside
//! the group, names a member whose leaf key TLS has just proved. Others' either knock, or show a
//! leaf key of the roster; an unknown key may wait a little for the commit that adds it.

use super::changes::{Change, Checker};
use super::connection::STRANGER;
pub(super) use super::connection::{LinkState, Stage};
use super::ring::{RING_PATIENCE, Ring};
use super::*;
use crate::group::{self, Expect, InvitePsk, PendingJoin};
use crate::identity::handshake::{self, Transcript};
use crate::identity::{Credential, DisplayName, IdentityPublic, contact_proof};
use crate::invite::Invite;
use crate::secret::Secret;
use crate::wire::control::Control;
use crate::wire::handshake::{Answer, AnswerBody, Knock, Proof, ProofBody};
use crate::wire::link::{LinkDown, LinkUp, Send};

/// A joiner waits for the host's decision this much longer than the host itself does.
const ADMISSION: Duration = Duration::from_secs(130);

/// Last words get this long.
const PARTING: Duration = Duration::from_millis(500);

/// Where this participant stands.
pub(super) enum PhaseState {
    /// In the group (a founder is from the start).
    Waiting,
    /// On the way in.
    Joining(Box<Joining>),
}

/// A joiner's state until the Welcome.
pub(super) struct Joining {
    pub(super) door: Door,
    pub(super) dials: Vec<Dialled>,
    /// The host claims a contact's name with another key: waits for the user.
    pub(super) doubt: Option<(IdentityPublic, DisplayName)>,
    pending: Option<(LinkId, PendingJoin, [u8; 16])>,
    refusal: Option<EndReason>,
}

/// What is knocked with.
pub(super) enum Door {
    /// An invite.
    Invite(Invite),
    /// Two pinned keys.
    Contact(Ring),
}

impl Door {
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        match self {
            Self::Invite(invite) => &invite.addresses,
            Self::Contact(ring) => &ring.addresses,
        }
    }

    fn id(&self) -> [u8; 8] {
        match self {
            Self::Invite(invite) => invite.id(),
            Self::Contact(ring) => ring.id(),
        }
    }

    fn k_proof(&self) -> Secret<32> {
        match self {
            Self::Invite(invite) => invite.k_proof(),
            Self::Contact(ring) => ring.k_proof(),
        }
    }

    fn host(&self) -> IdentityPublic {
        match self {
            Self::Invite(invite) => invite.host,
            Self::Contact(ring) => ring.them,
        }
    }

    fn psk(&self) -> Option<Secret<32>> {
        match self {
            Self::Invite(invite) => Some(invite.psk()),
            Self::Contact(_) => None,
        }
    }

    /// Whether it may lead to this group.
    fn leads_to(&self, group_id: &[u8; 16]) -> bool {
        match self {
            Self::Invite(invite) => invite.group_id() == *group_id,
            Self::Contact(_) => true,
        }
    }

    /// Whom it should lead to, in words.
    fn whose(&self) -> &'static str {
        match self {
            Self::Invite(_) => "the invite's host",
            Self::Contact(_) => "the contact you call",
        }
    }
}

/// One address of the invite and how far it got.
pub(super) struct Dialled {
    pub(super) link: LinkId,
    pub(super) to: SocketAddr,
    pub(super) result: Option<Result<(), DialFailure>>,
}

impl Call {
    pub(super) fn begin_joining(&mut self, door: Door) {
        let mut dials = Vec::new();
        for to in door.addresses().to_vec() {
            let link = self.fresh_link();
            self.links.insert(link, LinkState::new(Stage::DiallingHost(to), None));
            self.out.push_back(Output::Dial(link, to));
            dials.push(Dialled { link, to, result: None });
        }
        let joining = Joining { door, dials, doubt: None, pending: None, refusal: None };
        self.phase = PhaseState::Joining(Box::new(joining));
    }

    pub(super) fn fresh_link(&mut self) -> LinkId {
        // Links that come in are numbered by the driver from the same counter.
        let id = LinkId(self.next_link);
        self.next_link += 1;
        id
    }

    /// The number for a connection that just came in.
    pub fn accept_link(&mut self) -> LinkId {
        self.fresh_link()
    }

    pub(super) fn send_control(&mut self, link: LinkId, message: &Control) {
        self.out.push_back(Output::Send(link, Send::Control(message.encode().into())));
    }

    fn knocks_withdrawn(&mut self, link: LinkId) {
        let knocks = self.knocks.iter().filter(|(_, knock)| knock.link == link);
        for knock in knocks.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.knock_withdrawn(knock);
        }
    }

    pub(super) fn close_link(&mut self, link: LinkId, code: u32) {
        self.peers.held.remove(&link);
        if let Some(state) = self.links.remove(&link) {
            self.out.push_back(Output::Close(link, code));
            if matches!(state.stage, Stage::Knocking(_) | Stage::Former(_)) {
                // Whoever is thrown out while it waits, waits no more.
                self.knocks_withdrawn(link);
            }
        }
    }

    /// Closes a connection after its last words had time to go out; nothing is taken from it.
    pub(super) fn part(&mut self, link: LinkId, code: u32, now: Now) {
        if let Some(state) = self.links.get_mut(&link) {
            state.stage = Stage::Parting(code);
            state.deadline = Some(now.mono + PARTING);
        }
    }

    /// Turns a stranger away: told no more than the code, counted, shown.
    fn refuse(&mut self, link: LinkId, why: Refusal) {
        let code = match why {
            Refusal::Expired => close::EXPIRED,
            Refusal::UsedUp(_) => close::USED_UP,
            Refusal::Misbehaved => close::MISBEHAVED,
            Refusal::TooSlow => close::TIMEOUT,
            Refusal::WrongIdentity => close::DECLINED,
            Refusal::BadProof | Refusal::BadCredential => close::REFUSED,
        };
        let from = self.links.get(&link).and_then(|l| l.up.as_ref()).map(|u| u.remote);
        self.counters.refused += 1;
        self.close_link(link, code);
        self.event(Event::Refused { from, why });
    }

    pub(super) fn dial_failed(
        &mut self,
        link: LinkId,
        why: DialFailure,
        now: Now,
    ) -> Result<(), CallError> {
        let Some(state) = self.links.remove(&link) else { return Ok(()) };
        match state.stage {
            Stage::DiallingHost(to) => {
                self.note_dial(link, Err(why.clone()));
                self.event(Event::Dialled { to, failure: Some(why) });
                self.end_if_nowhere_left();
            }
            Stage::DiallingMember(member) => self.peers.dial_failed(member, now.mono),
            Stage::DiallingFormer(key) => self.former.dial_failed(&key, now.mono),
            _ => {}
        }
        Ok(())
    }

    fn note_dial(&mut self, link: LinkId, result: Result<(), DialFailure>) {
        if let PhaseState::Joining(joining) = &mut self.phase {
            for dial in joining.dials.iter_mut().filter(|d| d.link == link) {
                dial.result = Some(result.clone());
            }
        }
    }

    /// A joiner with no address left to try ends, with what each one said.
    fn end_if_nowhere_left(&mut self) {
        let PhaseState::Joining(joining) = &self.phase else { return };
        let open = joining.dials.iter().any(|d| self.links.contains_key(&d.link));
        if open || self.group.is_some() || joining.doubt.is_some() {
            return;
        }
        let failures: Vec<_> = joining
            .dials
            .iter()
            .map(|d| match &d.result {
                Some(Err(why)) => (d.to, why.clone()),
                _ => (d.to, DialFailure::TimedOut),
            })
            .collect();
        match (&joining.refusal, &joining.door) {
            (Some(refusal), _) => {
                let refusal = refusal.clone();
                self.finish(refusal);
            }
            (None, Door::Contact(_)) => self.contact_not_reached(failures),
            (None, Door::Invite(_)) => self.finish(EndReason::Unreachable(failures)),
        }
    }

    pub(super) fn link_up(&mut self, id: LinkId, up: LinkUp, now: Now) {
        let Some(state) = self.links.get_mut(&id) else {
            self.out.push_back(Output::Close(id, close::DUPLICATE));
            return;
        };
        state.up = Some(up.clone());
        state.since = Some(now.mono);
        match state.stage {
            Stage::DiallingHost(to) => {
                state.deadline = Some(now.mono + STRANGER);
                state.stage = Stage::KnockSent;
                self.note_dial(id, Ok(()));
                self.event(Event::Dialled { to, failure: None });
                self.send_knock(id, &up);
            }
            Stage::DiallingMember(member) => {
                if self.leaf_key_of(member) == Some(up.peer_key) {
                    let epoch = self.group.as_ref().map_or(0, Group::epoch);
                    self.send_control(id, &Control::Hello { epoch });
                    self.adopt(id, member, now);
                } else {
                    self.peers.dial_failed(member, now.mono);
                    self.somebody_else(id, up.peer_key, now);
                }
            }
            Stage::DiallingFormer(key) if key == up.peer_key => {
                // It may have come back meanwhile.
                match self.member_with_key(&key) {
                    Some(member) => self.adopt(id, member, now),
                    None => self.adopt_former(id, key, now),
                }
            }
            Stage::DiallingFormer(key) => {
                self.former.dial_failed(&key, now.mono);
                self.somebody_else(id, up.peer_key, now);
            }
            Stage::Stranger => self.recognise(id, up.peer_key, now),
            _ => {}
        }
    }

    /// Somebody else lives at the address we dialled: a stranger, or the same person with a new
    /// program – then the other side takes this connection for its own, and so do we. An unknown
    /// key is asked whose it is.
    fn somebody_else(&mut self, id: LinkId, key: [u8; 32], now: Now) {
        let known = self.member_with_key(&key).is_some() || self.former.list.contains_key(&key);
        if known {
            self.recognise(id, key, now);
        } else if let Some(state) = self.links.get_mut(&id) {
            state.estrange(now.mono, Duration::ZERO);
            self.ask_who(id);
        }
    }

    /// A connection came in: is its key a member's, or was it?
    fn recognise(&mut self, id: LinkId, key: [u8; 32], now: Now) {
        if self.liars.contains_key(&key) {
            self.close_link(id, close::MISBEHAVED);
        } else if let Some(member) = self.member_with_key(&key) {
            self.adopt(id, member, now);
        } else if self.former.barred.contains(&key) {
            self.send_orders(id);
            self.part(id, close::REMOVED, now);
        } else if self.former.list.contains_key(&key) {
            self.adopt_former(id, key, now);
        }
    }

    pub(super) fn transcript(&self, up: &LinkUp) -> Transcript {
        let mine = self.leaf.public();
        let (dialler, listener) =
            if up.dialled { (mine, up.peer_key) } else { (up.peer_key, mine) };
        Transcript::new(&up.exporter, &dialler, &listener)
    }

    fn send_knock(&mut self, id: LinkId, up: &LinkUp) {
        let PhaseState::Joining(joining) = &self.phase else { return };
        let transcript = self.transcript(up);
        let knock = handshake::knock(&joining.door.k_proof(), joining.door.id(), &transcript);
        self.send_control(id, &Control::Knock(knock));
    }

    /// Messages on a connection that belongs to nobody yet.
    pub(super) fn stranger_says(
        &mut self,
        id: LinkId,
        message: Control,
        now: Now,
    ) -> Result<(), CallError> {
        let Some(state) = self.links.get(&id) else { return Ok(()) };
        let Some(up) = state.up.clone() else { return Ok(()) };
        match (state.stage, message) {
            (Stage::Stranger, Control::Hello { .. }) => {
                // A member whose Add we have not merged yet: its link waits, unread.
                Ok(())
            }
            (Stage::Stranger, Control::Knock(knock)) => self.take_knock(id, &up, &knock, now),
            (Stage::KnockSent, Control::Answer(answer)) => self.take_answer(id, &up, &answer, now),
            (Stage::AnswerSent(invite), Control::Proof(proof)) => {
                self.take_proof(id, &up, invite, &proof, now)
            }
            (Stage::ProofSent, Control::Welcome(welcome)) => {
                self.take_welcome(id, &up, &welcome, now)
            }
            (Stage::KnockSent | Stage::ProofSent, Control::Used(sealed)) => {
                self.take_used(id, &up, &sealed);
                Ok(())
            }
            // Members greet each other before the Welcome is here.
            (Stage::ProofSent, _) | (Stage::Knocking(_), Control::Heartbeat(_)) => Ok(()),
            _ => {
                self.refuse(id, Refusal::Misbehaved);
                self.end_if_nowhere_left();
                Ok(())
            }
        }
    }

    /// Host: is there such an invite, and does the knocker hold it?
    fn take_knock(
        &mut self,
        id: LinkId,
        up: &LinkUp,
        knock: &Knock,
        now: Now,
    ) -> Result<(), CallError> {
        let transcript = self.transcript(up);
        let proof = self.proof_of(&knock.invite_id);
        let proof = proof.filter(|k| handshake::check_knock(k, knock, &transcript).is_ok());
        let open = self.invites.iter().find(|i| i.invite.id() == knock.invite_id);
        let verdict = match (proof, open) {
            (None, _) => Err(Refusal::BadProof),
            (Some(_), Some(open)) if open.expires < now.wall => Err(Refusal::Expired),
            (Some(_), Some(open)) if open.left == 0 => Err(Refusal::UsedUp(open.used_by)),
            (Some(proof), _) => Ok(proof),
        };
        let proof = match verdict {
            Ok(proof) => proof,
            Err(Refusal::UsedUp(_)) => {
                self.tell_used(id, &knock.invite_id, now);
                return Ok(());
            }
            Err(why) => {
                self.refuse(id, why);
                return Ok(());
            }
        };
        if self.group.is_none() {
            let Some(them) = self.contacts.at_door(&knock.invite_id) else { return Ok(()) };
            if !self.rung_while_calling(id, &them, now)? {
                return Ok(());
            }
        }
        let Some(group) = &self.group else { return Ok(()) };
        let body = AnswerBody { group_id: group.id(), credential: self.my_credential().into() };
        let sealed = handshake::answer(&proof, &transcript, &body);
        self.send_control(id, &Control::Answer(sealed));
        if let Some(state) = self.links.get_mut(&id) {
            state.stage = Stage::AnswerSent(knock.invite_id);
        }
        Ok(())
    }

    /// Host: the invite is used up; its holder hears by whom, and then the connection ends.
    pub(super) fn tell_used(&mut self, id: LinkId, invite: &[u8; 8], now: Now) {
        let open = self.invites.iter().find(|i| i.invite.id() == *invite);
        let by = open.and_then(|open| open.used_by);
        let up = self.links.get(&id).and_then(|l| l.up.clone());
        let why = Refusal::UsedUp(by);
        let (Some(open), Some(by), Some(up)) = (open, by, up) else {
            self.refuse(id, why);
            return;
        };
        let sealed = handshake::used(&open.invite.k_proof(), &self.transcript(&up), &by);
        self.send_control(id, &Control::Used(sealed.into()));
        self.counters.refused += 1;
        self.part(id, close::USED_UP, now);
        self.event(Event::Refused { from: Some(up.remote), why });
    }

    /// Joiner: somebody else came in with our invite.
    fn take_used(&mut self, id: LinkId, up: &LinkUp, sealed: &[u8]) {
        let PhaseState::Joining(joining) = &self.phase else { return };
        let k_proof = joining.door.k_proof();
        let Ok(by) = handshake::open_used(&k_proof, &self.transcript(up), sealed) else { return };
        if let PhaseState::Joining(joining) = &mut self.phase {
            joining.refusal = Some(EndReason::Refused(RefusedWhy::UsedUp(Some(by))));
            joining.pending = None;
        }
        self.close_link(id, close::LEFT);
        self.end_if_nowhere_left();
    }

    /// The proof key behind a knock's number: an invite's, or that of a contact who rings.
    fn proof_of(&self, id: &[u8; 8]) -> Option<Secret<32>> {
        if let Some(open) = self.invites.iter().find(|i| i.invite.id() == *id) {
            return Some(open.invite.k_proof());
        }
        let them = self.contacts.at_door(id)?;
        Some(contact_proof(&self.identity.public(), &them))
    }

    /// Joiner: is this the invite's host? Then say who we are.
    fn take_answer(
        &mut self,
        id: LinkId,
        up: &LinkUp,
        body: &Answer,
        now: Now,
    ) -> Result<(), CallError> {
        let PhaseState::Joining(joining) = &self.phase else { return Ok(()) };
        if joining.pending.is_some() {
            // The host answered at another of its addresses first.
            self.close_link(id, close::DUPLICATE);
            return Ok(());
        }
        let ringing = matches!(joining.door, Door::Contact(_));
        let (k_proof, host) = (joining.door.k_proof(), joining.door.host());
        let transcript = self.transcript(up);
        let Ok(answer) = handshake::open_answer(&k_proof, &transcript, body) else {
            return self.not_the_host(id, "whoever answered does not know the invite".into());
        };
        let credential = match Credential::decode(&answer.credential) {
            Ok(c)
                if c.verify(&answer.group_id, now.wall).is_ok()
                    && joining.door.leads_to(&answer.group_id) =>
            {
                c
            }
            _ => return self.not_the_host(id, "the host's credential does not hold".into()),
        };
        if credential.identity != host || credential.leaf_key != up.peer_key {
            let met = Fingerprint::of(&credential.identity);
            let whose = joining.door.whose();
            return self.not_the_host(id, format!("{met} answered instead of {whose}"));
        }
        if let Some(wanted) = self.config.expect
            && !wanted.matches(&credential.identity)
        {
            let met = Fingerprint::of(&credential.identity);
            return self.not_the_host(id, format!("{met} answered, {wanted} was expected"));
        }
        if let Some(known) = self.doubts_host(&credential) {
            self.hang_up_and_ask(&credential, known);
            return Ok(());
        }
        let local = self.local_member(answer.group_id, now)?;
        let check = self.check(answer.group_id, now);
        let (key_package, pending) = group::key_package(local, answer.group_id, &check)?;
        let proof =
            handshake::proof(&k_proof, &transcript, &ProofBody { key_package: key_package.into() });
        self.send_control(id, &Control::Proof(proof));
        if let Some(state) = self.links.get_mut(&id) {
            state.stage = Stage::ProofSent;
            let patience = if ringing { RING_PATIENCE } else { ADMISSION };
            state.deadline = Some(now.mono + patience);
        }
        self.out.push_back(Output::Authenticated(id));
        if let PhaseState::Joining(joining) = &mut self.phase {
            joining.pending = Some((id, pending, answer.group_id));
        }
        // One door is enough.
        self.stop_dialling(Some(id));
        self.event(Event::Knocked);
        Ok(())
    }

    /// Closes every connection on the way to the host but `kept`.
    pub(super) fn stop_dialling(&mut self, kept: Option<LinkId>) {
        let on_the_way =
            |l: &LinkState| matches!(l.stage, Stage::DiallingHost(_) | Stage::KnockSent);
        let others: Vec<_> = self
            .links
            .iter()
            .filter(|(other, l)| Some(**other) != kept && on_the_way(l))
            .map(|(other, _)| *other)
            .collect();
        for other in others {
            self.close_link(other, close::DUPLICATE);
        }
    }

    fn not_the_host(&mut self, id: LinkId, why: String) -> Result<(), CallError> {
        if let PhaseState::Joining(joining) = &mut self.phase {
            joining.refusal = Some(EndReason::WrongIdentity(why));
        }
        self.refuse(id, Refusal::WrongIdentity);
        self.end_if_nowhere_left();
        Ok(())
    }

    /// Host: who is it? Then ask the user.
    fn take_proof(
        &mut self,
        id: LinkId,
        up: &LinkUp,
        invite: [u8; 8],
        body: &Proof,
        now: Now,
    ) -> Result<(), CallError> {
        let transcript = self.transcript(up);
        let opened = self
            .proof_of(&invite)
            .and_then(|proof| handshake::open_proof(&proof, &transcript, body).ok());
        let Some(proof) = opened else {
            self.refuse(id, Refusal::BadProof);
            return Ok(());
        };
        let Some(group) = &self.group else { return Ok(()) };
        let credential = group
            .read_key_package(&proof.key_package)
            .ok()
            .filter(|package| package.leaf_key == up.peer_key)
            .and_then(|package| Credential::decode(&package.credential).ok())
            .filter(|c| c.leaf_key == up.peer_key && c.verify(&group.id(), now.wall).is_ok())
            // Who rings is the contact whose key is pinned, and nobody else.
            .filter(|c| self.contacts.at_door(&invite).is_none_or(|them| them == c.identity));
        let Some(credential) = credential else {
            self.refuse(id, Refusal::BadCredential);
            return Ok(());
        };
        self.knock(id, invite, credential, proof.key_package.to_vec(), now)
    }

    /// Joiner: the Welcome makes us a member, or the call ends.
    fn take_welcome(
        &mut self,
        id: LinkId,
        up: &LinkUp,
        welcome: &[u8],
        now: Now,
    ) -> Result<(), CallError> {
        let host_key = up.peer_key;
        let PhaseState::Joining(joining) = &mut self.phase else { return Ok(()) };
        let Some((link, pending, group_id)) = joining.pending.take() else { return Ok(()) };
        if link != id {
            return Ok(());
        }
        let psk = joining.door.psk();
        let invite = joining.door.id();
        let psk = psk.as_ref().map(|secret| InvitePsk { invite, secret });
        let expect = Expect { psk, host: joining.door.host().0 };
        let check = Checker { group_id, now: now.wall };
        let joined = pending.join(welcome, &expect, &check);
        match joined {
            Ok(group) => {
                self.group = Some(group);
                self.phase = PhaseState::Waiting;
                self.out.push_back(Output::Authenticated(id));
                self.enter_epoch(now, Change::default())?;
                if let Some(member) = self.member_with_key(&host_key) {
                    self.adopt(id, member, now);
                }
                self.announce_addresses()?;
                Ok(())
            }
            Err(error) => {
                self.finish(EndReason::WrongIdentity(format!("the host's welcome: {error}")));
                Ok(())
            }
        }
    }

    pub(super) fn link_down(
        &mut self,
        id: LinkId,
        why: LinkDown,
        now: Now,
    ) -> Result<(), CallError> {
        self.peers.held.remove(&id);
        let Some(state) = self.links.remove(&id) else { return Ok(()) };
        self.peers.held.remove(&id);
        if self.returning_over(id) {
            self.stop_returning(now);
        }
        // The other side stops returning, too.
        let key = state.key().filter(|key| !self.links.values().any(|l| l.key() == Some(*key)));
        key.iter().for_each(|key| self.wishes.stays_away(key));
        match state.stage {
            Stage::DiallingHost(_) | Stage::KnockSent | Stage::ProofSent => {
                let ringing = matches!(&self.phase, PhaseState::Joining(j) if matches!(j.door, Door::Contact(_)));
                let refusal = match why {
                    LinkDown::ClosedByPeer(close::REFUSED) if ringing => {
                        let why = "answers, but does not know you".to_string();
                        self.note_dial(id, Err(DialFailure::Network(why)));
                        None
                    }
                    LinkDown::ClosedByPeer(close::DUPLICATE) if ringing => {
                        self.called_too(now);
                        None
                    }
                    LinkDown::ClosedByPeer(code) => refused_by(code),
                    _ => None,
                };
                let was_proven = state.stage == Stage::ProofSent;
                if let PhaseState::Joining(joining) = &mut self.phase {
                    if let Some(refusal) = refusal {
                        joining.refusal = Some(refusal);
                    } else if was_proven {
                        joining.refusal = Some(EndReason::LostHost(why));
                    }
                    if was_proven {
                        joining.pending = None;
                    }
                }
                if state.up.is_none() || why == LinkDown::TimedOut {
                    self.note_dial(id, Err(DialFailure::TimedOut));
                }
                self.end_if_nowhere_left();
            }
            Stage::Knocking(_) => self.knocks_withdrawn(id),
            Stage::Member(member) => self.member_link_down(id, member, why, now)?,
            Stage::DiallingMember(member) => self.peers.dial_failed(member, now.mono),
            Stage::DiallingFormer(key) => self.former.dial_failed(&key, now.mono),
            Stage::Former(key) => {
                self.knocks_withdrawn(id);
                self.former.unlink(id, now.mono);
                match why {
                    LinkDown::ClosedByPeer(close::DECLINED | close::LOCKED) => {
                        self.former.declined(&key);
                    }
                    LinkDown::ClosedByPeer(close::REMOVED) => self.former.shut_out(&key, now.mono),
                    _ => {}
                }
            }
            Stage::Stranger | Stage::AnswerSent(_) | Stage::Parting(_) => {}
        }
        Ok(())
    }

    pub(super) fn expire_links(&mut self, now: Now) {
        let late: Vec<_> = self
            .links
            .iter()
            .filter(|(_, l)| l.deadline.is_some_and(|d| d <= now.mono))
            .map(|(id, l)| (*id, l.stage))
            .collect();
        for (id, stage) in late {
            if let Stage::Parting(code) = stage {
                self.close_link(id, code);
                continue;
            }
            if stage == Stage::ProofSent {
                if let PhaseState::Joining(joining) = &mut self.phase {
                    let ringing = matches!(joining.door, Door::Contact(_));
                    let why = if ringing { RefusedWhy::Unanswered } else { RefusedWhy::Declined };
                    joining.refusal = Some(EndReason::Refused(why));
                    joining.pending = None;
                }
                self.close_link(id, close::TIMEOUT);
            } else {
                self.note_dial(id, Err(DialFailure::TimedOut));
                self.refuse(id, Refusal::TooSlow);
            }
            self.end_if_nowhere_left();
        }
    }

    /// Strangers and former members whose key the roster now names become members.
    pub(super) fn adopt_waiting(&mut self, now: Now) {
        let waiting: Vec<_> = self
            .links
            .iter()
            .filter(|(_, l)| matches!(l.stage, Stage::Stranger | Stage::Former(_)))
            .filter(|(_, l)| {
                let waits = l.stage == Stage::Stranger;
                waits || l.key().is_some_and(|key| self.member_with_key(&key).is_some())
            })
            .filter_map(|(id, l)| Some((*id, l.key()?)))
            .collect();
        for (id, key) in waiting {
            self.recognise(id, key, now);
        }
    }
}

/// What a close code of the host means to somebody on the way in.
fn refused_by(code: u32) -> Option<EndReason> {
    Some(EndReason::Refused(match code {
        close::REFUSED => RefusedWhy::UnknownInvite,
        close::EXPIRED => RefusedWhy::Expired,
        close::USED_UP => RefusedWhy::UsedUp(None),
        close::DECLINED | close::TIMEOUT | close::LEFT => RefusedWhy::Declined,
        close::UNANSWERED => RefusedWhy::Unanswered,
        close::LOCKED => RefusedWhy::Locked,
        _ => return None,
    }))
}
