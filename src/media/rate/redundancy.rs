//! How often, and how much later, to send something again before anybody asks: from the losses the path
//! has really shown.
//!
//! A repair on request takes a round trip and more. A *copy* sent beside a later packet takes no
//! time to ask for, but helps only if it does not fall into the same burst of losses. So which delays are
//! worth it isn't derived from a model of losses; it is tried on the last seconds: for every set of
//! up to three delays, how many of the packets would have been lost with all of their copies. Where
//! losses come singly that finds the next packet, where they come in bursts it finds delays longer
//! than the bursts.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Most copies of one packet.
pub const MOST_COPIES: usize = 3;
/// A copy later than this is too late for a conversation.
const LATEST: Duration = Duration::from_millis(120);
/// Up to here a copy's delay costs nothing: sound waits so long anyway.
const FREE: Duration = Duration::from_millis(40);
/// What a millisecond beyond [`FREE`] weighs, in per cent of packets lost.
const DELAY_WEIGHT: f64 = 0.05;
/// What a copy weighs, in the same: below that share of losses none is sent.
const COPY_WEIGHT: f64 = 0.08;
/// Another plan has to be better by this share, and by as much as half a copy, to be taken.
const BETTER: f64 = 0.2;
/// Deep redundancy pays from this share of packets lost with all their copies on …
const DEEP_FROM: f64 = 0.004;
/// … and until it is as small as this.
const DEEP_UNTIL: f64 = 0.002;
/// Losses are remembered for so long.
const LOOKED_BACK: Duration = Duration::from_secs(12);
/// Packets remembered.
const REMEMBERED: usize = 600;
/// With fewer than these nothing is decided: a second of packets of 20 ms.
const FEW: usize = 50;
/// Until then so much of loss, as the receiver counts it, calls for a copy in the next packet, and for one
/// in the one after it.
const FIRST_LOSSES: [f64; 2] = [0.02, 0.08];
/// With fewer than these a far copy that looks better is chance …
const YOUNG: usize = 150;
/// … and this is the latest.
const LATEST_YOUNG: Duration = Duration::from_millis(60);
/// A packet that nobody has reported for so long, beyond a round trip, while later ones were, is lost:
/// a report that was lost itself has been repeated by then.
const REPORTED_BY: Duration = Duration::from_millis(400);
/// How long before a full queue was noticed its losses began.
const FULL_BEFORE: Duration = Duration::from_millis(1000);
/// Packets whose fate is open; more means that no reports come.
const OPEN: usize = 300;

/// What became of the packets of one path, in the order of their sending.
#[derive(Clone, Debug, Default)]
pub struct LossTrace {
    /// When sent (µs), and whether lost.
    fates: VecDeque<(i64, bool)>,
}

impl LossTrace {
    /// A packet sent at `at` (µs on any clock) arrived or was lost. Packets come in order.
    pub fn push(&mut self, at: i64, lost: bool) {
        if self.fates.len() == REMEMBERED {
            self.fates.pop_front();
        }
        self.fates.push_back((at, lost));
        self.forget(at);
    }

    /// Forgets what was sent more than [`LOOKED_BACK`] before the newest.
    fn forget(&mut self, newest: i64) {
        let back = i64::try_from(LOOKED_BACK.as_micros()).unwrap_or(i64::MAX);
        while self.fates.front().is_some_and(|(sent, _)| newest.saturating_sub(*sent) > back) {
            self.fates.pop_front();
        }
    }

    /// Forgets the losses since `at`.
    fn excuse_since(&mut self, at: i64) {
        self.fates.retain(|(sent, lost)| *sent < at || !lost);
    }

    /// Share of lost packets, 0–1; `None` while there are too few to tell.
    pub fn loss(&self) -> Option<f64> {
        let lost = self.fates.iter().filter(|(_, lost)| *lost).count();
        (self.fates.len() >= FEW).then(|| lost as f64 / self.fates.len() as f64)
    }

    /// Share (0–1) of packets that would have been lost with all their copies, sent so many packets
    /// after them.
    fn residual(&self, after: &[usize]) -> f64 {
        let span = after.iter().copied().max().unwrap_or(0);
        let tried = self.fates.len().saturating_sub(span);
        if tried == 0 {
            return 1.0;
        }
        let lost = |i: usize| self.fates.get(i).is_some_and(|(_, lost)| *lost);
        let gone = (0..tried).filter(|&i| lost(i) && after.iter().all(|d| lost(i + d))).count();
        gone as f64 / tried as f64
    }
}

/// Finds out what becomes of packets from what the receiver reports.
#[derive(Clone, Debug)]
pub struct Fates {
    origin: Instant,
    /// Not settled yet, in the order of sending.
    open: VecDeque<Open>,
    trace: LossTrace,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    kid: u16,
    ctr: u64,
    at: Instant,
    arrived: bool,
    /// If it is lost, it was lost to a queue that we had filled.
    excused: bool,
}

