//! The writer's decision, cell by cell: keep what stands there, reuse the colours just set, or
//! send new ones – whichever has the least `error + λ·bytes`.
//!
//! A mode may have glyphs on two grids of samples at once (sextants and octants, say). Their errors
//! are compared as if both were measured on the finest grid of all: there a pattern's error is the
//! cell's whole variance less what the pattern explains, and the latter is the same on the pattern's
//! own grid. So each grid's errors get a fixed addition per cell: the variance that the other grid
//! sees and it doesn't.

mod few;
mod full;
mod grid;
mod plain;
mod scheme;
mod shade;

pub(super) use grid::Table;
use grid::{Grid, level, load, mix};
pub(super) use scheme::Scheme;

use super::Rect;
use super::colour::{Depth, Ink};
use super::fit::{LANES, Lanes};
use super::mode::Glyphs;
use super::painter::Stats;
use super::quality::Quality;
use super::scale::Plan;
use super::simd::Work;
use super::writer::{Writer, ink_cost};
use crate::media::frame::RawFrame;

/// What stands on the screen inside a tile, as far as we know.
#[derive(Default)]
pub(super) struct Shadow {
    pub(super) cols: usize,
    pub(super) rows: usize,
    /// Distance of rows in the vectors below: columns rounded up to whole lanes.
    pub(super) stride: usize,
    /// Places in the [`Table`] of glyphs.
    pub(super) glyph: Vec<u16>,
    pub(super) fg: Vec<Ink>,
    pub(super) bg: Vec<Ink>,
    /// The look of both colours as numbers: red, green, blue of ink, then of paper.
    look: [Vec<f32>; 6],
    /// Squared error of the cell when it was written, or when its picture last moved …
    base: Vec<f32>,
    /// … and for how many thirtieths of a second its picture has stood still since.
    still: Vec<f32>,
    /// Squared error at the last picture …
    last: Vec<f32>,
    /// … and by how much that changes from picture to picture, smoothed.
    jitter: Vec<f32>,
    /// The terminal shows this cell as noted here.
    pub(super) shown: Vec<bool>,
    /// Something else is drawn over this cell: never write it.
    pub(super) covered: Vec<bool>,
}

impl Shadow {
    pub(super) fn new(cols: usize, rows: usize) -> Self {
        let stride = cols.next_multiple_of(LANES);
        let n = stride * rows;
        Self {
            cols,
            rows,
            stride,
            glyph: vec![0; n],
            fg: vec![Ink::rgb([0; 3]); n],
            bg: vec![Ink::rgb([0; 3]); n],
            look: std::array::from_fn(|_| vec![0.0; n]),
            base: vec![0.0; n],
            still: vec![0.0; n],
            last: vec![0.0; n],
            jitter: vec![0.0; n],
            shown: vec![false; n],
            covered: vec![false; n],
        }
    }

    #[inline(always)]
    fn set(&mut self, i: usize, glyph: u16, fg: Ink, bg: Ink, table: &Table) {
        self.glyph[i] = glyph;
        self.fg[i] = fg;
        self.bg[i] = bg;
        let quarters = table.quarters(glyph);
        let (ink, paper) = if quarters == 0 {
            (fg.look([255; 3]).map(f32::from), bg.look([0; 3]).map(f32::from))
        } else {
            [mix(fg, bg, quarters); 2].into()
        };
        for c in 0..3 {
            self.look[c][i] = ink[c];
            self.look[3 + c][i] = paper[c];
        }
    }

    /// The colours that the glyph of cell `i` needs: a space has no ink, a full block no paper.
    #[inline(always)]
    pub(super) fn needs(&self, i: usize, table: &Table) -> (Option<Ink>, Option<Ink>) {
        let (ink, paper) = table.shows(self.glyph[i]);
        (ink.then(|| self.fg[i]), paper.then(|| self.bg[i]))
    }
}

