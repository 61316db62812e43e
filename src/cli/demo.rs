//! `facetty demo`.

use super::{args::DemoArgs, has_terminal};
use crate::app::exit::{Exit, Failure};
use crate::app::options::{Base, DemoOptions, Front};
use std::time::Duration;

pub(super) fn run(args: DemoArgs, base: Base) -> Result<Exit, Failure> {
    let front = if args.plain || !has_terminal() { Front::Plain } else { Front::Screen };
    let seconds = match front {
        Front::Screen => args.seconds,
        Front::Plain | Front::Json => Some(args.seconds.unwrap_or(Duration::from_secs(10))),
    };
    crate::app::run::demo(DemoOptions {
        base,
        front,
        seconds,
        tap: args.tap,
        tap_quic: args.tap_quic,
        export_keys: args.export_keys,
        attack: args.attack,
        shot: args.shot,
        graphics: args.graphics.unwrap_or_default(),
    })
}
