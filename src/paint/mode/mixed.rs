//! Mixed sets: each cell takes the glyph that explains most of it, from two grids of samples. Faces
//! have edges everywhere; with both thirds and halves (or quarters) of a cell to choose from, one is
//! mostly near. The grids' errors are made comparable by the painter.
//!
//! Bars of eighths (`▁` to `▇`, `▏` to `▉`) were tried as a third and a fourth grid: pixel by pixel they
//! come nearer, but at 2x4 samples a cell, which all figures here are measured at, three photographs
//! lost up to 0.5 dB and won next to nothing (at best 0.02 dB).

use super::{Glyphs, octant, quadrant, sextant};

/// Sextants and quadrants.
pub(super) struct Mixed;

/// Octants and sextants.
pub(super) struct MixedOctant;

impl Glyphs for Mixed {
    fn samples(&self) -> (usize, usize) {
        sextant::Sextant.samples()
    }

    fn glyph(&self, pattern: u8) -> &'static str {
        sextant::Sextant.glyph(pattern)
    }

    fn second(&self) -> Option<&'static dyn Glyphs> {
        Some(&quadrant::Quadrant)
    }

    fn name(&self) -> &'static str {
        "mixed"
    }
}

impl Glyphs for MixedOctant {
    fn samples(&self) -> (usize, usize) {
        octant::Octant.samples()
    }

    fn glyph(&self, pattern: u8) -> &'static str {
        octant::Octant.glyph(pattern)
    }

    fn second(&self) -> Option<&'static dyn Glyphs> {
        Some(&sextant::Sextant)
    }

    fn name(&self) -> &'static str {
        "mixed-octant"
    }
}
