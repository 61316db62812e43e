//! From I420 planes straight to the sample grid: each plane is scaled on its own, and only the
//! samples are converted to RGB. Downscaling averages areas, upscaling interpolates linearly.

use super::fit::LANES;
use crate::media::frame::{RawFrame, Size};

/// How a picture is put into its rectangle.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct View {
    /// Cut the picture to fill the rectangle; otherwise show all of it, with black bars.
    pub fill: bool,
    /// Left and right swapped, as people expect of their own picture.
    pub mirror: bool,
    /// This share of the picture's height is cut off at the bottom (0…0.5): a measuring strip.
    pub crop_bottom: f32,
}

impl View {
    /// Screen pixels per source pixel when shown on `width × height` screen pixels.
    pub(crate) fn zoom(&self, source: Size, width: f32, height: f32) -> f32 {
        let (w, h) = self.shown(source);
        let (x, y) = (width / w, height / h);
        if self.fill { x.max(y) } else { x.min(y) }
    }

    /// Source pixels that are shown, across and down.
    pub(crate) fn shown(&self, source: Size) -> (f32, f32) {
        let h = f32::from(source.height.max(1)) * (1.0 - self.crop_bottom.clamp(0.0, 0.5));
        (f32::from(source.width.max(1)), h)
    }
}

/// Whether the planes have the lengths that the size promises.
pub(crate) fn is_whole(f: &RawFrame) -> bool {
    f.size.luma() > 0
        && f.y.len() == f.size.luma()
        && f.u.len() == f.size.chroma()
        && f.v.len() == f.size.chroma()
}

/// A bar of fewer samples would be a smear.
const SMEAR: usize = 2;

/// The sample grid of a tile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    pub cols: usize,
    pub rows: usize,
    /// Samples per cell, across and down.
    pub per_cell: (usize, usize),
    /// Cell size in pixels: only the ratio counts.
    pub cell_px: (u16, u16),
}

impl Grid {
    /// Cells per row, rounded up to whole vectors.
    pub(crate) fn stride(&self) -> usize {
        self.cols.next_multiple_of(LANES)
    }
}

/// Everything about scaling that depends on sizes only.
pub(crate) struct Plan {
    pub(crate) source: Size,
    grid: Grid,
    luma: Axes,
    chroma: Axes,
}

struct Axes {
    /// Outputs in the order `sub-column · stride + cell`, so that samples come out ready for the
    /// fit.
    across: Taps,
    down: Taps,
}

/// Weighted runs of inputs, one per output, all of the same length.
struct Taps {
    count: usize,
    start: Vec<u32>,
    weights: Vec<f32>,
    /// Outputs without input: the bars.
    bar: Vec<bool>,
}

/// One axis of the picture's place: which outputs show it, and which inputs they show.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) outputs: usize,
    pub(crate) first: usize,
    pub(crate) shown: usize,
    pub(crate) from: f32,
    pub(crate) to: f32,
}

impl Plan {
    pub(crate) fn new(source: Size, grid: Grid, view: View) -> Self {
        let (w, h) = view.shown(source);
        let (cw, ch) = (f32::from(grid.cell_px.0.max(1)), f32::from(grid.cell_px.1.max(1)));
        let (wide, high) = (grid.cols as f32 * cw, grid.rows as f32 * ch);
        let (outs_x, outs_y) = (grid.cols * grid.per_cell.0, grid.rows * grid.per_cell.1);
        let zoom = view.zoom(source, wide, high);
        let (x, y) = if view.fill {
            (Span::cut(outs_x, w, wide / zoom), Span::cut(outs_y, h, high / zoom))
        } else {
            let fit = |outputs, len, share| Span::fit(outputs, len, share, SMEAR);
            (fit(outs_x, w, w * zoom / wide), fit(outs_y, h, h * zoom / high))
        };
        let axes = |div: u16| {
            let scale = 1.0 / f32::from(div);
            let inputs_x = usize::from(source.width.div_ceil(div)).max(1);
            let inputs_y = usize::from(source.height.div_ceil(div)).max(1);
            Axes {
                across: Taps::new(x.scaled(scale), inputs_x, view.mirror)
                    .grouped(grid.per_cell.0, grid.stride()),
                down: Taps::new(y.scaled(scale), inputs_y, false),
            }
        };
        Self { source, grid, luma: axes(1), chroma: axes(2) }
    }

