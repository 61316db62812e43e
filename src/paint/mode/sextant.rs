//! Sextants: 2×3 samples per cell (Unicode 13, "Symbols for Legacy Computing").

use super::Glyphs;

pub(super) struct Sextant;

/// Indexed by pattern: bits 0 1 / 2 3 / 4 5, left to right, top to bottom. U+1FB00 onward holds
/// them in this order, without the four that older blocks already had.
#[rustfmt::skip]
const GLYPHS: [&str; 64] = [
    " ", "🬀", "🬁", "🬂", "🬃", "🬄", "🬅", "🬆", "🬇", "🬈", "🬉", "🬊", "🬋", "🬌", "🬍", "🬎",
    "🬏", "🬐", "🬑", "🬒", "🬓", "▌", "🬔", "🬕", "🬖", "🬗", "🬘", "🬙", "🬚", "🬛", "🬜", "🬝",
    "🬞", "🬟", "🬠", "🬡", "🬢", "🬣", "🬤", "🬥", "🬦", "🬧", "▐", "🬨", "🬩", "🬪", "🬫", "🬬",
    "🬭", "🬮", "🬯", "🬰", "🬱", "🬲", "🬳", "🬴", "🬵", "🬶", "🬷", "🬸", "🬹", "🬺", "🬻", "█",
];

impl Glyphs for Sextant {
    fn samples(&self) -> (usize, usize) {
        (2, 3)
    }

    fn glyph(&self, pattern: u8) -> &'static str {
        GLYPHS[usize::from(pattern & 63)]
    }

    fn name(&self) -> &'static str {
        "sextant"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glyphs_follow_the_unicode_formula() {
        for pattern in 1u8..63 {
            let glyph = Sextant.glyph(pattern).chars().next().map(u32::from);
            let expected = match pattern {
                21 => 0x258C,
                42 => 0x2590,
                p => 0x1FB00 + u32::from(p) - 1 - u32::from(p > 21) - u32::from(p > 42),
            };
            assert_eq!(glyph, Some(expected), "pattern {pattern}");
        }
    }
}
