//! From I420 to the pixels of a tile, row by row, in integers: each plane is scaled on its own and
//! only what is needed becomes RGB. Downscaling averages areas, upscaling interpolates linearly.
//! (The cell painter's scaler works in floats on a few samples per cell; here every pixel counts.)

use crate::media::frame::{RawFrame, Size};
use crate::paint::scale::{Span, View, is_whole};

/// The pixels of a tile: whole cells of the same number of pixels each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Canvas {
    pub cols: usize,
    pub rows: usize,
    /// Pixels per cell, across and down.
    pub cell: (usize, usize),
}

impl Canvas {
    pub(super) fn width(&self) -> usize {
        self.cols * self.cell.0
    }

    pub(super) fn height(&self) -> usize {
        self.rows * self.cell.1
    }
}

/// A bar of fewer pixels would be a smear.
const SMEAR: usize = 3;

/// Everything about scaling that depends on sizes only.
pub(super) struct Scaler {
    source: Size,
    width: usize,
    luma: Axes,
    chroma: Axes,
    line: Vec<u8>,
}

struct Axes {
    across: Taps,
    down: Taps,
}

/// Weighted runs of inputs for the outputs that show the picture.
struct Taps {
    /// First output that shows it, and one past the last.
    shown: (usize, usize),
    count: usize,
    start: Vec<u32>,
    /// `count` per output; they sum to 256.
    weights: Vec<u16>,
    way: Way,
}

/// Shapes of runs that have a quick loop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Output n is input n + this.
    Copy(usize),
    /// Twice as many outputs as inputs, beginning with input 0.
    Double,
    General,
}

/// One row of a tile's pixels: luma and colour differences, all at full width.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub y: Vec<u8>,
    pub u: Vec<u8>,
    pub v: Vec<u8>,
}

impl Scaler {
    /// `aspect`: width to height of the whole canvas on the screen.
    pub(super) fn new(source: Size, canvas: Canvas, aspect: f32, view: View) -> Self {
        let (w, h) = view.shown(source);
        let (outs_x, outs_y) = (canvas.width(), canvas.height());
        let (wide, high) = (outs_y as f32 * aspect, outs_y as f32);
        let zoom = view.zoom(source, wide, high);
        let (x, y) = if view.fill {
            (Span::cut(outs_x, w, wide / zoom), Span::cut(outs_y, h, high / zoom))
        } else {
            (
                Span::fit(outs_x, w, w * zoom / wide, SMEAR),
                Span::fit(outs_y, h, h * zoom / high, SMEAR),
            )
        };
        let axes = |div: u16| {
            let by = 1.0 / f32::from(div);
            let inputs = |n: u16| usize::from(n.div_ceil(div)).max(1);
            Axes {
                across: Taps::new(x.scaled(by), inputs(source.width), view.mirror),
                down: Taps::new(y.scaled(by), inputs(source.height), false),
            }
        };
        Self { source, width: outs_x, luma: axes(1), chroma: axes(2), line: Vec::new() }
    }

    /// Whether the planes have the lengths that the size promises.
    pub(super) fn accepts(&self, f: &RawFrame) -> bool {
        f.size == self.source && is_whole(f)
    }

    /// Row `at` of the canvas.
    #[inline(always)]
    pub(super) fn row(
        &mut self,
        f: &RawFrame,
        at: usize,
        y: &mut [u8],
        u: &mut [u8],
        v: &mut [u8],
    ) {
        let wide = usize::from(self.source.width);
        let half = usize::from(self.source.width.div_ceil(2));
        let planes = [
            (&f.y, &self.luma, wide, 16, y),
            (&f.u, &self.chroma, half, 128, u),
            (&f.v, &self.chroma, half, 128, v),
        ];
        for (plane, axes, width, bar, out) in planes {
            let out = &mut out[..self.width];
            let (top, bottom) = axes.down.shown;
            if at < top || at >= bottom {
                out.fill(bar);
                continue;
            }
            let line = axes.down.blend(plane, width, at - top, &mut self.line);
            let (left, right) = axes.across.shown;
            out[..left].fill(bar);
            out[right..].fill(bar);
            axes.across.gather(line, &mut out[left..right]);
        }
    }
}

