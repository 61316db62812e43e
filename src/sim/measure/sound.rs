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

/// Blocks this far from where they belong mark a stall, in samples of 48 kHz.
const STALL: u64 = 4800;
/// Longest recording: ten minutes.
const MOST: usize = 600 * stoi::RATE as usize;
/// Length of a compared piece.
const PIECE: usize = 4 * stoi::RATE as usize;
/// Pieces compared at most.
const PIECES: usize = 6;
/// A piece in which no second is louder than this has nobody speaking.
const QUIET: f32 = 0.005;

/// A recording on the call's clock, at [`stoi::RATE`].
#[derive(Default)]
pub struct Track {
    samples: Vec<f32>,
    resampler: Option<Resampler>,
    /// Position of the next block, in samples of 48 kHz since the beginning of the call.
    next: u64,
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
        let start = at * u64::from(SAMPLE_RATE) / 1_000_000;
        if self.closed || self.samples.len() > MOST {
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

/// Mean intelligibility of `said` in `heard`, piece by piece, each aligned: playing may
/// have been stretched in between. `None` when nobody spoke.
pub fn intelligibility(said: &Track, heard: &Track, direction: &Direction) -> Option<f64> {
    let rate = u64::from(stoi::RATE);
    let (from, to) = direction.heard_span()?;
    let first = usize::try_from((from + 500_000) * rate / 1_000_000).ok()?;
    let last = usize::try_from(to.saturating_sub(1_000_000) * rate / 1_000_000).ok()?;
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
            let heard = ear.heard_at((start + i) as u64 * 1_000_000 / rate)?;
            usize::try_from(heard * rate / 1_000_000).ok()
        };
        let Some(aligned) = align(clean, &heard.samples, expected) else { continue };
        if let Some(score) = stoi::stoi(clean, &aligned) {
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
