//! How fast the far end of the line really eats.
//!
//! A write that returns only says that the next buffer has taken the bytes: the kernel's, the
//! multiplexer's, ssh's, the terminal's own. What stands in them is delay nobody sees. So every
//! frame ends with a question that every terminal answers (DA1), and its answer says that all before
//! it has been *read and parsed*. From these marks come the true rate, the shortest way there and
//! back, and the bytes still under way; a further frame is welcome only while those are worth less
//! than [`SLACK`] beyond the way itself.
//!
//! The estimate is that of a delivery-rate controller (Cardwell et al., "BBR: Congestion-Based
//! Congestion Control", ACM Queue 14(5), 2016): the largest rate seen lately, over the shortest
//! round trip seen lately.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// The question: DA1. Three bytes, and never mistaken for a key.
pub(super) const ASK: &[u8] = b"\x1b[c";
/// Bytes may stand before the terminal for this long, beyond the shortest round trip.
const SLACK: Duration = Duration::from_millis(40);
/// Unanswered for so long, a terminal is taken for one that doesn't answer.
const DEAF: Duration = Duration::from_secs(3);
/// Rates and round trips older than this are forgotten: lines change.
const MEMORY: Duration = Duration::from_secs(4);
/// Marks under way at once, at most.
const MOST: usize = 16;
/// A round trip this much longer than the shortest means that the terminal was busy all the time.
const BUSY: Duration = Duration::from_millis(4);

#[derive(Clone, Copy, Debug)]
struct Mark {
    /// When the frame was handed over.
    at: Instant,
    /// Bytes handed over until then, the frame included.
    upto: u64,
    /// Bytes known to have arrived when it was handed over, and since when.
    arrived: (u64, Instant),
}

/// Marks under way and what the answered ones told.
#[derive(Debug)]
pub(super) struct Flow {
    marks: VecDeque<Mark>,
    sent: u64,
    arrived: (u64, Instant),
    rates: VecDeque<(Instant, f64)>,
    trips: VecDeque<(Instant, Duration)>,
    last: Option<Duration>,
    deaf: bool,
}

