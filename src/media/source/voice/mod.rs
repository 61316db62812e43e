//! A voice for calls without a microphone: a small formant synthesiser that reads the spelling
//! alphabet, in turns with other such voices.
//!
//! It is speech as far as codecs, loss concealment and intelligibility measures care: voiced and
//! unvoiced sounds, stops, glides between formants, intonation, pauses. What is said is a pure
//! function of media time ([`Speech`]), so a drawn face of the same participant moves its mouth to
//! it and a measuring probe knows the original without being sent it.

mod phones;
mod synth;

use crate::media::seams::{BLOCK, Pcm, PcmSource, SAMPLE_RATE, SourceLost};
use crate::time::{MediaTime, Now};
use phones::{Sound, WORDS};
use std::sync::Arc;
use std::time::Instant;
use synth::Synth;

/// Words of the spelling alphabet in one turn.
const TURN_WORDS: u64 = 4;
/// Samples from the beginning of one word to the beginning of the next: 640 ms.
const CELL: u64 = 30_720;
/// Longest word, in samples: leaves a pause before the next.
const SPOKEN: u64 = 27_360;
/// Half the time a sound takes to turn into the next one, in samples.
const GLIDE: f32 = 960.0;
/// Sources further than this from their clock were stopped and go on from the present.
const RESYNC: u64 = SAMPLE_RATE as u64 / 16;

/// The settings of the vocal tract at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tract {
    /// Formants 1–3, in Hz.
    formants: [f32; 3],
    /// Loudness of voice, breath through the whole tract, and friction at the teeth and lips.
    voice: f32,
    breath: f32,
    friction: f32,
    /// Centre and width of the friction noise, in Hz.
    noise: [f32; 2],
    /// Opening of the mouth, 0…1.
    open: f32,
    /// Pitch in Hz.
    pitch: f32,
}

/// What one voice says when. Cheap to copy; all methods are pure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speech {
    turn: u64,
    turns: u64,
    pitch: f32,
    /// Scale of the formants: shorter vocal tracts have higher ones.
    tract: f32,
    seed: u64,
}

impl Speech {
    /// The voice of `seed` (any bytes of an identity folded into a number), speaking in turn
    /// `turn` of `turns`. Neighbouring turns have a low and a high voice.
    pub fn new(seed: u64, turn: u32, turns: u32) -> Self {
        let turns = u64::from(turns.max(1));
        let turn = u64::from(turn) % turns;
        let dice = synth::mix(seed);
        let vary = (dice % 1000) as f32 / 1000.0;
        let (pitch, tract) = if turn.is_multiple_of(2) {
            (98.0 + 35.0 * vary, 0.95 + 0.08 * vary)
        } else {
            (170.0 + 45.0 * vary, 1.08 + 0.1 * vary)
        };
        Self { turn, turns, pitch, tract, seed: dice }
    }

    /// How far the mouth is open at a media time: 0 closed … 1 wide.
    pub fn mouth(&self, at: MediaTime) -> f32 {
        self.tract(samples(at)).map_or(0.0, |t| t.open * (t.voice + t.breath).clamp(0.3, 1.0))
    }

    /// The word that is being said at a media time; `None` in pauses and others' turns.
    pub fn word(&self, at: MediaTime) -> Option<&'static str> {
        let (word, within) = self.place(samples(at))?;
        let (name, sounds) = WORDS.get(word)?;
        (within < length(sounds).1).then_some(*name)
    }

    /// Is it this voice's turn?
    pub fn speaks(&self, at: MediaTime) -> bool {
        self.place(samples(at)).is_some()
    }

    /// Word index and sample within its cell.
    fn place(&self, sample: u64) -> Option<(usize, u64)> {
        let cell = sample / CELL;
        let turn = cell / TURN_WORDS;
        // Together the voices read the alphabet through, whoever has the turn.
        let word = usize::try_from(cell % WORDS.len() as u64).unwrap_or(0);
        (turn % self.turns == self.turn).then_some((word, sample % CELL))
    }

    /// The tract at a sample, `None` in pauses.
    fn tract(&self, sample: u64) -> Option<Tract> {
        let (word, within) = self.place(sample)?;
        let (_, sounds) = WORDS.get(word)?;
        let (stretch, total) = length(sounds);
        if within >= total {
            return None;
        }
        let x = within as f32;
        let mut begin = 0.0;
        let mut at = 0;
        while at + 1 < sounds.len() && x >= begin + sounds[at].samples() * stretch {
            begin += sounds[at].samples() * stretch;
            at += 1;
        }
        let here = &sounds[at];
        let end = begin + here.samples() * stretch;
        let edge = |index: Option<usize>| index.and_then(|i| sounds.get(i));
        // Around a border both sounds are half there. Glides are cut short in short sounds.
        let reach = GLIDE.min(here.samples() * stretch * 0.5);
        let mut tract = here.tract();
        if x - begin < reach {
            let share = 0.5 - 0.5 * (x - begin) / reach;
            tract = blend(tract, neighbour(edge(at.checked_sub(1)), here), share);
        } else if end - x < reach {
            let share = 0.5 - 0.5 * (end - x) / reach;
            tract = blend(tract, neighbour(edge(Some(at + 1)), here), share);
        }
        for formant in &mut tract.formants {
            *formant *= self.tract;
        }
        // Intonation: a rise and fall in each word, falling over the turn.
        let word_part = x / total as f32;
        let turn_part = ((sample / CELL) % TURN_WORDS) as f32 / TURN_WORDS as f32;
        let accent = 0.14 * (std::f32::consts::PI * word_part.powf(0.7)).sin();
        let wobble = 0.012 * (x * 0.0009).sin();
        tract.pitch = self.pitch * (1.04 + accent + wobble - 0.12 * turn_part - 0.08 * word_part);
        Some(tract)
    }
}

