//! The room behind the face: a lit wall and shelves of books. Drawn once per size.

use super::canvas::{Blob, Colour, Ellipse, Plane, Rect, mix, rgb};
use super::look::Look;
use super::motion::{hash, unit};

/// Draws the room over the whole plane; `half` is half the picture's width.
pub(super) fn draw(plane: &mut Plane<'_>, look: &Look, half: f32) {
    let whole = Rect { left: -half - 1.0, top: -1.0, right: half + 1.0, bottom: 2.0 };
    plane.fill(&whole, mix(look.wall, rgb(0.0, 0.0, 0.0), 0.35), 1.0);
    let glow = |x: f32, y: f32, rx: f32, ry: f32| Blob { cx: x, cy: y, rx, ry, shear: 0.0 };
    plane.fill(&glow(look.side * half * 0.7, 0.15, 1.5, 1.1), rgb(250.0, 216.0, 168.0), 0.55);
    plane.shade(&glow(-look.side * half, 1.0, 1.2, 1.2), 0.6);
    for (shelf, y) in [0.30, 0.62, 0.94].into_iter().enumerate() {
        for (wing, from, to) in [(0, -half - 0.05, -0.36), (1, 0.36, half + 0.05)] {
            if to - from > 0.02 {
                let seed = hash(look.seed ^ (shelf * 2 + wing) as u64);
                books(plane, look, seed, (from, to), y);
            }
        }
    }
}

const SPINES: [Colour; 8] = [
    rgb(150.0, 56.0, 48.0),
    rgb(44.0, 78.0, 112.0),
    rgb(200.0, 168.0, 92.0),
    rgb(60.0, 100.0, 70.0),
    rgb(206.0, 196.0, 176.0),
    rgb(92.0, 62.0, 92.0),
    rgb(178.0, 108.0, 56.0),
    rgb(54.0, 54.0, 60.0),
];

/// One board with what stands on it.
fn books(plane: &mut Plane<'_>, look: &Look, seed: u64, (from, to): (f32, f32), y: f32) {
    let behind = Rect { left: from, top: y - 0.25, right: to, bottom: y };
    plane.shade(&behind, 0.72);
    let mut x = from + 0.01;
    let mut n = seed;
    while x < to - 0.02 {
        n = hash(n);
        let width = 0.022 + 0.030 * unit(n ^ 1);
        if unit(n ^ 2) < 0.14 {
            // A gap, now and then with a round pot in it.
            for (lean, reach) in [(-0.9, 0.055), (0.7, 0.060), (-0.2, 0.085), (0.35, 0.075)] {
                let leaf = Ellipse::new(
                    x + 0.04 - lean * reach * 0.5,
                    y - 0.045 - reach * 0.6,
                    0.010,
                    reach * 0.6,
                );
                let green = rgb(58.0 + 300.0 * reach, 118.0, 62.0);
                plane.fill(&leaf.shear(lean), green, 0.95);
            }
            let pot = Rect { left: x + 0.018, top: y - 0.05, right: x + 0.062, bottom: y };
            plane.fill(&pot, rgb(162.0, 92.0, 64.0), 1.0);
            let shadow = Rect { left: if look.side < 0.0 { x + 0.046 } else { x + 0.018 }, ..pot };
            let shadow = Rect { right: shadow.left + 0.016, ..shadow };
            plane.shade(&shadow, 0.75);
            x += 0.085;
            continue;
        }
        let right = (x + width).min(to - 0.005);
        let top = y - 0.13 - 0.085 * unit(n ^ 3);
        let colour = SPINES[(n % 8) as usize];
        let spine = Rect { left: x, top, right: right - 0.003, bottom: y };
        plane.fill(&spine, mix(mix(colour, look.wall, 0.30), rgb(0.0, 0.0, 0.0), 0.22), 1.0);
        let edge = Rect { left: x, top, right: x + 0.005, bottom: y };
        plane.shade(&edge, if look.side < 0.0 { 1.35 } else { 0.7 });
        // Lettering: two fine lines across the spine.
        for at in [0.25, 0.33] {
            let line = top + (y - top) * at;
            let band =
                Rect { left: x + 0.004, top: line, right: right - 0.007, bottom: line + 0.006 };
            plane.fill(&band, mix(colour, rgb(245.0, 230.0, 190.0), 0.6), 0.8);
        }
        x = right + 0.001;
    }
    let board = Rect { left: from, top: y, right: to, bottom: y + 0.022 };
    plane.fill(&board, rgb(126.0, 86.0, 54.0), 1.0);
    let lit = Rect { left: from, top: y, right: to, bottom: y + 0.006 };
    plane.shade(&lit, 1.4);
    let under = Rect { left: from, top: y + 0.022, right: to, bottom: y + 0.05 };
    plane.shade(&under, 0.7);
}
