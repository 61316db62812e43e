//! Nowhere: what a participant without screen or loudspeaker does with what it receives. Pictures
//! are wanted, decoded, counted and the last one kept, sound is decoded, mixed and counted, so that
//! a headless participant receives exactly what another one would.

use crate::media::frame::{RawFrame, Want};
use crate::media::seams::{FrameSink, Pcm, PcmSink, SinkLost};
use crate::time::Now;
use crate::wire::link::MemberId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What has been shown of one member.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Pictures so far.
    pub count: u64,
    /// The last one.
    pub last: Arc<RawFrame>,
    /// When it came.
    pub at: Instant,
}

/// The counts of a [`Null`] sink, readable after the sink itself has been given away.
#[derive(Clone, Default)]
pub struct Counts(Arc<Mutex<BTreeMap<MemberId, Shown>>>);

impl Counts {
    /// What has been shown of `who`.
    pub fn of(&self, who: MemberId) -> Option<Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&who).cloned()
    }

    /// Pictures shown of all members, those who left not included.
    pub fn total(&self) -> u64 {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.values().map(|shown| shown.count).sum()
    }
}

/// `--view none`.
pub struct Null {
    want: Want,
    counts: Counts,
}

impl Null {
    /// A sink that asks every member for `want`.
    pub fn new(want: Want) -> Self {
        Self { want, counts: Counts::default() }
    }

    /// A handle on the counts.
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }
}

impl FrameSink for Null {
    fn want(&self, _who: MemberId) -> Want {
        self.want
    }

    fn show(&mut self, who: MemberId, frame: Arc<RawFrame>, now: Now) -> Result<(), SinkLost> {
        let mut map = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = map.get(&who).map_or(0, |shown| shown.count) + 1;
        map.insert(who, Shown { count, last: frame, at: now.mono });
        Ok(())
    }

    fn gone(&mut self, who: MemberId) {
        self.counts.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&who);
    }
}

/// Counts blocks and forgets them.
#[derive(Debug, Default)]
pub struct NoSpeaker {
    blocks: u64,
}

impl NoSpeaker {
    /// Blocks of 10 ms taken so far.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }
}

impl PcmSink for NoSpeaker {
    fn write(&mut self, _block: &Pcm, _now: Now) -> Result<(), SinkLost> {
        self.blocks += 1;
        Ok(())
    }

    fn describe(&self) -> String {
        "none".to_owned()
    }
}
