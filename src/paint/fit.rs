//! The best two colours for a cell: all ways to split its samples in two are tried, in Gray-code
//! order so that each step moves one sample, for [`LANES`] cells at once.
//!
//! With samples centred on the cell's mean, a split into `a` of `na` and `b` of `nb` samples has
//! the squared error `Σ|x|² − |Σa|²·(1/na + 1/nb)`, so only one running sum is needed.

/// Cells fitted in one step; loops over lanes become vector instructions.
pub const LANES: usize = 16;

/// One value per lane.
pub type Lanes = [f32; LANES];

/// The fit of [`LANES`] cells.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// Bit `k` set: sample `k` has the first colour. 0 for a flat cell. The last sample is never
    /// in the set (its complement with swapped colours is the same picture).
    pub pattern: [u32; LANES],
    /// First colour (ink), red, green, blue; the mean of the cell where the pattern is 0.
    pub ink: [Lanes; 3],
    /// Second colour (paper).
    pub paper: [Lanes; 3],
    /// Squared error of this fit, over all samples and channels.
    pub error: Lanes,
    /// Squared error of one flat colour.
    pub flat: Lanes,
    /// Mean colour.
    pub mean: [Lanes; 3],
}

/// Fits `N` samples per cell (2…8): `samples[k][channel][lane]`.
#[inline(always)]
pub fn fit<const N: usize>(samples: &[[Lanes; 3]; N]) -> Fit {
    let share = 1.0 / N as f32;
    let mut mean = [[0.0; LANES]; 3];
    for sample in samples {
        for c in 0..3 {
            for l in 0..LANES {
                mean[c][l] += sample[c][l];
            }
        }
    }
    for channel in &mut mean {
        for v in channel {
            *v *= share;
        }
    }
    let mut centred = [[[0.0f32; LANES]; 3]; N];
    let mut flat = [0.0f32; LANES];
    for k in 0..N {
        for c in 0..3 {
            for l in 0..LANES {
                let d = samples[k][c][l] - mean[c][l];
                centred[k][c][l] = d;
                flat[l] += d * d;
            }
        }
    }

    let mut sum = [[0.0f32; LANES]; 3];
    let mut best = [0.0f32; LANES];
    let mut pattern = [0u32; LANES];
    let mut members = 0u32;
    for step in 1u32..1 << (N - 1) {
        let k = step.trailing_zeros();
        members ^= 1 << k;
        let sign = if members & (1 << k) != 0 { 1.0 } else { -1.0 };
        let na = members.count_ones() as f32;
        let gain = N as f32 / (na * (N as f32 - na));
        let moved = &centred[k as usize];
        for l in 0..LANES {
            let r = sum[0][l] + sign * moved[0][l];
            let g = sum[1][l] + sign * moved[1][l];
            let b = sum[2][l] + sign * moved[2][l];
            sum[0][l] = r;
            sum[1][l] = g;
            sum[2][l] = b;
            let score = (r * r + g * g + b * b) * gain;
            let better = score > best[l];
            best[l] = if better { score } else { best[l] };
            pattern[l] = if better { members } else { pattern[l] };
        }
    }

    let mut ink = [[0.0f32; LANES]; 3];
    let mut count = [0.0f32; LANES];
    for (k, sample) in centred.iter().enumerate() {
        for l in 0..LANES {
            let inside = (pattern[l] >> k & 1) as f32;
            count[l] += inside;
            ink[0][l] += inside * sample[0][l];
            ink[1][l] += inside * sample[1][l];
            ink[2][l] += inside * sample[2][l];
        }
    }
    let mut paper = [[0.0f32; LANES]; 3];
    let mut error = [0.0f32; LANES];
    for l in 0..LANES {
        // A flat cell has count 0 and sums 0: both colours become the mean.
        let a = 1.0 / count[l].max(1.0);
        let b = 1.0 / (N as f32 - count[l]);
        for c in 0..3 {
            paper[c][l] = mean[c][l] - ink[c][l] * b;
            ink[c][l] = mean[c][l] + ink[c][l] * a;
        }
        error[l] = (flat[l] - best[l]).max(0.0);
    }
    Fit { pattern, ink, paper, error, flat, mean }
}

