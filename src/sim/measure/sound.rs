//! What was said and what was heard, kept at the rate at which intelligibility is measured.

use super::{Bench, Direction};
use crate::media::dsp::Resampler;
use crate::media::seams::{BLOCK, Pcm, PcmSource, SAMPLE_RATE, SourceLost};
use crate::media::stoi;
use crate::time::Now;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Blocks this far from where they belong mark a stall, in samples of 48 kHz.
const STALL: u64 = 4800;
/// Longest recording: ten minutes.
const MOST: usize = 600 * stoi::RATE as usize;
/// Length of a compared piece, and of the part of it by which it is aligned.
const PIECE: usize = 4 * stoi::RATE as usize;
const ALIGNED_BY: usize = stoi::RATE as usize;
/// The map of what belongs to what is followed in steps of 200 ms.
const STEP: usize = stoi::RATE as usize / 5;
/// Alignment is looked for this far around the expected latency, in samples.
const AROUND: usize = stoi::RATE as usize / 50;
/// Pieces compared at most.
const PIECES: usize = 6;
/// A piece whose loudest second is below this has nobody speaking.
const QUIET: f32 = 0.005;

/// A recording on the call's clock, at [`stoi::RATE`].
#[derive(Default)]
pub struct Track {
    samples: Vec<f32>,
    resampler: Option<Resampler>,
    /// Position of the next block, in samples of 48 kHz since the beginning of the call.
    next: u64,
}

impl Track {
    /// Adds a block that begins `at` µs after the beginning of the call.
    pub fn add(&mut self, block: &Pcm, at: u64) {
        let start = at * u64::from(SAMPLE_RATE) / 1_000_000;
        if self.samples.len() > MOST {
            return;
        }
        if self.resampler.is_none() {
            self.resampler = Resampler::new(SAMPLE_RATE, stoi::RATE).ok();
        }
        let Some(resampler) = &mut self.resampler else { return };
        if start > self.next + STALL || self.next == 0 {
            // Silence where nothing was recorded.
            let silence = [0.0; BLOCK];
            while self.next < start {
                let n = usize::try_from(start - self.next).unwrap_or(BLOCK).min(BLOCK);
                resampler.process(silence.get(..n).unwrap_or_default(), &mut self.samples);
                self.next += n as u64;
            }
        }
        resampler.process(block, &mut self.samples);
        self.next += BLOCK as u64;
    }

    fn piece(&self, from: usize, len: usize) -> Option<&[f32]> {
        self.samples.get(from..from + len)
    }
}

/// Mean intelligibility of `said` in `heard`, piece by piece, each aligned: playing may have been
/// stretched in between. `None` when nobody spoke.
pub fn intelligibility(said: &Track, heard: &Track, direction: &Direction) -> Option<f64> {
    let rate = u64::from(stoi::RATE);
    let (from, to) = direction.heard_span()?;
    let first = usize::try_from((from + 500_000) * rate / 1_000_000).ok()?;
    let last = usize::try_from(to.saturating_sub(1_000_000) * rate / 1_000_000).ok()?;
    let room = last.checked_sub(first)? / PIECE;
    let (mut total, mut count) = (0.0, 0u32);
    for n in (0..room).step_by(room.div_ceil(PIECES).max(1)) {
        let start = first + n * PIECE;
        let Some(clean) = said.piece(start, PIECE) else { continue };
        let Some(loud) = loudest(clean) else { continue };
        // The measured latency says what belongs to what, step by step – playing may be faster or
        // slower for a while – and the likeness of a loud second corrects it for the whole piece.
        let ear = |at: usize| -> Option<usize> {
            let latency = direction.latency_at(at as u64 * 1_000_000 / rate)?;
            Some(at + usize::try_from(latency * rate / 1_000_000).ok()?)
        };
        let expected = ear(start + loud)?;
        let around = expected.checked_sub(AROUND);
        let around = around.and_then(|from| heard.piece(from, ALIGNED_BY + 2 * AROUND));
        let Some(around) = around else { continue };
        let lag = stoi::lag(clean.get(loud..loud + ALIGNED_BY)?, around, 2 * AROUND);
        let aligned: Option<Vec<f32>> = (start..start + PIECE)
            .step_by(STEP)
            .map(|at| heard.piece((ear(at)? + lag).checked_sub(AROUND)?, STEP))
            .try_fold(Vec::with_capacity(PIECE), |mut all, piece| {
                all.extend_from_slice(piece?);
                Some(all)
            });
        let Some(aligned) = aligned else { continue };
        if let Some(score) = stoi::stoi(clean, &aligned) {
            total += score;
            count += 1;
        }
    }
    (count > 0).then(|| total / f64::from(count))
}

/// Where the loudest second begins, if anybody speaks.
fn loudest(clean: &[f32]) -> Option<usize> {
    let energy = |from: usize| -> f32 {
        clean.iter().skip(from).take(ALIGNED_BY).map(|s| s * s).sum::<f32>() / ALIGNED_BY as f32
    };
    (0..=clean.len().checked_sub(ALIGNED_BY)?)
        .step_by(ALIGNED_BY / 2)
        .map(|from| (from, energy(from)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .filter(|(_, e)| e.sqrt() > QUIET)
        .map(|(from, _)| from)
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