impl Taps {
    fn new(span: Span, inputs: usize, mirror: bool) -> Self {
        let step = (span.to - span.from) / span.shown.max(1) as f32;
        let count = if step > 1.0 { step.ceil() as usize + 1 } else { 2 }.min(inputs);
        let shown = (span.first.min(span.outputs), (span.first + span.shown).min(span.outputs));
        let mut taps =
            Self { shown, count, start: Vec::new(), weights: Vec::new(), way: Way::General };
        let (low, high) = (span.from.max(0.0), span.to.min(inputs as f32));
        let mut run = Vec::new();
        for n in 0..span.shown {
            let n = if mirror { span.shown - 1 - n } else { n };
            let a = span.from + n as f32 * step;
            // Below one input per output, a window of one input around the middle, blended by
            // overlap, is linear interpolation.
            let (a, b) = if step > 1.0 {
                (a, a + step)
            } else {
                let middle = a + step / 2.0;
                (middle - 0.5, middle + 0.5)
            };
            let start = (a.max(0.0).floor() as usize).min(inputs - count);
            taps.start.push(start as u32);
            run.clear();
            run.extend((start..start + count).map(|pixel| {
                let pixel = pixel as f32;
                (b.min(pixel + 1.0).min(high) - a.max(pixel).max(low)).max(0.0)
            }));
            whole(&run, &mut taps.weights);
        }
        taps.way = taps.find_way(inputs);
        taps
    }

    fn find_way(&self, inputs: usize) -> Way {
        let outputs = self.start.len();
        // The one input that counts for an output, if it is only one.
        let only = |n: usize| {
            let run = &self.weights[n * self.count..][..self.count];
            let t = run.iter().position(|w| *w == 256)?;
            Some(self.start[n] as usize + t)
        };
        if let Some(first) = (outputs > 0).then(|| only(0)).flatten()
            && (0..outputs).all(|n| only(n) == Some(first + n))
        {
            return Way::Copy(first);
        }
        let doubles = |n: usize| {
            if n == 0 || n + 1 == outputs {
                return only(n) == Some(n / 2);
            }
            let weights = &self.weights[n * self.count..][..self.count];
            let near = if n.is_multiple_of(2) { [64, 192] } else { [192, 64] };
            self.start[n] as usize == (n - 1) / 2 && weights == near
        };
        if self.count == 2 && outputs == 2 * inputs && (0..outputs).all(doubles) {
            return Way::Double;
        }
        Way::General
    }

    /// The weighted sum of plane rows that output row `at` shows.
    #[inline(always)]
    fn blend<'a>(
        &self,
        plane: &'a [u8],
        width: usize,
        at: usize,
        line: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        let start = self.start[at] as usize;
        let weights = &self.weights[at * self.count..][..self.count];
        let row = |t: usize| &plane[(start + t) * width..][..width];
        if let Some(t) = weights.iter().position(|w| *w == 256) {
            return row(t);
        }
        line.resize(width, 0);
        if let [a, b] = *weights {
            for ((to, p), q) in line.iter_mut().zip(row(0)).zip(row(1)) {
                *to = ((a * u16::from(*p) + b * u16::from(*q) + 128) >> 8) as u8;
            }
            return line;
        }
        // A few at a time, so that the sums stay in registers or near.
        const RUN: usize = 64;
        for (at, part) in line.chunks_mut(RUN).enumerate() {
            let mut sums = [128u16; RUN];
            for (t, w) in weights.iter().enumerate() {
                for (sum, p) in sums.iter_mut().zip(&row(t)[at * RUN..]) {
                    *sum += w * u16::from(*p);
                }
            }
            for (to, sum) in part.iter_mut().zip(&sums) {
                *to = (sum >> 8) as u8;
            }
        }
        line
    }

    /// The weighted sums along a line for the outputs that show it.
    #[inline(always)]
    fn gather(&self, line: &[u8], out: &mut [u8]) {
        match (self.way, self.count) {
            (Way::Copy(first), _) => out.copy_from_slice(&line[first..][..out.len()]),
            (Way::Double, _) => double(line, out),
            (_, 1) => self.gather_n::<1>(line, out),
            (_, 2) => self.gather_n::<2>(line, out),
            (_, 3) => self.gather_n::<3>(line, out),
            (_, 4) => self.gather_n::<4>(line, out),
            (_, n) => {
                for ((to, start), w) in
                    out.iter_mut().zip(&self.start).zip(self.weights.chunks_exact(n))
                {
                    let from = &line[*start as usize..][..n];
                    let sum: u32 =
                        from.iter().zip(w).map(|(p, w)| u32::from(*p) * u32::from(*w)).sum();
                    *to = ((sum + 128) >> 8) as u8;
                }
            }
        }
    }

    #[inline(always)]
    fn gather_n<const T: usize>(&self, line: &[u8], out: &mut [u8]) {
        let weights = self.weights.as_chunks::<T>().0;
        for ((to, start), w) in out.iter_mut().zip(&self.start).zip(weights) {
            let start = *start as usize;
            let from = &line[start..start + T];
            let mut sum = 128u32;
            for t in 0..T {
                sum += u32::from(w[t]) * u32::from(from[t]);
            }
            *to = (sum >> 8) as u8;
        }
    }
}

