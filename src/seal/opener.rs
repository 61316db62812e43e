//! Opening: one sender's frames of one epoch.

use super::CTR_LIMIT;
use super::schedule::FrameKey;
use super::window::{Refusal, ReplayWindow};
use crate::secret::Secret;
use crate::wire::ParseError;
use crate::wire::sframe::{Header, Kid, StreamKind};
use std::collections::BTreeMap;

/// Opens the frames of one leaf in one epoch, all four streams; each has its own key (derived when
/// its first frame comes) and replay window.
pub struct Opener {
    base: Secret<32>,
    epoch: u64,
    leaf: u8,
    streams: BTreeMap<StreamKind, Stream>,
}

struct Stream {
    key: FrameKey,
    window: ReplayWindow,
}

/// Why a frame wasn't opened. It is dropped and counted, never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not a sealed frame, or not the one the given header was read from.
    #[error("not a sealed frame: {0}")]
    Header(#[from] ParseError),
    /// The KID names another leaf or epoch: the sender isn't who it says.
    #[error("sealed under another member's or epoch's KID")]
    WrongKid,
    /// A counter no sealer gets to.
    #[error("counter beyond the limit")]
    Counter,
    /// Opened before: a network's or a sender's duplicate, or a replay.
    #[error("opened before")]
    Replayed,
    /// More than the replay window behind.
    #[error("too old to tell whether it was opened before")]
    TooOld,
    /// The tag doesn't fit: altered, cut, or made without the key.
    #[error("not authentic")]
    Forged,
}

/// What [`Opener::surrender`] hands over: enough to open – and to forge – one member's frames of
/// one epoch.
pub struct Surrendered {
    base: Secret<32>,
    epoch: u64,
    leaf: u8,
}

impl Surrendered {
    /// Of which epoch.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Of which leaf.
    pub const fn leaf(&self) -> u8 {
        self.leaf
    }

    /// The base key itself, for a search that must not find it.
    pub fn base(&self) -> &Secret<32> {
        &self.base
    }
}

impl Opener {
    /// For the frames of `leaf` in `epoch`.
    pub fn new(base: &Secret<32>, epoch: u64, leaf: u8) -> Self {
        Self { base: base.duplicate(), epoch, leaf, streams: BTreeMap::new() }
    }

    /// The epoch it opens.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The leaf it opens.
    pub const fn leaf(&self) -> u8 {
        self.leaf
    }

    /// Opens a whole sealed frame whose `header` was read before (to find this opener). No other
    /// key is tried, and nothing here changes unless the frame is authentic.
    pub fn open(&mut self, header: Header, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (own, body) = Header::decode(sealed)?;
        if own != header {
            return Err(OpenError::Header(ParseError::Invalid("SFrame header")));
        }
        let kid = Kid::from_u64(header.kid)?;
        if kid.leaf != self.leaf || !kid.is_of_epoch(self.epoch) {
            return Err(OpenError::WrongKid);
        }
        if header.ctr >= CTR_LIMIT {
            return Err(OpenError::Counter);
        }
        let stream = self.streams.entry(kid.stream).or_insert_with(|| Stream {
            key: FrameKey::new(self.base.expose(), header.kid),
            window: ReplayWindow::default(),
        });
        stream.window.check(header.ctr).map_err(|refusal| match refusal {
            Refusal::Replayed => OpenError::Replayed,
            Refusal::TooOld => OpenError::TooOld,
        })?;
        let head = sealed.get(..sealed.len() - body.len()).ok_or(OpenError::Forged)?;
        let plaintext =
            stream.key.open(header.ctr, head, &[], body).map_err(|_| OpenError::Forged)?;
        stream.window.record(header.ctr);
        Ok(plaintext)
    }

    /// Hands the member's keys of this epoch over, to show what somebody could read who had them:
    /// everything of this epoch, nothing of the next. `tests/layers.rs` lists who may call this.
    pub fn surrender(&self) -> Surrendered {
        Surrendered { base: self.base.duplicate(), epoch: self.epoch, leaf: self.leaf }
    }

