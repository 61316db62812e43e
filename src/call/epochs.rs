//! Frames and the epochs whose keys seal and open them.
//!
//! A new epoch's sealers exist only after its roster was shown ([`Input::RosterShown`]). Until the
//! others follow, frames go on under the one that all are in – unless somebody was removed: then
//! nothing more is sealed under a key that the removed member holds.

use super::copies::Copies;
use super::*;
use crate::group::Roster;
use crate::keys::Bases;
use crate::media::frame::{Coded, CodedVideo};
use crate::seal::{OpenError, Opener, Receipt, Sealed, Sealers};
use crate::wire::control::MemberMessage;
use crate::wire::link::Send;
use crate::wire::media::{self, Padding};
use crate::wire::sframe::{Header, Kid, StreamKind};
use bytes::Bytes;
use std::collections::BTreeSet;

/// Without a removal, frames may go on under an earlier epoch for this long after the merge that ended
/// it. A commit of 15 kB through a line that all share takes longer to some than to others; whoever has
/// just joined hears nothing before.
const OVERLAP: Duration = Duration::from_millis(1500);
/// Frames of earlier epochs are taken from remaining members for this long.
const GRACE: Duration = Duration::from_secs(4);
/// Epochs whose keys are alive at a time: as many as may begin within [`GRACE`] when a whole crowd
/// joins. A key identifier tells sixteen apart.
const LIVE: usize = 8;
/// Frames of later epochs wait this long for the commits that lead there.
const AHEAD: Duration = Duration::from_secs(1);
/// How many epochs later.
const AHEAD_EPOCHS: u64 = 4;
/// At most this many frames wait for a commit.
pub const MAX_AHEAD: usize = 128;
/// Nobody would paint a picture so late, but those after it build on it: until then a repair is
/// cheaper than a keyframe.
const FRAME_DEADLINE: Duration = Duration::from_millis(800);
/// A keyframe is worth waiting for.
const KEYFRAME_DEADLINE: Duration = Duration::from_millis(1500);
/// A sealed object as it goes out, for the estimator.
pub struct SealedOut {
    /// The whole SFrame.
    pub bytes: Bytes,
    /// Its key identifier.
    pub kid: u64,
    /// Its counter.
    pub ctr: u64,
}

/// The keys of the epochs that are alive, oldest first.
#[derive(Default)]
pub(super) struct Epochs {
    live: VecDeque<Keys>,
    ahead: VecDeque<Frame>,
    copies: Copies,
    gate_noted: bool,
}

struct Keys {
    epoch: u64,
    roster: [u8; 32],
    leaf_of: BTreeMap<MemberId, u8>,
    openers: BTreeMap<MemberId, Opener>,
    my_leaf: u8,
    my_base: Option<crate::secret::Secret<32>>,
    sealers: Option<Sealers>,
    merged_at: Instant,
    /// Others that have said they are in this epoch.
    acked: BTreeSet<MemberId>,
    /// Something was sealed under this epoch.
    used: bool,
    /// Nothing may be sealed under this epoch any more.
    closed: bool,
    /// The epoch before cannot be used instead of this one.
    at_once: bool,
    /// Erased at this moment.
    ends_at: Option<Instant>,
}

/// A frame that came, and until when it would wait for its epoch.
struct Frame {
    until: Instant,
    from: MemberId,
    how: Carried,
    bytes: Bytes,
}

/// How a sealed object came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carried {
    Datagram,
    /// In a datagram that says it is a copy.
    Copy,
    Frame,
    Control,
}

