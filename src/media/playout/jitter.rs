//! The jitter buffer for sound: puts packets back in order and on time.
//!
//! Packets wait so that one that is late, lost (and repaired by its successor) or out of order
//! doesn't tear a hole. The wait is counted from capture: a packet's first sample is heard
//! `target` after it was captured plus the network's least delay, so a long packet waits less. The
//! line follows the fastest packets of the last two seconds. Where packets come later than that by
//! more than the usual wait, all waits grow to what all but one in two hundred of them need ([`Spread`]),
//! and shrink again when the path is calm. [`Pace`] says when the player should run a shade faster or
//! slower to hold that line against drifting clocks, changing routes and changing waits.
//!
//! When nothing is there in time, sound is made up. What was *lost* has had its time then, and
//! playing goes on behind it. What was only *late* is played whole when it comes, as NetEq (WebRTC,
//! `modules/audio_coding/neteq`) does: nothing that was said is missing, the wait has grown by as
//! much as the packet was late, and the next ones are in time. Only where that would make the wait
//! longer than anybody should have to wait, the beginning of what comes late is left out.
//!
//! What stands in for a lost packet when its time has come, best first: its own late copy, the coarse
//! copy in its successor (LBRR), what a later packet's deep redundancy tells of it (DRED), and
//! concealment. Where there is deep redundancy nobody waits for copies, only for the end of bursts, as
//! far as that pays ([`Repairs`]).

use super::history::History;
use super::line::{MinLine, micros, micros_since, shift};
use super::repairs::Repairs;
use super::spread::Spread;
use crate::media::frame::CodedAudio;
use crate::time::MediaTime;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// No more sound than this is ever held.
pub const BOUND: Duration = Duration::from_millis(500);
/// Nobody waits longer than this from capture, whatever the jitter: talking would turn into taking
/// turns.
const LONGEST: Duration = Duration::from_millis(400);
/// What comes late is played whole as long as nobody waits for it by more than this beyond the usual.
const BEYOND: Duration = Duration::from_millis(200);
/// … and where losses come in bursts by more than this: what is late there had been given up, and to
/// play it whole after each burst would add them up.
const BEYOND_BURSTS: Duration = Duration::from_millis(20);
/// A packet waits at least this long, however long it is itself.
const LEAST_WAIT: Duration = Duration::from_millis(20);
/// Concealed without a packet in sight for this long: stop playing, start anew with what comes.
const STARVED_MS: u32 = 1000;
/// How far the line may be off before the pace is changed, in µs; from where on it is changed
/// briskly, and from where on at all costs. Too short a wait is mended sooner than too long a one:
/// it tears holes.
const TOLERANCE_US: i64 = 12_000;
const BRISK_US: (i64, i64) = (25_000, 50_000);
const HURRY_US: (i64, i64) = (60_000, 130_000);
/// After this process stood still, what comes later than this after its time is from before.
const PAST: Duration = Duration::from_secs(1);
/// So many late packets in a row mean that the expected position is wrong, not the packets.
const LATE_IN_A_ROW: u32 = 25;

/// What to play next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pull {
    /// Decode this packet; leave out its first `skip_ms` (already concealed).
    Packet {
        /// The packet.
        packet: CodedAudio,
        /// Milliseconds at its beginning that were concealed while it was missing.
        skip_ms: u8,
        /// Sound was left out before it: blend, don't join.
        jump: bool,
    },
    /// The packet is lost; decode the coarse copy (LBRR) inside its successor.
    Fec {
        /// The successor's bytes. It comes again as [`Pull::Packet`].
        next: Bytes,
        /// Length of the lost packet.
        millis: u8,
        /// As in [`Pull::Packet`].
        skip_ms: u8,
    },
    /// The packet is lost; a later one's deep redundancy (DRED) tells what was said in it.
    Deep {
        /// The later packet's bytes. It comes again as [`Pull::Packet`].
        from: Bytes,
        /// How long before the later packet's first sample the sound began, in ms.
        before_ms: u16,
        /// How much of it is wanted: the rest of the lost packet.
        millis: u8,
    },
    /// Nothing there in time: conceal so much.
    Conceal {
        /// 10.
        millis: u8,
    },
    /// Not playing: before the first packet, or the sender is silent for good.
    Silence,
}

