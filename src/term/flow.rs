//! How fast the far end of the line really eats.
//!
//! A write that returns only says that the next buffer has taken the bytes: the kernel's, the
//! multiplexer's, ssh's, the terminal's own. What stands in them is delay nobody sees. So every
//! frame begins and ends with a question that every terminal answers (DA1), and an answer says that
//! all before its question has been *read and parsed*. The first answer, with nothing else under way,
//! tells how long the way there and back is. From when a frame could have been begun – it had got
//! there, and the one before was eaten – until its second answer is the time it took to be eaten,
//! naps of the reader included; the time between the two answers alone would not see those (as packet
//! pairs overrate a link that serves in bursts: Dovrolis et al., "Packet-Dispersion Techniques and a
//! Capacity-Estimation Methodology", IEEE/ACM ToN 12(6), 2004). A further frame is welcome only while
//! what is under way is worth less than [`SLACK`] beyond the way itself.
//!
//! What a frame takes has two parts: some terminals draw for tens of milliseconds after each, however
//! small it was. Charged to its bytes, that would call for ever smaller and worse pictures that come
//! no sooner. So the two are told apart ([`Speed`]) by a line through what frames of all lengths took.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// The question: DA1. Three bytes, and its answer is never mistaken for a key.
pub(super) const ASK: &[u8] = b"\x1b[c";
/// Bytes may stand before the terminal for this long, beyond the way there and back.
const SLACK: Duration = Duration::from_millis(40);
/// Unanswered for so long, a terminal is taken for one that doesn't answer.
const DEAF: Duration = Duration::from_secs(3);
/// The way may change: shorter ones than now are remembered for this long.
const MEMORY: Duration = Duration::from_secs(10);
/// Frames under way at once, at most.
const MOST: usize = 8;
/// A frame is taken to need at least this share of its round trip to be eaten: the first answer may
/// have waited for a nap, too.
const LEAST: u32 = 8;
/// Share of a new frame's time per byte in the estimate.
const NEW: f64 = 0.4;

/// A frame's bytes may take this share of the time until the next: what is left is for typing, for
/// text, and for frames that come out larger.
const SHARE: f64 = 0.9;
/// Where the terminal's own time leaves less, the bytes may still take this share of that time: a
/// picture a quarter later is worth less than one that can be recognised.
const OWN: f64 = 0.25;
/// Sizes of frames, and for how long what they took is remembered.
const SIZES: usize = 56;
const KEPT: Duration = Duration::from_secs(60);
/// Share of a new frame in what frames of its size take.
const EACH: f64 = 0.2;
/// Sizes that differ by no more than this share tell little of what a byte takes; then it is taken to be
/// all there is.
const ALIKE: f64 = 0.05;

/// How fast a terminal eats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Seconds that each frame takes, however small.
    pub frame: f64,
    /// Seconds that each byte of it takes.
    pub byte: f64,
}

impl Speed {
    /// Bytes that a frame may have where one comes after each `frame_time`.
    pub fn room(&self, frame_time: Duration) -> usize {
        let left = frame_time.as_secs_f64() * SHARE - self.frame;
        (left.max(self.frame * OWN) / self.byte.max(1e-9)) as usize
    }
}

/// What frames of about one length took.
#[derive(Clone, Copy, Debug)]
struct Size {
    at: Instant,
    bytes: f64,
    took: f64,
}

/// Frames of all lengths, by length: two sizes to an octave. Those of a length that was left minutes ago
/// are still worth knowing, and many of one length don't outweigh few of another.
#[derive(Debug)]
struct Sizes([Option<Size>; SIZES]);

impl Default for Sizes {
    fn default() -> Self {
        Self([None; SIZES])
    }
}

impl Sizes {
    fn add(&mut self, bytes: f64, took: f64, now: Instant) {
        let number = (2.0 * bytes.max(1.0).log2()) as usize;
        let Some(size) = self.0.get_mut(number) else { return };
        let fresh = |size: &Size| now.saturating_duration_since(size.at) < KEPT;
        *size = Some(match size.filter(fresh) {
            Some(Size { bytes: b, took: t, .. }) => {
                Size { at: now, bytes: b + EACH * (bytes - b), took: t + EACH * (took - t) }
            }
            None => Size { at: now, bytes, took },
        });
        for size in &mut self.0 {
            *size = size.filter(fresh);
        }
    }

