//! How much of the synthetic voice is understood after codec, network and playout.
#![expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]

use facetty::media::codec::opus::LOOKAHEAD;
use facetty::media::dsp::resample;
use facetty::media::engine::audio::{AudioEngine, AudioSettings};
use facetty::media::seams::{BLOCK, Pcm, PcmSource};
use facetty::media::source::voice::{Speech, Voice};
use facetty::media::stoi;
use facetty::time::{Now, Wall};
use facetty::wire::link::MemberId;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::time::{Duration, Instant};

const A: MemberId = MemberId(1);

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Arrives,
    /// It is lost, and its copy comes beside the next one.
    Copied,
    Lost,
}

/// The original and what is heard, aligned, after `seconds` of a voice over a network that does
/// that to each packet.
fn through(
    voice: u32,
    seconds: u64,
    settings: AudioSettings,
    mut fate: impl FnMut() -> Fate,
) -> (Vec<f32>, Vec<f32>) {
    let origin = Instant::now();
    let mut source = Voice::new(Speech::new(11, voice, 1), origin);
    let (mut from, mut to) = (AudioEngine::new(origin), AudioEngine::new(origin));
    from.set(settings);
    let (mut said, mut heard) = (Vec::new(), Vec::new());
    let (mut zero, mut late) = (None, None);
    for tick in 1..=seconds * 100 {
        let now = Now { mono: origin + Duration::from_millis(tick * 10), wall: Wall(0) };
        let block: Pcm = source.read(now).unwrap().unwrap();
        said.extend(block);
        if let Some(packet) = from.captured(&block, false, now.mono) {
            if let Some(copy) = late.take() {
                to.received(A, copy, now.mono);
            }
            match fate() {
                Fate::Arrives => to.received(A, packet, now.mono),
                Fate::Copied => late = Some(packet),
                Fate::Lost => {}
            }
        }
        heard.extend(to.playout(now.mono, Duration::ZERO));
        zero = to.audio_clock(A).or(zero);
    }
    // The engine itself says when media time zero is heard; the recording began at 10 ms.
    let delay = zero.unwrap() - origin - Duration::from_millis(10);
    let delay = delay.as_micros() as usize * 48 / 1000;
    assert!(delay > LOOKAHEAD && delay < 6 * BLOCK + LOOKAHEAD * 5);
    let heard = heard.split_off(delay);
    said.truncate(heard.len());
    (said, heard)
}

/// Intelligibility, three seconds at a time: a player that bridges a gap moves what follows by some
/// milliseconds, which nobody understands less.
fn score(pair: &(Vec<f32>, Vec<f32>)) -> f64 {
    const PIECE: usize = 3 * stoi::RATE as usize;
    const MOST: usize = stoi::RATE as usize / 50;
    let down = |sound: &[f32]| resample(sound, 48_000, stoi::RATE).unwrap();
    let (said, heard) = (down(&pair.0), down(&pair.1));
    let pieces: Vec<f64> = said
        .chunks_exact(PIECE)
        .zip(heard.chunks_exact(PIECE))
        .map(|(said, heard)| {
            let (late, early) = (stoi::lag(said, heard, MOST), stoi::lag(heard, said, MOST));
            let n = PIECE - MOST;
            let shifted = [(0, late), (early, 0), (0, 0)];
            let scores = shifted.map(|(a, b)| stoi::stoi(&said[a..a + n], &heard[b..b + n]));
            scores.into_iter().flatten().fold(0.0, f64::max)
        })
        .collect();
    pieces.iter().sum::<f64>() / pieces.len() as f64
}

#[test]
fn a_voice_is_understood_after_codec_and_playout_at_every_rate() {
    for (bps, millis, least) in
        [(32_000, 20, 0.95), (24_000, 20, 0.93), (16_000, 40, 0.9), (12_000, 60, 0.9)]
    {
        for voice in 0..2 {
            let settings = AudioSettings { bps, millis, ..AudioSettings::default() };
            let score = score(&through(voice, 12, settings, || Fate::Arrives));
            assert!(score >= least, "{bps} bit/s in {millis} ms packets: {score:.3}");
        }
    }
}

#[test]
fn the_engine_knows_exactly_when_sound_is_heard() {
    let (said, heard) = through(0, 6, AudioSettings::default(), || Fate::Arrives);
    let down = |sound: &[f32]| resample(sound, 48_000, stoi::RATE).unwrap();
    let (said, heard) = (down(&said), down(&heard));
    // Both ways: the residual lag is below a millisecond.
    let late = stoi::lag(&said, &heard, 300);
    let early = stoi::lag(&heard, &said, 300);
    assert!(late.min(early) <= 10, "late {late}, early {early}");
}

#[test]
fn speech_survives_random_loss() {
    for (loss, copies, least) in [(0.05, false, 0.92), (0.2, true, 0.86)] {
        let mut rng = StdRng::seed_from_u64(4);
        let loss_pct = if copies { 0 } else { (loss * 100.0) as u8 };
        let settings = AudioSettings { loss_pct, ..AudioSettings::default() };
        let score =
            score(&through(0, 20, settings, || match [(); 2].map(|()| rng.random_bool(loss)) {
                [false, _] => Fate::Arrives,
                [true, false] if copies => Fate::Copied,
                _ => Fate::Lost,
            }));
        assert!(score >= least, "{loss}: {score:.3}");
    }
}
