//! No pictures: `--video none`.

use crate::media::frame::RawFrame;
use crate::media::seams::{FrameSource, SourceLost};
use crate::time::Now;
use std::time::Instant;

/// The source that never has a picture.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoVideo;

impl FrameSource for NoVideo {
    fn due(&self) -> Option<Instant> {
        None
    }

    fn next(&mut self, _now: Now) -> Result<Option<RawFrame>, SourceLost> {
        Ok(None)
    }

    fn describe(&self) -> String {
        "no video".into()
    }
}
