//! The terminal as a stage for a call or a demonstration: events in, model and pictures out, one
//! frame in flight.

use crate::app::exit::{Exit, Failure};
use crate::app::ladder::Ladder;
use crate::app::options::Graphics;
use crate::media::frame::{RawFrame, Size, Want};
use crate::media::marker;
use crate::media::seams::{FrameSink, SinkLost};
use crate::node::NodeEvent;
use crate::paint::{Depth, Framing, Look, Tile, Tones, base64};
use crate::term::input::Reply;
use crate::term::{self, Areas, Composer, Events, Output, Probe, Terminal};
use crate::time::Now;
use crate::tui::model::{Model, Screen, Seen, TileRole};
use crate::tui::view;
use crate::wire::link::MemberId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Things that wait for the screen's thread.
const QUEUE: usize = 512;
/// Shortest time between two frames of the screen.
const FRAME: Duration = Duration::from_millis(33);
/// The screen is drawn at least this often: clocks and "frozen N s" move on.
const IDLE_FRAME: Duration = Duration::from_millis(250);

/// What wakes the screen's thread.
pub enum Wake {
    /// From the terminal.
    Term(term::Event),
    /// From a node; the number tells which.
    Node(usize, NodeEvent),
    /// The (first) node has ended.
    Ended(crate::call::EndReason),
    /// A new picture is there.
    Picture,
    /// The terminal takes a further frame.
    Ready,
}

impl From<term::Event> for Wake {
    fn from(event: term::Event) -> Self {
        Self::Term(event)
    }
}

/// The newest picture of each tile, and what each tile can show.
#[derive(Default)]
pub struct Pictures {
    state: Mutex<State>,
    /// A wake-up is under way already.
    woken: AtomicBool,
}

#[derive(Default)]
struct State {
    pictures: BTreeMap<TileRole, Picture>,
    wants: BTreeMap<TileRole, Want>,
}

/// One tile's newest picture.
#[derive(Clone)]
pub struct Picture {
    /// The picture.
    pub frame: Arc<RawFrame>,
    /// When it came.
    pub at: Instant,
    /// From capture to here, where the capture's clock is known.
    pub latency: Option<Duration>,
    /// Counts pictures of this tile.
    pub serial: u64,
    /// Pictures in the last second or so, per second.
    pub fps: f32,
}

impl Pictures {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a picture on a tile.
    pub fn put(
        &self,
        role: TileRole,
        frame: Arc<RawFrame>,
        at: Instant,
        latency: Option<Duration>,
    ) {
        let mut state = self.lock();
        let before = state.pictures.get(&role);
        let serial = before.map_or(0, |p| p.serial + 1);
        let fps = before.map_or(0.0, |p| {
            let gap = at.saturating_duration_since(p.at).as_secs_f32().max(0.001);
            // By the mean gap: pictures that come in bursts are not more of them.
            if p.fps == 0.0 { 1.0 / gap } else { 1.0 / (0.9 / p.fps + 0.1 * gap) }
        });
        state.pictures.insert(role, Picture { frame, at, latency, serial, fps });
    }

    /// The newest picture of a tile.
    pub fn get(&self, role: TileRole) -> Option<Picture> {
        self.lock().pictures.get(&role).cloned()
    }

    /// Takes a tile's picture away.
    pub fn forget(&self, role: TileRole) {
        self.lock().pictures.remove(&role);
    }

    fn want(&self, role: TileRole) -> Option<Want> {
        self.lock().wants.get(&role).copied()
    }

    fn set_wants(&self, wants: BTreeMap<TileRole, Want>) {
        self.lock().wants = wants;
    }
}

/// Which tile shows whom.
pub type RoleOf = Box<dyn Fn(MemberId) -> Option<TileRole> + Send>;

/// The sink that hands pictures to the screen.
pub struct ScreenSink {
    /// Where they go.
    pub pictures: Arc<Pictures>,
    /// Who is shown where.
    pub role: RoleOf,
    /// Wakes the screen.
    pub wake: SyncSender<Wake>,
    /// Origin of the senders' media clocks, where it is known (one process, one clock).
    pub origin: Option<Instant>,
    /// Asked of everybody instead of what the tile can show (`--tile`, `--fps`).
    pub fixed: (Option<Size>, Option<u16>),
}