/// One picture into one tile. `N` is the number of samples per cell, `M` that of the second grid (0:
/// there is none).
pub(super) struct Job<'a, const N: usize, const M: usize> {
    pub(super) plan: &'a Plan,
    pub(super) second: Option<&'a Plan>,
    pub(super) frame: &'a RawFrame,
    pub(super) rect: Rect,
    pub(super) depth: Depth,
    pub(super) scheme: &'a Scheme,
    pub(super) driver: &'static dyn Glyphs,
    pub(super) table: &'a Table,
    pub(super) lambda: f32,
    /// Time since the last picture, in thirtieths of a second.
    pub(super) ticks: f32,
    /// First cell (in reading order) and number of cells to write whatever they hold.
    pub(super) refresh: (usize, usize),
    pub(super) shadow: &'a mut Shadow,
    pub(super) line: &'a mut Vec<f32>,
    /// Of both grids.
    pub(super) samples: &'a mut [Vec<f32>; 2],
    pub(super) writer: Writer<'a>,
}

impl<const N: usize, const M: usize> Work for Job<'_, N, M> {
    type Out = Stats;

    #[inline(always)]
    fn run(mut self) -> Stats {
        let stride = self.shadow.stride;
        let [mut samples, mut other] = std::mem::take(self.samples);
        samples.resize(N * 3 * stride, 0.0);
        other.resize(M * 3 * stride, 0.0);
        let mut line = std::mem::take(self.line);
        let mut stats = Stats::default();
        let mut error = 0.0f64;
        let plain = N == 1 || self.depth == Depth::Mono || self.driver.dots();
        let few = matches!(self.depth, Depth::Indexed256 | Depth::Ansi16);
        for row in 0..self.shadow.rows {
            self.plan.row(self.frame, row, &mut line, &mut samples);
            if let Some(second) = self.second.filter(|_| M > 0 && !plain) {
                second.row(self.frame, row, &mut line, &mut other);
            }
            if plain {
                self.dither(row, &mut samples);
            }
            for block in 0..stride / LANES {
                let cells = load::<N>(&samples, stride, block);
                let first = row * stride + block * LANES;
                let here = LANES.min(self.shadow.cols - block * LANES);
                if plain {
                    for l in 0..here {
                        let cell: [[f32; 3]; N] = std::array::from_fn(|k| cells[k].map(|c| c[l]));
                        let at = (block * LANES + l, row);
                        error += f64::from(self.plain_cell(&cell, first + l, at, &mut stats));
                    }
                    continue;
                }
                let mut a = Grid::new(cells, 0);
                // Without a second grid nothing of it is computed.
                let b = (M > 0).then(|| {
                    let mut b = Grid::new(load::<M>(&other, stride, block), 1 << N);
                    level(&mut a, &mut b);
                    b
                });
                let column = block * LANES;
                error += if few {
                    self.few_block(&a, b.as_ref(), (first, here), (column, row), &mut stats)
                } else {
                    self.full_block(&a, b.as_ref(), (first, here), (column, row), &mut stats)
                };
            }
            self.writer.end_row();
        }
        self.writer.finish();
        *self.samples = [samples, other];
        *self.line = line;
        let counted = (stats.written + stats.kept).max(1) * N * 3;
        stats.error = error / counted as f64;
        stats
    }
}

/// A change of the mean squared error by this much may be noise of the camera.
const NOISE: f32 = 2.0;
/// A picture that stands still for less than this many thirtieths of a second may still be in motion.
const FRESH: f32 = 4.0;
/// The least price of a byte in a cell whose error changes by 1 from picture to picture, all else
/// being still.
const WAVER: f32 = 0.1;
/// Longer than this is the same.
const LONG: f32 = 1000.0;

/// A choice for one cell, while the best is searched.
#[derive(Clone, Copy)]
struct Choice {
    score: f32,
    error: f32,
    glyph: u16,
    fg: Ink,
    bg: Ink,
}

#[inline(always)]
fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    let d = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
}

#[inline(always)]
fn looks(ink: Ink) -> [f32; 3] {
    ink.look([0; 3]).map(f32::from)
}

/// Bytes of an SGR sequence with colours of these lengths (0: not set).
#[inline(always)]
fn sgr(fg: usize, bg: usize) -> usize {
    match (fg, bg) {
        (0, 0) => 0,
        (a, 0) | (0, a) => 3 + a,
        (a, b) => 4 + a + b,
    }
}

/// The search for the best choice for one cell.
struct Search<'a> {
    table: &'a Table,
    lambda: f32,
    move_cost: usize,
    pen: (Ink, Ink),
    best: Choice,
}

