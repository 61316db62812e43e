//! How much one link carries, estimated by the sender from the receiver's arrival reports.
//!
//! The signal is delay: the relative one-way delay of small frames over its least value of the
//! last ten seconds is the queue on the path. What counts is the *standing* queue, the least of
//! the last 300 ms: bursts (a keyframe) and jitter come and go, a queue of our own making stays.
//! A standing queue means the link is full and the received rate is its capacity, so the rate falls
//! to a part of that, waits for the queue to drain, and grows again. Loss alone does not cut: on
//! radio links it says nothing about capacity; loss with delay makes the delay count earlier.

use super::line::{Before, Ended, Line};
use super::path::{Known, NARROW_START, PathSeen};
use super::window::{LeastOf, SumOf};
use crate::wire::report::Report;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Rate before anything is known, in bit/s.
pub const START_BPS: u64 = 150_000;
/// Most that is kept of a rate after a pause, or on another path, in bit/s.
const AGAIN_BPS: u64 = 300_000;
/// The estimate never goes below this: sound at its thinnest.
pub const FLOOR_BPS: u64 = 24_000;
/// The estimate never goes above this: more than any call here can use.
pub const CEILING_BPS: u64 = 20_000_000;
/// No report for this long while sending: sound only.
pub const AUDIO_ONLY_AFTER: Duration = Duration::from_secs(2);
/// No report for this long while sending: video stops altogether.
pub const STOP_AFTER: Duration = Duration::from_secs(10);

/// Headers around each packet that a frame's length does not show: IP, UDP, QUIC.
const PACKET_OVERHEAD: u64 = 58;
/// Payload of one packet.
const PACKET: u64 = 1_150;
/// Frames remembered while waiting for their report.
const REMEMBERED: usize = 4_096;
/// What is called a standing queue, in microseconds, before jitter is added.
const STANDING: f64 = 30_000.0;
/// The same when frames are being lost as well.
const STANDING_WITH_LOSS: f64 = 20_000.0;
/// Jitter assumed until some was measured, in microseconds.
const FIRST_JITTER: f64 = 12_000.0;
/// Window of the standing queue.
const STANDING_WINDOW: i64 = 300_000;
/// A queue must stand this long, after it was found, before it counts (unless it is very long).
const CERTAIN: i64 = 90_000;
/// Nothing arriving for this long, while sending and hearing reports, is a full link too.
const STARVED: i64 = 500_000;
/// A delay that doesn't react to our rate isn't ours: sending stays at least here, in bit/s.
const NOT_OURS_FLOOR: f64 = 64_000.0;
/// So much of what is sent arrives where the queue is not drained by sending less …
const EVEN: f64 = 1.15;
/// … for so long, in µs, if others fill it.
const SURELY_OTHERS: i64 = 600_000;
/// Who fills a queue goes on with that, µs.
const OTHERS_STAY: i64 = 10_000_000;

/// Up to a rate of so much, in bit/s …
const THIN: f64 = 80_000.0;
/// … it may grow this far beyond one and a quarter times what was sent, and above it to one and a half
/// times.
const UNTRIED: f64 = 12_000.0;
/// From this loss on, such a round trip is taken for a full queue of ours.
const LOSS_OF_A_FULL_QUEUE: f64 = 0.05;
/// For so long after the first frame, in µs, a full path is one that the handshake has filled.
const BEGINNING: i64 = 1_000_000;
/// Losses of this share and more are a path that carries next to nothing, whatever the delay says.
const NEARLY_ALL: f64 = 0.75;

/// A frame of so many bytes on the wire, which takes 0.4 s and more at the rate of what arrives besides,
/// hides what really arrives …
const LARGE: u64 = 4_000;
/// … for so long at most, in µs.
const WHOLE_BY: i64 = 1_500_000;

