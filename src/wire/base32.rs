//! Base32 (RFC 4648 §6) in lower case without padding: what people copy, read aloud and scan.

/// The alphabet: no 0, 1, 8, 9, which are taken for letters.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Why a text isn't base32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Base32Error {
    /// A character outside the alphabet.
    #[error("‘{found}’ at place {place} can't be right")]
    Character {
        /// Which character it is, counted from 1.
        place: usize,
        /// The character.
        found: char,
    },
    /// No number of whole bytes gives this many characters, or the last one has stray bits.
    #[error("a character is missing at the end, or one too many")]
    Length,
}

/// Encodes; `⌈8n/5⌉` characters.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut bits, mut count) = (0u32, 0u32);
    for &b in bytes {
        bits = bits << 8 | u32::from(b);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(letter(bits >> count));
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        text.push(letter(bits << (5 - count)));
    }
    text
}

fn letter(bits: u32) -> char {
    ALPHABET.get((bits & 31) as usize).map_or('a', |&b| char::from(b))
}

/// Decodes either case. One byte string has exactly one text per case.
pub fn decode(text: &str) -> Result<Vec<u8>, Base32Error> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut bits, mut count) = (0u32, 0u32);
    for (i, c) in text.chars().enumerate() {
        let five = match c {
            'a'..='z' => c as u32 - 'a' as u32,
            'A'..='Z' => c as u32 - 'A' as u32,
            '2'..='7' => c as u32 - '2' as u32 + 26,
            found => return Err(Base32Error::Character { place: i + 1, found }),
        };
        bits = bits << 5 | five;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    if count >= 5 || bits != 0 {
        return Err(Base32Error::Length);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 4648 §10, lower case, padding removed.
    #[test]
    fn the_published_examples_are_reproduced() {
        for (plain, text) in [
            ("", ""),
            ("f", "my"),
            ("fo", "mzxq"),
            ("foo", "mzxw6"),
            ("foob", "mzxw6yq"),
            ("fooba", "mzxw6ytb"),
            ("foobar", "mzxw6ytboi"),
        ] {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text), Ok(plain.as_bytes().to_vec()));
            assert_eq!(decode(&text.to_uppercase()), Ok(plain.as_bytes().to_vec()));
        }
    }

    #[test]
    fn digits_outside_the_alphabet_are_named_with_their_place() {
        assert_eq!(decode("my0a"), Err(Base32Error::Character { place: 3, found: '0' }));
    }

    proptest! {
        #![proptest_config(crate::wire::seeded())]

        #[test]
        fn every_accepted_text_is_the_one_encoding_of_its_bytes(text in "[a-z2-7]{0,40}") {
            if let Ok(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }

        #[test]
        fn bytes_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(decode(&encode(&bytes)), Ok(bytes));
        }
    }
}
