//! The key file's text, both forms.

use super::{IdentityFileError, Stored};
use crate::identity::IdentityPublic;
use crate::identity::sealed::{Cost, SealedSeed};
use crate::secret::Secret;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::Path;
use zeroize::Zeroizing;

const HEADER: &str =
    "# facetty identity key. Whoever has this file is you in calls: never give it away.";
const VERSION: &str = "facetty-identity 1";
const SEALED_HEADER: &str =
    "# facetty identity key, under a passphrase. Whoever has both is you in calls.";
const SEALED_VERSION: &str = "facetty-identity 2";

/// A line and its number, from 1.
type Line<'t> = (usize, &'t str);

/// The lines that say something, and how to complain about them.
struct Lines<'t> {
    lines: Vec<Line<'t>>,
    next: usize,
    last: usize,
    path: &'t Path,
}

impl<'t> Lines<'t> {
    fn damaged(&self, line: usize, what: &'static str) -> IdentityFileError {
        IdentityFileError::Damaged { path: self.path.into(), line, what }
    }

    fn take(&mut self, missing: &'static str) -> Result<Line<'t>, IdentityFileError> {
        let line = self.lines.get(self.next).copied();
        self.next += 1;
        line.ok_or_else(|| self.damaged(self.last, missing))
    }

    fn end(&self) -> Result<(), IdentityFileError> {
        match self.lines.get(self.next) {
            Some((n, _)) => Err(self.damaged(*n, "unexpected text after the key")),
            None => Ok(()),
        }
    }
}

/// Reads either form.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Stored, IdentityFileError> {
    let damaged = |line, what| IdentityFileError::Damaged { path: path.into(), line, what };
    let text = std::str::from_utf8(bytes).map_err(|_| damaged(1, "not text"))?;
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect();
    let last = text.lines().count().max(1);
    let mut lines = Lines { lines, next: 0, last, path };

    let (n, version) = lines.take("the file is empty")?;
    let stored = match version {
        VERSION => Stored::Plain(plain(&mut lines)?),
        SEALED_VERSION => Stored::Sealed(sealed(&mut lines)?),
        other => {
            let number = other.strip_prefix("facetty-identity ").and_then(|v| v.parse().ok());
            return Err(if number.is_some_and(|v: u32| v > 2) {
                IdentityFileError::Newer { path: path.into(), line: n, found: other.into() }
            } else {
                damaged(n, "not a facetty identity key")
            });
        }
    };
    lines.end()?;
    Ok(stored)
}

fn plain(lines: &mut Lines<'_>) -> Result<Secret<32>, IdentityFileError> {
    let (n, line) = lines.take("the line \"seed …\" is missing")?;
    let digits =
        line.strip_prefix("seed ").ok_or_else(|| lines.damaged(n, "expected \"seed …\""))?;
    let mut raw = Zeroizing::new([0u8; 32]);
    unhex(digits.trim(), raw.as_mut())
        .ok_or_else(|| lines.damaged(n, "expected 64 hexadecimal digits after \"seed\""))?;
    let seed = Secret::take(&mut raw);
    let wrong = "the checksum does not fit: a digit of the seed was changed";
    checked(lines, checksum(b"facetty identity file 1", &[seed.expose()]), wrong)?;
    Ok(seed)
}

