//! The one thread that writes to the terminal: one frame in flight, and how fast it goes.

use super::flow::{ASK, Flow, Speed};
use super::session::{TermError, Terminal, Tty};
use crate::paint::Quality;
use rustix::event::PollFlags;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::Instant;

/// How writing goes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OutputStats {
    /// Frames written whole.
    pub frames: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Frames written in the last second.
    pub fps: f32,
    /// How many bytes per second the far end eats: by what it answered, else measured on writes
    /// that were held up. `None`: not known.
    pub drain: Option<f64>,
    /// The same in more detail, where the terminal answers.
    pub speed: Option<Speed>,
    /// How long the last frame took from handing over until the terminal had read it whole (if it
    /// answers), else until its last byte was taken.
    pub last: Duration,
}

impl OutputStats {
    /// Bytes that a frame may have where one comes after each `frame_time`; `None`: nothing is known
    /// yet.
    pub fn budget(&self, frame_time: Duration) -> Option<usize> {
        let measured = || self.drain.map(|drain| Quality::budget(drain, frame_time));
        self.speed.map(|speed| speed.room(frame_time)).or_else(measured)
    }
}

/// Too much ordered output is waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the terminal is too slow: output is waiting")]
pub struct QueueFull;

/// Most ordered pieces waiting.
const QUEUE: usize = 64;

