//! Comfort noise: what is heard of somebody's room while nothing comes from there.
//!
//! Dead silence in the middle of a call sounds like a call that has ended. As in RFC 3389 and NetEq
//! (WebRTC, `modules/audio_coding/neteq/background_noise.cc`) noise of the background's level and
//! colour takes its place: white noise through a linear predictor (Levinson–Durbin) of the quietest
//! steady stretch of the last seconds. Somebody whose pauses are digital silence – a synthetic voice,
//! a noise gate – keeps them: there is no background to continue.

use std::collections::VecDeque;

/// Order of the predictor.
const ORDER: usize = 16;
/// Blocks that make a stretch of background: 120 ms.
const STRETCH: u32 = 12;
/// A stretch is steady when no block is louder or quieter than its mean by this factor (power).
const STEADY: f32 = 4.0;
/// Blocks are counted in slices of 2 s, of which so many are remembered.
const SLICE: u32 = 200;
const SLICES: usize = 5;
/// Louder than this is no background (root mean square: −40 dBFS).
const LOUDEST: f32 = 0.01;
/// Quieter than this is digital silence, after a codec too (−90 dBFS).
const DIGITAL: f32 = 3e-5;
/// Nor is comfort noise louder than this, whatever the background (−50 dBFS).
const CEILING: f32 = 0.003;
/// The noise stays 2 dB below the background it stands for.
const GENTLE: f32 = 0.8;
/// So many blocks of digital silence between sounds, and that is the background.
const PAUSE: u32 = 10;
/// Longer than this it is no pause: a muted microphone.
const MUTED: u32 = 300;

/// A stretch of sound: its power and the correlations behind it.
#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    blocks: u32,
    lags: [f32; ORDER + 1],
}

impl Stretch {
    /// Mean power of a sample.
    fn power(&self) -> f32 {
        self.lags.first().copied().unwrap_or_default() / self.blocks.max(1) as f32
    }
}

/// Learns one voice's background and makes noise like it.
#[derive(Clone, Debug)]
pub struct Comfort {
    run: Stretch,
    /// Quietest stretch per slice, newest last.
    slices: VecDeque<Option<Stretch>>,
    blocks: u32,
    /// Blocks of digital silence in a row.
    silent: u32,
    /// The synthesis filter in use, its gain, and what it made last (newest first).
    filter: [f32; ORDER],
    gain: f32,
    made: [f32; ORDER],
    dice: u32,
}

impl Default for Comfort {
    fn default() -> Self {
        Self {
            run: Stretch::default(),
            slices: VecDeque::new(),
            blocks: 0,
            silent: 0,
            filter: [0.0; ORDER],
            gain: 0.0,
            made: [0.0; ORDER],
            dice: 0x9E37_79B9,
        }
    }
}

impl Comfort {
    /// Takes note of 10 ms of real sound.
    pub fn heard(&mut self, block: &[f32]) {
        let lags = correlations(block);
        let power = lags.first().copied().unwrap_or_default();
        if power < DIGITAL * DIGITAL {
            self.silent = self.silent.saturating_add(1);
            self.run = Stretch::default();
            return;
        }
        if (PAUSE..MUTED).contains(&self.silent) {
            self.slices.clear();
            self.gain = 0.0;
        }
        self.silent = 0;
        if self.blocks.is_multiple_of(SLICE) || self.slices.is_empty() {
            self.slices.push_back(None);
            if self.slices.len() > SLICES {
                self.slices.pop_front();
            }
        }
        self.blocks = self.blocks.wrapping_add(1);
        let mean = self.run.power();
        if power > mean * STEADY || power * STEADY < mean {
            self.run = Stretch::default();
        }
        self.run.blocks += 1;
        for (sum, lag) in self.run.lags.iter_mut().zip(lags) {
            *sum += lag;
        }
        if self.run.blocks < STRETCH {
            return;
        }
        let found = std::mem::take(&mut self.run);
        let Some(slice) = self.slices.back_mut() else { return };
        if slice.is_none_or(|best| found.power() < best.power()) {
            *slice = Some(found);
            self.tune();
        }
    }

