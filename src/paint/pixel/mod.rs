//! Pictures as pixels, for terminals that show them: kitty's graphics protocol, sixels, iTerm2's
//! inline images.
//!
//! [`PixelPainter`] stands where a [`Painter`](super::Painter) would: the same calls, pictures in,
//! escape sequences out. Nothing of a picture reaches the output but numbers, sixel characters and
//! base64. What is drawn over a tile ([`PixelPainter::cover`]) is left out by drawing the rest in
//! rectangles: neither stacking below text nor the colours of a pop-up's cells are relied upon.
//!
//! ```
//! use facetty::media::frame::{RawFrame, Size};
//! use facetty::paint::{PixelPainter, PixelTerminal, Protocol, Rect};
//!
//! let terminal = PixelTerminal { screen_rows: 24, ..PixelTerminal::default() };
//! let mut painter = PixelPainter::new(Protocol::Sixel, terminal);
//! painter.place(Rect { x: 2, y: 1, cols: 40, rows: 12 }, (10, 20));
//! let mut bytes = Vec::new();
//! let stats = painter.paint(&RawFrame::black(Size::new(80, 48), Default::default()), &mut bytes);
//! assert_eq!(stats.bytes, bytes.len());
//! ```

mod digits;
mod iterm;
mod jpeg;
mod kitty;
mod palette;
mod scale;
mod sixel;

#[cfg(test)]
mod tests;

use super::place::Place;
use super::{Ansi, Framing, Quality, Rect, Stats};
use crate::media::frame::{RawFrame, Size};
pub(crate) use digits::base64;
use digits::number;
use scale::{Canvas, Scaler};

/// How pixels get to the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// kitty's graphics protocol (kitty, Ghostty, WezTerm, Konsole): true colour, through shared
    /// memory where there is a [`Shelf`].
    Kitty,
    /// Sixels (xterm, foot, mlterm, WezTerm, Windows Terminal …): up to 256 colours.
    Sixel,
    /// iTerm2's inline images (iTerm2, WezTerm, mintty, Konsole): JPEG.
    Iterm2,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Protocol; 3] = [Protocol::Kitty, Protocol::Sixel, Protocol::Iterm2];

    /// The word for it on screen: "kitty", "sixel", "iterm2".
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Kitty => "kitty",
            Protocol::Sixel => "sixel",
            Protocol::Iterm2 => "iterm2",
        }
    }
}

/// What a painter must know of its terminal: most of it is about pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelTerminal {
    /// Colours a sixel picture may have at once (XTSMGRAPHICS item 1).
    pub sixel_colours: u16,
    /// Largest sixel picture in pixels, width and height (XTSMGRAPHICS item 2); larger ones are
    /// sent in pieces.
    pub sixel_max_size: Option<(u16, u16)>,
    /// Rows of the screen; 0: unknown, then no tile may touch the last row. A sixel or iTerm2
    /// picture that touches it would scroll the screen, so that row is left black.
    pub screen_rows: u16,
    /// Picture numbers of this tile are this and the next one; every tile needs its own two. Not 0.
    pub id_base: u32,
    /// How it shows the 16 ANSI colours, for cells of no more colours than those.
    pub ansi: Ansi,
}

impl Default for PixelTerminal {
    fn default() -> Self {
        Self {
            sixel_colours: 256,
            sixel_max_size: None,
            screen_rows: 0,
            id_base: 1,
            ansi: Ansi::default(),
        }
    }
}

/// Memory shared with the terminal: pictures are laid there under a name, and the terminal takes
/// them (and removes the name).
pub trait Shelf: Send {
    /// Begins a picture of this many bytes; its name.
    fn begin(&mut self, bytes: usize) -> std::io::Result<String>;
    /// Adds to the picture begun last.
    fn append(&mut self, part: &[u8]) -> std::io::Result<()>;
    /// Removes a picture that the terminal may not have taken; not an error if it has.
    fn remove(&mut self, name: &str);
}

/// The cells of a tile.
struct Cells {
    place: Place,
    canvas: Canvas,
    /// Something else is drawn there.
    covered: Vec<bool>,
    /// The picture as last painted stands there.
    shown: Vec<bool>,
}

impl Cells {
    fn free(&self) -> usize {
        self.covered.iter().filter(|c| !**c).count()
    }

    /// Whether a cell that should show the picture doesn't.
    fn lacking(&self) -> bool {
        self.covered.iter().zip(&self.shown).any(|(covered, shown)| !covered && !shown)
    }

