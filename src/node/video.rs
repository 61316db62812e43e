//! The two picture sides: source → encoder, and decoder → sink.

use super::OWN;
use super::side::{STOOD_STILL, Side};
use crate::media::engine::video_recv::{VideoRecv, VideoRecvStats};
use crate::media::engine::video_send::VideoSend;
use crate::media::frame::{CodedVideo, RawFrame, Size, Want};
use crate::media::rate::ladder;
use crate::media::seams::{FrameSink, FrameSource};
use crate::time::{MediaTime, Now};
use crate::wire::link::MemberId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A source without a schedule of its own (a device thread fills its slot) is looked at this often.
const LOOK: Duration = Duration::from_millis(4);
/// What is coded while the camera is off, at a constant rate.
const BLACK: Size = Size::new(320, 192);
/// Changes of the wanted size are noticed within this time.
const WANTS: Duration = Duration::from_millis(100);

/// Members whose connection has handed over its last frame: encoding for others would only queue.
pub(super) type Ready = Arc<Mutex<BTreeSet<MemberId>>>;

/// A copy of a set or map behind a lock, whoever panicked while holding it.
pub(super) fn locked<T: Clone>(shared: &Mutex<T>) -> T {
    shared.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// To the picture-sending side.
pub(super) enum VideoOutMessage {
    /// What each member wants and may be sent (video bit/s).
    Peers(BTreeMap<MemberId, (Want, u64)>),
    /// A member needs a keyframe.
    Keyframe(MemberId),
    /// Camera on or off.
    Enable(bool),
}

/// From either picture side.
pub(super) enum VideoEvent {
    /// An own picture, for the self-view.
    Own(Arc<RawFrame>),
    /// A coded frame for these members.
    Coded(Vec<MemberId>, CodedVideo),
    /// A member's decoder needs a keyframe.
    NeedKeyframe(MemberId),
    /// The sink wants this of a member.
    Want(MemberId, Want),
    /// The first picture of a member was shown.
    First(MemberId),
    /// The source is gone.
    SourceLost(String, String),
    /// The sink is gone.
    SinkLost(String, String),
    /// Statistics of received pictures.
    Received(BTreeMap<MemberId, VideoRecvStats>),
    /// Statistics of sent pictures.
    Sent(SentVideo),
}

/// What the own camera gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SentVideo {
    /// Pictures captured since the start.
    pub captured: u64,
    /// Frames coded since the start, each distinct size counted.
    pub coded: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Size of the newest coded frame.
    pub size: Option<Size>,
    /// What the source says of itself.
    pub source: String,
}

/// Source → encoder.
pub(super) struct VideoOut {
    source: Option<Box<dyn FrameSource>>,
    send: VideoSend,
    ready: Ready,
    enabled: bool,
    /// While the camera is off at a constant rate: black pictures are coded on a clock of their
    /// own, so that the line doesn't see it. The next one is due at this moment.
    black: Option<Instant>,
    constant: bool,
    origin: Instant,
    wants: BTreeMap<MemberId, (Want, u64)>,
    decifps: u16,
    looked: Instant,
    stats: SentVideo,
    next_stats: Instant,
}

impl VideoOut {
    pub(super) fn new(
        source: Option<Box<dyn FrameSource>>,
        origin: Instant,
        ready: Ready,
        decifps: u16,
        constant: bool,
    ) -> Self {
        let mut send = VideoSend::new();
        send.constant(constant);
        let described = source.as_ref().map_or_else(|| "no camera".to_owned(), |s| s.describe());
        Self {
            source,
            send,
            ready,
            enabled: true,
            black: None,
            constant,
            origin,
            wants: BTreeMap::new(),
            decifps,
            looked: origin,
            stats: SentVideo { source: described, ..SentVideo::default() },
            next_stats: origin,
        }
    }

    fn hint(&mut self) {
        let active = self.wants.values().filter(|(w, _)| !w.paused);
        let size = active.clone().map(|(w, _)| w.size).max();
        let decifps = active.map(|(w, _)| w.decifps).max().unwrap_or(self.decifps);
        if let Some(source) = &mut self.source {
            // Alone, the own picture is still shown.
            // Rendered as it will be coded: the receivers cut what their tiles don't show.
            let size = ladder::rung(size.unwrap_or(Size::new(320, 192)));
            source.hint(size, decifps.min(self.decifps));
        }
    }
}

impl VideoOut {
    /// Codes a picture for whoever can take it now.
    fn send(&mut self, frame: &RawFrame, now: Now, out: &mut Vec<VideoEvent>) {
        let ready = locked(&self.ready);
        for (to, coded) in self.send.step(frame, now.mono, &ready) {
            self.stats.coded += 1;
            self.stats.bytes += coded.bytes.len() as u64;
            self.stats.size = Some(coded.size);
            out.push(VideoEvent::Coded(to, coded));
        }
    }
}

