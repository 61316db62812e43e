//! The seams of the media path: what a source of pictures or sound, and a sink for them, must do.
//! Devices, files, synthetic patterns, the terminal and the measuring probes of a simulation all
//! stand behind these four traits, so product, tests and demo run the same path between them.

use crate::media::frame::{RawFrame, Size, Want};
use crate::time::Now;
use crate::wire::link::MemberId;
use std::sync::Arc;
use std::time::Instant;

/// Sample rate of all PCM inside the program, in Hz.
pub const SAMPLE_RATE: u32 = 48_000;
/// Samples in one PCM block: 10 ms at [`SAMPLE_RATE`], mono.
pub const BLOCK: usize = 480;
/// One block of sound: 10 ms, mono, nominal range −1…1.
pub type Pcm = [f32; BLOCK];

/// Why a source stopped for good (device gone, pipe ended, file unreadable). The call goes on.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct SourceLost {
    /// Which source, in the user's words ("camera 0", "pipe").
    pub what: String,
    /// What happened, and what to try next if known.
    pub why: String,
}

/// Why a sink stopped for good. The call goes on.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct SinkLost {
    /// Which sink, in the user's words.
    pub what: String,
    /// What happened.
    pub why: String,
}

/// Where pictures come from.
pub trait FrameSource: Send {
    /// When the next picture is due; `None`: not before something else happens (device thread).
    fn due(&self) -> Option<Instant>;
    /// The picture that is due, or `None` if none is ready. Never blocks.
    fn next(&mut self, now: Now) -> Result<Option<RawFrame>, SourceLost>;
    /// The largest size and rate (in tenths of fps) anybody wants now; sources that can compute or
    /// capture at any size follow it, others ignore it.
    fn hint(&mut self, _size: Size, _decifps: u16) {}
    /// The source on or off (camera switched off by its user): off releases a device. A source
    /// that is off has no `due`.
    fn enable(&mut self, _on: bool, _now: Now) {}
    /// Short description for the screen: "camera 0, 640x480 at 30 fps".
    fn describe(&self) -> String;
}

/// Where received pictures go.
pub trait FrameSink: Send {
    /// What this sink can use of `who`'s picture now.
    fn want(&self, who: MemberId) -> Want;
    /// Takes over one decoded picture for showing now.
    fn show(&mut self, who: MemberId, frame: Arc<RawFrame>, now: Now) -> Result<(), SinkLost>;
    /// Is it shown the own picture, too, as a screen is? Files are not: they hold what was received.
    fn shows_own(&self) -> bool {
        true
    }
    /// When [`FrameSink::tick`] wants to run, for sinks with a clock of their own (files).
    fn due(&self) -> Option<Instant> {
        None
    }
    /// Runs at `due`.
    fn tick(&mut self, _now: Now) -> Result<(), SinkLost> {
        Ok(())
    }
    /// `who` has left; forget them.
    fn gone(&mut self, _who: MemberId) {}
}

/// Where sound comes from: called every 10 ms by the audio engine.
pub trait PcmSource: Send {
    /// The next 10 ms of sound; `None`: nothing there yet (silence is sent, counted).
    fn read(&mut self, now: Now) -> Result<Option<Pcm>, SourceLost>;
    /// Device delay from microphone to [`PcmSource::read`], for lip sync; files: zero.
    fn delay(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
    /// Short description for the screen.
    fn describe(&self) -> String;
}

/// Where sound goes: called every 10 ms by the audio engine.
pub trait PcmSink: Send {
    /// Takes over 10 ms of mixed sound.
    fn write(&mut self, block: &Pcm, now: Now) -> Result<(), SinkLost>;
    /// Delay from [`PcmSink::write`] to the loudspeaker, for lip sync; files: zero.
    fn delay(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
    /// Short description for the screen.
    fn describe(&self) -> String;
}