/// Near what the link carried when it was full, a large frame goes this much faster than that …
const AT_FULL: f64 = 1.1;
/// … and so far beyond it, what was full then says nothing any more.
const BEYOND_FULL: f64 = 1.3;

/// Who is heard again is sent pictures for so long before the first report, in µs.
const ON_TRUST: i64 = 500_000;
/// With so many times what arrives being sent, a queue is our own, short as it may be.
const BACKLOG: f64 = 1.2;
/// No receiver's clock counts further, in µs: what a report says beyond is as good as this.
const FARTHEST: u64 = 1 << 50;
/// So long, in seconds, after a cut on a path that we never filled, what it began with is granted again.
const CALM_AGAIN: f64 = 10.0;
/// Without a frame of sound for so long losses are counted in pictures, at both ends.
pub const SOUNDLESS: Duration = Duration::from_millis(500);

/// How feedback stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feedback {
    /// Reports come in (or nothing was sent yet).
    Fresh,
    /// None for two seconds: sound only, at the lowest rate.
    AudioOnly,
    /// None for ten seconds: encodings are given up too; a picture starts again with a keyframe.
    Stopped,
}

/// What a report has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The path is full, with a queue of so many µs.
    Full(i64),
    /// The queue is gone.
    Free,
}

/// Estimates what one link carries. All times come in.
#[derive(Clone, Debug)]
pub struct Estimator {
    origin: Instant,
    /// Frames sent and not yet reported: KID and counter → when (µs since `origin`), wire bytes.
    sent: BTreeMap<(u16, u64), (i64, u64)>,
    sent_recently: SumOf,
    /// The part of it that was copies.
    copied_recently: SumOf,
    /// Highest sending rate of the last seconds, as (time, bit/s) with the value negated.
    sent_peak: LeastOf,
    /// Frames whose loss the receiver counts.
    sent_frames: SumOf,
    /// When sound was last sent.
    sound_sent: i64,
    lost_frames: SumOf,
    lost_total: Option<u32>,
    received: SumOf,
    /// Highest received rate of late, as `sent_peak`.
    received_peak: LeastOf,
    base: LeastOf,
    recent: LeastOf,
    /// Time of the last datagram frame seen, and the delay of the last sample.
    last_datagram: i64,
    last_delay: Option<i64>,
    /// Mean difference of successive delays, µs.
    jitter: f64,
    /// Time from sending to hearing of it, least of the last ten seconds.
    round: LeastOf,
    rate: f64,
    /// Where it began: so much is taken for granted.
    start: u64,
    state: State,
    /// Received rate when the link was last found full.
    full_at: Option<f64>,
    first_sent: Option<i64>,
    last_report: Option<i64>,
    /// When the newest reported frame was sent.
    newest_sent: i64,
    last_growth: i64,
    /// Seconds of growth since the link was last full.
    undisturbed: f64,
    /// When the queue went above what is tolerated.
    over_since: Option<i64>,
    /// When a report last told of an arrival, and when the rate was last cut for lack of any.
    last_arrival: i64,
    last_starved: i64,
    /// As it was before the last cut.
    before_cut: Known,
    /// When it was made, clearly more was sent than arrived.
    backlog: bool,
    /// That was so at any time on this path.
    filled: bool,
    /// Seconds of growth on this path.
    since_moved: f64,
    /// Since when all that is sent arrives although a queue stands, and until when that queue is
    /// therefore taken for somebody else's.
    even_since: Option<i64>,
    others_until: i64,
    /// When the queue was last compared, what it was, and whether it had risen.
    compared: (i64, i64, bool),
    /// By how much the round trip is longer than its shortest, µs; 0 unless out of proportion.
    longer: i64,
    /// The last cut was made because of that.
    cut_blind: bool,
    /// What was sent before this went another way.
    moved_at: i64,
    /// The other paths of ours, and how many there are, this one among them.
    line: Line,
    paths: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Never found the link full: all paths together double every second.
    Starting,
    Growing,
    /// Cut at this time; the largest queue since (µs); cuts in a row that changed nothing.
    Draining {
        since: i64,
        peak: i64,
        in_vain: u32,
    },
}

