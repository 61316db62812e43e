//! A whole screen as an SVG picture: block glyphs as exact rectangles, text as text. The same
//! screen always gives the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write;

/// One cell of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The character (and combining marks); empty for the second half of a wide one.
    pub text: String,
    /// Colour of the character.
    pub fg: [u8; 3],
    /// Colour behind it.
    pub bg: [u8; 3],
    /// Bold.
    pub bold: bool,
    /// Dim.
    pub dim: bool,
    /// Italic.
    pub italic: bool,
    /// Underlined.
    pub underline: bool,
}

impl Default for Cell {
    fn default() -> Self {
        Self {
            text: " ".into(),
            fg: FOREGROUND,
            bg: BACKGROUND,
            bold: false,
            dim: false,
            italic: false,
            underline: false,
        }
    }
}

/// The default text colour.
pub const FOREGROUND: [u8; 3] = [0xD8, 0xDE, 0xE9];
/// The default background.
pub const BACKGROUND: [u8; 3] = [0x10, 0x14, 0x1A];

/// A grid of cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    cols: usize,
    rows: usize,
    cells: Vec<Cell>,
}

/// Units per cell: halves, thirds and eighths of its height are whole.
pub(super) const W: usize = 12;
pub(super) const H: usize = 24;
/// Unit rows where some block glyph has an edge.
const EDGES: [usize; 10] = [0, 3, 6, 8, 9, 12, 15, 16, 18, 21];

/// A run of one colour: left, top, width; its height is up to the next edge.
type Band = (usize, usize, usize, [u8; 3]);

impl Screen {
    /// An empty screen.
    pub fn new(cols: u16, rows: u16) -> Self {
        let (cols, rows) = (usize::from(cols), usize::from(rows));
        Self { cols, rows, cells: vec![Cell::default(); cols * rows] }
    }

    /// Sets a cell; outside the screen nothing happens.
    pub fn set(&mut self, x: u16, y: u16, cell: Cell) {
        let (x, y) = (usize::from(x), usize::from(y));
        if x < self.cols && y < self.rows {
            self.cells[y * self.cols + x] = cell;
        }
    }

    /// The cell there, if it is on the screen.
    pub fn cell(&self, x: u16, y: u16) -> Option<&Cell> {
        let (x, y) = (usize::from(x), usize::from(y));
        if x < self.cols { self.cells.get(y * self.cols + x) } else { None }
    }

    /// Adds what a tile shows.
    pub fn draw(&mut self, painter: &super::Painter) {
        for p in painter.cells() {
            let cell = Cell {
                text: p.glyph.into(),
                fg: p.fg.look(FOREGROUND),
                bg: p.bg.look(BACKGROUND),
                ..Cell::default()
            };
            self.set(p.x, p.y, cell);
        }
    }

