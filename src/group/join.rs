//! Joining: a key package goes out with the knock, a Welcome comes back. The Welcome is believed
//! only if it is for the group of the invite, carries the invite's secret, has the invite's host
//! among the members, and its tree and group state fit together.

use super::policy::invite_id;
use super::provider::{self, LeafSigner, NoRandomness, Provider, SUITE};
use super::rules::{CredentialCheck, Person};
use super::state::GroupState;
use super::{
    CreateError, Group, InvitePsk, LocalMember, MAX_PROPOSAL, MAX_WELCOME, Malformed, own, sha256,
};
use crate::wire::link::MemberId;
use openmls::prelude::tls_codec::{DeserializeBytes as _, Serialize as _};
use openmls::prelude::{
    JoinBuilder, KeyPackage, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut, ProcessedWelcome,
    ProtocolVersion, StagedWelcome,
};
use openmls::schedule::PreSharedKeyId;
use openmls_traits::OpenMlsProvider as _;
use std::collections::{BTreeMap, BTreeSet};

/// What a joiner knows from its invite.
pub struct Expect<'a> {
    /// The invite's PSK; `None` for somebody who was a member before and comes back without one.
    pub psk: Option<InvitePsk<'a>>,
    /// Identity key of the host.
    pub host: [u8; 32],
}

/// The Welcome was not believed. The key package is used up.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Not a Welcome, or too long.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// For another group.
    #[error("for another group than the invite's")]
    OtherGroup,
    /// The invite's pre-shared key is missing from it, another one is in it, or more than one.
    #[error("not made with this invite's secret")]
    NotThisInvite,
    /// The invite's host is not a member.
    #[error("the invite's host is not in the group")]
    NoHost,
    /// Not made by the group's sequencer.
    #[error("not from the group's sequencer")]
    NotFromSequencer,
    /// Another suite.
    #[error("another cipher suite")]
    Suite,
    /// No group state, one that doesn't parse, or one that doesn't fit the tree.
    #[error("tree and group state don't fit together")]
    State,
    /// A member was removed by an order.
    #[error("a member is there that was removed by order")]
    Barred,
    /// A member's credential is not valid, not its leaf's, or an identity is there twice.
    #[error("a member's credential: {0}")]
    Credential(String),
    /// Does not decrypt or verify – with a wrong pre-shared key, for example.
    #[error("MLS: {0}")]
    Mls(String),
}

/// A key package was refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyPackageError {
    /// Not a key package, or too long.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Signatures, keys or lifetime don't hold.
    #[error("invalid: {0}")]
    Invalid(String),
}

/// Between key package and Welcome: holds the private keys for the one, good for one attempt.
pub struct PendingJoin {
    provider: Provider,
    signer: LeafSigner,
    leaf_key: [u8; 32],
    group_id: [u8; 16],
}

/// Makes the key package a joiner sends to whoever admits it.
pub fn key_package(
    local: LocalMember,
    group_id: [u8; 16],
    check: &dyn CredentialCheck,
) -> Result<(Vec<u8>, PendingJoin), CreateError> {
    let (signer, person) = own(local, check)?;
    let provider = Provider::new()?;
    let bundle = KeyPackage::builder()
        .key_package_lifetime(provider::lifetime())
        .leaf_node_capabilities(provider::capabilities())
        .build(
            SUITE,
            &provider,
            &signer,
            provider::credential_with_key(&person.credential, person.leaf_key),
        )
        .map_err(|e| CreateError::Mls(e.to_string()))?;
    let message = MlsMessageOut::from(bundle.into_key_package());
    let bytes = message.tls_serialize_detached().map_err(|e| CreateError::Mls(e.to_string()))?;
    Ok((bytes, PendingJoin { provider, signer, leaf_key: person.leaf_key, group_id }))
}

/// Whose key package this is, as far as its own signatures say; nothing of it is trusted yet.
pub struct Applicant {
    /// Encoded credential.
    pub credential: Vec<u8>,
    /// Leaf key: the key package is signed with it.
    pub leaf_key: [u8; 32],
}

impl Group {
    /// Reads a key package before deciding whether to admit its owner.
    pub fn read_key_package(&self, bytes: &[u8]) -> Result<Applicant, KeyPackageError> {
        let package = parse_key_package(&self.provider, bytes)?;
        let leaf = package.leaf_node();
        let leaf_key = leaf.signature_key().as_slice().try_into().map_err(|_| Malformed)?;
        Ok(Applicant { credential: leaf.credential().serialized_content().to_vec(), leaf_key })
    }
}

/// Names a key package by what can be used once: its init key (RFC 9420 §10).
pub(super) fn package_hash(package: &KeyPackage) -> [u8; 32] {
    sha256(package.hpke_init_key().as_slice())
}

/// Checks a key package's signatures; whose it is, policy judges.
pub(super) fn parse_key_package(
    provider: &Provider,
    bytes: &[u8],
) -> Result<KeyPackage, KeyPackageError> {
    if bytes.len() > MAX_PROPOSAL {
        return Err(Malformed.into());
    }
    let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes).map_err(|_| Malformed)?;
    let MlsMessageBodyIn::KeyPackage(key_package) = message.extract() else {
        return Err(Malformed.into());
    };
    key_package
        .validate(provider.crypto(), ProtocolVersion::Mls10)
        .map_err(|e| KeyPackageError::Invalid(e.to_string()))
}

