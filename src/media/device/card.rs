//! A sound card that isn't there: for simulations, with a crystal of its own.
//!
//! No two crystals run alike: a card that says 48 kHz takes and plays a few samples a second more or
//! less by any other clock. Between card and program lie the same rings as of a real one
//! (`ring`), so whatever makes up for the difference there is what a simulation
//! measures.

use super::ring::{Intake, Outlet, ring};
use crate::media::seams::{BLOCK, Pcm, PcmSink, PcmSource, SAMPLE_RATE, SinkLost, SourceLost};
use crate::time::Now;
use rtrb::{Consumer, Producer};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Frames a card hands over, or asks for, at a time: 10 ms.
const PERIOD: u64 = BLOCK as u64;
/// Fill is not noted before this: a call begins with one.
const SETTLED: Duration = Duration::from_secs(10);

/// What happened between one card and the program.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CardFigures {
    /// Times the program found nothing to read, or the card nothing to play.
    pub underruns: u64,
    /// Sound thrown away because it piled up, in samples.
    pub skipped: u64,
    /// Least and longest time sound waited in between, after the first ten seconds.
    pub waited: Option<(Duration, Duration)>,
}

impl CardFigures {
    fn waits(&mut self, delay: Duration) {
        let (least, most) = self.waited.unwrap_or((delay, delay));
        self.waited = Some((least.min(delay), most.max(delay)));
    }
}

/// Figures of a card, to be read from outside.
pub type SharedFigures = Arc<Mutex<CardFigures>>;

