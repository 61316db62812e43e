//! What the processor must do, in one synthetic room.

use super::room::{self, SPEAKER, db, echo, hiss, mix, near, voice};
use super::{ApmConfig, ApmReport, CaptureProcessor, Cleaner, Noise, Passthrough};
use crate::media::dsp;
use crate::media::seams::{BLOCK, Pcm};
use crate::media::stoi;

/// Samples of a second.
const SECOND: usize = 48_000;
/// Everything but the gain: levels can be compared.
const LEVEL: ApmConfig = ApmConfig { gain: false, ..ApmConfig::SPEAKERS };

/// As the engine does: on every tick play, then capture.
fn run(processor: &mut dyn CaptureProcessor, far: &[f32], mic: &[f32]) -> Vec<f32> {
    let mut out = Vec::with_capacity(mic.len());
    for (far, mic) in far.as_chunks::<BLOCK>().0.iter().zip(mic.as_chunks::<BLOCK>().0) {
        let mut block = *mic;
        processor.render(far);
        processor.capture(&mut block);
        out.extend(block);
    }
    out
}

fn clean(config: ApmConfig, far: &[f32], mic: &[f32]) -> (Vec<f32>, ApmReport) {
    let mut cleaner = Cleaner::new(config);
    let out = run(&mut cleaner, far, mic);
    (out, cleaner.report())
}

/// How far `out` lies below `mic`, second by second, in dB.
fn down(mic: &[f32], out: &[f32]) -> Vec<f32> {
    mic.chunks_exact(SECOND).zip(out.chunks_exact(SECOND)).map(|(a, b)| db(a, b)).collect()
}

fn far(seconds: f64) -> Vec<f32> {
    voice(11, 1, 1, 700, seconds)
}

fn talker(seconds: f64) -> Vec<f32> {
    near(&voice(22, 0, 1, 0, seconds))
}

fn floor(n: usize) -> Vec<f32> {
    hiss(5, 0.0006, n)
}

/// Intelligibility of `heard`, whatever its delay.
fn intelligible(clean: &[f32], heard: &[f32]) -> f64 {
    let low = |sound: &[f32]| dsp::resample(sound, 48_000, stoi::RATE).unwrap();
    let (clean, heard) = (low(clean), low(heard));
    let n = clean.len().min(40_000);
    let lag = stoi::lag(&clean[..n], &heard[..n], 400);
    stoi::stoi(&clean, &heard[lag..]).unwrap()
}

fn drifting(sound: &[f32], ppm: f64) -> Vec<f32> {
    dsp::resample(sound, 48_000, (48_000.0 * (1.0 + ppm * 1e-6)).round() as u32).unwrap()
}

fn check(what: &str, figures: &[f32], least: f32) {
    assert!(figures.iter().all(|f| *f >= least), "{what}: {figures:.1?} dB, not {least}");
}

#[test]
fn echo_is_30_db_down_after_two_seconds() {
    let far = far(10.0);
    let floor = floor(far.len());
    for delay in [20, 50, 100, 250] {
        let mic = mix(&[&echo(&far, SPEAKER, delay, 0.7), &floor]);
        let (out, report) = clean(LEVEL, &far, &mic);
        let down = down(&mic, &out);
        check(&format!("echo after {delay} ms"), &down[2..], 30.0);
        assert!(report.erle_db.unwrap() > 25.0);
        let lag = report.align.lag_ms.unwrap() + report.align.waiting_ms;
        assert!((lag - delay as f32).abs() < 5.0, "{lag}");
    }
    // The gain, which takes what is left for all there is, gives back 6 dB.
    let mic = mix(&[&echo(&far, SPEAKER, 60, 0.7), &floor]);
    let (out, _) = clean(ApmConfig::SPEAKERS, &far, &mic);
    check("with gain", &down(&mic, &out)[2..], 25.0);
}

