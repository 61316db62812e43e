//! What a terminal shows after painting is what the painter believes, and nothing else is touched.

mod paint_strict;

use facetty::media::frame::{RawFrame, Size};
use facetty::paint::{Depth, Framing, Ink, Mode, Painter, Quality, Rect};
use facetty::time::MediaTime;
use paint_strict::Strict;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A moving scene: a gradient, discs that wander, a little grain.
fn scene(size: Size, t: u32, grain: i32, rng: &mut StdRng) -> RawFrame {
    let mut f = RawFrame::black(size, MediaTime::default());
    let (w, h) = (i32::from(size.width), i32::from(size.height));
    let t = t as i32;
    for y in 0..h {
        for x in 0..w {
            let mut luma = 40 + 120 * x / w + 20 * y / h;
            for k in 1..4 {
                let (cx, cy) = ((t * 3 * k + 37 * k) % w, (t * k + 11 * k) % h);
                if (x - cx).pow(2) + (y - cy).pow(2) < (h / 5).pow(2) {
                    luma = 60 * k;
                }
            }
            luma += rng.random_range(-grain..=grain);
            f.y[(y * w + x) as usize] = luma.clamp(16, 235) as u8;
        }
    }
    for (i, u) in f.u.iter_mut().enumerate() {
        *u = (96 + (i as i32 + t) % 64) as u8;
    }
    for (i, v) in f.v.iter_mut().enumerate() {
        *v = (160 - (i as i32 / 8 + t) % 64) as u8;
    }
    f
}

fn colour(c: vt100::Color) -> Ink {
    match c {
        vt100::Color::Default => Ink::DEFAULT,
        vt100::Color::Idx(i) => Ink::indexed(i),
        vt100::Color::Rgb(r, g, b) => Ink::rgb([r, g, b]),
    }
}

/// The same colour, or the same number of one: how its 16 look, only a terminal knows.
fn same(one: Ink, other: Ink) -> bool {
    one == other || one.index().is_some() && one.index() == other.index()
}

/// The emulator's cells in the tile equal the painter's shadow.
fn assert_same(painter: &Painter, parser: &vt100::Parser) {
    for cell in painter.cells() {
        let shown = parser.screen().cell(cell.y, cell.x).unwrap();
        let glyph = if shown.has_contents() { shown.contents() } else { " " };
        assert_eq!(glyph, cell.glyph, "at {},{}", cell.x, cell.y);
        if glyph != " " {
            let ink = colour(shown.fgcolor());
            assert!(same(ink, cell.fg), "ink at {},{}: {ink:?} {:?}", cell.x, cell.y, cell.fg);
        }
        if glyph != "█" {
            let paper = colour(shown.bgcolor());
            assert!(
                same(paper, cell.bg),
                "paper at {},{}: {paper:?} {:?}",
                cell.x,
                cell.y,
                cell.bg
            );
        }
    }
}

#[test]
fn the_shadow_is_what_an_emulator_shows_through_resizes_popups_and_modes() {
    let mut rng = StdRng::seed_from_u64(11);
    let (cols, rows) = (100u16, 40u16);
    let mut parser = vt100::Parser::new(rows, cols, 0);
    let mut painter = Painter::new(Mode::Half, Depth::True);
    let mut size = Size::new(120, 72);
    painter.place(Rect { x: 1, y: 1, cols: 60, rows: 20 }, (10, 20));
    for t in 0..300u32 {
        match rng.random_range(0..20) {
            0 => {
                let x = rng.random_range(0..cols - 1);
                let y = rng.random_range(0..rows - 1);
                let rect = Rect {
                    x,
                    y,
                    cols: rng.random_range(1..=cols - x),
                    rows: rng.random_range(1..=rows - y),
                };
                painter.place(rect, (10, 20));
            }
            1 => {
                let modes = Mode::ALL;
                let depths = [Depth::Mono, Depth::Ansi16, Depth::Indexed256, Depth::True];
                painter.set_mode(
                    modes[rng.random_range(0..modes.len())],
                    depths[rng.random_range(0..depths.len())],
                );
            }
            2 => size = Size::new(rng.random_range(2..300), rng.random_range(2..200)),
            3 => *painter.quality() = Quality::fixed([0.0, 0.5, 2.0, 16.0][t as usize % 4]),
            4 => {
                // A pop-up opens: drawn by somebody else.
                let rect = Rect {
                    x: rng.random_range(0..50),
                    y: rng.random_range(0..20),
                    cols: rng.random_range(1..40),
                    rows: rng.random_range(1..15),
                };
                painter.cover(&[rect]);
                for y in rect.y..rect.y + rect.rows {
                    let line = "P".repeat(usize::from(rect.cols));
                    parser
                        .process(format!("\x1b[m\x1b[{};{}H{line}", y + 1, rect.x + 1).as_bytes());
                }
            }
            5 => {
                painter.cover(&[]);
                let mut out = Vec::new();
                painter.repaint(&mut out);
                parser.process(&out);
            }
            6 => painter.framing(if t % 2 == 0 { Framing::Fill } else { Framing::Letterbox }),
            7 => painter.mirror(t % 2 == 0),
            _ => {}
        }
        let mut out = Vec::new();
        let stats = painter.paint(&scene(size, t, 3, &mut rng), &mut out);
        assert_eq!(stats.bytes, out.len());
        parser.process(&out);
        assert_same(&painter, &parser);
    }
}

