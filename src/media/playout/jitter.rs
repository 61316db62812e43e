//! The jitter buffer for sound: puts packets back in order and on time.
//!
//! Packets wait so that one that is late, lost (and repaired by its successor) or out of order
//! doesn't tear a hole. The wait is counted from capture: a packet's first sample is heard
//! `target` after it was captured plus the network's least delay, so a long packet waits less. The
//! line follows the fastest packets of the last two seconds. Where packets come later than that by
//! more than the usual wait, all waits grow to what all but one in two hundred of them need ([`Spread`]),
//! and shrink again when the path is calm. [`Pace`] says when the player should run a shade faster or
//! slower to hold that line against drifting clocks, changing routes and changing waits.

use super::line::{MinLine, micros, micros_since, shift};
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
const LONGEST: Duration = Duration::from_millis(300);
/// A packet waits at least this long, however long it is itself.
const LEAST_WAIT: Duration = Duration::from_millis(20);
/// Concealed without a packet in sight for this long: stop playing, start anew with what comes.
const STARVED_MS: u32 = 120;
/// How far the line may be off before the pace is changed.
const TOLERANCE_US: i64 = 12_000;
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
    /// The packet is lost, its copy isn't: decode `bytes` as an ordinary packet.
    Copy {
        /// The copy sent along with the next packet.
        bytes: Bytes,
        /// Capture time of its first sample.
        at: MediaTime,
        /// Its length.
        millis: u8,
        /// As in [`Pull::Packet`].
        skip_ms: u8,
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
    /// Nothing there in time: conceal so much.
    Conceal {
        /// 10.
        millis: u8,
    },
    /// Not playing: before the first packet, or the sender is silent for good.
    Silence,
}

/// Whether the player should change its speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As it is.
    Even,
    /// Cut a little out: sound waits longer than it should.
    Faster,
    /// Repeat a little: packets come too close to their time.
    Slower,
}

/// What happened to a member's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterStats {
    /// Packets that arrived (late ones and duplicates not counted).
    pub received: u64,
    /// Sound concealed, in ms: heard as a faint blur or a hole.
    pub concealed_ms: u64,
    /// Sound of lost packets recovered from their successors, in ms.
    pub recovered_ms: u64,
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

