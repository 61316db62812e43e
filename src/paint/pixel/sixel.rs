//! Sixel pictures (DEC STD 070, "Sixel Graphics"; VT330/340 manual, chapter 14): one adaptive
//! palette kept over many pictures, and only the cells that changed are sent.
//!
//! What changed becomes a few rectangles of whole cells, each a picture of its own that paints
//! every pixel of its cells and no other: rows beyond the last are never set, so a cell height that
//! is no multiple of six does no harm. Opaque pieces on cell borders are what all terminals agree
//! on: transparent ones lose what was below in some, and are slow in others. Every piece defines
//! the colours it uses, because most terminals give every picture registers of its own; where
//! registers are shared that is right as well, because a new palette repaints all.

mod band;
mod pieces;

use super::digits::number;
use super::palette::{Histogram, Palette, WEIGHTS, distance, key};
use super::scale::{Canvas, Row, Scaler};
use super::{Cells, Stats};
use crate::media::frame::RawFrame;
use crate::paint::simd::{Work, dispatch};
use band::Bands;
use pieces::{Piece, pieces};

/// Pictures between two palettes, at least.
const PALETTE_HOLDS: u32 = 12;

/// Colours at a λ of ½: with more, bytes rise by a quarter and SSIM doesn't (measured on a talking
/// head; noise of the picture does what dither would, so there is none unless colours are few).
const COLOURS: f32 = 120.0;

/// A terminal with no more colours than this gets ordered dither: false contours would be coarse.
const FEW: usize = 64;
/// Its thresholds, −8…7.
const DITHER: [[f32; 4]; 4] = [
    [-8.0, 0.0, -6.0, 2.0],
    [4.0, -4.0, 6.0, -2.0],
    [-5.0, 3.0, -7.0, 1.0],
    [7.0, -1.0, 5.0, -3.0],
];

/// Draws one tile by sixels.
pub(super) struct Sixel {
    colours: usize,
    /// Largest picture in pixels.
    most: (usize, usize),
    palette: Palette,
    histogram: Histogram,
    /// Mean squared error of the palette when it was made, pictures since, and colours asked for.
    made: (f32, u32, usize),
    canvas: Canvas,
    /// The picture wanted, and the one whose cells stand on the screen.
    now: Row,
    sent: Row,
    /// Palette numbers on the screen, row by row.
    index: Vec<u8>,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    errors: Vec<u32>,
    keys: Vec<u32>,
    bands: Bands,
}

impl Sixel {
    pub(super) fn new(colours: u16, most: Option<(u16, u16)>) -> Self {
        let most = most.unwrap_or((u16::MAX, u16::MAX));
        Self {
            colours: usize::from(colours).clamp(2, 256),
            most: (usize::from(most.0).max(1), usize::from(most.1).max(1)),
            palette: Palette::empty(),
            histogram: Histogram::new(),
            made: (0.0, 0, 0),
            canvas: Canvas::default(),
            now: Row::default(),
            sent: Row::default(),
            index: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    fn resize(&mut self, canvas: Canvas) {
        if self.canvas == canvas {
            return;
        }
        self.canvas = canvas;
        let n = canvas.width() * canvas.height();
        for planes in [&mut self.now, &mut self.sent] {
            for plane in [&mut planes.y, &mut planes.u, &mut planes.v] {
                plane.clear();
                plane.resize(n, 0);
            }
        }
        self.index.clear();
        self.index.resize(n, 0);
    }

    /// Sends what has changed by more than `lambda` allows. `refresh`: these rows of cells are
    /// sent in any case.
    pub(super) fn paint(
        &mut self,
        f: &RawFrame,
        scaler: &mut Scaler,
        cells: &mut Cells,
        lambda: f32,
        refresh: std::ops::Range<usize>,
        out: &mut Vec<u8>,
    ) -> Stats {
        self.resize(cells.canvas);
        dispatch(Job { sixel: self, f, scaler, cells, lambda, refresh, out })
    }

    /// The registers as they were sent.
    #[cfg(test)]
    pub(super) fn registers(&self) -> Vec<[u8; 3]> {
        self.palette.percent.clone()
    }

    /// What the terminal shows of a cell, by our own account: RGB row by row.
    #[cfg(test)]
    pub(super) fn shows(&self, col: usize, row: usize) -> Vec<[u8; 3]> {
        let (cw, ch) = self.canvas.cell;
        (0..ch)
            .flat_map(|y| (0..cw).map(move |x| (row * ch + y, col * cw + x)))
            .map(|(y, x)| usize::from(self.index[y * self.canvas.width() + x]))
            .map(|i| self.palette.percent[i].map(super::palette::look))
            .collect()
    }
}

struct Job<'a> {
    sixel: &'a mut Sixel,
    f: &'a RawFrame,
    scaler: &'a mut Scaler,
    cells: &'a mut Cells,
    lambda: f32,
    refresh: std::ops::Range<usize>,
    out: &'a mut Vec<u8>,
}

impl Work for Job<'_> {
    type Out = Stats;

