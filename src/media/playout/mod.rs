//! When received sound and pictures are due: jitter buffers, clock mapping, lip sync.

mod history;
mod jitter;
mod line;
mod repairs;
mod spread;
mod sync;

pub use jitter::{AudioJitter, Extras, Haste, JitterStats, Pace, Pull, Repair};
pub use line::MinLine;
pub use sync::{AvSync, Due};