    fn all_shown(&mut self) {
        for (shown, covered) in self.shown.iter_mut().zip(&self.covered) {
            *shown = !covered;
        }
    }

    /// Moves the cursor to a cell of the tile.
    fn go(&self, col: usize, row: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\x1b[");
        number(out, usize::from(self.place.rect.y) + row + 1);
        out.push(b';');
        number(out, usize::from(self.place.rect.x) + col + 1);
        out.push(b'H');
    }

    /// The cells that aren't covered as few rectangles `(x, y, cols, rows)` of the tile.
    fn open(&self) -> Vec<(usize, usize, usize, usize)> {
        let Canvas { cols, rows, .. } = self.canvas;
        let mut found: Vec<(usize, usize, usize, usize)> = Vec::new();
        for row in 0..rows {
            let line = &self.covered[row * cols..][..cols];
            let mut col = 0;
            while col < cols {
                if line[col] {
                    col += 1;
                    continue;
                }
                let len = line[col..].iter().take_while(|c| !**c).count();
                // Goes on below a piece of the same columns.
                match found.iter_mut().find(|p| (p.0, p.1 + p.3, p.2) == (col, row, len)) {
                    Some(above) => above.3 += 1,
                    None => found.push((col, row, len, 1)),
                }
                col += len;
            }
        }
        found
    }
}

enum Driver {
    Sixel(Box<sixel::Sixel>),
    Kitty(Box<kitty::Kitty>),
    Iterm(Box<iterm::Iterm>),
}

/// Most pixels a tile may have; a larger one isn't painted.
const MOST_PIXELS: usize = 1 << 26;

/// Paints the pictures of one tile in pixels; see [`Painter`](super::Painter), whose place it can
/// take.
///
/// The cursor may be anywhere before and after. No cell outside [`PixelPainter::rect`] is ever
/// touched, nor one that is covered.
pub struct PixelPainter {
    protocol: Protocol,
    terminal: PixelTerminal,
    driver: Driver,
    quality: Quality,
    cells: Cells,
    scaler: Option<(Size, Canvas, Scaler)>,
    /// The last picture, for [`PixelPainter::repaint`].
    last: Option<RawFrame>,
    refresh_every: usize,
    refresh_at: usize,
    /// The row given up at the screen's end must be cleared.
    edge_due: bool,
}

impl PixelPainter {
    /// A painter without a place yet: paints nothing until [`PixelPainter::place`].
    pub fn new(protocol: Protocol, terminal: PixelTerminal) -> Self {
        let driver = match protocol {
            Protocol::Sixel => Driver::Sixel(Box::new(sixel::Sixel::new(
                terminal.sixel_colours,
                terminal.sixel_max_size,
            ))),
            Protocol::Kitty => Driver::Kitty(Box::new(kitty::Kitty::new(terminal.id_base))),
            Protocol::Iterm2 => Driver::Iterm(Box::default()),
        };
        Self {
            protocol,
            terminal,
            driver,
            quality: Quality::default(),
            cells: Cells {
                place: Place::new((10, 20)),
                canvas: Canvas::default(),
                covered: Vec::new(),
                shown: Vec::new(),
            },
            scaler: None,
            last: None,
            refresh_every: 64,
            refresh_at: 0,
            edge_due: false,
        }
    }

    /// Memory shared with the terminal (kitty only; others ignore it): only for a terminal on this
    /// machine. When it fails, pictures go through the tty.
    pub fn share(&mut self, shelf: Box<dyn Shelf>) {
        if let Driver::Kitty(kitty) = &mut self.driver {
            kitty.shelf = Some(shelf);
        }
    }

    /// How pixels get to the terminal.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The screen has this many rows now ([`PixelTerminal::screen_rows`]).
    pub fn screen_rows(&mut self, rows: u16) {
        if self.terminal.screen_rows != rows {
            self.terminal.screen_rows = rows;
            self.invalidate();
            self.mark_covers();
        }
    }

    /// Puts the tile at this place of the screen, on cells of this size in pixels. For sixels that
    /// must be the true size. A change writes the next picture whole.
    pub fn place(&mut self, rect: Rect, cell_px: (u16, u16)) {
        if !self.cells.place.put(rect, cell_px) {
            return;
        }
        self.refresh_at = 0;
        self.size_cells();
        self.invalidate();
        self.mark_covers();
    }

    fn size_cells(&mut self) {
        let (cols, rows) =
            (usize::from(self.cells.place.rect.cols), usize::from(self.cells.place.rect.rows));
        let cell =
            (usize::from(self.cells.place.cell_px.0), usize::from(self.cells.place.cell_px.1));
        self.cells.canvas = Canvas { cols, rows, cell };
        self.cells.covered.resize(cols * rows, false);
        self.cells.shown.resize(cols * rows, false);
    }