    /// Whether the planes have the lengths that the size promises.
    pub(crate) fn accepts(&self, f: &RawFrame) -> bool {
        f.size == self.source && is_whole(f)
    }

    /// Samples of one row of cells as RGB in 0…255: `out[(sample·3 + channel)·stride + cell]`.
    /// `line` is scratch.
    #[inline(always)]
    pub(crate) fn row(&self, f: &RawFrame, row: usize, line: &mut Vec<f32>, out: &mut [f32]) {
        let stride = self.grid.stride();
        let (across, down) = self.grid.per_cell;
        for sub in 0..down {
            let at = row * down + sub;
            // Luma, blue and red difference land where red, green and blue will stand.
            let planes = [
                (&f.y, &self.luma, f.size.width, 16.0),
                (&f.u, &self.chroma, f.size.width.div_ceil(2), 128.0),
                (&f.v, &self.chroma, f.size.width.div_ceil(2), 128.0),
            ];
            for (c, (plane, axes, width, bar)) in planes.into_iter().enumerate() {
                let target = |sub_x: usize| ((sub * across + sub_x) * 3 + c) * stride;
                if axes.down.bar[at] {
                    for sub_x in 0..across {
                        out[target(sub_x)..][..stride].fill(bar);
                    }
                    continue;
                }
                axes.down.blend(plane, usize::from(width), at, line);
                for sub_x in 0..across {
                    let group = sub_x * stride..(sub_x + 1) * stride;
                    axes.across.gather(line, group, bar, &mut out[target(sub_x)..][..stride]);
                }
            }
            for sub_x in 0..across {
                let k = sub * across + sub_x;
                to_rgb(&mut out[k * 3 * stride..][..3 * stride], stride);
            }
        }
    }
}

/// BT.601 limited range to RGB, in place: three runs of `n` values.
#[inline(always)]
fn to_rgb(yuv: &mut [f32], n: usize) {
    let (y, uv) = yuv.split_at_mut(n);
    let (u, v) = uv.split_at_mut(n);
    let v = &mut v[..n];
    for i in 0..n {
        let luma = 1.164_383 * (y[i] - 16.0);
        let (d, e) = (u[i] - 128.0, v[i] - 128.0);
        y[i] = (luma + 1.596_027 * e).clamp(0.0, 255.0);
        u[i] = (luma - 0.391_762 * d - 0.812_968 * e).clamp(0.0, 255.0);
        v[i] = (luma + 2.017_232 * d).clamp(0.0, 255.0);
    }
}

impl Span {
    /// All outputs show the middle `visible` of `len` inputs.
    pub(crate) fn cut(outputs: usize, len: f32, visible: f32) -> Self {
        let visible = visible.min(len);
        let from = (len - visible) / 2.0;
        Self { outputs, first: 0, shown: outputs, from, to: from + visible }
    }

    /// All inputs are shown by the middle `share` of the outputs; bars of less than `smear` outputs
    /// together are stretched over.
    pub(crate) fn fit(outputs: usize, len: f32, share: f32, smear: usize) -> Self {
        let mut shown = ((outputs as f32 * share).round() as usize).clamp(1, outputs.max(1));
        if outputs - shown.min(outputs) < smear {
            shown = outputs;
        }
        Self { outputs, first: (outputs - shown) / 2, shown, from: 0.0, to: len }
    }

    pub(crate) fn scaled(self, by: f32) -> Self {
        Self { from: self.from * by, to: self.to * by, ..self }
    }
}

