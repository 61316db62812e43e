//! The quality knob of the writer, and the controller that turns it.

use std::time::Duration;

/// What a byte may cost in fidelity: λ in squared error per byte. The writer picks, per cell, the
/// choice with the least `error + λ·bytes`, where error is the mean squared error per sample and
/// channel (0…65025). 0 = every cell as good as it can be.
///
/// The controller follows the measured speed of the terminal: a frame should take no more than
/// 70 % of a frame time to be eaten.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    lambda: f32,
    forced: bool,
}

impl Default for Quality {
    fn default() -> Self {
        Self { lambda: Self::START, forced: false }
    }
}

impl Quality {
    /// λ before anything was measured: about half the bytes for about a tenth of a decibel.
    pub const START: f32 = 0.5;
    /// Lowest λ the controller goes to.
    pub const MIN: f32 = 0.25;
    /// Highest λ the controller goes to.
    pub const MAX: f32 = 16.0;

    /// A λ that stays.
    pub fn fixed(lambda: f32) -> Self {
        Self { lambda: lambda.max(0.0), forced: true }
    }

    /// λ now.
    pub fn lambda(&self) -> f32 {
        self.lambda
    }

    /// Bytes a frame may have: 70 % of what the terminal eats in one frame time.
    pub fn budget(drain_bytes_per_s: f64, frame_time: Duration) -> usize {
        (drain_bytes_per_s * frame_time.as_secs_f64() * 0.7) as usize
    }

    /// Learns from a frame: `bytes` written where `budget` was allowed. Rises fast (a late picture
    /// is worse than a coarse one), falls slowly.
    pub fn learn(&mut self, bytes: usize, budget: usize) {
        if self.forced {
            return;
        }
        let ratio = bytes as f32 / budget.max(1) as f32;
        let factor = if ratio > 1.0 { ratio.min(2.0) } else { 0.95 + 0.05 * ratio };
        self.lambda = (self.lambda * factor).clamp(Self::MIN, Self::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_settles_near_the_budget_of_a_falling_cost_curve() {
        // Bytes fall about with λ^-0.45, as measured on talking heads.
        let cost = |lambda: f32| (24_000.0 * lambda.powf(-0.45)) as usize;
        let mut quality = Quality::default();
        for _ in 0..200 {
            quality.learn(cost(quality.lambda()), 14_000);
        }
        let bytes = cost(quality.lambda());
        assert!((11_000..=14_500).contains(&bytes), "{bytes}");
    }

    #[test]
    fn it_stays_in_its_range_and_a_fixed_one_stays_fixed() {
        let mut quality = Quality::default();
        for _ in 0..100 {
            quality.learn(usize::MAX, 1);
        }
        assert_eq!(quality.lambda(), Quality::MAX);
        for _ in 0..1000 {
            quality.learn(0, 1000);
        }
        assert_eq!(quality.lambda(), Quality::MIN);
        let mut fixed = Quality::fixed(2.0);
        fixed.learn(1_000_000, 10);
        assert_eq!(fixed.lambda(), 2.0);
    }
}
