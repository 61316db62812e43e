//! Heartbeats: who is there, where in the group's history, whom they hear; and the sequencer's
//! signed beats, which may come through others.

use super::*;
use crate::group::{Beat, Branch};
use crate::wire::control::{Control, Heartbeat};
use bytes::Bytes;
use std::collections::BTreeSet;

/// How often a member says that it is there.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);
/// A member unheard for this long counts as not heard.
pub(super) const UNHEARD: Duration = Duration::from_secs(3);

/// An epoch by number and name: two branches have epochs of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) epoch: u64,
    /// First bytes of the confirmation hash.
    pub(super) confirmation: [u8; 8],
}

/// The sequencer's beats in one epoch.
pub(super) struct Pulse {
    /// Our own count, when we are the sequencer.
    own: u64,
    /// The newest beat: its number and bytes.
    newest: Option<(u64, Bytes)>,
    /// When the sequencer was last heard: a new beat, or its commit.
    pub(super) heard: Instant,
    /// The same for the fence: a commit that somebody else passed on may have been made long ago,
    /// and this machine may have slept since.
    word: Now,
    /// When the beats began to be counted, by the one that was quickest to get here.
    origin: Option<Instant>,
    /// The sequencer itself said that it is in another branch, and has not beaten here since.
    away: bool,
}

impl Pulse {
    pub(super) fn new(now: Now) -> Self {
        Self { own: 0, newest: None, heard: now.mono, word: now, origin: None, away: false }
    }

    /// A new epoch by a commit that another member than its maker gave us, of the sequencer that
    /// led before or by its handing over: no sign of life as such.
    pub(super) fn passed_on(now: Now, before: &Self) -> Self {
        Self { word: before.word, ..Self::new(now) }
    }

    /// Heard, so long ago.
    fn alive(&mut self, now: Now, ago: Duration) {
        self.heard = now.mono.checked_sub(ago).map_or(self.heard, |at| self.heard.max(at));
        if ago < self.word_age(now) {
            let ago_ms = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
            let mono = now.mono.checked_sub(ago).unwrap_or(now.mono);
            self.word = Now { mono, wall: Wall(now.wall.0.saturating_sub(ago_ms)) };
        }
    }

    /// By the clock that shows more: one of them stands still while the machine sleeps.
    fn word_age(&self, now: Now) -> Duration {
        let awake = now.mono.saturating_duration_since(self.word.mono);
        awake.max(Duration::from_millis(now.wall.0.saturating_sub(self.word.wall.0)))
    }

    /// A new beat of the sequencer's. Beats count seconds: one that was held back on its way is a
    /// sign of life from when it would have been here. So nobody can keep us believing in a
    /// sequencer by passing its beats on slowly.
    fn beat(&mut self, n: u64, direct: bool, now: Now) {
        let began = now.mono.checked_sub(HEARTBEAT * u32::try_from(n).unwrap_or(u32::MAX));
        let began = began.unwrap_or(now.mono);
        let known = self.origin.is_some() || direct;
        self.away &= !direct;
        let origin = self.origin.filter(|_| !direct).map_or(began, |origin| origin.min(began));
        self.origin = Some(origin);
        if !known {
            // The first one that somebody passed on: nothing says how old it is.
            self.heard = now.mono;
            return;
        }
        self.alive(now, began.saturating_duration_since(origin));
    }

    /// The next number of our own: seconds since the epoch began, also those we slept through.
    fn next(&self, since: Duration) -> u64 {
        (self.own + 1).max(since.as_secs() / HEARTBEAT.as_secs())
    }
}

/// The bits of those members that are in the set, by join order.
fn mask(order: &[MemberId], heard: &BTreeSet<MemberId>) -> u16 {
    let bits = order.iter().take(16).enumerate();
    bits.filter(|(_, id)| heard.contains(id)).fold(0, |mask, (i, _)| mask | 1 << i)
}

/// The members whose bits are set.
fn unmask(order: &[MemberId], mask: u16) -> BTreeSet<MemberId> {
    let bits = order.iter().take(16).enumerate();
    bits.filter(|(i, _)| mask & 1 << i != 0).map(|(_, id)| *id).collect()
}

