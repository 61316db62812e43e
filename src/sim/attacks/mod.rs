//! Eve's attacks, one for each thing the protocol promises, carried out live on the real parts.
//!
//! An attack is a function that does what Eve would do and counts what she got. Beside it stands
//! its *control*: the same code, given the one thing Eve lacks – a key, a seat, an open door – which
//! must succeed. A promise counts as held only if Eve tried and got nothing *and* the control got
//! something: an attack that can't succeed proves nothing. No verdict is written down anywhere; all
//! of them follow from the counts.

mod apart;
mod circle;
mod crowd;
mod door;
mod insiders;
mod keys;
mod line;
mod list;
pub mod live;
pub mod manners;
mod memory;
mod mesh;
mod order;
mod people;
mod records;
mod stack;
mod tls;
mod world;

pub use list::{CLAIMS, claim};

use crate::call::CallError;
use crate::time::{Now, Wall};
use rand::{CryptoRng, TryRngCore as _};
use std::time::Instant;

/// What the attacks need from outside.
pub struct Lab {
    /// Many seeds and millions of frames instead of what fits into seconds.
    pub full: bool,
    /// Seed of whatever is random about networks; never of keys.
    pub seed: u64,
}

impl Lab {
    /// A lab.
    pub fn new(full: bool, seed: u64) -> Self {
        Self { full, seed }
    }

    /// The operating system's randomness: keys are never seeded.
    pub(crate) fn rng(&self) -> Box<dyn CryptoRng + Send> {
        Box::new(rand::rngs::OsRng.unwrap_err())
    }

    /// The beginning of a virtual call.
    pub(crate) fn beginning(&self) -> Now {
        Now { mono: instant(), wall: Wall(1_800_000_000_000) }
    }
}

/// The runtime's clock.
pub(crate) fn instant() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// How often somebody tried, and how often that gave what must not be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Attempts: packets searched, frames fed, connections made.
    pub tried: u64,
    /// Of those, successes.
    pub got: u64,
}

impl Tally {
    /// Counts one attempt.
    pub fn add(&mut self, success: bool) {
        self.tried += 1;
        self.got += u64::from(success);
    }

    /// Counts many.
    pub fn many(tried: u64, got: u64) -> Self {
        Self { tried, got }
    }
}

/// What an attack came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Eve.
    pub eve: Tally,
    /// The same attack with the one thing she lacks.
    pub control: Tally,
    /// What else had to be seen, and whether it was.
    pub seen: Vec<(&'static str, bool)>,
    /// What was measured, in a line.
    pub evidence: String,
}

impl Outcome {
    /// Something else that has to be so.
    pub fn sees(&mut self, what: &'static str, so: bool) -> &mut Self {
        self.seen.push((what, so));
        self
    }

    /// Eve tried and got nothing, the control got something, and all else was seen.
    pub fn held(&self) -> bool {
        let eve = self.eve.tried > 0 && self.eve.got == 0;
        let control = self.control.tried > 0 && self.control.got > 0;
        eve && control && self.seen.iter().all(|(_, so)| *so)
    }

    /// What was wanting, if it was not held.
    pub fn wanting(&self) -> Vec<String> {
        let mut list = Vec::new();
        if self.eve.tried == 0 {
            list.push("the attack was not carried out".into());
        }
        if self.eve.got > 0 {
            list.push(format!("Eve got {} of {}", self.eve.got, self.eve.tried));
        }
        if self.control.got == 0 {
            list.push("the control failed: the attack proves nothing".into());
        }
        list.extend(self.seen.iter().filter(|(_, so)| !so).map(|(what, _)| format!("not: {what}")));
        list
    }
}

/// The lab itself failed; nothing is shown.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A participant could not be made or driven.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Something else, in words.
    #[error("{0}")]
    Setup(String),
}

/// Any failure of the lab's own tools, in words.
pub(crate) fn setup(e: impl std::fmt::Display) -> LabError {
    LabError::Setup(e.to_string())
}

/// An attack.
pub type Attack = fn(&mut Lab) -> Result<Outcome, LabError>;

/// How a claim is shown.
#[derive(Clone, Copy)]
pub enum Shown {
    /// Here and now.
    Live(Attack),
    /// Only where the program is built, by this script.
    InCi(&'static str),
}

/// Something promised.
#[derive(Clone, Copy)]
pub struct Claim {
    /// Number in the protocol's list.
    pub id: u8,
    /// What is promised.
    pub claim: &'static str,
    /// What Eve tries.
    pub attack: &'static str,
    /// What she is given for the control.
    pub control: &'static str,
    /// How it is shown.
    pub shown: Shown,
    /// Measures the whole process: nothing else may run meanwhile.
    pub alone: bool,
}

impl Claim {
    /// The test, or script, that carries it out.
    pub fn test(&self) -> String {
        match self.shown {
            Shown::Live(_) => format!("prove::claim_{:02}", self.id),
            Shown::InCi(script) => script.into(),
        }
    }
}
