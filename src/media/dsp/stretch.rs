//! Playing a little faster or slower without changing the pitch: one period of the waveform is cut
//! out or repeated, blended at the seam (WSOLA: W. Verhelst, M. Roelands, "An overlap-add technique
//! based on waveform similarity (WSOLA) for high quality time-scale modification of speech", ICASSP
//! 1993). As in NetEq (WebRTC, `modules/audio_coding/neteq/time_stretch.cc`) that happens only where
//! it isn't heard: where the waveform repeats itself, or where next to nothing is to be heard.

/// Shortest and longest period considered: 2.5 ms and 15 ms (400…67 Hz).
const SHORTEST: usize = 120;
const LONGEST: usize = 720;
/// Sound that is needed to change its length, in samples: two of the longest periods, 30 ms.
pub const STRETCHABLE: usize = 2 * LONGEST;
/// How much is compared to find the period: 10 ms.
const COMPARED: usize = 480;
/// A period is looked for at every 4th lag and sample: 12 kHz is plenty to find a pitch.
const COARSE: usize = 4;

/// How alike two periods must be for one to go, or to come twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Care {
    /// Only where nobody hears it.
    Inaudible,
    /// Where a practised ear may.
    Slight,
    /// Anywhere: time presses.
    Any,
}

impl Care {
    /// Least correlation of the two periods.
    fn least(self) -> f32 {
        match self {
            Self::Inaudible => 0.9,
            Self::Slight => 0.6,
            Self::Any => -1.0,
        }
    }
}

/// Removes one period near the front of `sound` and returns how many samples that was; 0 when there
/// is too little sound ([`STRETCHABLE`]) or it would be heard more than `care` allows. `quiet` is
/// the amplitude (root mean square) below which everything goes unheard.
pub fn shorten(sound: &mut Vec<f32>, care: Care, quiet: f32) -> usize {
    let Some((period, likeness)) = find(sound, care, quiet) else { return 0 };
    let (head, tail) = sound.split_at_mut(period);
    if let Some(tail) = tail.get_mut(..period) {
        blend(head, tail, likeness);
    }
    sound.drain(..period);
    period
}

/// Repeats one period at the front of `sound` and returns how many samples that was; 0 as for
/// [`shorten`].
pub fn lengthen(sound: &mut Vec<f32>, care: Care, quiet: f32) -> usize {
    let Some((period, likeness)) = find(sound, care, quiet) else { return 0 };
    // period 1, then a blend from period 2 back to period 1, then on with period 2.
    let mut seam: Vec<f32> = sound.get(..period).unwrap_or_default().to_vec();
    blend(sound.get(period..2 * period).unwrap_or_default(), &mut seam, likeness);
    sound.splice(period..period, seam);
    period
}

/// Joins `new` to `tail`, the made-up continuation of what was played before it: they overlap for
/// `overlap` samples where they are most alike, at most `LONGEST` samples into the tail (after
/// NetEq's merging). What is to be played is returned: as much of the tail as that takes, the
/// blend, the rest of `new`.
pub fn merge(tail: &[f32], new: &[f32], overlap: usize) -> Vec<f32> {
    let overlap = overlap.min(new.len()).min(tail.len());
    let front = new.get(..overlap).unwrap_or_default();
    let last = (tail.len() - overlap).min(LONGEST);
    let (mut best, mut at) = (f32::MIN, 0);
    for lag in 0..=last {
        let likeness = likeness(front, tail.get(lag..).unwrap_or_default());
        // The sooner the better among equals: what is made up is not worth playing.
        if likeness > best + 1e-3 {
            (best, at) = (likeness, lag);
        }
    }
    let mut out = tail.get(..at).unwrap_or_default().to_vec();
    out.extend_from_slice(new);
    if let Some(seam) = out.get_mut(at..at + overlap) {
        blend(tail.get(at..).unwrap_or_default(), seam, best);
    }
    out
}

/// A continuation of `past` by its own last period, again and again: `length` samples.
pub fn continued(past: &[f32], length: usize) -> Vec<f32> {
    let mut backwards: Vec<f32> = past.iter().rev().take(STRETCHABLE).copied().collect();
    let Some((period, _)) = period(&backwards) else { return vec![0.0; length] };
    backwards.truncate(period);
    backwards.reverse();
    backwards.iter().copied().cycle().take(length).collect()
}

/// The period that may go or be repeated, and how alike it is to the one after it.
fn find(sound: &[f32], care: Care, quiet: f32) -> Option<(usize, f32)> {
    let (period, likeness) = period(sound)?;
    let unheard = || rms(sound.get(..2 * period).unwrap_or_default()) <= quiet;
    (likeness >= care.least() || unheard()).then_some((period, likeness))
}

