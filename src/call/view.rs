//! What a screen or a script can see of a call: plain values, made anew on request.

use super::admission::Entry;
use super::handshake::{PhaseState, Stage};
use super::*;

/// The whole call as it stands.
#[derive(Clone, Debug)]
pub struct CallView {
    /// Where this participant stands.
    pub phase: Phase,
    /// This participant's number in the group.
    pub me: Option<MemberId>,
    /// This participant's identity.
    pub my_fingerprint: Fingerprint,
    /// The group's epoch.
    pub epoch: u64,
    /// Everybody who holds keys, this participant included, in the order of joining.
    pub members: Vec<MemberView>,
    /// Whose commits order the group's changes.
    pub sequencer: Option<MemberId>,
    /// The epoch authenticator (RFC 9420 §8.7), equal for all members.
    pub authenticator: [u8; 32],
    /// Call words of the present members, once they are computed, and the epoch they are from: those
    /// of other members would be a false alarm if they were compared.
    pub words: Option<(u64, CallWords)>,
    /// Knocks that wait for an answer, oldest first.
    pub knocks: Vec<KnockView>,
    /// Open invites, newest last.
    pub invites: Vec<InviteView>,
    /// A joiner's diallings.
    pub dials: Vec<DialView>,
    /// Somebody with a contact's name and another key waits for the user's word.
    pub doubts: Vec<DoubtView>,
    /// The ledger.
    pub ledger: LedgerView,
    /// Nothing is sealed yet: the roster is not on screen.
    pub waiting_for_screen: bool,
    /// Why nothing is sealed now, if nothing is.
    pub held: Option<Held>,
    /// Nobody new may come in.
    pub locked: bool,
    /// Those who were removed by decision and may not come back.
    pub barred: Vec<BarredView>,
    /// This is a branch without a majority, which may have to give way.
    pub split: bool,
    /// Who led until somebody took over because they were silent, by name, as long as they are
    /// unheard in this branch: what they decided meanwhile, a removal for instance, is not known
    /// here.
    pub without: Option<String>,
    /// This participant is on its way back from a branch that gave way.
    pub returning: bool,
    /// Whoever orders the group's changes was not heard for this long, if longer than it should.
    pub sequencer_silent: Option<Duration>,
    /// Pairs of members, this participant among them, that are there but don't reach each other.
    pub unreachable: Vec<(MemberId, MemberId)>,
    /// This participant may decide about removals and the lock.
    pub may_decide: bool,
    /// Members that were lost and are waited for, by identity.
    pub waited_for: Vec<crate::identity::IdentityPublic>,
    /// What was dropped, by reason.
    pub counters: Counters,
}

/// Where a participant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Dialling the invite's addresses.
    Dialling,
    /// The host was reached and decides.
    Knocking,
    /// In the group, alone.
    Alone,
    /// In the group with others.
    InCall,
    /// Over.
    Ended,
}

/// One member.
#[derive(Clone, Debug)]
pub struct MemberView {
    /// Number.
    pub id: MemberId,
    /// It is this participant.
    pub is_me: bool,
    /// The name: the user's own petname, else the claimed one.
    pub name: String,
    /// The name they claim.
    pub claimed: String,
    /// Who.
    pub identity: crate::identity::IdentityPublic,
    /// Who, in short.
    pub fingerprint: Fingerprint,
    /// Note from the contacts, if known.
    pub known: Option<String>,
    /// The contact they could be taken for.
    pub looks_like: Option<Namesake>,
    /// Nothing is sent to them and nothing of them shown: their key is in doubt.
    pub held: bool,
    /// Where they say, or were seen, to be reached.
    pub addresses: Vec<SocketAddr>,
    /// Let in by, if not the founder.
    pub added_by: Option<MemberId>,
    /// Holds keys since this epoch.
    pub since_epoch: u64,
    /// What they say of their microphone and camera.
    pub tracks: Tracks,
    /// Connected, lost or on the way.
    pub link: LinkView,
    /// The user compared the call words with them present.
    pub compared: bool,
    /// Frames under another leaf's key than this member's that came from them.
    pub forged: u64,
    /// May let people in: host or admitter.
    pub may_admit: bool,
    /// Proved to have told different members different things: shut out.
    pub shut_out: bool,
}

/// Somebody who may not come back.
#[derive(Clone, Debug)]
pub struct BarredView {
    /// Who.
    pub identity: crate::identity::IdentityPublic,
    /// Who, in short.
    pub fingerprint: Fingerprint,
    /// The user's own name for them, else one they have claimed, if they are a contact.
    pub name: Option<String>,
}

/// How a member is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkView {
    /// This participant itself.
    Me,
    /// Directly, at this address.
    Direct(LinkId, SocketAddr),
    /// Not heard since.
    Lost(Instant),
    /// Not reached yet.
    Connecting,
}

