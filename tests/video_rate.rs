//! The rate estimate against a small model of a network path: one bottleneck with a drop-tail
//! queue, delay, jitter and random loss. Virtual time, seeded, no sockets.

use facetty::media::rate::estimator::{Estimator, Feedback};
use facetty::media::rate::path::PathSeen;
use facetty::wire::report::{Arrival, Report};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const AUDIO: u16 = 0;
const VIDEO: u16 = 1 << 10;

/// One way through the network.
struct Path {
    /// Capacity in bit/s at a time in seconds.
    capacity: fn(f64) -> f64,
    /// Length of the queue in seconds of the capacity it has then.
    queue: f64,
    /// One-way delay in seconds at a time.
    delay: fn(f64) -> f64,
    /// Share of packets lost at random.
    loss: f64,
    /// Mean of the exponential jitter, in seconds; packets keep their order.
    jitter: f64,
    /// Queue that other traffic always fills up to, in seconds.
    others: fn(f64) -> f64,
    /// When the estimator hears that the path is another one.
    told: f64,
    /// What the handshake was seen to get through it, in bit/s.
    seen: Option<u64>,
    seed: u64,
    backlog: f64,
    last: f64,
    last_out: f64,
}

impl Path {
    fn new(capacity: fn(f64) -> f64) -> Self {
        Self {
            capacity,
            queue: 0.3,
            delay: |_| 0.02,
            loss: 0.0,
            jitter: 0.0,
            others: |_| 0.0,
            told: f64::INFINITY,
            seen: None,
            seed: 0x1234_5678_9ABC_DEF1,
            backlog: 0.0,
            last: 0.0,
            last_out: 0.0,
        }
    }

    fn random(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as f64 / (1u64 << 53) as f64
    }

    /// When a packet sent at `now` arrives and how long it queued; `None`: dropped.
    fn send(&mut self, now: f64, bytes: f64) -> Option<(f64, f64)> {
        let capacity = (self.capacity)(now);
        let drained = capacity * (now - self.last);
        self.backlog = (self.backlog - drained).max((self.others)(now) * capacity);
        self.last = now;
        if self.random() < self.loss || self.backlog / capacity > self.queue {
            return None;
        }
        self.backlog += bytes * 8.0;
        let queued = self.backlog / capacity;
        let jitter = -self.jitter * (1.0 - self.random()).ln();
        let out = (now + queued + (self.delay)(now) + jitter).max(self.last_out);
        self.last_out = out;
        Some((out, queued))
    }
}

/// What was seen every 10 ms.
struct Tick {
    at: f64,
    rate: f64,
    queued: f64,
}

