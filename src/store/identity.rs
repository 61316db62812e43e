//! The identity key's file: 32 bytes of Ed25519 seed as text, private, never overwritten.
//!
//! ```text
//! # facetty identity key. Whoever has this file is you in calls: never give it away.
//! facetty-identity 1
//! seed 9f2c…  (64 hexadecimal digits)
//! check 5d01c2aa
//! ```
//! `check` is the beginning of a SHA-256 over the seed: a changed digit would otherwise silently
//! be another identity.

use crate::secret::Secret;
use crate::store::file;
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const HEADER: &str =
    "# facetty identity key. Whoever has this file is you in calls: never give it away.";
const VERSION: &str = "facetty-identity 1";

/// The seed, and whether this run made it.
pub struct StoredIdentity {
    /// Ed25519 seed (RFC 8032 §5.1.5).
    pub seed: Secret<32>,
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
    if let Some(seed) = load(path)? {
        return Ok(StoredIdentity { seed, created: false });
    }
    let seed = fresh();
    match file::create_new(path, format(&seed).as_bytes()) {
        Ok(()) => Ok(StoredIdentity { seed, created: true }),
        // Another facetty was quicker: its key is the one on disk, so it is ours too.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => match load(path)? {
            Some(seed) => Ok(StoredIdentity { seed, created: false }),
            None => Err(IdentityFileError::Io { path: path.into(), source: e }),
        },
        Err(source) => Err(IdentityFileError::Io { path: path.into(), source }),
    }
}

/// Reads the key at `path`; `None` if there is no such file.
pub fn load(path: &Path) -> Result<Option<Secret<32>>, IdentityFileError> {
    let io = |source| IdentityFileError::Io { path: path.into(), source };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    };
    if let Some(mode) = file::open_to_others(path).map_err(io)? {
        return Err(IdentityFileError::Exposed { path: path.into(), mode });
    }
    parse(path, &bytes).map(Some)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Secret<32>, IdentityFileError> {
    let damaged = |line, what| IdentityFileError::Damaged { path: path.into(), line, what };
    let text = std::str::from_utf8(bytes).map_err(|_| damaged(1, "not text"))?;
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(n, line)| (n + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let last = text.lines().count().max(1);

    let (n, version) = lines.next().ok_or_else(|| damaged(last, "the file is empty"))?;
    if version != VERSION {
        return Err(match version.strip_prefix("facetty-identity ") {
            Some(number) if number.parse::<u32>().is_ok_and(|v| v > 1) => {
                IdentityFileError::Newer { path: path.into(), line: n, found: version.into() }
            }
            _ => damaged(n, "not a facetty identity key"),
        });
    }
    let (n, line) = lines.next().ok_or_else(|| damaged(last, "the line \"seed …\" is missing"))?;
    let digits = line.strip_prefix("seed ").ok_or_else(|| damaged(n, "expected \"seed …\""))?;
    let mut raw = Zeroizing::new([0u8; 32]);
    unhex(digits.trim(), raw.as_mut())
        .ok_or_else(|| damaged(n, "expected 64 hexadecimal digits after \"seed\""))?;
    let seed = Secret::take(&mut raw);

    let (n, line) = lines.next().ok_or_else(|| damaged(last, "the line \"check …\" is missing"))?;
    let mut check = [0u8; 4];
    line.strip_prefix("check ")
        .and_then(|digits| unhex(digits.trim(), &mut check))
        .ok_or_else(|| damaged(n, "expected \"check\" and 8 hexadecimal digits"))?;
    if check != checksum(&seed) {
        return Err(damaged(n, "the checksum does not fit: a digit of the seed was changed"));
    }
    match lines.next() {
        Some((n, _)) => Err(damaged(n, "unexpected text after the key")),
        None => Ok(seed),
    }
}

fn format(seed: &Secret<32>) -> Zeroizing<String> {
    use std::fmt::Write;
    let mut text = Zeroizing::new(String::with_capacity(256));
    let _ = write!(text, "{HEADER}\n{VERSION}\nseed ");
    for byte in seed.expose() {
        let _ = write!(text, "{byte:02x}");
    }
    text.push_str("\ncheck ");
    for byte in checksum(seed) {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    text
}

fn checksum(seed: &Secret<32>) -> [u8; 4] {
    let hash = Sha256::new().chain_update(b"facetty identity file 1").chain_update(seed.expose());
    let mut short = [0; 4];
    short.copy_from_slice(&hash.finalize()[..4]);
    short
}

fn unhex(text: &str, out: &mut [u8]) -> Option<()> {
    if text.len() != out.len() * 2 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |c: u8| (c as char).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn seed(n: u8) -> Secret<32> {
        Secret::build(|b| b.fill(n))
    }

    fn write(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[test]
    fn first_run_makes_the_key_and_the_next_run_finds_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("facetty/identity");
        let first = load_or_create(&path, || seed(7)).unwrap();
        assert!(first.created);
        let second = load_or_create(&path, || panic!("must not make another")).unwrap();
        assert!(!second.created);
        assert_eq!(second.seed.expose(), &[7; 32]);
    }

    #[test]
    fn damage_names_the_line_and_leaves_the_file() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("identity");
        load_or_create(&path, || seed(7)).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        let cases = [
            (String::new(), "line 1: the file is empty"),
            ("hello\n".into(), "line 1: not a facetty identity key"),
            (good.replace("identity 1", "identity 2"), "line 2: made by a newer facetty"),
            (good.replacen("seed 0", "seed 1", 1), "line 4: the checksum does not fit"),
            (good.replacen("seed 07", "seed ", 1), "line 3: expected 64 hexadecimal digits"),
            (good.lines().take(3).collect::<Vec<_>>().join("\n"), "line 3: the line \"check"),
            (format!("{good}x\n"), "line 5: unexpected text"),
        ];
        for (text, expected) in cases {
            write(&path, &text);
            let error = load_or_create(&path, || panic!("must not make another"));
            let message = error.err().unwrap().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(message.contains("nothing was overwritten"), "{message}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        write(&path, "x");
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(load(&path).err().unwrap().to_string().contains("not text"));
    }

    #[test]
    fn every_single_changed_character_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("identity");
        load_or_create(&path, || seed(0xa5)).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        let start = good.find("seed").unwrap();
        for i in start..good.len() - 1 {
            let mut bytes = good.clone().into_bytes();
            bytes[i] = if bytes[i] == b'0' { b'1' } else { b'0' };
            assert!(parse(&path, &bytes).is_err(), "character {i}");
        }
    }

    #[test]
    fn a_key_others_can_read_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("identity");
        load_or_create(&path, || seed(7)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = load(&path).err().unwrap();
        assert!(matches!(error, IdentityFileError::Exposed { mode: 0o644, .. }));
    }

    #[test]
    fn errors_do_not_contain_the_seed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("identity");
        load_or_create(&path, || seed(0x5a)).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        write(&path, &good.replacen("check ", "check 0", 1));
        let error = load(&path).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("5a5a"));
    }
}