    #[inline(always)]
    fn run(self) -> Stats {
        let Job { sixel, f, scaler, cells, lambda, refresh, out } = self;
        let before = out.len();
        let mut changed = vec![false; cells.canvas.cols * cells.canvas.rows];
        sixel.scale_and_compare(f, scaler, cells, lambda, refresh, &mut changed);
        if !changed.contains(&true) {
            let kept = cells.free();
            return Stats { kept, ..Stats::default() };
        }
        if sixel.wants_palette(lambda) {
            sixel.make_palette(lambda);
            for (changed, covered) in changed.iter_mut().zip(&cells.covered) {
                *changed = !covered;
            }
            cells.shown.fill(false);
        }
        let mut error = 0u64;
        let mut written = 0;
        for piece in pieces(&changed, cells, sixel.most) {
            error += sixel.map(piece, lambda);
            sixel.keep(piece);
            sixel.encode(piece, cells, out);
            written += piece.area();
            for row in piece.y..piece.y + piece.rows {
                cells.shown[row * cells.canvas.cols + piece.x..][..piece.cols].fill(true);
            }
        }
        let (cw, ch) = cells.canvas.cell;
        let weights = WEIGHTS.iter().sum::<i32>() as usize;
        let samples = (written * cw * ch * weights).max(1);
        let kept = cells.free().saturating_sub(written);
        let error = error as f64 / samples as f64;
        Stats { bytes: out.len() - before, written, kept, error }
    }
}

impl Sixel {
    #[inline(always)]
    fn scale_and_compare(
        &mut self,
        f: &RawFrame,
        scaler: &mut Scaler,
        cells: &Cells,
        lambda: f32,
        refresh: std::ops::Range<usize>,
        changed: &mut [bool],
    ) {
        let Canvas { cols, rows, cell: (cw, ch) } = self.canvas;
        let width = cols * cw;
        // λ is in squared error per byte for a cell of eight samples of three channels; a cell of
        // pixels costs around a hundred bytes.
        let limit = (4.0 * lambda * (cw * ch) as f32) as u32;
        let errors = &mut self.scratch.errors;
        for row in 0..rows {
            errors.clear();
            errors.resize(width, 0);
            for at in row * ch..(row + 1) * ch {
                let run = at * width..(at + 1) * width;
                let (y, u, v) = (
                    &mut self.now.y[run.clone()],
                    &mut self.now.u[run.clone()],
                    &mut self.now.v[run.clone()],
                );
                scaler.row(f, at, y, u, v);
                for (now, old) in [(&*y, &self.sent.y), (&*u, &self.sent.u), (&*v, &self.sent.v)] {
                    for ((e, a), b) in errors.iter_mut().zip(now).zip(&old[run.clone()]) {
                        let d = i16::from(*a) - i16::from(*b);
                        // Squares of up to 255² fit in 16 bits without a sign.
                        *e += u32::from(d.wrapping_mul(d) as u16);
                    }
                }
            }
            for col in 0..cols {
                let i = row * cols + col;
                let error: u32 = errors[col * cw..(col + 1) * cw].iter().sum();
                let due = !cells.shown[i] || refresh.contains(&row) || error > limit;
                changed[i] = due && !cells.covered[i];
            }
        }
    }

