//! Scaling of I420 pictures, plane by plane: area average when shrinking (every source pixel
//! counts once, so grain averages out), linear interpolation when enlarging.

use crate::media::frame::{RawFrame, Size};
use std::borrow::Cow;

/// Fixed-point one of the weights. Two passes of 12 bits on 8-bit samples just fit into 32 bits.
const ONE: u32 = 1 << 12;

/// The picture at another size (its aspect follows `size`); the same picture when nothing changes.
pub fn resize(frame: &RawFrame, size: Size) -> Cow<'_, RawFrame> {
    if frame.size == size {
        return Cow::Borrowed(frame);
    }
    let (from, to) = (sides(frame.size), sides(size));
    let half = |(width, height): (usize, usize)| (width.div_ceil(2), height.div_ceil(2));
    Cow::Owned(RawFrame {
        size,
        at: frame.at,
        y: plane(&frame.y, from, to),
        u: plane(&frame.u, half(from), half(to)),
        v: plane(&frame.v, half(from), half(to)),
    })
}

/// One plane of `from` = (width, height) samples at `to`. Missing input counts as mid-grey.
pub fn plane(samples: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    if samples.len() != from.0 * from.1 || samples.is_empty() {
        return vec![128; to.0 * to.1];
    }
    let (across, down) = (Taps::new(from.0, to.0), Taps::new(from.1, to.1));
    let mut out = Vec::with_capacity(to.0 * to.1);
    let mut row = vec![0u32; from.0];
    for target in 0..to.1 {
        // Vertical pass over whole rows first: long plain loops the compiler vectorises.
        row.fill(0);
        for (source, weight) in down.of(target) {
            let line = &samples[source * from.0..(source + 1) * from.0];
            for (sum, &sample) in row.iter_mut().zip(line) {
                *sum += weight * u32::from(sample);
            }
        }
        out.extend((0..to.0).map(|x| {
            let sum: u32 = across.of(x).map(|(at, weight)| weight * row[at]).sum();
            ((sum + ONE * ONE / 2) / (ONE * ONE)) as u8
        }));
    }
    out
}

/// The largest even size with the aspect of `picture` inside `frame`; at least 16x16.
pub fn fit(picture: Size, frame: Size) -> Size {
    let (pw, ph) = (f64::from(picture.width.max(1)), f64::from(picture.height.max(1)));
    let scale = (f64::from(frame.width) / pw).min(f64::from(frame.height) / ph);
    let even = |side: f64| ((side / 2.0).round() as u16 * 2).max(16);
    Size::new(even(pw * scale).min(frame.width.max(16)), even(ph * scale).min(frame.height.max(16)))
}

fn sides(size: Size) -> (usize, usize) {
    (size.width.into(), size.height.into())
}

/// For each target sample, which source samples count how much (weights add up to [`ONE`]).
struct Taps {
    first: Vec<usize>,
    weights: Vec<u32>,
    width: usize,
}

impl Taps {
    fn new(from: usize, to: usize) -> Self {
        let ratio = from as f64 / to as f64;
        // Half-width of the box (shrinking) or the triangle (enlarging), in source samples.
        let width = if ratio > 1.0 { ratio.ceil() as usize + 1 } else { 2 };
        let mut taps = Self { first: Vec::with_capacity(to), weights: Vec::new(), width };
        for target in 0..to {
            taps.push(from, (0..width).map(|_| 0.0).collect(), target as f64 * ratio, ratio);
        }
        taps
    }

    fn push(&mut self, from: usize, mut weights: Vec<f64>, start: f64, ratio: f64) {
        let first;
        if ratio > 1.0 {
            first = (start.floor() as usize).min(from - 1);
            for (i, weight) in weights.iter_mut().enumerate() {
                let (low, high) = ((first + i) as f64, (first + i + 1) as f64);
                *weight = (high.min(start + ratio).min(from as f64) - low.max(start)).max(0.0);
            }
        } else {
            let centre = (start + ratio / 2.0 - 0.5).clamp(0.0, (from - 1) as f64);
            first = centre.floor() as usize;
            weights[1] = if first + 1 < from { centre - first as f64 } else { 0.0 };
            weights[0] = 1.0 - weights[1];
        }
        let sum: f64 = weights.iter().sum();
        let mut fixed: Vec<u32> =
            weights.iter().map(|w| (w / sum * f64::from(ONE)).round() as u32).collect();
        // Rounding must not change a flat picture: the largest weight takes the difference.
        let total: u32 = fixed.iter().sum();
        if let Some(largest) = fixed.iter_mut().max() {
            *largest = (*largest + ONE).saturating_sub(total);
        }
        self.first.push(first);
        self.weights.extend(fixed);
    }

    fn of(&self, target: usize) -> impl Iterator<Item = (usize, u32)> + '_ {
        let first = self.first[target];
        let weights = &self.weights[target * self.width..(target + 1) * self.width];
        weights.iter().enumerate().filter(|(_, w)| **w > 0).map(move |(i, &w)| (first + i, w))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_stays_flat_at_every_size() {
        for (from, to) in [(640, 80), (640, 112), (97, 640), (80, 80), (3, 50), (50, 3)] {
            for value in [0u8, 1, 77, 254, 255] {
                let out = plane(&vec![value; from * 7], (from, 7), (to, 5));
                assert!(out.iter().all(|&v| v == value), "{from}->{to} of {value}");
            }
        }
    }

    #[test]
    fn halving_averages_two_by_two() {
        let out = plane(&[10, 20, 50, 60, 30, 40, 70, 80], (4, 2), (2, 1));
        assert_eq!(out, [25, 65]);
    }

    #[test]
    fn shrinking_keeps_the_mean_of_every_pixel() {
        let source: Vec<u8> = (0..640 * 360).map(|i| ((i * 7919) % 251) as u8).collect();
        let mean = |p: &[u8]| p.iter().map(|&v| f64::from(v)).sum::<f64>() / p.len() as f64;
        let out = plane(&source, (640, 360), (144, 80));
        assert!((mean(&source) - mean(&out)).abs() < 0.6);
    }

    #[test]
    fn fitting_keeps_the_aspect_and_stays_even() {
        assert_eq!(fit(Size::new(640, 480), Size::new(80, 48)), Size::new(64, 48));
        assert_eq!(fit(Size::new(1280, 720), Size::new(240, 144)), Size::new(240, 136));
        assert_eq!(fit(Size::new(240, 144), Size::new(80, 48)), Size::new(80, 48));
        assert_eq!(fit(Size::new(100, 1000), Size::new(80, 48)), Size::new(16, 48));
    }

    #[test]
    fn wrong_plane_lengths_give_grey_not_a_panic() {
        assert_eq!(plane(&[1, 2, 3], (4, 4), (2, 2)), [128; 4]);
    }
}