#[test]
fn foreign_output_heals_within_64_pictures() {
    let mut rng = StdRng::seed_from_u64(2);
    let mut parser = vt100::Parser::new(24, 80, 0);
    let mut painter = Painter::new(Mode::Sextant, Depth::True);
    painter.place(Rect { x: 0, y: 0, cols: 80, rows: 24 }, (10, 20));
    let still = scene(Size::new(160, 96), 0, 0, &mut rng);
    let mut out = Vec::new();
    painter.paint(&still, &mut out);
    parser.process(&out);
    for y in 1..=24 {
        parser.process(format!("\x1b[{y};1H\x1b[31m{}", "garbage ".repeat(10)).as_bytes());
    }
    for _ in 0..64 {
        let mut out = Vec::new();
        painter.paint(&still, &mut out);
        parser.process(b"\x1b[m");
        parser.process(&out);
    }
    assert_same(&painter, &parser);
}

#[test]
fn a_still_picture_costs_only_the_refresh_after_the_first() {
    let mut rng = StdRng::seed_from_u64(3);
    let still = scene(Size::new(160, 96), 7, 0, &mut rng);
    for mode in Mode::ALL {
        for depth in [Depth::True, Depth::Indexed256, Depth::Ansi16, Depth::Mono] {
            let mut painter = Painter::new(mode, depth);
            painter.place(Rect { x: 0, y: 0, cols: 80, rows: 24 }, (10, 20));
            painter.refresh_every(0);
            let first = painter.paint(&still, &mut Vec::new());
            assert_eq!(first.written, 80 * 24);
            let again = painter.paint(&still, &mut Vec::new());
            assert_eq!(again.bytes, 0, "{mode} {depth:?}");
            painter.refresh_every(64);
            let refresh = painter.paint(&still, &mut Vec::new());
            // A few neighbours may become cheap enough to improve on the way.
            assert!((30..=120).contains(&refresh.written), "{mode} {depth:?} {refresh:?}");
            assert!(
                refresh.bytes * 15 < first.bytes.max(8000),
                "{mode} {depth:?} {refresh:?} {first:?}"
            );
        }
    }
}

#[test]
fn less_quality_means_fewer_bytes_and_never_a_black_picture() {
    let mut rng = StdRng::seed_from_u64(4);
    let clip: Vec<_> = (0..20).map(|t| scene(Size::new(160, 96), t, 6, &mut rng)).collect();
    let mut before = (usize::MAX, 0.0);
    for lambda in [0.0, 0.5, 2.0, 8.0, 16.0] {
        let mut painter = Painter::new(Mode::Sextant, Depth::True);
        painter.place(Rect { x: 0, y: 0, cols: 80, rows: 24 }, (10, 20));
        *painter.quality() = Quality::fixed(lambda);
        let mut total = (0, 0.0);
        for f in &clip {
            let stats = painter.paint(f, &mut Vec::new());
            total = (total.0 + stats.bytes, total.1 + stats.error);
        }
        assert!(total.0 < before.0, "λ {lambda}: {total:?} after {before:?}");
        assert!(total.1 >= before.1 * 0.99, "λ {lambda}: {total:?} after {before:?}");
        assert!(total.1 / 20.0 < 400.0, "λ {lambda}: {total:?}");
        before = total;
    }
}

#[test]
fn a_frame_that_lies_about_its_size_is_ignored() {
    let mut painter = Painter::new(Mode::Sextant, Depth::True);
    painter.place(Rect { x: 0, y: 0, cols: 20, rows: 6 }, (10, 20));
    let mut f = RawFrame::black(Size::new(40, 24), MediaTime::default());
    f.u.pop();
    let mut out = Vec::new();
    painter.paint(&f, &mut out);
    painter.paint(&RawFrame::black(Size::new(0, 0), MediaTime::default()), &mut out);
    assert!(out.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_stream_is_strictly_formed_and_stays_in_its_rectangle(
        seed: u64,
        (x, y) in (0u16..500, 0u16..200),
        (cols, rows) in (1u16..90, 1u16..30),
        (w, h) in (1u16..200, 1u16..120),
        mode in 0..Mode::ALL.len(),
        depth in 0usize..4,
        lambda in 0f32..20.0,
        noise: bool,
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let depth = [Depth::True, Depth::Indexed256, Depth::Ansi16, Depth::Mono][depth];
        let mut painter = Painter::new(Mode::ALL[mode], depth);
        let rect = Rect { x, y, cols, rows };
        painter.place(rect, (9, 19));
        *painter.quality() = Quality::fixed(lambda);
        let cover = Rect { x: x + cols / 3, y: y + rows / 3, cols: 1 + cols / 3, rows: 1 + rows / 3 };
        painter.cover(&[cover]);
        for t in 0..4 {
            let size = Size::new(w, h);
            let mut f = scene(size, t, 4, &mut rng);
            if noise {
                rng.fill(f.y.as_mut_slice());
                rng.fill(f.u.as_mut_slice());
                rng.fill(f.v.as_mut_slice());
            }
            let mut out = Vec::new();
            painter.paint(&f, &mut out);
            let mut strict = Strict::default();
            strict.read(&out).map_err(TestCaseError::fail)?;
            for (cx, cy) in strict.cells {
                prop_assert!(rect.contains(cx, cy), "{cx},{cy} outside {rect:?}");
                prop_assert!(!cover.contains(cx, cy), "{cx},{cy} under the pop-up");
            }
        }
    }
}
