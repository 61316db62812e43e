//! Hears by how much two clocks differ: follows the lag between what is played and its echo.
//!
//! Eight times a second the last half second of microphone sound is compared with the
//! reference (generalised cross-correlation with phase transform: C. H. Knapp, G. C. Carter, "The
//! Generalized Correlation Method for Estimation of Time Delay", IEEE Trans. Acoust., Speech,
//! Signal Process. 24(4), 1976), at 8 kHz. A lag that moves evenly is drift, one that jumps is a
//! buffer that skipped. No device needs to tell its clock, and where there is no echo nothing
//! moves.

use crate::media::seams::{BLOCK, Pcm};
use std::collections::VecDeque;
use std::f32::consts::PI;

/// 48 kHz samples per sample here.
const DOWN: usize = 6;
/// Taps of the low-pass filter before that.
const TAPS: usize = 96;
/// Points of the transform: 1.024 s.
const POINTS: usize = 8192;
/// Microphone samples compared: 512 ms.
const WINDOW: usize = 4096;
/// The microphone's sound is taken from this much earlier: lags from −160 to 352 ms can be told.
const BEFORE: usize = 1280;
/// Blocks from one look to the next.
const HOP: u32 = 12;
/// Spectral lines used: 150…3500 Hz.
const LINES: std::ops::Range<usize> = 154..3584;
/// Mean power of the reference that is worth a look: −55 dBov.
const AUDIBLE: f32 = 3e-6;
/// Height of the peak over the mean height for a lag to count.
const CLEAR: f32 = 14.0;
/// Looks remembered: 12 s.
const MEMORY: usize = 100;
/// Looks needed for a rate, and the time between the first and the last, in 48 kHz samples.
const FEW: usize = 10;
const SPAN: f64 = 72_000.0;
/// Blocks without a look after the reference was shifted: until the old one is out of sight.
const BLIND: u32 = (DOWN * (BEFORE + WINDOW) / BLOCK) as u32 + 1;
/// A lag further than this from where it should be has jumped (48 kHz samples).
const JUMP: f64 = 10.0;
/// Jumped lags in a row after which a new track is begun.
const JUMPED: usize = 3;
/// Largest standard error of a rate that is believed.
const UNSURE: f64 = 4e-5;

/// What was heard at one look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// Echo behind its reference, in 48 kHz samples; negative: before it.
    pub lag: f64,
    /// Rate of playing against capturing minus 1, when it is known.
    pub rate: Option<f64>,
}

/// Follows the lag of an echo.
#[derive(Clone, Debug)]
pub struct DriftEar {
    filter: Vec<f32>,
    reference: Narrow,
    microphone: Narrow,
    transform: Transform,
    blocks: u32,
    blind: u32,
    /// Captured samples at each look, and where on the loudspeaker's clock its sound came from.
    track: VecDeque<(f64, f64)>,
    astray: VecDeque<(f64, f64)>,
}

impl Default for DriftEar {
    fn default() -> Self {
        let filter: Vec<f32> = (0..TAPS)
            .map(|i| {
                let x = i as f32 - (TAPS - 1) as f32 / 2.0;
                let arc = PI * x / DOWN as f32 * 0.92;
                (arc.sin() / arc) * (0.5 + 0.5 * (PI * x / (TAPS / 2) as f32).cos())
            })
            .collect();
        let sum: f32 = filter.iter().sum();
        Self {
            filter: filter.iter().map(|f| f / sum).collect(),
            reference: Narrow::new(POINTS),
            microphone: Narrow::new(WINDOW + BEFORE),
            transform: Transform::new(),
            blocks: 0,
            blind: 0,
            track: VecDeque::with_capacity(MEMORY),
            astray: VecDeque::with_capacity(MEMORY),
        }
    }
}

impl DriftEar {
    /// Takes a captured block and its reference; `offset` is [`super::align::Aligner::offset`] at the
    /// end of this block.
    pub fn listen(&mut self, reference: &Pcm, captured: &Pcm, offset: f64) -> Option<Heard> {
        self.reference.take(reference, &self.filter);
        self.microphone.take(captured, &self.filter);
        self.blocks = self.blocks.wrapping_add(1);
        self.blind = self.blind.saturating_sub(1);
        if !self.blocks.is_multiple_of(HOP) || self.blind > 0 {
            return None;
        }
        let lag = self.lag()? * DOWN as f64;
        let now = f64::from(self.blocks) * BLOCK as f64;
        self.follow((now, offset - lag)).then(|| Heard { lag, rate: self.rate() })
    }

    /// The reference was shifted.
    pub fn shifted(&mut self) {
        self.blind = BLIND;
    }

