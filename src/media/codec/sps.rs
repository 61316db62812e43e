//! A look into a received access unit before the C decoder sees it: only the NAL unit types we
//! send ourselves pass, and only picture formats and sizes we would send. A peer can therefore not
//! make the decoder allocate without bound, or lead it into features nobody here uses.

use super::{CodecError, MAX_SIZE};
use crate::media::frame::Size;

/// Longest access unit that is looked at.
const MAX_LEN: usize = 512 * 1024;
/// Most NAL units in one access unit.
const MAX_UNITS: usize = 64;

/// What an access unit holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// Size from the sequence parameter set, if there is one.
    pub size: Option<Size>,
    /// Has a picture parameter set.
    pub pps: bool,
    /// Has IDR slices.
    pub idr: bool,
    /// Has slices of a picture that builds on another.
    pub delta: bool,
}

/// Checks an access unit (Annex B): unit types 1 (slice), 5 (IDR slice), 6 (SEI), 7 (SPS), 8 (PPS)
/// and 9 (delimiter) only.
pub(super) fn inspect(bytes: &[u8]) -> Result<Contents, CodecError> {
    if bytes.len() > MAX_LEN {
        return Err(CodecError::Garbage("too long"));
    }
    let mut contents = Contents::default();
    for (index, unit) in units(bytes).enumerate() {
        if index >= MAX_UNITS {
            return Err(CodecError::Garbage("too many units"));
        }
        let (&header, rest) = unit.split_first().ok_or(CodecError::Garbage("empty unit"))?;
        match header {
            h if h & 0x80 != 0 => return Err(CodecError::Garbage("forbidden bit set")),
            h => match h & 0x1f {
                1 => contents.delta = true,
                5 => contents.idr = true,
                6 | 9 => {}
                7 => contents.size = Some(size_of(rest)?),
                8 => contents.pps = true,
                _ => return Err(CodecError::Garbage("unknown unit type")),
            },
        }
    }
    if contents.idr == contents.delta {
        return Err(CodecError::Garbage("not exactly one picture"));
    }
    Ok(contents)
}

/// NAL units without their start codes. Bytes before the first start code are no unit.
fn units(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(bytes);
    std::iter::from_fn(move || {
        let unit = rest?;
        let end = unit.windows(3).position(|w| w == [0, 0, 1]).unwrap_or(unit.len());
        let (this, next) = unit.split_at_checked(end)?;
        rest = after_start_code(next);
        // A zero before the next start code belongs to that code.
        Some(this.strip_suffix(&[0]).filter(|_| rest.is_some()).unwrap_or(this))
    })
}

fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes.windows(3).position(|w| w == [0, 0, 1])?;
    bytes.get(at + 3..)
}

/// Picture size from a sequence parameter set (ITU-T H.264 §7.3.2.1.1) of the kind we send: 8-bit
/// 4:2:0, progressive, few reference pictures.
fn size_of(sps: &[u8]) -> Result<Size, CodecError> {
    const CUT: CodecError = CodecError::Garbage("parameter set is cut short");
    const FORMAT: CodecError = CodecError::Garbage("unsupported picture format");
    let mut bits = Bits::new(sps);
    let profile = bits.take(8).ok_or(CUT)?;
    bits.take(16).ok_or(CUT)?; // constraint flags, level
    bits.ue().ok_or(CUT)?; // id
    match profile {
        66 | 77 => {}
        100 => {
            let chroma = bits.ue().ok_or(CUT)?;
            let depth = bits.ue().ok_or(CUT)? + bits.ue().ok_or(CUT)?;
            // transform bypass, scaling matrix
            if chroma != 1 || depth != 0 || bits.take(2).ok_or(CUT)? != 0 {
                return Err(FORMAT);
            }
        }
        _ => return Err(FORMAT),
    }
    bits.ue().ok_or(CUT)?; // log2_max_frame_num - 4
    match bits.ue().ok_or(CUT)? {
        0 => drop(bits.ue().ok_or(CUT)?),
        2 => {}
        _ => return Err(FORMAT),
    }
    let references = bits.ue().ok_or(CUT)?;
    bits.take(1).ok_or(CUT)?; // gaps allowed
    let columns = bits.ue().ok_or(CUT)?.saturating_add(1);
    let rows = bits.ue().ok_or(CUT)?.saturating_add(1);
    let progressive = bits.take(1).ok_or(CUT)? == 1;
    bits.take(1).ok_or(CUT)?; // direct 8x8 inference
    let (mut right, mut bottom) = (0, 0);
    if bits.take(1).ok_or(CUT)? == 1 {
        let left = bits.ue().ok_or(CUT)?;
        right = bits.ue().ok_or(CUT)?;
        let top = bits.ue().ok_or(CUT)?;
        bottom = bits.ue().ok_or(CUT)?;
        if left != 0 || top != 0 || right > 7 || bottom > 7 {
            return Err(FORMAT);
        }
    }
    let (most_columns, most_rows) =
        (u32::from(MAX_SIZE.width) / 16, u32::from(MAX_SIZE.height) / 16);
    if !progressive || references > 4 || columns > most_columns || rows > most_rows {
        return Err(FORMAT);
    }
    let side = |blocks: u32, cut: u32| u16::try_from((blocks * 16).saturating_sub(2 * cut)).ok();
    match (side(columns, right), side(rows, bottom)) {
        (Some(width), Some(height)) => Ok(Size::new(width, height)),
        _ => Err(FORMAT),
    }
}