impl Estimator {
    /// Starts at [`START_BPS`].
    pub fn new(now: Instant) -> Self {
        Self {
            origin: now,
            sent: BTreeMap::new(),
            sent_recently: SumOf::new(500_000),
            copied_recently: SumOf::new(1_000_000),
            sent_peak: LeastOf::new(5_000_000),
            sent_frames: SumOf::new(3_000_000),
            sound_sent: i64::MIN / 2,
            lost_frames: SumOf::new(3_000_000),
            lost_total: None,
            received: SumOf::new(500_000),
            received_peak: LeastOf::new(WHOLE_BY),
            base: LeastOf::new(10_000_000),
            recent: LeastOf::new(STANDING_WINDOW),
            last_datagram: i64::MIN / 2,
            last_delay: None,
            jitter: FIRST_JITTER,
            round: LeastOf::new(10_000_000),
            rate: START_BPS as f64,
            start: START_BPS,
            state: State::Starting,
            full_at: None,
            first_sent: None,
            last_report: None,
            newest_sent: 0,
            last_growth: 0,
            undisturbed: 0.0,
            over_since: None,
            last_arrival: 0,
            last_starved: 0,
            before_cut: Known { rate: START_BPS as f64, full_at: None, filled: false },
            backlog: false,
            filled: false,
            since_moved: 0.0,
            even_since: None,
            others_until: 0,
            compared: (0, 0, false),
            longer: 0,
            cut_blind: false,
            moved_at: 0,
            line: Line::new(),
            paths: 1,
        }
    }

    /// Starts at this rate, in bit/s, instead of [`START_BPS`].
    pub fn start_at(&mut self, bits_per_second: u64) {
        self.start = bits_per_second;
        self.rate = bits_per_second as f64;
    }

    /// So many paths, this one among them, leave by one line: each starts with its share of what two would
    /// start with, and together they double in a second.
    pub fn share(&mut self, paths: usize) {
        self.paths = paths.max(1);
        if self.first_sent.is_none() && self.start == START_BPS {
            let share = 2.0 * START_BPS as f64 / paths.max(2) as f64;
            self.rate = self.rate.min(share.max(NARROW_START));
        }
    }

    /// How many paths leave by the same line, this one among them.
    pub fn paths(&self) -> usize {
        self.paths
    }

    /// A sealed frame of `bytes` left under this KID and counter.
    pub fn on_sent(&mut self, kid: u16, ctr: u64, bytes: usize, now: Instant) {
        let at = self.micros(now);
        let wire = wire_bytes(bytes);
        self.first_sent.get_or_insert(at);
        self.sent.insert((kid, ctr), (at, wire));
        if self.sent.len() > REMEMBERED {
            self.sent.retain(|_, &mut (sent, _)| sent > at - 5_000_000);
            if self.sent.len() > REMEMBERED {
                self.sent.clear();
            }
        }
        self.sent_recently.push(at, wire);
        // Receivers count the same: pictures for others share their counter.
        let sound = is_sound(kid);
        self.sound_sent = if sound { at } else { self.sound_sent };
        if sound || at - self.sound_sent > SOUNDLESS.as_micros() as i64 {
            self.sent_frames.push(at, 1);
        }
        self.sent_peak.push(at, -((self.sent_recently.per_second() * 8.0) as i64));
    }

    /// What the connection shows of the path.
    pub fn on_path(&mut self, seen: PathSeen, now: Instant) {
        self.longer = seen.longer_us();
        let at = self.micros(now);
        if self.state == State::Starting
            && self.first_sent.is_none_or(|first| at - first < BEGINNING)
        {
            self.rate = seen.start(self.rate);
            // So much is granted again later, too.
            self.start = self.start.min(self.rate as u64);
        }
    }

