//! kitty's graphics protocol (<https://sw.kovidgoyal.net/kitty/graphics-protocol/>): 24-bit
//! pictures, through shared memory or the tty; the terminal scales them to the cells.
//!
//! Every picture gets the other of two numbers: it is sent and placed first, then the one before is
//! deleted, so that there is no moment without a picture and never more than two are kept. (The
//! protocol's animation frames would do the same, but few terminals know them.) Pictures lie above
//! text (z = 0), so old text under them doesn't show; what covers a tile is left out by placing
//! the picture in pieces. Stacking it below text would show pop-ups only where their cells have a
//! background colour, and leave old text on the face.

use super::digits::{base64, number};
use super::scale::{Canvas, Row, Scaler, rgb};
use super::{Cells, Shelf, Stats};
use crate::media::frame::RawFrame;
use crate::paint::simd::{Work, dispatch};
use std::collections::VecDeque;

/// Most base64 in one sequence.
const CHUNK: usize = 4096;
/// Bytes converted before they are handed on: stays in the cache.
const BATCH: usize = 96 * 1024;
/// Names remembered: what the terminal hasn't taken after so many pictures is removed.
const WAITING: usize = 6;

/// Draws one tile by kitty's protocol.
pub(super) struct Kitty {
    base: u32,
    /// The picture on the screen.
    current: Option<u32>,
    /// The pieces it was placed in, and their number of pixels per cell.
    placed: Vec<(usize, usize, usize, usize)>,
    pub shelf: Option<Box<dyn Shelf>>,
    waiting: VecDeque<String>,
    row: Row,
    batch: Vec<u8>,
    text: Vec<u8>,
}

