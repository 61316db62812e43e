//! The moving test card: colours, fine lines, a ramp, a clock hand, a ball and a sound meter.
//! What the eye should check on a screen: colours in order, circle round, lines apart, motion
//! even, meter in time with the voice.

use super::canvas::{Blob, Colour, Ellipse, Plane, Rect, Without, rgb};
use super::motion::Pose;
use crate::time::MediaTime;

const BARS: [Colour; 7] = [
    rgb(200.0, 200.0, 200.0),
    rgb(200.0, 200.0, 20.0),
    rgb(20.0, 200.0, 200.0),
    rgb(20.0, 200.0, 20.0),
    rgb(200.0, 20.0, 200.0),
    rgb(200.0, 20.0, 20.0),
    rgb(20.0, 20.0, 200.0),
];
const WHITE: Colour = rgb(235.0, 235.0, 235.0);
const BLACK: Colour = rgb(12.0, 12.0, 12.0);

/// What stands still.
pub(super) fn draw_still(plane: &mut Plane<'_>, half: f32) {
    let rect = |left, top, right, bottom| Rect { left, top, right, bottom };
    plane.fill(&rect(-half, -0.1, half, 1.1), rgb(90.0, 90.0, 96.0), 1.0);
    let bar = 2.0 * half / 7.0;
    for (i, colour) in BARS.into_iter().enumerate() {
        let left = -half + i as f32 * bar;
        plane.fill(&rect(left, -0.1, left + bar, 0.55), colour, 1.0);
    }
    // A ramp in 48 steps, then groups of lines from coarse to fine.
    for i in 0..48 {
        let left = -half + 2.0 * half * i as f32 / 48.0;
        let grey = 235.0 * i as f32 / 47.0;
        plane.fill(&rect(left, 0.55, left + half / 24.0, 0.70), rgb(grey, grey, grey), 1.0);
    }
    for (group, pitch) in [0.08, 0.04, 0.02, 0.0125].into_iter().enumerate() {
        let left = -half + 0.04 + group as f32 * half / 2.0;
        let mut x = left;
        while x < left + half / 2.0 - 0.08 {
            plane.fill(&rect(x, 0.74, x + pitch / 2.0, 0.86), WHITE, 1.0);
            x += pitch;
        }
    }
    let circle = Ellipse::new(0.0, 0.42, 0.36, 0.36);
    plane.fill(&Without(circle, Ellipse { rx: 0.345, ry: 0.345, ..circle }), WHITE, 1.0);
}

/// What moves.
pub(super) fn draw_moving(plane: &mut Plane<'_>, half: f32, at: MediaTime, pose: &Pose) {
    // One turn in four seconds, in steps too small to see.
    let turn = (at.0 % 4_000_000) as f32 / 4e6 * std::f32::consts::TAU;
    plane.fill(&Ellipse::new(0.0, 0.42, 0.30, 0.30), BLACK, 0.55);
    for i in 0..12 {
        let reach = 0.03 + 0.02 * i as f32;
        let (x, y) = (turn.sin() * reach, 0.42 - turn.cos() * reach);
        plane.fill(&Ellipse::new(x, y, 0.022, 0.022), WHITE, 1.0);
    }
    let swing = |period: u64| {
        let phase = (at.0 % period) as f32 / period as f32 * std::f32::consts::TAU;
        phase.sin()
    };
    let (x, y) = (swing(5_000_000) * (half - 0.12), 0.30 + 0.18 * swing(2_300_000));
    plane.fill(&Ellipse::new(x, y, 0.06, 0.06), rgb(240.0, 120.0, 30.0), 1.0);
    let shine = Blob { cx: x - 0.02, cy: y - 0.02, rx: 0.03, ry: 0.03, shear: 0.0 };
    plane.fill(&shine, WHITE, 0.8);
    // The meter: how loud the sound of this moment is.
    let full = 2.0 * half - 0.1;
    let meter = |right| Rect { left: -half + 0.05, top: 0.90, right, bottom: 0.97 };
    plane.fill(&meter(half - 0.05), BLACK, 1.0);
    plane.fill(&meter(-half + 0.05 + full * pose.mouth), rgb(60.0, 220.0, 90.0), 1.0);
}
