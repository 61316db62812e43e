//! The group that holds keys: MLS (RFC 9420), order of commits, policy, roster.
//!
//! Who can hear a call is decided here and nowhere else: the members of the MLS group of the
//! current epoch, and nobody besides, can derive the media keys. No server takes part, so three
//! things that servers do elsewhere are done by rules every member checks for itself:
//!
//! * **Order.** One member, the *sequencer*, makes all commits; others propose. Its name stands in
//!   the group state, and handing the role over is itself a commit.
//! * **Policy.** What a commit may do is judged *before* it is offered for merging, what a proposal
//!   may ask *before* it is stored ([`PolicyViolation`] names who broke it). MLS alone would
//!   merge a swapped display name, an external commit, or a member added by anybody.
//! * **Agreement.** The group state (join order, terms, who may add, used invites) is a
//!   GroupContext extension. Every receiver computes what a commit must make of it and refuses a
//!   commit that says otherwise.
//!
//! This is the only room that names the MLS library. It is pure: no I/O, no clock, no threads;
//! randomness comes from the operating system through the library's provider, keys are never
//! seeded. Who stands behind a credential, and until when, the caller's [`CredentialCheck`] says.
//!
//! One change of the group, seen from both sides:
//!
//! ```text
//! sequencer: add / remove / update / hand_over → Pending { bundle, welcome } → send → merge_pending
//! members:   receive(bundle) → Received::Commit(Staged: who, what, roster after) → merge
//! joiner:    key_package → … → PendingJoin::join(welcome)
//! all:       bases() once per epoch, sign_ack() to compare notes
//! ```

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod bundle;
mod bytes;
mod commit;
mod export;
mod join;
mod message;
mod policy;
mod propose;
mod provider;
mod receive;
mod roster;
mod rules;
mod state;
mod storage;
#[cfg(test)]
mod tests;

pub use bytes::Malformed;
pub use commit::{CommitError, InvitePsk, Pending};
pub use export::{Ack, AckError, Agreement, BasesError};
pub use join::{Applicant, Expect, JoinError, KeyPackageError, PendingJoin, key_package};
pub use message::MessageError;
pub use propose::ProposeError;
pub use provider::NoRandomness;
pub use receive::{MergeError, ReceiveError, Received, Staged};
pub use roster::{Roster, RosterRow};
pub use rules::{
    Ask, CheckedCredential, CredentialCheck, CredentialRefused, PolicyViolation, Reason, Violation,
};
pub use state::{GroupState, Impossible, MAX_LEAF, MAX_MEMBERS, Seat};
pub use storage::StorageError;

use crate::secret::Secret;
use crate::wire::link::MemberId;
use bundle::Seen;
use openmls::prelude::{GroupId, MlsGroup};
use openmls_traits::OpenMlsProvider as _;
use propose::Pool;
use provider::{LeafSigner, Provider};
use rules::Person;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Longest bundle, in bytes.
pub const MAX_BUNDLE: usize = 256 * 1024;
/// Longest proposal, key package or sealed message, in bytes.
pub const MAX_PROPOSAL: usize = 16 * 1024;
/// Longest Welcome, in bytes.
pub const MAX_WELCOME: usize = 512 * 1024;

/// Ourselves in a call: the credential others will see, and the key that signs for it.
pub struct LocalMember {
    /// Encoded credential; names [`leaf_key`](Self::leaf_key) and is signed by the identity key.
    pub credential: Vec<u8>,
    /// Seed of the Ed25519 leaf key (RFC 8032 §5.1.5), fresh for each call.
    pub leaf_seed: Secret<32>,
    /// Its public key.
    pub leaf_key: [u8; 32],
}

/// Our own part of a group: the keys of the current epoch and what the members agreed on.
/// Dropping it wipes its secrets.
pub struct Group {
    mls: MlsGroup,
    provider: Provider,
    signer: LeafSigner,
    id: [u8; 16],
    state: GroupState,
    people: BTreeMap<u8, Person>,
    me: MemberId,
    /// Checked proposals of this epoch, ours and others'.
    pool: Pool,
    /// Pre-shared keys announced in this epoch, by hash of the message they came in.
    psks: BTreeMap<[u8; 32], message::PskOffer>,
    seen: Seen,
    /// SHA-256 of the commit that led to this epoch; `None` for the founder and for joiners.
    commit_hash: Option<[u8; 32]>,
    /// Our commit that waits for [`Group::merge_pending`].
    pending: Option<[u8; 32]>,
    evicted: bool,
}

