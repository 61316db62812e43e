//! One member's sound, from packets to blocks: jitter buffer, decoder, and what fills the gaps.
//!
//! How fast sound is played changes by whole periods of the voice, and where possible only where
//! nobody hears it: in pauses and on steady tones. After a gap the first real sound is joined to
//! what was made up where their waveforms fit. A gap of more than 100 ms, and the silence of a
//! muted microphone, fade into comfort noise.

use super::audio::AudioStats;
use crate::media::codec::opus::{LOOKAHEAD, OpusDecoder};
use crate::media::dsp::{self, Care, Comfort, Gate, STRETCHABLE};
use crate::media::frame::CodedAudio;
use crate::media::playout::{AudioJitter, Extras, Haste, Pace, Pull, Repair};
use crate::media::seams::{BLOCK, Pcm};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// Sound is heard this long after its capture, plus the network, devices and codec delay.
const TARGET: Duration = Duration::from_millis(60);
/// One block.
const TICK: Duration = Duration::from_millis(10);
/// Ticks of a second.
const SECOND_TICKS: u32 = 100;
/// Least time between two changes of length.
const STRETCH_TICKS: u32 = 4;
/// The same where nothing is to be heard, or when time presses.
const STRETCH_TICKS_FAST: u32 = 2;
/// Everything below this amplitude goes unheard (−54 dBFS), and everything up to twice the
/// background, but nothing above the second (−44 dBFS).
const QUIET: (f32, f32) = (0.002, 0.006);
/// What is made up and what follows overlap for 5 ms.
const OVERLAP: usize = 240;
/// Made-up sound gives way to comfort noise after so many blocks, within so many more.
const MADE_UP: u32 = 10;
const FADE_IN: u32 = 6;
/// Where nobody has been heard for this long (20 s), comfort noise goes, too, within so many blocks.
const NOISE_HOLDS: u32 = 2000;
const FADE_AWAY: u32 = 200;

/// Packets to sound, for one member.
pub(super) struct Voice {
    jitter: AudioJitter,
    decoder: Option<OpusDecoder>,
    /// Decoded, not yet played.
    queue: Vec<f32>,
    /// Media time of the end of `queue` is heard at …: see [`AudioEngine::clocks`].
    ///
    /// [`AudioEngine::clocks`]: super::audio::AudioEngine::clocks
    zero: Option<Instant>,
    stretched_ago: u32,
    level: f32,
    broken: u64,
    /// Bytes that arrived in this second so far, its ticks so far, and the rate of the last one.
    arrived: (usize, u32, u32),
    playing: bool,
    /// The end of what was decoded: enough to see its period.
    past: Vec<f32>,
    /// The end of `past` was made up.
    made_up: bool,
    comfort: Comfort,
    /// Blocks since real sound was heard last.
    unheard: u32,
    /// Share of the sound that is comfort noise at the end of the last block, 0…1.
    noise: f32,
}

impl Voice {
    pub(super) fn new() -> Self {
        Self {
            jitter: AudioJitter::new(TARGET),
            decoder: OpusDecoder::new().ok(),
            queue: Vec::with_capacity(8 * BLOCK),
            zero: None,
            stretched_ago: 0,
            level: 127.0,
            broken: 0,
            arrived: (0, 0, 0),
            playing: false,
            past: Vec::new(),
            made_up: false,
            comfort: Comfort::default(),
            unheard: 0,
            noise: 0.0,
        }
    }

    /// Takes a packet.
    pub(super) fn received(&mut self, packet: CodedAudio, now: Instant) {
        self.arrived.0 += packet.bytes.len();
        let reach = self.decoder.as_mut().and_then(|decoder| decoder.reach(&packet.bytes));
        let extras = Extras {
            coarse: OpusDecoder::repeats(&packet.bytes),
            deep_ms: reach.map_or(0, |reach| reach.from_ms),
        };
        self.jitter.push(packet, extras, now);
    }

    /// What waits is not the present any more.
    pub(super) fn stood_still(&mut self, now: Instant) {
        self.jitter.stood_still(now);
        self.queue.clear();
        self.past.clear();
        (self.zero, self.made_up, self.playing) = (None, false, false);
    }

    /// The instant at which media time zero is (would be) heard, while this member is.
    pub(super) fn zero(&self) -> Option<Instant> {
        self.zero
    }

    /// Sound made up so far, in ms.
    pub(super) fn concealed_ms(&self) -> u64 {
        self.jitter.stats().concealed_ms
    }

