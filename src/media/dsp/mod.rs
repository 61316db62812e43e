//! Sound as numbers: levels, fades, mixing, stretching, sample rates. Pure functions and small
//! state machines over 48 kHz mono samples.

mod comfort;
mod fade;
mod level;
mod mix;
mod resample;
mod stretch;

pub use comfort::Comfort;
pub use fade::Gate;
pub use level::{SILENCE, level_dbov};
pub use mix::{Limiter, MAX_VOICES, Mixer};
pub use resample::{RateError, Resampler, resample};
pub use stretch::{Care, STRETCHABLE, continued, lengthen, merge, shorten};

/// Mixes interleaved frames of `channels` down to mono by averaging; a broken last frame is
/// dropped.
pub fn to_mono(interleaved: &[f32], channels: usize) -> Vec<f32> {
    match channels {
        0 => Vec::new(),
        1 => interleaved.to_vec(),
        n => {
            interleaved.chunks_exact(n).map(|frame| frame.iter().sum::<f32>() / n as f32).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn down_mix_averages_the_channels() {
        assert_eq!(super::to_mono(&[1.0, 0.0, 0.5, 0.5, 9.0], 2), vec![0.5, 0.5]);
        assert!(super::to_mono(&[1.0], 0).is_empty());
    }
}
