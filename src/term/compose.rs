//! One write per frame: ratatui's changes to the chrome, then the video past it.

use crate::paint::{Depth, Painter, Rect, svg};
use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::{Buffer, Cell, CellDiffOption};
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};
use std::convert::Infallible;
use std::io::Write;

/// Who draws where in one frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Areas {
    /// Rectangles that painters fill: ratatui keeps out of them.
    pub videos: Vec<Rect>,
    /// Rectangles drawn by ratatui over videos (pop-ups): painters keep out of them
    /// ([`Painter::cover`]).
    pub covers: Vec<Rect>,
}

impl Areas {
    fn is_video(&self, x: u16, y: u16) -> bool {
        self.videos.iter().any(|r| r.contains(x, y))
            && !self.covers.iter().any(|r| r.contains(x, y))
    }
}

/// Composes frames.
pub struct Composer {
    terminal: ratatui::Terminal<Canvas>,
    sync: bool,
    areas: Areas,
    force: bool,
    keep: bool,
    kept: Option<Buffer>,
}

impl Composer {
    /// For a screen of this size; `sync`: the terminal shows frames at once when asked to.
    pub fn new(cols: u16, rows: u16, depth: Depth, sync: bool) -> Self {
        let canvas = Canvas {
            out: Vec::new(),
            size: Size::new(cols, rows),
            depth,
            cursor: Position::ORIGIN,
            cursor_wanted: false,
            cursor_shown: false,
        };
        let terminal = match ratatui::Terminal::new(canvas) {
            Ok(terminal) => terminal,
            Err(never) => match never {},
        };
        Self { terminal, sync, areas: Areas::default(), force: true, keep: false, kept: None }
    }

    /// The screen has a new size: everything is drawn anew. Painters must be placed anew, too.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        self.terminal.backend_mut().size = Size::new(cols, rows);
        self.force = true;
    }

    /// Depth or synchronized output turned out to be different.
    pub fn set(&mut self, depth: Depth, sync: bool) {
        self.terminal.backend_mut().depth = depth;
        self.sync = sync;
        self.force = true;
    }

    /// The screen may show anything now: the whole chrome is drawn anew. Painters must be
    /// invalidated, too.
    pub fn invalidate(&mut self) {
        self.force = true;
        self.terminal.backend_mut().cursor_shown = false;
    }

    /// Keeps a copy of each frame's chrome for [`Composer::screen`].
    pub fn keep_screens(&mut self) {
        self.keep = true;
    }

    /// The screen as last composed, for a picture of it; `None` unless
    /// [`Composer::keep_screens`].
    pub fn screen<'p>(&self, painters: impl Iterator<Item = &'p Painter>) -> Option<svg::Screen> {
        self.kept.as_ref().map(|buffer| screen_of(buffer, painters))
    }

    /// Makes one frame: `chrome` draws with ratatui and says where video goes; `video` appends
    /// what painters write. Returns the bytes; none if nothing changed.
    ///
    /// The chrome is drawn first, so what it no longer covers must be told to the painters by
    /// `video` (through the areas it gets) before they paint.
    pub fn compose(
        &mut self,
        chrome: impl FnOnce(&mut ratatui::Frame<'_>) -> Areas,
        video: impl FnOnce(&Areas, &mut Vec<u8>),
    ) -> Vec<u8> {
        let mut areas = Areas::default();
        let (before, force) = (&self.areas, self.force);
        self.terminal.backend_mut().begin();
        let drawn = self.terminal.draw(|frame| {
            areas = chrome(frame);
            hand_over(frame.buffer_mut(), before, &areas, force);
        });
        match drawn {
            Ok(frame) if self.keep => self.kept = Some(frame.buffer.clone()),
            Ok(_) => {}
            Err(never) => match never {},
        }
        self.force = false;
        let canvas = self.terminal.backend_mut();
        video(&areas, &mut canvas.out);
        self.areas = areas;
        canvas.finish(self.sync)
    }
}

