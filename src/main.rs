//! facetty's entry: see `facetty --help`.

fn main() -> std::process::ExitCode {
    facetty::cli::run()
}
