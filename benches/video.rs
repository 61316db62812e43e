//! What a picture costs: cleaning, encoding, decoding, at every rung of the ladder, and scaling
//! down to it from a camera's size.

#[path = "../tests/video_clip/mod.rs"]
mod video_clip;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use facetty::media::codec::h264::{H264Decoder, H264Encoder};
use facetty::media::codec::{VideoDecoder as _, VideoEncoder as _};
use facetty::media::engine::denoise::Denoise;
use facetty::media::frame::{RawFrame, Size};
use facetty::media::rate::ladder::{LADDER, demand};
use facetty::media::scale;
use facetty::media::ssim::ssim;
use facetty::time::MediaTime;
use std::hint::black_box;

const FPS: f64 = 30.0;
/// Pictures that are run through again and again.
const CLIP: usize = 60;

fn clip(size: Size) -> Vec<RawFrame> {
    (0..CLIP).map(|i| video_clip::scene(size, i as f64 / FPS)).collect()
}

fn per_rung(c: &mut Criterion) {
    for size in LADDER {
        let pictures = clip(size);
        let noisy: Vec<RawFrame> =
            pictures.iter().zip(1..).map(|(p, seed)| video_clip::grain(p, 6.0, seed)).collect();
        let mut denoise = Denoise::default();
        let mut turn = noisy.iter().cycle();
        c.bench_function(&format!("denoise/{size}"), |b| {
            b.iter(|| denoise.step(black_box(turn.next().unwrap())));
        });
        let mut encoder = H264Encoder::new(size, 300, demand(size, 300)).unwrap();
        let mut count = 0;
        c.bench_function(&format!("encode/{size}"), |b| {
            b.iter(|| {
                let mut picture = pictures[count % CLIP].clone();
                picture.at = MediaTime(count as u64 * 33_333);
                count += 1;
                encoder.step(black_box(&picture), false).unwrap()
            });
        });
        let mut encoder = H264Encoder::new(size, 300, 50_000_000).unwrap();
        let coded: Vec<_> = pictures
            .iter()
            .map(|p| (p.at, encoder.step(p, false).unwrap().unwrap().bytes))
            .collect();
        let mut decoder = H264Decoder::new().unwrap();
        let mut turn = coded.iter().cycle();
        c.bench_function(&format!("decode/{size}"), |b| {
            b.iter(|| {
                let (at, bytes) = turn.next().unwrap();
                decoder.step(black_box(bytes), *at).unwrap()
            });
        });
    }
}

fn scaling(c: &mut Criterion) {
    let camera = video_clip::scene(Size::new(1280, 720), 0.0);
    for size in LADDER {
        let id = BenchmarkId::new("scale-720p", size);
        c.bench_with_input(id, &size, |b, &size| {
            b.iter(|| scale::resize(black_box(&camera), size))
        });
    }
    let (a, b) = (clip(Size::new(240, 144)), video_clip::scene(Size::new(240, 144), 9.0));
    c.bench_function("ssim/240x144", |bench| bench.iter(|| ssim(black_box(&a[0]), black_box(&b))));
}

criterion_group!(benches, per_rung, scaling);
criterion_main!(benches);
