//! The log: a private file in the state folder, never the screen. Remembers whether anything
//! failed, so that the closing summary can name the file only when it is worth reading.
//!
//! `FACETTY_LOG` (error, warn, info, debug, trace) sets the level of facetty's own lines. Other
//! crates are held at "warn" always: a library's trace level is where keys get printed.

use crate::app::exit::{Exit, Failure};
use crate::store::file;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// A log file longer than this is set aside as `….old` when the next run begins.
const SET_ASIDE: u64 = 2 << 20;
/// A single run stops logging after this many bytes: a fault in a loop must not fill the disk.
const MOST: u64 = 32 << 20;

/// The running log.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
    failures: Arc<AtomicU64>,
}

impl Log {
    /// Starts logging to `path` at the level named by `level` (see the module's head; `None` or
    /// unknown: info). Only the first log of a process takes effect.
    pub fn start(path: &Path, level: Option<&str>) -> Result<Self, Failure> {
        let (log, subscriber) = Self::build(path, level)?;
        // A second log of the same process (tests) has no effect, and that is fine.
        let _ = tracing::subscriber::set_global_default(subscriber);
        Ok(log)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Warnings and errors so far.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn build(
        path: &Path,
        level: Option<&str>,
    ) -> Result<(Self, impl Subscriber + Send + Sync + use<>), Failure> {
        let file = open(path).map_err(|e| {
            Failure::new(
                Exit::Config,
                format_args!("the log can't be written: {}: {e}", path.display()),
            )
            .next("--log FILE chooses another file (--log /dev/null: none)")
        })?;
        let own: LevelFilter =
            level.and_then(|l| l.trim().parse().ok()).unwrap_or(LevelFilter::INFO);
        let failures = Arc::new(AtomicU64::new(0));
        let filter = Targets::new().with_default(LevelFilter::WARN).with_target("facetty", own);
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(Writer(Arc::new(Mutex::new(Limited { file, left: MOST }))))
            .with_filter(filter);
        let count = Count(Arc::clone(&failures)).with_filter(LevelFilter::WARN);
        let subscriber = tracing_subscriber::registry().with(lines).with(count);
        Ok((Self { path: path.into(), failures }, subscriber))
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        file::private_dir(dir)?;
    }
    let regular = std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() > SET_ASIDE);
    if regular {
        std::fs::rename(path, path.with_extension("log.old"))?;
    }
    file::append(path)
}

struct Limited {
    file: File,
    left: u64,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len() as u64;
        if length > self.left {
            if self.left > 0 {
                self.left = 0;
                let _ = self.file.write_all(b"the log is full: this run writes no more\n");
            }
            return Ok(bytes.len());
        }
        self.left -= length;
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

struct Writer(Arc<Mutex<Limited>>);

struct Handle(Arc<Mutex<Limited>>);

impl Write for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Handle;

    fn make_writer(&'a self) -> Handle {
        Handle(Arc::clone(&self.0))
    }
}

/// Counts warnings and errors.
struct Count(Arc<AtomicU64>);

impl<S: Subscriber> Layer<S> for Count {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() <= Level::WARN {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn logged(level: Option<&str>, work: impl FnOnce()) -> (String, u64) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state/facetty.log");
        let (log, subscriber) = Log::build(&path, level).unwrap();
        tracing::subscriber::with_default(subscriber, work);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "a log names addresses: it is private");
        (std::fs::read_to_string(&path).unwrap(), log.failures())
    }

    #[test]
    fn lines_go_to_the_file_and_failures_are_counted() {
        let (text, failures) = logged(None, || {
            tracing::info!("a call began");
            tracing::debug!("too quiet");
            tracing::warn!("the camera is gone");
            tracing::error!("the pipe is gone");
        });
        assert!(text.contains("a call began") && text.contains("the camera is gone"));
        assert!(!text.contains("too quiet"));
        assert_eq!(failures, 2);
    }

    #[test]
    fn other_crates_never_log_below_warnings() {
        let (text, _) = logged(Some("trace"), || {
            tracing::trace!("ours");
            tracing::trace!(target: "rustls::conn", "theirs");
            tracing::warn!(target: "quinn", "their warning");
        });
        assert!(text.contains("ours") && text.contains("their warning"));
        assert!(!text.contains("rustls::conn"));
    }

    #[test]
    fn a_full_log_says_so_once() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log");
        let mut limited = Limited { file: open(&path).unwrap(), left: 10 };
        for _ in 0..3 {
            limited.write_all(b"12345678\n").unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "12345678\nthe log is full: this run writes no more\n");
    }

    #[test]
    fn a_long_log_is_set_aside() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("facetty.log");
        std::fs::write(&path, vec![b'x'; SET_ASIDE as usize + 1]).unwrap();
        open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        assert!(home.path().join("facetty.log.old").exists());
    }
}