struct State {
    /// `None`: the terminal doesn't answer questions.
    flow: Option<Flow>,
    frame: Option<(Vec<u8>, Instant)>,
    ordered: VecDeque<Vec<u8>>,
    writing: bool,
    stop: bool,
    stats: OutputStats,
    finished: VecDeque<Instant>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The terminal's output.
///
/// Frames are *changes* against what the terminal shows, so none may get lost on the way: a frame
/// is accepted only when the one before is out ([`Output::is_ready`]), and as far as the terminal
/// answers, only when not too much is under way to it. Until then the caller keeps the newest
/// pictures and composes later: newest wins, and there is never a queue.
pub struct Output {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Output {
    /// Starts the thread; `on_ready` is called on it each time a frame is written. `asks`: the
    /// terminal answers questions; every answer of it ([`super::input::Reply::Attributes`]) must be
    /// brought to [`Output::answered`].
    ///
    /// # Errors
    /// The thread was refused by the system.
    pub fn start(
        terminal: &Terminal,
        asks: bool,
        on_ready: impl Fn() + Send + 'static,
    ) -> Result<Self, TermError> {
        let state = State {
            flow: asks.then(Flow::default),
            frame: None,
            ordered: VecDeque::new(),
            writing: false,
            stop: false,
            stats: OutputStats::default(),
            finished: VecDeque::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let (tty, own) = (terminal.tty(), shared.clone());
        let thread = std::thread::Builder::new()
            .name("terminal output".into())
            .spawn(move || run(&tty, &own, &on_ready))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Whether a further frame is welcome now.
    pub fn is_ready(&self) -> bool {
        let mut state = self.shared.lock();
        let free = state.frame.is_none() && !state.writing;
        free && state.flow.as_mut().is_none_or(|flow| flow.is_open(Instant::now()))
    }

    /// Whether everything handed over is written: the terminal has taken it.
    pub fn is_written(&self) -> bool {
        let state = self.shared.lock();
        state.frame.is_none() && !state.writing
    }

    /// The terminal has answered: what was written before the question has been read.
    pub fn answered(&self) {
        let mut state = self.shared.lock();
        let Some(flow) = &mut state.flow else { return };
        if flow.answer(Instant::now()) {
            let (rate, speed, last) = (flow.rate(), flow.speed(), flow.last());
            state.stats.speed = speed.or(state.stats.speed);
            state.stats.drain = rate.or(state.stats.drain);
            state.stats.last = last.unwrap_or(state.stats.last);
        }
    }

    /// The terminal turned out to answer after all, only later: from now on it is asked.
    pub fn ask(&self) {
        self.shared.lock().flow.get_or_insert_default();
    }

    /// Answers under way. Whoever gives the terminal back waits for them first: they would be
    /// taken for typing by whatever reads it next.
    pub fn unanswered(&self) -> usize {
        self.shared.lock().flow.as_ref().map_or(0, Flow::waiting)
    }

    /// The terminal was given to somebody else meanwhile: nothing is under way any more.
    pub fn resumed(&self) {
        if let Some(flow) = &mut self.shared.lock().flow {
            flow.forget();
        }
    }

    /// Hands over a frame to be written now; given back while another is on its way. While the
    /// screen is not ours (suspended, left) frames are dropped.
    ///
    /// # Errors
    /// The frame itself: try again when ready, better with a newer one.
    pub fn show(&self, mut frame: Vec<u8>) -> Result<(), Vec<u8>> {
        if frame.is_empty() {
            return Ok(());
        }
        let mut state = self.shared.lock();
        if state.frame.is_some() || state.writing {
            return Err(frame);
        }
        let now = Instant::now();
        if let Some(flow) = &mut state.flow
            && flow.send(frame.len(), now)
        {
            frame = [ASK, &frame, ASK].concat();
        }
        state.frame = Some((frame, now));
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Writes `bytes` after everything handed over before and before any later frame: clipboard,
    /// title.
    ///
    /// # Errors
    /// More than 64 pieces are waiting.
    pub fn send(&self, bytes: Vec<u8>) -> Result<(), QueueFull> {
        let mut state = self.shared.lock();
        if state.ordered.len() >= QUEUE {
            return Err(QueueFull);
        }
        state.ordered.push_back(bytes);
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Waits until everything handed over is written, or `at_most`; `false`: it isn't.
    pub fn flush(&self, at_most: Duration) -> bool {
        let pending = |s: &mut State| s.frame.is_some() || s.writing || !s.ordered.is_empty();
        let state = self.shared.lock();
        let (mut state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, at_most, pending)
            .unwrap_or_else(PoisonError::into_inner);
        !pending(&mut state)
    }

    /// How it goes.
    pub fn stats(&self) -> OutputStats {
        let mut state = self.shared.lock();
        let now = Instant::now();
        while state.finished.front().is_some_and(|t| now - *t > Duration::from_secs(1)) {
            state.finished.pop_front();
        }
        state.stats.fps = state.finished.len() as f32;
        state.stats
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(tty: &Tty, shared: &Shared, on_ready: &dyn Fn()) {
    loop {
        let mut state = shared.lock();
        while state.frame.is_none() && state.ordered.is_empty() && !state.stop {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stop {
            return;
        }
        let mut bytes: Vec<u8> = state.ordered.drain(..).flatten().collect();
        let frame = state.frame.take();
        let handed = frame.as_ref().map(|f| f.1);
        bytes.extend(frame.into_iter().flat_map(|f| f.0));
        state.writing = true;
        drop(state);

        let begun = Instant::now();
        let held_up = write(tty, &bytes, shared);
        let now = Instant::now();

        let mut state = shared.lock();
        state.writing = false;
        if let Some(held_up) = held_up {
            state.stats.bytes += bytes.len() as u64;
            if let Some(handed) = handed {
                state.stats.frames += 1;
                if state.flow.is_none() {
                    state.stats.last = now - handed;
                }
                state.finished.push_back(now);
                if state.finished.len() > 240 {
                    state.finished.pop_front();
                }
            }
            let seconds = (now - begun).as_secs_f64();
            let answers = state.flow.as_ref().is_some_and(|flow| flow.rate().is_some());
            if held_up && seconds > 0.0 && !answers {
                let rate = bytes.len() as f64 / seconds;
                let before = state.stats.drain.unwrap_or(rate);
                state.stats.drain = Some(before + 0.25 * (rate - before));
            }
        }
        drop(state);
        shared.changed.notify_all();
        on_ready();
    }
}

/// Writes all of it; `Some(true)` if the terminal held it up, `None` if the screen is not ours
/// any more (the rest is dropped).
fn write(tty: &Tty, mut bytes: &[u8], shared: &Shared) -> Option<bool> {
    let mut held_up = false;
    while !bytes.is_empty() {
        match tty.write(bytes) {
            Ok(Some(0)) => {
                held_up = true;
                if shared.lock().stop {
                    return None;
                }
                tty.wait(PollFlags::OUT, Duration::from_millis(50));
            }
            Ok(Some(n)) => bytes = &bytes[n..],
            Ok(None) | Err(_) => return None,
        }
    }
    Some(held_up)
}