#[test]
fn capturing_before_playing_does_as_well() {
    let far = far(12.0);
    let mic = mix(&[&echo(&far, SPEAKER, 80, 0.7), &floor(far.len())]);
    let mut cleaner = Cleaner::new(LEVEL);
    let mut out = Vec::new();
    for (far, mic) in far.as_chunks::<BLOCK>().0.iter().zip(mic.as_chunks::<BLOCK>().0) {
        let mut block = *mic;
        cleaner.capture(&mut block);
        cleaner.render(far);
        out.extend(block);
    }
    check("capture first", &down(&mic, &out)[2..], 30.0);
    let report = cleaner.report();
    assert_eq!((report.relearnt, report.align.drift_ppm), (0, 0.0));
    assert!(report.align.missing <= 1, "{report:?}");
}

#[test]
fn what_devices_say_of_their_delay_spares_a_search() {
    let far = far(8.0);
    let mic = mix(&[&echo(&far, SPEAKER, 120, 0.7), &floor(far.len())]);
    for millis in [100, 60, 130] {
        let mut cleaner = Cleaner::new(LEVEL);
        cleaner.expect(std::time::Duration::from_millis(millis));
        let out = run(&mut cleaner, &far, &mic);
        let report = cleaner.report();
        check(&format!("told {millis} ms"), &down(&mic, &out), 28.0);
        assert_eq!(report.relearnt, 0);
        assert!(report.align.waiting_ms > millis as f32 - 30.0);
    }
}

#[test]
fn echo_louder_than_voices_goes_too() {
    let far = far(10.0);
    let mic = mix(&[&echo(&far, SPEAKER, 60, 3.0), &floor(far.len())]);
    let (out, _) = clean(ApmConfig::SPEAKERS, &far, &mic);
    check("loud echo", &down(&mic, &out)[2..], 25.0);
}

#[test]
fn double_talk_keeps_the_near_voice() {
    let (far, talker) = (far(20.0), talker(20.0));
    let floor = floor(far.len());
    for (coupling, least) in [(0.3, 0.85), (1.0, 0.73)] {
        let mic = mix(&[&echo(&far, SPEAKER, 80, coupling), &floor, &talker]);
        let (out, _) = clean(LEVEL, &far, &mic);
        let from = 6 * SECOND;
        let before = intelligible(&talker[from..], &mic[from..]);
        let after = intelligible(&talker[from..], &out[from..]);
        let loss = db(&talker[from..], &out[from..]);
        assert!(after > least && after > before - 0.04, "{before:.3} -> {after:.3}");
        assert!(loss < 3.0, "{loss:.1} dB");
    }
}

#[test]
fn a_change_of_delay_is_followed_within_a_second() {
    let far = far(10.0);
    let floor = floor(far.len());
    let cut = 6 * SECOND;
    for (first, then) in [(100, 60), (60, 100), (200, 40), (60, 75)] {
        let (a, b) = (echo(&far, SPEAKER, first, 0.7), echo(&far, SPEAKER, then, 0.7));
        let changed: Vec<f32> = a[..cut].iter().chain(&b[cut..]).copied().collect();
        let mic = mix(&[&changed, &floor]);
        let (out, _) = clean(LEVEL, &far, &mic);
        let down = down(&mic, &out);
        check(&format!("before {first} -> {then} ms"), &down[3..6], 28.0);
        check(&format!("the first second {:.0} dB, then", down[6]), &down[7..], 28.0);
    }
}

#[test]
fn a_moved_laptop_is_learnt_within_two_seconds() {
    let far = far(16.0);
    let cut = 10 * SECOND;
    let (a, b) = (echo(&far, SPEAKER, 80, 0.7), echo(&far, room::ELSEWHERE, 80, 0.7));
    let moved: Vec<f32> = a[..cut].iter().chain(&b[cut..]).copied().collect();
    let mic = mix(&[&moved, &floor(far.len())]);
    let (out, _) = clean(LEVEL, &far, &mic);
    let down = down(&mic, &out);
    check("meanwhile", &down[10..12], 6.0);
    check("after", &down[12..], 28.0);
}

