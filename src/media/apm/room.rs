//! A room to try echo cancellers in: a box with a laptop on a table, by the image-source method.
//!
//! J. B. Allen, D. A. Berkley, "Image Method for Efficiently Simulating Small-Room Acoustics",
//! J. Acoust. Soc. Am. 65(4), 1979. Two synthetic voices speak in it; the loudspeaker is not quite
//! linear and has no bass; the microphone hisses.

use crate::media::seams::{BLOCK, PcmSource, SAMPLE_RATE};
use crate::media::source::voice::{Speech, Voice};
use crate::media::stoi::fft;
use crate::time::{Now, Wall};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::f64::consts::PI;
use std::time::{Duration, Instant};

/// Speed of sound, m/s.
const SOUND: f64 = 343.0;
/// Length, width, height in m.
const BOX: [f64; 3] = [4.0, 3.0, 2.5];
/// Reflection factor of the walls for a reverberation time of about 0.3 s (Sabine).
const WALL: f64 = 0.853;
/// Responses are cut off here, in samples: 300 ms.
const TAIL: usize = 14_400;

/// Places in the room, in m.
pub const SPEAKER: [f64; 3] = [2.00, 1.20, 0.80];
/// The microphone of the same laptop.
pub const MIC: [f64; 3] = [2.20, 1.30, 1.00];
/// Somebody in front of it.
pub const TALKER: [f64; 3] = [2.15, 1.90, 1.15];
/// The laptop turned and pushed away.
pub const ELSEWHERE: [f64; 3] = [2.60, 1.05, 0.80];

