//! Claims about the drawn talking head and the test pictures.

use facetty::media::codec::h264::{H264Decoder, H264Encoder};
use facetty::media::codec::{VideoDecoder, VideoEncoder};
use facetty::media::frame::{RawFrame, Size};
use facetty::media::marker;
use facetty::media::seams::FrameSource;
use facetty::media::source::VideoOptions;
use facetty::media::source::pattern::{ADA, BEN, Pattern, PatternKind, Render, number_at, time_of};
use facetty::time::{MediaTime, Now, Wall};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SIZE: Size = Size::new(160, 96);

fn render(kind: PatternKind, identity: &[u8], mouth: f32) -> Render {
    Render::new(kind, identity, 1, Arc::new(move |_| mouth))
}

fn face(identity: &[u8], mouth: f32) -> RawFrame {
    render(PatternKind::Face, identity, mouth).clean_frame(SIZE, MediaTime(2_000_000), 60)
}

/// Mean absolute difference of a plane within a box given in shares of the picture.
fn differ(a: &RawFrame, b: &RawFrame, left: f32, top: f32, right: f32, bottom: f32) -> f32 {
    let (w, h) = (f32::from(a.size.width), f32::from(a.size.height));
    let (mut sum, mut count) = (0.0, 0.0f32);
    for y in (h * top) as usize..(h * bottom) as usize {
        for x in (w * left) as usize..(w * right) as usize {
            let i = y * usize::from(a.size.width) + x;
            let c = y / 2 * usize::from(a.size.width / 2) + x / 2;
            sum += f32::from(a.y[i].abs_diff(b.y[i]));
            sum += f32::from(a.u[c].abs_diff(b.u[c]) + a.v[c].abs_diff(b.v[c]));
            count += 1.0;
        }
    }
    sum / count
}

#[test]
fn a_picture_is_a_pure_function_of_identity_seed_time_and_mouth() {
    for kind in [PatternKind::Face, PatternKind::Card, PatternKind::Flash, PatternKind::Noise] {
        let at = MediaTime(7_350_000);
        let fresh = render(kind, &ADA, 0.4).frame(SIZE, at, 9);
        let mut used = render(kind, &ADA, 0.4);
        used.frame(Size::new(80, 48), MediaTime(1), 1);
        used.frame(SIZE, MediaTime(99_000_000), 2);
        assert_eq!(used.frame(SIZE, at, 9), fresh, "{kind:?}");
    }
}

#[test]
fn adas_and_bens_faces_differ_at_a_glance() {
    let (ada, ben) = (face(&ADA, 0.3), face(&BEN, 0.3));
    let apart = differ(&ada, &ben, 0.35, 0.05, 0.65, 0.65);
    assert!(apart > 40.0, "{apart}");
    // One of them a moment later differs far less.
    let mut later = render(PatternKind::Face, &ADA, 0.3);
    let later = later.clean_frame(SIZE, MediaTime(2_100_000), 63);
    assert!(differ(&ada, &later, 0.35, 0.05, 0.65, 0.65) < apart / 4.0);
}

#[test]
fn most_identities_can_be_told_apart() {
    let identity = |n: u8| -> Vec<u8> {
        (0..32u8).map(|i| n.wrapping_mul(73) ^ i.wrapping_mul(151)).collect()
    };
    let faces: Vec<RawFrame> = (0..12).map(|n| face(&identity(n), 0.0)).collect();
    let mut alike = 0;
    for (i, a) in faces.iter().enumerate() {
        alike += faces[..i].iter().filter(|b| differ(a, b, 0.35, 0.05, 0.65, 0.65) < 15.0).count();
    }
    assert!(alike <= 3, "{alike} of 66 pairs alike");
}

#[test]
fn the_mouth_follows_the_sound() {
    let shut = face(&ADA, 0.0);
    let mut before = 0.0;
    for mouth in [0.25, 0.5, 0.75, 1.0] {
        let open = face(&ADA, mouth);
        let lips = differ(&shut, &open, 0.42, 0.44, 0.58, 0.68);
        assert!(lips > before + 1.0, "{mouth}: {lips} after {before}");
        before = lips;
    }
    assert!(before > 15.0, "{before}");
}