/// A sender that uses all of the estimate up to `demand` (bit/s): 24 kbit/s of sound in 20 ms
/// packets (none if `sound` is false), the rest in pictures at 25 fps.
fn call(mut path: Path, seconds: f64, demand: f64, sound: bool) -> Vec<Tick> {
    #[expect(clippy::disallowed_methods, reason = "the origin of virtual time")]
    let origin = Instant::now();
    let instant = |t: f64| origin + Duration::from_secs_f64(t);
    let mut estimator = Estimator::new(origin);
    let rtt = Duration::from_millis(40);
    estimator.on_path(PathSeen { rtt, shortest: rtt, carries: path.seen }, origin);
    let mut arrivals: VecDeque<(f64, Arrival)> = VecDeque::new();
    let mut reports: VecDeque<(f64, Report)> = VecDeque::new();
    let (mut audio, mut video, mut lost, mut lost_heard) = (0, 0, 0u32, 0u32);
    let mut queued = 0.0;
    let mut ticks = Vec::new();
    for step in 0..(seconds * 1000.0) as u64 {
        let now = step as f64 / 1000.0;
        if (path.told..path.told + 0.001).contains(&now) {
            estimator.moved(instant(now));
        }
        if step % 20 == 0 && sound {
            estimator.on_sent(AUDIO, audio, 60 + 24, instant(now));
            match path.send(now, 60.0 + 82.0) {
                Some((at, waited)) => {
                    queued = waited;
                    let arrival_us = (at * 1e6) as u64 + 77_000_000;
                    arrivals.push_back((at, Arrival { kid: AUDIO, ctr: audio, arrival_us }));
                }
                None => lost += 1,
            }
            audio += 1;
        }
        if step % 40 == 5 {
            let rate = (estimator.rate_bps(instant(now)) as f64).min(demand);
            let bytes =
                ((rate * 0.95 - if sound { 57_000.0 } else { 0.0 }) / 25.0 / 8.0).max(100.0);
            estimator.on_sent(VIDEO, video, bytes as usize, instant(now));
            // A frame arrives when its last packet does; a lost packet is repaired in a round trip.
            let packets = (bytes / 1150.0).ceil();
            let mut arrived = Some(now);
            for _ in 0..packets as u64 {
                let mut at = now;
                let mut through = None;
                for _ in 0..4 {
                    through = path.send(at, bytes / packets + 58.0);
                    if through.is_some() {
                        break;
                    }
                    at = now; // the model's clock can't run ahead: the repair is only late
                }
                arrived = match (arrived, through) {
                    (Some(a), Some((b, waited))) => {
                        queued = if sound { queued } else { waited };
                        Some(f64::max(a, b))
                    }
                    _ => None,
                };
            }
            match arrived {
                Some(at) => {
                    let arrival_us = (at * 1e6) as u64 + 77_000_000;
                    arrivals.push_back((at, Arrival { kid: VIDEO, ctr: video, arrival_us }));
                }
                None => lost += 1,
            }
            video += 1;
        }
        if step % 50 == 0 {
            let mut report = Report { lost: lost_heard, ..Report::default() };
            let mut waiting = VecDeque::new();
            for (at, arrival) in arrivals.drain(..) {
                if at <= now {
                    report.entries.push(arrival);
                } else {
                    waiting.push_back((at, arrival));
                }
            }
            lost_heard = lost;
            arrivals = waiting;
            report.entries.sort_by_key(|e| e.arrival_us);
            reports.push_back((now + (path.delay)(now), report));
        }
        while reports.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, report)) = reports.pop_front() {
                estimator.on_report(&report, instant(now));
            }
        }
        if step % 10 == 0 {
            ticks.push(Tick { at: now, rate: estimator.rate_bps(instant(now)) as f64, queued });
        }
    }
    ticks
}

fn between(ticks: &[Tick], from: f64, to: f64) -> impl Iterator<Item = &Tick> {
    ticks.iter().filter(move |t| t.at >= from && t.at < to)
}

fn least_rate(ticks: &[Tick], from: f64, to: f64) -> f64 {
    between(ticks, from, to).map(|t| t.rate).fold(f64::MAX, f64::min)
}

fn mean_rate(ticks: &[Tick], from: f64, to: f64) -> f64 {
    let (sum, count) = between(ticks, from, to).fold((0.0, 0.0), |(s, n), t| (s + t.rate, n + 1.0));
    sum / count
}

/// The queue that 95 % of the moments stay below, in seconds.
fn queue_p95(ticks: &[Tick], from: f64, to: f64) -> f64 {
    let mut queues: Vec<f64> = between(ticks, from, to).map(|t| t.queued).collect();
    queues.sort_by(f64::total_cmp);
    queues[queues.len() * 95 / 100]
}

const STEP: fn(f64) -> f64 = |t| if (15.0..30.0).contains(&t) { 300_000.0 } else { 2_000_000.0 };

#[test]
fn a_drop_to_300k_leaves_no_standing_queue_and_the_rate_climbs_again() {
    for sound in [true, false] {
        for demand in [600_000.0, 1_500_000.0] {
            let ticks = call(Path::new(STEP), 45.0, demand, sound);
            let queue = queue_p95(&ticks, 18.0, 30.0);
            assert!(queue <= 0.12, "sound {sound}, demand {demand}: {queue} s of queue");
            let used = mean_rate(&ticks, 18.0, 30.0);
            assert!(used >= 140_000.0, "sound {sound}, demand {demand}: uses {used}");
            let before = mean_rate(&ticks, 12.0, 15.0).min(demand);
            assert!(mean_rate(&ticks, 39.0, 40.0) >= 0.9 * before, "sound {sound}, {demand}");
        }
    }
}

