//! A baseline JPEG writer (ITU-T T.81), just what a video tile needs: YCbCr with chroma halved both
//! ways, the standard's example tables. The pictures come as YUV, so no conversion to RGB and
//! back; only the range is widened to JFIF's.
//!
//! Among what iTerm2 shows it is the smallest honest choice: the same picture is an eighth of a
//! PNG's size, and it needs no compression library.

use std::f32::consts::FRAC_1_SQRT_2;

/// Luma and chroma quantisation at quality 50, row by row (T.81, tables K.1 and K.2).
const LUMA: [u8; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113,
    92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
const CHROMA: [u8; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];
/// Positions in the order they are written (T.81, figure A.6).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// A Huffman table: how many codes there are of each length, and their symbols.
struct Huffman {
    lengths: [u8; 16],
    symbols: &'static [u8],
}

/// T.81, tables K.3 to K.6.
const DC_LUMA: Huffman = Huffman {
    lengths: [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
    symbols: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
};
const DC_CHROMA: Huffman = Huffman {
    lengths: [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
    symbols: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
};
const AC_LUMA: Huffman = Huffman {
    lengths: [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d],
    symbols: &[
        0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61,
        0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52,
        0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25,
        0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45,
        0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64,
        0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83,
        0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
        0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6,
        0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3,
        0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8,
        0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
    ],
};
const AC_CHROMA: Huffman = Huffman {
    lengths: [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
    symbols: &[
        0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61,
        0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33,
        0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18,
        0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44,
        0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63,
        0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
        0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97,
        0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4,
        0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca,
        0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7,
        0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
    ],
};

impl Huffman {
    /// Code and its length for each symbol (T.81, annex C).
    const fn codes(&self) -> [(u16, u8); 256] {
        let mut codes = [(0, 0); 256];
        let (mut code, mut at, mut length) = (0u16, 0, 0);
        while length < 16 {
            let mut n = 0;
            while n < self.lengths[length] {
                codes[self.symbols[at] as usize] = (code, length as u8 + 1);
                code += 1;
                at += 1;
                n += 1;
            }
            code <<= 1;
            length += 1;
        }
        codes
    }
}

const CODES: [[[(u16, u8); 256]; 2]; 2] =
    [[DC_LUMA.codes(), AC_LUMA.codes()], [DC_CHROMA.codes(), AC_CHROMA.codes()]];

/// Part of three planes of the same size, in limited range.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    pub planes: [&'a [u8]; 3],
    /// Distance of rows in the planes.
    pub stride: usize,
    /// Upper left corner of the part.
    pub at: (usize, usize),
    pub size: (u16, u16),
}

/// Appends the picture as a file; `quality` 1…100 as in the usual scale.
#[inline(always)]
pub(super) fn encode(image: Image<'_>, quality: u8, out: &mut Vec<u8>) {
    let quality = i32::from(quality.clamp(1, 100));
    let scale = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    let tables =
        [LUMA, CHROMA].map(|t| t.map(|q| ((i32::from(q) * scale + 50) / 100).clamp(1, 255) as u8));
    header(image.size, &tables, out);
    // Division by the step, and by eight for the transform, as one factor.
    let factors = tables.map(|t| t.map(|q| 1.0 / (f32::from(q) * 8.0)));
    let (w, h) = (usize::from(image.size.0), usize::from(image.size.1));
    let mut bits = Bits { out, hold: 0, count: 0 };
    let mut dc = [0i32; 3];
    let mut block = [0.0f32; 64];
    for top in (0..h).step_by(16) {
        for left in (0..w).step_by(16) {
            for part in 0..4 {
                let (x0, y0) = (left + part % 2 * 8, top + part / 2 * 8);
                for (i, to) in block.iter_mut().enumerate() {
                    // Beyond the edge the last pixel goes on.
                    let (x, y) = ((x0 + i % 8).min(w - 1), (y0 + i / 8).min(h - 1));
                    let p = image.planes[0][(image.at.1 + y) * image.stride + image.at.0 + x];
                    *to = (f32::from(p) - 16.0) * (255.0 / 219.0) - 128.0;
                }
                write_block(&mut block, &factors[0], &CODES[0], &mut dc[0], &mut bits);
            }
            for (plane, dc) in image.planes.iter().zip(&mut dc).skip(1) {
                for (i, to) in block.iter_mut().enumerate() {
                    let (x, y) = (left + i % 8 * 2, top + i / 8 * 2);
                    let at = |x: usize, y: usize| {
                        let (x, y) = (x.min(w - 1), y.min(h - 1));
                        f32::from(plane[(image.at.1 + y) * image.stride + image.at.0 + x])
                    };
                    let sum = at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1);
                    *to = (sum / 4.0 - 128.0) * (255.0 / 224.0);
                }
                write_block(&mut block, &factors[1], &CODES[1], dc, &mut bits);
            }
        }
    }
    bits.finish();
    out.extend_from_slice(&[0xff, 0xd9]);
}

/// Everything before the picture's bits.
fn header((w, h): (u16, u16), tables: &[[u8; 64]; 2], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xff, 0xd8]);
    segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0", out);
    for (i, table) in (0..).zip(tables) {
        let mut body = vec![i];
        body.extend(ZIGZAG.map(|z| table[usize::from(z)]));
        segment(0xdb, &body, out);
    }
    let ([wh, wl], [hh, hl]) = (w.to_be_bytes(), h.to_be_bytes());
    segment(0xc0, &[8, hh, hl, wh, wl, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1], out);
    for (id, table) in [(0, DC_LUMA), (0x10, AC_LUMA), (1, DC_CHROMA), (0x11, AC_CHROMA)] {
        let mut body = vec![id];
        body.extend_from_slice(&table.lengths);
        body.extend_from_slice(table.symbols);
        segment(0xc4, &body, out);
    }
    segment(0xda, &[3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0], out);
}

