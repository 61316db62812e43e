//! Sending: one encoding for each size that anybody wants.
//!
//! Receivers say how large they show us and what their link carries; those who want the same get
//! the same encoding. A picture is scaled, cleaned and coded only when a receiver can take it now:
//! whatever would wait in a queue is not encoded at all.

use crate::media::codec::h264::H264Encoder;
use crate::media::codec::{CodecError, EncodedPicture, VideoEncoder as _};
use crate::media::engine::denoise::Denoise;
use crate::media::frame::{CodedVideo, RawFrame, Size, Want};
use crate::media::rate::ladder::{self, Plan, Steady};
use crate::media::scale;
use crate::time::MediaTime;
use crate::wire::link::MemberId;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Requested keyframes of one encoding are at least this far apart.
const KEY_SPACING: Duration = Duration::from_secs(1);
/// A request this soon after a keyframe was made has crossed it on the way.
const KEY_UNDER_WAY: Duration = Duration::from_millis(60);
/// Keyframes for new receivers may follow one another faster, but not without bound: so far apart for
/// every two receivers, all of whom get each of them.
const NEWCOMER_SPACING: Duration = Duration::from_millis(200);
/// Pictures in a row that a busy receiver still gets, while others take them.
const PATIENCE: u8 = 3;
/// Below these shares of the best rate and pace at its size, a receiver gets an encoding of its
/// own…
const SPLIT: (f64, f64) = (0.4, 0.6);
/// …and above these it comes back.
const JOIN: (f64, f64) = (0.67, 0.85);

/// At a constant rate, pictures are coded to this share of what is allotted to them, so that nearly
/// all fit.
const SNUG: f64 = 0.5;

/// Which encoding a receiver belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    size: Size,
    /// Much thinner than the others at this size.
    thin: bool,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoSendStats {
    /// Pictures offered by the source.
    pub offered: u64,
    /// Pictures coded, over all encodings.
    pub encoded: u64,
    /// Keyframes among them.
    pub keyframes: u64,
    /// Bytes coded.
    pub bytes: u64,
    /// Pictures not coded because no receiver's link was ready.
    pub busy: u64,
    /// Pictures left out by rate control.
    pub thinned: u64,
    /// Pictures the encoder failed on.
    pub failed: u64,
}

/// One running encoding, for the statistics screen.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodingView {
    /// Size of its pictures.
    pub size: Size,
    /// Its frame rate in tenths of fps.
    pub decifps: u16,
    /// Its bit rate.
    pub bits_per_second: u32,
    /// Who gets it.
    pub members: Vec<MemberId>,
    /// Estimated noise of the source at this size (standard deviation of luma).
    pub noise: f32,
}

struct Receiver {
    plan: Plan,
    class: Steady<Class>,
    /// The encoding it gets pictures of, once it has seen a keyframe of it.
    joined: Option<Class>,
    /// Pictures in a row it was busy for.
    busy: u8,
    /// It missed pictures because it was busy.
    behind: bool,
}

struct Encoding {
    size: Size,
    encoder: H264Encoder,
    denoise: Denoise,
    number: u32,
    plan: Plan,
    next: MediaTime,
    /// When the last keyframe was made.
    key_at: Option<Instant>,
    /// Somebody asked for one.
    key_asked: bool,
}

/// Our own pictures, for all receivers.
pub struct VideoSend {
    receivers: BTreeMap<MemberId, Receiver>,
    encodings: BTreeMap<Class, Encoding>,
    /// Capture time of the last picture offered.
    last_at: Option<MediaTime>,
    /// Smoothed interval of the source's pictures, in µs.
    interval: f64,
    /// Every picture that is due goes out, if need be as cover.
    constant: bool,
    stats: VideoSendStats,
}

impl Default for VideoSend {
    fn default() -> Self {
        Self::new()
    }
}

impl VideoSend {
    /// Nobody to send to yet.
    pub fn new() -> Self {
        Self {
            receivers: BTreeMap::new(),
            encodings: BTreeMap::new(),
            last_at: None,
            interval: 33_333.0,
            constant: false,
            stats: VideoSendStats::default(),
        }
    }

