//! A camera's bytes to I420, BT.601 limited range.

use crate::media::frame::{RawFrame, Size};
use crate::media::source::camera::{Offer, Pixels};
use crate::time::MediaTime;
use yuv::{
    BufferStoreMut, YuvConversionMode, YuvPackedImage, YuvPlanarImageMut, YuvRange,
    YuvStandardMatrix,
};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Converts one picture; `None` when the bytes are too few or no picture. Trailing bytes are
/// normal: drivers hand over whole buffers.
pub(super) fn to_i420(offer: &Offer, bytes: &[u8], at: MediaTime) -> Option<RawFrame> {
    let size = Size { width: offer.width, height: offer.height };
    match offer.pixels {
        Pixels::Yuyv => yuyv(size, bytes, at),
        Pixels::Nv12 => nv12(size, bytes, at),
        Pixels::Mjpeg => jpeg(bytes, at),
        Pixels::Gray => {
            let mut frame = RawFrame::black(size, at);
            let luma = bytes.get(..size.luma())?;
            frame.y.iter_mut().zip(luma).for_each(|(to, &v)| *to = limited_luma(v));
            Some(frame)
        }
        Pixels::Rgb => rgb(size, bytes, at, yuv::rgb_to_yuv420),
        Pixels::Bgr => rgb(size, bytes, at, yuv::bgr_to_yuv420),
    }
}

fn planar(frame: &mut RawFrame) -> YuvPlanarImageMut<'_, u8> {
    let (width, height) = (u32::from(frame.size.width), u32::from(frame.size.height));
    YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(&mut frame.y),
        y_stride: width,
        u_plane: BufferStoreMut::Borrowed(&mut frame.u),
        u_stride: width.div_ceil(2),
        v_plane: BufferStoreMut::Borrowed(&mut frame.v),
        v_stride: width.div_ceil(2),
        width,
        height,
    }
}

fn yuyv(size: Size, bytes: &[u8], at: MediaTime) -> Option<RawFrame> {
    let packed = YuvPackedImage {
        yuy: bytes.get(..size.luma() * 2)?,
        yuy_stride: u32::from(size.width) * 2,
        width: size.width.into(),
        height: size.height.into(),
    };
    let mut frame = RawFrame::black(size, at);
    yuv::yuyv422_to_yuv420(&mut planar(&mut frame), &packed).ok()?;
    Some(frame)
}

fn nv12(size: Size, bytes: &[u8], at: MediaTime) -> Option<RawFrame> {
    let (luma, rest) = bytes.split_at_checked(size.luma())?;
    let chroma = rest.get(..size.chroma() * 2)?;
    let mut frame = RawFrame::black(size, at);
    frame.y.copy_from_slice(luma);
    for ((pair, u), v) in chroma.chunks_exact(2).zip(&mut frame.u).zip(&mut frame.v) {
        (*u, *v) = (pair[0], pair[1]);
    }
    Some(frame)
}

type FromRgb = fn(
    &mut YuvPlanarImageMut<'_, u8>,
    &[u8],
    u32,
    YuvRange,
    YuvStandardMatrix,
    YuvConversionMode,
) -> Result<(), yuv::YuvError>;

fn rgb(size: Size, bytes: &[u8], at: MediaTime, convert: FromRgb) -> Option<RawFrame> {
    let pixels = bytes.get(..size.luma() * 3)?;
    let mut frame = RawFrame::black(size, at);
    convert(
        &mut planar(&mut frame),
        pixels,
        u32::from(size.width) * 3,
        YuvRange::Limited,
        YuvStandardMatrix::Bt601,
        YuvConversionMode::Balanced,
    )
    .ok()?;
    Some(frame)
}

