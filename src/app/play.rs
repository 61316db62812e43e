//! `facetty play`: the painter of the calls as a player, so that anybody can look at it and compare
//! it with others. In a terminal it plays in time and takes as much as the terminal eats; with a
//! size instead it writes the same bytes to standard output as fast as they are made.

use crate::app::exit::{Exit, Failure};
use crate::app::options::{Graphics, PlayOptions, StatsAs};
use crate::app::out::Out;
use crate::app::stage::instant;
use crate::config::VideoSpec;
use crate::media::frame::{RawFrame, Size};
use crate::media::seams::FrameSource;
use crate::media::source::{self, OpenError, VideoOptions};
use crate::node::Clock;
use crate::paint::{Depth, Framing, Look, Mode, PixelTerminal, Quality, Rect, Stats, Tile, Tones};
use crate::term::input::Reply;
use crate::term::{self, Events, Output, Probe, Terminal};
use crate::time::Now;
use crossterm::event::{KeyCode, KeyModifiers};
use serde_json::json;
use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Events that wait for the player.
const QUEUE: usize = 64;
/// The line of figures is written anew this often.
const TELL: Duration = Duration::from_millis(500);
/// The source is asked at least this often: devices deliver when they like.
const POLL: Duration = Duration::from_millis(4);

/// Plays until the source, the frames or the user's patience end.
pub fn run(options: PlayOptions) -> Result<Exit, Failure> {
    match options.size {
        Some(size) => to_output(&options, size),
        None => on_terminal(options),
    }
}

fn open(
    options: &PlayOptions,
    origin: Instant,
    size: Size,
) -> Result<Box<dyn FrameSource>, Failure> {
    let video = VideoOptions {
        identity: b"facetty play".to_vec(),
        decifps: options.decifps.unwrap_or(300),
        size,
        ..VideoOptions::new(origin)
    };
    source::open_video(&options.source, video).map_err(|error| {
        let exit = match error {
            OpenError::InvalidInput { .. } => Exit::Usage,
            OpenError::Device { .. } => Exit::Device,
        };
        Failure::new(exit, error)
    })
}

/// Time between two pictures at this many tenths of a picture a second.
fn gap(decifps: u16) -> Duration {
    Duration::from_secs_f64(10.0 / f64::from(decifps.max(1)))
}

/// What was painted so far, and how.
struct Figures {
    look: Look,
    depth: Depth,
    cells: (u16, u16),
    began: Instant,
    ended: Instant,
    cpu: Duration,
    pictures: u64,
    /// Came while the terminal was busy, and were never painted.
    passed_over: u64,
    bytes: u64,
    written: u64,
    kept: u64,
    error: f64,
    lambda: f32,
    drain: Option<f64>,
    /// From a picture's time to the end of its bytes, in ms.
    latency: Vec<f32>,
}

impl Figures {
    fn new(tile: &Tile) -> Self {
        let rect = tile.rect();
        Self {
            look: tile.look(),
            depth: tile.depth(),
            cells: (rect.cols, rect.rows),
            began: instant(),
            ended: instant(),
            cpu: cpu(),
            pictures: 0,
            passed_over: 0,
            bytes: 0,
            written: 0,
            kept: 0,
            error: 0.0,
            lambda: 0.0,
            drain: None,
            latency: Vec::new(),
        }
    }

    fn take(&mut self, tile: &mut Tile, stats: Stats, bytes: usize) {
        (self.look, self.depth) = (tile.look(), tile.depth());
        self.cells = (tile.rect().cols, tile.rect().rows);
        self.pictures += 1;
        self.bytes += bytes as u64;
        self.written += stats.written as u64;
        self.kept += stats.kept as u64;
        self.error += stats.error;
        self.lambda = tile.quality().lambda();
        self.ended = instant();
    }

    /// The last few thousand are kept.
    fn late(&mut self, after: Duration) {
        if self.latency.len() >= 4096 {
            self.latency.swap_remove(0);
        }
        self.latency.push(after.as_secs_f32() * 1000.0);
    }

    fn percentile(&self, share: f32) -> Option<f32> {
        let mut all = self.latency.clone();
        all.sort_by(f32::total_cmp);
        all.get(((all.len() as f32 * share) as usize).min(all.len().saturating_sub(1))).copied()
    }

    fn seconds(&self) -> f64 {
        self.ended.saturating_duration_since(self.began).as_secs_f64().max(1e-3)
    }

    fn per_picture(&self, total: f64) -> f64 {
        total / self.pictures.max(1) as f64
    }