    /// Whether the palette has become bad for the picture.
    #[inline(always)]
    fn wants_palette(&mut self, lambda: f32) -> bool {
        let (error, age, _) = self.made;
        self.made.1 = age.saturating_add(1);
        if self.palette.colours.is_empty() {
            return true;
        }
        if age < PALETTE_HOLDS {
            return false;
        }
        let wanted = self.wanted_colours(lambda) as f32 / self.palette.colours.len() as f32;
        !(0.6..1.6).contains(&wanted) && self.made.2 != self.wanted_colours(lambda)
            || self.error_now() > error * 1.7 + 4.0 + lambda
    }

    /// Mean squared error of the palette on a sample of the picture.
    fn error_now(&mut self) -> f32 {
        let (mut sum, mut n) = (0.0, 0);
        let step = (self.now.y.len() / 4096).max(1) | 1;
        for i in (0..self.now.y.len()).step_by(step) {
            let colour = [self.now.y[i], self.now.u[i], self.now.v[i]];
            let near = self.palette.nearest(key(colour));
            sum += distance(colour, self.palette.colours[usize::from(near)]) as f32;
            n += 1;
        }
        sum / n.max(1) as f32
    }

    fn wanted_colours(&self, lambda: f32) -> usize {
        let colours = COLOURS * (2.0 * lambda.max(0.01)).powf(-0.25);
        (colours as usize).clamp(2, self.colours)
    }

    fn make_palette(&mut self, lambda: f32) {
        let width = self.canvas.width();
        for at in (0..self.canvas.height()).step_by(2) {
            for x in (at / 2 % 3..width).step_by(3) {
                let i = at * width + x;
                self.histogram.add([self.now.y[i], self.now.u[i], self.now.v[i]]);
            }
        }
        let wanted = self.wanted_colours(lambda);
        self.palette = Palette::of(&mut self.histogram, wanted);
        self.made = (self.error_now(), 0, wanted);
    }

    /// Palette numbers for a piece; the squared error.
    #[inline(always)]
    fn map(&mut self, piece: Piece, lambda: f32) -> u64 {
        let Canvas { cell: (cw, ch), .. } = self.canvas;
        let width = self.canvas.width();
        let (left, wide) = (piece.x * cw, piece.cols * cw);
        let (top, high) = (piece.y * ch, piece.rows * ch);
        // How much worse than the nearest a colour may be if it saves bytes.
        self.palette.allow((8.0 * (lambda - 0.5)).clamp(0.0, 128.0) as i32);
        let keys = &mut self.scratch.keys;
        keys.resize(wide, 0);
        let mut error = 0u64;
        // About the distance of neighbouring colours in luma, from their mean squared error.
        let step = if self.colours <= FEW { (3.0 * self.made.0).sqrt().min(48.0) } else { 0.0 };
        for r in 0..high {
            let run = (top + r) * width + left..(top + r) * width + left + wide;
            let (y, u, v) =
                (&self.now.y[run.clone()], &self.now.u[run.clone()], &self.now.v[run.clone()]);
            for (((k, y), u), v) in keys.iter_mut().zip(y).zip(u).zip(v) {
                *k = key([*y, *u, *v]);
            }
            if step > 0.0 {
                let lifts = DITHER[r % 4].map(|d| ((d + 0.5) * step / 16.0) as i16);
                for ((((k, y), u), v), lift) in
                    keys.iter_mut().zip(y).zip(u).zip(v).zip(lifts.iter().cycle())
                {
                    let y = (i16::from(*y) + lift).clamp(0, 255) as u8;
                    *k = key([y, *u, *v]);
                }
            }
            let (above, here) = self.index.split_at_mut(run.start);
            let here = &mut here[..wide];
            if lambda <= 0.5 {
                for (k, to) in keys.iter().zip(&mut *here) {
                    *to = self.palette.nearest(*k);
                }
            } else if r % 6 == 0 {
                choose::<false>(&mut self.palette, keys, &[], here);
            } else {
                choose::<true>(&mut self.palette, keys, &above[run.start - width..][..wide], here);
            }
            for x in (r * 5 % 16..wide).step_by(16) {
                let colour = self.palette.colours[usize::from(here[x])];
                error += distance([y[x], u[x], v[x]], colour) as u64 * 16;
            }
        }
        error
    }

