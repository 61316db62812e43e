//! What few colours look like on this terminal, and which of them are near to any colour.

use super::super::colour::{Ansi, Depth, Ink};
use super::few::{self, Near};
use super::shade::{self, Mixes};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Steps per channel of the tables.
const STEPS: usize = 16;
/// Schemes kept for further tiles: one per theme the terminal had.
const KEPT: usize = 4;

/// The colours of a depth, with tables that are made when they are asked for first.
pub(in super::super) struct Scheme {
    depth: Depth,
    ansi: Ansi,
    near: OnceLock<Vec<Near>>,
    mixes: OnceLock<Vec<Mixes>>,
}

impl Scheme {
    /// The colours of this depth where the first 16 look like that. Tiles share them: the tables
    /// take some milliseconds.
    pub(in super::super) fn of(depth: Depth, ansi: Ansi) -> Arc<Self> {
        static MADE: Mutex<Vec<Arc<Scheme>>> = Mutex::new(Vec::new());
        // Nothing else looks at them.
        let ansi = if depth == Depth::Ansi16 { ansi } else { Ansi::XTERM };
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.iter().find(|known| (known.depth, known.ansi) == (depth, ansi)) {
            return known.clone();
        }
        if made.len() >= KEPT {
            made.remove(0);
        }
        let new = Arc::new(Self { depth, ansi, near: OnceLock::new(), mixes: OnceLock::new() });
        made.push(new.clone());
        new
    }

    /// The nearest colour to this one.
    #[inline(always)]
    pub(super) fn ink(&self, rgb: [f32; 3]) -> Ink {
        self.depth.ink_of(&self.ansi, rgb)
    }

    /// The colour with this number.
    #[inline(always)]
    pub(super) fn indexed(&self, index: u8) -> Ink {
        if self.depth == Depth::Ansi16 { self.ansi.ink(index) } else { Ink::indexed(index) }
    }

    /// The numbers that may be used: of 256 the first 16 may look like anything.
    pub(super) fn numbers(&self) -> std::ops::RangeInclusive<u8> {
        if self.depth == Depth::Ansi16 { 0..=15 } else { 16..=255 }
    }

    /// Numbers near to a colour.
    #[inline(always)]
    pub(super) fn near(&self) -> Table<'_, Near> {
        Table(self.near.get_or_init(|| every(|colour| few::nearest(self, colour))))
    }

    /// Mixes near to a colour.
    #[inline(always)]
    pub(super) fn mixes(&self) -> Table<'_, Mixes> {
        Table(self.mixes.get_or_init(|| every(|colour| shade::best_mixes(self, colour))))
    }
}

/// Something for each of `STEPS³` colours.
pub(super) struct Table<'a, T>(&'a [T]);

impl<'a, T> Table<'a, T> {
    /// What there is for this colour.
    #[inline(always)]
    pub(super) fn at(&self, colour: [f32; 3]) -> &'a T {
        let [r, g, b] = colour.map(|v| (v / 17.0 + 0.5) as usize).map(|v| v.min(STEPS - 1));
        &self.0[(r * STEPS + g) * STEPS + b]
    }
}

fn every<T>(of: impl Fn([f32; 3]) -> T) -> Vec<T> {
    let step = |v: usize| (v % STEPS * 17) as f32;
    (0..STEPS * STEPS * STEPS)
        .map(|n| of([step(n / STEPS / STEPS), step(n / STEPS), step(n)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::{RawFrame, Size};
    use crate::paint::{Mode, Painter, Rect};

    #[test]
    fn tiles_share_their_tables_and_few_are_kept() {
        let theme = |n: u8| Ansi([[n; 3]; 16]);
        let first = Scheme::of(Depth::Ansi16, theme(201));
        assert!(Arc::ptr_eq(&first, &Scheme::of(Depth::Ansi16, theme(201))));
        let large = Scheme::of(Depth::Indexed256, theme(202));
        assert_eq!(large.ansi, Ansi::XTERM, "256 don't need the first 16");
        for n in 203..=220 {
            Scheme::of(Depth::Ansi16, theme(n));
        }
        assert!(!Arc::ptr_eq(&first, &Scheme::of(Depth::Ansi16, theme(201))), "forgotten");
    }

    #[test]
    fn pictures_of_16_colours_are_made_of_what_the_terminal_shows() {
        // Solarized: none of it is near what xterm has under the same number.
        let theme = Ansi([
            [7, 54, 66],
            [220, 50, 47],
            [133, 153, 0],
            [181, 137, 0],
            [38, 139, 210],
            [211, 54, 130],
            [42, 161, 152],
            [238, 232, 213],
            [0, 43, 54],
            [203, 75, 22],
            [88, 110, 117],
            [101, 123, 131],
            [131, 148, 150],
            [108, 113, 196],
            [147, 161, 161],
            [253, 246, 227],
        ]);
        let size = Size::new(64, 48);
        let mut f = RawFrame::black(size, Default::default());
        for (i, luma) in f.y.iter_mut().enumerate() {
            *luma = (60 + 2 * (i % 64)) as u8;
        }
        let rect = Rect { x: 0, y: 0, cols: 16, rows: 6 };
        let own = |ansi: Option<Ansi>| {
            let mut painter = Painter::new(Mode::Half, Depth::Ansi16);
            painter.place(rect, (10, 20));
            painter.paint(&f, &mut Vec::new());
            if let Some(ansi) = ansi {
                painter.ansi(ansi);
                let stats = painter.paint(&f, &mut Vec::new());
                assert_eq!(stats.written, rect.cells(), "all of it anew");
                painter.ansi(ansi);
                assert!(painter.paint(&f, &mut Vec::new()).written < rect.cells());
            }
            painter.cells().map(|cell| (cell.fg, cell.bg)).collect::<Vec<_>>()
        };
        let error = |inks: &[(Ink, Ink)]| -> f32 {
            // As this terminal shows them.
            let shown = |ink: Ink| ink.index().map_or([0; 3], |i| theme.0[usize::from(i)]);
            let luma = |c: [u8; 3]| {
                0.299 * f32::from(c[0]) + 0.587 * f32::from(c[1]) + 0.114 * f32::from(c[2])
            };
            let off = |(i, (fg, bg)): (usize, &(Ink, Ink))| {
                let wanted = 1.164 * (60.0 + 8.0 * (i % 16) as f32 + 3.0 - 16.0);
                let tone = (luma(shown(*fg)) + luma(shown(*bg))) / 2.0;
                (tone - wanted).powi(2)
            };
            inks.iter().enumerate().map(off).sum()
        };
        let (told, not_told) = (error(&own(Some(theme))), error(&own(None)));
        assert!(told * 2.0 < not_told, "{told} and {not_told}");
    }

    #[test]
    fn colours_that_all_look_alike_are_still_colours() {
        let scheme = Scheme::of(Depth::Ansi16, Ansi([[7; 3]; 16]));
        assert!(scheme.ink([200.0; 3]).index().is_some_and(|i| i < 16));
        for colour in [[0.0; 3], [255.0; 3], [300.0, -5.0, f32::NAN]] {
            assert!(scheme.near().at(colour).iter().all(|i| *i < 16));
            assert!(!scheme.mixes().at(colour).is_empty());
        }
    }
}
