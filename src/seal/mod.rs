//! Sealed frames: SFrame (RFC 9605) under the private-use suite 0xF001
//! CHACHA20_POLY1305_SHA256_128 – key 32, nonce 12, full 16-byte tag.
//!
//! A sealed frame is `header ‖ ciphertext ‖ tag`; the header ([`crate::wire::sframe`]) is the
//! additional data. Each sender, stream and epoch has its own key, derived from the sender's base
//! key exactly as RFC 9605 §4.4.2 says, so one KID selects one key and nothing is ever tried.
//!
//! What holds by construction:
//! - Nobody seals before the roster was shown: [`Sealers`] are made from a [`Receipt`] only, and
//!   consume the base key, so a second set with the same counters can't be made by accident.
//! - No nonce repeats: a [`Sealer`] isn't `Clone`, counts up, is never stored, and stops for good
//!   at 2^48 frames.
//! - A forged frame changes nothing: the replay window moves after authentication only.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod gate;
mod opener;
#[cfg(test)]
mod oracle;
mod schedule;
mod sealer;
mod window;

pub use gate::{GateError, Receipt, Sealers};
pub use opener::{OpenError, Opener, Surrendered};
pub use schedule::{SUITE, TAG};
pub use sealer::{SealError, Sealed, Sealer};
pub use window::{REPLAY_WINDOW, Refusal, ReplayWindow};

/// Counters end here: a stream that ever gets there needs a new epoch. At 1000 frames a second
/// that takes 9000 years; the bound keeps every nonce, and every sum of counters, out of doubt.
pub const CTR_LIMIT: u64 = 1 << 48;
