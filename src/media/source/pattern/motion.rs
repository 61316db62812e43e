//! How a face moves: a pure function of seed, time and the mouth's opening.

use crate::time::MediaTime;

/// Scrambles a number; neighbours end up far apart.
pub(super) fn hash(mut x: u64) -> u64 {
    // The finaliser of SplitMix64.
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}

/// 0…1 from a hash.
pub(super) fn unit(x: u64) -> f32 {
    (hash(x) >> 40) as f32 / (1u64 << 24) as f32
}

/// Smooth noise in −1…1 that wanders once per `period` seconds.
pub(super) fn wander(seed: u64, stream: u64, seconds: f64, period: f64) -> f32 {
    let at = seconds / period;
    let cell = at.floor();
    let f = (at - cell) as f32;
    let knot = |k: i64| unit(seed ^ hash(stream ^ hash((cell as i64 + k) as u64))) * 2.0 - 1.0;
    let (a, b, c, d) = (knot(-1), knot(0), knot(1), knot(2));
    // Cubic B-spline: no corner in speed or acceleration, as muscles move.
    let g = 1.0 - f;
    let weights = [
        g * g * g,
        3.0 * f * f * f - 6.0 * f * f + 4.0,
        3.0 * g * g * g - 6.0 * g * g + 4.0,
        f * f * f,
    ];
    (a * weights[0] + b * weights[1] + c * weights[2] + d * weights[3]) / 6.0 * 1.5
}

/// Everything that moves, at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pose {
    /// Head to the side and down, in picture heights.
    pub sway: (f32, f32),
    /// Head tilted: x per y.
    pub roll: f32,
    /// Head turned and nodding, −1…1.
    pub turn: (f32, f32),
    /// Body to the side and down.
    pub body: (f32, f32),
    /// Eyelids: 1 open, 0 closed.
    pub lids: f32,
    /// Where the eyes look, −1…1.
    pub gaze: (f32, f32),
    /// Brows raised.
    pub brow: f32,
    /// Mouth open, 0…1.
    pub mouth: f32,
    /// Mouth drawn wide (1) or rounded (−1).
    pub wide: f32,
    /// The coloured light: position −1…1 across, and its hue as two chroma weights.
    pub light: (f32, [f32; 2]),
}

impl Pose {
    pub(super) fn at(seed: u64, at: MediaTime, mouth: f32) -> Self {
        let t = at.0 as f64 / 1e6;
        let mouth = if mouth.is_finite() { mouth.clamp(0.0, 1.0) } else { 0.0 };
        let w = |stream, period| wander(seed, stream, t, period);
        let breath = (t * 1.6).sin() as f32;
        let hue = t * 0.23 + f64::from(unit(seed)) * std::f64::consts::TAU;
        Self {
            sway: (0.030 * w(1, 1.9) + 0.008 * w(2, 0.7), 0.010 * w(3, 1.3) + 0.005 * mouth),
            roll: 0.075 * w(4, 2.3),
            turn: (0.75 * w(5, 1.7) + 0.2 * w(6, 0.6), 0.6 * w(7, 1.4) + 0.35 * mouth * w(8, 0.3)),
            body: (0.010 * w(9, 2.6), 0.004 * breath),
            lids: lids(seed, t),
            gaze: gaze(seed, t),
            brow: 0.5 * w(10, 1.1) + 0.4 * mouth,
            mouth,
            wide: (0.4 * w(11, 0.4) + 0.1 * w(12, 0.15)) * (0.3 + 0.7 * mouth),
            // Between lamplight and daylight, with a little green and pink on the way.
            light: (
                (t * 0.17).sin() as f32,
                [(hue.sin() + 0.25 * hue.cos()) as f32, (0.3 * hue.cos() - 0.8 * hue.sin()) as f32],
            ),
        }
    }
}

/// Eyelids: a blink of a sixth of a second somewhere in every three seconds.
fn lids(seed: u64, t: f64) -> f32 {
    const EVERY: f64 = 3.1;
    let cell = (t / EVERY).floor();
    let mut open = 1.0f32;
    for k in [cell - 1.0, cell] {
        let at = k * EVERY + f64::from(unit(seed ^ hash(77 ^ k as i64 as u64))) * (EVERY - 0.4);
        let off = (t - at - 0.12) as f32;
        // Shutting is quicker than opening.
        let span = if off < 0.0 { 0.07 } else { 0.13 };
        let shut = 1.0 - (off.abs() / span).min(1.0);
        open = open.min(1.0 - shut * shut * (3.0 - 2.0 * shut));
    }
    open
}

/// Eyes rest on the viewer most of the time and jump away now and then.
fn gaze(seed: u64, t: f64) -> (f32, f32) {
    const REST: f64 = 0.85;
    let cell = (t / REST).floor();
    let target = |k: f64| {
        let h = hash(seed ^ hash(991 ^ k as i64 as u64));
        if unit(h) < 0.55 {
            return (0.0, 0.0);
        }
        ((unit(h ^ 1) * 2.0 - 1.0) * 0.9, (unit(h ^ 2) * 2.0 - 1.0) * 0.5)
    };
    let (from, to) = (target(cell - 1.0), target(cell));
    // A saccade takes about 50 ms.
    let f = (((t / REST - cell) * REST / 0.05) as f32).min(1.0);
    let f = f * f * (3.0 - 2.0 * f);
    (from.0 + (to.0 - from.0) * f, from.1 + (to.1 - from.1) * f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_face_blinks_every_few_seconds_and_looks_open_eyed_otherwise() {
        let open: Vec<f32> =
            (0..3000).map(|i| Pose::at(5, MediaTime(i * 10_000), 0.0).lids).collect();
        let shut = open.windows(2).filter(|w| w[0] >= 0.2 && w[1] < 0.2).count();
        assert!((7..=12).contains(&shut), "{shut} blinks in 30 s");
        assert!(open.iter().filter(|&&o| o > 0.99).count() > 2600);
    }

    #[test]
    fn motion_is_smooth_from_picture_to_picture() {
        for i in 0..900u64 {
            let (a, b) = (i * 33_333, (i + 1) * 33_333);
            let (a, b) = (Pose::at(1, MediaTime(a), 0.5), Pose::at(1, MediaTime(b), 0.5));
            assert!((a.sway.0 - b.sway.0).abs() < 0.006 && (a.roll - b.roll).abs() < 0.01);
        }
    }

    #[test]
    fn a_mouth_that_is_no_number_is_shut() {
        assert_eq!(Pose::at(1, MediaTime(0), f32::NAN).mouth, 0.0);
        assert_eq!(Pose::at(1, MediaTime(0), 7.0).mouth, 1.0);
    }
}