/// A knock.
#[derive(Clone, Debug)]
pub struct KnockView {
    /// To answer it.
    pub id: KnockId,
    /// Who: proven.
    pub fingerprint: Fingerprint,
    /// Claimed name.
    pub name: String,
    /// Note from the contacts, if known.
    pub known: Option<String>,
    /// The contact they could be taken for.
    pub looks_like: Option<Namesake>,
    /// A contact who calls without an invite.
    pub ring: bool,
    /// Let in by people of another branch, while the call had fallen apart; now it is for us.
    pub introduced: bool,
    /// Which of the open invites (index from 1), if still listed.
    pub invite: Option<usize>,
    /// Where from.
    pub from: Option<SocketAddr>,
    /// Since.
    pub since: Instant,
}

/// An open invite.
#[derive(Clone, Debug)]
pub struct InviteView {
    /// Its text.
    pub text: String,
    /// Its text for a QR code (upper case: fewer modules).
    pub qr: String,
    /// Uses left.
    pub left: u8,
    /// Addresses in it.
    pub addresses: Vec<SocketAddr>,
    /// Valid until.
    pub expires: crate::time::Wall,
}

/// One dialling of a joiner.
#[derive(Clone, Debug)]
pub struct DialView {
    /// Where to.
    pub to: SocketAddr,
    /// `None`: under way.
    pub result: Option<Result<(), DialFailure>>,
}

impl Call {
    /// The call as it stands.
    pub fn view(&self) -> CallView {
        let (epoch, authenticator, sequencer) = match &self.group {
            Some(group) => (group.epoch(), group.authenticator(), Some(group.roster().sequencer)),
            None => (0, [0; 32], None),
        };
        CallView {
            phase: self.phase_view(),
            me: self.me(),
            my_fingerprint: Fingerprint::of(&self.identity.public()),
            epoch,
            members: self.members_view(),
            sequencer,
            authenticator,
            words: self.valid_words(),
            knocks: self.knocks_view(),
            invites: self.invites.iter().map(invite_view).collect(),
            dials: self.dials_view(),
            doubts: self.doubts_view(),
            ledger: self.ledger_view(),
            waiting_for_screen: self.epochs.gated(),
            held: self.fence_shown,
            locked: self.group.as_ref().is_some_and(|g| g.state().lock.is_some()),
            barred: self.barred_view(),
            split: self.group.as_ref().is_some_and(|g| g.state().split),
            without: self.without.as_ref().map(|before| self.name_of(before)),
            returning: self.is_returning(),
            sequencer_silent: self.silent_for(),
            unreachable: self.unreachable(),
            may_decide: self.may_decide(),
            waited_for: self.former.waiting_for().collect(),
            counters: self.counters,
        }
    }

    /// The member at the other end of a connection, once that is known.
    pub fn member_of(&self, link: LinkId) -> Option<MemberId> {
        self.links.get(&link)?.member()
    }

    /// The group's term: how often the sequencer changed, as its state counts.
    pub fn term(&self) -> u32 {
        self.group.as_ref().map_or(0, |group| group.state().term)
    }

    /// Connected members and their connections.
    pub fn view_links(&self) -> Vec<(MemberId, LinkId)> {
        self.peers.connected().collect()
    }

    fn phase_view(&self) -> Phase {
        if self.ended {
            return Phase::Ended;
        }
        match &self.phase {
            PhaseState::Joining(_) => {
                if self.links.values().any(|l| l.stage == Stage::ProofSent) {
                    Phase::Knocking
                } else {
                    Phase::Dialling
                }
            }
            PhaseState::Waiting if self.peers.present().next().is_none() => Phase::Alone,
            PhaseState::Waiting => Phase::InCall,
        }
    }

