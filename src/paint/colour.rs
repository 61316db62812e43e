//! Colours as a terminal knows them.

/// How many colours the terminal shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// None: glyphs only, in the terminal's own two colours.
    Mono,
    /// The 16 ANSI colours ([`Ansi`]).
    Ansi16,
    /// The fixed 240 of the 256-colour palette.
    Indexed256,
    /// 24 bits.
    #[default]
    True,
}

impl Depth {
    /// The word for it on screen: "true colour", "256 colours", "16 colours", "no colours".
    pub fn name(self) -> &'static str {
        match self {
            Depth::Mono => "no colours",
            Depth::Ansi16 => "16 colours",
            Depth::Indexed256 => "256 colours",
            Depth::True => "true colour",
        }
    }

    /// The nearest colour that this depth can show, on a terminal whose first 16 are xterm's.
    #[inline(always)]
    pub(crate) fn ink(self, rgb: [f32; 3]) -> Ink {
        self.ink_of(&Ansi::XTERM, rgb)
    }

    /// The nearest colour that this depth can show; `ansi`: how the terminal shows the first 16.
    #[inline(always)]
    pub(super) fn ink_of(self, ansi: &Ansi, rgb: [f32; 3]) -> Ink {
        match self {
            Depth::True => Ink::rgb(rgb.map(|c| (c + 0.5) as u8)),
            Depth::Indexed256 => Ink::indexed(nearest_256(rgb)),
            Depth::Ansi16 => ansi.nearest(rgb),
            Depth::Mono => Ink::DEFAULT,
        }
    }
}

/// How a terminal shows the 16 ANSI colours: red, green, blue of each. Every program of themes
/// changes them, so pictures of so few colours need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ansi(pub [[u8; 3]; 16]);

impl Default for Ansi {
    fn default() -> Self {
        Self::XTERM
    }
}

impl Ansi {
    /// xterm's, which most others start from.
    pub const XTERM: Self = Self(ANSI);

    /// Those of the VGA's text modes, which the Linux console has (`vga_palette` in its
    /// `drivers/tty/vt/vt.c`).
    pub const VGA: Self = Self([
        [0, 0, 0],
        [170, 0, 0],
        [0, 170, 0],
        [170, 85, 0],
        [0, 0, 170],
        [170, 0, 170],
        [0, 170, 170],
        [170, 170, 170],
        [85, 85, 85],
        [255, 85, 85],
        [85, 255, 85],
        [255, 255, 85],
        [85, 85, 255],
        [255, 85, 255],
        [85, 255, 255],
        [255, 255, 255],
    ]);

    /// The colour with this number, which knows its look.
    #[inline(always)]
    pub(super) fn ink(&self, index: u8) -> Ink {
        Ink::ansi(index, self.0[usize::from(index & 15)])
    }

    fn nearest(&self, rgb: [f32; 3]) -> Ink {
        let mut best = (f32::INFINITY, 0);
        for (i, c) in self.0.iter().enumerate() {
            let d = distance(rgb, *c);
            if d < best.0 {
                best = (d, i as u8);
            }
        }
        self.ink(best.1)
    }
}

/// A colour as it is sent: 24 bits, a palette number, or the terminal's default.
///
/// In the upper byte 0: the others are red, green, blue. `INDEXED`: the lowest byte is a number of
/// the palette as it usually looks. `ANSI_INK` and a number below 16: that one, and the others
/// are how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ink(u32);

const INDEXED: u32 = 1 << 24;
const ANSI_INK: u32 = 0x10 << 24;

impl Ink {
    /// The terminal's own foreground or background.
    pub const DEFAULT: Ink = Ink(u32::MAX);

    /// A 24-bit colour.
    #[inline(always)]
    pub const fn rgb(c: [u8; 3]) -> Self {
        Self((c[0] as u32) << 16 | (c[1] as u32) << 8 | c[2] as u32)
    }

    /// A palette number.
    #[inline(always)]
    pub const fn indexed(index: u8) -> Self {
        Self(INDEXED | index as u32)
    }

    /// One of the 16 ANSI colours, and how the terminal shows it.
    #[inline(always)]
    const fn ansi(index: u8, look: [u8; 3]) -> Self {
        Self(ANSI_INK | (index as u32 & 15) << 24 | Self::rgb(look).0)
    }

    /// The palette number, if it is one.
    #[inline(always)]
    pub fn index(self) -> Option<u8> {
        match self.0 >> 24 {
            0x01 => Some(self.0 as u8),
            upper @ 0x10..=0x1f => Some(upper as u8 & 15),
            _ => None,
        }
    }

