//! A mesh of many calls in one thread, message by message: real [`Call`](crate::call::Call)s with
//! real groups, without QUIC, over a virtual network with a virtual clock.
//!
//! What it is for: the order of a group's changes has to hold when messages are slow, lost, cut
//! off one way or both, when people crash, sleep and come back, and when some of them cheat. A
//! [`Plan`] made from a seed says who does what when; the [`Network`] lets it happen; the
//! [`Watch`]'s rules look at every step; at the end everybody who can talk has to agree.
//!
//! ```text
//!  seed ─ Plan ─ acts ─► Network: runs of Call, connections, paths ─ Seen ─► Watch: rules
//!                            └──────────── Trace (hash, lines) ◄──────┘        └─► Played
//! ```
//!
//! Equal seeds give equal traces: keys are fresh each time, but nothing here depends on them.

mod carry;
mod cheat;
mod network;
mod pair;
mod path;
mod plan;
mod play;
mod report;
mod run;
mod seen;
mod trace;
mod watch;

pub use network::{Given, Network, address};
pub use pair::{DIAL, IDLE};
pub use path::{MOST_DELAY, MOST_LOSS, Path, Paths, Person};
pub use plan::{Act, Kinds, Plan, Setup};
pub use play::{Played, play};
pub use report::Summary;
pub use run::EPOCH;
pub use seen::{Branch, Epoch, Granted, Opened, Run, Sealed, Seen, Vice, Violation, What};
pub use trace::Trace;
pub use watch::*;
