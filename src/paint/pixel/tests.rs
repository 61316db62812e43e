//! What the bytes show, by strict decoders of our own, is what the painter believes and what it was
//! given.

mod iterm;

use super::*;
use crate::time::MediaTime;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A screen of pixels that understands exactly what painters may write, and panics at all else.
struct Screen {
    cols: usize,
    rows: usize,
    cell: (usize, usize),
    pixels: Vec<Option<[u8; 3]>>,
    cursor: (usize, usize),
    registers: Vec<[u8; 3]>,
    largest: (usize, usize),
    sixels: usize,
    images: BTreeMap<u32, (usize, usize, Vec<u8>)>,
    placements: BTreeMap<(u32, u32), Placement>,
    partial: Option<(BTreeMap<u8, String>, Vec<u8>)>,
    shelf: TestShelf,
    jpegs: Vec<(Rect, Vec<u8>)>,
}

#[derive(Clone, Debug)]
struct Placement {
    at: (usize, usize),
    cells: (usize, usize),
    cut: Option<(usize, usize, usize, usize)>,
}

type Kept = BTreeMap<String, Vec<u8>>;

#[derive(Clone, Default)]
struct TestShelf {
    kept: Arc<Mutex<Kept>>,
    begun: Option<String>,
    count: usize,
    fails: bool,
}

impl Shelf for TestShelf {
    fn begin(&mut self, bytes: usize) -> std::io::Result<String> {
        let name = format!("/test-{}-{bytes}", self.count);
        self.count += 1;
        self.kept.lock().unwrap().insert(name.clone(), Vec::new());
        self.begun = Some(name.clone());
        Ok(name)
    }

    fn append(&mut self, part: &[u8]) -> std::io::Result<()> {
        if self.fails {
            return Err(std::io::Error::other("full"));
        }
        let name = self.begun.clone().unwrap();
        self.kept.lock().unwrap().get_mut(&name).unwrap().extend_from_slice(part);
        Ok(())
    }

    fn remove(&mut self, name: &str) {
        self.kept.lock().unwrap().remove(name);
    }
}

impl Screen {
    fn new(cols: usize, rows: usize, cell: (usize, usize)) -> Self {
        Self {
            cols,
            rows,
            cell,
            pixels: vec![None; cols * rows * cell.0 * cell.1],
            cursor: (0, 0),
            registers: vec![[0; 3]; 256],
            largest: (usize::MAX, usize::MAX),
            sixels: 0,
            images: BTreeMap::new(),
            placements: BTreeMap::new(),
            partial: None,
            shelf: TestShelf::default(),
            jpegs: Vec::new(),
        }
    }

    fn eat(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(after) = rest.strip_prefix(b"\x1b") {
            rest = match after[0] {
                b'[' => self.csi(&after[1..]),
                b'P' => {
                    let (body, rest) = until_st(&after[1..]);
                    self.sixel(body);
                    rest
                }
                b'_' => {
                    let (body, rest) = until_st(&after[1..]);
                    self.kitty(body);
                    rest
                }
                b']' => {
                    let end = after.iter().position(|b| *b == 7).expect("ended by BEL");
                    self.osc(&after[1..end]);
                    &after[end + 1..]
                }
                other => panic!("ESC {other:#x}"),
            };
        }
        assert!(rest.is_empty(), "text outside of sequences: {:?}", &rest[..rest.len().min(20)]);
        assert!(self.partial.is_none(), "a picture was begun and not ended");
    }

