//! Pictures from a shell command that writes Y4M to its standard output, for cameras and screens
//! that other tools know how to read: `pipe:ffmpeg -f v4l2 -i /dev/video0 -f yuv4mpegpipe -`.

use crate::media::frame::RawFrame;
use crate::media::seams::{FrameSource, SourceLost};
use crate::media::source::slot::{Slot, Wish};
use crate::media::source::y4m::{Stream, StreamError};
use crate::media::source::{OpenError, VideoOptions, Wake};
use crate::time::{MediaTime, Now};
use std::io::BufReader;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a command may take to its first picture.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the slot is looked into when nobody wakes the loop.
const POLL: Duration = Duration::from_millis(4);
/// Pictures are taken at most this much faster than the header's rate: a live command never
/// builds a backlog, and a command that reads a file is held to its rate by the full pipe.
const HASTE: f64 = 1.03;

/// `--video pipe:COMMAND`. The newest picture wins; while the source is off the command goes on
/// and its pictures are thrown away.
pub struct Pipe {
    slot: Arc<Slot>,
    child: Child,
    thread: Option<JoinHandle<()>>,
    woken: bool,
    polled: Instant,
    on: bool,
}

impl Pipe {
    /// Starts `sh -c command` in a process group of its own and waits, at most ten seconds, for
    /// its first picture.
    pub fn spawn(command: &str, options: VideoOptions) -> Result<Self, OpenError> {
        let device = |why: String| OpenError::Device { what: "pipe".into(), why };
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
        let mut child = shell.spawn().map_err(|e| device(format!("can't start sh: {e}")))?;
        let Some(stdout) = child.stdout.take() else {
            return Err(device("the command has no standard output".into()));
        };
        let slot = Arc::new(Slot::switched_on());
        let (ready, first) = mpsc::sync_channel(1);
        let reader =
            Reader { slot: Arc::clone(&slot), origin: options.origin, wake: options.wake.clone() };
        let thread = std::thread::Builder::new()
            .name("pipe".into())
            .spawn(move || reader.run(stdout, &ready))
            .map_err(|e| device(format!("can't start a thread: {e}")))?;
        let pipe = Self {
            slot,
            child,
            thread: Some(thread),
            woken: options.wake.is_some(),
            polled: options.origin,
            on: true,
        };
        // Dropping `pipe` on an early return ends the command.
        match first.recv_timeout(PATIENCE) {
            Ok(Ok(())) => Ok(pipe),
            Ok(Err(e)) => Err(match e {
                StreamError::Format(e) => {
                    OpenError::InvalidInput { what: "pipe".into(), why: e.to_string() }
                }
                StreamError::Empty => device("the command ended without a picture".into()),
                StreamError::Io(e) => device(e.to_string()),
            }),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                Err(device(format!("no picture within {} s", PATIENCE.as_secs())))
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(device("the command ended without a picture".into()))
            }
        }
    }
}

impl FrameSource for Pipe {
    fn due(&self) -> Option<Instant> {
        (self.on && !self.woken).then(|| self.polled + POLL)
    }

    fn next(&mut self, now: Now) -> Result<Option<RawFrame>, SourceLost> {
        self.polled = now.mono;
        let taken = self.slot.take();
        if self.on { taken } else { taken.map(|_| None) }
    }

    fn enable(&mut self, on: bool, now: Now) {
        self.on = on;
        self.polled = now.mono;
        self.slot.enable(on);
    }

    fn describe(&self) -> String {
        self.slot.description()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.slot.stop();
        // The shell may have children of its own: the whole group goes.
        #[cfg(unix)]
        if let Ok(id) = i32::try_from(self.child.id())
            && let Some(group) = rustix::process::Pid::from_raw(id)
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The reading side, on a thread of its own.
struct Reader {
    slot: Arc<Slot>,
    origin: Instant,
    wake: Option<Wake>,
}

type Ready = mpsc::SyncSender<Result<(), StreamError>>;

impl Reader {
    fn run(self, stdout: ChildStdout, ready: &Ready) {
        let input = BufReader::with_capacity(64 * 1024, stdout);
        let mut stream = match Stream::begin(input) {
            Ok(stream) => stream,
            Err(e) => return drop(ready.send(Err(e))),
        };
        let header = *stream.header();
        let fps = f64::from(header.rate.0) / f64::from(header.rate.1.max(1));
        self.slot.describe(format!("pipe, {} at {fps:.1} fps", header.size()));
        let gap = Duration::from_secs_f64(1.0 / (fps * HASTE));
        let mut first = Some(ready);
        let mut earliest = self.now();
        loop {
            let mut frame = match stream.picture(MediaTime::default()) {
                Ok(Some(frame)) => frame,
                Ok(None) if first.is_some() => {
                    return drop(ready.send(Err(StreamError::Empty)));
                }
                Ok(None) => return self.lost("the command ended".into()),
                Err(e) if first.is_some() => return drop(ready.send(Err(e))),
                Err(e) => return self.lost(e.to_string()),
            };
            let now = self.hold_until(earliest);
            let Some(now) = now else { return };
            // No credit for a stall: after one, pictures come at the rate again.
            earliest = (earliest + gap).max(now);
            frame.at = MediaTime::since(self.origin, now);
            if let Some(ready) = first.take() {
                let _ = ready.send(Ok(()));
            }
            if self.slot.wish() == Wish::On {
                self.slot.put(frame, self.wake.as_ref());
            }
        }
    }

    /// Waits until `earliest`; `None` when the source is dropped meanwhile.
    fn hold_until(&self, earliest: Instant) -> Option<Instant> {
        loop {
            let wish = self.slot.wish();
            if wish == Wish::Stop {
                return None;
            }
            let now = self.now();
            let left = earliest.saturating_duration_since(now);
            if left.is_zero() {
                return Some(now);
            }
            self.slot.wait_while(wish, left);
        }
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn lost(&self, why: String) {
        let lost = SourceLost { what: "pipe".into(), why };
        self.slot.lose(lost, self.wake.as_ref());
    }
}