impl Kitty {
    pub(super) fn new(base: u32) -> Self {
        Self {
            base: base.clamp(1, u32::MAX - 1),
            current: None,
            placed: Vec::new(),
            shelf: None,
            waiting: VecDeque::new(),
            row: Row::default(),
            batch: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Pixels a picture may have: through the tty each takes four bytes.
    pub(super) fn most_pixels(&self, lambda: f32) -> f32 {
        if self.shelf.is_some() {
            return f32::INFINITY;
        }
        // In steps, so that a wandering λ doesn't change the size all the time.
        let step = (2.0 * (lambda.max(0.01) * 2.0).log2()).round() / 2.0;
        (64_000.0 * (-step).exp2()).clamp(1_500.0, 400_000.0)
    }

    pub(super) fn paint(
        &mut self,
        f: &RawFrame,
        scaler: &mut Scaler,
        cells: &mut Cells,
        out: &mut Vec<u8>,
    ) -> Stats {
        let old = self.current;
        let new = if old == Some(self.base) { self.base + 1 } else { self.base };
        if !self.by_shelf(f, scaler, cells.canvas, new, out) {
            self.by_tty(f, scaler, cells.canvas, new, out);
        }
        self.current = Some(new);
        self.place(cells, out);
        if let Some(old) = old {
            delete(old, out);
        }
        Stats { written: cells.free(), ..Stats::default() }
    }

    fn by_shelf(
        &mut self,
        f: &RawFrame,
        scaler: &mut Scaler,
        canvas: Canvas,
        id: u32,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(mut shelf) = self.shelf.take() else { return false };
        while self.waiting.len() >= WAITING {
            if let Some(name) = self.waiting.pop_front() {
                shelf.remove(&name);
            }
        }
        let bytes = canvas.width() * canvas.height() * 3;
        let Ok(name) = shelf.begin(bytes) else { return false };
        let done = self.convert(f, scaler, canvas, &mut |part| shelf.append(part));
        if done.is_err() {
            // Memory is full: the tty from now on.
            shelf.remove(&name);
            return false;
        }
        begin(canvas, id, b",t=s;", out);
        base64(out, name.as_bytes());
        out.extend_from_slice(b"\x1b\\");
        self.waiting.push_back(name);
        self.shelf = Some(shelf);
        true
    }

    fn by_tty(
        &mut self,
        f: &RawFrame,
        scaler: &mut Scaler,
        canvas: Canvas,
        id: u32,
        out: &mut Vec<u8>,
    ) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        // BATCH is a multiple of three, so the parts' base64 can be joined.
        let done = self.convert(f, scaler, canvas, &mut |part| {
            base64(&mut text, part);
            Ok(())
        });
        if done.is_ok() {
            let last = text.len().div_ceil(CHUNK).saturating_sub(1);
            for (i, chunk) in text.chunks(CHUNK).enumerate() {
                let more: &[u8] = if i < last { b"m=1;" } else { b"m=0;" };
                if i == 0 {
                    begin(canvas, id, b",t=d,", out);
                } else {
                    out.extend_from_slice(b"\x1b_Gq=2,");
                }
                out.extend_from_slice(more);
                out.extend_from_slice(chunk);
                out.extend_from_slice(b"\x1b\\");
            }
        }
        self.text = text;
    }

    /// The picture as RGB, part by part, each but the last [`BATCH`] long.
    fn convert(
        &mut self,
        f: &RawFrame,
        scaler: &mut Scaler,
        canvas: Canvas,
        take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let width = canvas.width();
        for plane in [&mut self.row.y, &mut self.row.u, &mut self.row.v] {
            plane.resize(width, 0);
        }
        self.batch.clear();
        for at in 0..canvas.height() {
            let filled = self.batch.len();
            self.batch.resize(filled + width * 3, 0);
            let to = &mut self.batch[filled..];
            dispatch(Line { f, scaler, at, row: &mut self.row, to });
            if self.batch.len() >= BATCH {
                let rest = self.batch.len() % BATCH;
                let whole = self.batch.len() - rest;
                for part in self.batch[..whole].chunks(BATCH) {
                    take(part)?;
                }
                self.batch.copy_within(whole.., 0);
                self.batch.truncate(rest);
            }
        }
        if self.batch.is_empty() { Ok(()) } else { take(&self.batch) }
    }

    /// Places the current picture on the cells that aren't covered.
    fn place(&mut self, cells: &mut Cells, out: &mut Vec<u8>) {
        let Some(id) = self.current else { return };
        self.placed = cells.open();
        let (cw, ch) = cells.canvas.cell;
        for (n, (x, y, cols, rows)) in self.placed.iter().copied().enumerate() {
            cells.go(x, y, out);
            out.extend_from_slice(b"\x1b_Ga=p,C=1,q=2,i=");
            let fields: [(&[u8], usize); 8] = [
                (b"", id as usize),
                (b",p=", n + 1),
                (b",c=", cols),
                (b",r=", rows),
                (b",x=", x * cw),
                (b",y=", y * ch),
                (b",w=", cols * cw),
                (b",h=", rows * ch),
            ];
            // A whole picture needs no cut.
            let cut = (cols, rows) != (cells.canvas.cols, cells.canvas.rows);
            for (key, value) in &fields[..if cut { 8 } else { 4 }] {
                out.extend_from_slice(key);
                number(out, *value);
            }
            out.extend_from_slice(b"\x1b\\");
        }
        cells.all_shown();
    }

    /// Places the picture on the screen anew if other cells are covered now and it is still known
    /// to the terminal.
    pub(super) fn place_again(&mut self, cells: &mut Cells, out: &mut Vec<u8>) {
        let Some(id) = self.current else { return };
        // Nothing shown at all: invalidated. The picture must be sent again.
        if !cells.shown.contains(&true) || cells.open() == self.placed {
            return;
        }
        out.extend_from_slice(b"\x1b_Ga=d,d=i,q=2,i=");
        number(out, id as usize);
        out.extend_from_slice(b"\x1b\\");
        self.place(cells, out);
    }

    pub(super) fn retire(&mut self, out: &mut Vec<u8>) {
        if let Some(id) = self.current.take() {
            delete(id, out);
        }
        self.placed.clear();
    }
}

impl Drop for Kitty {
    fn drop(&mut self) {
        if let Some(shelf) = &mut self.shelf {
            for name in self.waiting.drain(..) {
                shelf.remove(&name);
            }
        }
    }
}

/// The beginning of a picture's sequence: 24 bits a pixel, this size, no answers.
fn begin(canvas: Canvas, id: u32, rest: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x1b_Ga=t,q=2,f=24,i=");
    number(out, id as usize);
    out.extend_from_slice(b",s=");
    number(out, canvas.width());
    out.extend_from_slice(b",v=");
    number(out, canvas.height());
    out.extend_from_slice(rest);
}

/// Takes a picture off the screen and out of the terminal's memory.
fn delete(id: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x1b_Ga=d,d=I,q=2,i=");
    number(out, id as usize);
    out.extend_from_slice(b"\x1b\\");
}

/// One row of pixels as RGB.
struct Line<'a> {
    f: &'a RawFrame,
    scaler: &'a mut Scaler,
    at: usize,
    row: &'a mut Row,
    to: &'a mut [u8],
}

impl Work for Line<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        let Row { y, u, v } = self.row;
        self.scaler.row(self.f, self.at, y, u, v);
        let pixels = self.to.as_chunks_mut::<3>().0;
        for (((p, y), u), v) in pixels.iter_mut().zip(y).zip(u).zip(v) {
            *p = rgb(*y, *u, *v);
        }
    }
}