    /// A constant rate: pictures leave room for padding, and where rate control leaves one out,
    /// cover goes instead. What the line sees then follows the network, not the picture.
    pub fn constant(&mut self, on: bool) {
        self.constant = on;
    }

    /// Who wants what, with the video rate (bit/s) of each one's link. Whoever isn't in the map
    /// gets nothing. Sizes change after one steady second; a first want counts at once.
    pub fn members(&mut self, wants: &BTreeMap<MemberId, (Want, u64)>, now: Instant) {
        let plans: BTreeMap<MemberId, Plan> = wants
            .iter()
            .filter_map(|(&id, (want, bps))| Some((id, ladder::plan(want, *bps)?)))
            .collect();
        self.receivers.retain(|id, _| plans.contains_key(id));
        for (&id, &plan) in &plans {
            let was_thin = self.receivers.get(&id).is_some_and(|r| r.class.current().thin);
            let class = Class { size: plan.size, thin: is_thin(&plan, was_thin, plans.values()) };
            let receiver = self.receivers.entry(id).or_insert_with(|| Receiver {
                plan,
                class: Steady::new(class),
                joined: None,
                busy: 0,
                behind: false,
            });
            receiver.plan = plan;
            receiver.class.offer(class, now);
        }
        self.tune();
    }

    /// Rates of the encodings, from their receivers; those without any are given up.
    fn tune(&mut self) {
        let mut plans: BTreeMap<Class, Plan> = BTreeMap::new();
        for receiver in self.receivers.values() {
            let class = receiver.class.current();
            let plan = Plan { size: class.size, ..receiver.plan };
            // The thinnest link decides about bits, the highest pace about pictures.
            plans
                .entry(class)
                .and_modify(|p| {
                    p.bits_per_second = p.bits_per_second.min(plan.bits_per_second);
                    p.decifps = p.decifps.max(plan.decifps);
                })
                .or_insert(plan);
        }
        self.encodings.retain(|class, _| plans.contains_key(class));
        for (class, encoding) in &mut self.encodings {
            if let Some(plan) = plans.get(class).filter(|plan| **plan != encoding.plan) {
                encoding.plan = *plan;
                encoding.encoder.set_rate(coded_rate(plan, self.constant), plan.decifps);
            }
        }
    }

    fn plan_of(&self, class: Class) -> Option<Plan> {
        let mut members = self.receivers.values().filter(|r| r.class.current() == class);
        let first = members.next()?.plan;
        Some(members.fold(Plan { size: class.size, ..first }, |all, r| Plan {
            bits_per_second: all.bits_per_second.min(r.plan.bits_per_second),
            decifps: all.decifps.max(r.plan.decifps),
            ..all
        }))
    }

    /// A receiver needs a keyframe. Given at most once a second for each encoding; asked for more
    /// often, it comes when the second is over. Who asks while one is under way gets that one.
    pub fn keyframe(&mut self, member: MemberId, now: Instant) {
        let class = self.receivers.get(&member).map(|r| r.class.current());
        if let Some(encoding) = class.and_then(|class| self.encodings.get_mut(&class)) {
            let since = encoding.key_at.map(|at| now.saturating_duration_since(at));
            encoding.key_asked |= since.is_none_or(|since| since >= KEY_UNDER_WAY);
        }
    }

    /// What the source should deliver: the largest size and the highest frame rate (tenths of fps)
    /// anybody gets. `None`: nobody wants a picture now.
    pub fn hint(&self) -> Option<(Size, u16)> {
        let size = self.receivers.values().map(|r| r.class.current().size).max()?;
        let pace = self.receivers.values().map(|r| r.plan.decifps).max()?;
        Some((size, pace))
    }

