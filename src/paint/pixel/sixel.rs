//! Sixel pictures (DEC STD 070, "Sixel Graphics"; VT330/340 manual, chapter 14): one adaptive
//! palette kept over many pictures, and only the cells that changed are sent.
//!
//! What changed becomes a few rectangles of whole cells, each a picture of its own that paints
//! every pixel of its cells and no other: rows beyond the last are never set, so a cell height that
//! is no multiple of six does no harm. Opaque pieces on cell borders are what all terminals agree
//! on: transparent ones lose what was below in some, and are slow in others. Every piece defines
//! the colours it uses, because most terminals give every picture registers of its own; where
//! registers are shared that is right as well, because a new palette repaints all.

use super::digits::number;
use super::palette::{Histogram, Palette, distance, key};
use super::scale::{Canvas, Row, Scaler};
use super::{Cells, Stats};
use crate::media::frame::RawFrame;
use crate::paint::simd::{Work, dispatch};
use crate::paint::writer::DIGITS;

/// Pictures between two palettes, at least.
const PALETTE_HOLDS: u32 = 12;
/// What a piece costs beyond its pixels, in pixels: colours and header against pixels at about half
/// a byte.
const PIECE_COST: usize = 2200;
/// Most pieces of one picture, unless covers or the terminal's limits demand more.
const MOST_PIECES: usize = 6;
/// A colour's gaps from here on (in columns) are left to other colours in the same pass.
const GAP: u16 = 10;
/// Bytes of a stretch of ground, and what it saves per column that has its colour; in thirds.
const STRETCH: i32 = 24;
const SAVED: i32 = 5;

/// Colours at a λ of ½: with more, bytes rise by a quarter and SSIM doesn't (measured on a talking
/// head; noise of the picture does what dither would, so there is none unless colours are few).
const COLOURS: f32 = 112.0;

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
    columns: Vec<u64>,
    entries: Vec<Entry>,
    sorted: Vec<Entry>,
    nodes: Vec<Node>,
    ground: Vec<Stretch>,
    steps: Vec<Step>,
}

/// A part of a band's ground.
#[derive(Clone, Copy)]
struct Stretch {
    colour: u8,
    /// First column; the first stretch of a band reaches to its beginning in any case.
    start: u16,
    first: bool,
}

/// A stretch that was the best way at some time, and what came before it.
#[derive(Clone, Copy)]
struct Step {
    colour: u8,
    start: u16,
    before: u32,
}

/// Adjacent columns in which a colour sets the same pixels of a band.
#[derive(Clone, Copy, Default)]
struct Entry {
    x: u16,
    run: u16,
    colour: u8,
    mask: u8,
}

/// Entries of one colour that are written together.
#[derive(Clone, Copy)]
struct Node {
    start: u16,
    end: u16,
    from: u32,
    to: u32,
}

/// A rectangle of cells of the tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    x: usize,
    y: usize,
    cols: usize,
    rows: usize,
}

impl Piece {
    fn area(&self) -> usize {
        self.cols * self.rows
    }

    fn with(&self, other: &Piece) -> Piece {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let right = (self.x + self.cols).max(other.x + other.cols);
        let bottom = (self.y + self.rows).max(other.y + other.rows);
        Piece { x, y, cols: right - x, rows: bottom - y }
    }
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
            sixel.encode(piece, cells, out);
            written += piece.area();
            for row in piece.y..piece.y + piece.rows {
                cells.shown[row * cells.canvas.cols + piece.x..][..piece.cols].fill(true);
            }
        }
        let (cw, ch) = cells.canvas.cell;
        let samples = (written * cw * ch * 3).max(1);
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
            let near = self.palette.near(key(colour)) & 255;
            sum += distance(colour, self.palette.colours[near as usize]) as f32;
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
            self.sent.y[run.clone()].copy_from_slice(y);
            self.sent.u[run.clone()].copy_from_slice(u);
            self.sent.v[run.clone()].copy_from_slice(v);
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
                    *to = self.palette.near(*k) as u8;
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
        let mut used = [false; 256];
        for row in top..top + high {
            for i in &self.index[row * width + left..][..wide] {
                used[usize::from(*i)] = true;
            }
        }
        for (i, percent) in self.palette.percent.iter().enumerate().filter(|(i, _)| used[*i]) {
            out.push(b'#');
            number(out, i);
            out.extend_from_slice(b";2");
            for c in percent {
                out.push(b';');
                number(out, usize::from(*c));
            }
        }
        for band in (0..high).step_by(6) {
            if band > 0 {
                out.push(b'-');
            }
            let rows = 6.min(high - band);
            let columns = &mut self.scratch.columns;
            columns.clear();
            columns.resize(wide, 0);
            for r in 0..rows {
                let line = &self.index[(top + band + r) * width + left..][..wide];
                for (column, i) in columns.iter_mut().zip(line) {
                    *column |= u64::from(*i) << (8 * r);
                }
            }
            write_band(&mut self.scratch, rows, out);
        }
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