/// Reads bits, most significant first, undoing emulation prevention (00 00 03 → 00 00).
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    zeros: u8,
    current: u8,
    left: u8,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, zeros: 0, current: 0, left: 0 }
    }

    fn byte(&mut self) -> Option<u8> {
        let mut next = *self.bytes.get(self.at)?;
        self.at += 1;
        if self.zeros >= 2 && next == 3 {
            self.zeros = 0;
            next = *self.bytes.get(self.at)?;
            self.at += 1;
        }
        self.zeros = if next == 0 { self.zeros.saturating_add(1) } else { 0 };
        Some(next)
    }

    fn bit(&mut self) -> Option<u32> {
        if self.left == 0 {
            self.current = self.byte()?;
            self.left = 8;
        }
        self.left -= 1;
        Some(u32::from(self.current >> self.left & 1))
    }

    fn take(&mut self, count: u8) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | self.bit()?;
        }
        Some(value)
    }

    /// Exp-Golomb code, unsigned, up to 16 bits long.
    fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 16 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.take(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_refused_not_followed() {
        let mut seed = 1u32;
        for round in 0..2000usize {
            let bytes: Vec<u8> = (0..round % 70)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect();
            let mut unit = vec![0, 0, 0, 1, 0x67, 66, 0, 30];
            unit.extend(&bytes);
            // Either a size within bounds or an error; never a panic.
            if let Ok(Contents { size: Some(size), .. }) = inspect(&unit) {
                assert!(size.width <= MAX_SIZE.width && size.height <= MAX_SIZE.height);
            }
            assert!(inspect(&bytes).is_err());
        }
    }

    /// A baseline parameter set for so many blocks across and down.
    fn parameter_set(columns: u32, rows: u32) -> Vec<u8> {
        let ue = |value: u32| {
            let bits = format!("{:b}", value + 1);
            "0".repeat(bits.len() - 1) + &bits
        };
        // Profile 66, level 3; id 0, frame number bits, order count type 2, 1 reference, no gaps.
        let mut bits = String::from("010000100000000000011110") + "1" + "1" + "011" + "010" + "0";
        bits += &(ue(columns - 1) + &ue(rows - 1));
        bits += "1101"; // progressive, direct inference, no cropping, stop bit
        bits.as_bytes()
            .chunks(8)
            .map(|c| c.iter().fold(0, |v, &b| v << 1 | (b - b'0')) << (8 - c.len()))
            .collect()
    }

    #[test]
    fn a_parameter_set_for_a_giant_picture_is_refused() {
        assert_eq!(size_of(&parameter_set(15, 9)), Ok(Size::new(240, 144)));
        assert_eq!(size_of(&parameter_set(120, 68)), Ok(MAX_SIZE));
        for (columns, rows) in [(121, 68), (120, 69), (4096, 9), (15, 65_000)] {
            assert!(size_of(&parameter_set(columns, rows)).is_err(), "{columns}x{rows}");
        }
    }

    #[test]
    fn units_are_split_at_short_and_long_start_codes() {
        let bytes = [9, 0, 0, 0, 1, 0x67, 5, 0, 0, 0, 1, 0x68, 0, 0, 1, 0x65, 7];
        let found: Vec<&[u8]> = units(&bytes).collect();
        assert_eq!(found, [&[0x67, 5][..], &[0x68], &[0x65, 7]]);
    }
}
