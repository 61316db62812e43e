//! One tile: pictures in, escape sequences out, and the memory of what the terminal shows.

use super::Rect;
use super::choose::{Job, Scheme, Shadow, Table, write_cell};
use super::colour::{Ansi, Depth, Ink};
use super::layout::tile_pixels;
use super::mode::Mode;
use super::place::Place;
use super::quality::Quality;
use super::scale::{Grid, Plan};
use super::simd::dispatch;
use super::writer::Writer;
use crate::media::frame::{RawFrame, Size};
use crate::time::MediaTime;
use std::sync::Arc;

/// What painting one picture came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Bytes written.
    pub bytes: usize,
    /// Cells written.
    pub written: usize,
    /// Cells left as they were.
    pub kept: usize,
    /// Mean squared error per sample and channel against the scaled picture, 0…65025 (zero in
    /// modes without a fit). PSNR in dB is `10·log10(65025 / error)`.
    pub error: f64,
}

/// How a picture is put into its rectangle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// All of it, with black bars.
    #[default]
    Letterbox,
    /// Cut to fill the rectangle.
    Fill,
}

/// One cell of a tile as the terminal shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Painted {
    /// Column on the screen.
    pub x: u16,
    /// Row on the screen.
    pub y: u16,
    /// The glyph.
    pub glyph: &'static str,
    /// Colour of the glyph's ink.
    pub fg: Ink,
    /// Colour behind it.
    pub bg: Ink,
}

/// Paints the pictures of one tile. Keeps a shadow of what stands on the screen and writes only
/// what changes; 1/64 of the cells is written anew with every picture, so that foreign output
/// heals by itself.
///
/// Bytes start and end with default colours set; the cursor may be anywhere before and after.
/// They never touch a cell outside [`Painter::rect`], nor one that is covered.
pub struct Painter {
    mode: Mode,
    depth: Depth,
    ansi: Ansi,
    scheme: Arc<Scheme>,
    quality: Quality,
    place: Place,
    table: Table,
    shadow: Shadow,
    plan: Option<Plan>,
    /// Of a mixed mode's second grid.
    second: Option<Plan>,
    refresh_every: usize,
    refresh_at: usize,
    painted_at: Option<MediaTime>,
    line: Vec<f32>,
    samples: [Vec<f32>; 2],
}

impl Painter {
    /// A painter without a place yet: paints nothing until [`Painter::place`].
    pub fn new(mode: Mode, depth: Depth) -> Self {
        let mut painter = Self {
            mode,
            depth,
            ansi: Ansi::default(),
            scheme: Scheme::of(depth, Ansi::default()),
            quality: Quality::default(),
            place: Place::new((1, 2)),
            table: Table::default(),
            shadow: Shadow::default(),
            plan: None,
            second: None,
            refresh_every: 64,
            refresh_at: 0,
            painted_at: None,
            line: Vec::new(),
            samples: Default::default(),
        };
        painter.set_mode(mode, depth);
        painter
    }

    /// Changes mode and depth; the next picture is written whole.
    pub fn set_mode(&mut self, mode: Mode, depth: Depth) {
        self.mode = mode;
        self.depth = depth;
        self.scheme = Scheme::of(depth, self.ansi);
        self.table = Table::new(mode.driver());
        self.plan = None;
        // Numbers of another table mean nothing in this one.
        self.shadow.glyph.fill(0);
        self.invalidate();
    }

    /// How the terminal shows the 16 ANSI colours. If it matters at this depth, the next picture is
    /// written whole.
    pub fn ansi(&mut self, ansi: Ansi) {
        if self.ansi == ansi {
            return;
        }
        self.ansi = ansi;
        if self.depth == Depth::Ansi16 {
            self.scheme = Scheme::of(self.depth, ansi);
            self.invalidate();
        }
    }

    /// Mode and depth in use.
    pub fn mode(&self) -> (Mode, Depth) {
        (self.mode, self.depth)
    }

    /// Puts the tile at this place of the screen, on cells of this size in pixels (only the ratio
    /// counts; unknown: `(1, 2)`). A change writes the next picture whole.
    pub fn place(&mut self, rect: Rect, cell_px: (u16, u16)) {
        if !self.place.put(rect, cell_px) {
            return;
        }
        let Rect { cols, rows, .. } = self.place.rect;
        let (cols, rows) = (usize::from(cols), usize::from(rows));
        if (self.shadow.cols, self.shadow.rows) != (cols, rows) {
            self.shadow = Shadow::new(cols, rows);
            self.refresh_at = 0;
        }
        self.plan = None;
        self.invalidate();
        self.mark_covers();
    }

    /// The tile's place.
    pub fn rect(&self) -> Rect {
        self.place.rect
    }

    /// Rectangles (in screen coordinates) that something else is drawn over: left alone from now
    /// on. What is uncovered again is written by the next [`Painter::paint`] or
    /// [`Painter::repaint`].
    pub fn cover(&mut self, covers: &[Rect]) {
        if self.place.cover(covers) {
            self.mark_covers();
        }
    }

    fn mark_covers(&mut self) {
        let Shadow { stride, covered, shown, .. } = &mut self.shadow;
        self.place.mark(u16::MAX, *stride, covered, shown);
    }

    /// Bars or cut.
    pub fn framing(&mut self, framing: Framing) {
        if self.place.framing(framing) {
            self.plan = None;
        }
    }

