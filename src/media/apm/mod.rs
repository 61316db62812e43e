//! What a microphone hears is not what should be sent: the other side's voice comes back from the
//! loudspeaker, fans hum, some people sit far away. This room takes all that off the captured
//! sound before it is coded.
//!
//! ```text
//!  mix ──► loudspeaker                                 microphone ──► capture() ──► Opus
//!   └────► render() ─► Aligner (queue, drift) ─► AEC3 reference ───────┘
//! ```
//!
//! A [`CaptureProcessor`] is fed both ways from one thread, 10 ms (480 samples at 48 kHz, mono) at
//! a time: [`CaptureProcessor::render`] takes what goes to the loudspeaker,
//! [`CaptureProcessor::capture`] changes a captured block in place. On a tick play first, then
//! capture; the other order works too. It takes a fifth of a millisecond per block, now and then
//! one, and allocates: not for a sound card's callback. [`Cleaner`] is the real one,
//! [`Passthrough`] the one that leaves everything as it is.

mod align;
mod drift;
mod gauge;
#[cfg(test)]
mod room;
mod sonora;
#[cfg(test)]
mod tests;

pub use align::AlignReport;
pub use sonora::Cleaner;

use crate::media::seams::Pcm;
use std::time::Duration;

/// What is to be done to captured sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApmConfig {
    /// Take the loudspeaker's sound off the microphone's. Not needed with a headset.
    pub echo: bool,
    /// How hard to press on steady noise.
    pub noise: Noise,
    /// Bring quiet voices up to a usual level, and keep loud ones below full scale.
    pub gain: bool,
    /// Remove rumble (below about 100 Hz). Echo cancelling does so in any case.
    pub high_pass: bool,
}

impl ApmConfig {
    /// For an open loudspeaker: everything on.
    pub const SPEAKERS: Self =
        Self { echo: true, noise: Noise::Moderate, gain: true, high_pass: true };
    /// For a headset: no echo to cancel.
    pub const HEADSET: Self = Self { echo: false, ..Self::SPEAKERS };
    /// Nothing at all.
    pub const OFF: Self = Self { echo: false, noise: Noise::Off, gain: false, high_pass: false };
}

impl Default for ApmConfig {
    fn default() -> Self {
        Self::SPEAKERS
    }
}

/// How much steady noise is turned down, at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Noise {
    /// Left as it is.
    Off,
    /// About 6 dB.
    Low,
    /// About 12 dB.
    #[default]
    Moderate,
    /// About 18 dB.
    High,
    /// About 21 dB; voices suffer.
    VeryHigh,
}

/// Cleans captured sound. One thread calls all of it.
pub trait CaptureProcessor: Send {
    /// 10 ms as they are handed to the loudspeaker, in order. A block that is not played because
    /// nobody speaks is silence and counts too.
    fn render(&mut self, played: &Pcm);

    /// Changes 10 ms of captured sound in place. Only for blocks that were really captured: a
    /// microphone that has nothing in time has not moved on.
    fn capture(&mut self, block: &mut Pcm);

    /// What the devices say of their delay: from [`CaptureProcessor::render`] to the loudspeaker
    /// plus from the microphone to [`CaptureProcessor::capture`]. Optional, need not be exact,
    /// and heeded only until an echo was heard: then that counts.
    fn expect(&mut self, _devices: Duration) {}

    /// How much later than its input the output is, without the devices.
    fn delay(&self) -> Duration;

    /// How it stands.
    fn report(&self) -> ApmReport;
}

/// What the processor can tell about its work. Decibels are positive when something got better;
/// `None`: not measured yet, or switched off.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ApmReport {
    /// Echo return loss enhancement: how much quieter the microphone's sound became while the far
    /// end was heard, in dB over the last seconds. Talking at the same time lowers it.
    pub erle_db: Option<f32>,
    /// How much quieter the far end arrives at the microphone than it was played, in dB.
    pub erl_db: Option<f32>,
    /// Delay of the echo behind its reference as the canceller estimates it, in ms.
    pub echo_delay_ms: Option<i32>,
    /// How much the floor between words fell, in dB.
    pub noise_db: Option<f32>,
    /// Gain on the voice now, in dB.
    pub gain_db: Option<f32>,
    /// Alignment of what is played with what is captured.
    pub align: AlignReport,
    /// Captured samples that were no numbers, or beyond full scale.
    pub mended: u64,
    /// Times the canceller was begun anew because the delay had jumped too far.
    pub relearnt: u64,
    /// Times the processor broke down and was begun anew.
    pub restarts: u64,
}

/// Leaves sound as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passthrough;

impl CaptureProcessor for Passthrough {
    fn render(&mut self, _played: &Pcm) {}
    fn capture(&mut self, _block: &mut Pcm) {}
    fn delay(&self) -> Duration {
        Duration::ZERO
    }
    fn report(&self) -> ApmReport {
        ApmReport::default()
    }
}

/// The processor for a configuration.
pub fn processor(config: ApmConfig) -> Box<dyn CaptureProcessor> {
    if config == ApmConfig::OFF { Box::new(Passthrough) } else { Box::new(Cleaner::new(config)) }
}