impl Search<'_> {
    /// Whether nothing with at least this error can be better than what was found.
    #[inline(always)]
    fn is_beyond(&self, error: f32) -> bool {
        !self.could(error, 0)
    }

    /// Whether a glyph with this error and so many bytes for its colours can be better than what
    /// was found.
    #[inline(always)]
    fn could(&self, error: f32, colours: usize) -> bool {
        error + self.lambda * ((self.move_cost + colours + 3) as f32) < self.best.score
    }

    /// Bytes to set these colours.
    #[inline(always)]
    fn colours(&self, (fg, bg): (Ink, Ink)) -> usize {
        let fg_cost = if fg == self.pen.0 { 0 } else { ink_cost(fg, false) };
        let bg_cost = if bg == self.pen.1 { 0 } else { ink_cost(bg, true) };
        sgr(fg_cost, bg_cost)
    }

    /// `colours`: bytes to set them.
    #[inline(always)]
    fn consider(&mut self, glyph: u16, error: f32, colours: usize, (fg, bg): (Ink, Ink)) {
        let bytes = self.move_cost + colours + self.table.text(glyph).len();
        let score = error + self.lambda * bytes as f32;
        if score < self.best.score {
            self.best = Choice { score, error, glyph, fg, bg };
        }
    }

    /// The same, with the colours' bytes to be found out.
    #[inline(always)]
    fn consider_new(&mut self, glyph: u16, error: f32, (fg, bg): (Ink, Ink)) {
        self.consider(glyph, error, self.colours((fg, bg)), (fg, bg));
    }
}

impl<'a, const N: usize, const M: usize> Job<'a, N, M> {
    /// What a byte may cost in each of [`LANES`] cells. An error that was seen for `n` pictures will
    /// probably be seen for as many more, so where the picture stands still it is forgiven less and
    /// less: within a second, what motion left coarse becomes fine. But there is no use in following
    /// grain, which is different in the next picture.
    #[inline(always)]
    fn prices(&mut self, keep: &Lanes, first: usize) -> Lanes {
        let block = first..first + LANES;
        let base = &mut self.shadow.base[block.clone()];
        let still = &mut self.shadow.still[block.clone()];
        let last = &mut self.shadow.last[block.clone()];
        let jitter = &mut self.shadow.jitter[block];
        let share = 1.0 / (N * 3) as f32;
        let noise = NOISE * (N * 3) as f32;
        let mut price = [self.lambda; LANES];
        for l in 0..LANES {
            let moved = (keep[l] - base[l]).abs() > 0.6 * base[l] + noise;
            base[l] = if moved { keep[l] } else { base[l] };
            still[l] = if moved { 0.0 } else { (still[l] + self.ticks).min(LONG) };
            jitter[l] += ((keep[l] - last[l]).abs() - jitter[l]) * 0.25;
            last[l] = keep[l];
            let worth = (still[l] / FRESH).max(1.0);
            let fine = (Quality::MIN + WAVER * jitter[l] * share).min(self.lambda);
            price[l] = (self.lambda / (worth * worth)).max(fine);
        }
        price
    }

