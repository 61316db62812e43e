//! The words of the rules: whose credential, what is asked for, why somebody is out, and how a
//! rule can be broken. The rules themselves are in `policy`.

use super::state::Impossible;
use crate::wire::link::MemberId;
use openmls::prelude::LeafNode;

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
    /// A commit by somebody else than the sequencer, without grants.
    #[error("committed without being the sequencer")]
    NotSequencer,
    /// A commit of a lower term than the one we granted in this epoch.
    #[error("committed in a term that is over: term {0} was granted")]
    Fenced(u32),
    /// Committed although it is proved to have made two commits of one epoch.
    #[error("committed after it was proved to equivocate")]
    Equivocated,
    /// Grants for another epoch, branch, term or candidate, or not signed by their voters.
    #[error("grants that don't hold")]
    Grants,
    /// Too few grants, and ours is not among them.
    #[error("took over with too few grants")]
    Minority,
    /// Took over although an order we hold removes it.
    #[error("took over although it is ordered out")]
    OrderedOut,
    /// An order that isn't signed, isn't its signer's to give, or changes nothing.
    #[error("an order that doesn't hold")]
    Order,
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
    /// Adds somebody who was removed by decision.
    #[error("added somebody who was removed by decision")]
    Barred,
    /// Adds somebody with an invite that nobody comes in with any more.
    #[error("added somebody with a void invite")]
    Voided,
    /// Asks to add somebody with a key package that was used before.
    #[error("asked to add somebody with a used key package")]
    UsedBefore,
    /// Removes somebody else without an order, or for a reason it may not give.
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
    /// The commit's note is malformed or doesn't fit the commit.
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
    /// By order.
    Decision,
    /// The committer says it can't be heard.
    Lost,
    /// Came back: a new seat for the same identity, by the same commit.
    Replaced,
}

/// What a proposal asks the sequencer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The proposer wants to leave.
    Leave,
    /// The proposer wants somebody in.
    Add {
        /// Identity key.
        identity: [u8; 32],
        /// The invite it knocked with.
        invite: Option<[u8; 8]>,
        /// It was lost, or is still in the roster and gets a new seat.
        back: bool,
    },
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
