//! A tile of either kind: pictures in cells, or in pixels where the terminal shows them.

use super::pixel::{PixelPainter, PixelTerminal, Protocol, Shelf};
use super::tone::{Tone, Tones};
use super::{Ansi, Depth, Framing, Mode, Painter, Quality, Rect, Stats};
use crate::media::frame::{RawFrame, Size};

/// How pictures are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Look {
    /// With glyphs.
    Cells(Mode),
    /// As pixels.
    Pixels(Protocol),
}

impl Default for Look {
    fn default() -> Self {
        Self::Cells(Mode::default())
    }
}

impl Look {
    /// The words of all looks, plainest first.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Mode::ALL.map(Mode::name).into_iter().chain(Protocol::ALL.map(Protocol::name))
    }

    /// The word for it on screen and in flags: a mode's ([`Mode::name`]) or a protocol's
    /// ([`Protocol::name`]).
    pub fn name(self) -> &'static str {
        match self {
            Look::Cells(mode) => mode.name(),
            Look::Pixels(protocol) => protocol.name(),
        }
    }

    /// The next one of these, round and round; one that isn't among them goes on at the first.
    pub fn next(self, all: &[Look]) -> Look {
        if all.is_empty() {
            return self;
        }
        let at = all.iter().position(|look| *look == self).unwrap_or(all.len() - 1);
        all[(at + 1) % all.len()]
    }
}

impl std::fmt::Display for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Look {
    type Err = UnknownLook;

    fn from_str(s: &str) -> Result<Self, UnknownLook> {
        let protocol = Protocol::ALL.into_iter().find(|p| p.name() == s).map(Look::Pixels);
        protocol.or_else(|| s.parse().ok().map(Look::Cells)).ok_or(UnknownLook)
    }
}

/// The word is no graphics mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("graphics must be one of: {}", Look::names().collect::<Vec<_>>().join(", "))]
pub struct UnknownLook;

enum Kind {
    Cells(Box<Painter>),
    Pixels(Box<PixelPainter>),
}

/// Paints the pictures of one tile, whichever way. The calls are those of [`Painter`], whose rules
/// hold: the cursor may be anywhere, no cell outside [`Tile::rect`] is touched, nor a covered one.
pub struct Tile {
    kind: Kind,
    depth: Depth,
    terminal: PixelTerminal,
    framing: Framing,
    mirror: bool,
    crop: f32,
    cell_px: (u16, u16),
    tone: Tone,
}

impl Tile {
    /// A tile without a place yet.
    pub fn new(look: Look, depth: Depth, terminal: PixelTerminal) -> Self {
        Self {
            kind: kind(look, depth, terminal),
            depth,
            terminal,
            framing: Framing::default(),
            mirror: false,
            crop: 0.0,
            cell_px: (1, 2),
            tone: Tone::default(),
        }
    }

    /// How pictures are drawn.
    pub fn look(&self) -> Look {
        match &self.kind {
            Kind::Cells(painter) => Look::Cells(painter.mode().0),
            Kind::Pixels(painter) => Look::Pixels(painter.protocol()),
        }
    }

    /// Colours in use (by cells).
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// Draws another way from the next picture on, which is written whole. What has to be taken off
    /// the screen is appended to `out`; the cells themselves the new way writes over. The quality
    /// knob keeps its place.
    pub fn set(&mut self, look: Look, depth: Depth, out: &mut Vec<u8>) {
        self.depth = depth;
        if let (Kind::Cells(painter), Look::Cells(mode)) = (&mut self.kind, look) {
            if painter.mode() != (mode, depth) {
                painter.set_mode(mode, depth);
            }
            return;
        }
        if self.look() == look {
            return;
        }
        self.retire(out);
        let (rect, quality) = (self.rect(), *self.quality());
        self.kind = kind(look, depth, self.terminal);
        *self.quality() = quality;
        self.place(rect, self.cell_px);
        self.framing(self.framing);
        self.mirror(self.mirror);
        self.crop_bottom(self.crop);
    }

    /// How the terminal shows the 16 ANSI colours ([`Painter::ansi`]).
    pub fn ansi(&mut self, ansi: Ansi) {
        self.terminal.ansi = ansi;
        if let Kind::Cells(painter) = &mut self.kind {
            painter.ansi(ansi);
        }
    }

    /// Memory shared with the terminal ([`PixelPainter::share`]).
    pub fn share(&mut self, shelf: Box<dyn Shelf>) {
        if let Kind::Pixels(painter) = &mut self.kind {
            painter.share(shelf);
        }
    }

    /// The screen has this many rows now.
    pub fn screen_rows(&mut self, rows: u16) {
        self.terminal.screen_rows = rows;
        if let Kind::Pixels(painter) = &mut self.kind {
            painter.screen_rows(rows);
        }
    }

    /// Puts the tile at this place of the screen, on cells of this size in pixels; a change writes
    /// the next picture whole.
    pub fn place(&mut self, rect: Rect, cell_px: (u16, u16)) {
        self.cell_px = cell_px;
        match &mut self.kind {
            Kind::Cells(painter) => painter.place(rect, cell_px),
            Kind::Pixels(painter) => painter.place(rect, cell_px),
        }
    }

    /// The tile's place.
    pub fn rect(&self) -> Rect {
        match &self.kind {
            Kind::Cells(painter) => painter.rect(),
            Kind::Pixels(painter) => painter.rect(),
        }
    }

    /// Rectangles (in screen coordinates) that something else is drawn over.
    pub fn cover(&mut self, covers: &[Rect]) {
        match &mut self.kind {
            Kind::Cells(painter) => painter.cover(covers),
            Kind::Pixels(painter) => painter.cover(covers),
        }
    }