/// Which of the lowest `rows` bytes of `column` are this colour, as bits.
#[inline(always)]
fn rows_of(column: u64, colour: u8) -> u8 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let x = column ^ (u64::from(colour) * 0x0101_0101_0101_0101);
    // The upper bit of each byte that is zero (H. S. Warren, "Hacker's Delight", 6-1).
    let zero = !(((x & LOW) + LOW) | x | LOW);
    ((zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}

/// One band of up to six pixel rows. Later pixels replace earlier ones, so a band begins with a
/// ground: stretches filled with the colour that occurs in most of their columns. What differs from
/// it follows, colour by colour, as many colours to a pass as fit side by side.
#[inline(always)]
fn write_band(scratch: &mut Scratch, rows: usize, out: &mut Vec<u8>) {
    let full = (1u8 << rows) - 1;
    scratch.find_entries(full);
    scratch.find_ground();
    let Scratch { columns, entries, sorted, nodes, ground, .. } = scratch;
    // At most a selection, a gap and a run for each entry and each stretch, and a `$` for each.
    let before = out.len();
    out.resize(before + (entries.len() + ground.len()) * 24 + 8 * (1 + columns.len() / 999), 0);
    let mut pen = Pen { room: &mut out[before..], at: 0 };
    let mut from = 0;
    for (i, stretch) in ground.iter().rev().enumerate() {
        // The last one reaches to the end: what it fills too much is replaced.
        let to = ground.len().checked_sub(i + 2).map_or(columns.len(), |i| ground[i].start.into());
        pen.colour(stretch.colour);
        pen.sixels(full, (to - from) as u16);
        from = to;
    }
    // By colour, columns in order.
    let mut counts = [0u32; 257];
    let mut stretches = ground.iter().rev().peekable();
    let mut colour = 0;
    let mut kept = 0;
    for i in 0..entries.len() {
        let entry = entries[i];
        while let Some(next) = stretches.next_if(|s| s.start <= entry.x || s.first) {
            colour = next.colour;
        }
        if entry.colour != colour {
            counts[usize::from(entry.colour) + 1] += 1;
            entries[kept] = entry;
            kept += 1;
        }
    }
    entries.truncate(kept);
    for i in 1..257 {
        counts[i] += counts[i - 1];
    }
    let ends = counts;
    sorted.resize(entries.len(), Entry::default());
    for entry in entries.iter() {
        let at = &mut counts[usize::from(entry.colour)];
        sorted[*at as usize] = *entry;
        *at += 1;
    }
    nodes.clear();
    for ends in ends.windows(2) {
        let (mut begin, to) = (ends[0], ends[1]);
        let run = &sorted[begin as usize..to as usize];
        for (i, entry) in (begin + 1..).zip(run) {
            let end = entry.x + entry.run;
            if i == to || sorted[i as usize].x - end >= GAP {
                nodes.push(Node { start: sorted[begin as usize].x, end, from: begin, to: i });
                begin = i;
            }
        }
    }
    nodes.sort_unstable_by_key(|n| n.start);
    let mut left = nodes.len();
    while left > 0 {
        pen.put([b'$'; 4], 1);
        let mut cursor = 0u16;
        let mut kept = 0;
        for i in 0..left {
            let node = nodes[i];
            if node.start < cursor {
                nodes[kept] = node;
                kept += 1;
                continue;
            }
            write_node(&sorted[node.from as usize..node.to as usize], cursor, &mut pen);
            cursor = node.end;
        }
        left = kept;
    }
    let written = pen.at;
    out.truncate(before + written);
}

impl Scratch {
    /// Each column's colours with the pixels they set; equal columns side by side are one.
    #[inline(always)]
    fn find_entries(&mut self, full: u8) {
        let Self { columns, entries, .. } = self;
        entries.resize(columns.len() * 6, Entry::default());
        let (mut tail, mut count) = (0, 0);
        let mut previous = None;
        for (x, column) in columns.iter().enumerate() {
            if previous == Some(*column) {
                for entry in &mut entries[tail..count] {
                    entry.run += 1;
                }
                continue;
            }
            previous = Some(*column);
            tail = count;
            let mut left = full;
            while left != 0 {
                let colour = (column >> (8 * left.trailing_zeros())) as u8;
                let mask = rows_of(*column, colour) & full;
                left &= !mask;
                entries[count] = Entry { x: x as u16, run: 1, colour, mask };
                count += 1;
            }
        }
        entries.truncate(count);
    }

    /// The stretches of the ground, last one first: those that save the most bytes. A walk over
    /// all ways to divide the band: per colour the best that a stretch of it can have saved up to
    /// here, begun where the best way so far would have ended.
    #[inline(always)]
    fn find_ground(&mut self) {
        let Self { entries, ground, steps, .. } = self;
        let mut saved = [(i32::MIN / 2, 0u16, u32::MAX); 256];
        let (mut best, mut best_step) = (0, u32::MAX);
        steps.clear();
        for entry in entries.iter() {
            let now = &mut saved[usize::from(entry.colour)];
            if best - STRETCH > now.0 {
                *now = (best - STRETCH, entry.x, best_step);
            }
            now.0 += SAVED;
            if now.0 > best {
                best = now.0;
                best_step = steps.len() as u32;
                steps.push(Step { colour: entry.colour, start: now.1, before: now.2 });
            }
        }
        ground.clear();
        while let Some(step) = steps.get(best_step as usize) {
            let first = step.before == u32::MAX;
            ground.push(Stretch { colour: step.colour, start: step.start, first });
            best_step = step.before;
        }
        if ground.is_empty()
            && let Some(entry) = entries.first()
        {
            ground.push(Stretch { colour: entry.colour, start: 0, first: true });
        }
    }
}

#[inline(always)]
fn write_node(entries: &[Entry], mut cursor: u16, pen: &mut Pen<'_>) {
    let Some(first) = entries.first() else { return };
    pen.colour(first.colour);
    let (mut mask, mut run) = (0u8, 0u16);
    for entry in entries {
        if entry.x > cursor {
            if mask != 0 {
                pen.sixels(mask, run);
                run = 0;
            }
            run += entry.x - cursor;
            mask = 0;
        }
        if entry.mask != mask {
            pen.sixels(mask, run);
            run = 0;
        }
        mask = entry.mask;
        run += entry.run;
        cursor = entry.x + entry.run;
    }
    pen.sixels(mask, run);
}

/// Writes sixels into room that was made before: nothing is asked per byte, and short things are
/// written four bytes at a time, of which some are written over next.
struct Pen<'a> {
    room: &'a mut [u8],
    at: usize,
}