impl Call {
    /// Where we are in the group's history.
    pub(super) fn place(&self) -> Option<Place> {
        let group = self.group.as_ref()?;
        let [a, b, c, d, e, f, g, h, ..] = group.confirmation_hash();
        Some(Place { epoch: group.epoch(), confirmation: [a, b, c, d, e, f, g, h] })
    }

    /// Members in join order.
    pub(super) fn join_order(&self) -> Vec<MemberId> {
        let Some(group) = &self.group else { return Vec::new() };
        group.state().order.iter().map(|seat| seat.id).collect()
    }

    /// Members that are heard directly.
    pub(super) fn heard_now(&self, now: Instant) -> BTreeSet<MemberId> {
        let members = self.peers.members.iter();
        members.filter(|(_, p)| p.is_heard(now)).map(|(id, _)| *id).collect()
    }

    /// Says to everybody that we are there.
    pub(super) fn heartbeat(&mut self, now: Now) {
        let since = now.wall.0.saturating_sub(self.entered_wall.0);
        let n = self.pulse.next(Duration::from_millis(since));
        if let Some(group) = &self.group
            && let Ok(beat) = group.sign_beat(n)
        {
            self.pulse.own = n;
            self.pulse.newest = Some((n, beat.encode().into()));
            self.pulse.alive(now, Duration::ZERO);
        }
        let links: Vec<_> = self.peers.connected().collect();
        for (member, link) in links {
            self.send_heartbeat(member, link, now);
        }
    }

    pub(super) fn send_heartbeat(&mut self, to: MemberId, link: LinkId, now: Now) {
        let (Some(place), Some(group)) = (self.place(), &self.group) else { return };
        let heard = mask(&self.join_order(), &self.heard_now(now.mono));
        let lacks = self.peers.members.get(&to).is_some_and(|p| p.lacks(self.sequencer()));
        let fresh = now.mono.saturating_duration_since(self.pulse.heard) < UNHEARD;
        let newest = self.pulse.newest.as_ref();
        let beat = newest.filter(|_| group.is_sequencer() || (lacks && fresh));
        let beat = beat.map(|(_, bytes)| bytes.clone()).unwrap_or_default();
        let Place { epoch, confirmation } = place;
        let heartbeat = Heartbeat { epoch, confirmation, heard, beat };
        self.send_control(link, &Control::Heartbeat(heartbeat));
    }

    pub(super) fn take_heartbeat(
        &mut self,
        link: LinkId,
        from: MemberId,
        heartbeat: &Heartbeat,
        now: Now,
    ) {
        let Some(ours) = self.place() else { return };
        let theirs = Place { epoch: heartbeat.epoch, confirmation: heartbeat.confirmation };
        let order = self.join_order();
        let Some(peer) = self.peers.members.get_mut(&from) else { return };
        if theirs == ours {
            peer.hears = unmask(&order, heartbeat.heard);
        }
        peer.stand(theirs, ours, now.mono);
        if theirs == ours && std::mem::take(&mut peer.fresh) {
            // Whatever we said before it took its seat, it may not have understood.
            self.greet(from, link, now);
        }
        if theirs == ours {
            self.meet_predecessor(from);
        }
        if theirs == ours && !heartbeat.beat.is_empty() {
            self.take_beat(from, &heartbeat.beat, now);
        }
        if theirs != ours {
            self.elsewhere(link, from, theirs, now);
        }
    }

    /// A beat of the sequencer's, from itself or passed on: a new number is a sign of life.
    fn take_beat(&mut self, from: MemberId, bytes: &Bytes, now: Now) {
        let Some(group) = &self.group else { return };
        let Ok(beat) = Beat::parse(bytes) else {
            self.counters.malformed += 1;
            return;
        };
        if group.is_sequencer() || self.pulse.newest.as_ref().is_some_and(|(n, _)| *n >= beat.n) {
            return;
        }
        if group.verify_beat(&beat).is_err() {
            self.counters.bad_group += 1;
            return;
        }
        let sequencer = self.sequencer();
        self.pulse.newest = Some((beat.n, bytes.clone()));
        self.pulse.beat(beat.n, Some(from) == sequencer, now);
        let cut_off: Vec<_> = self
            .peers
            .connected()
            .filter(|(id, _)| *id != from && Some(*id) != sequencer)
            .filter(|(id, _)| self.peers.members.get(id).is_some_and(|p| p.lacks(sequencer)))
            .collect();
        for (member, link) in cut_off {
            self.send_heartbeat(member, link, now);
        }
    }

