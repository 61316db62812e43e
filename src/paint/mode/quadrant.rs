//! Quadrant blocks: 2×2 samples per cell.

use super::Glyphs;

pub(super) struct Quadrant;

/// Indexed by pattern: bit 0 upper left, 1 upper right, 2 lower left, 3 lower right.
const GLYPHS: [&str; 16] =
    [" ", "▘", "▝", "▀", "▖", "▌", "▞", "▛", "▗", "▚", "▐", "▜", "▄", "▙", "▟", "█"];

impl Glyphs for Quadrant {
    fn samples(&self) -> (usize, usize) {
        (2, 2)
    }

    fn glyph(&self, pattern: u8) -> &'static str {
        GLYPHS[usize::from(pattern & 15)]
    }

    fn name(&self) -> &'static str {
        "quadrant"
    }
}