/// What a sound turns into at its border: the neighbour, or the same tract falling silent.
fn neighbour(sound: Option<&Sound>, here: &Sound) -> Tract {
    match sound {
        Some(sound) => sound.tract(),
        None => Tract { voice: 0.0, breath: 0.0, friction: 0.0, open: 0.0, ..here.tract() },
    }
}

/// Stretch factor and total length in samples of a word: long words are said faster.
fn length(sounds: &[Sound]) -> (f32, u64) {
    let natural: f32 = sounds.iter().map(Sound::samples).sum();
    let stretch = (SPOKEN as f32 / natural).min(1.25);
    (stretch, (natural * stretch) as u64)
}

fn blend(a: Tract, b: Tract, share: f32) -> Tract {
    let mix = |a: f32, b: f32| a + (b - a) * share;
    Tract {
        formants: std::array::from_fn(|i| mix(a.formants[i], b.formants[i])),
        voice: mix(a.voice, b.voice),
        breath: mix(a.breath, b.breath),
        friction: mix(a.friction, b.friction),
        // Noise keeps its colour: it fades rather than sweeps.
        noise: if b.friction > a.friction && share > 0.4 { b.noise } else { a.noise },
        open: mix(a.open, b.open),
        pitch: a.pitch,
    }
}

fn samples(at: MediaTime) -> u64 {
    at.0.saturating_mul(u64::from(SAMPLE_RATE) / 1000) / 1000
}

/// A synthetic voice as a sound source.
pub struct Voice {
    speech: Speech,
    origin: Instant,
    synth: Synth,
    /// Media time in samples of the next one.
    next: Option<u64>,
}

impl Voice {
    /// A voice on the media clock that started at `origin`.
    pub fn new(speech: Speech, origin: Instant) -> Self {
        Self { speech, origin, synth: Synth::new(speech.seed), next: None }
    }

    /// The opening of the mouth as a function of media time, for the drawn face.
    pub fn mouth(speech: Speech) -> Arc<dyn Fn(MediaTime) -> f32 + Send + Sync> {
        Arc::new(move |at| speech.mouth(at))
    }

    /// The block of sound that begins at `start` samples of media time: the same for the same
    /// start, provided that the blocks of a word are asked for in order.
    fn block(&mut self, start: u64) -> Pcm {
        let mut block = [0.0; BLOCK];
        for (i, chunk) in block.chunks_mut(synth::STEP).enumerate() {
            let at = start + (i * synth::STEP) as u64;
            if at % CELL < synth::STEP as u64 {
                // Every word begins from rest, so that it doesn't depend on what came before.
                self.synth = Synth::new(self.speech.seed ^ (at / CELL));
            }
            self.synth.step(self.speech.tract(at), chunk);
        }
        block
    }
}

impl PcmSource for Voice {
    fn read(&mut self, now: Now) -> Result<Option<Pcm>, SourceLost> {
        let next = next_block(&mut self.next, self.origin, now);
        Ok(Some(self.block(next)))
    }

    fn describe(&self) -> String {
        format!("synthetic voice, {:.0} Hz", self.speech.pitch)
    }
}