    /// How it looks, in 0…255 per channel; `default` for the terminal's own colour.
    #[inline(always)]
    pub fn look(self, default: [u8; 3]) -> [u8; 3] {
        if self == Self::DEFAULT {
            return default;
        }
        if self.0 >> 24 == INDEXED >> 24 {
            return palette(self.0 as u8);
        }
        [(self.0 >> 16) as u8, (self.0 >> 8) as u8, self.0 as u8]
    }
}

const ANSI: [[u8; 3]; 16] = [
    [0, 0, 0],
    [205, 0, 0],
    [0, 205, 0],
    [205, 205, 0],
    [0, 0, 238],
    [205, 0, 205],
    [0, 205, 205],
    [229, 229, 229],
    [127, 127, 127],
    [255, 0, 0],
    [0, 255, 0],
    [255, 255, 0],
    [92, 92, 255],
    [255, 0, 255],
    [0, 255, 255],
    [255, 255, 255],
];

const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The usual look of a palette number (xterm's defaults).
#[inline(always)]
pub(crate) fn palette(index: u8) -> [u8; 3] {
    PALETTE[index as usize]
}

static PALETTE: [[u8; 3]; 256] = {
    let mut all = [[0; 3]; 256];
    let mut i = 0;
    while i < 256 {
        all[i] = match i {
            0..16 => ANSI[i],
            16..232 => {
                let n = i - 16;
                [CUBE[n / 36], CUBE[n / 6 % 6], CUBE[n % 6]]
            }
            _ => [8 + 10 * (i as u8 - 232); 3],
        };
        i += 1;
    }
    all
};

fn distance(a: [f32; 3], b: [u8; 3]) -> f32 {
    (0..3).map(|c| (a[c] - f32::from(b[c])).powi(2)).sum()
}

/// Step of the colour cube nearest to a value in 0…255.
fn cube_step(v: f32) -> u8 {
    match v {
        v if v < 47.5 => 0,
        v if v < 115.0 => 1,
        v => (((v - 115.0) / 40.0) as u8).min(3) + 2,
    }
}

fn nearest_256(rgb: [f32; 3]) -> u8 {
    let [r, g, b] = rgb.map(cube_step);
    let cube = 16 + 36 * r + 6 * g + b;
    let level = (rgb[0] + rgb[1] + rgb[2]) / 3.0;
    let gray = 232 + ((level - 3.0) / 10.0).clamp(0.0, 23.0) as u8;
    if distance(rgb, palette(gray)) < distance(rgb, palette(cube)) { gray } else { cube }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_of_256_colours_is_nearly_as_near_as_brute_force() {
        let mut worst: f32 = 0.0;
        for i in 0..4096u32 {
            let rgb = [i & 15, i >> 4 & 15, i >> 8].map(|c| (c * 17) as f32);
            let found = distance(rgb, palette(nearest_256(rgb))).sqrt();
            let best =
                (16..=255).map(|i| distance(rgb, palette(i)).sqrt()).fold(f32::INFINITY, f32::min);
            worst = worst.max(found - best);
        }
        assert!(worst < 1.0, "{worst}");
    }

    #[test]
    fn palette_colours_map_to_themselves() {
        for i in 16..=255u8 {
            assert_eq!(palette(nearest_256(palette(i).map(f32::from))), palette(i));
        }
        for ansi in [Ansi::XTERM, Ansi::VGA] {
            for (i, look) in ansi.0.into_iter().enumerate() {
                let ink = Depth::Ansi16.ink_of(&ansi, look.map(f32::from));
                assert_eq!((ink.index(), ink.look([9; 3])), (Some(i as u8), look));
            }
        }
    }

    #[test]
    fn inks_of_all_kinds_are_told_apart() {
        let look = [1, 2, 3];
        assert_eq!((Ink::rgb(look).index(), Ink::rgb(look).look([0; 3])), (None, look));
        assert_eq!((Ink::DEFAULT.index(), Ink::DEFAULT.look(look)), (None, look));
        for i in 0..=255 {
            assert_eq!(
                (Ink::indexed(i).index(), Ink::indexed(i).look(look)),
                (Some(i), palette(i))
            );
        }
        for i in 0..16 {
            let ink = Ink::ansi(i, [255; 3]);
            assert_eq!((ink.index(), ink.look(look)), (Some(i), [255; 3]));
            assert!(ink != Ink::DEFAULT && ink != Ink::rgb([255; 3]));
        }
    }
}
