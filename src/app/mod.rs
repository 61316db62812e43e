//! The program around a call: paths, log, validated options, runs, shutdown, exit codes.

mod commands;
pub mod contacts;
pub mod demo;
pub mod exit;
mod figures;
mod headless;
mod history;
pub mod identity;
mod keeper;
mod ladder;
pub mod log;
pub mod loopback;
mod mischief;
mod model;
pub mod options;
pub mod out;
mod party;
pub mod paths;
pub mod play;
pub mod prove;
pub mod run;
mod screen;
pub mod shutdown;
mod stage;
mod suite;

/// The operating system's randomness; a failure of it ends the process, as nothing may go on
/// without.
pub(crate) fn entropy() -> Box<dyn rand::CryptoRng + Send> {
    Box::new(rand::rngs::OsRng.unwrap_err())
}

use rand::TryRngCore as _;
