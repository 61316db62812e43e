//! Several paths that leave by one line, each with an estimate of its own: a queue for all of them,
//! which overflows at 300 ms. Virtual time, no dice.

use facetty::media::rate::estimator::Estimator;
use facetty::media::rate::line;
use facetty::wire::report::{Arrival, Report};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const AUDIO: u16 = 0;
const VIDEO: u16 = 1 << 10;
/// One way without a queue, in ms.
const DELAY: u64 = 20;

/// A line of so many bit/s.
struct Uplink {
    bps: f64,
    backlog: f64,
    last: u64,
}

impl Uplink {
    /// The queue in ms; `None`: it is full.
    fn send(&mut self, now: u64, bytes: f64) -> Option<f64> {
        self.backlog = (self.backlog - self.bps * (now - self.last) as f64 / 1e3).max(0.0);
        self.last = now;
        if self.backlog / self.bps > 0.3 {
            return None;
        }
        self.backlog += bytes * 8.0;
        Some(self.backlog / self.bps * 1e3)
    }
}

struct Sender {
    begins: u64,
    /// Everything it wants to send, in bit/s.
    demand: f64,
    estimator: Estimator,
    arrivals: VecDeque<(u64, Arrival)>,
    reports: VecDeque<(u64, Report)>,
    counters: [u64; 2],
    lost: u32,
    /// Its receiver tells of a queue that isn't there, again and again.
    lied_to: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    /// Each estimate for itself.
    Apart,
    Together,
    /// Together, and the first one's receiver lies.
    WithALiar,
}

/// What came of it: the mean queue in ms over the last half, and each sender's mean rate there.
fn play(bps: f64, senders: &[(u64, f64)], how: How, seconds: u64) -> (f64, Vec<f64>) {
    #[expect(clippy::disallowed_methods, reason = "the origin of virtual time")]
    let origin = Instant::now();
    let instant = |ms: u64| origin + Duration::from_millis(ms);
    let mut uplink = Uplink { bps, backlog: 0.0, last: 0 };
    let mut all: Vec<Sender> = senders
        .iter()
        .map(|&(begins, demand)| Sender {
            begins,
            demand,
            estimator: Estimator::new(instant(begins)),
            arrivals: VecDeque::new(),
            reports: VecDeque::new(),
            counters: [0; 2],
            lost: 0,
            lied_to: false,
        })
        .collect();
    all[0].lied_to = how == How::WithALiar;
    let (mut queues, mut rates, mut count) = (0.0, vec![0.0; senders.len()], 0.0);
    for now in 0..seconds * 1000 {
        let running = all.iter().filter(|s| s.begins <= now).count();
        for sender in all.iter_mut().filter(|s| s.begins <= now) {
            sender.estimator.share(running);
            let since = now - sender.begins;
            let rate = (sender.estimator.rate_bps(instant(now)) as f64).min(sender.demand);
            let pictures = ((rate * 0.95 - 28_000.0) / 15.0 / 8.0).max(60.0);
            for (kid, every, bytes) in [(AUDIO, 40, 84.0), (VIDEO, 67, pictures)] {
                if since % every != 0 {
                    continue;
                }
                let counter = &mut sender.counters[usize::from(kid == VIDEO)];
                sender.estimator.on_sent(kid, *counter, bytes as usize, instant(now));
                match uplink.send(now, bytes + 58.0) {
                    Some(queue) => {
                        let at = now + DELAY + queue as u64;
                        let lie = if sender.lied_to && now % 3000 < 1500 { 400 } else { 0 };
                        let arrival_us = (at + lie) * 1000;
                        sender.arrivals.push_back((at, Arrival { kid, ctr: *counter, arrival_us }));
                    }
                    None => sender.lost += 1,
                }
                *counter += 1;
            }
            if since % 100 == 99 {
                let (here, later): (Vec<_>, Vec<_>) =
                    sender.arrivals.drain(..).partition(|(at, _)| *at <= now);
                sender.arrivals = later.into();
                let entries = here.into_iter().map(|(_, arrival)| arrival).collect();
                let report = Report { entries, lost: sender.lost, late: 0 };
                sender.reports.push_back((now + DELAY, report));
            }
        }
        for i in 0..all.len() {
            while all[i].reports.front().is_some_and(|(at, _)| *at <= now) {
                let Some((_, report)) = all[i].reports.pop_front() else { break };
                let turn = all[i].estimator.on_report(&report, instant(now));
                if let Some(turn) = turn.filter(|_| how != How::Apart) {
                    let running = all.iter_mut().enumerate().filter(|(_, s)| s.begins <= now);
                    let mut paths: Vec<_> =
                        running.map(|(j, s)| (i == j, &mut s.estimator)).collect();
                    line::turn(&mut paths, turn, instant(now));
                }
            }
        }
        if now >= seconds * 500 {
            queues += uplink.backlog / uplink.bps * 1e3;
            for (rate, sender) in rates.iter_mut().zip(&all) {
                *rate += sender.estimator.rate_bps(instant(now)) as f64;
            }
            count += 1.0;
        }
    }
    (queues / count, rates.into_iter().map(|rate| rate / count).collect())
}

/// Seven people join within seconds, each wanting a fifth of the line.
fn seven() -> Vec<(u64, f64)> {
    (0..7).map(|n| (n * 700, 200_000.0)).collect()
}

#[test]
fn seven_paths_that_begin_in_each_others_queue_share_the_line_without_one() {
    let (queue, rates) = play(1_000_000.0, &seven(), How::Together, 40);
    let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
    let most = rates.iter().copied().fold(0.0, f64::max);
    assert!(queue <= 60.0, "{queue} ms");
    assert!(least >= 70_000.0 && most <= 3.0 * least, "{rates:?}");
}

#[test]
fn six_who_join_one_that_fills_the_line_get_more_of_it_than_without_a_word() {
    let first = std::iter::once((0, 2_000_000.0));
    let all: Vec<_> = first.chain((0..6).map(|n| (8000 + n * 100, 150_000.0))).collect();
    let least = |rates: &[f64]| rates.iter().copied().fold(f64::INFINITY, f64::min);
    let (queue, together) = play(1_000_000.0, &all, How::Together, 40);
    let (_, apart) = play(1_000_000.0, &all, How::Apart, 40);
    assert!(queue <= 60.0, "{queue} ms");
    assert!(least(&together) >= 60_000.0, "{together:?}");
    assert!(least(&together) >= 1.5 * least(&apart), "{together:?}, apart {apart:?}");
    assert!(together[0] <= 0.8 * apart[0], "{together:?}, apart {apart:?}");
}

#[test]
fn a_wide_line_is_not_disturbed_by_company() {
    let (queue, rates) = play(5_000_000.0, &seven(), How::Together, 40);
    assert!(queue <= 5.0, "{queue} ms");
    assert!(rates.iter().all(|rate| *rate >= 200_000.0), "{rates:?}");
}

#[test]
fn a_receiver_that_lies_about_a_queue_costs_the_others_a_tenth_at_most() {
    let (_, honest) = play(5_000_000.0, &seven(), How::Together, 60);
    let (queue, rates) = play(5_000_000.0, &seven(), How::WithALiar, 60);
    assert!(queue <= 5.0, "{queue} ms");
    assert!(rates[0] < 0.5 * honest[0], "it is believed for its own path: {rates:?}");
    for (with, without) in rates.iter().zip(&honest).skip(1) {
        assert!(*with >= 0.9 * without, "{rates:?} instead of {honest:?}");
    }
}