    /// Is the path full, or draining after it was?
    pub fn full(&self) -> bool {
        self.drains()
            || self.line.is_following()
            || self.over_since.is_some()
            || (self.longer > 0 && self.loss() >= LOSS_OF_A_FULL_QUEUE)
    }

    /// As little is known of the path as at the beginning: it was longer for a while, or somebody else
    /// filled it, but we never did, and for some time nothing has been in the way.
    fn as_at_first(&self) -> bool {
        !self.filled && self.undisturbed.min(self.since_moved) > CALM_AGAIN
    }

    /// Is the round trip much longer than it was?
    pub fn longer(&self) -> bool {
        self.longer > 0
    }

    /// Copies of earlier frames, `bytes` in all, left in the company of this one.
    pub fn on_copies(&mut self, kid: u16, ctr: u64, bytes: usize, now: Instant) {
        let at = self.micros(now);
        let wire = bytes as u64;
        if let Some((_, with)) = self.sent.get_mut(&(kid, ctr)) {
            *with += wire;
        }
        self.sent_recently.push(at, wire);
        self.copied_recently.push(at, wire);
    }

    /// What copies take of the rate, and what everything else takes, in bit/s as of `now`.
    pub fn copies_and_plain(&mut self, now: Instant) -> (u64, u64) {
        let at = self.micros(now);
        self.copied_recently.advance(at);
        self.sent_recently.advance(at);
        let copies = self.copied_recently.sum() * 8;
        (copies, (self.sent_recently.sum() * 16).saturating_sub(copies))
    }

    /// Was this sent, and not reported yet?
    pub fn awaits(&self, kid: u16, ctr: u64) -> bool {
        self.sent.contains_key(&(kid, ctr))
    }

    /// The receiver is heard again after a silence: reports will follow, and are not waited for (half a
    /// second at most). Whether that changes [`Estimator::feedback`].
    pub fn on_heard_again(&mut self, now: Instant) -> bool {
        if self.last_report.is_none() || self.feedback(now) == Feedback::Fresh {
            return false;
        }
        let at = self.micros(now);
        self.resume(at);
        let ago = i64::try_from(AUDIO_ONLY_AFTER.as_micros()).unwrap_or(0) - ON_TRUST;
        self.last_report = Some(at - ago);
        true
    }

    /// The receiver reported. Tells when that turned the path full, or free again: see
    /// [`Estimator::line_full`].
    pub fn on_report(&mut self, report: &Report, now: Instant) -> Option<Turn> {
        let at = self.micros(now);
        self.resume(at);
        self.last_report = Some(at);
        if let Some(before) = self.lost_total.replace(report.lost) {
            self.lost_frames.push(at, report.lost.saturating_sub(before).into());
        }
        for entry in &report.entries {
            let Some((sent, wire)) = self.sent.remove(&(entry.kid, entry.ctr)) else { continue };
            let arrival = i64::try_from(entry.arrival_us.min(FARTHEST)).unwrap_or(0);
            self.received.push(arrival, wire);
            self.last_arrival = at;
            self.round.push(at, at - sent);
            self.newest_sent = self.newest_sent.max(sent);
            if sent < self.moved_at {
                continue;
            }
            // Streams repair losses, which looks like delay: where sound runs in datagrams beside
            // them, it alone is the clock.
            let datagram = is_sound(entry.kid);
            if datagram {
                self.last_datagram = sent;
            }
            if datagram || sent - self.last_datagram > 500_000 {
                self.sample(arrival, arrival - sent);
            }
        }
        self.received_peak.push(at, -((self.received.per_second() * 8.0) as i64));
        let drained = self.drains();
        if self.line.is_following() {
            if !self.line.following(at) {
                self.line_ends(at);
            }
            self.last_growth = at;
        } else {
            self.decide(at);
        }
        match (drained, self.drains()) {
            (false, true) => Some(Turn::Full(self.queue_micros().max(self.longer))),
            (true, false) => Some(Turn::Free),
            _ => None,
        }
    }