    /// Remembers a piece as sent.
    fn keep(&mut self, piece: Piece) {
        let Canvas { cols, rows, cell: (cw, ch) } = self.canvas;
        if (piece.cols, piece.rows) == (cols, rows) {
            return std::mem::swap(&mut self.now, &mut self.sent);
        }
        let (from, to) = (&self.now, &mut self.sent);
        for (from, to) in [(&from.y, &mut to.y), (&from.u, &mut to.u), (&from.v, &mut to.v)] {
            for row in piece.y * ch..(piece.y + piece.rows) * ch {
                let run = row * cols * cw + piece.x * cw;
                to[run..][..piece.cols * cw].copy_from_slice(&from[run..][..piece.cols * cw]);
            }
        }
    }

    /// Writes a piece as a picture.
    #[inline(always)]
    fn encode(&mut self, piece: Piece, cells: &Cells, out: &mut Vec<u8>) {
        let Canvas { cell: (cw, ch), .. } = self.canvas;
        let width = self.canvas.width();
        let (left, wide) = (piece.x * cw, piece.cols * cw);
        let (top, high) = (piece.y * ch, piece.rows * ch);
        cells.go(piece.x, piece.y, out);
        // Square pixels, told twice because some heed only one of the two; size told ahead, so that
        // the terminal makes room once.
        out.extend_from_slice(b"\x1bP7;0;0q\"1;1;");
        number(out, wide);
        out.push(b';');
        number(out, high);
        let bands = &mut self.scratch.bands;
        bands.begin(wide, self.palette.colours.len());
        for band in (0..high).step_by(6) {
            if band > 0 {
                bands.next();
            }
            let rows = 6.min(high - band);
            for row in 0..rows {
                bands.row(row, &self.index[(top + band + row) * width + left..][..wide]);
            }
            bands.write(rows);
        }
        for i in bands.used() {
            out.push(b'#');
            number(out, i);
            out.extend_from_slice(b";2");
            for c in self.palette.percent[i] {
                out.push(b';');
                number(out, usize::from(c));
            }
        }
        out.extend_from_slice(bands.written());
        out.extend_from_slice(b"\x1b\\");
    }
}

/// The number for each key of a row: the one above or to the left if it is near enough (columns of
/// one colour and runs are what costs least), else the nearest.
#[inline(always)]
fn choose<const ABOVE: bool>(palette: &mut Palette, keys: &[u32], above: &[u8], here: &mut [u8]) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Whether one of eight bytes is zero.
    let any_zero = |v: u64| (v.wrapping_sub(ONES) & !v & (ONES << 7)) != 0;
    let mut left = 0;
    for (x, (k, to)) in keys.iter().zip(here).enumerate() {
        let near = palette.near(*k);
        let best = near as u8;
        // Arithmetic instead of branches, which nobody could predict.
        let take = |chosen: u8, other: u8| {
            let yes = u8::from(any_zero(near ^ (u64::from(other) * ONES))).wrapping_neg();
            chosen ^ ((chosen ^ other) & yes)
        };
        let mut chosen = if x > 0 { take(best, left) } else { best };
        if ABOVE {
            chosen = take(chosen, above[x]);
        }
        *to = chosen;
        left = chosen;
    }
}
