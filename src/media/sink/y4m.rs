//! Received pictures as a Y4M file of constant rate: `--view y4m:FILE`.
//!
//! The file runs on a clock of its own from the moment it is made: every frame time one picture,
//! the newest that has come, repeated when no newer one did, black before the first and after the
//! shown member has left. So its *n*-th picture is what a viewer would have seen at time *n*/rate,
//! freezes included. One file holds one member: the first whose picture comes, and when that one
//! leaves, the next whose picture comes.

use crate::media::frame::{RawFrame, Want};
use crate::media::seams::{FrameSink, SinkLost};
use crate::media::{scale, y4m};
use crate::time::{MediaTime, Now};
use crate::wire::link::MemberId;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pictures written in one tick at most: a program that was suspended catches up piecemeal.
const BURST: u64 = 60;

/// A Y4M file of one member's pictures.
pub struct Y4mView<W = File> {
    name: String,
    out: W,
    want: Want,
    started: Instant,
    written: u64,
    shown: Option<MemberId>,
    /// The bytes of the current picture, `FRAME` line included.
    current: Vec<u8>,
}

impl Y4mView<File> {
    /// Creates (or empties) the file. `want` is asked of every member; its size and rate are the
    /// file's.
    pub fn create(path: &Path, want: Want, now: Now) -> io::Result<Self> {
        Self::new(path.display().to_string(), File::create(path)?, want, now)
    }
}

impl<W: Write + Send> Y4mView<W> {
    /// Writes to `out` instead of a file; `name` appears in errors. Every picture is one write,
    /// so that a program killed at any moment leaves a readable file.
    pub fn new(name: String, mut out: W, want: Want, now: Now) -> io::Result<Self> {
        let want = Want { decifps: want.decifps.max(1), ..want };
        out.write_all(&y4m::header(want.size, want.decifps))?;
        out.flush()?;
        let mut this = Self {
            name,
            out,
            want,
            started: now.mono,
            written: 0,
            shown: None,
            current: Vec::new(),
        };
        this.blank();
        Ok(this)
    }

    fn blank(&mut self) {
        let black = RawFrame::black(self.want.size, MediaTime::default());
        self.set(&black);
    }

    fn set(&mut self, frame: &RawFrame) {
        self.current.clear();
        y4m::write_frame(frame, &mut self.current);
    }

    /// Time of picture `index` after the first.
    fn time_of(&self, index: u64) -> Duration {
        Duration::from_micros(index.saturating_mul(10_000_000) / u64::from(self.want.decifps))
    }

    /// Writes the pictures whose time has come by `now`; the current one stands for all of them.
    fn catch_up(&mut self, now: Now) -> Result<(), SinkLost> {
        let elapsed = now.mono.saturating_duration_since(self.started);
        for _ in 0..BURST {
            if self.time_of(self.written) > elapsed {
                break;
            }
            self.out
                .write_all(&self.current)
                .map_err(|e| SinkLost { what: self.name.clone(), why: e.to_string() })?;
            self.written += 1;
        }
        Ok(())
    }
}

impl<W: Write + Send> FrameSink for Y4mView<W> {
    fn want(&self, _who: MemberId) -> Want {
        self.want
    }

    fn show(&mut self, who: MemberId, frame: Arc<RawFrame>, now: Now) -> Result<(), SinkLost> {
        // Slots already over belong to the picture that was there then.
        self.catch_up(now)?;
        if *self.shown.get_or_insert(who) != who {
            return Ok(());
        }
        self.set(&scale::resize(&frame, self.want.size));
        Ok(())
    }

    fn shows_own(&self) -> bool {
        false
    }

    fn due(&self) -> Option<Instant> {
        Some(self.started + self.time_of(self.written))
    }

    fn tick(&mut self, now: Now) -> Result<(), SinkLost> {
        self.catch_up(now)
    }