fn sealed(lines: &mut Lines<'_>) -> Result<SealedSeed, IdentityFileError> {
    let from = lines.next;
    let (n, line) = lines.take("the line \"public …\" is missing")?;
    let mut public = [0; 32];
    line.strip_prefix("public ")
        .and_then(|digits| unhex(digits, &mut public))
        .ok_or_else(|| lines.damaged(n, "expected \"public\" and 64 hexadecimal digits"))?;

    let (n, line) = lines.take("the line \"argon2id …\" is missing")?;
    let mut salt = [0; 16];
    let cost = costs(line, &mut salt).ok_or_else(|| {
        lines.damaged(n, "expected \"argon2id memory=… passes=… lanes=… salt=…\"")
    })?;
    if !cost.is_reasonable() {
        return Err(lines.damaged(n, "Argon2id would cost more than this facetty does"));
    }

    let (n, line) = lines.take("the line \"xchacha20-poly1305 …\" is missing")?;
    let (mut nonce, mut sealed) = ([0; 24], [0; 48]);
    let mut words = line.split(' ');
    let named = words.next() == Some("xchacha20-poly1305");
    let read = field(words.next(), "nonce=").and_then(|t| unhex(t, &mut nonce)).is_some()
        && field(words.next(), "sealed=").and_then(|t| unhex(t, &mut sealed)).is_some();
    if !named || !read || words.next().is_some() {
        return Err(lines.damaged(n, "expected \"xchacha20-poly1305 nonce=… sealed=…\""));
    }

    let above: Vec<&[u8]> =
        lines.lines.iter().skip(from).take(3).map(|(_, line)| line.as_bytes()).collect();
    let wrong = "the checksum does not fit: a character above was changed";
    checked(lines, checksum(b"facetty identity file 2", &above), wrong)?;
    Ok(SealedSeed { public: IdentityPublic(public), cost, salt, nonce, sealed })
}

fn costs(line: &str, salt: &mut [u8; 16]) -> Option<Cost> {
    let mut words = line.split(' ');
    if words.next() != Some("argon2id") {
        return None;
    }
    let mut number = |name| field(words.next(), name)?.parse().ok();
    let cost =
        Cost { memory: number("memory=")?, passes: number("passes=")?, lanes: number("lanes=")? };
    unhex(field(words.next(), "salt=")?, salt)?;
    words.next().is_none().then_some(cost)
}

fn field<'t>(word: Option<&'t str>, name: &str) -> Option<&'t str> {
    word?.strip_prefix(name)
}

fn checked(
    lines: &mut Lines<'_>,
    expected: [u8; 4],
    wrong: &'static str,
) -> Result<(), IdentityFileError> {
    let (n, line) = lines.take("the line \"check …\" is missing")?;
    let mut check = [0u8; 4];
    line.strip_prefix("check ")
        .and_then(|digits| unhex(digits.trim(), &mut check))
        .ok_or_else(|| lines.damaged(n, "expected \"check\" and 8 hexadecimal digits"))?;
    if check == expected { Ok(()) } else { Err(lines.damaged(n, wrong)) }
}

/// Writes either form.
pub(super) fn format(stored: &Stored) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(512));
    let check = match stored {
        Stored::Plain(seed) => {
            let _ = write!(text, "{HEADER}\n{VERSION}\nseed ");
            hex(&mut text, seed.expose());
            text.push('\n');
            checksum(b"facetty identity file 1", &[seed.expose()])
        }
        Stored::Sealed(s) => {
            let _ = write!(text, "{SEALED_HEADER}\n{SEALED_VERSION}\n");
            let from = text.len();
            text.push_str("public ");
            hex(&mut text, &s.public.0);
            let Cost { memory, passes, lanes } = s.cost;
            let _ = write!(text, "\nargon2id memory={memory} passes={passes} lanes={lanes} salt=");
            hex(&mut text, &s.salt);
            text.push_str("\nxchacha20-poly1305 nonce=");
            hex(&mut text, &s.nonce);
            text.push_str(" sealed=");
            hex(&mut text, &s.sealed);
            text.push('\n');
            let above: Vec<&[u8]> = text.split_at(from).1.lines().map(str::as_bytes).collect();
            checksum(b"facetty identity file 2", &above)
        }
    };
    text.push_str("check ");
    hex(&mut text, &check);
    text.push('\n');
    text
}

fn checksum(label: &[u8], parts: &[&[u8]]) -> [u8; 4] {
    let mut hash = Sha256::new().chain_update(label);
    for part in parts {
        hash.update(part);
    }
    let hash: [u8; 32] = hash.finalize().into();
    [hash[0], hash[1], hash[2], hash[3]]
}

fn hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
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
