//! Braille: 2×4 dots per cell, in one colour on the terminal's own background. Dots leave most of
//! the cell dark, so brightness comes from how many there are, and fine lines from where they are.

use super::Glyphs;

pub(super) struct Braille;

/// Bit of U+2800… for each of our samples (bits 0 1 / 2 3 / 4 5 / 6 7): the dots are numbered down
/// the columns, the lowest row came later.
const DOTS: [u32; 8] = [0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80];

const GLYPHS: [([u8; 4], u8); 256] = {
    let mut table = [([0; 4], 0); 256];
    let mut pattern = 0;
    while pattern < 256 {
        let mut code = 0x2800;
        let mut k = 0;
        while k < 8 {
            if pattern >> k & 1 != 0 {
                code += DOTS[k];
            }
            k += 1;
        }
        // No dots: a space is shorter.
        table[pattern] = super::utf8(if pattern == 0 { 0x20 } else { code });
        pattern += 1;
    }
    table
};

impl Glyphs for Braille {
    fn samples(&self) -> (usize, usize) {
        (2, 4)
    }

    fn glyph(&self, pattern: u8) -> &'static str {
        super::text(&GLYPHS[usize::from(pattern)])
    }

    fn dots(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        "braille"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_stand_where_the_samples_are() {
        assert_eq!(Braille.glyph(0), " ");
        assert_eq!(Braille.glyph(0b11), "⠉", "the upper two");
        assert_eq!(Braille.glyph(0b1100_0000), "⣀", "the lower two");
        assert_eq!(Braille.glyph(0b101_0101), "⡇", "the left four");
        assert_eq!(Braille.glyph(255), "⣿");
    }
}
