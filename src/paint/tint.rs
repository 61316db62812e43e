//! Monochrome looks: a picture in grey, or in the light of an old screen's phosphor.

/// The colour that a picture is shown in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tint {
    /// Its own colours.
    #[default]
    None,
    /// Grey: luma alone.
    Gray,
    /// Amber phosphor (P3).
    Amber,
    /// Green phosphor (P1).
    Green,
}

/// A tint's colours from black to its brightest, BT.601 limited range.
pub(super) struct Ramp {
    /// Luma shown per luma of the picture, from black up. Proportional: the tint changes the
    /// colour of a picture, not its gradation.
    scale: f32,
    /// Colour differences per luma shown.
    pub u: [u8; 256],
    pub v: [u8; 256],
}

impl Tint {
    /// All tints, in the order in which a key steps through them.
    pub const ALL: [Tint; 4] = [Tint::None, Tint::Gray, Tint::Amber, Tint::Green];

    /// The word for it on screen and in flags: `none`, `gray`, `amber`, `green`.
    pub fn name(self) -> &'static str {
        match self {
            Tint::None => "none",
            Tint::Gray => "gray",
            Tint::Amber => "amber",
            Tint::Green => "green",
        }
    }

    /// The next tint, in the order of [`Tint::ALL`], round and round.
    pub fn next(self) -> Tint {
        let at = Self::ALL.iter().position(|tint| *tint == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    /// The colours of this tint; `None` for a picture's own.
    pub(super) fn ramp(self) -> Option<Ramp> {
        // The glow, and what the brightest spots look like: RGB in 0…255. The glows are the
        // customary values for these phosphors on today's screens (#ffb000, #33ff33). A phosphor
        // never gets white, but its hue alone ends at 0.7 of white's luma, so the last fifth of the
        // range goes on to a paler one: faces keep their lights.
        let (glow, peak) = match self {
            Tint::None => return None,
            Tint::Gray => ([255.0; 3], [255.0; 3]),
            Tint::Amber => ([255.0, 176.0, 0.0], [255.0, 224.0, 150.0]),
            Tint::Green => ([51.0, 255.0, 51.0], [200.0, 255.0, 200.0]),
        };
        let (glow, peak) = (yuv(glow), yuv(peak));
        let mut ramp = Ramp { scale: peak[0] / 219.0, u: [128; 256], v: [128; 256] };
        for (luma, (u, v)) in ramp.u.iter_mut().zip(&mut ramp.v).enumerate() {
            let luma = (luma as f32 - 16.0).clamp(0.0, peak[0]);
            let part = |c: usize| {
                let value = if luma <= glow[0] || peak[0] <= glow[0] {
                    glow[c] * luma / glow[0]
                } else {
                    glow[c] + (peak[c] - glow[c]) * (luma - glow[0]) / (peak[0] - glow[0])
                };
                (128.0 + value).round() as u8
            };
            (*u, *v) = (part(1), part(2));
        }
        Some(ramp)
    }
}

impl Ramp {
    /// Luma shown for a luma of the picture.
    pub(super) fn luma(&self, level: f32) -> f32 {
        16.0 + (level.clamp(16.0, 235.0) - 16.0) * self.scale
    }
}

/// RGB in 0…255 to offsets from black (ITU-R BT.601-7 §2.5, limited range).
fn yuv([r, g, b]: [f32; 3]) -> [f32; 3] {
    let luma = 0.299 * r + 0.587 * g + 0.114 * b;
    let chroma = 224.0 / 255.0;
    [luma * 219.0 / 255.0, (b - luma) / 1.772 * chroma, (r - luma) / 1.402 * chroma]
}

impl std::fmt::Display for Tint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Tint {
    type Err = UnknownTint;

    fn from_str(s: &str) -> Result<Self, UnknownTint> {
        Tint::ALL.into_iter().find(|tint| tint.name() == s).ok_or(UnknownTint)
    }
}

/// The word is no tint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tint must be one of: none, gray, amber, green")]
pub struct UnknownTint;

#[cfg(test)]
mod tests {
    use super::*;

    /// BT.601 limited range to RGB.
    fn rgb(y: u8, u: u8, v: u8) -> [f32; 3] {
        let luma = (f32::from(y) - 16.0) * 255.0 / 219.0;
        let (d, e) = ((f32::from(u) - 128.0) / 112.0, (f32::from(v) - 128.0) / 112.0);
        let (b, r) = (luma + d * 0.886 * 255.0, luma + e * 0.701 * 255.0);
        [r, (luma - 0.299 * r - 0.114 * b) / 0.587, b]
    }

    #[test]
    fn names_and_parsing_agree_and_next_visits_all() {
        let mut tint = Tint::default();
        for expected in Tint::ALL {
            assert_eq!((tint, tint.name().parse()), (expected, Ok(tint)));
            assert!(UnknownTint.to_string().contains(tint.name()));
            tint = tint.next();
        }
        assert_eq!(tint, Tint::default());
        assert_eq!("sepia".parse::<Tint>(), Err(UnknownTint));
    }

    #[test]
    fn every_tint_keeps_black_and_the_order_of_lumas() {
        for tint in [Tint::Gray, Tint::Amber, Tint::Green] {
            let ramp = tint.ramp().unwrap();
            assert_eq!((ramp.luma(0.0), ramp.luma(16.0)), (16.0, 16.0));
            assert_eq!((ramp.u[16], ramp.v[16]), (128, 128), "{tint}");
            assert!(ramp.luma(235.0) > 200.0 && ramp.luma(100.0) > ramp.luma(99.0), "{tint}");
        }
    }

    #[test]
    fn gray_keeps_luma_and_has_no_colour() {
        let ramp = Tint::Gray.ramp().unwrap();
        for luma in 16..=235u8 {
            assert_eq!(ramp.luma(luma.into()).round() as u8, luma);
        }
        assert!(ramp.u.iter().chain(&ramp.v).all(|c| *c == 128));
    }

    #[test]
    fn phosphors_have_their_hue_at_every_luma_below_the_peak() {
        let hues = [(Tint::Amber, [1.0, 176.0 / 255.0, 0.0]), (Tint::Green, [0.2, 1.0, 0.2])];
        for (tint, hue) in hues {
            let ramp = tint.ramp().unwrap();
            for luma in 16..172usize {
                let y = ramp.luma(luma as f32).round() as u8;
                let shown = rgb(y, ramp.u[usize::from(y)], ramp.v[usize::from(y)]);
                let most = shown.into_iter().fold(0.0, f32::max);
                for (c, share) in shown.into_iter().zip(hue) {
                    assert!((c - most * share).abs() < 4.0, "{tint} {luma}: {shown:?}");
                }
            }
        }
    }
}
