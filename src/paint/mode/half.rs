//! Half blocks: 1×2 samples per cell, in every font.

use super::Glyphs;

pub(super) struct Half;

impl Glyphs for Half {
    fn samples(&self) -> (usize, usize) {
        (1, 2)
    }

    fn glyph(&self, pattern: u8) -> &'static str {
        match pattern & 3 {
            0 => " ",
            1 => "▀",
            2 => "▄",
            _ => "█",
        }
    }

    fn name(&self) -> &'static str {
        "half"
    }
}
