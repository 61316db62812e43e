//! Small sliding windows over time.

use std::collections::VecDeque;

/// Entries kept at most: times may come from somebody else's clock, and stand still.
const MOST: usize = 8_192;

/// The least value of the last `length` microseconds.
#[derive(Clone, Debug)]
pub(super) struct LeastOf {
    length: i64,
    /// Candidates: times and values both ascending.
    queue: VecDeque<(i64, i64)>,
}

impl LeastOf {
    pub(super) fn new(length: i64) -> Self {
        Self { length, queue: VecDeque::new() }
    }

    pub(super) fn push(&mut self, at: i64, value: i64) {
        while self.queue.back().is_some_and(|&(_, v)| v >= value) {
            self.queue.pop_back();
        }
        self.queue.push_back((at, value));
        let old = |&(t, _): &(i64, i64)| t < at - self.length;
        while self.queue.len() > MOST || self.queue.front().is_some_and(old) {
            self.queue.pop_front();
        }
    }

    pub(super) fn least(&self) -> Option<i64> {
        self.queue.front().map(|&(_, value)| value)
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }
}

/// Sum of amounts over the last `length` microseconds.
#[derive(Clone, Debug)]
pub(super) struct SumOf {
    length: i64,
    queue: VecDeque<(i64, u64)>,
    sum: u64,
}

impl SumOf {
    pub(super) fn new(length: i64) -> Self {
        Self { length, queue: VecDeque::new(), sum: 0 }
    }

    pub(super) fn push(&mut self, at: i64, amount: u64) {
        self.queue.push_back((at, amount));
        self.sum += amount;
        self.advance(at);
    }

    /// Drops what is older than the window at `now`.
    pub(super) fn advance(&mut self, now: i64) {
        while let Some(&(at, amount)) = self.queue.front() {
            if at >= now - self.length && self.queue.len() <= MOST {
                break;
            }
            self.sum -= amount;
            self.queue.pop_front();
        }
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// Amount per second: what followed the first entry, over the time it took. Too short a time
    /// counts as a whole window.
    pub(super) fn per_second(&self) -> f64 {
        let (Some(first), Some(last)) = (self.queue.front(), self.queue.back()) else { return 0.0 };
        let span = last.0 - first.0;
        if span < self.length / 3 {
            return self.sum as f64 * 1e6 / self.length as f64;
        }
        (self.sum - first.1) as f64 * 1e6 / span as f64
    }
}
