//! What deep redundancy is good for: speech over a path that loses two fifths of it in bursts.
#![expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]

use bytes::Bytes;
use facetty::media::codec::opus::{LOOKAHEAD, OpusDecoder, OpusEncoder};
use facetty::media::dsp::resample;
use facetty::media::seams::PcmSource;
use facetty::media::source::voice::{Speech, Voice};
use facetty::media::stoi;
use facetty::time::{Now, Wall};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::time::{Duration, Instant};

/// Samples of a packet of 20 ms.
const PACKET: usize = 960;
/// A lost packet is waited for by so many more, 140 ms.
const WAIT: usize = 7;

fn speech(seconds: u64) -> Vec<f32> {
    let origin = Instant::now();
    let mut voice = Voice::new(Speech::new(11, 1, 1), origin);
    let block = |n: u64| {
        let now = Now { mono: origin + Duration::from_millis(n * 10), wall: Wall(0) };
        voice.read(now).unwrap().unwrap()
    };
    (1..=seconds * 100).flat_map(block).collect()
}

/// Which packets are lost: two fifths, 80 ms at a stretch on average.
fn bursts(packets: usize) -> Vec<bool> {
    let mut rng = StdRng::seed_from_u64(8);
    let (mut bad, mut left) = (false, 120.0);
    let mut next = |_| {
        let lost = bad;
        left -= 20.0;
        while left < 0.0 {
            bad = !bad;
            let mean = if bad { 80.0 } else { 120.0 };
            left -= mean * (1.0 - rng.random_range(0.0..1.0f64)).ln();
        }
        lost
    };
    (0..packets).map(&mut next).collect()
}

/// What is heard of `said` at 32 kbit/s, with redundancy for so many ms.
fn heard(said: &[f32], reach_ms: u16, lost: &[bool]) -> Vec<f32> {
    let mut encoder = OpusEncoder::new(32_000, 20).unwrap();
    encoder.set(32_000, 20, 0).unwrap();
    encoder.reach_back(reach_ms).unwrap();
    let packets: Vec<Bytes> =
        said.chunks_exact(PACKET).map(|piece| encoder.step(piece).unwrap()).collect();
    let mut decoder = OpusDecoder::new().unwrap();
    let mut out = Vec::new();
    for (n, packet) in packets.iter().enumerate() {
        let later = (n + 1..packets.len().min(n + 1 + WAIT)).find(|later| !lost[*later]);
        let told = later.map(|later| (&packets[later], (later - n) as u16 * 20)).filter(
            |(later, before)| decoder.reach(later).is_some_and(|reach| reach.from_ms >= *before),
        );
        match told {
            _ if !lost[n] => decoder.step(Some(packet), false, 20, &mut out).unwrap(),
            Some((later, before)) => decoder.rebuild(later, before, 20, &mut out).unwrap(),
            None => decoder.step(None, false, 20, &mut out).unwrap(),
        }
    }
    out
}

fn score(said: &[f32], heard: &[f32]) -> f64 {
    let down = |sound: &[f32]| resample(sound, 48_000, stoi::RATE).unwrap();
    let heard = &heard[LOOKAHEAD..];
    stoi::stoi(&down(&said[..heard.len()]), &down(heard)).unwrap()
}

#[test]
fn bursts_that_concealment_makes_unintelligible_are_understood_with_deep_redundancy() {
    let said = speech(30);
    let lost = bursts(said.len() / PACKET);
    let concealed = score(&said, &heard(&said, 0, &lost));
    let rebuilt = score(&said, &heard(&said, 240, &lost));
    assert!(rebuilt >= 0.78, "{rebuilt:.3}");
    assert!(rebuilt >= concealed + 0.12, "{rebuilt:.3}, concealed {concealed:.3}");
    // Its room in the packets is hardly missed.
    let whole = score(&said, &heard(&said, 240, &vec![false; lost.len()]));
    assert!(whole >= 0.96, "{whole:.3}");
}

#[test]
fn what_is_rebuilt_sounds_the_same_every_time() {
    let said = speech(4);
    let lost = bursts(said.len() / PACKET);
    assert_eq!(heard(&said, 240, &lost), heard(&said, 240, &lost));
}