impl FrameSink for ScreenSink {
    fn want(&self, who: MemberId) -> Want {
        let role = (self.role)(who);
        let tile = role.and_then(|role| self.pictures.want(role));
        // Before its first picture a tile has no place for one: something has to come first.
        let first = role.is_some_and(|role| self.pictures.get(role).is_none());
        let size = Size::new(160, 96);
        let unseen = Want { size, decifps: 125, max_kbps: 0, paused: !first, focus: false };
        let mut want = tile.unwrap_or(unseen);
        if let Some(size) = self.fixed.0 {
            want.size = size;
            want.paused = (self.role)(who).is_none();
        }
        if let Some(decifps) = self.fixed.1 {
            want.decifps = decifps;
        }
        want
    }

    fn show(&mut self, who: MemberId, frame: Arc<RawFrame>, now: Now) -> Result<(), SinkLost> {
        if let Some(role) = (self.role)(who) {
            let latency =
                self.origin.map(|o| now.mono.saturating_duration_since(frame.at.instant(o)));
            self.pictures.put(role, frame, now.mono, latency);
            if !self.pictures.woken.swap(true, Ordering::AcqRel) {
                // A full queue wakes the screen just as well.
                let _ = self.wake.try_send(Wake::Picture);
            }
        }
        Ok(())
    }

    fn gone(&mut self, who: MemberId) {
        if let Some(role) = (self.role)(who) {
            self.pictures.forget(role);
        }
    }
}

