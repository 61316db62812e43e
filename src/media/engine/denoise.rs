//! Takes the grain off a picture before it is encoded. A cheap camera's noise costs more bits than
//! the face in front of it, and the encoder can't tell the two apart; here a running estimate of
//! the noise decides how much two pictures may differ before it is called motion.
//!
//! Recursive and causal: each block is blended with the place in the previous cleaned picture it
//! came from (a small motion search), and where nothing matches it is smoothed in space among
//! samples that differ by no more than the noise. No picture is held back, and a clean source
//! passes untouched.

use crate::media::frame::RawFrame;

/// Side of a motion block in luma samples.
const BLOCK: usize = 8;
/// Farthest motion looked for, in luma samples per picture.
const REACH: i32 = 6;
/// Noise below this standard deviation (of 0–255) is left alone.
const VISIBLE: f32 = 1.5;
/// Share of the past in a block that matches it well.
const KEEP: f32 = 0.82;

/// The filter's memory for one encoding.
#[derive(Clone, Debug, Default)]
pub struct Denoise {
    previous: Option<RawFrame>,
    /// The last picture as it came, for the noise estimate.
    raw: Vec<u8>,
    /// Estimated standard deviation of the luma noise.
    sigma: f32,
}

/// A luma plane with its width.
#[derive(Clone, Copy)]
struct Plane<'a> {
    samples: &'a [u8],
    width: usize,
    height: usize,
}

impl Denoise {
    /// Cleans one picture. A change of size starts afresh.
    pub fn step(&mut self, frame: &RawFrame) -> RawFrame {
        let (width, height) = (usize::from(frame.size.width), usize::from(frame.size.height));
        let same = self.previous.as_ref().is_some_and(|p| p.size == frame.size);
        if !same || frame.y.len() != width * height {
            *self = Self { previous: Some(frame.clone()), raw: frame.y.clone(), sigma: 0.0 };
            return frame.clone();
        }
        let current = Plane { samples: &frame.y, width, height };
        let seen = noise(current, Plane { samples: &self.raw, width, height });
        // The first estimate counts fully; later ones glide, so that a moment of motion changes
        // little.
        self.sigma = if self.sigma == 0.0 { seen } else { self.sigma + 0.15 * (seen - self.sigma) };
        self.raw.clone_from(&frame.y);
        let mut clean = frame.clone();
        if self.sigma >= VISIBLE
            && let Some(previous) = &self.previous
        {
            let past = Plane { samples: &previous.y, width, height };
            clean.y = filter(current, past, self.sigma);
        }
        self.previous = Some(clean.clone());
        clean
    }

    /// The estimated standard deviation of the noise (luma steps of 255).
    pub fn sigma(&self) -> f32 {
        self.sigma
    }
}

/// Standard deviation of the noise: from the blocks that differ least between two pictures as
/// they came (motion only adds), and never more than what the smoothest blocks show in space.
fn noise(current: Plane<'_>, last: Plane<'_>) -> f32 {
    let mut in_time = Vec::new();
    let mut in_space = Vec::new();
    // A quarter of the blocks is sample enough in a large picture.
    let step = if current.width >= 240 { 2 * BLOCK } else { BLOCK };
    for y in (0..current.height.saturating_sub(BLOCK)).step_by(step) {
        for x in (0..current.width.saturating_sub(BLOCK)).step_by(step) {
            let (mut between, mut curve, mut sum) = (0u32, 0u32, 0u32);
            for row in 0..BLOCK {
                let at = (y + row) * current.width + x;
                let here = &current.samples[at..at + BLOCK + 1];
                let below = &current.samples[at + current.width..at + current.width + BLOCK + 1];
                let then = &last.samples[at..at + BLOCK];
                for i in 0..BLOCK {
                    sum += u32::from(here[i]);
                    between += u32::from(here[i].abs_diff(then[i]));
                    // Mixed second difference: zero on any slope or straight edge.
                    let (a, b) = (i32::from(here[i]), i32::from(here[i + 1]));
                    let (c, d) = (i32::from(below[i]), i32::from(below[i + 1]));
                    curve += (a - b - c + d).unsigned_abs();
                }
            }
            // Clipped black or white shows no noise and would lead the estimate astray.
            if (20 * 64..230 * 64).contains(&sum) {
                in_time.push(between);
                in_space.push(curve);
            }
        }
    }
    let quantile = |values: &mut Vec<u32>, share: usize| {
        values.sort_unstable();
        values.get(values.len() * share / 100).map_or(0.0, |&v| v as f32 / 64.0)
    };
    // Mean absolute deviation of Gaussian noise is 0.798 sigma; the difference of two pictures
    // has 1.41 sigma, the mixed difference 2 sigma.
    (quantile(&mut in_time, 25) / 1.128).min(quantile(&mut in_space, 25) / 1.596)
}

