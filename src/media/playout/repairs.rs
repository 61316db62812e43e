//! Sound that was lost and came back in the deep redundancy of later packets: which, how late, and how
//! long it is worth waiting for.
//!
//! Redundancy can speak again whatever was lost since the packet before; only the next packet has to
//! come in time. How long bursts of losses last has no end, and each is rarer than the last: a fixed
//! quantile of them, as for packets that are late, would make everybody wait for the longest. So the wait is
//! what costs the least, a millisecond of it weighing as much as some loss of sound.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Losses are remembered for this long.
const WINDOW: Duration = Duration::from_secs(12);
/// Width of a bin.
const BIN: Duration = Duration::from_millis(5);
/// Bins: later ones are not waited for.
const BINS: usize = 48;
/// More packets than this are not remembered.
const MOST: usize = 1200;
/// With fewer packets than this there is nothing to tell.
const FEW: usize = 50;
/// So long a wait goes hardly noticed, on most paths (ITU-T G.114: up to 150 ms from mouth to ear) …
const LIGHT: Duration = Duration::from_millis(100);
/// … and a millisecond of it weighs as much as so many per cent of sound that has to be made up …
const LIGHT_WEIGHT: f64 = 0.02;
/// … but one beyond it as much as so many.
const HEAVY_WEIGHT: f64 = 0.1;
/// The answer is thought over this often.
const EVERY: Duration = Duration::from_millis(100);
/// Packets a gap is looked at, at most: what redundancy reaches, in packets of 10 ms.
const GAP: u32 = 104;

/// What is known of one member's losses.
#[derive(Clone, Debug, Default)]
pub(super) struct Repairs {
    /// The newest packet so far.
    newest: Option<u32>,
    /// Lost packets that redundancy tells of.
    covered: BTreeSet<u32>,
    /// Every packet of the window: arrived (`None`), or how late its redundancy came, in bins.
    seen: VecDeque<(Instant, Option<u8>)>,
    bins: Vec<u16>,
    covered_seen: usize,
    worth: Duration,
    thought: Option<Instant>,
}

impl Repairs {
    /// A packet arrived at `now` whose redundancy reaches `deep_ms` back; `late` is how much later
    /// than the fastest way. Packets are `millis` long.
    pub(super) fn arrived(
        &mut self,
        seq: u32,
        millis: u8,
        deep_ms: u16,
        late: Duration,
        now: Instant,
    ) {
        let Some(newest) = self.newest else {
            self.newest = Some(seq);
            return;
        };
        if seq <= newest {
            return;
        }
        let missing = (seq - newest - 1).min(GAP);
        for back in (1..=missing).rev() {
            let before = back * u32::from(millis);
            if before > u32::from(deep_ms) {
                continue;
            }
            self.covered.insert(seq - back);
            let late = late + Duration::from_millis(u64::from(before));
            self.note(Some(late), now);
        }
        while self.covered.len() > GAP as usize {
            self.covered.pop_first();
        }
        self.newest = Some(seq);
        self.note(None, now);
        let old = |at: Instant| now.saturating_duration_since(at) >= EVERY;
        if self.thought.is_none_or(old) {
            self.thought = Some(now);
            self.worth = self.think();
        }
    }

    /// Does redundancy tell of this packet? Then nobody needs to wait for itself.
    pub(super) fn covers(&self, seq: u32) -> bool {
        self.covered.contains(&seq)
    }

    /// How much later than the fastest packets redundancy is waited for; zero without any losses that it
    /// mends.
    pub(super) fn worth(&self) -> Duration {
        self.worth
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn note(&mut self, late: Option<Duration>, now: Instant) {
        self.bins.resize(BINS, 0);
        let bin = late.map(|l| (l.as_micros() / BIN.as_micros()).min(BINS as u128 - 1) as u8);
        self.count(bin, true);
        self.seen.push_back((now, bin));
        while let Some((at, bin)) = self.seen.front().copied()
            && (self.seen.len() > MOST || now.saturating_duration_since(at) > WINDOW)
        {
            self.seen.pop_front();
            self.count(bin, false);
        }
    }

    fn count(&mut self, bin: Option<u8>, more: bool) {
        let Some(bin) = bin else { return };
        let Some(count) = self.bins.get_mut(usize::from(bin)) else { return };
        if more {
            *count += 1;
            self.covered_seen += 1;
        } else {
            *count -= 1;
            self.covered_seen -= 1;
        }
    }

    fn think(&self) -> Duration {
        if self.seen.len() < FEW || self.covered_seen == 0 {
            return Duration::ZERO;
        }
        let weight = |wait: Duration| {
            let ms = |d: Duration| d.as_secs_f64() * 1e3;
            LIGHT_WEIGHT * ms(wait.min(LIGHT)) + HEAVY_WEIGHT * ms(wait.saturating_sub(LIGHT))
        };
        let share = 100.0 / self.seen.len() as f64;
        let mut late = self.covered_seen;
        let mut best = (late as f64 * share, Duration::ZERO);
        for (bin, count) in self.bins.iter().enumerate().take(BINS - 1) {
            late -= usize::from(*count);
            let wait = BIN * (bin as u32 + 1);
            let cost = late as f64 * share + weight(wait);
            if cost < best.0 {
                best = (cost, wait);
            }
        }
        best.1
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// What is worth waiting where two fifths are lost in bursts of so many ms on average.
    fn worth(mean_ms: f64, deep_ms: u16) -> Duration {
        let (t0, mut rng) = (Instant::now(), StdRng::seed_from_u64(8));
        let (mut repairs, mut bad, mut left) = (Repairs::default(), false, 100.0);
        for seq in 0..3000u32 {
            if !bad {
                repairs.arrived(seq, 20, deep_ms, ms(1), t0 + ms(20 * u64::from(seq)));
            }
            left -= 20.0;
            while left < 0.0 {
                bad = !bad;
                let mean = if bad { mean_ms } else { mean_ms * 1.5 };
                left -= mean * (1.0 - rng.random_range(0.0..1.0f64)).ln();
            }
        }
        repairs.worth()
    }

    #[test]
    fn a_wait_pays_until_a_millisecond_more_saves_too_little() {
        // Per ms waited, 40 % · e^(−w/80) / 80 of the sound is saved: 0.1 % at 129 ms.
        let wait = worth(80.0, 400);
        assert!((ms(100)..=ms(160)).contains(&wait), "{wait:?}");
        assert!(worth(40.0, 400) < wait, "shorter bursts, shorter wait");
    }

    #[test]
    fn without_losses_or_redundancy_nothing_is_waited_for() {
        assert_eq!(worth(80.0, 0), Duration::ZERO);
        let (t0, mut repairs) = (Instant::now(), Repairs::default());
        for seq in 0..500u32 {
            repairs.arrived(seq, 20, 240, ms(3), t0 + ms(20 * u64::from(seq)));
        }
        assert_eq!(repairs.worth(), Duration::ZERO);
    }

    #[test]
    fn memory_is_bounded_whatever_the_numbers() {
        let (t0, mut repairs) = (Instant::now(), Repairs::default());
        for n in 0..5000u32 {
            repairs.arrived(n.wrapping_mul(7919), 10, u16::MAX, ms(9999), t0);
        }
        repairs.arrived(u32::MAX, 60, u16::MAX, ms(0), t0);
        assert!(repairs.covered.len() <= GAP as usize && repairs.seen.len() <= MOST + 1);
    }
}