    fn drains(&self) -> bool {
        matches!(self.state, State::Draining { .. })
    }

    /// Another path of ours found the line full with a queue of `queue` µs: this one goes down with it,
    /// until [`Estimator::line_free`] (at most three seconds), to show whether it leaves by the same
    /// line. Of what the line carries it gets `share` bit/s, if that is known.
    pub fn line_full(&mut self, queue: i64, share: Option<f64>, now: Instant) {
        let at = self.micros(now);
        let Some(delay) = self.recent.least() else { return };
        if self.drains() || !self.line.follows(at) {
            return;
        }
        let before = Before { rate: self.rate, full_at: self.full_at };
        self.line.follow(at, queue, delay, before);
        self.cut(queue, 0, at);
        self.balance(share);
        self.over_since = None;
    }

    /// The other path's queue is gone. Tells whether this one was seen to share its line.
    pub fn line_free(&mut self, now: Instant) -> bool {
        let at = self.micros(now);
        self.line_ends(at)
    }

    /// Another path went down with this one, and was seen to share its line.
    pub fn line_shared(&mut self) {
        self.line.is_shared();
    }

    fn line_ends(&mut self, at: i64) -> bool {
        let ended = self.line.end(at, self.recent.least());
        match ended {
            Ended::Nothing => {}
            Ended::Shared => {
                self.state = State::Growing;
                self.resume_at_capacity();
            }
            Ended::Apart(before) => {
                self.rate = before.rate;
                self.full_at = before.full_at;
            }
        }
        ended == Ended::Shared
    }

    /// What a path carries that was seen to share the line with others, in bit/s: what arrives, but no
    /// more than what was sent, whatever reports say.
    pub fn on_the_line(&self) -> Option<f64> {
        let carries = self.received.per_second().min(self.sent_recently.per_second()) * 8.0;
        self.line.shared().then_some(carries)
    }

    /// Just cut: half-way to an equal `share` of what the line carries, in bit/s.
    pub fn balance(&mut self, share: Option<f64>) {
        if let (Some(share), Some(full)) = (share, self.full_at) {
            let part = (self.rate / full.max(1.0)).min(1.0);
            let nearer = 0.5 * (full + share);
            self.full_at = Some(nearer);
            self.rate = (part * nearer).max(FLOOR_BPS as f64);
        }
    }

    fn sample(&mut self, arrival: i64, delay: i64) {
        if let Some(last) = self.last_delay.replace(delay) {
            let step = (delay - last).unsigned_abs().min(200_000) as f64;
            self.jitter += (step - self.jitter) / 16.0;
        }
        self.base.push(arrival, delay);
        self.recent.push(arrival, delay);
    }

