//! YUV4MPEG2 (`.y4m`), the uncompressed video format every video tool reads and writes: parser
//! and writer, bytes only. A header line, then per picture a `FRAME` line and the planes.

use crate::media::colour;
use crate::media::frame::{RawFrame, Size};
use crate::time::MediaTime;

/// Longest header or frame line accepted, in bytes.
pub const MAX_LINE: usize = 1024;
/// Largest picture accepted.
pub const MAX_SIZE: Size = Size { width: 3840, height: 2160 };
/// What a stream begins with.
const MAGIC: &[u8] = b"YUV4MPEG2";

/// Why bytes are not a usable Y4M stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Y4mError {
    /// The magic word is missing.
    #[error("not a Y4M stream: it does not begin with YUV4MPEG2")]
    NotY4m,
    /// A line without an end.
    #[error("header line longer than {MAX_LINE} bytes")]
    LineTooLong,
    /// A header field can't be understood.
    #[error("malformed header field {0:?}")]
    Field(String),
    /// Width or height is missing.
    #[error("the header gives no picture size")]
    NoSize,
    /// Zero, one pixel, or more than [`MAX_SIZE`].
    #[error("picture size {0}x{1} is outside 2x2 to 3840x2160")]
    Size(u32, u32),
    /// Fewer than one picture in ten seconds, or more than 240 a second.
    #[error("frame rate {0}:{1} is outside 0.1 to 240 per second")]
    Rate(u32, u32),
    /// A pixel format other than 8-bit 4:2:0, 4:2:2, 4:4:4 or mono.
    #[error("pixel format {0} is not supported; convert it: ffmpeg -i IN -pix_fmt yuv420p OUT.y4m")]
    Format(String),
    /// Something other than `FRAME` where a picture should begin.
    #[error("no FRAME where a picture should begin: the stream is damaged")]
    NoFrame,
}

/// How the chroma planes are sampled; siting is not told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chroma {
    /// 4:2:0: chroma of half width and height.
    C420,
    /// 4:2:2: chroma of half width.
    C422,
    /// 4:4:4: chroma of full size.
    C444,
    /// Luma only.
    Mono,
}

/// What the header line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels as stored; may be odd.
    pub width: u16,
    /// Height in pixels as stored; may be odd.
    pub height: u16,
    /// Pictures per second: numerator, denominator; 30:1 where the header says nothing.
    pub rate: (u32, u32),
    /// Chroma sampling.
    pub chroma: Chroma,
    /// Luma spans 0–255 instead of 16–235 (`XCOLORRANGE=FULL`).
    pub full_range: bool,
}

impl Header {
    /// Parses the header line, with or without its line feed.
    pub fn parse(line: &[u8]) -> Result<Self, Y4mError> {
        if line.len() > MAX_LINE {
            return Err(Y4mError::LineTooLong);
        }
        let rest = line.strip_prefix(MAGIC).ok_or(Y4mError::NotY4m)?;
        if !matches!(rest.first(), None | Some(b' ' | b'\n')) {
            return Err(Y4mError::NotY4m);
        }
        let (mut width, mut height) = (None, None);
        let mut rate = (30, 1);
        let mut chroma = Chroma::C420;
        let mut full_range = false;
        for field in rest.split(|b| b" \r\n".contains(b)).filter(|f| !f.is_empty()) {
            let text = String::from_utf8_lossy(field);
            let bad = || Y4mError::Field(text.chars().take(40).collect());
            let Some((&tag, value)) = field.split_first() else { continue };
            let value = std::str::from_utf8(value).map_err(|_| bad())?;
            match tag {
                b'W' => width = Some(value.parse::<u32>().map_err(|_| bad())?),
                b'H' => height = Some(value.parse::<u32>().map_err(|_| bad())?),
                b'F' => {
                    let (n, d) = value.split_once(':').ok_or_else(bad)?;
                    let n = n.parse::<u32>().map_err(|_| bad())?;
                    let d = d.parse::<u32>().map_err(|_| bad())?;
                    // 0:0 is how the format spells "unknown".
                    if (n, d) != (0, 0) {
                        rate = (n, d);
                    }
                }
                b'C' => chroma = parse_chroma(value)?,
                b'X' if value.eq_ignore_ascii_case("COLORRANGE=FULL") => full_range = true,
                // Interlacing, aspect and comments change nothing here; unknown tags are legal.
                _ => {}
            }
        }
        let (Some(w), Some(h)) = (width, height) else { return Err(Y4mError::NoSize) };
        let fit = |v: u32, max: u16| u16::try_from(v).ok().filter(|v| (2..=max).contains(v));
        let (Some(width), Some(height)) = (fit(w, MAX_SIZE.width), fit(h, MAX_SIZE.height)) else {
            return Err(Y4mError::Size(w, h));
        };
        let (n, d) = (u64::from(rate.0), u64::from(rate.1));
        if n * 10 < d || n > d * 240 || d == 0 {
            return Err(Y4mError::Rate(rate.0, rate.1));
        }
        Ok(Self { width, height, rate, chroma, full_range })
    }