/// Start (in samples of media time) of the block that ends now. Blocks are counted; the clock is
/// consulted only to begin and after a stall, so that no sample is skipped or said twice.
pub(super) fn next_block(next: &mut Option<u64>, origin: Instant, now: Now) -> u64 {
    let clock = samples(MediaTime::since(origin, now.mono)).saturating_sub(BLOCK as u64);
    let start = match *next {
        Some(counted) if counted.abs_diff(clock) < RESYNC => counted,
        _ => clock,
    };
    *next = Some(start + BLOCK as u64);
    start
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
mod tests {
    use super::*;
    use crate::time::Wall;
    use std::time::Duration;

    fn say(speech: Speech, millis: u64) -> Vec<f32> {
        let origin = Instant::now();
        let mut voice = Voice::new(speech, origin);
        (1..=millis / 10)
            .flat_map(|i| {
                let now = Now { mono: origin + Duration::from_millis(i * 10), wall: Wall(0) };
                voice.read(now).unwrap().unwrap()
            })
            .collect()
    }

    fn rms(sound: &[f32]) -> f32 {
        (sound.iter().map(|s| s * s).sum::<f32>() / sound.len() as f32).sqrt()
    }

    #[test]
    fn two_voices_take_turns() {
        let (a, b) = (say(Speech::new(1, 0, 2), 10_240), say(Speech::new(2, 1, 2), 10_240));
        let turn = (CELL * TURN_WORDS) as usize;
        for i in 0..4 {
            let (x, y) = (rms(&a[i * turn..(i + 1) * turn]), rms(&b[i * turn..(i + 1) * turn]));
            let (speaks, silent) = if i % 2 == 0 { (x, y) } else { (y, x) };
            assert!(speaks > 0.03 && silent == 0.0, "turn {i}: {speaks} {silent}");
        }
    }

    #[test]
    fn speech_is_at_a_speaking_level_and_never_clips() {
        for turn in 0..2 {
            let sound = say(Speech::new(3, turn, 2), 35_000);
            let peak = sound.iter().fold(0.0f32, |m, s| m.max(s.abs()));
            assert!((0.2..0.95).contains(&peak), "peak {peak}");
            assert!(sound.iter().all(|s| s.is_finite()));
        }
    }

    #[test]
    fn the_same_time_gives_the_same_sound_and_another_seed_another() {
        let speech = Speech::new(4, 0, 2);
        assert_eq!(say(speech, 2000), say(speech, 2000));
        assert_ne!(say(speech, 2000), say(Speech::new(5, 0, 2), 2000));
    }

    #[test]
    fn a_reader_that_begins_later_hears_the_same_words() {
        let speech = Speech::new(6, 0, 1);
        let whole = say(speech, 3000);
        let origin = Instant::now();
        let mut late = Voice::new(speech, origin);
        let mut heard = Vec::new();
        for i in 101..=300u64 {
            let now = Now { mono: origin + Duration::from_millis(i * 10), wall: Wall(0) };
            heard.extend(late.read(now).unwrap().unwrap());
        }
        // From the beginning of the next word on.
        let from = 2 * CELL as usize;
        assert_eq!(whole[from..], heard[from - 48_000..]);
    }

    #[test]
    fn the_mouth_follows_the_sound() {
        let speech = Speech::new(7, 0, 2);
        let sound = say(speech, 10_000);
        let (mut open, mut closed) = (Vec::new(), Vec::new());
        for (i, block) in sound.chunks(480).enumerate() {
            let mouth = speech.mouth(MediaTime(i as u64 * 10_000 + 5000));
            assert!((0.0..=1.0).contains(&mouth));
            if mouth > 0.5 {
                open.push(rms(block))
            } else if mouth < 0.05 {
                closed.push(rms(block))
            }
        }
        let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
        assert!(open.len() > 50 && closed.len() > 50);
        assert!(mean(&open) > 8.0 * mean(&closed), "{} {}", mean(&open), mean(&closed));
    }

    #[test]
    fn the_alphabet_is_read_through() {
        let (a, b) = (Speech::new(1, 0, 2), Speech::new(2, 1, 2));
        let mut words = Vec::new();
        for i in 0..26 {
            let at = MediaTime(i * CELL * 1000 / 48 + 100_000);
            assert!(a.speaks(at) != b.speaks(at));
            words.extend(a.word(at).or(b.word(at)));
        }
        assert_eq!(words.len(), 26);
        assert_eq!((words[0], words[4], words[25]), ("alfa", "echo", "zulu"));
    }

    #[test]
    fn loudness_rises_and_falls_at_the_rate_of_syllables() {
        let sound = say(Speech::new(8, 0, 1), 10_000);
        let envelope: Vec<f32> = sound.chunks(480).map(rms).collect();
        let mean = envelope.iter().sum::<f32>() / envelope.len() as f32;
        let crossings = envelope.windows(2).filter(|w| (w[0] < mean) != (w[1] < mean)).count();
        // Two crossings per syllable; 2–8 syllables a second.
        assert!((40..160).contains(&crossings), "{crossings}");
    }
}
