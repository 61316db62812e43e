//! Sealing: one key, one counter, one owner.

use super::CTR_LIMIT;
use super::schedule::FrameKey;
use crate::secret::Secret;
use crate::wire::sframe::{Header, Kid};
use bytes::Bytes;

/// Seals the frames of one stream of one sender in one epoch. All encodings of the stream (sizes
/// for different receivers) share it; gaps in what one receiver sees are normal.
pub struct Sealer {
    key: FrameKey,
    kid: u64,
    next: u64,
}

/// One sealed frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Header ‖ ciphertext ‖ tag, ready to send.
    pub bytes: Bytes,
    /// Its KID.
    pub kid: u64,
    /// Its counter.
    pub ctr: u64,
}

/// Why a frame wasn't sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// 2^48 frames were sealed with this key: time for a new epoch.
    #[error("this key has sealed all the frames it may")]
    Exhausted,
    /// The frame has gigabytes.
    #[error("the frame is too large to be sealed")]
    TooLarge,
}

impl Sealer {
    pub(super) fn new(base: &Secret<32>, kid: Kid) -> Self {
        let kid = kid.to_u64();
        Self { key: FrameKey::new(base.expose(), kid), kid, next: 0 }
    }

    /// Seals `plaintext` under the next counter. A counter is used up even if sealing fails.
    pub fn seal(&mut self, plaintext: &[u8]) -> Result<Sealed, SealError> {
        let ctr = self.next;
        if ctr >= CTR_LIMIT {
            return Err(SealError::Exhausted);
        }
        self.next += 1;
        let header = Header { kid: self.kid, ctr };
        let bytes = self.key.seal(header, &[], plaintext).map_err(|_| SealError::TooLarge)?;
        Ok(Sealed { bytes: bytes.into(), kid: self.kid, ctr })
    }

    /// Frames sealed so far.
    pub const fn sealed(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sframe::StreamKind;
    use std::collections::BTreeSet;

    fn sealer() -> Sealer {
        let kid = Kid::new(StreamKind::Video, 1, 2).unwrap();
        Sealer::new(&Secret::take(&mut [1; 32]), kid)
    }

    #[test]
    fn counters_start_at_zero_and_no_nonce_repeats() {
        let mut s = sealer();
        let mut nonces = BTreeSet::new();
        for i in 0..10_000 {
            let sealed = s.seal(b"same plaintext").unwrap();
            assert_eq!(sealed.ctr, i);
            assert!(nonces.insert(s.key.nonce(sealed.ctr)));
        }
        assert_eq!(s.sealed(), 10_000);
    }

    #[test]
    fn the_last_counter_seals_and_the_next_never_does() {
        let mut s = sealer();
        s.next = CTR_LIMIT - 1;
        assert_eq!(s.seal(b"last").unwrap().ctr, CTR_LIMIT - 1);
        for _ in 0..3 {
            assert_eq!(s.seal(b"never"), Err(SealError::Exhausted));
        }
    }

    #[test]
    fn a_sealed_frame_is_header_and_tag_longer() {
        let mut s = sealer();
        assert_eq!(s.seal(&[0; 100]).unwrap().bytes.len(), 3 + 100 + 16);
        s.next = 100_000;
        assert_eq!(s.seal(&[0; 100]).unwrap().bytes.len(), 6 + 100 + 16);
        assert_eq!(s.seal(b"").unwrap().bytes.len(), 6 + 16);
    }
}