fn segment(kind: u8, body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xff, kind]);
    out.extend_from_slice(&(body.len() as u16 + 2).to_be_bytes());
    out.extend_from_slice(body);
}

/// Cosines of the transform: `[k][n] = c(k)·cos((2n+1)kπ/16)`, with c(0) = 1/√2 and else 1; twice
/// applied that is four times the standard's, which the factors take back with their eight (and a
/// factor of two here).
#[expect(clippy::excessive_precision, clippy::unreadable_literal, reason = "cosines")]
const COSINES: [[f32; 4]; 8] = [
    [FRAC_1_SQRT_2, FRAC_1_SQRT_2, FRAC_1_SQRT_2, FRAC_1_SQRT_2],
    [0.98078528, 0.83146961, 0.55557023, 0.19509032],
    [0.92387953, 0.38268343, -0.38268343, -0.92387953],
    [0.83146961, -0.19509032, -0.98078528, -0.55557023],
    [FRAC_1_SQRT_2, -FRAC_1_SQRT_2, -FRAC_1_SQRT_2, FRAC_1_SQRT_2],
    [0.55557023, -0.98078528, 0.19509032, 0.83146961],
    [0.38268343, -0.92387953, 0.92387953, -0.38268343],
    [0.19509032, -0.55557023, 0.83146961, -0.98078528],
];

/// One pass of the transform along columns: eight lanes at once.
#[inline(always)]
fn pass(v: &[f32; 64]) -> [f32; 64] {
    let mut out = [0.0; 64];
    let rows = v.as_chunks::<8>().0;
    for (k, (to, cosines)) in out.as_chunks_mut::<8>().0.iter_mut().zip(&COSINES).enumerate() {
        let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
        for n in 0..4 {
            for lane in 0..8 {
                to[lane] += cosines[n] * (rows[n][lane] + sign * rows[7 - n][lane]);
            }
        }
    }
    out
}

#[inline(always)]
fn transposed(v: &[f32; 64]) -> [f32; 64] {
    let mut out = [0.0; 64];
    for (i, to) in out.iter_mut().enumerate() {
        *to = v[i % 8 * 8 + i / 8];
    }
    out
}

/// Transforms, quantises and writes a block.
#[inline(always)]
fn write_block(
    block: &mut [f32; 64],
    factors: &[f32; 64],
    codes: &[[(u16, u8); 256]; 2],
    dc: &mut i32,
    bits: &mut Bits<'_>,
) {
    let flipped = transposed(&pass(&transposed(&pass(block))));
    let mut quantised = [0i32; 64];
    for ((to, c), f) in quantised.iter_mut().zip(&flipped).zip(factors) {
        // The standard's transform is a quarter of the sums.
        let v = c * f * 2.0;
        *to = (v + 0.5f32.copysign(v)) as i32;
    }
    let size = |v: i32| 32 - v.unsigned_abs().leading_zeros();
    // Negative values are written as one less, without their sign.
    let rest = |v: i32, size: u32| (v - i32::from(v < 0)) as u32 & ((1 << size) - 1);
    let difference = quantised[0] - *dc;
    *dc = quantised[0];
    let n = size(difference);
    bits.code(codes[0][n as usize]);
    bits.put(rest(difference, n), n);
    let mut zeros = 0;
    for z in &ZIGZAG[1..] {
        let v = quantised[usize::from(*z)].clamp(-1023, 1023);
        if v == 0 {
            zeros += 1;
            continue;
        }
        while zeros > 15 {
            bits.code(codes[1][0xf0]);
            zeros -= 16;
        }
        let n = size(v);
        bits.code(codes[1][(zeros << 4) | n as usize]);
        bits.put(rest(v, n), n);
        zeros = 0;
    }
    if zeros > 0 {
        bits.code(codes[1][0]);
    }
}

/// Writes bits, highest first.
struct Bits<'a> {
    out: &'a mut Vec<u8>,
    hold: u64,
    count: u32,
}

impl Bits<'_> {
    #[inline(always)]
    fn code(&mut self, (code, length): (u16, u8)) {
        self.put(code.into(), length.into());
    }

    #[inline(always)]
    fn put(&mut self, bits: u32, length: u32) {
        self.hold = self.hold << length | u64::from(bits);
        self.count += length;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.hold >> self.count) as u8;
            self.out.push(byte);
            if byte == 0xff {
                self.out.push(0);
            }
        }
    }

    fn finish(&mut self) {
        // Filled up with ones.
        let missing = (8 - self.count) % 8;
        self.put((1 << missing) - 1, missing);
    }
}
