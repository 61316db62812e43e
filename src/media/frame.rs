//! The pictures and packets that flow through the media path, as plain values.

use crate::time::MediaTime;
use bytes::Bytes;

/// A picture size in pixels; both even (I420 halves the chroma planes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
}

impl Size {
    /// A size; odd values are rounded up to even ones.
    pub const fn new(width: u16, height: u16) -> Self {
        Self { width: width.saturating_add(width % 2), height: height.saturating_add(height % 2) }
    }

    /// Pixels of the luma plane.
    pub fn luma(self) -> usize {
        usize::from(self.width) * usize::from(self.height)
    }

    /// Pixels of each chroma plane.
    pub fn chroma(self) -> usize {
        usize::from(self.width.div_ceil(2)) * usize::from(self.height.div_ceil(2))
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// One uncompressed picture: I420 (planar YUV 4:2:0), BT.601 limited range, planes without
/// padding: `y` is `width × height`, `u` and `v` are half of each (rounded up).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// Picture size.
    pub size: Size,
    /// Capture time on the sender's media clock.
    pub at: MediaTime,
    /// Luma plane.
    pub y: Vec<u8>,
    /// Blue-difference plane.
    pub u: Vec<u8>,
    /// Red-difference plane.
    pub v: Vec<u8>,
}

impl RawFrame {
    /// A uniformly black picture.
    pub fn black(size: Size, at: MediaTime) -> Self {
        Self {
            size,
            at,
            y: vec![16; size.luma()],
            u: vec![128; size.chroma()],
            v: vec![128; size.chroma()],
        }
    }
}

/// One compressed media frame, before sealing or after opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coded {
    /// An Opus packet.
    Audio(CodedAudio),
    /// An H.264 access unit.
    Video(CodedVideo),
}

/// One Opus packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodedAudio {
    /// Counts packets of this track from 0; a gap is a loss.
    pub seq: u32,
    /// Capture time of the packet's first sample.
    pub at: MediaTime,
    /// Length of the packet in milliseconds: 10, 20, 40 or 60.
    pub millis: u8,
    /// Loudness as −dBov (RFC 6464): 0 loudest, 127 silence. Sealed, so only members see it.
    pub level: u8,
    /// The Opus packet (RFC 6716); constant size while the rate is unchanged.
    pub bytes: Bytes,
}

/// One H.264 access unit in Annex B form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodedVideo {
    /// Counts the frames of *this encoding* from 0; a gap means a picture this one may need is
    /// missing. Restarts only at a keyframe.
    pub number: u32,
    /// Capture time.
    pub at: MediaTime,
    /// Decodable on its own (IDR with parameter sets).
    pub keyframe: bool,
    /// Picture size of this encoding.
    pub size: Size,
    /// The access unit. Empty: cover, sent so that the line sees no pause; there is nothing to show.
    pub bytes: Bytes,
    /// What the rate control allots to one picture of this encoding, in bytes, whatever is in it;
    /// 0 when unknown. Does not travel.
    pub room: u16,
}

/// What a receiver asks of one sender: encode at this size, this often, at most this much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Tile size in pixels as the receiver can show it; the sender picks the rung of the ladder.
    pub size: Size,
    /// Highest useful frame rate, in tenths of a frame per second (125 = 12.5 fps).
    pub decifps: u16,
    /// Highest acceptable video rate in kbit/s; 0 = no limit of the receiver's own.
    pub max_kbps: u16,
    /// Nothing of this track would be painted now: send no video.
    pub paused: bool,
    /// The receiver's focus (large tile, active speaker): favour it when the rate is short.
    pub focus: bool,
}
