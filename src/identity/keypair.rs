//! The two Ed25519 keys (RFC 8032) and what they may sign.

use crate::keys::IdentityPublic;
use crate::secret::Secret;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand::CryptoRng;
use zeroize::Zeroizing;

/// A signature doesn't fit; says nothing about why, because it must not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature doesn't fit")]
pub struct SignatureError;

/// A device's identity: made once, kept in a sealed file, known to contacts by its
/// [`Fingerprint`](super::Fingerprint).
pub struct IdentityKey {
    /// The expanded key is made from it for each signature and wiped after: signing is rare, and
    /// moves of this value then leave nothing behind.
    seed: Secret<32>,
    public: IdentityPublic,
}

impl IdentityKey {
    /// A new identity.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self::from_seed(Secret::build(|seed| rng.fill_bytes(seed)))
    }

    /// The identity with this seed (the RFC's 32-byte private key).
    pub fn from_seed(seed: Secret<32>) -> Self {
        let public = IdentityPublic(public_half(&seed));
        Self { seed, public }
    }

    /// The seed, for the key file and nothing else.
    pub const fn seed_for_storage(&self) -> &Secret<32> {
        &self.seed
    }

    /// The public half.
    pub const fn public(&self) -> IdentityPublic {
        self.public
    }

    /// Signs `fields` for one `purpose` ("credential", "ack", …). What is signed begins with
    /// `facetty/1 <purpose>` and a zero byte, then every field behind its length in four bytes, so
    /// no signature can be passed off as one for another purpose or with moved field borders.
    pub fn sign(&self, purpose: &'static str, fields: &[&[u8]]) -> [u8; 64] {
        let key = SigningKey::from_bytes(self.seed.expose());
        key.sign(&signed_bytes(purpose, fields)).to_bytes()
    }
}

/// Checks what [`IdentityKey::sign`] made. Strict: refuses the small-order keys and non-canonical
/// encodings under which one signature can fit several messages.
pub fn verify(
    public: &IdentityPublic,
    purpose: &'static str,
    fields: &[&[u8]],
    signature: &[u8; 64],
) -> Result<(), SignatureError> {
    VerifyingKey::from_bytes(&public.0)
        .and_then(|key| {
            key.verify_strict(&signed_bytes(purpose, fields), &Signature::from_bytes(signature))
        })
        .map_err(|_| SignatureError)
}

fn signed_bytes(purpose: &'static str, fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    bytes.extend_from_slice(b"facetty/1 ");
    bytes.extend_from_slice(purpose.as_bytes());
    bytes.push(0);
    for field in fields {
        bytes.extend_from_slice(&(field.len() as u32).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

/// A call's key: fresh for every call, the TLS key of all its connections and the signature key of
/// its MLS leaf. Signs nothing here: TLS and MLS do that with the seed they are given.
pub struct LeafKey {
    seed: Secret<32>,
    public: [u8; 32],
}

impl LeafKey {
    /// A new leaf key.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let seed = Secret::build(|seed| rng.fill_bytes(seed));
        let public = public_half(&seed);
        Self { seed, public }
    }

    /// The public half: what a peer's TLS and a credential show.
    pub const fn public(&self) -> [u8; 32] {
        self.public
    }

    /// A copy of the seed for the TLS endpoint or the MLS group; the only way out.
    pub fn seed_for_tls_or_mls(&self) -> Secret<32> {
        self.seed.duplicate()
    }

    /// The key as PKCS#8 (RFC 8410 §7, version 1), the form TLS libraries read.
    pub fn pkcs8_for_tls(&self) -> Zeroizing<Vec<u8>> {
        let mut der = Zeroizing::new(Vec::with_capacity(48));
        der.extend_from_slice(&[
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ]);
        der.extend_from_slice(self.seed.expose());
        der
    }
}

fn public_half(seed: &Secret<32>) -> [u8; 32] {
    SigningKey::from_bytes(seed.expose()).verifying_key().to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn key(seed: u8) -> IdentityKey {
        IdentityKey::from_seed(Secret::take(&mut [seed; 32]))
    }

    /// RFC 8032 §7.1, test 1.
    #[test]
    fn the_published_key_pair_is_reproduced() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let bytes = |hex: &str| -> [u8; 32] {
            std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
        };
        let key = IdentityKey::from_seed(Secret::take(&mut bytes(seed)));
        assert_eq!(key.public().0, bytes(public));
    }

    #[test]
    fn a_signature_fits_its_purpose_key_and_fields_alone() {
        let (a, b) = (key(1), key(2));
        let s = a.sign("credential", &[b"ab", b"c"]);
        assert_eq!(verify(&a.public(), "credential", &[b"ab", b"c"], &s), Ok(()));
        assert!(verify(&a.public(), "ack", &[b"ab", b"c"], &s).is_err());
        assert!(verify(&b.public(), "credential", &[b"ab", b"c"], &s).is_err());
        for fields in [&[&b"a"[..], b"bc"][..], &[b"abc"], &[b"ab", b"c", b""], &[]] {
            assert!(verify(&a.public(), "credential", fields, &s).is_err());
        }
        for i in 0..512 {
            let mut flipped = s;
            flipped[i / 8] ^= 1 << (i % 8);
            assert!(verify(&a.public(), "credential", &[b"ab", b"c"], &flipped).is_err());
        }
    }

    /// With the neutral point as public key, R = neutral and S = 0 fit every message under the
    /// lax equation.
    #[test]
    fn a_small_order_key_signs_nothing() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert_eq!(
            verify(&IdentityPublic(neutral), "ack", &[b"x"], &signature),
            Err(SignatureError)
        );
    }

    #[test]
    fn pkcs8_is_what_the_tls_library_reads() {
        let leaf = LeafKey::generate(&mut rand::rngs::StdRng::seed_from_u64(1));
        let der = rustls::pki_types::PrivatePkcs8KeyDer::from(leaf.pkcs8_for_tls().to_vec());
        let key = rustls::crypto::aws_lc_rs::sign::any_eddsa_type(&der).unwrap();
        let spki = key.public_key().unwrap();
        assert!(spki.ends_with(&leaf.public()));
    }

    #[test]
    fn fresh_keys_differ() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(2);
        let (a, b) = (LeafKey::generate(&mut rng), LeafKey::generate(&mut rng));
        assert_ne!(a.public(), b.public());
        let (a, b) = (IdentityKey::generate(&mut rng), IdentityKey::generate(&mut rng));
        assert_ne!(a.public(), b.public());
    }
}
