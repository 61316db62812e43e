//! Sensor grain: Gaussian noise that never repeats from picture to picture, from a table, because
//! a quarter of a million draws per picture would cost more than the face.

use super::motion::{hash, unit};

const TABLE: usize = 1 << 16;

/// Gaussian noise of mean 0 and deviation 1.
pub(super) struct Grain {
    table: Vec<f32>,
    seed: u64,
}

impl Grain {
    pub(super) fn new(seed: u64) -> Self {
        let draw = |i: usize| {
            let h = hash(seed ^ 0x6_2A14 ^ (i as u64) << 20);
            // Box and Muller's way.
            let radius = (-2.0 * (unit(h).max(1e-7)).ln()).sqrt();
            radius * (std::f32::consts::TAU * unit(h ^ 0x55AA)).cos()
        };
        Self { table: (0..TABLE).map(draw).collect(), seed }
    }

    /// `width` draws for row `row` of picture `number`: a stretch of the table that begins
    /// anywhere.
    pub(super) fn row(&self, number: u32, row: usize, width: usize) -> &[f32] {
        let key = self.seed ^ u64::from(number) << 16 ^ row as u64;
        let width = width.min(TABLE);
        let start = (hash(key) % (TABLE - width + 1) as u64) as usize;
        &self.table[start..start + width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grain_is_gaussian_with_deviation_one() {
        let grain = Grain::new(3);
        let n = grain.table.len() as f32;
        let mean = grain.table.iter().sum::<f32>() / n;
        let variance = grain.table.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n;
        let beyond = grain.table.iter().filter(|v| v.abs() > 2.0).count() as f32 / n;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        assert!((beyond - 0.0455).abs() < 0.005, "{beyond}");
    }

    #[test]
    fn rows_and_pictures_have_grain_of_their_own() {
        let grain = Grain::new(3);
        assert_eq!(grain.row(1, 5, 64), grain.row(1, 5, 64));
        assert_ne!(grain.row(1, 5, 64), grain.row(2, 5, 64));
        assert_ne!(grain.row(1, 5, 64), grain.row(1, 6, 64));
        assert_eq!(grain.row(9, 9, 1 << 20).len(), TABLE);
    }
}