    /// Begins the search for cell `i` with what staying would come to; `None`: it stays. `bound` is
    /// an error that no choice can be below.
    #[inline(always)]
    fn search(
        &self,
        (keep, price): (f32, f32),
        bound: f32,
        i: usize,
        (col, row): (usize, usize),
    ) -> Option<Search<'a>> {
        // Free bytes still break ties.
        let lambda = price.max(1e-3) * (N * 3) as f32;
        let stays = self.shadow.shown[i] && !self.is_due(col, row);
        let score = if stays { keep } else { f32::INFINITY };
        // Nothing is cheaper than one byte.
        if score <= bound + lambda {
            return None;
        }
        let (x, y) = (self.rect.x + col as u16, self.rect.y + row as u16);
        let best = Choice { score, error: keep, glyph: 0, fg: Ink::DEFAULT, bg: Ink::DEFAULT };
        let move_cost = self.writer.move_cost(x, y);
        let pen = (self.writer.fg, self.writer.bg);
        Some(Search { table: self.table, lambda, move_cost, pen, best })
    }

    /// Ends the search: writes what was found, if that isn't what stands there. The error.
    #[inline(always)]
    fn found(
        &mut self,
        search: Option<Search<'_>>,
        keep: f32,
        i: usize,
        (col, row): (usize, usize),
        stats: &mut Stats,
    ) -> f32 {
        let Some(best) = search.map(|search| search.best).filter(|best| {
            // Still what it began with.
            best.fg != Ink::DEFAULT || best.bg != Ink::DEFAULT
        }) else {
            stats.kept += 1;
            return keep;
        };
        // Without colours on the pen yet, a lone glyph takes its missing half from its other half.
        let fg = if best.fg == Ink::DEFAULT { best.bg } else { best.fg };
        let bg = if best.bg == Ink::DEFAULT { best.fg } else { best.bg };
        self.shadow.set(i, best.glyph, fg, bg, self.table);
        (self.shadow.base[i], self.shadow.last[i]) = (best.error, best.error);
        let at = (self.rect.x + col as u16, self.rect.y + row as u16);
        self.emit(i, col, at, stats);
        best.error
    }

    #[inline(always)]
    fn is_due(&self, col: usize, row: usize) -> bool {
        let total = self.shadow.cols * self.shadow.rows;
        let index = row * self.shadow.cols + col;
        (index + total - self.refresh.0) % total < self.refresh.1
    }

    /// Writes cell `i` from the shadow, if nothing lies over it.
    #[inline(always)]
    fn emit(&mut self, i: usize, col: usize, at: (u16, u16), stats: &mut Stats) {
        let covered = self.shadow.covered[i];
        self.shadow.shown[i] = !covered;
        if covered {
            return;
        }
        stats.written += 1;
        write_cell(self.shadow, &mut self.writer, self.table, self.rect.x, i, col, at);
    }
}

/// Writes one cell of the shadow. A short gap of cells that need no other colours than the pen's
/// is cheaper written again than jumped over.
pub(super) fn write_cell(
    shadow: &Shadow,
    writer: &mut Writer<'_>,
    table: &Table,
    left: u16,
    i: usize,
    col: usize,
    at: (u16, u16),
) {
    if let Some(cursor) = writer.column_in(at.1).filter(|c| *c < at.0) {
        let gap = usize::from(at.0 - cursor);
        let room = writer.move_cost(at.0, at.1);
        if gap <= room {
            let cells = i - gap..i;
            let fits = |j: usize| {
                let (fg, bg) = shadow.needs(j, table);
                shadow.shown[j] && writer.colour_cost(fg, bg) == 0
            };
            let bytes: usize = cells.clone().map(|j| table.text(shadow.glyph[j]).len()).sum();
            if bytes <= room && cells.clone().all(fits) {
                for (n, j) in cells.enumerate() {
                    let x = left + (col - gap + n) as u16;
                    writer.put((x, at.1), table.text(shadow.glyph[j]), None, None);
                }
            }
        }
    }
    let (fg, bg) = shadow.needs(i, table);
    writer.put(at, table.text(shadow.glyph[i]), fg, bg);
}

#[cfg(test)]
mod tests {
    use crate::media::frame::{RawFrame, Size};
    use crate::paint::svg::{H, W, ink_at, shade};
    use crate::paint::{Depth, Mode, Painted, Painter, Quality, Rect};
    use rand::{Rng, SeedableRng, rngs::StdRng};

    const COLS: usize = 16;
    const ROWS: usize = 4;

    /// Gray cells of `W`×`H` pixels with an edge, a slope, or noise in blocks.
    fn picture(rng: &mut StdRng) -> RawFrame {
        let size = Size::new((COLS * W) as u16, (ROWS * H) as u16);
        let mut f = RawFrame::black(size, Default::default());
        for cell in 0..COLS * ROWS {
            let (left, top) = (cell % COLS * W, cell / COLS * H);
            let (a, b) = (rng.random_range(16..236) as f32, rng.random_range(16..236) as f32);
            let (nx, ny) = (rng.random_range(-1.0..1.0f32), rng.random_range(-0.5..0.5f32));
            let edge = rng.random_range(-6.0..6.0f32);
            for y in 0..H {
                for x in 0..W {
                    let along = nx * (x as f32 - 5.5) + ny * (y as f32 - 11.5);
                    let value = match cell % 3 {
                        0 if along > edge => a,
                        0 => b,
                        1 => a + (b - a) * (along / 24.0 + 0.5),
                        _ => a + ((x / 6 + y / 6 * 2) * 37 % 23) as f32,
                    };
                    f.y[(top + y) * COLS * W + left + x] = value.clamp(16.0, 235.0) as u8;
                }
            }
        }
        f
    }

