//! The picture in a terminal, as cells or as pixels ([`Tile`]): scaling, two-colour fit, damage-tracking writer, layout.
//!
//! A terminal eats far slower than pictures can be computed, so the art here is *bytes*: every
//! cell of a picture is chosen by what it costs on the wire to the terminal and what it gains in
//! fidelity ([`Painter`]). The way of a picture: I420 planes → scaled straight to the
//! sample grid (no full-size RGB) → the best two colours per cell ([`fit`]) → choice and escape
//! sequences. Only numbers and the fixed glyphs of a [`Mode`] ever reach the output: whatever a
//! peer sends as a picture cannot become an escape sequence.
//!
//! ```
//! use facetty::media::frame::{RawFrame, Size};
//! use facetty::paint::{Depth, Mode, Painter, Rect};
//!
//! let mut painter = Painter::new(Mode::Sextant, Depth::True);
//! painter.place(Rect { x: 2, y: 1, cols: 40, rows: 12 }, (10, 20));
//! let mut bytes = Vec::new();
//! let stats = painter.paint(&RawFrame::black(Size::new(80, 48), Default::default()), &mut bytes);
//! assert_eq!(stats.bytes, bytes.len());
//! ```

mod bytes;
mod calm;
mod choose;
mod colour;
pub mod fit;
mod layout;
mod mode;
mod painter;
mod pixel;
mod place;
mod quality;
mod scale;
mod simd;
pub mod svg;
mod tile;
mod tint;
mod tone;
mod writer;

pub use bytes::bytes_view;
pub use colour::{Ansi, Depth, Ink};
pub use layout::{Kind, Style, TileRect, layout, tile_pixels};
pub use mode::{Mode, UnknownMode};
pub use painter::{Framing, Painted, Painter, Stats};
pub(crate) use pixel::base64;
pub use pixel::{PixelPainter, PixelTerminal, Protocol, Shelf};
pub use quality::Quality;
pub use tile::{Look, Tile, UnknownLook};
pub use tint::{Tint, UnknownTint};
pub use tone::Tones;

/// A rectangle of terminal cells; `x`, `y` count from the screen's upper left corner, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rect {
    /// First column.
    pub x: u16,
    /// First row.
    pub y: u16,
    /// Width in cells.
    pub cols: u16,
    /// Height in cells.
    pub rows: u16,
}

impl Rect {
    /// Number of cells.
    pub fn cells(&self) -> usize {
        usize::from(self.cols) * usize::from(self.rows)
    }

    /// Whether the cell at this column and row lies inside.
    pub fn contains(&self, x: u16, y: u16) -> bool {
        x >= self.x
            && y >= self.y
            && u32::from(x) < u32::from(self.x) + u32::from(self.cols)
            && u32::from(y) < u32::from(self.y) + u32::from(self.rows)
    }

    /// Whether both have a cell in common.
    pub fn intersects(&self, other: &Rect) -> bool {
        let end = |start: u16, len: u16| u32::from(start) + u32::from(len);
        self.cells() > 0
            && other.cells() > 0
            && u32::from(self.x) < end(other.x, other.cols)
            && u32::from(other.x) < end(self.x, self.cols)
            && u32::from(self.y) < end(other.y, other.rows)
            && u32::from(other.y) < end(self.y, self.rows)
    }
}
