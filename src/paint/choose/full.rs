//! True colour: the best two colours of a cell are sent as they are.

use super::*;

impl<const N: usize, const M: usize> Job<'_, N, M> {
    /// Chooses and writes a block of cells, `here` of them from `first` on; returns their squared
    /// error.
    #[inline(always)]
    pub(super) fn full_block(
        &mut self,
        a: &Grid<N>,
        b: Option<&Grid<M>>,
        (first, here): (usize, usize),
        (column, row): (usize, usize),
        stats: &mut Stats,
    ) -> f64 {
        let (_, mut keep) = a.keep(self.shadow, first);
        let mut bound: Lanes = std::array::from_fn(|l| a.bound(l));
        if let Some(b) = b {
            for (keep, more) in keep.iter_mut().zip(&a.more) {
                *keep += more;
            }
            b.join(self.shadow, first, &mut keep, &mut bound);
        }
        let price = self.prices(&keep, first);
        let mut error = 0.0;
        for l in 0..here {
            let (i, at) = (first + l, (column + l, row));
            let mut search = self.search((keep[l], price[l]), bound[l], i, at);
            if let Some(search) = &mut search {
                self.flat(search, a, l);
                self.pairs(search, a, l);
                if let Some(b) = b {
                    self.pairs(search, b, l);
                }
            }
            error += f64::from(self.found(search, keep[l], i, at, stats));
        }
        error
    }

    /// One colour.
    #[inline(always)]
    fn flat(&self, search: &mut Search<'_>, grid: &Grid<N>, l: usize) {
        let (pen_fg, pen_bg) = search.pen;
        let (flat, whole) = (grid.fit.flat[l] + grid.more[l], N as f32);
        let mean = grid.fit.mean.map(|c| c[l]);
        let ink = self.depth.ink(mean);
        let cost = if ink == pen_bg { 0 } else { 3 + ink_cost(ink, true) };
        search.consider(0, flat + whole * distance(looks(ink), mean), cost, (pen_fg, ink));
        if pen_bg != Ink::DEFAULT {
            let error = flat + whole * distance(looks(pen_bg), mean);
            search.consider(0, error, 0, search.pen);
        }
        if pen_fg != Ink::DEFAULT {
            let error = flat + whole * distance(looks(pen_fg), mean);
            search.consider(Grid::<N>::FULL.into(), error, 0, search.pen);
        }
    }

    /// Two colours on one grid: the best, one of them with one of the pen's, both of the pen's.
    #[inline(always)]
    fn pairs<const K: usize>(&self, search: &mut Search<'_>, grid: &Grid<K>, l: usize) {
        let pattern = grid.fit.pattern[l] as u8;
        if pattern == 0 || search.is_beyond(grid.bound(l)) {
            return;
        }
        let (pen_fg, pen_bg) = search.pen;
        let (fg_known, bg_known) = (pen_fg != Ink::DEFAULT, pen_bg != Ink::DEFAULT);
        let (pen_fg_look, pen_bg_look) = (looks(pen_fg), looks(pen_bg));
        let na = pattern.count_ones() as f32;
        let nb = K as f32 - na;
        let (a, b) = (grid.fit.ink.map(|c| c[l]), grid.fit.paper.map(|c| c[l]));
        let (qa, qb) = (self.depth.ink(a), self.depth.ink(b));
        let (ea, eb) = (na * distance(looks(qa), a), nb * distance(looks(qb), b));
        let base = grid.fit.error[l];
        // Both ways round: `a` as ink, or `b` as ink with the complement's glyph.
        let ways = [
            (pattern, (qa, ea, a, na), (qb, eb, b, nb)),
            (Grid::<K>::FULL & !pattern, (qb, eb, b, nb), (qa, ea, a, na)),
        ];
        for (glyph, (fg, fg_error, fg_true, fg_n), (bg, bg_error, bg_true, bg_n)) in ways {
            let glyph = grid.base + u16::from(glyph);
            let fg_cost = if fg == pen_fg { 0 } else { ink_cost(fg, false) };
            let bg_cost = if bg == pen_bg { 0 } else { ink_cost(bg, true) };
            let new = grid.level(base + fg_error + bg_error, l);
            search.consider(glyph, new, sgr(fg_cost, bg_cost), (fg, bg));
            if fg_known {
                let e = base + fg_n * distance(pen_fg_look, fg_true) + bg_error;
                search.consider(glyph, grid.level(e, l), sgr(0, bg_cost), (pen_fg, bg));
            }
            if bg_known {
                let e = base + fg_error + bg_n * distance(pen_bg_look, bg_true);
                search.consider(glyph, grid.level(e, l), sgr(fg_cost, 0), (fg, pen_bg));
            }
        }
        if fg_known && bg_known {
            let (nearest, error) = grid.nearest(l, pen_fg_look, pen_bg_look);
            if nearest != 0 {
                let glyph = grid.base + u16::from(nearest);
                search.consider(glyph, grid.level(error, l), 0, search.pen);
            }
        }
    }
}
