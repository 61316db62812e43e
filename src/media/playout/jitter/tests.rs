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
    }
}

/// What was played, in units of 10 ms: `Some(seq)` real, `None` concealed or silent.
struct Player {
    jitter: AudioJitter,
    start: Instant,
    queued: u64,
    played: Vec<Option<u32>>,
    recovered: Vec<u32>,
    /// Spoken again from deep redundancy.
    rebuilt: Vec<u32>,
    /// What every packet carries.
    extras: Extras,
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
            rebuilt: Vec::new(),
            extras: Extras { coarse: true, deep_ms: 0 },
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
                self.jitter.push(packet, self.extras, self.start + ms(at));
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
        self.queued += if matches!(pace, Pace::Slower(_)) { 10 } else { 0 };
        let faster = matches!(pace, Pace::Faster(_));
        let ahead = if faster { 20 } else { 10 };
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
                Pull::Deep { from, before_ms, millis } => {
                    // Packets of 20 ms.
                    let later = u32::from_be_bytes(from[..4].try_into().unwrap());
                    let seq = later - u32::from(before_ms).div_ceil(20);
                    self.rebuilt.push(seq);
                    (Some(seq), millis)
                }
                Pull::Conceal { millis } => (None, millis),
                Pull::Silence => {
                    silent = true;
                    break;
                }
            };
            self.queued += u64::from(length);
            self.played.extend(std::iter::repeat_n(what, usize::from(length / 10)));
        }
        if faster && self.queued > 10 {
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
    (0..n).map(|i| ((u64::from(i) + 1) * u64::from(millis) + delay, packet(i, millis))).collect()
}

