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

/// Sound that waits at the start and after a breakdown: a block and 2 ms, so that either side may
/// be late by that much.
const CUSHION: usize = BLOCK + 96;
/// More than this never waits: 200 ms.
const MOST: usize = 20 * BLOCK;
/// Sound kept after it was read, for stepping back: 300 ms.
const PAST: usize = 30 * BLOCK;
/// So many blocks played between two captured ones mean that capturing had stopped: the older
/// ones will have no echo any more.
const STALL: usize = 12;
/// Largest difference of rates followed.
const LIMIT: f64 = 1e-3;
/// Taps on either side of a sample that is interpolated.
const TAPS: usize = 16;
/// Positions between two samples in the filter table.
const FINE: usize = 512;
/// Samples that must wait for one block: the block, at the fastest rate, and the filter.
pub(super) const NEEDED: usize = BLOCK + TAPS + 2;
/// Samples that wait at least after a shift.
const SPARE: usize = TAPS + 4;

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
    /// Played samples: past ones, then those that wait.
    sound: Vec<f32>,
    /// Where in `sound` the next sample is read.
    at: f64,
    /// Played samples per captured sample, minus 1.
    rate: f64,
    /// Samples gone through, minus samples handed out.
    offset: f64,
    /// Blocks played since the last captured one.
    pushed: usize,
    /// How far to step back when the queue drained.
    cushion: f64,
    /// Shifted of its own accord since last asked.
    slipped: f64,
    table: Vec<f32>,
    missing: u64,
    dropped: f64,
}

impl Default for Aligner {
    fn default() -> Self {
        Self {
            sound: vec![0.0; PAST + CUSHION],
            at: PAST as f64,
            rate: 0.0,
            offset: 0.0,
            pushed: 0,
            cushion: CUSHION as f64,
            slipped: 0.0,
            table: table(),
            missing: 0,
            dropped: 0.0,
        }
    }
}

impl Aligner {
    /// Takes 10 ms that are played.
    pub fn push(&mut self, played: &Pcm) {
        self.pushed += 1;
        self.sound.extend_from_slice(played);
        if self.waiting() > MOST as f64 {
            self.slipped += self.shift(self.waiting() - self.cushion);
        }
        self.trim();
    }

    /// Forgets sound that is further back than anything reaches.
    fn trim(&mut self) {
        let old = (self.at as usize).saturating_sub(PAST);
        if old > PAST {
            self.sound.drain(..old);
            self.at -= old as f64;
        }
    }

    /// The reference for the next captured block.
    pub fn take(&mut self) -> Pcm {
        let recent = self.cushion + NEEDED as f64;
        if self.pushed > STALL && self.waiting() > recent {
            self.slipped += self.shift(self.waiting() - recent);
        }
        let short = NEEDED as f64 - self.waiting();
        if short > 0.0 {
            self.missing += 1;
            if self.pushed > 0 {
                self.slipped += self.shift(-self.cushion);
            } else {
                let silence = self.sound.len() + short.ceil() as usize;
                self.sound.resize(silence, 0.0);
            }
        }
        self.pushed = 0;
        let mut out = [0.0; BLOCK];
        let mut at = self.at;
        for sample in &mut out {
            let whole = at as usize;
            let from = (whole + 1).saturating_sub(TAPS);
            let window = self.sound.get(from..from + 2 * TAPS).unwrap_or_default();
            *sample = between(window, at - whole as f64, &self.table);
            at += 1.0 + self.rate;
        }
        self.offset += at - self.at - BLOCK as f64;
        self.at = at;
        self.trim();
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

    /// Reads so many samples later (leaving some out), or earlier (repeating some), as far as
    /// there are; returns how many.
    pub fn shift(&mut self, samples: f64) -> f64 {
        // At most so far that the next block played completes the next reference.
        let most = (self.sound.len() as f64 - SPARE as f64).max(self.at);
        let to = (self.at + samples).clamp(TAPS as f64, most);
        let by = to - self.at;
        self.at = to;
        self.offset += by;
        self.dropped += by.max(0.0);
        by
    }

    /// Played samples gone through, minus captured ones: grows with the difference of rates.
    pub fn offset(&self) -> f64 {
        self.offset
    }

    /// How it stands (the lag is not known here).
    pub fn report(&self) -> AlignReport {
        AlignReport {
            waiting_ms: (self.waiting() / 48.0) as f32,
            missing: self.missing,
            dropped_ms: (self.dropped / 48.0) as u64,
            drift_ppm: (self.rate * 1e6) as f32,
            lag_ms: None,
        }
    }

    /// Steps back by so many samples when the queue drains from now on: as far as the echo's lag
    /// allows, so that it doesn't drain again soon.
    pub fn hold(&mut self, samples: f64) {
        self.cushion = samples.clamp(CUSHION as f64, (MOST / 2) as f64);
    }

    /// By how much it shifted of its own accord (drained, or too full) since last asked.
    pub fn slipped(&mut self) -> f64 {
        std::mem::take(&mut self.slipped)
    }

    /// Samples that wait.
    pub fn waiting(&self) -> f64 {
        self.sound.len() as f64 - self.at
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
    fn blocks_come_out_as_they_went_in_one_block_later() {
        let mut aligner = Aligner::default();
        let mut out = Vec::new();
        for block in 0..200 {
            aligner.push(&wave(block * BLOCK));
            out.extend(aligner.take());
        }
        for (i, sample) in out.iter().enumerate().skip(CUSHION) {
            assert_eq!(*sample, ((i - CUSHION) as f32 * 0.05).sin());
        }
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
            assert_eq!(aligner.take(), [0.0; BLOCK]);
        }
        assert!(aligner.report().missing >= 7);
        for block in 0..1000 {
            aligner.push(&[block as f32; BLOCK]);
            assert!(aligner.waiting() <= MOST as f64);
            // A microphone that gives nothing at all costs no memory.
            assert!(aligner.sound.len() < 3 * PAST + MOST);
        }
        assert!(aligner.report().dropped_ms > 9_700);
        // Capturing had stopped: what it resumes with is recent.
        assert!(aligner.take()[BLOCK / 2] >= 996.0);
    }

    #[test]
    fn a_shift_goes_as_far_as_there_is_sound() {
        let mut aligner = Aligner::default();
        for block in 0..200 {
            aligner.push(&wave(block * BLOCK));
            aligner.take();
        }
        let waiting = aligner.waiting();
        assert_eq!(aligner.shift(-1000.5), -1000.5);
        assert_eq!(aligner.offset(), -1000.5);
        assert_eq!(aligner.shift(1e6), waiting + 1000.5 - SPARE as f64);
        assert!(aligner.shift(-1e6) < -(PAST as f64 / 2.0));
        aligner.take();
        assert!(aligner.sound.len() < 3 * PAST + MOST);
    }

    #[test]
    fn a_steered_queue_is_read_at_the_other_rate() {
        for rate in [5e-4, -5e-4, 1.3e-4] {
            let mut aligner = Aligner::default();
            aligner.steer(rate);
            let mut out = Vec::new();
            for block in 0..110 {
                aligner.push(&wave(block * BLOCK));
                out.extend(aligner.take());
            }
            let n = out.len() as f64;
            assert!((aligner.offset() - n * rate).abs() < 1.0);
            let worst = (2_000..50_000).map(|i| {
                let at = i as f64 * (1.0 + rate) - CUSHION as f64;
                (f64::from(out[i]) - (at * 0.05).sin()).abs()
            });
            let worst = worst.fold(0.0, f64::max);
            assert!(worst < 2e-3, "{worst}");
        }
    }
}
