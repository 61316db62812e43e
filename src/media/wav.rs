//! WAV files (RIFF, Microsoft "Multimedia Programming Interface", 1991, and the extensible form of
//! 2001): integer and float PCM in, 48 kHz 16-bit mono out.

/// Longest recording read: ten hours of 48 kHz stereo would not fit into memory as floats.
const MAX_SAMPLES: usize = 1 << 28;

/// A recording as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Wav {
    /// Sample rate in Hz.
    pub rate: u32,
    /// Channels, interleaved in `samples`.
    pub channels: u16,
    /// Samples, nominal range −1…1.
    pub samples: Vec<f32>,
}

/// Why a file can't be used as a WAV.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WavError {
    /// Some other kind of file.
    #[error("not a WAV file: it doesn't begin with RIFF … WAVE")]
    NotWav,
    /// RF64, big-endian RIFX: rare relatives.
    #[error("{0} is a relative of WAV that is not supported; convert it to plain WAV")]
    Relative(&'static str),
    /// A chunk is missing.
    #[error("damaged WAV file: it has no {0:?} part")]
    Missing(&'static str),
    /// A chunk is cut off or malformed.
    #[error("damaged WAV file: its {0:?} part is cut short")]
    CutShort(&'static str),
    /// A compressed or exotic sample format.
    #[error(
        "WAV format {tag:#06x} with {bits} bits is not supported (16, 24 or 32 bit PCM, or float)"
    )]
    Format {
        /// Format tag.
        tag: u16,
        /// Bits per sample.
        bits: u16,
    },
    /// A rate or channel count outside 1000…768000 Hz, 1…32 channels.
    #[error("{rate} Hz with {channels} channels is no usable recording")]
    Shape {
        /// Sample rate.
        rate: u32,
        /// Channels.
        channels: u16,
    },
    /// More than fits.
    #[error("the recording is too long")]
    TooLong,
}

/// Reads a whole file. Tolerates what is common in the wild: extra chunks, odd sizes, and a data
/// length of zero or the maximum as recorders that were stopped hard leave it.
pub fn parse(file: &[u8]) -> Result<Wav, WavError> {
    match (file.get(..4), file.get(8..12)) {
        (Some(b"RIFF"), Some(b"WAVE")) => {}
        (Some(b"RF64"), _) => return Err(WavError::Relative("RF64")),
        (Some(b"RIFX"), _) => return Err(WavError::Relative("RIFX")),
        _ => return Err(WavError::NotWav),
    }
    let mut rest = file.get(12..).unwrap_or_default();
    let mut format = None;
    while let (Some(id), Some(size)) = (rest.get(..4), u32_at(rest, 4)) {
        let body = rest.get(8..).unwrap_or_default();
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        match id {
            b"fmt " => {
                let body = body.get(..size).ok_or(WavError::CutShort("fmt"))?;
                format = Some(Format::parse(body)?);
            }
            b"data" => {
                let format = format.ok_or(WavError::Missing("fmt"))?;
                let endless = size == 0 || size > body.len();
                return format.read(if endless { body } else { &body[..size] });
            }
            _ => {}
        }
        let step = size.saturating_add(size % 2);
        rest = body.get(step..).unwrap_or_default();
    }
    Err(WavError::Missing(if format.is_none() { "fmt" } else { "data" }))
}

/// The 44 bytes before `data_bytes` of 48 kHz, 16-bit, mono samples.
pub fn header(data_bytes: u32) -> [u8; 44] {
    let mut h = [0u8; 44];
    let fields: [(usize, &[u8]); 13] = [
        (0, b"RIFF"),
        (4, &data_bytes.saturating_add(36).to_le_bytes()),
        (8, b"WAVE"),
        (12, b"fmt "),
        (16, &16u32.to_le_bytes()),
        (20, &1u16.to_le_bytes()),
        (22, &1u16.to_le_bytes()),
        (24, &48_000u32.to_le_bytes()),
        (28, &96_000u32.to_le_bytes()),
        (32, &2u16.to_le_bytes()),
        (34, &16u16.to_le_bytes()),
        (36, b"data"),
        (40, &data_bytes.to_le_bytes()),
    ];
    for (at, bytes) in fields {
        if let Some(to) = h.get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
        }
    }
    h
}

