//! The tone of a picture: contrast for dark rooms, and tints ([`Tint`]).
//!
//! People who live in terminals sit in dark rooms: a webcam then uses a quarter of the range, and a
//! terminal's few hundred cells show a black rectangle. [`Tone`] looks at each picture's lumas and
//! stretches them over the range. The curve is one table for luma and one gain for colour, applied
//! to the picture *before* it is scaled: both painters stay as they are, and what they compare with
//! the screen is the picture shown. Grain, which would be stretched too, is calmed first
//! ([`Calm`]).
//!
//! A curve that moves is dear: every cell of a still picture changes with it, and a terminal's bytes
//! are what a call is short of. So it moves rarely: only when the light has changed by more than a
//! dead band does it follow, then it stands exactly still again. And it takes part only where there
//! is something to gain: a picture that uses its range passes untouched, bit for bit.

use super::calm::{Calm, Table};
use super::scale::is_whole;
use super::tint::{Ramp, Tint};
use crate::media::frame::{RawFrame, Size};
use crate::time::MediaTime;

/// What is done to a picture's tone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tones {
    /// Stretch the contrast of dark and dull pictures.
    pub stretch: bool,
    /// The colour of it all.
    pub tint: Tint,
}

/// Black and white of limited range.
const BLACK: f32 = 16.0;
const WHITE: f32 = 235.0;
/// A picture whose brightest hundredth is as bright as this has its lights. Webcams with their
/// exposure right put that at 200…235; the rest is left for what is brighter still.
const BRIGHT: f32 = 212.0;
/// Shadows from here up are veiled: they are pulled down to it, by at most [`MOST_VEIL`].
const DARK: f32 = 26.0;
const MOST_VEIL: f32 = 32.0;
/// Half of the picture below this: it is dark whatever lamp stands in it. 0.15 of the range; faces
/// in front of dark walls stay above.
const MURKY: f32 = 49.0;
/// Most that luma differences grow by. Grain grows alike: beyond 3 a webcam's is all one sees.
const MOST_GAIN: f32 = 3.0;
/// Most that a lift adds to the gain at black, over the stretch.
const MOST_LIFT: f32 = 1.0;
/// Most that colour differences grow by: chroma's noise is coarser than luma's.
const MOST_COLOUR: f32 = 2.5;
/// Between the darkest and the brightest hundredth of 4x4 means: up to `FLAT` levels it is noise (a
/// covered lens: grain of σ = 6 makes 7) and there is no stretch, from `STEEP` on there is all.
const FLAT: f32 = 10.0;
const STEEP: f32 = 30.0;
/// Time constants, in seconds: of smoothing a picture's levels, and of following them. A camera's
/// own exposure takes about as long.
const SMOOTH: f32 = 1.0;
const FOLLOW: f32 = 0.7;
/// Following ends at the latest after so many seconds.
const LONGEST: f32 = 8.0;
/// The curve follows when it would show some luma this many levels otherwise: people's movements
/// come to 2…8, a lamp to tens.
const DEAD: f32 = 12.0;
/// Levels shown within which a following curve has arrived.
const NEAR: f32 = 2.0;
/// A change of the three levels by this much on average is another scene: the curve jumps.
const JUMP: f32 = 30.0;
/// Blocks of this many pixels, across and down, count as one sample: as the painters do, they
/// average the grain away.
const BLOCK: usize = 4;

/// Where the lumas of a picture lie, in levels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Levels {
    /// A hundredth is darker.
    low: f32,
    /// The median.
    mid: f32,
    /// A hundredth is brighter.
    high: f32,
}

impl Levels {
    /// The levels of a picture without this share of its height at the bottom (a measuring strip).
    /// Pure black doesn't count: bars are no shadows. `None`: it is (nearly) all there is.
    fn of(f: &RawFrame, crop_bottom: f32, sums: &mut Vec<u16>) -> Option<Self> {
        let width = usize::from(f.size.width);
        let shown = f.y.len() as f32 * (1.0 - crop_bottom.clamp(0.0, 0.5));
        let mut bins = [0u32; 256];
        for rows in f.y[..shown as usize].chunks_exact(BLOCK * width) {
            sums.clear();
            sums.resize(width, 0);
            for row in rows.chunks_exact(width) {
                sums.iter_mut().zip(row).for_each(|(sum, y)| *sum += u16::from(*y));
            }
            for block in sums.as_chunks::<BLOCK>().0 {
                let mean = block.iter().sum::<u16>() / (BLOCK * BLOCK) as u16;
                bins[usize::from(mean.min(255))] += 1;
            }
        }
        let all: u32 = bins.iter().sum();
        // The codec turns black into black and a bit.
        bins[..=17].fill(0);
        let count: u32 = bins.iter().sum();
        if count == 0 || count < all / 16 {
            return None;
        }
        let percentile = |share: f32| {
            let mut left = (count as f32 * share).max(1.0);
            for (level, n) in bins.iter().enumerate() {
                left -= *n as f32;
                if left <= 0.0 {
                    return level as f32;
                }
            }
            255.0
        };
        Some(Self { low: percentile(0.01), mid: percentile(0.5), high: percentile(0.99) })
    }

