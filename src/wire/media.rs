//! What stands inside the seal of an audio or video frame: a small header, the codec's bytes, and
//! padding. The network sees none of it but the total size.
//!
//! Capture times travel in steps of 125 µs ([`TICK_US`]), rounded to the nearest: at most 62.5 µs
//! off, which leaves lip sync and latency figures exact to well under a millisecond, and four
//! bytes last for 37 hours.
//!
//! Audio: `0 (1 bit) ‖ level (7 bits)`, then a varint of `drift · 8 + padded? · 4 + length
//! code` (lengths 10, 20, 40, 60 ms), the time, and the packet – behind its length if padded, else to
//! the end. `drift` is the zigzag distance of the packet's number from the number it would have if
//! every packet since time 0 had this packet's length: nearly constant, so one or two bytes do where
//! the number takes four.
//! Usually 6 or 7 bytes in all.
//!
//! Video: `keyframe? ‖ padded? ‖ size code (6 bits)`, number, time, width/2 and height/2 if the
//! size code is 63, two bytes counting the padding if padded, the access unit, the padding.
//! Usually 7 to 11 bytes in all.

use crate::media::frame::{Coded, CodedAudio, CodedVideo, Size};
use crate::time::MediaTime;
use crate::wire::sframe::StreamKind;
use crate::wire::varint::{ParseError, Reader, Writer, unzigzag, zigzag};
use bytes::Bytes;

/// Step of capture times on the wire, in microseconds.
pub const TICK_US: u64 = 125;
/// Longest Opus packet (RFC 6716 §3.4, R5), in bytes.
pub const OPUS_CAP: usize = 1275;
/// Longest access unit, in bytes.
pub const PICTURE_CAP: usize = 512 * 1024;
/// Largest picture.
pub const SIZE_CAP: Size = Size::new(1920, 1088);

/// First byte of a datagram that carries a *copy*: a sealed frame that was sent before, to the byte. No
/// sealed frame of ours begins like that (it would have a KID of eight bytes). What a copy carries
/// is opened once, like everything; the mark only says that its time on the way means nothing.
pub const COPY: u8 = 0xff;

/// The datagram that carries `sealed` again.
pub fn encode_copy(sealed: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(1 + sealed.len());
    bytes.push(COPY);
    bytes.extend_from_slice(sealed);
    bytes.into()
}

/// Packet lengths by their two-bit code, in milliseconds.
const MILLIS: [u8; 4] = [10, 20, 40, 60];
/// Sizes with a code of their own, by that code; new ones are only ever added at the end.
const SIZES: [(u16, u16); 12] = [
    (80, 48),
    (112, 64),
    (160, 96),
    (240, 144),
    (320, 192),
    (480, 288),
    (640, 384),
    (160, 120),
    (320, 240),
    (640, 360),
    (640, 480),
    (1280, 720),
];
const OTHER_SIZE: u8 = 63;

/// Encodes an Opus packet. With `pad_to` > 0 the result is padded with zeros to that many bytes
/// (and only longer if it has to be), so that sizes say nothing about sound; 0 pads nothing.
/// Packet lengths other than 10, 20, 40 and 60 ms don't exist here and are coded as the next
/// longer one.
pub fn encode_audio(packet: &CodedAudio, pad_to: usize) -> Vec<u8> {
    let code = MILLIS.iter().position(|&m| packet.millis <= m).unwrap_or(MILLIS.len() - 1);
    let ticks = ticks(packet.at);
    let drift = zigzag(expected(ticks, code).wrapping_sub(i64::from(packet.seq)));
    let padded = pad_to > 0;
    let mut w = Writer::with_capacity(pad_to.max(20 + packet.bytes.len()));
    w.u8(packet.level.min(127));
    w.varint(drift << 3 | u64::from(padded) << 2 | code as u64);
    w.varint(ticks);
    if padded {
        w.prefixed(&packet.bytes);
        w.zeros(pad_to.saturating_sub(w.len()));
    } else {
        w.raw(&packet.bytes);
    }
    w.finish()
}

/// How far a picture's length is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Not at all: the network sees the length to the byte.
    None,
    /// Up to the next of eight steps per doubling, at least [`LEAST_STEP`]: 6 % more on average,
    /// 12.5 % at most, and some fifty lengths in all instead of thousands.
    Steps,
    /// Up to a multiple of this many bytes (at most 32768).
    Multiple(u16),
}