    /// In dB, over the samples of the cells; `None` where nothing was fitted.
    fn psnr(&self) -> Option<f64> {
        let error = self.per_picture(self.error);
        (error > 0.0).then(|| 10.0 * (65025.0 / error).log10())
    }

    fn json(&self) -> serde_json::Value {
        let cpu = cpu().saturating_sub(self.cpu).as_secs_f64() * 1000.0;
        json!({
            "mode": self.look.name(),
            "colours": self.depth.name(),
            "columns": self.cells.0,
            "rows": self.cells.1,
            "pictures": self.pictures,
            "passed_over": self.passed_over,
            "seconds": self.seconds(),
            "fps": self.pictures as f64 / self.seconds(),
            "bytes": self.bytes,
            "bytes_per_picture": self.per_picture(self.bytes as f64),
            "bytes_per_cell": self.bytes as f64 / (self.written + self.kept).max(1) as f64,
            "cells_written": self.written,
            "cells_kept": self.kept,
            "psnr_db": self.psnr(),
            "lambda": self.lambda,
            "drain_bytes_per_s": self.drain,
            "latency_ms": { "p50": self.percentile(0.5), "p95": self.percentile(0.95) },
            "cpu_ms_per_picture": self.per_picture(cpu),
        })
    }

    fn line(&self) -> String {
        let drain = self.drain.map_or("not known".into(), |d| format!("{:.0} kB/s", d / 1000.0));
        let psnr = self.psnr().map_or(String::new(), |db| format!(" · {db:.1} dB"));
        let late = self.percentile(0.95).map_or(String::new(), |ms| format!(" · p95 {ms:.0} ms"));
        let cpu = cpu().saturating_sub(self.cpu).as_secs_f64() * 1000.0;
        format!(
            "{}, {} · {}x{} · {:.1} fps · {:.1} kB a picture · λ {:.2}{psnr} · eats {drain}{late} \
             · {:.1} ms CPU a picture",
            self.look,
            self.depth.name(),
            self.cells.0,
            self.cells.1,
            self.pictures as f64 / self.seconds(),
            self.per_picture(self.bytes as f64) / 1000.0,
            self.lambda,
            self.per_picture(cpu),
        )
    }

    fn told(&self, stats: StatsAs) -> String {
        match stats {
            StatsAs::Text => format!("{} pictures · {}", self.pictures, self.line()),
            StatsAs::Json => self.json().to_string(),
        }
    }
}

/// CPU time of this process so far, all threads.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

fn tile(options: &PlayOptions, look: Look, depth: Depth, terminal: PixelTerminal) -> Tile {
    let mut tile = Tile::new(look, depth, terminal);
    let framing = if options.letterbox { Framing::Letterbox } else { Framing::Fill };
    tile.framing(framing);
    tile.tone(options.tones);
    if let Some(lambda) = options.lambda {
        *tile.quality() = Quality::fixed(lambda);
    }
    tile
}

/// Writes the bytes for a terminal of this size; the source's clock runs as fast as it is read.
fn to_output(options: &PlayOptions, (cols, rows): (u16, u16)) -> Result<Exit, Failure> {
    // Files are played round and round, too.
    let frames = options.frames.ok_or_else(|| {
        Failure::new(Exit::Usage, "without a terminal nobody can end it: say how many --frames")
    })?;
    let look = match options.graphics {
        Graphics::Auto => Look::Cells(Mode::Mixed),
        Graphics::Only(look) => look,
    };
    let depth = options.depth.unwrap_or_default();
    // One row more than the picture has: nothing scrolls.
    let terminal = PixelTerminal { screen_rows: rows.saturating_add(1), ..Default::default() };
    let mut painter = tile(options, look, depth, terminal);
    painter.place(Rect { x: 0, y: 0, cols, rows }, options.cell);
    let origin = instant();
    let mut source = open(options, origin, painter.wanted_pixels())?;
    let decifps = options.decifps.unwrap_or(300);
    source.hint(painter.wanted_pixels(), decifps);
    let live = matches!(options.source, VideoSpec::Camera(_) | VideoSpec::Pipe(_));
    let mut figures = Figures::new(&painter);
    let mut stdout = std::io::stdout().lock();
    let mut bytes = Vec::new();
    let mut at = origin;
    while figures.pictures < frames {
        let mono = if live { instant() } else { at };
        let now = Now { mono, ..Clock::Real.now() };
        let lost = |e| Failure::new(Exit::Device, e);
        match source.next(now).map_err(lost)? {
            Some(picture) => {
                bytes.clear();
                bytes.extend_from_slice(b"\x1b[?2026h");
                let stats = painter.paint(&picture, &mut bytes);
                bytes.extend_from_slice(b"\x1b[?2026l");
                if let Some(budget) = options.budget {
                    let share = f64::from(budget) * gap(decifps).as_secs_f64();
                    painter.quality().learn(stats.bytes, share as usize);
                }
                figures.take(&mut painter, stats, bytes.len());
                if let Err(error) = stdout.write_all(&bytes) {
                    if error.kind() == std::io::ErrorKind::BrokenPipe {
                        break;
                    }
                    let what = format!("standard output can't be written: {error}");
                    return Err(Failure::new(Exit::Device, what));
                }
            }
            None if live => std::thread::park_timeout(POLL),
            None => {}
        }
        at = source.due().filter(|due| *due > at).unwrap_or(at + gap(decifps));
    }
    drop(stdout);
    if let Some(stats) = options.stats {
        // Whoever closed it doesn't want to know.
        let _ = writeln!(std::io::stderr(), "{}", figures.told(stats));
    }
    Ok(Exit::Ended)
}

