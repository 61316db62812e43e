//! temp
#![allow(missing_docs)]
use crate::media::codec::{VideoDecoder, h264::H264Decoder};
use crate::media::frame::*;
use std::collections::VecDeque;
use std::time::Instant;
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoRecvStats {
    pub shown: u64,
    pub freezes: u64,
    pub size: Option<Size>,
    pub fps: f32,
    pub bytes: u64,
    pub kbps: u32,
}
pub struct VideoRecv {
    dec: Option<H264Decoder>,
    queue: VecDeque<CodedVideo>,
    next: Option<u32>,
    need: bool,
    stats: VideoRecvStats,
}
impl VideoRecv {
    pub fn new(_n: Instant) -> Self {
        Self {
            dec: H264Decoder::new().ok(),
            queue: VecDeque::new(),
            next: None,
            need: false,
            stats: Default::default(),
        }
    }
    pub fn push(&mut self, c: CodedVideo, _n: Instant) {
        self.stats.bytes += c.bytes.len() as u64;
        self.queue.push_back(c);
        if self.queue.len() > 8 {
            self.queue.pop_front();
        }
    }
    pub fn due(&self) -> Option<Instant> {
        None
    }
    pub fn needs_keyframe(&mut self) -> bool {
        std::mem::take(&mut self.need)
    }
    pub fn stats(&self) -> VideoRecvStats {
        self.stats.clone()
    }
    pub fn step(&mut self, _n: Instant, _a: Option<Instant>) -> Option<RawFrame> {
        let mut last = None;
        while let Some(c) = self.queue.pop_front() {
            if !c.keyframe && self.next != Some(c.number) {
                self.need = true;
                continue;
            }
            self.next = Some(c.number + 1);
            if let Some(d) = &mut self.dec {
                match d.step(&c.bytes, c.at) {
                    Ok(Some(f)) => {
                        self.stats.shown += 1;
                        self.stats.size = Some(f.size);
                        last = Some(f)
                    }
                    Ok(None) => {}
                    Err(_) => {
                        self.need = true;
                        self.next = None
                    }
                }
            }
        }
        last
    }
}
