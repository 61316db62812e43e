//! Chrome and video in one write: an emulator shows ratatui's cells where no video is, and the
//! painters' where it is, through pop-ups, moves and resizes.

mod paint_strict;

use facetty::media::frame::{RawFrame, Size};
use facetty::paint::{Depth, Mode, Painter, Rect};
use facetty::term::{Areas, Composer};
use facetty::time::MediaTime;
use paint_strict::Strict;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use ratatui::style::{Color, Style, Stylize};
use ratatui::widgets::{Block, Clear, Paragraph};

fn noise(rng: &mut StdRng) -> RawFrame {
    let mut f = RawFrame::black(Size::new(60, 36), MediaTime::default());
    let base = rng.random_range(20..200);
    for y in &mut f.y {
        *y = base + rng.random_range(0..30);
    }
    f
}

fn small(rng: &mut StdRng, cols: u16, rows: u16) -> Rect {
    let (x, y) = (rng.random_range(0..cols / 2), rng.random_range(0..rows / 2));
    Rect { x, y, cols: rng.random_range(4..cols / 2), rows: rng.random_range(3..rows / 2) }
}

#[test]
fn an_emulator_shows_chrome_and_video_each_in_its_place() {
    let mut rng = StdRng::seed_from_u64(21);
    let (mut cols, mut rows) = (80u16, 24u16);
    let mut parser = vt100::Parser::new(rows, cols, 0);
    let mut composer = Composer::new(cols, rows, Depth::True, true);
    composer.keep_screens();
    let mut painter = Painter::new(Mode::Sextant, Depth::True);
    let mut video = small(&mut rng, cols, rows);
    let mut popup: Option<Rect> = None;
    for step in 0..300 {
        match rng.random_range(0..12) {
            0 => video = small(&mut rng, cols, rows),
            1 => popup = Some(small(&mut rng, cols, rows)),
            2 => popup = None,
            3 => {
                (cols, rows) = (rng.random_range(20..140), rng.random_range(10..50));
                // What stands there after a resize is the terminal's choice: here, rubbish.
                parser = vt100::Parser::new(rows, cols, 0);
                parser.process("x".repeat(usize::from(cols * rows)).as_bytes());
                composer.resize(cols, rows);
                painter.invalidate();
                video = small(&mut rng, cols, rows);
                popup = None;
            }
            4 => {
                // Something wrote over everything.
                for y in 0..rows {
                    let line = "x".repeat(usize::from(cols));
                    parser.process(format!("\x1b[{};1H{line}", y + 1).as_bytes());
                }
                composer.invalidate();
                painter.invalidate();
            }
            _ => {}
        }
        let frame = noise(&mut rng);
        let bytes = composer.compose(
            |f| {
                let text = format!("step {step} Grüße 日本 ").repeat(20);
                f.render_widget(
                    Paragraph::new(text)
                        .block(Block::bordered().title("title".bold()))
                        .wrap(ratatui::widgets::Wrap { trim: false }),
                    f.area(),
                );
                if let Some(popup) = popup {
                    f.render_widget(Clear, popup.into());
                    f.render_widget(
                        Paragraph::new("pop-up")
                            .style(Style::new().fg(Color::Rgb(9, 200, 30)).on_blue()),
                        popup.into(),
                    );
                }
                Areas { videos: vec![video], covers: popup.into_iter().collect() }
            },
            |areas, out| {
                painter.place(areas.videos[0], (10, 20));
                painter.cover(&areas.covers);
                painter.paint(&frame, out);
            },
        );
        assert!(bytes.starts_with(b"\x1b[?2026h") && bytes.ends_with(b"\x1b[?2026l"));
        Strict::default().read(&bytes).unwrap();
        parser.process(&bytes);

        let screen = composer.screen([&painter].into_iter()).unwrap();
        for y in 0..rows {
            for x in 0..cols {
                let shown = parser.screen().cell(y, x).unwrap();
                if shown.is_wide_continuation() {
                    continue;
                }
                let expected = screen.cell(x, y).unwrap();
                let text = if shown.has_contents() { shown.contents() } else { " " };
                assert_eq!(text, expected.text, "step {step} at {x},{y} video {video:?} {popup:?}");
            }
        }
    }
}

#[test]
fn nothing_changed_makes_no_bytes() {
    let mut composer = Composer::new(80, 24, Depth::True, true);
    let mut draw = || {
        composer.compose(
            |f| {
                f.render_widget(Paragraph::new("hello").red(), f.area());
                Areas::default()
            },
            |_, _| {},
        )
    };
    assert!(!draw().is_empty());
    // Cells drawn by force settle in one more frame.
    draw();
    assert!(draw().is_empty());
}

#[test]
fn chrome_keeps_to_the_colours_of_the_terminal() {
    for (depth, forbidden) in [
        (Depth::Mono, &["38;", "48;", "31m"][..]),
        (Depth::Ansi16, &["38;", "48;"]),
        (Depth::Indexed256, &["38;2", "48;2"]),
    ] {
        let mut composer = Composer::new(40, 4, depth, false);
        let bytes = composer.compose(
            |f| {
                let style = Style::new().fg(Color::Rgb(200, 30, 30)).bg(Color::Indexed(200));
                f.render_widget(Paragraph::new("colours").style(style).bold(), f.area());
                Areas::default()
            },
            |_, _| {},
        );
        let text = String::from_utf8(bytes).unwrap();
        for code in forbidden {
            assert!(!text.contains(code), "{depth:?}: {text:?}");
        }
    }
}