impl Fates {
    /// Nothing sent yet; times are counted from `origin`.
    pub fn new(origin: Instant) -> Self {
        Self { origin, open: VecDeque::new(), trace: LossTrace::default() }
    }

    /// A packet leaves under this key identifier and counter.
    pub fn sent(&mut self, kid: u16, ctr: u64, at: Instant) {
        if self.open.len() == OPEN {
            self.open.pop_front();
        }
        self.open.push_back(Open { kid, ctr, at, arrived: false, excused: false });
    }

    /// The receiver reported it.
    pub fn arrived(&mut self, kid: u16, ctr: u64) {
        if let Some(open) = self.open.iter_mut().find(|o| o.kid == kid && o.ctr == ctr) {
            open.arrived = true;
        }
    }

    /// Settles what can be told at `now`, the round trip being `round`.
    pub fn settle(&mut self, now: Instant, round: Duration) {
        let newest = self.open.iter().rposition(|o| o.arrived);
        let old = |o: &Open| now.saturating_duration_since(o.at) > REPORTED_BY + round;
        let mut place = 0;
        while let Some(open) = self.open.front().copied() {
            // Without a later one that arrived, nothing is known: perhaps no report comes through.
            let lost = old(&open) && newest.is_some_and(|newest| place < newest);
            if !open.arrived && !lost {
                return;
            }
            self.open.pop_front();
            place += 1;
            if open.arrived || !open.excused {
                self.trace.push(self.micros(open.at), !open.arrived);
            }
        }
    }

    /// The path is full at `now`: what is lost of late was lost because we sent too much, and sending it
    /// twice would be more of it.
    pub fn full(&mut self, now: Instant) {
        let since = now.checked_sub(FULL_BEFORE).unwrap_or(self.origin);
        for open in self.open.iter_mut().filter(|o| o.at >= since) {
            open.excused = true;
        }
        self.trace.excuse_since(self.micros(since));
    }

    fn micros(&self, at: Instant) -> i64 {
        let since = at.saturating_duration_since(self.origin).as_micros();
        i64::try_from(since).unwrap_or(i64::MAX)
    }

    /// What is settled.
    pub fn trace(&self) -> &LossTrace {
        &self.trace
    }
}

/// When to send copies: so many packets after the first, ascending. Empty: not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeats(Vec<usize>);

impl Repeats {
    /// The plan for a path: at most `most` copies of packets `millis` long. Keeps `self` unless
    /// another plan is clearly better. `first` is the share of losses (0–1) that the receiver has
    /// counted so far, for as long as the trace is too short.
    #[must_use]
    pub fn replan(&self, trace: &LossTrace, first: f64, millis: u8, most: usize) -> Self {
        let most = most.min(MOST_COPIES);
        let each = Duration::from_millis(u64::from(millis.max(10)));
        let latest = if trace.fates.len() < YOUNG { LATEST_YOUNG } else { LATEST };
        let last = usize::try_from(latest.as_millis() / each.as_millis()).unwrap_or(0);
        if trace.loss().is_none() {
            let called_for = FIRST_LOSSES.iter().filter(|share| first >= **share).count();
            let next =
                if self.0.len() < called_for { (1..=called_for).collect() } else { self.0.clone() };
            return Self(next.into_iter().filter(|d| *d <= last).take(most).collect());
        }
        let mut best = (cost(trace, &[], each), Vec::new());
        let mut set = Vec::with_capacity(MOST_COPIES);
        extend(&mut set, last, most, &mut |set| {
            let cost = cost(trace, set, each);
            if cost < best.0 {
                best = (cost, set.to_vec());
            }
        });
        let usable = self.0.len() <= most && self.0.iter().all(|d| *d <= last);
        let now = cost(trace, &self.0, each);
        if usable && best.0 > now * (1.0 - BETTER) - COPY_WEIGHT / 2.0 {
            return self.clone();
        }
        Self(best.1)
    }

    /// The copies, as packets after the first.
    pub fn after(&self) -> &[usize] {
        &self.0
    }