/// What a packet carries besides itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// A coarse copy (LBRR) of the packet before it.
    pub coarse: bool,
    /// Deep redundancy (DRED) for so long before it, in ms.
    pub deep_ms: u16,
}

/// What stood in for a lost packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// [`Pull::Fec`].
    Coarse,
    /// [`Pull::Deep`].
    Deep,
}

/// Whether the player should change its speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As it is.
    Even,
    /// Cut a little out: sound waits longer than it should.
    Faster(Haste),
    /// Repeat a little: packets come too close to their time.
    Slower(Haste),
}

/// How soon the speed should change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Haste {
    /// When it goes unheard: in pauses, on steady tones.
    Gentle,
    /// Soon.
    Brisk,
    /// At once.
    Hurry,
}

/// What happened to a member's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterStats {
    /// Packets that arrived (late ones and duplicates not counted).
    pub received: u64,
    /// Sound concealed, in ms: heard as a faint blur or a hole.
    pub concealed_ms: u64,
    /// Sound of lost packets recovered from the coarse copies (LBRR) in their successors, in ms.
    pub recovered_ms: u64,
    /// Sound of lost packets spoken again from deep redundancy (DRED), in ms.
    pub dred_ms: u64,
    /// Packets that came after their time.
    pub late: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Sound thrown away to return to the present after a stall or a flood, in ms.
    pub skipped_ms: u64,
    /// Times that playing began anew.
    pub starts: u64,
    /// Sound waiting now, in ms (gaps included).
    pub depth_ms: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not playing, nothing there.
    Idle,
    /// The first packets are there; playing begins at the instant.
    Filling(Instant),
    Playing,
}

/// A packet that waits.
#[derive(Debug)]
struct Held {
    packet: CodedAudio,
    extras: Extras,
}

impl Held {
    const fn at(&self) -> MediaTime {
        self.packet.at
    }

    fn end(&self) -> MediaTime {
        end(&self.packet)
    }

    const fn millis(&self) -> u8 {
        self.packet.millis
    }
}

/// The jitter buffer of one member.
#[derive(Debug)]
pub struct AudioJitter {
    /// The least from capture to playing, on a calm path.
    target: Duration,
    /// How late packets come.
    spread: Spread,
    /// How late redundancy comes for those that don't.
    repairs: Repairs,
    state: State,
    packets: BTreeMap<u32, Held>,
    /// Sequence number and capture time of what is to be played next.
    next: u32,
    next_at: MediaTime,
    /// Packet time of the latest packet.
    millis: u8,
    /// Made up since the packet that is due was to be played.
    waited_ms: u32,
    /// Concealed since the last real sound.
    hole_ms: u32,
    /// Bit n: packet `next − 1 − n` was played (not recovered).
    played: u128,
    /// Below this everything was played or given up before the present start.
    floor: u32,
    late_in_a_row: u32,
    /// Sound was thrown away before the next packet.
    jump: bool,
    line: MinLine,
    history: History,
    /// Signed µs: how much later than it could the next sample is played, relative to its fastest
    /// arrival. Known while playing.
    wait_us: Option<i64>,
    started: bool,
    stats: JitterStats,
}

impl AudioJitter {
    /// A buffer that plays sound `target` after its capture plus the network's least delay
    /// (60 ms is a good one).
    pub fn new(target: Duration) -> Self {
        Self {
            target,
            spread: Spread::default(),
            repairs: Repairs::default(),
            state: State::Idle,
            packets: BTreeMap::new(),
            next: 0,
            next_at: MediaTime(0),
            millis: 20,
            waited_ms: 0,
            hole_ms: 0,
            played: 0,
            floor: 0,
            late_in_a_row: 0,
            jump: false,
            line: MinLine::default(),
            history: History::default(),
            wait_us: None,
            started: false,
            stats: JitterStats::default(),
        }
    }