    /// Loudness, −dBov.
    pub(super) fn level(&self) -> f32 {
        self.level
    }

    /// One block, or `None` while this member is not heard.
    pub(super) fn play(&mut self, now: Instant, device: Duration) -> Option<Pcm> {
        self.stretched_ago = self.stretched_ago.saturating_add(1);
        self.arrived.1 += 1;
        if self.arrived.1 == SECOND_TICKS {
            self.arrived = (0, 0, (self.arrived.0 / 125) as u32);
        }
        // Each pull yields sound or advances by a packet that was concealed already: 32 packets
        // are the most there can be.
        for _ in 0..64 {
            let enough = self.queue.len() >= BLOCK;
            let ahead = self.jitter.pace() != Pace::Even
                && self.queue.len() < STRETCHABLE
                && self.jitter.ready();
            if (enough && !ahead) || !self.pull(now) {
                break;
            }
        }
        self.stretch();
        let heard = self.queue.len() >= BLOCK;
        self.measure(heard);
        let mut block = [0.0; BLOCK];
        if heard {
            let queued = samples(self.queue.len());
            let lookahead = samples(LOOKAHEAD);
            self.zero =
                self.jitter.zero(now, queued).and_then(|z| z.checked_add(device + lookahead));
            for (to, from) in block.iter_mut().zip(self.queue.drain(..BLOCK)) {
                *to = from;
            }
            if !self.playing {
                Gate::new(false).apply(&mut block, true);
            }
        } else {
            self.queue.clear();
            self.zero = None;
        }
        self.playing = heard;
        let noisy = self.comfort(&mut block);
        (heard || noisy).then_some(block)
    }

    /// Decodes what comes next; false when nothing is to be played.
    fn pull(&mut self, now: Instant) -> bool {
        let queued = samples(self.queue.len());
        let start = self.queue.len();
        match self.jitter.pull(now, queued) {
            Pull::Silence => return false,
            Pull::Conceal { millis } => {
                self.decode(None, false, millis);
                self.made_up = true;
                self.remember(start);
                return true;
            }
            Pull::Packet { packet, skip_ms, jump } => {
                if self.decode(Some(&packet.bytes), false, packet.millis) {
                    self.learn(start);
                } else {
                    self.jitter.failed(packet.millis, None);
                }
                self.skip(start, skip_ms);
                self.made_up |= jump;
            }
            Pull::Fec { next, millis, skip_ms } => {
                if !self.decode(Some(&next), true, millis) {
                    self.jitter.failed(millis, Some(Repair::Coarse));
                }
                self.skip(start, skip_ms);
            }
            Pull::Deep { from, before_ms, millis } => {
                self.rebuild(&from, before_ms, millis);
                self.made_up = false;
                self.remember(start);
                return true;
            }
        }
        if self.made_up {
            self.merge(start);
        }
        self.made_up = false;
        self.remember(start);
        true
    }

    /// Appends `millis` of sound whatever happens; false when it had to be concealed instead.
    fn decode(&mut self, packet: Option<&[u8]>, fec: bool, millis: u8) -> bool {
        let Some(decoder) = &mut self.decoder else {
            self.queue.resize(self.queue.len() + usize::from(millis) * 48, 0.0);
            return false;
        };
        if decoder.step(packet, fec, millis, &mut self.queue).is_ok() {
            return true;
        }
        self.broken += 1;
        if decoder.step(None, false, millis, &mut self.queue).is_err() {
            self.queue.resize(self.queue.len() + usize::from(millis) * 48, 0.0);
        }
        false
    }

    /// Appends `millis` of lost sound from a later packet's deep redundancy, or conceals it.
    fn rebuild(&mut self, from: &Bytes, before_ms: u16, millis: u8) {
        let queue = &mut self.queue;
        let done = self.decoder.as_mut().map(|d| d.rebuild(from, before_ms, millis, queue));
        if done.is_none_or(|done| done.is_err()) {
            self.jitter.failed(millis, Some(Repair::Deep));
            self.decode(None, false, millis);
        }
    }

    /// Leaves out the part of the newest sound that was concealed while it was missing.
    fn skip(&mut self, start: usize, skip_ms: u8) {
        let end = (start + usize::from(skip_ms) * 48).min(self.queue.len());
        self.queue.drain(start.min(end)..end);
    }

    /// Learns the background from real sound.
    fn learn(&mut self, start: usize) {
        for block in self.queue.get(start..).unwrap_or_default().chunks_exact(BLOCK) {
            self.comfort.heard(block);
        }
    }

