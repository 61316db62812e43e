//! Paths that leave by one line.
//!
//! In a call of several, all paths of a member mostly share its upload, and each is estimated apart.
//! Alone that goes wrong: a path that begins while a queue stands takes that delay for its least, never
//! finds the line full, and grows into the room that the others make. So when one path finds the line
//! full, the others go down with it, for the time it takes to drain. That tells at once whether they
//! share the line: then their delay falls as well – and is measured, from then on, against a line
//! without a queue. If it doesn't, what was taken is given back, and they are left alone for a while
//! (RFC 8382 finds shared bottlenecks by watching only; cutting together answers in one round trip).

use super::estimator::{Estimator, Turn};
use std::time::Instant;

/// A path goes down with another one for so long at most, µs.
const LONGEST: i64 = 3_000_000;
/// A path whose delay fell by this part of the other one's queue shares the line …
const FELL: f64 = 1.0 / 3.0;
/// … and at least by this much, µs.
const FELL_LEAST: i64 = 8_000;
/// One that doesn't isn't tried again for so long, µs; twice as long each time …
const APART: i64 = 20_000_000;
/// … up to this.
const APART_LONGEST: i64 = 160_000_000;

/// What is known of this path and the line the others leave by. A member whose reports lie about a queue
/// costs the others one such try, and then one every [`APART_LONGEST`].
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Nothing,
    Shared,
    /// Until then, having been so for that long, in µs.
    Apart(i64, i64),
}

/// What held before going down with another path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Before {
    /// Rate in bit/s, and what the path carried when it was full.
    pub(super) rate: f64,
    pub(super) full_at: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Following {
    since: i64,
    /// The other's queue, and our delay, at that time, in µs.
    queue: i64,
    delay: i64,
    before: Before,
}

/// One path's company.
#[derive(Clone, Debug)]
pub(super) struct Line {
    known: Known,
    following: Option<Following>,
}

impl Line {
    pub(super) const fn new() -> Self {
        Self { known: Known::Nothing, following: None }
    }

    /// Was it seen to share the others' line?
    pub(super) fn shared(&self) -> bool {
        self.known == Known::Shared
    }

    /// Another path went down with this one, and turned out to share the line.
    pub(super) fn is_shared(&mut self) {
        self.known = Known::Shared;
    }

    /// Is it worth going down with another path now?
    pub(super) fn follows(&self, at: i64) -> bool {
        self.following.is_none()
            && match self.known {
                Known::Apart(until, _) => at >= until,
                _ => true,
            }
    }

    /// Goes down with a path that has a queue of `queue` µs, being at a delay of `delay` µs.
    pub(super) fn follow(&mut self, at: i64, queue: i64, delay: i64, before: Before) {
        self.following = Some(Following { since: at, queue, delay, before });
    }

    /// On the way down, not having been so for too long?
    pub(super) fn following(&self, at: i64) -> bool {
        self.following.is_some_and(|f| at - f.since < LONGEST)
    }

    /// The other path's queue is gone (or it took too long), and the delay of this one is `delay` µs.
    pub(super) fn end(&mut self, at: i64, delay: Option<i64>) -> Ended {
        let Some(was) = self.following.take() else { return Ended::Nothing };
        let fell = delay.map_or(0, |delay| was.delay - delay);
        if fell >= FELL_LEAST.max((was.queue as f64 * FELL) as i64) {
            self.known = Known::Shared;
            return Ended::Shared;
        }
        let longer = match self.known {
            Known::Apart(_, length) => (2 * length).min(APART_LONGEST),
            _ => APART,
        };
        self.known = Known::Apart(at + longer, longer);
        Ended::Apart(was.before)
    }

    /// It is over without an answer: another path, or no reports for a while.
    pub(super) fn forget(&mut self) {
        *self = Self::new();
    }

    /// Is there anything to end?
    pub(super) const fn is_following(&self) -> bool {
        self.following.is_some()
    }
}

/// What going down together has shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ended {
    /// It wasn't.
    Nothing,
    /// They share the line.
    Shared,
    /// They don't: this held before.
    Apart(Before),
}

/// One path (marked `true`) has become full or free, as [`Estimator::on_report`] tells: the others follow.
/// Paths that are known to share the line come half-way nearer to equal shares of it each time.
pub fn turn(paths: &mut [(bool, &mut Estimator)], turn: Turn, now: Instant) {
    let shared: Vec<_> = paths.iter().filter_map(|(_, path)| path.on_the_line()).collect();
    let mean = shared.iter().sum::<f64>() / shared.len().max(1) as f64;
    let mut any = false;
    for (found, path) in paths.iter_mut() {
        let share = path.on_the_line().filter(|_| shared.len() > 1).map(|_| mean);
        match turn {
            Turn::Full(_) if *found => path.balance(share),
            Turn::Full(queue) => path.line_full(queue, share, now),
            Turn::Free => any |= path.line_free(now),
        }
    }
    if any && let Some((_, path)) = paths.iter_mut().find(|(found, _)| *found) {
        path.line_shared();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: Before = Before { rate: 300_000.0, full_at: None };

    #[test]
    fn whose_delay_falls_with_the_others_queue_shares_the_line() {
        let mut line = Line::new();
        assert!(line.follows(0) && !line.shared());
        line.follow(0, 90_000, 150_000, BEFORE);
        assert!(line.following(LONGEST - 1) && !line.following(LONGEST) && !line.follows(1));
        assert_eq!(line.end(500_000, Some(110_000)), Ended::Shared);
        assert!(line.shared() && line.follows(500_001));
        assert_eq!(line.end(600_000, Some(0)), Ended::Nothing);
    }

    #[test]
    fn who_gains_nothing_gets_back_what_it_had_and_is_left_alone_for_longer_each_time() {
        let mut line = Line::new();
        let mut at = 0;
        for length in [APART, 2 * APART, 4 * APART, 8 * APART, 8 * APART] {
            assert!(line.follows(at));
            line.follow(at, 90_000, 150_000, BEFORE);
            assert_eq!(line.end(at + 500_000, Some(149_000)), Ended::Apart(BEFORE));
            assert!(!line.shared() && !line.follows(at + 500_000 + length - 1));
            at += 500_000 + length;
        }
    }

    #[test]
    fn without_a_measurement_nothing_is_believed() {
        let mut line = Line::new();
        line.follow(0, 90_000, 150_000, BEFORE);
        assert_eq!(line.end(LONGEST, None), Ended::Apart(BEFORE));
    }
}