    fn decide(&mut self, at: i64) {
        let queue = self.queue_micros();
        let elapsed = (at - self.last_growth).clamp(0, 200_000) as f64 / 1e6;
        self.last_growth = at;
        if self.starves(at) {
            return;
        }
        // Where the queue has stood since the beginning, delays don't tell; losses and the round trip do.
        let blind = self.full_at.is_none() || self.cut_blind;
        let hidden = if blind && self.loss() >= LOSS_OF_A_FULL_QUEUE { self.longer } else { 0 };
        let queue = queue.max(hidden);
        let over = queue as f64 > self.tolerated();
        let since = *self.over_since.get_or_insert(at);
        if !over {
            self.over_since = None;
        }
        let full = over && (at - since >= CERTAIN || queue > 2 * STANDING_WINDOW / 3);
        self.look_for_others(full, at);
        self.state = match self.state {
            State::Draining { since, peak, in_vain } if full => {
                // Only frames sent after the cut can tell whether it works: with a long queue
                // that takes as long as the queue.
                let newer = self.newest_sent - since;
                if newer < 0 {
                    State::Draining { since, peak: peak.max(queue), in_vain }
                } else if newer < STANDING_WINDOW {
                    State::Draining { since, peak, in_vain }
                } else if queue < peak * 9 / 10 {
                    // It drains. Measure the progress from here.
                    State::Draining { since: at, peak: queue, in_vain: 0 }
                } else if in_vain >= 3 {
                    // We went far down and nothing changed: a longer path, or somebody else's
                    // traffic. From here on this is the base.
                    self.rebase();
                    let rate = self.rate.max(self.before_cut.rate / 2.0);
                    self.take_back(Known { rate, ..self.before_cut });
                    State::Growing
                } else {
                    self.cut(queue, in_vain + 1, at);
                    State::Draining { since: at, peak: queue, in_vain: in_vain + 1 }
                }
            }
            _ if full => {
                self.cut_blind = hidden > 0;
                self.cut(queue, 0, at);
                State::Draining { since: at, peak: queue, in_vain: 0 }
            }
            State::Draining { since, .. } => {
                self.cut_blind = false;
                if self.newest_sent < since && !self.backlog {
                    // Gone before the cut could have any effect: it was not our queue.
                    self.take_back(self.before_cut);
                } else {
                    self.resume_at_capacity();
                }
                State::Growing
            }
            state => {
                // While a queue builds up is no time to grow, long before it is time to cut.
                if at - self.compared.0 >= STANDING_WINDOW {
                    let rises =
                        queue as f64 > self.tolerated() / 4.0 && queue > self.compared.1 + 3_000;
                    self.compared = (at, queue, rises);
                }
                if !self.compared.2 {
                    self.grow(elapsed);
                }
                state
            }
        };
    }

    /// A cut was in vain.
    fn take_back(&mut self, Known { rate, full_at, filled }: Known) {
        (self.rate, self.full_at, self.filled) = (rate, full_at, filled);
    }

    /// A queue of our own drains after a cut because more arrives than is sent. If not, somebody else
    /// fills it – a download that only losses slow down –, and less from us makes it no shorter.
    fn look_for_others(&mut self, full: bool, at: i64) {
        let sent = self.sent_recently.per_second() * 8.0;
        let even = full && self.drains() && self.received.per_second() * 8.0 <= EVEN * sent;
        let since = *self.even_since.get_or_insert(at);
        // What arrives now left as long ago as the newest that was reported.
        let lag = at - self.newest_sent;
        if !even {
            self.even_since = None;
        } else if at - since >= SURELY_OTHERS + lag {
            self.others_until = at + OTHERS_STAY;
        }
        if at < self.others_until {
            self.rate = self.rate.max(NOT_OURS_FLOOR);
        }
    }

    /// Next to nothing arrives of what is sent: no delay to measure, but a plain answer.
    fn starves(&mut self, at: i64) -> bool {
        let silent = at - self.last_arrival.max(self.first_sent.unwrap_or(at)) > STARVED;
        if !silent && self.loss() < NEARLY_ALL || self.sent_recently.sum() == 0 {
            return false;
        }
        if at - self.last_starved >= STARVED {
            self.last_starved = at;
            self.undisturbed = 0.0;
            self.rate = (self.rate * 0.6).max(NOT_OURS_FLOOR.min(self.rate));
            self.state = State::Growing;
        }
        true
    }

    /// What the link carries now that it is full, in bit/s: what arrives – or, while a large frame is on
    /// its way, which is reported when it is whole, the most that arrived of late.
    fn carried(&self, at: i64) -> f64 {
        let now = self.received.per_second() * 8.0;
        let large = |&(sent, wire): &(i64, u64)| {
            wire > LARGE && at - sent < WHOLE_BY && wire as f64 * 8.0 > 0.4 * now
        };
        if self.sent.values().any(large) {
            now.max(-self.received_peak.least().unwrap_or(0) as f64)
        } else {
            now
        }
    }