    /// Keeps the end of what was decoded.
    fn remember(&mut self, start: usize) {
        self.past.extend_from_slice(self.queue.get(start..).unwrap_or_default());
        let old = self.past.len().saturating_sub(STRETCHABLE);
        self.past.drain(..old);
    }

    /// Joins the newest sound to what was made up before it, or came before a jump.
    fn merge(&mut self, start: usize) {
        let tail = dsp::continued(&self.past, STRETCHABLE / 2 + OVERLAP);
        let new = self.queue.split_off(start.min(self.queue.len()));
        let merged = dsp::merge(&tail, &new, OVERLAP);
        let more = merged.len().saturating_sub(new.len());
        self.jitter.failed((more / 48) as u8, None);
        self.queue.extend(merged);
    }

    /// Makes what is waiting a little shorter or longer when the jitter buffer wants it so.
    fn stretch(&mut self) {
        let quiet = (2.0 * self.comfort.level()).clamp(QUIET.0, QUIET.1);
        let (haste, faster) = match self.jitter.pace() {
            Pace::Even => return,
            Pace::Faster(haste) => (haste, true),
            Pace::Slower(haste) => (haste, false),
        };
        if self.made_up || self.queue.len() < STRETCHABLE {
            return;
        }
        let rested = |ticks: u32| self.stretched_ago >= ticks;
        let care = match haste {
            Haste::Gentle if rested(STRETCH_TICKS) => Care::Inaudible,
            Haste::Brisk if rested(STRETCH_TICKS) => Care::Slight,
            Haste::Hurry if rested(STRETCH_TICKS) => Care::Any,
            // Pauses may shrink and grow by more.
            _ if rested(STRETCH_TICKS_FAST) && rms(&self.queue) <= quiet => Care::Any,
            _ => return,
        };
        let changed = match faster {
            true => dsp::shorten(&mut self.queue, care, quiet),
            false => dsp::lengthen(&mut self.queue, care, quiet),
        };
        if changed > 0 {
            self.stretched_ago = 0;
        }
    }

    /// Follows the loudness: up at once, down over about 100 ms.
    fn measure(&mut self, heard: bool) {
        let now = if heard {
            f32::from(dsp::level_dbov(self.queue.get(..BLOCK).unwrap_or_default()))
        } else {
            127.0
        };
        self.level = if now < self.level { now } else { self.level + (now - self.level) * 0.1 };
    }

    /// Lets comfort noise in where nothing real has been heard for a while; false when there is
    /// none in the block.
    fn comfort(&mut self, block: &mut Pcm) -> bool {
        self.unheard = match self.comfort.silent() || self.made_up || !self.playing {
            true => self.unheard.saturating_add(1),
            false => 0,
        };
        let wanted = match self.unheard {
            0..=MADE_UP => 0.0,
            n if n < NOISE_HOLDS => 1.0,
            n => 1.0 - (n - NOISE_HOLDS) as f32 / FADE_AWAY as f32,
        };
        // In gently, out as fast as goes without a click.
        let (from, step) = (self.noise, if wanted > 0.0 { 1.0 / FADE_IN as f32 } else { 1.0 });
        let to = wanted.clamp(from - step, from + step).clamp(0.0, 1.0);
        self.noise = to;
        if (from == 0.0 && to == 0.0) || self.comfort.level() == 0.0 {
            return false;
        }
        let real = !self.made_up;
        for (i, sample) in block.iter_mut().enumerate() {
            let share = from + (to - from) * ((i as f32 + 0.5) / BLOCK as f32);
            // What is real stays as it is.
            let kept = if real { 1.0 } else { 1.0 - share };
            *sample = *sample * kept + share * self.comfort.noise();
        }
        true
    }

    pub(super) fn stats(&self) -> AudioStats {
        AudioStats {
            playout_ms: self.jitter.waiting().map_or(0.0, |wait| wait.as_secs_f32() * 1e3),
            zero: self.zero,
            level: self.level.round().clamp(0.0, 127.0) as u8,
            speaking: false,
            kbps: self.arrived.2,
            jitter: self.jitter.stats(),
            broken: self.broken,
        }
    }
}

/// Length of so many samples.
fn samples(n: usize) -> Duration {
    TICK * u32::try_from(n).unwrap_or(0) / BLOCK as u32
}

