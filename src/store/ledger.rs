//! Ledgers as files: one line each time something happens, never over a file that exists.

use crate::ledger::{self, Damage, Ledger};
use crate::store::file;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Longest ledger read, in bytes: days of a full call.
const LONGEST: u64 = 64 * 1024 * 1024;

/// Why a ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The chain is broken.
    #[error("{}, {damage}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and what.
        damage: Damage,
    },
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Reads a ledger and checks its chain.
pub fn read(path: &Path) -> Result<Ledger, LedgerError> {
    let io = |source| LedgerError::Io { path: path.into(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(LONGEST + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > LONGEST {
        let what = "longer than any ledger";
        return Err(io(io::Error::new(io::ErrorKind::InvalidData, what)));
    }
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(e) => {
            let before = bytes.get(..e.valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|b| **b == b'\n').count() + 1;
            let damage = Damage { line, what: "not text".into() };
            return Err(LedgerError::Damaged { path: path.into(), damage });
        }
    };
    ledger::read(text).map_err(|damage| LedgerError::Damaged { path: path.into(), damage })
}

/// A ledger being written.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
}

impl Writer {
    /// Begins the file `path` with the lines there are; refuses a file that exists.
    pub fn create<'l>(
        path: &Path,
        lines: impl IntoIterator<Item = &'l str>,
    ) -> Result<Self, LedgerError> {
        let io = |source| LedgerError::Io { path: path.into(), source };
        let text: String = lines.into_iter().flat_map(|line| [line, "\n"]).collect();
        file::create_new(path, text.as_bytes()).map_err(io)?;
        let file = file::append(path).map_err(io)?;
        Ok(Self { path: path.into(), file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line, in one write.
    pub fn line(&mut self, line: &str) -> Result<(), LedgerError> {
        self.file
            .write_all(format!("{line}\n").as_bytes())
            .map_err(|source| LedgerError::Io { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Chain, Happened};
    use crate::time::Wall;

    #[test]
    fn what_is_written_line_by_line_is_read_back_and_never_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledgers/call.jsonl");
        let mut chain = Chain::default();
        let mut next = || chain.add(Wall(1), 0, &[1; 32], Happened::WordsMatch);
        let early = [next(), next()];
        let mut writer = Writer::create(&path, early.iter().map(String::as_str)).unwrap();
        writer.line(&next()).unwrap();
        let ledger = read(&path).unwrap();
        assert_eq!((ledger.entries.len(), ledger.head), (3, chain.head()));
        assert!(matches!(Writer::create(&path, []), Err(LedgerError::Io { .. })));
        assert_eq!(read(&path).unwrap().entries.len(), 3);
    }

    #[test]
    fn damage_names_file_and_line() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("call.jsonl");
        std::fs::write(&path, b"\n\xff\n").unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("call.jsonl, line 2: not text"), "{message}");
        std::fs::write(&path, b"").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 1: there is no line"));
    }
}
