//! `facetty loopback`.

use super::args::LoopbackArgs;
use crate::app::exit::{Exit, Failure};
use crate::app::options::{Base, LoopbackOptions, Scenario, SuiteOptions};

pub(super) fn run(args: LoopbackArgs, base: Base) -> Result<Exit, Failure> {
    if args.suite {
        let LoopbackArgs { quick, seed, real_time, json, .. } = args;
        return crate::app::run::suite(SuiteOptions { quick, seed, real_time, json });
    }
    crate::app::run::loopback(LoopbackOptions {
        base,
        scenario: scenario(args.scenario),
        seed: args.seed,
        seconds: args.seconds.map(|length| length.as_secs_f64()),
        real_time: args.real_time,
        json: args.json,
        tap: args.tap,
    })
}

/// A path if it looks like one, else a name.
fn scenario(text: String) -> Scenario {
    if text.contains('/') || text.ends_with(".toml") {
        Scenario::File(text.into())
    } else {
        Scenario::Named(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_a_path_or_a_name() {
        assert_eq!(scenario("clean".into()), Scenario::Named("clean".into()));
        assert_eq!(scenario("x.toml".into()), Scenario::File("x.toml".into()));
        assert_eq!(scenario("./x".into()), Scenario::File("./x".into()));
    }
}