impl Taps {
    fn new(span: Span, inputs: usize, mirror: bool) -> Self {
        let step = (span.to - span.from) / span.shown.max(1) as f32;
        let count = if step > 1.0 { step.ceil() as usize + 1 } else { 2 }.min(inputs);
        let mut taps = Self { count, start: Vec::new(), weights: Vec::new(), bar: Vec::new() };
        for i in 0..span.outputs {
            let shown = i >= span.first && i < span.first + span.shown;
            taps.bar.push(!shown);
            if !shown {
                taps.start.push(0);
                taps.weights.resize(taps.weights.len() + count, 0.0);
                continue;
            }
            let n = i - span.first;
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
            let (low, high) = (span.from.max(0.0), span.to.min(inputs as f32));
            let start = (a.max(0.0).floor() as usize).min(inputs - count);
            taps.start.push(start as u32);
            let base = taps.weights.len();
            for t in 0..count {
                let pixel = (start + t) as f32;
                let overlap = b.min(pixel + 1.0).min(high) - a.max(pixel).max(low);
                taps.weights.push(overlap.max(0.0));
            }
            let run = &mut taps.weights[base..];
            let sum: f32 = run.iter().sum();
            if sum > 1e-6 {
                run.iter_mut().for_each(|w| *w /= sum);
            } else {
                run[0] = 1.0;
            }
        }
        taps
    }

    /// Reorders outputs from `cell·per_cell + sub` to `sub·stride + cell`.
    fn grouped(self, per_cell: usize, stride: usize) -> Self {
        let outputs = per_cell * stride;
        let mut grouped = Self {
            count: self.count,
            start: vec![0; outputs],
            weights: vec![0.0; outputs * self.count],
            bar: vec![true; outputs],
        };
        for i in 0..self.start.len() {
            let to = (i % per_cell) * stride + i / per_cell;
            grouped.start[to] = self.start[i];
            grouped.bar[to] = self.bar[i];
            grouped.weights[to * self.count..][..self.count]
                .copy_from_slice(&self.weights[i * self.count..][..self.count]);
        }
        grouped
    }

    /// The weighted sum of plane rows that output row `at` shows.
    #[inline(always)]
    fn blend(&self, plane: &[u8], width: usize, at: usize, line: &mut Vec<f32>) {
        line.resize(width, 0.0);
        let start = self.start[at] as usize;
        for t in 0..self.count {
            let w = self.weights[at * self.count + t];
            let source = &plane[(start + t) * width..][..width];
            let line = &mut line[..width];
            if t == 0 {
                for x in 0..width {
                    line[x] = w * f32::from(source[x]);
                }
            } else if w != 0.0 {
                for x in 0..width {
                    line[x] += w * f32::from(source[x]);
                }
            }
        }
    }

    /// The weighted sums along a line for a group of outputs.
    #[inline(always)]
    fn gather(&self, line: &[f32], group: std::ops::Range<usize>, bar: f32, out: &mut [f32]) {
        match self.count {
            1 => self.gather_n::<1>(line, group, bar, out),
            2 => self.gather_n::<2>(line, group, bar, out),
            3 => self.gather_n::<3>(line, group, bar, out),
            4 => self.gather_n::<4>(line, group, bar, out),
            _ => {
                let n = self.count;
                for (to, o) in out.iter_mut().zip(group) {
                    let from = &line[self.start[o] as usize..][..n];
                    let weights = &self.weights[o * n..][..n];
                    let sum: f32 = from.iter().zip(weights).map(|(v, w)| v * w).sum();
                    *to = if self.bar[o] { bar } else { sum };
                }
            }
        }
    }