/// Passes something to the screen from an async task without blocking its runtime.
pub async fn wake(to: &SyncSender<Wake>, mut what: Wake) {
    loop {
        match to.try_send(what) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => return,
            Err(TrySendError::Full(back)) => what = back,
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The stage.
pub struct Stage {
    /// What wakes the thread.
    pub wakes: Receiver<Wake>,
    /// For others to wake it.
    pub waker: SyncSender<Wake>,
    /// The newest pictures.
    pub pictures: Arc<Pictures>,
    terminal: Terminal,
    events: Option<Events>,
    output: Output,
    board: Board,
    /// The user didn't choose how pictures are drawn.
    auto: bool,
    /// For cells that weren't chosen.
    ladder: Option<Ladder>,
    probe: Probe,
    drawn_at: Option<Instant>,
    dirty: bool,
    /// What came while the terminal was waited for.
    held: VecDeque<Wake>,
    /// The epoch whose whole roster is on its way to the terminal.
    showing: Option<u64>,
    /// The question and the words that the terminal has taken, and those on their way there.
    seen: Seen,
    on_its_way: Seen,
}

impl Stage {
    /// Takes the terminal. `log`: where stray messages to standard error go meanwhile.
    pub fn open(
        graphics: Graphics,
        tones: Tones,
        log: Option<std::fs::File>,
        decifps: u16,
    ) -> Result<Self, Failure> {
        let mut terminal = Terminal::enter(term::Options { stderr: log }).map_err(|e| {
            Failure::new(Exit::Device, format_args!("cannot use the terminal: {e}"))
                .next("run it in a terminal, or use --plain")
        })?;
        let probe = terminal.probe();
        if !probe.usable {
            terminal.leave();
            return Err(Failure::new(Exit::Device, "this terminal cannot be drawn on (TERM=dumb)")
                .next("use --plain"));
        }
        let look = graphics.look(&probe);
        let ladder = ladder(graphics == Graphics::Auto, look, probe.depth);
        let (waker, wakes) = sync_channel(QUEUE);
        let bug = |e: term::TermError| Failure::new(Exit::Device, e);
        let ready = waker.clone();
        let output = Output::start(&terminal, probe.is_complete(), move || {
            // A full queue wakes the screen just as well.
            let _ = ready.try_send(Wake::Ready);
        })
        .map_err(bug)?;
        let events = Events::start(&mut terminal, waker.clone()).map_err(bug)?;
        let (cols, rows) = terminal.size();
        let pictures = Arc::new(Pictures::default());
        let mut board = Board::new((cols, rows), look, probe.depth, Arc::clone(&pictures), decifps);
        board.composer.set(probe.depth, probe.sync);
        board.cell_px = probe.cell_px;
        board.tones = tones;
        board.probe = Some(probe.clone());
        Ok(Self {
            wakes,
            waker,
            pictures,
            terminal,
            events: Some(events),
            output,
            board,
            auto: graphics == Graphics::Auto,
            ladder,
            probe,
            drawn_at: None,
            dirty: true,
            held: VecDeque::new(),
            showing: None,
            seen: Seen::default(),
            on_its_way: Seen::default(),
        })
    }

    /// The graphics mode in a word.
    pub fn graphics(&self) -> &'static str {
        self.board.look.name()
    }

    /// What the terminal has taken, to be read.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// Size of a cell in pixels; only the ratio counts.
    pub fn cell_px(&self) -> (u16, u16) {
        self.board.cell_px
    }

    /// Colours the terminal has.
    pub fn depth(&self) -> Depth {
        self.probe.depth
    }

    /// Next graphics mode.
    pub fn next_graphics(&mut self) {
        (self.auto, self.ladder) = (false, None);
        self.board.look = self.board.look.next(&self.probe.looks());
        self.board.depth = self.probe.depth;
        self.invalidate();
    }

    /// Draw as soon as the terminal takes it.
    pub fn touch(&mut self) {
        self.dirty = true;
    }

    /// The screen may show anything: everything is drawn anew.
    pub fn invalidate(&mut self) {
        self.board.invalidate();
        self.dirty = true;
    }

    /// Waits for something to do; `None`: time to draw.
    pub fn wait(&mut self, due: Option<Instant>) -> Option<Wake> {
        let now = instant();
        let since = self.drawn_at.map_or(FRAME, |at| now.saturating_duration_since(at));
        let frame = if self.dirty { FRAME } else { IDLE_FRAME }.saturating_sub(since);
        let timer = due.map_or(frame, |d| d.saturating_duration_since(now).min(frame));
        // While a frame is on its way, its end wakes this thread.
        let wait = if self.output.is_ready() { timer } else { timer.max(Duration::from_millis(5)) };
        let wake = match self.held.pop_front() {
            Some(wake) => Ok(wake),
            None => self.wakes.recv_timeout(wait),
        };
        match wake {
            Ok(wake) => {
                match &wake {
                    Wake::Picture => {
                        self.pictures.woken.store(false, Ordering::Release);
                        self.dirty = true;
                    }
                    Wake::Ready => {}
                    Wake::Term(event) => self.terminal_event(event),
                    _ => self.dirty = true,
                }
                Some(wake)
            }
            Err(RecvTimeoutError::Timeout) => {
                self.dirty |= since >= IDLE_FRAME;
                None
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn terminal_event(&mut self, event: &term::Event) {
        if let term::Event::Reply(Reply::Attributes(_)) = event
            && self.probe.is_complete()
        {
            return self.output.answered();
        }
        self.dirty = true;
        match event {
            term::Event::Resize { cells: (cols, rows), .. } => {
                self.board.resize(*cols, *rows);
                (self.seen, self.on_its_way) = Default::default();
                self.invalidate();
            }
            term::Event::Resumed | term::Event::Focus(true) => self.invalidate(),
            term::Event::Reply(reply) => {
                if self.probe.learn(reply) {
                    self.board.probe = Some(self.probe.clone());
                    if self.auto {
                        self.board.look = self.probe.look();
                        self.ladder = ladder(true, self.board.look, self.probe.depth);
                    }
                    self.board.depth = self.probe.depth;
                    self.board.composer.set(self.probe.depth, self.probe.sync);
                    self.invalidate();
                }
                if self.probe.is_complete() {
                    self.output.ask();
                }
            }
            _ => {}
        }
    }

    /// Waits until the terminal has answered what it was asked: it would be taken for typing by
    /// whoever has the terminal next. What else happens meanwhile is kept.
    fn settle(&mut self) {
        let patience = self.output.stats().last * 2 + Duration::from_millis(100);
        let until = instant() + patience.min(Duration::from_secs(1));
        while self.output.unanswered() > 0 && self.held.len() < QUEUE {
            let left = until.saturating_duration_since(instant());
            match self.wakes.recv_timeout(left) {
                Ok(Wake::Term(event @ term::Event::Reply(_))) => self.terminal_event(&event),
                Ok(wake) => self.held.push_back(wake),
                Err(_) => return,
            }
        }
    }

    /// Draws the model and the newest pictures, if the terminal takes a frame now. Returns the
    /// epoch whose whole roster the terminal has taken since the last call.
    pub fn draw(&mut self, model: &Model) -> Option<u64> {
        if !self.output.is_written() {
            return None;
        }
        // What was on its way is written.
        let shown = self.showing.take();
        self.seen = self.on_its_way;
        let now = instant();
        let early = self.drawn_at.is_some_and(|at| now.saturating_duration_since(at) < FRAME);
        if !self.output.is_ready() {
            self.board.pace.held_up |= self.dirty && !early;
            return shown;
        }
        if !self.dirty || early {
            return shown;
        }
        self.dirty = false;
        self.drawn_at = Some(now);
        let stats = self.output.stats();
        let (bytes, whole) = self.board.compose(model, now, stats.budget(FRAME));
        self.on_its_way = self.board.seen;
        if let (Some(ladder), Some(lambda)) = (&mut self.ladder, self.board.dearest)
            && let Some((mode, depth)) = ladder.step(lambda, stats.fps, now)
        {
            (self.board.look, self.board.depth) = (Look::Cells(mode), depth);
            self.board.invalidate();
        }
        if bytes.is_empty() {
            self.seen = self.on_its_way;
            return whole.or(shown);
        }
        self.showing = whole;
        // Refused only if a frame is on its way, and none is.
        let _ = self.output.show(bytes);
        shown
    }

    /// Copies text to the clipboard of whoever looks at this terminal (OSC 52).
    pub fn copy(&mut self, text: &str) {
        let mut bytes = b"\x1b]52;c;".to_vec();
        base64(&mut bytes, text.as_bytes());
        bytes.push(b'\x07');
        // A terminal too slow for that much is too slow for this too.
        let _ = self.output.send(bytes);
    }

    /// A notice of the desktop, where the terminal has them (OSC 9), and the bell. `text` has no
    /// control characters.
    pub fn notify(&mut self, text: &str) {
        let _ = self.output.send(format!("\x1b]9;facetty: {text}\x07\x07").into_bytes());
    }

    /// Rings the terminal's bell.
    pub fn ring(&mut self) {
        let _ = self.output.send(b"\x07".to_vec());
    }

    /// Gives the screen back, stops, and takes it again when continued.
    pub fn suspend(&mut self) -> Result<(), Failure> {
        self.clear();
        let result = self.terminal.suspend();
        self.output.resumed();
        let (cols, rows) = self.terminal.size();
        self.board.resize(cols, rows);
        self.invalidate();
        result.map_err(|e| Failure::new(Exit::Device, e))
    }

    /// Takes away what lies over the text, and waits until the terminal has had everything.
    fn clear(&mut self) {
        self.output.flush(Duration::from_millis(200));
        let bytes = self.board.retire();
        if !bytes.is_empty() && self.output.send(bytes).is_ok() {
            self.output.flush(Duration::from_millis(200));
        }
        self.settle();
    }

    /// Gives the screen back.
    pub fn close(mut self) {
        self.clear();
        self.events.take();
        self.terminal.leave();
    }
}

/// Steps down and up, where cells are drawn and nobody chose them.
fn ladder(auto: bool, look: Look, depth: Depth) -> Option<Ladder> {
    match look {
        Look::Cells(mode) if auto => Some(Ladder::new(mode, depth)),
        _ => None,
    }
}

/// One tile's painter and what it knows of its pictures.
struct Slot {
    tile: Tile,
    /// Its own, as long as it is there.
    number: u32,
    /// Serial of the picture that is in it.
    painted: Option<u64>,
    /// Finds the frame-number strip of test pictures, which is not for people.
    strip: marker::Watch,
}

/// How tiles of a board are made.
struct Maker<'a> {
    look: Look,
    depth: Depth,
    probe: Option<&'a Probe>,
    rows: u16,
    tones: Tones,
}

impl Maker<'_> {
    /// The slot with this number.
    fn slot(&self, number: u32) -> Slot {
        let terminal = self.probe.map(|probe| probe.pixel_terminal(self.rows, number));
        let mut tile = Tile::new(self.look, self.depth, terminal.unwrap_or_default());
        tile.tone(self.tones);
        if let Some(probe) = self.probe {
            probe.share(&mut tile, number);
        }
        Slot { tile, number, painted: None, strip: marker::Watch::default() }
    }
}

/// What is drawn, whether a terminal shows it or not: chrome and pictures on one grid of cells.
pub struct Board {
    composer: Composer,
    slots: BTreeMap<TileRole, Slot>,
    look: Look,
    depth: Depth,
    tones: Tones,
    /// What the terminal is, if there is one.
    probe: Option<Probe>,
    rows: u16,
    /// Slots made so far.
    made: u32,
    /// What takes pictures of tiles off the screen that are there no longer.
    retired: Vec<u8>,
    cell_px: (u16, u16),
    pictures: Arc<Pictures>,
    decifps: u16,
    pace: Pace,
    /// What was drawn last, to be read.
    seen: Seen,
    /// What a byte costs in the tile where it costs most of those just painted.
    dearest: Option<f32>,
}

/// How many pictures a second the terminal lets us paint: what the senders are asked for. More
/// would be coded, sent and decoded for nobody.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// In tenths of a picture a second.
    limit: u16,
    since: Option<Instant>,
    frames: u16,
    /// The terminal wasn't ready when there was something to paint.
    held_up: bool,
}

impl Pace {
    /// Slower is a slide show, and no rate to settle on.
    const LEAST: u16 = 50;
    /// Looked at this often.
    const EVERY: Duration = Duration::from_secs(1);

    fn new(decifps: u16) -> Self {
        Self { limit: decifps, since: None, frames: 0, held_up: false }
    }

    /// A frame was composed.
    fn frame(&mut self) {
        self.frames = self.frames.saturating_add(1);
    }

    /// Once a second: a terminal that held us up gets what it took and a little more, to find out
    /// whether it takes that; one that didn't, quickly more again.
    fn step(&mut self, most: u16, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let time = now.saturating_duration_since(since);
        if time < Self::EVERY {
            return;
        }
        let achieved = f64::from(self.frames) * 10.0 / time.as_secs_f64();
        let limit = if self.held_up { achieved * 1.1 } else { f64::from(self.limit) * 1.5 };
        self.limit = (limit as u16).clamp(Self::LEAST.min(most), most);
        (self.since, self.frames, self.held_up) = (Some(now), 0, false);
    }
}

impl Board {
    /// A board of this many columns and rows.
    pub fn new(
        (cols, rows): (u16, u16),
        look: Look,
        depth: Depth,
        pictures: Arc<Pictures>,
        decifps: u16,
    ) -> Self {
        let mut composer = Composer::new(cols, rows, depth, false);
        composer.keep_screens();
        let slots = BTreeMap::new();
        let pace = Pace::new(decifps);
        Self {
            composer,
            slots,
            look,
            depth,
            tones: Tones::default(),
            probe: None,
            rows,
            made: 0,
            retired: Vec::new(),
            cell_px: (1, 2),
            pictures,
            decifps,
            pace,
            seen: Seen::default(),
            dearest: None,
        }
    }

    fn invalidate(&mut self) {
        self.composer.invalidate();
        let (look, depth, rows) = (self.look, self.depth, self.rows);
        for slot in self.slots.values_mut() {
            let other = slot.tile.look() != look;
            slot.tile.set(look, depth, &mut self.retired);
            if let Some(probe) = &self.probe {
                slot.tile.ansi(probe.ansi);
            }
            if let Some(probe) = self.probe.as_ref().filter(|_| other) {
                probe.share(&mut slot.tile, slot.number);
            }
            slot.tile.screen_rows(rows);
            slot.tile.invalidate();
            slot.painted = None;
        }
    }

    fn resize(&mut self, cols: u16, rows: u16) {
        self.composer.resize(cols, rows);
        self.rows = rows;
    }

    /// What takes all pictures off the screen that don't go with the text.
    fn retire(&mut self) -> Vec<u8> {
        for slot in self.slots.values_mut() {
            slot.tile.retire(&mut self.retired);
        }
        std::mem::take(&mut self.retired)
    }

    /// Draws model and pictures; returns what has to be written, and the epoch whose whole roster
    /// is in it. `budget`: bytes that the pictures of a frame may have, if known.
    pub fn compose(
        &mut self,
        model: &Model,
        now: Instant,
        budget: Option<usize>,
    ) -> (Vec<u8>, Option<u64>) {
        let (look, depth, cell_px, rows) = (self.look, self.depth, self.cell_px, self.rows);
        let (slots, pictures) = (&mut self.slots, &self.pictures);
        let (made, retired) = (&mut self.made, &mut self.retired);
        let maker = Maker { look, depth, probe: self.probe.as_ref(), rows, tones: self.tones };
        let speaking = speaking(model);
        let mut dearest: Option<f32> = None;
        // One budget of bytes for all tiles: by their size, and more for who speaks.
        let weight = |role: TileRole, rect: ratatui::layout::Rect| {
            let times = if speaking.contains(&role) { SPEAKER } else { 1.0 };
            f64::from(rect.area()) * times
        };
        // `chrome` runs before `video`; the cell lets the second see what the first drew.
        let drawn = std::cell::RefCell::new(view::Drawn::default());
        let bytes = self.composer.compose(
            |frame| {
                let result = view::draw(model, now, frame.buffer_mut());
                let videos = result.tiles.iter().map(|(_, r)| (*r).into()).collect();
                // Of a tile over another the frame is text, and all of it where it has no picture.
                let shows = |over: ratatui::layout::Rect| {
                    result.tiles.iter().any(|(_, r)| over.intersection(*r) == *r)
                };
                let covers = match result.over {
                    Some(over) if shows(over) => frame_of(over).to_vec(),
                    Some(over) => vec![over.into()],
                    None => Vec::new(),
                };
                *drawn.borrow_mut() = result;
                Areas { videos, covers }
            },
            |_, out| {
                let drawn = drawn.borrow();
                slots.retain(|role, slot| {
                    let stays = drawn.tiles.iter().any(|(r, _)| r == role);
                    if !stays {
                        slot.tile.retire(retired);
                    }
                    stays
                });
                out.append(retired);
                let whole: f64 = drawn.tiles.iter().map(|(role, rect)| weight(*role, *rect)).sum();
                for (role, rect) in &drawn.tiles {
                    let slot = slots.entry(*role).or_insert_with(|| {
                        *made += 1;
                        maker.slot(*made)
                    });
                    let Slot { tile, painted, strip, .. } = slot;
                    let place = (*rect).into();
                    if tile.rect() != place {
                        tile.place(place, cell_px);
                        *painted = None;
                    }
                    let over = drawn.over.filter(|over| over.intersection(*rect) != *rect);
                    tile.cover(over.map(Into::into).as_slice());
                    let Some(picture) = pictures.get(*role) else { continue };
                    if *painted == Some(picture.serial) {
                        tile.repaint(out);
                        continue;
                    }
                    *painted = Some(picture.serial);
                    tile.framing(Framing::Fill);
                    tile.mirror(*role == TileRole::Own);
                    let height = f32::from(picture.frame.size.height.max(1));
                    let cut = strip.step(&picture.frame).map_or(0.0, f32::from);
                    tile.crop_bottom(cut / height);
                    let stats = tile.paint(&picture.frame, out);
                    if let Some(budget) = budget {
                        let share = budget as f64 * weight(*role, *rect) / whole.max(1.0);
                        tile.quality().learn(stats.bytes, share as usize);
                    }
                    let lambda = tile.quality().lambda();
                    dearest = Some(dearest.map_or(lambda, |dearest| dearest.max(lambda)));
                }
            },
        );
        let drawn = drawn.into_inner();
        self.dearest = dearest;
        self.seen = drawn.seen;
        self.pace.frame();
        self.pace.step(self.decifps, now);
        let decifps = self.pace.limit;
        let wants = self.slots.iter().map(|(role, slot)| {
            let size = covering(slot.tile.wanted_pixels());
            (*role, Want { size, decifps, max_kbps: 0, paused: false, focus: false })
        });
        self.pictures.set_wants(wants.collect());
        (bytes, drawn.roster)
    }

    /// The board as last composed, as an SVG picture.
    pub fn svg(&self, title: &str) -> String {
        let screen = self.composer.screen(self.slots.values().filter_map(|slot| slot.tile.cells()));
        screen.map(|s| s.to_svg(title)).unwrap_or_default()
    }
}

/// The frame of a tile, which is text: one cell on each side.
fn frame_of(tile: ratatui::layout::Rect) -> [crate::paint::Rect; 4] {
    let ratatui::layout::Rect { x, y, width: cols, height: rows } = tile;
    let (right, bottom) = (tile.right().saturating_sub(1), tile.bottom().saturating_sub(1));
    [(x, y, cols, 1), (x, bottom, cols, 1), (x, y, 1, rows), (right, y, 1, rows)]
        .map(|(x, y, cols, rows)| crate::paint::Rect { x, y, cols, rows })
}

/// A cell of somebody who speaks is worth this many others.
const SPEAKER: f64 = 3.0;

fn speaking(model: &Model) -> Vec<TileRole> {
    match &model.screen {
        Screen::Call(call) => call.tiles.iter().filter(|t| t.speaking).map(|t| t.role).collect(),
        _ => Vec::new(),
    }
}

/// Below this a picture costs hardly fewer bits, and a test picture's strip can't be read any more.
const LEAST: Size = Size { width: 80, height: 48 };

/// A larger one is not asked for: terminals that show pixels enlarge it, and nobody has to code it.
const MOST: Size = Size { width: 640, height: 384 };

/// The smallest picture of the usual shape (5:3) that covers a tile of this size.
fn covering(tile: Size) -> Size {
    let width = tile.width.max((u32::from(tile.height) * 5 / 3).min(u32::from(u16::MAX)) as u16);
    let width = width.clamp(LEAST.width, MOST.width);
    Size::new(width, (u32::from(width) * 3 / 5) as u16)
}

/// Now, as the runtime's clock has it.
pub fn instant() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::strings;

    #[test]
    fn an_own_camera_switched_off_leaves_its_corner_at_once() {
        let pictures = Arc::new(Pictures::default());
        let mut board = Board::new(
            (120, 36),
            Look::Cells(crate::paint::Mode::Half),
            Depth::True,
            Arc::clone(&pictures),
            300,
        );
        let mut model = crate::tui::view::samples::compared(2);
        let mut parser = vt100::Parser::new(36, 120, 0);
        let (now, size) = (instant(), Size::new(160, 96));
        for role in [TileRole::Own, TileRole::Member(MemberId(0))] {
            let mut frame = RawFrame::black(size, Default::default());
            frame.y.fill(200);
            pictures.put(role, Arc::new(frame), now, None);
        }
        parser.process(&board.compose(&model, now, None).0);
        let corner = |parser: &vt100::Parser| {
            parser.screen().cell(29, 100).expect("on the screen").bgcolor()
        };
        let gray = vt100::Color::Rgb(214, 214, 214);
        assert!(parser.screen().contents().contains("(you)"), "{}", parser.screen().contents());
        assert_eq!(corner(&parser), gray, "a picture is in the corner");
        let Screen::Call(call) = &mut model.screen else { panic!("a call") };
        for tile in call.tiles.iter_mut().filter(|t| t.role == TileRole::Own) {
            tile.camera = crate::tui::model::Track::Off;
        }
        parser.process(&board.compose(&model, now, None).0);
        let text = parser.screen().contents();
        let words = strings::tile_words(&own(&model)).expect("words instead of a picture");
        assert!(words.split(' ').all(|word| text.contains(word)), "{text}");
        assert_ne!(corner(&parser), gray, "{text}");
    }

    fn own(model: &Model) -> crate::tui::model::TileInfo {
        let Screen::Call(call) = &model.screen else { panic!("a call") };
        call.tiles.iter().find(|t| t.role == TileRole::Own).cloned().expect("there")
    }

    #[test]
    fn a_slow_terminal_is_asked_for_what_it_takes_and_a_fast_one_for_all() {
        let (t0, mut pace) = (instant(), Pace::new(300));
        let second = |pace: &mut Pace, n: u64, frames: u16, held_up: bool| {
            (0..frames).for_each(|_| pace.frame());
            pace.held_up = held_up;
            pace.step(300, t0 + Duration::from_secs(n));
            pace.limit
        };
        second(&mut pace, 0, 0, false);
        assert_eq!(second(&mut pace, 1, 30, false), 300);
        assert_eq!(second(&mut pace, 2, 12, true), 132);
        assert_eq!(second(&mut pace, 3, 12, true), 132);
        assert_eq!(second(&mut pace, 4, 1, true), Pace::LEAST, "never less than a slide show");
        assert_eq!(second(&mut pace, 5, 5, false), 75);
        for n in 6..12 {
            second(&mut pace, n, 30, false);
        }
        assert_eq!(pace.limit, 300);
    }
}
