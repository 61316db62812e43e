//! The real processor: `sonora`, a port of WebRTC's audio processing (BSD licence) to Rust.
//!
//! Two of its pipelines in a row: the first removes rumble (high-pass), echo (AEC3) and noise, the
//! second applies gain (AGC2 with limiter). In one pipeline the order would be the same; in two,
//! the gain can be measured. All runs at 48 kHz in three bands.
//!
//! AEC3 finds the delay of the echo by itself, up to about half a second, but takes two to three
//! seconds to find a new one; and it follows a clock drift of up to 100 millionths, but lets echo
//! through at 200. (The C++ original did no better in the same room: 500 millionths, a jump of
//! 40 ms.) Both are therefore kept from it: the [`Aligner`] hands it a reference whose lag and rate
//! stay as they are.

use super::align::{Aligner, NEEDED};
use super::drift::{DriftEar, Heard};
use super::gauge::Gauge;
use super::{ApmConfig, ApmReport, CaptureProcessor, Noise};
use crate::media::seams::{BLOCK, Pcm, SAMPLE_RATE};
use sonora::config::{
    AdaptiveDigital, EchoCanceller, GainController2, HighPassFilter, MaxProcessingRate,
    NoiseSuppression, NoiseSuppressionLevel, Pipeline, TransparentModeType,
};
use sonora::{AudioProcessing, Config, StreamConfig};
use std::time::Duration;

/// Echo this far behind its reference, in 48 kHz samples (20 ms), is where AEC3 looks first.
const GOOD_LAG: f64 = 960.0;
/// Nearer than this (4 ms) is too near: AEC3 can't look ahead.
const LEAST_LAG: f64 = 192.0;
/// A jump that could be made good to this precision (0.4 ms) is none to AEC3.
const UNNOTICED: f64 = 20.0;
/// Blocks for which a new canceller is left in peace: 3 s.
const YOUNG: u32 = 300;
/// Blocks after which a word has left the processor.
const TAIL: u32 = 4;
/// What devices tell of their delay may waver by so much, in 48 kHz samples (30 ms).
const WAVERS: f64 = 1440.0;
/// A rate of drift this near the present one is not worth a change, …
const ENOUGH: f64 = 5e-6;
/// … and one this small is left to AEC3, which loses nothing at 100 millionths.
const LITTLE: f64 = 2e-5;
/// Largest gain on quiet voices, dB. WebRTC allows 50; a far voice in a noisy room is not worth
/// more than this.
const MOST_GAIN: f32 = 24.0;
/// Gain before anything is known, dB.
const FIRST_GAIN: f32 = 6.0;

/// Echo canceller, noise suppressor and gain control.
pub struct Cleaner {
    config: ApmConfig,
    /// High-pass, echo, noise; `None` when all are off.
    clean: Option<AudioProcessing>,
    /// Gain; `None` when off.
    gain: Option<AudioProcessing>,
    aligner: Aligner,
    ear: DriftEar,
    heard: Option<Heard>,
    /// The lag the canceller is used to, in 48 kHz samples.
    anchor: Option<f64>,
    /// The devices said once how late they are.
    told: bool,
    gauge: Gauge,
    /// Captured blocks of nothing but zeros in a row.
    silent: u32,
    /// Blocks until the canceller may be replaced again.
    young: u32,
    mended: u64,
    relearnt: u64,
    restarts: u64,
}

impl Cleaner {
    /// A processor for a configuration.
    pub fn new(config: ApmConfig) -> Self {
        Self {
            config,
            clean: cleaning(config),
            gain: config.gain.then(gaining),
            aligner: Aligner::default(),
            ear: DriftEar::default(),
            heard: None,
            anchor: None,
            told: false,
            gauge: Gauge::default(),
            silent: 0,
            young: 0,
            mended: 0,
            relearnt: 0,
            restarts: 0,
        }
    }