impl Flow {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            marks: VecDeque::new(),
            sent: 0,
            arrived: (0, now),
            rates: VecDeque::new(),
            trips: VecDeque::new(),
            last: None,
            deaf: false,
        }
    }

    /// A frame of this many bytes is handed over. Whether it is to end with [`ASK`].
    pub(super) fn send(&mut self, bytes: usize, now: Instant) -> bool {
        self.sent += bytes as u64;
        if self.deaf || self.marks.len() >= MOST {
            return false;
        }
        if self.marks.is_empty() {
            // Nothing was under way: the clock of the rate starts now.
            self.arrived.1 = now;
        }
        self.marks.push_back(Mark { at: now, upto: self.sent, arrived: self.arrived });
        true
    }

    /// An answer came; `false`: nobody asked.
    pub(super) fn answer(&mut self, now: Instant) -> bool {
        let Some(mark) = self.marks.pop_front() else { return false };
        self.deaf = false;
        let trip = now.saturating_duration_since(mark.at);
        self.last = Some(trip);
        while self.trips.back().is_some_and(|(_, t)| *t >= trip) {
            self.trips.pop_back();
        }
        self.trips.push_back((now, trip));
        let bytes = mark.upto.saturating_sub(mark.arrived.0);
        let took = now.saturating_duration_since(mark.arrived.1).as_secs_f64();
        self.arrived = (mark.upto, now);
        if took > 0.0 {
            let rate = bytes as f64 / took;
            let busy = trip > self.shortest() + BUSY;
            if trip > self.shortest() + 2 * SLACK {
                // Longer than was meant to: it has become slower, and what was is over.
                self.rates.clear();
            }
            // An idle terminal tells only that it is at least that fast.
            if busy || self.rates.iter().all(|(_, known)| *known < rate) {
                while self.rates.back().is_some_and(|(_, known)| *known <= rate) {
                    self.rates.pop_back();
                }
                self.rates.push_back((now, rate));
            }
        }
        true
    }

    /// Whether a further frame is welcome.
    pub(super) fn is_open(&mut self, now: Instant) -> bool {
        self.forget(now);
        let Some(oldest) = self.marks.front() else { return true };
        if now.saturating_duration_since(oldest.at) > DEAF {
            // Whatever it is, it doesn't answer: then writing is all there is to go by.
            self.deaf = true;
            self.marks.clear();
            return true;
        }
        let Some(rate) = self.rate() else { return false };
        let under_way = self.sent.saturating_sub(self.arrived.0) as f64;
        under_way <= rate * (self.shortest() + SLACK).as_secs_f64()
    }

    /// Bytes per second that the far end eats; `None`: not known.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rates.front().map(|(_, rate)| *rate)
    }

    /// From handing over a frame until the terminal had read it whole, the answer's way included.
    pub(super) fn last(&self) -> Option<Duration> {
        self.last
    }

    /// Questions under way.
    pub(super) fn waiting(&self) -> usize {
        self.marks.len()
    }

    /// Nothing that was under way counts any more: the screen was given back.
    pub(super) fn reset(&mut self, now: Instant) {
        self.marks.clear();
        self.arrived = (self.sent, now);
    }

    fn shortest(&self) -> Duration {
        self.trips.iter().map(|(_, trip)| *trip).min().unwrap_or_default()
    }

    fn forget(&mut self, now: Instant) {
        let old = |at: Instant| now.saturating_duration_since(at) > MEMORY;
        while self.rates.len() > 1 && self.rates.front().is_some_and(|(at, _)| old(*at)) {
            self.rates.pop_front();
        }
        while self.trips.len() > 1 && self.trips.front().is_some_and(|(at, _)| old(*at)) {
            self.trips.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A terminal behind a line: eats in order, answers what it has eaten.
    struct Far {
        rate: f64,
        way: Duration,
        free_at: Instant,
        answers: VecDeque<Instant>,
    }

    impl Far {
        fn take(&mut self, bytes: usize, now: Instant) {
            let begins = self.free_at.max(now + self.way / 2);
            self.free_at = begins + Duration::from_secs_f64(bytes as f64 / self.rate);
            self.answers.push_back(self.free_at + self.way / 2);
        }
    }

    /// Sends frames of `bytes` whenever the flow is open, looked at every 5 ms, for `seconds`;
    /// returns frames sent in the last half, and the longest wait of one in it.
    fn play(
        flow: &mut Flow,
        far: &mut Far,
        bytes: usize,
        seconds: u64,
        t0: Instant,
    ) -> (u32, Duration) {
        let (mut frames, mut worst) = (0, Duration::ZERO);
        let end = t0 + Duration::from_secs(seconds);
        let mut now = t0;
        let mut last = None::<Instant>;
        while now < end {
            while far.answers.front().is_some_and(|at| *at <= now) {
                let at = far.answers.pop_front().expect("seen");
                assert!(flow.answer(at));
                if now > t0 + Duration::from_secs(seconds) / 2 {
                    worst = worst.max(flow.last().expect("answered"));
                }
            }
            let due = last.is_none_or(|l| now >= l + Duration::from_millis(33));
            if due && flow.is_open(now) {
                last = Some(now);
                assert!(flow.send(bytes, now), "it answers: it is asked");
                far.take(bytes, now);
                frames += u32::from(now > t0 + Duration::from_secs(seconds) / 2);
            }
            now += Duration::from_millis(5);
        }
        (frames, worst)
    }

    fn far(rate: f64, way_ms: u64, t0: Instant) -> Far {
        Far { rate, way: Duration::from_millis(way_ms), free_at: t0, answers: VecDeque::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_terminal_gets_every_frame() {
        let t0 = Instant::now();
        let (frames, worst) = play(&mut Flow::new(t0), &mut far(2e7, 1, t0), 20_000, 4, t0);
        assert!(frames >= 55, "{frames}");
        assert!(worst < Duration::from_millis(10), "{worst:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_one_gets_what_it_eats_and_no_queue() {
        let t0 = Instant::now();
        let mut flow = Flow::new(t0);
        // 20 kB eat 80 ms: 12.5 frames a second at best.
        let (frames, worst) = play(&mut flow, &mut far(250_000.0, 2, t0), 20_000, 8, t0);
        assert!((40..=51).contains(&frames), "{frames} in 4 s");
        assert!(worst < Duration::from_millis(170), "{worst:?}");
        let rate = flow.rate().expect("known");
        assert!((rate / 250_000.0 - 1.0).abs() < 0.1, "{rate}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_way_is_no_queue() {
        let t0 = Instant::now();
        let mut flow = Flow::new(t0);
        // 200 ms there and back, fast enough for 30 frames a second.
        let (frames, worst) = play(&mut flow, &mut far(2e6, 200, t0), 20_000, 10, t0);
        assert!(frames >= 100, "{frames} in 5 s");
        assert!(worst < Duration::from_millis(280), "{worst:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_follows_a_line_that_gets_slower_and_faster() {
        let t0 = Instant::now();
        let mut flow = Flow::new(t0);
        let mut line = far(2e6, 20, t0);
        play(&mut flow, &mut line, 20_000, 6, t0);
        line.rate = 200_000.0;
        let t1 = t0 + Duration::from_secs(6);
        let (_, worst) = play(&mut flow, &mut line, 20_000, 12, t1);
        assert!(worst < Duration::from_millis(260), "{worst:?}");
        line.rate = 2e6;
        let t2 = t1 + Duration::from_secs(12);
        let (frames, _) = play(&mut flow, &mut line, 20_000, 8, t2);
        assert!(frames >= 100, "{frames} in 4 s");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_never_answers_is_not_waited_for() {
        let t0 = Instant::now();
        let mut flow = Flow::new(t0);
        assert!(flow.send(1000, t0));
        assert!(!flow.is_open(t0 + Duration::from_secs(2)));
        let later = t0 + Duration::from_secs(4);
        assert!(flow.is_open(later));
        assert!(!flow.send(1000, later), "nor asked again");
        assert_eq!(flow.waiting(), 0);
        assert!(!flow.answer(later), "an answer that comes at last is nobody's");
    }

    #[tokio::test(start_paused = true)]
    async fn questions_under_way_are_bounded() {
        let t0 = Instant::now();
        let mut flow = Flow::new(t0);
        for _ in 0..1000 {
            flow.send(10, t0);
        }
        assert_eq!(flow.waiting(), MOST);
        for _ in 0..MOST {
            assert!(flow.answer(t0 + Duration::from_millis(1)));
        }
        assert!(!flow.answer(t0 + Duration::from_millis(1)));
        assert!(flow.rates.len() + flow.trips.len() <= 2 * MOST);
    }
}
