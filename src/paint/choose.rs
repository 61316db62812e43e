//! The writer's decision, cell by cell: keep what stands there, reuse the colours just set, or
//! send new ones – whichever has the least `error + λ·bytes`.

use super::Rect;
use super::colour::{Depth, Ink};
use super::fit::{Fit, LANES, Lanes, fit};
use super::mode::Glyphs;
use super::painter::Stats;
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
    pub(super) pattern: Vec<u8>,
    pub(super) fg: Vec<Ink>,
    pub(super) bg: Vec<Ink>,
    /// The look of both colours as numbers: red, green, blue of ink, then of paper.
    look: [Vec<f32>; 6],
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
            pattern: vec![0; n],
            fg: vec![Ink::rgb([0; 3]); n],
            bg: vec![Ink::rgb([0; 3]); n],
            look: std::array::from_fn(|_| vec![0.0; n]),
            shown: vec![false; n],
            covered: vec![false; n],
        }
    }

    #[inline(always)]
    fn set(&mut self, i: usize, pattern: u8, fg: Ink, bg: Ink) {
        self.pattern[i] = pattern;
        self.fg[i] = fg;
        self.bg[i] = bg;
        let (ink, paper) = (fg.look([255; 3]), bg.look([0; 3]));
        for c in 0..3 {
            self.look[c][i] = f32::from(ink[c]);
            self.look[3 + c][i] = f32::from(paper[c]);
        }
    }

    /// The colours that the glyph of cell `i` needs: a space has no ink, a full block no paper.
    #[inline(always)]
    pub(super) fn needs(&self, i: usize, full: u8) -> (Option<Ink>, Option<Ink>) {
        let p = self.pattern[i];
        ((p != 0).then(|| self.fg[i]), (p != full).then(|| self.bg[i]))
    }
}

/// 4×4 Bayer matrix, centred on 0, in −0.5…0.5.
const BAYER: [[f32; 4]; 4] = {
    let order = [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]];
    let mut m = [[0.0; 4]; 4];
    let mut y = 0;
    while y < 4 {
        let mut x = 0;
        while x < 4 {
            m[y][x] = (order[y][x] as f32 + 0.5) / 16.0 - 0.5;
            x += 1;
        }
        y += 1;
    }
    m
};

/// One picture into one tile. `N` is the number of samples per cell.
pub(super) struct Job<'a, const N: usize> {
    pub(super) plan: &'a Plan,
    pub(super) frame: &'a RawFrame,
    pub(super) rect: Rect,
    pub(super) depth: Depth,
    pub(super) driver: &'static dyn Glyphs,
    pub(super) glyphs: &'a [&'static str],
    pub(super) lambda: f32,
    /// First cell (in reading order) and number of cells to write whatever they hold.
    pub(super) refresh: (usize, usize),
    pub(super) shadow: &'a mut Shadow,
    pub(super) line: &'a mut Vec<f32>,
    pub(super) samples: &'a mut Vec<f32>,
    pub(super) writer: Writer<'a>,
}

impl<const N: usize> Work for Job<'_, N> {
    type Out = Stats;

    #[inline(always)]
    fn run(mut self) -> Stats {
        let stride = self.shadow.stride;
        self.samples.resize(N * 3 * stride, 0.0);
        let mut samples = std::mem::take(self.samples);
        let mut line = std::mem::take(self.line);
        let mut stats = Stats::default();
        let mut error = 0.0f64;
        for row in 0..self.shadow.rows {
            self.plan.row(self.frame, row, &mut line, &mut samples);
            self.dither(row, &mut samples);
            for block in 0..stride / LANES {
                let cells: [[Lanes; 3]; N] = std::array::from_fn(|k| {
                    std::array::from_fn(|c| {
                        let at = (k * 3 + c) * stride + block * LANES;
                        std::array::from_fn(|l| samples[at + l])
                    })
                });
                let first = row * stride + block * LANES;
                let here = LANES.min(self.shadow.cols - block * LANES);
                if N == 1 || self.depth == Depth::Mono || self.driver.dots() {
                    for l in 0..here {
                        let cell: [[f32; 3]; N] = std::array::from_fn(|k| cells[k].map(|c| c[l]));
                        let at = (block * LANES + l, row);
                        error += f64::from(self.plain_cell(&cell, first + l, at, &mut stats));
                    }
                    continue;
                }
                let fit = fit(&cells);
                let keep = self.keep_errors(&cells, first);
                for (l, keep) in keep.into_iter().enumerate().take(here) {
                    let at = (block * LANES + l, row);
                    error += f64::from(self.cell(&cells, &fit, keep, l, first + l, at, &mut stats));
                }
            }
            self.writer.end_row();
        }
        self.writer.finish();
        *self.samples = samples;
        *self.line = line;
        let counted = (stats.written + stats.kept).max(1) * N * 3;
        stats.error = error / counted as f64;
        stats
    }
}