    /// How many copies.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// No copies.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a plan costs everybody, in per cent of packets lost. What was not seen in the last seconds may
/// still come: losses that strike a packet and all its copies at least as often as if they were
/// independent.
fn cost(trace: &LossTrace, after: &[usize], each: Duration) -> f64 {
    let last = each * u32::try_from(after.iter().copied().max().unwrap_or(0)).unwrap_or(0);
    let waits = last.saturating_sub(FREE).as_secs_f64() * 1e3;
    let sendings = i32::try_from(after.len()).unwrap_or(0) + 1;
    let independent = trace.loss().unwrap_or(0.0).powi(sendings);
    let lost = trace.residual(after).max(independent);
    100.0 * lost + DELAY_WEIGHT * waits + COPY_WEIGHT * after.len() as f64
}

/// Shows `look` every ascending set of up to `most` numbers in 1..=`last` that begins with `set`.
fn extend(set: &mut Vec<usize>, last: usize, most: usize, look: &mut impl FnMut(&[usize])) {
    if set.len() >= most {
        return;
    }
    for next in set.last().map_or(1, |d| d + 1)..=last {
        set.push(next);
        look(set);
        extend(set, last, most, look);
        set.pop();
    }
}

/// Whether packets of sound carry deep redundancy (DRED): where copies alone leave too much lost,
/// because losses come in bursts or the path has no room for more copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deep(bool);

impl Deep {
    /// The plan for a path whose losses are mended by `repeats`.
    #[must_use]
    pub fn replan(self, trace: &LossTrace, repeats: &Repeats) -> Self {
        if trace.loss().is_none() {
            return self;
        }
        Self(trace.residual(repeats.after()) >= if self.0 { DEEP_UNTIL } else { DEEP_FROM })
    }

