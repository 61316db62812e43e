//! A mode's glyphs by number, and the samples of a block of cells on each of its grids.

use super::super::colour::Ink;
use super::super::fit::{Fit, LANES, Lanes, fit};
use super::super::mode::Glyphs;
use super::{Shadow, distance};

/// A glyph and what it shows of a cell's two colours.
struct Glyph {
    text: &'static str,
    ink: bool,
    paper: bool,
}

/// Shades, by how much ink they have: quarters of the cell, evenly spread.
const SHADES: [&str; 3] = ["░", "▒", "▓"];

/// The glyphs of a mode: the patterns of its samples by number, then those of its second grid, then
/// the shades.
#[derive(Default)]
pub(in super::super) struct Table {
    glyphs: Vec<Glyph>,
    /// Number of the lightest shade.
    shades: u16,
}

impl Table {
    pub(in super::super) fn new(driver: &dyn Glyphs) -> Self {
        let mut glyphs = Vec::new();
        let mut add = |driver: &dyn Glyphs| {
            let (across, down) = driver.samples();
            let patterns = driver.ramp().map_or(1 << (across * down), <[f32]>::len);
            for pattern in 0..patterns {
                let text = driver.glyph(pattern as u8);
                let full = driver.ramp().is_none() && pattern + 1 == patterns;
                glyphs.push(Glyph { text, ink: pattern != 0, paper: !full });
            }
        };
        add(driver);
        driver.second().into_iter().for_each(add);
        let shades = glyphs.len() as u16;
        glyphs.extend(SHADES.map(|text| Glyph { text, ink: true, paper: true }));
        Self { glyphs, shades }
    }

    #[inline(always)]
    pub(in super::super) fn text(&self, glyph: u16) -> &'static str {
        self.glyphs[usize::from(glyph)].text
    }

    /// Which of its two colours a glyph shows: ink, paper.
    #[inline(always)]
    pub(super) fn shows(&self, glyph: u16) -> (bool, bool) {
        let glyph = &self.glyphs[usize::from(glyph)];
        (glyph.ink, glyph.paper)
    }

    /// The shade with so many quarters of ink, 1…3.
    #[inline(always)]
    pub(super) fn shade(&self, quarters: u8) -> u16 {
        self.shades + u16::from(quarters) - 1
    }

    /// Quarters of ink if it is a shade, else 0.
    #[inline(always)]
    pub(super) fn quarters(&self, glyph: u16) -> u8 {
        if glyph < self.shades { 0 } else { (glyph - self.shades) as u8 + 1 }
    }
}

/// The samples of [`LANES`] cells on one grid, and how errors on it compare with those of others:
/// `error · scale + more`.
pub(super) struct Grid<const K: usize> {
    pub(super) cells: [[Lanes; 3]; K],
    pub(super) fit: Fit,
    /// Number of its first glyph in the [`Table`].
    pub(super) base: u16,
    pub(super) scale: f32,
    pub(super) more: Lanes,
}

impl<const K: usize> Grid<K> {
    pub(super) const FULL: u8 = ((1u16 << K) - 1) as u8;

    #[inline(always)]
    pub(super) fn new(cells: [[Lanes; 3]; K], base: u16) -> Self {
        Self { fit: fit(&cells), cells, base, scale: 1.0, more: [0.0; LANES] }
    }

    /// Whether this glyph is one of its patterns.
    #[inline(always)]
    pub(super) fn owns(&self, glyph: u16) -> bool {
        glyph.wrapping_sub(self.base) < 1 << K
    }

    /// By channels the sums of errors, and squared error, of these cells if they stay as they are and
    /// have one of this grid's glyphs, or one that shows one colour.
    #[inline(always)]
    pub(super) fn keep(&self, shadow: &Shadow, first: usize) -> ([Lanes; 3], Lanes) {
        let glyph = &shadow.glyph[first..first + LANES];
        let (mut sums, mut error) = ([[0.0; LANES]; 3], [0.0; LANES]);
        for (c, sum) in sums.iter_mut().enumerate() {
            let ink = &shadow.look[c][first..first + LANES];
            let paper = &shadow.look[3 + c][first..first + LANES];
            for (k, cell) in self.cells.iter().enumerate() {
                for l in 0..LANES {
                    let set = glyph[l].wrapping_sub(self.base) >> k & 1 != 0;
                    let d = cell[c][l] - if set { ink[l] } else { paper[l] };
                    sum[l] += d;
                    error[l] += d * d;
                }
            }
        }
        (sums, error)
    }

    /// Puts this grid's errors where its glyphs stand, and lowers the bounds to its own.
    #[inline(always)]
    pub(super) fn join(&self, shadow: &Shadow, first: usize, keep: &mut Lanes, bound: &mut Lanes) {
        let (_, own) = self.keep(shadow, first);
        for l in 0..LANES {
            if self.owns(shadow.glyph[first + l]) {
                keep[l] = self.level(own[l], l);
            }
            bound[l] = bound[l].min(self.bound(l));
        }
    }

    /// An error on this grid as all grids count it.
    #[inline(always)]
    pub(super) fn level(&self, error: f32, l: usize) -> f32 {
        error * self.scale + self.more[l]
    }

    /// The least error that any of its glyphs can have.
    #[inline(always)]
    pub(super) fn bound(&self, l: usize) -> f32 {
        self.level(self.fit.error[l], l)
    }

    #[inline(always)]
    pub(super) fn sample(&self, k: usize, l: usize) -> [f32; 3] {
        self.cells[k].map(|channel| channel[l])
    }

    /// The best pattern of two given colours, and its error on this grid.
    #[inline(always)]
    pub(super) fn nearest(&self, l: usize, ink: [f32; 3], paper: [f32; 3]) -> (u8, f32) {
        let (mut pattern, mut error) = (0u8, 0.0);
        for k in 0..K {
            let sample = self.sample(k, l);
            let (f, g) = (distance(sample, ink), distance(sample, paper));
            pattern |= u8::from(f < g) << k;
            error += f.min(g);
        }
        (pattern, error)
    }
}

/// Makes the errors on two grids comparable, in the first one's unit.
#[inline(always)]
pub(super) fn level<const N: usize, const M: usize>(a: &mut Grid<N>, b: &mut Grid<M>) {
    b.scale = N as f32 / M as f32;
    for l in 0..LANES {
        let (of_a, of_b) = (a.fit.flat[l], b.fit.flat[l] * b.scale);
        let most = of_a.max(of_b);
        a.more[l] = most - of_a;
        b.more[l] = most - of_b;
    }
}

/// The samples of one block of cells.
#[inline(always)]
pub(super) fn load<const K: usize>(
    samples: &[f32],
    stride: usize,
    block: usize,
) -> [[Lanes; 3]; K] {
    std::array::from_fn(|k| {
        std::array::from_fn(|c| {
            let at = (k * 3 + c) * stride + block * LANES;
            std::array::from_fn(|l| samples[at + l])
        })
    })
}

/// How a shade of two colours looks from afar.
#[inline(always)]
pub(super) fn mix(fg: Ink, bg: Ink, quarters: u8) -> [f32; 3] {
    let (a, b) = (super::looks(fg), super::looks(bg));
    let share = f32::from(quarters) * 0.25;
    std::array::from_fn(|c| b[c] + (a[c] - b[c]) * share)
}
