//! A long call, its events five times as dense as in the scenario: nothing adds up.
//! The scenario itself, twenty minutes and more: `facetty loopback soak`.

mod counted;
mod played;

use facetty::sim::loopback::{Options, play};
use facetty::sim::report::SoakReport;
use played::scenario;

const SOAK: &str = include_str!("../examples/scenarios/soak.toml");
/// As many changes in a fifth of the time: twenty minutes take two minutes and more of a core.
const DENSER: f64 = 5.0;
/// Memory that may be in use at the end and wasn't after the first quarter, in kB: tables that
/// happen to be larger, and what the simulated network knows of more addresses.
const SLACK_KB: u64 = 192;

fn soak(text: &str) -> (SoakReport, Vec<String>) {
    let memory = || u64::try_from(counted::live()).unwrap_or(0);
    let mut scenario = scenario(text);
    scenario.seconds /= DENSER;
    scenario.repeat = scenario.repeat.map(|every| every / DENSER);
    scenario.timeline.iter_mut().for_each(|moment| moment.s /= DENSER);
    let options = Options { memory: Some(memory), ..Options::default() };
    let report = play(&scenario, options).expect("played");
    (report.soak.expect("a long call"), report.failures)
}

#[test]
#[expect(clippy::disallowed_macros, reason = "the figures, with --no-capture")]
fn what_happens_again_and_again_leaves_no_memory_no_task_no_connection_and_no_delay_behind() {
    let (soak, failures) = soak(SOAK);
    println!("{soak:#?}");
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(soak.quarters.len(), 4);
    let kb = |quarter: usize| soak.quarters[quarter].cpu_memory_kb;
    assert!(kb(3) <= kb(0) + SLACK_KB, "{} kB, then {} kB", kb(0), kb(3));
    for quarter in &soak.quarters {
        // Between the two who are there all the time.
        assert_eq!(quarter.directions.len(), 2, "{quarter:?}");
        for direction in &quarter.directions {
            assert!(direction.concealed_pct < 2.0, "{direction:?}");
            assert!(direction.fps > 4.0, "{direction:?}");
        }
        assert_eq!(quarter.links, 6, "three people, everybody with everybody");
    }
}