/// One sample as 16-bit integer, cut off at full scale.
pub fn to_i16(sample: f32) -> i16 {
    // `as` cuts off and turns NaN into 0.
    (sample * 32_768.0).round() as i16
}

/// A whole file of 48 kHz, 16-bit, mono samples.
pub fn write(samples: &[f32]) -> Vec<u8> {
    let bytes = u32::try_from(samples.len() * 2).unwrap_or(u32::MAX);
    let mut file = header(bytes).to_vec();
    file.extend(samples.iter().flat_map(|s| to_i16(*s).to_le_bytes()));
    file
}

#[derive(Clone, Copy)]
struct Format {
    rate: u32,
    channels: u16,
    bits: u16,
    float: bool,
}

impl Format {
    fn parse(body: &[u8]) -> Result<Self, WavError> {
        let short = WavError::CutShort("fmt");
        let mut tag = u16_at(body, 0).ok_or(short.clone())?;
        let channels = u16_at(body, 2).ok_or(short.clone())?;
        let rate = u32_at(body, 4).ok_or(short.clone())?;
        let bits = u16_at(body, 14).ok_or(short.clone())?;
        if tag == 0xfffe {
            // Extensible: the real tag begins the sub-format's identifier.
            tag = u16_at(body, 24).ok_or(short)?;
        }
        let float = match (tag, bits) {
            (1, 8 | 16 | 24 | 32) => false,
            (3, 32 | 64) => true,
            _ => return Err(WavError::Format { tag, bits }),
        };
        if !(1..=32).contains(&channels) || !(1000..=768_000).contains(&rate) {
            return Err(WavError::Shape { rate, channels });
        }
        Ok(Self { rate, channels, bits, float })
    }

    fn read(self, data: &[u8]) -> Result<Wav, WavError> {
        let width = usize::from(self.bits / 8);
        if data.len() / width > MAX_SAMPLES {
            return Err(WavError::TooLong);
        }
        let whole = data.len() / (width * usize::from(self.channels)) * usize::from(self.channels);
        let samples = data.chunks_exact(width).take(whole).map(|b| self.sample(b)).collect();
        Ok(Wav { rate: self.rate, channels: self.channels, samples })
    }

