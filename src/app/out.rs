//! Standard output that survives its reader: `facetty … | head -1` ends in peace, not in a panic.

use crate::app::exit::{Exit, Failure};
use std::fmt::Display;
use std::io::{self, Write};

/// Standard output, line by line, each flushed: a reader sees an event when it happens.
#[derive(Debug, Default)]
pub struct Out {
    closed: bool,
    failed: Option<io::ErrorKind>,
}

impl Out {
    /// Writes one line. After the reader has gone this does nothing.
    pub fn line(&mut self, text: impl Display) {
        self.write(format_args!("{text}\n"));
    }

    /// Writes `text` as it is.
    pub fn raw(&mut self, text: impl Display) {
        self.write(format_args!("{text}"));
    }

    /// Whether the reader has gone, or the output can't be written: time to end.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The end of a run that ended well otherwise: a reader that went is no failure, a full disk
    /// is one.
    pub fn end(self, exit: Exit) -> Result<Exit, Failure> {
        match self.failed {
            None => Ok(if self.closed { Exit::Ended } else { exit }),
            Some(kind) => Err(Failure::new(
                Exit::Device,
                format_args!("standard output can't be written: {kind}"),
            )),
        }
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        if self.closed {
            return;
        }
        let mut stdout = io::stdout().lock();
        if let Err(e) = stdout.write_fmt(text).and_then(|()| stdout.flush()) {
            self.closed = true;
            if e.kind() != io::ErrorKind::BrokenPipe {
                self.failed = Some(e.kind());
            }
        }
    }
}
