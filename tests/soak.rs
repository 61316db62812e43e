//! A long call: nothing adds up. Once with its events five times as dense, once as the scenario is,
//! twenty minutes. Longer: `facetty loopback soak --seconds 8h`.

mod counted;
mod played;

use facetty::sim::loopback::{Options, play};
use facetty::sim::report::SoakReport;
use played::scenario;
use std::sync::{Mutex, PoisonError};

const SOAK: &str = include_str!("../examples/scenarios/soak.toml");
/// As many changes in a fifth of the time.
const DENSER: f64 = 5.0;
/// Memory that may be in use at the end and wasn't after the quarter it is compared with, in kB: tables
/// that happen to be larger, and what the simulated network knows of more addresses.
const SLACK_KB: u64 = 192;
/// Memory is counted for the whole process: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn soak(denser: f64) -> (SoakReport, Vec<String>) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let memory = || u64::try_from(counted::live()).unwrap_or(0);
    let mut scenario = scenario(SOAK);
    scenario.seconds /= denser;
    scenario.repeat = scenario.repeat.map(|every| every / denser);
    scenario.timeline.iter_mut().for_each(|moment| moment.s /= denser);
    let options = Options { memory: Some(memory), ..Options::default() };
    let report = play(&scenario, options).expect("played");
    (report.soak.expect("a long call"), report.failures)
}

/// Nothing is more than after the quarter `before`, and all of it was a call.
#[expect(clippy::disallowed_macros, reason = "the figures, with --no-capture")]
fn check((soak, failures): &(SoakReport, Vec<String>), before: usize) {
    println!("{soak:#?}");
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(soak.quarters.len(), 4);
    let kb = |quarter: usize| soak.quarters[quarter].cpu_memory_kb;
    assert!(kb(3) <= kb(before) + SLACK_KB, "{} kB, then {} kB", kb(before), kb(3));
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

#[test]
fn what_happens_again_and_again_leaves_no_memory_no_task_no_connection_and_no_delay_behind() {
    check(&soak(DENSER), 0);
}

#[test]
fn twenty_minutes_leave_no_memory_no_task_no_connection_and_no_delay_behind() {
    check(&soak(1.0), 0);
}
