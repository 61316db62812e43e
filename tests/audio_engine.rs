//! Sound from one engine to another over a made-up network, on a made-up clock.
#![expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]

use facetty::media::engine::audio::{AudioEngine, AudioSettings, AudioStats};
use facetty::media::frame::CodedAudio;
use facetty::media::seams::{BLOCK, Pcm};
use facetty::wire::link::MemberId;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::time::{Duration, Instant};

const A: MemberId = MemberId(7);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What the network does to a packet: `None` loses it, else its delay in ms.
type Network<'a> = dyn FnMut(&CodedAudio) -> Option<u64> + 'a;

/// Sends `sound` from one engine to another, tick by tick; returns what is heard, the figures
/// (`playout_ms`: here from capture to playing, network and codec included) and what was sent.
fn call(
    sound: &[f32],
    settings: AudioSettings,
    network: &mut Network<'_>,
) -> (Vec<f32>, AudioStats, Vec<CodedAudio>) {
    let origin = Instant::now();
    let (mut from, mut to) = (AudioEngine::new(origin), AudioEngine::new(origin));
    from.set(settings);
    let mut flying: Vec<(u64, CodedAudio)> = Vec::new();
    let mut sent = Vec::new();
    let mut heard = Vec::new();
    let mut stats = AudioStats::default();
    for (tick, block) in sound.chunks_exact(BLOCK).enumerate() {
        let clock = (tick as u64 + 1) * 10;
        let now = origin + ms(clock);
        let block: &Pcm = block.try_into().unwrap();
        if let Some(packet) = from.captured(block, false, now) {
            sent.push(packet.clone());
            if let Some(delay) = network(&packet) {
                flying.push((clock + delay, packet));
            }
        }
        flying.sort_by_key(|(at, _)| *at);
        let due = flying.iter().take_while(|(at, _)| *at <= clock).count();
        for (at, packet) in flying.drain(..due) {
            to.received(A, packet, origin + ms(at));
        }
        heard.extend(to.playout(now, Duration::ZERO));
        if let Some(now) = to.stats().get(&A)
            && now.zero.is_some()
        {
            stats = *now;
        }
    }
    let zero = stats.zero.expect("something was played");
    (heard, AudioStats { playout_ms: (zero - origin).as_secs_f32() * 1e3, ..stats }, sent)
}

fn speechlike(seconds: usize) -> Vec<f32> {
    (0..seconds * 48_000)
        .map(|i| {
            let t = i as f32 / 48_000.0;
            let envelope = (0.5 + 0.5 * (t * 25.0).sin()) * 0.25;
            (1..12).map(|h| (t * 754.0 * h as f32).sin() / h as f32).sum::<f32>() * envelope
        })
        .collect()
}

#[test]
fn mouth_to_ear_stays_below_100_ms_on_a_clean_path() {
    let sound = speechlike(5);
    let (_, stats, _) = call(&sound, AudioSettings::default(), &mut |_| Some(1));
    // 10 ms for the loudspeaker's buffer come on top.
    assert!(stats.playout_ms + 10.0 <= 100.0, "{} ms", stats.playout_ms);
    assert_eq!(stats.jitter.concealed_ms, 0);
    assert_eq!(stats.jitter.late, 0);
}

#[test]
fn the_rate_of_what_arrives_is_told() {
    let sound = speechlike(4);
    for bps in [24_000, 12_000] {
        let settings = AudioSettings { bps, ..AudioSettings::default() };
        let (_, stats, sent) = call(&sound, settings, &mut |_| Some(1));
        // Fifty packets a second, all of one size.
        let sent = sent[100].bytes.len() as u32 * 50 * 8 / 1000;
        assert!(stats.kbps.abs_diff(sent) <= 1, "{} for {sent}", stats.kbps);
        assert!(stats.kbps.abs_diff(bps / 1000) <= 1, "{}", stats.kbps);
    }
}

