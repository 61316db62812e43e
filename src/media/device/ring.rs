//! Between a sound card that calls when it likes, with as many samples as it likes, at its own
//! rate, and an engine that wants 480 samples at 48 kHz every 10 ms.

use crate::media::dsp::{self, Resampler};
use crate::media::seams::{BLOCK, Pcm, SAMPLE_RATE};
use rtrb::{Consumer, Producer, RingBuffer};
use std::time::Duration;

/// More sound than this is never held: 80 ms.
const MOST: usize = 8 * BLOCK;
/// What is held after a skip, and before sound begins to flow: one usual callback and one block.
const USUAL: usize = 3 * BLOCK;
/// Reads or writes over which the least fill is watched: half a second.
const WATCH: u32 = 50;
/// A block below this is a pause and can be left out whole.
const QUIET: f32 = 0.002;
/// If even the least fill of a second was above this, sound piles up (the clocks differ): what is
/// in hand at the start, and half a block.
const SPARE: usize = USUAL - BLOCK / 2;

/// A ring for a device that runs at `rate` and asks for up to `period` frames at a time.
pub(super) fn ring(rate: u32, period: usize) -> (Producer<f32>, Consumer<f32>) {
    let tenth = rate as usize / 10;
    RingBuffer::new(tenth.max(4 * period).max(4096))
}

fn converter(from: u32, to: u32) -> Option<Resampler> {
    if from == to { None } else { Resampler::new(from, to).ok() }
}

/// The engine's end of a microphone.
#[derive(Default)]
pub(super) struct Intake {
    consumer: Option<Consumer<f32>>,
    converter: Option<Resampler>,
    raw: Vec<f32>,
    queue: Vec<f32>,
    flowing: bool,
    least: usize,
    watched: u32,
    /// The least fill of the last half second, if sound piled up.
    piled: usize,
    skipped: u64,
    starved: u64,
}

impl Intake {
    /// Takes over the consumer of a newly opened stream at `rate`.
    pub(super) fn attach(&mut self, consumer: Consumer<f32>, rate: u32) {
        self.consumer = Some(consumer);
        self.converter = converter(rate, SAMPLE_RATE);
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
        }
        // Begin, and begin again, with a little in hand: cards deliver in lumps.
        if !self.flowing {
            if self.queue.len() < USUAL {
                return None;
            }
            // What was captured before anybody listened is not worth the wait.
            self.queue.drain(..self.queue.len() - USUAL);
            (self.flowing, self.watched, self.least, self.piled) = (true, 0, usize::MAX, 0);
        }
        if self.queue.len() < BLOCK {
            self.flowing = false;
            self.starved += 1;
            return None;
        }
        self.watch();
        let mut block = [0.0; BLOCK];
        for (to, from) in block.iter_mut().zip(self.queue.drain(..BLOCK)) {
            *to = from;
        }
        Some(block)
    }

    fn take(&mut self) {
        let Some(consumer) = &mut self.consumer else { return };
        let n = consumer.slots();
        if let Ok(chunk) = consumer.read_chunk(n) {
            let (a, b) = chunk.as_slices();
            match &mut self.converter {
                None => {
                    self.queue.extend_from_slice(a);
                    self.queue.extend_from_slice(b);
                }
                Some(converter) => {
                    self.raw.clear();
                    self.raw.extend_from_slice(a);
                    self.raw.extend_from_slice(b);
                    converter.process(&self.raw, &mut self.queue);
                }
            }
            chunk.commit_all();
        }
    }

    /// A card whose clock is fast fills the queue bit by bit: leave a pause out, or cut out a
    /// period now and then.
    fn watch(&mut self) {
        self.least = self.least.min(self.queue.len() - BLOCK);
        self.watched += 1;
        if self.watched >= WATCH {
            self.piled = self.least;
            if self.piled > SPARE {
                self.skipped += dsp::shorten(&mut self.queue) as u64;
            }
            (self.watched, self.least) = (0, usize::MAX);
        }
        if self.piled > SPARE && self.queue.len() >= 3 * BLOCK && quiet(&self.queue[..BLOCK]) {
            self.queue.drain(..BLOCK);
            self.skipped += BLOCK as u64;
            (self.piled, self.watched, self.least) = (self.piled - BLOCK, 0, usize::MAX);
        }
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
    /// Two blocks on their way to become a little less.
    pending: Vec<f32>,
    flowing: bool,
    least: usize,
    watched: u32,
    /// The least fill of the last half second, if sound piled up.
    piled: usize,
    skipped: u64,
    starved: u64,
}

