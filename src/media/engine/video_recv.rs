//! Receiving: which pictures of a member to decode, and when to show them.
//!
//! Frames come on streams of their own, so they may overtake one another, come late or never. A
//! picture builds on the one before; when one is missing for longer than a repair takes, the last
//! picture stays and a keyframe is asked for. What came meanwhile is kept: whichever is here first,
//! keyframe or missing frame, ends the gap. Everything due is decoded (it is needed for what
//! follows), only the newest is handed out.

use crate::media::codec::h264::H264Decoder;
use crate::media::codec::{CodecError, VideoDecoder};
use crate::media::frame::{CodedVideo, RawFrame, Size};
use crate::media::playout::{AvSync, Due};
use crate::time::MediaTime;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Most frames waiting to be decoded: what a second repair of the one before them takes …
const QUEUE: usize = 32;
/// … and most bytes.
const QUEUE_BYTES: usize = 1 << 20;
/// Pictures so long behind their sound are not shown at all.
const STALE: Duration = Duration::from_secs(1);
/// After this process stood still, what comes so long after its time is from before.
const PAST: Duration = Duration::from_millis(300);
/// After so long without a picture the first one is shown as soon as it is there: to see anybody again is
/// worth more than a moment of lip sync. So is the first one ever.
const LONG_FROZEN: Duration = Duration::from_secs(1);
/// How long a missing frame is waited for when the round trip isn't known.
const PATIENCE: Duration = Duration::from_millis(150);
/// How often a keyframe is asked for again while none comes.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// What the received rate is measured over.
const RATE_WINDOW: Duration = Duration::from_secs(2);
/// Most that is decoded of one member in [`RATE_WINDOW`], in samples of luma: 1280x720 at 30 fps, and
/// half as much again. Whoever sends more is not shown more, and costs the others nothing.
const MOST_LUMA: usize = 1280 * 720 * 90;
/// What the smallest picture, and one that turns out to be none, counts for.
const LEAST_LUMA: usize = 240 * 144;
const BROKEN_LUMA: usize = 1920 * 1088;
/// Pictures that the mean interval of the freeze rule looks back over.
const MEAN_OF: usize = 30;

/// What happened so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoRecvStats {
    /// Frames that arrived.
    pub received: u64,
    /// Frames decoded.
    pub decoded: u64,
    /// Pictures handed out for painting.
    pub shown: u64,
    /// Pictures decoded but not handed out: a newer one was due too.
    pub superseded: u64,
    /// Frames thrown away undecoded: too old, no keyframe before them, or the queue was full.
    pub dropped: u64,
    /// Frames the decoder refused.
    pub broken: u64,
    /// Keyframes among the decoded.
    pub keyframes: u64,
    /// Keyframes asked for.
    pub asked: u64,
    /// Freezes: gaps between painted pictures longer than max(3 × mean, mean + 150 ms), the mean
    /// being that of the last 30 gaps (W3C webrtc-stats, `freezeCount`).
    pub freezes: u64,
    /// Sum of those gaps.
    pub frozen: Duration,
    /// Size of the newest picture.
    pub size: Option<Size>,
    /// Mean rate of shown pictures over the last 30, in fps.
    pub fps: f32,
    /// Bytes of coded frames received.
    pub bytes: u64,
    /// Their rate over the last two seconds, in kbit/s.
    pub kbps: u32,
}

/// One member's pictures, from coded frames to pictures that are due.
pub struct VideoRecv {
    /// Made for the first frame.
    decoder: Option<Box<dyn VideoDecoder>>,
    /// Waiting frames by capture time, with their arrival.
    waiting: BTreeMap<MediaTime, (CodedVideo, Instant)>,
    /// The frame decoded last: capture time and number. `None`: a keyframe is needed.
    last: Option<(MediaTime, u32)>,
    /// Nothing at or before this is of use any more.
    past: Option<MediaTime>,
    sync: AvSync,
    patience: Duration,
    /// When a keyframe was last asked for, and whether that is still to be told to the sender.
    asked: Option<Instant>,
    ask: bool,
    /// How the sound played at the last step: local time at which media time zero was heard.
    sound: Option<Instant>,
    /// The moment of the last step.
    now: Instant,
    /// Since when something is missing.
    missing: Option<Instant>,
    stats: VideoRecvStats,
    painted: Option<Instant>,
    gaps: VecDeque<Duration>,
    /// Arrivals of the last two seconds: when, bytes.
    arrivals: VecDeque<(Instant, usize)>,
    /// What was decoded in this window so far, and when it began.
    decoded: (usize, Instant),
}