#[test]
fn five_per_cent_random_loss_is_nearly_all_recovered() {
    let mut rng = StdRng::seed_from_u64(5);
    let sound = speechlike(60);
    let (_, stats, sent) =
        call(&sound, AudioSettings::default(), &mut |_| (!rng.random_bool(0.05)).then_some(50));
    let total = sent.len() as f64 * 20.0;
    assert!(stats.jitter.recovered_ms as f64 > total * 0.035, "{stats:?}");
    // Packets of a pause carry no coarse copy: there is nothing to copy, and that counts as concealed.
    assert!((stats.jitter.concealed_ms as f64) < total * 0.008, "{stats:?}");
    assert!(stats.playout_ms < 150.0);
}

#[test]
fn copies_recover_four_fifths_of_twenty_per_cent_random_loss() {
    let mut rng = StdRng::seed_from_u64(6);
    // The copy goes beside the next packet, and is lost as often.
    let settings = AudioSettings { loss_pct: 0, ..AudioSettings::default() };
    let mut repaired = 0;
    let (_, stats, _) = call(&speechlike(30), settings, &mut |_| {
        let lost = [(); 2].map(|()| rng.random_bool(0.2));
        repaired += 20 * u64::from(lost == [true, false]);
        [50, 70].into_iter().zip(lost).find(|(_, lost)| !lost).map(|(delay, _)| delay)
    });
    assert!(repaired > 4000, "{repaired} ms came as copies");
    assert!(stats.jitter.concealed_ms < 30_000 * 6 / 100, "{stats:?}");
}

#[test]
fn packets_look_the_same_whether_somebody_speaks_or_is_muted() {
    let origin = Instant::now();
    let sizes = |muted: bool| -> Vec<(u32, u64, usize)> {
        let mut engine = AudioEngine::new(origin);
        speechlike(2)
            .chunks_exact(BLOCK)
            .enumerate()
            .filter_map(|(i, block)| {
                let now = origin + ms((i as u64 + 1) * 10);
                engine.captured(block.try_into().unwrap(), muted, now)
            })
            .map(|p| (p.seq, p.at.0, p.bytes.len()))
            .collect()
    };
    assert_eq!(sizes(true), sizes(false));
    assert_eq!(sizes(true).len(), 100);
}

#[test]
fn muted_packets_hold_silence() {
    let origin = Instant::now();
    let (mut from, mut to) = (AudioEngine::new(origin), AudioEngine::new(origin));
    let mut loudest = 0.0f32;
    for (i, block) in speechlike(2).chunks_exact(BLOCK).enumerate() {
        let now = origin + ms((i as u64 + 1) * 10);
        if let Some(packet) = from.captured(block.try_into().unwrap(), true, now) {
            assert_eq!(packet.level, 127);
            to.received(A, packet, now);
        }
        loudest = to.playout(now, Duration::ZERO).iter().fold(loudest, |m, s| m.max(s.abs()));
    }
    assert!(loudest < 1e-3, "{loudest}");
}

#[test]
fn packet_time_and_rate_change_without_a_gap() {
    let origin = Instant::now();
    let (mut from, mut to) = (AudioEngine::new(origin), AudioEngine::new(origin));
    let mut expected_at = None;
    for (i, block) in speechlike(8).chunks_exact(BLOCK).enumerate() {
        let millis = [20, 60, 40, 10][i / 200];
        from.set(AudioSettings { millis, bps: 16_000, ..AudioSettings::default() });
        let now = origin + ms((i as u64 + 1) * 10);
        if let Some(packet) = from.captured(block.try_into().unwrap(), false, now) {
            let at = packet.at.0;
            assert!(expected_at.is_none_or(|e| e == at));
            expected_at = Some(at + u64::from(packet.millis) * 1000);
            to.received(A, packet, now);
        }
        to.playout(now, Duration::ZERO);
    }
    let stats = to.stats()[&A];
    assert_eq!(stats.broken, 0);
    assert!(stats.jitter.concealed_ms <= 40, "{stats:?}");
}

