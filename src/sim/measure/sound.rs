//! What was said and what was heard, kept at the rate at which intelligibility is measured.

use super::align::align;
use super::{Bench, Direction};
use crate::media::dsp::Resampler;
use crate::media::seams::{BLOCK, Pcm, PcmSource, SAMPLE_RATE, SourceLost};
use crate::media::stoi;
use crate::time::Now;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A block that comes so much later than the one before it ended marks a stall, in µs.
const STALL: u64 = 100_000;
/// Length of a block, in µs.
const BLOCK_MICROS: u64 = BLOCK as u64 * 1_000_000 / SAMPLE_RATE as u64;
/// How often it is noted which sample belongs to what time, in µs.
const NOTED: u64 = 500_000;
/// Longest recording: ten minutes.
const MOST: usize = 600 * stoi::RATE as usize;
/// Length of a compared piece.
const PIECE: usize = 4 * stoi::RATE as usize;
/// Pieces compared at most.
const PIECES: usize = 6;
/// A piece in which no second is louder than this has nobody speaking.
const QUIET: f32 = 0.005;

/// A recording at [`stoi::RATE`] by the clock of the card it was made with, and which of its samples
/// belongs to what time of the call.
#[derive(Default)]
pub struct Track {
    samples: Vec<f32>,
    resampler: Option<Resampler>,
    /// When the last block began, in µs since the beginning of the call.
    last: Option<u64>,
    /// Times and samples, both ascending, every [`NOTED`] µs.
    notes: Vec<(u64, usize)>,
    /// Nothing is recorded any more.
    closed: bool,
}

impl Track {
    /// Forgets what was recorded, and records nothing more.
    pub fn close(&mut self) {
        *self = Self { closed: true, ..Self::default() };
    }

    /// Adds a block that begins `at` µs after the beginning of the call.
    pub fn add(&mut self, block: &Pcm, at: u64) {
        if self.closed || self.samples.len() > MOST {
            return;
        }
        if self.resampler.is_none() {
            self.resampler = Resampler::new(SAMPLE_RATE, stoi::RATE).ok();
        }
        let Some(resampler) = &mut self.resampler else { return };
        let gap = self.last.map_or(at, |last| at.saturating_sub(last + BLOCK_MICROS));
        let mut noted = self.notes.last().is_none_or(|(last, _)| at >= last + NOTED);
        if gap > STALL || self.last.is_none() {
            // Silence where nothing was recorded.
            let silence = [0.0; BLOCK];
            let mut missing = gap * u64::from(SAMPLE_RATE) / 1_000_000;
            while missing > 0 {
                let n = usize::try_from(missing).unwrap_or(BLOCK).min(BLOCK);
                resampler.process(silence.get(..n).unwrap_or_default(), &mut self.samples);
                missing -= n as u64;
            }
            noted = true;
        }
        if noted {
            self.notes.push((at, self.samples.len()));
        }
        resampler.process(block, &mut self.samples);
        self.last = Some(at);
    }

    /// The sample that belongs to this time, in µs since the beginning of the call.
    fn sample_at(&self, at: u64) -> Option<usize> {
        let next = self.notes.partition_point(|(noted, _)| *noted <= at);
        let (noted, sample) = self.notes.get(next.saturating_sub(1))?;
        let since = i64::try_from(at).ok()? - i64::try_from(*noted).ok()?;
        let samples = since * i64::from(stoi::RATE) / 1_000_000;
        usize::try_from(i64::try_from(*sample).ok()? + samples).ok()
    }

    /// The time that a sample belongs to.
    fn time_of(&self, sample: usize) -> Option<u64> {
        let next = self.notes.partition_point(|(_, noted)| *noted <= sample);
        let (at, noted) = self.notes.get(next.saturating_sub(1))?;
        let samples = i64::try_from(sample).ok()? - i64::try_from(*noted).ok()?;
        u64::try_from(i64::try_from(*at).ok()? + samples * 1_000_000 / i64::from(stoi::RATE)).ok()
    }

    fn piece(&self, from: usize, len: usize) -> Option<&[f32]> {
        self.samples.get(from..from + len)
    }
}