/// Shortest length of [`Padding::Steps`], in bytes.
pub const LEAST_STEP: usize = 64;

impl Padding {
    /// The padded length of `length` bytes.
    pub const fn of(self, length: usize) -> usize {
        match self {
            Self::None => length,
            Self::Steps if length <= LEAST_STEP => LEAST_STEP,
            Self::Steps => {
                // 2^e ≤ length - 1 < 2^(e+1): an eighth of that power is the step.
                let step = 1 << ((length - 1).ilog2() - 3);
                let step = if step < MOST_PADDING { step } else { MOST_PADDING };
                length.div_ceil(step) * step
            }
            Self::Multiple(of) => {
                let step = if of == 0 { 1 } else { of as usize };
                let step = if step < MOST_PADDING { step } else { MOST_PADDING };
                length.div_ceil(step) * step
            }
        }
    }
}

/// The padding's length travels in two bytes.
const MOST_PADDING: usize = 1 << 15;

/// Encodes an access unit, padded with zeros.
pub fn encode_video(picture: &CodedVideo, padding: Padding) -> Vec<u8> {
    let size = (picture.size.width, picture.size.height);
    let code = SIZES.iter().position(|&s| s == size).map_or(OTHER_SIZE, |i| i as u8);
    let padded = padding != Padding::None;
    let mut w = Writer::with_capacity(padding.of(24 + picture.bytes.len()));
    w.u8(u8::from(picture.keyframe) << 7 | u8::from(padded) << 6 | code);
    w.varint(u64::from(picture.number));
    w.varint(ticks(picture.at));
    if code == OTHER_SIZE {
        w.varint(u64::from(size.0 / 2)).varint(u64::from(size.1 / 2));
    }
    if padded {
        let length = w.len() + 2 + picture.bytes.len();
        let zeros = padding.of(length) - length;
        w.u16(zeros as u16).raw(&picture.bytes).zeros(zeros);
    } else {
        w.raw(&picture.bytes);
    }
    w.finish()
}

/// Decodes the opened bytes of a frame of `stream`; `Data` isn't media and is refused.
pub fn decode(stream: StreamKind, opened: &[u8]) -> Result<Coded, ParseError> {
    match stream {
        StreamKind::Audio => audio(opened).map(Coded::Audio),
        StreamKind::Video | StreamKind::Screen => video(opened).map(Coded::Video),
        StreamKind::Data => Err(ParseError::Invalid("stream")),
    }
}

fn audio(opened: &[u8]) -> Result<CodedAudio, ParseError> {
    let mut r = Reader::new(opened);
    let first = r.u8()?;
    if first > 127 {
        return Err(ParseError::Invalid("level"));
    }
    let second = r.varint()?;
    let code = (second & 3) as usize;
    let ticks = r.varint()?;
    let seq = expected(ticks, code)
        .checked_sub(unzigzag(second >> 3))
        .and_then(|seq| u32::try_from(seq).ok())
        .ok_or(ParseError::Invalid("packet number"))?;
    let bytes = if second & 4 == 0 {
        r.rest("Opus packet", OPUS_CAP)?
    } else {
        let bytes = r.prefixed("Opus packet", OPUS_CAP)?;
        zeros(r.rest("padding", 4 * OPUS_CAP)?)?;
        bytes
    };
    Ok(CodedAudio {
        seq,
        at: media_time(ticks)?,
        millis: MILLIS.get(code).copied().unwrap_or(20),
        level: first,
        bytes: Bytes::copy_from_slice(bytes),
    })
}

fn video(opened: &[u8]) -> Result<CodedVideo, ParseError> {
    let mut r = Reader::new(opened);
    let first = r.u8()?;
    let number = r.varint_u32("picture number")?;
    let at = media_time(r.varint()?)?;
    let size = match first & 63 {
        OTHER_SIZE => {
            let (w, h) = (r.varint()?, r.varint()?);
            let ok = |half: u64, cap: u16| match u16::try_from(half) {
                Ok(v) if v > 0 && v <= cap / 2 => Ok(v * 2),
                _ => Err(ParseError::Invalid("picture size")),
            };
            let size = (ok(w, SIZE_CAP.width)?, ok(h, SIZE_CAP.height)?);
            if SIZES.contains(&size) {
                return Err(ParseError::Invalid("picture size"));
            }
            size
        }
        code => *SIZES.get(usize::from(code)).ok_or(ParseError::Invalid("picture size"))?,
    };
    let padding = if first & 64 == 0 { 0 } else { usize::from(r.u16()?) };
    let length = r.remaining().checked_sub(padding).ok_or(ParseError::Truncated)?;
    if length > PICTURE_CAP {
        return Err(ParseError::TooLarge { what: "picture", cap: PICTURE_CAP });
    }
    let bytes = r.take(length)?;
    zeros(r.rest("padding", padding)?)?;
    Ok(CodedVideo {
        number,
        at,
        keyframe: first & 128 != 0,
        size: Size { width: size.0, height: size.1 },
        bytes: Bytes::copy_from_slice(bytes),
        room: 0,
    })
}

