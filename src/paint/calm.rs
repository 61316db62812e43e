//! A picture's grain, calmed over time: a recursive filter per sample that follows whatever differs
//! by more than grain does.
//!
//! Stretched contrast stretches grain too, and grain that shows is cells written anew with every
//! picture (measured: 25 times the bytes of a drawn still scene with grain of σ = 1.5 at three times
//! the contrast, as sextants; calmed, twice as many). The filter
//! moves a sample's memory towards the new value by a share that grows with the square of their
//! difference: a sixteenth for what is grain, all of it from [`SURE`] standard deviations on. What is
//! shown follows the memory with some play, so that a still picture comes to stand exactly still.
//! A codec's wobble is calmed likewise.

use crate::media::frame::{RawFrame, Size};

/// The share for differences of nothing: sixteen pictures, about a second.
const SLOW: f32 = 1.0 / 16.0;
/// A difference of this many standard deviations of the grain, and a level, is a change. At 3.5, one
/// grain in 2000 passes for a change.
const SURE: f32 = 3.5;
/// Differences up to this many levels aren't taken for changes at once: a codec's wobble.
const WOBBLE: f32 = 4.0;
/// No difference above this many levels is grain.
const MOST: f32 = 14.0;
/// Play between memory and what is shown, in standard deviations of the grain (memory's own is 0.3
/// of it), and the least, in levels.
const PLAY: f32 = 0.75;
const LEAST_PLAY: f32 = 0.75;
/// Every so many samples across and rows down are asked how strong the grain is.
const EVERY: usize = 4;
/// The grain before anything is known of it, in levels: a webcam's by day.
const FIRST: f32 = 1.5;

/// What samples become: a table with linear interpolation, as calmed samples have fractions.
pub(super) struct Table([f32; 257]);

impl Table {
    pub(super) fn new(map: impl Fn(f32) -> f32) -> Self {
        Self(std::array::from_fn(|level| map(level as f32)))
    }

    /// For a whole level.
    #[inline(always)]
    pub(super) fn whole(&self, level: u8) -> u8 {
        (self.0[usize::from(level)] + 0.5) as u8
    }

    /// For a level in 0…255.
    #[inline(always)]
    fn at(&self, level: f32) -> u8 {
        let whole = level as u8;
        let (a, b) = (self.0[usize::from(whole)], self.0[usize::from(whole) + 1]);
        (a + (b - a) * (level - f32::from(whole)) + 0.5) as u8
    }
}

/// The memory of one tile's pictures.
#[derive(Default)]
pub(super) struct Calm {
    size: Option<Size>,
    planes: [Vec<f32>; 3],
    shown: [Vec<f32>; 3],
    /// Standard deviation of the grain, in levels.
    grain: f32,
}

impl Calm {
    /// Forgets all pictures.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Puts the calmed picture into `out`, through a table for each plane; planes without one are
    /// left alone. The planes must have the promised lengths.
    pub(super) fn apply(&mut self, f: &RawFrame, tables: [Option<&Table>; 3], out: &mut RawFrame) {
        let from = [&f.y, &f.u, &f.v];
        if self.size != Some(f.size) {
            self.size = Some(f.size);
            self.grain = FIRST;
            for (c, plane) in from.into_iter().enumerate() {
                self.planes[c].clear();
                self.planes[c].extend(plane.iter().map(|v| f32::from(*v)));
                self.shown[c].clone_from(&self.planes[c]);
            }
        }
        let measured = grain(&f.y, &self.planes[0], usize::from(f.size.width).max(1));
        // Motion looks like grain to that measure, so it rises slowly and falls at once.
        let share = if measured > self.grain { 0.05 } else { 0.3 };
        self.grain += (measured - self.grain) * share;
        let change = (SURE * self.grain + 1.0).clamp(WOBBLE, MOST);
        let rise = (1.0 - SLOW) / (change * change);
        let play = (PLAY * self.grain).max(LEAST_PLAY);
        out.size = f.size;
        out.at = f.at;
        let to = [&mut out.y, &mut out.u, &mut out.v];
        for (c, (plane, to)) in from.into_iter().zip(to).enumerate() {
            let Some(table) = tables[c] else { continue };
            to.resize(plane.len(), 0);
            // Two loops, as only one of them vectorises.
            let memory = self.planes[c].iter_mut().zip(&mut self.shown[c]);
            for (new, (memory, shown)) in plane.iter().zip(memory) {
                let new = f32::from(*new);
                let off = new - *memory;
                let share = SLOW + rise * off * off;
                let calmed = *memory + off * share;
                let near = shown.max(calmed - play).min(calmed + play);
                let change = share >= 1.0;
                *memory = if change { new } else { calmed };
                *shown = if change { new } else { near };
            }
            for (to, shown) in to.iter_mut().zip(&self.shown[c]) {
                *to = table.at(*shown);
            }
        }
    }
}

