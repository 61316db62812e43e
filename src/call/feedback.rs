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
use crate::wire::media::Padding;
use crate::wire::report::{Arrival, Report};
use std::collections::BTreeSet;

/// Reports beside audio packets: at most this often.
const BESIDE: Duration = Duration::from_millis(95);
/// Without audio to go with, a report goes alone after this time.
const ALONE: Duration = Duration::from_millis(200);
/// A frame counts as lost when this many later ones of its key have come: a picture that was lost
/// in a packet and repaired is here by then.
const GIVEN_UP: u64 = 5;
/// Longest gap counted, in frames.
const GAP: u64 = 64;
/// Keys watched at once: four streams in a few epochs.
const MAX_KIDS: usize = 16;
/// From this loss on, pictures are sent twice …
const COPIES_FROM: f64 = 0.02;
/// … until it has been lower for so long …
const COPIES_FOR: Duration = Duration::from_secs(10);
/// … unless the path is short of room: then the losses are our own doing.
const COPIES_QUEUE: Duration = Duration::from_millis(60);
/// Below this rate, in bit/s, the lengths of pictures are not hidden …
const THIN: u64 = 120_000;
/// … until it is this much again.
const WIDE_AGAIN: u64 = 180_000;
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

/// What is missing of the frames under one key.
struct Gaps {
    next: u64,
    missing: BTreeSet<u64>,
}

/// One member's feedback, both directions.
pub(super) struct Feedback {
    estimator: Estimator,
    arrivals: Vec<Arrival>,
    last_report: Instant,
    origin: Instant,
    told_rate: u64,
    copies_until: Option<Instant>,
    /// By key: what is missing so far.
    gaps: BTreeMap<u64, Gaps>,
    lost: u32,
    pub(super) received_bytes: u64,
    /// The path carries too little for hiding the lengths of pictures.
    thin: bool,
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
            gaps: BTreeMap::new(),
            lost: 0,
            received_bytes: 0,
            thin: false,
        }
    }

    /// Looks whether the path became thin or wide enough again; tells a change.
    fn look_at_width(&mut self, rate: u64) -> Option<bool> {
        let thin = rate < if self.thin { WIDE_AGAIN } else { THIN };
        (std::mem::replace(&mut self.thin, thin) != thin).then_some(thin)
    }

    /// The path is another one.
    pub(super) fn moved(&mut self, now: Instant) {
        self.estimator.moved(now);
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

    /// Notes which frames under `kid` are missing now that `ctr` is here.
    fn count_lost(&mut self, kid: u64, ctr: u64) {
        while self.gaps.len() >= MAX_KIDS && !self.gaps.contains_key(&kid) {
            // Epochs come and go; their keys are never used again.
            self.gaps.pop_first();
        }
        let gaps =
            self.gaps.entry(kid).or_insert_with(|| Gaps { next: ctr, missing: BTreeSet::new() });
        if ctr < gaps.next {
            gaps.missing.remove(&ctr);
            return;
        }
        // A longer gap is an outage; it counts for as much as is looked at.
        gaps.missing.extend(gaps.next.max(ctr.saturating_sub(GAP))..ctr);
        gaps.next = ctr.saturating_add(1);
        while gaps.missing.first().is_some_and(|first| first.saturating_add(GIVEN_UP) <= ctr) {
            gaps.missing.pop_first();
            self.lost = self.lost.saturating_add(1);
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
        Report { entries: std::mem::take(&mut self.arrivals), lost: self.lost, late: 0 }
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
        feedback.count_lost(kid, ctr);
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
        let width = feedback.look_at_width(rate);
        // A step of an eighth is worth telling the connection and the encoder.
        if rate.abs_diff(feedback.told_rate) * 8 >= feedback.told_rate {
            feedback.told_rate = rate;
            if let Some(link) = link {
                self.out.push_back(Output::Rate(link, rate));
            }
            self.event(Event::Budgets);
        }
        if let Some(thin) = width.filter(|_| !self.config.constant_rate) {
            self.event(Event::Thin(from, thin));
        }
    }

    /// How the length of a picture for these members is hidden. One that goes to a thin path is
    /// not, for all of them: it is sealed once.
    pub(super) fn padding(&self, room: u16, mut to: impl Iterator<Item = MemberId>) -> Padding {
        if self.config.constant_rate {
            return Padding::Multiple(room);
        }
        let thin = to.any(|member| self.peers.feedback_ref(member).is_some_and(|f| f.thin));
        if thin { Padding::None } else { Padding::Steps }
    }

    /// Was this call asked to show the line a constant rate?
    pub fn constant_rate(&self) -> bool {
        self.config.constant_rate
    }

    /// Does this member get every picture twice, because the path loses packets?
    pub fn sends_copies(&self, to: MemberId, now: Instant) -> bool {
        self.peers.feedback_ref(to).is_some_and(|f| f.copies(now))
    }

    /// What may be sent to each connected member, and what they want.
    pub fn budgets(&self, now: Instant) -> BTreeMap<MemberId, Budget> {
        let mut budgets = self.peers.budgets(now);
        budgets.retain(|member, _| !self.contacts.holds(*member));
        budgets
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use super::*;

    fn lost(order: &[u64]) -> u32 {
        let mut feedback = Feedback::new(Instant::now());
        for ctr in order {
            feedback.count_lost(1, *ctr);
        }
        feedback.lost
    }

    #[test]
    fn what_is_missing_is_lost_and_what_comes_late_is_not() {
        assert_eq!(lost(&[0, 1, 2, 3, 4, 5, 6, 7, 8]), 0);
        assert_eq!(lost(&[0, 1, 3, 4, 5, 6]), 0, "it may still come");
        assert_eq!(lost(&[0, 1, 3, 4, 5, 6, 7]), 1);
        assert_eq!(lost(&[0, 1, 3, 4, 5, 2, 6, 7, 8]), 0);
        assert_eq!(lost(&[5, 6, 7, 12, 13, 14, 15, 16, 17]), 4);
    }

    #[test]
    fn a_counter_that_leaps_costs_neither_memory_nor_time() {
        // The outage counts for as much as is looked at, and what is missing after it.
        assert!(u64::from(lost(&[0, u64::MAX - 9, u64::MAX - 8, u64::MAX])) <= GAP + 8);
    }
}
