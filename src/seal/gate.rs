//! The roster gate: nothing is sealed for an epoch before its roster was shown.

use super::sealer::Sealer;
use crate::secret::Secret;
use crate::wire::sframe::{Kid, StreamKind};

/// Proof that the roster of an epoch was put in front of the user – drawn on the terminal, or
/// written and flushed where there is none. Only an output can make one truthfully, so only the
/// rooms that own an output may call [`Receipt::shown`]; `tests/layers.rs` lists them.
///
/// Its fields are private; nothing else makes a receipt:
/// ```compile_fail
/// let receipt = facetty::seal::Receipt { epoch: 1, roster: [0; 32] };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    epoch: u64,
    roster: [u8; 32],
}

impl Receipt {
    /// The roster with this digest was shown as that of this epoch. Call it after the write (or
    /// flush) that showed it has returned.
    pub const fn shown(epoch: u64, roster_digest: [u8; 32]) -> Self {
        Self { epoch, roster: roster_digest }
    }

    /// The epoch shown.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }
}

/// Why nothing may be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// What was shown is another epoch's roster.
    #[error("the roster of epoch {shown} was shown, not that of epoch {wanted}")]
    Epoch {
        /// The epoch on the receipt.
        shown: u64,
        /// The epoch to be sealed in.
        wanted: u64,
    },
    /// What was shown isn't the group that holds keys.
    #[error("the roster shown isn't the group that holds keys")]
    Roster,
    /// No such leaf in a KID (six bits).
    #[error("leaf {0} doesn't fit a KID")]
    Leaf(u8),
}

/// One sender's four sealers for one epoch.
pub struct Sealers {
    audio: Sealer,
    video: Sealer,
    screen: Sealer,
    data: Sealer,
}

impl Sealers {
    /// Consumes this sender's base key for `epoch`. `expected_roster` is the digest of the group
    /// as the keys have it; the receipt must be for just that.
    pub fn new(
        base: Secret<32>,
        epoch: u64,
        leaf: u8,
        receipt: &Receipt,
        expected_roster: &[u8; 32],
    ) -> Result<Self, GateError> {
        if receipt.epoch != epoch {
            return Err(GateError::Epoch { shown: receipt.epoch, wanted: epoch });
        }
        if receipt.roster != *expected_roster {
            return Err(GateError::Roster);
        }
        let sealer = |stream| {
            let kid = Kid::new(stream, leaf, epoch).ok_or(GateError::Leaf(leaf))?;
            Ok(Sealer::new(&base, kid))
        };
        Ok(Self {
            audio: sealer(StreamKind::Audio)?,
            video: sealer(StreamKind::Video)?,
            screen: sealer(StreamKind::Screen)?,
            data: sealer(StreamKind::Data)?,
        })
    }

    /// The sealer of one stream.
    pub const fn of(&mut self, stream: StreamKind) -> &mut Sealer {
        match stream {
            StreamKind::Audio => &mut self.audio,
            StreamKind::Video => &mut self.video,
            StreamKind::Screen => &mut self.screen,
            StreamKind::Data => &mut self.data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROSTER: [u8; 32] = [5; 32];

    fn sealers(epoch: u64, leaf: u8, receipt: &Receipt) -> Result<Sealers, GateError> {
        Sealers::new(Secret::take(&mut [1; 32]), epoch, leaf, receipt, &ROSTER)
    }

    #[test]
    fn the_shown_roster_of_this_epoch_opens_the_gate() {
        let mut s = sealers(7, 3, &Receipt::shown(7, ROSTER)).ok().unwrap();
        for stream in StreamKind::ALL {
            let sealed = s.of(stream).seal(b"x").unwrap();
            assert_eq!(Kid::from_u64(sealed.kid).unwrap(), Kid::new(stream, 3, 7).unwrap());
        }
    }

    #[test]
    fn another_epoch_or_another_roster_makes_no_sealer() {
        // 16 epochs apart the KIDs are equal; the gate still tells them apart.
        for shown in [6, 8, 23] {
            assert_eq!(
                sealers(7, 3, &Receipt::shown(shown, ROSTER)).err(),
                Some(GateError::Epoch { shown, wanted: 7 })
            );
        }
        assert_eq!(sealers(7, 3, &Receipt::shown(7, [6; 32])).err(), Some(GateError::Roster));
        assert_eq!(sealers(7, 64, &Receipt::shown(7, ROSTER)).err(), Some(GateError::Leaf(64)));
    }

    /// Compiles only while neither type is `Clone`: otherwise the call is ambiguous.
    #[test]
    fn sealers_cannot_be_cloned() {
        trait AmbiguousIfClone<A> {
            fn not_clone() {}
        }
        impl<T> AmbiguousIfClone<()> for T {}
        struct Cloneable;
        impl<T: Clone> AmbiguousIfClone<Cloneable> for T {}
        <Sealer as AmbiguousIfClone<_>>::not_clone();
        <Sealers as AmbiguousIfClone<_>>::not_clone();
        <Secret<32> as AmbiguousIfClone<_>>::not_clone();
    }
}