    fn gone(&mut self, who: MemberId) {
        if self.shown == Some(who) {
            self.shown = None;
            self.blank();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::Size;
    use crate::time::Wall;

    const WHO: MemberId = MemberId(1);

    fn want(size: Size, decifps: u16) -> Want {
        Want { size, decifps, max_kbps: 0, paused: false, focus: true }
    }

    fn at(origin: Instant, millis: u64) -> Now {
        Now { mono: origin + Duration::from_millis(millis), wall: Wall(0) }
    }

    fn grey(size: Size, luma: u8) -> Arc<RawFrame> {
        let mut frame = RawFrame::black(size, MediaTime(0));
        frame.y.fill(luma);
        Arc::new(frame)
    }

    /// First luma sample of every picture in the file.
    fn lumas(bytes: &[u8], size: Size) -> Vec<u8> {
        let header = bytes.iter().position(|&b| b == b'\n').unwrap() + 1;
        let frame = 6 + size.luma() + 2 * size.chroma();
        assert_eq!((bytes.len() - header) % frame, 0, "whole pictures only");
        bytes[header..].chunks(frame).map(|f| f[6]).collect()
    }

    #[test]
    fn the_file_has_constant_rate_black_first_then_the_last_picture_repeated() {
        let origin = tokio::time::Instant::now().into_std();
        let size = Size::new(4, 4);
        let mut sink =
            Y4mView::new("x".into(), Vec::new(), want(size, 100), at(origin, 0)).unwrap();
        assert_eq!(sink.due(), Some(origin));
        sink.tick(at(origin, 0)).unwrap();
        sink.show(WHO, grey(size, 100), at(origin, 150)).unwrap();
        sink.tick(at(origin, 400)).unwrap();
        sink.show(WHO, grey(size, 200), at(origin, 450)).unwrap();
        sink.tick(at(origin, 500)).unwrap();
        assert_eq!(lumas(&sink.out, size), [16, 16, 100, 100, 100, 200]);
        assert_eq!(sink.due(), Some(origin + Duration::from_millis(600)));
    }

    #[test]
    fn one_member_is_shown_until_gone_then_black_then_the_next() {
        let origin = tokio::time::Instant::now().into_std();
        let size = Size::new(4, 4);
        let mut sink =
            Y4mView::new("x".into(), Vec::new(), want(size, 100), at(origin, 0)).unwrap();
        sink.show(WHO, grey(size, 100), at(origin, 10)).unwrap();
        sink.show(MemberId(2), grey(size, 200), at(origin, 20)).unwrap();
        sink.tick(at(origin, 100)).unwrap();
        sink.gone(WHO);
        sink.tick(at(origin, 200)).unwrap();
        sink.show(MemberId(2), grey(size, 200), at(origin, 210)).unwrap();
        sink.tick(at(origin, 300)).unwrap();
        assert_eq!(lumas(&sink.out, size), [16, 100, 16, 200]);
    }

    #[test]
    fn pictures_of_another_rung_are_scaled_to_the_wanted_size() {
        let origin = tokio::time::Instant::now().into_std();
        let size = Size::new(240, 144);
        let mut sink =
            Y4mView::new("x".into(), Vec::new(), want(size, 100), at(origin, 0)).unwrap();
        for rung in [Size::new(160, 96), Size::new(320, 192), Size::new(80, 48)] {
            sink.show(WHO, grey(rung, 77), at(origin, 0)).unwrap();
            sink.tick(at(origin, sink.written * 100)).unwrap();
        }
        assert_eq!(lumas(&sink.out, size), [16, 77, 77, 77]);
    }

    #[test]
    fn a_suspended_program_catches_up_piecemeal() {
        let origin = tokio::time::Instant::now().into_std();
        let size = Size::new(2, 2);
        let mut sink =
            Y4mView::new("x".into(), Vec::new(), want(size, 300), at(origin, 0)).unwrap();
        sink.tick(at(origin, 10_000)).unwrap();
        assert_eq!(lumas(&sink.out, size).len(), 60);
        assert!(sink.due().unwrap() < at(origin, 10_000).mono);
        for _ in 0..5 {
            sink.tick(at(origin, 10_000)).unwrap();
        }
        assert_eq!(lumas(&sink.out, size).len(), 301);
    }
}
