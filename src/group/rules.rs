//! The words of the rules: whose credential, what is asked for, why somebody is out, and how a
//! rule can be broken. The rules themselves are in `policy`.

use super::bytes::{Malformed, Reader, put_count};
use super::state::Impossible;
use crate::wire::link::MemberId;
use openmls::prelude::LeafNode;
use std::collections::BTreeMap;

/// What a credential says once it has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedCredential {
    /// Identity key.
    pub identity: [u8; 32],
    /// Leaf key the credential speaks for.
    pub leaf_key: [u8; 32],
}

/// A credential did not pass, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CredentialRefused(pub String);

/// Checks credentials: layout, identity signature, group id, validity. MLS leaves all of that to
/// the application (RFC 9420 §5.3.1).
pub trait CredentialCheck {
    /// The identity and leaf key of a credential that is valid now, in this group.
    fn check(&self, credential: &[u8]) -> Result<CheckedCredential, CredentialRefused>;
}

impl<F: Fn(&[u8]) -> Result<CheckedCredential, CredentialRefused>> CredentialCheck for F {
    fn check(&self, credential: &[u8]) -> Result<CheckedCredential, CredentialRefused> {
        self(credential)
    }
}

/// A member broke the rules. What it sent has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{by}: {what}")]
pub struct PolicyViolation {
    /// The member that signed it.
    pub by: MemberId,
    /// What it tried.
    pub what: Violation,
}

/// The ways to break the rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A commit by somebody else than the sequencer.
    #[error("committed without being the sequencer")]
    NotSequencer,
    /// Signed by no member of this epoch, or from outside the group.
    #[error("not a member")]
    NotAMember,
    /// Another kind of proposal than the allowed ones, or an allowed one where it doesn't belong.
    #[error("a proposal of a kind that isn't allowed there")]
    Kind,
    /// Adds somebody without being host or admitter.
    #[error("added somebody without being host or admitter")]
    MayNotAdd,
    /// Adds somebody the lock doesn't let back in.
    #[error("added somebody while the group is locked")]
    Locked,
    /// Removes somebody else without being the host, or for a reason it may not give.
    #[error("removed somebody it may not remove")]
    MayNotRemove,
    /// An identity that is in the group already.
    #[error("added an identity that is in the group already")]
    IdentityTwice,
    /// The credential of the added member is not valid.
    #[error("added an invalid credential: {0}")]
    Credential(CredentialRefused),
    /// A leaf's credential or signature key changed, or isn't the one the credential names.
    #[error("swapped a credential or signature key")]
    Swapped,
    /// A leaf with other capabilities or extensions, or of another suite.
    #[error("a leaf that isn't of this protocol")]
    Leaf,
    /// A commit without fresh keys of the committer.
    #[error("committed without new keys")]
    NoPath,
    /// A pre-shared key that isn't an invite's, or without somebody added.
    #[error("a pre-shared key that doesn't belong there")]
    Psk,
    /// The commit's note on removals is malformed or doesn't fit its removals.
    #[error("a note that doesn't fit the commit")]
    Note,
    /// Group context extensions other than the required ones, or a state that doesn't parse.
    #[error("changed the group context")]
    Context,
    /// The group state is not the one that follows from the commit.
    #[error("a group state that doesn't follow from the commit")]
    State,
    /// No group state follows from the commit.
    #[error("{0}")]
    Impossible(#[from] Impossible),
    /// More proposals in one epoch than anybody needs.
    #[error("too many proposals")]
    TooMany,
    /// A proposal that no commit can contain, found when committing.
    #[error("a proposal that can't be committed: {0}")]
    Poisoned(String),
}

/// Why somebody is no longer a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Asked to leave.
    Left,
    /// The host decided.
    Decision,
    /// The sequencer says it can't be heard.
    Lost,
}

/// What a proposal asks the sequencer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The proposer wants to leave.
    Leave,
    /// The host wants this member removed. About the sequencer itself: it should hand over, then
    /// the host asks again.
    Remove(MemberId),
    /// The proposer changes its keys (healing).
    Update,
}

/// A member as its credential describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) credential: Vec<u8>,
    pub(super) identity: [u8; 32],
    pub(super) leaf_key: [u8; 32],
}

impl Person {
    pub(super) fn checked(
        credential: &[u8],
        check: &dyn CredentialCheck,
    ) -> Result<Self, CredentialRefused> {
        let CheckedCredential { identity, leaf_key } = check.check(credential)?;
        Ok(Self { credential: credential.to_vec(), identity, leaf_key })
    }

    pub(super) fn sits_on(&self, leaf: &LeafNode) -> bool {
        leaf.credential().serialized_content() == self.credential
            && leaf.signature_key().as_slice() == self.leaf_key
    }
}

/// A commit's authenticated data: why its committer removed whom. Empty when it didn't.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Note(pub(super) BTreeMap<u8, Reason>);

impl Note {
    const VERSION: u8 = 1;

    pub(super) fn encode(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut out = vec![Self::VERSION];
        put_count(&mut out, self.0.len());
        for (leaf, why) in &self.0 {
            out.push(*leaf);
            out.push(match why {
                Reason::Left => 0,
                Reason::Decision => 1,
                Reason::Lost => 2,
            });
        }
        out
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut note = Self::default();
        if bytes.is_empty() {
            return Ok(note);
        }
        let mut r = Reader::new(bytes);
        if r.u8()? != Self::VERSION {
            return Err(Malformed);
        }
        for _ in 0..r.u8()? {
            let leaf = r.u8()?;
            let why = match r.u8()? {
                1 => Reason::Decision,
                2 => Reason::Lost,
                _ => return Err(Malformed),
            };
            note.0.insert(leaf, why);
        }
        r.end()?;
        if note.encode() == bytes { Ok(note) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_parses_back_in_one_form_only() {
        let note = Note([(3, Reason::Decision), (5, Reason::Lost)].into());
        let bytes = note.encode();
        assert_eq!(Note::parse(&bytes), Ok(note));
        assert_eq!(Note::parse(&[]), Ok(Note::default()));
        for bad in [
            &bytes[..4],
            &[1, 0],
            &[1, 2, 5, 2, 3, 1],
            &[1, 2, 3, 1, 3, 1],
            &[1, 1, 3, 0],
            &[2, 1, 3, 1],
        ] {
            assert_eq!(Note::parse(bad), Err(Malformed));
        }
    }
}
