//! Variable-length integers (RFC 9000 §16) and the checked reader and writer all layouts use.

/// Largest value a varint holds: 2^62 − 1.
pub const MAX: u64 = (1 << 62) - 1;

/// Why bytes from a peer were refused. All of these are the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The bytes end before the value does.
    #[error("ends too early")]
    Truncated,
    /// Bytes follow after the value's end.
    #[error("bytes follow after the end")]
    Trailing,
    /// A length or count beyond what is allowed there.
    #[error("{what} is larger than {cap}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The cap it broke.
        cap: usize,
    },
    /// A value that is not allowed there, or not the shortest form of it.
    #[error("{0} has a value that isn't allowed")]
    Invalid(&'static str),
    /// A kind of message this version doesn't know.
    #[error("unknown kind {0}")]
    UnknownKind(u64),
}

/// Bytes that [`Writer::varint`] spends on `value`: 1, 2, 4 or 8.
pub const fn len(value: u64) -> usize {
    match value {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}

/// Maps signed to unsigned so that small magnitudes stay small: 0, −1, 1, −2 → 0, 1, 2, 3.
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub const fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// Reads a value from bytes of unknown origin; every step is checked.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not read yet.
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], ParseError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(ParseError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(ParseError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, ParseError> {
        self.array().map(|[b]| b)
    }

    /// One byte that is 0 or 1.
    pub fn flag(&mut self) -> Result<bool, ParseError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(ParseError::Invalid("a flag")),
        }
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self) -> Result<u16, ParseError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self) -> Result<u32, ParseError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self) -> Result<u64, ParseError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A varint. RFC 9000 lets a sender waste bytes; we don't, so that a value has one encoding.
    pub fn varint(&mut self) -> Result<u64, ParseError> {
        let first = self.u8()?;
        let more = (1usize << (first >> 6)) - 1;
        let tail = self.take(more)?;
        let value = tail.iter().fold(u64::from(first & 0x3f), |v, &b| v << 8 | u64::from(b));
        if len(value) != more + 1 {
            return Err(ParseError::Invalid("integer"));
        }
        Ok(value)
    }

    /// A varint of at most `cap`; `what` names it in the error.
    pub fn varint_max(&mut self, what: &'static str, cap: usize) -> Result<usize, ParseError> {
        match usize::try_from(self.varint()?) {
            Ok(v) if v <= cap => Ok(v),
            _ => Err(ParseError::TooLarge { what, cap }),
        }
    }

    /// A varint that fits 32 bits.
    pub fn varint_u32(&mut self, what: &'static str) -> Result<u32, ParseError> {
        u32::try_from(self.varint()?).map_err(|_| ParseError::Invalid(what))
    }

    /// Bytes behind a varint length of at most `cap`; the cap is checked before anything else.
    pub fn prefixed(&mut self, what: &'static str, cap: usize) -> Result<&'a [u8], ParseError> {
        let n = self.varint_max(what, cap)?;
        self.take(n)
    }

    /// Everything that is left, at most `cap` bytes.
    pub fn rest(&mut self, what: &'static str, cap: usize) -> Result<&'a [u8], ParseError> {
        if self.rest.len() > cap {
            return Err(ParseError::TooLarge { what, cap });
        }
        Ok(std::mem::take(&mut self.rest))
    }

    /// Accepts only the end of the bytes.
    pub const fn finish(self) -> Result<(), ParseError> {
        if self.rest.is_empty() { Ok(()) } else { Err(ParseError::Trailing) }
    }
}

/// Builds an encoding; the counterpart of [`Reader`].
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Empty, with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    /// Bytes written so far.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Nothing written yet.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// Bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// A varint in its shortest form. Values above [`MAX`] are clamped to it; nothing that is
    /// written so (lengths, counters, times since the start of a call) ever gets near.
    pub fn varint(&mut self, value: u64) -> &mut Self {
        let value = value.min(MAX);
        match len(value) {
            1 => self.raw(&(value as u8).to_be_bytes()),
            2 => self.raw(&(value as u16 | 0x4000).to_be_bytes()),
            4 => self.raw(&(value as u32 | 0x8000_0000).to_be_bytes()),
            _ => self.raw(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
        }
    }

    /// Bytes behind their varint length.
    pub fn prefixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.varint(bytes.len() as u64).raw(bytes)
    }

    /// `n` zero bytes.
    pub fn zeros(&mut self, n: usize) -> &mut Self {
        self.bytes.resize(self.bytes.len() + n, 0);
        self
    }

    /// What is written so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// The finished encoding.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn varint_bytes(v: u64) -> Vec<u8> {
        let mut w = Writer::default();
        w.varint(v);
        w.finish()
    }

    /// RFC 9000 appendix A.1.
    #[test]
    fn the_published_examples_are_reproduced() {
        for (bytes, value) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
        ] {
            assert_eq!(Reader::new(bytes).varint(), Ok(value));
            assert_eq!(varint_bytes(value), bytes);
        }
    }

    #[test]
    fn a_wasteful_integer_is_refused() {
        for bytes in [&[0x40, 0x25][..], &[0x80, 0, 0, 0x40], &[0xc0, 0, 0, 0, 0x3f, 0xff, 0, 0]] {
            assert_eq!(Reader::new(bytes).varint(), Err(ParseError::Invalid("integer")));
        }
    }

    #[test]
    fn a_length_beyond_its_cap_is_refused_before_the_bytes_are_looked_at() {
        let mut w = Writer::default();
        w.varint(MAX);
        let bytes = w.finish();
        assert_eq!(
            Reader::new(&bytes).prefixed("name", 64),
            Err(ParseError::TooLarge { what: "name", cap: 64 })
        );
    }

    proptest! {
        #![proptest_config(crate::wire::seeded())]

        #[test]
        fn varints_round_trip_in_their_stated_length(v in 0..=MAX, shift in 0u32..62) {
            let v = v >> shift;
            let bytes = varint_bytes(v);
            prop_assert_eq!(bytes.len(), len(v));
            let mut r = Reader::new(&bytes);
            prop_assert_eq!(r.varint(), Ok(v));
            prop_assert_eq!(r.finish(), Ok(()));
            for cut in 0..bytes.len() {
                prop_assert_eq!(Reader::new(&bytes[..cut]).varint(), Err(ParseError::Truncated));
            }
        }

        #[test]
        fn zigzag_round_trips(v in any::<i64>()) {
            prop_assert_eq!(unzigzag(zigzag(v)), v);
        }
    }
}