impl VideoRecv {
    /// A receiver that waits for its first keyframe.
    pub fn new(now: Instant) -> Self {
        Self {
            decoder: None,
            waiting: BTreeMap::new(),
            last: None,
            past: None,
            sync: AvSync::default(),
            patience: PATIENCE,
            asked: None,
            ask: false,
            sound: None,
            now,
            missing: None,
            stats: VideoRecvStats::default(),
            painted: None,
            gaps: VecDeque::with_capacity(MEAN_OF),
            arrivals: VecDeque::new(),
            decoded: (0, now),
        }
    }

    /// The round trip of the link: how long a repaired frame may take.
    pub fn set_round_trip(&mut self, rtt: Duration) {
        let repaired = rtt * 3 / 2 + Duration::from_millis(40);
        self.patience = repaired.clamp(Duration::from_millis(80), Duration::from_millis(400));
    }

    /// This process stood still until `now`.
    pub fn stood_still(&mut self, now: Instant) {
        self.sync.stood_still(now);
    }

    /// A frame arrived. Call [`VideoRecv::step`] next. Cover is not looked at.
    pub fn push(&mut self, frame: CodedVideo, now: Instant) {
        if frame.bytes.is_empty() {
            return;
        }
        self.stats.received += 1;
        self.stats.bytes += frame.bytes.len() as u64;
        self.arrivals.push_back((now, frame.bytes.len()));
        let old = |(at, _): &(Instant, usize)| now.saturating_duration_since(*at) >= RATE_WINDOW;
        while self.arrivals.front().is_some_and(old) {
            self.arrivals.pop_front();
        }
        self.sync.arrived(frame.at, now);
        if self.past.is_some_and(|past| frame.at <= past) {
            self.stats.dropped += 1;
            return;
        }
        self.waiting.insert(frame.at, (frame, now));
        let bytes: usize = self.waiting.values().map(|(frame, _)| frame.bytes.len()).sum();
        if self.waiting.len() > QUEUE || bytes > QUEUE_BYTES {
            self.shed();
        }
        self.check(now);
    }

    /// Whether a keyframe is to be asked of the sender now; tells so once for each request.
    pub fn needs_keyframe(&mut self) -> bool {
        std::mem::take(&mut self.ask)
    }

    /// Makes room: everything before the newest waiting keyframe goes; without one, everything.
    fn shed(&mut self) {
        let key = self.waiting.iter().rev().find(|(_, (frame, _))| frame.keyframe);
        match key.map(|(at, _)| *at) {
            Some(at) if self.waiting.range(..at).next().is_some() => self.drop_before(at),
            Some(_) | None => {
                self.stats.dropped += self.waiting.len() as u64;
                self.past = self.waiting.keys().next_back().copied().or(self.past);
                self.waiting.clear();
                self.last = None;
            }
        }
    }

    fn drop_before(&mut self, at: MediaTime) {
        let kept = self.waiting.split_off(&at);
        self.stats.dropped += self.waiting.len() as u64;
        self.waiting = kept;
    }

    /// Whether the next waiting frame can be decoded.
    fn decodable(&self, frame: &CodedVideo) -> bool {
        frame.keyframe
            || self.last.is_some_and(|(_, number)| frame.number == number.wrapping_add(1))
    }

    /// Looks for a gap that no repair will fill; asks for a keyframe when there is one.
    fn check(&mut self, now: Instant) {
        let stuck = match self.waiting.values().next() {
            Some((frame, _)) => !self.decodable(frame),
            None => self.last.is_none() && self.stats.received > 0,
        };
        if !stuck {
            self.missing = None;
            return;
        }
        let since = *self.missing.get_or_insert(now);
        if self.last.is_some() && now.saturating_duration_since(since) < self.patience {
            return;
        }
        // A keyframe further back in the queue heals without asking.
        let key = self.waiting.iter().find(|(_, (frame, _))| frame.keyframe).map(|(at, _)| *at);
        if let Some(at) = key {
            self.drop_before(at);
            self.missing = None;
            return;
        }
        self.ask(now);
    }

