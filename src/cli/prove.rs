//! `facetty prove`.

use super::args::ProveArgs;
use crate::app::exit::{Exit, Failure};
use crate::app::prove::ProveOptions;

pub(super) fn run(args: ProveArgs) -> Result<Exit, Failure> {
    crate::app::prove::run(&ProveOptions { claims: args.claims, full: args.full, json: args.json })
}