/// The jitter buffer of one member.
#[derive(Debug)]
pub struct AudioJitter {
    /// The least from capture to playing, on a calm path.
    target: Duration,
    /// How late packets come.
    spread: Spread,
    state: State,
    packets: BTreeMap<u32, CodedAudio>,
    /// Sequence number and capture time of what is to be played next.
    next: u32,
    next_at: MediaTime,
    /// Packet time of the latest packet.
    millis: u8,
    /// Of the packet that is due: how much was concealed while waiting for it.
    waited_ms: u8,
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
            wait_us: None,
            started: false,
            stats: JitterStats::default(),
        }
    }

    /// Takes in a packet that arrived at `now`.
    pub fn push(&mut self, packet: CodedAudio, now: Instant) {
        if ![10, 20, 40, 60].contains(&packet.millis) {
            return;
        }
        let end = MediaTime(packet.at.0.saturating_add(u64::from(packet.millis) * 1000));
        if self.started && self.refuse(&packet) {
            if packet.seq < self.next {
                self.came(end, now);
            }
            return;
        }
        self.late_in_a_row = 0;
        self.line.arrived(end, now);
        self.came(end, now);
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
        self.packets.insert(packet.seq, packet);
        self.enforce_bound();
    }

    /// Notes how late a packet came, in time or not.
    fn came(&mut self, end: MediaTime, now: Instant) {
        if let Some(fastest) = self.line.arrival(end) {
            self.spread.add(now.saturating_duration_since(fastest), now);
        }
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
        self.measure(now, queued);
        let skip_ms = self.waited_ms;
        if let Some(packet) = self.packets.remove(&self.next) {
            let jump = std::mem::take(&mut self.jump);
            self.advance(packet.millis, packet.at, true);
            self.hole_ms = 0;
            return Pull::Packet { packet, skip_ms, jump };
        }
        let missing = self.missing_millis();
        if let Some(successor) = self.packets.get(&self.next.wrapping_add(1)) {
            let (bytes, copy) = (successor.bytes.clone(), successor.previous.clone());
            let at = self.next_at;
            self.advance(missing, at, false);
            self.hole_ms = 0;
            self.stats.recovered_ms += u64::from(missing - skip_ms.min(missing));
            return match copy {
                Some(bytes) => Pull::Copy { bytes, at, millis: missing, skip_ms },
                None => Pull::Fec { next: bytes, millis: missing, skip_ms },
            };
        }
        if self.packets.is_empty() && self.hole_ms >= STARVED_MS {
            self.stop();
            return Pull::Silence;
        }
        self.hole_ms += 10;
        self.stats.concealed_ms += 10;
        self.waited_ms += 10;
        if self.waited_ms >= missing {
            let at = self.next_at;
            self.advance(missing, at, false);
        }
        Pull::Conceal { millis: 10 }
    }

    /// A recovery promised by [`Pull::Fec`] or [`Pull::Copy`], or a packet, turned out to be
    /// undecodable and was concealed: `millis` of it.
    pub fn failed(&mut self, millis: u8, recovery: bool) {
        self.stats.concealed_ms += u64::from(millis);
        if recovery {
            self.stats.recovered_ms = self.stats.recovered_ms.saturating_sub(u64::from(millis));
        }
    }

    /// Whether to play a shade faster or slower now.
    pub fn pace(&self) -> Pace {
        let Some(wait) = self.wait_us.filter(|_| self.state == State::Playing) else {
            return Pace::Even;
        };
        let error = wait - i64::try_from(self.delay(self.millis).as_micros()).unwrap_or(0);
        match error {
            e if e > TOLERANCE_US => Pace::Faster,
            e if e < -TOLERANCE_US => Pace::Slower,
            _ => Pace::Even,
        }
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
        let needed = self.spread.most() + Duration::from_millis(10);
        usual.max(needed.min(LONGEST.saturating_sub(own)))
    }

    fn begin_at(&mut self, seq: u32, at: MediaTime) {
        (self.next, self.next_at) = (seq, at);
        (self.waited_ms, self.hole_ms, self.played) = (0, 0, 0);
    }

    fn stop(&mut self) {
        self.state = State::Idle;
        self.floor = self.next;
        self.packets.clear();
        self.line.clear();
        self.spread.clear();
        (self.waited_ms, self.hole_ms, self.wait_us, self.jump) = (0, 0, None, false);
    }

    /// Goes one packet on.
    fn advance(&mut self, millis: u8, at: MediaTime, real: bool) {
        self.next = self.next.wrapping_add(1);
        self.next_at = MediaTime(at.0.saturating_add(u64::from(millis) * 1000));
        self.played = self.played << 1 | u128::from(real);
        self.waited_ms = 0;
    }

    /// Length of the packet that is missing at `next`: what fits between its neighbours, or the
    /// present packet time.
    fn missing_millis(&self) -> u8 {
        let Some((&seq, after)) = self.packets.first_key_value() else { return self.millis };
        let gap_us = after.at.saturating_since(self.next_at).as_micros();
        let each = gap_us / u128::from(seq.wrapping_sub(self.next).max(1));
        [10u8, 20, 40, 60]
            .into_iter()
            .find(|m| each.abs_diff(u128::from(*m) * 1000) <= 3000)
            .unwrap_or(self.millis)
    }

    /// From the next sample to play to the end of the newest packet.
    fn span(&self) -> Duration {
        let Some((&seq, last)) = self.packets.last_key_value() else { return Duration::ZERO };
        let own = u64::from(last.millis);
        let by_clock = last.at.saturating_since(self.next_at) + Duration::from_millis(own);
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
            let end = MediaTime(first.at.0.saturating_add(u64::from(first.millis) * 1000));
            let due = self.line.arrival(end).and_then(|t| t.checked_add(self.delay(first.millis)));
            if due.is_none_or(|due| due > now) {
                break;
            }
            skipped += u64::from(first.millis);
            self.packets.pop_first();
        }
        if let Some((&seq, first)) = self.packets.first_key_value() {
            let at = first.at;
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
            let at = first.at;
            let gone = seq.saturating_sub(self.next).min(127);
            (self.next, self.next_at) = (seq, at);
            self.played = self.played.checked_shl(gone).unwrap_or(0);
            self.waited_ms = 0;
        }
        if self.span() > BOUND {
            // One packet far ahead of everything: a pause on the sender's side. Go there.
            if let Some((&seq, first)) = self.packets.first_key_value() {
                let at = first.at;
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
        let here = self.next_at.0.saturating_add(u64::from(self.waited_ms) * 1000);
        let plays = now + queued;
        self.wait_us = self
            .line
            .arrival(MediaTime(here))
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
        let here = micros(self.next_at).saturating_add(i64::from(self.waited_ms) * 1000);
        let queued = i64::try_from(queued.as_micros()).unwrap_or(0);
        shift(now, queued.saturating_sub(here))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn packet(seq: u32, millis: u8) -> CodedAudio {
        CodedAudio {
            seq,
            at: MediaTime(u64::from(seq) * u64::from(millis) * 1000),
            millis,
            level: 40,
            bytes: Bytes::from(seq.to_be_bytes().to_vec()),
            previous: None,
        }
    }

    /// What was played, in units of 10 ms: `Some(seq)` real, `None` concealed or silent.
    struct Player {
        jitter: AudioJitter,
        start: Instant,
        queued: u64,
        played: Vec<Option<u32>>,
        recovered: Vec<u32>,
        clock: u64,
        /// Plays faster and slower when it is told to: 10 ms in 40.
        heeds: bool,
    }

    impl Player {
        fn new() -> Self {
            Self {
                jitter: AudioJitter::new(ms(60)),
                start: Instant::now(),
                queued: 0,
                played: Vec::new(),
                recovered: Vec::new(),
                clock: 0,
                heeds: false,
            }
        }

        /// Plays ticks up to `until` ms, packets of `arrivals` (ms, packet) coming in on the way.
        fn run(&mut self, until: u64, arrivals: &mut Vec<(u64, CodedAudio)>) {
            arrivals.sort_by_key(|(at, _)| *at);
            while self.clock < until {
                let due = arrivals.iter().take_while(|(at, _)| *at <= self.clock).count();
                for (at, packet) in arrivals.drain(..due) {
                    self.jitter.push(packet, self.start + ms(at));
                    assert!(self.jitter.span() <= BOUND);
                }
                self.tick();
                self.clock += 10;
            }
        }

        fn tick(&mut self) {
            let now = self.start + ms(self.clock);
            let mut silent = false;
            let pace = match self.heeds && self.clock.is_multiple_of(40) {
                true => self.jitter.pace(),
                false => Pace::Even,
            };
            self.queued += if pace == Pace::Slower { 10 } else { 0 };
            let ahead = if pace == Pace::Faster { 20 } else { 10 };
            for _ in 0..64 {
                if self.queued >= ahead {
                    break;
                }
                let (what, length) = match self.jitter.pull(now, ms(self.queued)) {
                    Pull::Packet { packet, skip_ms, .. } => {
                        (Some(packet.seq), packet.millis.saturating_sub(skip_ms))
                    }
                    Pull::Fec { next, millis, skip_ms } => {
                        let seq = u32::from_be_bytes(next[..4].try_into().unwrap()) - 1;
                        self.recovered.push(seq);
                        (Some(seq), millis - skip_ms)
                    }
                    Pull::Copy { millis, skip_ms, .. } => (None, millis - skip_ms),
                    Pull::Conceal { millis } => (None, millis),
                    Pull::Silence => {
                        silent = true;
                        break;
                    }
                };
                self.queued += u64::from(length);
                self.played.extend(std::iter::repeat_n(what, usize::from(length / 10)));
            }
            if pace == Pace::Faster && self.queued > 10 {
                self.queued -= 10;
            }
            if silent && self.queued == 0 {
                self.played.push(None);
            } else {
                self.queued -= 10;
            }
        }
    }

    fn stream(n: u32, millis: u8, delay: u64) -> Vec<(u64, CodedAudio)> {
        (0..n)
            .map(|i| ((u64::from(i) + 1) * u64::from(millis) + delay, packet(i, millis)))
            .collect()
    }

    #[test]
    fn a_clean_stream_is_played_whole_60_ms_after_capture() {
        for (millis, wait) in [(10, 60), (20, 60), (40, 60), (60, 80)] {
            let mut player = Player::new();
            player.run(3000, &mut stream(100, millis, 5));
            let first = player.played.iter().position(Option::is_some).unwrap() as u64 * 10;
            assert!((wait..=wait + 15).contains(&first), "{millis} ms packets start at {first}");
            let stats = player.jitter.stats();
            assert!(stats.concealed_ms <= 120, "{stats:?}");
            let real = player.played.iter().flatten().count() as u64 * 10;
            assert!(real >= (100 * u64::from(millis)).min(3000 - first));
        }
    }

    #[test]
    fn a_lost_packet_is_recovered_from_its_successor() {
        let mut player = Player::new();
        let mut packets = stream(100, 20, 5);
        packets.retain(|(_, p)| p.seq % 10 != 4);
        player.run(1900, &mut packets);
        assert_eq!(player.recovered, (0..9).map(|i| i * 10 + 4).collect::<Vec<_>>());
        assert_eq!(player.jitter.stats().concealed_ms, 0);
        assert_eq!(player.jitter.stats().recovered_ms, 180);
    }

    #[test]
    fn a_long_packet_is_recovered_in_part_when_its_successor_comes_in_time_for_that() {
        let mut player = Player::new();
        let mut packets = stream(50, 40, 5);
        packets.retain(|(_, p)| p.seq != 20);
        player.run(1800, &mut packets);
        let stats = player.jitter.stats();
        assert_eq!(stats.concealed_ms + stats.recovered_ms, 40);
        assert!(stats.recovered_ms >= 10, "{stats:?}");
    }

    #[test]
    fn packets_out_of_order_within_the_wait_are_put_right() {
        let mut player = Player::new();
        let mut packets = stream(100, 20, 5);
        for (at, packet) in &mut packets {
            if packet.seq % 3 == 0 {
                *at += 35;
            }
        }
        player.run(1900, &mut packets);
        assert_eq!(player.jitter.stats().concealed_ms, 0);
        let seen: Vec<u32> = player.played.iter().flatten().copied().collect();
        assert!(seen.is_sorted());
        assert!(player.recovered.is_empty());
    }

    #[test]
    fn duplicates_are_played_once() {
        let mut player = Player::new();
        let mut packets = stream(50, 20, 5);
        let again: Vec<_> = packets.iter().map(|(at, p)| (at + 30, p.clone())).collect();
        let much_later: Vec<_> = packets.iter().map(|(at, p)| (at + 200, p.clone())).collect();
        packets.extend(again);
        packets.extend(much_later);
        player.run(1000, &mut packets);
        let mut seen: Vec<u32> = player.played.iter().flatten().copied().collect();
        assert!(seen.is_sorted());
        seen.dedup();
        assert_eq!(seen, (0..seen.len() as u32).collect::<Vec<_>>());
        let stats = player.jitter.stats();
        assert!(stats.duplicates >= 70 && stats.late == 0, "{stats:?}");
    }

    #[test]
    fn late_packets_are_dropped_counted_and_waited_for_from_then_on() {
        let mut player = Player::new();
        let mut packets = stream(400, 20, 5);
        for (at, packet) in &mut packets {
            if packet.seq % 7 == 3 {
                *at += 110;
            }
        }
        let mut heeding = Player { heeds: true, ..Player::new() };
        heeding.run(7900, &mut packets.clone());
        player.run(7900, &mut packets);
        let stats = player.jitter.stats();
        assert!(stats.late >= 55, "{stats:?}");
        assert!(stats.recovered_ms > 1000, "their successors hold a copy: {stats:?}");
        assert_eq!(player.jitter.pace(), Pace::Slower, "it asks for more time");
        let stats = heeding.jitter.stats();
        assert!(stats.late < 15, "{stats:?}");
        let waits = heeding.jitter.waiting().unwrap();
        assert!((ms(130)..ms(170)).contains(&waits), "{waits:?}");
    }

    #[test]
    fn jitter_is_waited_for_and_no_longer_when_it_is_over() {
        let mut rng = StdRng::seed_from_u64(8);
        let mut player = Player { heeds: true, ..Player::new() };
        let mut packets = stream(2000, 20, 20);
        for (at, _) in packets.iter_mut().filter(|(at, _)| *at < 25_000) {
            // Exponential, 40 ms on average, in order (as queues do).
            *at += (-40.0 * (1.0 - rng.random_range(0.0..1.0f64)).ln()) as u64;
        }
        player.run(5_000, &mut packets);
        let before = player.jitter.stats();
        player.run(25_000, &mut packets);
        let after = player.jitter.stats();
        let concealed = after.concealed_ms - before.concealed_ms;
        assert!(concealed <= 200, "{concealed} ms of 20 s, {after:?}");
        let waits = player.jitter.waiting().unwrap();
        assert!(waits > ms(150) && waits <= LONGEST + ms(20), "{waits:?}");
        player.run(35_000, &mut packets);
        let waits = player.jitter.waiting().unwrap();
        assert!(waits < ms(85), "{waits:?} ten seconds after");
        assert!(player.jitter.stats().concealed_ms - after.concealed_ms <= 60);
    }

    #[test]
    fn a_flood_never_fills_more_than_the_bound() {
        let mut rng = StdRng::seed_from_u64(3);
        let mut player = Player::new();
        let mut packets: Vec<_> = (0..5000)
            .map(|i| {
                let mut p =
                    packet(rng.random_range(0..3) + i / 2, [10, 20, 40, 60][i as usize % 4]);
                p.at = MediaTime(rng.random_range(0..10_000_000));
                (u64::from(i) / 8, p)
            })
            .collect();
        packets.push((700, packet(u32::MAX, 20)));
        packets.push((701, packet(u32::MAX - 1, 20)));
        player.run(900, &mut packets);
        assert!(player.jitter.packets.len() <= 32);
    }

    #[test]
    fn after_a_stall_playing_jumps_to_the_present() {
        let mut player = Player::new();
        // From 1 s on nothing for three seconds, then everything at once.
        let mut packets = stream(400, 20, 5);
        for (at, _) in &mut packets {
            if (1000..4000).contains(at) {
                *at = 4000;
            }
        }
        player.run(6000, &mut packets);
        let at = |t: u64| player.played[usize::try_from(t / 10).unwrap()];
        assert_eq!(at(3500), None);
        let resumed = (4000..6000).step_by(10).find(|t| at(*t).is_some()).unwrap();
        assert!(resumed <= 4060, "back at {resumed}");
        let first = u64::from(at(resumed).unwrap()) * 20;
        assert!(resumed - first < 120, "heard {} ms after capture", resumed - first);
        let later = u64::from(at(5900).unwrap()) * 20;
        assert!(5900 - later < 100, "heard {} ms after capture", 5900 - later);
    }

    #[test]
    fn a_longer_route_is_followed() {
        let mut player = Player::new();
        let mut packets = stream(300, 20, 5);
        for (at, _) in packets.iter_mut().filter(|(at, _)| *at > 2000) {
            *at += 90;
        }
        player.run(5900, &mut packets);
        let tail = &player.played[300..];
        let real = tail.iter().flatten().count();
        assert!(real * 100 >= tail.len() * 98, "{real} of {}", tail.len());
    }

    #[test]
    fn packet_time_may_change_in_mid_stream() {
        let mut player = Player::new();
        let mut packets = Vec::new();
        let mut at = 0u64;
        for seq in 0..120u32 {
            let millis = [20, 60, 40, 10][seq as usize / 30];
            let mut p = packet(seq, millis);
            p.at = MediaTime(at * 1000);
            at += u64::from(millis);
            if seq % 10 != 5 {
                packets.push((at + 5, p));
            }
        }
        player.run(at, &mut packets);
        let stats = player.jitter.stats();
        assert!(stats.concealed_ms <= 9 * 60, "{stats:?}");
        assert!(stats.concealed_ms + stats.recovered_ms >= 300, "{stats:?}");
        assert_eq!((stats.late, stats.starts), (0, 1));
    }

    #[test]
    fn before_the_first_packet_there_is_silence_and_nothing_counts_as_concealed() {
        let mut player = Player::new();
        player.run(500, &mut Vec::new());
        assert!(player.played.iter().all(Option::is_none));
        assert_eq!(player.jitter.stats(), JitterStats::default());
    }

    #[test]
    fn a_sender_that_starts_over_is_heard_again() {
        let mut player = Player::new();
        let mut packets = stream(300, 20, 5);
        packets.extend(stream(100, 20, 7005));
        player.run(9000, &mut packets);
        let real = player.played[700..].iter().flatten().count();
        assert!(real > 140, "{real}");
    }

    #[test]
    fn copies_sent_along_replace_lost_packets() {
        let mut player = Player::new();
        let mut packets = stream(100, 20, 5);
        for (_, p) in &mut packets {
            p.previous = Some(Bytes::from_static(b"copy"));
        }
        packets.retain(|(_, p)| p.seq % 2 == 0);
        player.run(1900, &mut packets);
        let stats = player.jitter.stats();
        assert_eq!(stats.concealed_ms, 0);
        assert!(stats.recovered_ms > 800);
    }
}
