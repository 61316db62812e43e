//! Keys that travel between rooms: public identities, and media base keys on their way from the
//! group (which exports them) to the seal (which uses them).

use crate::secret::Secret;
use std::collections::BTreeMap;

/// A device's public identity key: raw Ed25519 (RFC 8032). Not secret, but personal: it never
/// goes over the wire in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityPublic(pub [u8; 32]);

/// The base keys of one epoch, one per leaf, as PROTOCOL §5 derives them from the group's safe
/// exporter. Whoever holds a leaf's base key can open *and* forge that leaf's frames of that
/// epoch; who spoke is therefore decided by the connection a frame came in on.
pub struct Bases {
    /// MLS epoch (RFC 9420 §8).
    pub epoch: u64,
    /// Leaf index → base key (the `base_key` of RFC 9605 §4.4.2).
    pub by_leaf: BTreeMap<u8, Secret<32>>,
}
