//! Taking the screen and giving it back, whatever happens.

use super::input::{Parser, Token};
use super::probe::{Environment, Probe, Replies};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{
    OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetwinsize, tcsetattr,
};
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Alternate screen, no cursor, bracketed paste, focus reports, default colours, cleared.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[?1004h\x1b[m\x1b[2J\x1b[H";
/// The reverse; an unfinished synchronized frame is shown first. Where there is no alternate screen
/// (GNU screen, as it comes) nothing of ours stays under the shell's prompt, call words least of all.
const LEAVE: &[u8] = b"\x1b[?2026l\x1b[m\x1b[2J\x1b[H\x1b[?1004l\x1b[?2004l\x1b[?25h\x1b[?1049l";
/// Ends a control sequence that was cut off by leaving in the middle of a frame.
const CANCEL: &[u8] = b"\x18";
/// How long the terminal may take to accept [`LEAVE`]: a hung one mustn't hold up the exit.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why there is no screen.
#[derive(Debug, thiserror::Error)]
pub enum TermError {
    /// Standard output is a file or a pipe.
    #[error("no terminal: standard output is not a terminal (try --plain or --json)")]
    NotATerminal,
    /// Another part of the program has the screen.
    #[error("the screen is already taken")]
    Taken,
    /// The system refused.
    #[error("the terminal can't be used: {0}")]
    Io(#[from] std::io::Error),
}

impl From<Errno> for TermError {
    fn from(e: Errno) -> Self {
        Self::Io(e.into())
    }
}

/// What to set up when entering.
#[derive(Debug, Default)]
pub struct Options {
    /// Where messages to standard error go while the screen is ours: C libraries print there at
    /// the worst moments. `None`: left alone.
    pub stderr: Option<File>,
}

/// The terminal device and whether it is ours now. Shared by the reader, the writer and the
/// restorer.
pub(super) struct Tty {
    fd: OwnedFd,
    /// The screen is ours: nobody reads or writes otherwise.
    open: AtomicBool,
    /// Held during each read or write (none of which block).
    io: Mutex<()>,
    /// A frame has been written in part.
    cut: AtomicBool,
}

/// What it takes to give the screen back.
struct Held {
    tty: Arc<Tty>,
    modes: Termios,
    stderr: Option<OwnedFd>,
}

/// The screen that is ours now, for the panic hook.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tty {
    fn open_path() -> Result<OwnedFd, TermError> {
        let stdout = rustix::stdio::stdout();
        if !rustix::termios::isatty(stdout) {
            return Err(TermError::NotATerminal);
        }
        // An open of our own, so that non-blocking mode is not shared with the shell's.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let by_name = rustix::termios::ttyname(stdout, Vec::new())
            .and_then(|path| rustix::fs::open(path.as_c_str(), flags, Mode::empty()));
        // After `su` the name may be somebody else's.
        Ok(by_name.or_else(|_| rustix::fs::open("/dev/tty", flags, Mode::empty()))?)
    }

    /// Reads what is there. `Ok(None)`: not ours now, or nothing there.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        let _guard = lock(&self.io);
        if !self.open.load(Ordering::Acquire) {
            return Ok(None);
        }
        match rustix::io::read(&self.fd, buffer) {
            Ok(n) => Ok(Some(n)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes what fits. `Ok(None)`: not ours any more.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<Option<usize>, Errno> {
        let _guard = lock(&self.io);
        if !self.open.load(Ordering::Acquire) {
            return Ok(None);
        }
        let n = match rustix::io::write(&self.fd, bytes) {
            Ok(n) => n,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(e) => return Err(e),
        };
        self.cut.store(n < bytes.len(), Ordering::Release);
        Ok(Some(n))
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Columns, rows, and the text area in pixels (0 = unknown).
    pub(super) fn size(&self) -> ((u16, u16), (u16, u16)) {
        match tcgetwinsize(&self.fd) {
            Ok(w) if w.ws_col > 0 && w.ws_row > 0 => {
                ((w.ws_col, w.ws_row), (w.ws_xpixel, w.ws_ypixel))
            }
            _ => ((80, 24), (0, 0)),
        }
    }

    /// Waits until the device can be read (or written).
    pub(super) fn wait(&self, flags: PollFlags, at_most: Duration) {
        let timeout = timespec(at_most);
        let _ = poll(&mut [PollFd::new(&self.fd, flags)], Some(&timeout));
    }
}

pub(super) fn timespec(d: Duration) -> Timespec {
    Timespec::try_from(d).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 })
}

/// The screen, ours until this value is dropped.
///
/// Given back also when any thread panics (before the panic's message is printed), and on a
/// second termination signal ([`super::Events`]). From then on nothing is written any more.
pub struct Terminal {
    tty: Arc<Tty>,
    stderr: Option<File>,
    parser: Parser,
    typed: Vec<Token>,
}

impl Terminal {
    /// Takes the screen: raw mode, alternate screen, hidden cursor, bracketed paste, focus
    /// reports, standard error to the log.
    ///
    /// # Errors
    /// [`TermError::NotATerminal`] if standard output isn't one; keys are read from the same
    /// terminal even if standard input is a pipe.
    pub fn enter(options: Options) -> Result<Self, TermError> {
        let tty = Arc::new(Tty {
            fd: Tty::open_path()?,
            open: AtomicBool::new(false),
            io: Mutex::new(()),
            cut: AtomicBool::new(false),
        });
        let terminal =
            Self { tty, stderr: options.stderr, parser: Parser::default(), typed: Vec::new() };
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                previous(info);
            }));
        });
        terminal.take()?;
        Ok(terminal)
    }

    fn take(&self) -> Result<(), TermError> {
        let mut held = lock(&HELD);
        if held.is_some() {
            return Err(TermError::Taken);
        }
        let modes = tcgetattr(&self.tty.fd)?;
        let mut raw = modes.clone();
        raw.make_raw();
        tcsetattr(&self.tty.fd, OptionalActions::Now, &raw)?;
        let stderr = self.stderr.as_ref().and_then(|log| {
            let saved = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3).ok()?;
            rustix::stdio::dup2_stderr(log).ok()?;
            Some(saved)
        });
        *held = Some(Held { tty: self.tty.clone(), modes, stderr });
        drop(held);
        self.tty.cut.store(false, Ordering::Release);
        push(&self.tty, ENTER, PATIENCE);
        self.tty.open.store(true, Ordering::Release);
        Ok(())
    }

    /// Gives the screen back. What comes after the call stands on the normal screen. Doing it
    /// twice does no harm.
    pub fn leave(&mut self) {
        restore();
    }

    /// Ctrl-Z: gives the screen back, stops the whole process group, and takes the screen again
    /// once the shell has continued it. Mute and stop the camera *before*. Everything must be
    /// drawn anew after.
    ///
    /// # Errors
    /// The screen could not be taken again.
    pub fn suspend(&mut self) -> Result<(), TermError> {
        let continued = Arc::new(AtomicBool::new(false));
        let cont = signal_hook::flag::register(signal_hook::consts::SIGCONT, continued.clone())?;
        restore();
        let stopped = rustix::process::kill_current_process_group(rustix::process::Signal::STOP);
        // The signal may hit another thread first: this one must not run on into taking the
        // screen again before the stop has reached it.
        while stopped.is_ok() && !continued.load(Ordering::Acquire) {
            let _ = poll(&mut [], Some(&timespec(Duration::from_millis(5))));
        }
        signal_hook::low_level::unregister(cont);
        self.take()?;
        Ok(stopped?)
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        self.tty.size().0
    }

    /// Asks the terminal what it can do; takes 150 ms at most. Once, before [`super::Events`]
    /// start: keys typed meanwhile are kept for them.
    pub fn probe(&mut self) -> Probe {
        self.probe_with(Environment::read())
    }

    fn probe_with(&mut self, environment: Environment) -> Probe {
        let mut replies = Replies::default();
        if environment.answers() {
            // Removed by a terminal that reads it, else when this is over.
            let sample = environment.may_share().then(super::shm::Sample::new).flatten();
            let name = sample.as_ref().map(super::shm::Sample::coded_name);
            self.ask(&environment.questions(name), &mut replies);
        }
        let (cells, pixels) = self.tty.size();
        Probe::decide(environment, replies, cells, pixels)
    }

    fn ask(&mut self, questions: &str, replies: &mut Replies) {
        let deadline = Instant::now() + Duration::from_millis(150);
        push(&self.tty, questions.as_bytes(), Duration::from_millis(100));
        let mut buffer = [0; 1024];
        while !replies.complete {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.tty.wait(PollFlags::IN, left);
            match self.tty.read(&mut buffer) {
                Ok(Some(n)) if n > 0 => {
                    for token in self.parser.feed(&buffer[..n]) {
                        match token {
                            Token::Reply(reply) => replies.learn(&reply),
                            other => self.typed.push(other),
                        }
                    }
                }
                Ok(None) => {}
                Ok(_) | Err(_) => break,
            }
        }
        push(&self.tty, b"\x1b[m\x1b[2J\x1b[H", Duration::from_millis(100));
    }

    pub(super) fn tty(&self) -> Arc<Tty> {
        self.tty.clone()
    }

    pub(super) fn take_input(&mut self) -> (Parser, Vec<Token>) {
        (std::mem::take(&mut self.parser), std::mem::take(&mut self.typed))
    }
}