    /// The tile's place.
    pub fn rect(&self) -> Rect {
        self.cells.place.rect
    }

    /// Rectangles (in screen coordinates) that something else is drawn over: left alone from the
    /// next [`PixelPainter::paint`] or [`PixelPainter::repaint`] on, which also write what is
    /// uncovered again. Call one of them in the same frame: kitty's pictures lie above text.
    pub fn cover(&mut self, covers: &[Rect]) {
        if self.cells.place.cover(covers) {
            self.mark_covers();
            // xterm keeps 16 pictures and forgets the uppermost: after something was drawn over
            // them, older ones would show through. All at once is right everywhere.
            if self.protocol == Protocol::Sixel {
                self.cells.shown.fill(false);
            }
        }
    }

    fn mark_covers(&mut self) {
        let Rect { y, cols, rows, .. } = self.cells.place.rect;
        let last = match (self.protocol, self.terminal.screen_rows) {
            (Protocol::Kitty, _) | (_, 0) => u16::MAX,
            (_, rows) => rows - 1,
        };
        self.edge_due = y < last && last - y < rows;
        let Cells { place, covered, shown, .. } = &mut self.cells;
        place.mark(last, usize::from(cols), covered, shown);
    }

    /// Bars or cut.
    pub fn framing(&mut self, framing: Framing) {
        if self.cells.place.framing(framing) {
            self.scaler = None;
        }
    }

    /// Left and right swapped or not.
    pub fn mirror(&mut self, on: bool) {
        if self.cells.place.mirror(on) {
            self.scaler = None;
        }
    }

    /// Cuts this share (0…0.5) of the picture's height off its bottom.
    pub fn crop_bottom(&mut self, share: f32) {
        if self.cells.place.crop_bottom(share) {
            self.scaler = None;
        }
    }

    /// The quality knob; turn it by [`Quality::learn`]. A high λ means: small changes wait, fewer
    /// colours per stretch (sixel), coarser pictures (kitty without shared memory, iTerm2).
    pub fn quality(&mut self) -> &mut Quality {
        &mut self.quality
    }

    /// Writes every cell anew within this many pictures (default 64); 0: never without change.
    pub fn refresh_every(&mut self, pictures: u16) {
        self.refresh_every = usize::from(pictures);
    }

    /// The screen may show anything now (resize, foreign output, resumed): write all cells next.
    pub fn invalidate(&mut self) {
        self.cells.shown.fill(false);
        self.edge_due = true;
    }

    /// Size in square pixels that shows all this tile can show.
    pub fn wanted_pixels(&self) -> Size {
        let canvas = self.canvas(None);
        let even = |n: usize| n.clamp(2, 8192) as u16;
        // Pixels of a shrunk canvas need not be square: as many as the wider axis has.
        let (w, h) = (canvas.width() as f32, canvas.height() as f32);
        let aspect = self.aspect();
        Size::new(even(w.max(h * aspect) as usize), even(h.max(w / aspect) as usize))
    }

    /// Width to height of the tile on the screen.
    fn aspect(&self) -> f32 {
        let Rect { cols, rows, .. } = self.cells.place.rect;
        let (w, h) = (f32::from(cols.max(1)), f32::from(rows.max(1)));
        w * f32::from(self.cells.place.cell_px.0) / (h * f32::from(self.cells.place.cell_px.1))
    }

    /// Pixels per cell: the terminal's, or fewer where it scales by itself and the picture or the
    /// line has no more to give.
    fn canvas(&self, source: Option<Size>) -> Canvas {
        let Rect { cols, rows, .. } = self.cells.place.rect;
        let full = (f32::from(self.cells.place.cell_px.0), f32::from(self.cells.place.cell_px.1));
        let (wide, high) = (f32::from(cols) * full.0, f32::from(rows) * full.1);
        let most = match &self.driver {
            Driver::Sixel(_) => f32::INFINITY,
            Driver::Kitty(kitty) => kitty.most_pixels(self.quality.lambda()),
            Driver::Iterm(_) => iterm::most_pixels(self.quality.lambda()),
        };
        let share = (most / (wide * high).max(1.0)).sqrt().min(1.0);
        let needed = match (source, &self.driver) {
            (None, _) | (_, Driver::Sixel(_)) => 1.0,
            (Some(source), _) => 1.0 / self.cells.place.view.zoom(source, wide, high),
        };
        // No more than there is room for; no less than the picture has.
        let cell = |full: f32| {
            let (room, needed) = ((full * share).floor(), (full * needed - 0.01).ceil());
            room.min(needed).max(1.0) as usize
        };
        let cell = (cell(full.0), cell(full.1));
        Canvas { cols: usize::from(cols), rows: usize::from(rows), cell }
    }

