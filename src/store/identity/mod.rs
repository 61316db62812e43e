//! The identity key's file: 32 bytes of Ed25519 seed as text, private, never overwritten but by
//! the same seed under another passphrase.
//!
//! ```text
//! # facetty identity key. Whoever has this file is you in calls: never give it away.
//! facetty-identity 1
//! seed 9f2c…  (64 hexadecimal digits)
//! check 5d01c2aa
//! ```
//! ```text
//! # facetty identity key, under a passphrase. …
//! facetty-identity 2
//! public 77ab…
//! argon2id memory=262144 passes=3 lanes=1 salt=…
//! xchacha20-poly1305 nonce=… sealed=…
//! check 0c42f7d1
//! ```
//! `check` is the beginning of a SHA-256 over the seed, or over the lines above it: a changed digit
//! would otherwise silently be another identity, or look like a wrong passphrase.

#[cfg(test)]
mod tests;
mod text;

use crate::identity::IdentityPublic;
use crate::identity::sealed::SealedSeed;
use crate::secret::Secret;
use crate::store::file;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What the file holds.
pub enum Stored {
    /// The Ed25519 seed (RFC 8032 §5.1.5) as it is.
    Plain(Secret<32>),
    /// The seed under a passphrase.
    Sealed(SealedSeed),
}

impl Stored {
    /// Whose it is; no passphrase is needed to know.
    pub fn public(&self) -> IdentityPublic {
        match self {
            Self::Plain(seed) => crate::identity::IdentityKey::from_seed(seed.duplicate()).public(),
            Self::Sealed(sealed) => sealed.public,
        }
    }
}

/// What the file holds, and whether this run made it.
pub struct StoredIdentity {
    /// The seed, plain or sealed.
    pub stored: Stored,
    /// The file did not exist before: first run, tell the user where it is.
    pub created: bool,
}

/// Why the identity key could not be had. Whatever the reason, the file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFileError {
    /// The file exists and is not what we wrote.
    #[error("{}, line {line}: {what}; nothing was overwritten", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// Written by a newer version of facetty.
    #[error("{}, line {line}: made by a newer facetty (\"{found}\"); nothing was overwritten", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// The version line.
        found: String,
    },
    /// Others on this machine can read or change the key.
    #[error("{}: other users can read or change it (mode {mode:03o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another program put another identity there meanwhile.
    #[error("{}: holds another identity now; nothing was overwritten", path.display())]
    Exchanged {
        /// The file.
        path: PathBuf,
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

/// Reads the key at `path`; on first use makes one from `fresh` and writes it.
pub fn load_or_create(
    path: &Path,
    fresh: impl FnOnce() -> Secret<32>,
) -> Result<StoredIdentity, IdentityFileError> {
    if let Some(stored) = load(path)? {
        return Ok(StoredIdentity { stored, created: false });
    }
    let stored = Stored::Plain(fresh());
    match file::create_new(path, text::format(&stored).as_bytes()) {
        Ok(()) => Ok(StoredIdentity { stored, created: true }),
        // Another facetty was quicker: its key is the one on disk, so it is ours too.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => match load(path)? {
            Some(stored) => Ok(StoredIdentity { stored, created: false }),
            None => Err(IdentityFileError::Io { path: path.into(), source: e }),
        },
        Err(source) => Err(IdentityFileError::Io { path: path.into(), source }),
    }
}

/// Reads the key at `path`; `None` if there is no such file.
pub fn load(path: &Path) -> Result<Option<Stored>, IdentityFileError> {
    let io = |source| IdentityFileError::Io { path: path.into(), source };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    };
    if let Some(mode) = file::open_to_others(path).map_err(io)? {
        return Err(IdentityFileError::Exposed { path: path.into(), mode });
    }
    text::parse(path, &bytes).map(Some)
}

/// Puts the same identity's seed back in another form: under a passphrase, under another one, or
/// plain. One step: there is always one whole file. Refused if the file holds another identity by
/// now.
pub fn replace(path: &Path, stored: &Stored) -> Result<(), IdentityFileError> {
    let io = |source| IdentityFileError::Io { path: path.into(), source };
    let _lock = file::lock(&path.with_extension("lock")).map_err(io)?;
    match load(path)? {
        Some(before) if before.public() == stored.public() => {}
        _ => return Err(IdentityFileError::Exchanged { path: path.into() }),
    }
    file::replace(path, text::format(stored).as_bytes()).map_err(io)
}
