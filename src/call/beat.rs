//! Heartbeats: who is there, where in the group's history, whom they hear; and the sequencer's
//! signed beats, which may come through others.

use super::*;
use crate::group::Beat;
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
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self { own: 0, newest: None, heard: now }
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
        if let Some(group) = &self.group
            && let Ok(beat) = group.sign_beat(self.pulse.own + 1)
        {
            self.pulse.own += 1;
            self.pulse.newest = Some((self.pulse.own, beat.encode().into()));
            self.pulse.heard = now.mono;
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
        self.pulse.newest = Some((beat.n, bytes.clone()));
        self.pulse.heard = now.mono;
        let sequencer = self.sequencer();
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
        match &self.group {
            Some(group) if !group.is_sequencer() => now.saturating_duration_since(self.pulse.heard),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_name_members_by_join_order() {
        let order: Vec<_> = [0, 3, 4, 9].map(MemberId).into();
        let heard: BTreeSet<_> = [MemberId(3), MemberId(9), MemberId(77)].into();
        assert_eq!(mask(&order, &heard), 0b1010);
        assert_eq!(unmask(&order, 0b1010), [MemberId(3), MemberId(9)].into());
        assert_eq!(unmask(&order, 0xffff), order.iter().copied().collect());
    }
}