    /// An opener from handed-over keys, with fresh replay windows.
    pub fn from_surrendered(keys: Surrendered) -> Self {
        Self { base: keys.base, epoch: keys.epoch, leaf: keys.leaf, streams: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::{Receipt, Sealers};
    use proptest::prelude::*;

    const EPOCH: u64 = 19;
    const LEAF: u8 = 5;

    fn base(byte: u8) -> Secret<32> {
        Secret::take(&mut [byte; 32])
    }

    fn sealers(byte: u8, epoch: u64, leaf: u8) -> Sealers {
        let receipt = Receipt::shown(epoch, [0; 32]);
        Sealers::new(base(byte), epoch, leaf, &receipt, &[0; 32]).ok().unwrap()
    }

    fn pair() -> (Sealers, Opener) {
        (sealers(1, EPOCH, LEAF), Opener::new(&base(1), EPOCH, LEAF))
    }

    fn open(opener: &mut Opener, frame: &[u8]) -> Result<Vec<u8>, OpenError> {
        opener.open(Header::decode(frame)?.0, frame)
    }

    #[test]
    fn what_is_sealed_opens_once_per_stream() {
        let (mut s, mut o) = pair();
        for stream in StreamKind::ALL {
            for text in [&b""[..], b"x", &[7; 20_000]] {
                let sealed = s.of(stream).seal(text).unwrap();
                assert_eq!(open(&mut o, &sealed.bytes).as_deref(), Ok(text));
                assert_eq!(open(&mut o, &sealed.bytes), Err(OpenError::Replayed));
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_changes_nothing() {
        let (mut s, mut o) = pair();
        let good = s.of(StreamKind::Audio).seal(b"twenty milliseconds").unwrap().bytes;
        for bit in 0..good.len() * 8 {
            let mut frame = good.to_vec();
            frame[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&mut o, &frame).is_err(), "bit {bit}");
        }
        assert_eq!(open(&mut o, &good).as_deref(), Ok(&b"twenty milliseconds"[..]));
    }

    #[test]
    fn every_truncation_and_extension_is_noticed() {
        let (mut s, mut o) = pair();
        let good = s.of(StreamKind::Audio).seal(b"twenty milliseconds").unwrap().bytes;
        for cut in 0..good.len() {
            assert!(open(&mut o, &good[..cut]).is_err(), "cut at {cut}");
        }
        let mut long = good.to_vec();
        long.push(0);
        assert_eq!(open(&mut o, &long), Err(OpenError::Forged));
    }

    #[test]
    fn a_forged_counter_far_ahead_does_not_move_the_window() {
        let (mut s, mut o) = pair();
        let first = s.of(StreamKind::Video).seal(b"first").unwrap();
        let mut forged = Header { kid: first.kid, ctr: CTR_LIMIT - 1 }.encode();
        forged.extend_from_slice(&first.bytes[3..]);
        assert_eq!(open(&mut o, &forged), Err(OpenError::Forged));
        assert_eq!(open(&mut o, &first.bytes).as_deref(), Ok(&b"first"[..]));
        let beyond = Header { kid: first.kid, ctr: CTR_LIMIT }.encode();
        assert_eq!(open(&mut o, &beyond), Err(OpenError::Counter));
    }

    #[test]
    fn frames_of_others_open_nowhere() {
        let (_, mut o) = pair();
        // Another leaf, another epoch, the epoch 16 later (same KID), another base key.
        for (byte, epoch, leaf, why) in [
            (1, EPOCH, LEAF + 1, OpenError::WrongKid),
            (1, EPOCH + 1, LEAF, OpenError::WrongKid),
            (2, EPOCH + 16, LEAF, OpenError::Forged),
            (2, EPOCH, LEAF, OpenError::Forged),
        ] {
            let frame = sealers(byte, epoch, leaf).of(StreamKind::Audio).seal(b"hi").unwrap();
            assert_eq!(open(&mut o, &frame.bytes), Err(why));
        }
    }

    #[test]
    fn a_frame_moved_to_another_stream_is_a_forgery() {
        let (mut s, mut o) = pair();
        let audio = s.of(StreamKind::Audio).seal(b"hi").unwrap();
        let kid = Kid::new(StreamKind::Data, LEAF, EPOCH).unwrap().to_u64();
        let (_, body) = Header::decode(&audio.bytes).unwrap();
        let mut moved = Header { kid, ctr: audio.ctr }.encode();
        moved.extend_from_slice(body);
        assert_eq!(open(&mut o, &moved), Err(OpenError::Forged));
    }

    #[test]
    fn a_header_that_is_not_the_frames_own_is_refused() {
        let (mut s, mut o) = pair();
        let frame = s.of(StreamKind::Audio).seal(b"hi").unwrap();
        let other = Header { kid: frame.kid, ctr: 9 };
        assert!(matches!(o.open(other, &frame.bytes), Err(OpenError::Header(_))));
    }

    #[test]
    fn late_frames_open_within_the_window_only() {
        let (mut s, mut o) = pair();
        let frames: Vec<_> =
            (0..1100).map(|_| s.of(StreamKind::Audio).seal(b"hi").unwrap().bytes).collect();
        assert!(open(&mut o, &frames[1099]).is_ok());
        assert!(open(&mut o, &frames[1099 - 1023]).is_ok());
        assert_eq!(open(&mut o, &frames[1099 - 1024]), Err(OpenError::TooOld));
        assert_eq!(open(&mut o, &frames[0]), Err(OpenError::TooOld));
    }

    #[test]
    fn surrendered_keys_open_this_epoch_and_not_the_next() {
        let (mut s, o) = pair();
        let mut eve = Opener::from_surrendered(o.surrender());
        let frame = s.of(StreamKind::Video).seal(b"seen by Eve").unwrap();
        assert_eq!(open(&mut eve, &frame.bytes).as_deref(), Ok(&b"seen by Eve"[..]));
        let next = sealers(9, EPOCH + 1, LEAF).of(StreamKind::Video).seal(b"not").unwrap();
        assert_eq!(open(&mut eve, &next.bytes), Err(OpenError::WrongKid));
    }

    proptest! {
        #![proptest_config(crate::wire::seeded())]

        #[test]
        fn random_bytes_never_open_or_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), ctr in any::<u64>(),
        ) {
            let (_, mut o) = pair();
            prop_assert!(open(&mut o, &bytes).is_err());
            let kid = Kid::new(StreamKind::Video, LEAF, EPOCH).unwrap().to_u64();
            let mut frame = Header { kid, ctr }.encode();
            frame.extend_from_slice(&bytes);
            prop_assert!(open(&mut o, &frame).is_err());
        }
    }
}
