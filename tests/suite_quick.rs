//! Every scenario that comes with the program is played on every change, and what falls short of its
//! expectation is known by its reason.

use serde_json::Value;
use std::process::Command;

/// Expectations under `[[short]]` in all scenarios together. It can only shrink: whoever mends one
/// moves it to `[expect]` and lowers this.
const SHORT: usize = 12;

/// All scenarios of the folder: name and content.
fn scenarios() -> Vec<(String, toml::Table)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/scenarios");
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a scenario");
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, text.parse().expect("TOML"))
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn short(scenario: &toml::Table) -> &[toml::Value] {
    scenario.get("short").and_then(toml::Value::as_array).map_or(&[], Vec::as_slice)
}

#[test]
fn no_expectation_is_short_without_a_reason() {
    for (name, scenario) in scenarios() {
        for one in short(&scenario) {
            let expect = one["expect"].as_str().expect("an expectation");
            let why = one["why"].as_str().expect("a reason");
            assert!(why.split_whitespace().count() >= 5, "{name}: {expect}: {why:?} is no reason");
        }
    }
}

#[test]
fn what_is_short_can_only_become_less() {
    let counts: Vec<_> = scenarios()
        .iter()
        .filter(|(_, scenario)| !short(scenario).is_empty())
        .map(|(name, scenario)| (name.clone(), short(scenario).len()))
        .collect();
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    assert!(all <= SHORT, "{all}: {counts:?}");
}

#[test]
fn every_scenario_played_for_a_while_keeps_what_it_always_has_to() {
    let output = Command::new(env!("CARGO_BIN_EXE_facetty"))
        .args(["loopback", "--suite", "--quick", "--json"])
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let reports: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let failed: Vec<_> = reports
        .iter()
        .filter(|report| report["ok"] != true)
        .map(|report| (&report["scenario"], &report["failures"]))
        .collect();
    assert!(failed.is_empty() && output.status.success(), "{failed:#?}");
    let mut played: Vec<_> =
        reports.iter().map(|report| report["scenario"].as_str().expect("a name")).collect();
    played.sort_unstable();
    // Those that are long are played elsewhere (`tests/soak.rs`), or when asked for.
    let all = scenarios();
    let expected: Vec<_> = all
        .iter()
        .filter(|(_, scenario)| !scenario.contains_key("soak"))
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(played, expected);
}
