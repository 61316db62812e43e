//! Colour of what comes in, made the one kind that [`RawFrame`] is: BT.601 in limited range (ITU-R
//! BT.601-7 §2.5). Taken for what it isn't, full range shows crushed shadows and burnt lights; it is
//! put right where pictures come in, so nobody behind has to ask.
//!
//! BT.709 is taken for BT.601: nothing that comes in says which it is. Y4M has no word for it (ffmpeg
//! writes only `XCOLORRANGE`), what webcams and screens send through ffmpeg is BT.601 at any size,
//! and a guess by size would be wrong for those. `-vf scale=out_color_matrix=bt601` helps.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::Size;

    /// A colour's Y, Cb and Cr before rounding: black is 16, or 0 in full range.
    fn ycc(rgb: [f64; 3], full: bool) -> [f64; 3] {
        let (kr, kb) = (0.299, 0.114);
        let [r, g, b] = rgb;
        let y = kr * r + (1.0 - kr - kb) * g + kb * b;
        let (cb, cr) = ((b - y) / (2.0 - 2.0 * kb), (r - y) / (2.0 - 2.0 * kr));
        let (base, high, wide) = if full { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
        [base + high * y, 128.0 + wide * cb, 128.0 + wide * cr]
    }

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

    #[test]
    fn full_range_becomes_limited_within_rounding() {
        for rgb in colours() {
            let mut f = plain(ycc(rgb, true));
            limit(&mut f);
            let right = ycc(rgb, false);
            for (got, right) in [f.y[7], f.u[1], f.v[1]].into_iter().zip(right) {
                assert!((f64::from(got) - right).abs() < 1.0, "{rgb:?}: {got} {right}");
            }
        }
    }

    #[test]
    fn grey_stays_grey() {
        for level in 0..=255u8 {
            let mut f = plain([level.into(), 128.0, 128.0]);
            limit(&mut f);
            assert!(f.u.iter().chain(&f.v).all(|c| *c == 128));
        }
    }
}
