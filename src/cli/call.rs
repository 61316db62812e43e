//! `facetty call`.

use super::{args::CallArgs, party};
use crate::app::exit::{Exit, Failure};
use crate::app::options::{Base, CallOptions};

pub(super) fn run(args: CallArgs, base: Base) -> Result<Exit, Failure> {
    crate::app::run::call(CallOptions { party: party::validate(args.party, base)? })
}
