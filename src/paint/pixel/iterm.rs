//! iTerm2's inline images (<https://iterm2.com/documentation-images.html>): files in base64, here
//! JPEG, placed on whole cells. The terminal scales.

use super::digits::{base64, number};
use super::jpeg::{Image, encode};
use super::scale::{Row, Scaler};
use super::{Cells, Stats};
use crate::media::frame::RawFrame;
use crate::paint::simd::{Work, dispatch};

/// Pixels a picture may have. More than a terminal of this protocol decodes in a frame's time make
/// no sense; less where bytes are dear.
pub(super) fn most_pixels(lambda: f32) -> f32 {
    // In steps, so that a wandering λ doesn't change the size all the time.
    let step = (lambda.max(0.01) / 2.0).log2().round().max(0.0);
    400_000.0 * (-0.7 * step).exp2()
}

/// Draws one tile by iTerm2's protocol.
#[derive(Default)]
pub(super) struct Iterm {
    now: Row,
    sent: Row,
    file: Vec<u8>,
}

impl Iterm {
    /// Sends the whole picture if it differs from the one before by more than `lambda` allows,
    /// something isn't shown, or `due`.
    pub(super) fn paint(
        &mut self,
        f: &RawFrame,
        scaler: &mut Scaler,
        cells: &mut Cells,
        lambda: f32,
        due: bool,
        out: &mut Vec<u8>,
    ) -> Stats {
        let n = cells.canvas.width() * cells.canvas.height();
        let fresh = self.sent.y.len() != n;
        for planes in [&mut self.now, &mut self.sent] {
            for plane in [&mut planes.y, &mut planes.u, &mut planes.v] {
                plane.resize(n, 0);
            }
        }
        let free = cells.free();
        let limit = if fresh || due || cells.lacking() { None } else { Some(lambda) };
        if !dispatch(Compare { iterm: self, f, scaler, cells, limit }) {
            return Stats { kept: free, ..Stats::default() };
        }
        let quality = (80.0 - 9.0 * (2.0 * lambda.max(0.01)).log2()).clamp(25.0, 92.0) as u8;
        let (cw, ch) = cells.canvas.cell;
        for (x, y, cols, rows) in cells.open() {
            self.file.clear();
            let image = Image {
                planes: [&self.now.y, &self.now.u, &self.now.v],
                stride: cells.canvas.width(),
                at: (x * cw, y * ch),
                size: ((cols * cw) as u16, (rows * ch) as u16),
            };
            dispatch(Encode { image, quality, out: &mut self.file });
            cells.go(x, y, out);
            out.extend_from_slice(b"\x1b]1337;File=inline=1;size=");
            number(out, self.file.len());
            out.extend_from_slice(b";width=");
            number(out, cols);
            out.extend_from_slice(b";height=");
            number(out, rows);
            out.extend_from_slice(b";preserveAspectRatio=0;doNotMoveCursor=1:");
            base64(out, &self.file);
            out.push(0x07);
        }
        std::mem::swap(&mut self.now, &mut self.sent);
        cells.all_shown();
        Stats { written: free, ..Stats::default() }
    }
}

/// Scales, and says whether the picture must be sent.
struct Compare<'a> {
    iterm: &'a mut Iterm,
    f: &'a RawFrame,
    scaler: &'a mut Scaler,
    cells: &'a Cells,
    /// Mean squared error that doesn't matter, before its factor; none: everything matters.
    limit: Option<f32>,
}

impl Work for Compare<'_> {
    type Out = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let Self { iterm, f, scaler, cells, limit } = self;
        let Iterm { now, sent, .. } = iterm;
        let (width, ch) = (cells.canvas.width(), cells.canvas.cell.1);
        let mut matters = limit.is_none();
        let most = (limit.unwrap_or(0.0) * (cells.canvas.cell.0 * ch) as f32 * 4.0) as u64;
        for row in 0..cells.canvas.rows {
            let strip = row * ch * width..(row + 1) * ch * width;
            for at in row * ch..(row + 1) * ch {
                let run = at * width..(at + 1) * width;
                let (y, u, v) =
                    (&mut now.y[run.clone()], &mut now.u[run.clone()], &mut now.v[run.clone()]);
                scaler.row(f, at, y, u, v);
            }
            if matters {
                continue;
            }
            // A row of cells at a time, so that a small change isn't lost in a large calm picture.
            let mut error = 0u64;
            for (a, b) in [(&now.y, &sent.y), (&now.u, &sent.u), (&now.v, &sent.v)] {
                for (a, b) in a[strip.clone()].iter().zip(&b[strip.clone()]) {
                    let d = i32::from(*a) - i32::from(*b);
                    error += (d * d) as u64;
                }
            }
            matters = error > most;
        }
        matters
    }
}

struct Encode<'a> {
    image: Image<'a>,
    quality: u8,
    out: &'a mut Vec<u8>,
}

impl Work for Encode<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        encode(self.image, self.quality, self.out);
    }
}