/// Response from a source to [`MIC`] at 48 kHz; the direct sound has amplitude 1 at 0 distance
/// delay (the flight time is left in).
pub fn response(source: [f64; 3]) -> Vec<f32> {
    let mut out = vec![0.0f64; TAIL];
    let direct = distance(source, MIC);
    let reach = TAIL as f64 / f64::from(SAMPLE_RATE) * SOUND;
    let count = |axis: usize| (reach / (2.0 * BOX[axis])).ceil() as i32;
    for nx in -count(0)..=count(0) {
        for ny in -count(1)..=count(1) {
            for nz in -count(2)..=count(2) {
                for mirror in 0..8u32 {
                    let n = [nx, ny, nz];
                    let (mut image, mut bounces) = ([0.0; 3], 0);
                    for axis in 0..3 {
                        let flip = (mirror >> axis & 1) as i32;
                        image[axis] = f64::from(1 - 2 * flip) * source[axis]
                            + 2.0 * f64::from(n[axis]) * BOX[axis];
                        bounces += (n[axis] - flip).abs() + n[axis].abs();
                    }
                    let d = distance(image, MIC);
                    let at = d / SOUND * f64::from(SAMPLE_RATE);
                    let whole = at.floor();
                    let Some(index) = Some(whole as usize).filter(|i| i + 1 < TAIL) else {
                        continue;
                    };
                    let loud = WALL.powi(bounces) * direct / d.max(0.1);
                    out[index] += loud * (1.0 - (at - whole));
                    out[index + 1] += loud * (at - whole);
                }
            }
        }
    }
    out.into_iter().map(|s| s as f32).collect()
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// A voice alone in a dry room at −26 dBov, speaking all the time, or in turns of 4 words (2.56 s).
#[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
pub fn voice(seed: u64, turn: u32, turns: u32, skip: usize, seconds: f64) -> Vec<f32> {
    let origin = Instant::now();
    let mut voice = Voice::new(Speech::new(seed, turn, turns), origin);
    let blocks = (seconds * 100.0) as usize;
    let mut out = Vec::with_capacity(blocks * BLOCK);
    for i in 0..blocks {
        let at = Duration::from_millis((skip + i + 1) as u64 * 10);
        let now = Now { mono: origin + at, wall: Wall(0) };
        out.extend(voice.read(now).unwrap().unwrap());
    }
    let active: Vec<f32> = out.iter().copied().filter(|s| s.abs() > 1e-3).collect();
    let gain = 0.05 / rms(&active).max(1e-6);
    out.iter().map(|s| (s * gain).clamp(-0.95, 0.95)).collect()
}

/// White noise of an RMS amplitude.
pub fn hiss(seed: u64, amplitude: f32, n: usize) -> Vec<f32> {
    let mut rng = StdRng::seed_from_u64(seed);
    let reach = amplitude * 3f32.sqrt();
    (0..n).map(|_| rng.random_range(-reach..=reach)).collect()
}

/// A small loudspeaker: no bass (second order at 180 Hz), and bending at the peaks.
pub fn loudspeaker(sound: &[f32]) -> Vec<f32> {
    let mut out = sound.to_vec();
    for _ in 0..2 {
        let a = (-2.0 * PI * 180.0 / f64::from(SAMPLE_RATE)).exp() as f32;
        let (mut last_in, mut last_out) = (0.0f32, 0.0f32);
        for s in &mut out {
            last_out = a * (last_out + *s - last_in);
            last_in = *s;
            *s = last_out;
        }
    }
    out.iter().map(|s| (s + 0.06 * s * s).tanh()).collect()
}

/// Convolution, as long as `sound`, by overlap-add.
pub fn convolve(sound: &[f32], response: &[f32]) -> Vec<f32> {
    let points = (2 * response.len()).next_power_of_two();
    let step = points - response.len();
    let spectrum = |piece: &[f32]| {
        let (mut re, mut im) = (vec![0.0f64; points], vec![0.0f64; points]);
        re.iter_mut().zip(piece).for_each(|(to, from)| *to = f64::from(*from));
        fft(&mut re, &mut im);
        (re, im)
    };
    let (hr, hi) = spectrum(response);
    let mut out = vec![0.0f32; sound.len() + points];
    for (k, piece) in sound.chunks(step).enumerate() {
        let (xr, xi) = spectrum(piece);
        // Inverse by swapping the parts.
        let mut im: Vec<f64> = (0..points).map(|i| xr[i] * hr[i] - xi[i] * hi[i]).collect();
        let mut re: Vec<f64> = (0..points).map(|i| xr[i] * hi[i] + xi[i] * hr[i]).collect();
        fft(&mut re, &mut im);
        for (to, from) in out[k * step..].iter_mut().zip(&im) {
            *to += (*from / points as f64) as f32;
        }
    }
    out.truncate(sound.len());
    out
}

/// `sound` so many milliseconds later, equally long.
pub fn later(sound: &[f32], millis: usize) -> Vec<f32> {
    let n = (millis * 48).min(sound.len());
    let mut out = vec![0.0; n];
    out.extend_from_slice(&sound[..sound.len() - n]);
    out
}

/// What the microphone gets of the far end's voice: loudspeaker, devices' delay, room. As loud as
/// it was sent, times `coupling`.
pub fn echo(far: &[f32], from: [f64; 3], delay_ms: usize, coupling: f32) -> Vec<f32> {
    let air = convolve(&loudspeaker(far), &response(from));
    let gain = coupling * rms(far) / rms(&air).max(1e-9);
    later(&air, delay_ms).iter().map(|s| s * gain).collect()
}

/// What the microphone gets of the talker in front of it, as loud as the dry voice.
pub fn near(dry: &[f32]) -> Vec<f32> {
    let air = convolve(dry, &response(TALKER));
    let gain = rms(dry) / rms(&air).max(1e-9);
    air.iter().map(|s| s * gain).collect()
}

/// Sum of signals; the shortest counts.
pub fn mix(parts: &[&[f32]]) -> Vec<f32> {
    let n = parts.iter().map(|p| p.len()).min().unwrap_or(0);
    (0..n).map(|i| parts.iter().map(|p| p[i]).sum()).collect()
}

/// Root mean square.
pub fn rms(sound: &[f32]) -> f32 {
    let power = sound.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>();
    (power / sound.len().max(1) as f64).sqrt() as f32
}

/// Power ratio of two pieces in dB.
pub fn db(a: &[f32], b: &[f32]) -> f32 {
    20.0 * (rms(a).max(1e-9) / rms(b).max(1e-9)).log10()
}