    /// Bars or cut.
    pub fn framing(&mut self, framing: Framing) {
        self.framing = framing;
        match &mut self.kind {
            Kind::Cells(painter) => painter.framing(framing),
            Kind::Pixels(painter) => painter.framing(framing),
        }
    }

    /// Left and right swapped or not.
    pub fn mirror(&mut self, on: bool) {
        self.mirror = on;
        match &mut self.kind {
            Kind::Cells(painter) => painter.mirror(on),
            Kind::Pixels(painter) => painter.mirror(on),
        }
    }

    /// Cuts this share (0…0.5) of the picture's height off its bottom.
    pub fn crop_bottom(&mut self, share: f32) {
        self.crop = share;
        match &mut self.kind {
            Kind::Cells(painter) => painter.crop_bottom(share),
            Kind::Pixels(painter) => painter.crop_bottom(share),
        }
    }

    /// Contrast and tint, from the next picture on.
    pub fn tone(&mut self, tones: Tones) {
        self.tone.set(tones);
    }

    /// Contrast and tint in use.
    pub fn tones(&self) -> Tones {
        self.tone.tones()
    }

    /// The quality knob; turn it by [`Quality::learn`].
    pub fn quality(&mut self) -> &mut Quality {
        match &mut self.kind {
            Kind::Cells(painter) => painter.quality(),
            Kind::Pixels(painter) => painter.quality(),
        }
    }

    /// The screen may show anything now: write all next.
    pub fn invalidate(&mut self) {
        match &mut self.kind {
            Kind::Cells(painter) => painter.invalidate(),
            Kind::Pixels(painter) => painter.invalidate(),
        }
    }

    /// Size in square pixels that shows all this tile can show.
    pub fn wanted_pixels(&self) -> Size {
        match &self.kind {
            Kind::Cells(painter) => painter.wanted_pixels(),
            Kind::Pixels(painter) => painter.wanted_pixels(),
        }
    }

    /// Paints a picture: appends what has to change to `out`.
    pub fn paint(&mut self, f: &RawFrame, out: &mut Vec<u8>) -> Stats {
        let f = self.tone.show(f, self.crop);
        match &mut self.kind {
            Kind::Cells(painter) => painter.paint(f, out),
            Kind::Pixels(painter) => painter.paint(f, out),
        }
    }

    /// Writes what was uncovered or invalidated since, from memory.
    pub fn repaint(&mut self, out: &mut Vec<u8>) -> Stats {
        match &mut self.kind {
            Kind::Cells(painter) => painter.repaint(out),
            Kind::Pixels(painter) => painter.repaint(out),
        }
    }

    /// The tile is shown no longer: takes off the screen what nobody will write over.
    pub fn retire(&mut self, out: &mut Vec<u8>) {
        if let Kind::Pixels(painter) = &mut self.kind {
            painter.retire(out);
        }
    }

    /// The painter of cells, if it is one.
    pub fn cells(&self) -> Option<&Painter> {
        match &self.kind {
            Kind::Cells(painter) => Some(painter),
            Kind::Pixels(_) => None,
        }
    }
}

fn kind(look: Look, depth: Depth, terminal: PixelTerminal) -> Kind {
    match look {
        Look::Cells(mode) => {
            let mut painter = Painter::new(mode, depth);
            painter.ansi(terminal.ansi);
            Kind::Cells(Box::new(painter))
        }
        Look::Pixels(protocol) => Kind::Pixels(Box::new(PixelPainter::new(protocol, terminal))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_parsing_agree_and_all_are_visited() {
        let pixels = Protocol::ALL.into_iter().map(Look::Pixels);
        let all: Vec<_> = Mode::ALL.into_iter().map(Look::Cells).chain(pixels).collect();
        let mut look = Look::default();
        let mut seen = Vec::new();
        while !seen.contains(&look.name()) {
            seen.push(look.name());
            assert_eq!(look.name().parse(), Ok(look));
            look = look.next(&all);
        }
        assert_eq!(seen.len(), Look::names().count());
        assert_eq!("oil".parse::<Look>(), Err(UnknownLook));
        assert_eq!(Look::Pixels(Protocol::Sixel).next(&all[2..4]), all[2], "not among them");
        assert_eq!(look.next(&[]), look);
    }

    #[test]
    fn another_look_keeps_place_and_view_and_takes_its_pictures_away() {
        let rect = Rect { x: 2, y: 1, cols: 20, rows: 6 };
        let picture = RawFrame::black(Size::new(80, 48), Default::default());
        let mut tile = Tile::new(Look::Pixels(Protocol::Kitty), Depth::True, Default::default());
        tile.place(rect, (10, 20));
        let mut out = Vec::new();
        tile.paint(&picture, &mut out);
        let mut gone = Vec::new();
        tile.set(Look::Cells(Mode::Half), Depth::True, &mut gone);
        assert!(gone.windows(4).any(|w| w == b"a=d,"), "{}", String::from_utf8_lossy(&gone));
        assert_eq!((tile.rect(), tile.look()), (rect, Look::Cells(Mode::Half)));
        out.clear();
        assert_eq!(tile.paint(&picture, &mut out).written, rect.cells());
        gone.clear();
        tile.set(Look::Pixels(Protocol::Sixel), Depth::True, &mut gone);
        assert!(gone.is_empty(), "text needs no taking away");
        out.clear();
        tile.paint(&picture, &mut out);
        assert!(out.windows(2).any(|w| w == b"\x1bP"));
    }
}