    /// A picture of the source. `ready`: whose link has no frame of ours in flight. Returns coded
    /// frames with their receivers.
    pub fn step(
        &mut self,
        frame: &RawFrame,
        now: Instant,
        ready: &BTreeSet<MemberId>,
    ) -> Vec<(Vec<MemberId>, CodedVideo)> {
        self.stats.offered += 1;
        if let Some(last) = self.last_at.replace(frame.at) {
            let interval = frame.at.saturating_since(last).as_micros().min(1_000_000) as f64;
            self.interval += 0.1 * (interval - self.interval);
        }
        let mut classes: BTreeMap<Class, Vec<MemberId>> = BTreeMap::new();
        for (&id, receiver) in &self.receivers {
            classes.entry(receiver.class.current()).or_default().push(id);
        }
        let mut out = Vec::new();
        for (class, members) in classes {
            if !self.due(class, frame) {
                continue;
            }
            if !members.iter().any(|id| ready.contains(id)) {
                self.stats.busy += 1;
                continue;
            }
            match self.encode(class, frame, now, &members, ready) {
                Ok(Some((receivers, coded))) => out.push((receivers, coded)),
                Ok(None) => self.stats.thinned += 1,
                Err(_) => {
                    // A fresh encoder next time; the receivers then get a keyframe.
                    self.stats.failed += 1;
                    self.encodings.remove(&class);
                }
            }
        }
        out
    }

    /// Whether this encoding wants the picture, by its pace.
    fn due(&self, class: Class, frame: &RawFrame) -> bool {
        let Some(encoding) = self.encodings.get(&class) else { return true };
        // Half an interval early is nearer than half an interval late.
        frame.at.0 + (self.interval / 2.0) as u64 >= encoding.next.0
    }

    fn encode(
        &mut self,
        class: Class,
        frame: &RawFrame,
        now: Instant,
        members: &[MemberId],
        ready: &BTreeSet<MemberId>,
    ) -> Result<Option<(Vec<MemberId>, CodedVideo)>, CodecError> {
        let Some(plan) = self.plan_of(class) else { return Ok(None) };
        let size = ladder::shape(class.size, frame.size);
        if self.encodings.get(&class).is_some_and(|encoding| encoding.size != size) {
            self.encodings.remove(&class);
        }
        let encoding = match self.encodings.entry(class) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Encoding::new(size, plan, self.constant)?),
        };
        // Receivers that are new here, or fell behind, start with a keyframe, when their link is
        // free for it.
        let (mut newcomers, mut takers) = (false, false);
        for id in members {
            let Some(receiver) = self.receivers.get_mut(id) else { continue };
            if ready.contains(id) {
                receiver.busy = 0;
                encoding.key_asked |= receiver.behind;
                newcomers |= receiver.joined != Some(class) && !receiver.behind;
            } else {
                receiver.busy = receiver.busy.saturating_add(1);
                if receiver.busy > PATIENCE {
                    receiver.behind = true;
                    receiver.joined = None;
                }
            }
            takers |= receiver.joined == Some(class);
        }
        let key = encoding.wants_key(newcomers, members.len(), now);
        if !key && !takers {
            return Ok(None);
        }
        let picture = scale::resize(frame, size);
        let clean = encoding.denoise.step(&picture);
        encoding.advance(frame.at);
        let room = room(&encoding.plan);
        let Some(coded) = encoding.encoder.step(&clean, key)? else {
            let joined =
                |id: &&MemberId| self.receivers.get(id).is_some_and(|r| r.joined == Some(class));
            let receivers: Vec<_> = members.iter().filter(joined).copied().collect();
            let cover = CodedVideo {
                number: encoding.number,
                at: frame.at,
                keyframe: false,
                size,
                bytes: bytes::Bytes::new(),
                room,
            };
            return Ok((self.constant && !receivers.is_empty()).then_some((receivers, cover)));
        };
        if coded.keyframe {
            encoding.key_at = Some(now);
            encoding.key_asked = false;
            self.stats.keyframes += 1;
        }
        self.stats.encoded += 1;
        self.stats.bytes += coded.bytes.len() as u64;
        let number = encoding.number;
        encoding.number = encoding.number.wrapping_add(1);
        let mut receivers = Vec::with_capacity(members.len());
        for id in members {
            let Some(receiver) = self.receivers.get_mut(id) else { continue };
            if coded.keyframe && (ready.contains(id) || receiver.busy <= PATIENCE) {
                receiver.joined = Some(class);
                receiver.behind = false;
            }
            if receiver.joined == Some(class) {
                receivers.push(*id);
            }
        }
        let EncodedPicture { bytes, keyframe } = coded;
        Ok(Some((receivers, CodedVideo { number, at: frame.at, keyframe, size, bytes, room })))
    }

    /// The camera went off: all encodings end, the next picture starts with a keyframe.
    pub fn stop(&mut self) {
        self.encodings.clear();
        self.last_at = None;
        for receiver in self.receivers.values_mut() {
            receiver.joined = None;
        }
    }

    /// Counters since the beginning.
    pub fn stats(&self) -> VideoSendStats {
        self.stats
    }

    /// The running encodings.
    pub fn encodings(&self) -> Vec<EncodingView> {
        self.encodings
            .iter()
            .map(|(class, encoding)| EncodingView {
                size: encoding.size,
                decifps: encoding.plan.decifps,
                bits_per_second: encoding.plan.bits_per_second,
                members: self
                    .receivers
                    .iter()
                    .filter(|(_, r)| r.class.current() == *class)
                    .map(|(id, _)| *id)
                    .collect(),
                noise: encoding.denoise.sigma(),
            })
            .collect()
    }
}

