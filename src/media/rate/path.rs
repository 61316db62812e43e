//! What a connection shows of its path, before and beside our own reports of arrivals.

use std::time::Duration;

/// A round trip longer than twice its shortest by this much is a queue.
const MUCH_LONGER: Duration = Duration::from_millis(80);
/// Rate before anything is known of a path that the handshake has filled, in bit/s.
pub(super) const NARROW_START: f64 = 64_000.0;
/// … or this part of what the handshake was seen to get through it …
const NARROW_PART: f64 = 0.9;
/// … and no less than this.
const NARROW_LEAST: f64 = 40_000.0;

/// What a connection shows of its path. Round trips have queues of both directions in them, but are measured
/// against the empty path of the handshake, which our own delays may never have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathSeen {
    /// Round trip, smoothed.
    pub rtt: Duration,
    /// The shortest of the present path; zero if there was none yet.
    pub shortest: Duration,
    /// What the path carried while it was full, in bit/s; `None` if nothing has filled it.
    pub carries: Option<u64>,
}

impl PathSeen {
    /// By how much the round trip is longer than its shortest, in µs; 0 unless out of proportion.
    pub(super) fn longer_us(&self) -> i64 {
        let longer = self.rtt.saturating_sub(self.shortest);
        let much = !self.shortest.is_zero() && longer > self.shortest + MUCH_LONGER;
        if much { i64::try_from(longer.as_micros()).unwrap_or(0) } else { 0 }
    }

    /// What to begin with instead of `rate`, in bit/s: the little that a handshake and a Welcome take fills a
    /// narrow path, and shows what it carries.
    pub(super) fn start(&self, rate: f64) -> f64 {
        let rate = if self.longer_us() > 0 { rate.min(NARROW_START) } else { rate };
        self.carries
            .map_or(rate, |carries| rate.min((carries as f64 * NARROW_PART).max(NARROW_LEAST)))
    }
}

/// What the estimate knows of its path and a cut changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// bit/s.
    pub(super) rate: f64,
    /// Received rate when it was last found full.
    pub(super) full_at: Option<f64>,
    /// We have filled it ourselves.
    pub(super) filled: bool,
}