    fn ask(&mut self, now: Instant) {
        let again = |last: Instant| now.saturating_duration_since(last) >= ASK_AGAIN;
        if self.asked.is_none_or(again) {
            self.asked = Some(now);
            self.stats.asked += 1;
            self.ask = true;
        }
    }

    /// When [`VideoRecv::step`] wants to run next; may be past.
    pub fn due(&self) -> Option<Instant> {
        let next = self.waiting.first_key_value();
        let show = next.filter(|(_, (frame, _))| self.decodable(frame)).map(|(at, _)| {
            match self.due_of(*at, self.now) {
                Due::At(when) => when,
                Due::Late => self.now,
            }
        });
        let give_up = self.missing.map(|since| {
            let patient = if self.last.is_some() { since + self.patience } else { since };
            match self.asked {
                Some(asked) if !self.waiting.values().any(|(frame, _)| frame.keyframe) => {
                    patient.max(asked + ASK_AGAIN)
                }
                _ => patient,
            }
        });
        [show, give_up].into_iter().flatten().min()
    }

    fn due_of(&self, at: MediaTime, now: Instant) -> Due {
        // Without sound there is nothing to be in time with: the shortest delay wins.
        let frozen = self.painted.is_none_or(|at| now.saturating_duration_since(at) > LONG_FROZEN);
        match self.sound {
            Some(_) if !frozen => self.sync.due(at, now),
            _ => Due::At(now),
        }
    }

    /// Decodes what is due and returns the newest picture of it. `sound`: the local instant at
    /// which this member's sound of media time zero is (would be) heard, while it plays; `None`:
    /// show pictures as they come.
    pub fn step(&mut self, now: Instant, sound: Option<Instant>) -> Option<RawFrame> {
        (self.now, self.sound) = (now, sound);
        if let Some(zero) = sound {
            self.sync.sound(zero, now);
        }
        self.check(now);
        let mut newest = None;
        while let Some((&at, (frame, _))) = self.waiting.first_key_value() {
            let ready = match self.due_of(at, now) {
                Due::At(when) => when <= now,
                Due::Late => true,
            };
            if !ready || !self.decodable(frame) {
                break;
            }
            let Some((_, (frame, _))) = self.waiting.pop_first() else { break };
            match self.decode(&frame) {
                Ok(Some(picture)) => {
                    self.stats.superseded += u64::from(newest.is_some());
                    newest = Some(picture);
                }
                Ok(None) => {}
                Err(_) => {
                    self.stats.broken += 1;
                    self.last = None;
                    self.ask(now);
                }
            }
        }
        // What was waiting while this machine stood still is decoded, for what follows builds on it, but
        // nobody wants to see it any more.
        if newest.as_ref().is_some_and(|picture| self.is_history(picture.at, now)) {
            self.stats.superseded += 1;
            newest = None;
        }
        if let Some(picture) = &newest {
            self.stats.size = Some(picture.size);
            self.count_shown(now);
        }
        newest
    }

    fn is_history(&self, at: MediaTime, now: Instant) -> bool {
        let due = self
            .sync
            .zero()
            .and_then(|zero| zero.checked_add(Duration::from_micros(at.0.min(1 << 50))));
        due.is_some_and(|due| now.saturating_duration_since(due) > STALE)
            || self.sync.is_history(at, now, PAST)
    }

    fn decode(&mut self, frame: &CodedVideo) -> Result<Option<RawFrame>, CodecError> {
        self.past = Some(frame.at);
        if self.now.saturating_duration_since(self.decoded.1) >= RATE_WINDOW {
            self.decoded = (0, self.now);
        }
        if self.decoded.0 >= MOST_LUMA {
            return Err(CodecError::Garbage("more pictures than anybody could want"));
        }
        let outcome = self.decode_affordable(frame);
        self.decoded.0 += match outcome {
            Ok(_) => frame.size.luma().max(LEAST_LUMA),
            Err(_) => BROKEN_LUMA,
        };
        outcome
    }

