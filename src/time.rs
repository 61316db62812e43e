//! Time as a value. Layers 0–2 never read a clock: whoever drives them passes [`Now`] in, so the
//! same code runs in real time and under a paused virtual clock.

use std::time::{Duration, Instant};

/// A moment, as the driver saw it: monotonic for timers, wall for dates (expiry, "met on").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic clock; under a paused runtime this is virtual time.
    pub mono: Instant,
    /// Wall clock.
    pub wall: Wall,
}

/// Wall-clock time: milliseconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub u64);

impl Wall {
    /// Whole seconds since 1970-01-01 00:00 UTC.
    pub fn secs(self) -> u64 {
        self.0 / 1000
    }
}

/// A capture time on the *sender's* media clock, in microseconds since that clock's origin.
/// One origin per participant and call stamps sound and picture alike; it travels inside sealed
/// frames. Never to be mixed with [`Instant`], which is local and never sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaTime(pub u64);

impl MediaTime {
    /// The media time of a local moment, for the clock that started at `origin` (earlier = 0).
    pub fn since(origin: Instant, at: Instant) -> Self {
        Self(u64::try_from(at.saturating_duration_since(origin).as_micros()).unwrap_or(u64::MAX))
    }

    /// The local moment of this media time, for the clock that started at `origin`.
    pub fn instant(self, origin: Instant) -> Instant {
        origin + Duration::from_micros(self.0)
    }

    /// Time from `earlier` to `self`, zero when it is not earlier.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}