    pub(super) fn sequencer(&self) -> Option<MemberId> {
        self.group.as_ref().map(|group| group.state().sequencer)
    }

    /// How long nothing new had come from whoever was sequencer until this commit.
    pub(super) fn sequencer_unheard_before(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.pulse.heard)
    }

    /// How long nothing new came from the sequencer; zero when that is us.
    pub(super) fn sequencer_unheard(&self, now: Instant) -> Duration {
        let heard = now.saturating_duration_since(self.pulse.heard);
        if self.follows() { heard } else { Duration::ZERO }
    }

    /// We lead this branch, or hear whoever leads it and know nothing of its having left.
    pub(super) fn is_led(&self, now: Instant) -> bool {
        self.sequencer_unheard(now) < UNHEARD && !(self.follows() && self.pulse.away)
    }

    /// Somebody says which branch it is in. When our own sequencer is in another one, nobody leads
    /// ours any more, however short a while ago its last beat was.
    pub(super) fn note_branch(&mut self, link: LinkId, theirs: &Branch) {
        let from = self.links.get(&link).and_then(LinkState::member);
        let leads = from.is_some() && from == self.sequencer();
        let here = self.group.as_ref().is_some_and(|group| group.is_in(theirs));
        self.pulse.away = (self.pulse.away || leads) && !(leads && here);
    }

    /// How old the sequencer's newest word is; zero when that is us.
    pub(super) fn word_age(&self, now: Now) -> Duration {
        if self.follows() { self.pulse.word_age(now) } else { Duration::ZERO }
    }

    fn follows(&self) -> bool {
        self.group.as_ref().is_some_and(|group| !group.is_sequencer())
    }

    /// The sequencer answered just now; else a majority did, which says that it need not be
    /// looked for.
    pub(super) fn answered(&mut self, by_sequencer: bool, now: Now) {
        if by_sequencer {
            self.pulse.alive(now, Duration::ZERO);
        }
        self.pulse.heard = now.mono;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn beats_passed_on_slowly_are_no_signs_of_life() {
        let start = Instant::now() + Duration::from_secs(1000);
        let at = |s| start + Duration::from_secs(s);
        let now = |s| Now { mono: at(s), wall: Wall(1_000_000 + s * 1000) };
        let mut pulse = Pulse::new(now(0));
        pulse.beat(1, true, now(1));
        pulse.beat(2, false, now(2));
        assert_eq!(pulse.heard, at(2));
        // Held back for ever longer: as old as it is.
        for n in 3..20 {
            let here = now(n + (n - 2) * 8);
            pulse.beat(n, false, here);
            assert_eq!(pulse.heard, at(n), "beat {n}");
            assert_eq!(pulse.word_age(here), Duration::from_secs((n - 2) * 8));
        }
        // The sequencer's own connection is believed: it may have been stopped for a while.
        pulse.beat(20, true, now(200));
        assert_eq!(pulse.heard, at(200));
        pulse.beat(21, false, now(201));
        assert_eq!(pulse.heard, at(201));
        let slept = Now { mono: at(202), wall: now(260).wall };
        assert_eq!(pulse.word_age(slept), Duration::from_secs(59));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn beats_count_seconds_slept_through() {
        let mut pulse = Pulse::new(Now { mono: Instant::now(), wall: Wall(0) });
        assert_eq!(pulse.next(Duration::from_millis(900)), 1);
        pulse.own = 4;
        assert_eq!(pulse.next(Duration::from_millis(4900)), 5);
        assert_eq!(pulse.next(Duration::from_secs(60)), 60);
    }

    #[test]
    fn masks_name_members_by_join_order() {
        let order: Vec<_> = [0, 3, 4, 9].map(MemberId).into();
        let heard: BTreeSet<_> = [MemberId(3), MemberId(9), MemberId(77)].into();
        assert_eq!(mask(&order, &heard), 0b1010);
        assert_eq!(unmask(&order, 0b1010), [MemberId(3), MemberId(9)].into());
        assert_eq!(unmask(&order, 0xffff), order.iter().copied().collect());
    }
}
