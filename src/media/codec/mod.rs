//! H.264 and Opus as `step()` functions over the C libraries.

mod ffi;
pub mod h264;
pub mod opus;
mod opus_ffi;
pub mod quantiser;
mod sps;

use crate::media::frame::{RawFrame, Size};
use crate::time::MediaTime;
use bytes::Bytes;

/// Largest picture this program encodes or agrees to decode.
pub const MAX_SIZE: Size = Size { width: 1920, height: 1088 };

/// Why a codec step failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The picture has another size, or other plane lengths, than the encoder was made for.
    #[error("the picture is {got}, the encoder was made for {expected}")]
    WrongSize {
        /// Size of the encoder.
        expected: Size,
        /// Size of the picture.
        got: Size,
    },
    /// A size outside 16x16 … [`MAX_SIZE`], on either side.
    #[error("a picture size of {0} is not allowed")]
    BadSize(Size),
    /// Received bytes that aren't a video frame of this program: peer misbehaved.
    #[error("not a decodable video frame: {0}")]
    Garbage(&'static str),
    /// A picture arrived that builds on one that was never decoded; a keyframe is needed.
    #[error("needs a keyframe first")]
    NeedsKeyframe,
    /// The C library refused (bug or out of memory).
    #[error("codec library: {0}")]
    Library(String),
}

/// One compressed picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPicture {
    /// H.264 access unit, Annex B.
    pub bytes: Bytes,
    /// An IDR with parameter sets.
    pub keyframe: bool,
}

/// Turns pictures of one size into coded ones.
pub trait VideoEncoder: Send {
    /// Codes one picture; `key` asks for a keyframe. `None`: left out, the rate doesn't allow it
    /// (never for a keyframe).
    fn step(&mut self, frame: &RawFrame, key: bool) -> Result<Option<EncodedPicture>, CodecError>;
    /// New bit rate (bit/s) and frame rate (tenths of fps), from the next picture on. Costs no
    /// keyframe.
    fn set_rate(&mut self, bits_per_second: u32, decifps: u16);
}

/// Turns coded pictures back into I420.
pub trait VideoDecoder: Send {
    /// Decodes one access unit captured at `at`. `None`: accepted, but no picture came out.
    fn step(&mut self, bytes: &[u8], at: MediaTime) -> Result<Option<RawFrame>, CodecError>;
}

/// Whether the video codec was built with its assembly: without it encoding takes 2.5 times as
/// long, decoding 1.6 times.
pub fn has_assembler() -> bool {
    ffi::has_assembler()
}