#[test]
fn drift_of_500_ppm_leaks_no_echo() {
    let far = far(24.0);
    let floor = floor(far.len());
    for ppm in [500.0, -500.0] {
        let mic = mix(&[&drifting(&echo(&far, SPEAKER, 100, 0.7), ppm), &floor]);
        let (out, report) = clean(LEVEL, &far, &mic);
        check(&format!("{ppm} ppm"), &down(&mic, &out)[4..], 28.0);
        // A fast microphone means a slow loudspeaker.
        assert!((f64::from(report.align.drift_ppm) + ppm).abs() < 30.0);
    }
}

#[test]
fn drift_is_heard_under_double_talk_too() {
    let (far, talker) = (far(24.0), talker(24.0));
    let mic = mix(&[&drifting(&echo(&far, SPEAKER, 80, 1.0), 300.0), &talker]);
    let (_, report) = clean(LEVEL, &far, &mic);
    assert!((report.align.drift_ppm + 300.0).abs() < 40.0, "{report:?}");
}

#[test]
fn without_an_echo_none_is_imagined() {
    let (far, talker) = (far(24.0), talker(24.0));
    let mic = mix(&[&talker, &floor(far.len())]);
    let (out, report) = clean(LEVEL, &far, &mic);
    let score = intelligible(&talker[6 * SECOND..], &out[6 * SECOND..]);
    assert!(report.align.drift_ppm.abs() < 20.0 && report.relearnt == 0, "{report:?}");
    assert!(score > 0.9, "{score:.3}");
}

#[test]
fn a_hum_that_fits_everywhere_misleads_nobody() {
    // Ten seconds of voice, then five of a buzz of 150 Hz and its harmonics: its echo is alike at every
    // lag of 6.7 ms.
    let mut far = far(15.0);
    for (i, sample) in far.iter_mut().enumerate().skip(10 * SECOND) {
        let phase = i as f32 * 150.0 / SECOND as f32;
        *sample = 0.1 * (phase.fract() - 0.5);
    }
    let mic = mix(&[&echo(&far, SPEAKER, 80, 0.7), &floor(far.len())]);
    let (out, report) = clean(LEVEL, &far, &mic);
    check("voice, then buzz", &down(&mic, &out)[3..], 20.0);
    assert!(report.align.drift_ppm.abs() < 30.0 && report.relearnt <= 1, "{report:?}");
}

/// Loudspeaker and microphone of two clocks, each in lumps of its own, as two callbacks see them.
#[test]
fn lumps_from_two_clocks_leak_no_echo() {
    let far = far(20.0);
    let ppm = 300.0;
    let mic = mix(&[&drifting(&echo(&far, SPEAKER, 60, 0.7), ppm), &floor(far.len())]);
    for (lump_out, lump_in) in [(2, 3), (1, 2), (3, 1)] {
        let mut cleaner = Cleaner::new(LEVEL);
        let mut out = Vec::new();
        let (mut played, mut captured) = (0, 0);
        // In steps of 0.1 ms of the loudspeaker's clock.
        for step in 0..200_000usize {
            let now = step as f64 * 4.8;
            while (played + lump_out) * BLOCK <= now as usize {
                for block in far[played * BLOCK..].as_chunks::<BLOCK>().0.iter().take(lump_out) {
                    cleaner.render(block);
                }
                played += lump_out;
            }
            // The sound card's own buffer: 30 ms.
            while ((captured + lump_in) * BLOCK) as f64 <= (now - 1440.0) * (1.0 + ppm * 1e-6) {
                for block in mic[captured * BLOCK..].as_chunks::<BLOCK>().0.iter().take(lump_in) {
                    let mut block = *block;
                    cleaner.capture(&mut block);
                    out.extend(block);
                }
                captured += lump_in;
            }
        }
        check(&format!("lumps of {lump_out} and {lump_in}"), &down(&mic, &out)[5..], 26.0);
    }
}

