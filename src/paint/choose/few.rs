//! Few colours: 256 or 16. The nearest palette colours to a cell's best two are mostly both off to
//! the same side, and the cell gets another brightness or tint than it has: steps and blotches in
//! skin and walls. So pairs of colours around the best two are tried, with as many samples in each
//! as give the cell the right *mean* too: the glyph itself is the dither. It stands still where the
//! picture does, and no neighbour is needed to get the tone right.
//!
//! For one pair `a`, `b` and samples `x`, with `d = a − b` and `t = (x − b)·d`: a sample in `a`
//! rather than `b` costs `|d|² − 2t`, so of `m` samples in `a` those with the greatest `t` are best.
//! All `m` are tried.

use super::*;

/// Palette colours tried around each of the best two.
const NEAR: usize = 4;
/// What the error of the mean counts, against that of the samples. At 0.7 single samples are as near as
/// with the nearest colours, and means of half a cell gain over 1 dB; more makes coloured grain.
pub(super) const MEAN: f32 = 0.7;

/// The nearest palette colours to a colour, nearest first.
pub(super) type Near = [u8; NEAR];

/// The nearest palette colours to a colour, nearest first.
pub(super) fn nearest<const K: usize>(scheme: &Scheme, colour: [f32; 3]) -> [u8; K] {
    let mut best = [(f32::INFINITY, 0u8); K];
    for i in scheme.numbers() {
        sort_in(&mut best, distance(colour, looks(scheme.indexed(i))), i);
    }
    best.map(|(_, i)| i)
}

/// Keeps the best of what comes in, the least first.
pub(super) fn sort_in<T: Copy>(best: &mut [(f32, T)], score: f32, what: T) {
    let Some(at) = best.iter().position(|(other, _)| score < *other) else { return };
    best[at..].rotate_right(1);
    best[at] = (score, what);
}

/// The best pair of each of [`LANES`] cells.
struct Pairs {
    a: [u8; LANES],
    b: [u8; LANES],
    /// Error of samples and mean.
    error: Lanes,
}

/// Squared error of samples, and of their mean by its weight.
#[inline(always)]
fn weigh<const K: usize>(samples: f32, sum: [f32; 3]) -> f32 {
    samples + MEAN / K as f32 * (sum[0] * sum[0] + sum[1] * sum[1] + sum[2] * sum[2])
}

