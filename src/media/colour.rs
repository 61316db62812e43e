//! Colour of what comes in, made the one kind that [`RawFrame`] is: BT.601 in limited range.
//!
//! Taken for what it isn't, full range shows crushed shadows and burnt lights, and BT.709 shows
//! skin too green. Both are put right where pictures come in, so nobody behind has to ask.
//! Equations: ITU-R BT.601-7 §2.5 and ITU-R BT.709-6 §3. The primaries of the two differ by less
//! than a terminal's own do; they are left alone.

use super::frame::RawFrame;

/// Brings full range (0…255 for luma and colour differences, as JPEG has it) into limited range
/// (16…235 and 16…240).
pub fn limit(f: &mut RawFrame) {
    let luma = std::array::from_fn(|v| ((16 * 255 + v * 219 + 127) / 255) as u8);
    // 128 stays 128.
    let chroma = std::array::from_fn(|v| ((128 * (255 - 224) + v * 224 + 127) / 255) as u8);
    map(&mut f.y, &luma);
    map(&mut f.u, &chroma);
    map(&mut f.v, &chroma);
}

fn map(plane: &mut [u8], table: &[u8; 256]) {
    for v in plane {
        *v = table[usize::from(*v)];
    }
}

/// From BT.709 to BT.601, both in limited range. The planes must have the promised lengths.
pub fn from_bt709(f: &mut RawFrame) {
    // One matrix: YCbCr by BT.709 to RGB and back by BT.601, in 2^14ths. Luma keeps its weight of 1;
    // its two other terms are per 219 levels of luma for 224 of chroma.
    const Y: [i32; 2] = [1627, 3141];
    const U: [i32; 2] = [16_218, -1813];
    const V: [i32; 2] = [-1187, 16_112];
    let width = usize::from(f.size.width).max(1);
    let chroma = f.u.chunks_mut(width.div_ceil(2)).zip(f.v.chunks_mut(width.div_ceil(2)));
    for (rows, (us, vs)) in f.y.chunks_mut(2 * width).zip(chroma) {
        for row in rows.chunks_mut(width) {
            for ((pair, u), v) in row.chunks_mut(2).zip(us.iter()).zip(vs.iter()) {
                let add = mixed(Y, *u, *v);
                for y in pair {
                    *y = (i32::from(*y) + add).clamp(0, 255) as u8;
                }
            }
        }
        for (u, v) in us.iter_mut().zip(vs) {
            let (new_u, new_v) = (mixed(U, *u, *v), mixed(V, *u, *v));
            *u = (128 + new_u).clamp(0, 255) as u8;
            *v = (128 + new_v).clamp(0, 255) as u8;
        }
    }
}

fn mixed([a, b]: [i32; 2], u: u8, v: u8) -> i32 {
    (a * (i32::from(u) - 128) + b * (i32::from(v) - 128) + (1 << 13)) >> 14
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::Size;

    /// A colour's Y, Cb and Cr by the weights of red and blue, before rounding: black is 16 or 0.
    fn ycc(rgb: [f64; 3], (kr, kb): (f64, f64), full: bool) -> [f64; 3] {
        let [r, g, b] = rgb;
        let y = kr * r + (1.0 - kr - kb) * g + kb * b;
        let (cb, cr) = ((b - y) / (2.0 - 2.0 * kb), (r - y) / (2.0 - 2.0 * kr));
        let (base, high, wide) = if full { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
        [base + high * y, 128.0 + wide * cb, 128.0 + wide * cr]
    }

    const BT601: (f64, f64) = (0.299, 0.114);
    const BT709: (f64, f64) = (0.2126, 0.0722);

    fn colours() -> impl Iterator<Item = [f64; 3]> {
        (0..729).map(|i| [i % 9, i / 9 % 9, i / 81].map(|c| f64::from(c) / 8.0))
    }

    fn plain(ycc: [f64; 3]) -> RawFrame {
        let mut f = RawFrame::black(Size::new(4, 2), Default::default());
        let [y, u, v] = ycc.map(|c| c.round().clamp(0.0, 255.0) as u8);
        f.y.fill(y);
        f.u.fill(u);
        f.v.fill(v);
        f
    }

    fn worst(convert: fn(&mut RawFrame), from: (f64, f64), full: bool) -> f64 {
        colours()
            .map(|rgb| {
                let mut f = plain(ycc(rgb, from, full));
                convert(&mut f);
                let right = ycc(rgb, BT601, false);
                [(f.y[7], right[0]), (f.u[1], right[1]), (f.v[1], right[2])]
                    .into_iter()
                    .map(|(got, right)| (f64::from(got) - right).abs())
                    .fold(0.0, f64::max)
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn full_range_becomes_limited_within_rounding() {
        let off = worst(limit, BT601, true);
        assert!(off < 1.0, "{off}");
    }

    #[test]
    fn bt709_becomes_bt601_within_rounding() {
        let off = worst(from_bt709, BT709, false);
        assert!(off < 1.3, "{off}");
    }

    #[test]
    fn the_matrix_is_that_of_the_recommendations() {
        // By the equations: what a step of one colour difference changes, in 2^14ths.
        let rgb = |cb: f64, cr: f64| {
            let (r, b) = (cr * (2.0 - 2.0 * BT709.0), cb * (2.0 - 2.0 * BT709.1));
            let g = -(BT709.0 * r + BT709.1 * b) / (1.0 - BT709.0 - BT709.1);
            ycc([r, g, b], BT601, false)
        };
        let terms = |c: usize| [rgb(1.0, 0.0)[c], rgb(0.0, 1.0)[c]];
        let near = |c: usize, zero: f64, ours: [f64; 2]| {
            for (right, ours) in terms(c).into_iter().zip(ours) {
                assert!(((right - zero) / 224.0 * 16384.0 - ours).abs() < 1.0, "{right} {ours}");
            }
        };
        near(0, 16.0, [1627.0, 3141.0]);
        near(1, 128.0, [16_218.0, -1813.0]);
        near(2, 128.0, [-1187.0, 16_112.0]);
    }

    #[test]
    fn grey_is_grey_in_either() {
        for level in 0..=255u8 {
            let mut f = plain([level.into(), 128.0, 128.0]);
            let before = f.clone();
            from_bt709(&mut f);
            assert_eq!(f, before);
            limit(&mut f);
            assert!(f.u.iter().chain(&f.v).all(|c| *c == 128));
        }
    }
}