    /// Lag of the highest peak, in samples of 8 kHz, if it stands out.
    fn lag(&mut self) -> Option<f64> {
        let power = self.reference.sound.iter().map(|s| s * s).sum::<f32>() / POINTS as f32;
        if power < AUDIBLE || self.reference.sound.len() < POINTS {
            return None;
        }
        let (mut xr, mut xi) = (vec![0.0f32; POINTS], vec![0.0f32; POINTS]);
        xr.iter_mut().zip(&self.reference.sound).for_each(|(to, from)| *to = *from);
        let (mut yr, mut yi) = (vec![0.0f32; POINTS], vec![0.0f32; POINTS]);
        // The window ends `BEFORE` before the reference does.
        let at = POINTS - BEFORE - WINDOW;
        for (i, (to, from)) in yr.iter_mut().skip(at).zip(&self.microphone.sound).enumerate() {
            if i < WINDOW {
                *to = from * (0.5 - 0.5 * (2.0 * PI * i as f32 / WINDOW as f32).cos());
            }
        }
        self.transform.forward(&mut xr, &mut xi);
        self.transform.forward(&mut yr, &mut yi);
        let reference = xr.iter_mut().zip(&mut xi);
        for (k, ((xr, xi), (yr, yi))) in reference.zip(yr.iter().zip(&yi)).enumerate() {
            let (mut re, mut im) = (0.0, 0.0);
            // One side only: the result is an envelope.
            if LINES.contains(&k) {
                // conj(X)·Y, whitened.
                (re, im) = (*xr * yr + *xi * yi, *xr * yi - *xi * yr);
                let size = (re * re + im * im).sqrt().max(1e-20).powf(0.8);
                (re, im) = (re / size, im / size);
            }
            // Conjugated, so that a forward transform goes back.
            (*xr, *xi) = (re, -im);
        }
        self.transform.forward(&mut xr, &mut xi);
        let most = POINTS - WINDOW - BEFORE;
        let heights: Vec<f32> = xr.iter().zip(&xi).map(|(re, im)| re.hypot(*im)).collect();
        let height = |lag: i64| {
            let k = usize::try_from(lag.rem_euclid(POINTS as i64)).unwrap_or(0);
            heights.get(k).copied().unwrap_or(0.0)
        };
        let lags = || -(BEFORE as i64) + 1..most as i64 - 1;
        let best = lags().max_by(|a, b| height(*a).total_cmp(&height(*b)))?;
        let mean = lags().map(height).sum::<f32>() / (most + BEFORE) as f32;
        if height(best) <= CLEAR * mean {
            return None;
        }
        let (a, b, c) = (height(best - 1), height(best), height(best + 1));
        let bend = f64::from(a - 2.0 * b + c);
        let shift = if bend < 0.0 { 0.5 * f64::from(a - c) / bend } else { 0.0 };
        Some(best as f64 + shift.clamp(-0.5, 0.5))
    }

    /// Adds a point to the track, or begins a new one after several that lie elsewhere together.
    /// False: this point is on no track.
    fn follow(&mut self, point: (f64, f64)) -> bool {
        let near = |track: &VecDeque<(f64, f64)>| match (line(track), track.back()) {
            (_, None) => true,
            (Some(line), _) if track.len() >= FEW => {
                (line.at(point.0) - point.1).abs()
                    < JUMP + 3.0 * line.error * (point.0 - line.middle).abs()
            }
            // Not known yet: anything that two clocks may do.
            (_, Some(last)) => (last.1 - point.1).abs() < JUMP + 1e-3 * (point.0 - last.0),
        };
        if near(&self.track) {
            self.astray.clear();
            self.track.push_back(point);
            if self.track.len() > MEMORY {
                self.track.pop_front();
            }
            return true;
        }
        if !near(&self.astray) {
            self.astray.clear();
        }
        self.astray.push_back(point);
        let jumped = self.astray.len() >= JUMPED;
        if jumped {
            std::mem::swap(&mut self.track, &mut self.astray);
            self.astray.clear();
        }
        jumped
    }

    fn rate(&self) -> Option<f64> {
        let (first, last) = (self.track.front()?, self.track.back()?);
        let line = line(&self.track)?;
        let enough = self.track.len() >= FEW && last.0 - first.0 >= SPAN && line.error < UNSURE;
        enough.then_some(line.slope)
    }
}

/// Least squares.
struct Line {
    middle: f64,
    height: f64,
    slope: f64,
    /// Standard error of the slope.
    error: f64,
}

impl Line {
    fn at(&self, x: f64) -> f64 {
        self.height + self.slope * (x - self.middle)
    }
}

fn line(points: &VecDeque<(f64, f64)>) -> Option<Line> {
    let n = points.len() as f64;
    if points.len() < 3 {
        return None;
    }
    let middle = points.iter().map(|p| p.0).sum::<f64>() / n;
    let height = points.iter().map(|p| p.1).sum::<f64>() / n;
    let spread = points.iter().map(|p| (p.0 - middle).powi(2)).sum::<f64>();
    let slope = points.iter().map(|p| (p.0 - middle) * (p.1 - height)).sum::<f64>() / spread;
    let miss = |p: &(f64, f64)| (p.1 - height - slope * (p.0 - middle)).powi(2);
    // Never surer than the grid of lags allows: a quarter of a sample of 8 kHz.
    let variance = (points.iter().map(miss).sum::<f64>() / (n - 2.0)).max(2.0);
    Some(Line { middle, height, slope, error: (variance / spread).sqrt() })
}

