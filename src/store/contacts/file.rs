//! The contacts' file: TOML, edited by people at times. Each key stands above its fingerprint and
//! the last lines count the contacts, so that neither a changed digit nor a cut goes unnoticed.

use super::{Contact, Contacts};
use crate::identity::{DisplayName, Fingerprint, IdentityPublic};
use crate::store::{date, file};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

const HEADER: &str = "# facetty contacts. Edit petnames as you like.";
const VERSION: u32 = 2;

/// Why contacts could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ContactsError {
    /// The file is not what we wrote. It is left as it is.
    #[error("{}, line {line}: {what}; nothing was overwritten", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// What is wrong there.
        what: String,
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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnDisk {
    version: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    contact: BTreeMap<String, Contact>,
    /// Comes last: a file that was cut short lacks it.
    #[serde(default)]
    end: Option<End>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    contacts: usize,
}

impl Contacts {
    /// Reads `path`. No such file: no contacts yet.
    pub fn load(path: &Path) -> Result<Self, ContactsError> {
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(path, &bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(ContactsError::Io { path: path.into(), source }),
        }
    }

    /// Reads, lets `change` work, writes – while no other facetty can do the same.
    pub fn update<T>(path: &Path, change: impl FnOnce(&mut Self) -> T) -> Result<T, ContactsError> {
        let io = |source| ContactsError::Io { path: path.into(), source };
        if let Some(dir) = path.parent() {
            file::private_dir(dir).map_err(io)?;
        }
        let _lock = file::lock(&path.with_extension("lock")).map_err(io)?;
        let before = Self::load(path)?;
        let mut after = before.clone();
        let result = change(&mut after);
        if after != before {
            file::replace(path, after.to_text().as_bytes()).map_err(io)?;
        }
        Ok(result)
    }

    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ContactsError> {
        let damaged = |line, what: String| ContactsError::Damaged { path: path.into(), line, what };
        let text = std::str::from_utf8(bytes).map_err(|e| {
            let before = bytes.get(..e.valid_up_to()).unwrap_or_default();
            damaged(before.iter().filter(|b| **b == b'\n').count() + 1, "not text".into())
        })?;
        let disk: OnDisk = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(1, |s| line_of(text, s.start));
            damaged(line, e.message().trim().replace('\n', " "))
        })?;
        if disk.version != VERSION {
            let age = if disk.version > VERSION { "a newer" } else { "an unknown" };
            let what = format!("made by {age} facetty (version {})", disk.version);
            return Err(damaged(line_containing(text, "version"), what));
        }
        let last = text.lines().count().max(1);
        match disk.end {
            None => return Err(damaged(last, "the file was cut short: its end is missing".into())),
            Some(end) if end.contacts != disk.contact.len() => {
                let (found, all) = (disk.contact.len(), end.contacts);
                return Err(damaged(last, format!("{found} contacts, but it says {all}")));
            }
            Some(_) => {}
        }
        let mut by_identity = BTreeMap::new();
        for (key, contact) in disk.contact {
            let line = line_containing(text, &key);
            let identity = unhex(&key).ok_or_else(|| {
                damaged(line, "an identity key is 64 hexadecimal digits".to_string())
            })?;
            check(&identity, &contact).map_err(|what| damaged(line, what))?;
            if by_identity.insert(identity, contact).is_some() {
                return Err(damaged(line, "the same identity key twice".to_string()));
            }
        }
        Ok(Self { by_identity })
    }

    pub(super) fn to_text(&self) -> String {
        let contact: BTreeMap<_, _> =
            self.by_identity.iter().map(|(k, c)| (hex(k), c.clone())).collect();
        let end = Some(End { contacts: contact.len() });
        let disk = OnDisk { version: VERSION, contact, end };
        // Strings, lists and integers only: this has nothing to fail on.
        let body = toml::to_string_pretty(&disk).unwrap_or_default();
        format!("{HEADER}\n{body}")
    }
}

/// What the types can't say: the key fits its fingerprint, days exist, names can be shown.
fn check(identity: &[u8; 32], contact: &Contact) -> Result<(), String> {
    if contact.fingerprint != short(identity) {
        return Err("the fingerprint does not fit: a digit of this key was changed".into());
    }
    let days = [Some(&contact.met), contact.verified.as_ref().map(|v| &v.on)];
    if let Some(bad) = days.into_iter().flatten().find(|d| !date::is_day(d)) {
        return Err(format!("\"{}\" is not a date like 2026-08-29", bad.escape_debug()));
    }
    for name in contact.petname.iter().chain(&contact.names) {
        DisplayName::parse(name).map_err(|e| format!("\"{}\": {e}", name.escape_debug()))?;
    }
    Ok(())
}

/// The short fingerprint.
pub(super) fn short(identity: &[u8; 32]) -> String {
    Fingerprint::of(&IdentityPublic(*identity)).to_string()
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

fn line_containing(text: &str, word: &str) -> usize {
    text.find(word).map_or(1, |offset| line_of(text, offset))
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Lower case only: one key has one form.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(out)
}
