//! Both halves of the picture path together: one sender, receivers behind links that lose, delay
//! and fill up. Virtual time, seeded.

mod video_clip;

use facetty::media::engine::video_recv::VideoRecv;
use facetty::media::engine::video_send::VideoSend;
use facetty::media::frame::{CodedVideo, RawFrame, Size, Want};
use facetty::media::scale;
use facetty::media::ssim::ssim;
use facetty::time::MediaTime;
use facetty::wire::link::MemberId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use video_clip::scene;

/// A link that carries one frame at a time.
struct Link {
    delay: Duration,
    bits_per_second: f64,
    /// Every so many frames one is lost.
    lose_every: usize,
    /// When the frame in flight has left.
    free: Instant,
    sent: usize,
    under_way: Vec<(Instant, CodedVideo)>,
}

struct Far {
    want: Want,
    link: Link,
    recv: VideoRecv,
    shown: Vec<(Instant, RawFrame)>,
}

/// A sender at 30 fps and its receivers.
struct Rig {
    start: Instant,
    number: u64,
    send: VideoSend,
    far: BTreeMap<MemberId, Far>,
}

impl Rig {
    #[expect(clippy::disallowed_methods, reason = "the origin of virtual time")]
    fn new() -> Self {
        let start = Instant::now();
        Self { start, number: 0, send: VideoSend::new(), far: BTreeMap::new() }
    }

    fn join(&mut self, id: u32, size: Size, decifps: u16, bits_per_second: f64, lose_every: usize) {
        let want = Want { size, decifps, max_kbps: 0, paused: false, focus: false };
        let now = self.now();
        let delay = Duration::from_millis(30);
        let link =
            Link { delay, bits_per_second, lose_every, free: now, sent: 0, under_way: Vec::new() };
        let far = Far { want, link, recv: VideoRecv::new(now), shown: Vec::new() };
        self.far.insert(MemberId(id), far);
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.number)
    }

    /// Runs for that many milliseconds.
    fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            self.number += 1;
            let now = self.now();
            let asking: Vec<MemberId> =
                self.far.iter_mut().filter_map(|(id, far)| far.step(now, *id)).collect();
            for id in asking {
                self.send.keyframe(id, now);
            }
            if self.number % 100 == 1 {
                let wants = self
                    .far
                    .iter()
                    .map(|(id, far)| (*id, (far.want, (far.link.bits_per_second * 0.8) as u64)));
                self.send.members(&wants.collect(), now);
            }
            // 30 fps in steps of a millisecond.
            if self.number * 30 % 1000 < 30 {
                self.picture(now);
            }
        }
    }

    fn picture(&mut self, now: Instant) {
        let mut frame = scene(Size::new(160, 96), self.number as f64 / 1000.0);
        frame.at = MediaTime(self.number * 1000);
        let ready: BTreeSet<MemberId> =
            self.far.iter().filter(|(_, far)| far.link.free <= now).map(|(id, _)| *id).collect();
        for (receivers, coded) in self.send.step(&frame, now, &ready) {
            for id in receivers {
                if let Some(far) = self.far.get_mut(&id) {
                    far.link.carry(coded.clone(), now);
                }
            }
        }
    }

    fn shown(&self, id: u32) -> &[(Instant, RawFrame)] {
        &self.far[&MemberId(id)].shown
    }

    /// Mean similarity of what was shown to what was captured.
    fn quality(&self, id: u32) -> f64 {
        let shown = &self.shown(id)[1..];
        let sum: f64 = shown
            .iter()
            .map(|(_, picture)| {
                let source = scene(Size::new(160, 96), picture.at.0 as f64 / 1e6);
                ssim(&scale::resize(&source, picture.size), picture).unwrap()
            })
            .sum();
        sum / shown.len() as f64
    }
}

impl Link {
    fn carry(&mut self, frame: CodedVideo, now: Instant) {
        self.sent += 1;
        let time = frame.bytes.len() as f64 * 8.0 / self.bits_per_second;
        self.free = self.free.max(now) + Duration::from_secs_f64(time);
        if self.lose_every == 0 || !self.sent.is_multiple_of(self.lose_every) {
            self.under_way.push((self.free + self.delay, frame));
        }
    }
}

