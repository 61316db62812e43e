//! The group that holds keys: MLS (RFC 9420), order of commits, policy, roster.
//!
//! Who can hear a call is decided here and nowhere else: the members of the MLS group of the
//! current epoch, and nobody besides, can derive the media keys. No server takes part, so three
//! things that servers do elsewhere are done by rules every member checks for itself:
//!
//! * **Order.** One member, the *sequencer*, makes all commits; others propose. Its name stands in
//!   the group state, and handing the role over is itself a commit. When it can't be heard, members
//!   *grant* the role to a candidate: more than half of them make a successor, fewer a split branch
//!   that only they follow; either way they refuse what the old sequencer commits in that epoch.
//! * **Policy.** What a commit may do is judged *before* it is offered for merging, what a proposal
//!   may ask *before* it is stored ([`PolicyViolation`] names who broke it). MLS alone would
//!   merge a swapped display name, an external commit, or a member added by anybody.
//! * **Agreement.** The group state (join order, terms, who may add, used invites) is a
//!   GroupContext extension. Every receiver computes what a commit must make of it and refuses a
//!   commit that says otherwise.
//!
//! What must outlast an epoch or a branch is signed beside MLS: decisions of the host
//! ([`OrderKind`]), so that a removal sticks; statements on commits ([`Statement`]), so that a
//! member that tells different people different things is convicted by two of them; acks, so that
//! of two branches the one with a majority is known ([`Group::compare`]).
//!
//! This is the only room that names the MLS library. It is pure: no I/O, no clock, no threads;
//! randomness comes from the operating system through the library's provider, keys are never
//! seeded. Who stands behind a credential, and until when, the caller's [`CredentialCheck`] says.
//!
//! One change of the group, seen from all sides:
//!
//! ```text
//! member:    propose_leave / _update / _add / _back → to the sequencer → receive → Received::Proposal
//! host:      draft_order → sign → to everybody → take_order
//! sequencer: add / remove_lost / update / hand_over → Pending { bundle, welcome } → send → merge_pending
//! successor: grants of the others → succeed → Pending
//! members:   receive(bundle) → Received::Commit(Staged: who, what, roster after) → merge
//! joiner:    key_package → … → PendingJoin::join(welcome)
//! all:       bases() once per epoch, sign_ack() and take_ack() to compare notes
//! branches:  branch → branch_for → compare → the loser comes back by key_package
//! ```

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod branch;
mod bundle;
mod bytes;
mod commit;
mod export;
pub mod forge;
mod history;
mod join;
mod message;
mod note;
mod order;
mod policy;
mod propose;
mod provider;
mod receive;
mod roster;
mod rules;
mod signed;
mod state;
mod statement;
mod storage;
mod succession;
#[cfg(test)]
mod tests;

pub use branch::{Branch, MAX_BRANCH, Standing};
pub use bytes::Malformed;
pub use commit::{CommitError, InvitePsk, Pending};
pub use export::{Ack, AckError, AckTaken, Agreement, BasesError};
pub use history::{KEPT_EPOCHS, Remembered};
pub use join::{Applicant, Expect, JoinError, KeyPackageError, PendingJoin, key_package};
pub use message::MessageError;
pub use order::{MAX_HELD_ORDERS, MAX_ORDER, Mark, Order, OrderError, OrderKind, OrderTaken};
pub use propose::{MAX_PER_MEMBER, ProposeError};
pub use provider::NoRandomness;
pub use receive::{MergeError, ReceiveError, Received, Staged};
pub use roster::{Roster, RosterRow};
pub use rules::{
    Ask, CheckedCredential, CredentialCheck, CredentialRefused, PolicyViolation, Reason, Violation,
};
pub use state::{
    Former, GroupState, Impossible, MAX_FORMER, MAX_LEAF, MAX_LIST, MAX_MEMBERS, Seat,
    Standing as OrderedStanding,
};
pub use statement::{Equivocation, Statement};
pub use storage::StorageError;
pub use succession::{Beat, BeatError, Grant, GrantError, MAX_TERM_AHEAD, Succession};

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
    psks: BTreeMap<[u8; 32], receive::Offered>,
    seen: Seen,
    /// Key packages that were added, by hash.
    used: Seen,
    /// Commits that came with somebody else's statement, by hash.
    parked: BTreeMap<[u8; 32], Box<Staged>>,
    /// On the commit that led to this epoch; `None` for the founder and for joiners.
    statement: Option<Statement>,
    /// Our commit that waits for [`Group::merge_pending`].
    pending: Option<[u8; 32]>,
    /// The term and candidate we granted in this epoch.
    granted: Option<(u32, MemberId)>,
    /// Orders, carried out or not.
    held: Vec<order::SignedOrder>,
    history: history::History,
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
        let people = [(0, person)].into();
        Ok(Self::begin((mls, provider, signer), group_id, state, people, MemberId(0)))
    }

    /// A founder's or joiner's first epoch.
    fn begin(
        (mls, provider, signer): (MlsGroup, Provider, LeafSigner),
        id: [u8; 16],
        state: GroupState,
        people: BTreeMap<u8, Person>,
        me: MemberId,
    ) -> Self {
        let mut group = Self {
            mls,
            provider,
            signer,
            id,
            state,
            people,
            me,
            pool: Pool::default(),
            psks: BTreeMap::new(),
            seen: Seen::default(),
            used: Seen::default(),
            parked: BTreeMap::new(),
            statement: None,
            pending: None,
            granted: None,
            held: Vec::new(),
            history: history::History::default(),
            evicted: false,
        };
        group.remember(None);
        group
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
    fn enter(&mut self, verdict: policy::Verdict, statement: Statement) {
        let committer = self.people.iter().find(|(_, p)| p.leaf_key == statement.by);
        let committer = committer.and_then(|(leaf, _)| self.state.at_leaf(*leaf)).map(|s| s.id);
        // Our own commit's statement, too: it is the only one we may have signed for that epoch.
        let _ = self.history.note(&self.id, &statement);
        self.evicted = verdict.state.of(self.me).is_none();
        self.state = verdict.state;
        self.people = verdict.people;
        self.statement = Some(statement);
        self.pending = None;
        self.granted = None;
        self.pool = Pool::default();
        self.psks.clear();
        self.parked.clear();
        verdict.package.into_iter().for_each(|package| self.used.insert(package));
        for order in verdict.note.orders {
            self.hold(order);
        }
        if self.evicted {
            self.provider.storage().wipe();
            return;
        }
        self.provider.storage().forget_between_epochs();
        self.remember(committer.zip(verdict.note.grants));
    }

    /// Notes the epoch we are in, and our own ack of it.
    fn remember(&mut self, succession: Option<(MemberId, succession::Grants)>) {
        let seats = self.state.order.iter();
        let people = seats.filter_map(|seat| {
            let person = self.people.get(&seat.leaf)?;
            Some((seat.id, (person.leaf_key, person.identity)))
        });
        self.history.push(history::Entry {
            epoch: self.epoch(),
            confirmation: self.confirmation_hash(),
            people: people.collect(),
            sequencer: self.state.sequencer,
            statement: self.statement,
            auth_hash: sha256(&self.authenticator()),
            succession,
            acks: BTreeMap::new(),
            statements: BTreeMap::new(),
        });
        let own = self.sign_ack();
        self.count_ack(self.me, &own);
        for (member, ack) in self.history.take_early() {
            match ack.epoch.cmp(&self.epoch()) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => self.count_ack(member, &ack),
                std::cmp::Ordering::Greater => self.history.keep_early(member, ack),
            }
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