impl Side for VideoOut {
    type Message = VideoOutMessage;
    type Event = VideoEvent;

    fn handle(&mut self, message: VideoOutMessage, now: Now, _out: &mut Vec<VideoEvent>) {
        match message {
            VideoOutMessage::Peers(wants) => {
                self.send.members(&wants, now.mono);
                self.wants = wants;
                self.hint();
            }
            VideoOutMessage::Keyframe(member) => self.send.keyframe(member, now.mono),
            VideoOutMessage::Enable(on) => {
                self.enabled = on;
                let cover = self.constant && !on && self.source.is_some();
                self.black = cover.then_some(now.mono);
                if !on && !cover {
                    self.send.stop();
                }
                if let Some(source) = &mut self.source {
                    source.enable(on, now);
                }
            }
        }
    }

    fn due(&self) -> Option<Instant> {
        if let Some(black) = self.black {
            return Some(black);
        }
        let source = self.source.as_ref().filter(|_| self.enabled)?;
        Some(source.due().unwrap_or(self.looked + LOOK))
    }

    fn step(&mut self, now: Now, out: &mut Vec<VideoEvent>) {
        self.looked = now.mono;
        if let Some(due) = self.black {
            if due <= now.mono {
                let pace = Duration::from_secs(10) / u32::from(self.decifps.max(1));
                self.black = Some((due + pace).max(now.mono));
                let black = RawFrame::black(BLACK, MediaTime::since(self.origin, now.mono));
                self.send(&black, now, out);
            }
            return;
        }
        let Some(source) = &mut self.source else { return };
        match source.next(now) {
            Ok(Some(frame)) => {
                self.stats.captured += 1;
                let frame = Arc::new(frame);
                out.push(VideoEvent::Own(Arc::clone(&frame)));
                self.send(&frame, now, out);
            }
            Ok(None) => {}
            Err(lost) => {
                // Kept: a camera that was unplugged may come back.
                self.stats.source = format!("{} lost", lost.what);
                out.push(VideoEvent::SourceLost(lost.what, lost.why));
            }
        }
        if self.next_stats <= now.mono {
            self.next_stats = now.mono + Duration::from_millis(500);
            if let Some(source) = &self.source {
                self.stats.source = source.describe();
            }
            out.push(VideoEvent::Sent(self.stats.clone()));
        }
    }
}

/// To the picture-receiving side.
pub(super) enum VideoInMessage {
    /// A frame of a member.
    Coded(MemberId, CodedVideo),
    /// An own picture.
    Own(Arc<RawFrame>),
    /// Who is here.
    Members(Vec<MemberId>),
    /// A member switched the camera off: what follows is no freeze.
    Paused(MemberId),
    /// When this member's sound of a capture time is played: local time = origin + media time + this.
    AudioClock(MemberId, Instant),
    /// The round trip of this member's connection: how long a repair takes.
    RoundTrip(MemberId, Duration),
}

/// Decoder → sink.
pub(super) struct VideoIn {
    sink: Option<Box<dyn FrameSink>>,
    receivers: BTreeMap<MemberId, VideoRecv>,
    wants: BTreeMap<MemberId, Want>,
    audio: BTreeMap<MemberId, Instant>,
    seen: BTreeSet<MemberId>,
    next_wants: Instant,
    next_stats: Instant,
    /// When anything was last done here.
    seen_at: Instant,
}

impl VideoIn {
    pub(super) fn new(sink: Box<dyn FrameSink>, origin: Instant) -> Self {
        Self {
            sink: Some(sink),
            receivers: BTreeMap::new(),
            wants: BTreeMap::new(),
            audio: BTreeMap::new(),
            seen: BTreeSet::new(),
            next_wants: origin,
            next_stats: origin,
            seen_at: origin,
        }
    }

    fn look_for_stall(&mut self, now: Instant) {
        if now.saturating_duration_since(self.seen_at) > STOOD_STILL {
            self.receivers.values_mut().for_each(|receiver| receiver.stood_still(now));
        }
        self.seen_at = now;
    }

    fn show(&mut self, who: MemberId, frame: Arc<RawFrame>, now: Now, out: &mut Vec<VideoEvent>) {
        let Some(sink) = &mut self.sink else { return };
        if let Err(lost) = sink.show(who, frame, now) {
            out.push(VideoEvent::SinkLost(lost.what, lost.why));
            self.sink = None;
        }
    }

    fn look_at_wants(&mut self, out: &mut Vec<VideoEvent>) {
        let Some(sink) = &self.sink else { return };
        for id in self.receivers.keys() {
            let want = sink.want(*id);
            if self.wants.insert(*id, want) != Some(want) {
                out.push(VideoEvent::Want(*id, want));
            }
        }
    }