    /// Is it worth its room?
    pub const fn pays(self) -> bool {
        self.0
    }
}

/// How many copies of `copy_bps` each a path of `rate_bps` can take beside what it carries without
/// them: what is left, or a share of the whole where nothing is – somebody's voice goes before
/// their picture's last detail.
pub fn affordable(rate_bps: u64, plain_bps: u64, copy_bps: u64, share: f64) -> usize {
    let left = rate_bps.saturating_sub(plain_bps).max((rate_bps as f64 * share) as u64);
    usize::try_from(left / copy_bps.max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    fn random(share: f64) -> LossTrace {
        let mut rng = StdRng::seed_from_u64(5);
        let mut trace = LossTrace::default();
        for i in 0..600 {
            trace.push(i * 20_000, rng.random_bool(share));
        }
        trace
    }

    /// Two states with exponential stays, as the simulated network's bursts.
    fn bursts(share: f64, mean_ms: f64) -> LossTrace {
        let mut rng = StdRng::seed_from_u64(6);
        let good = mean_ms * (1.0 - share) / share;
        let (mut bad, mut left) = (false, good);
        let mut trace = LossTrace::default();
        for i in 0..600 {
            trace.push(i * 20_000, bad);
            left -= 20.0;
            while left < 0.0 {
                bad = !bad;
                let mean = if bad { mean_ms } else { good };
                left -= mean * (1.0 - rng.random_range(0.0..1.0f64)).ln();
            }
        }
        trace
    }

    fn plan(trace: &LossTrace, most: usize) -> Repeats {
        Repeats::default().replan(trace, 0.0, 20, most)
    }

    #[test]
    fn single_losses_are_repaired_by_the_next_packets() {
        let five = plan(&random(0.05), 3);
        assert!((1..=2).contains(&five.len()) && *five.after().last().unwrap() <= 2, "{five:?}");
        let trace = random(0.2);
        let twenty = plan(&trace, 3);
        assert!(*twenty.after().last().unwrap() <= 4, "{twenty:?}");
        assert!(trace.residual(twenty.after()) <= 0.02, "{twenty:?}");
    }

    #[test]
    fn before_the_trace_tells_the_receivers_count_does() {
        let plan = |known: &[usize], first, millis, most| {
            Repeats(known.to_vec()).replan(&LossTrace::default(), first, millis, most).0
        };
        assert_eq!(plan(&[], 0.01, 20, 3), [0; 0]);
        assert_eq!((plan(&[], 0.05, 20, 3), plan(&[], 0.2, 20, 3)), (vec![1], vec![1, 2]));
        assert_eq!(
            (plan(&[], 0.2, 20, 1), plan(&[], 0.2, 60, 3)),
            (vec![1], vec![1]),
            "no room, too late"
        );
        assert_eq!(plan(&[1, 2], 0.0, 20, 3), [1, 2], "kept until something is known");
        assert_eq!(plan(&[3], 0.05, 20, 3), [3]);
    }

    #[test]
    fn what_was_not_seen_for_a_while_is_still_prepared_for() {
        let mut trace = LossTrace::default();
        for i in 0..600 {
            // One in twenty, and never two in a row, as it may be for twelve seconds.
            trace.push(i * 20_000, i % 20 == 7);
        }
        assert_eq!((trace.residual(&[1]), plan(&trace, 3).len()), (0.0, 2));
    }

    #[test]
    fn a_few_losses_are_no_reason_to_wait_for_far_copies() {
        for seed in 0..20 {
            let mut trace = LossTrace::default();
            let mut rng = StdRng::seed_from_u64(seed);
            (0..60).for_each(|i| trace.push(i * 20_000, rng.random_bool(0.25)));
            let young = plan(&trace, 3);
            assert!(young.after().iter().all(|d| *d <= 3), "{seed}: {young:?}");
        }
    }

    #[test]
    fn bursts_are_repaired_from_behind_them() {
        let trace = bursts(0.4, 80.0);
        let wide = plan(&trace, 3);
        assert!(*wide.after().last().unwrap() >= 4, "{wide:?}");
        let near = trace.residual(&[1, 2, 3]);
        let chosen = trace.residual(wide.after());
        assert!(chosen < 0.75 * near, "{chosen} instead of {near}");
    }

    #[test]
    fn a_clean_path_gets_no_copies_and_nobody_more_than_allowed() {
        assert!(plan(&random(0.0), 3).is_empty());
        assert!(plan(&random(0.0005), 3).is_empty());
        assert!(plan(&random(0.2), 0).is_empty());
        assert_eq!(plan(&random(0.2), 1).len(), 1);
        let long = Repeats::default().replan(&random(0.2), 0.0, 60, 3);
        assert!(long.len() <= 2 && long.after().iter().all(|d| *d <= 2), "{long:?}");
    }

    #[test]
    fn a_plan_is_kept_while_none_is_clearly_better() {
        let trace = random(0.05);
        let kept = Repeats(vec![1, 2]);
        assert_eq!(kept.replan(&trace, 0.0, 20, 3), kept);
        assert_ne!(Repeats(vec![6]).replan(&trace, 0.0, 20, 3), Repeats(vec![6]), "far too late");
        assert!(kept.replan(&random(0.0), 0.0, 20, 3).is_empty());
        let unknown = LossTrace::default();
        assert_eq!(Repeats(vec![1, 6]).replan(&unknown, 0.0, 60, 3), Repeats(vec![1]));
    }

    #[test]
    fn deep_redundancy_goes_where_copies_leave_something_lost_and_ends_with_it() {
        let after = |trace: &LossTrace, most| Deep::default().replan(trace, &plan(trace, most));
        assert!(after(&bursts(0.4, 80.0), 3).pays());
        assert!(after(&random(0.2), 0).pays(), "no room for copies");
        assert!(!after(&random(0.0), 3).pays());
        assert!(!after(&LossTrace::default(), 3).pays(), "nothing is known");
        let deep = after(&bursts(0.4, 80.0), 3);
        assert!(deep.replan(&LossTrace::default(), &Repeats::default()).pays(), "nor anything new");
        assert!(!deep.replan(&random(0.0), &Repeats::default()).pays());
    }

    #[test]
    fn copies_are_paid_from_what_is_left_or_from_a_share() {
        assert_eq!(affordable(300_000, 110_000, 31_000, 0.2), 6);
        assert_eq!(affordable(100_000, 85_000, 31_000, 0.2), 0);
        assert_eq!(affordable(2_000_000, 2_000_000, 31_000, 0.2), 12);
        assert_eq!(affordable(64_000, 100_000, 0, 0.2), 12_800);
    }

    #[test]
    fn memory_is_bounded() {
        let mut trace = LossTrace::default();
        for i in 0..100_000 {
            trace.push(i, i % 3 == 0);
        }
        assert_eq!(trace.fates.len(), REMEMBERED);
        trace.push(99_999 + 12_000_001, false);
        assert_eq!(trace.fates.len(), 1);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn only_what_later_ones_overtook_and_no_report_names_is_lost() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let round = Duration::from_millis(100);
        let mut fates = Fates::new(start);
        for n in 0..5 {
            fates.sent(0, n, at(20 * n));
        }
        for n in [0, 1, 3] {
            fates.arrived(0, n);
        }
        fates.settle(at(200), round);
        assert_eq!(fates.trace.fates.len(), 2, "the third may be in the next report");
        fates.settle(at(600), round);
        let lost: Vec<_> = fates.trace.fates.iter().map(|f| f.1).collect();
        assert_eq!(lost, [false, false, true, false], "the last may still be on its way");
        for n in 5..100_000 {
            fates.sent(0, n, at(20 * n));
        }
        assert!(fates.open.len() <= OPEN, "no reports, no memory");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn what_a_full_queue_drops_is_no_reason_to_send_more() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut fates = Fates::new(start);
        for n in 0..200 {
            fates.sent(0, n, at(20 * n));
            // From 2 s on every third is lost; the full queue is noticed at 2.5 s.
            if n < 100 || n % 3 > 0 {
                fates.arrived(0, n);
            }
            fates.settle(at(20 * n), Duration::from_millis(50));
            if (125..160).contains(&n) {
                fates.full(at(20 * n));
            }
        }
        fates.settle(at(10_000), Duration::from_millis(50));
        let lost = fates.trace.fates.iter().filter(|f| f.1).count();
        assert_eq!(lost, 13, "those after the queue was gone");
    }
}
