//! Sound from a WAV file of any common rate and format, mixed down to mono and brought to 48 kHz.

use super::OpenError;
use crate::media::dsp;
use crate::media::seams::{BLOCK, Pcm, PcmSource, SAMPLE_RATE, SourceLost};
use crate::media::wav;
use crate::time::Now;
use std::path::Path;

/// Largest file read: two hours and more of 48 kHz stereo.
const MAX_BYTES: u64 = 2 << 30;

/// A WAV file as a sound source. It starts when it is first read.
pub struct WavFile {
    name: String,
    sound: Vec<f32>,
    position: usize,
    repeat: bool,
}

impl WavFile {
    /// Reads `path` as a whole. `repeat`: begin again at the end; otherwise silence follows.
    pub fn open(path: &Path, repeat: bool) -> Result<Self, OpenError> {
        let what = format!("wav:{}", path.display());
        let invalid = |why: String| OpenError::InvalidInput { what: what.clone(), why };
        let size = std::fs::metadata(path).map_err(|e| invalid(e.to_string()))?.len();
        if size > MAX_BYTES {
            return Err(invalid("larger than 2 GiB".to_owned()));
        }
        let bytes = std::fs::read(path).map_err(|e| invalid(e.to_string()))?;
        let wav = wav::parse(&bytes).map_err(|e| invalid(e.to_string()))?;
        let mono = dsp::to_mono(&wav.samples, usize::from(wav.channels));
        let sound =
            dsp::resample(&mono, wav.rate, SAMPLE_RATE).map_err(|e| invalid(e.to_string()))?;
        if sound.is_empty() {
            return Err(invalid("holds no sound".to_owned()));
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name, sound, position: 0, repeat })
    }

    /// The whole sound at 48 kHz, mono: the original a measurement compares with.
    pub fn sound(&self) -> &[f32] {
        &self.sound
    }
}

impl PcmSource for WavFile {
    fn read(&mut self, _now: Now) -> Result<Option<Pcm>, SourceLost> {
        let mut block = [0.0; BLOCK];
        for sample in &mut block {
            if self.position >= self.sound.len() && self.repeat {
                self.position = 0;
            }
            *sample = self.sound.get(self.position).copied().unwrap_or(0.0);
            self.position = self.position.saturating_add(1);
        }
        Ok(Some(block))
    }

    fn describe(&self) -> String {
        let seconds = self.sound.len() as f32 / SAMPLE_RATE as f32;
        let then = if self.repeat { "repeated" } else { "once, then silence" };
        format!("{}, {seconds:.1} s, {then}", self.name)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use super::*;
    use crate::time::Wall;
    use std::time::Instant;

    fn now() -> Now {
        Now { mono: Instant::now(), wall: Wall(0) }
    }

    #[test]
    fn a_file_is_played_once_or_again_and_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        std::fs::write(&path, wav::write(&[0.25; 700])).unwrap();
        let mut once = WavFile::open(&path, false).unwrap();
        assert_eq!(once.read(now()).unwrap().unwrap(), [0.25; BLOCK]);
        let second = once.read(now()).unwrap().unwrap();
        assert_eq!((second[219], second[220]), (0.25, 0.0));
        let mut again = WavFile::open(&path, true).unwrap();
        for _ in 0..5 {
            assert_eq!(again.read(now()).unwrap().unwrap(), [0.25; BLOCK]);
        }
    }

    #[test]
    fn what_cannot_be_played_is_refused_with_the_file_and_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.wav");
        let open = || WavFile::open(&path, false).err().unwrap().to_string();
        assert!(open().contains("b.wav"));
        std::fs::write(&path, b"ID3 this is a song").unwrap();
        assert!(open().contains("not a WAV file"), "{}", open());
        std::fs::write(&path, wav::write(&[])).unwrap();
        assert!(open().contains("no sound"));
    }
}
