//! Keeps what is played in step with what is captured.
//!
//! The canceller wants one block of reference per captured block, and never later than its echo.
//! But loudspeaker and microphone run on clocks of their own: blocks come in lumps or go missing,
//! and the rates differ by up to some hundred millionths. Blocks wait in a queue that is read a
//! little faster or slower, by the drift that [`super::drift`] hears in the echo itself. The
//! queue's fill can't tell it: where one thread serves both devices on one tick, the fill is
//! constant and the drift happens in the devices' own buffers.
//!
//! What reading faster or slower cannot hold is filled with silence or dropped, and counted.

use crate::media::seams::{BLOCK, Pcm};
use std::collections::VecDeque;

/// Sound that waits at the start and after a breakdown: two blocks, so that either side may be
/// late by that much.
const CUSHION: usize = 2 * BLOCK;
/// More than this never waits: 200 ms.
const MOST: usize = 20 * BLOCK;
/// So many blocks played between two captured ones mean that capturing had stopped: the older
/// ones will have no echo any more.
const STALL: usize = 12;
/// Largest difference of rates followed.
const LIMIT: f64 = 1e-3;
/// Taps on either side of a sample that is interpolated.
const TAPS: usize = 16;
/// Positions between two samples in the filter table.
const FINE: usize = 512;

/// How playing and capturing stand to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AlignReport {
    /// Reference waiting for its captured block, in ms.
    pub waiting_ms: f32,
    /// Captured blocks for which nothing had been played in time: silence was assumed.
    pub missing: u64,
    /// Played sound that was left out because too much waited, in ms.
    pub dropped_ms: u64,
    /// Rate of the loudspeaker's clock against the microphone's, as heard, in millionths.
    pub drift_ppm: f32,
    /// Echo behind its reference, in ms, as last heard. Includes the devices.
    pub lag_ms: Option<f32>,
}

/// A bounded queue from the loudspeaker's clock to the microphone's.
#[derive(Clone, Debug)]
pub struct Aligner {
    /// Played samples; the first `TAPS` are past and only serve the interpolation.
    queue: VecDeque<f32>,
    /// Where between two samples the next one is read, 0…1.
    fraction: f64,
    /// Played samples per captured sample, minus 1.
    rate: f64,
    /// Samples taken off the queue, and handed out.
    read: f64,
    given: u64,
    pushed: usize,
    table: Vec<f32>,
    missing: u64,
    dropped: u64,
}

impl Default for Aligner {
    fn default() -> Self {
        Self {
            queue: std::iter::repeat_n(0.0, TAPS + CUSHION).collect(),
            fraction: 0.0,
            rate: 0.0,
            read: 0.0,
            given: 0,
            pushed: 0,
            table: table(),
            missing: 0,
            dropped: 0,
        }
    }
}

impl Aligner {
    /// Takes 10 ms that are played.
    pub fn push(&mut self, played: &Pcm) {
        self.pushed += 1;
        self.queue.extend(played);
        if self.waiting() > MOST {
            self.shed(self.waiting() - CUSHION);
        }
    }

    /// The reference for the next captured block.
    pub fn take(&mut self) -> Pcm {
        if self.pushed > STALL && self.waiting() > CUSHION + BLOCK {
            self.shed(self.waiting() - CUSHION - BLOCK);
        }
        self.pushed = 0;
        let needed = BLOCK + TAPS + 2;
        if self.waiting() < needed {
            self.missing += 1;
            self.queue.extend(std::iter::repeat_n(0.0, CUSHION + needed - self.waiting()));
        }
        let mut out = [0.0; BLOCK];
        let step = 1.0 + self.rate;
        let sound = self.queue.make_contiguous();
        let mut at = self.fraction;
        for sample in &mut out {
            let whole = at as usize;
            let window = sound.get(whole..whole + 2 * TAPS).unwrap_or_default();
            *sample = between(window, at - whole as f64, &self.table);
            at += step;
        }
        let whole = at as usize;
        self.queue.drain(..whole);
        self.read += at - self.fraction;
        self.fraction = at - whole as f64;
        self.given += BLOCK as u64;
        out
    }

    /// Reads by this difference of rates from now on (played samples per captured one, minus 1).
    pub fn steer(&mut self, rate: f64) {
        if rate.is_finite() {
            self.rate = rate.clamp(-LIMIT, LIMIT);
        }
    }

    /// The difference of rates it is read by now.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Leaves out so many samples, if they wait: the echo came before its reference.
    pub fn hurry(&mut self, samples: usize) {
        let spare = self.waiting().saturating_sub(BLOCK + TAPS + 2);
        self.shed(samples.min(spare));
    }

    /// Played samples gone through, minus captured ones: grows with the difference of rates.
    pub fn offset(&self) -> f64 {
        self.read - self.given as f64
    }

