//! How late a member's packets come: the spread of their delays over the last seconds, and from it how
//! long to wait.
//!
//! After NetEq's idea of a target from a histogram of delays (WebRTC, `modules/audio_coding/neteq`),
//! with a window instead of a decay: what happened is remembered in full for a while and then not at
//! all, so that the wait shrinks a known time after a rough path has become calm.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Delays are remembered for this long.
const WINDOW: Duration = Duration::from_secs(8);
/// Width of a bin.
const BIN: Duration = Duration::from_millis(5);
/// Bins: delays beyond the last count as in it.
const BINS: usize = 80;
/// More packets than this are not remembered: 100 a second for the whole window.
const MOST: usize = 800;
/// This share of packets may come too late: waiting for each would cost everybody more than the
/// concealed moments do.
const LATE: f64 = 0.005;
/// With fewer packets than this there is nothing to tell.
const FEW: usize = 25;
/// For so long the latest ones have yet to come: so many times the mean are waited for
/// (of an exponential spread all but one in fifty are within four times the mean), at most half as
/// much again as was seen.
const BEGINNING: Duration = Duration::from_secs(2);
const TIMES_MEAN: u32 = 4;
/// A path's beginning, with handshakes, changes of the group and first keyframes, is not how it goes on:
/// it is forgotten when it has become so much calmer …
const CALMER: u32 = 3;
/// … for so long …
const CALM: Duration = Duration::from_secs(2);
/// … a second time for so long: a path with a queue every three seconds goes on like that …
const CALM_AGAIN: Duration = Duration::from_secs(3);
/// … in its first seconds. Later a calm while tells nothing.
const FIRST: Duration = Duration::from_secs(9);

/// Packets of one second, more or less: one hump of the delay, and what it leaves …
const HUMP: Duration = Duration::from_secs(1);
/// … of which so many are put up with in the window (two cost up to 2 % of the sound on paths that have them often).
const HUMPS: usize = 1;
/// A hump is this much later than all that is not.
const STANDS_OUT: Duration = Duration::from_millis(60);
/// The answer is thought over this often.
const EVERY: Duration = Duration::from_millis(100);

/// Delays behind the fastest packets.
#[derive(Clone, Debug, Default)]
pub(super) struct Spread {
    seen: VecDeque<(Instant, u8)>,
    /// When the first packet came, ever.
    began: Option<Instant>,
    /// Its beginning was forgotten.
    forgot: bool,
    /// Its beginning is over.
    begun: bool,
    bins: Vec<u16>,
    most: Duration,
    thought: Option<Instant>,
}

impl Spread {
    /// A packet came this much later than the fastest way.
    pub(super) fn add(&mut self, late: Duration, now: Instant) {
        self.bins.resize(BINS, 0);
        let bin = (late.as_micros() / BIN.as_micros()).min(BINS as u128 - 1) as u8;
        self.seen.push_back((now, bin));
        self.bins[usize::from(bin)] += 1;
        let since = |at: Instant| now.saturating_duration_since(at);
        let began = *self.began.get_or_insert(now);
        let due = self.thought.is_none_or(|at| since(at) >= EVERY);
        let mut forgotten = 0;
        if !self.begun && due && since(began) > 2 * CALM {
            let calm = if self.forgot { CALM_AGAIN } else { CALM };
            forgotten = self.beginning_that_is_over(now - calm);
            self.forgot |= forgotten > 0;
            self.begun = since(began) > FIRST;
        }
        while let Some((at, bin)) = self.seen.front().copied()
            && (self.seen.len() > MOST || since(at) > WINDOW || forgotten > 0)
        {
            forgotten = forgotten.saturating_sub(1);
            self.seen.pop_front();
            self.bins[usize::from(bin)] -= 1;
        }
        if self.seen.len() < 4 * FEW || due {
            self.thought = Some(now);
            self.most = self.think(now);
        }
    }

    /// The delay that all but one in two hundred packets keep within. A path that was late
    /// once, for a moment – a queue that came and went –, is not waited for: it would cost everybody
    /// the next eight seconds for a second that is over.
    pub(super) fn most(&self) -> Duration {
        self.most
    }

    /// How many packets came before `end`, if those since were so much less late that these tell nothing.
    fn beginning_that_is_over(&self, end: Instant) -> usize {
        let first = self.seen.iter().take_while(|(at, _)| *at < end).count();
        let sum = |seen: &mut dyn Iterator<Item = &(Instant, u8)>| -> u32 {
            seen.map(|(_, bin)| u32::from(*bin)).sum()
        };
        let (before, since) = (first as u32, (self.seen.len() - first) as u32);
        let late = sum(&mut self.seen.iter().take(first)) * since;
        let now = sum(&mut self.seen.iter().skip(first)) * before;
        if since >= FEW as u32 && late > CALMER * now { first } else { 0 }
    }

