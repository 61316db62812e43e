//! The strip of frame-number blocks at the bottom edge of every test picture.
//!
//! A receiver that reads the number back knows which captured picture it is looking at, whatever
//! happened in between: compression, scaling, loss. Latency, freezes and the reference picture
//! for a quality figure all follow from that without any help from the sender's program.
//!
//! Layout, in twentieths of the width and twelfths of the height, two rows: columns 0 and 19
//! bright, 1 and 18 dark (they find the strip and set the threshold); columns 2–17 of both rows
//! carry 32 bits: 24 of the Gray-coded number, then its CRC-8, most significant first. At 80x48 a
//! block is 4x4 pixels, at 320x192 one macroblock: aligned to what H.264 codes, so flips cost
//! little. The Gray code keeps most blocks still from one picture to the next.

use crate::media::frame::{RawFrame, Size};

/// Blocks in a row of the strip, finder columns included.
const COLUMNS: usize = 20;
/// Rows of blocks; each is a twelfth of the picture high.
const ROWS: usize = 2;
/// Data blocks per row.
const DATA: usize = 16;
/// Luma of a bright block.
const BRIGHT: u8 = 200;
/// Luma of a dark block.
const DARK: u8 = 40;
/// Least difference between bright and dark finder columns for a strip to be believed.
const MIN_CONTRAST: f32 = 60.0;

/// Numbers wrap here: 24 bits.
pub const MODULUS: u32 = 1 << 24;

/// Height in pixels of the strip in a picture of this size: a sixth of it. Painters crop it.
pub fn strip_height(size: Size) -> u16 {
    size.height - edge(10, size.height)
}

/// Draws the strip for `number` (modulo 2^24) over the bottom of `frame`.
pub fn draw(frame: &mut RawFrame, number: u32) {
    let bits = code(number);
    let (w, h) = (frame.size.width, frame.size.height);
    let top = edge(10, h);
    for y in top..h {
        let row = usize::from(y >= edge(11, h));
        let start = usize::from(y) * usize::from(w);
        let Some(line) = frame.y.get_mut(start..start + usize::from(w)) else { return };
        for column in 0..COLUMNS {
            let (from, to) = (span(column, w), span(column + 1, w));
            if let Some(block) = line.get_mut(from..to) {
                block.fill(if is_bright(bits, row, column) { BRIGHT } else { DARK });
            }
        }
    }
    let chroma_from = usize::from(top / 2) * usize::from(w.div_ceil(2));
    for plane in [&mut frame.u, &mut frame.v] {
        if let Some(strip) = plane.get_mut(chroma_from..) {
            strip.fill(128);
        }
    }
}

/// Reads the number back, or `None` when the picture has no strip or it is damaged.
pub fn read(frame: &RawFrame) -> Option<u32> {
    let size = frame.size;
    if size.width < 40 || size.height < 24 || frame.y.len() < size.luma() {
        return None;
    }
    let mean = |finders: [usize; 2]| {
        let sum: f32 = (0..ROWS)
            .flat_map(|row| finders.map(|column| (row, column)))
            .map(|(row, column)| block_mean(frame, row, column))
            .sum();
        sum / 4.0
    };
    let (bright, dark) = (mean([0, 19]), mean([1, 18]));
    let contrast = bright - dark;
    if contrast < MIN_CONTRAST {
        return None;
    }
    let middle = (bright + dark) / 2.0;
    let mut bits = 0u32;
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let off = block_mean(frame, row, column) - middle;
            // A block in the grey between is a guess, and a finder on the wrong side no strip.
            if off.abs() < contrast * 0.12 {
                return None;
            }
            match column {
                0 | 1 | 18 | 19 if (off > 0.0) != is_bright(0, row, column) => return None,
                0 | 1 | 18 | 19 => {}
                _ => bits = bits << 1 | u32::from(off > 0.0),
            }
        }
    }
    let number = gray_decode(bits >> 8);
    (code(number) == bits).then_some(number)
}

