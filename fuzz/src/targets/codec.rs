//! The codecs' decoders, reached as in a call: through our wrappers.

use super::Feed;
use bytes::Bytes;
use facetty::media::codec::h264::{H264Decoder, H264Encoder};
use facetty::media::codec::opus::{FURTHEST_MS, OpusDecoder, OpusEncoder};
use facetty::media::codec::{MAX_SIZE, VideoDecoder as _, VideoEncoder as _};
use facetty::media::frame::{RawFrame, Size};
use facetty::time::MediaTime;
use std::sync::OnceLock;

/// A small clip of our own, one access unit a picture.
pub(super) fn clip() -> &'static [Vec<u8>] {
    static CLIP: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    CLIP.get_or_init(|| {
        let size = Size::new(48, 32);
        let mut encoder = H264Encoder::new(size, 150, 200_000).expect("encoder");
        let coded = (0..4u64).map(|n| {
            let mut frame = RawFrame::black(size, MediaTime(n * 66_000));
            for (i, sample) in frame.y.iter_mut().enumerate() {
                *sample = (40 + i % 48 * 3 + i / 48 * n as usize) as u8;
            }
            encoder.step(&frame, false).expect("encodes").map(|c| c.bytes.to_vec())
        });
        coded.flatten().collect()
    })
}

/// A short sound of our own, one packet of 20 ms each.
pub(super) fn packets() -> &'static [Vec<u8>] {
    static PACKETS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    PACKETS.get_or_init(|| {
        let mut encoder = OpusEncoder::new(24_000, 20).expect("encoder");
        let packet = |n: usize| {
            let pcm: Vec<f32> =
                (0..960).map(|i| ((n * 960 + i) as f32 * 0.03).sin() * 0.3).collect();
            encoder.step(&pcm).expect("encodes").to_vec()
        };
        (0..4).map(packet).collect()
    })
}

/// The same with deep redundancy for all that came before.
pub(super) fn deep_packets() -> &'static [Bytes] {
    static PACKETS: OnceLock<Vec<Bytes>> = OnceLock::new();
    PACKETS.get_or_init(|| {
        let mut encoder = OpusEncoder::new(32_000, 20).expect("encoder");
        encoder.reach_back(400).expect("reaches");
        let packet = |n: usize| {
            let pcm: Vec<f32> = (0..960)
                .map(|i| (n * 960 + i) as f32)
                .map(|t| (t * 0.03).sin() * 0.3 * (1.0 + (t * 0.0007).sin()))
                .collect();
            encoder.step(&pcm).expect("encodes")
        };
        (0..24).map(packet).skip(20).collect()
    })
}

/// H.264: access units of the input, or changed ones of a clip. A picture that comes out has the
/// planes its size says, and no size beyond ours.
pub(super) fn h264(data: &[u8]) {
    let mut feed = Feed(data);
    let genuine = feed.u8() % 2 == 1;
    let mut decoder = H264Decoder::new().expect("decoder");
    for number in 0..4usize {
        if feed.is_empty() {
            break;
        }
        let unit = if genuine {
            let own = usize::from(feed.u8());
            let mut part = Feed(feed.take(own));
            part.patched(clip().get(number).map_or(&[][..], |unit| unit))
        } else {
            let length = usize::from(feed.u16());
            feed.take(length).to_vec()
        };
        if let Ok(Some(picture)) = decoder.step(&unit, MediaTime(number as u64)) {
            let size = picture.size;
            assert!(size.width <= MAX_SIZE.width && size.height <= MAX_SIZE.height);
            assert_eq!(picture.y.len(), size.luma());
            assert_eq!((picture.u.len(), picture.v.len()), (size.chroma(), size.chroma()));
        }
    }
}

/// Opus: packets of the input, or changed ones of a sound, also as redundancy and with wrong
/// lengths. The output grows by what was asked for or not at all, and no mixer is harmed.
pub(super) fn opus(data: &[u8]) {
    let mut feed = Feed(data);
    let mut decoder = OpusDecoder::new().expect("decoder");
    let mut out = Vec::new();
    for number in 0..16usize {
        if feed.is_empty() {
            break;
        }
        let how = feed.u8();
        let millis = [20, 10, 40, 60, 120, 0, 30, 255][usize::from(how >> 5)];
        let length = usize::from(feed.u8());
        let own = feed.take(length);
        let packet = match how & 3 {
            0 => Some(own.to_vec()),
            1 => Some(Feed(own).patched(&packets()[number % 4])),
            2 => Some(packets()[number % 4].clone()),
            _ => None,
        };
        if how & 8 != 0 {
            deep(&mut decoder, packet.clone().unwrap_or_default(), length, millis, &mut out);
        }
        let before = out.len();
        let done = decoder.step(packet.as_deref(), how & 4 != 0, millis, &mut out);
        let grown = if done.is_ok() { usize::from(millis) * 48 } else { 0 };
        assert_eq!(out.len() - before, grown);
        assert!(out.iter().skip(before).all(|sample| (-4.0..=4.0).contains(sample)));
    }
}

/// What a packet's deep redundancy says is spoken; it may itself be a changed one that has some.
fn deep(decoder: &mut OpusDecoder, own: Vec<u8>, how: usize, millis: u8, out: &mut Vec<f32>) {
    let genuine = &deep_packets()[how % 4];
    let packet = match how % 3 {
        0 => Bytes::from(own),
        1 => Bytes::from(Feed(&own).patched(genuine)),
        _ => genuine.clone(),
    };
    if let Some(reach) = decoder.reach(&packet) {
        assert!(reach.to_ms < reach.from_ms && reach.from_ms <= FURTHEST_MS);
    }
    let before = out.len();
    let done = decoder.rebuild(&packet, (how * 5) as u16, millis, out);
    let grown = if done.is_ok() { usize::from(millis) * 48 } else { 0 };
    assert_eq!(out.len() - before, grown);
    assert!(out.iter().skip(before).all(|sample| (-4.0..=4.0).contains(sample)));
}