impl PendingJoin {
    /// Everything secret in it, copied: who has this and the Welcome has the member's whole state.
    /// See [`super::forge`].
    pub fn copied(&self) -> Result<Self, NoRandomness> {
        Ok(Self {
            provider: self.provider.copied()?,
            signer: self.signer.copied(),
            leaf_key: self.leaf_key,
            group_id: self.group_id,
        })
    }

    /// Joins by Welcome.
    pub fn join(
        self,
        welcome: &[u8],
        expect: &Expect<'_>,
        check: &dyn CredentialCheck,
    ) -> Result<Group, JoinError> {
        let staged = self.stage(welcome, expect)?;
        let context = staged.group_context();
        if context.group_id().as_slice() != self.group_id {
            return Err(JoinError::OtherGroup);
        }
        if context.ciphersuite() != SUITE {
            return Err(JoinError::Suite);
        }
        let epoch = context.epoch().as_u64();
        let state = provider::context_state(context.extensions()).ok_or(JoinError::State)?;
        let people = people(&staged, &state, check)?;
        let me = self.own_seat(&staged, &state, &people, epoch)?;
        let sequencer = state.of(state.sequencer).ok_or(JoinError::State)?;
        if staged.welcome_sender_index().u32() != u32::from(sequencer.leaf) {
            return Err(JoinError::NotFromSequencer);
        }
        let host_present = people.values().any(|person| person.identity == expect.host);
        if !host_present {
            return Err(JoinError::NoHost);
        }
        if people.values().any(|person| state.is_barred(&person.identity)) {
            return Err(JoinError::Barred);
        }
        let mls = staged.into_group(&self.provider).map_err(|e| JoinError::Mls(e.to_string()))?;
        self.provider.storage().forget_between_epochs();
        let parts = (mls, self.provider, self.signer);
        Ok(Group::begin(parts, self.group_id, state, people, me))
    }

    /// Decrypts and verifies the Welcome, with the invite's PSK and no other.
    fn stage(&self, welcome: &[u8], expect: &Expect<'_>) -> Result<StagedWelcome, JoinError> {
        let mls = |e: &dyn std::fmt::Display| JoinError::Mls(e.to_string());
        if welcome.len() > MAX_WELCOME {
            return Err(Malformed.into());
        }
        let message = MlsMessageIn::tls_deserialize_exact_bytes(welcome).map_err(|_| Malformed)?;
        let MlsMessageBodyIn::Welcome(welcome) = message.extract() else {
            return Err(Malformed.into());
        };
        if welcome.ciphersuite() != SUITE {
            return Err(JoinError::Suite);
        }
        if let Some(psk) = expect.psk {
            PreSharedKeyId::external(psk.invite.to_vec(), Vec::new())
                .store(&self.provider, psk.secret.expose())
                .map_err(|e| mls(&e))?;
        }
        let processed =
            ProcessedWelcome::new_from_welcome(&self.provider, &provider::join_config(), welcome)
                .map_err(|e| mls(&e))?;
        // A Welcome made without the PSK would open without it, too.
        let wanted: Vec<_> = expect.psk.iter().map(|psk| Some(psk.invite)).collect();
        let found: Vec<_> = processed.psks().iter().map(invite_id).collect();
        if wanted != found {
            return Err(JoinError::NotThisInvite);
        }
        JoinBuilder::new(&self.provider, processed)
            .skip_lifetime_validation()
            .build()
            .map_err(|e| mls(&e))
    }

    /// Our place: the newest, since this epoch, added by a member, on the leaf that holds our key.
    fn own_seat(
        &self,
        staged: &StagedWelcome,
        state: &GroupState,
        people: &BTreeMap<u8, Person>,
        epoch: u64,
    ) -> Result<MemberId, JoinError> {
        let seat = state.order.last().ok_or(JoinError::State)?;
        let fits = u32::from(seat.leaf) == staged.own_leaf_index().u32()
            && people.get(&seat.leaf).is_some_and(|me| me.leaf_key == self.leaf_key)
            && seat.id.0.checked_add(1) == Some(state.next_serial)
            && seat.since_epoch == epoch
            && seat.added_by.is_some();
        if fits { Ok(seat.id) } else { Err(JoinError::State) }
    }
}

/// Everybody in the tree: one seat each, a valid credential that names the leaf's key, no identity
/// twice.
fn people(
    staged: &StagedWelcome,
    state: &GroupState,
    check: &dyn CredentialCheck,
) -> Result<BTreeMap<u8, Person>, JoinError> {
    let mut people = BTreeMap::new();
    let mut identities = BTreeSet::new();
    for member in staged.members() {
        let leaf = u8::try_from(member.index.u32()).map_err(|_| JoinError::State)?;
        state.at_leaf(leaf).ok_or(JoinError::State)?;
        let person = Person::checked(member.credential.serialized_content(), check)
            .map_err(|e| JoinError::Credential(e.to_string()))?;
        if person.leaf_key != *member.signature_key {
            return Err(JoinError::Credential("names another leaf key".into()));
        }
        if !identities.insert(person.identity) {
            return Err(JoinError::Credential("an identity is there twice".into()));
        }
        people.insert(leaf, person);
    }
    if people.len() == state.order.len() { Ok(people) } else { Err(JoinError::State) }
}

impl From<NoRandomness> for JoinError {
    fn from(e: NoRandomness) -> Self {
        Self::Mls(e.to_string())
    }
}