fn on_terminal(options: PlayOptions) -> Result<Exit, Failure> {
    let log = std::fs::OpenOptions::new().append(true).open(options.base.log.path()).ok();
    let origin = instant();
    // A source that can't be opened is told of before the screen changes.
    let source = open(&options, origin, Size::new(320, 192))?;
    let mut terminal = Terminal::enter(term::Options { stderr: log })
        .map_err(|e| Failure::new(Exit::Device, format_args!("cannot use the terminal: {e}")))?;
    let probe = terminal.probe();
    if !probe.usable {
        terminal.leave();
        return Err(Failure::new(Exit::Device, "this terminal cannot be drawn on (TERM=dumb)"));
    }
    let device = |e| Failure::new(Exit::Device, e);
    let (waker, wakes) = sync_channel(QUEUE);
    let output = Output::start(&terminal, probe.is_complete(), || {}).map_err(device)?;
    let events = Events::start(&mut terminal, waker).map_err(device)?;
    let look = options.graphics.look(&probe);
    let depth = options.depth.unwrap_or(probe.depth);
    let painter = tile(&options, look, depth, probe.pixel_terminal(terminal.size().1, 0));
    let mut player = Player {
        painter,
        source,
        newest: None,
        last: None,
        painted_at: None,
        paused: false,
        told_at: None,
        line: options.stats.is_some(),
        under_way: None,
        figures: None,
        probe,
        output,
        wakes,
        options,
    };
    player.probe.share(&mut player.painter, 0);
    player.place(&terminal);
    let end = player.play(&mut terminal);
    player.clear();
    player.settle();
    drop(events);
    terminal.leave();
    let exit = end?;
    let mut out = Out::default();
    if let Some(figures) = &player.figures {
        tracing::info!(figures = %figures.json(), "played");
    }
    if let (Some(figures), Some(stats)) = (&player.figures, player.options.stats) {
        out.line(figures.told(stats));
    }
    out.end(exit)
}

/// A picture, and when it was there.
struct Newest {
    picture: RawFrame,
    at: Instant,
}

struct Player {
    options: PlayOptions,
    painter: Tile,
    source: Box<dyn FrameSource>,
    newest: Option<Newest>,
    /// The picture painted last, for keys that change how it looks while it stands still.
    last: Option<RawFrame>,
    painted_at: Option<Instant>,
    paused: bool,
    line: bool,
    told_at: Option<Instant>,
    /// The picture whose bytes the terminal is reading.
    under_way: Option<Instant>,
    figures: Option<Figures>,
    probe: Probe,
    output: Output,
    wakes: Receiver<term::Event>,
}

impl Player {
    /// Takes the whole screen but for the line of figures.
    fn place(&mut self, terminal: &Terminal) {
        let (cols, rows) = terminal.size();
        let rows = rows.saturating_sub(u16::from(self.line));
        self.painter.screen_rows(terminal.size().1);
        self.painter.place(Rect { x: 0, y: 0, cols, rows }, self.probe.cell_px);
        self.painter.invalidate();
        self.source.hint(self.painter.wanted_pixels(), self.options.decifps.unwrap_or(300));
        self.told_at = None;
        self.again();
        // What was bar or line before is wiped.
        let _ = self.output.send(b"\x1b[m\x1b[2J".to_vec());
    }

