//! Paints a drawn picture onto the terminal, in every mode, and writes the last as SVG.
//!
//! `cargo run --example paint_a_picture [-- OUT.svg]`

use facetty::media::frame::{RawFrame, Size};
use facetty::paint::{Depth, Mode, Painter, Quality, Rect, svg};
use std::io::Write;

/// A sunset over water.
fn picture(size: Size) -> RawFrame {
    let mut f = RawFrame::black(size, Default::default());
    let (w, h) = (f32::from(size.width), f32::from(size.height));
    let half = usize::from(size.width / 2);
    for y in 0..usize::from(size.height) {
        for x in 0..usize::from(size.width) {
            let (px, py) = (x as f32 / w, y as f32 / h);
            let sun = 1.0 - ((px - 0.5).powi(2) * 2.8 + (py - 0.55).powi(2)).sqrt() * 5.0;
            let water = py > 0.62;
            let wave = if water { (py * 160.0 + (px * 9.0).sin() * 3.0).sin() * 0.08 } else { 0.0 };
            let sky = 0.25 + 0.45 * (1.0 - (py - 0.6).abs());
            let glow = if water { sun * 0.5 } else { sun.min(0.12) * 8.0 }.clamp(0.0, 1.0);
            let luma = (sky * if water { 0.5 } else { 1.0 } + wave + glow * 0.6).clamp(0.0, 1.0);
            f.y[y * usize::from(size.width) + x] = (16.0 + 219.0 * luma) as u8;
            if x % 2 == 0 && y % 2 == 0 {
                let warm = (1.0 - (py - 0.6).abs() * 2.0).clamp(0.0, 1.0);
                f.u[y / 2 * half + x / 2] = (128.0 + 30.0 * (1.0 - warm) - 50.0 * warm) as u8;
                f.v[y / 2 * half + x / 2] = (128.0 - 10.0 * (1.0 - warm) + 46.0 * warm) as u8;
            }
        }
    }
    f
}

fn main() -> std::io::Result<()> {
    let rect = Rect { x: 2, y: 1, cols: 60, rows: 18 };
    let mut screen = svg::Screen::new(64, 20);
    let mut out = std::io::stdout().lock();
    for mode in Mode::ALL {
        let mut painter = Painter::new(mode, Depth::True);
        painter.place(rect, (10, 20));
        // As good as it gets; a call lets the terminal's speed decide.
        *painter.quality() = Quality::fixed(0.0);
        let mut bytes = b"\x1b[2J".to_vec();
        let stats = painter.paint(&picture(painter.wanted_pixels()), &mut bytes);
        out.write_all(&bytes)?;
        let db = 10.0 * (65025.0 / stats.error.max(1e-9)).log10();
        writeln!(
            out,
            "\x1b[{};1H  {mode}: {} bytes, {db:.1} dB",
            rect.y + rect.rows + 1,
            stats.bytes
        )?;
        screen.draw(&painter);
    }
    if let Some(path) = std::env::args().nth(1) {
        std::fs::write(path, screen.to_svg("A drawn sunset, painted with sextants"))?;
    }
    Ok(())
}