/// Standard deviation of what differs from memory, by its median: up to half of the picture may
/// move.
fn grain(plane: &[u8], memory: &[f32], width: usize) -> f32 {
    const PER_LEVEL: f32 = 8.0;
    let mut bins = [0u32; 256];
    let rows = plane.chunks_exact(width).zip(memory.chunks_exact(width)).step_by(EVERY);
    for (new, old) in rows.flat_map(|(new, old)| new.iter().zip(old).step_by(EVERY)) {
        let off = ((f32::from(*new) - old).abs() * PER_LEVEL) as usize;
        bins[off.min(255)] += 1;
    }
    let half = bins.iter().sum::<u32>() / 2;
    let mut below = 0;
    let median = bins.iter().position(|n| {
        below += n;
        below > half
    });
    // Half of a normal distribution lies within 0.6745 standard deviations.
    median.map_or(0.0, |bin| bin as f32 / PER_LEVEL / 0.6745)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    const SIZE: Size = Size { width: 80, height: 48 };

    /// Mid-grey with grain of standard deviation `grain`.
    fn grainy(level: f32, grain: f32, rng: &mut StdRng) -> RawFrame {
        let mut f = RawFrame::black(SIZE, Default::default());
        for y in &mut f.y {
            let sum: f32 = (0..4).map(|_| rng.random::<f32>()).sum();
            // Four uniform numbers have a variance of a third.
            *y = (level + (sum - 2.0) * grain * 3f32.sqrt()).round() as u8;
        }
        f
    }

    fn apply(calm: &mut Calm, f: &RawFrame, out: &mut RawFrame) {
        let same = Table::new(|level| level);
        calm.apply(f, [Some(&same); 3], out);
    }

    fn spread(plane: &[u8]) -> f32 {
        let n = plane.len() as f32;
        let mean = plane.iter().map(|v| f32::from(*v)).sum::<f32>() / n;
        (plane.iter().map(|v| (f32::from(*v) - mean).powi(2)).sum::<f32>() / n).sqrt()
    }

    #[test]
    fn grain_falls_to_less_than_half_and_the_level_stays() {
        for grain in [1.5, 3.0] {
            let mut rng = StdRng::seed_from_u64(1);
            let (mut calm, mut out) = (Calm::default(), grainy(60.0, 0.0, &mut rng));
            for _ in 0..60 {
                apply(&mut calm, &grainy(60.0, grain, &mut rng), &mut out);
            }
            assert!(spread(&out.y) < 0.5 * grain, "{grain}: {}", spread(&out.y));
            let mean = out.y.iter().map(|v| u32::from(*v)).sum::<u32>() as f32 / 3840.0;
            assert!((mean - 60.0).abs() < 0.3, "{mean}");
        }
    }

    #[test]
    fn a_still_picture_with_grain_comes_to_stand_nearly_still() {
        let mut rng = StdRng::seed_from_u64(4);
        let (mut calm, mut out) = (Calm::default(), grainy(60.0, 0.0, &mut rng));
        let mut changed = 0;
        for n in 0..90 {
            let before = out.y.clone();
            apply(&mut calm, &grainy(60.0, 1.5, &mut rng), &mut out);
            let differ = before.iter().zip(&out.y).filter(|(a, b)| a != b).count();
            changed += if n < 60 { 0 } else { differ };
        }
        assert!(changed / 30 < 3840 / 20, "{} of 3840 samples a picture", changed / 30);
    }

    #[test]
    fn what_moves_is_shown_at_once() {
        let mut rng = StdRng::seed_from_u64(2);
        let (mut calm, mut out) = (Calm::default(), grainy(60.0, 0.0, &mut rng));
        for _ in 0..30 {
            apply(&mut calm, &grainy(60.0, 1.5, &mut rng), &mut out);
        }
        let mut next = grainy(60.0, 1.5, &mut rng);
        next.y[..400].fill(75);
        apply(&mut calm, &next, &mut out);
        assert_eq!(out.y[..400], [75; 400]);
    }

    #[test]
    fn a_picture_of_another_size_begins_anew() {
        let mut rng = StdRng::seed_from_u64(3);
        let (mut calm, mut out) = (Calm::default(), grainy(60.0, 0.0, &mut rng));
        apply(&mut calm, &grainy(60.0, 1.5, &mut rng), &mut out);
        let other = RawFrame::black(Size::new(16, 16), Default::default());
        apply(&mut calm, &other, &mut out);
        assert_eq!(out, other);
    }
}