    /// Keeps the reference before its echo, by as much as the canceller is used to, and at the
    /// echo's rate.
    fn align(&mut self, reference: &Pcm, captured: &Pcm) {
        self.young = self.young.saturating_sub(1);
        let slipped = self.aligner.slipped();
        if slipped != 0.0 {
            self.ear.shifted();
        }
        if slipped < 0.0 && self.anchor.is_some() && self.young == 0 {
            // Drained: the echo is nearer now. After too much it is most likely as near as before.
            self.anchor = self.anchor.map(|anchor| anchor + slipped);
            self.relearn();
        }
        let Some(heard) = self.ear.listen(reference, captured, self.aligner.offset()) else {
            return;
        };
        let displaced = self.anchor.filter(|anchor| (anchor - heard.lag).abs() > UNNOTICED);
        let wanted = match displaced {
            Some(anchor) => anchor,
            None if heard.lag < LEAST_LAG => GOOD_LAG,
            None => heard.lag,
        };
        let mut by = self.aligner.shift(wanted - heard.lag);
        let regained = self.anchor.is_some_and(|a| (a - heard.lag - by).abs() < UNNOTICED);
        if (displaced.is_some() || by != 0.0) && !regained && self.young == 0 {
            // As it is new, it can be given the best.
            by += self.aligner.shift(GOOD_LAG - heard.lag - by);
            self.relearn();
        }
        if by != 0.0 {
            self.ear.shifted();
        }
        let lag = heard.lag + by;
        self.anchor = Some(lag);
        self.aligner.hold(self.aligner.waiting() + lag - GOOD_LAG);
        if let Some(rate) = heard.rate {
            let rate = if rate.abs() < LITTLE { 0.0 } else { rate };
            if (rate - self.aligner.rate()).abs() > ENOUGH {
                self.aligner.steer(rate);
            }
        }
        self.heard = Some(heard);
    }

    /// A new canceller finds a new delay sooner than one that is used to the old.
    fn relearn(&mut self) {
        self.clean = cleaning(self.config);
        self.young = YOUNG;
        self.relearnt += 1;
    }

    /// Everything anew, after a breakdown.
    fn restart(&mut self) {
        self.clean = cleaning(self.config);
        self.gain = self.config.gain.then(gaining);
        self.restarts += 1;
    }
}

impl CaptureProcessor for Cleaner {
    fn render(&mut self, played: &Pcm) {
        if self.config.echo {
            let mut played = *played;
            self.mended += mend(&mut played);
            self.aligner.push(&played);
        }
    }

    fn capture(&mut self, block: &mut Pcm) {
        self.mended += mend(block);
        let mut reference = [0.0; BLOCK];
        let mut fine = true;
        if self.config.echo {
            reference = self.aligner.take();
            self.align(&reference, block);
        }
        self.silent =
            if block.iter().all(|s| *s == 0.0) { self.silent.saturating_add(1) } else { 0 };
        let mut clean = *block;
        if let Some(processing) = &mut self.clean {
            let mut echoed = [0.0; BLOCK];
            if self.config.echo {
                fine &= processing.process_render_f32(&[&reference], &mut [&mut echoed]).is_ok();
            }
            fine &= processing.process_capture_f32(&[block], &mut [&mut clean]).is_ok();
        }
        let mut out = clean;
        if let Some(processing) = &mut self.gain {
            fine &= processing.process_capture_f32(&[&clean], &mut [&mut out]).is_ok();
        }
        if !fine || out.iter().any(|s| !s.is_finite()) {
            // Never seen. The sound as it came is better than none.
            self.restart();
            return;
        }
        self.gauge.take(&reference, block, &clean, &out);
        // A microphone that is off sends no comfort noise either.
        *block = if self.silent > TAIL { [0.0; BLOCK] } else { out };
    }

    fn expect(&mut self, devices: Duration) {
        if self.anchor.is_none() {
            // A reference must be there for the next captured block, whichever comes first.
            let least = (NEEDED + BLOCK) as f64;
            let held = (devices.as_secs_f64() * 48_000.0 - GOOD_LAG).max(least);
            let off = self.aligner.waiting() - held;
            // What devices say wavers by a block or two.
            let news = !std::mem::replace(&mut self.told, true) || off.abs() > WAVERS;
            if news && self.aligner.shift(off) != 0.0 {
                self.ear.shifted();
            }
        }
    }

