//! The runs: what the subcommands start.

use crate::app::exit::{Exit, Failure};
use crate::app::options::{CallOptions, DemoOptions, JoinOptions, LoopbackOptions};

/// Opens a call and waits for others.
pub fn call(_options: CallOptions) -> Result<Exit, Failure> {
    Err(not_built("call"))
}

/// Joins a call.
pub fn join(_options: JoinOptions) -> Result<Exit, Failure> {
    Err(not_built("join"))
}

/// Ada and Ben call each other through Eve.
pub fn demo(_options: DemoOptions) -> Result<Exit, Failure> {
    Err(not_built("demo"))
}

/// Plays a scenario.
pub fn loopback(_options: LoopbackOptions) -> Result<Exit, Failure> {
    Err(not_built("loopback"))
}

fn not_built(what: &str) -> Failure {
    Failure::new(Exit::Bug, format_args!("{what} is not built yet"))
}
