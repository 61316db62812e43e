//! The downloads of a scenario, and what came of them.

use crate::sim::bulk::{Figures, Flow};
use crate::sim::report::{FlowReport, round};
use crate::sim::scenario::Scenario;
use std::collections::BTreeMap;

/// Downloads beside the call.
#[derive(Default)]
pub(super) struct Flows {
    running: BTreeMap<usize, Flow>,
    ended: BTreeMap<usize, Figures>,
}

impl Flows {
    pub(super) fn begin(&mut self, number: usize, flow: Option<Flow>) {
        self.running.extend(flow.map(|flow| (number, flow)));
    }

    pub(super) fn end(&mut self, number: usize) {
        if let Some(flow) = self.running.remove(&number) {
            self.ended.insert(number, flow.figures());
        }
    }

    pub(super) fn report(mut self, scenario: &Scenario) -> Vec<FlowReport> {
        (0..scenario.flows.len()).for_each(|number| self.end(number));
        let name = |index: usize| {
            scenario.participants.get(index).map_or_else(String::new, |p| p.name.clone())
        };
        let one = |(number, figures): (usize, Figures)| {
            let flow = scenario.flows.get(number)?;
            let seconds = flow.until.min(scenario.seconds) - flow.at;
            let all = (figures.delivered + figures.lost).max(1) as f64;
            Some(FlowReport {
                from: name(flow.from),
                to: name(flow.to),
                kbps: round(figures.bytes() as f64 * 8.0 / 1000.0 / seconds.max(1e-3), 1),
                lost_pct: round(figures.lost as f64 * 100.0 / all, 2),
                longest_round_trip_ms: round(figures.longest_round_trip.as_secs_f64() * 1e3, 1),
            })
        };
        self.ended.into_iter().filter_map(one).collect()
    }
}