impl Epochs {
    /// Takes over the keys of a new epoch. `removed`: members that must not read on.
    fn enter(
        &mut self,
        roster: &Roster,
        me: MemberId,
        mut bases: Bases,
        removed: bool,
        now: Instant,
    ) {
        self.copies.clear();
        for old in &mut self.live {
            old.ends_at.get_or_insert(now + GRACE);
            if removed {
                old.closed = true;
            }
            old.openers.retain(|id, _| roster.members.iter().any(|m| m.id == *id));
        }
        let mut keys = Keys {
            epoch: roster.epoch,
            roster: roster.digest(),
            leaf_of: roster.members.iter().map(|m| (m.id, m.leaf)).collect(),
            openers: BTreeMap::new(),
            my_leaf: 0,
            my_base: None,
            sealers: None,
            merged_at: now,
            acked: BTreeSet::new(),
            used: false,
            closed: false,
            at_once: removed || self.live.back().is_none_or(|k| k.leaf_of.len() <= 1),
            ends_at: None,
        };
        for member in &roster.members {
            let Some(base) = bases.by_leaf.remove(&member.leaf) else { continue };
            if member.id == me {
                keys.my_leaf = member.leaf;
                keys.my_base = Some(base);
            } else {
                keys.openers.insert(member.id, Opener::new(&base, roster.epoch, member.leaf));
            }
        }
        self.live.push_back(keys);
        while self.live.len() > LIVE {
            self.live.pop_front();
        }
        self.gate_noted = false;
    }

    /// The roster of an epoch was shown: now its sealers may exist.
    fn shown(&mut self, receipt: &Receipt) -> bool {
        let Some(keys) = self.live.iter_mut().find(|k| k.epoch == receipt.epoch()) else {
            return false;
        };
        let Some(base) = keys.my_base.take() else { return false };
        match Sealers::new(base.duplicate(), keys.epoch, keys.my_leaf, receipt, &keys.roster) {
            Ok(sealers) => {
                keys.sealers = Some(sealers);
                true
            }
            Err(_) => {
                // Another roster was shown: this one still may be.
                keys.my_base = Some(base);
                false
            }
        }
    }

    /// The sealers to use now: of the newest epoch that the others are known to be in, and whose roster
    /// is on the screen; of a later one if they were waited for long enough, or if somebody was removed.
    /// A newcomer isn't waited for: the epoch before says nothing to it.
    /// With them the epoch, if this is the first use of it.
    fn sealers(&mut self, now: Instant) -> Option<(&mut Sealers, Option<u64>)> {
        let mut index = self.live.len().checked_sub(1)?;
        while let Some(before) = index.checked_sub(1) {
            let (Some(keys), Some(previous)) = (self.live.get(index), self.live.get(before)) else {
                break;
            };
            let waits = !keys.at_once && now < keys.merged_at + OVERLAP;
            let there = keys.sealers.is_some() && self.all_are_in(index);
            if there || !waits || previous.closed || previous.sealers.is_none() {
                break;
            }
            index = before;
        }
        // A roster that was followed by another at once may never have been on the screen.
        let mut from_here = self.live.range_mut(index..).filter(|k| !k.closed);
        let keys = from_here.find(|k| k.sealers.is_some())?;
        let sealers = keys.sealers.as_mut()?;
        let first = (!std::mem::replace(&mut keys.used, true)).then_some(keys.epoch);
        Some((sealers, first))
    }

    /// Has everybody who was there before this epoch, and still is, said to be in it or a later one?
    fn all_are_in(&self, index: usize) -> bool {
        let (Some(keys), Some(newest)) = (self.live.get(index), self.live.back()) else {
            return false;
        };
        let previous = index.checked_sub(1).and_then(|i| self.live.get(i));
        let counts = |id: &&MemberId| {
            newest.openers.contains_key(*id) && previous.is_none_or(|k| k.leaf_of.contains_key(*id))
        };
        let acked = |id: &MemberId| self.live.range(index..).any(|k| k.acked.contains(id));
        keys.openers.keys().filter(counts).all(acked)
    }

