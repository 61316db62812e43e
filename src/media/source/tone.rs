//! A tone of 440 Hz with a short chirp at every whole second of media time: what a receiver hears
//! can be timed against when it was made.

use super::voice::next_block;
use crate::media::seams::{BLOCK, Pcm, PcmSource, SAMPLE_RATE, SourceLost};
use crate::time::Now;
use std::f32::consts::{PI, TAU};
use std::time::Instant;

/// Samples of a chirp: 10 ms, from 3 to 5 kHz under a raised cosine.
pub const CHIRP: usize = 480;
const TONE_HZ: f32 = 440.0;
const TONE_LEVEL: f32 = 0.1;
const CHIRP_LEVEL: f32 = 0.5;
/// Likeness above which a piece of sound is taken for a chirp.
const LIKE: f32 = 0.5;

/// Sample `i` of the chirp, −1…1.
fn chirp(i: usize) -> f32 {
    let x = i as f32 / CHIRP as f32;
    let seconds = i as f32 / SAMPLE_RATE as f32;
    let phase = TAU * (3000.0 * seconds + 1000.0 * x * seconds);
    (0.5 - 0.5 * (TAU * x).cos()) * phase.sin()
}

/// Finds chirps in received sound: the sample indices at which they begin. Codec, loss and mixing
/// may have been at them; the best of several candidates within a quarter of a second counts.
pub fn find_chirps(sound: &[f32]) -> Vec<usize> {
    let pattern: Vec<f32> = (0..CHIRP).map(chirp).collect();
    let power: f32 = pattern.iter().map(|s| s * s).sum();
    // Only where the band of the chirp is busy at all: the differences of differences.
    let sharp: Vec<f32> = sound.windows(3).map(|w| w[2] - 2.0 * w[1] + w[0]).collect();
    let sharp_pattern: Vec<f32> = pattern.windows(3).map(|w| w[2] - 2.0 * w[1] + w[0]).collect();
    let sharp_power: f32 = sharp_pattern.iter().map(|s| s * s).sum();
    let floor = sharp_power * 1e-4 * power / power;
    let mut found: Vec<(usize, f32)> = Vec::new();
    let n = sharp_pattern.len();
    let mut energy: f32 = sharp.iter().take(n).map(|s| s * s).sum();
    for start in 0..sharp.len().saturating_sub(n) {
        if energy > floor {
            let piece = &sharp[start..start + n];
            let cross: f32 = piece.iter().zip(&sharp_pattern).map(|(a, b)| a * b).sum();
            let like = cross / (energy * sharp_power).sqrt();
            if like > LIKE {
                match found.last_mut() {
                    Some(last) if start - last.0 < 12_000 => {
                        if like > last.1 {
                            *last = (start, like);
                        }
                    }
                    _ => found.push((start, like)),
                }
            }
        }
        energy += sharp[start + n].powi(2) - sharp[start].powi(2);
    }
    found.into_iter().map(|(start, _)| start).collect()
}

/// The tone source.
pub struct Tone {
    origin: Instant,
    next: Option<u64>,
}

impl Tone {
    /// A tone on the media clock that started at `origin`.
    pub fn new(origin: Instant) -> Self {
        Self { origin, next: None }
    }
}

impl PcmSource for Tone {
    fn read(&mut self, now: Now) -> Result<Option<Pcm>, SourceLost> {
        let start = next_block(&mut self.next, self.origin, now);
        let rate = u64::from(SAMPLE_RATE);
        Ok(Some(std::array::from_fn::<f32, BLOCK, _>(|i| {
            // 440 Hz has whole periods in a second: phase from the second's beginning is exact.
            let within = (start + i as u64) % rate;
            let tone = (TAU * TONE_HZ * within as f32 / rate as f32).sin() * TONE_LEVEL;
            let within = usize::try_from(within).unwrap_or(CHIRP);
            tone + if within < CHIRP { CHIRP_LEVEL * chirp(within) } else { 0.0 }
        })))
    }

    fn describe(&self) -> String {
        "tone of 440 Hz with a chirp every second".to_owned()
    }
}

/// A plain 10 ms fade-in of a test tone, for trying a loudspeaker.
pub fn beep(millis: u32) -> Vec<f32> {
    let n = SAMPLE_RATE as usize / 1000 * millis as usize;
    let ramp = |i: usize| (i as f32 / 480.0).min(1.0);
    (0..n)
        .map(|i| {
            let edge = ramp(i.min(n - 1 - i));
            let wave = (TAU * TONE_HZ * i as f32 / SAMPLE_RATE as f32).sin();
            0.2 * wave * (0.5 - 0.5 * (PI * edge).cos())
        })
        .collect()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
mod tests {
    use super::*;
    use crate::time::Wall;
    use std::time::Duration;

    fn tone(seconds: u64) -> Vec<f32> {
        let origin = Instant::now();
        let mut tone = Tone::new(origin);
        (1..=seconds * 100)
            .flat_map(|i| {
                let now = Now { mono: origin + Duration::from_millis(i * 10), wall: Wall(0) };
                tone.read(now).unwrap().unwrap()
            })
            .collect()
    }

    #[test]
    fn chirps_are_found_where_they_were_made() {
        let sound = tone(4);
        assert_eq!(find_chirps(&sound), vec![0, 48_000, 96_000, 144_000]);
    }

    #[test]
    fn there_are_no_chirps_in_silence_or_a_plain_tone() {
        assert!(find_chirps(&[0.0; 96_000]).is_empty());
        assert!(find_chirps(&beep(1000)).is_empty());
    }

    #[test]
    fn the_tone_has_no_steps_between_blocks() {
        let sound = tone(2);
        let plain = &sound[1000..40_000];
        assert!(plain.windows(2).all(|w| (w[1] - w[0]).abs() < 0.01));
    }
}
