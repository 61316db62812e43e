//! Sound into a WAV file: 48 kHz, 16 bits, mono, one block per tick of the playout clock.

use crate::media::seams::{BLOCK, Pcm, PcmSink, SinkLost};
use crate::media::wav;
use crate::time::Now;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

/// Blocks between two visits to the header: a second. A process that is killed leaves a file that
/// lacks at most that much.
const VISIT: u32 = 100;

/// A WAV file being written.
pub struct WavWriter {
    what: String,
    file: File,
    waiting: Vec<u8>,
    bytes: u32,
    blocks: u32,
}

impl WavWriter {
    /// Creates (or replaces) the file.
    pub fn create(path: &Path) -> Result<Self, SinkLost> {
        let what = format!("wav:{}", path.display());
        let lost = |e: std::io::Error| SinkLost { what: what.clone(), why: e.to_string() };
        let mut file = File::create(path).map_err(lost)?;
        file.write_all(&wav::header(0)).map_err(lost)?;
        Ok(Self { what, file, waiting: Vec::new(), bytes: 0, blocks: 0 })
    }

    /// Writes what waits, and the header that counts it.
    fn flush(&mut self) -> std::io::Result<()> {
        let more = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        // A WAV ends at 4 GiB (twelve hours): what comes then is left out.
        if let Some(bytes) = self.bytes.checked_add(more).filter(|b| *b < u32::MAX - 64) {
            self.file.write_all(&self.waiting)?;
            self.bytes = bytes;
        }
        self.waiting.clear();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&wav::header(self.bytes))?;
        self.file.seek(SeekFrom::End(0))?;
        Ok(())
    }
}

impl PcmSink for WavWriter {
    fn write(&mut self, block: &Pcm, _now: Now) -> Result<(), SinkLost> {
        self.waiting.reserve(BLOCK * 2);
        self.waiting.extend(block.iter().flat_map(|s| wav::to_i16(*s).to_le_bytes()));
        self.blocks += 1;
        if self.blocks.is_multiple_of(VISIT) {
            self.flush().map_err(|e| SinkLost { what: self.what.clone(), why: e.to_string() })?;
        }
        Ok(())
    }

    fn describe(&self) -> String {
        self.what.clone()
    }
}

impl Drop for WavWriter {
    fn drop(&mut self) {
        // Nobody left to tell.
        let _ = self.flush();
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
    fn what_is_played_can_be_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.wav");
        let mut sink = WavWriter::create(&path).unwrap();
        for i in 0..150 {
            sink.write(&[i as f32 / 200.0; BLOCK], now()).unwrap();
        }
        drop(sink);
        let wav = wav::parse(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((wav.rate, wav.channels, wav.samples.len()), (48_000, 1, 150 * BLOCK));
        assert!((wav.samples[149 * BLOCK] - 0.745).abs() < 1e-4);
    }

    #[test]
    fn a_killed_process_leaves_a_readable_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.wav");
        let mut sink = WavWriter::create(&path).unwrap();
        for _ in 0..250 {
            sink.write(&[0.5; BLOCK], now()).unwrap();
        }
        let wav = wav::parse(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(wav.samples.len(), 200 * BLOCK);
        drop(sink);
    }

    #[test]
    fn a_file_that_cannot_be_made_is_reported_with_its_name() {
        let error = WavWriter::create(Path::new("/nowhere/at/all.wav")).err().unwrap();
        assert!(error.to_string().contains("/nowhere/at/all.wav"));
    }
}