/// A media time in wire ticks, to the nearest.
const fn ticks(at: MediaTime) -> u64 {
    let ticks = at.0.saturating_add(TICK_US / 2) / TICK_US;
    if ticks < MAX_TICKS { ticks } else { MAX_TICKS }
}

/// 2^56 ticks (285 000 years) keep all sums below in range.
const MAX_TICKS: u64 = 1 << 56;

fn media_time(ticks: u64) -> Result<MediaTime, ParseError> {
    if ticks > MAX_TICKS {
        return Err(ParseError::Invalid("time"));
    }
    Ok(MediaTime(ticks * TICK_US))
}

/// The number a packet at this time would have, were all packets since 0 of this length.
fn expected(ticks: u64, code: usize) -> i64 {
    let millis = MILLIS.get(code).copied().unwrap_or(20);
    (ticks / (u64::from(millis) * 1000 / TICK_US)) as i64
}

fn zeros(padding: &[u8]) -> Result<(), ParseError> {
    if padding.iter().all(|&b| b == 0) { Ok(()) } else { Err(ParseError::Invalid("padding")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn packet() -> impl Strategy<Value = CodedAudio> {
        let bytes = || vec(any::<u8>(), 0..=OPUS_CAP).prop_map(Bytes::from);
        (any::<u32>(), 0u64..1 << 50, 0usize..4, 0u8..128, bytes()).prop_map(
            |(seq, ticks, code, level, bytes)| CodedAudio {
                seq,
                at: MediaTime(ticks * TICK_US),
                millis: MILLIS[code],
                level,
                bytes,
            },
        )
    }

    fn picture() -> impl Strategy<Value = CodedVideo> {
        let size = prop_oneof![
            (0usize..SIZES.len()).prop_map(|i| Size::new(SIZES[i].0, SIZES[i].1)),
            (1u16..=960, 1u16..=544).prop_map(|(w, h)| Size::new(w * 2, h * 2)),
        ];
        let bytes = vec(any::<u8>(), 0..3000).prop_map(Bytes::from);
        (any::<u32>(), 0u64..1 << 50, any::<bool>(), size, bytes).prop_map(
            |(number, ticks, keyframe, size, bytes)| CodedVideo {
                number,
                at: MediaTime(ticks * TICK_US),
                keyframe,
                size,
                bytes,
                room: 0,
            },
        )
    }

    fn padding() -> impl Strategy<Value = Padding> {
        prop_oneof![
            Just(Padding::None),
            Just(Padding::Steps),
            any::<u16>().prop_map(Padding::Multiple)
        ]
    }

    proptest! {
        #![proptest_config(crate::wire::seeded())]

        #[test]
        fn audio_round_trips_and_pads_to_one_size(p in packet(), pad_to in 0usize..4000) {
            let bytes = encode_audio(&p, pad_to);
            prop_assert!(bytes.len() >= pad_to);
            prop_assert_eq!(decode(StreamKind::Audio, &bytes), Ok(Coded::Audio(p)));
        }

        #[test]
        fn truncated_padded_audio_is_refused_or_lacks_only_padding(
            p in packet(), pad_to in 1usize..200,
        ) {
            let bytes = encode_audio(&p, pad_to);
            for cut in 0..bytes.len() {
                if let Ok(coded) = decode(StreamKind::Audio, &bytes[..cut]) {
                    prop_assert_eq!(coded, Coded::Audio(p.clone()));
                }
            }
        }

        #[test]
        fn video_round_trips_at_a_padded_length(p in picture(), padding in padding()) {
            let bytes = encode_video(&p, padding);
            prop_assert_eq!(padding.of(bytes.len()), bytes.len());
            prop_assert_eq!(decode(StreamKind::Video, &bytes), Ok(Coded::Video(p.clone())));
            prop_assert_eq!(decode(StreamKind::Screen, &bytes), Ok(Coded::Video(p)));
        }

        #[test]
        fn times_are_at_most_half_a_tick_off(us in 0u64..1 << 45) {
            let sent = CodedVideo {
                number: 0,
                at: MediaTime(us),
                keyframe: true,
                size: Size::new(80, 48),
                bytes: Bytes::new(),
                room: 0,
            };
            let Ok(Coded::Video(got)) = decode(StreamKind::Video, &encode_video(&sent, Padding::None)) else {
                return Err(TestCaseError::fail("not decoded"));
            };
            prop_assert!(got.at.0.abs_diff(us) <= 63);
        }

        #[test]
        fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..100)) {
            for stream in StreamKind::ALL {
                let _ = decode(stream, &bytes);
            }
        }
    }

    #[test]
    fn headers_stay_within_seven_and_eleven_bytes_through_a_three_hour_call() {
        for second in [0u64, 1, 60, 3600, 3 * 3600] {
            // The microphone opened 1.3 s after the origin; the whole call in 20 ms packets.
            let audio = CodedAudio {
                seq: (second * 50) as u32,
                at: MediaTime(second * 1_000_000 + 1_300_123),
                millis: 20,
                level: 127,
                bytes: Bytes::from_static(&[0; 60]),
            };
            assert!(encode_audio(&audio, 0).len() <= 60 + 7);
            let video = CodedVideo {
                number: (second * 15) as u32,
                at: MediaTime(second * 1_000_000),
                keyframe: false,
                size: Size::new(160, 96),
                bytes: Bytes::from_static(&[0; 500]),
                room: 0,
            };
            assert!(encode_video(&video, Padding::None).len() <= 500 + 9);
            assert_eq!(encode_video(&video, Padding::Multiple(256)).len(), 512);
        }
    }

    #[test]
    fn silence_and_speech_of_one_length_have_one_size() {
        let speech = CodedAudio {
            seq: 7,
            at: MediaTime(140_000),
            millis: 20,
            level: 20,
            bytes: Bytes::from_static(&[1; 60]),
        };
        let silence = CodedAudio { level: 127, ..speech.clone() };
        assert_eq!(encode_audio(&speech, 0).len(), encode_audio(&silence, 0).len());
    }

    #[test]
    fn impossible_pictures_are_refused() {
        let ok = CodedVideo {
            number: 1,
            at: MediaTime(0),
            keyframe: true,
            size: Size::new(1920, 1088),
            bytes: Bytes::from_static(b"x"),
            room: 0,
        };
        assert!(decode(StreamKind::Video, &encode_video(&ok, Padding::None)).is_ok());
        for size in [(0, 48), (48, 0), (1922, 100), (100, 1090), (u16::MAX, 2)] {
            let size = Size { width: size.0, height: size.1 };
            let bytes = encode_video(&CodedVideo { size, ..ok.clone() }, Padding::None);
            assert_eq!(decode(StreamKind::Video, &bytes), Err(ParseError::Invalid("picture size")));
        }
        let long = CodedVideo { bytes: vec![0; PICTURE_CAP + 1].into(), ..ok };
        assert!(decode(StreamKind::Video, &encode_video(&long, Padding::None)).is_err());
    }

    #[test]
    fn steps_are_few_and_cost_an_eighth_at_most() {
        let mut lengths = std::collections::BTreeSet::new();
        let (mut padded, mut plain) = (0, 0);
        for length in 1..=16 * 1024usize {
            let to = Padding::Steps.of(length);
            assert!(to >= length && (length <= LEAST_STEP || to * 8 <= length * 9), "{length}");
            assert_eq!(Padding::Steps.of(to), to);
            lengths.insert(to);
            (padded, plain) = (padded + to, plain + length);
        }
        assert_eq!(lengths.len(), 1 + 8 * 8);
        assert!(padded * 100 < plain * 105);
    }

    #[test]
    fn nothing_hides_in_the_padding() {
        let p = CodedVideo {
            number: 1,
            at: MediaTime(0),
            keyframe: true,
            size: Size::new(80, 48),
            bytes: Bytes::from_static(b"x"),
            room: 0,
        };
        let mut bytes = encode_video(&p, Padding::Multiple(256));
        *bytes.last_mut().unwrap() = 1;
        assert_eq!(decode(StreamKind::Video, &bytes), Err(ParseError::Invalid("padding")));
    }
}