impl Pen<'_> {
    #[inline(always)]
    fn put(&mut self, bytes: [u8; 4], count: usize) {
        if let Some(room) = self.room.get_mut(self.at..self.at + 4) {
            room.copy_from_slice(&bytes);
            self.at += count;
        }
    }

    #[inline(always)]
    fn colour(&mut self, colour: u8) {
        let ([a, b, c], count) = DIGITS[usize::from(colour)];
        self.put([b'#', a, b, c], 1 + usize::from(count));
    }

    #[inline(always)]
    fn sixels(&mut self, mask: u8, run: u16) {
        let sixel = b'?' + mask;
        if run < 4 {
            return self.put([sixel; 4], run.into());
        }
        let mut rest = run;
        // More than a thousand columns are written in several runs.
        while rest > 0 {
            let part = rest.min(999);
            let ([a, b, c], count) = DIGITS[usize::from(part)];
            self.put([b'!', a, b, c], 1 + usize::from(count));
            self.put([sixel; 4], 1);
            rest -= part;
        }
    }
}

/// Rectangles that hold all changed cells and no covered one, none larger than `most` pixels.
fn pieces(changed: &[bool], cells: &Cells, most: (usize, usize)) -> Vec<Piece> {
    let Canvas { cols, rows, cell: (cw, ch) } = cells.canvas;
    let spare = PIECE_COST / (cw * ch).max(1);
    let mut found: Vec<Piece> = Vec::new();
    for row in 0..rows {
        let line = &changed[row * cols..][..cols];
        let mut col = 0;
        while col < cols {
            if !line[col] {
                col += 1;
                continue;
            }
            let len = line[col..].iter().take_while(|c| **c).count();
            let mut piece = Piece { x: col, y: row, cols: len, rows: 1 };
            col += len;
            // Joins whatever it pays to join, then tries again with the result.
            loop {
                let join = (0..found.len()).rev().find(|i| {
                    let other = &found[*i];
                    let both = piece.with(other);
                    both.area() <= piece.area() + other.area() + spare && !cells.any_covered(both)
                });
                let Some(i) = join else { break };
                piece = piece.with(&found.swap_remove(i));
            }
            found.push(piece);
        }
    }
    // However small, each picture makes some terminals (xterm) look at their whole screen.
    while found.len() > MOST_PIECES {
        let n = found.len();
        let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        let best = pairs
            .map(|(i, j)| (i, j, found[i].with(&found[j])))
            .filter(|(_, _, both)| !cells.any_covered(*both))
            .min_by_key(|(i, j, both)| {
                both.area() as isize - (found[*i].area() + found[*j].area()) as isize
            });
        let Some((i, j, both)) = best else { break };
        found.swap_remove(j);
        found[i] = both;
    }
    let (wide, high) = ((most.0 / cw.max(1)).max(1), (most.1 / ch.max(1)).max(1));
    let mut small = Vec::new();
    for p in found {
        for y in (p.y..p.y + p.rows).step_by(high) {
            for x in (p.x..p.x + p.cols).step_by(wide) {
                let (cols, rows) = (wide.min(p.x + p.cols - x), high.min(p.y + p.rows - y));
                small.push(Piece { x, y, cols, rows });
            }
        }
    }
    small
}

impl Cells {
    fn any_covered(&self, p: Piece) -> bool {
        (p.y..p.y + p.rows)
            .any(|y| self.covered[y * self.canvas.cols + p.x..][..p.cols].contains(&true))
    }
}
