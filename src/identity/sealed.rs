//! An identity's seed under a passphrase: Argon2id (RFC 9106) makes the key, XChaCha20-Poly1305
//! seals. The cost stands beside the sealed seed, so that it can grow with the years; what it may
//! cost to read is bounded, because a file can come from anywhere.

use crate::keys::IdentityPublic;
use crate::secret::Secret;
use argon2::{Algorithm, Argon2, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand::CryptoRng;
use zeroize::Zeroizing;

/// Bytes of a sealed seed: 32 and the tag.
pub const SEALED: usize = 48;
/// Most memory that reading may take, in KiB (1 GiB).
const MOST_MEMORY: u32 = 1024 * 1024;
/// Most passes and lanes.
const MOST_PASSES: u32 = 64;
const MOST_LANES: u32 = 16;

/// What Argon2id is to cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Cost {
    /// What this version uses: 256 MiB, three passes; about half a second.
    pub const NOW: Self = Self { memory: 256 * 1024, passes: 3, lanes: 1 };

    /// Whether it is neither more than this program does for a file nor less than Argon2 knows.
    pub fn is_reasonable(&self) -> bool {
        (1..=MOST_LANES).contains(&self.lanes)
            && (1..=MOST_PASSES).contains(&self.passes)
            && (8 * self.lanes..=MOST_MEMORY).contains(&self.memory)
    }
}

/// A seed nobody reads without the passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSeed {
    /// Whose: known without the passphrase.
    pub public: IdentityPublic,
    /// What opening costs.
    pub cost: Cost,
    /// Salt of Argon2id.
    pub salt: [u8; 16],
    /// Nonce of XChaCha20-Poly1305.
    pub nonce: [u8; 24],
    /// The seed's ciphertext and tag.
    pub sealed: [u8; SEALED],
}

/// The passphrase doesn't open it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another passphrase.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// The parameters are none that Argon2id takes, or more than this program does.
    #[error("the passphrase would cost more than this facetty does")]
    Cost,
    /// It opens, and holds another identity's seed.
    #[error("the sealed seed belongs to another identity")]
    OtherIdentity,
}

impl SealedSeed {
    /// Seals `seed`. Takes the memory and time of `cost`: never on the transport's thread.
    pub fn seal(
        seed: &Secret<32>,
        passphrase: &[u8],
        cost: Cost,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, OpenError> {
        let public = super::IdentityKey::from_seed(seed.duplicate()).public();
        let mut it = Self { public, cost, salt: [0; 16], nonce: [0; 24], sealed: [0; SEALED] };
        rng.fill_bytes(&mut it.salt);
        rng.fill_bytes(&mut it.nonce);
        let head = it.head();
        let payload = Payload { msg: seed.expose(), aad: &head };
        let sealed = it.cipher(passphrase)?.encrypt(&XNonce::from(it.nonce), payload);
        it.sealed = sealed.ok().and_then(|s| s.try_into().ok()).ok_or(OpenError::Cost)?;
        Ok(it)
    }

    /// Opens it. Takes the memory and time of its cost.
    pub fn open(&self, passphrase: &[u8]) -> Result<Secret<32>, OpenError> {
        let payload = Payload { msg: &self.sealed, aad: &self.head() };
        let opened = self.cipher(passphrase)?.decrypt(&XNonce::from(self.nonce), payload);
        let opened = Zeroizing::new(opened.map_err(|_| OpenError::WrongPassphrase)?);
        let seed = Secret::build(|s: &mut [u8; 32]| {
            s.iter_mut().zip(opened.iter()).for_each(|(to, from)| *to = *from);
        });
        let key = super::IdentityKey::from_seed(seed.duplicate());
        if opened.len() == 32 && key.public() == self.public {
            Ok(seed)
        } else {
            Err(OpenError::OtherIdentity)
        }
    }

    /// What stands beside the sealed seed, authenticated with it.
    fn head(&self) -> Vec<u8> {
        let Cost { memory, passes, lanes } = self.cost;
        let mut head = b"facetty identity 2".to_vec();
        head.extend_from_slice(&self.public.0);
        for n in [memory, passes, lanes] {
            head.extend_from_slice(&n.to_be_bytes());
        }
        head.extend_from_slice(&self.salt);
        head
    }

    fn cipher(&self, passphrase: &[u8]) -> Result<XChaCha20Poly1305, OpenError> {
        if !self.cost.is_reasonable() {
            return Err(OpenError::Cost);
        }
        let Cost { memory, passes, lanes } = self.cost;
        let mut key = Zeroizing::new([0u8; 32]);
        argon2::Params::new(memory, passes, lanes, Some(32))
            .map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
            .and_then(|argon2| argon2.hash_password_into(passphrase, &self.salt, &mut *key))
            .map_err(|_| OpenError::Cost)?;
        Ok(XChaCha20Poly1305::new(&Key::from(*key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const CHEAP: Cost = Cost { memory: 64, passes: 1, lanes: 1 };

    fn sealed() -> SealedSeed {
        let seed = Secret::build(|s| s.fill(7));
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        SealedSeed::seal(&seed, b"correct horse", CHEAP, &mut rng).unwrap()
    }

    #[test]
    fn the_passphrase_opens_and_no_other() {
        let sealed = sealed();
        assert_eq!(sealed.open(b"correct horse").unwrap().expose(), &[7; 32]);
        for wrong in [&b""[..], b"correct horse ", b"Correct horse"] {
            assert_eq!(sealed.open(wrong).err(), Some(OpenError::WrongPassphrase));
        }
        assert!(!sealed.sealed.windows(4).any(|w| w == [7; 4]));
    }

    #[test]
    fn nothing_beside_the_seed_can_be_changed() {
        let change: [fn(&mut SealedSeed); 6] = [
            |s| s.public.0[0] ^= 1,
            |s| s.cost.passes += 1,
            |s| s.cost.memory += 8,
            |s| s.salt[15] ^= 1,
            |s| s.nonce[0] ^= 1,
            |s| s.sealed[47] ^= 1,
        ];
        for change in change {
            let mut changed = sealed();
            change(&mut changed);
            assert_eq!(changed.open(b"correct horse").err(), Some(OpenError::WrongPassphrase));
        }
    }

    #[test]
    fn a_file_cannot_ask_for_hours_or_all_memory() {
        for (memory, passes, lanes) in
            [(u32::MAX, 1, 1), (64, u32::MAX, 1), (64, 1, 1000), (0, 1, 1), (64, 0, 1), (64, 1, 0)]
        {
            let mut greedy = sealed();
            greedy.cost = Cost { memory, passes, lanes };
            assert_eq!(greedy.open(b"correct horse").err(), Some(OpenError::Cost));
        }
        assert!(Cost::NOW.is_reasonable());
    }
}
