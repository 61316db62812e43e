//! Shades. With few colours, a cell of one tone that no colour has is shown by two near colours in
//! the fine pattern of `░`, `▒` or `▓`, which is an even tone from where people sit: the palette of
//! 256 becomes one of thousands.

use super::few::{MEAN, nearest, sort_in};
use super::*;

/// Mixes kept for each colour of the table, best first.
const TRIED: usize = 4;
/// Colours whose mixes are tried for the table.
const NEAR: usize = 12;
/// What the pattern itself counts as an error, against one of the whole cell: it is finer than the
/// samples, but seen at close range if its colours are far apart. Looked at in xterm and found right; no
/// others were tried.
const TEXTURE: f32 = 0.05;
/// Mixes for one colour, best first.
pub(super) type Mixes = [Mix; TRIED];

/// `quarters` of colour `a`, the rest of `b`.
#[derive(Clone, Copy)]
pub(super) struct Mix {
    a: u8,
    b: u8,
    quarters: u8,
}

impl Mix {
    fn error(self, scheme: &Scheme, colour: [f32; 3]) -> f32 {
        let (a, b) = (scheme.indexed(self.a), scheme.indexed(self.b));
        distance(mix(a, b, self.quarters), colour) + texture(a, b, self.quarters)
    }
}

/// Squared error per sample and channel sum that the pattern counts for.
#[inline(always)]
fn texture(a: Ink, b: Ink, quarters: u8) -> f32 {
    let share = f32::from(quarters) * 0.25;
    TEXTURE * share * (1.0 - share) * distance(looks(a), looks(b))
}

/// The best mixes for a colour.
pub(super) fn best_mixes(scheme: &Scheme, colour: [f32; 3]) -> Mixes {
    let near: [u8; NEAR] = nearest(scheme, colour);
    let none = Mix { a: near[0], b: near[0], quarters: 2 };
    let mut best = [(f32::INFINITY, none); TRIED];
    for (i, a) in near.into_iter().enumerate() {
        for b in near.into_iter().take(i) {
            for quarters in 1..=3 {
                let mix = Mix { a, b, quarters };
                sort_in(&mut best, mix.error(scheme, colour), mix);
            }
        }
    }
    best.map(|(_, mix)| mix)
}

impl<const N: usize, const M: usize> Job<'_, N, M> {
    /// Shades of the best mixes for this cell, and of the pen's two colours.
    #[inline(always)]
    pub(super) fn shades(&self, search: &mut Search<'_>, grid: &Grid<N>, l: usize) {
        let flat = grid.fit.flat[l] + grid.more[l];
        if search.is_beyond(flat) {
            return;
        }
        let mean = grid.fit.mean.map(|c| c[l]);
        let n = N as f32;
        let table = search.table;
        let (pen_fg, pen_bg) = search.pen;
        let mut consider = |fg: Ink, bg: Ink, quarters: u8| {
            let off = distance(mix(fg, bg, quarters), mean);
            let error = flat + n * ((1.0 + MEAN) * off + texture(fg, bg, quarters));
            if search.is_beyond(error) {
                return;
            }
            search.consider_new(table.shade(quarters), error, (fg, bg));
        };
        if pen_fg != Ink::DEFAULT && pen_bg != Ink::DEFAULT {
            (1..=3).for_each(|quarters| consider(pen_fg, pen_bg, quarters));
        }
        for Mix { a, b, quarters } in self.scheme.mixes().at(mean) {
            let (a, b) = (self.scheme.indexed(*a), self.scheme.indexed(*b));
            consider(a, b, *quarters);
            consider(b, a, 4 - quarters);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::{RawFrame, Size};
    use crate::paint::{Ansi, Mode, Painter, Rect};
    use rand::{Rng, SeedableRng, rngs::StdRng};

    #[test]
    fn the_tables_mixes_are_nearly_as_good_as_all_mixes() {
        let mut rng = StdRng::seed_from_u64(1);
        let all = [(Depth::Indexed256, Ansi::XTERM), (Depth::Ansi16, Ansi::XTERM)];
        for (depth, ansi) in all.into_iter().chain([(Depth::Ansi16, Ansi::VGA)]) {
            let scheme = Scheme::of(depth, ansi);
            let palette = scheme.numbers();
            let (mut own, mut best) = (0.0, 0.0);
            for _ in 0..60 {
                let colour: [f32; 3] = std::array::from_fn(|_| rng.random_range(0..256) as f32);
                let least = |errors: &mut dyn Iterator<Item = f32>| errors.fold(f32::MAX, f32::min);
                let tried = scheme.mixes().at(colour);
                own += least(&mut tried.iter().map(|mix| mix.error(&scheme, colour)));
                let pairs = palette.clone().flat_map(|a| palette.clone().map(move |b| (a, b)));
                let all = pairs.flat_map(|(a, b)| (1..=2).map(move |q| Mix { a, b, quarters: q }));
                best += least(&mut all.map(|mix| mix.error(&scheme, colour)));
            }
            assert!(own <= best * 1.6, "{depth:?}: {own} for {best}");
        }
    }

    #[test]
    fn tones_between_the_palettes_colours_are_met_by_shades_and_stay() {
        let mut rng = StdRng::seed_from_u64(2);
        for depth in [Depth::Indexed256, Depth::Ansi16] {
            for mode in [Mode::Half, Mode::Quadrant, Mode::Sextant, Mode::MixedOctant] {
                let (mut own, mut nearest) = (0.0, 0.0);
                for _ in 0..20 {
                    let mut f = RawFrame::black(Size::new(32, 32), Default::default());
                    f.y.fill(rng.random_range(60..200));
                    f.u.fill(rng.random_range(110..146));
                    f.v.fill(rng.random_range(110..146));
                    let (y, d, e) = (
                        1.164_383 * (f32::from(f.y[0]) - 16.0),
                        f32::from(f.u[0]) - 128.0,
                        f32::from(f.v[0]) - 128.0,
                    );
                    let colour =
                        [y + 1.596_027 * e, y - 0.391_762 * d - 0.812_968 * e, y + 2.017_232 * d]
                            .map(|v| v.clamp(0.0, 255.0));
                    let mut painter = Painter::new(mode, depth);
                    painter.place(Rect { x: 0, y: 0, cols: 8, rows: 4 }, (10, 20));
                    painter.refresh_every(0);
                    painter.paint(&f, &mut Vec::new());
                    let cell = painter.cells().next().expect("painted");
                    let glyph = cell.glyph.chars().next().unwrap_or(' ');
                    let quarters = match crate::paint::svg::shade(glyph) {
                        0 if glyph == '█' => 4,
                        quarters => quarters as u8,
                    };
                    own += distance(mix(cell.fg, cell.bg, quarters), colour);
                    nearest += distance(looks(depth.ink(colour)), colour);
                    let again = painter.paint(&f, &mut Vec::new());
                    assert_eq!(again.written, 0, "{mode} {depth:?} {}", cell.glyph);
                }
                assert!(own * 3.0 < nearest, "{mode} {depth:?}: {own} for {nearest}");
            }
        }
    }
}
