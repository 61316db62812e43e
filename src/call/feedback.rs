//! What each member can receive: arrival reports out, estimates in.
//!
//! QUIC tells neither arrival times nor what is in flight, so every receiver reports when each
//! audio packet and video frame arrived, sealed like everything else, mostly in the company of
//! an audio packet that goes out anyway.

use super::*;
use crate::media::frame::Want;
use crate::media::rate::estimator::{Estimator, Feedback as Freshness, SOUNDLESS, Turn, is_sound};
use crate::media::rate::line;
use crate::media::rate::path::PathSeen;
use crate::media::rate::redundancy::{Deep, Fates, Repeats, affordable};
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
/// With a longer queue than this on the path, nothing is sent again: it is short of room, and the losses
/// are our own doing.
const COPIES_QUEUE: Duration = Duration::from_millis(60);
/// How often what is to be sent again is thought over.
const REPLAN_EVERY: Duration = Duration::from_millis(400);
/// With so many others nothing is sent twice on suspicion.
const CROWD: usize = 4;
/// Rate to begin with where the line is shown a constant one, in bit/s: enough for any picture of an
/// ordinary tile.
const CONSTANT_START: u64 = 300_000;
/// Share of the rate that copies of sound may take where nothing is left over …
const SOUND_SHARE: f64 = 0.2;
/// … and copies of pictures.
const PICTURE_SHARE: f64 = 0.25;
/// Mark and frame header of a copy beside other datagrams, in bytes.
const COPY_OVERHEAD: u64 = 4;
/// A picture and all its copies may be lost so often.
const ALL_LOST: f64 = 0.001;
/// The first keyframes go twice as long as nothing is known of the path, the second after this time.
const FIRST_COPY: Duration = Duration::from_millis(20);
/// From this loss on, arrivals are reported three times: reports are lost like everything else.
const REPEAT_REPORTS_FROM: f64 = 0.01;
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
    /// Enough was heard of this path to know what it loses.
    pub loss_known: bool,
    /// Whether they still report.
    pub freshness: Freshness,
    /// Delay added by queues on the way, as far as their reports show.
    pub queue_delay: Duration,
    /// Copies sent of each packet of sound.
    pub copies: usize,
    /// What copies of sound and pictures take of `rate_bps` now.
    pub copies_bps: u64,
    /// Copies leave so much of the sound lost that deep redundancy pays.
    pub deep: bool,
}

/// What is missing of the frames under one key.
struct Gaps {
    next: u64,
    missing: BTreeSet<u64>,
}

/// What is sent of something, smoothed.
struct Throughput {
    since: Instant,
    bytes: u64,
    bps: u64,
}

impl Throughput {
    /// In bit/s, half of it what was counted since the last time this was asked.
    fn rate(&mut self, now: Instant) -> u64 {
        let millis = now.saturating_duration_since(self.since).as_millis().max(1);
        let bps = u128::from(std::mem::take(&mut self.bytes)) * 8000 / millis;
        self.since = now;
        self.bps = u64::try_from((u128::from(self.bps) + bps) / 2).unwrap_or(u64::MAX);
        self.bps
    }
}

/// One member's feedback, both directions.
pub(super) struct Feedback {
    estimator: Estimator,
    /// Not reported yet, or not often enough: how many times it has been.
    arrivals: VecDeque<(Arrival, u8)>,
    /// Some of them have not been reported at all.
    news: bool,
    /// What became of the sound we sent, and what is sent again because of it.
    fates: Fates,
    repeats: Repeats,
    deep: Deep,
    /// Packet time of our sound, and what a copy of all of it takes, in bit/s.
    sound: (u8, u64),
    /// Pictures sent, and copies of each.
    pictures: Throughput,
    picture_copies: usize,
    next_plan: Instant,
    /// What copies took at the last look, in bit/s.
    copies_bps: u64,
    last_report: Instant,
    origin: Instant,
    /// Rate and pace as last told.
    told: (u64, u64),
    /// By key: what is missing so far.
    gaps: BTreeMap<u64, Gaps>,
    /// When sound last came.
    sound_came: Option<Instant>,
    lost: u32,
    pub(super) received_bytes: u64,
    /// The path carries too little for hiding the lengths of pictures.
    thin: bool,
}