    fn delay(&self) -> Duration {
        // Measured by the test `the_delay_is_as_told`: high-pass, bands and blocks of AEC3, windows
        // of the noise suppressor. The gain costs none.
        let ApmConfig { echo, noise, high_pass, .. } = self.config;
        let mut micros = 0;
        if echo || high_pass {
            micros += 900;
        }
        if echo {
            micros += 8_000;
        }
        if noise != Noise::Off {
            micros += 6_000;
        }
        Duration::from_micros(micros)
    }

    fn report(&self) -> ApmReport {
        let statistics = self.clean.as_ref().map(|clean| clean.statistics());
        let (erle_db, erl_db) = if self.config.echo { self.gauge.echo() } else { (None, None) };
        let mut align = self.aligner.report();
        align.lag_ms = self.heard.map(|heard| (heard.lag / 48.0) as f32);
        ApmReport {
            erle_db,
            erl_db,
            echo_delay_ms: statistics.and_then(|s| s.delay_ms),
            noise_db: self.gauge.noise().filter(|_| self.config.noise != Noise::Off),
            gain_db: self.gauge.gain().filter(|_| self.config.gain),
            align,
            mended: self.mended,
            relearnt: self.relearnt,
            restarts: self.restarts,
        }
    }
}

/// The first pipeline.
fn cleaning(config: ApmConfig) -> Option<AudioProcessing> {
    let level = match config.noise {
        Noise::Off => None,
        Noise::Low => Some(NoiseSuppressionLevel::Low),
        Noise::Moderate => Some(NoiseSuppressionLevel::Moderate),
        Noise::High => Some(NoiseSuppressionLevel::High),
        Noise::VeryHigh => Some(NoiseSuppressionLevel::VeryHigh),
    };
    let wanted = Config {
        high_pass_filter: config.high_pass.then(HighPassFilter::default),
        echo_canceller: config.echo.then(|| EchoCanceller {
            // Notices sooner when there is no echo (a headset after all), and then harms less.
            transparent_mode: TransparentModeType::Hmm,
            ..EchoCanceller::default()
        }),
        noise_suppression: level
            // Learn the noise from what the canceller leaves: echo is none of it (and costs the
            // near voice 0.02–0.03 of STOI under double talk).
            .map(|level| NoiseSuppression {
                level,
                analyze_linear_aec_output_when_available: config.echo,
            }),
        ..common()
    };
    (config.echo || config.high_pass || level.is_some()).then(|| build(wanted))
}

/// The second pipeline.
fn gaining() -> AudioProcessing {
    let adaptive = AdaptiveDigital {
        max_gain_db: MOST_GAIN,
        initial_gain_db: FIRST_GAIN,
        ..AdaptiveDigital::default()
    };
    build(Config {
        gain_controller2: Some(GainController2 {
            adaptive_digital: Some(adaptive),
            ..GainController2::default()
        }),
        ..common()
    })
}

fn common() -> Config {
    Config {
        pipeline: Pipeline {
            maximum_internal_processing_rate: MaxProcessingRate::Rate48kHz,
            multi_channel_render: false,
            multi_channel_capture: false,
            ..Pipeline::default()
        },
        ..Config::default()
    }
}

fn build(config: Config) -> AudioProcessing {
    let mono = StreamConfig::new(SAMPLE_RATE, 1);
    AudioProcessing::builder().config(config).capture_config(mono).render_config(mono).build()
}

/// Makes numbers of what is none and brings what is too loud to full scale; returns how many.
fn mend(block: &mut Pcm) -> u64 {
    let mut mended = 0;
    for sample in block {
        if !(-1.0..=1.0).contains(sample) {
            *sample =
                if sample.is_nan() || sample.is_infinite() { 0.0 } else { sample.clamp(-1.0, 1.0) };
            mended += 1;
        }
    }
    mended
}
