//! Pairs of members that have not found each other: whoever hears both tells each of them where the
//! other is.
//!
//! Addresses are announced when somebody comes in, sealed in the epoch of that moment. Whoever is
//! in another epoch just then, or not connected to the speaker yet, misses them, and two who came in
//! shortly after each other may both. Heartbeats say who hears whom, so those who hear both see the
//! gap. The first of them in join order speaks, at growing intervals: some pairs can never connect.

use super::*;
use crate::wire::control::{Control, MemberMessage};

/// A gap is as old as this before anything is said …
const FIRST: Duration = Duration::from_secs(3);
/// … again after twice the time, and so on up to this.
const LONGEST: Duration = Duration::from_secs(60);

/// The gaps that are ours to mend, the earlier member in join order first.
#[derive(Default)]
pub(super) struct Gaps(BTreeMap<(MemberId, MemberId), Gap>);

struct Gap {
    next: Instant,
    pause: Duration,
}

impl Gaps {
    /// These are open now; gives those to speak about.
    fn due(
        &mut self,
        open: &BTreeSet<(MemberId, MemberId)>,
        now: Instant,
    ) -> Vec<(MemberId, MemberId)> {
        self.0.retain(|pair, _| open.contains(pair));
        let mut due = Vec::new();
        for pair in open {
            let fresh = || Gap { next: now + FIRST, pause: FIRST };
            let gap = self.0.entry(*pair).or_insert_with(fresh);
            if gap.next <= now {
                gap.pause = (gap.pause * 2).min(LONGEST);
                gap.next = now + gap.pause;
                due.push(*pair);
            }
        }
        due
    }
}

/// The pairs of which neither hears the other, among those `me` hears (each with whom it hears)
/// and that no earlier member in join order hears both of.
fn open(
    order: &[MemberId],
    me: MemberId,
    hears: &BTreeMap<MemberId, BTreeSet<MemberId>>,
) -> BTreeSet<(MemberId, MemberId)> {
    let seen: Vec<_> = order.iter().filter_map(|id| Some((*id, hears.get(id)?))).collect();
    let mut open = BTreeSet::new();
    for (n, (a, of_a)) in seen.iter().enumerate() {
        for (b, of_b) in seen.iter().skip(n + 1) {
            let teller = order.iter().find(|id| of_a.contains(id) && of_b.contains(id));
            if !of_a.contains(b) && !of_b.contains(a) && teller == Some(&me) {
                open.insert((*a, *b));
            }
        }
    }
    open
}

impl Call {
    /// Looks for gaps, once a heartbeat.
    pub(super) fn mend_gaps(&mut self, now: Now) -> Result<(), CallError> {
        let (Some(me), place) = (self.me(), self.place()) else { return Ok(()) };
        let here = self.peers.members.iter();
        let here = here.filter(|(_, p)| p.is_heard(now.mono) && p.place == place);
        let hears: BTreeMap<_, _> = here.map(|(id, p)| (*id, p.hears.clone())).collect();
        let open = open(&self.join_order(), me, &hears);
        for (a, b) in self.gaps.due(&open, now.mono) {
            self.acquaint(a, b)?;
            self.acquaint(b, a)?;
        }
        Ok(())
    }

    /// Tells `whom` where `about` can be reached.
    fn acquaint(&mut self, whom: MemberId, about: MemberId) -> Result<(), CallError> {
        let Some(peer) = self.peers.members.get(&about) else { return Ok(()) };
        let list = vec![(about, peer.reachable_at())];
        let (Some(link), Some(group)) = (self.peers.link(whom), &mut self.group) else {
            return Ok(());
        };
        let sealed = group.seal_message(&MemberMessage::Addresses(list).encode())?;
        self.send_control(link, &Control::GroupMessage(sealed.into()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hears<const N: usize>(lines: [(u32, &[u32]); N]) -> BTreeMap<MemberId, BTreeSet<MemberId>> {
        let line = |(id, heard): (u32, &[u32])| {
            (MemberId(id), heard.iter().copied().map(MemberId).collect())
        };
        lines.map(line).into()
    }

    fn gaps<const N: usize>(me: u32, lines: [(u32, &[u32]); N]) -> Vec<(u32, u32)> {
        let order = [0, 1, 2, 3, 4].map(MemberId);
        open(&order, MemberId(me), &hears(lines)).into_iter().map(|(a, b)| (a.0, b.0)).collect()
    }

    #[test]
    fn the_first_who_hears_both_speaks_and_nobody_else() {
        let (all, three, four): (&[u32], &[u32], &[u32]) = (&[0, 1, 2, 3, 4], &[0, 1, 2], &[1, 2]);
        let lines = [(0, &[1, 2, 3][..]), (2, all), (3, three), (4, four)];
        assert_eq!(gaps(1, lines), [(0, 4), (3, 4)]);
        // 0 doesn't hear 4, so nobody hears 3 and 4 before 1.
        assert_eq!(gaps(2, [(0, &[1, 2, 3]), (1, all), (3, three), (4, four)]), []);
        assert_eq!(gaps(0, [(1, all), (2, all), (3, three)]), []);
    }

    #[test]
    fn who_is_heard_one_way_only_has_been_found() {
        assert_eq!(gaps(0, [(1, &[0, 2]), (2, &[0])]), []);
        assert_eq!(gaps(0, [(1, &[0]), (2, &[0])]), [(1, 2)]);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn a_gap_that_does_not_close_is_spoken_of_ever_more_rarely() {
        let start = Instant::now();
        let mut gaps = Gaps::default();
        let pair = (MemberId(1), MemberId(2));
        let open = [pair].into();
        let secs =
            (0..600).filter(|s| !gaps.due(&open, start + Duration::from_secs(*s)).is_empty());
        assert_eq!(secs.collect::<Vec<u64>>()[..6], [3, 9, 21, 45, 93, 153]);
        assert!(gaps.due(&BTreeSet::new(), start).is_empty());
        assert!(gaps.0.is_empty(), "a closed gap is forgotten");
    }
}