/// Making a group failed.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The operating system has no randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// Our own credential doesn't pass our own check.
    #[error("own credential: {0}")]
    Credential(#[from] CredentialRefused),
    /// The leaf seed, the leaf key and the credential don't belong together.
    #[error("the leaf key is not the credential's")]
    LeafKey,
    /// The MLS library refused.
    #[error("MLS: {0}")]
    Mls(String),
}

impl Group {
    /// Founds a group with one member, its host and first sequencer, in epoch 0.
    pub fn create(
        local: LocalMember,
        group_id: [u8; 16],
        check: &dyn CredentialCheck,
    ) -> Result<Self, CreateError> {
        Self::found(local, group_id, check, |_| ())
    }

    /// `change` lets tests start from states that operations don't lead to yet.
    fn found(
        local: LocalMember,
        group_id: [u8; 16],
        check: &dyn CredentialCheck,
        change: impl FnOnce(&mut GroupState),
    ) -> Result<Self, CreateError> {
        let (signer, person) = own(local, check)?;
        let provider = Provider::new()?;
        let mut state = GroupState::founded_by(person.identity);
        change(&mut state);
        let extensions =
            provider::context_extensions(&state).ok_or(CreateError::Mls("extensions".into()))?;
        let mls = MlsGroup::new_with_group_id(
            &provider,
            &signer,
            &provider::create_config(extensions),
            GroupId::from_slice(&group_id),
            provider::credential_with_key(&person.credential, person.leaf_key),
        )
        .map_err(|e| CreateError::Mls(e.to_string()))?;
        Ok(Self {
            mls,
            provider,
            signer,
            id: group_id,
            state,
            people: [(0, person)].into(),
            me: MemberId(0),
            pool: Pool::default(),
            psks: BTreeMap::new(),
            seen: Seen::default(),
            commit_hash: None,
            pending: None,
            evicted: false,
        })
    }

    /// Group id.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// MLS epoch (RFC 9420 §8).
    pub fn epoch(&self) -> u64 {
        self.mls.epoch().as_u64()
    }

    /// Our own number.
    pub fn me(&self) -> MemberId {
        self.me
    }

    /// Our own leaf index.
    pub fn leaf(&self) -> u8 {
        self.state.of(self.me).map_or(0, |seat| seat.leaf)
    }

    /// We make the commits.
    pub fn is_sequencer(&self) -> bool {
        !self.evicted && self.state.sequencer == self.me
    }

    /// We have been removed, or our leaving was committed: nothing works any more.
    pub fn is_evicted(&self) -> bool {
        self.evicted
    }

    /// Who takes over when the sequencer hands over: the first other member in join order.
    pub fn successor(&self) -> Option<MemberId> {
        self.state.successor()
    }

    /// What all members agreed on in this epoch.
    pub fn state(&self) -> &GroupState {
        &self.state
    }

    /// The members of this epoch.
    pub fn roster(&self) -> Roster {
        Roster::of(self.id, self.epoch(), &self.state, &self.people)
    }

    /// What moves to the next epoch, and what must not.
    fn enter(&mut self, verdict: policy::Verdict, commit_hash: [u8; 32]) {
        self.evicted = verdict.state.of(self.me).is_none();
        self.state = verdict.state;
        self.people = verdict.people;
        self.commit_hash = Some(commit_hash);
        self.pending = None;
        self.pool = Pool::default();
        self.psks.clear();
        if self.evicted {
            self.provider.storage().wipe();
        } else {
            self.provider.storage().forget_between_epochs();
        }
    }
}

/// Checks that seed, key and credential of ours belong together.
fn own(
    local: LocalMember,
    check: &dyn CredentialCheck,
) -> Result<(LeafSigner, Person), CreateError> {
    let signer = LeafSigner::new(local.leaf_seed);
    let person = Person::checked(&local.credential, check)?;
    if signer.public() != local.leaf_key || person.leaf_key != local.leaf_key {
        return Err(CreateError::LeafKey);
    }
    Ok((signer, person))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
