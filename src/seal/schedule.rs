//! Key schedule, nonce and AEAD of RFC 9605 §4.4, generic over the suite so that tests can run
//! the very same code as published suites.

use crate::secret::{Secret, SecretBytes};
use crate::wire::sframe::Header;
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{AeadInOut, KeyInit, KeySizeUser};
use chacha20poly1305::consts::{U12, U16};
use hkdf::Hkdf;
use hkdf::hmac::EagerHash;
use sha2::Sha256;
use std::borrow::Cow;
use std::marker::PhantomData;

/// Our suite's number, in the private-use range of RFC 9605 §8.1.
pub const SUITE: u16 = 0xF001;
/// Length of the authentication tag in bytes; never shortened.
pub const TAG: usize = 16;
const NONCE: usize = 12;

/// One SFrame cipher suite: what RFC 9605 §4.5 tabulates.
pub(super) trait Suite {
    type Aead: AeadInOut<NonceSize = U12, TagSize = U16> + KeyInit;
    type Hash: EagerHash;
    const ID: u16;
}

/// 0xF001 CHACHA20_POLY1305_SHA256_128.
pub(super) struct ChaCha;

impl Suite for ChaCha {
    type Aead = ChaCha20Poly1305;
    type Hash = Sha256;
    const ID: u16 = SUITE;
}

/// Fills `key` and `salt` from the base key (RFC 9605 §4.4.2).
pub(super) fn derive<H: EagerHash>(
    suite: u16,
    kid: u64,
    base_key: &[u8],
    key: &mut [u8],
    salt: &mut [u8],
) {
    let hkdf = Hkdf::<H>::new(Some(b""), base_key);
    let (kid, suite) = (kid.to_be_bytes(), suite.to_be_bytes());
    for (label, out) in [(&b"SFrame 1.0 Secret key "[..], key), (b"SFrame 1.0 Secret salt ", salt)]
    {
        let done = hkdf.expand_multi_info(&[label, &kid, &suite], out);
        debug_assert!(done.is_ok(), "HKDF gives up to 255 blocks");
    }
}

/// The one key of one KID.
pub(super) struct FrameKey<S: Suite = ChaCha> {
    key: SecretBytes,
    salt: Secret<NONCE>,
    suite: PhantomData<fn() -> S>,
}

/// The AEAD refused. On sealing this means a frame of gigabytes; on opening, a forgery.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused;

impl<S: Suite> FrameKey<S> {
    /// The key of `kid` under `base_key`.
    pub(super) fn new(base_key: &[u8], kid: u64) -> Self {
        let mut key = vec![0; <S::Aead as KeySizeUser>::key_size()];
        let salt = Secret::build(|salt| derive::<S::Hash>(S::ID, kid, base_key, &mut key, salt));
        Self { key: SecretBytes::new(key), salt, suite: PhantomData }
    }

    /// Seals `plaintext` under `header`; `metadata` is authenticated too (facetty has none).
    pub(super) fn seal(
        &self,
        header: Header,
        metadata: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Refused> {
        let mut frame = header.encode();
        let border = frame.len();
        frame.reserve_exact(plaintext.len() + TAG);
        frame.extend_from_slice(plaintext);
        let (head, body) = frame.split_at_mut_checked(border).ok_or(Refused)?;
        let aead = self.aead()?;
        let tag = aead
            .encrypt_inout_detached(
                &self.nonce(header.ctr).into(),
                &aad(head, metadata),
                body.into(),
            )
            .map_err(|_| Refused)?;
        frame.extend_from_slice(&tag);
        Ok(frame)
    }

    /// Opens what follows the header; `head` is the header's own bytes.
    pub(super) fn open(
        &self,
        ctr: u64,
        head: &[u8],
        metadata: &[u8],
        body: &[u8],
    ) -> Result<Vec<u8>, Refused> {
        let (ciphertext, tag) = body.split_last_chunk::<TAG>().ok_or(Refused)?;
        let mut plaintext = ciphertext.to_vec();
        self.aead()?
            .decrypt_inout_detached(
                &self.nonce(ctr).into(),
                &aad(head, metadata),
                plaintext.as_mut_slice().into(),
                &(*tag).into(),
            )
            .map_err(|_| Refused)?;
        Ok(plaintext)
    }

    /// The salt with the counter added without carry (RFC 9605 §4.4.3).
    pub(super) fn nonce(&self, ctr: u64) -> [u8; NONCE] {
        let mut nonce = *self.salt.expose();
        nonce.iter_mut().rev().zip(ctr.to_le_bytes()).for_each(|(n, c)| *n ^= c);
        nonce
    }

    /// Made for each frame and dropped after it: setting up the cipher costs nothing, and so the
    /// only lasting copy of the key is the one that is wiped.
    fn aead(&self) -> Result<S::Aead, Refused> {
        S::Aead::new_from_slice(self.key.expose()).map_err(|_| Refused)
    }

    #[cfg(test)]
    pub(super) fn parts(&self) -> (&[u8], &[u8; NONCE]) {
        (self.key.expose(), self.salt.expose())
    }
}

fn aad<'a>(head: &'a [u8], metadata: &[u8]) -> Cow<'a, [u8]> {
    if metadata.is_empty() { head.into() } else { [head, metadata].concat().into() }
}
