//! The ways to draw with glyphs, one driver per file behind [`Glyphs`].

mod ascii;
mod braille;
mod half;
mod mixed;
mod octant;
mod quadrant;
mod sextant;

/// How a picture becomes cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// ASCII ramp, one sample per cell: works everywhere.
    Ascii,
    /// Braille dots, 2×4 per cell, one colour on the terminal's own background.
    Braille,
    /// Upper and lower half blocks, 1×2 samples per cell: any UTF-8 terminal.
    #[default]
    Half,
    /// Quadrant blocks, 2×2 samples per cell.
    Quadrant,
    /// Sextants (Unicode 13), 2×3 samples per cell.
    Sextant,
    /// Sextants and quadrants, whichever explains more of the cell.
    Mixed,
    /// Octants (Unicode 16), 2×4 samples per cell.
    Octant,
    /// Octants and sextants, whichever explains more of the cell.
    MixedOctant,
}

/// What a mode's driver knows: its samples per cell and the glyph of each pattern.
pub(crate) trait Glyphs: Sync {
    /// Samples per cell, across and down.
    fn samples(&self) -> (usize, usize);
    /// The glyph whose ink covers the samples set in `pattern` (bit `y·across + x`); for ramps,
    /// the glyph of that step.
    fn glyph(&self, pattern: u8) -> &'static str;
    /// For ramps: the share of the cell that each step's ink covers, lightest first. `None`:
    /// patterns are bit sets of samples.
    fn ramp(&self) -> Option<&'static [f32]> {
        None
    }
    /// Further glyphs on another grid of samples, for cells that these fit better.
    fn second(&self) -> Option<&'static dyn Glyphs> {
        None
    }
    /// Glyphs are dots, not areas: one colour on the terminal's own background.
    fn dots(&self) -> bool {
        false
    }
    /// The word for it on screen and in flags.
    fn name(&self) -> &'static str;
}

impl Mode {
    /// All modes, plainest first.
    pub const ALL: [Mode; 8] = [
        Mode::Ascii,
        Mode::Braille,
        Mode::Half,
        Mode::Quadrant,
        Mode::Sextant,
        Mode::Mixed,
        Mode::Octant,
        Mode::MixedOctant,
    ];

    pub(crate) fn driver(self) -> &'static dyn Glyphs {
        match self {
            Mode::Ascii => &ascii::Ascii,
            Mode::Half => &half::Half,
            Mode::Quadrant => &quadrant::Quadrant,
            Mode::Sextant => &sextant::Sextant,
            Mode::Braille => &braille::Braille,
            Mode::Octant => &octant::Octant,
            Mode::Mixed => &mixed::Mixed,
            Mode::MixedOctant => &mixed::MixedOctant,
        }
    }

    /// Samples per cell, across and down; of a mixed mode those of its finest glyphs.
    pub fn samples(self) -> (usize, usize) {
        self.driver().samples()
    }

    /// The word for it on screen and in flags: `ascii`, `braille`, `half`, `quadrant`, `sextant`,
    /// `mixed`, `octant`, `mixed-octant`.
    pub fn name(self) -> &'static str {
        self.driver().name()
    }

    /// The next mode, in the order of [`Mode::ALL`], round and round.
    pub fn next(self) -> Mode {
        let at = Self::ALL.iter().position(|mode| *mode == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(s: &str) -> Result<Self, UnknownMode> {
        Mode::ALL.into_iter().find(|m| m.name() == s).ok_or(UnknownMode)
    }
}

/// The word is no graphics mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "graphics mode must be one of: ascii, braille, half, quadrant, sextant, mixed, octant, mixed-octant"
)]
pub struct UnknownMode;

/// The samples of a 2×4 grid that this glyph's ink covers, if it is one of octants.
pub(super) fn octants_of(glyph: char) -> Option<u8> {
    octant::pattern_of(glyph)
}

/// A character of the basic or a supplementary plane in UTF-8 (RFC 3629), and its length.
const fn utf8(code: u32) -> ([u8; 4], u8) {
    match code {
        0..0x80 => ([code as u8, 0, 0, 0], 1),
        0x80..0x800 => ([0xc0 | (code >> 6) as u8, part(code, 0), 0, 0], 2),
        0x800..0x1_0000 => ([0xe0 | (code >> 12) as u8, part(code, 6), part(code, 0), 0], 3),
        _ => ([0xf0 | (code >> 18) as u8, part(code, 12), part(code, 6), part(code, 0)], 4),
    }
}

const fn part(code: u32, shift: u32) -> u8 {
    0x80 | (code >> shift & 0x3f) as u8
}

/// One entry of a table of characters.
fn text((bytes, length): &'static ([u8; 4], u8)) -> &'static str {
    std::str::from_utf8(&bytes[..usize::from(*length)]).unwrap_or(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_parsing_agree() {
        for mode in Mode::ALL {
            assert_eq!(mode.name().parse(), Ok(mode));
        }
        assert_eq!("sixtant".parse::<Mode>(), Err(UnknownMode));
    }

    #[test]
    fn every_pattern_has_its_own_single_glyph() {
        for mode in Mode::ALL {
            let (across, down) = mode.samples();
            let patterns = mode.driver().ramp().map_or(1 << (across * down), <[f32]>::len);
            let glyphs: std::collections::BTreeSet<_> =
                (0..patterns).map(|p| mode.driver().glyph(p as u8)).collect();
            assert_eq!(glyphs.len(), patterns, "{mode}");
            for glyph in glyphs {
                assert_eq!(glyph.chars().count(), 1);
                assert!(!glyph.chars().any(char::is_control));
            }
        }
    }

    #[test]
    fn next_visits_every_mode() {
        let mut mode = Mode::Half;
        let mut seen = std::collections::BTreeSet::new();
        while seen.insert(mode) {
            mode = mode.next();
        }
        assert_eq!(seen.len(), Mode::ALL.len());
    }
}
