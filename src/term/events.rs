//! Keys, pastes, resizes and signals, on one bounded channel.

use super::input::{Parser, Reply, Token};
use super::session::{TermError, Terminal, Tty, restore, timespec};
use crossterm::event::KeyEvent;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::{Handle, Signals};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Duration;

/// What happened at the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A key. Ctrl-C and Ctrl-Z are keys here.
    Key(KeyEvent),
    /// Pasted text, without control characters other than newline and tab.
    Paste(String),
    /// The window gained or lost the focus.
    Focus(bool),
    /// The screen has this many columns and rows now; the pixels of the text area, if known.
    Resize {
        /// Columns and rows.
        cells: (u16, u16),
        /// Width and height in pixels; zeros when unknown.
        pixels: (u16, u16),
    },
    /// An answer to the probe that came late: see `Probe::learn`.
    Reply(Reply),
    /// SIGTERM, SIGHUP or SIGINT (the number): leave in good order. A second one leaves at once.
    Terminate(i32),
    /// SIGTSTP from outside: do as for Ctrl-Z.
    Suspend,
    /// The process was stopped and goes on: draw everything anew.
    Resumed,
    /// The terminal is gone.
    Lost,
}

/// After an escape byte, this long without another makes it the Esc key.
const ESCAPE: Duration = Duration::from_millis(40);
/// An answer of ours may pause this long in its middle.
const ANSWER: Duration = Duration::from_secs(1);

/// The threads that deliver [`Event`]s; they end when this value is dropped.
pub struct Events {
    wake: OwnedFd,
    signals: Handle,
    threads: Vec<JoinHandle<()>>,
}

impl Events {
    /// Starts delivering to `to`: a bounded channel of anything that an [`Event`] can become. A
    /// full one leaves further keys with the terminal. First come the keys typed during the probe.
    ///
    /// # Errors
    /// Threads, pipe or signal handlers were refused by the system.
    pub fn start<E: From<Event> + Send + 'static>(
        terminal: &mut Terminal,
        to: SyncSender<E>,
    ) -> Result<Self, TermError> {
        let (wait, wake) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGTSTP, SIGCONT, SIGWINCH])?;
        let handle = signals.handle();
        let (parser, typed) = terminal.take_input();
        let tty = terminal.tty();
        let sender = to.clone();
        let reader =
            std::thread::Builder::new().name("terminal input".into()).spawn(move || {
                // A receiver that is gone ends the thread.
                let _ = read(&tty, &wait, parser, typed, &sender);
            })?;
        let tty = terminal.tty();
        let mut terminating = false;
        let listener = std::thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                let event = match signal {
                    SIGWINCH => {
                        let (cells, pixels) = tty.size();
                        Event::Resize { cells, pixels }
                    }
                    SIGTSTP => Event::Suspend,
                    SIGCONT => Event::Resumed,
                    _ if terminating => leave_now(signal),
                    _ => {
                        terminating = true;
                        // Nobody listens: then nobody will leave in good order.
                        if to.try_send(Event::Terminate(signal).into()).is_err() {
                            leave_now(signal);
                        }
                        continue;
                    }
                };
                if to.send(event.into()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { wake, signals: handle, threads: vec![reader, listener] })
    }
}

fn leave_now(signal: i32) -> ! {
    restore();
    std::process::exit(128 + signal);
}

impl Drop for Events {
    fn drop(&mut self) {
        self.signals.close();
        let _ = rustix::io::write(&self.wake, b"x");
        for thread in self.threads.drain(..) {
            // A thread held up by a full channel ends with its receiver; don't wait for that.
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

/// The receiver is gone.
struct Gone;

fn read<E: From<Event>>(
    tty: &Arc<Tty>,
    wait: &OwnedFd,
    mut parser: Parser,
    typed: Vec<Token>,
    to: &SyncSender<E>,
) -> Result<(), Gone> {
    let send = |token: Token| {
        let event = match token {
            Token::Key(key) => Event::Key(key),
            Token::Paste(text) => Event::Paste(text),
            Token::Focus(on) => Event::Focus(on),
            Token::Reply(reply) => Event::Reply(reply),
        };
        to.send(event.into()).map_err(|_| Gone)
    };
    for token in typed {
        send(token)?;
    }
    let mut buffer = [0u8; 4096];
    let mut silence = Duration::ZERO;
    loop {
        let timeout = match (parser.is_waiting(), silence) {
            (false, _) => None,
            (true, s) if s < ESCAPE => Some(ESCAPE),
            (true, s) => Some(ANSWER.saturating_sub(s).max(ESCAPE)),
        };
        // While the screen is not ours, the terminal's input is none of our business.
        let ours = tty.is_open();
        let device = tty.fd();
        let mut fds =
            [PollFd::new(wait, PollFlags::IN), PollFd::from_borrowed_fd(device, PollFlags::IN)];
        let count = if ours { 2 } else { 1 };
        let timeout = if ours { timeout } else { Some(ESCAPE) };
        let ready = poll(&mut fds[..count], timeout.map(timespec).as_ref());
        if !fds[0].revents().is_empty() {
            return Ok(());
        }
        match ready {
            Ok(0) if ours => {
                silence += timeout.unwrap_or_default();
                for token in parser.idle(silence >= ANSWER) {
                    send(token)?;
                }
                continue;
            }
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => return to.send(Event::Lost.into()).map_err(|_| Gone),
        }
        silence = Duration::ZERO;
        match tty.read(&mut buffer) {
            Ok(Some(0)) | Err(_) => return to.send(Event::Lost.into()).map_err(|_| Gone),
            Ok(Some(n)) => {
                for token in parser.feed(&buffer[..n]) {
                    send(token)?;
                }
            }
            Ok(None) => {}
        }
    }
}