    #[inline(always)]
    fn gather_n<const T: usize>(
        &self,
        line: &[f32],
        group: std::ops::Range<usize>,
        bar: f32,
        out: &mut [f32],
    ) {
        let starts = &self.start[group.clone()];
        let bars = &self.bar[group.clone()];
        let weights = self.weights[group.start * T..group.end * T].as_chunks::<T>().0;
        for (((to, start), w), is_bar) in out.iter_mut().zip(starts).zip(weights).zip(bars) {
            let start = *start as usize;
            let from = &line[start..start + T];
            let mut sum = 0.0;
            for t in 0..T {
                sum += w[t] * from[t];
            }
            *to = if *is_bar { bar } else { sum };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MediaTime;

    fn grid(cols: usize, rows: usize) -> Grid {
        Grid { cols, rows, per_cell: (2, 3), cell_px: (10, 20) }
    }

    /// All samples as a picture: `[y][x][channel]`.
    fn samples(plan: &Plan, f: &RawFrame) -> Vec<Vec<[f32; 3]>> {
        let g = plan.grid;
        let (across, down) = g.per_cell;
        let mut out = vec![0.0; across * down * 3 * g.stride()];
        let mut line = Vec::new();
        let mut picture = vec![vec![[0.0; 3]; g.cols * across]; g.rows * down];
        for row in 0..g.rows {
            plan.row(f, row, &mut line, &mut out);
            for k in 0..across * down {
                for cell in 0..g.cols {
                    for c in 0..3 {
                        picture[row * down + k / across][cell * across + k % across][c] =
                            out[(k * 3 + c) * g.stride() + cell];
                    }
                }
            }
        }
        picture
    }

    fn ramp(size: Size) -> RawFrame {
        let mut f = RawFrame::black(size, MediaTime::default());
        for (i, y) in f.y.iter_mut().enumerate() {
            let x = i % usize::from(size.width);
            *y = 16 + (219 * x / usize::from(size.width - 1)) as u8;
        }
        f
    }

    #[test]
    fn a_uniform_picture_stays_uniform_at_every_size() {
        for (w, h) in [(16, 10), (160, 96), (250, 151), (640, 384), (2, 2)] {
            let mut f = RawFrame::black(Size::new(w, h), MediaTime::default());
            f.y.fill(126);
            let plan = Plan::new(f.size, grid(33, 9), View { fill: true, ..View::default() });
            for row in samples(&plan, &f) {
                for p in row {
                    assert!(p.iter().all(|v| (v - 128.08).abs() < 0.1), "{p:?}");
                }
            }
        }
    }

    #[test]
    fn scaling_down_keeps_the_mean_and_the_direction() {
        let f = ramp(Size::new(320, 192));
        let plan = Plan::new(f.size, grid(40, 12), View { fill: true, ..View::default() });
        let p = samples(&plan, &f);
        let mean = p.iter().flatten().map(|p| p[0]).sum::<f32>() / (80.0 * 36.0);
        assert!((mean - 127.5).abs() < 2.0, "{mean}");
        assert!(p[5].windows(2).all(|w| w[0][0] <= w[1][0] + 0.01));
    }

    #[test]
    fn mirror_swaps_left_and_right_exactly() {
        let f = ramp(Size::new(200, 120));
        let plain = Plan::new(f.size, grid(30, 9), View::default());
        let mirrored = Plan::new(f.size, grid(30, 9), View { mirror: true, ..View::default() });
        let (a, b) = (samples(&plain, &f), samples(&mirrored, &f));
        for (a, b) in a.iter().zip(&b) {
            assert!(a.iter().zip(b.iter().rev()).all(|(a, b)| (a[0] - b[0]).abs() < 0.01));
        }
    }

    #[test]
    fn letterbox_keeps_the_aspect_with_true_cell_size() {
        let mut f = RawFrame::black(Size::new(160, 160), MediaTime::default());
        f.y.fill(235);
        // 40x10 cells of 10x20 px = 400x200 px: a square picture is 200 px = 40 samples wide.
        let plan = Plan::new(f.size, grid(40, 10), View::default());
        let p = samples(&plan, &f);
        let white = p[7].iter().filter(|p| p[0] > 250.0).count();
        assert_eq!(white, 40);
        assert!(p.iter().all(|row| row[20][0] > 250.0 && row[19][0] < 1.0 && row[60][0] < 1.0));
    }

    #[test]
    fn crop_bottom_hides_the_strip() {
        let mut f = RawFrame::black(Size::new(160, 96), MediaTime::default());
        let strip = 160 * 84;
        f.y[strip..].fill(235);
        let view = View { fill: true, crop_bottom: 12.0 / 96.0, ..View::default() };
        let p = samples(&Plan::new(f.size, grid(40, 12), view), &f);
        assert!(p.iter().flatten().all(|p| p[0] < 1.0));
    }
}