/// The lag at which the front of `sound` is most like itself, and how like.
fn period(sound: &[f32]) -> Option<(usize, f32)> {
    if sound.len() < STRETCHABLE {
        return None;
    }
    let alike = |lag: usize, step: usize| {
        let front = sound.iter().take(COMPARED.max(lag)).step_by(step);
        let (mut cross, mut a, mut b) = (0.0f32, 1e-9f32, 1e-9f32);
        for (x, y) in front.zip(sound.iter().skip(lag).step_by(step)) {
            cross += x * y;
            a += x * x;
            b += y * y;
        }
        cross / (a * b).sqrt()
    };
    let mut best = (f32::MIN, LONGEST);
    for lag in (SHORTEST..=LONGEST).step_by(COARSE) {
        let likeness = alike(lag, COARSE);
        // Of a period and its multiples, the period.
        if likeness > best.0 + 0.01 {
            best = (likeness, lag);
        }
    }
    let near = best.1.saturating_sub(COARSE - 1).max(SHORTEST)..=(best.1 + COARSE - 1).min(LONGEST);
    near.map(|lag| (lag, alike(lag, 1))).max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Cosine of the angle between two pieces of sound, as long as the shorter one.
fn likeness(one: &[f32], other: &[f32]) -> f32 {
    let (mut cross, mut a, mut b) = (0.0f32, 1e-9f32, 1e-9f32);
    for (x, y) in one.iter().zip(other) {
        cross += x * y;
        a += x * x;
        b += y * y;
    }
    cross / (a * b).sqrt()
}

/// A crossfade that keeps the power: two pieces of noise, added with half their amplitude each,
/// would leave a dip.
fn blend(old: &[f32], new: &mut [f32], likeness: f32) {
    let n = old.len().min(new.len());
    let rho = likeness.clamp(0.0, 1.0);
    for (i, (b, a)) in new.iter_mut().zip(old).enumerate() {
        let w = (i as f32 + 0.5) / n as f32;
        let v = 1.0 - w;
        *b = (a * v + *b * w) / (v * v + w * w + 2.0 * rho * v * w).sqrt();
    }
}

fn rms(sound: &[f32]) -> f32 {
    (sound.iter().map(|s| s * s).sum::<f32>() / sound.len().max(1) as f32).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    fn sine(n: usize, hertz: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * hertz * std::f32::consts::TAU / 48_000.0).sin()).collect()
    }

    fn noise(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = StdRng::seed_from_u64(seed);
        (0..n).map(|_| rng.random_range(-0.5..0.5)).collect()
    }

    fn steepest(sound: &[f32]) -> f32 {
        sound.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_period_is_cut_without_a_seam() {
        for hertz in [70.0f32, 110.0, 200.0, 330.0] {
            let mut sound = sine(2880, hertz);
            let clean = steepest(&sound);
            let cut = shorten(&mut sound, Care::Inaudible, 0.0);
            assert_eq!(sound.len(), 2880 - cut);
            let periods = cut as f32 * hertz / 48_000.0;
            assert!(periods > 0.9 && (periods - periods.round()).abs() < 0.02, "{hertz}: {cut}");
            assert!(steepest(&sound) < clean * 1.1);
        }
    }

    #[test]
    fn a_period_is_repeated_without_a_seam() {
        let mut sound = sine(1920, 200.0);
        let clean = steepest(&sound);
        let added = lengthen(&mut sound, Care::Inaudible, 0.0);
        assert_eq!(sound.len(), 1920 + added);
        let periods = added as f32 / 240.0;
        assert!(periods > 0.9 && (periods - periods.round()).abs() < 0.02, "{added}");
        assert!(steepest(&sound) < clean * 1.1);
    }

    #[test]
    fn too_little_sound_is_left_alone() {
        let mut sound = sine(STRETCHABLE - 1, 200.0);
        assert_eq!(shorten(&mut sound, Care::Any, 1.0), 0);
        assert_eq!(lengthen(&mut sound, Care::Any, 1.0), 0);
        assert_eq!(sound.len(), STRETCHABLE - 1);
    }

    #[test]
    fn noise_is_left_alone_unless_it_is_quiet_or_time_presses() {
        let mut sound = noise(4800, 1);
        assert_eq!(shorten(&mut sound, Care::Inaudible, 0.01), 0);
        assert_eq!(lengthen(&mut sound, Care::Slight, 0.01), 0);
        assert!(shorten(&mut sound, Care::Any, 0.01) > 0);
        assert!(lengthen(&mut sound, Care::Inaudible, 0.5) > 0);
    }

    #[test]
    fn noise_does_not_dip_at_a_seam() {
        let (mut before, mut after) = (0.0, 0.0);
        for seed in 0..40 {
            let mut sound = noise(STRETCHABLE, seed);
            before += rms(&sound).powi(2);
            let cut = shorten(&mut sound, Care::Any, 0.0);
            after += rms(&sound[..cut]).powi(2);
        }
        assert!((0.85..1.25).contains(&(after / before)), "{}", after / before);
    }

    #[test]
    fn merging_finds_the_phase_of_what_is_made_up() {
        let whole = sine(9600, 150.0);
        // 137 samples out of step: a quarter-way through a period.
        let tail = continued(&whole[..4800], 1440);
        assert!(tail.iter().zip(&whole[4800..]).all(|(a, b)| (a - b).abs() < 0.05));
        let merged = merge(&tail, &whole[4937..6000], 240);
        assert!(merged.len() >= 1063 && merged.len() <= 1063 + 320);
        let mut all = whole[..4800].to_vec();
        all.extend(&merged);
        assert!(steepest(&all) < steepest(&whole) * 1.2);
    }

    #[test]
    fn merging_with_nothing_changes_nothing() {
        let new = sine(960, 150.0);
        assert_eq!(merge(&[], &new, 240), new);
        assert!(merge(&new, &[], 240).is_empty());
        assert_eq!(continued(&[], 3), [0.0; 3]);
    }
}