#[test]
fn a_clean_stream_is_played_whole_60_ms_after_capture() {
    for (millis, wait) in [(10, 60), (20, 60), (40, 60), (60, 80)] {
        let mut player = Player::new();
        player.run(3000, &mut stream(100, millis, 5));
        let first = player.played.iter().position(Option::is_some).unwrap() as u64 * 10;
        assert!((wait..=wait + 15).contains(&first), "{millis} ms packets start at {first}");
        let stats = player.jitter.stats();
        // At the end, when nothing comes any more.
        assert!(stats.concealed_ms <= u64::from(STARVED_MS), "{stats:?}");
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
    assert!(matches!(player.jitter.pace(), Pace::Slower(_)), "it asks for more time");
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
            let mut p = packet(rng.random_range(0..3) + i / 2, [10, 20, 40, 60][i as usize % 4]);
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

/// Everything captured in these packets that was played, in order, each once.
fn whole(player: &Player, seqs: std::ops::Range<u32>) -> bool {
    let mut played: Vec<u32> = player.played.iter().flatten().copied().collect();
    played.retain(|seq| seqs.contains(seq));
    let each: Vec<u32> = seqs.flat_map(|seq| [seq, seq]).collect();
    played == each
}

#[test]
fn what_is_only_late_is_played_whole_and_the_wait_shrinks_again() {
    let mut player = Player { heeds: true, ..Player::new() };
    let mut packets = stream(900, 20, 5);
    // Everything stands still for 200 ms, once.
    for (at, _) in packets.iter_mut().filter(|(at, _)| (3000..3200).contains(at)) {
        *at = 3200;
    }
    player.run(3500, &mut packets);
    assert!(whole(&player, 100..160), "{:?}", &player.played[290..350]);
    let stats = player.jitter.stats();
    assert!((100..=180).contains(&stats.concealed_ms), "{stats:?}");
    assert_eq!((stats.late, stats.skipped_ms), (0, 0));
    let waits = player.jitter.waiting().unwrap();
    assert!(waits > ms(100), "{waits:?}: it shrinks already");
    player.run(17_500, &mut packets);
    assert_eq!(player.jitter.stats().concealed_ms, stats.concealed_ms);
    let waits = player.jitter.waiting().unwrap();
    assert!(waits < ms(85), "{waits:?}");
}

#[test]
fn nobody_waits_longer_than_the_longest_after_something_late() {
    for stall in [450, 600, 900] {
        let mut player = Player { heeds: true, ..Player::new() };
        let mut packets = stream(400, 20, 5);
        for (at, _) in packets.iter_mut().filter(|(at, _)| (3000..3000 + stall).contains(at)) {
            *at = 3000 + stall;
        }
        player.run(3000 + stall + 100, &mut packets);
        let stats = player.jitter.stats();
        assert!(stats.skipped_ms > 0 && stats.starts == 1, "{stall} ms: {stats:?}");
        let waits = player.jitter.waiting().unwrap();
        assert!(waits <= LONGEST + ms(10), "{waits:?} after {stall} ms");
        let seen: Vec<u32> = player.played.iter().flatten().copied().collect();
        assert!(seen.is_sorted());
    }
}

#[test]
fn a_path_that_is_50_ms_rough_conceals_less_than_one_per_cent() {
    let mut rng = StdRng::seed_from_u64(21);
    let mut player = Player { heeds: true, ..Player::new() };
    let mut packets = stream(3000, 20, 20);
    let mut latest = 0;
    for (at, _) in &mut packets {
        // Exponential, and one late packet holds up all behind it.
        *at += (-50.0 * (1.0 - rng.random_range(0.0..1.0f64)).ln()) as u64;
        latest = latest.max(*at);
        *at = latest;
    }
    player.run(5000, &mut packets);
    let before = player.jitter.stats();
    player.run(60_000, &mut packets);
    let concealed = player.jitter.stats().concealed_ms - before.concealed_ms;
    assert!(concealed * 100 <= 55_000, "{concealed} ms of 55 s");
    assert_eq!(player.jitter.stats().starts, 1);
}

/// Bursts of `length` packets of 20 ms, one in a second.
fn bursts(seconds: u32, length: u32) -> Vec<(u64, CodedAudio)> {
    let mut packets = stream(seconds * 50, 20, 5);
    packets.retain(|(_, p)| p.seq % 50 < 50 - length);
    packets
}

#[test]
fn a_burst_is_spoken_again_from_the_packet_behind_it() {
    let mut player = Player::new();
    (player.extras, player.heeds) = (Extras { coarse: false, deep_ms: 240 }, true);
    let mut packets = bursts(30, 4);
    player.run(15_000, &mut packets);
    let before = player.jitter.stats();
    assert_eq!(player.jitter.stats().recovered_ms, 0);
    player.run(29_900, &mut packets);
    let after = player.jitter.stats();
    assert_eq!(after.concealed_ms, before.concealed_ms, "it waits for as long as the bursts are");
    assert!(after.dred_ms - before.dred_ms >= 14 * 80, "{after:?}");
    for seq in player.played.iter().flatten().zip(player.played.iter().flatten().skip(1)) {
        assert!(seq.0 <= seq.1, "in order: {seq:?}");
    }
    let wait = player.jitter.waiting().unwrap();
    assert!(wait <= ms(130), "and not longer: {wait:?}");
}

#[test]
fn what_redundancy_does_not_reach_is_concealed() {
    let mut player = Player::new();
    (player.extras, player.heeds) = (Extras { coarse: false, deep_ms: 40 }, true);
    player.jitter = AudioJitter::new(ms(200));
    player.run(9900, &mut bursts(10, 4));
    let stats = player.jitter.stats();
    assert_eq!((stats.dred_ms, stats.concealed_ms), (9 * 40, 9 * 40), "{stats:?}");
    assert!(player.rebuilt.iter().all(|seq| seq % 50 >= 48), "{:?}", player.rebuilt);
}

#[test]
fn a_copy_in_time_is_played_rather_than_redundancy_and_a_later_one_is_not_waited_for() {
    let run = |behind: u64| {
        let mut player = Player::new();
        (player.extras, player.heeds) = (Extras { coarse: false, deep_ms: 240 }, true);
        let mut packets = stream(1500, 20, 5);
        for (at, _) in packets.iter_mut().filter(|(_, p)| p.seq % 50 == 49) {
            *at += behind;
        }
        player.run(29_900, &mut packets);
        let (stats, wait) = (player.jitter.stats(), player.jitter.waiting().unwrap());
        (stats.dred_ms / 20, wait)
    };
    let (spoken, _) = run(25);
    assert!(spoken <= 1, "{spoken}");
    let (spoken, wait) = run(150);
    assert!(spoken >= 27 && wait <= ms(80), "{spoken} {wait:?}");
}

#[test]
fn what_piled_up_while_the_process_stood_still_is_not_played_and_the_present_is() {
    let mut player = Player::new();
    let mut before = stream(50, 20, 30);
    player.run(1040, &mut before);
    player.queued = 0;
    let heard = player.played.len();
    // Ten seconds without a tick; the socket took in the first two of them.
    player.clock += 10_000;
    let back = player.clock;
    player.jitter.stood_still(player.start + ms(back));
    let piled = (50..150).map(|seq| (back, packet(seq, 20)));
    let fresh = (600..650).map(|seq| (u64::from(seq + 1) * 20 + 30, packet(seq, 20)));
    player.run(back + 2000, &mut piled.chain(fresh).collect());
    let played: Vec<_> = player.played[heard..].iter().flatten().copied().collect();
    assert!(played.iter().all(|seq| *seq >= 600), "{played:?}");
    assert!(played.len() >= 70, "{}", played.len());
}

#[test]
fn a_path_that_became_a_second_longer_meanwhile_is_heard_after_half_a_second() {
    let mut player = Player::new();
    player.run(1040, &mut stream(50, 20, 30));
    player.queued = 0;
    player.clock += 10_000;
    let back = player.clock;
    player.jitter.stood_still(player.start + ms(back));
    let late = (500..600).map(|seq| (u64::from(seq + 1) * 20 + 1530, packet(seq, 20)));
    let heard = player.played.len();
    player.run(back + 3000, &mut late.collect());
    let first = player.played[heard..].iter().position(Option::is_some);
    assert!(first.is_some_and(|ticks| (50..200).contains(&ticks)), "{first:?}");
}
