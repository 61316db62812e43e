//! `facetty completions`.

use super::args::{CompletionsArgs, Shell, command};
use crate::app::exit::{Exit, Failure};
use crate::app::out::Out;

pub(super) fn run(args: CompletionsArgs) -> Result<Exit, Failure> {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "facetty", &mut script);
    let mut out = Out::default();
    out.raw(String::from_utf8_lossy(&script));
    out.end(Exit::Ended)
}
