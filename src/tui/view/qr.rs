//! An invite as a QR code of half blocks: two modules per cell.

use crate::tui::theme::Theme;
use qrcode::{Color, EcLevel, QrCode};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Light modules around the code, on each side.
const QUIET: usize = 2;

/// A code ready to draw.
pub(super) struct Qr {
    dark: Vec<bool>,
    modules: usize,
}

impl Qr {
    /// The code of `text`; `None`: too long for any.
    pub(super) fn new(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text.as_bytes(), EcLevel::L).ok()?;
        let modules = code.width();
        let dark = code.to_colors().iter().map(|c| *c == Color::Dark).collect();
        Some(Self { dark, modules })
    }

    /// Columns and lines it takes.
    pub(super) fn size(&self) -> (u16, u16) {
        let side = (self.modules + 2 * QUIET) as u16;
        (side, side.div_ceil(2))
    }

    /// Draws it at the top left of `area` if it fits whole; whether it did.
    pub(super) fn draw(&self, area: Rect, theme: &Theme, buf: &mut Buffer) -> bool {
        let (width, height) = self.size();
        if area.width < width || area.height < height {
            return false;
        }
        for line in 0..height {
            for column in 0..width {
                let (x, y) = (usize::from(column), usize::from(line) * 2);
                let (upper, lower) = (self.is_dark(x, y), self.is_dark(x, y + 1));
                // In colours the glyph is the dark part; without, a dark terminal's glyph is light.
                let ink = theme.qr.is_some();
                let glyph = match (upper == ink, lower == ink) {
                    (true, true) => "█",
                    (true, false) => "▀",
                    (false, true) => "▄",
                    (false, false) => " ",
                };
                let style = theme.qr.unwrap_or_default();
                buf.set_string(area.x + column, area.y + line, glyph, style);
            }
        }
        true
    }

    fn is_dark(&self, x: usize, y: usize) -> bool {
        let inside = |v: usize| v.checked_sub(QUIET).filter(|v| *v < self.modules);
        match (inside(x), inside(y)) {
            (Some(x), Some(y)) => self.dark[y * self.modules + x],
            _ => false,
        }
    }
}