    /// Decodes and shows whatever is due.
    fn pump(&mut self, now: Now, out: &mut Vec<VideoEvent>) {
        let ids: Vec<_> = self.receivers.keys().copied().collect();
        for id in ids {
            let audio = self.audio.get(&id).copied();
            let Some(receiver) = self.receivers.get_mut(&id) else { continue };
            let frame = receiver.step(now.mono, audio);
            if receiver.needs_keyframe() {
                out.push(VideoEvent::NeedKeyframe(id));
            }
            if let Some(frame) = frame {
                self.show(id, Arc::new(frame), now, out);
                if self.seen.insert(id) {
                    out.push(VideoEvent::First(id));
                }
            }
        }
    }
}

impl Side for VideoIn {
    type Message = VideoInMessage;
    type Event = VideoEvent;

    fn handle(&mut self, message: VideoInMessage, now: Now, out: &mut Vec<VideoEvent>) {
        self.look_for_stall(now.mono);
        match message {
            VideoInMessage::Coded(from, coded) => {
                if let Some(receiver) = self.receivers.get_mut(&from) {
                    receiver.push(coded, now.mono);
                    self.pump(now, out);
                }
            }
            VideoInMessage::Own(frame) => {
                if self.sink.as_ref().is_some_and(|sink| sink.shows_own()) {
                    self.show(OWN, frame, now, out);
                }
            }
            VideoInMessage::Members(ids) => {
                let gone: Vec<_> =
                    self.receivers.keys().copied().filter(|id| !ids.contains(id)).collect();
                for id in gone {
                    self.receivers.remove(&id);
                    self.wants.remove(&id);
                    self.audio.remove(&id);
                    self.seen.remove(&id);
                    if let Some(sink) = &mut self.sink {
                        sink.gone(id);
                    }
                }
                for id in ids {
                    self.receivers.entry(id).or_insert_with(|| VideoRecv::new(now.mono));
                }
                self.look_at_wants(out);
            }
            VideoInMessage::RoundTrip(member, rtt) => {
                if let Some(receiver) = self.receivers.get_mut(&member) {
                    receiver.set_round_trip(rtt);
                }
            }
            VideoInMessage::Paused(member) => {
                if let Some(receiver) = self.receivers.get_mut(&member) {
                    receiver.pause();
                }
            }
            VideoInMessage::AudioClock(member, zero) => {
                self.audio.insert(member, zero);
            }
        }
    }

    fn due(&self) -> Option<Instant> {
        let receivers = self.receivers.values().filter_map(VideoRecv::due);
        let sink = self.sink.as_ref().and_then(|s| s.due());
        receivers.chain(sink).chain([self.next_wants]).min()
    }

    fn step(&mut self, now: Now, out: &mut Vec<VideoEvent>) {
        self.look_for_stall(now.mono);
        self.pump(now, out);
        if let Some(sink) = &mut self.sink
            && sink.due().is_some_and(|t| t <= now.mono)
            && let Err(lost) = sink.tick(now)
        {
            out.push(VideoEvent::SinkLost(lost.what, lost.why));
            self.sink = None;
        }
        if self.next_wants <= now.mono {
            self.next_wants = now.mono + WANTS;
            self.look_at_wants(out);
        }
        if self.next_stats <= now.mono {
            self.next_stats = now.mono + Duration::from_millis(500);
            let stats = self.receivers.iter().map(|(id, r)| (*id, r.stats())).collect();
            out.push(VideoEvent::Received(stats));
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use super::*;
    use crate::media::seams::SinkLost;
    use crate::time::Wall;

    /// Notes who was shown.
    struct Notes {
        shown: Arc<Mutex<Vec<MemberId>>>,
        is_file: bool,
    }

    impl FrameSink for Notes {
        fn want(&self, _who: MemberId) -> Want {
            Want { size: Size::new(16, 16), decifps: 150, max_kbps: 0, paused: false, focus: true }
        }
        fn show(&mut self, who: MemberId, _: Arc<RawFrame>, _: Now) -> Result<(), SinkLost> {
            self.shown.lock().unwrap().push(who);
            Ok(())
        }
        fn shows_own(&self) -> bool {
            !self.is_file
        }
    }

    #[test]
    fn a_screen_is_shown_the_own_picture_and_a_file_is_not() {
        let now = Now { mono: Instant::now(), wall: Wall(0) };
        for (is_file, expected) in [(false, vec![OWN]), (true, vec![])] {
            let shown = Arc::new(Mutex::new(Vec::new()));
            let sink = Notes { shown: shown.clone(), is_file };
            let mut video = VideoIn::new(Box::new(sink), now.mono);
            let own = RawFrame::black(Size::new(16, 16), MediaTime(0));
            video.handle(VideoInMessage::Own(Arc::new(own)), now, &mut Vec::new());
            assert_eq!(*shown.lock().unwrap(), expected);
        }
    }
}
