//! Command line: one file per subcommand. Each turns flags into validated options, starts the run,
//! and returns how it ended; messages go to standard error, results to standard output.

mod args;
mod attest;
mod call;
mod completions;
mod contacts;
mod demo;
mod devices;
mod doctor;
mod id;
mod inventory;
mod join;
mod ledger;
mod listen;
mod loopback;
mod man;
mod party;
mod play;
mod prove;
mod selftest;
mod welcome;

use crate::app::exit::{Exit, Failure};
use crate::app::log::Log;
use crate::app::options::Base;
use crate::app::out::hanging;
use crate::app::paths::Paths;
use args::{Cli, Command};
use clap::Parser;
use std::io::Write;

pub use args::command;

/// Parses the command line, runs the subcommand, maps its end to the exit code.
pub fn run() -> std::process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version end well; a reader that has gone is none of our business.
            let _ = e.print();
            let exit = if e.use_stderr() { Exit::Usage } else { Exit::Ended };
            return exit.into();
        }
    };
    let exit = match start(cli) {
        Ok(exit) => exit,
        Err(failure) => {
            let columns = crate::term::columns(std::io::stderr());
            for (label, text) in failure.sentences() {
                // What already has lines of its own keeps them, and their margins.
                for (n, line) in text.lines().enumerate() {
                    let margin = line.len() - line.trim_start().len();
                    let head = if n == 0 { label } else { &line[..margin] };
                    let line = hanging(head, line.trim_start(), columns);
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
            }
            failure.exit
        }
    };
    exit.into()
}

fn start(cli: Cli) -> Result<Exit, Failure> {
    let log = cli.log;
    let base = || -> Result<Base, Failure> {
        let paths = Paths::find()?;
        let level = std::env::var("FACETTY_LOG").ok();
        let log = Log::start(log.as_ref().unwrap_or(&paths.log), level.as_deref())?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "facetty begins");
        Ok(Base { paths, log })
    };
    match cli.command {
        None => welcome::run(),
        Some(Command::Call(args)) => call::run(args, base()?),
        Some(Command::Join(args)) => join::run(args, base()?),
        Some(Command::Listen(args)) => listen::run(args, base()?),
        Some(Command::Demo(args)) => demo::run(args, base()?),
        Some(Command::Prove(args)) => prove::run(args),
        Some(Command::Loopback(args)) => loopback::run(args, base()?),
        Some(Command::Play(args)) => play::run(args, base()?),
        Some(Command::Id(args)) => id::run(args, &Paths::find()?),
        Some(Command::Contacts(args)) => contacts::run(args, &Paths::find()?),
        Some(Command::Ledger(args)) => ledger::run(args),
        Some(Command::Devices(args)) => devices::run(args),
        Some(Command::Doctor(args)) => doctor::run(args, &Paths::find()?),
        Some(Command::Completions(args)) => completions::run(args),
        Some(Command::Man(args)) => man::run(args),
    }
}

/// Whether somebody can see the screen. Keys come from the same terminal even if standard input is
/// a file (`facetty join - < invite.txt`).
fn has_terminal() -> bool {
    use std::io::IsTerminal;
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    std::io::stdout().is_terminal() && !dumb
}