#[test]
fn the_face_moves_and_the_room_stands_still_but_for_its_light() {
    let mut render = render(PatternKind::Face, &BEN, 0.0);
    let a = render.clean_frame(SIZE, MediaTime(0), 0);
    let b = render.clean_frame(SIZE, MediaTime(700_000), 21);
    assert!(differ(&a, &b, 0.35, 0.1, 0.65, 0.7) > 3.0);
    assert!(differ(&a, &b, 0.0, 0.0, 0.2, 0.8) < 3.0);
}

#[test]
fn every_pattern_carries_its_number_at_every_rung() {
    for kind in [PatternKind::Face, PatternKind::Card, PatternKind::Flash, PatternKind::Noise] {
        let mut render = render(kind, &ADA, 0.5);
        for (w, h) in [(80, 48), (112, 64), (160, 96), (240, 144), (320, 192), (640, 384)] {
            let size = Size::new(w, h);
            let frame = render.frame(size, MediaTime(1_000_000), 123_456);
            assert_eq!(frame.size, size);
            assert_eq!((frame.y.len(), frame.u.len()), (size.luma(), size.chroma()));
            assert_eq!(marker::read(&frame), Some(123_456), "{kind:?} {size}");
        }
    }
}

#[test]
fn the_number_survives_h264_at_rates_far_below_comfort() {
    for (w, h, bits) in [(80, 48, 12_000), (160, 96, 24_000), (240, 144, 48_000)] {
        let size = Size::new(w, h);
        let mut render = render(PatternKind::Noise, &ADA, 0.5);
        let mut encoder = H264Encoder::new(size, 150, bits).unwrap();
        let mut decoder = H264Decoder::new().unwrap();
        let (mut shown, mut read) = (0, 0);
        for number in 0..60 {
            let at = time_of(number, 150);
            let frame = render.frame(size, at, number);
            let Some(coded) = encoder.step(&frame, false).unwrap() else { continue };
            let Some(seen) = decoder.step(&coded.bytes, at).unwrap() else { continue };
            shown += 1;
            if let Some(n) = marker::read(&seen) {
                assert_eq!(n, number, "a wrong number is worse than none");
                read += 1;
            }
        }
        assert!(shown >= 20 && read * 100 >= shown * 95, "{size}: {read} of {shown}");
    }
}

#[test]
fn any_size_can_be_asked_for() {
    let mut render = render(PatternKind::Face, &ADA, 0.5);
    for (w, h) in [(2, 2), (2, 200), (16, 16), (26, 20), (30, 400), (500, 22), (1280, 720)] {
        let frame = render.frame(Size::new(w, h), MediaTime(5), 1);
        assert_eq!(frame.y.len(), usize::from(w) * usize::from(h));
    }
}

#[test]
fn the_flash_is_white_for_a_tenth_of_each_second_and_only_then() {
    let mut render = render(PatternKind::Flash, &ADA, 0.0);
    for number in 0..90u32 {
        let at = time_of(number, 300);
        let frame = render.frame(SIZE, at, number);
        let above = SIZE.luma() / 6 * 5;
        let white = frame.y[..above].iter().all(|&v| v == 235);
        assert_eq!(white, at.0 % 1_000_000 < 100_000, "{at:?}");
    }
}

#[test]
fn noise_is_luma_grain_of_deviation_six_over_the_clean_picture() {
    let mut render = render(PatternKind::Noise, &ADA, 0.0);
    let at = MediaTime(3_000_000);
    let (noisy, clean) = (render.frame(SIZE, at, 90), render.clean_frame(SIZE, at, 90));
    let above = SIZE.luma() / 6 * 5;
    let pairs = || noisy.y[..above].iter().zip(&clean.y[..above]);
    let off = |(a, b): (&u8, &u8)| f64::from(*a) - f64::from(*b);
    let mean = pairs().map(off).sum::<f64>() / above as f64;
    let deviation = (pairs().map(|p| off(p).powi(2)).sum::<f64>() / above as f64).sqrt();
    assert!(mean.abs() < 0.3 && (5.7..6.3).contains(&deviation), "{mean} {deviation}");
    assert_eq!((&noisy.u, &noisy.v), (&clean.u, &clean.v));
    let next = render.frame(SIZE, at, 91);
    assert_ne!(next.y[..above], noisy.y[..above]);
}