    fn think(&self, now: Instant) -> Duration {
        let seen = self.seen.len();
        if seen < FEW {
            return Duration::ZERO;
        }
        let all = quantile(&self.bins, seen, LATE);
        if self.began.is_none_or(|at| now.saturating_duration_since(at) < BEGINNING) {
            let sum: u32 = self.seen.iter().map(|(_, bin)| u32::from(*bin)).sum();
            let expected = BIN * (sum * TIMES_MEAN) / seen as u32;
            return all.max(expected.min(all * 3 / 2)).min(BIN * BINS as u32);
        }
        let (bins, rest) = self.without_humps();
        let without = quantile(&bins, rest, LATE * 0.75);
        // Where delays vary all the time, the worst second is one of many.
        if rest < seen / 2 || without + STANDS_OUT > all { all } else { without }
    }

    /// The bins, and how many packets there are in them, without the seconds around the latest packets.
    fn without_humps(&self) -> (Vec<u16>, usize) {
        let mut bins = self.bins.clone();
        let mut rest: Vec<(Instant, u8)> = self.seen.iter().copied().collect();
        for _ in 0..HUMPS {
            let Some((at, _)) = rest.iter().rev().max_by_key(|(_, bin)| *bin).copied() else {
                break;
            };
            rest.retain(|(other, bin)| {
                let apart =
                    other.saturating_duration_since(at).max(at.saturating_duration_since(*other));
                let kept = apart > HUMP / 2;
                if !kept {
                    bins[usize::from(*bin)] -= 1;
                }
                kept
            });
        }
        (bins, rest.len())
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The delay that all but a share of so many packets keep within.
fn quantile(bins: &[u16], seen: usize, share: f64) -> Duration {
    let mut late = (seen as f64 * share) as usize;
    for (bin, count) in bins.iter().enumerate().rev() {
        if usize::from(*count) > late {
            return BIN * (bin as u32 + 1);
        }
        late -= usize::from(*count);
    }
    Duration::ZERO
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn one_packet_in_two_hundred_may_come_later() {
        let (t0, mut spread) = (Instant::now(), Spread::default());
        for i in 0..400u64 {
            let late = if i % 201 == 7 { 300 } else { i % 60 };
            spread.add(ms(late), t0 + ms(20 * i));
        }
        assert_eq!(spread.most(), ms(60));
    }

    #[test]
    fn a_hump_that_is_over_is_not_waited_for_but_a_path_that_has_them_often_is() {
        let run = |humps: &[u64]| {
            let (t0, mut spread) = (Instant::now(), Spread::default());
            for i in 0..400u64 {
                // A queue of 300 ms that builds up in 100 ms and drains in 500.
                let since = humps.iter().filter_map(|h| i.checked_sub(*h)).min().unwrap_or(1000);
                let late =
                    if since < 5 { since * 60 } else { 300u64.saturating_sub((since - 5) * 12) };
                spread.add(ms(late.max(i % 10)), t0 + ms(20 * i));
            }
            spread.most()
        };
        assert!(run(&[100]) <= ms(60), "{:?}", run(&[100]));
        assert!(run(&[50, 200, 350]) >= ms(250), "{:?}", run(&[50, 200, 350]));
    }

    #[test]
    fn at_the_beginning_later_ones_are_expected() {
        let (t0, mut spread) = (Instant::now(), Spread::default());
        for i in 0..50u64 {
            spread.add(ms(2 * i), t0 + ms(20 * i));
        }
        assert!(spread.most() > ms(140) && spread.most() <= ms(190), "{:?}", spread.most());
        let mut calm = Spread::default();
        for i in 0..50u64 {
            calm.add(ms(3), t0 + ms(20 * i));
        }
        assert_eq!(calm.most(), BIN);
    }

    #[test]
    fn a_rough_beginning_is_over_after_some_seconds_and_a_rough_path_is_not() {
        let run = |rough_until: u64| {
            let (t0, mut spread) = (Instant::now(), Spread::default());
            for i in 0..270u64 {
                let late = if i < rough_until { i % 30 * 10 } else { 8 };
                spread.add(ms(late), t0 + ms(20 * i));
            }
            spread.most()
        };
        assert_eq!(run(140), ms(10));
        let twice = |i: u64| if i < 100 || (200..270).contains(&i) { i % 30 * 10 } else { 8 };
        let (t0, mut spread) = (Instant::now(), Spread::default());
        (0..440u64).for_each(|i| spread.add(ms(twice(i)), t0 + ms(20 * i)));
        assert_eq!(spread.most(), ms(10), "rough once more while the last ones come in");
        assert!(run(270) >= ms(290), "{:?}", run(270));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let (t0, mut spread) = (Instant::now(), Spread::default());
        for i in 0..400u64 {
            spread.add(ms(200), t0 + ms(20 * i));
        }
        assert_eq!(spread.most(), ms(205));
        for i in 400..801u64 {
            spread.add(ms(1), t0 + ms(20 * i));
        }
        assert_eq!(spread.most(), ms(5));
    }

    #[test]
    fn a_flood_is_bounded_and_few_packets_tell_nothing() {
        let (t0, mut spread) = (Instant::now(), Spread::default());
        assert_eq!(spread.most(), Duration::ZERO);
        spread.add(ms(90), t0);
        assert_eq!(spread.most(), Duration::ZERO);
        for _ in 0..100_000 {
            spread.add(Duration::from_secs(1000), t0);
        }
        assert_eq!(spread.seen.len(), MOST);
        assert_eq!(spread.most(), BIN * BINS as u32);
    }
}