    fn sample(self, b: &[u8]) -> f32 {
        let value = match *b {
            // Eight bits are unsigned, all others signed.
            [a] => (f32::from(a) - 128.0) / 128.0,
            [a, b] => f32::from(i16::from_le_bytes([a, b])) / 32_768.0,
            [a, b, c] => (i32::from_le_bytes([0, a, b, c]) >> 8) as f32 / 8_388_608.0,
            [a, b, c, d] if self.float => f32::from_le_bytes([a, b, c, d]),
            [a, b, c, d] => i32::from_le_bytes([a, b, c, d]) as f32 / 2_147_483_648.0,
            [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32,
            _ => 0.0,
        };
        if value.is_finite() { value } else { 0.0 }
    }
}

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    b.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_le_bytes)
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    b.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file in any format: tag, bits, channels, rate, sample bytes.
    fn file(tag: u16, bits: u16, channels: u16, rate: u32, data: &[u8]) -> Vec<u8> {
        let mut f = b"RIFF\0\0\0\0WAVEfmt ".to_vec();
        let align = channels * (bits / 8);
        f.extend(16u32.to_le_bytes());
        f.extend(tag.to_le_bytes());
        f.extend(channels.to_le_bytes());
        f.extend(rate.to_le_bytes());
        f.extend((rate * u32::from(align)).to_le_bytes());
        f.extend(align.to_le_bytes());
        f.extend(bits.to_le_bytes());
        // An odd-sized chunk nobody knows.
        f.extend(b"LIST\x03\0\0\0abc\0data");
        f.extend((data.len() as u32).to_le_bytes());
        f.extend(data);
        f
    }

    #[test]
    fn what_is_written_reads_back_to_16_bits() {
        let sound: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.1).sin() * 0.9).collect();
        let wav = parse(&write(&sound)).unwrap();
        assert_eq!((wav.rate, wav.channels, wav.samples.len()), (48_000, 1, 1000));
        assert!(wav.samples.iter().zip(&sound).all(|(a, b)| (a - b).abs() <= 0.5 / 32_768.0));
    }

    #[test]
    fn every_common_sample_format_is_read() {
        let half: [(u16, u16, &[u8]); 6] = [
            (1, 8, &[192]),
            (1, 16, &0x4000i16.to_le_bytes()),
            (1, 24, &[0, 0, 0x40]),
            (1, 32, &0x4000_0000i32.to_le_bytes()),
            (3, 32, &0.5f32.to_le_bytes()),
            (3, 64, &0.5f64.to_le_bytes()),
        ];
        for (tag, bits, sample) in half {
            let wav = parse(&file(tag, bits, 2, 44_100, &[sample, sample].concat())).unwrap();
            assert_eq!(wav, Wav { rate: 44_100, channels: 2, samples: vec![0.5, 0.5] });
        }
        assert_eq!(parse(&file(1, 24, 1, 8000, &[0, 0, 0xc0])).unwrap().samples, vec![-0.5]);
    }

    #[test]
    fn the_extensible_form_is_read() {
        let mut f = file(0xfffe, 16, 1, 48_000, &[0, 0x40]);
        f[16..20].copy_from_slice(&40u32.to_le_bytes());
        let mut tail = vec![22, 0, 16, 0, 0, 0, 0, 0, 1, 0];
        tail.extend([0u8; 14]);
        f.splice(36..36, tail);
        assert_eq!(parse(&f).unwrap().samples, vec![0.5]);
    }

    #[test]
    fn a_recording_whose_writer_was_killed_is_read_to_its_end() {
        let mut f = write(&[0.5; 10]);
        f[40..44].copy_from_slice(&0u32.to_le_bytes());
        assert_eq!(parse(&f).unwrap().samples.len(), 10);
        f[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
        f.pop();
        assert_eq!(parse(&f).unwrap().samples.len(), 9);
    }

    #[test]
    fn what_is_no_usable_wav_is_refused_with_the_reason() {
        assert_eq!(parse(b""), Err(WavError::NotWav));
        assert_eq!(parse(b"OggS0000WAVE"), Err(WavError::NotWav));
        assert_eq!(parse(b"RIFX0000WAVE"), Err(WavError::Relative("RIFX")));
        assert_eq!(parse(b"RIFF0000WAVE"), Err(WavError::Missing("fmt")));
        assert_eq!(parse(&write(&[])[..36]), Err(WavError::Missing("data")));
        assert_eq!(parse(&write(&[])[..30]), Err(WavError::CutShort("fmt")));
        let mp3 = file(0x55, 0, 2, 44_100, &[]);
        assert_eq!(parse(&mp3), Err(WavError::Format { tag: 0x55, bits: 0 }));
        let none = file(1, 16, 0, 44_100, &[]);
        assert_eq!(parse(&none), Err(WavError::Shape { rate: 44_100, channels: 0 }));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(mut bytes: Vec<u8>, at in 0usize..60, cut in 0usize..60) {
            let _ = parse(&bytes);
            let mut f = write(&[0.1; 8]);
            for (to, from) in f.iter_mut().skip(at).zip(bytes.drain(..)) {
                *to = from;
            }
            f.truncate(f.len() - cut);
            let _ = parse(&f);
        }
    }
}