/// Tries all pairs of near colours for [`LANES`] cells at once.
#[inline(always)]
fn pairs<const K: usize>(grid: &Grid<K>, scheme: &Scheme) -> Pairs {
    let table = scheme.near();
    let n = K as f32;
    let (mut around, mut looked) = ([[[0u8; LANES]; NEAR]; 2], [[[[0.0f32; LANES]; 3]; NEAR]; 2]);
    for l in 0..LANES {
        for (side, colour) in [&grid.fit.ink, &grid.fit.paper].into_iter().enumerate() {
            let list = table.at([colour[0][l], colour[1][l], colour[2][l]]);
            for (k, index) in list.iter().copied().enumerate() {
                around[side][k][l] = index;
                let look = looks(scheme.indexed(index));
                for c in 0..3 {
                    looked[side][k][c][l] = look[c];
                }
            }
        }
    }
    let mut found = Pairs { a: [0; LANES], b: [0; LANES], error: [f32::INFINITY; LANES] };
    let mut which = [0u32; LANES];
    for (i, a) in looked[0].iter().enumerate() {
        for (j, b) in looked[1].iter().enumerate() {
            let (mut d2, mut far, mut base) = ([0.0f32; LANES], [0.0f32; LANES], [0.0f32; LANES]);
            let mut t = [[0.0f32; LANES]; K];
            for c in 0..3 {
                let mean = &grid.fit.mean[c];
                for l in 0..LANES {
                    let d = a[c][l] - b[c][l];
                    let u = mean[l] - b[c][l];
                    d2[l] += d * d;
                    far[l] += u * u;
                }
                for (k, t) in t.iter_mut().enumerate() {
                    let x = &grid.cells[k][c];
                    for l in 0..LANES {
                        let (e, d) = (x[l] - b[c][l], a[c][l] - b[c][l]);
                        t[l] += e * d;
                        base[l] += e * e;
                    }
                }
            }
            // Greatest first: each pass brings the least of the rest to its end.
            for end in (1..K).rev() {
                for k in 0..end {
                    let (upper, lower) = t.split_at_mut(k + 1);
                    for (x, y) in upper[k].iter_mut().zip(&mut lower[0]) {
                        (*x, *y) = (x.max(*y), x.min(*y));
                    }
                }
            }
            let (mut all, mut run) = ([0.0f32; LANES], [0.0f32; LANES]);
            for t in &t {
                for l in 0..LANES {
                    all[l] += t[l];
                }
            }
            let mut best = [0.0f32; LANES];
            for l in 0..LANES {
                best[l] = base[l] + MEAN * n * far[l];
            }
            for (m, t) in t.iter().enumerate() {
                let m = (m + 1) as f32;
                for l in 0..LANES {
                    run[l] += t[l];
                    let samples = base[l] + m * d2[l] - 2.0 * run[l];
                    let mean = n * n * far[l] - 2.0 * m * all[l] + m * m * d2[l];
                    let e = samples + MEAN / n * mean;
                    best[l] = if e < best[l] { e } else { best[l] };
                }
            }
            let number = (i * NEAR + j) as u32;
            for l in 0..LANES {
                let better = best[l] < found.error[l];
                found.error[l] = if better { best[l] } else { found.error[l] };
                which[l] = if better { number } else { which[l] };
            }
        }
    }
    for l in 0..LANES {
        let (i, j) = (which[l] as usize / NEAR, which[l] as usize % NEAR);
        (found.a[l], found.b[l]) = (around[0][i][l], around[1][j][l]);
    }
    found
}

/// The best pattern of one pair for one cell, and its error.
#[inline(always)]
fn pattern<const K: usize>(grid: &Grid<K>, l: usize, (a, b): (Ink, Ink)) -> (u8, f32) {
    let (a, b) = (looks(a), looks(b));
    let d: [f32; 3] = std::array::from_fn(|c| a[c] - b[c]);
    let (mut t, mut order, mut base, mut sum) = ([0.0f32; K], [0usize; K], 0.0, [0.0f32; 3]);
    for k in 0..K {
        let x = grid.sample(k, l);
        for c in 0..3 {
            let e = x[c] - b[c];
            t[k] += e * d[c];
            base += e * e;
            sum[c] += e;
        }
        // Sorted in: greatest first.
        let mut at = k;
        while at > 0 && t[order[at - 1]] < t[k] {
            order[at] = order[at - 1];
            at -= 1;
        }
        order[at] = k;
    }
    let d2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
    let (mut set, mut samples) = (0u8, base);
    let mut best = (0, weigh::<K>(base, sum));
    for k in order {
        set |= 1 << k;
        samples += d2 - 2.0 * t[k];
        for c in 0..3 {
            sum[c] -= d[c];
        }
        let error = weigh::<K>(samples, sum);
        if error < best.1 {
            best = (set, error);
        }
    }
    best
}

