//! The few colours that show a picture best, and which of them is nearest to any other colour.

/// Pictures' colours, as they come: luma and the two differences.
pub(super) type Yuv = [u8; 3];

/// Colours are looked up by the upper six bits of luma and five of each difference.
const KEYS: usize = 1 << 16;
/// A key that nobody asked for yet. No key's alternatives look like that: their numbers rise.
const UNKNOWN: u64 = 0x00fe_ff00;
/// The number of the colour that is used least.
const LAST: u8 = 255;
/// How much errors of luma and of the two differences weigh. Eyes (and SSIM) see structure in luma;
/// and what they look at most, faces, goes patchy pink by an error of the red difference, while one
/// of the blue is hardly seen.
pub(super) const WEIGHTS: [i32; 3] = [5, 1, 2];
const LEVELS: usize = 64;

/// A colour's place in the look-up table.
#[inline(always)]
pub(super) fn key([y, u, v]: Yuv) -> u32 {
    (u32::from(y) & 0xfc) << 8 | (u32::from(u) & 0xf8) << 2 | u32::from(v) >> 3
}

/// The colour in the middle of a key's.
fn middle(key: u32) -> [i32; 3] {
    let key = key as i32;
    [(key >> 10) << 2 | 2, (key >> 5 & 31) << 3 | 4, (key & 31) << 3 | 4]
}

/// Collects colours.
pub(super) struct Histogram {
    bins: Vec<Bin>,
    used: Vec<u32>,
}

/// Colours of one key: how many, and their sums.
#[derive(Clone, Copy, Default)]
struct Bin {
    key: u32,
    count: f32,
    sum: [f32; 3],
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { bins: vec![Bin::default(); KEYS], used: Vec::new() }
    }

    #[inline(always)]
    pub(super) fn add(&mut self, colour: Yuv) {
        let key = key(colour);
        let bin = &mut self.bins[key as usize];
        if bin.count == 0.0 {
            bin.key = key;
            self.used.push(key);
        }
        bin.count += 1.0;
        for (sum, c) in bin.sum.iter_mut().zip(colour) {
            *sum += f32::from(c);
        }
    }

    /// The colours, taken out; empty again.
    fn take(&mut self) -> Vec<Bin> {
        self.used.drain(..).map(|key| std::mem::take(&mut self.bins[key as usize])).collect()
    }
}

/// A set of colours, most used first, and a table of which ones are near.
pub(super) struct Palette {
    /// As they are sent: percent of full brightness, the only unit sixel has.
    pub percent: Vec<[u8; 3]>,
    /// As they look, in the picture's terms.
    pub colours: Vec<Yuv>,
    channels: [Vec<i32>; 3],
    /// Per key the numbers of up to eight colours near it, the nearest in the lowest byte, which
    /// also fills what is left.
    near: Vec<u64>,
    /// Per key the number of the nearest colour: small enough for the cache. [`LAST`]: that one,
    /// or nobody asked yet.
    nearest: Vec<u8>,
    slack: i32,
}

/// Part of the histogram that will share one colour.
struct Part {
    from: usize,
    to: usize,
    count: f32,
    sum: [f32; 3],
    cut: Option<Cut>,
}

/// Where a part is best divided, and how much squared error that saves.
#[derive(Clone, Copy)]
struct Cut {
    gain: f32,
    axis: usize,
    below: usize,
}

impl Palette {
    pub(super) fn empty() -> Self {
        Self::from_percent(Vec::new())
    }

    /// The best `most` colours for what the histogram holds (it is emptied): the part whose
    /// division saves the most squared error is divided, again and again (X. Wu, "Color
    /// quantization by dynamic programming and principal analysis", 1992, with greedy cuts along
    /// the axes).
    pub(super) fn of(histogram: &mut Histogram, most: usize) -> Self {
        let mut bins = histogram.take();
        let mut parts = Vec::new();
        if !bins.is_empty() {
            let all = bins.len();
            parts.push(Part::new(&bins, 0, all));
        }
        while parts.len() < most {
            let gain = |p: &Part| p.cut.map_or(0.0, |c| c.gain);
            let best =
                (0..parts.len()).max_by(|a, b| gain(&parts[*a]).total_cmp(&gain(&parts[*b])));
            let Some((i, cut)) = best.and_then(|i| Some((i, parts[i].cut?))) else { break };
            let (from, to) = (parts[i].from, parts[i].to);
            let middle = from + divide(&mut bins[from..to], cut);
            parts[i] = Part::new(&bins, from, middle);
            parts.push(Part::new(&bins, middle, to));
        }
        parts.sort_by(|a, b| b.count.total_cmp(&a.count));
        let percent = |p: &Part| {
            rgb_of(p.sum.map(|s| s / p.count)).map(|c| (c / 2.55).round().clamp(0.0, 100.0) as u8)
        };
        Self::from_percent(parts.iter().map(percent).collect())
    }

