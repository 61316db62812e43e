//! How much of speech can still be understood: the short-time objective intelligibility measure.
//!
//! After C. H. Taal, R. C. Hendriks, R. Heusdens, J. Jensen, "An Algorithm for Intelligibility
//! Prediction of Time–Frequency Weighted Noisy Speech", IEEE Trans. Audio, Speech, Language
//! Process. 19(7), 2011: third-octave envelopes of clean and degraded speech are compared over
//! 384 ms. 1 is untouched; listeners understand nearly everything above 0.9, little below 0.5.

use std::f64::consts::PI;

/// Sample rate both signals must have, in Hz.
pub const RATE: u32 = 10_000;
/// Frame length and hop in samples.
const FRAME: usize = 256;
const HOP: usize = FRAME / 2;
/// Points of the transform (zero padded).
const POINTS: usize = 512;
/// Third-octave bands; the first is centred on 150 Hz.
const BANDS: usize = 15;
const FIRST_CENTRE: f64 = 150.0;
/// Frames per compared segment: 384 ms.
const SEGMENT: usize = 30;
/// Frames this much quieter than the loudest are pauses and left out, in dB.
const RANGE: f64 = 40.0;
/// Lower bound of the signal-to-distortion ratio per band and frame, in dB.
const BOUND: f64 = -15.0;

/// Intelligibility of `heard` given the `clean` original, both at 10 kHz and aligned in time; the
/// longer one is cut. `None` when there is less than about half a second of speech.
pub fn stoi(clean: &[f32], heard: &[f32]) -> Option<f64> {
    let n = clean.len().min(heard.len());
    let (clean, heard) = without_pauses(clean.get(..n)?, heard.get(..n)?);
    let (x, y) = (envelopes(&clean), envelopes(&heard));
    if x.len() < SEGMENT {
        return None;
    }
    let clip = 1.0 + 10f64.powf(-BOUND / 20.0);
    let (mut total, mut count) = (0.0, 0u32);
    for (xs, ys) in x.windows(SEGMENT).zip(y.windows(SEGMENT)) {
        for band in 0..BANDS {
            let a: Vec<f64> = xs.iter().map(|frame| frame[band]).collect();
            let b: Vec<f64> = ys.iter().map(|frame| frame[band]).collect();
            let energy = |v: &[f64]| v.iter().map(|e| e * e).sum::<f64>();
            let scale = (energy(&a) / (energy(&b) + f64::EPSILON)).sqrt();
            let b: Vec<f64> = b.iter().zip(&a).map(|(y, x)| (y * scale).min(x * clip)).collect();
            total += correlation(&a, &b);
            count += 1;
        }
    }
    Some(total / f64::from(count))
}

/// By how many samples `heard` lags behind `clean`, 0…`max`: the lag of the greatest correlation.
pub fn lag(clean: &[f32], heard: &[f32], max: usize) -> usize {
    let likeness = |lag: usize| -> f64 {
        let pairs = clean.iter().zip(heard.iter().skip(lag));
        let (mut cross, mut energy) = (0.0, 1e-9);
        for (a, b) in pairs {
            cross += f64::from(a * b);
            energy += f64::from(b * b);
        }
        cross / f64::sqrt(energy)
    };
    (0..=max).map(|l| (l, likeness(l))).max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(l, _)| l)
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - ma) * (y - mb);
        aa += (x - ma).powi(2);
        bb += (y - mb).powi(2);
    }
    ab / ((aa * bb).sqrt() + f64::EPSILON)
}

/// The paper's window: Hann without its zero ends.
fn window() -> [f64; FRAME] {
    std::array::from_fn(|i| 0.5 - 0.5 * (2.0 * PI * (i as f64 + 1.0) / (FRAME as f64 + 1.0)).cos())
}

/// Leaves out the frames in which the clean speaker pauses, in both signals, and joins the rest by
/// overlap-add.
fn without_pauses(clean: &[f32], heard: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let window = window();
    let frame = |signal: &[f32]| -> [f64; FRAME] {
        std::array::from_fn(|i| signal.get(i).map_or(0.0, |s| f64::from(*s)) * window[i])
    };
    let starts = || (0..clean.len().saturating_sub(FRAME - 1)).step_by(HOP);
    let loudness = |start: usize| {
        let energy: f64 = frame(&clean[start..]).iter().map(|s| s * s).sum();
        10.0 * (energy + 1e-20).log10()
    };
    let levels: Vec<f64> = starts().map(loudness).collect();
    let loudest = levels.iter().copied().fold(f64::MIN, f64::max);
    let kept = starts().zip(&levels).filter(|(_, level)| **level > loudest - RANGE);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for (k, (start, _)) in kept.enumerate() {
        for (out, signal) in [(&mut x, clean), (&mut y, heard)] {
            out.resize(k * HOP + FRAME, 0.0);
            for (to, from) in out[k * HOP..].iter_mut().zip(frame(&signal[start..])) {
                *to += from;
            }
        }
    }
    (x, y)
}

