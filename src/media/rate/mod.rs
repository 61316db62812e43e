//! How much to send: delay-based estimate, budget, tile ladder.

pub mod estimator;
pub mod ladder;
pub mod line;
pub mod path;
pub mod redundancy;
pub mod split;
mod window;