    /// The last blocks were digital silence: a muted microphone, or a pause of a voice without a
    /// background.
    pub fn silent(&self) -> bool {
        self.silent >= PAUSE
    }

    /// Amplitude (root mean square) of the background, 0 when there is none.
    pub fn level(&self) -> f32 {
        let quietest = self.quietest().map_or(0.0, |s| s.power().sqrt());
        if quietest > LOUDEST { 0.0 } else { quietest }
    }

    /// The next sample of noise.
    pub fn noise(&mut self) -> f32 {
        if self.gain == 0.0 {
            return 0.0;
        }
        // Nearly normal: the sum of four even dice, of variance 1.
        let white: f32 = (0..4).map(|_| self.roll()).sum::<f32>() * 0.866_025_4;
        let predicted: f32 = self.filter.iter().zip(&self.made).map(|(a, y)| a * y).sum();
        let sample = predicted + white * self.gain;
        self.made.copy_within(..ORDER - 1, 1);
        if let Some(newest) = self.made.first_mut() {
            *newest = sample;
        }
        sample.clamp(-4.0 * CEILING, 4.0 * CEILING)
    }

    fn quietest(&self) -> Option<Stretch> {
        let stretches = self.slices.iter().flatten();
        stretches.min_by(|a, b| a.power().total_cmp(&b.power())).copied()
    }

    /// Makes the filter for the present background.
    fn tune(&mut self) {
        let level = self.level();
        let Some(stretch) = self.quietest().filter(|_| level > 0.0) else {
            self.gain = 0.0;
            return;
        };
        let mut lags = stretch.lags.map(|lag| lag / stretch.blocks.max(1) as f32);
        // A floor 40 dB down keeps the filter stable whatever the spectrum.
        if let Some(power) = lags.first_mut() {
            *power *= 1.0001;
        }
        let (filter, residue) = levinson(&lags);
        let turned_down = (CEILING / level).min(1.0) * GENTLE;
        (self.filter, self.gain) = (filter, residue.max(0.0).sqrt() * turned_down);
    }

