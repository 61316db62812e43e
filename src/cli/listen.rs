//! `facetty listen`.

use super::args::PartyArgs;
use super::party;
use crate::app::exit::{Exit, Failure};
use crate::app::options::{Base, ListenOptions};
use clap::Args;

/// Wait for calls of your contacts; nobody else is answered
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  facetty listen              a contact types: facetty call YOU; you hear a ring
  facetty listen --once       end after the first call
  facetty listen --json --admit --video pattern --audio voice
                              without a terminal, for scripts

Contacts are those you have met in a call (facetty contacts). They find you at the port this machine
has chosen once; camera and microphone stay off until somebody is there.")]
pub(super) struct ListenArgs {
    /// End after the first call
    #[arg(long)]
    pub once: bool,

    #[command(flatten)]
    pub party: PartyArgs,
}

pub(super) fn run(args: ListenArgs, base: Base) -> Result<Exit, Failure> {
    let party = party::validate(args.party, base)?;
    crate::app::run::listen(ListenOptions { party, once: args.once })
}