    /// The link is full: what arrives is what it carries.
    fn cut(&mut self, queue: i64, in_vain: u32, at: i64) {
        let received = self.carried(at).min(self.rate);
        let part = match queue {
            ..60_000 if in_vain == 0 => 0.85,
            ..150_000 => 0.7,
            _ => 0.6,
        };
        let ours = in_vain < 2 && at >= self.others_until;
        let floor = if ours { FLOOR_BPS as f64 } else { NOT_OURS_FLOOR };
        if in_vain == 0 {
            let (rate, full_at, filled) = (self.rate, self.full_at, self.filled);
            self.before_cut = Known { rate, full_at, filled };
            self.backlog = self.sent_recently.per_second() * 8.0 > BACKLOG * received;
            self.filled |= self.backlog;
            self.full_at = Some(received);
            self.undisturbed = 0.0;
        }
        self.rate = (received * part).max(floor).min(self.rate);
    }

    /// The queue is gone: back to a little less than what the link was seen to carry.
    fn resume_at_capacity(&mut self) {
        if let Some(full) = self.full_at {
            self.rate = self.rate.max(0.85 * full);
        }
    }

    fn grow(&mut self, seconds: f64) {
        let per_second = match self.state {
            State::Starting => f64::powf(2.0, 1.0 / self.paths as f64),
            // Gently where the link was last full, faster the longer nothing is in the way.
            _ if self.full_at.is_some_and(|f| (0.9 * f..1.08 * f).contains(&self.rate)) => 1.05,
            // Far below, what was cut was more than had to be.
            _ if self.full_at.is_some_and(|f| self.rate < 0.6 * f) => 1.5,
            _ => (1.04 + 0.1 * self.undisturbed).min(1.8),
        };
        self.undisturbed += seconds;
        self.since_moved += seconds;
        let grown = self.rate * f64::powf(per_second, seconds);
        // What was never sent was never tried: on a thin path a little beyond is a queue already. The
        // constant lets a rate at which only sound is sent grow until a picture fits beside it.
        let sent = self.sent_recently.per_second() * 8.0;
        let tried = if sent < THIN { 1.25 * sent + UNTRIED } else { 1.5 * sent };
        let granted = if self.as_at_first() { self.start as f64 } else { 0.0 };
        self.rate = grown.min(tried.max(granted).max(self.rate)).min(CEILING_BPS as f64);
    }

    fn rebase(&mut self) {
        self.base.clear();
        if let (Some(least), Some(last)) = (self.recent.least(), self.last_report) {
            self.base.push(last, least);
        }
    }

    /// The packets take another path from now on: what was known of the old one says nothing about
    /// its delay, and nothing about what it carries (RFC 9000 §9.4).
    pub fn moved(&mut self, now: Instant) {
        self.moved_at = self.micros(now);
        self.base.clear();
        self.recent.clear();
        self.round.clear();
        self.last_delay = None;
        self.jitter = FIRST_JITTER;
        self.rate = self.rate.min(AGAIN_BPS as f64);
        self.line.forget();
        self.full_at = None;
        (self.filled, self.since_moved) = (false, 0.0);
        self.over_since = None;
        self.longer = 0;
        self.compared = (self.compared.0, 0, false);
        self.state = State::Growing;
    }

    /// Reports come again after a pause: start again carefully.
    fn resume(&mut self, at: i64) {
        let silent = self.last_report.is_some_and(|last| at - last > 2_000_000);
        if silent {
            self.rate = (self.rate / 2.0).max(FLOOR_BPS as f64).min(AGAIN_BPS as f64);
            self.recent.clear();
            self.base.clear();
            self.last_delay = None;
            self.line.forget();
            self.state = State::Growing;
        }
    }