    fn acked(&mut self, member: MemberId, epoch: u64) {
        if let Some(keys) = self.live.iter_mut().find(|k| k.epoch == epoch) {
            keys.acked.insert(member);
        }
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        let ends = self.live.iter().filter_map(|k| k.ends_at);
        let ahead = self.ahead.front().map(|a| a.until);
        ends.chain(ahead).chain(self.copies.wake_at()).min()
    }

    pub(super) fn ahead_len(&self) -> usize {
        self.ahead.len()
    }

    /// Nothing more is sealed under any epoch so far.
    pub(super) fn close(&mut self) {
        self.live.iter_mut().for_each(|keys| keys.closed = true);
        self.copies.clear();
    }

    /// Opens nothing of this member's any more.
    pub(super) fn shut_out(&mut self, member: MemberId) {
        for keys in &mut self.live {
            keys.openers.remove(&member);
        }
    }

    /// Wipes all keys.
    pub(super) fn erase(&mut self) {
        self.live.clear();
        self.ahead.clear();
        self.copies.clear();
    }

    /// Is the newest epoch still waiting for its roster to be shown?
    pub(super) fn gated(&self) -> bool {
        self.live.back().is_some_and(|k| k.sealers.is_none())
    }

    fn expire(&mut self, now: Instant) {
        self.live.retain(|k| k.ends_at.is_none_or(|t| t > now));
        self.ahead.retain(|a| a.until > now);
    }

    /// The openers of `from`'s frames in the newest epoch, for a demonstration of a handed-over
    /// key (see [`Opener::surrender`]).
    pub(super) fn newest_opener(&self, from: MemberId) -> Option<&Opener> {
        self.live.back()?.openers.get(&from)
    }
}

