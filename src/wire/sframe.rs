//! The SFrame header (RFC 9605 §4.3) and what the KID means here.
//!
//! The header is one config byte `X KKK Y CCC`, then the KID (if X) and the CTR (if Y) in as few
//! big-endian bytes as they need. It is the additional data of the seal: whoever changes a bit of
//! it makes the frame a forgery.

use crate::wire::varint::ParseError;

/// Longest header: config byte, eight bytes of KID, eight of CTR.
pub const MAX_HEADER: usize = 17;

/// KID and CTR of one sealed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Header {
    /// Selects the key; see [`Kid`].
    pub kid: u64,
    /// Counts the frames sealed under this KID from 0; makes the nonce.
    pub ctr: u64,
}

impl Header {
    /// The encoding: 1 to [`MAX_HEADER`] bytes.
    pub fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAX_HEADER);
        let (x_k, kid) = field(self.kid);
        let (y_c, ctr) = field(self.ctr);
        out.push(x_k << 4 | y_c);
        out.extend(self.kid.to_be_bytes().iter().skip(8 - kid));
        out.extend(self.ctr.to_be_bytes().iter().skip(8 - ctr));
        out
    }

    /// Reads the header at the start of a sealed frame; returns it and what follows it.
    /// A KID or CTR in more bytes than it needs is refused.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), ParseError> {
        let (&config, rest) = bytes.split_first().ok_or(ParseError::Truncated)?;
        let (kid, rest) = value(config >> 4, rest)?;
        let (ctr, rest) = value(config & 0xf, rest)?;
        Ok((Self { kid, ctr }, rest))
    }
}

/// The four config bits of a number, and how many bytes follow for it.
fn field(value: u64) -> (u8, usize) {
    if value < 8 {
        return (value as u8, 0);
    }
    let bytes = 8 - value.leading_zeros() as usize / 8;
    (8 | (bytes as u8 - 1), bytes)
}

/// The number its four config bits and the following bytes stand for.
fn value(config: u8, bytes: &[u8]) -> Result<(u64, &[u8]), ParseError> {
    if config & 8 == 0 {
        return Ok((u64::from(config), bytes));
    }
    let n = usize::from(config & 7) + 1;
    let (own, rest) = bytes.split_at_checked(n).ok_or(ParseError::Truncated)?;
    let value = own.iter().fold(0u64, |v, &b| v << 8 | u64::from(b));
    if field(value).0 != config {
        return Err(ParseError::Invalid("SFrame header"));
    }
    Ok((value, rest))
}

/// What a sealed frame carries. Part of the KID, so each stream has its own key and counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamKind {
    /// Opus packets.
    Audio = 0,
    /// Camera pictures.
    Video = 1,
    /// Shared screen.
    Screen = 2,
    /// Messages between members ([`crate::wire::control::MemberMessage`]).
    Data = 3,
}

impl StreamKind {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::Audio, Self::Video, Self::Screen, Self::Data];
}

/// The KID: stream (2 bits) ‖ leaf (6 bits) ‖ epoch mod 16 (4 bits), RFC 9605 §5.2 with the stream
/// as context. Unique because no more than eight epochs live at once, and frames wait for no more than
/// four to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid {
    /// What the frame carries.
    pub stream: StreamKind,
    /// The sender's leaf, 0–63. Must be the leaf of the connection the frame came in on.
    pub leaf: u8,
    /// Epoch mod 16.
    pub epoch: u8,
}

impl Kid {
    /// The KID of `leaf`'s `stream` in `epoch` (the whole epoch number; reduced here). `None` if
    /// the leaf needs more than 6 bits.
    pub const fn new(stream: StreamKind, leaf: u8, epoch: u64) -> Option<Self> {
        if leaf > 63 {
            return None;
        }
        Some(Self { stream, leaf, epoch: (epoch % 16) as u8 })
    }

    /// The 12-bit number on the wire.
    pub const fn to_u64(self) -> u64 {
        (self.stream as u64) << 10 | (self.leaf as u64 & 63) << 4 | (self.epoch as u64 & 15)
    }

    /// Reads the number; more than 12 bits are refused.
    pub const fn from_u64(kid: u64) -> Result<Self, ParseError> {
        let stream = match kid >> 10 {
            0 => StreamKind::Audio,
            1 => StreamKind::Video,
            2 => StreamKind::Screen,
            3 => StreamKind::Data,
            _ => return Err(ParseError::Invalid("KID")),
        };
        Ok(Self { stream, leaf: (kid >> 4 & 63) as u8, epoch: (kid & 15) as u8 })
    }

    /// Whether `epoch` is one this KID can stand for.
    pub const fn is_of_epoch(self, epoch: u64) -> bool {
        self.epoch as u64 == epoch % 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 9605 appendix C.1; the file names its source.
    #[test]
    fn all_289_published_headers_are_reproduced() {
        let file = include_str!("../../tests/vectors/sframe-header-and-kdf.json");
        let json: serde_json::Value = serde_json::from_str(file).unwrap();
        let cases = json["header"].as_array().unwrap();
        assert_eq!(cases.len(), 289);
        for case in cases {
            let header =
                Header { kid: case["kid"].as_u64().unwrap(), ctr: case["ctr"].as_u64().unwrap() };
            let hex: String = header.encode().iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(hex, case["encoded"].as_str().unwrap());
            let mut bytes = header.encode();
            bytes.extend_from_slice(b"sealed");
            assert_eq!(Header::decode(&bytes), Ok((header, &b"sealed"[..])));
        }
    }

    #[test]
    fn a_header_with_wasted_bytes_is_refused() {
        for bytes in [&[0x80, 0x07][..], &[0x08, 0x01], &[0x90, 0x00, 0xff], &[0x09, 0x00, 0x80]] {
            assert_eq!(Header::decode(bytes), Err(ParseError::Invalid("SFrame header")));
        }
    }

    #[test]
    fn all_4096_kids_round_trip_and_no_other_number_is_one() {
        for kid in 0..4096 {
            assert_eq!(Kid::from_u64(kid).unwrap().to_u64(), kid);
        }
        assert!(Kid::from_u64(4096).is_err());
        assert!(Kid::from_u64(u64::MAX).is_err());
        assert_eq!(Kid::new(StreamKind::Audio, 64, 0), None);
        assert_eq!(Kid::new(StreamKind::Video, 5, 0x123).unwrap().to_u64(), 1 << 10 | 5 << 4 | 3);
    }

    proptest! {
        #![proptest_config(crate::wire::seeded())]

        #[test]
        fn headers_round_trip_and_truncated_ones_are_refused(
            kid in any::<u64>(), ctr in any::<u64>(), a in 0u32..64, b in 0u32..64,
        ) {
            let header = Header { kid: kid >> a, ctr: ctr >> b };
            let bytes = header.encode();
            prop_assert!(bytes.len() <= MAX_HEADER);
            prop_assert_eq!(Header::decode(&bytes), Ok((header, &[][..])));
            for cut in 0..bytes.len() {
                prop_assert_eq!(Header::decode(&bytes[..cut]), Err(ParseError::Truncated));
            }
        }

        #[test]
        fn what_is_accepted_has_one_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            if let Ok((header, rest)) = Header::decode(&bytes) {
                let mut again = header.encode();
                again.extend_from_slice(rest);
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