#[test]
fn near_speech_alone_passes_unharmed() {
    let talker = talker(12.0);
    let mic = mix(&[&talker, &floor(talker.len())]);
    let silence = vec![0.0; mic.len()];
    for config in [LEVEL, ApmConfig { gain: false, ..ApmConfig::HEADSET }] {
        let (out, _) = clean(config, &silence, &mic);
        let score = intelligible(&talker[SECOND..], &out[SECOND..]);
        let loss = db(&talker[SECOND..], &out[SECOND..]);
        assert!(score > 0.95 && loss.abs() < 1.5, "{score:.3}, {loss:.1} dB");
    }
}

#[test]
fn steady_noise_falls_by_ten_db() {
    let noise = hiss(9, 0.004, 8 * SECOND);
    let silence = vec![0.0; noise.len()];
    for config in [LEVEL, ApmConfig { gain: false, ..ApmConfig::HEADSET }] {
        let (out, report) = clean(config, &silence, &noise);
        check("noise", &down(&noise, &out)[3..], 10.0);
        assert!(report.noise_db.unwrap() > 8.0, "{report:?}");
    }
}

#[test]
fn a_quiet_voice_is_brought_up_and_a_loud_one_not_above_full_scale() {
    let talker = talker(16.0);
    let silence = vec![0.0; talker.len()];
    let scaled = |gain: f32| talker.iter().map(|s| (s * gain).clamp(-1.0, 1.0)).collect::<Vec<_>>();
    let (quiet, loud) = (scaled(0.15), scaled(8.0));
    let (out, report) = clean(ApmConfig::HEADSET, &silence, &quiet);
    let gain = -db(&quiet[10 * SECOND..], &out[10 * SECOND..]);
    assert!((6.0..25.0).contains(&gain));
    assert!((report.gain_db.unwrap() - gain).abs() < 4.0, "{report:?}");
    let (out, _) = clean(ApmConfig::HEADSET, &silence, &loud);
    assert!(out.iter().all(|s| s.abs() <= 1.0));
    assert!(intelligible(&loud[SECOND..], &out[SECOND..]) > 0.9);
}

#[test]
fn silence_stays_silence() {
    let silence = vec![0.0; 4 * SECOND];
    let far = far(4.0);
    for far in [&silence, &far] {
        let (out, _) = clean(ApmConfig::SPEAKERS, far, &silence);
        let loudest = out.iter().fold(0.0f32, |m, s| m.max(s.abs()));
        assert!(loudest < 1e-4, "{loudest:e}");
    }
}

#[test]
fn a_render_stall_does_no_harm() {
    let (far, talker) = (far(16.0), talker(16.0));
    let floor = floor(far.len());
    let echo = echo(&far, SPEAKER, 60, 0.7);
    let mut cleaner = Cleaner::new(LEVEL);
    // Two seconds of echo; three in which nothing is played nor handed over; echo again.
    let (stall, resume) = (4 * SECOND, 7 * SECOND);
    let mut mic = mix(&[&echo, &floor]);
    mic[stall..resume].copy_from_slice(&mix(&[&talker, &floor])[stall..resume]);
    let mut out = Vec::new();
    for (i, mic) in mic.as_chunks::<BLOCK>().0.iter().enumerate() {
        let mut block = *mic;
        cleaner.capture(&mut block);
        out.extend(block);
        if !(stall..resume).contains(&(i * BLOCK)) {
            cleaner.render(far[i * BLOCK..].first_chunk().unwrap());
        }
    }
    let report = cleaner.report();
    assert!(report.align.missing >= 250);
    let score = intelligible(&talker[stall + SECOND..resume], &out[stall + SECOND..resume]);
    assert!(score > 0.85);
    check("after", &down(&mic, &out)[9..], 28.0);
}

#[test]
fn a_capture_stall_does_no_harm() {
    let far = far(16.0);
    let mic = mix(&[&echo(&far, SPEAKER, 60, 0.7), &floor(far.len())]);
    let mut cleaner = Cleaner::new(LEVEL);
    let mut out = Vec::new();
    for (i, (far, mic)) in
        far.as_chunks::<BLOCK>().0.iter().zip(mic.as_chunks::<BLOCK>().0).enumerate()
    {
        let mut block = *mic;
        // The microphone is gone for two seconds.
        if !(500..700).contains(&i) {
            cleaner.capture(&mut block);
        } else {
            block = [0.0; BLOCK];
        }
        cleaner.render(far);
        out.extend(block);
    }
    check("after", &down(&mic, &out)[9..], 28.0);
}