/// A choice for one cell, while the best is searched.
#[derive(Clone, Copy)]
struct Choice {
    score: f32,
    error: f32,
    pattern: u8,
    fg: Ink,
    bg: Ink,
}

#[inline(always)]
fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    let d = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
}

#[inline(always)]
fn sgr(fg: usize, bg: usize) -> usize {
    match (fg, bg) {
        (0, 0) => 0,
        (a, 0) | (0, a) => 3 + a,
        (a, b) => 4 + a + b,
    }
}

impl<const N: usize> Job<'_, N> {
    const FULL: u8 = ((1u16 << N) - 1) as u8;

    /// Squared error of [`LANES`] cells if they stay as they are.
    #[inline(always)]
    fn keep_errors(&self, cells: &[[Lanes; 3]; N], first: usize) -> Lanes {
        let pattern = &self.shadow.pattern[first..first + LANES];
        let mut error = [0.0; LANES];
        for c in 0..3 {
            let ink = &self.shadow.look[c][first..first + LANES];
            let paper = &self.shadow.look[3 + c][first..first + LANES];
            for (k, cell) in cells.iter().enumerate() {
                for l in 0..LANES {
                    let set = pattern[l] >> k & 1 != 0;
                    let d = cell[c][l] - if set { ink[l] } else { paper[l] };
                    error[l] += d * d;
                }
            }
        }
        error
    }

    /// Chooses and writes one cell; returns its squared error.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "one call site; a struct would only rename them")]
    fn cell(
        &mut self,
        cells: &[[Lanes; 3]; N],
        fit: &Fit,
        keep: f32,
        l: usize,
        i: usize,
        (col, row): (usize, usize),
        stats: &mut Stats,
    ) -> f32 {
        // Free bytes still break ties.
        let lambda = self.lambda.max(1e-3) * (N * 3) as f32;
        let due = self.is_due(col, row);
        let mut best = Choice {
            score: if self.shadow.shown[i] && !due { keep } else { f32::INFINITY },
            error: keep,
            pattern: 0,
            fg: Ink::DEFAULT,
            bg: Ink::DEFAULT,
        };
        // No other choice can be better than the exact fit for one byte.
        if best.score <= fit.error[l] + lambda {
            stats.kept += 1;
            return keep;
        }
        let kept = best.score;
        let (x, y) = (self.rect.x + col as u16, self.rect.y + row as u16);
        let move_cost = self.writer.move_cost(x, y);
        let mut consider = |pattern: u8, error: f32, colours: usize, fg: Ink, bg: Ink| {
            let bytes = move_cost + colours + self.glyphs[usize::from(pattern)].len();
            let score = error + lambda * bytes as f32;
            if score < best.score {
                best = Choice { score, error, pattern, fg, bg };
            }
        };
        let (pen_fg, pen_bg) = (self.writer.fg, self.writer.bg);
        let (fg_known, bg_known) = (pen_fg != Ink::DEFAULT, pen_bg != Ink::DEFAULT);
        let look = |ink: Ink| ink.look([0; 3]).map(f32::from);
        let (pen_fg_look, pen_bg_look) = (look(pen_fg), look(pen_bg));
        let whole = N as f32;

        let mean = fit.mean.map(|c| c[l]);
        let flat_ink = self.depth.ink(mean);
        let flat_error = fit.flat[l] + whole * distance(look(flat_ink), mean);
        let flat_cost = if flat_ink == pen_bg { 0 } else { 3 + ink_cost(flat_ink, true) };
        consider(0, flat_error, flat_cost, pen_fg, flat_ink);
        if bg_known {
            let error = fit.flat[l] + whole * distance(pen_bg_look, mean);
            consider(0, error, 0, pen_fg, pen_bg);
        }
        if fg_known {
            let error = fit.flat[l] + whole * distance(pen_fg_look, mean);
            consider(Self::FULL, error, 0, pen_fg, pen_bg);
        }

        let pattern = fit.pattern[l] as u8;
        if pattern != 0 {
            let na = pattern.count_ones() as f32;
            let nb = whole - na;
            let (a, b) = (fit.ink.map(|c| c[l]), fit.paper.map(|c| c[l]));
            let (qa, qb) = (self.depth.ink(a), self.depth.ink(b));
            let (ea, eb) = (na * distance(look(qa), a), nb * distance(look(qb), b));
            let base = fit.error[l];
            // Both ways round: `a` as ink, or `b` as ink with the complement's glyph.
            let ways = [
                (pattern, (qa, ea, a, na), (qb, eb, b, nb)),
                (Self::FULL & !pattern, (qb, eb, b, nb), (qa, ea, a, na)),
            ];
            for (glyph, (fg, fg_error, fg_true, fg_n), (bg, bg_error, bg_true, bg_n)) in ways {
                let fg_cost = if fg == pen_fg { 0 } else { ink_cost(fg, false) };
                let bg_cost = if bg == pen_bg { 0 } else { ink_cost(bg, true) };
                let new = base + fg_error + bg_error;
                consider(glyph, new, sgr(fg_cost, bg_cost), fg, bg);
                if fg_known {
                    let e = base + fg_n * distance(pen_fg_look, fg_true) + bg_error;
                    consider(glyph, e, sgr(0, bg_cost), pen_fg, bg);
                }
                if bg_known {
                    let e = base + fg_error + bg_n * distance(pen_bg_look, bg_true);
                    consider(glyph, e, sgr(fg_cost, 0), fg, pen_bg);
                }
            }
            if fg_known && bg_known {
                let mut error = 0.0;
                let mut nearest = 0u8;
                for (k, cell) in cells.iter().enumerate() {
                    let sample = [cell[0][l], cell[1][l], cell[2][l]];
                    let (f, g) = (distance(sample, pen_fg_look), distance(sample, pen_bg_look));
                    nearest |= u8::from(f < g) << k;
                    error += f.min(g);
                }
                consider(nearest, error, 0, pen_fg, pen_bg);
            }
        }
        if best.score == kept {
            stats.kept += 1;
            return keep;
        }
        // Without colours on the pen yet, a lone glyph takes its missing half from its other half.
        let fg = if best.fg == Ink::DEFAULT { best.bg } else { best.fg };
        let bg = if best.bg == Ink::DEFAULT { best.fg } else { best.bg };
        self.shadow.set(i, best.pattern, fg, bg);
        self.emit(i, col, (x, y), stats);
        best.error
    }

    /// A cell of a ramp or without colours: keep it if it would look the same.
    #[inline(always)]
    fn plain_cell(
        &mut self,
        cell: &[[f32; 3]; N],
        i: usize,
        (col, row): (usize, usize),
        stats: &mut Stats,
    ) -> f32 {
        let luma = |s: &[f32; 3]| 0.299 * s[0] + 0.587 * s[1] + 0.114 * s[2];
        let (pattern, fg) = if let Some(ramp) = self.driver.ramp() {
            let last = ramp.len() - 1;
            let step = (luma(&cell[0]) / 255.0 * (last as f32 + 0.99)).clamp(0.0, last as f32);
            // The glyph darkens already: lift the colour half-way to full brightness.
            let peak = cell[0].iter().fold(1.0f32, |a, b| a.max(*b)) / 255.0;
            let lift = 1.0 / peak.sqrt();
            (step as u8, self.depth.ink(cell[0].map(|v| (v * lift).min(255.0))))
        } else {
            let mut pattern = 0u8;
            for (k, sample) in cell.iter().enumerate() {
                pattern |= u8::from(luma(sample) > 128.0) << k;
            }
            // Of dots the number tells the brightness: their colour is lifted half-way to full.
            let mean: [f32; 3] =
                std::array::from_fn(|c| cell.iter().map(|s| s[c]).sum::<f32>() / N as f32);
            let peak = mean.iter().fold(1.0f32, |a, b| a.max(*b)) / 255.0;
            let lift = 1.0 / peak.sqrt();
            (pattern, self.depth.ink(mean.map(|v| (v * lift).min(255.0))))
        };
        let near = {
            let look = |ink: Ink| ink.look([0; 3]).map(f32::from);
            let change = distance(look(self.shadow.fg[i]), look(fg));
            pattern == 0 || change <= self.lambda * 3.0 * 16.0
        };
        let same = self.shadow.pattern[i] == pattern && near;
        if same && self.shadow.shown[i] && !self.is_due(col, row) {
            stats.kept += 1;
            return 0.0;
        }
        self.shadow.set(i, pattern, fg, Ink::DEFAULT);
        let at = (self.rect.x + col as u16, self.rect.y + row as u16);
        self.emit(i, col, at, stats);
        0.0
    }

    #[inline(always)]
    fn is_due(&self, col: usize, row: usize) -> bool {
        let total = self.shadow.cols * self.shadow.rows;
        let index = row * self.shadow.cols + col;
        (index + total - self.refresh.0) % total < self.refresh.1
    }

    /// Ordered dither for palettes: neighbouring samples lean different ways, so that the fit
    /// mixes two palette colours where none is right.
    #[inline(always)]
    fn dither(&self, row: usize, samples: &mut [f32]) {
        let height = if self.driver.dots() { Depth::Mono.dither() } else { self.depth.dither() };
        if height == 0.0 || self.driver.ramp().is_some() {
            return;
        }
        let (across, down) = self.driver.samples();
        let stride = self.shadow.stride;
        for k in 0..N {
            let y = row * down + k / across;
            for c in 0..3 {
                let run = &mut samples[(k * 3 + c) * stride..][..stride];
                for (cell, v) in run.iter_mut().enumerate() {
                    let x = cell * across + k % across;
                    *v = (*v + 2.0 * height * BAYER[y % 4][x % 4]).clamp(0.0, 255.0);
                }
            }
        }
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
        write_cell(self.shadow, &mut self.writer, self.glyphs, self.rect.x, i, col, at);
    }
}