/// The brain needs eyes and a mouth: dark where they are, skin between.
#[test]
fn a_face_is_recognisable_in_26_by_20_half_blocks() {
    for identity in [ADA, BEN] {
        let size = Size::new(26, 20);
        let mut render = render(PatternKind::Face, &identity, 1.0);
        let dark = |frame: &RawFrame, x: f32, y: f32| {
            // Darkest of the four samples around a point of the face.
            let w = usize::from(size.width);
            let (x, y) = (x.round() as usize, y.round() as usize);
            [(0, 0), (1, 0), (0, 1), (1, 1)]
                .map(|(i, j)| frame.y[(y - j) * w + x - i])
                .into_iter()
                .min()
                .unwrap()
        };
        let (mut eyes, mut skin) = (0.0, 0.0);
        for n in 0..60 {
            let frame = render.clean_frame(size, MediaTime(n * 200_000), 0);
            // 16 rows above the strip; the head's middle is at 0.455 of them.
            let (cx, cy) = (13.0, 0.445 * 16.0);
            let eye = |s: f32| f64::from(dark(&frame, cx + s * 1.7, cy));
            eyes += (eye(-1.0) + eye(1.0)) / 2.0;
            let w = usize::from(size.width);
            skin += f64::from(frame.y[(cy + 1.2) as usize * w + 13]);
        }
        assert!(skin / eyes > 1.2, "skin {} eyes {}", skin / 60.0, eyes / 60.0);
    }
}

fn at(origin: Instant, micros: u64) -> Now {
    Now { mono: origin + Duration::from_micros(micros), wall: Wall(0) }
}

fn source(decifps: u16) -> (Pattern, Instant) {
    let origin = tokio::time::Instant::now().into_std();
    let mut options = VideoOptions::new(origin);
    options.decifps = decifps;
    options.size = Size::new(80, 48);
    (Pattern::new(PatternKind::Face, options), origin)
}

#[test]
fn pictures_are_due_on_the_capture_clock_without_drift() {
    let (mut source, origin) = source(300);
    for number in 0..90u32 {
        let due = source.due().unwrap();
        assert_eq!(due, time_of(number, 300).instant(origin));
        // Polled a little late every time: the schedule doesn't move.
        let now = Now { mono: due + Duration::from_millis(5), wall: Wall(0) };
        let frame = source.next(now).unwrap().unwrap();
        assert_eq!(frame.at, time_of(number, 300));
        assert_eq!(marker::read(&frame), Some(number));
        assert!(source.next(now).unwrap().is_none());
    }
    assert_eq!(time_of(90, 300), MediaTime(3_000_000));
}

#[test]
fn late_polls_skip_pictures_and_keep_numbers_true_to_time() {
    let (mut source, origin) = source(300);
    source.next(at(origin, 0)).unwrap();
    let frame = source.next(at(origin, 1_010_000)).unwrap().unwrap();
    assert_eq!((frame.at, marker::read(&frame)), (MediaTime(1_000_000), Some(30)));
}

#[test]
fn a_hint_changes_size_and_rate_without_a_doubled_or_early_picture() {
    let (mut source, origin) = source(300);
    let mut last = None;
    for step in 0..4000u64 {
        let now = at(origin, step * 1000);
        match step {
            1000 => source.hint(Size::new(160, 96), 125),
            2000 => source.hint(Size::new(240, 144), 300),
            3000 => source.hint(Size::new(80, 48), 600),
            _ => {}
        }
        let Some(frame) = source.next(now).unwrap() else { continue };
        let gap = frame.at.0 - last.unwrap_or(0);
        match step {
            1100..2000 => assert_eq!((gap, frame.size.width), (80_000, 160)),
            3100.. => assert!(gap.abs_diff(33_333) <= 1 && frame.size.width == 80, "{gap}"),
            _ => assert!(last.is_none() || (33_333..=113_334).contains(&gap), "{step} {gap}"),
        }
        assert!(now.mono >= frame.at.instant(origin), "never before its time");
        assert_eq!(marker::read(&frame), Some(number_at(frame.at, 300)));
        last = Some(frame.at.0);
    }
}

#[test]
fn a_pattern_switched_off_is_silent_and_goes_on_in_the_present() {
    let (mut source, origin) = source(300);
    source.next(at(origin, 0)).unwrap();
    source.enable(false, at(origin, 10_000));
    assert_eq!(source.due(), None);
    assert!(source.next(at(origin, 500_000)).unwrap().is_none());
    source.enable(true, at(origin, 2_000_000));
    let frame = source.next(at(origin, 2_000_000)).unwrap().unwrap();
    assert_eq!(frame.at, MediaTime(2_000_000));
}