    /// Takes in a packet that arrived at `now`, and what it carries besides.
    pub fn push(&mut self, packet: CodedAudio, extras: Extras, now: Instant) {
        if ![10, 20, 40, 60].contains(&packet.millis) {
            return;
        }
        if self.history.holds(end(&packet), now, PAST) {
            self.stats.skipped_ms += u64::from(packet.millis);
            return;
        }
        if self.started && self.refuse(&packet) {
            if packet.seq < self.next {
                self.came(&packet, extras, now);
            }
            return;
        }
        self.late_in_a_row = 0;
        self.line.arrived(end(&packet), now);
        self.came(&packet, extras, now);
        self.stats.received += 1;
        self.millis = packet.millis;
        match self.state {
            State::Idle => {
                // From here on this packet is the beginning.
                self.begin_at(packet.seq, packet.at);
                self.state = State::Filling(now + self.wait(packet.millis));
                self.stats.starts += 1;
                self.started = true;
            }
            State::Filling(until) => {
                // The first packet may have been slow: the fastest one decides when to begin.
                let ahead = packet.at.saturating_since(self.next_at);
                let mine = (now + self.wait(packet.millis)).checked_sub(ahead).unwrap_or(now);
                self.state = State::Filling(until.min(mine));
                if packet.seq < self.next {
                    self.begin_at(packet.seq, packet.at);
                }
            }
            State::Playing => {}
        }
        self.packets.insert(packet.seq, Held { packet, extras });
        self.enforce_bound();
    }

    /// Notes how late a packet came, in time or not. Where redundancy came before it, nobody had to
    /// wait for it.
    fn came(&mut self, packet: &CodedAudio, extras: Extras, now: Instant) {
        let Some(fastest) = self.line.arrival(end(packet)) else { return };
        let late = now.saturating_duration_since(fastest);
        if !self.repairs.covers(packet.seq) {
            self.spread.add(late, now);
        }
        self.repairs.arrived(packet.seq, packet.millis, extras.deep_ms, late, now);
    }

    /// Late, doubled, or (after many late ones) a sign that we are in the wrong place.
    fn refuse(&mut self, packet: &CodedAudio) -> bool {
        if packet.seq >= self.next {
            let doubled = self.packets.contains_key(&packet.seq);
            self.stats.duplicates += u64::from(doubled);
            return doubled;
        }
        if matches!(self.state, State::Filling(_)) && packet.seq >= self.floor {
            return false;
        }
        let back = self.next - 1 - packet.seq;
        if back < 128 && self.played >> back & 1 == 1 {
            self.stats.duplicates += 1;
            return true;
        }
        self.stats.late += 1;
        self.late_in_a_row += 1;
        if self.late_in_a_row >= LATE_IN_A_ROW && self.packets.is_empty() {
            self.stop();
            (self.started, self.floor) = (false, 0);
            return false;
        }
        true
    }

    /// What to play at `now`, after `queued` of sound that is already decoded. Call it until there
    /// are 10 ms to play.
    pub fn pull(&mut self, now: Instant, queued: Duration) -> Pull {
        match self.state {
            State::Idle => return Pull::Silence,
            State::Filling(until) if now < until => return Pull::Silence,
            State::Filling(_) => {
                self.state = State::Playing;
                self.skip_the_past(now);
            }
            State::Playing => {}
        }
        self.account_for_losses();
        self.leave_out_the_overdue(now, queued);
        self.measure(now, queued);
        if let Some(Held { packet, .. }) = self.packets.remove(&self.next) {
            let jump = std::mem::take(&mut self.jump);
            let skip_ms = self.overdue_ms(packet.at, now, queued).min(u32::from(packet.millis));
            self.advance(packet.millis, packet.at, true);
            (self.waited_ms, self.hole_ms) = (0, 0);
            return Pull::Packet { packet, skip_ms: skip_ms as u8, jump };
        }
        let missing = self.missing_millis();
        let successor = self.packets.get(&self.next.wrapping_add(1));
        if let Some(successor) = successor.filter(|held| held.extras.coarse) {
            let next = successor.packet.bytes.clone();
            let at = self.next_at;
            let skip_ms = self.waited_ms.min(u32::from(missing)) as u8;
            self.advance(missing, at, false);
            (self.waited_ms, self.hole_ms) = (0, 0);
            self.stats.recovered_ms += u64::from(missing - skip_ms);
            return Pull::Fec { next, millis: missing, skip_ms };
        }
        if let Some((from, before_ms)) = self.told_later() {
            // Redundancy has no phase to keep: it goes on where concealment ends.
            let millis = missing - self.waited_ms.min(u32::from(missing)) as u8;
            let at = self.next_at;
            self.advance(missing, at, false);
            (self.waited_ms, self.hole_ms) = (0, 0);
            self.stats.dred_ms += u64::from(millis);
            return Pull::Deep { from, before_ms, millis };
        }
        if self.packets.is_empty() && self.hole_ms >= STARVED_MS {
            self.stop();
            return Pull::Silence;
        }
        self.hole_ms += 10;
        self.stats.concealed_ms += 10;
        self.waited_ms += 10;
        Pull::Conceal { millis: 10 }
    }

