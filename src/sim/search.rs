//! Searching a line for what must not be on it.
//!
//! One [`Needles`] looks through every byte it is given for a set of needles, at every offset. The
//! same code is run over the bytes *before* the seal: if it finds nothing there either, the search
//! is broken and its zero on the line proves nothing. That second count is the control.

use std::collections::{BTreeMap, VecDeque};

/// Bytes of a window that are compared first, as one integer.
const PREFIX: usize = 8;
/// Length of the windows cut from coded frames.
pub const WINDOW: usize = 16;
/// Windows are cut from a coded frame at this distance.
const STRIDE: usize = 48;
/// Windows of coded frames kept at once; the oldest go first. At two parties and 80 frames/s with
/// a few windows each this covers well over a minute.
const MAX_WINDOWS: usize = 65_536;

/// What a needle is, for the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A piece of a coded frame.
    Frame,
    /// Somebody's name.
    Name,
    /// The invite's secret or a key made from it.
    Invite,
    /// A private key.
    PrivateKey,
    /// A media base key or frame key.
    MediaKey,
}

impl Kind {
    /// All kinds, in the order of the report.
    pub const ALL: [Self; 5] =
        [Self::Frame, Self::Name, Self::Invite, Self::PrivateKey, Self::MediaKey];

    /// The word on the screen.
    pub fn word(self) -> &'static str {
        match self {
            Self::Frame => "coded frames",
            Self::Name => "names",
            Self::Invite => "invite secret",
            Self::PrivateKey => "private keys",
            Self::MediaKey => "media keys",
        }
    }
}

/// Hits by kind.
pub type Hits = BTreeMap<Kind, u64>;

/// A set of needles.
#[derive(Default)]
pub struct Needles {
    by_prefix: BTreeMap<[u8; PREFIX], Vec<(Kind, Vec<u8>)>>,
    windows: VecDeque<[u8; WINDOW]>,
}

impl Needles {
    /// Adds something to look for. What is shorter than 8 bytes is refused: chance would find it.
    pub fn add(&mut self, kind: Kind, needle: &[u8]) -> bool {
        let Some(prefix) = needle.first_chunk::<PREFIX>() else { return false };
        let list = self.by_prefix.entry(*prefix).or_default();
        if !list.iter().any(|(_, n)| n == needle) {
            list.push((kind, needle.to_vec()));
        }
        true
    }

    /// Adds windows of a coded frame. Windows with few different bytes (start codes, zero runs)
    /// are left out: they could be met by chance.
    pub fn add_frame(&mut self, coded: &[u8]) {
        for window in coded.windows(WINDOW).step_by(STRIDE) {
            let Some(window) = window.first_chunk::<WINDOW>() else { continue };
            let mut seen = [false; 256];
            for byte in window {
                seen[usize::from(*byte)] = true;
            }
            if seen.iter().filter(|s| **s).count() < WINDOW / 2 {
                continue;
            }
            if self.add(Kind::Frame, window) {
                self.windows.push_back(*window);
            }
        }
        while self.windows.len() > MAX_WINDOWS {
            if let Some(old) = self.windows.pop_front() {
                self.forget(&old);
            }
        }
    }

    /// Forgets all windows of frames; names and keys stay.
    pub fn forget_frames(&mut self) {
        for window in std::mem::take(&mut self.windows) {
            self.forget(&window);
        }
    }

    fn forget(&mut self, window: &[u8; WINDOW]) {
        let Some(prefix) = window.first_chunk::<PREFIX>() else { return };
        if let Some(list) = self.by_prefix.get_mut(prefix) {
            list.retain(|(_, n)| n != window);
            if list.is_empty() {
                self.by_prefix.remove(prefix);
            }
        }
    }

    /// Looks for every needle at every offset of `hay` and adds what it finds to `hits`.
    pub fn search(&self, hay: &[u8], hits: &mut Hits) {
        for at in 0..hay.len().saturating_sub(PREFIX - 1) {
            let rest = &hay[at..];
            let Some(prefix) = rest.first_chunk::<PREFIX>() else { break };
            let Some(list) = self.by_prefix.get(prefix) else { continue };
            for (kind, needle) in list {
                if rest.starts_with(needle) {
                    *hits.entry(*kind).or_default() += 1;
                }
            }
        }
    }

    /// How many needles there are now.
    pub fn len(&self) -> usize {
        self.by_prefix.values().map(Vec::len).sum()
    }

    /// Nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }
}

impl Drop for Needles {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        for (_, needle) in self.by_prefix.values_mut().flatten() {
            needle.zeroize();
        }
    }
}

/// Shannon entropy of byte values, in bits per byte: 8 for noise *and* for well-compressed data,
/// which is why it is shown beside its value before sealing and called no proof.
#[derive(Clone, Debug)]
pub struct Entropy {
    counts: [u64; 256],
    total: u64,
}

impl Default for Entropy {
    fn default() -> Self {
        Self { counts: [0; 256], total: 0 }
    }
}

impl Entropy {
    /// Counts more bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.counts[usize::from(*byte)] += 1;
        }
        self.total += bytes.len() as u64;
        // Older bytes count less, so that the figure follows the call.
        if self.total > 4 << 20 {
            self.total = 0;
            for count in &mut self.counts {
                *count /= 2;
                self.total += *count;
            }
        }
    }

    /// Bits per byte, 0…8; `None` before a thousand bytes.
    pub fn bits_per_byte(&self) -> Option<f64> {
        if self.total < 1000 {
            return None;
        }
        let total = self.total as f64;
        let bits = self
            .counts
            .iter()
            .filter(|c| **c > 0)
            .map(|c| {
                let p = *c as f64 / total;
                -p * p.log2()
            })
            .sum();
        Some(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut x = seed;
        (0..len)
            .map(|_| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                (x >> 24) as u8
            })
            .collect()
    }

    #[test]
    fn planted_needles_are_found_at_any_offset() {
        let mut needles = Needles::default();
        let frame = noise(7, 4000);
        needles.add_frame(&frame);
        assert!(needles.add(Kind::Name, b"Ada Byron"));
        for offset in [0, 1, 5, 999] {
            let mut hay = noise(99, offset);
            hay.extend_from_slice(b"Ada Byron");
            hay.extend_from_slice(&frame);
            let mut hits = Hits::new();
            needles.search(&hay, &mut hits);
            assert_eq!(hits.get(&Kind::Name), Some(&1));
            assert!(hits.get(&Kind::Frame).is_some_and(|n| *n > 50));
        }
    }

    #[test]
    fn noise_gives_no_hit() {
        let mut needles = Needles::default();
        needles.add_frame(&noise(7, 40_000));
        let mut hits = Hits::new();
        needles.search(&noise(8, 200_000), &mut hits);
        assert!(hits.is_empty());
    }

    #[test]
    fn what_chance_could_find_is_not_searched_for() {
        let mut needles = Needles::default();
        assert!(!needles.add(Kind::Name, b"Ada"));
        needles.add_frame(&[0; 4000]);
        assert!(needles.is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let mut needles = Needles::default();
        for seed in 1..60 {
            needles.add_frame(&noise(seed, 200_000));
        }
        assert!(needles.len() <= MAX_WINDOWS);
    }

    #[test]
    fn entropy_tells_text_from_noise() {
        let mut text = Entropy::default();
        text.add(&b"the quick brown fox jumps over the lazy dog ".repeat(50));
        let mut random = Entropy::default();
        random.add(&noise(3, 100_000));
        assert!(text.bits_per_byte().is_some_and(|b| b < 4.6));
        assert!(random.bits_per_byte().is_some_and(|b| b > 7.99));
    }
}
