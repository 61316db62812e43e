//! The identity of this machine's user: read, or made on first run; opened with its passphrase.

use crate::app::exit::{Exit, Failure};
use crate::app::paths::Paths;
use crate::identity::sealed::{OpenError, SealedSeed};
use crate::identity::{IdentityKey, IdentityPublic};
use crate::secret::Secret;
use crate::store;
use crate::store::identity::{Stored, StoredIdentity};
use crate::term::{AskError, ask};
use rand::TryRngCore;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Scripts put the passphrase into a file and name it here.
pub const PASSPHRASE_FILE: &str = "FACETTY_PASSPHRASE_FILE";
/// Somebody at the terminal has this many tries.
const TRIES: usize = 3;
/// Longest passphrase file read, in bytes.
const LONGEST: u64 = 4096;

/// An identity key, and whether this run made it.
pub struct OwnIdentity {
    /// The key.
    pub key: IdentityKey,
    /// First run: say where the key is, in one line.
    pub created: bool,
}

/// Reads the identity key, or makes it; asks for its passphrase if it has one.
pub fn own(paths: &Paths) -> Result<OwnIdentity, Failure> {
    let StoredIdentity { stored, created } = stored(paths)?;
    let seed = match stored {
        Stored::Plain(seed) => seed,
        Stored::Sealed(sealed) => open(&sealed)?,
    };
    Ok(OwnIdentity { key: IdentityKey::from_seed(seed), created })
}

/// The identity's public half, for which no passphrase is needed; makes the key on first use.
pub fn own_public(paths: &Paths) -> Result<IdentityPublic, Failure> {
    Ok(stored(paths)?.stored.public())
}

/// What the key file holds; makes it on first use.
pub fn stored(paths: &Paths) -> Result<StoredIdentity, Failure> {
    // Asked for beforehand: a failing generator must not leave a key of zeros on the disk.
    let mut fresh = [0; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut fresh).map_err(|e| {
        Failure::new(Exit::Bug, format_args!("the system gives no random numbers: {e}"))
    })?;
    let fresh = Secret::take(&mut fresh);
    Ok(store::identity::load_or_create(&paths.identity, || fresh)?)
}

/// Opens a sealed key with the passphrase from the file that the environment names, or as typed.
pub fn open(sealed: &SealedSeed) -> Result<Secret<32>, Failure> {
    if let Some(path) = std::env::var_os(PASSPHRASE_FILE).filter(|p| !p.is_empty()) {
        let path = PathBuf::from(path);
        let passphrase = passphrase_from(&path)?;
        return sealed.open(passphrase.as_bytes()).map_err(|e| {
            cannot_open(e).cause(format_args!("it was read from {}", path.display()))
        });
    }
    for left in (0..TRIES).rev() {
        let typed = ask("Passphrase of your identity key: ").map_err(no_answer)?;
        match sealed.open(typed.as_bytes()) {
            Ok(seed) => return Ok(seed),
            Err(OpenError::WrongPassphrase) if left > 0 => {}
            Err(e) => return Err(cannot_open(e)),
        }
    }
    Err(cannot_open(OpenError::WrongPassphrase))
}

fn cannot_open(error: OpenError) -> Failure {
    Failure::new(Exit::Config, format_args!("the identity key stays closed: {error}"))
        .next("try again; without the passphrase nothing opens this key")
}

/// No terminal, or Ctrl-C at the question.
pub fn no_answer(error: AskError) -> Failure {
    match error {
        AskError::Interrupted => Failure::new(Exit::Interrupted, "interrupted"),
        AskError::NoTerminal => Failure::new(
            Exit::Config,
            "the identity key has a passphrase and there is no terminal to ask on",
        )
        .next(format_args!("put it into a private file and name that in {PASSPHRASE_FILE}")),
        AskError::Io(e) => {
            Failure::new(Exit::Device, format_args!("the terminal can't be used: {e}"))
        }
    }
}

/// The first line of a file, which others must not be able to read.
pub fn passphrase_from(path: &Path) -> Result<Zeroizing<String>, Failure> {
    use std::io::{BufRead, BufReader, Read};
    let unusable = |e: &dyn std::fmt::Display| {
        Failure::new(Exit::Config, format_args!("the passphrase file {}: {e}", path.display()))
    };
    let file = std::fs::File::open(path).map_err(|e| unusable(&e))?;
    let regular = file.metadata().map_err(|e| unusable(&e))?.is_file();
    let open = store::file::open_to_others(path).map_err(|e| unusable(&e))?;
    if let Some(mode) = open.filter(|_| regular) {
        let what = format!("other users can read or change it (mode {mode:03o})");
        return Err(unusable(&what).next(format_args!("chmod 600 {}", path.display())));
    }
    let mut line = Zeroizing::new(String::with_capacity(LONGEST as usize));
    BufReader::new(file.take(LONGEST)).read_line(&mut line).map_err(|e| unusable(&e))?;
    let kept = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(kept);
    if line.is_empty() { Err(unusable(&"it is empty")) } else { Ok(line) }
}

/// The line for a first run.
pub fn first_run_line(paths: &Paths, own: &OwnIdentity) -> Option<String> {
    let fingerprint = crate::identity::Fingerprint::of(&own.key.public());
    own.created.then(|| {
        format!("Made your identity key: {fingerprint}, kept in {}", paths.identity.display())
    })
}
