//! Contacts: whose identity keys this machine has met, under which names, and whether the keys
//! were compared. A damaged file is an error, never an empty list: an empty list would turn every
//! friend into a stranger, and every impostor into just another one.

mod file;
#[cfg(test)]
mod tests;
mod who;

pub use file::ContactsError;
pub use who::WhoError;

use crate::identity::DisplayName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Names remembered per contact, newest last.
const NAMES: usize = 8;
/// Addresses remembered per contact, newest last.
const ADDRESSES: usize = 8;

/// One contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// The key's fingerprint, short: a changed digit of the key above it is noticed by this.
    pub fingerprint: String,
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

impl Contact {
    /// What to call them: the petname, else the newest claimed name, else the fingerprint.
    pub fn name(&self) -> &str {
        self.petname
            .as_deref()
            .or(self.names.last().map(String::as_str))
            .unwrap_or(&self.fingerprint)
    }

    /// "verified 2026-08-29, call words" or "met 2026-08-29, not verified".
    pub fn note(&self) -> String {
        match &self.verified {
            Some(verified) => format!("verified {}, {}", verified.on, verified.how.words()),
            None => format!("met {}, not verified", self.met),
        }
    }
}

/// All contacts, by identity key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contacts {
    by_identity: BTreeMap<[u8; 32], Contact>,
}

impl Contacts {
    /// The contact with this identity key.
    pub fn find(&self, identity: &[u8; 32]) -> Option<&Contact> {
        self.by_identity.get(identity)
    }

    /// Every contact, ordered by identity key.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8; 32], &Contact)> {
        self.by_identity.iter()
    }

    /// Notes a call with this identity: the name it claims, where it was reached, `today`.
    pub fn meet(
        &mut self,
        identity: [u8; 32],
        name: &DisplayName,
        addresses: &[SocketAddr],
        today: &str,
    ) -> &mut Contact {
        let contact = self.by_identity.entry(identity).or_insert_with(|| Contact {
            fingerprint: file::short(&identity),
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

    /// Notes that the keys of a contact were compared; whether there is such a contact.
    pub fn verify(&mut self, identity: &[u8; 32], how: How, today: &str) -> bool {
        let Some(contact) = self.by_identity.get_mut(identity) else { return false };
        contact.verified = Some(Verified { on: today.into(), how });
        true
    }

    /// Gives a contact our user's own name for it, or takes it away. Refused if another contact
    /// is called so: a petname stands for one key.
    pub fn name(
        &mut self,
        identity: &[u8; 32],
        name: Option<&DisplayName>,
    ) -> Result<(), WhoError> {
        if let Some(name) = name {
            let skeleton = name.skeleton();
            let taken = |(key, other): (&[u8; 32], &Contact)| {
                let same = |n: &String| DisplayName::sanitise(n).skeleton() == skeleton;
                *key != *identity && other.petname.iter().any(same)
            };
            if self.by_identity.iter().any(taken) {
                return Err(WhoError::Taken(name.to_string()));
            }
        }
        let contact = self.by_identity.get_mut(identity).ok_or(WhoError::Nobody)?;
        contact.petname = name.map(DisplayName::to_string);
        Ok(())
    }

    /// Forgets this identity; whether it was known.
    pub fn forget(&mut self, identity: &[u8; 32]) -> bool {
        self.by_identity.remove(identity).is_some()
    }
}

/// Moves `new` to the end of `list` and keeps the newest `most`.
fn remember<T: PartialEq>(list: &mut Vec<T>, new: T, most: usize) {
    list.retain(|old| *old != new);
    list.push(new);
    let extra = list.len().saturating_sub(most);
    list.drain(..extra);
}