    fn csi<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let end = rest.iter().position(|b| !b"0123456789;".contains(b)).unwrap();
        let args: Vec<usize> = std::str::from_utf8(&rest[..end])
            .unwrap()
            .split(';')
            .filter(|n| !n.is_empty())
            .map(|n| n.parse().unwrap())
            .collect();
        match (rest[end], &args[..]) {
            (b'H', [row, col]) => {
                assert!((1..=self.rows).contains(row) && (1..=self.cols).contains(col));
                self.cursor = (col - 1, row - 1);
            }
            (b'm', []) => {}
            (b'X', [n]) => {
                let (x, y) = self.cursor;
                assert!(x + n <= self.cols);
                for px in x * self.cell.0..(x + n) * self.cell.0 {
                    for py in y * self.cell.1..(y + 1) * self.cell.1 {
                        self.set(px, py, [0; 3]);
                    }
                }
            }
            (other, args) => panic!("CSI {args:?} {:?}", other as char),
        }
        &rest[end + 1..]
    }

    fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        let (w, h) = (self.cols * self.cell.0, self.rows * self.cell.1);
        assert!(x < w && y < h, "off the screen: {x},{y}");
        self.pixels[y * w + x] = Some(colour);
    }

    fn sixel(&mut self, body: &[u8]) {
        let body = body.strip_prefix(b"7;0;0q\"1;1;").expect("square pixels");
        let mut at = 0;
        let number = |at: &mut usize| {
            let from = *at;
            while body[*at].is_ascii_digit() {
                *at += 1;
            }
            std::str::from_utf8(&body[from..*at]).unwrap().parse::<usize>().expect("a number")
        };
        let width = number(&mut at);
        assert_eq!(body[at], b';');
        at += 1;
        let height = number(&mut at);
        assert!(width <= self.largest.0 && height <= self.largest.1, "{width}x{height}");
        assert_eq!((width % self.cell.0, height % self.cell.1), (0, 0), "whole cells");
        let last = self.cursor.1 + height / self.cell.1;
        assert!(last < self.rows, "touches the last row: the screen would scroll");
        self.sixels += 1;
        let (left, top) = (self.cursor.0 * self.cell.0, self.cursor.1 * self.cell.1);
        let mut registers = vec![None; self.registers.len()];
        let (mut x, mut y, mut colour) = (0, 0, None);
        let mut painted = vec![false; width * height];
        while at < body.len() {
            let b = body[at];
            match b {
                b'#' => {
                    at += 1;
                    let register = number(&mut at);
                    if body.get(at) == Some(&b';') {
                        let mut fields = [0; 4];
                        for field in &mut fields {
                            assert_eq!(body[at], b';');
                            at += 1;
                            *field = number(&mut at);
                        }
                        assert_eq!(fields[0], 2, "RGB");
                        assert!(fields.iter().all(|f| *f <= 100));
                        registers[register] =
                            Some([1, 2, 3].map(|i| ((fields[i] * 255 + 50) / 100) as u8));
                    } else {
                        colour = registers[register];
                        assert!(colour.is_some(), "an undefined colour");
                    }
                    continue;
                }
                b'$' => x = 0,
                b'-' => (x, y) = (0, y + 6),
                b'!' | b'?'..=b'~' => {
                    let mut run = 1;
                    if b == b'!' {
                        at += 1;
                        run = number(&mut at);
                    }
                    let mask = body[at] - b'?';
                    assert!(mask < 64);
                    for x in x..x + run {
                        for bit in (0..6).filter(|bit| mask >> bit & 1 == 1) {
                            assert!(x < width && y + bit < height, "outside the picture");
                            painted[(y + bit) * width + x] = true;
                            self.set(left + x, top + y + bit, colour.expect("a colour first"));
                        }
                    }
                    x += run;
                }
                other => panic!("{other:#x} in a sixel picture"),
            }
            at += 1;
        }
        assert!(painted.iter().all(|p| *p), "a pixel of the picture was left out");
    }

    fn kitty(&mut self, body: &[u8]) {
        let body = body.strip_prefix(b"G").expect("graphics");
        let split = body.iter().position(|b| *b == b';').unwrap_or(body.len());
        let mut keys: BTreeMap<u8, String> = std::str::from_utf8(&body[..split])
            .unwrap()
            .split(',')
            .map(|pair| {
                let (key, value) = pair.split_once('=').expect("key=value");
                assert_eq!(key.len(), 1);
                assert!(value.bytes().all(|b| b.is_ascii_alphanumeric()), "{value}");
                (key.as_bytes()[0], value.to_string())
            })
            .collect();
        assert_eq!(keys.get(&b'q').map(String::as_str), Some("2"), "answers would be input");
        let payload = unbase64(body.get(split + 1..).unwrap_or_default());
        let more = keys.remove(&b'm');
        let (keys, payload) = match self.partial.take() {
            Some((first, mut so_far)) => {
                assert_eq!(keys.len(), 1, "only m and q in later chunks");
                so_far.extend_from_slice(&payload);
                (first, so_far)
            }
            None => (keys, payload),
        };
        assert!(body.len() - split <= 4097);
        if more.as_deref() == Some("1") {
            self.partial = Some((keys, payload));
            return;
        }
        let get = |key: u8| keys.get(&key).map(|v| v.as_str()).unwrap_or_default();
        let number = |key: u8| get(key).parse::<usize>().expect("a number");
        let id = number(b'i') as u32;
        match get(b'a') {
            "t" => {
                let (w, h) = (number(b's'), number(b'v'));
                assert_eq!(get(b'f'), "24");
                let pixels = match get(b't') {
                    "d" => payload,
                    "s" => {
                        let name = String::from_utf8(payload).unwrap();
                        // As kitty does: read, then unlinked.
                        self.shelf.kept.lock().unwrap().remove(&name).expect("on the shelf")
                    }
                    other => panic!("t={other}"),
                };
                assert_eq!(pixels.len(), w * h * 3);
                assert!(!self.images.contains_key(&id), "the picture on the screen is kept");
                self.images.insert(id, (w, h, pixels));
            }
            "p" => {
                assert_eq!(get(b'C'), "1");
                assert!(self.images.contains_key(&id));
                let cut = keys
                    .contains_key(&b'x')
                    .then(|| (number(b'x'), number(b'y'), number(b'w'), number(b'h')));
                let cells = (number(b'c'), number(b'r'));
                let (x, y) = self.cursor;
                assert!(x + cells.0 <= self.cols && y + cells.1 <= self.rows);
                let placement = Placement { at: self.cursor, cells, cut };
                self.placements.insert((id, number(b'p') as u32), placement);
            }
            "d" => {
                self.placements.retain(|(i, _), _| *i != id);
                if get(b'd') == "I" {
                    assert!(self.images.remove(&id).is_some());
                } else {
                    assert_eq!(get(b'd'), "i");
                }
            }
            other => panic!("a={other}"),
        }
    }

    fn osc(&mut self, body: &[u8]) {
        let body = body.strip_prefix(b"1337;File=").expect("a picture");
        let colon = body.iter().position(|b| *b == b':').unwrap();
        let keys: BTreeMap<&str, &str> = std::str::from_utf8(&body[..colon])
            .unwrap()
            .split(';')
            .map(|pair| pair.split_once('=').unwrap())
            .collect();
        let file = unbase64(&body[colon + 1..]);
        assert_eq!(keys["inline"], "1");
        assert_eq!(keys["preserveAspectRatio"], "0");
        assert_eq!(keys["doNotMoveCursor"], "1");
        assert_eq!(keys["size"], file.len().to_string());
        let (cols, rows): (u16, u16) =
            (keys["width"].parse().unwrap(), keys["height"].parse().unwrap());
        let (x, y) = (self.cursor.0 as u16, self.cursor.1 as u16);
        assert!(usize::from(x + cols) <= self.cols && usize::from(y + rows) < self.rows);
        self.jpegs.push((Rect { x, y, cols, rows }, file));
    }

    fn cell_pixels(&self, col: usize, row: usize) -> Vec<Option<[u8; 3]>> {
        let (cw, ch) = self.cell;
        (row * ch..(row + 1) * ch)
            .flat_map(|y| (col * cw..(col + 1) * cw).map(move |x| (x, y)))
            .map(|(x, y)| self.pixels[y * self.cols * cw + x])
            .collect()
    }
}