    /// Paints a picture: appends what has to change to `out`. A picture whose planes don't have
    /// the promised lengths is ignored.
    pub fn paint(&mut self, f: &RawFrame, out: &mut Vec<u8>) -> Stats {
        let stats = self.draw(f, out);
        if stats.is_some() {
            match &mut self.last {
                Some(last) if last.size == f.size => {
                    last.y.copy_from_slice(&f.y);
                    last.u.copy_from_slice(&f.u);
                    last.v.copy_from_slice(&f.v);
                }
                last => *last = Some(f.clone()),
            }
        }
        stats.unwrap_or_default()
    }

    fn draw(&mut self, f: &RawFrame, out: &mut Vec<u8>) -> Option<Stats> {
        let canvas = self.canvas(Some(f.size));
        let pixels = canvas.width() * canvas.height();
        if pixels == 0 || pixels > MOST_PIXELS {
            return None;
        }
        if self.scaler.as_ref().is_none_or(|(size, on, _)| (*size, *on) != (f.size, canvas)) {
            let scaler = Scaler::new(f.size, canvas, self.aspect(), self.cells.place.view);
            self.scaler = Some((f.size, canvas, scaler));
        }
        let refresh = self.due_rows();
        self.cells.canvas = canvas;
        let lambda = self.quality.lambda();
        let Some((_, _, scaler)) = &mut self.scaler else { return None };
        if !scaler.accepts(f) {
            return None;
        }
        let before = out.len();
        clear_edge(&mut self.edge_due, &self.cells, self.protocol, self.terminal.screen_rows, out);
        let cells = &mut self.cells;
        let mut stats = match &mut self.driver {
            Driver::Sixel(sixel) => sixel.paint(f, scaler, cells, lambda, refresh, out),
            Driver::Kitty(kitty) => kitty.paint(f, scaler, cells, out),
            Driver::Iterm(iterm) => iterm.paint(f, scaler, cells, lambda, !refresh.is_empty(), out),
        };
        stats.bytes = out.len() - before;
        Some(stats)
    }

    /// The rows of cells whose turn it is to be written anew.
    fn due_rows(&mut self) -> std::ops::Range<usize> {
        let rows = usize::from(self.cells.place.rect.rows);
        let Some(every) = std::num::NonZero::new(self.refresh_every) else { return 0..0 };
        let at = self.refresh_at % every;
        self.refresh_at = at + 1;
        at * rows / every..(at + 1) * rows / every
    }

    /// Writes what was uncovered, covered or invalidated since, from memory: for tiles whose
    /// picture stands still.
    pub fn repaint(&mut self, out: &mut Vec<u8>) -> Stats {
        let before = out.len();
        if let Driver::Kitty(kitty) = &mut self.driver {
            kitty.place_again(&mut self.cells, out);
        }
        if !self.cells.lacking() {
            return Stats {
                bytes: out.len() - before,
                kept: self.cells.free(),
                ..Stats::default()
            };
        }
        let Some(last) = self.last.take() else { return Stats::default() };
        let stats = self.draw(&last, out);
        self.last = Some(last);
        Stats { bytes: out.len() - before, ..stats.unwrap_or_default() }
    }

    /// The tile is shown no longer: takes its picture off the screen where that needs saying
    /// (kitty). In other protocols whatever is drawn on its cells replaces it. The painter may be
    /// placed again.
    pub fn retire(&mut self, out: &mut Vec<u8>) {
        if let Driver::Kitty(kitty) = &mut self.driver {
            kitty.retire(out);
        }
        self.last = None;
        self.invalidate();
    }
}

/// Blanks what the tile has of the screen's last row.
fn clear_edge(due: &mut bool, cells: &Cells, protocol: Protocol, rows: u16, out: &mut Vec<u8>) {
    if !std::mem::take(due) || protocol == Protocol::Kitty || rows == 0 {
        return;
    }
    let Rect { y, cols, rows: high, .. } = cells.place.rect;
    let Some(row) = (rows - 1).checked_sub(y).filter(|row| *row < high) else { return };
    cells.go(0, usize::from(row), out);
    out.extend_from_slice(b"\x1b[m\x1b[");
    number(out, usize::from(cols));
    out.push(b'X');
}