    fn from_percent(percent: Vec<[u8; 3]>) -> Self {
        let colours: Vec<Yuv> = percent.iter().map(|p| yuv_of(p.map(look))).collect();
        let channels = [0, 1, 2].map(|c| colours.iter().map(|p| i32::from(p[c])).collect());
        Self {
            percent,
            colours,
            channels,
            near: vec![UNKNOWN; KEYS],
            nearest: vec![LAST; KEYS],
            slack: 0,
        }
    }

    /// Alternatives may be this much worse (in weighted squared error) than the nearest colour.
    pub(super) fn allow(&mut self, slack: i32) {
        if self.slack != slack {
            self.slack = slack;
            self.near.fill(UNKNOWN);
        }
    }

    /// Colours near this one: see [`Palette::near`].
    #[inline(always)]
    pub(super) fn near(&mut self, key: u32) -> u64 {
        match self.near[key as usize & (KEYS - 1)] {
            UNKNOWN => self.find(key),
            known => known,
        }
    }

    /// The colour nearest to this one.
    #[inline(always)]
    pub(super) fn nearest(&mut self, key: u32) -> u8 {
        match self.nearest[key as usize & (KEYS - 1)] {
            LAST => {
                let near = self.near(key) as u8;
                self.nearest[key as usize & (KEYS - 1)] = near;
                near
            }
            known => known,
        }
    }

    #[inline(never)]
    fn find(&mut self, key: u32) -> u64 {
        let [y, u, v] = middle(key);
        let [ys, us, vs] = &self.channels;
        let far = |((a, b), c): ((&i32, &i32), &i32)| {
            let square = |weight: i32, d: i32| weight * d * d;
            square(WEIGHTS[0], a - y) + square(WEIGHTS[1], b - u) + square(WEIGHTS[2], c - v)
        };
        // Distance and number in one, so that the search is a plain minimum.
        let all =
            || ys.iter().zip(us).zip(vs).map(far).zip(0..).map(|(d, i): (i32, i32)| d << 8 | i);
        let best = all().fold(i32::MAX, i32::min);
        let limit = (best >> 8).saturating_add(self.slack);
        let number = (best & 255) as u64;
        let mut near = number * 0x0101_0101_0101_0101;
        if self.slack > 0 {
            let others = all().filter(|d| d >> 8 <= limit && *d != best);
            for (place, other) in (1..8).zip(others) {
                near &= !(255 << (8 * place));
                near |= ((other & 255) as u64) << (8 * place);
            }
        }
        self.near[key as usize & (KEYS - 1)] = near;
        near
    }
}

/// Weighted squared error.
pub(super) fn distance(a: Yuv, b: Yuv) -> i32 {
    let d = |i: usize| i32::from(a[i]) - i32::from(b[i]);
    WEIGHTS[0] * d(0) * d(0) + WEIGHTS[1] * d(1) * d(1) + WEIGHTS[2] * d(2) * d(2)
}

/// How a percentage looks, 0…255.
pub(super) fn look(percent: u8) -> u8 {
    ((u16::from(percent) * 255 + 50) / 100) as u8
}

/// BT.601, limited range.
fn rgb_of([y, u, v]: [f32; 3]) -> [f32; 3] {
    let (y, d, e) = (1.164_383 * (y - 16.0), u - 128.0, v - 128.0);
    [y + 1.596_027 * e, y - 0.391_762 * d - 0.812_968 * e, y + 2.017_232 * d]
}

fn yuv_of(rgb: [u8; 3]) -> Yuv {
    let [r, g, b] = rgb.map(f32::from);
    let to = |v: f32| v.round().clamp(0.0, 255.0) as u8;
    [
        to(16.0 + 0.256_788 * r + 0.504_129 * g + 0.097_906 * b),
        to(128.0 - 0.148_223 * r - 0.290_993 * g + 0.439_216 * b),
        to(128.0 + 0.439_216 * r - 0.367_788 * g - 0.071_427 * b),
    ]
}