    /// A line through all sizes (least squares).
    fn speed(&self) -> Option<Speed> {
        let sizes = || self.0.iter().flatten();
        let n = sizes().count() as f64;
        let mean = |of: &dyn Fn(&Size) -> f64| sizes().map(of).sum::<f64>() / n;
        let (bytes, took) = (mean(&|size| size.bytes), mean(&|size| size.took));
        if n == 0.0 || bytes <= 0.0 {
            return None;
        }
        let spread = mean(&|size| (size.bytes - bytes).powi(2));
        let both = mean(&|size| (size.bytes - bytes) * (size.took - took));
        // If a frame took no time of its own.
        let whole = took / bytes;
        let doubt = (ALIKE * bytes).powi(2);
        let byte = ((both + doubt * whole) / (spread + doubt)).clamp(0.1 * whole, whole);
        Some(Speed { frame: (took - byte * bytes).max(0.0), byte })
    }
}

/// One question under way.
#[derive(Clone, Copy, Debug)]
enum Mark {
    /// Before a frame handed over then; `alone`: nothing else was under way.
    Head { at: Instant, alone: bool },
    /// Behind it.
    Tail { at: Instant, bytes: usize },
}

/// Questions under way and what the answered ones told.
#[derive(Debug, Default)]
pub(super) struct Flow {
    marks: VecDeque<Mark>,
    /// Bytes of frames whose second answer hasn't come.
    under_way: usize,
    /// When the last frame was eaten.
    eaten: Option<Instant>,
    /// Seconds a byte takes: their mean is the mean load, that of rates would favour the quick ones.
    per_byte: Option<f64>,
    sizes: Sizes,
    ways: VecDeque<(Instant, Duration)>,
    last: Option<Duration>,
    /// Questions given up: their answers may still come.
    lost: usize,
}

impl Flow {
    /// A frame of this many bytes is handed over. Whether it is to begin and end with [`ASK`].
    pub(super) fn send(&mut self, bytes: usize, now: Instant) -> bool {
        if self.lost > 0 || self.marks.len() >= 2 * MOST {
            return false;
        }
        let alone = self.marks.is_empty();
        self.marks.extend([Mark::Head { at: now, alone }, Mark::Tail { at: now, bytes }]);
        self.under_way += bytes;
        true
    }

    /// An answer came; `false`: nobody asked.
    pub(super) fn answer(&mut self, now: Instant) -> bool {
        if self.lost > 0 {
            self.lost -= 1;
            return true;
        }
        match self.marks.pop_front() {
            None => return false,
            Some(Mark::Head { at, alone }) => {
                if alone {
                    self.way_is(now.saturating_duration_since(at), now);
                }
            }
            Some(Mark::Tail { at, bytes }) => {
                self.under_way = self.under_way.saturating_sub(bytes);
                self.last = Some(now.saturating_duration_since(at));
                let there = at + self.way();
                let began = self.eaten.map_or(there, |eaten| there.max(eaten));
                self.eaten = Some(now);
                let trip = now.saturating_duration_since(at).max(Duration::from_micros(100));
                let took = now.saturating_duration_since(began).max(trip / LEAST);
                self.sizes.add(bytes.max(1) as f64, took.as_secs_f64(), now);
                let new = took.as_secs_f64() / bytes.max(1) as f64;
                let known = self.per_byte.unwrap_or(new);
                self.per_byte = Some(known + NEW * (new - known));
            }
        }
        true
    }

    /// Whether a further frame is welcome.
    pub(super) fn is_open(&mut self, now: Instant) -> bool {
        let (Mark::Head { at, .. } | Mark::Tail { at, .. }) = match self.marks.front() {
            Some(oldest) => *oldest,
            None => return true,
        };
        if now.saturating_duration_since(at) > DEAF {
            // Whatever it is, it doesn't answer: then writing is all there is to go by.
            self.lost = self.marks.len();
            self.forget();
            return true;
        }
        let Some(rate) = self.rate().filter(|_| self.marks.len() < 2 * MOST) else {
            return false;
        };
        self.under_way as f64 <= rate * (self.way() + SLACK).as_secs_f64()
    }

    /// Bytes per second that the far end eats; `None`: not known.
    pub(super) fn rate(&self) -> Option<f64> {
        self.per_byte.map(f64::recip)
    }