    /// Mean difference of the levels.
    fn distance(&self, other: &Self) -> f32 {
        let by = |a: f32, b: f32| (a - b).abs();
        (by(self.low, other.low) + by(self.mid, other.mid) + by(self.high, other.high)) / 3.0
    }

    /// This share of the way to `to`.
    fn towards(&self, to: &Self, share: f32) -> Self {
        Self {
            low: mix(self.low, to.low, share),
            mid: mix(self.mid, to.mid, share),
            high: mix(self.high, to.high, share),
        }
    }
}

fn mix(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}

/// The curve's parameters: `out = lift(gain · (luma − black))`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stretch {
    black: f32,
    gain: f32,
    lift: f32,
    /// Of colour differences.
    colour: f32,
}

impl Stretch {
    const NONE: Self = Self { black: BLACK, gain: 1.0, lift: 0.0, colour: 1.0 };

    fn of(levels: &Levels) -> Self {
        let sure = ((levels.high - levels.low - FLAT) / (STEEP - FLAT)).clamp(0.0, 1.0);
        let veil = sure * (levels.low - DARK).clamp(0.0, MOST_VEIL);
        let black = BLACK + veil;
        let most = 1.0 + sure * (MOST_GAIN - 1.0);
        let gain = (levels.high.max(BRIGHT) - BLACK) / (levels.high - black).max(1.0);
        let mut this = Self { black, gain: gain.clamp(1.0, most), ..Self::NONE };
        // A murky median goes half the way to where it would be none: night stays night.
        let mid = this.luma(levels.mid).max(0.01);
        let murky = (MURKY - BLACK) / (WHITE - BLACK);
        if mid < murky {
            let to = (mid + murky) / 2.0;
            this.lift = ((to - mid) / (mid * (1.0 - to))).min(sure * MOST_LIFT);
        }
        if this.gain < 1.03 && veil < 1.0 && this.lift < 0.03 {
            return Self::NONE;
        }
        // By how much the brightest grow, who grow least: whoever is darker can't leave the range.
        let bright = (levels.high - BLACK).max(1.0) / (WHITE - BLACK);
        this.colour = (this.luma(levels.high) / bright).clamp(1.0, MOST_COLOUR);
        this
    }

    /// The curve, from levels to 0…1.
    fn luma(&self, level: f32) -> f32 {
        let x = ((level - self.black) * self.gain / (WHITE - BLACK)).clamp(0.0, 1.0);
        // A gamma curve's slope at black has no bound; this one's is 1 + lift.
        x * (1.0 + self.lift) / (1.0 + self.lift * x)
    }

    /// How many levels apart the two show some luma, at most.
    fn distance(&self, other: &Self) -> f32 {
        let apart = |level: u8| (self.luma(level.into()) - other.luma(level.into())).abs();
        let most = (16..=235).step_by(8).map(apart).fold(0.0, f32::max);
        most * (WHITE - BLACK)
    }

    /// This share of the way to `to`.
    fn towards(&self, to: &Self, share: f32) -> Self {
        Self {
            black: mix(self.black, to.black, share),
            gain: mix(self.gain, to.gain, share),
            lift: mix(self.lift, to.lift, share),
            colour: mix(self.colour, to.colour, share),
        }
    }

    /// The luma shown for a level of the picture.
    fn shown(&self, level: f32) -> f32 {
        if *self == Self::NONE { level } else { BLACK + (WHITE - BLACK) * self.luma(level) }
    }
}

/// What a picture's samples become.
struct Curve {
    y: Table,
    colour: Colour,
}

enum Colour {
    /// Of either colour difference.
    Own(Box<Table>),
    /// Both, per luma shown.
    Tinted(Box<Ramp>),
}

impl Curve {
    fn new(stretch: &Stretch, tint: Tint) -> Self {
        if let Some(ramp) = tint.ramp() {
            let y = Table::new(|level| ramp.luma(stretch.shown(level)));
            return Self { y, colour: Colour::Tinted(Box::new(ramp)) };
        }
        let gain = stretch.colour;
        let own = Table::new(|level| (128.0 + (level - 128.0) * gain).clamp(16.0, 240.0));
        Self { y: Table::new(|level| stretch.shown(level)), colour: Colour::Own(Box::new(own)) }
    }