    /// The picture. `title` is its accessible name. Neighbours of one colour are merged, and
    /// colours are rounded to 5 bits per channel, which no eye minds in blocks.
    pub fn to_svg(&self, title: &str) -> String {
        let (width, height) = (self.cols * W, self.rows * H);
        let mut svg = String::new();
        let _ = write!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{}\" height=\"{}\" role=\"img\"><title>{}</title>\n\
             <path fill=\"{}\" d=\"M0 0h{width}v{height}H0z\"/>\n",
            width * 3 / 4,
            height * 3 / 4,
            escape(title),
            hex(BACKGROUND),
        );
        svg.push_str("<g shape-rendering=\"crispEdges\">\n");
        for (colour, path) in self.blocks() {
            let _ = writeln!(svg, "<path fill=\"{}\" d=\"{path}\"/>", hex(colour));
        }
        svg.push_str("</g>\n");
        self.text(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    /// Paths of rectangles by colour. Backgrounds come first in each cell's own area and inks
    /// never overlap foreign cells, but a cell's ink lies over its own paper, so the paper is cut
    /// around it: every unit of area belongs to exactly one colour and order doesn't matter.
    fn blocks(&self) -> BTreeMap<[u8; 3], String> {
        let mut paths: BTreeMap<[u8; 3], String> = BTreeMap::new();
        let mut bands: Vec<Band> = Vec::new();
        for row in 0..self.rows {
            for y in EDGES {
                self.band(row, y, &mut bands);
            }
        }
        // Merge equal runs of bands directly below each other.
        bands.sort_by_key(|(x, y, w, c)| (*c, *x, *w, *y));
        let mut merged: Vec<(usize, usize, usize, usize, [u8; 3])> = Vec::new();
        for (x, y, w, c) in bands {
            let h = band_height(y);
            match merged.last_mut() {
                Some(last) if last.0 == x && last.2 == w && last.4 == c && last.1 + last.3 == y => {
                    last.3 += h;
                }
                _ => merged.push((x, y, w, h, c)),
            }
        }
        merged.sort_by_key(|(x, y, _, _, c)| (*c, *y, *x));
        for (x, y, w, h, c) in merged {
            let _ = write!(paths.entry(c).or_default(), "M{x} {y}h{w}v{h}h-{w}z");
        }
        paths
    }

    /// Runs of one colour in a band that begins at unit row `y` of a row of cells.
    fn band(&self, row: usize, y: usize, bands: &mut Vec<Band>) {
        let mut runs: Vec<Band> = Vec::new();
        for col in 0..self.cols {
            let cell = &self.cells[row * self.cols + col];
            let glyph = cell.text.chars().next().unwrap_or(' ');
            let (fg, bg) = match shade(glyph) {
                0 => (round(cell.fg), round(cell.bg)),
                quarters => [round(mix(cell.fg, cell.bg, quarters)); 2].into(),
            };
            let mut from = 0;
            while from < W {
                let set = ink_at(glyph, from, y);
                let to = (from + 1..W).find(|x| ink_at(glyph, *x, y) != set).unwrap_or(W);
                let colour = if set { fg } else { bg };
                match runs.last_mut() {
                    Some(run) if run.3 == colour => run.2 += to - from,
                    _ => runs.push((col * W + from, row * H + y, to - from, colour)),
                }
                from = to;
            }
        }
        bands.extend(runs.into_iter().filter(|run| run.3 != round(BACKGROUND)));
    }

    fn text(&self, svg: &mut String) {
        svg.push_str(
            "<g font-family=\"ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace\" \
             font-size=\"20\" xml:space=\"preserve\">\n",
        );
        for row in 0..self.rows {
            let mut col = 0;
            while col < self.cols {
                let cell = &self.cells[row * self.cols + col];
                let plain = |c: &Cell| {
                    let glyph = c.text.chars().next().unwrap_or(' ');
                    glyph != ' ' && !glyph.is_control() && !is_block(glyph)
                };
                if !plain(cell) {
                    col += 1;
                    continue;
                }
                // A run of text in one style; single spaces inside it are fine.
                let style = |c: &Cell| (c.fg, c.bold, c.dim, c.italic, c.underline);
                let mut end = col + 1;
                while end < self.cols {
                    let next = &self.cells[row * self.cols + end];
                    let blank = next.text == " " && !next.underline;
                    let goes_on = self.cells.get(row * self.cols + end + 1).is_some_and(|after| {
                        end + 1 < self.cols && plain(after) && style(after) == style(cell)
                    });
                    let same = next.text.is_empty() || plain(next) && style(next) == style(cell);
                    if same || blank && goes_on {
                        end += 1;
                    } else {
                        break;
                    }
                }
                let text: String =
                    self.cells[row * self.cols..][col..end].iter().map(|c| &*c.text).collect();
                let mut extra = String::new();
                for (on, attribute) in [
                    (cell.bold, " font-weight=\"bold\""),
                    (cell.dim, " opacity=\".6\""),
                    (cell.italic, " font-style=\"italic\""),
                    (cell.underline, " text-decoration=\"underline\""),
                ] {
                    if on {
                        extra.push_str(attribute);
                    }
                }
                let _ = writeln!(
                    svg,
                    "<text x=\"{}\" y=\"{}\" textLength=\"{}\" fill=\"{}\"{extra}>{}</text>",
                    col * W,
                    row * H + 18,
                    (end - col) * W,
                    hex(cell.fg),
                    escape(&text),
                );
                col = end;
            }
        }
        svg.push_str("</g>\n");
    }
}

fn band_height(y: usize) -> usize {
    let y = y % H;
    EDGES.into_iter().find(|e| *e > y).unwrap_or(H) - y
}

fn round(c: [u8; 3]) -> [u8; 3] {
    if c == BACKGROUND {
        return c;
    }
    c.map(|v| (v & 0xF8) | v >> 5)
}

fn hex(c: [u8; 3]) -> String {
    if c.iter().all(|v| v >> 4 == v & 15) {
        return format!("#{:x}{:x}{:x}", c[0] & 15, c[1] & 15, c[2] & 15);
    }
    format!("#{:02x}{:02x}{:02x}", c[0], c[1], c[2])
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

fn is_block(glyph: char) -> bool {
    matches!(glyph, '\u{2580}'..='\u{2593}' | '\u{2594}'..='\u{259F}' | '\u{1FB00}'..='\u{1FB3B}')
        || super::mode::octants_of(glyph).is_some()
}

/// Quarters of ink in a shade, which is drawn as an even tone; 0 for other glyphs.
pub(super) fn shade(glyph: char) -> u16 {
    match glyph {
        '░' => 1,
        '▒' => 2,
        '▓' => 3,
        _ => 0,
    }
}

fn mix(fg: [u8; 3], bg: [u8; 3], quarters: u16) -> [u8; 3] {
    let blend = |c| (u16::from(fg[c]) * quarters + u16::from(bg[c]) * (4 - quarters)) / 4;
    std::array::from_fn(|c| blend(c) as u8)
}

/// Whether a block glyph's ink covers unit `(x, y)` of its cell.
pub(super) fn ink_at(glyph: char, x: usize, y: usize) -> bool {
    let code = u32::from(glyph);
    let quadrant =
        |bits: u32| bits >> (usize::from(x >= W / 2) + 2 * usize::from(y >= H / 2)) & 1 == 1;
    match glyph {
        '▀' => y < H / 2,
        '▔' => y < H / 8,
        '▐' => x >= W / 2,
        '▕' => x * 8 >= W * 7,
        '█' => true,
        '\u{2581}'..='\u{2587}' => y * 8 >= H * (8 - (code - 0x2580) as usize),
        '\u{2589}'..='\u{258F}' => x * 8 < W * (8 - (code - 0x2588) as usize),
        '▖' => quadrant(4),
        '▗' => quadrant(8),
        '▘' => quadrant(1),
        '▙' => quadrant(13),
        '▚' => quadrant(9),
        '▛' => quadrant(7),
        '▜' => quadrant(11),
        '▝' => quadrant(2),
        '▞' => quadrant(6),
        '▟' => quadrant(14),
        '\u{1FB00}'..='\u{1FB3B}' => {
            let mut bits = code - 0x1FB00 + 1;
            bits += u32::from(bits >= 21);
            bits += u32::from(bits >= 42);
            bits >> (usize::from(x >= W / 2) + 2 * (y / (H / 3))) & 1 == 1
        }
        _ => super::mode::octants_of(glyph)
            .is_some_and(|bits| bits >> (usize::from(x >= W / 2) + 2 * (y / (H / 4))) & 1 == 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::{RawFrame, Size};
    use crate::paint::{Depth, Mode, Painter, Rect};

    #[test]
    fn text_is_escaped_and_merged_into_runs() {
        let mut screen = Screen::new(20, 2);
        for (x, c) in "a <b> & \u{7}c".chars().enumerate() {
            screen.set(x as u16, 0, Cell { text: c.into(), ..Cell::default() });
        }
        let svg = screen.to_svg("x < y");
        assert!(svg.contains("<title>x &lt; y</title>"));
        assert!(svg.contains(">a &lt;b&gt; &amp;</text>"), "{svg}");
        assert_eq!(svg.matches("<text ").count(), 2);
    }

    #[test]
    fn the_same_screen_gives_the_same_bytes_and_covers_each_cell_once() {
        let mut painter = Painter::new(Mode::Sextant, Depth::True);
        painter.place(Rect { x: 1, y: 1, cols: 20, rows: 6 }, (1, 2));
        let mut f = RawFrame::black(Size::new(40, 24), Default::default());
        for (i, y) in f.y.iter_mut().enumerate() {
            *y = 16 + (i * 37 % 219) as u8;
        }
        painter.paint(&f, &mut Vec::new());
        let mut screen = Screen::new(22, 8);
        screen.draw(&painter);
        let svg = screen.to_svg("tile");
        assert_eq!(svg, screen.clone().to_svg("tile"));
        // Areas of all rectangles in the tile add up to the tile (its colours differ from the
        // background, which is not drawn again).
        let mut area = 0;
        for path in svg.lines().filter(|l| l.starts_with("<path")).skip(1) {
            let d = path.split("d=\"").nth(1).and_then(|d| d.split('"').next()).unwrap_or("");
            for r in d.split('M').skip(1) {
                let (w, rest) = r.split_once('h').and_then(|(_, r)| r.split_once('v')).unwrap();
                let h = rest.split_once('h').unwrap().0;
                area += w.parse::<usize>().unwrap() * h.parse::<usize>().unwrap();
            }
        }
        assert_eq!(area, 20 * 6 * W * H);
    }

    #[test]
    fn every_block_glyph_has_the_right_share_of_ink() {
        for pattern in 0..64u32 {
            let glyph = Mode::Sextant.driver().glyph(pattern as u8).chars().next().unwrap();
            let ink = (0..W * H).filter(|i| ink_at(glyph, i % W, i / W)).count();
            assert_eq!(ink, pattern.count_ones() as usize * W * H / 6, "{glyph}");
        }
        for pattern in 0..256u32 {
            let glyph = Mode::Octant.driver().glyph(pattern as u8).chars().next().unwrap();
            let ink = (0..W * H).filter(|i| ink_at(glyph, i % W, i / W)).count();
            assert_eq!(ink, pattern.count_ones() as usize * W * H / 8, "{glyph}");
        }
        for pattern in 0..16u32 {
            let glyph = Mode::Quadrant.driver().glyph(pattern as u8).chars().next().unwrap();
            let ink = (0..W * H).filter(|i| ink_at(glyph, i % W, i / W)).count();
            assert_eq!(ink, pattern.count_ones() as usize * W * H / 4, "{glyph}");
        }
    }
}