fn until_st(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|b| *b == 0x1b).expect("ended by ST");
    assert_eq!(bytes[end + 1], b'\\');
    assert!(bytes[..end].iter().all(|b| (0x20..0x7f).contains(b)), "printable bytes only");
    (&bytes[..end], &bytes[end + 2..])
}

fn unbase64(text: &[u8]) -> Vec<u8> {
    assert_eq!(text.len() % 4, 0);
    let mut out = Vec::new();
    for quad in text.chunks(4) {
        let mut n = 0u32;
        for b in quad {
            n = n << 6
                | match b {
                    b'A'..=b'Z' => u32::from(b - b'A'),
                    b'a'..=b'z' => u32::from(b - b'a') + 26,
                    b'0'..=b'9' => u32::from(b - b'0') + 52,
                    b'+' => 62,
                    b'/' => 63,
                    b'=' => 0,
                    other => panic!("{other:#x} in base64"),
                };
        }
        out.extend_from_slice(&n.to_be_bytes()[1..]);
    }
    let padding = text.iter().rev().take_while(|b| **b == b'=').count();
    out.truncate(out.len() - padding);
    out
}

/// Deterministic pseudo-random numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    /// Smooth colours with noise on a part.
    fn frame(&mut self, size: Size) -> RawFrame {
        let mut f = RawFrame::black(size, MediaTime::default());
        let (w, noise) = (usize::from(size.width), self.roll(60) + 1);
        let tilt = self.roll(5) + 1;
        for i in 0..f.y.len() {
            f.y[i] = (16 + ((i % w) * tilt + i / w) % 200 + self.roll(noise) / 2) as u8;
        }
        for i in 0..f.u.len() {
            f.u[i] = (90 + i % 70) as u8;
            f.v[i] = (100 + (i / w) % 60 + self.roll(noise) / 4) as u8;
        }
        f
    }

    /// Changes a rectangle of it.
    fn change(&mut self, f: &mut RawFrame) {
        let (w, h) = (usize::from(f.size.width), usize::from(f.size.height));
        let (x, y) = (self.roll(w), self.roll(h));
        let (right, bottom) = ((x + 1 + self.roll(w)).min(w), (y + 1 + self.roll(h / 2)).min(h));
        for row in y..bottom {
            for p in &mut f.y[row * w..][x..right] {
                *p = p.wrapping_add(37);
            }
        }
    }
}

