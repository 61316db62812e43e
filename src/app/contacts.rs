//! The contacts beside a call: what a call is told of them, and what they learn from it.

use crate::call::Known;
use crate::identity::{DisplayName, Fingerprint, IdentityPublic};
use crate::node::{Clock, NodeView};
use crate::store::contacts::{Contacts, ContactsError, How};
use crate::store::date;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The contacts as a call knows them.
pub fn known(contacts: &Contacts) -> Vec<Known> {
    contacts
        .iter()
        .map(|(identity, contact)| Known {
            identity: IdentityPublic(*identity),
            petname: contact.petname.clone(),
            names: contact.names.clone(),
            note: contact.note(),
        })
        .collect()
}

/// Today's date, as the files have it.
pub fn today() -> String {
    date::day(Clock::Real.now().wall)
}

/// Follows a call and notes in the contacts' file whom it brings together: met today, where
/// reached, and verified once the words were compared. Somebody whose key is in doubt is not
/// noted: next time that would make them a friend.
pub struct Book {
    path: PathBuf,
    expect: Option<Fingerprint>,
    noted: BTreeMap<[u8; 32], Noted>,
    broken: bool,
}

#[derive(Clone, PartialEq, Eq)]
struct Noted {
    name: String,
    /// Best last, as in the file.
    addresses: Vec<SocketAddr>,
    how: Option<How>,
}

impl Book {
    /// A book over the file `path`; who was named by `--expect` counts as verified by it.
    pub fn new(path: PathBuf, expect: Option<Fingerprint>) -> Self {
        Self { path, expect, noted: BTreeMap::new(), broken: false }
    }

    /// Notes what is new in `view`. After one failure it writes no more: the file is damaged, and
    /// said once.
    pub fn follow(&mut self, view: &NodeView) -> Result<(), ContactsError> {
        let news: Vec<_> = view
            .call
            .members
            .iter()
            .filter(|m| !m.is_me && !m.held)
            .map(|m| {
                let expected = self.expect.is_some_and(|wanted| wanted.matches(&m.identity));
                let how = match (m.compared, expected) {
                    (true, _) => Some(How::CallWords),
                    (false, true) => Some(How::Fingerprint),
                    (false, false) => None,
                };
                let addresses = m.addresses.iter().rev().copied().collect();
                (m.identity.0, Noted { name: m.claimed.clone(), addresses, how })
            })
            .filter(|(identity, noted)| self.noted.get(identity) != Some(noted))
            .collect();
        if news.is_empty() || self.broken {
            return Ok(());
        }
        let today = today();
        let result = Contacts::update(&self.path, |contacts| {
            for (identity, noted) in &news {
                let name = DisplayName::sanitise(&noted.name);
                contacts.meet(*identity, &name, &noted.addresses, &today);
                let before = self.noted.get(identity).and_then(|n| n.how);
                if let Some(how) = noted.how.filter(|how| before != Some(*how)) {
                    contacts.verify(identity, how, &today);
                }
            }
        });
        self.noted.extend(news);
        self.broken = result.is_err();
        result
    }
}