    /// The pixels of a cell, as brightness in 0…255.
    fn pixels(f: &RawFrame, cell: usize) -> Vec<f32> {
        let (left, top) = (cell % COLS * W, cell / COLS * H);
        let at = |i: usize| f32::from(f.y[(top + i / W) * COLS * W + left + i % W]);
        (0..W * H).map(|i| (1.164_383 * (at(i) - 16.0)).clamp(0.0, 255.0)).collect()
    }

    /// Squared error of a cell drawn with this glyph in its two best grays.
    fn error(pixels: &[f32], glyph: char) -> f32 {
        [true, false]
            .map(|side| {
                let inside = (0..W * H).filter(|i| ink_at(glyph, i % W, i / W) == side);
                let values: Vec<f32> = inside.map(|i| pixels[i]).collect();
                let mean = values.iter().sum::<f32>() / values.len().max(1) as f32;
                values.iter().map(|v| (v - mean).powi(2)).sum::<f32>()
            })
            .iter()
            .sum()
    }

    fn painted(mode: Mode, f: &RawFrame) -> Vec<Painted> {
        let mut painter = Painter::new(mode, Depth::True);
        let (cols, rows) = (COLS as u16, ROWS as u16);
        painter.place(Rect { x: 0, y: 0, cols, rows }, (W as u16, H as u16));
        *painter.quality() = Quality::fixed(0.0);
        painter.paint(f, &mut Vec::new());
        painter.cells().collect()
    }

    #[test]
    fn a_mixed_cell_has_the_best_glyph_of_both_grids() {
        let mut rng = StdRng::seed_from_u64(7);
        for (mode, sets) in [
            (Mode::Mixed, [Mode::Sextant, Mode::Quadrant]),
            (Mode::MixedOctant, [Mode::Octant, Mode::Sextant]),
        ] {
            let mut used = std::collections::BTreeSet::new();
            for _ in 0..5 {
                let f = picture(&mut rng);
                for (i, cell) in painted(mode, &f).iter().enumerate() {
                    let pixels = pixels(&f, i);
                    let glyphs = sets.iter().flat_map(|set| {
                        let (across, down) = set.samples();
                        (0..1u32 << (across * down)).map(|p| set.driver().glyph(p as u8))
                    });
                    let errors = glyphs.map(|g| error(&pixels, g.chars().next().unwrap()));
                    let best = errors.fold(f32::INFINITY, f32::min);
                    let own = error(&pixels, cell.glyph.chars().next().unwrap());
                    // Colours are whole numbers: what differs by that is the same.
                    let slack = (W * H) as f32 + best * 0.01;
                    assert!(own <= best + slack, "{mode}, {}: {own} for {best}", cell.glyph);
                    used.insert(cell.glyph);
                }
            }
            for set in sets {
                let others = sets.iter().filter(|other| **other != set);
                let elsewhere: Vec<_> =
                    others.flat_map(|m| (0..=255u8).map(|p| m.driver().glyph(p))).collect();
                let only = used.iter().any(|g| {
                    !elsewhere.contains(g) && (0..=255).any(|p| set.driver().glyph(p) == *g)
                });
                assert!(only, "{mode} uses {set}");
            }
        }
    }