    /// −1…1, by a linear congruential generator (Numerical Recipes): good enough to hiss.
    fn roll(&mut self) -> f32 {
        self.dice = self.dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.dice >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

/// Mean products of samples so many samples apart.
fn correlations(block: &[f32]) -> [f32; ORDER + 1] {
    let n = block.len().max(1) as f32;
    std::array::from_fn(|lag| {
        let pairs = block.iter().zip(block.iter().skip(lag));
        pairs.map(|(a, b)| a * b).sum::<f32>() / n
    })
}

/// The linear predictor of these correlations and the power it leaves (Levinson–Durbin recursion).
fn levinson(lags: &[f32; ORDER + 1]) -> ([f32; ORDER], f32) {
    let mut filter = [0.0f32; ORDER];
    let mut residue = lags.first().copied().unwrap_or_default();
    for order in 0..ORDER {
        let known: f32 = filter
            .iter()
            .take(order)
            .zip(lags.iter().take(order + 1).skip(1).rev())
            .map(|(a, r)| a * r)
            .sum();
        let target = lags.get(order + 1).copied().unwrap_or_default();
        if residue <= 0.0 {
            break;
        }
        let reflection = (target - known) / residue;
        let before = filter;
        for (a, b) in filter.iter_mut().take(order).zip(before.iter().take(order).rev()) {
            *a -= reflection * b;
        }
        if let Some(newest) = filter.get_mut(order) {
            *newest = reflection;
        }
        residue *= 1.0 - reflection * reflection;
    }
    (filter, residue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    /// Noise through a one-pole low-pass: duller the nearer `pole` is to 1.
    fn room(blocks: usize, amplitude: f32, pole: f32) -> Vec<Vec<f32>> {
        let mut rng = StdRng::seed_from_u64(5);
        let mut low = 0.0f32;
        let gain = amplitude * (3.0 * (1.0 - pole * pole)).sqrt();
        let mut next = || {
            low = pole * low + gain * rng.random_range(-1.0f32..1.0);
            low
        };
        (0..blocks).map(|_| (0..480).map(|_| next()).collect()).collect()
    }

    fn rms(sound: &[f32]) -> f32 {
        (sound.iter().map(|s| s * s).sum::<f32>() / sound.len() as f32).sqrt()
    }

    fn noise(comfort: &mut Comfort, n: usize) -> Vec<f32> {
        (0..n).map(|_| comfort.noise()).collect()
    }

    fn shout(blocks: usize) -> Vec<Vec<f32>> {
        let sample = |i: usize| 0.3 * (i as f32 * 0.03).sin() * (i as f32 * 0.0007).sin();
        (0..blocks).map(|b| (0..480).map(|i| sample(b * 480 + i)).collect()).collect()
    }

    #[test]
    fn noise_has_the_level_of_the_background_and_is_never_louder() {
        for amplitude in [0.0003f32, 0.001, 0.0025, 0.006] {
            for pole in [0.0, 0.6, 0.95] {
                let mut comfort = Comfort::default();
                for block in room(200, amplitude, pole).iter().chain(&shout(80)) {
                    comfort.heard(block);
                }
                let made = rms(&noise(&mut comfort, 48_000));
                let most = amplitude.min(CEILING);
                assert!(made <= most && made > most * 0.5, "{amplitude} {pole}: {made}");
            }
        }
    }

    #[test]
    fn noise_has_the_colour_of_the_background() {
        let brightness = |sound: &[f32]| {
            let steps: Vec<f32> = sound.windows(2).map(|w| w[1] - w[0]).collect();
            rms(&steps) / rms(sound)
        };
        for pole in [0.0, 0.5, 0.95] {
            let blocks = room(400, 0.002, pole);
            let mut comfort = Comfort::default();
            blocks.iter().for_each(|block| comfort.heard(block));
            let (want, got) =
                (brightness(&blocks.concat()), brightness(&noise(&mut comfort, 48_000)));
            assert!((got / want - 1.0).abs() < 0.15, "{pole}: {got} for {want}");
        }
    }

    #[test]
    fn digital_pauses_are_kept() {
        let mut comfort = Comfort::default();
        for _ in 0..20 {
            shout(60).iter().for_each(|block| comfort.heard(block));
            (0..40).for_each(|_| comfort.heard(&[0.0; 480]));
        }
        assert_eq!(noise(&mut comfort, 480), [0.0; 480]);
        assert!(comfort.silent());
    }

    #[test]
    fn a_gate_that_closes_takes_the_background_away() {
        let mut comfort = Comfort::default();
        room(200, 0.002, 0.5).iter().for_each(|block| comfort.heard(block));
        assert!(comfort.level() > 0.001);
        (0..50).for_each(|_| comfort.heard(&[0.0; 480]));
        assert!(comfort.level() > 0.001, "not known yet whether it is a pause");
        shout(10).iter().for_each(|block| comfort.heard(block));
        assert_eq!(comfort.level(), 0.0);
    }

    #[test]
    fn loud_steady_sound_is_no_background_and_an_old_one_is_forgotten() {
        let mut comfort = Comfort::default();
        room(200, 0.05, 0.5).iter().for_each(|block| comfort.heard(block));
        assert_eq!(comfort.level(), 0.0);
        room(200, 0.001, 0.5).iter().for_each(|block| comfort.heard(block));
        assert!((0.0007..0.0013).contains(&comfort.level()));
        room(1400, 0.004, 0.5).iter().for_each(|block| comfort.heard(block));
        assert!((0.003..0.005).contains(&comfort.level()), "{}", comfort.level());
    }
}
