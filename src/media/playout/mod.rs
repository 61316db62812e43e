//! When received sound and pictures are due: jitter buffers, clock mapping, lip sync.

mod jitter;
mod line;
mod spread;
mod sync;

pub use jitter::{AudioJitter, Haste, JitterStats, Pace, Pull};
pub use line::MinLine;
pub use sync::{AvSync, Due};
