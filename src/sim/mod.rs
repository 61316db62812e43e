//! Simulation: network, the tapping line, scenarios, measurement, report.

pub mod line;
pub mod model;
pub mod net;
pub mod pcapng;
mod socket;
