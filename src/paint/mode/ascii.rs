//! A ramp of ASCII characters: one sample per cell, for terminals without UTF-8.

use super::Glyphs;

pub(super) struct Ascii;

const GLYPHS: [&str; 10] = [" ", ".", ":", "-", "=", "+", "*", "#", "%", "@"];

/// Share of the cell that the character's ink covers, measured on common monospace fonts and
/// smoothed; only the order and rough spacing matter.
const INK: [f32; 10] = [0.0, 0.05, 0.10, 0.12, 0.19, 0.22, 0.27, 0.37, 0.40, 0.46];

impl Glyphs for Ascii {
    fn samples(&self) -> (usize, usize) {
        (1, 1)
    }

    fn glyph(&self, pattern: u8) -> &'static str {
        GLYPHS[usize::from(pattern).min(GLYPHS.len() - 1)]
    }

    fn ramp(&self) -> Option<&'static [f32]> {
        Some(&INK)
    }

    fn name(&self) -> &'static str {
        "ascii"
    }
}