/// Whether a plan is much thinner than the best one at the same size. Receivers cross the line in
/// one direction at [`SPLIT`], in the other at [`JOIN`].
fn is_thin<'a>(plan: &Plan, was: bool, all: impl Iterator<Item = &'a Plan>) -> bool {
    let line = if was { JOIN } else { SPLIT };
    let (mut bits, mut pace) = (0, 0);
    for other in all.filter(|other| other.size == plan.size) {
        bits = bits.max(other.bits_per_second);
        pace = pace.max(other.decifps);
    }
    f64::from(plan.bits_per_second) < line.0 * f64::from(bits)
        || f64::from(plan.decifps) < line.1 * f64::from(pace)
}

/// The rate to code at, in bit/s.
fn coded_rate(plan: &Plan, constant: bool) -> u32 {
    if constant { (f64::from(plan.bits_per_second) * SNUG) as u32 } else { plan.bits_per_second }
}

/// What a plan allots to one picture, in bytes.
fn room(plan: &Plan) -> u16 {
    let bytes = plan.bits_per_second / 8 * 10 / u32::from(plan.decifps.max(1));
    u16::try_from(bytes.max(64)).unwrap_or(u16::MAX)
}

impl Encoding {
    fn new(size: Size, plan: Plan, constant: bool) -> Result<Self, CodecError> {
        let mut encoder = H264Encoder::new(size, plan.decifps, coded_rate(&plan, constant))?;
        if constant {
            encoder.even();
        }
        Ok(Self {
            size,
            encoder,
            denoise: Denoise::default(),
            number: 0,
            plan,
            next: MediaTime(0),
            key_at: None,
            key_asked: false,
        })
    }

    fn wants_key(&self, newcomers: bool, receivers: usize, now: Instant) -> bool {
        let Some(last) = self.key_at else { return true };
        let since = now.saturating_duration_since(last);
        // A newcomer has nothing to look at: the long spacing is for who only lost something.
        let spacing = NEWCOMER_SPACING * u32::try_from(receivers.div_ceil(2)).unwrap_or(1);
        (newcomers && since >= spacing) || (self.key_asked && since >= KEY_SPACING)
    }