#[test]
fn nan_and_full_scale_input_cannot_poison_it() {
    let talker = talker(8.0);
    let bad: [Pcm; 6] = [
        [f32::NAN; BLOCK],
        [f32::INFINITY; BLOCK],
        [f32::MIN; BLOCK],
        std::array::from_fn(|i| if i % 100 < 50 { 1.0 } else { -1.0 }),
        [1e30; BLOCK],
        [f32::MIN_POSITIVE / 8.0; BLOCK],
    ];
    let mut cleaner = Cleaner::new(ApmConfig::SPEAKERS);
    for block in (0..300).map(|i| bad[i % 6]) {
        cleaner.render(&block);
        let mut captured = block;
        cleaner.capture(&mut captured);
        assert!(captured.iter().all(|s| s.abs() <= 1.0));
    }
    let report = cleaner.report();
    assert_eq!((report.restarts, report.mended > 50_000), (0, true));
    let silence = vec![0.0; talker.len()];
    let out = run(&mut cleaner, &silence, &talker);
    let score = intelligible(&talker[3 * SECOND..], &out[3 * SECOND..]);
    assert!(score > 0.9, "{score}");
}

#[test]
fn a_headset_needs_no_canceller_and_passes_all_else() {
    let (far, talker) = (far(10.0), talker(10.0));
    let (out, report) = clean(ApmConfig::HEADSET, &far, &mix(&[&talker, &floor(far.len())]));
    assert!(intelligible(&talker[2 * SECOND..], &out[2 * SECOND..]) > 0.95);
    assert_eq!((report.erle_db, report.echo_delay_ms), (None, None));
    assert!(report.gain_db.is_some());
    // What a wire picks up of the far end isn't touched.
    let leak: Vec<f32> = far.iter().map(|s| s * 0.5).collect();
    let quiet = ApmConfig { noise: Noise::Off, gain: false, ..ApmConfig::HEADSET };
    let (out, _) = clean(quiet, &far, &leak);
    assert!(db(&leak[SECOND..], &out[SECOND..]).abs() < 1.5);
}

#[test]
fn rumble_is_removed() {
    let hum: Vec<f32> = (0..4 * SECOND).map(|i| 0.1 * (i as f32 * 0.00393).sin()).collect();
    let silence = vec![0.0; hum.len()];
    let config = ApmConfig { high_pass: true, ..ApmConfig::OFF };
    let (out, _) = clean(config, &silence, &hum);
    check("30 Hz", &down(&hum, &out)[1..], 20.0);
}

#[test]
fn the_delay_is_as_told() {
    let talker = talker(3.0);
    let silence = vec![0.0; talker.len()];
    for config in [
        ApmConfig::SPEAKERS,
        ApmConfig::HEADSET,
        ApmConfig { noise: Noise::Off, ..ApmConfig::SPEAKERS },
        ApmConfig { gain: true, ..ApmConfig::OFF },
        ApmConfig { high_pass: true, ..ApmConfig::OFF },
    ] {
        let mut cleaner = Cleaner::new(config);
        let out = run(&mut cleaner, &silence, &talker);
        let lag = stoi::lag(&talker[SECOND..2 * SECOND], &out[SECOND..2 * SECOND], 1500);
        let told = cleaner.delay().as_secs_f64() * 48_000.0;
        assert!((lag as f64 - told).abs() < 30.0, "{config:?}: {lag} samples, not {told:.0}");
    }
}

#[test]
fn passing_through_changes_nothing() {
    let talker = talker(1.0);
    assert_eq!(run(&mut Passthrough, &talker, &talker), talker);
    assert_eq!(Passthrough.report(), ApmReport::default());
}
