//! Who somebody is: identity and leaf keys, credentials, fingerprints, names, the words people
//! read to each other, and the three-message handshake in which strangers prove it all.
//!
//! An [`IdentityKey`] stays on one device for years and signs [`Credential`]s, each of which lends
//! one call's [`LeafKey`] its name. TLS and MLS only ever see the leaf key; that it speaks for the
//! identity, the credential says.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod credential;
mod fingerprint;
pub mod handshake;
mod keypair;
mod name;
pub mod sealed;
pub mod words;

pub use crate::keys::IdentityPublic;
pub use credential::{CLOCK_TOLERANCE_SECS, Credential, CredentialError, IssueError};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use handshake::{contact_id, contact_proof};
pub use keypair::{IdentityKey, LeafKey, SignatureError, verify};
pub use name::{DisplayName, NameError};