    /// Left and right swapped or not.
    pub fn mirror(&mut self, on: bool) {
        if self.place.mirror(on) {
            self.plan = None;
        }
    }

    /// Cuts this share (0…0.5) of the picture's height off its bottom.
    pub fn crop_bottom(&mut self, share: f32) {
        if self.place.crop_bottom(share) {
            self.plan = None;
        }
    }

    /// The quality knob; turn it by [`Quality::learn`].
    pub fn quality(&mut self) -> &mut Quality {
        &mut self.quality
    }

    /// Writes every cell anew within this many pictures (default 64); 0: never without change.
    pub fn refresh_every(&mut self, pictures: u16) {
        self.refresh_every = usize::from(pictures);
    }

    /// The screen may show anything now (resize, foreign output, resumed): write all cells next.
    pub fn invalidate(&mut self) {
        self.shadow.shown.fill(false);
    }

    /// Size in square pixels that shows all this tile can show.
    pub fn wanted_pixels(&self) -> Size {
        tile_pixels(self.place.rect, self.mode, self.place.cell_px)
    }

    /// Paints a picture: appends what has to change to `out`. A picture whose planes don't have
    /// the promised lengths is ignored.
    pub fn paint(&mut self, f: &RawFrame, out: &mut Vec<u8>) -> Stats {
        if self.shadow.cols == 0 || self.shadow.rows == 0 {
            return Stats::default();
        }
        if self.plan.as_ref().is_none_or(|p| p.source != f.size) {
            let plan = |per_cell| {
                let Shadow { cols, rows, .. } = self.shadow;
                let grid = Grid { cols, rows, per_cell, cell_px: self.place.cell_px };
                Plan::new(f.size, grid, self.place.view)
            };
            let second = self.mode.driver().second().map(|glyphs| plan(glyphs.samples()));
            (self.plan, self.second) = (Some(plan(self.mode.samples())), second);
        }
        if !self.plan.as_ref().is_some_and(|p| p.accepts(f)) {
            return Stats::default();
        }
        let before = out.len();
        let (across, down) = self.mode.samples();
        let mut stats = match (across * down, self.second.is_some()) {
            (1, _) => self.job::<1, 0>(f, out),
            (2, _) => self.job::<2, 0>(f, out),
            (4, _) => self.job::<4, 0>(f, out),
            (6, false) => self.job::<6, 0>(f, out),
            (6, true) => self.job::<6, 4>(f, out),
            (_, false) => self.job::<8, 0>(f, out),
            (_, true) => self.job::<8, 6>(f, out),
        };
        let total = self.shadow.cols * self.shadow.rows;
        self.refresh_at = (self.refresh_at + self.refresh_cells()) % total;
        stats.bytes = out.len() - before;
        stats
    }

    fn refresh_cells(&self) -> usize {
        match self.refresh_every {
            0 => 0,
            n => (self.shadow.cols * self.shadow.rows).div_ceil(n),
        }
    }

    fn job<const N: usize, const M: usize>(&mut self, f: &RawFrame, out: &mut Vec<u8>) -> Stats {
        let refresh = (self.refresh_at, self.refresh_cells());
        let since =
            self.painted_at.replace(f.at).map_or(0, |at| f.at.saturating_since(at).as_millis());
        // Pictures without times come 30 a second; a pause is not a long look.
        let ticks = (since as f32 * 0.03).clamp(1.0, 8.0);
        let Some(plan) = &self.plan else { return Stats::default() };
        dispatch(Job::<N, M> {
            plan,
            second: self.second.as_ref(),
            frame: f,
            rect: self.place.rect,
            depth: self.depth,
            scheme: &self.scheme,
            driver: self.mode.driver(),
            table: &self.table,
            lambda: self.quality.lambda(),
            ticks,
            refresh,
            shadow: &mut self.shadow,
            line: &mut self.line,
            samples: &mut self.samples,
            writer: Writer::new(out),
        })
    }

    /// Writes what was uncovered or invalidated since, from memory: for tiles whose picture
    /// stands still.
    pub fn repaint(&mut self, out: &mut Vec<u8>) -> Stats {
        let before = out.len();
        let mut stats = Stats::default();
        let mut writer = Writer::new(out);
        for row in 0..self.shadow.rows {
            for col in 0..self.shadow.cols {
                let i = row * self.shadow.stride + col;
                if self.shadow.covered[i] || self.shadow.shown[i] {
                    continue;
                }
                self.shadow.shown[i] = true;
                stats.written += 1;
                let at = (self.place.rect.x + col as u16, self.place.rect.y + row as u16);
                write_cell(&self.shadow, &mut writer, &self.table, self.place.rect.x, i, col, at);
            }
            writer.end_row();
        }
        writer.finish();
        stats.bytes = out.len() - before;
        stats
    }

    /// The uncovered cells of the tile as last painted, row by row.
    pub fn cells(&self) -> impl Iterator<Item = Painted> + '_ {
        let Shadow { cols, rows, stride, .. } = self.shadow;
        (0..rows * cols).filter_map(move |n| {
            let (col, row) = (n % cols, n / cols);
            let i = row * stride + col;
            (!self.shadow.covered[i]).then(|| Painted {
                x: self.place.rect.x + col as u16,
                y: self.place.rect.y + row as u16,
                glyph: self.table.text(self.shadow.glyph[i]),
                fg: self.shadow.fg[i],
                bg: self.shadow.bg[i],
            })
        })
    }
}