    fn play(&mut self, terminal: &mut Terminal) -> Result<Exit, Failure> {
        loop {
            let now = instant();
            // A picture that waits for the terminal, or a device that delivers when it likes, is
            // looked after often; else the next picture is what comes next.
            let due = self.source.due().filter(|_| self.newest.is_none());
            let soon = due.map_or(POLL, |due| due.saturating_duration_since(now));
            match self.wakes.recv_timeout(soon) {
                Ok(event) => {
                    if let Some(exit) = self.event(event, terminal)? {
                        return Ok(exit);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(Exit::Terminated),
            }
            self.look()?;
            self.show();
            let done = self.figures.as_ref().map_or(0, |f| f.pictures);
            if self.options.frames.is_some_and(|n| done >= n) {
                self.output.flush(Duration::from_secs(2));
                return Ok(Exit::Ended);
            }
        }
    }

    /// The newest picture of the source.
    fn look(&mut self) -> Result<(), Failure> {
        let now = Clock::Real.now();
        let next = self.source.next(now).map_err(|e| Failure::new(Exit::Device, e))?;
        if let Some(picture) = next.filter(|_| !self.paused)
            && self.newest.replace(Newest { picture, at: now.mono }).is_some()
            && let Some(figures) = &mut self.figures
        {
            figures.passed_over += 1;
        }
        Ok(())
    }

    /// The picture that stands there once more, looking otherwise: while it is paused no other comes.
    fn again(&mut self) {
        if let Some(picture) = self.last.take_if(|_| self.newest.is_none()) {
            self.newest = Some(Newest { picture, at: instant() });
        }
    }

    /// Paints it, if the terminal takes one.
    fn show(&mut self) {
        if !self.output.is_ready() {
            return;
        }
        let now = instant();
        self.arrived(now);
        let decifps = self.options.decifps.unwrap_or(u16::MAX);
        let early = self.painted_at.is_some_and(|at| now < at + gap(decifps));
        let Some(newest) = self.newest.take_if(|_| !early) else { return };
        let mut bytes = Vec::new();
        if self.probe.sync {
            bytes.extend_from_slice(b"\x1b[?2026h");
        }
        let stats = self.painter.paint(&newest.picture, &mut bytes);
        self.tell(now, &mut bytes);
        if self.probe.sync {
            bytes.extend_from_slice(b"\x1b[?2026l");
        }
        let told = self.output.stats();
        let frame = self.painted_at.map_or(gap(300), |at| now.saturating_duration_since(at));
        let frame = frame.clamp(gap(600), gap(100));
        let budget = match self.options.budget {
            Some(most) => Some((f64::from(most) * frame.as_secs_f64()) as usize),
            None => told.budget(gap(300)),
        };
        if let Some(budget) = budget {
            self.painter.quality().learn(stats.bytes, budget);
        }
        let painter = &mut self.painter;
        let figures = self.figures.get_or_insert_with(|| Figures::new(painter));
        figures.drain = told.drain;
        figures.take(painter, stats, bytes.len());
        self.painted_at = Some(now);
        self.under_way = Some(newest.at);
        self.last = Some(newest.picture);
        // Refused only if a frame is on its way, and none is.
        let _ = self.output.show(bytes);
    }

    /// The picture under way is on the screen, as far as can be known.
    fn arrived(&mut self, now: Instant) {
        if self.output.is_written()
            && self.output.unanswered() == 0
            && let Some(at) = self.under_way.take()
            && let Some(figures) = &mut self.figures
        {
            figures.late(now.saturating_duration_since(at));
        }
    }

    /// The line of figures, now and then.
    fn tell(&mut self, now: Instant, bytes: &mut Vec<u8>) {
        let due = self.told_at.is_none_or(|at| now >= at + TELL);
        let Some(figures) = self.figures.as_ref().filter(|_| self.line && due) else { return };
        let rect = self.painter.rect();
        let line: String = figures.line().chars().take(usize::from(rect.cols)).collect();
        bytes.extend_from_slice(format!("\x1b[{};1H\x1b[m{line}\x1b[K", rect.rows + 1).as_bytes());
        self.told_at = Some(now);
    }

    fn event(
        &mut self,
        event: term::Event,
        terminal: &mut Terminal,
    ) -> Result<Option<Exit>, Failure> {
        match event {
            term::Event::Key(key) => {
                let control = key.modifiers.contains(KeyModifiers::CONTROL);
                match key.code {
                    KeyCode::Char('c') if control => return Ok(Some(Exit::Interrupted)),
                    KeyCode::Char('z') if control => self.suspend(terminal)?,
                    KeyCode::Char('q') | KeyCode::Esc => return Ok(Some(Exit::Ended)),
                    KeyCode::Char('l') if control => self.place(terminal),
                    KeyCode::Char('g') => {
                        let look = self.painter.look().next(&self.probe.looks());
                        self.look_so(look, self.painter.depth(), terminal);
                    }
                    KeyCode::Char('f') => {
                        self.options.letterbox = !self.options.letterbox;
                        let bars = self.options.letterbox;
                        self.painter.framing(if bars { Framing::Letterbox } else { Framing::Fill });
                        self.painter.invalidate();
                        self.again();
                    }
                    KeyCode::Char('c') => {
                        let tones = self.painter.tones();
                        self.painter.tone(Tones { stretch: !tones.stretch, ..tones });
                        self.again();
                    }
                    KeyCode::Char('t') => {
                        let tones = self.painter.tones();
                        self.painter.tone(Tones { tint: tones.tint.next(), ..tones });
                        self.again();
                    }
                    KeyCode::Char('s') => {
                        self.line = !self.line;
                        self.place(terminal);
                    }
                    KeyCode::Char(' ') => self.paused = !self.paused,
                    _ => {}
                }
            }
            term::Event::Resize { .. } | term::Event::Resumed => self.place(terminal),
            term::Event::Focus(true) => self.painter.invalidate(),
            term::Event::Reply(Reply::Attributes(_)) if self.probe.is_complete() => {
                self.output.answered();
                self.arrived(instant());
            }
            term::Event::Reply(reply) => {
                let changed = self.probe.learn(&reply);
                self.painter.ansi(self.probe.ansi);
                if changed && self.options.graphics == Graphics::Auto {
                    let depth = self.options.depth.unwrap_or(self.probe.depth);
                    self.look_so(self.probe.look(), depth, terminal);
                }
                if self.probe.is_complete() {
                    self.output.ask();
                }
            }
            term::Event::Suspend => self.suspend(terminal)?,
            term::Event::Terminate(2) => return Ok(Some(Exit::Interrupted)),
            term::Event::Terminate(_) | term::Event::Lost => return Ok(Some(Exit::Terminated)),
            term::Event::Paste(_) | term::Event::Focus(false) => {}
        }
        Ok(None)
    }

    /// Draws another way.
    fn look_so(&mut self, look: Look, depth: Depth, terminal: &Terminal) {
        let mut bytes = Vec::new();
        self.painter.set(look, depth, &mut bytes);
        let _ = self.output.send(bytes);
        self.probe.share(&mut self.painter, 0);
        self.figures = None;
        self.place(terminal);
    }

    /// Takes away what lies over the text.
    fn clear(&mut self) {
        self.output.flush(Duration::from_millis(200));
        let mut bytes = Vec::new();
        self.painter.retire(&mut bytes);
        let _ = self.output.send(bytes);
    }

    /// Waits for answers under way: they would be taken for typing.
    fn settle(&mut self) {
        self.output.flush(Duration::from_millis(200));
        let until = instant() + Duration::from_millis(500);
        while self.output.unanswered() > 0 {
            let left = until.saturating_duration_since(instant());
            match self.wakes.recv_timeout(left) {
                Ok(term::Event::Reply(Reply::Attributes(_))) => self.output.answered(),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }

    fn suspend(&mut self, terminal: &mut Terminal) -> Result<(), Failure> {
        self.clear();
        self.settle();
        let result = terminal.suspend();
        self.output.resumed();
        self.under_way = None;
        self.place(terminal);
        result.map_err(|e| Failure::new(Exit::Device, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_tell_what_was_painted() {
        let mut painter = Tile::new(Look::Cells(Mode::Half), Depth::True, PixelTerminal::default());
        painter.place(Rect { x: 0, y: 0, cols: 20, rows: 6 }, (10, 20));
        let mut figures = Figures::new(&painter);
        let picture = RawFrame::black(Size::new(40, 24), Default::default());
        for _ in 0..2 {
            let mut bytes = Vec::new();
            let stats = painter.paint(&picture, &mut bytes);
            figures.take(&mut painter, stats, bytes.len());
        }
        for ms in [10, 20, 30] {
            figures.late(Duration::from_millis(ms));
        }
        let json = figures.json();
        assert_eq!(json["pictures"], 2);
        assert_eq!(
            json["cells_written"].as_u64().zip(json["cells_kept"].as_u64()).map(|(a, b)| a + b),
            Some(240)
        );
        assert_eq!(json["latency_ms"]["p50"], 20.0);
        assert!(figures.line().contains("half, true colour · 20x6"));
    }

    #[test]
    fn latencies_kept_are_bounded() {
        let mut figures = Figures::new(&Tile::new(
            Look::Cells(Mode::Half),
            Depth::True,
            PixelTerminal::default(),
        ));
        for ms in 0..10_000 {
            figures.late(Duration::from_millis(ms));
        }
        assert_eq!(figures.latency.len(), 4096);
    }
}
