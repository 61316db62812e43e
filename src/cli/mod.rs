//! Command line: one file per subcommand.

/// Parses the command line, runs the subcommand, maps its end to the exit code.
pub fn run() -> std::process::ExitCode {
    std::process::ExitCode::from(2)
}
