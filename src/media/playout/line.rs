//! The relation of a sender's media clock to the local clock, as far as arrivals tell it.
//!
//! Every arrival says: media time m was here at instant i. The fastest arrivals waited in no
//! queue, so the smallest `i − m` of the last seconds is the best map there is from one clock to
//! the other; all others are that plus delay. Old minima are forgotten, so that the map follows
//! clocks that drift and routes that change.

use crate::time::MediaTime;
use std::time::{Duration, Instant};

/// Minima are kept per slice of this length …
const SLICE: Duration = Duration::from_millis(500);
/// … for this many slices: two seconds of memory.
const SLICES: usize = 4;

/// The least `arrival − media time` of the last two seconds.
#[derive(Clone, Debug, Default)]
pub struct MinLine {
    /// Any fixed instant: offsets are counted from it.
    base: Option<Instant>,
    /// Least offset per slice in µs, newest last.
    slices: Vec<i64>,
    /// When the newest slice began.
    since: Option<Instant>,
}

impl MinLine {
    /// Takes one arrival into account.
    pub fn arrived(&mut self, at: MediaTime, now: Instant) {
        let base = *self.base.get_or_insert(now);
        let offset = micros_since(base, now).saturating_sub(micros(at));
        let fresh = match self.since {
            None => true,
            Some(since) => {
                let age = now.saturating_duration_since(since);
                if age > SLICE * (SLICES as u32 + 1) {
                    // Nothing came for longer than the memory reaches: start anew.
                    self.slices.clear();
                }
                age >= SLICE
            }
        };
        if fresh {
            self.slices.push(offset);
            if self.slices.len() > SLICES {
                self.slices.remove(0);
            }
            self.since = Some(now);
        } else if let Some(least) = self.slices.last_mut() {
            *least = (*least).min(offset);
        }
    }

    /// The instant at which media time zero would have arrived by the fastest way; `None` before
    /// the first arrival.
    pub fn zero(&self) -> Option<Instant> {
        let least = *self.slices.iter().min()?;
        shift(self.base?, least)
    }

    /// When media time `at` arrives by the fastest way.
    pub fn arrival(&self, at: MediaTime) -> Option<Instant> {
        let least = *self.slices.iter().min()?;
        shift(self.base?, least.saturating_add(micros(at)))
    }

    /// Forgets everything (the sender's clock jumped).
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Media time as signed microseconds. Values a sane clock never reaches are cut off.
pub(super) fn micros(at: MediaTime) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

/// Signed microseconds from `base` to `now`.
pub(super) fn micros_since(base: Instant, now: Instant) -> i64 {
    let after = now.saturating_duration_since(base).as_micros();
    let before = base.saturating_duration_since(now).as_micros();
    i64::try_from(after).unwrap_or(i64::MAX / 4) - i64::try_from(before).unwrap_or(i64::MAX / 4)
}

/// `base` moved by signed microseconds; `None` where the platform's clock has no such instant.
pub(super) fn shift(base: Instant, micros: i64) -> Option<Instant> {
    let by = Duration::from_micros(micros.unsigned_abs());
    if micros >= 0 { base.checked_add(by) } else { base.checked_sub(by) }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_fastest_arrival_rules_and_is_forgotten_after_two_seconds() {
        let start = Instant::now();
        let mut line = MinLine::default();
        assert_eq!(line.zero(), None);
        let at = |t: u64| MediaTime(t * 1000);
        line.arrived(at(0), start + ms(50));
        line.arrived(at(20), start + ms(50));
        line.arrived(at(40), start + ms(95));
        assert_eq!(line.arrival(at(100)), Some(start + ms(130)));
        // The route gets 40 ms longer.
        for t in (60..4000).step_by(20) {
            line.arrived(at(t), start + ms(t + 70));
        }
        assert_eq!(line.arrival(at(100)), Some(start + ms(170)));
    }

    #[test]
    fn absurd_media_times_do_no_harm() {
        let start = Instant::now();
        let mut line = MinLine::default();
        line.arrived(MediaTime(u64::MAX), start);
        line.arrived(MediaTime(0), start + ms(1));
        let _ = (line.zero(), line.arrival(MediaTime(u64::MAX)));
    }
}