    /// Plans the next picture one interval after this one was due, so that a pace which doesn't
    /// divide the source's still comes out right.
    fn advance(&mut self, at: MediaTime) {
        let interval = 10_000_000 / u64::from(self.plan.decifps.max(1));
        let behind = at.0.saturating_sub(self.next.0) > 2 * interval;
        self.next = MediaTime(if behind { at.0 } else { self.next.0 } + interval);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
mod tests {
    use super::*;

    const A: MemberId = MemberId(1);
    const B: MemberId = MemberId(2);

    fn want(width: u16, height: u16, decifps: u16) -> Want {
        Want { size: Size::new(width, height), decifps, max_kbps: 0, paused: false, focus: false }
    }

    fn wants(list: &[(MemberId, Want, u64)]) -> BTreeMap<MemberId, (Want, u64)> {
        list.iter().map(|&(id, want, bps)| (id, (want, bps))).collect()
    }

    /// A 30 fps source driven by hand.
    struct Rig {
        send: VideoSend,
        start: Instant,
        pictures: u64,
        all: BTreeSet<MemberId>,
    }

    impl Rig {
        fn new() -> Self {
            let (all, start) = ([A, B].into(), Instant::now());
            Self { send: VideoSend::new(), start, pictures: 0, all }
        }

        fn now(&self) -> Instant {
            self.start + Duration::from_micros(self.pictures * 33_333)
        }

        fn want(&mut self, list: &[(MemberId, Want, u64)]) {
            let now = self.now();
            self.send.members(&wants(list), now);
        }

        fn step_ready(&mut self, ready: &[MemberId]) -> Vec<(Vec<MemberId>, CodedVideo)> {
            self.pictures += 1;
            let mut frame = RawFrame::black(Size::new(160, 96), MediaTime(self.pictures * 33_333));
            for (i, sample) in frame.y.iter_mut().enumerate() {
                *sample = 60 + ((i % 160 + i / 160 * 2 + self.pictures as usize) % 120) as u8;
            }
            self.send.step(&frame, self.now(), &ready.iter().copied().collect())
        }

        fn step(&mut self) -> Vec<(Vec<MemberId>, CodedVideo)> {
            let all: Vec<MemberId> = self.all.iter().copied().collect();
            self.step_ready(&all)
        }

        fn run(&mut self, pictures: usize) -> Vec<(Vec<MemberId>, CodedVideo)> {
            (0..pictures).flat_map(|_| self.step()).collect()
        }
    }

    #[test]
    fn equal_wants_share_one_encoding_different_ones_do_not() {
        let mut rig = Rig::new();
        rig.want(&[(A, want(80, 48, 300), 1_000_000), (B, want(82, 50, 300), 1_000_000)]);
        let out = rig.step();
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].0, [A, B]);
        assert!(out[0].1.keyframe && out[0].1.size == Size::new(80, 48));
        let mut rig = Rig::new();
        rig.want(&[(A, want(80, 48, 300), 1_000_000), (B, want(160, 96, 300), 1_000_000)]);
        let sizes: Vec<Size> = rig.step().iter().map(|(_, c)| c.size).collect();
        assert_eq!(sizes, [Size::new(80, 48), Size::new(160, 96)]);
        assert_eq!(rig.send.hint(), Some((Size::new(160, 96), 300)));
    }

    #[test]
    fn nobody_wanting_or_paused_means_nothing_is_encoded() {
        let mut rig = Rig::new();
        assert_eq!((rig.run(5).len(), rig.send.hint()), (0, None));
        rig.want(&[(A, Want { paused: true, ..want(80, 48, 300) }, 1_000_000)]);
        assert_eq!(rig.run(5).len(), 0);
        assert_eq!(rig.send.stats().encoded, 0);
    }

    #[test]
    fn a_busy_link_skips_before_encoding() {
        let mut rig = Rig::new();
        rig.want(&[(A, want(80, 48, 300), 1_000_000)]);
        rig.step();
        for _ in 0..10 {
            assert!(rig.step_ready(&[]).is_empty());
        }
        assert_eq!((rig.send.stats().encoded, rig.send.stats().busy), (1, 10));
        let next = rig.step();
        assert_eq!((next[0].1.number, next[0].1.keyframe), (1, false), "no gap, no keyframe");
    }

    #[test]
    fn one_stuck_receiver_does_not_stop_the_other_and_returns_with_a_keyframe() {
        let mut rig = Rig::new();
        rig.want(&[(A, want(80, 48, 300), 1_000_000), (B, want(80, 48, 300), 1_000_000)]);
        rig.run(40);
        let served: Vec<usize> =
            (0..20).flat_map(|_| rig.step_ready(&[A])).map(|(to, _)| to.len()).collect();
        assert_eq!(served.len(), 20);
        assert!(served[..3].iter().all(|&n| n == 2) && served[4..].iter().all(|&n| n == 1));
        let back = rig.step();
        assert!(back[0].1.keyframe && back[0].0 == [A, B]);
    }