impl Feedback {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            estimator: Estimator::new(now),
            arrivals: VecDeque::new(),
            news: false,
            fates: Fates::new(now),
            repeats: Repeats::default(),
            deep: Deep::default(),
            sound: (20, 0),
            pictures: Throughput { since: now, bytes: 0, bps: 0 },
            picture_copies: 0,
            next_plan: now,
            copies_bps: 0,
            last_report: now,
            origin: now,
            told: (0, 0),
            gaps: BTreeMap::new(),
            sound_came: None,
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

    /// What is sent must not depend on what was found worth sending before.
    pub(super) fn constant(&mut self) {
        self.estimator.start_at(CONSTANT_START);
    }

    /// So many paths share our line.
    fn share(&mut self, paths: usize) {
        self.estimator.share(paths);
    }

    /// The member is back after a silence: its first reports are under way. Whether that changes anything.
    pub(super) fn heard_again(&mut self, now: Instant) -> bool {
        self.estimator.on_heard_again(now)
    }

    /// The path is another one.
    pub(super) fn moved(&mut self, now: Instant) {
        self.estimator.moved(now);
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.news.then(|| self.last_report + ALONE)
    }

    pub(super) fn budget(&self, want: Option<Want>, now: Instant) -> Budget {
        let sound = self.sound.1 * self.repeats.len() as u64;
        Budget {
            copies: self.repeats.len(),
            deep: self.deep.pays(),
            copies_bps: self.copies_bps.max(sound),
            want,
            rate_bps: self.estimator.rate_bps(now),
            loss: self.estimator.loss(),
            loss_known: self.fates.trace().loss().is_some(),
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

    /// A packet of sound of `bytes` left.
    pub(super) fn sound_sent(
        &mut self,
        kid: u64,
        ctr: u64,
        bytes: usize,
        millis: u8,
        now: Instant,
    ) {
        let each = bytes as u64 + COPY_OVERHEAD;
        self.sound = (millis, each * 8000 / u64::from(millis.max(1)));
        self.fates.sent(short(kid), ctr, now);
    }

    /// `bytes` of copies left beside it.
    pub(super) fn copies_sent(&mut self, kid: u64, ctr: u64, bytes: usize, now: Instant) {
        self.estimator.on_copies(short(kid), ctr, bytes, now);
    }

    /// Which earlier packets of sound to send again beside one.
    pub(super) const fn repeats(&self) -> &Repeats {
        &self.repeats
    }

    /// How long after a picture its copies go.
    pub(super) fn picture_copies(&self, keyframe: bool, now: Instant) -> Vec<Duration> {
        if self.thin || self.estimator.longer() || self.estimator.feedback(now) != Freshness::Fresh
        {
            return Vec::new();
        }
        if self.fates.trace().loss().is_none() && keyframe {
            // Where many join at once, they fill the line without that.
            let few = self.estimator.paths() < CROWD;
            return if few { vec![FIRST_COPY] } else { Vec::new() };
        }
        let each = Duration::from_millis(self.sound.0.into());
        let mut after = self.repeats.after().to_vec();
        if let (Some(loss), Some(&last)) = (self.fates.trace().loss(), after.last()) {
            // A lost picture stops all that follow: more copies than a packet of sound has.
            let missing = enough_copies(loss).saturating_sub(after.len());
            after.extend((1..=missing).map(|further| last + further));
        }
        // Just before the packet of sound it is to go with.
        let time = |after: usize| each * u32::try_from(after).unwrap_or(1) - each / 2;
        after.into_iter().take(self.picture_copies).map(time).collect()
    }

    /// Thinks over what is sent again.
    fn replan(&mut self, me: Option<MemberId>, to: MemberId, now: Instant) {
        if now < self.next_plan {
            return;
        }
        self.next_plan = now + REPLAN_EVERY;
        let (copies, plain) = self.estimator.copies_and_plain(now);
        self.copies_bps = copies;
        let rate = self.estimator.rate_bps(now);
        let (millis, copy_bps) = self.sound;
        // On a thin path what seems left over was never tried: there the coarse copies inside the
        // sound have to do.
        let full =
            self.thin || self.estimator.full() || self.estimator.queue_delay() >= COPIES_QUEUE;
        let most = if full { 0 } else { affordable(rate, plain, copy_bps, SOUND_SHARE) };
        let first = self.estimator.loss();
        self.repeats = self.repeats.replan(self.fates.trace(), first, millis, most);
        self.deep = self.deep.replan(self.fates.trace(), &self.repeats);
        let sound = copy_bps * self.repeats.len() as u64;
        let pictures = self.pictures.rate(now).max(1);
        self.picture_copies = affordable(rate, plain + sound, pictures, PICTURE_SHARE);
        tracing::debug!(
            ?me,
            %to,
            rate,
            plain,
            copies,
            most,
            repeats = ?self.repeats.after(),
            deep = self.deep.pays(),
            pictures = self.picture_copies,
            sound_loss = ?self.fates.trace().loss(),
            estimate = %self.estimator,
            "replan"
        );
    }

    /// Is anything sent more than once?
    pub(super) fn sends_copies(&self) -> bool {
        !self.repeats.is_empty() && self.picture_copies > 0
    }

    fn take(&mut self, now: Instant) -> Report {
        self.last_report = now;
        self.news = false;
        let times = if self.estimator.loss() >= REPEAT_REPORTS_FROM { 3 } else { 1 };
        let entries = self.arrivals.iter().map(|(arrival, _)| *arrival).collect();
        self.arrivals.retain_mut(|(_, told)| {
            *told += 1;
            *told < times
        });
        Report { entries, lost: self.lost, late: 0 }
    }
}

/// Copies of a picture, for it and all of them to be lost no more often than [`ALL_LOST`] on a path that
/// loses this share (0–1), whatever its reports say.
fn enough_copies(loss: f64) -> usize {
    // A path that loses everything loses all copies too.
    let sendings = ALL_LOST.ln() / loss.clamp(ALL_LOST, 0.99).ln();
    (sendings.ceil() as usize).saturating_sub(1).clamp(2, 4)
}

/// A key identifier has twelve bits.
fn short(kid: u64) -> u16 {
    u16::try_from(kid).unwrap_or(u16::MAX)
}

impl Peers {
    /// Tells all paths how many they are.
    pub(super) fn share_line(&mut self) {
        let paths = self.connected().count();
        for peer in self.members.values_mut().filter(|peer| peer.link.is_some()) {
            peer.feedback.share(paths);
        }
    }

    /// The path to `from` became full, or free: the others, which mostly leave by the same line, follow.
    fn turn(&mut self, from: MemberId, turn: Turn, now: Instant) {
        let peers = self.members.iter_mut().filter(|(_, peer)| peer.link.is_some());
        let mut paths: Vec<_> =
            peers.map(|(member, peer)| (*member == from, &mut peer.feedback.estimator)).collect();
        line::turn(&mut paths, turn, now);
    }
}

impl Call {
    pub(super) fn note_sent(&mut self, to: MemberId, kid: u64, ctr: u64, size: usize, now: Now) {
        if let Some(feedback) = self.peers.feedback(to) {
            feedback.estimator.on_sent(short(kid), ctr, size, now.mono);
            if !is_sound(short(kid)) {
                feedback.pictures.bytes += size as u64;
            }
        }
    }

    pub(super) fn note_path(&mut self, link: LinkId, seen: PathSeen, now: Now) {
        let member = self.links.get(&link).and_then(LinkState::member);
        if let Some(feedback) = member.and_then(|member| self.peers.feedback(member)) {
            feedback.estimator.on_path(seen, now.mono);
        }
    }

    pub(super) fn note_received(
        &mut self,
        from: MemberId,
        kid: u64,
        ctr: u64,
        size: usize,
        timed: bool,
        now: Now,
    ) {
        let Some(feedback) = self.peers.feedback(from) else { return };
        feedback.received_bytes += size as u64;
        if !timed {
            return;
        }
        // Sound is sealed for everybody. Pictures of another size, for others, count on the same
        // counter: a gap there may be no loss.
        let sound = is_sound(short(kid));
        if sound {
            feedback.sound_came = Some(now.mono);
        }
        let heard = |at: Instant| now.mono.saturating_duration_since(at) <= SOUNDLESS;
        if sound || !feedback.sound_came.is_some_and(heard) {
            feedback.count_lost(kid, ctr);
        } else {
            feedback.gaps.remove(&kid);
        }
        let since = now.mono.saturating_duration_since(feedback.origin);
        let arrival_us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        if feedback.arrivals.len() >= MAX_ARRIVALS {
            feedback.arrivals.pop_front();
        }
        feedback.arrivals.push_back((Arrival { kid: short(kid), ctr, arrival_us }, 0));
        feedback.news = true;
    }

    pub(super) fn report_beside_audio(&mut self, to: MemberId, link: LinkId, now: Now) {
        let due = self
            .peers
            .feedback(to)
            .is_some_and(|f| f.news && now.mono.saturating_duration_since(f.last_report) >= BESIDE);
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
        let (me, link) = (self.me(), self.peers.link(from));
        let Some(feedback) = self.peers.feedback(from) else { return };
        // Once each, and only what was sent: a report may say anything, as often as it likes.
        for entry in report.entries.iter().filter(|e| feedback.estimator.awaits(e.kid, e.ctr)) {
            feedback.fates.arrived(entry.kid, entry.ctr);
        }
        let silent = feedback.estimator.feedback(now.mono) != Freshness::Fresh;
        let turn = feedback.estimator.on_report(report, now.mono);
        if silent {
            // It is back and sees nothing: pictures for it not in a moment, but now.
            self.event(Event::Budgets);
        }
        if let Some(turn) = turn {
            self.peers.turn(from, turn, now.mono);
        }
        let Some(feedback) = self.peers.feedback(from) else { return };
        let round = feedback.estimator.round_trip().unwrap_or(Duration::from_millis(200));
        if feedback.estimator.full() {
            feedback.fates.full(now.mono);
        }
        feedback.fates.settle(now.mono, round);
        feedback.replan(me, from, now.mono);
        let rate = feedback.estimator.rate_bps(now.mono);
        let width = feedback.look_at_width(rate);
        // A step of an eighth is worth telling the connection and the encoder.
        let step = |new: u64, old: u64| new.abs_diff(old) * 8 >= old;
        let pace = feedback.estimator.pace_bps(now.mono);
        let (new_rate, new_pace) = (step(rate, feedback.told.0), step(pace, feedback.told.1));
        if new_pace {
            feedback.told.1 = pace;
            self.out.extend(link.map(|link| Output::Rate(link, pace)));
        }
        if new_rate && let Some(feedback) = self.peers.feedback(from) {
            feedback.told.0 = rate;
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

    /// Does this member get pictures more than once, because the path loses packets?
    pub fn sends_copies(&self, to: MemberId) -> bool {
        self.peers.feedback_ref(to).is_some_and(Feedback::sends_copies)
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
    fn however_much_is_lost_pictures_go_three_to_five_times() {
        let copies = [0.0, 0.001, 0.05, 0.2, 0.5, 0.999, 1.0].map(enough_copies);
        assert_eq!(copies, [2, 2, 2, 4, 4, 4, 4]);
    }

    #[test]
    fn a_counter_that_leaps_costs_neither_memory_nor_time() {
        // The outage counts for as much as is looked at, and what is missing after it.
        assert!(u64::from(lost(&[0, u64::MAX - 9, u64::MAX - 8, u64::MAX])) <= GAP + 8);
    }
}
