//! Bits and quality of the video path (cleaning, encoding, decoding) on a moving picture, against
//! the clean source. Sizes and rates are those of a small and a large terminal tile.

mod video_clip;

use facetty::config::PatternKind;
use facetty::media::codec::h264::{H264Decoder, H264Encoder};
use facetty::media::codec::{VideoDecoder as _, VideoEncoder as _};
use facetty::media::engine::denoise::Denoise;
use facetty::media::frame::{RawFrame, Size};
use facetty::media::rate::ladder::demand;
use facetty::media::source::pattern;
use facetty::media::ssim::ssim;
use facetty::time::MediaTime;
use std::sync::Arc;
use video_clip::{grain, scene};

const SECONDS: f64 = 5.0;

#[derive(Debug)]
struct Outcome {
    kbps: f64,
    ssim: f64,
    coded: f64,
}

/// Codes pictures against their clean twins; a picture that was left out counts with what the
/// receiver still shows.
fn measure(
    size: Size,
    fps: f64,
    bps: u32,
    mut pictures: impl FnMut(f64) -> (RawFrame, RawFrame),
) -> Outcome {
    let mut denoise = Denoise::default();
    let mut encoder = H264Encoder::new(size, (fps * 10.0) as u16, bps).unwrap();
    let mut decoder = H264Decoder::new().unwrap();
    let frames = (SECONDS * fps) as usize;
    let (mut bits, mut sum, mut coded, mut shown) = (0, 0.0, 0, None);
    for i in 0..frames {
        let (offered, clean) = pictures(i as f64 / fps);
        if let Some(picture) = encoder.step(&denoise.step(&offered), false).unwrap() {
            assert_eq!(picture.keyframe, i == 0, "no keyframe that nobody asked for");
            bits += picture.bytes.len() * 8;
            coded += 1;
            shown = decoder.step(&picture.bytes, clean.at).unwrap();
            assert_eq!(shown.as_ref().map(|f| f.at), Some(clean.at), "one in, one out");
        }
        sum += ssim(shown.as_ref().unwrap(), &clean).unwrap();
    }
    let count = frames as f64;
    Outcome {
        kbps: bits as f64 / SECONDS / 1000.0,
        ssim: sum / count,
        coded: f64::from(coded) / count,
    }
}

/// The drawn face, as a call shows it.
fn face(kind: PatternKind, size: Size, fps: f64) -> Outcome {
    let mouth = || Arc::new(|at: MediaTime| ((at.0 as f32 / 1e6 * 9.0).sin() * 0.5 + 0.5).powi(2));
    let mut render = pattern::Render::new(kind, &pattern::ADA, 1, mouth());
    let bps = demand(size, (fps * 10.0) as u16);
    measure(size, fps, bps, |seconds| {
        let (at, number) = (MediaTime((seconds * 1e6) as u64), (seconds * fps).round() as u32);
        (render.frame(size, at, number), render.clean_frame(size, at, number))
    })
}

/// The test scene with grain of `sigma`, compared with the scene without it.
fn run(size: Size, fps: f64, bits_per_second: u32, sigma: f64) -> Outcome {
    let mut number = 0;
    measure(size, fps, bits_per_second, |seconds| {
        number += 1;
        let clean = scene(size, seconds);
        let noisy = if sigma > 0.0 { grain(&clean, sigma, number) } else { clean.clone() };
        (noisy, clean)
    })
}

#[test]
fn the_drawn_face_fits_its_tiles() {
    let large = face(PatternKind::Face, Size::new(240, 144), 30.0);
    assert!(large.kbps <= 110.0 && large.ssim >= 0.98, "{large:?}");
    let small = face(PatternKind::Face, Size::new(80, 48), 12.5);
    assert!(small.kbps <= 26.0 && small.ssim >= 0.99, "{small:?}");
}

#[test]
fn the_drawn_face_in_evening_grain_comes_out_clean() {
    let large = face(PatternKind::Noise, Size::new(240, 144), 30.0);
    assert!(large.kbps <= 160.0 && large.ssim >= 0.96, "{large:?}");
    let small = face(PatternKind::Noise, Size::new(80, 48), 12.5);
    assert!(small.kbps <= 31.0 && small.ssim >= 0.97, "{small:?}");
}

#[test]
fn large_tile_at_30_fps_needs_less_than_175_kbps_for_ssim_96() {
    let size = Size::new(240, 144);
    let clean = run(size, 30.0, demand(size, 300), 0.0);
    assert!(clean.kbps <= 100.0 && clean.ssim >= 0.98, "{clean:?}");
    assert!(clean.coded > 0.999);
}

#[test]
fn grain_costs_little_and_is_mostly_gone_at_the_receiver() {
    let size = Size::new(240, 144);
    let noisy = run(size, 30.0, demand(size, 300), 6.0);
    assert!(noisy.kbps <= 175.0 && noisy.ssim >= 0.96, "{noisy:?}");
    let coarse = run(size, 30.0, demand(size, 300), 10.0);
    assert!(coarse.kbps <= 185.0 && coarse.ssim >= 0.90, "{coarse:?}");
}

#[test]
fn small_tile_is_clean_at_30_kbps() {
    let size = Size::new(80, 48);
    let clean = run(size, 12.5, demand(size, 125), 0.0);
    assert!(clean.kbps <= 30.0 && clean.ssim >= 0.985, "{clean:?}");
}

#[test]
fn a_thin_budget_is_kept_and_the_picture_still_moves() {
    let size = Size::new(80, 48);
    let thin = run(size, 10.0, 12_000, 0.0);
    assert!(thin.kbps <= 14.5, "{}", thin.kbps);
    assert!(thin.ssim >= 0.94 && thin.coded >= 0.8, "{} {}", thin.ssim, thin.coded);
}