    #[test]
    fn the_pace_is_what_was_asked_for() {
        for decifps in [80, 100, 125, 200, 250, 300] {
            let mut rig = Rig::new();
            rig.want(&[(A, want(80, 48, decifps), 1_000_000)]);
            let coded = rig.run(300).len() as f64 / 10.0;
            let asked = f64::from(decifps) / 10.0;
            assert!((coded - asked).abs() <= 0.3, "{asked}: {coded}");
        }
    }

    #[test]
    fn keyframes_on_request_come_once_a_second_at_most() {
        let mut rig = Rig::new();
        rig.want(&[(A, want(80, 48, 300), 1_000_000)]);
        let mut keys = 0;
        for _ in 0..300 {
            let now = rig.now();
            rig.send.keyframe(A, now);
            keys += rig.step().iter().filter(|(_, c)| c.keyframe).count();
        }
        assert!((9..=11).contains(&keys), "{keys}");
    }

    #[test]
    fn a_new_receiver_gets_a_keyframe_at_once() {
        let mut rig = Rig::new();
        rig.want(&[(A, want(80, 48, 300), 1_000_000)]);
        rig.run(10);
        rig.want(&[(A, want(80, 48, 300), 1_000_000), (B, want(80, 48, 300), 1_000_000)]);
        let out = rig.step();
        assert!(out[0].1.keyframe && out[0].0 == [A, B]);
        assert_eq!(out[0].1.number, 10, "numbers of an encoding go on");
    }

    #[test]
    fn a_receiver_that_comes_and_goes_cannot_flood_the_others_with_keyframes() {
        let mut rig = Rig::new();
        let mut keys = 0;
        for n in 0..90 {
            let mut list = vec![(A, want(80, 48, 300), 1_000_000)];
            if n % 2 == 0 {
                list.push((B, want(80, 48, 300), 1_000_000));
            }
            rig.want(&list);
            keys += rig.step().iter().filter(|(_, c)| c.keyframe).count();
        }
        assert!(keys <= 16, "{keys} in three seconds");
    }

    #[test]
    fn a_size_change_waits_a_second_and_starts_with_a_keyframe() {
        let mut rig = Rig::new();
        rig.want(&[(A, want(80, 48, 300), 1_000_000)]);
        rig.run(5);
        let mut changed = None;
        for n in 0..60 {
            rig.want(&[(A, want(160, 96, 300), 1_000_000)]);
            let out = rig.step();
            if out[0].1.size.width == 160 {
                assert!(out[0].1.keyframe && out[0].1.number == 0);
                changed = Some(n);
                break;
            }
        }
        assert!(changed.is_some_and(|n| (29..=32).contains(&n)), "{changed:?}");
        assert_eq!(rig.send.encodings().len(), 1, "the old encoding is gone");
    }

    #[test]
    fn a_much_thinner_link_gets_an_encoding_of_its_own() {
        let mut rig = Rig::new();
        rig.want(&[(A, want(160, 96, 300), 1_000_000), (B, want(160, 96, 300), 40_000)]);
        let out = rig.step();
        assert_eq!(out.len(), 2);
        let rates: Vec<u32> = rig.send.encodings().iter().map(|e| e.bits_per_second).collect();
        assert!(rates.contains(&40_000) && rates.iter().any(|&r| r > 90_000), "{rates:?}");
    }

    #[test]
    fn a_rate_change_needs_no_new_encoding() {
        let mut rig = Rig::new();
        rig.want(&[(A, want(80, 48, 300), 60_000)]);
        rig.run(30);
        for kbps in [40, 30, 50, 45] {
            rig.want(&[(A, want(80, 48, 300), kbps * 1000)]);
            assert!(rig.run(10).iter().all(|(_, c)| !c.keyframe));
        }
    }

    #[test]
    fn after_the_camera_was_off_it_starts_with_a_keyframe() {
        let mut rig = Rig::new();
        rig.want(&[(A, want(80, 48, 300), 1_000_000)]);
        rig.run(10);
        rig.send.stop();
        assert!(rig.step()[0].1.keyframe);
    }
}