#[test]
fn random_loss_alone_does_not_cut() {
    for loss in [0.05, 0.2] {
        for sound in [true, false] {
            let path = Path { loss, ..Path::new(|_| 10_000_000.0) };
            let ticks = call(path, 30.0, 1_500_000.0, sound);
            assert!(least_rate(&ticks, 10.0, 30.0) >= 1_500_000.0, "loss {loss}, sound {sound}");
            assert!(least_rate(&ticks, 0.0, 10.0) >= 149_000.0, "loss {loss}, sound {sound}");
        }
    }
}

#[test]
fn jitter_of_50_ms_does_not_collapse_it() {
    for sound in [true, false] {
        let path = Path { jitter: 0.05, ..Path::new(|_| 10_000_000.0) };
        let ticks = call(path, 40.0, 600_000.0, sound);
        assert!(least_rate(&ticks, 2.0, 40.0) >= 250_000.0, "sound {sound}");
        assert!(mean_rate(&ticks, 15.0, 40.0) >= 550_000.0, "sound {sound}");
    }
}

#[test]
fn thin_links_are_found_and_not_overfilled() {
    type Capacity = fn(f64) -> f64;
    const LINKS: [(Capacity, f64); 4] =
        [(|_| 500_000.0, 5e5), (|_| 150_000.0, 1.5e5), (|_| 100_000.0, 1e5), (|_| 64_000.0, 6.4e4)];
    for (capacity, bps) in LINKS {
        let path = Path { queue: 2.0, ..Path::new(capacity) };
        let ticks = call(path, 60.0, 1_500_000.0, false);
        let queue = queue_p95(&ticks, 15.0, 60.0);
        // One picture of 40 ms at full rate takes 40 ms to pass by itself.
        assert!(queue <= 0.14, "{bps}: p95 queue {queue}");
        let used = mean_rate(&ticks, 15.0, 60.0) / bps;
        assert!((0.6..1.0).contains(&used), "{bps}: uses {used}");
    }
}

#[test]
fn a_longer_path_is_not_taken_for_a_queue_for_long() {
    let path =
        Path { delay: |t| if t < 10.0 { 0.02 } else { 0.10 }, ..Path::new(|_| 10_000_000.0) };
    let ticks = call(path, 30.0, 600_000.0, true);
    assert!(least_rate(&ticks, 10.0, 30.0) >= 64_000.0);
    assert!(least_rate(&ticks, 18.0, 30.0) >= 550_000.0);
}

#[test]
fn a_longer_path_that_one_is_told_of_is_no_queue_at_all() {
    const DELAYS: [fn(f64) -> f64; 2] =
        [|t| if t < 10.0 { 0.02 } else { 0.1 }, |t| if t < 10.0 { 0.02 } else { 0.3 }];
    for delay in DELAYS {
        let path = Path { delay, told: 10.05, ..Path::new(|_| 10_000_000.0) };
        let ticks = call(path, 30.0, 250_000.0, true);
        assert!(least_rate(&ticks, 10.0, 30.0) >= 250_000.0);
    }
}

#[test]
fn a_path_that_was_longer_for_a_while_costs_a_small_call_nothing_for_good() {
    // So little is sent that half as much again would not be what it began with.
    let delay = |t: f64| if (10.0..20.0).contains(&t) { 0.12 } else { 0.02 };
    let ticks = call(Path { delay, ..Path::new(|_| 10_000_000.0) }, 60.0, 30_000.0, false);
    assert!(least_rate(&ticks, 10.0, 30.0) < 100_000.0, "it is cut");
    assert!(least_rate(&ticks, 45.0, 60.0) >= 140_000.0, "{}", least_rate(&ticks, 45.0, 60.0));
}

#[test]
fn a_narrow_path_is_granted_again_what_its_handshake_showed_and_no_more() {
    let rate = |seen| {
        let path = Path { seen, ..Path::new(|_| 10_000_000.0) };
        mean_rate(&call(path, 60.0, 30_000.0, false), 30.0, 60.0)
    };
    assert!((50_000.0..70_000.0).contains(&rate(Some(64_000))), "{}", rate(Some(64_000)));
    assert!(rate(Some(5_000_000)) >= 140_000.0);
}

#[test]
fn another_flow_that_fills_the_queue_does_not_starve_the_call() {
    // From 10 s on somebody else keeps nearly half a second of queue on a link of 1 Mbit/s.
    let path = Path {
        others: |t| if t < 10.0 { 0.0 } else { 0.45 },
        queue: 0.5,
        ..Path::new(|_| 1_000_000.0)
    };
    let ticks = call(path, 40.0, 400_000.0, true);
    assert!(least_rate(&ticks, 10.0, 40.0) >= 24_000.0);
    assert!(mean_rate(&ticks, 20.0, 40.0) >= 300_000.0);
}