fn filter(current: Plane<'_>, past: Plane<'_>, sigma: f32) -> Vec<u8> {
    let smooth = sigma_filter(current, sigma);
    let mut out = smooth.clone();
    let columns = current.width.div_ceil(BLOCK);
    let mut guess = vec![(0i32, 0i32); columns];
    for y in (0..current.height).step_by(BLOCK) {
        for x in (0..current.width).step_by(BLOCK) {
            let column = x / BLOCK;
            let block = Block {
                x,
                y,
                width: BLOCK.min(current.width - x),
                height: BLOCK.min(current.height - y),
            };
            let left = if column > 0 { guess[column - 1] } else { (0, 0) };
            let (vector, difference) = search(current, past, block, [left, guess[column]], sigma);
            guess[column] = vector;
            // What noise alone leaves between the picture and a well cleaned past is 0.8 sigma.
            let match_quality = ((1.35 - difference / sigma) / 0.4).clamp(0.0, 1.0);
            blend(&mut out, current, past, block, vector, KEEP * match_quality);
        }
    }
    out
}

#[derive(Clone, Copy)]
struct Block {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

/// Where in `past` the block came from, and the mean absolute difference there.
fn search(
    current: Plane<'_>,
    past: Plane<'_>,
    block: Block,
    guesses: [(i32, i32); 2],
    sigma: f32,
) -> ((i32, i32), f32) {
    let area = (block.width * block.height) as f32;
    let still = difference(current, past, block, (0, 0)).unwrap_or(u32::MAX);
    let mut best = ((0, 0), still);
    let good = (0.95 * sigma * area) as u32;
    for guess in guesses {
        try_vector(current, past, block, guess, &mut best);
    }
    // Small diamond steps downhill from the best so far, while it isn't as good as noise allows.
    while best.1 > good {
        let (x, y) = best.0;
        let before = best.1;
        for (dx, dy) in [(1, 0), (-1, 0), (0, 1), (0, -1), (2, 0), (-2, 0), (0, 2), (0, -2)] {
            if (x + dx).abs() <= REACH && (y + dy).abs() <= REACH {
                try_vector(current, past, block, (x + dx, y + dy), &mut best);
            }
        }
        if best.1 == before {
            break;
        }
    }
    (best.0, best.1 as f32 / area)
}

fn try_vector(
    current: Plane<'_>,
    past: Plane<'_>,
    block: Block,
    vector: (i32, i32),
    best: &mut ((i32, i32), u32),
) {
    if let Some(found) = difference(current, past, block, vector)
        && found < best.1
    {
        *best = (vector, found);
    }
}

/// Start of the block's row `row` in the past picture displaced by `vector`, if inside.
fn source(past: Plane<'_>, block: Block, vector: (i32, i32), row: usize) -> Option<usize> {
    let x = i32::try_from(block.x).ok()? + vector.0;
    let y = i32::try_from(block.y + row).ok()? + vector.1;
    let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
    (x + block.width <= past.width && y < past.height).then_some(y * past.width + x)
}

fn difference(
    current: Plane<'_>,
    past: Plane<'_>,
    block: Block,
    vector: (i32, i32),
) -> Option<u32> {
    let mut sum = 0;
    for row in 0..block.height {
        let from = source(past, block, vector, row)?;
        let at = (block.y + row) * current.width + block.x;
        let (here, there) =
            (&current.samples[at..at + block.width], &past.samples[from..from + block.width]);
        sum += here.iter().zip(there).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>();
    }
    Some(sum)
}

/// Mixes the past into the block: `out` holds the spatially smoothed picture, which counts where
/// the past doesn't.
fn blend(
    out: &mut [u8],
    current: Plane<'_>,
    past: Plane<'_>,
    block: Block,
    vector: (i32, i32),
    keep: f32,
) {
    let past_share = (keep * 256.0) as u32;
    // With a good past the picture itself is mixed in unsmoothed, so that detail builds up.
    let own = |smooth: u8, raw: u8| {
        (u32::from(smooth) * (256 - past_share) + u32::from(raw) * past_share + 128) >> 8
    };
    for row in 0..block.height {
        let Some(from) = source(past, block, vector, row) else { return };
        let at = (block.y + row) * current.width + block.x;
        for i in 0..block.width {
            let mixed = own(out[at + i], current.samples[at + i]) * (256 - past_share)
                + u32::from(past.samples[from + i]) * past_share;
            out[at + i] = ((mixed + 128) >> 8) as u8;
        }
    }
}

/// Mean of the 3x3 neighbours that differ from the centre by at most two sigma: edges stay.
fn sigma_filter(current: Plane<'_>, sigma: f32) -> Vec<u8> {
    let range = (2.0 * sigma).round() as i32;
    let mut out = current.samples.to_vec();
    let width = current.width;
    for y in 1..current.height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            let centre = i32::from(current.samples[y * width + x]);
            let (mut sum, mut count) = (0, 0);
            for row in y - 1..=y + 1 {
                for &sample in &current.samples[row * width + x - 1..=row * width + x + 1] {
                    let near = i32::from((i32::from(sample) - centre).abs() <= range);
                    sum += near * i32::from(sample);
                    count += near;
                }
            }
            out[y * width + x] = ((sum + count / 2) / count.max(1)) as u8;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::Size;
    use crate::media::ssim::psnr;
    use crate::time::MediaTime;

    const SIZE: Size = Size { width: 160, height: 96 };

    /// A textured picture, shifted by `shift` samples.
    fn picture(shift: usize) -> RawFrame {
        let mut frame = RawFrame::black(SIZE, MediaTime(0));
        for (i, sample) in frame.y.iter_mut().enumerate() {
            let (x, y) = (i % 160 + shift, i / 160);
            let wave = (x as f64 * 0.21).sin() + (y as f64 * 0.17 + x as f64 * 0.05).cos();
            *sample = (120.0 + 40.0 * wave) as u8;
        }
        frame
    }

    fn grainy(frame: &RawFrame, sigma: f64, seed: &mut u64) -> RawFrame {
        let mut noisy = frame.clone();
        for sample in &mut noisy.y {
            let mut sum = 0.0;
            for _ in 0..12 {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                sum += (*seed >> 40) as f64 / f64::from(1 << 24);
            }
            *sample = (f64::from(*sample) + sigma * (sum - 6.0)).clamp(0.0, 255.0) as u8;
        }
        noisy
    }

    #[test]
    fn a_clean_source_passes_untouched_moving_or_not() {
        let mut denoise = Denoise::default();
        for n in 0..20 {
            let frame = picture(n / 2 * 3);
            assert_eq!(denoise.step(&frame), frame, "picture {n}");
        }
    }

    #[test]
    fn the_estimate_is_the_noise() {
        for sigma in [3.0, 6.0, 10.0] {
            for motion in [0, 2] {
                let (mut denoise, mut seed) = (Denoise::default(), 7);
                for n in 0..20 {
                    denoise.step(&grainy(&picture(n * motion), sigma, &mut seed));
                }
                let found = f64::from(denoise.sigma());
                assert!((0.75 * sigma..1.2 * sigma).contains(&found), "{sigma}: {found}");
            }
        }
    }

    #[test]
    fn grain_goes_and_the_picture_stays_still_or_moving() {
        for (motion, gain) in [(0, 7.0), (1, 5.0), (3, 5.0)] {
            let (mut denoise, mut seed) = (Denoise::default(), 3);
            let (mut before, mut after) = (0.0, 0.0);
            for n in 0..20 {
                let clean = picture(n * motion);
                let noisy = grainy(&clean, 6.0, &mut seed);
                let out = denoise.step(&noisy);
                (before, after) =
                    (psnr(&noisy.y, &clean.y).unwrap(), psnr(&out.y, &clean.y).unwrap());
                assert_eq!((&out.u, &out.v), (&noisy.u, &noisy.v), "colour is left alone");
            }
            assert!(after >= before + gain, "motion {motion}: {before:.1} -> {after:.1} dB");
        }
    }

    #[test]
    fn a_cut_leaves_no_ghost() {
        let (mut denoise, mut seed) = (Denoise::default(), 5);
        for _ in 0..10 {
            denoise.step(&grainy(&picture(0), 6.0, &mut seed));
        }
        let mut other = picture(40);
        other.y.iter_mut().for_each(|v| *v = 255 - *v);
        let out = denoise.step(&grainy(&other, 6.0, &mut seed));
        assert!(psnr(&out.y, &other.y).unwrap() > 31.0);
    }

    #[test]
    fn any_size_works_and_a_change_starts_afresh() {
        let mut denoise = Denoise::default();
        for (width, height) in [(16, 16), (78, 44), (162, 90), (16, 16), (2, 2)] {
            let frame = RawFrame::black(Size::new(width, height), MediaTime(1));
            for _ in 0..3 {
                assert_eq!(denoise.step(&frame), frame);
            }
        }
    }
}