    #[test]
    fn with_few_colours_a_cells_mean_is_right_though_no_colour_is() {
        // A gray between two of the palette's, 10 apart from each other.
        let (mut f, mut most) = (picture(&mut StdRng::seed_from_u64(8)), 0.0f32);
        for luma in (60..200).step_by(7) {
            f.y.fill(luma);
            let true_gray = 1.164_383 * (f32::from(luma) - 16.0);
            let mut painter = Painter::new(Mode::Octant, Depth::Indexed256);
            painter.place(Rect { x: 0, y: 0, cols: COLS as u16, rows: ROWS as u16 }, (12, 24));
            *painter.quality() = Quality::fixed(0.0);
            painter.paint(&f, &mut Vec::new());
            for cell in painter.cells() {
                let glyph = cell.glyph.chars().next().unwrap();
                let covered = (0..W * H).filter(|i| ink_at(glyph, i % W, i / W)).count();
                let ink = f32::from(shade(glyph)) / 4.0 + covered as f32 / (W * H) as f32;
                let gray = |c: [u8; 3]| c.iter().map(|v| f32::from(*v)).sum::<f32>() / 3.0;
                let (fg, bg) = (gray(cell.fg.look([0; 3])), gray(cell.bg.look([0; 3])));
                most = most.max((fg * ink + bg * (1.0 - ink) - true_gray).abs());
            }
        }
        assert!(most <= 3.5, "{most}: the nearest gray alone may be off by 5");
    }

    /// Errors (mean squares) and bytes of 30 pictures after motion has stopped, with grain.
    fn after_motion(mode: Mode, lambda: f32, grain: i32) -> Vec<(f64, usize)> {
        let mut painter = Painter::new(mode, Depth::True);
        let (cols, rows) = (COLS as u16, ROWS as u16);
        painter.place(Rect { x: 0, y: 0, cols, rows }, (W as u16, H as u16));
        *painter.quality() = Quality::fixed(lambda);
        let mut rng = StdRng::seed_from_u64(9);
        let mut paint = |t: usize| {
            let mut f = moving(t.min(20) * 2);
            for luma in &mut f.y {
                let off = rng.random_range(-grain..=grain);
                *luma = (i32::from(*luma) + off).clamp(16, 235) as u8;
            }
            let stats = painter.paint(&f, &mut Vec::new());
            (stats.error, stats.bytes)
        };
        let pictures: Vec<_> = (0..=50).map(&mut paint).collect();
        pictures[21..].to_vec()
    }

    /// A disc before a slope, moved by `t` pixels.
    fn moving(t: usize) -> RawFrame {
        let size = Size::new((COLS * W) as u16, (ROWS * H) as u16);
        let mut f = RawFrame::black(size, Default::default());
        for (i, luma) in f.y.iter_mut().enumerate() {
            let (x, y) = ((i % (COLS * W)) as f32, (i / (COLS * W)) as f32);
            let inside = (x - 60.0 - t as f32).hypot(y - 48.0) < 35.0;
            *luma = if inside { 180.0 - y } else { 40.0 + 0.6 * (x + y) } as u8;
        }
        f
    }

    #[test]
    fn what_motion_left_coarse_is_fine_within_a_second_of_standing_still() {
        for mode in [Mode::Quadrant, Mode::Sextant, Mode::Mixed, Mode::MixedOctant] {
            let mut fine = Painter::new(mode, Depth::True);
            let (cols, rows) = (COLS as u16, ROWS as u16);
            fine.place(Rect { x: 0, y: 0, cols, rows }, (W as u16, H as u16));
            *fine.quality() = Quality::fixed(Quality::MIN);
            let fine = fine.paint(&moving(40), &mut Vec::new()).error;
            for lambda in [2.0, 8.0, 16.0] {
                let pictures = after_motion(mode, lambda, 0);
                let (first, last) = (pictures[0].0, pictures[29].0);
                assert!(last < fine * 1.2 + 1.0, "{mode} λ {lambda}: {first} to {last}, {fine}");
                let most = pictures.iter().map(|p| p.1).max().unwrap_or(0);
                assert!(most < COLS * ROWS * 12, "{mode} λ {lambda}: {most} bytes at once");
            }
        }
    }

    #[test]
    fn grain_on_a_picture_that_stands_still_is_not_followed() {
        for mode in [Mode::Sextant, Mode::Mixed] {
            let grainy = after_motion(mode, 4.0, 6);
            let tail = grainy[20..].iter().map(|p| p.1).sum::<usize>() / 10;
            // One cell in 64 is written anyway.
            assert!(tail < COLS * ROWS, "{mode}: {tail}");
        }
    }
}
