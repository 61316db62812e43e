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
/// With fewer than this the latest ones have yet to come: so many times the mean are waited for
/// (of an exponential spread all but one in fifty are within four times the mean), at most half as
/// much again as was seen.
const ENOUGH: usize = 200;
const TIMES_MEAN: u32 = 4;

/// Delays behind the fastest packets.
#[derive(Clone, Debug, Default)]
pub(super) struct Spread {
    seen: VecDeque<(Instant, u8)>,
    bins: Vec<u16>,
}

impl Spread {
    /// A packet came this much later than the fastest way.
    pub(super) fn add(&mut self, late: Duration, now: Instant) {
        self.bins.resize(BINS, 0);
        let bin = (late.as_micros() / BIN.as_micros()).min(BINS as u128 - 1) as u8;
        self.seen.push_back((now, bin));
        self.bins[usize::from(bin)] += 1;
        while let Some((at, bin)) = self.seen.front().copied()
            && (self.seen.len() > MOST || now.saturating_duration_since(at) > WINDOW)
        {
            self.seen.pop_front();
            self.bins[usize::from(bin)] -= 1;
        }
    }

    /// The delay that all but one in two hundred packets keep within.
    pub(super) fn most(&self) -> Duration {
        match self.seen.len() {
            0..FEW => Duration::ZERO,
            seen @ FEW..ENOUGH => {
                let sum: u32 = self.seen.iter().map(|(_, bin)| u32::from(*bin)).sum();
                let expected = BIN * (sum * TIMES_MEAN) / seen as u32;
                let quantile = self.quantile();
                quantile.max(expected.min(quantile * 3 / 2))
            }
            ENOUGH.. => self.quantile(),
        }
    }

    fn quantile(&self) -> Duration {
        let mut late = (self.seen.len() as f64 * LATE) as usize;
        for (bin, count) in self.bins.iter().enumerate().rev() {
            if usize::from(*count) > late {
                return BIN * (bin as u32 + 1);
            }
            late -= usize::from(*count);
        }
        Duration::ZERO
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
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