impl<const N: usize, const M: usize> Job<'_, N, M> {
    /// Chooses and writes a block of cells, `here` of them from `first` on; returns their squared
    /// error (of the samples and their means).
    #[inline(always)]
    pub(super) fn few_block(
        &mut self,
        a: &Grid<N>,
        b: Option<&Grid<M>>,
        (first, here): (usize, usize),
        (column, row): (usize, usize),
        stats: &mut Stats,
    ) -> f64 {
        let keep_of = |sums: &[Lanes; 3], l: usize| sums.map(|sum| sum[l]);
        let (sums, samples) = a.keep(self.shadow, first);
        let mut keep: Lanes = std::array::from_fn(|l| weigh::<N>(samples[l], keep_of(&sums, l)));
        let of_a = pairs(a, self.scheme);
        // A shade may have the very tone.
        let mut bound: Lanes =
            std::array::from_fn(|l| of_a.error[l].min(a.fit.flat[l]) + a.more[l]);
        let of_b = b.map(|b| {
            let (sums, samples) = b.keep(self.shadow, first);
            let found = pairs(b, self.scheme);
            for l in 0..LANES {
                let other = b.level(weigh::<M>(samples[l], keep_of(&sums, l)), l);
                let here = b.owns(self.shadow.glyph[first + l]);
                keep[l] = if here { other } else { keep[l] + a.more[l] };
                bound[l] = bound[l].min(b.level(found.error[l], l));
            }
            found
        });
        let price = self.prices(&keep, first);
        let mut error = 0.0;
        for l in 0..here {
            let (i, at) = (first + l, (column + l, row));
            // What the search finds may be a little below: near colours are not all.
            let mut search = self.search((keep[l], price[l]), bound[l], i, at);
            if let Some(search) = &mut search {
                self.few_flat(search, a, l);
                self.shades(search, a, l);
                few_pairs(search, a, (&of_a, self.scheme), l);
                if let (Some(b), Some(of_b)) = (b, &of_b) {
                    few_pairs(search, b, (of_b, self.scheme), l);
                }
            }
            error += f64::from(self.found(search, keep[l], i, at, stats));
        }
        error
    }

    #[inline(always)]
    fn few_flat(&self, search: &mut Search<'_>, grid: &Grid<N>, l: usize) {
        let mean = grid.fit.mean.map(|c| c[l]);
        let error = |ink: Ink| {
            let off = N as f32 * distance(looks(ink), mean);
            grid.fit.flat[l] + off + MEAN * off + grid.more[l]
        };
        let (pen_fg, pen_bg) = search.pen;
        let ink = self.scheme.ink(mean);
        let cost = if ink == pen_bg { 0 } else { 3 + ink_cost(ink, true) };
        search.consider(0, error(ink), cost, (pen_fg, ink));
        if pen_bg != Ink::DEFAULT {
            search.consider(0, error(pen_bg), 0, search.pen);
        }
        if pen_fg != Ink::DEFAULT {
            search.consider(Grid::<N>::FULL.into(), error(pen_fg), 0, search.pen);
        }
    }
}