/// The last so many samples of a signal at 8 kHz.
#[derive(Clone, Debug)]
struct Narrow {
    sound: VecDeque<f32>,
    tail: Vec<f32>,
    length: usize,
}

impl Narrow {
    fn new(length: usize) -> Self {
        Self { sound: VecDeque::with_capacity(length + BLOCK), tail: vec![0.0; TAPS], length }
    }

    fn take(&mut self, block: &Pcm, filter: &[f32]) {
        self.tail.extend_from_slice(block);
        for i in 0..BLOCK / DOWN {
            let piece = self.tail.get(i * DOWN..i * DOWN + TAPS).unwrap_or_default();
            self.sound.push_back(piece.iter().zip(filter).map(|(s, f)| s * f).sum());
        }
        self.tail.drain(..BLOCK);
        let excess = self.sound.len().saturating_sub(self.length);
        self.sound.drain(..excess);
    }
}

/// Radix-2 transform of [`POINTS`] points; both halves of a signal must have that many.
#[derive(Clone, Debug)]
struct Transform {
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Transform {
    fn new() -> Self {
        let arc = |k: usize| -2.0 * std::f64::consts::PI * k as f64 / POINTS as f64;
        Self {
            cos: (0..POINTS / 2).map(|k| arc(k).cos() as f32).collect(),
            sin: (0..POINTS / 2).map(|k| arc(k).sin() as f32).collect(),
        }
    }

    fn forward(&self, re: &mut [f32], im: &mut [f32]) {
        let bits = POINTS.trailing_zeros();
        for i in 0..POINTS {
            let j = i.reverse_bits() >> (usize::BITS - bits);
            if i < j {
                re.swap(i, j);
                im.swap(i, j);
            }
        }
        let mut half = 1;
        while half < POINTS {
            let stride = POINTS / (2 * half);
            for start in (0..POINTS).step_by(2 * half) {
                for k in 0..half {
                    let (c, s) = (self.cos[k * stride], self.sin[k * stride]);
                    let (a, b) = (start + k, start + k + half);
                    let (tr, ti) = (re[b] * c - im[b] * s, re[b] * s + im[b] * c);
                    (re[b], im[b]) = (re[a] - tr, im[a] - ti);
                    (re[a], im[a]) = (re[a] + tr, im[a] + ti);
                }
            }
            half *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::dsp;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    fn noise(seed: u64, seconds: usize) -> Vec<f32> {
        let mut rng = StdRng::seed_from_u64(seed);
        (0..seconds * 48_000).map(|_| rng.random_range(-0.1..0.1)).collect()
    }

    /// What the ear hears of `captured` at last, given `reference`.
    fn hear(reference: &[f32], captured: &[f32]) -> Option<Heard> {
        let mut ear = DriftEar::default();
        let blocks = reference.as_chunks().0.iter().zip(captured.as_chunks().0);
        blocks.filter_map(|(reference, captured)| ear.listen(reference, captured, 0.0)).last()
    }

    fn late(sound: &[f32], by: usize) -> Vec<f32> {
        let mut out = vec![0.0; by];
        out.extend(sound);
        out
    }

    #[test]
    fn a_lag_is_heard_to_a_part_of_a_sample_on_either_side() {
        let sound = noise(1, 3);
        for lag in [0, 100, 963, 15_000] {
            let after = hear(&sound, &late(&sound, lag)).unwrap();
            assert!((after.lag - lag as f64).abs() < 1.0, "{lag}: {after:?}");
        }
        for lag in [100, 963, 7_000] {
            let before = hear(&late(&sound, lag), &sound).unwrap();
            assert!((before.lag + lag as f64).abs() < 1.0, "−{lag}: {before:?}");
        }
    }

    #[test]
    fn a_drift_is_heard_to_ten_ppm_in_six_seconds() {
        let sound = noise(2, 6);
        for rate in [47_976, 47_990, 48_000, 48_024, 48_040] {
            let captured = late(&dsp::resample(&sound, 48_000, rate).unwrap(), 2_000);
            let heard = hear(&sound, &captured).unwrap().rate.unwrap();
            // More captured samples per played one: the rate of playing is lower.
            let wanted = 48_000.0 / f64::from(rate) - 1.0;
            assert!((heard - wanted).abs() < 1e-5, "{rate}: {heard:e}, not {wanted:e}");
        }
    }

    #[test]
    fn sounds_that_have_nothing_in_common_have_no_lag() {
        assert_eq!(hear(&noise(3, 4), &noise(4, 4)), None);
        assert_eq!(hear(&vec![0.0; 200_000], &noise(4, 4)), None);
        assert_eq!(hear(&noise(3, 4), &vec![0.0; 200_000]), None);
    }
}
