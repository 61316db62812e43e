//! Adding voices up, and keeping the sum below full scale.

use crate::media::seams::{BLOCK, Pcm};

/// Most voices one mix takes: the largest call has sixteen members.
pub const MAX_VOICES: usize = 15;

/// Sum of at most [`MAX_VOICES`] voices behind a [`Limiter`].
#[derive(Clone, Debug, Default)]
pub struct Mixer {
    limiter: Limiter,
}

impl Mixer {
    /// One block of the mix. Voices beyond [`MAX_VOICES`] are left out.
    pub fn mix<'a>(&mut self, voices: impl IntoIterator<Item = &'a Pcm>) -> Pcm {
        let mut sum = [0.0f32; BLOCK];
        for voice in voices.into_iter().take(MAX_VOICES) {
            for (total, sample) in sum.iter_mut().zip(voice) {
                *total += sample;
            }
        }
        self.limiter.apply(&mut sum);
        sum
    }
}

/// A soft limiter: untouched below −3 dBFS, never above full scale.
///
/// The gain falls at once when a block's peak asks for it (spread over the block, so without a
/// step) and recovers over about 200 ms of *sound*: in silence it stays where it is, so that the
/// next word doesn't start louder than the last one ended, and noise doesn't swell in pauses.
#[derive(Clone, Debug)]
pub struct Limiter {
    gain: f32,
}

/// Peaks above this are turned down.
const KNEE: f32 = 0.708;
/// Largest output.
const CEILING: f32 = 0.98;
/// Share of the way back to unity per block of sound.
const RECOVERY: f32 = 0.05;
/// Peaks below this are silence: no recovery.
const FLOOR: f32 = 0.003;

impl Default for Limiter {
    fn default() -> Self {
        Self { gain: 1.0 }
    }
}

impl Limiter {
    /// Limits one block in place.
    pub fn apply(&mut self, block: &mut [f32]) {
        let peak = block.iter().fold(0.0f32, |m, s| if s.is_finite() { m.max(s.abs()) } else { m });
        let wanted = if peak * self.gain > KNEE { soft(peak) / peak } else { 1.0 };
        let target = if wanted < self.gain {
            wanted
        } else if peak > FLOOR {
            self.gain + (wanted - self.gain) * RECOVERY
        } else {
            self.gain
        };
        let n = block.len().max(1) as f32;
        let start = self.gain;
        for (i, sample) in block.iter_mut().enumerate() {
            let gain = start + (target - start) * ((i as f32 + 1.0) / n);
            let x = if sample.is_finite() { *sample * gain } else { 0.0 };
            // While the gain is still on its way down, single peaks are bent instead.
            *sample = if x.abs() > KNEE { soft(x.abs()).copysign(x) } else { x };
        }
        self.gain = target;
    }
}

/// Magnitude in, magnitude out: straight up to the knee, then bent towards the ceiling.
fn soft(x: f32) -> f32 {
    if x <= KNEE {
        return x;
    }
    let room = CEILING - KNEE;
    KNEE + room * ((x - KNEE) / room).tanh()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(amplitude: f32, from: usize) -> Pcm {
        std::array::from_fn(|i| amplitude * ((from + i) as f32 * 0.05).sin())
    }

    #[test]
    fn a_quiet_voice_passes_unchanged() {
        let voice = sine(0.5, 0);
        assert_eq!(Mixer::default().mix([&voice]), voice);
    }

    #[test]
    fn fifteen_loud_voices_stay_below_full_scale() {
        let mut mixer = Mixer::default();
        for block in 0..50 {
            let voice = sine(0.9, block * BLOCK);
            let out = mixer.mix([&voice; 15]);
            assert!(out.iter().all(|s| s.abs() <= 1.0));
            assert!(block < 2 || out.iter().any(|s| s.abs() > 0.5), "turned down too far");
        }
    }

    #[test]
    fn more_than_fifteen_voices_are_left_out() {
        let voice = [0.02; BLOCK];
        let out = Mixer::default().mix(std::iter::repeat_n(&voice, 40));
        assert!((out[0] - 0.3).abs() < 1e-4);
    }

    #[test]
    fn gain_stays_put_in_silence() {
        let mut limiter = Limiter::default();
        for block in 0..20 {
            limiter.apply(&mut sine(3.0, block * BLOCK));
        }
        let held = limiter.gain;
        for _ in 0..100 {
            limiter.apply(&mut [0.0005; BLOCK]);
        }
        assert_eq!(limiter.gain, held);
        for block in 0..100 {
            limiter.apply(&mut sine(0.2, block * BLOCK));
        }
        assert!(limiter.gain > 0.97, "recovers under sound: {}", limiter.gain);
    }

    #[test]
    fn the_limiter_makes_no_steps() {
        let mut mixer = Mixer::default();
        let mut last = 0.0f32;
        for block in 0..60 {
            let amplitude = if (block / 10) % 2 == 0 { 0.1 } else { 2.0 };
            // Amplitude changes at block borders where this sine is near zero only by chance, so
            // judge slopes inside blocks.
            let out = mixer.mix([&sine(amplitude, block * BLOCK)]);
            for pair in out.windows(2) {
                assert!((pair[1] - pair[0]).abs() < 0.12);
            }
            last = out[BLOCK - 1];
        }
        assert!(last.is_finite());
    }

    #[test]
    fn values_that_are_no_numbers_become_silence() {
        let mut bad = [0.1f32; BLOCK];
        bad[7] = f32::NAN;
        bad[9] = f32::INFINITY;
        let out = Mixer::default().mix([&bad]);
        assert!(out.iter().all(|s| s.is_finite()));
    }
}
