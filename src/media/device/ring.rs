//! Between a sound card that calls when it likes, with as many samples as it likes, at its own
//! rate, and an engine that wants 480 samples at 48 kHz every 10 ms.
//!
//! The card's clock is not ours: what is converted between the rates is converted a shade faster or
//! slower ([`Drift`]), so that the wait here stays what it is. Cutting is left for what no clock does:
//! stalls, and cards that are further off than crystals are.

use super::drift::Drift;
use crate::media::dsp::{self, Care, Resampler};
use crate::media::seams::{BLOCK, Pcm, SAMPLE_RATE};
use rtrb::{Consumer, Producer, RingBuffer};
use std::time::Duration;

/// More sound than this is never held: 80 ms.
const MOST: usize = 8 * BLOCK;
/// What is held after a skip, and before sound begins to flow: one usual callback and one block.
const USUAL: usize = 3 * BLOCK;
/// What is to be in hand when a lump is due: 12 ms for a late callback or a late tick.
const MARGIN: usize = BLOCK * 5 / 4;
/// After it ran dry, so much more, up to so much in all.
const MORE: usize = BLOCK / 2;
const MOST_MARGIN: usize = USUAL;
/// Reads without sound after which the microphone wasn't late but paused: half a second.
const PAUSED: u32 = 50;
/// If even the least fill of a second was this much too high, it takes more than a slower clock.
const SPARE: usize = 2 * BLOCK;
/// A block below this is a pause and can be left out whole.
const QUIET: f32 = 0.002;

/// A ring for a device that runs at `rate` and asks for up to `period` frames at a time.
pub(super) fn ring(rate: u32, period: usize) -> (Producer<f32>, Consumer<f32>) {
    let tenth = rate as usize / 10;
    RingBuffer::new(tenth.max(4 * period).max(4096))
}

/// How a ring's fill is held where it should be.
struct Level {
    drift: Drift,
    margin: usize,
    /// The ratio to convert by.
    ratio: f64,
    /// Sound piled up by this much, and no slower clock will help.
    piled: usize,
}

impl Default for Level {
    fn default() -> Self {
        Self { drift: Drift::default(), margin: MARGIN, ratio: 0.0, piled: 0 }
    }
}

impl Level {
    fn seen(&mut self, fill: usize) {
        self.ratio = self.drift.seen(fill, self.margin);
        if let Some(least) = self.drift.least() {
            let over = least.saturating_sub(self.margin);
            self.piled = if over > SPARE { over - SPARE / 2 } else { 0 };
        }
    }

    fn restart(&mut self) {
        self.drift.restart();
        self.piled = 0;
    }

    fn ran_dry(&mut self) {
        self.margin = (self.margin + MORE).min(MOST_MARGIN);
    }

    /// So many samples were cut out.
    fn cut(&mut self, samples: usize) {
        if samples > 0 {
            self.piled = self.piled.saturating_sub(samples);
            self.drift.restart();
        }
    }
}

/// The engine's end of a microphone.
#[derive(Default)]
pub(super) struct Intake {
    consumer: Option<Consumer<f32>>,
    converter: Option<Resampler>,
    raw: Vec<f32>,
    queue: Vec<f32>,
    flowing: bool,
    /// Reads since it ran dry.
    dry: Option<u32>,
    level: Level,
    skipped: u64,
    starved: u64,
}

impl Intake {
    /// Takes over the consumer of a newly opened stream at `rate`.
    pub(super) fn attach(&mut self, consumer: Consumer<f32>, rate: u32) {
        self.consumer = Some(consumer);
        self.converter = Resampler::new(rate, SAMPLE_RATE).ok();
        self.queue.clear();
        self.flowing = false;
    }

    /// 10 ms, if there are.
    pub(super) fn read(&mut self) -> Option<Pcm> {
        self.take();
        if self.queue.len() > MOST {
            let old = self.queue.len() - USUAL;
            self.queue.drain(..old);
            self.skipped += old as u64;
            self.level.restart();
        }
        // Begin, and begin again, with a little in hand: cards deliver in lumps.
        if !self.flowing {
            if self.queue.len() < USUAL {
                self.dry = self.dry.map(|reads| reads.saturating_add(1));
                return None;
            }
            if self.dry.take().is_some_and(|reads| reads < PAUSED) {
                self.level.ran_dry();
            }
            // What was captured before anybody listened is not worth the wait.
            self.queue.drain(..self.queue.len() - USUAL);
            self.flowing = true;
            self.level.restart();
        }
        if self.queue.len() < BLOCK {
            self.flowing = false;
            self.starved += 1;
            self.dry = Some(0);
            return None;
        }
        self.level.seen(self.queue.len() - BLOCK);
        self.cut();
        let mut block = [0.0; BLOCK];
        for (to, from) in block.iter_mut().zip(self.queue.drain(..BLOCK)) {
            *to = from;
        }
        Some(block)
    }

