//! Where media comes from: camera, microphone, synthetic pattern and voice, files, pipes.

pub mod camera;
pub mod none;
pub mod pattern;
pub mod pipe;
mod slot;
pub mod tone;
pub mod voice;
pub mod wav;
pub mod y4m;

use crate::config::VideoSpec;
use crate::media::frame::Size;
use crate::media::seams::FrameSource;
use crate::time::MediaTime;
use std::sync::Arc;
use std::time::Instant;

/// How far the mouth is open at a media time, 0…1: what the sound source of the same participant
/// says, so that lips follow the voice.
pub type Mouth = Arc<dyn Fn(MediaTime) -> f32 + Send + Sync>;

/// Called by a device's thread when a new picture is ready, to wake whoever polls the source.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Why a source can't be opened, by blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The file or stream can't be used as it is (exit code 2).
    #[error("{what}: {why}")]
    InvalidInput {
        /// Which source, in the user's words.
        what: String,
        /// What is wrong with it, and what to try next if known.
        why: String,
    },
    /// The device or command doesn't deliver (exit code 4).
    #[error("{what}: {why}")]
    Device {
        /// Which source, in the user's words.
        what: String,
        /// What happened, and what to try next if known.
        why: String,
    },
}

/// What a picture source needs to know besides its specification.
#[derive(Clone)]
pub struct VideoOptions {
    /// Origin of the capture clock, shared with the sound source.
    pub origin: Instant,
    /// Size to start with; sources that can follow [`FrameSource::hint`].
    pub size: Size,
    /// Nominal frame rate in tenths of a frame per second.
    pub decifps: u16,
    /// Whose face the pattern draws: fingerprint bytes of the identity, any length.
    pub identity: Vec<u8>,
    /// Seed of everything random about the pattern.
    pub seed: u64,
    /// The mouth of the pattern's face.
    pub mouth: Mouth,
    /// Wakes the loop that polls this source; without it, devices are polled every 4 ms.
    pub wake: Option<Wake>,
}

impl VideoOptions {
    /// Options for a clock started at `origin`: 320x192, 30 fps, a closed mouth.
    pub fn new(origin: Instant) -> Self {
        Self {
            origin,
            size: Size::new(320, 192),
            decifps: 300,
            identity: Vec::new(),
            seed: 0,
            mouth: Arc::new(|_| 0.0),
            wake: None,
        }
    }
}

/// Opens the picture source that `spec` names. Cameras and commands are given a few seconds to
/// deliver their first sign of life; this blocks for as long.
pub fn open_video(
    spec: &VideoSpec,
    options: VideoOptions,
) -> Result<Box<dyn FrameSource>, OpenError> {
    Ok(match spec {
        VideoSpec::Camera(index) => Box::new(camera::Camera::open(*index, options)?),
        VideoSpec::Pattern(kind) => Box::new(pattern::Pattern::new(*kind, options)),
        VideoSpec::Y4m(path) => Box::new(y4m::Y4mFile::open(path, options.origin)?),
        VideoSpec::Pipe(command) => Box::new(pipe::Pipe::spawn(command, options)?),
        VideoSpec::None => Box::new(none::NoVideo),
    })
}
