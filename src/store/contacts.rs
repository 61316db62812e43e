//! Contacts: whose identity keys this machine has met, under which names, and whether the keys
//! were compared. A damaged file is an error, never an empty list: an empty list would turn every
//! friend into a stranger, and every impostor into just another one.

use crate::store::{date, file};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Names remembered per contact, newest last.
const NAMES: usize = 8;
/// Addresses remembered per contact, newest last.
const ADDRESSES: usize = 8;

/// One contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// Our user's own name for this person; wins over any claimed name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub petname: Option<String>,
    /// Names this identity has claimed in calls, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// First call together, `YYYY-MM-DD`.
    pub met: String,
    /// When the keys were last compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// Where they were last reached, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<SocketAddr>,
}

/// A comparison of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// `YYYY-MM-DD`.
    pub on: String,
    /// How.
    pub how: How,
}

/// How keys were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Call words, read aloud in a call.
    CallWords,
    /// Safety words, compared outside a call.
    SafetyWords,
    /// The fingerprint was given beforehand (`--expect`).
    Fingerprint,
}

impl How {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::CallWords => "call words",
            Self::SafetyWords => "safety words",
            Self::Fingerprint => "fingerprint",
        }
    }
}

/// All contacts, by identity key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contacts {
    by_identity: BTreeMap<[u8; 32], Contact>,
}

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

    /// The contact with this identity key.
    pub fn find(&self, identity: &[u8; 32]) -> Option<&Contact> {
        self.by_identity.get(identity)
    }

    /// Every contact, ordered by identity key.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8; 32], &Contact)> {
        self.by_identity.iter()
    }

    /// Contacts who are called or have claimed `name` (compared by `same`), with another key than
    /// `identity`: somebody who looks like them but isn't.
    pub fn namesakes<'a>(
        &'a self,
        identity: &'a [u8; 32],
        same: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = (&'a [u8; 32], &'a Contact)> {
        self.by_identity.iter().filter(move |(key, contact)| {
            *key != identity && contact.petname.iter().chain(&contact.names).any(|name| same(name))
        })
    }

    /// Notes a call with this identity: the name it claims, where it was reached, `today`.
    pub fn meet(
        &mut self,
        identity: [u8; 32],
        name: &str,
        addresses: &[SocketAddr],
        today: &str,
    ) -> &mut Contact {
        let contact = self.by_identity.entry(identity).or_insert_with(|| Contact {
            petname: None,
            names: Vec::new(),
            met: today.into(),
            verified: None,
            addresses: Vec::new(),
        });
        remember(&mut contact.names, name.to_string(), NAMES);
        for address in addresses {
            remember(&mut contact.addresses, *address, ADDRESSES);
        }
        contact
    }

    /// Forgets this identity; whether it was known.
    pub fn forget(&mut self, identity: &[u8; 32]) -> bool {
        self.by_identity.remove(identity).is_some()
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ContactsError> {
        let damaged = |line, what: String| ContactsError::Damaged { path: path.into(), line, what };
        let text = std::str::from_utf8(bytes).map_err(|_| damaged(1, "not text".to_string()))?;
        let disk: OnDisk = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(1, |s| line_of(text, s.start));
            damaged(line, e.message().trim().replace('\n', " "))
        })?;
        if disk.version != 1 {
            let line = line_containing(text, "version");
            return Err(damaged(
                line,
                format!("made by a newer facetty (version {})", disk.version),
            ));
        }
        let mut by_identity = BTreeMap::new();
        for (key, contact) in disk.contact {
            let line = line_containing(text, &key);
            let identity = unhex(&key).ok_or_else(|| {
                damaged(line, "an identity key is 64 hexadecimal digits".to_string())
            })?;
            let days = [Some(&contact.met), contact.verified.as_ref().map(|v| &v.on)];
            if let Some(bad) = days.into_iter().flatten().find(|d| !date::is_day(d)) {
                return Err(damaged(line, format!("\"{bad}\" is not a date like 2026-08-29")));
            }
            if by_identity.insert(identity, contact).is_some() {
                return Err(damaged(line, "the same identity key twice".to_string()));
            }
        }
        Ok(Self { by_identity })
    }

    fn to_text(&self) -> String {
        let contact = self.by_identity.iter().map(|(k, c)| (hex(k), c.clone())).collect();
        let disk = OnDisk { version: 1, contact };
        // Strings, lists and integers only: this has nothing to fail on.
        let body = toml::to_string_pretty(&disk).unwrap_or_default();
        format!("# facetty contacts. Edit petnames as you like.\n{body}")
    }
}