    /// The nearest later packet whose redundancy tells what is to be played now, and how long before
    /// that packet it was, in ms.
    fn told_later(&self) -> Option<(Bytes, u16)> {
        let here = self.next_at.0.saturating_add(u64::from(self.waited_ms) * 1000);
        self.packets.values().find_map(|held| {
            // Everything is a multiple of 10 ms, but stamps are not.
            let before = held.at().saturating_since(MediaTime(here)).as_micros() + 5_000;
            let before_ms = u16::try_from(before / 10_000 * 10).ok()?;
            (before_ms > 0 && before_ms <= held.extras.deep_ms)
                .then(|| (held.packet.bytes.clone(), before_ms))
        })
    }

    /// What was made up while waiting is taken for packets that are known to be lost: later ones are
    /// there.
    fn account_for_losses(&mut self) {
        while !self.packets.is_empty() && !self.packets.contains_key(&self.next) {
            let missing = self.missing_millis();
            if self.waited_ms < u32::from(missing) {
                return;
            }
            let at = self.next_at;
            self.advance(missing, at, false);
            self.waited_ms -= u32::from(missing);
        }
    }

    /// Throws packets away that came so late that to play them would make everybody wait too long.
    fn leave_out_the_overdue(&mut self, now: Instant, queued: Duration) {
        while let Some(held) = self.packets.get(&self.next) {
            let (at, millis) = (held.at(), held.millis());
            if self.overdue_ms(at, now, queued) < u32::from(millis) {
                return;
            }
            self.packets.remove(&self.next);
            self.stats.skipped_ms += u64::from(millis);
            self.advance(millis, at, false);
            self.waited_ms -= u32::from(millis).min(self.waited_ms);
            // A sender's stamps may say anything.
            self.enforce_bound();
        }
    }

    /// How much of the sound from `at` on is to be left out if it is played next, in steps of 10 ms:
    /// only what can't be waited for, and at most what was made up in its place – or, where playing
    /// jumps anyway, what is held.
    fn overdue_ms(&self, at: MediaTime, now: Instant, queued: Duration) -> u32 {
        let most = if self.jump { BOUND.as_millis() as u32 } else { self.waited_ms };
        if most == 0 {
            return 0;
        }
        let Some(fastest) = self.line.arrival(at) else { return self.waited_ms };
        let beyond = if self.repairs.worth().is_zero() { BEYOND } else { BEYOND_BURSTS };
        let longest = LONGEST.min(self.delay(self.millis) + beyond);
        let longest = i64::try_from(longest.as_micros()).unwrap_or(0);
        let over = micros_since(fastest, now + queued) - longest;
        let over = u32::try_from(over.max(0)).unwrap_or(u32::MAX);
        (over.div_ceil(10_000).saturating_mul(10)).min(most)
    }

    /// The media time of what is played next.
    fn here(&self, now: Instant, queued: Duration) -> MediaTime {
        let behind = match self.packets.is_empty() {
            // Nothing shows that anything is lost.
            true => self.overdue_ms(self.next_at, now, queued),
            false => self.waited_ms,
        };
        MediaTime(self.next_at.0.saturating_add(u64::from(behind) * 1000))
    }