impl Call {
    pub(super) fn enter_keys(
        &mut self,
        roster: &Roster,
        removed: bool,
        now: Now,
    ) -> Result<(), CallError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let me = group.me();
        let bases = group.bases()?;
        self.epochs.enter(roster, me, bases, removed, now.mono);
        Ok(())
    }

    pub(super) fn roster_shown(&mut self, receipt: Receipt) {
        if self.epochs.shown(&receipt) {
            self.flush_member_messages();
        }
    }

    pub(super) fn epoch_acked(&mut self, member: MemberId, epoch: u64) {
        self.epochs.acked(member, epoch);
    }

    pub(super) fn epochs_tick(&mut self, now: Now) {
        self.epochs.expire(now.mono);
        for (link, send) in self.epochs.copies.due(None, now.mono) {
            if self.links.contains_key(&link) {
                self.out.push_back(Output::Send(link, send));
            }
        }
        self.flush_member_messages();
    }

    /// Seals one coded frame once and sends it to each of `to` (empty: everybody connected).
    pub(super) fn send_media(&mut self, to: &[MemberId], coded: &Coded, now: Now) {
        if self.group.is_none() || self.fenced(now) {
            return;
        }
        let links: Vec<(MemberId, LinkId)> = self
            .peers
            .connected()
            .filter(|(member, _)| to.is_empty() || to.contains(member))
            .filter(|(member, _)| !self.contacts.holds(*member))
            .collect();
        if links.is_empty() {
            return;
        }
        let padding = match coded {
            Coded::Video(video) => self.padding(video.room, links.iter().map(|(id, _)| *id)),
            Coded::Audio(_) => Padding::None,
        };
        let Some((sealers, first)) = self.epochs.sealers(now.mono) else {
            self.counters.gated += 1;
            return;
        };
        let sealed = match coded {
            Coded::Audio(audio) => {
                sealers.of(StreamKind::Audio).seal(&media::encode_audio(audio, 0))
            }
            Coded::Video(video) => {
                sealers.of(StreamKind::Video).seal(&media::encode_video(video, padding))
            }
        };
        let Ok(sealed) = sealed else { return };
        if let Some(epoch) = first {
            self.event(Event::Sealing { epoch });
        }
        if matches!(coded, Coded::Audio(_)) {
            self.epochs.copies.sound_sealed(sealed.kid, sealed.bytes.clone());
        }
        for (member, link) in links {
            match coded {
                Coded::Audio(audio) => self.send_sound(member, link, &sealed, audio.millis, now),
                Coded::Video(video) => self.send_picture(member, link, &sealed, video, now),
            }
        }
    }

    fn send_sound(&mut self, to: MemberId, link: LinkId, sealed: &Sealed, millis: u8, now: Now) {
        self.out.push_back(Output::Send(link, Send::Datagram(sealed.bytes.clone())));
        self.note_sent(to, sealed.kid, sealed.ctr, sealed.bytes.len(), now);
        let Some(feedback) = self.peers.feedback(to) else { return };
        feedback.sound_sent(sealed.kid, sealed.ctr, sealed.bytes.len(), millis, now.mono);
        let copies = &mut self.epochs.copies;
        let mut beside: Vec<Send> =
            copies.beside_sound(feedback.repeats()).map(Send::Datagram).collect();
        beside.extend(copies.due(Some(link), now.mono).into_iter().map(|(_, send)| send));
        let mut bytes = 0;
        for copy in beside {
            if let Send::Datagram(copy) | Send::Frame { bytes: copy, .. } = &copy {
                bytes += copy.len();
            }
            self.out.push_back(Output::Send(link, copy));
        }
        if bytes > 0 {
            feedback.copies_sent(sealed.kid, sealed.ctr, bytes, now.mono);
        }
        // Beside a packet that goes out anyway, a report costs no packet of its own.
        self.report_beside_audio(to, link, now);
    }

    fn send_picture(
        &mut self,
        to: MemberId,
        link: LinkId,
        sealed: &Sealed,
        video: &CodedVideo,
        now: Now,
    ) {
        let (priority, lifetime) = match video.keyframe {
            true => (i32::MAX, KEYFRAME_DEADLINE),
            false => (i32::try_from(video.number).unwrap_or(i32::MAX - 1), FRAME_DEADLINE),
        };
        let bytes = sealed.bytes.clone();
        let deadline = now.mono + lifetime;
        let send = Send::Frame { bytes, priority, deadline, supersedes: video.keyframe };
        if let Some(feedback) = self.peers.feedback(to) {
            let times = feedback.picture_copies(video.keyframe, now.mono);
            self.epochs.copies.picture(link, &send, times.into_iter(), now.mono);
        }
        self.out.push_back(Output::Send(link, send));
        self.note_sent(to, sealed.kid, sealed.ctr, sealed.bytes.len(), now);
    }

    /// Seals a message for members under the newest epoch's Data key: a newcomer has no other,
    /// and whoever is behind keeps it until the commit comes.
    pub(super) fn seal_data(&mut self, plaintext: &[u8]) -> Option<Bytes> {
        if self.fence_shown.is_some_and(|held| held != Held::Screen) {
            return None;
        }
        let sealers = self.epochs.live.back_mut().filter(|k| !k.closed)?.sealers.as_mut()?;
        sealers.of(StreamKind::Data).seal(plaintext).ok().map(|s| s.bytes)
    }

    pub(super) fn open_datagram(&mut self, id: LinkId, bytes: &Bytes, now: Now) {
        match bytes.first() {
            Some(&media::COPY) => self.open_from_link(id, Carried::Copy, &bytes.slice(1..), now),
            _ => self.open_from_link(id, Carried::Datagram, bytes, now),
        }
    }

    pub(super) fn open_frame(&mut self, id: LinkId, bytes: &Bytes, now: Now) {
        self.open_from_link(id, Carried::Frame, bytes, now);
    }

    pub(super) fn open_control(&mut self, id: LinkId, bytes: &Bytes, now: Now) {
        self.open_from_link(id, Carried::Control, bytes, now);
    }

    fn open_from_link(&mut self, id: LinkId, how: Carried, bytes: &Bytes, now: Now) {
        // A stranger's frames are not looked at.
        if let Some(from) = self.links.get(&id).and_then(LinkState::member) {
            self.open(Frame { until: now.mono + AHEAD, from, how, bytes: bytes.clone() }, now);
        }
    }

    fn open(&mut self, frame: Frame, now: Now) {
        let Frame { from, how, ref bytes, .. } = frame;
        let Ok((header, _)) = Header::decode(bytes) else {
            self.counters.malformed += 1;
            return;
        };
        let Ok(kid) = Kid::from_u64(header.kid) else {
            self.counters.malformed += 1;
            return;
        };
        let Some(keys) = self.epochs.live.iter_mut().rev().find(|k| kid.is_of_epoch(k.epoch))
        else {
            self.not_yet(frame, kid);
            return;
        };
        // Who speaks is decided by the connection, not by the key: every member holds every base.
        if keys.leaf_of.get(&from) != Some(&kid.leaf) {
            self.counters.forged += 1;
            self.peers.forged(from);
            return;
        }
        let Some(opener) = keys.openers.get_mut(&from) else {
            self.counters.unknown_key += 1;
            return;
        };
        match opener.open(header, bytes) {
            Ok(plaintext) => {
                self.take_opened(from, how, kid, header.ctr, &plaintext, bytes.len(), now)
            }
            // What arrived at once needs no copy.
            Err(OpenError::Replayed | OpenError::TooOld) if how == Carried::Copy => {}
            Err(OpenError::Replayed | OpenError::TooOld) => self.counters.replayed += 1,
            Err(_) => self.counters.bad_seal += 1,
        }
    }

    fn not_yet(&mut self, frame: Frame, kid: Kid) {
        let next = self.epochs.live.back().map_or(0, |k| k.epoch + 1);
        let soon = (next..next + AHEAD_EPOCHS).any(|epoch| kid.is_of_epoch(epoch));
        if !soon || self.epochs.ahead.len() >= MAX_AHEAD {
            self.counters.unknown_key += 1;
            return;
        }
        self.epochs.ahead.push_back(frame);
    }

    /// Frames that came before their epoch's commit; those of later epochs go on waiting.
    pub(super) fn open_waiting(&mut self, now: Now) {
        for ahead in std::mem::take(&mut self.epochs.ahead) {
            if ahead.until > now.mono {
                self.open(ahead, now);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one opened object with all that is known of it")]
    fn take_opened(
        &mut self,
        from: MemberId,
        how: Carried,
        kid: Kid,
        ctr: u64,
        plaintext: &[u8],
        size: usize,
        now: Now,
    ) {
        match (how, kid.stream) {
            (Carried::Control | Carried::Datagram, StreamKind::Data) => {
                match MemberMessage::decode(plaintext) {
                    Ok(message) => self.member_message(from, message, now),
                    Err(_) => self.counters.malformed += 1,
                }
            }
            (Carried::Datagram | Carried::Copy, StreamKind::Audio)
            | (Carried::Frame | Carried::Copy, StreamKind::Video) => {
                // When a copy of sound comes says when it was sent, not how long it took.
                let timed = how != Carried::Copy || kid.stream == StreamKind::Video;
                self.note_received(from, kid.to_u64(), ctr, size, timed, now);
                match media::decode(kid.stream, plaintext) {
                    Ok(_) if self.contacts.holds(from) => {}
                    Ok(coded) => self.out.push_back(Output::Media(from, coded)),
                    Err(_) => self.counters.malformed += 1,
                }
            }
            _ => self.counters.malformed += 1,
        }
    }

    /// Everything secret that this participant could tell an eavesdropper about `from`'s frames:
    /// for demonstrations and proofs only. `tests/layers.rs` lists the callers (`sim` alone).
    pub fn surrender_opener(&self, from: MemberId) -> Option<crate::seal::Surrendered> {
        self.epochs.newest_opener(from).map(Opener::surrender)
    }
}
