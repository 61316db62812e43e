//! Playing a little faster or slower without changing the pitch: cut out or repeat one period of
//! the waveform, blended at the seam.

/// Shortest and longest period considered: 2.5 ms and 10 ms (400…100 Hz).
const SHORTEST: usize = 120;
const LONGEST: usize = 480;

/// Removes one period near the front of `sound` and returns how many samples that was; 0 when
/// there is too little sound (20 ms are needed).
pub fn shorten(sound: &mut Vec<f32>) -> usize {
    let Some(period) = period(sound) else { return 0 };
    let (head, tail) = sound.split_at_mut(period);
    if let Some(tail) = tail.get_mut(..period) {
        super::crossfade(head, tail);
    }
    sound.drain(..period);
    period
}

/// Repeats one period at the front of `sound` and returns how many samples that was; 0 when there
/// is too little sound (20 ms are needed).
pub fn lengthen(sound: &mut Vec<f32>) -> usize {
    let Some(period) = period(sound) else { return 0 };
    // period 1, then a blend from period 2 back to period 1, then on with period 2.
    let mut seam: Vec<f32> = sound.get(..period).unwrap_or_default().to_vec();
    super::crossfade(sound.get(period..2 * period).unwrap_or_default(), &mut seam);
    sound.splice(period..period, seam);
    period
}

/// The lag at which the front of `sound` is most like itself.
fn period(sound: &[f32]) -> Option<usize> {
    if sound.len() < 2 * LONGEST {
        return None;
    }
    let mut best = (f32::MIN, LONGEST);
    // Every 4th lag and sample: 12 kHz is plenty to find a pitch.
    for lag in (SHORTEST..=LONGEST).step_by(4) {
        let (mut cross, mut a, mut b) = (0.0f32, 1e-6f32, 1e-6f32);
        for (x, y) in sound.iter().zip(sound.iter().skip(lag)).take(LONGEST).step_by(4) {
            cross += x * y;
            a += x * x;
            b += y * y;
        }
        let likeness = cross / (a * b).sqrt();
        if likeness > best.0 + 1e-4 {
            best = (likeness, lag);
        }
    }
    Some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(n: usize, hertz: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * hertz * std::f32::consts::TAU / 48_000.0).sin()).collect()
    }

    fn steepest(sound: &[f32]) -> f32 {
        sound.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_period_is_cut_without_a_seam() {
        let mut sound = sine(1920, 200.0);
        let clean = steepest(&sound);
        let cut = shorten(&mut sound);
        assert_eq!(sound.len(), 1920 - cut);
        assert_eq!(cut % 240, 0, "whole periods of 200 Hz");
        assert!(steepest(&sound) < clean * 1.1);
    }

    #[test]
    fn a_period_is_repeated_without_a_seam() {
        let mut sound = sine(1920, 200.0);
        let clean = steepest(&sound);
        let added = lengthen(&mut sound);
        assert_eq!(sound.len(), 1920 + added);
        assert!(steepest(&sound) < clean * 1.1);
    }

    #[test]
    fn too_little_sound_is_left_alone() {
        let mut sound = sine(900, 200.0);
        assert_eq!((shorten(&mut sound), lengthen(&mut sound), sound.len()), (0, 0, 900));
    }
}
