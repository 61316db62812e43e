//! How much a picture suffered: SSIM and PSNR of the luma plane.

use crate::media::frame::RawFrame;

/// Side of the square window.
const WINDOW: usize = 7;

/// Mean structural similarity (Wang et al. 2004) of two luma planes of the same size, over all
/// 7x7 windows, uniform weights. 1 = equal; .95 slightly soft, .98 clean to the eye. `None` when
/// the planes differ in length from `width × height` or are smaller than a window.
pub fn ssim_luma(a: &[u8], b: &[u8], width: usize, height: usize) -> Option<f64> {
    if a.len() != width * height || b.len() != a.len() || width < WINDOW || height < WINDOW {
        return None;
    }
    // Column sums over the last seven rows, slid down row by row, then slid to the right.
    let mut columns = vec![Sums::default(); width];
    let mut total = 0.0;
    for y in 0..height {
        for (x, column) in columns.iter_mut().enumerate() {
            column.add(a[y * width + x], b[y * width + x]);
            if y >= WINDOW {
                let gone = (y - WINDOW) * width + x;
                column.sub(a[gone], b[gone]);
            }
        }
        if y + 1 < WINDOW {
            continue;
        }
        let mut window = Sums::default();
        for x in 0..width {
            window.merge(&columns[x]);
            if x >= WINDOW {
                window.unmerge(&columns[x - WINDOW]);
            }
            if x + 1 >= WINDOW {
                total += window.similarity();
            }
        }
    }
    Some(total / ((width - WINDOW + 1) * (height - WINDOW + 1)) as f64)
}

/// [`ssim_luma`] of two pictures; `None` when their sizes differ.
pub fn ssim(a: &RawFrame, b: &RawFrame) -> Option<f64> {
    let (width, height) = (usize::from(a.size.width), usize::from(a.size.height));
    (a.size == b.size).then(|| ssim_luma(&a.y, &b.y, width, height))?
}

/// Peak signal-to-noise ratio of two planes in dB; infinite when equal, `None` when their lengths
/// differ or they are empty.
pub fn psnr(a: &[u8], b: &[u8]) -> Option<f64> {
    if a.len() != b.len() || a.is_empty() {
        return None;
    }
    let square = |(&x, &y): (&u8, &u8)| u64::from(x.abs_diff(y)).pow(2);
    let error = a.iter().zip(b).map(square).sum::<u64>() as f64 / a.len() as f64;
    Some(10.0 * (255.0f64.powi(2) / error).log10())
}

/// Sums over a window: of both planes, their squares, their product.
#[derive(Clone, Copy, Default)]
struct Sums {
    a: u32,
    b: u32,
    aa: u32,
    bb: u32,
    ab: u32,
}

impl Sums {
    fn add(&mut self, a: u8, b: u8) {
        let (a, b) = (u32::from(a), u32::from(b));
        self.merge(&Self { a, b, aa: a * a, bb: b * b, ab: a * b });
    }

    fn sub(&mut self, a: u8, b: u8) {
        let (a, b) = (u32::from(a), u32::from(b));
        self.unmerge(&Self { a, b, aa: a * a, bb: b * b, ab: a * b });
    }

    fn merge(&mut self, o: &Self) {
        self.a += o.a;
        self.b += o.b;
        self.aa += o.aa;
        self.bb += o.bb;
        self.ab += o.ab;
    }

    fn unmerge(&mut self, o: &Self) {
        self.a -= o.a;
        self.b -= o.b;
        self.aa -= o.aa;
        self.bb -= o.bb;
        self.ab -= o.ab;
    }

    fn similarity(&self) -> f64 {
        const N: f64 = (WINDOW * WINDOW) as f64;
        const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
        const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);
        let (mean_a, mean_b) = (f64::from(self.a) / N, f64::from(self.b) / N);
        // Sample (co)variance, as in the usual reference implementations.
        let unbiased = N / (N - 1.0);
        let var_a = unbiased * (f64::from(self.aa) / N - mean_a * mean_a);
        let var_b = unbiased * (f64::from(self.bb) / N - mean_b * mean_b);
        let both = unbiased * (f64::from(self.ab) / N - mean_a * mean_b);
        (2.0 * mean_a * mean_b + C1) * (2.0 * both + C2)
            / ((mean_a * mean_a + mean_b * mean_b + C1) * (var_a + var_b + C2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(f: impl Fn(usize, usize) -> f64) -> Vec<u8> {
        (0..48 * 32).map(|i| f(i % 48, i / 48).clamp(0.0, 255.0) as u8).collect()
    }

    /// The definition, window by window, without running sums.
    fn slow(a: &[u8], b: &[u8], width: usize, height: usize) -> f64 {
        let mut all = Vec::new();
        for y in 0..=height - WINDOW {
            for x in 0..=width - WINDOW {
                let mut sums = Sums::default();
                for i in 0..WINDOW * WINDOW {
                    let at = (y + i / WINDOW) * width + x + i % WINDOW;
                    sums.add(a[at], b[at]);
                }
                all.push(sums.similarity());
            }
        }
        all.iter().sum::<f64>() / all.len() as f64
    }

    #[test]
    fn running_sums_equal_the_definition() {
        let a = plane(|x, y| 128.0 + 60.0 * (x as f64 / 5.0).sin() + y as f64);
        let b = plane(|x, y| 120.0 + 50.0 * (x as f64 / 5.0 + 0.2).sin() + y as f64 * 1.1);
        let fast = ssim_luma(&a, &b, 48, 32).unwrap();
        assert!((fast - slow(&a, &b, 48, 32)).abs() < 1e-9);
        assert!(fast < 0.99 && fast > 0.5);
    }

    #[test]
    fn equal_planes_score_one_and_wrong_lengths_nothing() {
        let a = plane(|x, y| (x * y) as f64);
        assert!((ssim_luma(&a, &a, 48, 32).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(ssim_luma(&a, &a[1..], 48, 32), None);
        assert_eq!(ssim_luma(&a[..36], &a[..36], 6, 6), None);
        assert_eq!(psnr(&a, &a), Some(f64::INFINITY));
    }

    #[test]
    fn psnr_of_a_constant_error_is_the_textbook_value() {
        let (a, b) = (vec![100u8; 64], vec![110u8; 64]);
        assert!((psnr(&a, &b).unwrap() - 28.13).abs() < 0.01);
    }
}