impl Far {
    fn step(&mut self, now: Instant, id: MemberId) -> Option<MemberId> {
        let (arrived, waiting) = self.link.under_way.drain(..).partition(|(at, _)| *at <= now);
        self.link.under_way = waiting;
        let arrived: Vec<(Instant, CodedVideo)> = arrived;
        let due = self.recv.due().is_some_and(|due| due <= now);
        if due || !arrived.is_empty() {
            arrived.into_iter().for_each(|(_, frame)| self.recv.push(frame, now));
            self.shown.extend(self.recv.step(now, None).map(|picture| (now, picture)));
        }
        self.recv.needs_keyframe().then_some(id)
    }
}

#[test]
fn a_clean_link_shows_every_picture_without_waiting() {
    let mut rig = Rig::new();
    rig.join(1, Size::new(160, 96), 300, 10e6, 0);
    rig.run(5_000);
    let shown = rig.shown(1);
    assert!(shown.len() >= 148, "{}", shown.len());
    for (at, picture) in shown {
        let latency = at.duration_since(picture.at.instant(rig.start));
        assert!(latency <= Duration::from_millis(45), "{latency:?}");
    }
    assert!(rig.quality(1) > 0.975, "{}", rig.quality(1));
    assert_eq!(rig.far[&MemberId(1)].recv.stats().freezes, 0);
}

#[test]
fn each_receiver_gets_its_size_and_one_encoding_serves_equals() {
    let mut rig = Rig::new();
    rig.join(1, Size::new(80, 48), 125, 10e6, 0);
    rig.join(2, Size::new(80, 48), 125, 10e6, 0);
    rig.join(3, Size::new(160, 96), 300, 10e6, 0);
    rig.run(4_000);
    assert!(rig.shown(1).iter().all(|(_, p)| p.size == Size::new(80, 48)));
    assert!(rig.shown(3).iter().all(|(_, p)| p.size == Size::new(160, 96)));
    assert_eq!(rig.send.encodings().len(), 2);
    let fps = rig.shown(1).len() as f64 / 4.0;
    assert!((11.5..=13.0).contains(&fps), "{fps}");
}

#[test]
fn lost_frames_cost_a_moment_and_one_keyframe_each() {
    let mut rig = Rig::new();
    rig.join(1, Size::new(80, 48), 150, 10e6, 40);
    rig.run(20_000);
    let stats = rig.far[&MemberId(1)].recv.stats();
    let lost = rig.far[&MemberId(1)].link.sent / 40;
    assert!(stats.asked as usize <= lost + 1, "{} for {lost}", stats.asked);
    assert!(stats.shown >= 230, "{} of 300", stats.shown);
    // What is shown is right: nothing was decoded on a missing base.
    assert!(rig.quality(1) > 0.97, "{}", rig.quality(1));
    let gap = rig.shown(1).windows(2).map(|w| w[1].0.duration_since(w[0].0)).max();
    assert!(gap <= Some(Duration::from_millis(1_200)), "{gap:?}");
}

#[test]
fn a_thin_link_never_builds_a_queue_and_leaves_the_fast_one_alone() {
    let mut rig = Rig::new();
    rig.join(1, Size::new(160, 96), 300, 10e6, 0);
    rig.join(2, Size::new(160, 96), 300, 30e3, 0);
    rig.run(12_000);
    assert!(rig.shown(1).len() >= 340, "{}", rig.shown(1).len());
    let thin = rig.shown(2);
    assert!(thin.len() as f64 / 12.0 >= 6.0, "{}", thin.len());
    let late = thin.iter().skip(10).map(|(at, p)| at.duration_since(p.at.instant(rig.start)));
    assert!(late.max() <= Some(Duration::from_millis(700)));
}

#[test]
fn a_resize_arrives_as_one_keyframe_without_a_freeze() {
    let mut rig = Rig::new();
    rig.join(1, Size::new(80, 48), 250, 2e6, 0);
    rig.run(3_000);
    if let Some(far) = rig.far.get_mut(&MemberId(1)) {
        far.want.size = Size::new(160, 96);
    }
    rig.run(3_000);
    let stats = rig.far[&MemberId(1)].recv.stats();
    assert_eq!((stats.keyframes, stats.freezes, stats.asked), (2, 0, 0));
    assert_eq!(rig.shown(1).last().map(|(_, p)| p.size), Some(Size::new(160, 96)));
}
