//! What of a recording belongs to what: playing is stretched and shrunk on its way to the ear, and
//! speech that is heard a little sooner or later is no less intelligible for it. STOI compares
//! frame by frame, so both must be brought to one time first, utterance by utterance as the
//! measures of speech quality do (PESQ, ITU-T P.862 §10.1, splits utterances where the delay
//! changes; POLQA, ITU-T P.863, finds the likeliest path of delays; ViSQOL aligns patches).
//!
//! Here the path is found by dynamic programming (Viterbi) over steps of 100 ms: each step would
//! like the offset at which it is most like the original, in proportion to its energy, and every
//! change of the offset costs. Only time is moved, within ±40 ms of what the clocks say (each sound
//! card goes by one of its own, block by block) and with one offset for a fifth of a second: holes
//! stay holes, and sound that was made up finds no better match than chance allows. Of a run without
//! stretching the path is one offset.

use crate::media::stoi;
use std::ops::Range;

/// A step.
const STEP: usize = stoi::RATE as usize / 10;
/// Compared on either side of the step, so that a window is 200 ms.
const BESIDE: usize = STEP / 2;
/// The furthest an offset is looked for, in samples.
const AROUND: usize = stoi::RATE as usize / 25;
/// Offsets are tried, and samples compared, at every second one first.
const COARSE: usize = 2;
/// What a change of the offset costs, and each sample of it, in units of correlation.
const CHANGE: f32 = 0.05;
const FURTHER: f32 = 0.001;
/// Two offsets are blended over 10 ms.
const SEAM: usize = stoi::RATE as usize / 100;

/// What is heard of `clean` in `heard`, in the time of `clean`. `expected(i)`: about where in
/// `heard` the sample `i` of `clean` should be. `None` when that is beyond the recording.
pub(super) fn align(
    clean: &[f32],
    heard: &[f32],
    expected: impl Fn(usize) -> Option<usize>,
) -> Option<Vec<f32>> {
    let steps: Vec<usize> = (0..clean.len()).step_by(STEP).collect();
    let bases: Vec<usize> =
        steps.iter().map(|at| expected(*at)?.checked_sub(AROUND)).collect::<Option<_>>()?;
    let energies = steps.iter().map(|at| energy(clean.get(window(*at, clean)).unwrap_or_default()));
    let loudest = energies.fold(1e-12, f32::max);
    let likenesses: Vec<Vec<f32>> = steps
        .iter()
        .zip(&bases)
        .map(|(at, base)| {
            let window = window(*at, clean);
            let before = at - window.start;
            let clean = clean.get(window).unwrap_or_default();
            let weight = (energy(clean) / loudest).sqrt();
            (0..=2 * AROUND)
                .step_by(COARSE)
                .map(|offset| {
                    let from = (base + offset).saturating_sub(before);
                    weight * likeness(clean, heard.get(from..).unwrap_or_default(), COARSE)
                })
                .collect()
        })
        .collect();
    let path = likeliest(&likenesses);
    let mut out = Vec::with_capacity(clean.len());
    let mut before: Option<usize> = None;
    for ((at, base), offset) in steps.iter().zip(&bases).zip(path) {
        let n = STEP.min(clean.len() - at);
        let from = base + offset * COARSE;
        let mut piece = heard.get(from..from + n)?.to_vec();
        if let Some(old) = before.filter(|old| *old != from) {
            for (i, (new, old)) in piece.iter_mut().zip(heard.get(old..)?).take(SEAM).enumerate() {
                let share = (i as f32 + 0.5) / SEAM as f32;
                *new = old + (*new - old) * share;
            }
        }
        out.extend_from_slice(&piece);
        before = Some(from + n);
    }
    Some(out)
}

/// The sequence of offsets with the greatest likeness, less what its changes cost.
fn likeliest(likenesses: &[Vec<f32>]) -> Vec<usize> {
    let cost = |from: usize, to: usize| match from.abs_diff(to) {
        0 => 0.0,
        by => CHANGE + FURTHER * (by * COARSE) as f32,
    };
    let mut best: Vec<f32> = Vec::new();
    let mut came: Vec<Vec<usize>> = Vec::new();
    for step in likenesses {
        if best.is_empty() {
            best = step.clone();
            continue;
        }
        let (mut next, mut from) = (Vec::with_capacity(step.len()), Vec::with_capacity(step.len()));
        for (to, likeness) in step.iter().enumerate() {
            let choices = best.iter().enumerate().map(|(f, score)| (f, score - cost(f, to)));
            let (f, score) = choices.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default();
            next.push(score + likeness);
            from.push(f);
        }
        best = next;
        came.push(from);
    }
    let last = best.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(i, _)| i);
    let mut path = vec![last; likenesses.len().min(1)];
    for from in came.iter().rev() {
        let at = path.last().and_then(|at| from.get(*at)).copied().unwrap_or_default();
        path.push(at);
    }
    path.reverse();
    path
}

fn window(at: usize, clean: &[f32]) -> Range<usize> {
    at.saturating_sub(BESIDE)..(at + STEP + BESIDE).min(clean.len())
}