fn rms(sound: &[f32]) -> f32 {
    (sound.iter().map(|s| s * s).sum::<f32>() / sound.len().max(1) as f32).sqrt()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
mod tests {
    use super::super::audio::AudioEngine;
    use super::*;
    use crate::wire::link::MemberId;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    const WHO: MemberId = MemberId(1);

    /// One end's microphone and another end's ear, on a path of 20 ms.
    struct Talk {
        origin: Instant,
        from: AudioEngine,
        to: AudioEngine,
        tick: u32,
        rng: StdRng,
        late: Vec<(u32, CodedAudio)>,
    }

    impl Talk {
        fn new() -> Self {
            let origin = Instant::now();
            let (from, to) = (AudioEngine::new(origin), AudioEngine::new(origin));
            Self { origin, from, to, tick: 0, rng: StdRng::seed_from_u64(6), late: Vec::new() }
        }

        /// So many blocks of a buzz that comes and goes, on noise of this amplitude; what is heard
        /// meanwhile. `muted`, or `lost` on the way.
        fn run(&mut self, blocks: u32, noise: f32, muted: bool, lost: bool) -> Vec<f32> {
            let mut heard = Vec::new();
            for _ in 0..blocks {
                self.tick += 1;
                let now = self.origin + TICK * self.tick;
                let speaks = self.tick % 100 < 60;
                let from = self.tick as usize * BLOCK;
                let block = std::array::from_fn(|i| {
                    let t = (from + i) as f32 / 48_000.0;
                    let buzz: f32 = (1..10).map(|h| (t * 800.0 * h as f32).sin()).sum();
                    let voice = if speaks { 0.03 * buzz } else { 0.0 };
                    voice + noise * 1.73 * self.rng.random_range(-1.0f32..1.0)
                });
                if let Some(packet) = self.from.captured(&block, muted, now)
                    && !lost
                {
                    self.late.push((self.tick + 2, packet));
                }
                while self.late.first().is_some_and(|(at, _)| *at <= self.tick) {
                    let (_, packet) = self.late.remove(0);
                    self.to.received(WHO, packet, now);
                }
                heard.extend(self.to.playout(now, Duration::ZERO));
            }
            heard
        }
    }

    #[test]
    fn a_muted_microphone_fades_into_the_noise_of_its_room_and_not_louder() {
        let mut talk = Talk::new();
        talk.run(600, 0.001, false, false);
        let heard = talk.run(300, 0.001, true, false);
        let level = rms(&heard[48_000..]);
        assert!((0.0002..=0.001).contains(&level), "{level}");
        // Not for ever.
        talk.run(NOISE_HOLDS, 0.001, true, false);
        let heard = talk.run(FADE_AWAY, 0.001, true, false);
        assert!(rms(&heard[48_000..]) < 1e-5);
    }

    #[test]
    fn digital_silence_stays_silent() {
        let mut talk = Talk::new();
        talk.run(600, 0.0, false, false);
        let heard = talk.run(300, 0.0, true, false);
        assert!(rms(&heard[24_000..]) < 1e-4, "{}", rms(&heard[24_000..]));
    }

    #[test]
    fn a_long_gap_fades_into_noise_and_what_comes_after_it_has_no_click() {
        let mut talk = Talk::new();
        let before = talk.run(600, 0.001, false, false);
        let gap = talk.run(80, 0.001, false, true);
        let level = rms(&gap[40 * BLOCK..]);
        assert!((0.0002..=0.001).contains(&level), "{level}");
        let after = talk.run(300, 0.001, false, false);
        let steepest =
            |sound: &[f32]| sound.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
        assert!(rms(&after[48_000..]) > 0.5 * rms(&before[48_000..]), "heard again");
        assert!(steepest(&after) < 1.3 * steepest(&before[48_000..]));
    }

    #[test]
    fn after_a_stall_of_seconds_the_present_is_heard_within_300_ms() {
        let mut talk = Talk::new();
        talk.run(300, 0.0, false, false);
        let before = talk.to.audio_clock(WHO).unwrap();
        // Everything of three seconds comes at once.
        let waiting = talk.tick + 301;
        for _ in 0..300 {
            talk.run(1, 0.0, false, false);
            talk.late.iter_mut().for_each(|(at, _)| *at = waiting);
        }
        assert_eq!(talk.to.audio_clock(WHO), None);
        let back = (0..30).find(|_| {
            talk.run(1, 0.0, false, false);
            talk.to.audio_clock(WHO).is_some()
        });
        assert!(back.is_some_and(|blocks| blocks < 30), "{back:?}");
        talk.run(20, 0.0, false, false);
        let now = talk.to.audio_clock(WHO).unwrap();
        assert!(now.saturating_duration_since(before) < TICK * 5, "nothing stale");
    }
}