/// Marks who owns each cell: video's are skipped, and those that video has left are drawn
/// whatever ratatui believes to stand there.
fn hand_over(buffer: &mut Buffer, before: &Areas, now: &Areas, force: bool) {
    let area = buffer.area;
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            let Some(cell) = buffer.cell_mut(Position { x, y }) else { continue };
            if now.is_video(x, y) {
                cell.reset();
                cell.set_diff_option(CellDiffOption::Skip);
            } else if force || before.is_video(x, y) {
                cell.set_diff_option(CellDiffOption::AlwaysUpdate);
            }
        }
        mend_wide(buffer, now, y);
    }
}

/// A wide character whose right half belongs to a video or a pop-up would write over it: it
/// becomes a space.
fn mend_wide(buffer: &mut Buffer, areas: &Areas, y: u16) {
    let area = buffer.area;
    for x in area.left()..area.right() {
        let Some(cell) = buffer.cell(Position { x, y }) else { continue };
        if cell.symbol().len() < 2 || width(cell.symbol()) < 2 {
            continue;
        }
        let style = (cell.fg, cell.bg, cell.modifier);
        let plain = (Color::Reset, Color::Reset, Modifier::empty());
        let whole = buffer.cell(Position { x: x + 1, y }).is_some_and(|right| {
            let own = (right.fg, right.bg, right.modifier);
            matches!(right.symbol(), "" | " ") && (own == style || own == plain)
        });
        if (!whole || areas.is_video(x + 1, y))
            && let Some(cell) = buffer.cell_mut(Position { x, y })
        {
            cell.set_char(' ');
        }
    }
}

fn width(symbol: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(symbol)
}

/// The chrome in `buffer` and what the painters show, as one screen for a picture.
pub fn screen_of<'p>(buffer: &Buffer, painters: impl Iterator<Item = &'p Painter>) -> svg::Screen {
    let area = buffer.area;
    let mut screen = svg::Screen::new(area.width, area.height);
    for y in area.top()..area.bottom() {
        let mut hidden = 0usize;
        for x in area.left()..area.right() {
            let Some(cell) = buffer.cell(Position { x, y }) else { continue };
            let mut fg = look(cell.fg, svg::FOREGROUND);
            let mut bg = look(cell.bg, svg::BACKGROUND);
            if cell.modifier.contains(Modifier::REVERSED) {
                std::mem::swap(&mut fg, &mut bg);
            }
            let text = if hidden > 0 { String::new() } else { clean(cell.symbol()).to_string() };
            hidden = if hidden > 0 { hidden - 1 } else { width(cell.symbol()).saturating_sub(1) };
            let has = |m| cell.modifier.contains(m);
            screen.set(
                x - area.x,
                y - area.y,
                svg::Cell {
                    text,
                    fg,
                    bg,
                    bold: has(Modifier::BOLD),
                    dim: has(Modifier::DIM),
                    italic: has(Modifier::ITALIC),
                    underline: has(Modifier::UNDERLINED),
                },
            );
        }
    }
    for painter in painters {
        screen.draw(painter);
    }
    screen
}

fn look(color: Color, default: [u8; 3]) -> [u8; 3] {
    match color {
        Color::Reset => default,
        Color::Rgb(r, g, b) => [r, g, b],
        other => crate::paint::Ink::indexed(index(other)).look(default),
    }
}

/// Palette number of a colour that has one.
fn index(color: Color) -> u8 {
    match color {
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
        Color::Indexed(i) => i,
        Color::Black | Color::Reset | Color::Rgb(..) => 0,
    }
}

/// What may reach the terminal as a cell's text: never a control character.
fn clean(symbol: &str) -> &str {
    if symbol.is_empty() || symbol.chars().any(char::is_control) { " " } else { symbol }
}

/// ratatui's backend: a byte buffer.
struct Canvas {
    out: Vec<u8>,
    size: Size,
    depth: Depth,
    cursor: Position,
    cursor_wanted: bool,
    cursor_shown: bool,
}

impl Canvas {
    fn begin(&mut self) {
        self.out.clear();
        self.cursor_wanted = false;
    }