impl Outlet {
    /// Takes over the producer of a newly opened stream at `rate`.
    pub(super) fn attach(&mut self, producer: Producer<f32>, rate: u32) {
        self.producer = Some(producer);
        self.converter = converter(SAMPLE_RATE, rate);
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
            self.starved += u64::from(self.flowing);
            (self.flowing, self.watched, self.least, self.piled) = (true, 0, usize::MAX, 0);
            self.push(&[0.0; USUAL - BLOCK]);
        } else if held > MOST {
            self.skipped += BLOCK as u64;
            return;
        }
        self.least = self.least.min(held);
        self.watched += 1;
        if self.piled > SPARE && self.pending.is_empty() && quiet(block) {
            self.skipped += BLOCK as u64;
            (self.piled, self.watched, self.least) = (self.piled - BLOCK, 0, usize::MAX);
            return;
        }
        if self.watched >= WATCH && self.pending.is_empty() {
            self.piled = self.least;
            (self.watched, self.least) = (0, usize::MAX);
            if self.piled > SPARE {
                self.pending.extend_from_slice(block);
                return;
            }
        }
        if self.pending.is_empty() {
            self.push(block);
        } else {
            let mut both = std::mem::take(&mut self.pending);
            both.extend_from_slice(block);
            self.skipped += dsp::shorten(&mut both) as u64;
            self.push(&both);
        }
    }

    fn push(&mut self, sound: &[f32]) {
        let Some(producer) = &mut self.producer else { return };
        let sound = match &mut self.converter {
            None => sound,
            Some(converter) => {
                self.raw.clear();
                converter.process(sound, &mut self.raw);
                &self.raw
            }
        };
        let n = sound.len().min(producer.slots());
        if let Ok(mut chunk) = producer.write_chunk(n) {
            let (a, b) = chunk.as_mut_slices();
            let (first, second) = sound.split_at(a.len().min(n));
            a.copy_from_slice(first);
            for (to, from) in b.iter_mut().zip(second) {
                *to = *from;
            }
            chunk.commit_all();
        }
        self.skipped += (sound.len() - n) as u64;
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
mod tests {
    use super::*;

    fn fill(producer: &mut Producer<f32>, n: usize, from: &mut usize) {
        for _ in 0..n {
            let x = (*from as f32 * 0.03).sin();
            let _ = producer.push(x);
            *from += 1;
        }
    }

    #[test]
    fn lumps_of_any_size_become_even_blocks() {
        for lump in [128, 441, 512, 640, 960, 1024] {
            let (mut producer, consumer) = ring(48_000, lump);
            let mut intake = Intake::default();
            intake.attach(consumer, 48_000);
            let (mut made, mut heard) = (0, Vec::new());
            for tick in 1..=1000usize {
                while made + lump <= tick * BLOCK {
                    fill(&mut producer, lump, &mut made);
                }
                heard.extend(intake.read().into_iter().flatten());
            }
            assert_eq!(intake.counters(), (0, 0), "lumps of {lump}");
            assert!(heard.len() >= 995 * BLOCK);
            let wave = |i: usize| (i as f32 * 0.03).sin();
            let first = (0..2000).find(|i| wave(*i) == heard[0]).unwrap();
            assert!(heard.iter().enumerate().all(|(i, sample)| *sample == wave(first + i)));
        }
    }

    #[test]
    fn a_stall_is_skipped_rather_than_kept_as_delay() {
        let (mut producer, consumer) = ring(48_000, 960);
        let mut intake = Intake::default();
        intake.attach(consumer, 48_000);
        let mut made = 0;
        fill(&mut producer, 4800, &mut made);
        assert!(intake.read().is_some());
        assert!(intake.delay() <= Duration::from_millis(30));
        assert!(intake.counters().0 > 0);
    }

    #[test]
    fn a_fast_card_never_builds_up_delay() {
        let (mut producer, consumer) = ring(48_000, 480);
        let mut intake = Intake::default();
        intake.attach(consumer, 48_000);
        let mut made = 0;
        for tick in 0..6000usize {
            // 0.1 % fast: 60 ms in a minute.
            fill(&mut producer, BLOCK + usize::from(tick % 2 == 0), &mut made);
            intake.read();
            assert!(intake.delay() <= Duration::from_millis(45));
        }
        assert_eq!(intake.counters().1, 0);
    }

    #[test]
    fn a_card_at_another_rate_is_heard_at_48_khz() {
        let (mut producer, consumer) = ring(44_100, 441);
        let mut intake = Intake::default();
        intake.attach(consumer, 44_100);
        let (mut made, mut blocks) = (0, 0);
        for _ in 0..500 {
            fill(&mut producer, 441, &mut made);
            blocks += usize::from(intake.read().is_some());
        }
        assert!(blocks >= 494, "{blocks}");
    }

    #[test]
    fn a_loudspeaker_gets_every_sample_in_lumps() {
        for lump in [480, 512, 960, 1024] {
            let (producer, mut consumer) = ring(48_000, lump);
            let mut outlet = Outlet::default();
            outlet.attach(producer, 48_000);
            let (mut played, mut dry) = (0usize, 0);
            for tick in 1..=1000usize {
                outlet.write(&[0.5; BLOCK]);
                while played + lump <= tick * BLOCK {
                    for _ in 0..lump {
                        dry += usize::from(consumer.pop().is_err());
                    }
                    played += lump;
                }
            }
            assert_eq!((dry, outlet.counters().1), (0, 0), "lumps of {lump}");
        }
    }

    #[test]
    fn a_stuck_loudspeaker_never_holds_more_than_90_ms() {
        let (producer, _consumer) = ring(48_000, 960);
        let mut outlet = Outlet::default();
        outlet.attach(producer, 48_000);
        for _ in 0..1000 {
            outlet.write(&[0.5; BLOCK]);
            assert!(outlet.delay() <= Duration::from_millis(91));
        }
        assert!(outlet.counters().0 > 0);
    }

    #[test]
    fn a_slow_loudspeaker_never_builds_up_delay() {
        let (producer, mut consumer) = ring(48_000, 480);
        let mut outlet = Outlet::default();
        outlet.attach(producer, 48_000);
        for tick in 0..6000usize {
            outlet.write(&[0.1; BLOCK]);
            for _ in 0..BLOCK - usize::from(tick % 2 == 0) {
                let _ = consumer.pop();
            }
            assert!(outlet.delay() <= Duration::from_millis(55), "{:?}", outlet.delay());
        }
        assert_eq!(outlet.counters().1, 0);
    }

    #[test]
    fn without_a_device_nothing_is_read_and_everything_taken() {
        assert!(Intake::default().read().is_none());
        Outlet::default().write(&[0.0; BLOCK]);
    }
}