fn sixel_shown(painter: &PixelPainter, col: usize, row: usize) -> Vec<[u8; 3]> {
    match &painter.driver {
        Driver::Sixel(sixel) => sixel.shows(col, row),
        _ => panic!("not a sixel painter"),
    }
}

#[test]
fn after_any_sixel_pictures_the_screen_is_what_the_painter_believes_and_nothing_else_is_touched() {
    let mut dice = Dice(7);
    for (cell, most, colours) in
        [((9, 17), None, 256), ((8, 16), Some((100, 90)), 16), ((10, 20), Some((1000, 1000)), 2)]
    {
        let mut screen = Screen::new(40, 16, cell);
        screen.largest = most.map_or(screen.largest, |(w, h)| (usize::from(w), usize::from(h)));
        let terminal = PixelTerminal {
            sixel_colours: colours,
            sixel_max_size: most,
            screen_rows: 16,
            ..PixelTerminal::default()
        };
        let mut painter = PixelPainter::new(Protocol::Sixel, terminal);
        // Reaches to the screen's end, which must stay blank.
        let rect = Rect { x: 3, y: 2, cols: 30, rows: 14 };
        painter.place(rect, (cell.0 as u16, cell.1 as u16));
        let mut f = dice.frame(Size::new(160, 96));
        for step in 0..60 {
            match dice.roll(6) {
                0 => f = dice.frame(Size::new(160, 96)),
                1 => {
                    let (x, y) = (dice.roll(30) as u16, dice.roll(12) as u16);
                    painter.cover(&[Rect { x, y, cols: 9, rows: 4 }]);
                }
                2 => painter.cover(&[]),
                3 => *painter.quality() = Quality::fixed([0.0, 0.5, 3.0, 16.0][dice.roll(4)]),
                _ => dice.change(&mut f),
            }
            if dice.roll(15) == 0 {
                painter.invalidate();
                screen.pixels.fill(None);
            }
            let before = screen.pixels.clone();
            let mut out = Vec::new();
            let stats = if dice.roll(4) == 0 && step > 0 {
                painter.repaint(&mut out)
            } else {
                painter.paint(&f, &mut out)
            };
            assert_eq!(stats.bytes, out.len());
            screen.eat(&out);
            let covers = painter.cells.place.covers.clone();
            for y in 0..16u16 {
                for x in 0..40u16 {
                    let (col, row) = (usize::from(x), usize::from(y));
                    let pixels = screen.cell_pixels(col, row);
                    if !rect.contains(x, y) {
                        assert!(pixels.iter().all(Option::is_none), "touched {x},{y}");
                    } else if y == 15 {
                        assert!(pixels.iter().all(|p| p.is_none_or(|p| p == [0; 3])));
                    } else if covers.iter().any(|c| c.contains(x, y)) {
                        let i = (row * cell.1 * 40 + col) * cell.0;
                        assert_eq!(pixels[0], before[i], "wrote over a cover at {x},{y}");
                    } else {
                        let believed = sixel_shown(&painter, col - 3, row - 2);
                        let believed: Vec<_> = believed.into_iter().map(Some).collect();
                        assert!(pixels == believed, "step {step}: {x},{y} differs");
                    }
                }
            }
        }
        assert!(screen.sixels > 60);
    }
}