    /// Shows a picture, calmed if it is stretched. (What is neither stretched nor tinted doesn't
    /// come here, so colour differences are tinted or calmed.)
    fn apply(&self, f: &RawFrame, calm: Option<&mut Calm>, out: &mut RawFrame) {
        let chroma = match &self.colour {
            Colour::Own(table) => Some(&**table),
            Colour::Tinted(_) => None,
        };
        if let Some(calm) = calm {
            calm.apply(f, [Some(&self.y), chroma, chroma], out);
        } else {
            out.clone_from(f);
            for y in &mut out.y {
                *y = self.y.whole(*y);
            }
        }
        if let Colour::Tinted(ramp) = &self.colour {
            tinted(out, &ramp.u, &ramp.v);
        }
    }
}

/// Colour differences from the mean luma of the four pixels that share them.
fn tinted(f: &mut RawFrame, u: &[u8; 256], v: &[u8; 256]) {
    let width = usize::from(f.size.width);
    f.u.clear();
    f.v.clear();
    for rows in f.y.chunks(2 * width) {
        let (upper, lower) = rows.split_at(width);
        // Odd sizes: the last row or column stands for the missing one.
        let lower = if lower.is_empty() { upper } else { lower };
        for (a, b) in upper.chunks(2).zip(lower.chunks(2)) {
            let sum = [a[0], a[a.len() - 1], b[0], b[b.len() - 1]].map(u16::from);
            let mean = usize::from((sum.iter().sum::<u16>() + 2) / 4);
            f.u.push(u[mean]);
            f.v.push(v[mean]);
        }
    }
}

/// The tone of one tile's pictures.
pub(super) struct Tone {
    tones: Tones,
    /// Smoothed levels of the pictures, and the time of the last; `None` before the first.
    seen: Option<(Levels, MediaTime)>,
    /// The stretch in use.
    held: Stretch,
    /// Seconds since it began to follow; `None`: it stands still.
    following: Option<f32>,
    /// What the curve was made from.
    made: (Stretch, Tint),
    curve: Curve,
    calm: Calm,
    sums: Vec<u16>,
    shown: RawFrame,
}

impl Default for Tone {
    fn default() -> Self {
        Self {
            tones: Tones::default(),
            seen: None,
            held: Stretch::NONE,
            following: None,
            made: (Stretch::NONE, Tint::None),
            curve: Curve::new(&Stretch::NONE, Tint::None),
            calm: Calm::default(),
            sums: Vec::new(),
            shown: RawFrame::black(Size::new(0, 0), MediaTime::default()),
        }
    }
}

impl Tone {
    pub(super) fn set(&mut self, tones: Tones) {
        if !tones.stretch {
            self.forget();
        }
        self.tones = tones;
    }

    pub(super) fn tones(&self) -> Tones {
        self.tones
    }

    /// The picture as it is to be shown: itself where there is nothing to do. `crop_bottom` is the
    /// share of its height that won't be shown.
    pub(super) fn show<'a>(&'a mut self, f: &'a RawFrame, crop_bottom: f32) -> &'a RawFrame {
        if self.tones == Tones::default() || !is_whole(f) {
            return f;
        }
        if self.tones.stretch {
            let levels = Levels::of(f, crop_bottom, &mut self.sums);
            self.look(levels, f.at);
        }
        let wanted = (self.held, self.tones.tint);
        let plain = self.held == Stretch::NONE;
        if plain {
            self.calm.forget();
        }
        if plain && self.tones.tint == Tint::None {
            return f;
        }
        if self.made != wanted {
            self.made = wanted;
            self.curve = Curve::new(&self.held, self.tones.tint);
        }
        self.curve.apply(f, (!plain).then_some(&mut self.calm), &mut self.shown);
        &self.shown
    }

    /// Takes in a picture's levels: holds, moves or replaces the stretch.
    fn look(&mut self, levels: Option<Levels>, at: MediaTime) {
        // After black comes another scene.
        let Some(levels) = levels else { return self.forget() };
        let before = self.seen.filter(|(seen, _)| seen.distance(&levels) < JUMP);
        let Some((seen, then)) = before else {
            self.seen = Some((levels, at));
            self.held = Stretch::of(&levels);
            self.following = None;
            return;
        };
        // Pictures without times come 30 a second.
        let passed = at.saturating_since(then).as_secs_f32();
        let passed = if passed > 0.0 { passed } else { 1.0 / 30.0 };
        let seen = seen.towards(&levels, 1.0 - (-passed / SMOOTH).exp());
        self.seen = Some((seen, at));
        let there = Stretch::of(&seen);
        if self.following.is_none() && self.held.distance(&there) > DEAD {
            self.following = Some(0.0);
        }
        let Some(since) = self.following else { return };
        let since = since + passed;
        self.held = self.held.towards(&there, 1.0 - (-passed / FOLLOW).exp());
        let arrived =
            self.held.distance(&Stretch::of(&levels)) < NEAR && self.held.distance(&there) < NEAR;
        if arrived {
            self.held = there;
        }
        self.following = (!arrived && since < LONGEST).then_some(since);
    }

    fn forget(&mut self) {
        (self.seen, self.held, self.following) = (None, Stretch::NONE, None);
    }
}

#[cfg(test)]
mod tests;
