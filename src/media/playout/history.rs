//! What piled up in the sockets while this process stood still.
//!
//! It is history even where nothing newer is there: the connection may be dead, and all of it from half a
//! minute ago. How old it is, the fastest arrivals from before tell.

use super::line::MinLine;
use crate::time::MediaTime;
use std::time::{Duration, Instant};

/// So long after standing still, what comes may be from before. Later a path that became longer is believed.
const BACK: Duration = Duration::from_millis(500);

/// Tells what came in while this process stood still from the present.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Until when, and when media time zero came by the fastest way before.
    before: Option<(Instant, Instant)>,
}

impl History {
    /// This process stood still until `now`; `line`: the arrivals before.
    pub(super) fn stood_still(&mut self, line: &MinLine, now: Instant) {
        self.before = line.zero().map(|zero| (now + BACK, zero));
    }

    /// Is what was captured at `at`, and is there `now`, from before: later than it could be by more than
    /// `past`?
    pub fn holds(&self, at: MediaTime, now: Instant, past: Duration) -> bool {
        self.before.filter(|(until, _)| now < *until).is_some_and(|(_, zero)| {
            let came = zero.checked_add(Duration::from_micros(at.0.min(1 << 50)));
            came.is_some_and(|came| now.saturating_duration_since(came) > past)
        })
    }
}