#[test]
fn sixels_show_the_picture_that_was_painted() {
    let mut dice = Dice(3);
    let mut f = dice.frame(Size::new(320, 192));
    for (i, y) in f.y.iter_mut().enumerate() {
        *y = (30 + (i % 320) / 4 + (i / 320) / 2 + dice.roll(6)) as u8;
    }
    for (i, (u, v)) in f.u.iter_mut().zip(&mut f.v).enumerate() {
        (*u, *v) = ((110 + i % 160 / 8) as u8, (150 - i / 160 / 4) as u8);
    }
    let mut painter = PixelPainter::new(Protocol::Sixel, PixelTerminal::default());
    painter.place(Rect { x: 0, y: 0, cols: 32, rows: 12 }, (10, 16));
    let mut out = Vec::new();
    let stats = painter.paint(&f, &mut out);
    let mut screen = Screen::new(33, 14, (10, 16));
    screen.eat(&out);
    let mut sum = 0f64;
    for y in 0..192 {
        for x in 0..320 {
            let shown = screen.pixels[y * 330 + x].unwrap();
            let c = y / 2 * 160 + x / 2;
            let given = scale::rgb(f.y[y * 320 + x], f.u[c], f.v[c]);
            sum +=
                shown.iter().zip(given).map(|(a, b)| f64::from(a.abs_diff(b)).powi(2)).sum::<f64>();
        }
    }
    let psnr = 10.0 * (65025.0 / (sum / (320.0 * 192.0 * 3.0))).log10();
    assert!(psnr > 34.0, "{psnr} dB");
    assert_eq!(stats.written, 32 * 12);
}

