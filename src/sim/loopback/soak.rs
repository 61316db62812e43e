//! What a long call holds: figures, tasks, connections and memory, quarter by quarter.

use super::participant::Cast;
use crate::sim::measure::Bench;
use crate::sim::report::{QuarterDirection, QuarterReport, SoakReport, round};
use crate::sim::scenario::Scenario;
use std::time::Duration;

/// Tells how many bytes are in use.
pub type Memory = fn() -> u64;

/// The quarters so far.
pub(super) struct Quarters {
    memory: Memory,
    ended: Vec<QuarterReport>,
}

impl Quarters {
    /// `memory`: who counts; `None`: what is resident.
    pub(super) fn new(memory: Option<Memory>) -> Self {
        Self { memory: memory.unwrap_or(resident), ended: Vec::new() }
    }

    /// When quarters end that are not the last.
    pub(super) fn ends(scenario: &Scenario) -> impl Iterator<Item = Duration> {
        let quarter = Duration::from_secs_f64(scenario.seconds / 4.0);
        (1..4).map(move |n| quarter * n).filter(|_| scenario.soak)
    }

    /// A quarter ends now: notes its figures, lets what was noted of it go, and looks at the rest.
    pub(super) fn end(&mut self, scenario: &Scenario, bench: &Bench, cast: &Cast, last: bool) {
        let length = scenario.seconds / 4.0;
        let until_s = length * (self.ended.len() + 1) as f64;
        let directions = directions(bench, until_s - length, until_s);
        if !last {
            bench.forget();
        }
        self.ended.push(QuarterReport {
            until_s: round(until_s, 1),
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
            links: cast.links(),
            cpu_memory_kb: (self.memory)() / 1024,
            directions,
        });
    }

    /// Lets what was noted of the last quarter go as well, once the report is made, and compares.
    pub(super) fn report(mut self, bench: &Bench) -> SoakReport {
        bench.forget();
        if let Some(last) = self.ended.last_mut() {
            last.cpu_memory_kb = (self.memory)() / 1024;
        }
        SoakReport::of(self.ended)
    }
}

/// Figures of a span, in seconds, between all who were in the call for all of it.
fn directions(bench: &Bench, from: f64, to: f64) -> Vec<QuarterDirection> {
    let state = bench.lock();
    let us = |s: f64| (s * 1e6) as u64;
    let mut found = Vec::new();
    for (receiver, to_whom) in state.people.iter().enumerate() {
        for (sender, from_whom) in state.people.iter().enumerate() {
            let stayed = |seats: u64| seats == 1;
            if receiver == sender || !stayed(to_whom.seats) || !stayed(from_whom.seats) {
                continue;
            }
            let Some(direction) = state.direction(receiver, sender) else { continue };
            let window = direction.window(&[], us(from), us(to), &from_whom.camera_off);
            found.push(QuarterDirection {
                to: to_whom.name.clone(),
                from: from_whom.name.clone(),
                sound_ms: direction.calm_latency(us(from), us(to)),
                concealed_pct: window.concealed_pct,
                fps: window.fps,
                freezes: window.freezes,
            });
        }
    }
    found
}

/// Resident memory of this process, in bytes; 0 where that can't be read.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok().and_then(|text| {
        let second = text.split_whitespace().nth(1)?;
        second.parse::<u64>().ok()
    });
    pages.unwrap_or(0) * 4096
}
