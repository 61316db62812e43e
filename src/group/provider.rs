//! What openmls needs from outside: cryptography (libcrux, randomness from the operating system),
//! our storage, our signer – and the one configuration every group has.

use super::state::{self, GroupState};
use super::storage::Vault;
use crate::secret::Secret;
use ed25519_dalek::{Signer as _, SigningKey};
use openmls::prelude::{
    BasicCredential, Capabilities, CredentialType, CredentialWithKey, Extension, ExtensionType,
    Extensions, GroupContext, LeafNode, Lifetime, MlsGroupCreateConfig, MlsGroupJoinConfig,
    PURE_CIPHERTEXT_WIRE_FORMAT_POLICY, ProtocolVersion, RequiredCapabilitiesExtension,
    SenderRatchetConfiguration, UnknownExtension,
};
use openmls_libcrux_crypto::CryptoProvider;
use openmls_traits::OpenMlsProvider;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::{Ciphersuite, SignatureScheme};

/// The only suite: X-Wing (ML-KEM-768 with X25519) key encapsulation, ChaCha20-Poly1305, SHA-256,
/// Ed25519. Code point 0x004D is from the draft; nothing else is offered or accepted.
pub(super) const SUITE: Ciphersuite = Ciphersuite::MLS_256_XWING_CHACHA20POLY1305_SHA256_Ed25519;

/// Messages of one sender may overtake each other by this much: proposals reach some members
/// directly and others inside a bundle.
const OUT_OF_ORDER: u32 = 64;
/// How far a sender's ratchet is turned forward for one message.
const FORWARD: u32 = 1000;

/// Cryptography and storage of one group. Never shared between groups, so that dropping a group
/// wipes all there is.
pub(super) struct Provider {
    crypto: CryptoProvider,
    storage: Vault,
}

impl Provider {
    /// Fails when the operating system has no randomness to give.
    pub(super) fn new() -> Result<Self, NoRandomness> {
        let crypto = CryptoProvider::new().map_err(|_| NoRandomness)?;
        Ok(Self { crypto, storage: Vault::default() })
    }

    /// The same secrets once more, see [`super::forge`].
    pub(super) fn copied(&self) -> Result<Self, NoRandomness> {
        let crypto = CryptoProvider::new().map_err(|_| NoRandomness)?;
        Ok(Self { crypto, storage: self.storage.copied() })
    }
}

/// The operating system's random number generator failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub struct NoRandomness;

impl OpenMlsProvider for Provider {
    type CryptoProvider = CryptoProvider;
    type RandProvider = CryptoProvider;
    type StorageProvider = Vault;

    fn storage(&self) -> &Vault {
        &self.storage
    }

    fn crypto(&self) -> &CryptoProvider {
        &self.crypto
    }

    fn rand(&self) -> &CryptoProvider {
        &self.crypto
    }
}

/// Signs with the leaf key (RFC 8032); the expanded key lives only while signing.
pub(super) struct LeafSigner(Secret<32>);

impl LeafSigner {
    pub(super) fn new(seed: Secret<32>) -> Self {
        Self(seed)
    }

    /// The same key once more, see [`super::forge`].
    pub(super) fn copied(&self) -> Self {
        Self(self.0.duplicate())
    }

    #[cfg(test)]
    pub(super) fn seed(&self) -> &[u8; 32] {
        self.0.expose()
    }

    pub(super) fn public(&self) -> [u8; 32] {
        SigningKey::from_bytes(self.0.expose()).verifying_key().to_bytes()
    }

    pub(super) fn sign_bytes(&self, message: &[u8]) -> [u8; 64] {
        SigningKey::from_bytes(self.0.expose()).sign(message).to_bytes()
    }
}

impl Signer for LeafSigner {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.sign_bytes(payload).to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

pub(super) fn credential_with_key(credential: &[u8], leaf_key: [u8; 32]) -> CredentialWithKey {
    CredentialWithKey {
        credential: BasicCredential::new(credential.to_vec()).into(),
        signature_key: leaf_key.to_vec().into(),
    }
}

/// What every leaf must say it can do: exactly this, so that nothing is left to negotiate.
pub(super) fn capabilities() -> Capabilities {
    Capabilities::new(
        Some(&[ProtocolVersion::Mls10]),
        Some(&[SUITE]),
        Some(&[ExtensionType::Unknown(state::EXTENSION)]),
        Some(&[]),
        Some(&[CredentialType::Basic]),
    )
}

/// A leaf that says [`capabilities`] and carries nothing else.
pub(super) fn is_plain(leaf: &LeafNode) -> bool {
    leaf.capabilities() == &capabilities()
        && leaf.extensions().iter().next().is_none()
        && leaf.credential().credential_type() == CredentialType::Basic
}

/// Key packages live for ever as far as MLS is concerned (it would read the system clock); how
/// long an identity is valid, the credential says.
pub(super) fn lifetime() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

fn required() -> RequiredCapabilitiesExtension {
    RequiredCapabilitiesExtension::new(
        &[ExtensionType::Unknown(state::EXTENSION)],
        &[],
        &[CredentialType::Basic],
    )
}

/// The group context's extensions for a state: required capabilities and 0xF0F1, nothing else.
pub(super) fn context_extensions(state: &GroupState) -> Option<Extensions<GroupContext>> {
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(required()),
        Extension::Unknown(state::EXTENSION, UnknownExtension(state.encode())),
    ])
    .ok()
}

/// The state inside a group context's extensions; `None` unless they are exactly those of
/// [`context_extensions`].
pub(super) fn context_state(extensions: &Extensions<GroupContext>) -> Option<GroupState> {
    let mut state = None;
    let mut requires = false;
    for extension in extensions.iter() {
        match extension {
            Extension::RequiredCapabilities(found) if !requires && *found == required() => {
                requires = true
            }
            Extension::Unknown(state::EXTENSION, UnknownExtension(bytes)) if state.is_none() => {
                state = Some(GroupState::parse(bytes).ok()?);
            }
            _ => return None,
        }
    }
    state.filter(|_| requires)
}

pub(super) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .max_past_epochs(0)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(true)
        .sender_ratchet_configuration(SenderRatchetConfiguration::new(OUT_OF_ORDER, FORWARD))
        .build()
}

pub(super) fn create_config(extensions: Extensions<GroupContext>) -> MlsGroupCreateConfig {
    MlsGroupCreateConfig::builder()
        .ciphersuite(SUITE)
        .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .max_past_epochs(0)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(true)
        .sender_ratchet_configuration(SenderRatchetConfiguration::new(OUT_OF_ORDER, FORWARD))
        .lifetime(lifetime())
        .capabilities(capabilities())
        .with_group_context_extensions(extensions)
        .build()
}
