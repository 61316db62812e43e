//! Bits and quality of the video path (cleaning, encoding, decoding) on a moving picture, against
//! the clean source. Sizes and rates are those of a small and a large terminal tile.

mod video_clip;

use facetty::media::codec::h264::{H264Decoder, H264Encoder};
use facetty::media::codec::{VideoDecoder as _, VideoEncoder as _};
use facetty::media::engine::denoise::Denoise;
use facetty::media::frame::Size;
use facetty::media::rate::ladder::demand;
use facetty::media::ssim::ssim;
use video_clip::{grain, scene};

const SECONDS: f64 = 5.0;

struct Outcome {
    kbps: f64,
    ssim: f64,
    coded: f64,
}

/// Codes the scene with grain of `sigma`, compares with the scene without it. A picture that was
/// left out counts with what the receiver still shows.
fn run(size: Size, fps: f64, bits_per_second: u32, sigma: f64) -> Outcome {
    let mut denoise = Denoise::default();
    let mut encoder = H264Encoder::new(size, (fps * 10.0) as u16, bits_per_second).unwrap();
    let mut decoder = H264Decoder::new().unwrap();
    let frames = (SECONDS * fps) as usize;
    let (mut bits, mut sum, mut coded, mut shown) = (0, 0.0, 0, None);
    for i in 0..frames {
        let clean = scene(size, i as f64 / fps);
        let noisy = if sigma > 0.0 { grain(&clean, sigma, i as u64 + 1) } else { clean.clone() };
        if let Some(picture) = encoder.step(&denoise.step(&noisy), false).unwrap() {
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

#[test]
fn large_tile_at_30_fps_needs_less_than_175_kbps_for_ssim_96() {
    let size = Size::new(240, 144);
    let clean = run(size, 30.0, demand(size, 300), 0.0);
    assert!(clean.kbps <= 100.0 && clean.ssim >= 0.98, "{} {}", clean.kbps, clean.ssim);
    assert!(clean.coded > 0.999);
}

#[test]
fn grain_costs_little_and_is_mostly_gone_at_the_receiver() {
    let size = Size::new(240, 144);
    let noisy = run(size, 30.0, demand(size, 300), 6.0);
    assert!(noisy.kbps <= 175.0 && noisy.ssim >= 0.96, "{} {}", noisy.kbps, noisy.ssim);
    let coarse = run(size, 30.0, demand(size, 300), 10.0);
    assert!(coarse.kbps <= 185.0 && coarse.ssim >= 0.90, "{} {}", coarse.kbps, coarse.ssim);
}

#[test]
fn small_tile_is_clean_at_30_kbps() {
    let size = Size::new(80, 48);
    let clean = run(size, 12.5, demand(size, 125), 0.0);
    assert!(clean.kbps <= 30.0 && clean.ssim >= 0.985, "{} {}", clean.kbps, clean.ssim);
}

#[test]
fn a_thin_budget_is_kept_and_the_picture_still_moves() {
    let size = Size::new(80, 48);
    let thin = run(size, 10.0, 12_000, 0.0);
    assert!(thin.kbps <= 14.5, "{}", thin.kbps);
    assert!(thin.ssim >= 0.94 && thin.coded >= 0.8, "{} {}", thin.ssim, thin.coded);
}