/// Decides whether a stream of pictures carries the strip, so that a painter can crop it: two
/// readable pictures in a row switch it on, ten unreadable ones off. A camera picture can't trip
/// it by accident, and one damaged picture doesn't make the tile jump.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    good: u8,
    bad: u8,
    on: bool,
}

impl Watch {
    /// Looks at the next picture; `Some(pixels)` to crop from its bottom while a strip is there.
    pub fn step(&mut self, frame: &RawFrame) -> Option<u16> {
        if read(frame).is_some() {
            self.good = self.good.saturating_add(1);
            self.bad = 0;
        } else {
            self.bad = self.bad.saturating_add(1);
            self.good = 0;
        }
        if self.good >= 2 {
            self.on = true;
        } else if self.bad >= 10 {
            self.on = false;
        }
        self.on.then(|| strip_height(frame.size))
    }
}

/// The 32 bits of the strip: Gray-coded number, then the CRC-8 of those three bytes.
fn code(number: u32) -> u32 {
    let number = number % MODULUS;
    let gray = number ^ number >> 1;
    gray << 8 | u32::from(crc8(gray))
}

/// CRC-8 (polynomial 0x07) of three bytes, started at 0xFF so that plain black is no number.
fn crc8(gray: u32) -> u8 {
    let mut crc = 0xFFu8;
    for shift in [16, 8, 0] {
        crc ^= (gray >> shift & 0xFF) as u8;
        for _ in 0..8 {
            crc = if crc & 0x80 != 0 { crc << 1 ^ 0x07 } else { crc << 1 };
        }
    }
    crc
}

fn gray_decode(gray: u32) -> u32 {
    [1, 2, 4, 8, 16].iter().fold(gray, |g, shift| g ^ g >> shift)
}

fn is_bright(bits: u32, row: usize, column: usize) -> bool {
    match column {
        0 | 19 => true,
        1 | 18 => false,
        _ => bits >> (31 - (row * DATA + column - 2)) & 1 == 1,
    }
}

/// Pixel row at which twelfth `n` of the height begins; even, so that chroma rows follow.
fn edge(n: u16, height: u16) -> u16 {
    let exact = (u32::from(n) * u32::from(height) + 6) / 12;
    u16::try_from(exact).unwrap_or(height) & !1
}

/// Pixel column at which block `n` begins.
fn span(n: usize, width: u16) -> usize {
    (n * usize::from(width) + COLUMNS / 2) / COLUMNS
}