fn note(figures: &SharedFigures, with: impl FnOnce(&mut CardFigures)) {
    with(&mut figures.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Counts the frames of a card by its own crystal.
#[derive(Clone, Copy, Debug)]
struct Crystal {
    since: Instant,
    /// Frames per second of the clock everybody else goes by.
    rate: f64,
}

impl Crystal {
    fn new(ppm: f64, since: Instant) -> Self {
        Self { since, rate: f64::from(SAMPLE_RATE) * (1.0 + ppm * 1e-6) }
    }

    /// Frames of whole periods until `now`.
    fn frames(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        (passed * self.rate) as u64 / PERIOD * PERIOD
    }

    /// Samples of an ideal clock per frame of this one.
    fn step(&self) -> f64 {
        f64::from(SAMPLE_RATE) / self.rate
    }
}

/// A microphone in front of which `source` sounds.
pub struct CardMic {
    source: Box<dyn PcmSource>,
    crystal: Crystal,
    card: Producer<f32>,
    program: Intake,
    /// What sounds, and the number of its first sample.
    air: VecDeque<f32>,
    first: u64,
    made: u64,
    figures: SharedFigures,
}

impl CardMic {
    /// A card that is `ppm` parts in a million fast, from `since` on.
    pub fn new(source: Box<dyn PcmSource>, ppm: f64, since: Instant) -> Self {
        let (card, consumer) = ring(SAMPLE_RATE, BLOCK);
        let mut program = Intake::default();
        program.attach(consumer, SAMPLE_RATE);
        let (air, crystal) = (VecDeque::new(), Crystal::new(ppm, since));
        let figures = SharedFigures::default();
        Self { source, crystal, card, program, air, first: 0, made: 0, figures }
    }

    /// What happened so far, and will.
    pub fn figures(&self) -> SharedFigures {
        Arc::clone(&self.figures)
    }

    /// The card takes what sounded until `now`, period by period.
    fn take(&mut self, now: Instant) {
        let due = self.crystal.frames(now);
        while self.made < due {
            let at = self.made as f64 * self.crystal.step();
            let Some(sample) = self.sample(at) else { return };
            // A program that reads nothing loses it.
            let _ = self.card.push(sample);
            self.made += 1;
        }
    }

    /// The sound at a place between samples (a cubic through the four around it).
    fn sample(&mut self, at: f64) -> Option<f32> {
        let whole = at as u64;
        while self.first + 1 < whole && self.air.len() > 4 {
            self.air.pop_front();
            self.first += 1;
        }
        let index = usize::try_from(whole.saturating_sub(self.first)).ok()?;
        let [a, b, c, d] = [index.checked_sub(1).unwrap_or(index), index, index + 1, index + 2]
            .map(|i| self.air.get(i));
        let (a, b, c, d) = (*a?, *b?, *c?, *d?);
        let x = (at - whole as f64) as f32;
        let bend = 2.0 * a - 5.0 * b + 4.0 * c - d + x * (3.0 * (b - c) + d - a);
        Some(b + 0.5 * x * (c - a + x * bend))
    }
}

impl PcmSource for CardMic {
    fn read(&mut self, now: Now) -> Result<Option<Pcm>, SourceLost> {
        if let Some(block) = self.source.read(now)? {
            self.air.extend(block);
        }
        self.take(now.mono);
        let block = self.program.read();
        let (skipped, underruns) = self.program.counters();
        let waited = self.program.delay();
        let settled = now.mono.saturating_duration_since(self.crystal.since) > SETTLED;
        note(&self.figures, |figures| {
            (figures.skipped, figures.underruns) = (skipped, underruns);
            if settled {
                figures.waits(waited);
            }
        });
        Ok(block)
    }

    fn delay(&self) -> Duration {
        self.source.delay() + self.program.delay()
    }

    fn describe(&self) -> String {
        format!("{} at a microphone of its own clock", self.source.describe())
    }
}

/// A loudspeaker that nobody hears.
pub struct CardSpeaker {
    crystal: Crystal,
    card: Consumer<f32>,
    program: Outlet,
    played: u64,
    /// Periods in which the card found too little.
    torn: u64,
    figures: SharedFigures,
}

impl CardSpeaker {
    /// A card that is `ppm` parts in a million fast, from `since` on.
    pub fn new(ppm: f64, since: Instant) -> Self {
        let (producer, card) = ring(SAMPLE_RATE, BLOCK);
        let mut program = Outlet::default();
        program.attach(producer, SAMPLE_RATE);
        let (crystal, figures) = (Crystal::new(ppm, since), SharedFigures::default());
        Self { crystal, card, program, played: 0, torn: 0, figures }
    }

    /// What happened so far, and will.
    pub fn figures(&self) -> SharedFigures {
        Arc::clone(&self.figures)
    }

    /// The card plays what is there until `now`, period by period.
    fn play(&mut self, now: Instant) {
        let due = self.crystal.frames(now);
        while self.played < due {
            let there = self.card.slots().min(BLOCK);
            if let Ok(chunk) = self.card.read_chunk(there) {
                chunk.commit_all();
            }
            // Before anything was written there is nothing to tear.
            self.torn += u64::from(there < BLOCK && self.played > 0 && there > 0);
            self.played += PERIOD;
        }
    }
}

impl PcmSink for CardSpeaker {
    fn write(&mut self, block: &Pcm, now: Now) -> Result<(), SinkLost> {
        self.play(now.mono);
        self.program.write(block);
        let (skipped, starved) = self.program.counters();
        let (torn, waited) = (self.torn, self.program.delay());
        let settled = now.mono.saturating_duration_since(self.crystal.since) > SETTLED;
        note(&self.figures, |figures| {
            (figures.skipped, figures.underruns) = (skipped, starved + torn);
            if settled {
                figures.waits(waited);
            }
        });
        Ok(())
    }

    fn delay(&self) -> Duration {
        self.program.delay()
    }

    fn describe(&self) -> String {
        "loudspeaker of its own clock".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Wall;

    /// A sine of so many Hz.
    struct Sine(f64, u64);

    impl PcmSource for Sine {
        fn read(&mut self, _now: Now) -> Result<Option<Pcm>, SourceLost> {
            let mut block = [0.0; BLOCK];
            for sample in &mut block {
                *sample = (self.1 as f64 * self.0 * std::f64::consts::TAU / 48_000.0).sin() as f32;
                self.1 += 1;
            }
            Ok(Some(block))
        }
        fn describe(&self) -> String {
            "sine".into()
        }
    }

    fn ticks(seconds: u32) -> impl Iterator<Item = (Instant, Now)> {
        let start = tokio::time::Instant::now().into_std();
        (1..=seconds * 100).map(move |tick| {
            let mono = start + Duration::from_millis(10) * tick;
            (start, Now { mono, wall: Wall(0) })
        })
    }

    #[test]
    fn an_even_card_gives_what_sounds() {
        let mut mic: Option<CardMic> = None;
        let mut heard = Vec::new();
        for (start, now) in ticks(20) {
            let mic = mic.get_or_insert_with(|| CardMic::new(Box::new(Sine(440.0, 0)), 0.0, start));
            heard.extend(mic.read(now).expect("no end").into_iter().flatten());
        }
        let figures = *mic.expect("ticked").figures().lock().expect("one thread");
        assert_eq!((figures.underruns, figures.skipped), (0, 0));
        let energy = heard.iter().map(|s| s * s).sum::<f32>() / heard.len() as f32;
        assert!((energy - 0.5).abs() < 0.01, "{energy}");
        let steepest = heard.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
        assert!(steepest < 0.06, "no seams: {steepest}");
    }

    #[test]
    fn a_crystal_counts_its_own_seconds() {
        let start = tokio::time::Instant::now().into_std();
        let after =
            |ppm, seconds| Crystal::new(ppm, start).frames(start + Duration::from_secs(seconds));
        assert_eq!(after(0.0, 600), 28_800_000);
        // 200 in a million of ten minutes: 120 ms.
        assert!(after(200.0, 600).abs_diff(28_800_000 + 12 * PERIOD) <= PERIOD);
        assert!(after(-200.0, 600).abs_diff(28_800_000 - 12 * PERIOD) <= PERIOD);
    }

    #[test]
    fn a_loudspeaker_that_is_fed_in_time_never_runs_dry_by_itself() {
        let mut speaker: Option<CardSpeaker> = None;
        for (start, now) in ticks(30) {
            let speaker = speaker.get_or_insert_with(|| CardSpeaker::new(0.0, start));
            speaker.write(&[0.1; BLOCK], now).expect("no end");
        }
        let figures = *speaker.expect("ticked").figures().lock().expect("one thread");
        assert_eq!((figures.underruns, figures.skipped), (0, 0));
        let (least, most) = figures.waited.expect("settled");
        // A reserve filled at the start is taken down by resampling, at 0.6 ms a second.
        assert!(most - least <= Duration::from_millis(20), "{least:?} to {most:?}");
    }
}
