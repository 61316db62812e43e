//! Words people read to each other to be sure who has the keys.
//!
//! **Call words**: eight words (88 bits) over everybody in the call; they change when somebody
//! joins or leaves. **Safety words**: twelve words (132 bits) over two identities, the same in
//! every call, for comparing outside of one. Both go through Argon2id (RFC 9106, version 0x13,
//! 64 MiB), so that trying out keys until the words fit is out of reach: 2^88 times a hash that
//! takes tens of milliseconds. Never call these on the transport's thread.

use crate::keys::IdentityPublic;
use argon2::{Algorithm, Argon2, Params, Version};
use std::fmt;
use std::sync::LazyLock;

/// The 2048 words: short, distinct in their first four letters, read line by line.
static WORDS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("../../assets/words.txt").lines().collect());

const BITS: usize = 11;
const MEMORY_KIB: u32 = 64 * 1024;

/// What call words are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordsInput {
    /// Identities of everybody in the call, in any order.
    pub identities: Vec<IdentityPublic>,
    /// The call's group.
    pub group_id: [u8; 16],
    /// Epoch authenticator (RFC 9420 §8.7) of the last epoch in which somebody joined or left.
    pub authenticator: [u8; 32],
}

/// Eight words, the same for everybody in one call. Displayed as two groups of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallWords {
    /// In reading order.
    pub words: [&'static str; 8],
}

/// Twelve words, the same for two people in every call. Displayed as three groups of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafetyWords {
    /// In reading order.
    pub words: [&'static str; 12],
}

/// The words of a call. Takes 64 MiB and tens of milliseconds.
pub fn call_words(input: &WordsInput) -> CallWords {
    let mut identities = input.identities.clone();
    identities.sort_unstable();
    let mut bytes = Vec::with_capacity(52 + 32 * identities.len());
    bytes.extend_from_slice(&(identities.len() as u32).to_be_bytes());
    for identity in &identities {
        bytes.extend_from_slice(&identity.0);
    }
    bytes.extend_from_slice(&input.group_id);
    bytes.extend_from_slice(&input.authenticator);
    CallWords { words: pick(&slow_hash::<11>(&bytes, b"facetty words 1", 1)) }
}

/// The words of two people, in either order. Takes 64 MiB and three times as long.
pub fn safety_words(a: &IdentityPublic, b: &IdentityPublic) -> SafetyWords {
    let mut bytes = [0; 64];
    let (low, high) = (a.min(b), a.max(b));
    bytes.iter_mut().zip(low.0.iter().chain(&high.0)).for_each(|(to, from)| *to = *from);
    SafetyWords { words: pick(&slow_hash::<17>(&bytes, b"facetty safety 1", 3)) }
}

fn slow_hash<const N: usize>(input: &[u8], salt: &[u8], passes: u32) -> [u8; N] {
    let mut out = [0; N];
    let hashed = Params::new(MEMORY_KIB, passes, 1, Some(N))
        .map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
        .and_then(|argon2| argon2.hash_password_into(input, salt, &mut out));
    // Cost, salt and output length are constants inside the function's limits and the input is a
    // few hundred bytes: an error can only be a bug here, and words without a hash must not exist.
    #[expect(clippy::expect_used, reason = "constant parameters; a wrong result would be worse")]
    hashed.expect("Argon2id takes these parameters");
    out
}

/// Cuts `W` times 11 bits off the front, most significant first.
fn pick<const W: usize>(hash: &[u8]) -> [&'static str; W] {
    std::array::from_fn(|i| {
        let index = (0..BITS).fold(0usize, |index, bit| {
            let at = i * BITS + bit;
            let byte = hash.get(at / 8).copied().unwrap_or(0);
            index << 1 | usize::from(byte >> (7 - at % 8) & 1)
        });
        WORDS.get(index).copied().unwrap_or("")
    })
}

impl fmt::Display for CallWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        in_fours(&self.words, f)
    }
}

impl fmt::Display for SafetyWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        in_fours(&self.words, f)
    }
}

fn in_fours(words: &[&str], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, word) in words.iter().enumerate() {
        let gap = match i {
            0 => "",
            _ if i % 4 == 0 => " · ",
            _ => " ",
        };
        write!(f, "{gap}{word}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const A: IdentityPublic = IdentityPublic([1; 32]);
    const B: IdentityPublic = IdentityPublic([2; 32]);

    #[test]
    fn the_list_has_2048_words_that_differ_in_four_letters() {
        assert_eq!(WORDS.len(), 2048);
        assert!(WORDS.is_sorted());
        let starts: BTreeSet<&str> = WORDS.iter().map(|w| &w[..w.len().min(4)]).collect();
        assert_eq!(starts.len(), 2048);
        for word in WORDS.iter() {
            assert!((3..=8).contains(&word.len()), "{word}");
            assert!(word.bytes().all(|b| b.is_ascii_lowercase()), "{word}");
        }
    }

    #[test]
    fn eleven_bits_choose_a_word_most_significant_first() {
        let last = pick::<1>(&[0xff, 0xe0]);
        assert_eq!(last, [WORDS[2047]]);
        let words = pick::<2>(&[0b0000_0000, 0b0010_0000, 0b0000_1000]);
        assert_eq!(words, [WORDS[1], WORDS[2]]);
    }

    #[test]
    fn call_words_depend_on_every_input_but_not_on_the_order() {
        let input = |identities: &[IdentityPublic], group: u8, authenticator: u8| WordsInput {
            identities: identities.to_vec(),
            group_id: [group; 16],
            authenticator: [authenticator; 32],
        };
        let words = call_words(&input(&[A, B], 3, 4));
        assert_eq!(call_words(&input(&[B, A], 3, 4)), words);
        for other in [input(&[A], 3, 4), input(&[A, B], 5, 4), input(&[A, B], 3, 5)] {
            assert_ne!(call_words(&other), words);
        }
        // Computed with Python's `cryptography` package.
        assert_eq!(words.to_string(), "patio lucky duet super · stream whimsy white logo");
    }

    #[test]
    fn safety_words_are_the_same_for_both() {
        let words = safety_words(&A, &B);
        assert_eq!(safety_words(&B, &A), words);
        assert_ne!(safety_words(&A, &A), words);
        assert_eq!(
            words.to_string(),
            "volcano fox fanfare hundred · larch gorilla veneer kite · reindeer corridor robust titan"
        );
    }
}