/// Mean luma of the inner half of a block: compression and scaling smear its edges.
fn block_mean(frame: &RawFrame, row: usize, column: usize) -> f32 {
    let (w, h) = (f32::from(frame.size.width), f32::from(frame.size.height));
    let inner = |n: usize, parts: f32, whole: f32| {
        let from = ((n as f32 + 0.27) * whole / parts).round();
        let to = ((n as f32 + 0.73) * whole / parts).round().max(from + 1.0).min(whole);
        from as usize..to as usize
    };
    let columns = inner(column, COLUMNS as f32, w);
    let (mut sum, mut count) = (0u32, 0u32);
    for y in inner(10 + row, 12.0, h) {
        let start = y * usize::from(frame.size.width);
        let line = frame.y.get(start + columns.start..start + columns.end).unwrap_or(&[]);
        sum += line.iter().map(|&v| u32::from(v)).sum::<u32>();
        count += line.len() as u32;
    }
    if count == 0 { 0.0 } else { sum as f32 / count as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MediaTime;

    const SIZES: [Size; 7] = [
        Size::new(80, 48),
        Size::new(112, 64),
        Size::new(160, 96),
        Size::new(240, 144),
        Size::new(320, 192),
        Size::new(480, 288),
        Size::new(640, 384),
    ];

    fn marked(size: Size, number: u32) -> RawFrame {
        let mut frame = RawFrame::black(size, MediaTime(0));
        frame.y.fill(120);
        draw(&mut frame, number);
        frame
    }

    #[test]
    fn every_rung_of_the_ladder_carries_the_number() {
        for size in SIZES {
            for number in [0, 1, 2, 29, 1000, 0xABCDEF, MODULUS - 1] {
                assert_eq!(read(&marked(size, number)), Some(number), "{size} {number}");
            }
        }
    }

    #[test]
    fn numbers_wrap_at_24_bits() {
        assert_eq!(read(&marked(SIZES[0], MODULUS + 7)), Some(7));
    }

    #[test]
    fn neighbouring_numbers_differ_in_one_data_block() {
        for number in 0..5000 {
            let changed = (code(number) ^ code(number + 1)) >> 8;
            assert_eq!(changed.count_ones(), 1);
        }
    }

    #[test]
    fn blocks_are_at_least_four_pixels_at_the_smallest_rung() {
        let size = SIZES[0];
        assert_eq!(strip_height(size), 8);
        assert_eq!(span(1, size.width) - span(0, size.width), 4);
    }

    #[test]
    fn pictures_without_a_strip_carry_no_number() {
        for size in SIZES {
            let mut frame = RawFrame::black(size, MediaTime(0));
            assert_eq!(read(&frame), None);
            frame.y.fill(235);
            assert_eq!(read(&frame), None);
            for (i, v) in frame.y.iter_mut().enumerate() {
                *v = (i.wrapping_mul(2_654_435_761) >> 13) as u8;
            }
            assert_eq!(read(&frame), None);
        }
    }

    /// Blur, coarse quantisation, noise and a change of contrast: worse than H.264 at these rates.
    fn degrade(frame: &RawFrame) -> RawFrame {
        let (w, h) = (usize::from(frame.size.width), usize::from(frame.size.height));
        let mut out = frame.clone();
        let at = |x: usize, y: usize| i32::from(frame.y[y.min(h - 1) * w + x.min(w - 1)]);
        for y in 0..h {
            for x in 0..w {
                let mut sum = 0;
                for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    sum += at(x + dx, y + dy) + at(x.saturating_sub(dx), y.saturating_sub(dy));
                }
                let noise = (x * 7919 + y * 104_729) as i32 % 41 - 20;
                let v = (sum / 8 * 7 / 10 + 30) / 24 * 24 + noise;
                out.y[y * w + x] = v.clamp(16, 235) as u8;
            }
        }
        out
    }

    #[test]
    fn the_number_survives_blur_quantisation_and_noise() {
        for size in SIZES {
            for number in (0..MODULUS).step_by(777_777) {
                assert_eq!(read(&degrade(&marked(size, number))), Some(number), "{size}");
            }
        }
    }

    #[test]
    fn the_number_survives_scaling_between_rungs() {
        for from in SIZES {
            for to in SIZES {
                let source = marked(from, 123_456);
                let mut scaled = RawFrame::black(to, MediaTime(0));
                for y in 0..usize::from(to.height) {
                    for x in 0..usize::from(to.width) {
                        let sx = x * usize::from(from.width) / usize::from(to.width);
                        let sy = y * usize::from(from.height) / usize::from(to.height);
                        scaled.y[y * usize::from(to.width) + x] =
                            source.y[sy * usize::from(from.width) + sx];
                    }
                }
                assert_eq!(read(&scaled), Some(123_456), "{from} to {to}");
            }
        }
    }

    #[test]
    fn a_watch_needs_two_strips_to_crop_and_ten_misses_to_stop() {
        let mut watch = Watch::default();
        let strip = marked(SIZES[2], 5);
        let plain = RawFrame::black(SIZES[2], MediaTime(0));
        assert_eq!(watch.step(&strip), None);
        assert_eq!(watch.step(&strip), Some(16));
        for _ in 0..9 {
            assert_eq!(watch.step(&plain), Some(16));
        }
        assert_eq!(watch.step(&plain), None);
    }
}
