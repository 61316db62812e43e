//! When received sound and pictures are due: jitter buffers, clock mapping, lip sync.

mod jitter;
mod line;
mod sync;

pub use jitter::{AudioJitter, JitterStats, Pace, Pull};
pub use line::MinLine;
pub use sync::{AvSync, Due};