#[test]
fn an_unchanged_picture_costs_nothing_and_a_small_change_little() {
    let mut dice = Dice(5);
    let mut f = dice.frame(Size::new(320, 192));
    let mut painter = PixelPainter::new(Protocol::Sixel, PixelTerminal::default());
    painter.refresh_every(0);
    painter.place(Rect { x: 0, y: 0, cols: 32, rows: 12 }, (10, 16));
    let mut out = Vec::new();
    let whole = painter.paint(&f, &mut out);
    let same = painter.paint(&f, &mut out);
    assert_eq!((same.bytes, same.written, same.kept), (0, 0, 384));
    for row in 40..60 {
        f.y[row * 320 + 100..][..30].fill(200);
    }
    let little = painter.paint(&f, &mut out);
    assert!(little.written > 0 && little.written <= 4 * 3, "{little:?}");
    assert!(little.bytes < whole.bytes / 8, "{} of {}", little.bytes, whole.bytes);
}

#[test]
fn every_row_is_sent_anew_within_the_promised_number_of_pictures() {
    let f = Dice(9).frame(Size::new(160, 96));
    let mut painter = PixelPainter::new(Protocol::Sixel, PixelTerminal::default());
    painter.refresh_every(16);
    painter.place(Rect { x: 0, y: 0, cols: 20, rows: 7 }, (8, 12));
    painter.paint(&f, &mut Vec::new());
    let mut screen = Screen::new(21, 9, (8, 12));
    for _ in 0..16 {
        let mut out = Vec::new();
        painter.paint(&f, &mut out);
        screen.eat(&out);
    }
    for row in 0..7 {
        assert!(screen.cell_pixels(0, row).iter().all(Option::is_some), "row {row}");
    }
}

#[test]
fn a_picture_of_wrong_lengths_is_ignored_and_without_a_place_nothing_is_painted() {
    for protocol in [Protocol::Sixel, Protocol::Kitty, Protocol::Iterm2] {
        let mut painter = PixelPainter::new(protocol, PixelTerminal::default());
        let mut f = Dice(1).frame(Size::new(64, 48));
        let mut out = Vec::new();
        assert_eq!(painter.paint(&f, &mut out), Stats::default());
        painter.place(Rect { x: 0, y: 0, cols: 10, rows: 5 }, (8, 16));
        f.u.pop();
        assert_eq!(painter.paint(&f, &mut out), Stats::default());
        assert_eq!(painter.repaint(&mut out), Stats::default());
        assert!(out.is_empty());
    }
}

/// Checks that kitty's placements show `f` on the uncovered cells of the tile and nowhere else.
fn check_kitty(screen: &Screen, painter: &PixelPainter, f: &RawFrame) {
    assert_eq!(screen.images.len(), 1, "one picture is kept");
    let (id, (w, h, pixels)) = screen.images.first_key_value().unwrap();
    let canvas = painter.cells.canvas;
    assert_eq!((*w, *h), (canvas.width(), canvas.height()));
    let (cw, ch) = canvas.cell;
    let mut shown = BTreeMap::new();
    for ((of, _), p) in &screen.placements {
        assert_eq!(of, id);
        let (x, y, pw, ph) = p.cut.unwrap_or((0, 0, *w, *h));
        assert_eq!((pw, ph), (p.cells.0 * cw, p.cells.1 * ch), "no stretching");
        for row in 0..p.cells.1 {
            for col in 0..p.cells.0 {
                let at = ((p.at.0 + col) as u16, (p.at.1 + row) as u16);
                let from = (x / cw + col, y / ch + row);
                assert!(shown.insert(at, from).is_none(), "shown twice");
            }
        }
    }
    let rect = painter.rect();
    for y in 0..screen.rows as u16 {
        for x in 0..screen.cols as u16 {
            let open =
                rect.contains(x, y) && !painter.cells.place.covers.iter().any(|c| c.contains(x, y));
            let from = shown.get(&(x, y)).copied();
            let own = (usize::from(x.wrapping_sub(rect.x)), usize::from(y.wrapping_sub(rect.y)));
            assert_eq!(from, open.then_some(own), "{x},{y}");
        }
    }
    // The picture is of the tile's own size in these tests.
    if f.size == Size::new(*w as u16, *h as u16) {
        for (i, p) in pixels.as_chunks::<3>().0.iter().enumerate() {
            let luma = scale::rgb(f.y[i], 128, 128)[1];
            let gray = (f32::from(p[0]) * 0.299 + f32::from(p[1]) * 0.587 + f32::from(p[2]) * 0.114)
                as i32;
            let clipped = p.iter().any(|c| *c == 0 || *c == 255);
            assert!(clipped || gray.abs_diff(i32::from(luma)) <= 4, "{i}: {p:?} {luma}");
        }
    }
}