fn energy(sound: &[f32]) -> f32 {
    sound.iter().map(|s| s * s).sum()
}

/// Correlation of `clean` with the beginning of `heard`, at every `stride`th sample.
fn likeness(clean: &[f32], heard: &[f32], stride: usize) -> f32 {
    let (mut cross, mut a, mut b) = (0.0f32, 1e-9f32, 1e-9f32);
    for (x, y) in clean.iter().step_by(stride).zip(heard.iter().step_by(stride)) {
        cross += x * y;
        a += x * x;
        b += y * y;
    }
    cross / (a * b).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    /// Buzzes and hisses with the modulations of syllables, at [`stoi::RATE`].
    fn speech(seed: u64, seconds: usize) -> Vec<f32> {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut phase, mut low) = (0.0f32, 0.0f32);
        (0..seconds * stoi::RATE as usize)
            .map(|i| {
                let t = i as f32 / stoi::RATE as f32;
                phase += (130.0 + 30.0 * (t * 3.0).sin()) / stoi::RATE as f32;
                low += 0.4 * (rng.random_range(-1.0f32..1.0) - low);
                let buzz: f32 =
                    (1..14).map(|h| (std::f32::consts::TAU * phase * h as f32).sin()).sum();
                let voiced = 0.5 + 0.5 * (t * 8.0).sin();
                let syllable = (0.5 + 0.5 * (t * 23.0).sin()) * (0.55 + 0.45 * (t * 5.0).sin());
                syllable * (0.05 * buzz * voiced + 0.5 * low * (1.0 - voiced))
            })
            .collect()
    }

    fn delayed(sound: &[f32], by: usize) -> Vec<f32> {
        let mut out = vec![0.0; by];
        out.extend_from_slice(sound);
        out.extend([0.0; 4 * AROUND]);
        out
    }

    fn score(clean: &[f32], heard: &[f32], expected: impl Fn(usize) -> Option<usize>) -> f64 {
        stoi::stoi(clean, &align(clean, heard, expected).unwrap()).unwrap()
    }

    #[test]
    fn a_constant_delay_comes_off_without_a_trace() {
        let clean = speech(1, 4);
        let heard = delayed(&clean, 1234);
        for wrong in [0usize, 50, 150] {
            let aligned = align(&clean, &heard, |i| Some(i + 1234 + wrong)).unwrap();
            assert_eq!(aligned, clean, "expected {wrong} too late");
        }
    }

    #[test]
    fn speech_that_was_stretched_scores_as_what_it_is() {
        let clean = speech(2, 4);
        // 6 ms more every 300 ms, once there and once back.
        let mut heard = vec![0.0; 500];
        for (k, piece) in clean.chunks(3000).enumerate() {
            let tail = heard.len() - 60;
            match k % 2 {
                0 => heard.extend_from_within(tail..),
                _ => heard.truncate(tail),
            }
            heard.extend_from_slice(piece);
        }
        heard.extend([0.0; 4 * AROUND]);
        let rigid = stoi::stoi(&clean, &heard[500..]).unwrap();
        let aligned = score(&clean, &heard, |i| Some(i + 500));
        assert!(aligned > 0.97 && aligned > rigid, "{aligned} instead of {rigid}");
    }

    #[test]
    fn holes_and_noise_and_other_speech_are_not_flattered() {
        let clean = speech(3, 8);
        let mut rng = StdRng::seed_from_u64(4);
        let mut holed = delayed(&clean, 400);
        holed.chunks_mut(2000).for_each(|hole| hole[..500].fill(0.0));
        let mut noisy = delayed(&clean, 400);
        noisy.iter_mut().for_each(|s| *s += rng.random_range(-0.4..0.4));
        let noise: Vec<f32> = clean.iter().map(|_| rng.random_range(-0.4f32..0.4)).collect();
        let noise = delayed(&noise, 400);
        // Each syllable said twice instead of the next one: what concealment without end would do.
        let mut stuck = delayed(&clean, 400);
        for at in (4400..stuck.len() - 4000).step_by(8000) {
            stuck.copy_within(at - 1000..at, at);
            stuck.copy_within(at - 1000..at + 1000, at + 1000);
        }
        for (name, heard, most) in [
            ("holed", holed, 0.95),
            ("noisy", noisy, 0.9),
            ("noise", noise, 0.4),
            ("stuck", stuck, 0.93),
        ] {
            let rigid = stoi::stoi(&clean, &heard[400..]).unwrap();
            let aligned = score(&clean, &heard, |i| Some(i + 400));
            assert!(aligned <= most, "{name}: {aligned}, {rigid} without alignment");
            assert!(aligned <= rigid + 0.03, "{name}: {aligned} for {rigid}");
        }
    }

    #[test]
    fn what_was_not_recorded_has_no_score() {
        let clean = speech(5, 1);
        assert_eq!(align(&clean, &clean, |i| Some(i + 5000)), None);
        assert_eq!(align(&clean, &clean, |_| None), None);
        assert_eq!(align(&clean, &clean, |_| Some(0)), None);
    }
}
