//! H.264 (ITU-T H.264) as `step()` functions.

use super::ffi::RawEncoder;
use super::quantiser::Quantiser;
use super::{CodecError, EncodedPicture, MAX_SIZE, VideoDecoder, VideoEncoder, sps};
use crate::media::frame::{RawFrame, Size};
use crate::time::MediaTime;
use bytes::Bytes;
use openh264::OpenH264API;
use openh264::decoder::{Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource as _;
use std::time::Duration;

/// An H.264 encoder for one picture size: high profile, one slice, endless group of pictures,
/// keyframes on request.
pub struct H264Encoder {
    raw: RawEncoder,
    size: Size,
    quantiser: Quantiser,
    last: Option<MediaTime>,
}

impl H264Encoder {
    /// An encoder for pictures of `size` (16x16 … [`MAX_SIZE`]) at `decifps` tenths of a frame per
    /// second and at most `bits_per_second`.
    pub fn new(size: Size, decifps: u16, bits_per_second: u32) -> Result<Self, CodecError> {
        if size.width < 16
            || size.height < 16
            || size.width > MAX_SIZE.width
            || size.height > MAX_SIZE.height
        {
            return Err(CodecError::BadSize(size));
        }
        let quantiser = Quantiser::new(size, bits_per_second, decifps);
        let raw = RawEncoder::new(size, f32::from(decifps) / 10.0, 30).map_err(library)?;
        Ok(Self { raw, size, quantiser, last: None })
    }

    /// Codes all delta pictures alike: their sizes vary less, at about a tenth more bits.
    pub fn even(&mut self) {
        self.quantiser.even();
    }

    /// The picture size this encoder was made for.
    pub fn size(&self) -> Size {
        self.size
    }
}

impl VideoEncoder for H264Encoder {
    fn step(&mut self, frame: &RawFrame, key: bool) -> Result<Option<EncodedPicture>, CodecError> {
        let planes = (frame.y.len(), frame.u.len(), frame.v.len());
        let chroma = self.size.chroma();
        if frame.size != self.size || planes != (self.size.luma(), chroma, chroma) {
            return Err(CodecError::WrongSize { expected: self.size, got: frame.size });
        }
        let key = key || self.last.is_none();
        let since = self.last.map_or(Duration::ZERO, |last| frame.at.saturating_since(last));
        let room = self.quantiser.elapsed(since);
        self.last = Some(frame.at);
        if !room && !key {
            return Ok(None);
        }
        let qp = self.quantiser.choose(key);
        self.raw.set_qp(qp).map_err(library)?;
        if key {
            self.raw.force_keyframe().map_err(library)?;
        }
        let millis = i64::try_from(frame.at.0 / 1000).unwrap_or(i64::MAX);
        let (bytes, keyframe) = self.raw.encode(frame, millis).map_err(library)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.quantiser.coded(bytes.len(), qp, keyframe);
        Ok(Some(EncodedPicture { bytes: Bytes::from(bytes), keyframe }))
    }

    fn set_rate(&mut self, bits_per_second: u32, decifps: u16) {
        self.quantiser.set_rate(bits_per_second, decifps);
    }
}

fn library(code: i32) -> CodecError {
    CodecError::Library(format!("encoder returned {code}"))
}

/// An H.264 decoder. Whatever bytes come in, the answer is a picture or an error; after an error
/// it waits for a keyframe.
pub struct H264Decoder {
    inner: Option<Decoder>,
    /// Size of the current keyframe's parameter set; `None`: a keyframe is needed.
    size: Option<Size>,
}

impl H264Decoder {
    /// A decoder that waits for its first keyframe.
    pub fn new() -> Result<Self, CodecError> {
        Ok(Self { inner: Some(open_decoder()?), size: None })
    }

    /// Forgets all pictures: the next one must be a keyframe.
    pub fn reset(&mut self) {
        self.size = None;
    }
}

fn open_decoder() -> Result<Decoder, CodecError> {
    let config = DecoderConfig::new().flush_after_decode(Flush::Flush);
    Decoder::with_api_config(OpenH264API::from_source(), config)
        .map_err(|e| CodecError::Library(e.to_string()))
}

impl VideoDecoder for H264Decoder {
    fn step(&mut self, bytes: &[u8], at: MediaTime) -> Result<Option<RawFrame>, CodecError> {
        let contents = sps::inspect(bytes)?;
        if contents.idr {
            let whole = contents.pps.then_some(contents.size).flatten();
            self.size = Some(whole.ok_or(CodecError::Garbage("keyframe without parameter sets"))?);
        } else if contents.size.is_some() || contents.pps {
            return Err(CodecError::Garbage("parameter sets without a keyframe"));
        }
        let size = self.size.ok_or(CodecError::NeedsKeyframe)?;
        let decoder = match &mut self.inner {
            Some(decoder) => decoder,
            none => none.insert(open_decoder()?),
        };
        let outcome = match decoder.decode(bytes) {
            Ok(Some(picture)) if picture.dimensions() == dimensions(size) => {
                let (strides, half) = (picture.strides(), (size.width / 2, size.height / 2));
                Ok(Some(RawFrame {
                    size,
                    at,
                    y: tight(picture.y(), strides.0, size.width, size.height),
                    u: tight(picture.u(), strides.1, half.0, half.1),
                    v: tight(picture.v(), strides.2, half.0, half.1),
                }))
            }
            Ok(Some(_)) => Err(CodecError::Garbage("picture size differs from its announcement")),
            Ok(None) => Ok(None),
            Err(_) => Err(CodecError::Garbage("the decoder refused it")),
        };
        if outcome.is_err() {
            // A decoder that has seen garbage is in no defined state: take a new one.
            self.size = None;
            self.inner = None;
        }
        outcome
    }
}

fn dimensions(size: Size) -> (usize, usize) {
    (size.width.into(), size.height.into())
}

/// Copies a plane without the padding of its rows.
fn tight(plane: &[u8], stride: usize, width: u16, height: u16) -> Vec<u8> {
    let (width, height) = (usize::from(width), usize::from(height));
    let mut out = Vec::with_capacity(width * height);
    for row in plane.chunks(stride.max(1)).take(height) {
        out.extend_from_slice(row.get(..width).unwrap_or(row));
    }
    out.resize(width * height, 128);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A soft moving gradient with some texture.
    fn picture(size: Size, number: u64) -> RawFrame {
        let mut frame = RawFrame::black(size, MediaTime(number * 40_000));
        let width = usize::from(size.width);
        for (i, sample) in frame.y.iter_mut().enumerate() {
            let (x, y) = (i % width + number as usize, i / width);
            *sample = (60 + x + 2 * y + (x * y) % 13) as u8;
        }
        frame
    }

    fn coded(size: Size, count: u64) -> Vec<(Bytes, RawFrame)> {
        let mut encoder = H264Encoder::new(size, 250, 1_000_000).unwrap();
        (0..count)
            .map(|n| {
                let frame = picture(size, n);
                (encoder.step(&frame, false).unwrap().unwrap().bytes, frame)
            })
            .collect()
    }

    #[test]
    fn any_even_size_survives_the_round_trip() {
        for (width, height) in
            [(16, 16), (48, 32), (80, 48), (112, 64), (78, 44), (162, 90), (640, 384)]
        {
            let size = Size::new(width, height);
            let mut decoder = H264Decoder::new().unwrap();
            for (bytes, frame) in coded(size, 3) {
                let back = decoder.step(&bytes, frame.at).unwrap().unwrap();
                assert_eq!((back.size, back.at), (size, frame.at));
                assert_eq!(back.y.len(), size.luma());
                assert_eq!((back.u.len(), back.v.len()), (size.chroma(), size.chroma()));
                assert!(crate::media::ssim::psnr(&back.y, &frame.y).unwrap() > 33.0, "{size}");
            }
        }
    }

    #[test]
    fn a_size_out_of_bounds_is_refused() {
        for (width, height) in [(14, 48), (80, 8), (1922, 1080), (1280, 1090)] {
            let size = Size::new(width, height);
            assert_eq!(H264Encoder::new(size, 100, 100_000).err(), Some(CodecError::BadSize(size)));
        }
    }

    #[test]
    fn the_wrong_picture_is_refused_by_the_encoder() {
        let mut encoder = H264Encoder::new(Size::new(80, 48), 100, 50_000).unwrap();
        let other = picture(Size::new(80, 46), 0);
        assert!(matches!(encoder.step(&other, false), Err(CodecError::WrongSize { .. })));
        let mut short = picture(Size::new(80, 48), 0);
        short.u.pop();
        assert!(matches!(encoder.step(&short, false), Err(CodecError::WrongSize { .. })));
    }

    #[test]
    fn keyframes_come_first_and_on_request_only_and_rate_changes_cost_none() {
        let size = Size::new(80, 48);
        let mut encoder = H264Encoder::new(size, 250, 40_000).unwrap();
        for n in 0..60 {
            encoder.set_rate(20_000 + 1000 * n as u32, 100 + n as u16);
            let Some(out) = encoder.step(&picture(size, n), n == 40).unwrap() else { continue };
            assert_eq!(out.keyframe, n == 0 || n == 40, "picture {n}");
        }
    }

    #[test]
    fn a_new_receiver_can_start_at_any_requested_keyframe() {
        let size = Size::new(112, 64);
        let mut encoder = H264Encoder::new(size, 250, 1_000_000).unwrap();
        let mut late = H264Decoder::new().unwrap();
        for n in 0..20 {
            let frame = picture(size, n);
            let out = encoder.step(&frame, n == 10).unwrap().unwrap();
            if n < 5 {
                continue;
            }
            match late.step(&out.bytes, frame.at) {
                Err(e) => assert!(n < 10 && e == CodecError::NeedsKeyframe),
                Ok(picture) => assert!(n >= 10 && picture.is_some()),
            }
        }
    }

    #[test]
    fn damaged_and_random_bytes_give_errors_and_a_keyframe_heals() {
        let size = Size::new(80, 48);
        let stream = coded(size, 12);
        let mut seed = 7u32;
        let mut next = move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as usize
        };
        let mut decoder = H264Decoder::new().unwrap();
        for round in 0..400 {
            let (bytes, frame) = &stream[round % stream.len()];
            let mut bad = bytes.to_vec();
            match round % 4 {
                0 => bad.truncate(next() % bytes.len()),
                1 => bad[next() % bytes.len()] ^= 1 << (next() % 8),
                2 => bad.iter_mut().skip(6).for_each(|b| *b = next() as u8),
                _ => bad.extend((0..next() % 300).map(|_| next() as u8)),
            }
            if let Ok(Some(picture)) = decoder.step(&bad, frame.at) {
                assert!(picture.size.width <= MAX_SIZE.width);
                assert_eq!(picture.y.len(), picture.size.luma());
            }
        }
        decoder.reset();
        assert_eq!(decoder.step(&stream[1].0, MediaTime(1)), Err(CodecError::NeedsKeyframe));
        for (bytes, frame) in &stream {
            assert!(decoder.step(bytes, frame.at).unwrap().is_some());
        }
    }

    #[test]
    fn the_assembler_question_has_an_answer() {
        // Which one depends on the machine that built it; asking twice must agree.
        assert_eq!(super::super::has_assembler(), super::super::has_assembler());
    }
}