#[test]
fn kitty_shows_the_last_picture_on_the_uncovered_cells_whatever_happens() {
    for way in ["shelf", "tty", "full shelf"] {
        let mut dice = Dice(11);
        let mut screen = Screen::new(40, 16, (8, 16));
        let terminal = PixelTerminal { id_base: 77, ..PixelTerminal::default() };
        let mut painter = PixelPainter::new(Protocol::Kitty, terminal);
        if way != "tty" {
            let shelf = TestShelf { fails: way == "full shelf", ..screen.shelf.clone() };
            painter.share(Box::new(shelf));
        }
        let rect = Rect { x: 3, y: 2, cols: 20, rows: 6 };
        painter.place(rect, (8, 16));
        let mut f = dice.frame(Size::new(160, 96));
        for step in 0..40 {
            match dice.roll(5) {
                0 => painter.cover(&[Rect { x: dice.roll(20) as u16, y: 3, cols: 6, rows: 3 }]),
                1 => painter.cover(&[]),
                2 => f = dice.frame(Size::new(160, 96)),
                _ => dice.change(&mut f),
            }
            let mut out = Vec::new();
            let again = dice.roll(3) == 0 && step > 0;
            let stats = if again { painter.repaint(&mut out) } else { painter.paint(&f, &mut out) };
            assert_eq!(stats.bytes, out.len());
            assert!(way != "shelf" || out.len() < 900, "{}", out.len());
            screen.eat(&out);
            let last = painter.last.clone().unwrap();
            check_kitty(&screen, &painter, &last);
        }
        let mut out = Vec::new();
        painter.retire(&mut out);
        screen.eat(&out);
        assert!(screen.images.is_empty() && screen.placements.is_empty());
        assert!(screen.shelf.kept.lock().unwrap().is_empty());
    }
}

#[test]
fn one_kitty_picture_through_shared_memory_is_under_two_hundred_bytes() {
    let shelf = TestShelf::default();
    let mut painter = PixelPainter::new(Protocol::Kitty, PixelTerminal::default());
    painter.share(Box::new(shelf.clone()));
    painter.place(Rect { x: 0, y: 0, cols: 100, rows: 48 }, (16, 20));
    let f = RawFrame::black(Size::new(1600, 960), MediaTime::default());
    for _ in 0..4 {
        let stats = painter.paint(&f, &mut Vec::new());
        assert!(stats.bytes < 200, "{}", stats.bytes);
    }
    assert!(shelf.kept.lock().unwrap().values().all(|p| p.len() == 1600 * 960 * 3));
}

#[test]
fn pictures_the_terminal_never_took_are_removed() {
    let shelf = TestShelf::default();
    let mut painter = PixelPainter::new(Protocol::Kitty, PixelTerminal::default());
    painter.share(Box::new(shelf.clone()));
    painter.place(Rect { x: 0, y: 0, cols: 10, rows: 5 }, (8, 16));
    let f = RawFrame::black(Size::new(80, 80), MediaTime::default());
    for _ in 0..50 {
        painter.paint(&f, &mut Vec::new());
        assert!(shelf.kept.lock().unwrap().len() <= 6);
    }
    drop(painter);
    assert!(shelf.kept.lock().unwrap().is_empty());
}