/// Twice as wide, linearly: what `Taps` of that ratio say, in a loop that vectorises.
#[inline(always)]
fn double(line: &[u8], out: &mut [u8]) {
    let n = line.len();
    let mix = |near: u8, far: u8| ((192 * u16::from(near) + 64 * u16::from(far) + 128) >> 8) as u8;
    out[0] = line[0];
    out[2 * n - 1] = line[n - 1];
    let pairs = out[1..2 * n - 1].as_chunks_mut::<2>().0;
    for ((pair, a), b) in pairs.iter_mut().zip(line).zip(&line[1..]) {
        *pair = [mix(*a, *b), mix(*b, *a)];
    }
}

/// Weights in 256ths that sum to exactly 256.
fn whole(run: &[f32], weights: &mut Vec<u16>) {
    let sum: f32 = run.iter().sum();
    let base = weights.len();
    if sum <= 1e-6 {
        weights.extend((0..run.len()).map(|t| if t == 0 { 256 } else { 0 }));
        return;
    }
    weights.extend(run.iter().map(|w| (w / sum * 256.0).round() as u16));
    let run = &mut weights[base..];
    let total: i32 = run.iter().map(|w| i32::from(*w)).sum();
    if let Some(most) = run.iter_mut().max_by_key(|w| **w) {
        *most = (i32::from(*most) + 256 - total).max(0) as u16;
    }
}