    fn take(&mut self) {
        let (Some(consumer), Some(converter)) = (&mut self.consumer, &mut self.converter) else {
            return;
        };
        converter.trim(self.level.ratio);
        let n = consumer.slots();
        if let Ok(chunk) = consumer.read_chunk(n) {
            let (a, b) = chunk.as_slices();
            self.raw.clear();
            self.raw.extend_from_slice(a);
            self.raw.extend_from_slice(b);
            converter.process(&self.raw, &mut self.queue);
            chunk.commit_all();
        }
    }

    /// Leaves a pause out, or cuts out a period, where sound piled up.
    fn cut(&mut self) {
        if self.level.piled == 0 || self.queue.len() < 4 * BLOCK {
            return;
        }
        let cut = if quiet(self.queue.get(..BLOCK).unwrap_or_default()) {
            self.queue.drain(..BLOCK);
            BLOCK
        } else {
            dsp::shorten(&mut self.queue, Care::Slight, QUIET)
        };
        self.skipped += cut as u64;
        self.level.cut(cut);
    }

    /// How long the next sample has been waiting here.
    pub(super) fn delay(&self) -> Duration {
        duration(self.queue.len())
    }

    /// Samples skipped (at 48 kHz), times run dry.
    pub(super) fn counters(&self) -> (u64, u64) {
        (self.skipped, self.starved)
    }
}

/// The engine's end of a loudspeaker.
#[derive(Default)]
pub(super) struct Outlet {
    producer: Option<Producer<f32>>,
    converter: Option<Resampler>,
    rate: u32,
    raw: Vec<f32>,
    /// Blocks on their way to become a little less.
    pending: Vec<f32>,
    /// The card took nothing for a while: what waits is old.
    stuck: bool,
    flowing: bool,
    level: Level,
    skipped: u64,
    starved: u64,
}

impl Outlet {
    /// Takes over the producer of a newly opened stream at `rate`.
    pub(super) fn attach(&mut self, producer: Producer<f32>, rate: u32) {
        self.producer = Some(producer);
        self.converter = Resampler::new(SAMPLE_RATE, rate).ok();
        self.rate = rate;
        self.pending.clear();
        self.flowing = false;
    }

    /// Takes 10 ms; without a device they are gone.
    pub(super) fn write(&mut self, block: &Pcm) {
        if self.producer.is_none() {
            return;
        }
        let held = self.held();
        if held == 0 {
            // Dry (or new): put some silence before, so that the card's next lump finds enough.
            if self.flowing {
                self.starved += 1;
                self.level.ran_dry();
            }
            self.flowing = true;
            self.level.restart();
            self.push(&[0.0; USUAL - BLOCK]);
        } else if held > MOST || (self.stuck && held > USUAL) {
            self.stuck = true;
            self.skipped += BLOCK as u64;
            self.level.restart();
            return;
        } else {
            self.stuck = false;
            // Before a block comes in is when there is least.
            self.level.seen(held + self.pending.len());
        }
        if self.level.piled == 0 && self.pending.is_empty() {
            return self.push(block);
        }
        if self.pending.is_empty() && quiet(block) {
            self.skipped += BLOCK as u64;
            return self.level.cut(BLOCK);
        }
        self.pending.extend_from_slice(block);
        if self.pending.len() < dsp::STRETCHABLE {
            return;
        }
        let mut sound = std::mem::take(&mut self.pending);
        let cut = dsp::shorten(&mut sound, Care::Slight, QUIET);
        self.skipped += cut as u64;
        self.level.cut(cut);
        self.push(&sound);
    }

    fn push(&mut self, sound: &[f32]) {
        let (Some(producer), Some(converter)) = (&mut self.producer, &mut self.converter) else {
            return;
        };
        self.raw.clear();
        converter.trim(self.level.ratio);
        converter.process(sound, &mut self.raw);
        let n = self.raw.len().min(producer.slots());
        if let Ok(mut chunk) = producer.write_chunk(n) {
            let (a, b) = chunk.as_mut_slices();
            let (first, second) = self.raw.split_at(a.len().min(n));
            a.copy_from_slice(first);
            for (to, from) in b.iter_mut().zip(second) {
                *to = *from;
            }
            chunk.commit_all();
        }
        self.skipped += (self.raw.len() - n) as u64;
    }

    /// Sound in the ring, in samples at 48 kHz.
    fn held(&self) -> usize {
        let Some(producer) = &self.producer else { return 0 };
        let used = producer.buffer().capacity() - producer.slots();
        used * SAMPLE_RATE as usize / self.rate.max(1) as usize
    }

    /// How long the sample written last has to wait here.
    pub(super) fn delay(&self) -> Duration {
        duration(self.held())
    }

    /// Samples skipped (at 48 kHz), times run dry.
    pub(super) fn counters(&self) -> (u64, u64) {
        (self.skipped, self.starved)
    }
}

fn quiet(block: &[f32]) -> bool {
    block.iter().all(|s| s.abs() < QUIET)
}

fn duration(samples: usize) -> Duration {
    Duration::from_micros(samples as u64 * 125 / 6)
}

#[cfg(test)]
mod tests;