/// The best pair both ways round, each of its colours with one of the pen's, and the pen's own.
#[inline(always)]
fn few_pairs<const K: usize>(
    search: &mut Search<'_>,
    grid: &Grid<K>,
    (found, scheme): (&Pairs, &Scheme),
    l: usize,
) {
    let (a, b) = (scheme.indexed(found.a[l]), scheme.indexed(found.b[l]));
    let (pen_fg, pen_bg) = search.pen;
    // Nearly: other pairs than those tried may be a little better, seldom by more.
    let least = grid.level(found.error[l] * 0.9, l);
    let worth = |search: &Search<'_>, pair: (Ink, Ink)| {
        let known = pair.0 != Ink::DEFAULT && pair.1 != Ink::DEFAULT;
        known && search.could(least, search.colours(pair))
    };
    let (there, back) = (worth(search, (a, b)), worth(search, (b, a)));
    if there || back {
        let (set, error) = pattern(grid, l, (a, b));
        let error = grid.level(error, l);
        search.consider_new(grid.base + u16::from(set), error, (a, b));
        search.consider_new(grid.base + u16::from(Grid::<K>::FULL ^ set), error, (b, a));
    }
    for pair in [(pen_fg, pen_bg), (pen_fg, a), (pen_fg, b), (a, pen_bg), (b, pen_bg)] {
        if worth(search, pair) {
            let (set, error) = pattern(grid, l, pair);
            search.consider_new(grid.base + u16::from(set), grid.level(error, l), pair);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::colour::Ansi;
    use super::super::super::simd::{self, Work};
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    /// Smooth, flat, two-coloured and noisy cells.
    fn cells(rng: &mut StdRng) -> [[Lanes; 3]; 8] {
        let mut cells = [[[0.0; LANES]; 3]; 8];
        for l in 0..LANES {
            let base: [f32; 3] = std::array::from_fn(|_| rng.random_range(0..256) as f32);
            let other: [f32; 3] = std::array::from_fn(|_| rng.random_range(0..256) as f32);
            for (k, cell) in cells.iter_mut().enumerate() {
                for c in 0..3 {
                    cell[c][l] = match l % 4 {
                        0 => base[c],
                        1 => base[c] + (other[c] - base[c]) * k as f32 / 30.0,
                        2 if k % 3 == 0 => other[c],
                        2 => base[c],
                        _ => (base[c] + rng.random_range(-20.0..20.0)).clamp(0.0, 255.0),
                    };
                }
            }
        }
        cells
    }

    /// The error of a pair with this pattern, the slow way.
    fn error(grid: &Grid<8>, l: usize, set: u32, (a, b): (Ink, Ink)) -> f32 {
        let (mut samples, mut sum) = (0.0, [0.0f32; 3]);
        for k in 0..8 {
            let (x, q) = (grid.sample(k, l), looks(if set >> k & 1 != 0 { a } else { b }));
            samples += distance(x, q);
            for c in 0..3 {
                sum[c] += x[c] - q[c];
            }
        }
        weigh::<8>(samples, sum)
    }

    #[test]
    fn a_pairs_pattern_is_the_best_of_all_patterns() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..30 {
            let grid = Grid::new(cells(&mut rng), 0);
            for l in 0..LANES {
                let [a, b] = std::array::from_fn(|_| Ink::indexed(rng.random_range(16..=255)));
                let (set, own) = pattern(&grid, l, (a, b));
                let best = (0..256).map(|set| error(&grid, l, set, (a, b)));
                let best = best.fold(f32::INFINITY, f32::min);
                assert!((own - best).abs() <= 1.0 + best * 1e-3, "{own} for {best}");
                let real = error(&grid, l, set.into(), (a, b));
                assert!((own - real).abs() <= 1.0 + real * 1e-3, "{own} is {real}");
            }
        }
    }

    #[test]
    fn near_pairs_are_nearly_as_good_as_all_pairs() {
        let mut rng = StdRng::seed_from_u64(2);
        let (mut of_near, mut of_all) = (0.0, 0.0);
        for _ in 0..4 {
            let grid = Grid::new(cells(&mut rng), 0);
            let found = pairs(&grid, &Scheme::of(Depth::Indexed256, Ansi::default()));
            for l in 0..LANES {
                let pair = (Ink::indexed(found.a[l]), Ink::indexed(found.b[l]));
                let (_, own) = pattern(&grid, l, pair);
                assert!((own - found.error[l]).abs() <= 2.0 + own * 2e-3, "the same error");
                let all = (16..=255u8).flat_map(|a| (16..a).map(move |b| (a, b)));
                let all = all.map(|(a, b)| pattern(&grid, l, (Ink::indexed(a), Ink::indexed(b))).1);
                of_all += all.fold(f32::INFINITY, f32::min);
                of_near += own;
            }
        }
        assert!(of_near <= of_all * 1.15, "{of_near} for {of_all}");
    }

    struct Eight<'a>(&'a Grid<8>);
    impl Work for Eight<'_> {
        type Out = Pairs;
        #[inline(always)]
        fn run(self) -> Pairs {
            pairs(self.0, &Scheme::of(Depth::Indexed256, Ansi::default()))
        }
    }

    #[test]
    fn every_instruction_set_finds_the_same_pairs() {
        let mut rng = StdRng::seed_from_u64(3);
        for _ in 0..20 {
            let grid = Grid::new(cells(&mut rng), 0);
            let fast = simd::dispatch(Eight(&grid));
            let plain = simd::baseline(Eight(&grid));
            assert_eq!((fast.a, fast.b), (plain.a, plain.b));
            assert_eq!(fast.error.map(f32::to_bits), plain.error.map(f32::to_bits));
        }
    }
}