/// Columns of the terminal that this is; `None`: it is none, or it doesn't tell.
pub fn columns(of: impl AsFd) -> Option<usize> {
    let size = tcgetwinsize(of).ok()?;
    (size.ws_col > 0).then(|| size.ws_col.into())
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Writes all of it, whether the screen is ours or not, or gives up after `at_most`.
fn push(tty: &Tty, mut bytes: &[u8], at_most: Duration) {
    let deadline = Instant::now() + at_most;
    while !bytes.is_empty() {
        match rustix::io::write(&tty.fd, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::AGAIN | Errno::INTR) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return;
                }
                tty.wait(PollFlags::OUT, left);
            }
            Err(_) => return,
        }
    }
}

/// Gives the screen back, if it is ours.
pub(super) fn restore() {
    let Some(held) = lock(&HELD).take() else { return };
    let tty = &held.tty;
    tty.open.store(false, Ordering::Release);
    // The writer holds this only during one non-blocking write; but should this very thread have
    // panicked in there, waiting for itself would be for ever.
    let mut guard = tty.io.try_lock();
    for _ in 0..40 {
        if !matches!(guard, Err(std::sync::TryLockError::WouldBlock)) {
            break;
        }
        let _ = poll(&mut [], Some(&timespec(Duration::from_millis(5))));
        guard = tty.io.try_lock();
    }
    if tty.cut.load(Ordering::Acquire) {
        push(tty, CANCEL, PATIENCE);
    }
    push(tty, LEAVE, PATIENCE);
    // An answer nobody waited for would be typing for whoever reads next.
    let _ = tcflush(&tty.fd, QueueSelector::IFlush);
    let _ = tcsetattr(&tty.fd, OptionalActions::Now, &held.modes);
    if let Some(stderr) = &held.stderr {
        let _ = rustix::stdio::dup2_stderr(stderr);
    }
    drop(guard);
}