/// BT.601 limited range to RGB, in 64ths: within 1 of the exact value.
#[inline(always)]
pub(super) fn rgb(y: u8, u: u8, v: u8) -> [u8; 3] {
    let luma = ((u16::from(y).saturating_sub(16) * 149) >> 1) as i16 + 32;
    let (d, e) = (i16::from(u) - 128, i16::from(v) - 128);
    let out = |v: i16| (v >> 6).clamp(0, 255) as u8;
    [
        out(luma.saturating_add(102 * e)),
        out(luma.saturating_sub(25 * d + 52 * e)),
        out(luma.saturating_add(129 * d)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MediaTime;

    fn canvas(cols: usize, rows: usize) -> Canvas {
        Canvas { cols, rows, cell: (10, 20) }
    }

    fn rows(f: &RawFrame, canvas: Canvas, view: View) -> Vec<Row> {
        let aspect = canvas.width() as f32 / canvas.height() as f32;
        let mut scaler = Scaler::new(f.size, canvas, aspect, view);
        assert!(scaler.accepts(f));
        (0..canvas.height())
            .map(|at| {
                let n = canvas.width();
                let mut row = Row { y: vec![9; n], u: vec![9; n], v: vec![9; n] };
                scaler.row(f, at, &mut row.y, &mut row.u, &mut row.v);
                row
            })
            .collect()
    }

    fn noise(size: Size) -> RawFrame {
        let mut f = RawFrame::black(size, MediaTime::default());
        let mut state = 1u32;
        for p in f.y.iter_mut().chain(&mut f.u).chain(&mut f.v) {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *p = (state >> 24) as u8;
        }
        f
    }

    #[test]
    fn a_picture_of_the_tiles_size_passes_unchanged() {
        let f = noise(Size::new(100, 60));
        let view = View::default();
        for (at, row) in rows(&f, canvas(10, 3), view).iter().enumerate() {
            assert_eq!(row.y, f.y[at * 100..][..100]);
        }
    }

    #[test]
    fn the_quick_loops_give_what_the_general_one_gives() {
        for (source, cols) in [(Size::new(100, 60), 10), (Size::new(100, 60), 20)] {
            let f = noise(source);
            let canvas = canvas(cols, cols * 3 / 10);
            let aspect = canvas.width() as f32 / canvas.height() as f32;
            let mut quick = Scaler::new(source, canvas, aspect, View::default());
            let mut slow = Scaler::new(source, canvas, aspect, View::default());
            assert!(quick.chroma.across.way == Way::Double || cols == 20);
            slow.luma.across.way = Way::General;
            slow.chroma.across.way = Way::General;
            let n = canvas.width();
            for at in 0..canvas.height() {
                let mut a = Row { y: vec![0; n], u: vec![0; n], v: vec![0; n] };
                let mut b = a.clone();
                quick.row(&f, at, &mut a.y, &mut a.u, &mut a.v);
                slow.row(&f, at, &mut b.y, &mut b.u, &mut b.v);
                assert_eq!((a.y, a.u, a.v), (b.y, b.u, b.v));
            }
        }
    }

    #[test]
    fn a_uniform_picture_stays_uniform_at_every_size() {
        for (w, h) in [(16, 10), (160, 96), (250, 151), (640, 384), (2, 2)] {
            let mut f = RawFrame::black(Size::new(w, h), MediaTime::default());
            f.y.fill(126);
            for row in rows(&f, canvas(13, 4), View { fill: true, ..View::default() }) {
                assert!(row.y.iter().all(|y| *y == 126) && row.u.iter().all(|u| *u == 128));
            }
        }
    }

    #[test]
    fn mirror_swaps_left_and_right_exactly() {
        let f = noise(Size::new(200, 120));
        let a = rows(&f, canvas(13, 4), View::default());
        let b = rows(&f, canvas(13, 4), View { mirror: true, ..View::default() });
        for (a, b) in a.iter().zip(&b) {
            let close =
                |a: &[u8], b: &[u8]| a.iter().zip(b.iter().rev()).all(|(a, b)| a.abs_diff(*b) <= 1);
            assert!(close(&a.y, &b.y) && close(&a.u, &b.u));
        }
    }

    #[test]
    fn a_square_picture_is_shown_square_with_bars() {
        let mut f = RawFrame::black(Size::new(160, 160), MediaTime::default());
        f.y.fill(235);
        let p = rows(&f, canvas(40, 10), View::default());
        assert_eq!(p[70].y.iter().filter(|y| **y == 235).count(), 200);
        assert!(p.iter().all(|row| row.y[100] == 235 && row.y[99] == 16 && row.y[300] == 16));
    }

    #[test]
    fn the_cut_strip_is_never_shown() {
        let mut f = RawFrame::black(Size::new(160, 96), MediaTime::default());
        f.y[160 * 84..].fill(235);
        let view = View { fill: true, crop_bottom: 12.0 / 96.0, ..View::default() };
        assert!(rows(&f, canvas(40, 12), view).iter().all(|row| row.y.iter().all(|y| *y == 16)));
    }

    #[test]
    fn rgb_is_within_one_of_the_exact_conversion() {
        for y in (0..=255u8).step_by(3) {
            for u in (0..=255u8).step_by(5) {
                for v in (0..=255u8).step_by(5) {
                    let luma = 1.164_383 * (f32::from(y) - 16.0).max(0.0);
                    let (d, e) = (f32::from(u) - 128.0, f32::from(v) - 128.0);
                    let exact = [
                        luma + 1.596_027 * e,
                        luma - 0.391_762 * d - 0.812_968 * e,
                        luma + 2.017_232 * d,
                    ];
                    for (got, exact) in rgb(y, u, v).into_iter().zip(exact) {
                        assert!((f32::from(got) - exact.clamp(0.0, 255.0)).abs() <= 1.3);
                    }
                }
            }
        }
    }
}
