//! What each member can receive: arrival reports out, estimates in.
//!
//! QUIC tells neither arrival times nor what is in flight, so every receiver reports when each
//! audio packet and video frame arrived, sealed like everything else, mostly in the company of
//! an audio packet that goes out anyway.

use super::*;
use crate::media::frame::Want;
use crate::media::rate::estimator::{Estimator, Feedback as Freshness};
use crate::wire::control::MemberMessage;
use crate::wire::link::Send;
use crate::wire::report::{Arrival, Report};

/// Reports beside audio packets: at most this often.
const BESIDE: Duration = Duration::from_millis(95);
/// Without audio to go with, a report goes alone after this time.
const ALONE: Duration = Duration::from_millis(200);
/// From this loss on, pictures are sent twice …
const COPIES_FROM: f64 = 0.02;
/// … until it has been lower for so long …
const COPIES_FOR: Duration = Duration::from_secs(10);
/// … unless the path is short of room: then the losses are our own doing.
const COPIES_QUEUE: Duration = Duration::from_millis(60);
/// A report carries at most this many arrivals.
const MAX_ARRIVALS: usize = 64;

/// What may be sent to one member, and what they want.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// What they want of our picture; `None`: they have not said yet.
    pub want: Option<Want>,
    /// Estimated rate of the path to them, in bit/s, everything included.
    pub rate_bps: u64,
    /// Share of our packets they did not report, 0…1.
    pub loss: f64,
    /// Whether they still report.
    pub freshness: Freshness,
    /// Delay added by queues on the way, as far as their reports show.
    pub queue_delay: Duration,
}

/// One member's feedback, both directions.
pub(super) struct Feedback {
    estimator: Estimator,
    arrivals: Vec<Arrival>,
    last_report: Instant,
    origin: Instant,
    told_rate: u64,
    copies_until: Option<Instant>,
    pub(super) received_bytes: u64,
}

impl Feedback {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            estimator: Estimator::new(now),
            arrivals: Vec::new(),
            last_report: now,
            origin: now,
            told_rate: 0,
            copies_until: None,
            received_bytes: 0,
        }
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        (!self.arrivals.is_empty()).then(|| self.last_report + ALONE)
    }

    pub(super) fn budget(&self, want: Option<Want>, now: Instant) -> Budget {
        Budget {
            want,
            rate_bps: self.estimator.rate_bps(now),
            loss: self.estimator.loss(),
            freshness: self.estimator.feedback(now),
            queue_delay: self.estimator.queue_delay(),
        }
    }

    /// Are pictures to be sent twice? A repair takes a round trip and more, and a second one after
    /// it comes too late to be painted.
    pub(super) fn copies(&self, now: Instant) -> bool {
        self.copies_until.is_some_and(|until| until > now)
            && self.estimator.queue_delay() < COPIES_QUEUE
    }

    fn take(&mut self, now: Instant) -> Report {
        self.last_report = now;
        Report { entries: std::mem::take(&mut self.arrivals), lost: 0, late: 0 }
    }
}

impl Call {
    pub(super) fn note_sent(&mut self, to: MemberId, kid: u64, ctr: u64, size: usize, now: Now) {
        if let Some(feedback) = self.peers.feedback(to) {
            let kid = u16::try_from(kid).unwrap_or(u16::MAX);
            feedback.estimator.on_sent(kid, ctr, size, now.mono);
        }
    }

    pub(super) fn note_received(
        &mut self,
        from: MemberId,
        kid: u64,
        ctr: u64,
        size: usize,
        now: Now,
    ) {
        let Some(feedback) = self.peers.feedback(from) else { return };
        feedback.received_bytes += size as u64;
        let since = now.mono.saturating_duration_since(feedback.origin);
        let arrival_us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        if feedback.arrivals.len() >= MAX_ARRIVALS {
            feedback.arrivals.remove(0);
        }
        feedback.arrivals.push(Arrival {
            kid: u16::try_from(kid).unwrap_or(u16::MAX),
            ctr,
            arrival_us,
        });
    }

    pub(super) fn report_beside_audio(&mut self, to: MemberId, link: LinkId, now: Now) {
        let due = self.peers.feedback(to).is_some_and(|f| {
            !f.arrivals.is_empty() && now.mono.saturating_duration_since(f.last_report) >= BESIDE
        });
        if due {
            self.send_report(to, link, now);
        }
    }

    fn send_report(&mut self, to: MemberId, link: LinkId, now: Now) {
        let Some(feedback) = self.peers.feedback(to) else { return };
        let report = feedback.take(now.mono);
        if let Some(sealed) = self.seal_data(&MemberMessage::Report(report).encode()) {
            self.out.push_back(Output::Send(link, Send::Datagram(sealed)));
        }
    }

    pub(super) fn reports_tick(&mut self, now: Now) {
        let due: Vec<_> = self
            .peers
            .connected()
            .filter(|(member, _)| {
                self.peers
                    .feedback_ref(*member)
                    .and_then(Feedback::wake_at)
                    .is_some_and(|t| t <= now.mono)
            })
            .collect();
        for (member, link) in due {
            self.send_report(member, link, now);
        }
    }

    pub(super) fn take_report(&mut self, from: MemberId, report: &Report, now: Now) {
        let link = self.peers.link(from);
        let Some(feedback) = self.peers.feedback(from) else { return };
        feedback.estimator.on_report(report, now.mono);
        if feedback.estimator.loss() >= COPIES_FROM {
            feedback.copies_until = Some(now.mono + COPIES_FOR);
        }
        let rate = feedback.estimator.rate_bps(now.mono);
        // A step of an eighth is worth telling the connection and the encoder.
        if rate.abs_diff(feedback.told_rate) * 8 >= feedback.told_rate {
            feedback.told_rate = rate;
            if let Some(link) = link {
                self.out.push_back(Output::Rate(link, rate));
            }
            self.event(Event::Budgets);
        }
    }

    /// Does this member get every picture twice, because the path loses packets?
    pub fn sends_copies(&self, to: MemberId, now: Instant) -> bool {
        self.peers.feedback_ref(to).is_some_and(|f| f.copies(now))
    }

    /// What may be sent to each connected member, and what they want.
    pub fn budgets(&self, now: Instant) -> BTreeMap<MemberId, Budget> {
        self.peers.budgets(now)
    }
}