    fn finish(&mut self, sync: bool) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.out);
        if self.cursor_wanted {
            let _ = write!(out, "\x1b[{};{}H", self.cursor.y + 1, self.cursor.x + 1);
        }
        if self.cursor_wanted != self.cursor_shown {
            out.extend_from_slice(if self.cursor_wanted { b"\x1b[?25h" } else { b"\x1b[?25l" });
            self.cursor_shown = self.cursor_wanted;
        }
        if !sync || out.is_empty() {
            return out;
        }
        let mut frame = b"\x1b[?2026h".to_vec();
        frame.append(&mut out);
        frame.extend_from_slice(b"\x1b[?2026l");
        frame
    }

    fn style(&mut self, cell: &Cell) {
        self.out.extend_from_slice(b"\x1b[0");
        for (modifier, code) in [
            (Modifier::BOLD, 1),
            (Modifier::DIM, 2),
            (Modifier::ITALIC, 3),
            (Modifier::UNDERLINED, 4),
            (Modifier::SLOW_BLINK, 5),
            (Modifier::RAPID_BLINK, 6),
            (Modifier::REVERSED, 7),
            (Modifier::HIDDEN, 8),
            (Modifier::CROSSED_OUT, 9),
        ] {
            if cell.modifier.contains(modifier) {
                let _ = write!(self.out, ";{code}");
            }
        }
        self.color(cell.fg, false);
        self.color(cell.bg, true);
        self.out.push(b'm');
    }

    fn color(&mut self, color: Color, background: bool) {
        if color == Color::Reset || self.depth == Depth::Mono {
            return;
        }
        let ink = match color {
            Color::Rgb(r, g, b) => self.depth.ink([r, g, b].map(f32::from)),
            Color::Indexed(i) if i >= 16 && self.depth < Depth::Indexed256 => {
                self.depth.ink(look(color, [0; 3]).map(f32::from))
            }
            other => crate::paint::Ink::indexed(index(other)),
        };
        let base = if background { 40 } else { 30 };
        let _ = match ink.index() {
            Some(i) if i < 8 => write!(self.out, ";{}", base + u16::from(i)),
            Some(i) if i < 16 => write!(self.out, ";{}", base + 52 + u16::from(i)),
            Some(i) => write!(self.out, ";{};5;{i}", base + 8),
            None => {
                let [r, g, b] = ink.look([0; 3]);
                write!(self.out, ";{};2;{r};{g};{b}", base + 8)
            }
        };
    }
}

impl Backend for Canvas {
    type Error = Infallible;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), Infallible>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut next: Option<(u16, u16)> = None;
        let mut style: Option<(Color, Color, Modifier)> = None;
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                let _ = write!(self.out, "\x1b[{};{}H", y + 1, x + 1);
            }
            let own = (cell.fg, cell.bg, cell.modifier);
            if style.unwrap_or((Color::Reset, Color::Reset, Modifier::empty())) != own {
                self.style(cell);
                style = Some(own);
            }
            let symbol = clean(cell.symbol());
            self.out.extend_from_slice(symbol.as_bytes());
            // After a wide character, or in the last column, the cursor is set anew.
            let narrow = symbol.len() == 1 || width(symbol) == 1;
            next = (narrow && x + 1 < self.size.width).then_some((x + 1, y));
        }
        if style.is_some() {
            self.out.extend_from_slice(b"\x1b[m");
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> Result<(), Infallible> {
        self.cursor_wanted = false;
        Ok(())
    }

    fn show_cursor(&mut self) -> Result<(), Infallible> {
        self.cursor_wanted = true;
        Ok(())
    }

    fn get_cursor_position(&mut self) -> Result<Position, Infallible> {
        Ok(self.cursor)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Infallible> {
        self.cursor = position.into();
        Ok(())
    }

    // The composer forces every cell instead: clearing first would flicker.
    fn clear(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn clear_region(&mut self, _: ClearType) -> Result<(), Infallible> {
        Ok(())
    }

    fn size(&self) -> Result<Size, Infallible> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> Result<WindowSize, Infallible> {
        Ok(WindowSize { columns_rows: self.size, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
