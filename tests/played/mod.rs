//! Scenarios played in virtual time.
#![allow(dead_code, reason = "each test program uses its part")]

use facetty::sim::loopback::{Options, play};
use facetty::sim::report::Report;
use facetty::sim::scenario::Scenario;
use serde_json::Value;

pub fn scenario(text: &str) -> Scenario {
    Scenario::parse(text).expect("a scenario")
}

pub fn played(text: &str) -> Report {
    play(&scenario(text), Options::default()).expect("played")
}

/// The report without what may differ: keys that begin with `cpu`.
pub fn comparable(report: &Report) -> String {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|key, _| !key.starts_with("cpu"));
                map.values_mut().for_each(strip);
            }
            Value::Array(list) => list.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(report).expect("JSON");
    strip(&mut value);
    value.to_string()
}
