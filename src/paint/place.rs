//! Where a tile stands, what else is drawn over it, and how pictures are put into it: what painters
//! of cells and of pixels have in common.

use super::scale::View;
use super::{Framing, Rect};

/// A tile's place on the screen.
pub(super) struct Place {
    /// The tile's cells.
    pub rect: Rect,
    /// Size of a cell in pixels, each at least 1.
    pub cell_px: (u16, u16),
    /// Rectangles of the screen that something else is drawn over.
    pub covers: Vec<Rect>,
    /// How pictures are put into `rect`.
    pub view: View,
}

impl Place {
    /// No place yet.
    pub(super) fn new(cell_px: (u16, u16)) -> Self {
        Self { rect: Rect::default(), cell_px, covers: Vec::new(), view: View::default() }
    }

    /// Moves the tile; whether that changes anything. Coordinates stay within 16 bits whatever
    /// comes in.
    pub(super) fn put(&mut self, rect: Rect, cell_px: (u16, u16)) -> bool {
        let rect = Rect {
            cols: rect.cols.min(u16::MAX - 1 - rect.x.min(u16::MAX - 1)),
            rows: rect.rows.min(u16::MAX - 1 - rect.y.min(u16::MAX - 1)),
            ..rect
        };
        let cell_px = (cell_px.0.max(1), cell_px.1.max(1));
        let before = (self.rect, self.cell_px);
        (self.rect, self.cell_px) = (rect, cell_px);
        before != (rect, cell_px)
    }

    /// Takes over what is drawn over the tile; whether that changes anything.
    pub(super) fn cover(&mut self, covers: &[Rect]) -> bool {
        let changed = self.covers != covers;
        if changed {
            self.covers = covers.to_vec();
        }
        changed
    }

    /// Marks the covered cells, those from the screen's row `end` on among them, and that whatever
    /// is covered, or isn't any more, must be written when it may. Rows of cells are `stride` apart.
    pub(super) fn mark(&self, end: u16, stride: usize, covered: &mut [bool], shown: &mut [bool]) {
        let Rect { x, y, cols, rows } = self.rect;
        let lines = covered.chunks_mut(stride.max(1)).zip(shown.chunks_mut(stride.max(1)));
        for (y, (covered, shown)) in (y..).zip(lines).take(usize::from(rows)) {
            let cells = covered.iter_mut().zip(shown).take(usize::from(cols));
            for (x, (covered, shown)) in (x..).zip(cells) {
                let now = y >= end || self.covers.iter().any(|r| r.contains(x, y));
                *shown &= *covered == now;
                *covered = now;
            }
        }
    }

    /// Bars or cut; whether that changes anything.
    pub(super) fn framing(&mut self, framing: Framing) -> bool {
        self.show(View { fill: framing == Framing::Fill, ..self.view })
    }

    /// Left and right swapped or not; whether that changes anything.
    pub(super) fn mirror(&mut self, on: bool) -> bool {
        self.show(View { mirror: on, ..self.view })
    }

    /// Cuts a share off the bottom; whether that changes anything.
    pub(super) fn crop_bottom(&mut self, share: f32) -> bool {
        self.show(View { crop_bottom: share, ..self.view })
    }

    fn show(&mut self, view: View) -> bool {
        let changed = self.view != view;
        self.view = view;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECT: Rect = Rect { x: 3, y: 2, cols: 4, rows: 3 };

    #[test]
    fn only_changes_are_told_and_coordinates_stay_within_16_bits() {
        let mut place = Place::new((10, 20));
        assert!(place.put(RECT, (0, 20)));
        assert!(!place.put(RECT, (1, 20)), "a cell has a pixel at least");
        assert!(place.put(Rect { x: u16::MAX, y: 9, cols: 7, rows: u16::MAX }, (1, 20)));
        assert_eq!((place.rect.cols, place.rect.rows), (0, u16::MAX - 1 - 9));
        assert!(place.cover(&[RECT]) && !place.cover(&[RECT]) && place.cover(&[]));
        assert!(place.mirror(true) && !place.mirror(true));
        assert!(place.framing(Framing::Fill) && place.crop_bottom(0.25));
        assert_eq!(place.view, View { fill: true, mirror: true, crop_bottom: 0.25 });
    }

    #[test]
    fn whatever_is_covered_or_uncovered_is_due_and_nothing_else() {
        let mut place = Place::new((10, 20));
        place.put(RECT, (10, 20));
        // Two cells more per row, which belong to nobody.
        let (mut covered, mut shown) = (vec![false; 18], vec![true; 18]);
        let at = |cells: &[bool]| -> Vec<usize> { (0..18).filter(|i| cells[*i]).collect() };
        place.cover(&[Rect { x: 0, y: 3, cols: 5, rows: 1 }]);
        place.mark(u16::MAX, 6, &mut covered, &mut shown);
        assert_eq!(at(&covered), [6, 7]);
        shown.iter_mut().zip(&covered).for_each(|(shown, covered)| *shown = !covered);
        place.cover(&[Rect { x: 4, y: 3, cols: 1, rows: 1 }]);
        place.mark(4, 6, &mut covered, &mut shown);
        assert_eq!(at(&covered), [7, 12, 13, 14, 15]);
        assert_eq!(at(&shown), [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 16, 17]);
    }
}
