//! The painter in somebody's own ratatui program: a frame, a gauge and a pop-up drawn by ratatui, a
//! moving picture drawn by facetty's painter, on one terminal.
//!
//! `cargo run --example video_in_ratatui`. Keys: g next mode, p pop-up over the picture, q quit.
//!
//! Three rules make it work: ratatui skips the cells of the picture; the painter is told what
//! ratatui draws over them; and when either gives cells up, the other draws them anew.

use facetty::config::{PatternKind, VideoSpec};
use facetty::media::frame::Size;
use facetty::media::marker;
use facetty::media::seams::FrameSource;
use facetty::media::source::{VideoOptions, open_video};
use facetty::paint::{Depth, Mode, Painter, Quality, Rect};
use facetty::time::{Now, Wall};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::{Buffer, CellDiffOption};
use ratatui::crossterm::event::{self, Event, KeyCode};
use ratatui::crossterm::{cursor, execute, terminal};
use ratatui::layout::{Constraint, Layout, Rect as Area};
use ratatui::widgets::{Block, Clear, Gauge, Paragraph, Widget};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Bytes a second that this terminal is taken to eat; facetty itself measures.
const DRAIN: f64 = 2e6;
const FRAME: Duration = Duration::from_millis(33);

#[expect(clippy::disallowed_methods, reason = "a program of its own reads the clock")]
fn now() -> Instant {
    Instant::now()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if !std::io::stdout().is_terminal() {
        return Err("run it in a terminal".into());
    }
    let origin = now();
    let face = VideoSpec::Pattern(PatternKind::Face);
    let options = VideoOptions { size: Size::new(160, 96), ..VideoOptions::new(origin) };
    let source = open_video(&face, options)?;
    terminal::enable_raw_mode()?;
    execute!(std::io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
    let result = run(source);
    execute!(std::io::stdout(), terminal::LeaveAlternateScreen, cursor::Show)?;
    terminal::disable_raw_mode()?;
    result
}

fn run(mut source: Box<dyn FrameSource>) -> Result<(), Box<dyn std::error::Error>> {
    let mut terminal = Terminal::new(CrosstermBackend::new(std::io::stdout()))?;
    let mut painter = Painter::new(Mode::Half, Depth::True);
    let mut strip = marker::Watch::default();
    let mut popup = false;
    let (mut bytes, mut spent) = (Vec::new(), 0usize);
    loop {
        // What ratatui draws, and which cells it leaves alone.
        let (mut video, mut over) = (Area::default(), None);
        terminal.draw(|frame| {
            let [top, bottom] =
                Layout::vertical([Constraint::Min(3), Constraint::Length(1)]).areas(frame.area());
            let block = Block::bordered().title(" the painter in a ratatui program ");
            video = block.inner(top);
            block.render(top, frame.buffer_mut());
            let share = (spent as f64 / (DRAIN * FRAME.as_secs_f64())).min(1.0);
            Gauge::default()
                .ratio(share)
                .label(format!("{} · {spent} bytes a picture", painter.mode().0))
                .render(bottom, frame.buffer_mut());
            if popup {
                let area = centred(video, 34, 3);
                over = Some(area);
                Clear.render(area, frame.buffer_mut());
                let words = Paragraph::new("ratatui draws over the picture").centered();
                words.block(Block::bordered()).render(area, frame.buffer_mut());
            }
            leave_alone(frame.buffer_mut(), video, over);
        })?;
        // What the painter draws.
        painter.place(cells(video), (1, 2));
        painter.cover(over.map(cells).as_slice());
        if let Some(picture) = source.next(Now { mono: now(), wall: Wall(0) })? {
            // The drawn face has a measuring strip below, which is not for people.
            let cut = strip.step(&picture).map_or(0.0, f32::from);
            painter.crop_bottom(cut / f32::from(picture.size.height));
            bytes.clear();
            spent = painter.paint(&picture, &mut bytes).bytes;
            painter.quality().learn(spent, Quality::budget(DRAIN, FRAME));
            source.hint(painter.wanted_pixels(), 300);
            std::io::stdout().write_all(&bytes)?;
            std::io::stdout().flush()?;
        }
        if event::poll(FRAME)? {
            match event::read()? {
                Event::Key(key) => match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => break,
                    KeyCode::Char('g') => {
                        let (mode, depth) = painter.mode();
                        painter.set_mode(mode.next(), depth);
                    }
                    KeyCode::Char('p') => popup = !popup,
                    _ => {}
                },
                // The screen may show anything now.
                Event::Resize(..) => {
                    terminal.clear()?;
                    painter.invalidate();
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// ratatui compares with what it drew last: cells of the picture it must never write, and what lies
/// over it always, for the painter was there before.
fn leave_alone(buffer: &mut Buffer, video: Area, over: Option<Area>) {
    for at in video.positions() {
        let ours = over.is_some_and(|over| over.contains(at));
        let way = if ours { CellDiffOption::AlwaysUpdate } else { CellDiffOption::Skip };
        if let Some(cell) = buffer.cell_mut(at) {
            cell.set_diff_option(way);
        }
    }
}

fn centred(area: Area, width: u16, height: u16) -> Area {
    let (width, height) = (width.min(area.width), height.min(area.height));
    let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
    Area { x, y, width, height }
}

fn cells(area: Area) -> Rect {
    Rect { x: area.x, y: area.y, cols: area.width, rows: area.height }
}
