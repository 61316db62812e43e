//! The terminal: enter, leave, restore, probe, input, and the one output thread.
//!
//! - [`Terminal`] takes the screen and gives it back, whatever happens: quit, panic, signals.
//! - [`Probe`] asks once what the terminal can do, and says why it decided so.
//! - [`Events`] delivers keys, pastes, resizes and signals on one bounded channel.
//! - [`Composer`] makes one write of the chrome that ratatui drew and the video past it.
//! - [`Output`] writes it, one frame in flight, and measures how fast the terminal eats.
//!
//! Input is parsed here rather than by crossterm (whose event types are used), because answers to
//! the probe may come late, over a slow line, and must not turn into keys.

mod compose;
mod events;
mod flow;
pub mod input;
mod output;
mod probe;
mod secret;
mod session;
mod shm;

pub use compose::{Areas, Composer, screen_of};
pub use events::{Event, Events};
pub use flow::Speed;
pub use output::{Output, OutputStats, QueueFull};
pub use probe::{Environment, Probe, Replies};
pub use secret::{AskError, ask};
pub use session::{Options, TermError, Terminal, columns};
pub use shm::SharedMemory;

impl From<ratatui::layout::Rect> for crate::paint::Rect {
    fn from(r: ratatui::layout::Rect) -> Self {
        Self { x: r.x, y: r.y, cols: r.width, rows: r.height }
    }
}

impl From<crate::paint::Rect> for ratatui::layout::Rect {
    fn from(r: crate::paint::Rect) -> Self {
        Self { x: r.x, y: r.y, width: r.cols, height: r.rows }
    }
}