impl Part {
    fn new(bins: &[Bin], from: usize, to: usize) -> Self {
        let mut slots = [[(0.0f32, [0.0f32; 3]); LEVELS]; 3];
        let (mut count, mut sum) = (0.0, [0.0; 3]);
        for bin in &bins[from..to] {
            count += bin.count;
            for (total, s) in sum.iter_mut().zip(bin.sum) {
                *total += s;
            }
            for (axis, slots) in slots.iter_mut().enumerate() {
                let slot = &mut slots[level(bin.key, axis)];
                slot.0 += bin.count;
                for (total, s) in slot.1.iter_mut().zip(bin.sum) {
                    *total += s;
                }
            }
        }
        let weights = WEIGHTS.map(|weight| weight as f32);
        let square = |n: f32, s: [f32; 3]| {
            (weights[0] * s[0] * s[0] + weights[1] * s[1] * s[1] + weights[2] * s[2] * s[2]) / n
        };
        let whole = square(count, sum);
        let mut cut: Option<Cut> = None;
        for (axis, slots) in slots.iter().enumerate() {
            let (mut n, mut s) = (0.0, [0.0; 3]);
            for (at, slot) in slots.iter().enumerate() {
                n += slot.0;
                for (total, add) in s.iter_mut().zip(slot.1) {
                    *total += add;
                }
                if n == 0.0 || slot.0 == 0.0 || n >= count {
                    continue;
                }
                let rest = [sum[0] - s[0], sum[1] - s[1], sum[2] - s[2]];
                let gain = square(n, s) + square(count - n, rest) - whole;
                if cut.is_none_or(|c| gain > c.gain) {
                    cut = Some(Cut { gain, axis, below: at + 1 });
                }
            }
        }
        Self { from, to, count, sum, cut }
    }
}

fn level(key: u32, axis: usize) -> usize {
    let level = match axis {
        0 => key >> 10,
        1 => key >> 5 & 31,
        _ => key & 31,
    };
    level as usize
}

/// Sorts those below the cut to the front; how many they are.
fn divide(bins: &mut [Bin], cut: Cut) -> usize {
    let mut front = 0;
    for i in 0..bins.len() {
        if level(bins[i].key, cut.axis) < cut.below {
            bins.swap(i, front);
            front += 1;
        }
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scattered(n: u32) -> impl Iterator<Item = Yuv> {
        (0..n).map(|i| {
            let v = i.wrapping_mul(2_654_435_761);
            [v >> 24, v >> 16, v >> 8].map(|c| 64 + (c as u8) / 2)
        })
    }

    #[test]
    fn few_colours_are_all_kept_to_a_percent() {
        let mut histogram = Histogram::new();
        let colours = [[16, 128, 128], [235, 128, 128], [100, 90, 160], [110, 150, 90]];
        for colour in colours.iter().cycle().take(1000) {
            histogram.add(*colour);
        }
        let mut palette = Palette::of(&mut histogram, 256);
        assert_eq!(palette.colours.len(), 4);
        for colour in colours {
            let near = (palette.near(key(colour)) & 255) as usize;
            let near = palette.colours[near];
            assert!(near.iter().zip(colour).all(|(a, b)| a.abs_diff(b) <= 2), "{near:?}");
        }
    }

    #[test]
    fn no_more_colours_than_asked_and_the_most_used_first() {
        let mut histogram = Histogram::new();
        scattered(60_000).for_each(|c| histogram.add(c));
        for _ in 0..60_000 {
            histogram.add([77, 143, 101]);
        }
        let palette = Palette::of(&mut histogram, 16);
        assert_eq!(palette.colours.len(), 16);
        assert!(palette.colours[0].iter().zip([77, 143, 101]).all(|(a, b)| a.abs_diff(b) < 24));
    }

    #[test]
    fn nothing_makes_no_colours() {
        assert!(Palette::of(&mut Histogram::new(), 256).colours.is_empty());
    }

    #[test]
    fn the_nearest_is_the_nearest_and_the_others_are_within_the_slack() {
        let mut histogram = Histogram::new();
        scattered(5000).for_each(|c| histogram.add(c));
        let mut palette = Palette::of(&mut histogram, 100);
        palette.allow(300);
        for k in (0..KEYS as u32).step_by(97) {
            let middle = middle(k).map(|c| c as u8);
            let best = palette.colours.iter().map(|c| distance(*c, middle)).min();
            let near = palette.near(k).to_le_bytes();
            let d = |i: u8| distance(palette.colours[usize::from(i)], middle);
            assert_eq!(Some(d(near[0])), best);
            assert!(near.iter().all(|i| d(*i) <= d(near[0]) + 300));
            assert_eq!(palette.near(k).to_le_bytes(), near, "the same when asked again");
        }
    }
}