    /// Size of the pictures given out: odd sizes lose their last column or row.
    pub fn size(&self) -> Size {
        Size { width: self.width & !1, height: self.height & !1 }
    }

    /// Bytes of one picture after its `FRAME` line.
    pub fn frame_bytes(&self) -> usize {
        let (w, h) = self.chroma_size();
        usize::from(self.width) * usize::from(self.height) + 2 * w * h
    }

    /// Time of picture `index` after the first.
    pub fn time_of(&self, index: u64) -> std::time::Duration {
        let micros = u128::from(index) * 1_000_000 * u128::from(self.rate.1);
        let micros = micros / u128::from(self.rate.0.max(1));
        std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// Index of the last picture due at `after` the first.
    pub fn index_at(&self, after: std::time::Duration) -> u64 {
        let (n, d) = (u128::from(self.rate.0), u128::from(self.rate.1.max(1)));
        // Rounded up, so that `index_at(time_of(i)) == i` in spite of whole microseconds.
        let index = ((after.as_micros() + 1) * n).saturating_sub(1) / (d * 1_000_000);
        u64::try_from(index).unwrap_or(u64::MAX)
    }

    /// Turns the stored planes into a picture. `None` if `planes` is shorter than
    /// [`Header::frame_bytes`].
    pub fn picture(&self, planes: &[u8], at: MediaTime) -> Option<RawFrame> {
        let (w, h) = (usize::from(self.width), usize::from(self.height));
        let (cw, ch) = self.chroma_size();
        let (luma, rest) = planes.split_at_checked(w * h)?;
        let (cb, rest) = rest.split_at_checked(cw * ch)?;
        let cr = rest.get(..cw * ch)?;
        let size = self.size();
        let mut frame = RawFrame::black(size, at);
        let (ow, oh) = (usize::from(size.width), usize::from(size.height));
        for (to, from) in frame.y.chunks_exact_mut(ow).zip(luma.chunks_exact(w)).take(oh) {
            to.copy_from_slice(&from[..ow]);
        }
        // Source rows and columns that one output sample averages.
        let (across, down) = match self.chroma {
            Chroma::C420 => (1, 1),
            Chroma::C422 => (1, 2),
            Chroma::C444 => (2, 2),
            Chroma::Mono => (0, 0),
        };
        for (to, from) in [(&mut frame.u, cb), (&mut frame.v, cr)] {
            if across > 0 {
                shrink(to, ow / 2, from, cw, across, down);
            }
        }
        if self.full_range {
            colour::limit(&mut frame);
        }
        Some(frame)
    }

    fn chroma_size(&self) -> (usize, usize) {
        let (w, h) = (usize::from(self.width), usize::from(self.height));
        match self.chroma {
            Chroma::C420 => (w.div_ceil(2), h.div_ceil(2)),
            Chroma::C422 => (w.div_ceil(2), h),
            Chroma::C444 => (w, h),
            Chroma::Mono => (0, 0),
        }
    }
}

/// Checks the line before a picture.
pub fn parse_frame_line(line: &[u8]) -> Result<(), Y4mError> {
    let rest = line.strip_prefix(b"FRAME").ok_or(Y4mError::NoFrame)?;
    if matches!(rest.first(), None | Some(b' ' | b'\r' | b'\n')) {
        Ok(())
    } else {
        Err(Y4mError::NoFrame)
    }
}

/// The header line of an 8-bit 4:2:0 stream at `decifps` tenths of a picture per second.
pub fn header(size: Size, decifps: u16) -> Vec<u8> {
    let (n, d) = if decifps.is_multiple_of(10) { (decifps / 10, 1) } else { (decifps, 10) };
    format!("YUV4MPEG2 W{} H{} F{n}:{d} Ip A1:1 C420jpeg\n", size.width, size.height).into_bytes()
}

/// Appends one picture to `out`: `FRAME` line and planes.
pub fn write_frame(frame: &RawFrame, out: &mut Vec<u8>) {
    out.reserve(6 + frame.y.len() + frame.u.len() + frame.v.len());
    out.extend_from_slice(b"FRAME\n");
    out.extend_from_slice(&frame.y);
    out.extend_from_slice(&frame.u);
    out.extend_from_slice(&frame.v);
}

fn parse_chroma(value: &str) -> Result<Chroma, Y4mError> {
    match value {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Ok(Chroma::C420),
        "422" => Ok(Chroma::C422),
        "444" => Ok(Chroma::C444),
        "mono" => Ok(Chroma::Mono),
        other => Err(Y4mError::Format(other.chars().take(40).collect())),
    }
}

/// Averages `across` × `down` samples of `from` (rows of `stride`) into each sample of `to`.
fn shrink(to: &mut [u8], width: usize, from: &[u8], stride: usize, across: usize, down: usize) {
    let count = (across * down) as u32;
    for (row, line) in to.chunks_exact_mut(width).enumerate() {
        for (x, out) in line.iter_mut().enumerate() {
            let mut sum = count / 2;
            for dy in 0..down {
                let start = (row * down + dy) * stride + x * across;
                sum += from[start..start + across].iter().map(|&v| u32::from(v)).sum::<u32>();
            }
            *out = (sum / count) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_of_common_tools_are_understood() {
        let ffmpeg = b"YUV4MPEG2 W320 H192 F30000:1001 Ip A1:1 C420mpeg2 XYSCSS=420MPEG2\n";
        let header = Header::parse(ffmpeg).unwrap();
        assert_eq!(header.size(), Size::new(320, 192));
        assert_eq!(header.rate, (30000, 1001));
        assert_eq!(header.frame_bytes(), 320 * 192 * 3 / 2);
        let plain = Header::parse(b"YUV4MPEG2 H4 W6").unwrap();
        assert_eq!((plain.rate, plain.chroma), ((30, 1), Chroma::C420));
        let unknown_rate = Header::parse(b"YUV4MPEG2 W2 H2 F0:0 C444 XCOLORRANGE=FULL").unwrap();
        assert_eq!(unknown_rate.rate, (30, 1));
        assert!(unknown_rate.full_range);
    }

    #[test]
    fn what_is_written_is_read_back_the_same() {
        let size = Size::new(6, 4);
        let mut frame = RawFrame::black(size, MediaTime(5));
        for (i, v) in frame.y.iter_mut().chain(&mut frame.u).chain(&mut frame.v).enumerate() {
            *v = i as u8 + 20;
        }
        let line = super::header(size, 125);
        let parsed = Header::parse(&line).unwrap();
        assert_eq!(parsed.rate, (125, 10));
        let mut bytes = Vec::new();
        write_frame(&frame, &mut bytes);
        assert_eq!(bytes.len(), 6 + parsed.frame_bytes());
        assert_eq!(parsed.picture(&bytes[6..], MediaTime(5)), Some(frame));
    }

    #[test]
    fn bad_headers_are_refused_with_the_reason() {
        let is = |line: &str| Header::parse(line.as_bytes()).unwrap_err();
        assert_eq!(is("RIFF....WAVE"), Y4mError::NotY4m);
        assert_eq!(is("YUV4MPEG22 W2 H2"), Y4mError::NotY4m);
        assert_eq!(is("YUV4MPEG2 W320"), Y4mError::NoSize);
        assert_eq!(is("YUV4MPEG2 W0 H2"), Y4mError::Size(0, 2));
        assert_eq!(is("YUV4MPEG2 W3842 H2"), Y4mError::Size(3842, 2));
        assert_eq!(is("YUV4MPEG2 W2 H99999999"), Y4mError::Size(2, 99_999_999));
        assert_eq!(is("YUV4MPEG2 W-2 H2"), Y4mError::Field("W-2".into()));
        assert_eq!(is("YUV4MPEG2 W2 H2 F30"), Y4mError::Field("F30".into()));
        assert_eq!(is("YUV4MPEG2 W2 H2 F1:0"), Y4mError::Rate(1, 0));
        assert_eq!(is("YUV4MPEG2 W2 H2 F0:1"), Y4mError::Rate(0, 1));
        assert_eq!(is("YUV4MPEG2 W2 H2 F1000:1"), Y4mError::Rate(1000, 1));
        assert_eq!(is("YUV4MPEG2 W2 H2 C420p10"), Y4mError::Format("420p10".into()));
        assert_eq!(is(&format!("YUV4MPEG2 X{}", "x".repeat(2000))), Y4mError::LineTooLong);
        assert_eq!(parse_frame_line(b"FRAMES"), Err(Y4mError::NoFrame));
        assert_eq!(parse_frame_line(b"FRAME Ip\n"), Ok(()));
    }

    #[test]
    fn every_chroma_layout_keeps_the_colour() {
        for (name, samples) in [("422", 4 * 6), ("444", 7 * 6)] {
            let line = format!("YUV4MPEG2 W7 H6 C{name}");
            let header = Header::parse(line.as_bytes()).unwrap();
            let mut planes = vec![80; 7 * 6];
            planes.extend(std::iter::repeat_n(90, samples));
            planes.extend(std::iter::repeat_n(200, samples));
            let frame = header.picture(&planes, MediaTime(0)).unwrap();
            assert_eq!(frame.size, Size::new(6, 6));
            assert!(frame.u.iter().all(|&v| v == 90) && frame.v.iter().all(|&v| v == 200));
            assert_eq!(header.picture(&planes[1..], MediaTime(0)), None);
        }
        let mono = Header::parse(b"YUV4MPEG2 W4 H2 Cmono").unwrap();
        let frame = mono.picture(&[77; 8], MediaTime(0)).unwrap();
        assert!(frame.u.iter().all(|&v| v == 128));
    }

    #[test]
    fn full_range_is_brought_to_limited_range() {
        let header = Header::parse(b"YUV4MPEG2 W2 H2 XCOLORRANGE=FULL").unwrap();
        let frame = header.picture(&[0, 255, 128, 0, 128, 255], MediaTime(0)).unwrap();
        assert_eq!(frame.y, [16, 235, 126, 16]);
        assert_eq!((frame.u[0], frame.v[0]), (128, 240));
    }

    #[test]
    fn picture_times_do_not_drift_at_odd_rates() {
        let header = Header::parse(b"YUV4MPEG2 W2 H2 F30000:1001").unwrap();
        assert_eq!(header.time_of(30_000).as_micros(), 1_001_000_000);
        for index in 0..10_000 {
            assert_eq!(header.index_at(header.time_of(index)), index);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_can_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Header::parse(&bytes);
            let mut line = b"YUV4MPEG2 ".to_vec();
            line.extend(&bytes);
            if let Ok(header) = Header::parse(&line) {
                let _ = header.picture(&bytes, MediaTime(0));
            }
        }
    }
}