#[test]
fn a_uniform_picture_wider_than_a_thousand_pixels_is_shown_uniform_in_few_bytes() {
    let mut f = RawFrame::black(Size::new(64, 48), MediaTime::default());
    f.y.fill(120);
    let mut painter = PixelPainter::new(Protocol::Sixel, PixelTerminal::default());
    painter.framing(Framing::Fill);
    painter.place(Rect { x: 0, y: 0, cols: 230, rows: 2 }, (10, 17));
    let mut out = Vec::new();
    let stats = painter.paint(&f, &mut out);
    let mut screen = Screen::new(231, 4, (10, 17));
    screen.eat(&out);
    for col in 0..230 {
        assert_eq!(screen.cell_pixels(col, 1), screen.cell_pixels(0, 0));
    }
    assert!(stats.bytes < 400, "{}", stats.bytes);
}

#[test]
fn shared_registers_show_the_same_because_a_new_palette_repaints_all() {
    // What a terminal shows that keeps register numbers, not colours, and shares the registers.
    let mut dice = Dice(17);
    let mut painter = PixelPainter::new(Protocol::Sixel, PixelTerminal::default());
    painter.place(Rect { x: 0, y: 0, cols: 20, rows: 6 }, (8, 16));
    let mut f = dice.frame(Size::new(160, 96));
    let mut screen = Screen::new(21, 8, (8, 16));
    let mut palettes = std::collections::BTreeSet::new();
    for step in 0..60 {
        dice.change(&mut f);
        if step == 30 {
            f = RawFrame::black(f.size, f.at);
            f.y.iter_mut().zip(0u32..).for_each(|(y, i)| *y = 60 + (i % 100) as u8);
            f.u.fill(60);
        }
        let mut out = Vec::new();
        painter.paint(&f, &mut out);
        screen.eat(&out);
        let Driver::Sixel(sixel) = &painter.driver else { panic!("not sixel") };
        palettes.insert(sixel.registers());
        for row in 0..6 {
            for col in 0..20 {
                let shown: Vec<_> = sixel_shown(&painter, col, row).into_iter().map(Some).collect();
                assert_eq!(screen.cell_pixels(col, row), shown);
            }
        }
    }
    assert!(palettes.len() > 1, "the palette was made anew");
}

#[test]
fn the_wanted_size_is_the_tiles_and_less_where_bytes_are_dear() {
    let rect = Rect { x: 0, y: 0, cols: 100, rows: 30 };
    for (protocol, most) in [(Protocol::Sixel, 600_000), (Protocol::Kitty, 70_000)] {
        let mut painter = PixelPainter::new(protocol, PixelTerminal::default());
        painter.place(rect, (10, 20));
        let size = painter.wanted_pixels();
        assert!(size.luma() <= most * 5 / 4, "{size}");
        let aspect = f32::from(size.width) / f32::from(size.height);
        assert!((aspect - 1000.0 / 600.0).abs() < 0.1, "{size}");
    }
}

#[test]
fn with_few_colours_a_ramp_keeps_its_brightness_everywhere() {
    let mut f = RawFrame::black(Size::new(320, 96), MediaTime::default());
    f.y.iter_mut().zip(0usize..).for_each(|(y, i)| *y = 30 + (i % 320 / 2) as u8);
    let terminal = PixelTerminal { sixel_colours: 8, ..PixelTerminal::default() };
    let mut painter = PixelPainter::new(Protocol::Sixel, terminal);
    painter.place(Rect { x: 0, y: 0, cols: 40, rows: 6 }, (8, 16));
    let mut out = Vec::new();
    painter.paint(&f, &mut out);
    let mut screen = Screen::new(41, 8, (8, 16));
    screen.eat(&out);
    for col in 1..39 {
        let cell = screen.cell_pixels(col, 3);
        let mean = cell.iter().flatten().map(|p| f32::from(p[1])).sum::<f32>() / 128.0;
        let given = f32::from(scale::rgb(f.y[col * 8 + 4], 128, 128)[1]);
        assert!((mean - given).abs() < 9.0, "{col}: {mean} for {given}");
    }
}