    /// A packet, or the repair promised by [`Pull::Fec`] or [`Pull::Deep`], turned out to be
    /// undecodable and was concealed: `millis` of it.
    pub fn failed(&mut self, millis: u8, repair: Option<Repair>) {
        let millis = u64::from(millis);
        self.stats.concealed_ms += millis;
        let promised = match repair {
            Some(Repair::Coarse) => &mut self.stats.recovered_ms,
            Some(Repair::Deep) => &mut self.stats.dred_ms,
            None => return,
        };
        *promised = promised.saturating_sub(millis);
    }

    /// Whether to play a shade faster or slower now.
    pub fn pace(&self) -> Pace {
        let Some(wait) = self.wait_us.filter(|_| self.state == State::Playing) else {
            return Pace::Even;
        };
        // What is made up needs no stretching.
        if self.waited_ms > 0 {
            return Pace::Even;
        }
        let error = wait - i64::try_from(self.delay(self.millis).as_micros()).unwrap_or(0);
        let haste = |brisk: i64, hurry: i64| match error.abs() {
            e if e > hurry => Haste::Hurry,
            e if e > brisk => Haste::Brisk,
            _ => Haste::Gentle,
        };
        match error {
            e if e > TOLERANCE_US => Pace::Faster(haste(BRISK_US.1, HURRY_US.1)),
            e if e < -TOLERANCE_US => Pace::Slower(haste(BRISK_US.0, HURRY_US.0)),
            _ => Pace::Even,
        }
    }

    /// Whether what is due next is there: only then is it worth taking before its time.
    pub fn ready(&self) -> bool {
        self.state == State::Playing && self.packets.contains_key(&self.next)
    }

    /// What happened so far.
    pub fn stats(&self) -> JitterStats {
        JitterStats {
            depth_ms: u32::try_from(self.span().as_millis()).unwrap_or(u32::MAX),
            ..self.stats
        }
    }

    /// From capture to playing without the network's least delay; `None` while not playing.
    pub fn waiting(&self) -> Option<Duration> {
        let wait = self.wait_us.filter(|_| self.state == State::Playing)?;
        Some(Duration::from_micros(u64::try_from(wait).unwrap_or(0)))
    }

    /// Is sound being played (real or concealed)?
    pub fn playing(&self) -> bool {
        self.state == State::Playing
    }

    /// From capture of a sample to its playing, not counting the network.
    fn delay(&self, millis: u8) -> Duration {
        self.wait(millis) + Duration::from_millis(u64::from(millis))
    }

    /// How long a packet waits after its arrival by the fastest way.
    fn wait(&self, millis: u8) -> Duration {
        let own = Duration::from_millis(u64::from(millis));
        let usual = self.target.saturating_sub(own).max(LEAST_WAIT);
        // A player takes ten milliseconds at a time.
        let needed = self.spread.most().max(self.repairs.worth()) + Duration::from_millis(10);
        usual.max(needed.min(LONGEST.saturating_sub(own)))
    }

    fn begin_at(&mut self, seq: u32, at: MediaTime) {
        (self.next, self.next_at) = (seq, at);
        (self.waited_ms, self.hole_ms, self.played) = (0, 0, 0);
    }

    /// The player stood still: everything held is the past.
    pub fn stood_still(&mut self, now: Instant) {
        self.history.stood_still(&self.line, now);
        if self.state != State::Idle {
            self.stop();
        }
    }

    fn stop(&mut self) {
        self.state = State::Idle;
        self.floor = self.next;
        self.packets.clear();
        self.line.clear();
        self.spread.clear();
        self.repairs.clear();
        (self.waited_ms, self.hole_ms, self.wait_us, self.jump) = (0, 0, None, false);
    }

    /// Goes one packet on.
    fn advance(&mut self, millis: u8, at: MediaTime, real: bool) {
        self.next = self.next.wrapping_add(1);
        self.next_at = MediaTime(at.0.saturating_add(u64::from(millis) * 1000));
        self.played = self.played << 1 | u128::from(real);
    }

