//! Octants: 2×4 samples per cell (Unicode 16, "Symbols for Legacy Computing Supplement").

use super::Glyphs;
use std::collections::BTreeMap;
use std::sync::OnceLock;

pub(super) struct Octant;

/// The patterns that other blocks had before, or have elsewhere: bits 0 1 / 2 3 / 4 5 / 6 7, left to
/// right, top to bottom. Quadrants and halves; single octants in the corners; quarters; the middle
/// of one side.
#[rustfmt::skip]
const ELSEWHERE: [(u8, u32); 26] = [
    (0, 0x20), (5, 0x2598), (10, 0x259D), (15, 0x2580), (80, 0x2596), (85, 0x258C), (90, 0x259E),
    (95, 0x259B), (160, 0x2597), (165, 0x259A), (170, 0x2590), (175, 0x259C), (240, 0x2584),
    (245, 0x2599), (250, 0x259F), (255, 0x2588),
    (1, 0x1CEA8), (2, 0x1CEAB), (64, 0x1CEA3), (128, 0x1CEA0),
    (3, 0x1FB82), (63, 0x1FB85), (192, 0x2582), (252, 0x2586),
    (20, 0x1FBE6), (40, 0x1FBE7),
];

/// U+1CD00 onward holds all others in the order of their bits.
const GLYPHS: [([u8; 4], u8); 256] = {
    let mut table = [([0; 4], 0); 256];
    let mut next = 0x1CD00;
    let mut pattern = 0;
    while pattern < 256 {
        let mut code = 0;
        let mut i = 0;
        while i < ELSEWHERE.len() {
            if ELSEWHERE[i].0 as usize == pattern {
                code = ELSEWHERE[i].1;
            }
            i += 1;
        }
        if code == 0 {
            code = next;
            next += 1;
        }
        table[pattern] = super::utf8(code);
        pattern += 1;
    }
    table
};

/// The samples that this glyph's ink covers, if it is one of octants.
pub(super) fn pattern_of(glyph: char) -> Option<u8> {
    static PATTERNS: OnceLock<BTreeMap<char, u8>> = OnceLock::new();
    let all = || {
        let of = |pattern: u8| Some((Octant.glyph(pattern).chars().next()?, pattern));
        (0..=255).filter_map(of).collect()
    };
    PATTERNS.get_or_init(all).get(&glyph).copied()
}

impl Glyphs for Octant {
    fn samples(&self) -> (usize, usize) {
        (2, 4)
    }

    fn glyph(&self, pattern: u8) -> &'static str {
        super::text(&GLYPHS[usize::from(pattern)])
    }

    fn name(&self) -> &'static str {
        "octant"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glyphs_are_those_of_the_code_chart() {
        let code = |pattern| Octant.glyph(pattern).chars().next().map(u32::from);
        // BLOCK OCTANT-3, -23, -123, -4, -14, … -5, and the last, -2345678.
        for (pattern, expected) in [
            (0b100, 0x1CD00),
            (0b110, 0x1CD01),
            (0b111, 0x1CD02),
            (0b1000, 0x1CD03),
            (0b1001, 0x1CD04),
            (0b1011, 0x1CD05),
            (0b1_0000, 0x1CD09),
            (0b1111_1110, 0x1CDE5),
        ] {
            assert_eq!(code(pattern), Some(expected), "{pattern:#b}");
        }
        let own = (0..=255).filter(|p| code(*p).is_some_and(|c| (0x1CD00..=0x1CDE5).contains(&c)));
        assert_eq!(own.count(), 230, "all of the block, each once");
    }

    #[test]
    fn a_pattern_of_quadrants_has_the_quadrants_glyph() {
        for quadrants in 0u8..16 {
            let bits = [0b101, 0b1010, 0b101_0000, 0b1010_0000];
            let pattern =
                bits.iter().enumerate().map(|(k, b)| if quadrants >> k & 1 != 0 { *b } else { 0 });
            let same = super::super::quadrant::Quadrant.glyph(quadrants);
            assert_eq!(Octant.glyph(pattern.sum()), same);
        }
    }
}
