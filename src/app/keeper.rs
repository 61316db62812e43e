//! The ledger of a running call: kept in memory, written when asked for.

use crate::store::ledger::{LedgerError, Writer};
use std::path::Path;
use std::sync::Arc;

/// Lines kept in memory: weeks of an ordinary call. Beyond, only a file goes on.
const MOST: usize = 20_000;

/// Lines so far, and the file they go to.
#[derive(Debug, Default)]
pub struct Keeper {
    lines: Vec<Arc<str>>,
    /// The memory's bound was reached: a file begun now would lack lines.
    full: bool,
    writer: Option<Writer>,
}

impl Keeper {
    /// Writes to `path` from the beginning (`--ledger FILE`).
    pub fn to_file(path: Option<&Path>) -> Result<Self, LedgerError> {
        let writer = path.map(|path| Writer::create(path, [])).transpose()?;
        Ok(Self { writer, ..Self::default() })
    }

    /// Takes a line.
    pub fn line(&mut self, line: &Arc<str>) -> Result<(), LedgerError> {
        self.full |= self.lines.len() >= MOST;
        if !self.full {
            self.lines.push(Arc::clone(line));
        }
        let written = self.writer.as_mut().map_or(Ok(()), |writer| writer.line(line));
        if written.is_err() {
            // Said once; a ledger with a gap would be worse than a shorter one.
            self.writer = None;
        }
        written
    }

    /// The file it goes to, if any.
    pub fn path(&self) -> Option<&Path> {
        self.writer.as_ref().map(Writer::path)
    }

    /// Writes all lines so far to `path`, and those that follow. `None`: too late, the first lines
    /// are not in memory any more.
    pub fn keep(&mut self, path: &Path) -> Option<Result<(), LedgerError>> {
        if self.full {
            return None;
        }
        let created = Writer::create(path, self.lines.iter().map(|line| &**line));
        Some(created.map(|writer| self.writer = Some(writer)))
    }
}