/// JPEG is BT.601 in full range already: no detour by RGB.
fn jpeg(bytes: &[u8], at: MediaTime) -> Option<RawFrame> {
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(3840)
        .set_max_height(2160)
        .jpeg_set_out_colorspace(ColorSpace::YCbCr);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let pixels = decoder.decode().ok()?;
    let info = decoder.info()?;
    let stride = usize::from(info.width) * 3;
    let size = Size { width: info.width & !1, height: info.height & !1 };
    if size.width < 2 || size.height < 2 || pixels.len() < stride * usize::from(info.height) {
        return None;
    }
    let mut frame = RawFrame::black(size, at);
    let (w, cw) = (usize::from(size.width), usize::from(size.width / 2));
    let pairs = pixels.chunks_exact(stride * 2).zip(frame.y.chunks_exact_mut(w * 2));
    let chroma = frame.u.chunks_exact_mut(cw).zip(frame.v.chunks_exact_mut(cw));
    for ((rows, luma), (u, v)) in pairs.zip(chroma) {
        let (upper, lower) = rows.split_at(stride);
        let (top, bottom) = luma.split_at_mut(w);
        for (line, out) in [(upper, top), (lower, bottom)] {
            for (pixel, y) in line.chunks_exact(3).zip(out) {
                *y = limited_luma(pixel[0]);
            }
        }
        let blocks = upper.chunks_exact(6).zip(lower.chunks_exact(6));
        for ((a, b), (u, v)) in blocks.zip(u.iter_mut().zip(v)) {
            let mean = |i: usize| {
                let sum =
                    [a[i], a[i + 3], b[i], b[i + 3]].iter().map(|&v| i32::from(v)).sum::<i32>();
                (128 + (sum - 4 * 128) * 224 / (4 * 255)).clamp(16, 240) as u8
            };
            (*u, *v) = (mean(1), mean(2));
        }
    }
    Some(frame)
}

fn limited_luma(v: u8) -> u8 {
    (16 + (u32::from(v) * 219 + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(pixels: Pixels) -> Offer {
        Offer { width: 64, height: 32, fps: 30, pixels }
    }

    #[test]
    fn every_pixel_format_keeps_a_plain_colour() {
        // (Y, U, V) limited = (81, 90, 240): red.
        let n = 64 * 32;
        let cases = [
            (Pixels::Yuyv, [81, 90, 81, 240].repeat(n / 2)),
            (Pixels::Nv12, [vec![81; n], [90, 240].repeat(n / 4)].concat()),
            (Pixels::Rgb, [255, 0, 0].repeat(n)),
            (Pixels::Bgr, [0, 0, 255].repeat(n)),
        ];
        for (pixels, bytes) in cases {
            let frame = to_i420(&offer(pixels), &bytes, MediaTime(9)).unwrap();
            let near = |plane: &[u8], v: u8| plane.iter().all(|p| p.abs_diff(v) <= 2);
            assert!(near(&frame.y, 81), "{pixels:?} {}", frame.y[0]);
            assert!(near(&frame.u, 90) && near(&frame.v, 240), "{pixels:?}");
            assert_eq!(frame.at, MediaTime(9));
            let short = &bytes[..bytes.len() - 1];
            assert!(to_i420(&offer(pixels), short, MediaTime(0)).is_none(), "{pixels:?}");
            let mut trailing = bytes.clone();
            trailing.extend([7; 1000]);
            assert!(to_i420(&offer(pixels), &trailing, MediaTime(0)).is_some());
        }
    }

    #[test]
    fn grey_is_brought_to_limited_range() {
        let frame = to_i420(&offer(Pixels::Gray), &[255; 64 * 32], MediaTime(0)).unwrap();
        assert!(frame.y.iter().all(|&v| v == 235) && frame.u.iter().all(|&v| v == 128));
    }

    #[test]
    fn a_jpeg_with_the_rest_of_the_drivers_buffer_behind_it_decodes() {
        let mut bytes = include_bytes!("../../../../tests/data/red-64x32.jpg").to_vec();
        bytes.extend([0; 5000]);
        let frame = to_i420(&offer(Pixels::Mjpeg), &bytes, MediaTime(0)).unwrap();
        assert_eq!(frame.size, Size::new(64, 32));
        assert!(frame.y.iter().all(|v| v.abs_diff(81) <= 3), "{}", frame.y[0]);
        assert!(frame.v.iter().all(|v| v.abs_diff(240) <= 3), "{}", frame.v[0]);
    }

    #[test]
    fn bytes_that_are_no_jpeg_are_no_picture() {
        for bytes in [&[][..], &[0xFF, 0xD8], &[0x55; 4000]] {
            assert!(to_i420(&offer(Pixels::Mjpeg), bytes, MediaTime(0)).is_none());
        }
    }
}
