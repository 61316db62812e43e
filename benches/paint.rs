//! Picture → bytes for the terminal: `cargo bench --bench paint`. Time per frame by criterion;
//! bytes per frame and PSNR against the scaled picture are printed first.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use facetty::media::frame::{RawFrame, Size};
use facetty::paint::{Depth, Mode, Painter, PixelPainter, Protocol, Quality, Rect};
use std::hint::black_box;

const GRIDS: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

/// A talking head, drawn: shaded background with stripes, a swaying head, a moving mouth, grain.
fn clip(size: Size) -> Vec<RawFrame> {
    let (w, h) = (f32::from(size.width), f32::from(size.height));
    let mut grain = 1u32;
    (0..30)
        .map(|t| {
            let t = t as f32;
            let mut f = RawFrame::black(size, Default::default());
            let (cx, cy) = (0.5 + 0.04 * (t * 0.2).sin(), 0.48 + 0.01 * (t * 0.5).sin());
            let oval = |x: f32, y: f32, rx: f32, ry: f32| (x / rx).powi(2) + (y / ry).powi(2) < 1.0;
            for (i, luma) in f.y.iter_mut().enumerate() {
                let (x, y) = (
                    (i % usize::from(size.width)) as f32 / w,
                    (i / usize::from(size.width)) as f32 / h,
                );
                let (dx, dy) = (x - cx, y - cy);
                let value = if oval(dx, dy - 0.16, 0.05, 0.02 + 0.02 * (t * 0.9).sin().abs()) {
                    50.0
                } else if oval(dx.abs() - 0.07, dy + 0.06, 0.022, 0.02) {
                    60.0
                } else if oval(dx, dy, 0.17, 0.33) {
                    165.0 + 120.0 * dx
                } else if oval(dx, dy + 0.08, 0.2, 0.34) {
                    40.0
                } else if y > 0.8 && (x - cx).abs() < 0.4 {
                    90.0 + 30.0 * (x * 90.0).sin()
                } else {
                    110.0 + 50.0 * (x * 12.0).sin() + 30.0 * y
                };
                grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *luma = (value + (grain >> 29) as f32 - 3.5).clamp(16.0, 235.0) as u8;
            }
            for (i, (u, v)) in f.u.iter_mut().zip(&mut f.v).enumerate() {
                let half = usize::from(size.width / 2);
                let (x, y) = ((i % half) as f32 / w * 2.0, (i / half) as f32 / h * 2.0);
                let skin = oval(x - cx, y - cy, 0.17, 0.33);
                (*u, *v) = if skin { (110, 152) } else { (138, 122) };
            }
            f
        })
        .collect()
}

fn painter(mode: Mode, depth: Depth, (cols, rows): (u16, u16), lambda: f32) -> Painter {
    let mut painter = Painter::new(mode, depth);
    painter.place(Rect { x: 0, y: 0, cols, rows }, (10, 20));
    *painter.quality() = Quality::fixed(lambda);
    painter
}

fn paint(c: &mut Criterion) {
    for (cols, rows) in GRIDS {
        let rect = Rect { x: 0, y: 0, cols, rows };
        let mut group = c.benchmark_group(format!("paint {cols}x{rows}"));
        for mode in [Mode::Half, Mode::Sextant, Mode::Mixed, Mode::Octant, Mode::MixedOctant] {
            let frames = clip(facetty::paint::tile_pixels(rect, mode, (10, 20)));
            for lambda in [0.0, 0.5, 2.0] {
                let mut p = painter(mode, Depth::True, (cols, rows), lambda);
                let mut out = Vec::new();
                let (mut bytes, mut error) = (0, 0.0);
                for f in &frames {
                    out.clear();
                    let stats = p.paint(f, &mut out);
                    bytes += stats.bytes;
                    error += stats.error;
                }
                let n = frames.len();
                #[expect(clippy::disallowed_macros, reason = "a benchmark prints its figures")]
                {
                    println!(
                        "{mode} {cols}x{rows} λ {lambda}: {} bytes/frame, {:.1} per cell, {:.2} dB",
                        bytes / n,
                        bytes as f64 / n as f64 / rect.cells() as f64,
                        10.0 * (65025.0 / (error / n as f64).max(1e-9)).log10(),
                    );
                }
                let mut at = 0;
                group.bench_function(BenchmarkId::new(mode.name(), format!("λ {lambda}")), |b| {
                    b.iter(|| {
                        at = (at + 1) % frames.len();
                        out.clear();
                        black_box(p.paint(&frames[at], &mut out))
                    });
                });
            }
        }
        group.finish();
    }
}

/// Whole pictures of 640x384 as sixels, and only what changes of them.
fn sixel(c: &mut Criterion) {
    let rect = Rect { x: 0, y: 0, cols: 80, rows: 24 };
    let frames = clip(Size::new(640, 384));
    let mut group = c.benchmark_group("sixel 640x384");
    for whole in [true, false] {
        let mut p = PixelPainter::new(Protocol::Sixel, Default::default());
        p.place(rect, (8, 16));
        *p.quality() = Quality::fixed(0.5);
        let (mut out, mut bytes, mut at) = (Vec::new(), 0, 0);
        let mut next = |out: &mut Vec<u8>| {
            at = (at + 1) % frames.len();
            out.clear();
            if whole {
                p.invalidate();
            }
            p.paint(&frames[at], out).bytes
        };
        (0..frames.len()).for_each(|_| bytes += next(&mut out));
        let name = if whole { "whole" } else { "changes" };
        #[expect(clippy::disallowed_macros, reason = "a benchmark prints its figures")]
        {
            println!("sixel 640x384 {name}: {} bytes/frame", bytes / frames.len());
        }
        group.bench_function(name, |b| b.iter(|| black_box(next(&mut out))));
    }
    group.finish();
}

criterion_group!(benches, paint, sixel);
criterion_main!(benches);