/// Third-octave band magnitudes per frame.
fn envelopes(signal: &[f64]) -> Vec<[f64; BANDS]> {
    let window = window();
    let bin = |hertz: f64| (hertz * POINTS as f64 / f64::from(RATE)).round() as usize;
    let edges: [(usize, usize); BANDS] = std::array::from_fn(|k| {
        let centre = FIRST_CENTRE * 2f64.powf(k as f64 / 3.0);
        (bin(centre * 2f64.powf(-1.0 / 6.0)), bin(centre * 2f64.powf(1.0 / 6.0)))
    });
    let mut out = Vec::new();
    for start in (0..signal.len().saturating_sub(FRAME - 1)).step_by(HOP) {
        let mut re = [0.0; POINTS];
        let mut im = [0.0; POINTS];
        for (i, w) in window.iter().enumerate() {
            re[i] = signal[start + i] * w;
        }
        fft(&mut re, &mut im);
        out.push(edges.map(|(from, to)| {
            (from..to).map(|k| re[k] * re[k] + im[k] * im[k]).sum::<f64>().sqrt()
        }));
    }
    out
}

/// Radix-2 transform in place, of as many points as there are: a power of two.
pub(crate) fn fft(re: &mut [f64], im: &mut [f64]) {
    let points = re.len();
    let bits = points.trailing_zeros();
    for i in 0..points {
        let j = i.reverse_bits() >> (usize::BITS - bits);
        if i < j {
            re.swap(i, j);
            im.swap(i, j);
        }
    }
    let mut half = 1;
    while half < points {
        for k in 0..half {
            let (s, c) = (-PI * k as f64 / half as f64).sin_cos();
            for a in (k..points).step_by(2 * half) {
                let b = a + half;
                let (tr, ti) = (re[b] * c - im[b] * s, re[b] * s + im[b] * c);
                (re[b], im[b]) = (re[a] - tr, im[a] - ti);
                (re[a], im[a]) = (re[a] + tr, im[a] + ti);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    /// Noise with the modulations of syllables.
    fn babble(seed: u64, seconds: f32) -> Vec<f32> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut low = 0.0;
        (0..(seconds * 10_000.0) as usize)
            .map(|i| {
                let t = i as f32 / 10_000.0;
                low += 0.3 * (rng.random_range(-1.0f32..1.0) - low);
                low * (0.5 + 0.5 * (t * 27.0).sin()) * (0.6 + 0.4 * (t * 11.0).sin())
            })
            .collect()
    }

    fn with_noise(clean: &[f32], db: f32) -> Vec<f32> {
        let mut rng = StdRng::seed_from_u64(77);
        let power = clean.iter().map(|s| s * s).sum::<f32>() / clean.len() as f32;
        let amplitude = (3.0 * power / 10f32.powf(db / 10.0)).sqrt();
        clean.iter().map(|s| s + amplitude * rng.random_range(-1.0..1.0)).collect()
    }

    #[test]
    fn identical_speech_scores_one_whatever_its_level() {
        let clean = babble(1, 4.0);
        assert!((stoi(&clean, &clean).unwrap() - 1.0).abs() < 1e-6);
        let quiet: Vec<f32> = clean.iter().map(|s| s * 0.01).collect();
        assert!((stoi(&clean, &quiet).unwrap() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn more_noise_scores_lower_and_unrelated_sound_near_zero() {
        let clean = babble(2, 6.0);
        let scores: Vec<f64> = [20.0, 10.0, 0.0, -10.0]
            .iter()
            .map(|db| stoi(&clean, &with_noise(&clean, *db)).unwrap())
            .collect();
        assert!(scores.windows(2).all(|w| w[0] > w[1]), "{scores:?}");
        assert!(scores[0] > 0.9 && scores[3] < 0.6, "{scores:?}");
        let mut rng = StdRng::seed_from_u64(9);
        let noise: Vec<f32> = (0..60_000).map(|_| rng.random_range(-1.0..1.0)).collect();
        assert!(stoi(&clean, &noise).unwrap() < 0.4);
    }

    #[test]
    fn holes_cost_intelligibility() {
        let clean = babble(3, 6.0);
        let mut holed = clean.clone();
        for hole in holed.chunks_mut(2000) {
            hole[..400].fill(0.0);
        }
        let score = stoi(&clean, &holed).unwrap();
        assert!((0.3..0.93).contains(&score), "{score}");
    }

    #[test]
    fn pauses_of_the_speaker_do_not_count() {
        let mut clean = babble(4, 3.0);
        let mut heard = with_noise(&clean, 10.0);
        let before = stoi(&clean, &heard).unwrap();
        clean.extend(std::iter::repeat_n(0.0, 30_000));
        heard.extend(babble(5, 3.0));
        assert!((stoi(&clean, &heard).unwrap() - before).abs() < 0.03);
    }

    #[test]
    fn too_little_speech_gives_no_figure() {
        assert_eq!(stoi(&[], &[]), None);
        assert_eq!(stoi(&babble(6, 0.3), &babble(6, 0.3)), None);
    }

    #[test]
    fn the_lag_of_a_delayed_signal_is_found() {
        let clean = babble(7, 1.0);
        let mut heard = vec![0.0; 137];
        heard.extend(&clean);
        assert_eq!(lag(&clean, &heard, 500), 137);
    }

    #[test]
    fn the_transform_finds_a_sine() {
        let mut re: [f64; POINTS] =
            std::array::from_fn(|i| (2.0 * PI * 37.0 * i as f64 / POINTS as f64).cos());
        let mut im = [0.0; POINTS];
        fft(&mut re, &mut im);
        assert!((re[37] - 256.0).abs() < 1e-9 && re[36].abs() < 1e-9 && im[37].abs() < 1e-9);
    }
}