#[cfg(test)]
mod tests {
    use super::super::simd::{self, Work};
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    /// Squared error of one split with its best colours, computed the slow way.
    fn split_error<const N: usize>(
        samples: &[[Lanes; 3]; N],
        lane: usize,
        pattern: u32,
    ) -> (f64, [[f64; 3]; 2]) {
        let mut colours = [[0.0; 3]; 2];
        let mut error = 0.0;
        for c in 0..3 {
            for side in 0..2u32 {
                let of = |k: &usize| (pattern >> k & 1) == side;
                let n = (0..N).filter(of).count() as f64;
                let sum: f64 = (0..N).filter(of).map(|k| f64::from(samples[k][c][lane])).sum();
                let mean = if n > 0.0 { sum / n } else { 0.0 };
                colours[side as usize][c] = mean;
                error += (0..N)
                    .filter(of)
                    .map(|k| (f64::from(samples[k][c][lane]) - mean).powi(2))
                    .sum::<f64>();
            }
        }
        (error, colours)
    }

    fn random_cells<const N: usize>(rng: &mut StdRng) -> [[Lanes; 3]; N] {
        // Flat, two-coloured, smooth and noisy cells alike.
        let kind = rng.random_range(0..4);
        let base: [f32; 3] = std::array::from_fn(|_| rng.random_range(0..256) as f32);
        std::array::from_fn(|k| {
            std::array::from_fn(|c| {
                std::array::from_fn(|_| match kind {
                    0 => base[c],
                    1 => {
                        if rng.random_bool(0.5) {
                            base[c]
                        } else {
                            255.0 - base[c]
                        }
                    }
                    2 => (base[c] * 0.5 + 10.0 * k as f32).min(255.0),
                    _ => rng.random_range(0..256) as f32,
                })
            })
        })
    }

    fn fit_equals_brute_force<const N: usize>(seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..40 {
            let samples = random_cells::<N>(&mut rng);
            let fit = fit(&samples);
            for lane in 0..LANES {
                let best = (0..1u32 << N)
                    .map(|p| split_error(&samples, lane, p).0)
                    .fold(f64::INFINITY, f64::min);
                let (own, colours) = split_error(&samples, lane, fit.pattern[lane]);
                assert!((own - best).abs() <= 0.5 + best * 1e-4, "{own} vs {best}");
                assert!((f64::from(fit.error[lane]) - best).abs() <= 1.0 + best * 1e-3);
                let near = |a: [Lanes; 3], b: [f64; 3]| {
                    (0..3).all(|c| (f64::from(a[c][lane]) - b[c]).abs() < 0.1)
                };
                assert!(near(fit.paper, colours[0]));
                assert!(fit.pattern[lane] == 0 || near(fit.ink, colours[1]));
            }
        }
    }

    #[test]
    fn two_sample_fit_equals_brute_force() {
        fit_equals_brute_force::<2>(1);
    }

    #[test]
    fn four_sample_fit_equals_brute_force() {
        fit_equals_brute_force::<4>(2);
    }

    #[test]
    fn six_sample_fit_equals_brute_force() {
        fit_equals_brute_force::<6>(3);
    }

    #[test]
    fn eight_sample_fit_equals_brute_force() {
        fit_equals_brute_force::<8>(4);
    }

    struct Six<'a>(&'a [[Lanes; 3]; 6]);
    impl Work for Six<'_> {
        type Out = Fit;
        #[inline(always)]
        fn run(self) -> Fit {
            fit(self.0)
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let mut rng = StdRng::seed_from_u64(5);
        for _ in 0..50 {
            let samples = random_cells::<6>(&mut rng);
            let fast = simd::dispatch(Six(&samples));
            let plain = simd::baseline(Six(&samples));
            assert_eq!(fast.pattern, plain.pattern);
            assert_eq!(fast.error.map(f32::to_bits), plain.error.map(f32::to_bits));
            assert_eq!(fast.ink, plain.ink);
            assert_eq!(fast.paper, plain.paper);
        }
    }
}