    fn members_view(&self) -> Vec<MemberView> {
        let Some(group) = &self.group else { return Vec::new() };
        let me = group.me();
        let admits = |identity: &[u8; 32]| {
            *identity == group.state().host || group.state().admitters.contains(identity)
        };
        let mut members: Vec<_> = group
            .roster()
            .members
            .iter()
            .filter_map(|row| {
                if row.id == me {
                    return Some(MemberView {
                        id: me,
                        is_me: true,
                        name: self.config.name.to_string(),
                        claimed: self.config.name.to_string(),
                        identity: self.identity.public(),
                        fingerprint: Fingerprint::of(&self.identity.public()),
                        known: None,
                        looks_like: None,
                        held: false,
                        addresses: self.config.addresses.clone(),
                        added_by: row.added_by,
                        since_epoch: row.since_epoch,
                        tracks: self.tracks,
                        link: LinkView::Me,
                        compared: false,
                        forged: 0,
                        may_admit: admits(&row.identity),
                        shut_out: false,
                    });
                }
                let (_, peer) = self.peers.present().find(|(id, _)| *id == row.id)?;
                let fingerprint = Fingerprint::of(&peer.credential.identity);
                let known = self.contacts.of(&peer.credential.identity);
                let petname = known.and_then(|k| k.petname.clone());
                let link = match (peer.lost_since, peer.link, peer.remote) {
                    (Some(since), _, _) => LinkView::Lost(since),
                    (None, Some(link), Some(remote)) => LinkView::Direct(link, remote),
                    _ => LinkView::Connecting,
                };
                Some(MemberView {
                    id: row.id,
                    is_me: false,
                    name: petname.unwrap_or_else(|| peer.credential.name.to_string()),
                    claimed: peer.credential.name.to_string(),
                    identity: peer.credential.identity,
                    fingerprint,
                    known: known.map(|k| k.note.clone()),
                    looks_like: self.contacts.looks_like(&peer.credential.identity).cloned(),
                    held: self.contacts.holds(row.id),
                    addresses: peer.addresses.clone(),
                    added_by: peer.added_by,
                    since_epoch: peer.since_epoch,
                    tracks: peer.tracks,
                    link,
                    compared: peer.compared,
                    forged: peer.forged,
                    may_admit: admits(&row.identity),
                    shut_out: self.liars.contains_key(&row.leaf_key),
                })
            })
            .collect();
        members.sort_by_key(|m| m.id);
        members
    }

    fn name_of(&self, before: &super::succession::Predecessor) -> String {
        let known = self.contacts.of(&before.identity);
        known.and_then(|k| k.petname.clone()).unwrap_or_else(|| before.name.clone())
    }

    fn barred_view(&self) -> Vec<BarredView> {
        let barred = self.group.iter().flat_map(|group| group.state().barred());
        let view = |who: &[u8; 32]| {
            let identity = crate::identity::IdentityPublic(*who);
            let known = self.contacts.of(&identity);
            let name = known.and_then(|k| k.petname.clone().or_else(|| k.names.last().cloned()));
            BarredView { identity, fingerprint: Fingerprint::of(&identity), name }
        };
        barred.map(view).collect()
    }

    fn knocks_view(&self) -> Vec<KnockView> {
        self.knocks
            .iter()
            .filter(|(_, knock)| !knock.decided)
            .map(|(id, knock)| {
                let fingerprint = Fingerprint::of(&knock.credential.identity);
                let known = self.contacts.of(&knock.credential.identity);
                let position = self.invites.iter().position(|i| i.invite.id() == knock.invite);
                KnockView {
                    id: *id,
                    fingerprint,
                    name: knock.credential.name.to_string(),
                    known: known.map(|k| k.note.clone()),
                    looks_like: self.contacts.looks_like(&knock.credential.identity).cloned(),
                    ring: knock.entry == Entry::Ring,
                    introduced: knock.entry == Entry::Introduced,
                    invite: position.map(|p| p + 1),
                    from: self.links.get(&knock.link).and_then(|l| l.up.as_ref()).map(|u| u.remote),
                    since: knock.since,
                }
            })
            .collect()
    }

    /// Pairs that are heard by somebody but not by each other, as everybody said last.
    fn unreachable(&self) -> Vec<(MemberId, MemberId)> {
        let Some(me) = self.me() else { return Vec::new() };
        let place = self.place();
        let there = |p: &Peer| p.lost_since.is_none() && p.link.is_some() && p.place == place;
        let here: BTreeSet<MemberId> =
            self.peers.present().filter(|(_, p)| there(p)).map(|(id, _)| id).collect();
        let mut pairs = BTreeSet::new();
        for (id, peer) in self.peers.present() {
            if !here.contains(&id) {
                // Not reached by us, but by somebody who is.
                let heard = |p: &Peer| there(p) && p.hears.contains(&id);
                if self.peers.present().any(|(_, p)| heard(p)) {
                    pairs.insert((me.min(id), me.max(id)));
                }
                continue;
            }
            let deaf_to = here.iter().filter(|other| **other != id && !peer.hears.contains(other));
            pairs.extend(deaf_to.map(|other| (id.min(*other), id.max(*other))));
        }
        pairs.into_iter().collect()
    }

    fn dials_view(&self) -> Vec<DialView> {
        match &self.phase {
            PhaseState::Joining(joining) => joining
                .dials
                .iter()
                .map(|d| DialView { to: d.to, result: d.result.clone() })
                .collect(),
            PhaseState::Waiting => Vec::new(),
        }
    }
}

fn invite_view(open: &OpenInvite) -> InviteView {
    InviteView {
        text: open.text.clone(),
        qr: open.invite.to_qr_text(),
        left: open.left,
        addresses: open.invite.addresses.clone(),
        expires: open.expires,
    }
}
