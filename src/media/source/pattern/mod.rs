//! The drawn talking head and the test patterns.
use crate::config::PatternKind;
use crate::media::frame::RawFrame;
use crate::media::seams::{FrameSource, SourceLost};
use crate::media::source::VideoOptions;
use crate::time::Now;
use std::time::Instant;
/// Pattern.
pub struct Pattern;
impl Pattern {
    /// new
    pub fn new(_k: PatternKind, _o: VideoOptions) -> Self {
        Self
    }
}
impl FrameSource for Pattern {
    fn due(&self) -> Option<Instant> {
        None
    }
    fn next(&mut self, _n: Now) -> Result<Option<RawFrame>, SourceLost> {
        Ok(None)
    }
    fn describe(&self) -> String {
        String::new()
    }
}