/// Writes one cell of the shadow. A short gap of cells that need no other colours than the pen's
/// is cheaper written again than jumped over.
pub(super) fn write_cell(
    shadow: &Shadow,
    writer: &mut Writer<'_>,
    glyphs: &[&'static str],
    left: u16,
    i: usize,
    col: usize,
    at: (u16, u16),
) {
    let full = if glyphs.len().is_power_of_two() { (glyphs.len() - 1) as u8 } else { u8::MAX };
    if let Some(cursor) = writer.column_in(at.1).filter(|c| *c < at.0) {
        let gap = usize::from(at.0 - cursor);
        let room = writer.move_cost(at.0, at.1);
        if gap <= room {
            let cells = i - gap..i;
            let fits = |j: usize| {
                let (fg, bg) = shadow.needs(j, full);
                shadow.shown[j] && writer.colour_cost(fg, bg) == 0
            };
            let bytes: usize =
                cells.clone().map(|j| glyphs[usize::from(shadow.pattern[j])].len()).sum();
            if bytes <= room && cells.clone().all(fits) {
                for (n, j) in cells.enumerate() {
                    let x = left + (col - gap + n) as u16;
                    writer.put((x, at.1), glyphs[usize::from(shadow.pattern[j])], None, None);
                }
            }
        }
    }
    let (fg, bg) = shadow.needs(i, full);
    writer.put(at, glyphs[usize::from(shadow.pattern[i])], fg, bg);
}
