//! Following a sound card's clock: how much faster or slower to convert, so that what waits between
//! the card and the engine neither piles up nor runs dry.
//!
//! A controller with a proportional and an integral part (as in F. Adriaensen, "Controlling adaptive
//! resampling", Linux Audio Conference 2012) over the filtered fill of the ring. Cards take and give
//! in lumps, so the fill is a saw-tooth; what counts is its bottom, the least fill of each second.
//! Crystals are within ±100 ppm, bad ones within ±500. The ratio goes a little beyond that, so that
//! there is something left to steer with: ±600 ppm, a hundredth of a semitone, and it takes seconds
//! to get there. No ear can follow.

/// Looks at the fill per step of control: a second of blocks.
const WATCH: u32 = 100;
/// The ratio stays within this.
const MOST: f64 = 600e-6;
/// The most it changes by in a second.
const SLEW: f64 = 100e-6;
/// Loop of second order: undamped period 2 min, damping 1. In samples at 48 kHz and seconds.
const OMEGA: f64 = std::f64::consts::TAU / 120.0;
const PROPORTIONAL: f64 = 2.0 * OMEGA / 48_000.0;
const INTEGRAL: f64 = OMEGA * OMEGA / 48_000.0;
/// Share of a new second in the filtered fill.
const SMOOTH: f64 = 0.25;

/// One card's clock against ours. What it learns of the clock outlives pauses of the stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Drift {
    least: Option<usize>,
    watched: u32,
    filtered: Option<f64>,
    /// The clocks' difference, as far as it is known.
    integral: f64,
    ratio: f64,
    /// Least fill of the last second watched.
    last: Option<usize>,
}

impl Drift {
    /// The fill at its lowest between two lumps, in samples at 48 kHz, once per block; `wanted` is
    /// what it should be. Positive: take away faster (or give less).
    pub(super) fn seen(&mut self, fill: usize, wanted: usize) -> f64 {
        self.least = Some(self.least.map_or(fill, |least| least.min(fill)));
        self.watched += 1;
        if self.watched >= WATCH {
            self.watched = 0;
            self.last = self.least.take();
            let least = self.last.unwrap_or(fill) as f64;
            let filtered = self.filtered.map_or(least, |old| old + (least - old) * SMOOTH);
            self.filtered = Some(filtered);
            self.control(filtered - wanted as f64);
        }
        self.ratio
    }

    fn control(&mut self, error: f64) {
        let wanted = PROPORTIONAL * error + self.integral;
        // What the ratio can't follow must not wind up.
        if wanted.abs() < MOST || wanted * error < 0.0 {
            self.integral = (self.integral + INTEGRAL * error).clamp(-MOST, MOST);
        }
        let step = (wanted.clamp(-MOST, MOST) - self.ratio).clamp(-SLEW, SLEW);
        self.ratio += step;
    }

    /// Least fill of the last whole second; once.
    pub(super) fn least(&mut self) -> Option<usize> {
        self.last.take()
    }

    /// The stream stops, begins again, or was cut: the fill starts anew, the clock is the same.
    pub(super) fn restart(&mut self) {
        (self.least, self.watched, self.filtered, self.last) = (None, 0, None, None);
        self.ratio = self.integral;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring between a card of `ppm` that moves `lump` samples at a time and an engine of blocks:
    /// the least fill in and the ratio at every second.
    fn run(drift: &mut Drift, ppm: f64, lump: f64, seconds: usize) -> Vec<(f64, f64)> {
        let (mut fill, mut card, mut ratio) = (1440f64.max(lump + 480.0), 0.0, 0.0);
        let (mut least, mut course) = (f64::MAX, Vec::new());
        for tick in 1..=seconds * 100 {
            card += 480.0 * (1.0 + ppm * 1e-6);
            while card >= lump {
                fill += lump / (1.0 + ratio);
                card -= lump;
            }
            fill -= 480.0;
            least = f64::min(least, fill);
            ratio = drift.seen(fill.max(0.0) as usize, 600);
            if tick % 100 == 0 {
                course.push((least, ratio));
                least = f64::MAX;
            }
        }
        course
    }

    #[test]
    fn a_clock_within_500_ppm_is_found_and_the_fill_kept() {
        for ppm in [-500.0, -200.0, -20.0, 0.0, 20.0, 200.0, 500.0] {
            for lump in [128.0, 441.0, 480.0, 512.0, 960.0, 1024.0, 2048.0] {
                let course = run(&mut Drift::default(), ppm, lump, 900);
                assert!(course.iter().all(|(least, _)| *least > 0.0), "{ppm} ppm, {lump}: ran dry");
                let late = &course[400..];
                let mean = late.iter().map(|(_, r)| r * 1e6).sum::<f64>() / late.len() as f64;
                assert!((mean - ppm).abs() < 40.0, "{ppm} ppm, lumps of {lump}: {mean}");
                let off = late.iter().map(|(least, _)| (least - 600.0).abs()).fold(0.0, f64::max);
                // The lumps of a card that is nearly in step are seen a block sooner or later.
                assert!(off < 490.0, "{ppm} ppm, lumps of {lump}: {off} samples off");
            }
        }
    }

    #[test]
    fn the_ratio_never_moves_fast_or_far() {
        let mut drift = Drift::default();
        let mut course = run(&mut drift, 2000.0, 960.0, 120);
        course.extend(run(&mut drift, -2000.0, 960.0, 120));
        assert!(course.windows(2).all(|w| (w[1].1 - w[0].1).abs() <= SLEW * 1.001));
        assert!(course.iter().all(|(_, ratio)| ratio.abs() <= MOST));
    }

    #[test]
    fn a_restart_keeps_what_is_known_of_the_clock() {
        let mut drift = Drift::default();
        run(&mut drift, 150.0, 441.0, 900);
        drift.restart();
        let course = run(&mut drift, 150.0, 441.0, 60);
        // The fill is wrong after the restart, and that is all that has to be mended.
        assert!((course[0].1 - 150e-6).abs() < SLEW * 1.1, "{:?}", course[0]);
    }
}
