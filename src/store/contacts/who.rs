//! Whom a user means by a word on the command line: a petname, a claimed name or a fingerprint.

use super::{Contact, Contacts};
use crate::identity::{DisplayName, Fingerprint, IdentityPublic};

/// Why a word doesn't name one contact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhoError {
    /// No contact is called so.
    #[error("no contact is called so")]
    Nobody,
    /// More than one is.
    #[error("several contacts are called so: {}", .0.join(", "))]
    Several(Vec<String>),
    /// As a petname: another contact has it, or one that looks the same.
    #[error("another contact is called “{0}”, or looks the same")]
    Taken(String),
}

impl Contacts {
    /// The contact a user means: by fingerprint (short or full), else by petname, else by a claimed
    /// name; capital letters don't matter. A petname wins over somebody else's claim.
    pub fn who(&self, word: &str) -> Result<([u8; 32], &Contact), WhoError> {
        if let Ok(fingerprint) = word.parse::<Fingerprint>() {
            let found = |k: &[u8; 32]| fingerprint.matches(&IdentityPublic(*k));
            if let Some((key, contact)) = self.iter().find(|(k, _)| found(k)) {
                return Ok((*key, contact));
            }
        }
        let wanted = folded(word);
        let by_petname = |c: &Contact| c.petname.iter().any(|n| folded(n) == wanted);
        let by_claim =
            |c: &Contact| c.petname.is_none() && c.names.iter().any(|n| folded(n) == wanted);
        let by_old_name = |c: &Contact| c.names.iter().any(|n| folded(n) == wanted);
        self.only(by_petname)
            .or_else(|| self.only(by_claim))
            .or_else(|| self.only(by_old_name))
            .unwrap_or(Err(WhoError::Nobody))
    }

    fn only(
        &self,
        named: impl Fn(&Contact) -> bool,
    ) -> Option<Result<([u8; 32], &Contact), WhoError>> {
        let mut found = self.iter().filter(|(_, c)| named(c));
        let (key, contact) = found.next()?;
        let others: Vec<_> = found.map(|(_, c)| c.fingerprint.clone()).collect();
        if others.is_empty() {
            return Some(Ok((*key, contact)));
        }
        let all = std::iter::once(contact.fingerprint.clone()).chain(others).collect();
        Some(Err(WhoError::Several(all)))
    }
}

fn folded(name: &str) -> String {
    DisplayName::sanitise(name).as_str().to_lowercase()
}