#[test]
fn drifting_clocks_neither_starve_nor_pile_up() {
    for ppm in [-1000i64, 1000] {
        let origin = Instant::now();
        let (mut from, mut to) = (AudioEngine::new(origin), AudioEngine::new(origin));
        let sound = speechlike(1);
        let (mut captured, mut worst) = (0u64, (u32::MAX, 0u32));
        for tick in 1..=4_500u64 {
            let now = origin + ms(tick * 10);
            // The sender's own 10 ms are a little longer or shorter than ours.
            loop {
                let theirs = (captured + 1) * 10_000;
                let ours = theirs as i64 + theirs as i64 * ppm / 1_000_000;
                if Duration::from_micros(ours as u64) > ms(tick * 10) {
                    break;
                }
                captured += 1;
                let i = (captured as usize % 100) * BLOCK;
                let block: &Pcm = sound[i..i + BLOCK].try_into().unwrap();
                let stamp = origin + Duration::from_micros(theirs);
                if let Some(packet) = from.captured(block, false, stamp) {
                    to.received(A, packet, now);
                }
            }
            to.playout(now, Duration::ZERO);
            if tick > 100 && tick % 10 == 0 {
                let wait = to.stats()[&A].playout_ms as u32;
                worst = (worst.0.min(wait), worst.1.max(wait));
            }
        }
        let stats = to.stats()[&A];
        assert_eq!(stats.jitter.concealed_ms, 0, "{ppm} ppm: {stats:?}");
        assert!(worst.0 >= 35 && worst.1 <= 95, "{ppm} ppm: {worst:?}");
    }
}

#[test]
fn the_loudest_member_gets_the_floor_and_keeps_it_over_short_pauses() {
    let origin = Instant::now();
    let (mut a, mut b) = (AudioEngine::new(origin), AudioEngine::new(origin));
    let mut to = AudioEngine::new(origin);
    let b_id = MemberId(9);
    let sound = speechlike(6);
    let mut floor = Vec::new();
    for (i, block) in sound.chunks_exact(BLOCK).enumerate() {
        let now = origin + ms((i as u64 + 1) * 10);
        let block: &Pcm = block.try_into().unwrap();
        // A speaks in seconds 0–2 with a pause of 0.3 s, B in seconds 3–5.
        let a_muted = i >= 300 || (100..130).contains(&i);
        if let Some(packet) = a.captured(block, a_muted, now) {
            to.received(A, packet, now);
        }
        if let Some(packet) = b.captured(block, i < 300, now) {
            to.received(b_id, packet, now);
        }
        to.playout(now, Duration::ZERO);
        floor.push(to.speaker());
    }
    assert!(floor[30..300].iter().all(|f| *f == Some(A)));
    assert!(floor[400..].iter().all(|f| *f == Some(b_id)));
    to.forget(b_id);
    assert_eq!(to.speaker(), None);
}

#[test]
fn garbage_from_a_member_is_concealed_and_counted() {
    let mut rng = StdRng::seed_from_u64(8);
    let origin = Instant::now();
    let (mut from, mut to) = (AudioEngine::new(origin), AudioEngine::new(origin));
    for (i, block) in speechlike(4).chunks_exact(BLOCK).enumerate() {
        let now = origin + ms((i as u64 + 1) * 10);
        if let Some(mut packet) = from.captured(block.try_into().unwrap(), false, now) {
            if packet.seq % 4 == 1 {
                packet.bytes = (0..60).map(|_| rng.random::<u8>()).collect();
            }
            if packet.seq % 16 == 2 {
                packet.millis = rng.random();
            }
            to.received(A, packet, now);
        }
        assert!(to.playout(now, Duration::ZERO).iter().all(|s| s.abs() <= 1.0));
    }
    assert!(to.stats()[&A].broken > 5);
}
