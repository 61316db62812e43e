//! From settings of the vocal tract to samples: a glottal pulse and noise through a cascade of
//! resonators, after the classic formant synthesisers (D. H. Klatt, "Software for a cascade/
//! parallel formant synthesizer", J. Acoust. Soc. Am. 67, 1980), with far fewer knobs.

use super::Tract;
use crate::media::seams::SAMPLE_RATE;
use std::f32::consts::{PI, TAU};

/// The tract moves in steps of so many samples: 2.5 ms.
pub(super) const STEP: usize = 120;
const RATE: f32 = SAMPLE_RATE as f32;
/// Bandwidths of formants 1–3, in Hz.
const WIDTHS: [f32; 3] = [70.0, 95.0, 140.0];
/// The upper formants stand still: frequency and bandwidth.
const UPPER: [(f32, f32); 2] = [(3500.0, 220.0), (4500.0, 300.0)];
/// The part of a period in which the glottis is open.
const OPEN: f32 = 0.62;
/// Output level: speech at about −22 dBov.
const VOICE_GAIN: f32 = 0.16;
const BREATH_GAIN: f32 = 0.045;
const FRICTION_GAIN: f32 = 0.12;

/// A well-mixed number from any number.
pub(super) fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Second-order resonator with unit gain at zero frequency.
#[derive(Clone, Copy, Debug, Default)]
struct Resonator {
    a: f32,
    b: f32,
    c: f32,
    y1: f32,
    y2: f32,
}

impl Resonator {
    fn tune(&mut self, hertz: f32, width: f32) {
        let r = (-PI * width / RATE).exp();
        self.c = -r * r;
        self.b = 2.0 * r * (TAU * hertz.min(RATE * 0.45) / RATE).cos();
        self.a = 1.0 - self.b - self.c;
    }

    fn step(&mut self, x: f32) -> f32 {
        let y = self.a * x + self.b * self.y1 + self.c * self.y2;
        (self.y2, self.y1) = (self.y1, y);
        y
    }

    /// As a band-pass of about unit gain at its centre, for noise.
    fn band(&mut self, x: f32) -> f32 {
        let before = self.y2;
        let r2 = -self.c;
        let y = (1.0 - r2) * x + self.b * self.y1 + self.c * self.y2;
        (self.y2, self.y1) = (self.y1, y);
        (y - before) * 0.5
    }
}

/// The synthesiser: everything that has memory.
#[derive(Clone, Debug)]
pub(super) struct Synth {
    dice: u64,
    phase: f32,
    /// Voice, breath and friction as they are now; they follow the tract without steps.
    now: [f32; 3],
    formants: [Resonator; 3],
    upper: [Resonator; 2],
    noise: Resonator,
    tilt: f32,
    silent: u32,
}

impl Synth {
    pub(super) fn new(seed: u64) -> Self {
        let mut upper = [Resonator::default(); 2];
        for (resonator, (hertz, width)) in upper.iter_mut().zip(UPPER) {
            resonator.tune(hertz, width);
        }
        Self {
            dice: mix(seed) | 1,
            phase: 0.0,
            now: [0.0; 3],
            formants: [Resonator::default(); 3],
            upper,
            noise: Resonator::default(),
            tilt: 0.0,
            silent: 0,
        }
    }

    /// Speaks one step with this tract; `None` is silence.
    pub(super) fn step(&mut self, tract: Option<Tract>, out: &mut [f32]) {
        let Some(tract) = tract else {
            // Resonances die out within a few steps; then it is really silent.
            self.silent = self.silent.saturating_add(1);
            if self.silent > 16 || self.formants.iter().all(|f| f.a == 0.0) {
                out.fill(0.0);
                return;
            }
            self.run(Tract::default(), false, out);
            return;
        };
        self.silent = 0;
        self.run(tract, true, out);
    }

    fn run(&mut self, tract: Tract, tune: bool, out: &mut [f32]) {
        if tune {
            for ((resonator, hertz), width) in
                self.formants.iter_mut().zip(tract.formants).zip(WIDTHS)
            {
                resonator.tune(hertz, width);
            }
            if tract.friction > 0.0 {
                self.noise.tune(tract.noise[0], tract.noise[1]);
            }
        }
        let goal = [tract.voice, tract.breath, tract.friction];
        let advance = tract.pitch / RATE;
        for sample in out {
            for (now, goal) in self.now.iter_mut().zip(goal) {
                *now += (goal - *now) * 0.012;
            }
            let [voice, breath, friction] = self.now;
            self.phase += advance;
            self.phase -= self.phase.floor();
            // Voice also carries a little breath while the glottis is open.
            let pulse = glottis(self.phase);
            self.tilt += 0.35 * (pulse - self.tilt);
            let noise = self.dice();
            let open = if self.phase < OPEN { 1.0 } else { 0.3 };
            let excitation = VOICE_GAIN * voice * self.tilt
                + BREATH_GAIN * noise * (breath * 4.0 + voice * 0.05 * open);
            let mut y = excitation;
            for resonator in &mut self.formants {
                y = resonator.step(y);
            }
            for resonator in &mut self.upper {
                y = resonator.step(y);
            }
            let hiss = if friction > 1e-4 { self.noise.band(noise) } else { 0.0 };
            *sample = (y + FRICTION_GAIN * friction * hiss * 3.0).clamp(-1.0, 1.0);
        }
    }

    /// White noise, −1…1.
    fn dice(&mut self) -> f32 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// Derivative of the air flow through the glottis over one period: rises slowly, closes sharply.
fn glottis(phase: f32) -> f32 {
    if phase >= OPEN {
        return 0.0;
    }
    let x = phase / OPEN;
    2.0 * x - 3.0 * x * x
}
