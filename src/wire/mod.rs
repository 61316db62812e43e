//! Every byte layout, encode and decode only. Anything a peer can send is parsed into a whole
//! value or refused; nothing here has state, a clock or a key.
//!
//! One value has exactly one encoding: non-minimal integers, non-zero padding and trailing bytes
//! are refused, so `encode(decode(b)) == b` for everything `decode` accepts (but for reports, which
//! nobody hashes or signs).
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod base32;
pub mod control;
pub mod handshake;
pub mod link;
pub mod media;
pub mod report;
pub mod sframe;
pub mod varint;

pub use varint::ParseError;

/// Property tests here and in the rooms above draw the same cases in every run.
#[cfg(test)]
pub(crate) fn seeded() -> proptest::test_runner::Config {
    use proptest::test_runner::{Config, RngSeed};
    Config { rng_seed: RngSeed::Fixed(0xface), failure_persistence: None, ..Config::default() }
}
