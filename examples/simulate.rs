//! Many calls of many people, message by message, over networks that lose, delay and cut – and
//! what did not hold in them:
//!
//! ```text
//! cargo run --release --example simulate -- --seeds 1000
//! cargo run --release --example simulate -- --seeds 1 --from 17 --trace
//! ```
//!
//! Options: `--seeds N` (20), `--from N` (0), `--members N` (2–8, by the seed), `--kinds a,b` (what
//! may happen; an unknown name lists them), `--json`, `--trace` (what happened last, of each seed
//! that failed).

#![expect(clippy::disallowed_macros, reason = "a program that reports on stdout")]

use facetty::sim::mesh::{Kinds, Setup, Summary, play};
use std::process::ExitCode;

struct Options {
    seeds: u64,
    from: u64,
    setup: Setup,
    json: bool,
    trace: bool,
}

fn options() -> Result<Options, String> {
    let setup = Setup::new(0);
    let mut options = Options { seeds: 20, from: 0, setup, json: false, trace: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|e| format!("{text:?}: {e}"));
        match word.as_str() {
            "--seeds" => options.seeds = number(value()?)?,
            "--from" => options.from = number(value()?)?,
            "--members" => {
                let members = usize::try_from(number(value()?)?).unwrap_or(usize::MAX);
                if !(2..=16).contains(&members) {
                    return Err("--members is 2 to 16".into());
                }
                options.setup.members = Some(members);
            }
            "--kinds" => options.setup.kinds = Kinds::parse(&value()?)?,
            "--no-fence" => options.setup.strictness.fence = false,
            "--json" => options.json = true,
            "--trace" => options.trace = true,
            other => return Err(format!("no option {other:?}")),
        }
    }
    options.setup.keep = options.trace;
    Ok(options)
}

#[expect(clippy::disallowed_methods, reason = "how long it took on this machine")]
fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("simulate: {why}");
            return ExitCode::from(2);
        }
    };
    let began = std::time::Instant::now();
    let mut summary = Summary::default();
    for seed in options.from..options.from + options.seeds {
        let played = play(&Setup { seed, ..options.setup });
        if !options.json {
            for violation in &played.violations {
                println!("seed {seed} ({} people): {violation}", played.members);
            }
        }
        if options.trace && !played.violations.is_empty() {
            played.lines.iter().for_each(|line| println!("  {line}"));
        }
        summary.add(&played);
    }
    let wall = began.elapsed();
    if options.json {
        println!("{}", summary.json(wall));
    } else {
        println!("{}\nwall {:.1} s", summary.text(), wall.as_secs_f64());
    }
    if summary.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