    /// Length of the packet that is missing at `next`: what fits between its neighbours, or the
    /// present packet time.
    fn missing_millis(&self) -> u8 {
        let Some((&seq, after)) = self.packets.first_key_value() else { return self.millis };
        let gap_us = after.at().saturating_since(self.next_at).as_micros();
        let each = gap_us / u128::from(seq.wrapping_sub(self.next).max(1));
        [10u8, 20, 40, 60]
            .into_iter()
            .find(|m| each.abs_diff(u128::from(*m) * 1000) <= 3000)
            .unwrap_or(self.millis)
    }

    /// From the next sample to play to the end of the newest packet.
    fn span(&self) -> Duration {
        let Some((&seq, last)) = self.packets.last_key_value() else { return Duration::ZERO };
        let own = u64::from(last.millis());
        let by_clock = last.at().saturating_since(self.next_at) + Duration::from_millis(own);
        // A sender whose clock stands still can't hide a long queue behind it.
        let by_count = Duration::from_millis(10 * u64::from(seq.saturating_sub(self.next)) + own);
        by_clock.max(by_count)
    }

    /// Starts at what is due now: packets that piled up during a stall are history.
    fn skip_the_past(&mut self, now: Instant) {
        let mut skipped = 0;
        while self.packets.len() > 1
            && let Some((_, first)) = self.packets.first_key_value()
        {
            let delay = self.delay(first.millis());
            let due = self.line.arrival(first.end()).and_then(|t| t.checked_add(delay));
            if due.is_none_or(|due| due > now) {
                break;
            }
            skipped += u64::from(first.millis());
            self.packets.pop_first();
        }
        if let Some((&seq, first)) = self.packets.first_key_value() {
            let at = first.at();
            self.begin_at(seq, at);
        }
        self.stats.skipped_ms += skipped;
        self.jump = skipped > 0;
    }

    /// Throws the oldest away when more than the bound is held, down to the ordinary depth: back to
    /// the present, rather than just below the bound for good.
    fn enforce_bound(&mut self) {
        if self.span() <= BOUND && self.packets.len() <= 32 {
            return;
        }
        let before = self.span();
        let usual = self.delay(self.millis);
        while self.packets.len() > 1 && self.span() > usual {
            self.packets.pop_first();
            let Some((&seq, first)) = self.packets.first_key_value() else { break };
            let at = first.at();
            let gone = seq.saturating_sub(self.next).min(127);
            (self.next, self.next_at) = (seq, at);
            self.played = self.played.checked_shl(gone).unwrap_or(0);
            self.waited_ms = 0;
        }
        if self.span() > BOUND {
            // One packet far ahead of everything: a pause on the sender's side. Go there.
            if let Some((&seq, first)) = self.packets.first_key_value() {
                let at = first.at();
                self.begin_at(seq, at);
            }
        }
        let skipped = before.saturating_sub(self.span());
        self.stats.skipped_ms += u64::try_from(skipped.as_millis()).unwrap_or(0).min(60_000);
        self.jump = true;
        self.wait_us = None;
    }

    /// How late the next sample is played against its fastest arrival.
    fn measure(&mut self, now: Instant, queued: Duration) {
        let plays = now + queued;
        self.wait_us = self
            .line
            .arrival(self.here(now, queued))
            .map(|fastest| micros_since(fastest, plays))
            // A jump of the sender's clock is no reason to change the pace for minutes.
            .filter(|us| us.unsigned_abs() < 1_000_000);
    }

    /// The instant at which media time zero is (would be) played, given that the next sample is
    /// played `queued` after `now`.
    pub fn zero(&self, now: Instant, queued: Duration) -> Option<Instant> {
        if self.state != State::Playing {
            return None;
        }
        let here = micros(self.here(now, queued));
        let queued = i64::try_from(queued.as_micros()).unwrap_or(0);
        shift(now, queued.saturating_sub(here))
    }
}

/// When a packet's last sample was captured.
fn end(packet: &CodedAudio) -> MediaTime {
    MediaTime(packet.at.0.saturating_add(u64::from(packet.millis) * 1000))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
mod tests;