    fn decode_affordable(&mut self, frame: &CodedVideo) -> Result<Option<RawFrame>, CodecError> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => none.insert(Box::new(H264Decoder::new()?)),
        };
        let picture = decoder.step(&frame.bytes, frame.at)?;
        if picture.as_ref().is_some_and(|p| p.size != frame.size) {
            return Err(CodecError::Garbage("picture size differs from the header"));
        }
        self.last = Some((frame.at, frame.number));
        self.stats.decoded += 1;
        if frame.keyframe {
            self.stats.keyframes += 1;
            self.asked = None;
        }
        Ok(picture)
    }

    fn count_shown(&mut self, now: Instant) {
        self.stats.shown += 1;
        let Some(before) = self.painted.replace(now) else { return };
        let gap = now.saturating_duration_since(before);
        if !self.gaps.is_empty() {
            let mean = self.gaps.iter().sum::<Duration>() / self.gaps.len() as u32;
            if gap > (mean * 3).max(mean + Duration::from_millis(150)) {
                self.stats.freezes += 1;
                self.stats.frozen += gap;
            }
        }
        if self.gaps.len() == MEAN_OF {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
    }

    /// The sender stopped sending on purpose (camera off, tile paused): the gap that follows is no
    /// freeze, and the next frame will be a keyframe.
    pub fn pause(&mut self) {
        self.painted = None;
        self.gaps.clear();
        self.waiting.clear();
        self.last = None;
        self.missing = None;
    }

    /// Counters since the beginning, and rates as of the last step.
    pub fn stats(&self) -> VideoRecvStats {
        let sum: Duration = self.gaps.iter().sum();
        let fps = if sum.is_zero() { 0.0 } else { self.gaps.len() as f32 / sum.as_secs_f32() };
        let recent = |at: &Instant| self.now.saturating_duration_since(*at) < RATE_WINDOW;
        let bytes: usize = self.arrivals.iter().filter(|(at, _)| recent(at)).map(|(_, n)| n).sum();
        let kbps = bytes as f64 * 8e-3 / RATE_WINDOW.as_secs_f64();
        VideoRecvStats { fps, kbps: kbps as u32, ..self.stats.clone() }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
mod tests {
    use super::*;
    use bytes::Bytes;

    const SIZE: Size = Size { width: 16, height: 16 };

    /// A decoder that takes any bytes but `b"bad"`.
    struct Anything;

    impl VideoDecoder for Anything {
        fn step(&mut self, bytes: &[u8], at: MediaTime) -> Result<Option<RawFrame>, CodecError> {
            match bytes {
                b"bad" => Err(CodecError::Garbage("bad")),
                _ => Ok(Some(RawFrame::black(SIZE, at))),
            }
        }
    }

    fn recv() -> (VideoRecv, Instant) {
        let now = Instant::now();
        let mut recv = VideoRecv::new(now);
        recv.decoder = Some(Box::new(Anything));
        (recv, now)
    }

    /// Frame `number`, captured at 40 ms steps.
    fn frame(number: u32, keyframe: bool) -> CodedVideo {
        let at = MediaTime(1_000_000 + u64::from(number) * 40_000);
        CodedVideo { number, at, keyframe, size: SIZE, bytes: Bytes::from_static(b"x"), room: 0 }
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn pictures_without_sound_are_shown_the_moment_they_arrive() {
        let (mut recv, start) = recv();
        for n in 0..10u32 {
            let now = start + ms(40 * u64::from(n));
            recv.push(frame(n, n == 0), now);
            assert!(recv.due().unwrap() <= now);
            let picture = recv.step(now, None);
            assert_eq!(picture.map(|p| p.at), Some(frame(n, false).at));
            assert!(!recv.needs_keyframe());
        }
        let stats = recv.stats();
        assert_eq!((stats.shown, stats.bytes, stats.size), (10, 10, Some(SIZE)));
        assert!((stats.fps - 25.0).abs() < 0.1);
    }

    #[test]
    fn a_picture_waits_for_its_sound_except_the_first() {
        let (mut recv, start) = recv();
        // Sound of media time zero is heard 900 ms before the start: time 1.0 s is due at +100 ms, the
        // next picture 40 ms later.
        let sound = start.checked_sub(ms(900));
        recv.push(frame(0, true), start);
        assert!(recv.step(start, sound).is_some());
        recv.push(frame(1, false), start + ms(40));
        assert_eq!(recv.step(start + ms(139), sound), None);
        assert_eq!(recv.due(), Some(start + ms(140)));
        assert!(recv.step(start + ms(140), sound).is_some());
    }

    #[test]
    fn what_waited_while_the_machine_stood_still_is_decoded_but_not_shown() {
        let (mut recv, start) = recv();
        let sound = start.checked_sub(ms(900));
        recv.push(frame(0, true), start);
        assert!(recv.step(start + ms(100), sound).is_some());
        let later = start + Duration::from_secs(3);
        recv.push(frame(1, false), later);
        assert_eq!(recv.step(later, sound), None);
        let mut fresh = frame(2, false);
        fresh.at = MediaTime(3_900_000);
        recv.push(fresh, later + ms(10));
        assert!(recv.step(later + ms(10), sound).is_some());
        assert!(!recv.needs_keyframe());
    }

    #[test]
    fn what_piled_up_while_the_process_stood_still_is_not_shown_and_the_next_one_is_at_once() {
        let (mut recv, start) = recv();
        let sound = start.checked_sub(ms(900));
        recv.push(frame(0, true), start);
        assert!(recv.step(start + ms(100), sound).is_some());
        let later = start + ms(3000);
        recv.stood_still(later);
        // Captured two seconds ago, and half a second: its sound would have been heard after 100 ms.
        for (number, age) in [(1, 2000), (2, 500)] {
            let mut old = frame(number, false);
            old.at = MediaTime((4000 - age) * 1000);
            recv.push(old, later);
            assert_eq!(recv.step(later, sound), None, "{age}");
        }
        let mut fresh = frame(3, false);
        fresh.at = MediaTime(3_990_000);
        recv.push(fresh, later + ms(10));
        assert!(recv.step(later + ms(10), sound).is_some(), "and not when its sound is heard");
        let mut next = frame(4, false);
        next.at = MediaTime(4_030_000);
        recv.push(next, later + ms(50));
        assert_eq!(recv.step(later + ms(50), sound), None, "that one waits for its sound");
        assert_eq!(recv.due(), Some(later + ms(130)));
    }

    #[test]
    fn overtaking_is_put_in_order_without_asking() {
        let (mut recv, now) = recv();
        recv.push(frame(0, true), now);
        recv.step(now, None);
        recv.push(frame(2, false), now + ms(10));
        assert_eq!(recv.step(now + ms(10), None), None);
        recv.push(frame(1, false), now + ms(60));
        let picture = recv.step(now + ms(60), None);
        assert_eq!(picture.map(|p| p.at), Some(frame(2, false).at));
        assert!(!recv.needs_keyframe());
        assert_eq!((recv.stats().decoded, recv.stats().superseded), (3, 1));
    }

    #[test]
    fn a_gap_holds_the_picture_then_asks_once_a_second() {
        let (mut recv, start) = recv();
        recv.push(frame(0, true), start);
        recv.step(start, None);
        let mut asks = 0;
        for n in 2..60u32 {
            let now = start + ms(40 * u64::from(n));
            recv.push(frame(n, false), now);
            assert_eq!(recv.step(now, None), None, "nothing decodable after the gap");
            asks += u32::from(recv.needs_keyframe());
        }
        assert_eq!(asks, 3, "2.3 s of gap");
        let now = start + ms(40 * 60);
        recv.push(frame(60, true), now);
        assert!(recv.step(now, None).is_some(), "the keyframe heals");
        recv.push(frame(61, false), now + ms(40));
        assert!(recv.step(now + ms(40), None).is_some());
    }

    #[test]
    fn the_missing_frame_ends_the_gap_even_after_a_keyframe_was_asked_for() {
        let (mut recv, start) = recv();
        recv.push(frame(0, true), start);
        recv.step(start, None);
        for n in 2..10u32 {
            let now = start + ms(40 * u64::from(n));
            recv.push(frame(n, false), now);
            recv.step(now, None);
        }
        assert!(recv.needs_keyframe());
        let now = start + ms(400);
        recv.push(frame(1, false), now);
        let picture = recv.step(now, None);
        assert_eq!(picture.map(|p| p.at), Some(frame(9, false).at));
        recv.push(frame(11, true), now + ms(40));
        assert!(recv.step(now + ms(40) + PATIENCE, None).is_some(), "the keyframe is no harm");
    }

    #[test]
    fn a_keyframe_overtaken_by_what_builds_on_it_is_taken() {
        let (mut recv, start) = recv();
        for n in 1..6u32 {
            recv.push(frame(n, false), start + ms(40 * u64::from(n)));
            recv.step(start + ms(40 * u64::from(n)), None);
        }
        recv.push(frame(0, true), start + ms(250));
        let picture = recv.step(start + ms(250), None);
        assert_eq!(picture.map(|p| p.at), Some(frame(5, false).at));
    }

    #[test]
    fn large_frames_that_cannot_be_decoded_are_not_hoarded() {
        let (mut recv, now) = recv();
        for n in 1..20u32 {
            let bytes = Bytes::from(vec![0; 300_000]);
            recv.push(CodedVideo { bytes, ..frame(n, false) }, now);
            assert!(recv.waiting.len() <= 3);
        }
    }

    #[test]
    fn the_gap_timer_fires_without_another_frame() {
        let (mut recv, start) = recv();
        recv.push(frame(0, true), start);
        recv.step(start, None);
        recv.push(frame(2, false), start + ms(80));
        recv.step(start + ms(80), None);
        let due = recv.due().unwrap();
        assert_eq!(due, start + ms(80) + PATIENCE);
        assert_eq!(recv.step(due, None), None);
        assert!(recv.needs_keyframe() && !recv.needs_keyframe());
    }

    #[test]
    fn joining_in_the_middle_asks_at_once() {
        let (mut recv, now) = recv();
        recv.push(frame(7, false), now);
        assert!(recv.needs_keyframe());
        recv.push(frame(8, false), now + ms(40));
        assert!(!recv.needs_keyframe(), "once is enough");
    }

    #[test]
    fn a_keyframe_of_another_encoding_replaces_what_waits() {
        let (mut recv, now) = recv();
        recv.push(frame(0, true), now);
        recv.step(now, None);
        recv.push(frame(2, false), now + ms(80));
        let mut other = frame(4, true);
        other.number = 0;
        recv.push(other, now + ms(170));
        let picture = recv.step(now + ms(231), None);
        assert_eq!(picture.map(|p| p.at), Some(frame(4, true).at));
    }

    #[test]
    fn the_queue_never_grows_beyond_its_bound() {
        let (mut recv, now) = recv();
        // Sound far in the future: nothing becomes due.
        let sound = Some(now + Duration::from_secs(3600));
        for n in 0..100 {
            recv.push(frame(n, n == 0), now + ms(u64::from(n)));
            recv.step(now + ms(u64::from(n)), sound);
            assert!(recv.waiting.len() <= QUEUE);
        }
        assert!(recv.stats().dropped > 80);
    }

    #[test]
    fn a_broken_frame_asks_and_the_next_keyframe_heals() {
        let (mut recv, now) = recv();
        recv.push(CodedVideo { bytes: Bytes::from_static(b"bad"), ..frame(0, true) }, now);
        assert_eq!(recv.step(now, None), None);
        assert!(recv.needs_keyframe());
        recv.push(frame(1, true), now + ms(40));
        assert!(recv.step(now + ms(40), None).is_some());
        assert_eq!(recv.stats().broken, 1);
    }

    #[test]
    fn only_gaps_out_of_proportion_are_freezes_and_a_pause_is_none() {
        let (mut recv, start) = recv();
        let mut now = start;
        let mut number = 0;
        let mut show = |recv: &mut VideoRecv, gap: u64| {
            now += ms(gap);
            recv.push(frame(number, number == 0), now);
            recv.step(now, None);
            number += 1;
        };
        (0..20).for_each(|_| show(&mut recv, 40));
        show(&mut recv, 180);
        assert_eq!(recv.stats().freezes, 0, "mean 40 ms: 190 ms are allowed");
        show(&mut recv, 300);
        assert_eq!((recv.stats().freezes, recv.stats().frozen), (1, ms(300)));
        recv.pause();
        recv.push(frame(500, true), start + Duration::from_secs(30));
        recv.step(start + Duration::from_secs(30), None);
        assert_eq!(recv.stats().freezes, 1);
    }
}
