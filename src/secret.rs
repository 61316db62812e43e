//! Secrets: a wrapper without `Debug`, `Display` or `Clone`, wiped on drop. Every reading place
//! says [`Secret::expose`], so that a review can list them.

use zeroize::{Zeroize, Zeroizing};

/// `N` secret bytes, on the heap so that moves leave no copies on the stack.
pub struct Secret<const N: usize>(Box<Zeroizing<[u8; N]>>);

impl<const N: usize> Secret<N> {
    /// Builds the secret in place: `fill` writes into zeroed bytes that are wiped on drop.
    pub fn build(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut bytes = Box::new(Zeroizing::new([0u8; N]));
        fill(&mut bytes);
        Self(bytes)
    }

    /// Takes over `bytes` and wipes the caller's copy.
    pub fn take(bytes: &mut [u8; N]) -> Self {
        let secret = Self::build(|b| b.copy_from_slice(bytes));
        bytes.zeroize();
        secret
    }

    /// The bytes themselves. Every call of this is a place to review.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// A second copy, for the few places where a key has two owners; named so that it is found.
    pub fn duplicate(&self) -> Self {
        Self::build(|b| b.copy_from_slice(self.expose()))
    }
}

/// Secret bytes whose length is only known at run time.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes ownership; the vector's current buffer is wiped on drop.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves. Every call of this is a place to review.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}