    /// How it stands (what is heard of drift and lag is not known here).
    pub fn report(&self) -> AlignReport {
        AlignReport {
            waiting_ms: self.waiting() as f32 / 48.0,
            missing: self.missing,
            dropped_ms: self.dropped / 48,
            drift_ppm: (self.rate * 1e6) as f32,
            lag_ms: None,
        }
    }

    fn waiting(&self) -> usize {
        self.queue.len().saturating_sub(TAPS)
    }

    fn shed(&mut self, samples: usize) {
        let n = samples.min(self.queue.len());
        self.queue.drain(..n);
        self.read += n as f64;
        self.dropped += n as u64;
    }
}

/// The signal a `fraction` after the sample in the middle of `window`.
fn between(window: &[f32], fraction: f64, table: &[f32]) -> f32 {
    if fraction == 0.0 {
        return window.get(TAPS - 1).copied().unwrap_or(0.0);
    }
    let fine = fraction * FINE as f64;
    let whole = fine as usize;
    let share = (fine - whole as f64) as f32;
    let row = |k: usize| table.get(k * 2 * TAPS..(k + 1) * 2 * TAPS).unwrap_or_default();
    let (low, high) = (row(whole), row(whole + 1));
    let mut sum = 0.0;
    for ((sample, a), b) in window.iter().zip(low).zip(high) {
        sum += sample * (a + (b - a) * share);
    }
    sum
}

/// Windowed-sinc filters (Hann), one row of `2 * TAPS` per position between two samples.
fn table() -> Vec<f32> {
    let mut out = Vec::with_capacity((FINE + 1) * 2 * TAPS);
    for k in 0..=FINE {
        for tap in 0..2 * TAPS {
            let x = tap as f64 - (TAPS - 1) as f64 - k as f64 / FINE as f64;
            let arc = std::f64::consts::PI * x;
            let sinc = if x.abs() < 1e-9 { 1.0 } else { arc.sin() / arc };
            let window = 0.5 + 0.5 * (arc / TAPS as f64).cos();
            out.push((sinc * window) as f32);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(from: usize) -> Pcm {
        std::array::from_fn(|i| ((from + i) as f32 * 0.05).sin())
    }

    #[test]
    fn blocks_come_out_as_they_went_in_two_blocks_later() {
        let mut aligner = Aligner::default();
        let mut out = Vec::new();
        for block in 0..20 {
            aligner.push(&wave(block * BLOCK));
            out.extend(aligner.take());
        }
        let shift = out.iter().position(|s| *s != 0.0).unwrap() - 1;
        for (i, sample) in out.iter().skip(shift).enumerate() {
            assert_eq!(*sample, (i as f32 * 0.05).sin());
        }
        assert!((CUSHION..=CUSHION + TAPS).contains(&shift), "{shift}");
        assert_eq!((aligner.report().missing, aligner.report().dropped_ms), (0, 0));
    }

    #[test]
    fn lumps_on_either_side_cost_nothing() {
        let mut aligner = Aligner::default();
        let mut out = Vec::new();
        for lump in 0..50 {
            (0..2).for_each(|i| aligner.push(&wave((2 * lump + i) * BLOCK)));
            (0..2).for_each(|_| out.extend(aligner.take()));
        }
        let steps = out.windows(2).map(|w| (w[1] - w[0]).abs());
        assert!(steps.fold(0.0, f32::max) < 0.06);
        assert_eq!(aligner.report().missing, 0);
    }

    #[test]
    fn missing_blocks_are_silence_and_excess_goes_oldest_first() {
        let mut aligner = Aligner::default();
        for _ in 0..10 {
            aligner.take();
        }
        assert!(aligner.report().missing >= 3);
        for block in 0..1000 {
            aligner.push(&[block as f32; BLOCK]);
            assert!(aligner.waiting() <= MOST);
        }
        assert!(aligner.report().dropped_ms > 9_700);
        // Capturing had stopped: what it resumes with is recent.
        assert!(aligner.take()[BLOCK / 2] >= 996.0);
    }

    #[test]
    fn a_steered_queue_is_read_at_the_other_rate() {
        for rate in [5e-4, -5e-4, 1.3e-4] {
            let mut aligner = Aligner::default();
            aligner.steer(rate);
            let mut out = Vec::new();
            for block in 0..80 {
                aligner.push(&wave(block * BLOCK));
                out.extend(aligner.take());
            }
            let n = out.len() as f64;
            assert!((aligner.offset() - n * rate).abs() < 1.0);
            // The first sound comes after the cushion; from there, phase grows by the new rate.
            let worst = (2_000..30_000).map(|i| {
                let at = i as f64 * (1.0 + rate) - (CUSHION + 1) as f64;
                (f64::from(out[i]) - (at * 0.05).sin()).abs()
            });
            let worst = worst.fold(0.0, f64::max);
            assert!(worst < 1.1 * 0.05 * TAPS as f64, "{worst}");
        }
    }
}