/// Moves `new` to the end of `list` and keeps the newest `most`.
fn remember<T: PartialEq>(list: &mut Vec<T>, new: T, most: usize) {
    list.retain(|old| *old != new);
    list.push(new);
    let extra = list.len().saturating_sub(most);
    list.drain(..extra);
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

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn met(path: &Path, n: u8, name: &str) {
        let at = "192.0.2.7:4433".parse().unwrap();
        Contacts::update(path, |c| {
            c.meet([n; 32], name, &[at], "2026-08-29");
        })
        .unwrap();
    }

    #[test]
    fn what_is_written_is_read_back() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("contacts.toml");
        assert_eq!(Contacts::load(&path).unwrap(), Contacts::default());
        met(&path, 1, "Ada \"the\" first\n");
        met(&path, 2, "Ben");
        Contacts::update(&path, |c| {
            let ada = c.meet([1; 32], "Ada", &[], "2026-08-30");
            ada.petname = Some("Sister".into());
            ada.verified = Some(Verified { on: "2026-08-30".into(), how: How::CallWords });
        })
        .unwrap();
        let read = Contacts::load(&path).unwrap();
        let ada = read.find(&[1; 32]).unwrap();
        assert_eq!(ada.names, ["Ada \"the\" first\n", "Ada"]);
        assert_eq!(ada.met, "2026-08-29", "the first meeting stays");
        assert_eq!(ada.verified.as_ref().unwrap().how, How::CallWords);
        assert_eq!(read.iter().count(), 2);
    }

    #[test]
    fn damage_is_an_error_with_a_line_and_never_an_empty_list() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("contacts.toml");
        met(&path, 1, "Ada");
        let good = fs::read_to_string(&path).unwrap();
        let cases = [
            (good.replace("met = ", "met "), "line 6"),
            (good.replace("2026-08-29", "2026-02-30"), "is not a date"),
            (good.replace("version = 1", "version = 9"), "line 2: made by a newer facetty"),
            (good.replace("[contact.0101", "[contact.xx01"), "64 hexadecimal digits"),
            (format!("{good}\ncolour = 1\n"), "unknown field"),
            (String::new(), "version"),
        ];
        for (text, expected) in cases {
            fs::write(&path, &text).unwrap();
            let message = Contacts::update(&path, |c| c.forget(&[1; 32])).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(message.contains("nothing was overwritten"));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn namesakes_with_another_key_are_found() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("contacts.toml");
        met(&path, 1, "Ada");
        let contacts = Contacts::load(&path).unwrap();
        let like = |name: &str| name.eq_ignore_ascii_case("ada");
        assert_eq!(contacts.namesakes(&[2; 32], like).count(), 1);
        assert_eq!(contacts.namesakes(&[1; 32], like).count(), 0);
    }

    #[test]
    fn memory_of_names_and_addresses_is_bounded() {
        let mut contacts = Contacts::default();
        for n in 0..100u16 {
            let at = SocketAddr::from(([192, 0, 2, 1], n));
            contacts.meet([1; 32], &format!("name {n}"), &[at], "2026-08-29");
        }
        let contact = contacts.find(&[1; 32]).unwrap();
        assert_eq!((contact.names.len(), contact.addresses.len()), (NAMES, ADDRESSES));
        assert_eq!(contact.names.last().unwrap(), "name 99");
    }
}
