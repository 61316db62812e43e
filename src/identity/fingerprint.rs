//! Fingerprints: an identity key in a form people can compare.

use crate::keys::IdentityPublic;
use crate::wire::base32;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// SHA-256("facetty identity 1" ‖ key). Shown short – `abcd-efgh-ijkl-mnop`, 80 bits – on the
/// screen and in full where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint {
    hash: [u8; 32],
    /// Bytes of `hash` that are known: 10 when parsed from the short form, else 32.
    known: usize,
}

/// A text isn't a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a fingerprint: expected 16 or 52 letters and digits like abcd-efgh-ijkl-mnop")]
pub struct FingerprintError;

const SHORT: usize = 10;

impl Fingerprint {
    /// The fingerprint of an identity.
    pub fn of(identity: &IdentityPublic) -> Self {
        let hash =
            Sha256::new().chain_update(b"facetty identity 1").chain_update(identity.0).finalize();
        Self { hash: hash.into(), known: 32 }
    }

    /// Whether this is `identity`'s fingerprint, as far as it was given (80 bits at least: nobody
    /// can make a key with a given short fingerprint).
    pub fn matches(&self, identity: &IdentityPublic) -> bool {
        let other = Self::of(identity);
        self.hash.iter().zip(&other.hash).take(self.known).all(|(a, b)| a == b)
    }

    /// All 52 letters, in groups of four.
    pub fn full(&self) -> String {
        groups(self.hash.get(..self.known).unwrap_or(&self.hash))
    }
}

impl fmt::Display for Fingerprint {
    /// The short form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&groups(self.hash.get(..SHORT).unwrap_or(&self.hash)))
    }
}

fn groups(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(65);
    for (i, c) in base32::encode(bytes).chars().enumerate() {
        if i > 0 && i % 4 == 0 {
            text.push('-');
        }
        text.push(c);
    }
    text
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Reads the short or the full form, in either case, with or without dashes.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let letters: String = text.chars().filter(|c| *c != '-' && !c.is_whitespace()).collect();
        let bytes = base32::decode(&letters).map_err(|_| FingerprintError)?;
        if bytes.len() != SHORT && bytes.len() != 32 {
            return Err(FingerprintError);
        }
        let mut hash = [0; 32];
        hash.iter_mut().zip(&bytes).for_each(|(h, b)| *h = *b);
        Ok(Self { hash, known: bytes.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: IdentityPublic = IdentityPublic([1; 32]);
    const BOB: IdentityPublic = IdentityPublic([2; 32]);

    /// Value computed with Python's hashlib and base64.
    #[test]
    fn the_fingerprint_of_a_key_never_changes() {
        let f = Fingerprint::of(&ALICE);
        assert_eq!(f.to_string(), "rr4c-syvb-ibyr-qd7r");
        assert_eq!(f.full(), "rr4c-syvb-ibyr-qd7r-qmzc-kxlv-icsa-u7ff-md7e-bal5-jrvq-azn7-3zfa");
    }

    #[test]
    fn both_forms_are_read_back_however_they_are_typed() {
        let f = Fingerprint::of(&ALICE);
        for text in [
            f.to_string(),
            f.full(),
            f.to_string().to_uppercase(),
            f.full().replace('-', ""),
            format!(" {} ", f.to_string().replace('-', " ")),
        ] {
            let read: Fingerprint = text.parse().unwrap();
            assert!(read.matches(&ALICE), "{text}");
            assert!(!read.matches(&BOB));
            assert_eq!(read.to_string(), f.to_string());
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "abcd", "abcd-efgh-ijkl", "abcd-efgh-ijkl-mno0", "abcd-efgh-ijkl-mnop-a"] {
            assert_eq!(text.parse::<Fingerprint>(), Err(FingerprintError), "{text}");
        }
    }
}