    /// What may be sent now, in bit/s on the wire: never more than 1.5 times what was really sent
    /// in the last seconds (or the start rate), since nothing above that was tried.
    pub fn rate_bps(&self, now: Instant) -> u64 {
        let tried = -self.sent_peak.least().unwrap_or(0);
        let most = u64::try_from(tried * 3 / 2).unwrap_or(0).max(self.start);
        match self.feedback(now) {
            Feedback::Fresh => (self.rate as u64).clamp(FLOOR_BPS, most),
            _ => FLOOR_BPS,
        }
    }

    /// How fast a large frame may go, in bit/s: what the link carried when it was last full; twice the
    /// rate where it was never full, or carried clearly more since – a picture that is late is worse
    /// than a queue for a moment.
    pub fn pace_bps(&self, now: Instant) -> u64 {
        let rate = self.rate_bps(now);
        let near = self.full_at.filter(|full| (rate as f64) < BEYOND_FULL * full);
        match near {
            Some(full) => rate.min(((full * AT_FULL) as u64).max(FLOOR_BPS)),
            None if self.longer() => rate,
            None => rate * 2,
        }
    }

    /// Whether the receiver is heard of.
    pub fn feedback(&self, now: Instant) -> Feedback {
        let silent = match (self.last_report, self.first_sent) {
            (Some(last), Some(_)) => self.micros(now) - last,
            (None, Some(first)) => self.micros(now) - first,
            (_, None) => 0,
        };
        match u128::try_from(silent).unwrap_or(0) {
            ..2_000_000 => Feedback::Fresh,
            2_000_000..10_000_000 => Feedback::AudioOnly,
            _ => Feedback::Stopped,
        }
    }

    /// Share of frames lost in the last three seconds, 0–1, by the receiver's count.
    pub fn loss(&self) -> f64 {
        match self.sent_frames.sum() {
            0 => 0.0,
            sent => (self.lost_frames.sum() as f64 / sent as f64).min(1.0),
        }
    }

    /// The standing queue on the path.
    pub fn queue_delay(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.queue_micros()).unwrap_or(0))
    }

    /// Variation of the delay from frame to frame.
    pub fn jitter(&self) -> Duration {
        Duration::from_micros(self.jitter as u64)
    }

    /// Least time from sending a frame to hearing of its arrival: round trip plus the receiver's
    /// report interval. `None` before the first report.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round.least().and_then(|t| u64::try_from(t).ok()).map(Duration::from_micros)
    }

    fn queue_micros(&self) -> i64 {
        match (self.recent.least(), self.base.least()) {
            (Some(recent), Some(base)) => (recent - base).max(0),
            _ => 0,
        }
    }

    /// The standing queue that is still put up with, µs.
    fn tolerated(&self) -> f64 {
        let fixed = if self.loss() > 0.02 { STANDING_WITH_LOSS } else { STANDING };
        fixed + (2.2 * self.jitter).min(130_000.0)
    }

    fn micros(&self, now: Instant) -> i64 {
        let since = now.saturating_duration_since(self.origin).as_micros();
        i64::try_from(since).unwrap_or(i64::MAX)
    }
}

/// For the log: everything that decides, in short.
impl std::fmt::Display for Estimator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.0} kbit/s, queue {} of {:.0} ms, jitter {:.1} ms, loss {:.2}, got {:.0} kbit/s, {:?}",
            self.rate / 1e3,
            self.queue_micros() / 1000,
            self.tolerated() / 1e3,
            self.jitter / 1e3,
            self.loss(),
            self.received.per_second() * 8e-3,
            self.state
        )
    }
}

/// Does this key identifier (12 bits) seal sound ([`StreamKind::Audio`](crate::wire::sframe::StreamKind))?
pub const fn is_sound(kid: u16) -> bool {
    kid >> 10 == 0
}

/// What a sealed frame takes on the wire, in bytes, packet headers included.
fn wire_bytes(bytes: usize) -> u64 {
    let bytes = bytes as u64;
    bytes + bytes.div_ceil(PACKET).max(1) * PACKET_OVERHEAD
}