#[test]
fn a_download_that_fills_the_queue_again_and_again_leaves_room_for_a_picture() {
    // From 10 s on somebody else's queue goes up and down between 0.3 and 1 s, as TCP makes it.
    let path = Path {
        others: |t| if t < 10.0 { 0.0 } else { 0.3 + 0.7 * ((t - 10.0) / 4.0).fract() },
        queue: 1.5,
        ..Path::new(|_| 500_000.0)
    };
    let ticks = call(path, 60.0, 400_000.0, true);
    assert!(mean_rate(&ticks, 20.0, 60.0) >= 60_000.0, "{}", mean_rate(&ticks, 20.0, 60.0));
}

#[test]
fn the_estimate_never_exceeds_what_was_tried_by_more_than_half() {
    let ticks = call(Path::new(|_| 10_000_000.0), 30.0, 400_000.0, true);
    assert!(ticks.iter().all(|t| t.rate <= 1.5 * 460_000.0));
    assert!(least_rate(&ticks, 10.0, 30.0) >= 400_000.0);
}

#[test]
fn without_reports_sound_only_then_nothing_then_a_careful_return() {
    #[expect(clippy::disallowed_methods, reason = "the origin of virtual time")]
    let origin = Instant::now();
    let at = |millis: u64| origin + Duration::from_millis(millis);
    let mut estimator = Estimator::new(origin);
    assert_eq!(estimator.feedback(at(60_000)), Feedback::Fresh, "nothing sent, nothing missing");
    for n in 0..50 {
        estimator.on_sent(AUDIO, n, 84, at(n * 20));
    }
    let arrivals =
        (0..50).map(|ctr| Arrival { kid: AUDIO, ctr, arrival_us: ctr * 20_000 }).collect();
    estimator.on_report(&Report { entries: arrivals, lost: 0, late: 0 }, at(1_100));
    assert_eq!(estimator.feedback(at(3_000)), Feedback::Fresh);
    assert_eq!(estimator.feedback(at(3_200)), Feedback::AudioOnly);
    assert!(estimator.rate_bps(at(3_200)) < 30_000);
    assert_eq!(estimator.feedback(at(11_200)), Feedback::Stopped);
    estimator.on_report(&Report::default(), at(12_000));
    assert_eq!(estimator.feedback(at(12_000)), Feedback::Fresh);
    assert!((24_000..=300_000).contains(&estimator.rate_bps(at(12_000))));
}

#[test]
fn a_narrow_path_starts_with_what_its_handshake_got_through_and_a_wide_one_does_not_care() {
    #[expect(clippy::disallowed_methods, reason = "the origin of virtual time")]
    let origin = Instant::now();
    let at = |millis: u64| origin + Duration::from_millis(millis);
    let seen = |rtt: u64, carries| PathSeen {
        rtt: Duration::from_millis(rtt),
        shortest: Duration::from_millis(60),
        carries,
    };
    let start = |seen: PathSeen, first: Option<u64>, looked: u64| {
        let mut estimator = Estimator::new(origin);
        if let Some(first) = first {
            estimator.on_sent(AUDIO, 0, 84, at(first));
        }
        estimator.on_path(seen, at(looked));
        estimator.rate_bps(at(looked))
    };
    let usual = start(seen(60, None), None, 0);
    assert_eq!(start(seen(61, Some(2_000_000)), None, 0), usual);
    assert_eq!(start(seen(61, Some(64_000)), None, 0), 57_600);
    assert_eq!(
        start(seen(61, Some(64_000)), Some(0), 900),
        57_600,
        "a welcome comes with the sound"
    );
    assert_eq!(
        start(seen(61, Some(64_000)), Some(0), 1_100),
        usual,
        "from then on the estimate knows"
    );
    assert_eq!(start(seen(400, None), None, 0), 64_000, "a queue, of what rate isn't known");
    // Whoever acknowledges late on purpose is not starved altogether.
    assert_eq!(start(seen(61, Some(1)), None, 0), 40_000);
}
