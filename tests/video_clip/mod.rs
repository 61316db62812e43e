//! A moving test picture for codec measurements: a head that sways and talks before a shelf.
//! Computed from coordinates, so every size shows the same scene without scaling.
#![allow(dead_code, reason = "shared by several test binaries and the bench")]

use facetty::media::frame::{RawFrame, Size};
use facetty::time::MediaTime;

/// The scene at `seconds`.
pub fn scene(size: Size, seconds: f64) -> RawFrame {
    let at = MediaTime((seconds * 1e6) as u64);
    let mut frame = RawFrame::black(size, at);
    let (w, h) = (usize::from(size.width), usize::from(size.height));
    for y in 0..h {
        for x in 0..w {
            let mut sum = 0.0;
            for sub in 0..4 {
                let (dx, dy) = (0.25 + 0.5 * f64::from(sub % 2), 0.25 + 0.5 * f64::from(sub / 2));
                let (px, py) = ((x as f64 + dx) / h as f64, (y as f64 + dy) / h as f64);
                sum += shade(px - 0.5 * w as f64 / h as f64, py, seconds).0;
            }
            frame.y[y * w + x] = (16.0 + 219.0 * (sum / 4.0).clamp(0.0, 1.0)).round() as u8;
        }
    }
    for y in 0..h / 2 {
        for x in 0..w / 2 {
            let (px, py) = ((2 * x + 1) as f64 / h as f64, (2 * y + 1) as f64 / h as f64);
            let (_, u, v) = shade(px - 0.5 * w as f64 / h as f64, py, seconds);
            frame.u[y * (w / 2) + x] = (128.0 + u) as u8;
            frame.v[y * (w / 2) + x] = (128.0 + v) as u8;
        }
    }
    frame
}

/// The picture with Gaussian grain on its luma plane, different in every picture.
pub fn grain(frame: &RawFrame, sigma: f64, seed: u64) -> RawFrame {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f64 / f64::from(1 << 24)
    };
    let mut noisy = frame.clone();
    for sample in &mut noisy.y {
        let normal = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
        *sample = (f64::from(*sample) + sigma * normal).round().clamp(0.0, 255.0) as u8;
    }
    noisy
}

fn hash(x: i64, y: i64) -> f64 {
    let mut v =
        (x as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (y as u64).wrapping_mul(0xC2B2_AE3D);
    v ^= v >> 29;
    v = v.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((v >> 40) & 0xffff) as f64 / 65535.0
}

/// Smooth value noise.
fn texture(x: f64, y: f64) -> f64 {
    let (ix, iy) = (x.floor(), y.floor());
    let (fx, fy) = (x - ix, y - iy);
    let (sx, sy) = (fx * fx * (3.0 - 2.0 * fx), fy * fy * (3.0 - 2.0 * fy));
    let at = |dx: i64, dy: i64| hash(ix as i64 + dx, iy as i64 + dy);
    let (top, bottom) =
        (at(0, 0) * (1.0 - sx) + at(1, 0) * sx, at(0, 1) * (1.0 - sx) + at(1, 1) * sx);
    top * (1.0 - sy) + bottom * sy
}

/// Luma 0…1 and chroma offsets at a point; the head is about 0.5 high.
fn shade(x: f64, y: f64, t: f64) -> (f64, f64, f64) {
    let sway = 0.05 * (t * 2.1).sin() + 0.02 * (t * 5.3).sin();
    let nod = 0.02 * (t * 3.1).sin();
    let (hx, hy) = (x - sway, y - 0.45 - nod);
    let head = (hx / 0.2).powi(2) + (hy / 0.27).powi(2);
    if head < 1.0 {
        let light = 0.72 - 0.35 * hx - 0.25 * head + 0.06 * texture(hx * 40.0, hy * 40.0);
        let eye = |ex: f64| ((hx - ex) / 0.04).powi(2) + ((hy + 0.05) / 0.018).powi(2) < 1.0;
        let blink = (t * 0.9).fract() < 0.05;
        if (eye(-0.08) || eye(0.08)) && !blink {
            let pupil = |ex: f64| (hx - ex).powi(2) + (hy + 0.05).powi(2) < 0.00025;
            return (if pupil(-0.08) || pupil(0.08) { 0.08 } else { 0.92 }, 0.0, 0.0);
        }
        let open = 0.012 + 0.028 * (t * 9.0).sin().abs() * (0.5 + 0.5 * (t * 1.7).sin());
        if (hx / 0.07).powi(2) + ((hy - 0.13) / open).powi(2) < 1.0 {
            return (0.22, -2.0, 24.0);
        }
        if hy < -0.14 + 0.03 * (hx * 30.0).sin() {
            return (0.16 + 0.14 * texture(hx * 90.0, hy * 22.0), -4.0, 6.0);
        }
        return (light, -14.0, 20.0);
    }
    let (sx, sy) = (x - 0.6 * sway, y - 0.95);
    if (sx / 0.42).powi(2) + (sy / 0.25).powi(2) < 1.0 {
        return (
            0.32 + 0.1 * ((sx + 0.3 * sy) * 60.0).sin() + 0.05 * texture(sx * 30.0, sy * 30.0),
            18.0,
            -8.0,
        );
    }
    // The shelf: boards and book spines.
    let board = (y * 4.0).fract() < 0.06;
    let book = hash((x * 14.0).floor() as i64, (y * 4.0).floor() as i64);
    let edge = (x * 14.0).fract() < 0.08;
    let luma = if board {
        0.55
    } else if edge {
        0.15
    } else {
        0.25 + 0.4 * book
    };
    (luma + 0.05 * texture(x * 25.0, y * 25.0), 20.0 * (book - 0.5), -20.0 * (book - 0.5))
}