    /// How fast the far end eats; `None`: not known.
    pub(super) fn speed(&self) -> Option<Speed> {
        self.sizes.speed()
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
    pub(super) fn forget(&mut self) {
        self.marks.clear();
        self.under_way = 0;
        self.eaten = None;
    }

    fn way(&self) -> Duration {
        self.ways.front().map_or(Duration::ZERO, |(_, way)| *way)
    }

    /// Shortest first; those that are longer and older than another say nothing.
    fn way_is(&mut self, way: Duration, now: Instant) {
        let old = |at: Instant| now.saturating_duration_since(at) > MEMORY;
        while self.ways.front().is_some_and(|(at, _)| old(*at)) {
            self.ways.pop_front();
        }
        while self.ways.back().is_some_and(|(_, known)| *known >= way) {
            self.ways.pop_back();
        }
        if self.ways.len() < MOST {
            self.ways.push_back((now, way));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::Quality;

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
            self.answers.extend([begins + self.way / 2, self.free_at + self.way / 2]);
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
        let (frames, worst) = play(&mut Flow::default(), &mut far(2e7, 1, t0), 20_000, 4, t0);
        assert!(frames >= 55, "{frames}");
        assert!(worst < Duration::from_millis(10), "{worst:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_one_gets_what_it_eats_and_no_queue() {
        let t0 = Instant::now();
        let mut flow = Flow::default();
        // 20 kB eat 80 ms: 12.5 frames a second at best.
        let (frames, worst) = play(&mut flow, &mut far(250_000.0, 2, t0), 20_000, 8, t0);
        assert!((40..=51).contains(&frames), "{frames} in 4 s");
        assert!(worst < Duration::from_millis(90), "{worst:?}");
        let rate = flow.rate().expect("known");
        assert!((rate / 250_000.0 - 1.0).abs() < 0.1, "{rate}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_way_is_no_queue() {
        let t0 = Instant::now();
        let mut flow = Flow::default();
        // 200 ms there and back, fast enough for 30 frames a second.
        let (frames, worst) = play(&mut flow, &mut far(2e6, 200, t0), 20_000, 10, t0);
        assert!(frames >= 100, "{frames} in 5 s");
        assert!(worst < Duration::from_millis(260), "{worst:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_follows_a_line_that_gets_slower_and_faster() {
        let t0 = Instant::now();
        let mut flow = Flow::default();
        let mut line = far(2e6, 20, t0);
        play(&mut flow, &mut line, 20_000, 6, t0);
        line.rate = 200_000.0;
        let t1 = t0 + Duration::from_secs(6);
        let (_, worst) = play(&mut flow, &mut line, 20_000, 12, t1);
        assert!(worst < Duration::from_millis(160), "{worst:?}");
        line.rate = 2e6;
        let t2 = t1 + Duration::from_secs(12);
        let (frames, _) = play(&mut flow, &mut line, 20_000, 8, t2);
        assert!(frames >= 100, "{frames} in 4 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_naps_is_as_fast_as_it_is_on_the_whole() {
        let t0 = Instant::now();
        let nap = Duration::from_millis(50);
        let (mut flow, mut eaten, mut now) = (Flow::default(), 0.0f64, t0);
        let (mut wanted, mut worst) = (VecDeque::new(), Duration::ZERO);
        // It wakes every 50 ms, and then takes 12.5 kB at once: 250 kB/s.
        for step in 0..1600u64 {
            now += Duration::from_millis(5);
            if now.saturating_duration_since(t0).as_millis() % nap.as_millis() == 0 {
                let there: f64 = wanted.iter().map(|(_, bytes)| *bytes).sum();
                eaten += there.min(12_500.0);
                while wanted.front().is_some_and(|(_, bytes)| *bytes <= eaten) {
                    let (_, bytes) = wanted.pop_front().expect("seen");
                    eaten -= bytes;
                    assert!(flow.answer(now) && flow.answer(now));
                    if step > 400 {
                        worst = worst.max(flow.last().expect("answered"));
                    }
                }
                if wanted.is_empty() {
                    eaten = 0.0;
                }
            }
            if flow.is_open(now) {
                assert!(flow.send(6_000, now));
                wanted.push_back((now, 6_000.0));
            }
        }
        let rate = flow.rate().expect("known");
        assert!((60_000.0..500_000.0).contains(&rate), "{rate}");
        assert!(worst <= Duration::from_millis(150), "{worst:?}");
    }

    /// Pictures whose bytes a painter chooses by the room there is, for one that takes `own` seconds for
    /// each and `rate` bytes per second: mean bytes and pictures a second in the last half.
    fn settle(own: f64, rate: f64, t0: Instant) -> (f64, f64) {
        let frame_time = Duration::from_millis(33);
        let (mut flow, mut quality, mut now) = (Flow::default(), Quality::default(), t0);
        let (mut sum, mut began) = (0.0, t0);
        for frame in 0..600u32 {
            if frame == 300 {
                began = now;
            }
            // Bytes fall about with λ^-0.45, as measured; pictures differ.
            let differ = 0.9 + 0.05 * f64::from(frame % 5);
            let bytes = 68_000.0 * f64::from(quality.lambda() * 2.0).powf(-0.45) * differ;
            if let Some(speed) = flow.speed() {
                quality.learn(bytes as usize, speed.room(frame_time));
            }
            assert!(flow.send(bytes as usize, now));
            let read = now + Duration::from_secs_f64(own + bytes / rate);
            assert!(flow.answer(now + Duration::from_millis(1)));
            assert!(flow.answer(read + Duration::from_millis(1)));
            sum += if frame >= 300 { bytes / 300.0 } else { 0.0 };
            now = (now + frame_time).max(read + Duration::from_millis(1));
        }
        (sum, 300.0 / now.saturating_duration_since(began).as_secs_f64())
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_its_time_for_each_picture_gets_no_worse_ones_for_it() {
        let t0 = Instant::now();
        // 100 ms to draw, 10 MB/s: the smallest pictures would come 10 times a second at best.
        let (bytes, fps) = settle(0.1, 1e7, t0);
        assert!(bytes > 30_000.0 && fps > 8.0, "{bytes} {fps}");
        // 15 ms to draw, 2 MB/s: what is left of the picture's time.
        let (bytes, fps) = settle(0.015, 2e6, t0);
        assert!((20_000.0..40_000.0).contains(&bytes) && fps > 27.0, "{bytes} {fps}");
        // None of its own: nine tenths of the time.
        let (bytes, fps) = settle(0.0, 2e6, t0);
        assert!((50_000.0..62_000.0).contains(&bytes) && fps > 28.0, "{bytes} {fps}");
    }

    #[tokio::test(start_paused = true)]
    async fn pictures_that_are_all_alike_tell_nothing_of_a_time_of_their_own() {
        let t0 = Instant::now();
        let mut sizes = Sizes::default();
        assert_eq!(sizes.speed(), None);
        for _ in 0..50 {
            sizes.add(10_000.0, 0.02, t0);
        }
        let speed = sizes.speed().expect("known");
        assert!((speed.byte * 10_000.0 - 0.02).abs() < 1e-4 && speed.frame < 1e-4, "{speed:?}");
        // Times that fall with the bytes are chance: a byte never takes less than nothing.
        (0..50)
            .for_each(|i| sizes.add(10_000.0 * f64::from(1 + i % 9), 0.02 / f64::from(1 + i), t0));
        let speed = sizes.speed().expect("known");
        assert!(speed.byte > 0.0 && speed.frame >= 0.0, "{speed:?}");
        // Nonsense is survived; what is old is forgotten.
        sizes.add(f64::MAX, 1.0, t0);
        sizes.add(0.0, 0.0, t0);
        sizes.add(5_000.0, 0.01, t0 + KEPT);
        let speed = sizes.speed().expect("known");
        assert!((speed.byte - 2e-6).abs() < 1e-9, "{speed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_never_answers_is_not_waited_for() {
        let t0 = Instant::now();
        let mut flow = Flow::default();
        assert!(flow.send(1000, t0));
        assert!(!flow.is_open(t0 + Duration::from_secs(2)));
        let later = t0 + Duration::from_secs(4);
        assert!(flow.is_open(later));
        assert!(!flow.send(1000, later), "nor asked again");
        assert_eq!((flow.waiting(), flow.under_way), (0, 0));
        // Until it has answered everything after all: it is asked again.
        assert!(flow.answer(later) && !flow.send(1000, later));
        assert!(flow.answer(later) && flow.send(1000, later));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_nobody_asked_for_change_nothing() {
        let t0 = Instant::now();
        let mut flow = Flow::default();
        for _ in 0..1000 {
            assert!(!flow.answer(t0));
        }
        assert!(flow.is_open(t0) && flow.rate().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn questions_under_way_are_bounded() {
        let t0 = Instant::now();
        let mut flow = Flow::default();
        for _ in 0..1000 {
            flow.send(10, t0);
        }
        assert_eq!(flow.waiting(), 2 * MOST);
        for n in 0..2 * MOST as u64 {
            assert!(flow.answer(t0 + Duration::from_millis(n)));
        }
        assert!(!flow.answer(t0 + Duration::from_millis(1)));
        assert!(flow.ways.len() <= MOST && flow.under_way == 0);
    }
}
