//! What sound costs per 10 ms: source, codec, playout, mix.
#![expect(clippy::disallowed_methods, reason = "benchmarks read the clock")]

use criterion::{Criterion, criterion_group, criterion_main};
use facetty::media::codec::opus::{OpusDecoder, OpusEncoder};
use facetty::media::dsp::{Care, Mixer, Resampler, STRETCHABLE, shorten};
use facetty::media::engine::audio::AudioEngine;
use facetty::media::seams::{BLOCK, Pcm, PcmSource};
use facetty::media::source::voice::{Speech, Voice};
use facetty::time::{Now, Wall};
use facetty::wire::link::MemberId;
use std::hint::black_box;
use std::time::{Duration, Instant};

fn speech(blocks: u64) -> Vec<Pcm> {
    let origin = Instant::now();
    let mut voice = Voice::new(Speech::new(1, 0, 1), origin);
    (1..=blocks)
        .filter_map(|i| {
            let now = Now { mono: origin + Duration::from_millis(i * 10), wall: Wall(0) };
            voice.read(now).ok().flatten()
        })
        .collect()
}

/// Deep redundancy: to carry it, to look what a packet carries, and to speak 100 ms from it.
fn deep(c: &mut Criterion, blocks: &[Pcm]) {
    let mut encoder = OpusEncoder::new(24_000, 20).expect("encoder");
    encoder.reach_back(240).expect("reaches");
    let sound: Vec<f32> = blocks.iter().flatten().copied().collect();
    let mut pieces = sound.chunks_exact(encoder.samples()).cycle();
    c.bench_function("opus encode with deep redundancy, 20 ms", |b| {
        b.iter(|| black_box(encoder.step(pieces.next().unwrap_or_default())));
    });
    let packets: Vec<_> = pieces.take(200).filter_map(|piece| encoder.step(piece).ok()).collect();
    let mut decoder = OpusDecoder::new().expect("decoder");
    let mut next = packets.iter().cycle();
    c.bench_function("opus look for deep redundancy", |b| {
        b.iter(|| black_box(next.next().and_then(|packet| decoder.reach(packet))));
    });
    let mut out = Vec::new();
    c.bench_function("opus speak 100 ms from deep redundancy", |b| {
        b.iter(|| {
            let Some(packet) = next.next() else { return };
            for before_ms in [100, 80, 60, 40, 20] {
                out.clear();
                let _ = black_box(decoder.rebuild(packet, before_ms, 20, &mut out));
            }
        });
    });
}

fn benches(c: &mut Criterion) {
    let blocks = speech(400);

    let origin = Instant::now();
    let mut voice = Voice::new(Speech::new(1, 0, 1), origin);
    let mut tick = 0;
    c.bench_function("voice, 10 ms", |b| {
        b.iter(|| {
            tick += 1;
            let mono = origin + Duration::from_millis(tick * 10);
            black_box(voice.read(Now { mono, wall: Wall(0) }))
        });
    });

    for (millis, name) in [(20u8, "opus encode, 20 ms"), (60, "opus encode, 60 ms")] {
        let mut encoder = OpusEncoder::new(24_000, millis).expect("encoder");
        let sound: Vec<f32> = blocks.iter().flatten().copied().collect();
        let mut packets = sound.chunks_exact(encoder.samples()).cycle();
        c.bench_function(name, |b| {
            b.iter(|| black_box(encoder.step(packets.next().unwrap_or_default())));
        });
    }

    let mut encoder = OpusEncoder::new(24_000, 20).expect("encoder");
    let packets: Vec<_> =
        blocks.chunks_exact(2).filter_map(|two| encoder.step(&two.concat()).ok()).collect();
    for (name, fec, lost) in [
        ("opus decode, 20 ms", false, false),
        ("opus recover, 20 ms", true, false),
        ("opus conceal, 20 ms", false, true),
    ] {
        let mut decoder = OpusDecoder::new().expect("decoder");
        let mut out = Vec::new();
        let mut next = packets.iter().cycle();
        c.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                let packet = next.next().filter(|_| !lost);
                black_box(decoder.step(packet.map(|p| &p[..]), fec, 20, &mut out)).is_ok()
            });
        });
    }

    deep(c, &blocks);

    let fifteen: Vec<Pcm> = blocks.iter().skip(50).take(15).copied().collect();
    let mut mixer = Mixer::default();
    c.bench_function("mix 15 voices, 10 ms", |b| b.iter(|| black_box(mixer.mix(&fifteen))));

    let mut resampler = Resampler::new(44_100, 48_000).expect("rates");
    let mut out = Vec::new();
    c.bench_function("resample 44.1 to 48 kHz, 10 ms", |b| {
        b.iter(|| {
            out.clear();
            resampler.process(black_box(&blocks[60][..441]), &mut out);
        });
    });

    let three: Vec<f32> = blocks[60..63].concat();
    assert!(three.len() >= STRETCHABLE);
    c.bench_function("cut one period out", |b| {
        b.iter(|| shorten(&mut black_box(three.clone()), Care::Any, 0.0));
    });

    let origin = Instant::now();
    let mut from = AudioEngine::new(origin);
    let mut to = AudioEngine::new(origin);
    let mut tick = 0u64;
    c.bench_function("engine, both ways, 3 members, 10 ms", |b| {
        b.iter(|| {
            tick += 1;
            let now = origin + Duration::from_millis(tick * 10);
            let block = &blocks[usize::try_from(tick).unwrap_or(0) % blocks.len()];
            if let Some(packet) = from.captured(block, false, now) {
                for member in 0..3 {
                    to.received(MemberId(member), packet.clone(), now);
                }
            }
            black_box(to.playout(now, Duration::ZERO)[BLOCK - 1])
        });
    });
}

criterion_group!(audio, benches);
criterion_main!(audio);