/// Mean intelligibility of `said` in `heard`, piece by piece, each aligned: playing may
/// have been stretched in between. `None` when nobody spoke.
pub fn intelligibility(said: &Track, heard: &Track, direction: &Direction) -> Option<f64> {
    let (from, to) = direction.heard_span()?;
    let first = said.sample_at(from + 500_000)?;
    let last = said.sample_at(to.saturating_sub(1_000_000))?;
    let room = last.checked_sub(first)? / PIECE;
    // The player's clock says about what belongs to what.
    let ear = direction.ear();
    let (mut total, mut count) = (0.0, 0u32);
    for n in (0..room).step_by(room.div_ceil(PIECES).max(1)) {
        let start = first + n * PIECE;
        let Some(clean) = said.piece(start, PIECE) else { continue };
        if !speaks(clean) {
            continue;
        }
        let expected = |i: usize| {
            let time = ear.heard_at(said.time_of(start + i)?)?;
            heard.sample_at(time)
        };
        let Some(aligned) = align(clean, &heard.samples, expected) else { continue };
        if let Some(score) = stoi::stoi(clean, &aligned) {
            tracing::debug!(second = start / stoi::RATE as usize, score, "intelligibility");
            total += score;
            count += 1;
        }
    }
    (count > 0).then(|| total / f64::from(count))
}

/// Whether anybody speaks.
fn speaks(clean: &[f32]) -> bool {
    clean.chunks(stoi::RATE as usize).any(|second| {
        let energy = second.iter().map(|s| s * s).sum::<f32>() / second.len().max(1) as f32;
        energy.sqrt() > QUIET
    })
}

/// Passes a source's sound on and keeps a record of what is meant to be heard.
pub struct Recorder {
    source: Box<dyn PcmSource>,
    bench: Bench,
    index: usize,
    muted: Arc<AtomicBool>,
}

impl Recorder {
    /// Records `source` as what this participant says, except while `muted`.
    pub fn new(
        source: Box<dyn PcmSource>,
        bench: Bench,
        index: usize,
        muted: Arc<AtomicBool>,
    ) -> Self {
        Self { source, bench, index, muted }
    }
}

impl PcmSource for Recorder {
    fn read(&mut self, now: Now) -> Result<Option<Pcm>, SourceLost> {
        let block = self.source.read(now)?;
        if let Some(block) = &block {
            let silence = [0.0; BLOCK];
            let said = if self.muted.load(Ordering::Relaxed) { &silence } else { block };
            self.bench.said(self.index, said, now.mono);
        }
        Ok(block)
    }

    fn delay(&self) -> Duration {
        self.source.delay()
    }

    fn describe(&self) -> String {
        self.source.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A track of so many blocks, the clock of whose card is off by `ppm`.
    fn track(blocks: u64, ppm: f64) -> Track {
        let mut track = Track::default();
        for n in 0..blocks {
            let at = (n * BLOCK_MICROS) as f64 / (1.0 + ppm * 1e-6);
            track.add(&[0.1; BLOCK], 1_000_000 + at as u64);
        }
        track
    }

    #[test]
    fn a_clock_that_is_off_makes_no_holes_and_every_sample_keeps_its_time() {
        for ppm in [-500.0, -200.0, 0.0, 200.0, 500.0] {
            let track = track(60_000, ppm);
            let rate = stoi::RATE as usize;
            let silent = track.samples.iter().skip(rate + 100).filter(|s| s.abs() < 0.05).count();
            assert_eq!(silent, 0, "{ppm}");
            for second in [2u64, 100, 590] {
                let at = second * 1_000_000;
                let sample = track.sample_at(at).unwrap();
                let exact = rate as f64 + (second as f64 - 1.0) * rate as f64 * (1.0 + ppm * 1e-6);
                assert!((sample as f64 - exact).abs() <= 40.0, "{ppm} {second}: {sample} {exact}");
                assert!(track.time_of(sample).unwrap().abs_diff(at) <= 4_000);
            }
        }
    }

    #[test]
    fn what_was_not_recorded_is_silence_of_the_same_length() {
        let mut track = track(100, 0.0);
        let before = track.samples.len();
        let at = 1_000_000 + 100 * BLOCK_MICROS + 3_000_000;
        track.add(&[0.1; BLOCK], at);
        let added = track.samples.len() - before;
        let rate = stoi::RATE as usize;
        assert!(added.abs_diff(3 * rate + rate / 100) <= 40, "{added}");
        assert!(track.sample_at(at).unwrap().abs_diff(before + 3 * rate) <= 40);
    }
}
