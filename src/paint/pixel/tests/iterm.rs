//! iTerm2's pictures and the JPEG in them, decoded by somebody else's decoder.

use super::*;

fn unjpeg(file: &[u8]) -> (usize, usize, Vec<u8>) {
    let mut decoder = zune_jpeg::JpegDecoder::new(std::io::Cursor::new(file));
    let pixels = decoder.decode().expect("a valid file");
    let (w, h) = decoder.dimensions().unwrap();
    (w, h, pixels)
}

#[test]
fn iterm_pictures_cover_exactly_the_uncovered_cells_and_show_what_was_given() {
    let mut dice = Dice(21);
    let terminal = PixelTerminal { screen_rows: 16, ..PixelTerminal::default() };
    let mut painter = PixelPainter::new(Protocol::Iterm2, terminal);
    *painter.quality() = Quality::fixed(0.25);
    let rect = Rect { x: 3, y: 2, cols: 22, rows: 14 };
    painter.place(rect, (9, 17));
    let mut f = dice.frame(Size::new(198, 238));
    for (i, p) in f.y.iter_mut().enumerate() {
        *p = (40 + (i % 198) / 2 + i / 198 / 4) as u8;
    }
    f.u.fill(120);
    f.v.fill(141);
    for cover in [None, Some(Rect { x: 8, y: 4, cols: 5, rows: 3 }), None] {
        let covers: Vec<Rect> = cover.into_iter().collect();
        painter.cover(&covers);
        painter.invalidate();
        let mut screen = Screen::new(40, 16, (9, 17));
        let mut out = Vec::new();
        painter.paint(&f, &mut out);
        screen.eat(&out);
        let mut shown = std::collections::BTreeSet::new();
        for (at, file) in &screen.jpegs {
            let (w, h, pixels) = unjpeg(file);
            assert_eq!((w, h), (usize::from(at.cols) * 9, usize::from(at.rows) * 17));
            for (i, p) in pixels.as_chunks::<3>().0.iter().enumerate() {
                let x = usize::from(at.x - rect.x) * 9 + i % w;
                let y = usize::from(at.y - rect.y) * 17 + i / w;
                let given = scale::rgb(f.y[y * 198 + x], 120, 141);
                let close = p.iter().zip(given).all(|(a, b)| a.abs_diff(b) <= 9);
                assert!(close, "{x},{y}: {p:?} for {given:?}");
            }
            for y in at.y..at.y + at.rows {
                for x in at.x..at.x + at.cols {
                    assert!(shown.insert((x, y)), "twice");
                }
            }
        }
        for y in 0..16 {
            for x in 0..40 {
                let open =
                    rect.contains(x, y) && y < 15 && !covers.iter().any(|c| c.contains(x, y));
                assert_eq!(shown.contains(&(x, y)), open, "{x},{y}");
            }
        }
    }
}

#[test]
fn an_unchanged_picture_is_not_sent_to_iterm_again() {
    let f = Dice(2).frame(Size::new(160, 96));
    let mut painter = PixelPainter::new(Protocol::Iterm2, PixelTerminal::default());
    painter.refresh_every(0);
    painter.place(Rect { x: 0, y: 0, cols: 20, rows: 6 }, (8, 16));
    assert!(painter.paint(&f, &mut Vec::new()).bytes > 0);
    assert_eq!(painter.paint(&f, &mut Vec::new()).bytes, 0);
}

#[test]
fn jpeg_survives_extreme_pictures_at_every_quality_and_odd_size() {
    let mut dice = Dice(4);
    for size in [(1u16, 1u16), (7, 9), (16, 16), (17, 33), (64, 8)] {
        for quality in [1, 25, 50, 92, 100] {
            let n = usize::from(size.0) * usize::from(size.1);
            let plane: Vec<u8> = (0..n).map(|_| [0, 255][dice.roll(2)]).collect();
            let mut file = Vec::new();
            let planes = [&plane[..]; 3];
            let image = jpeg::Image { planes, stride: size.0.into(), at: (0, 0), size };
            jpeg::encode(image, quality, &mut file);
            let (w, h, _) = unjpeg(&file);
            assert_eq!((w, h), (size.0.into(), size.1.into()));
        }
    }
}
