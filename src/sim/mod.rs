//! Simulation: network, the tapping line, Eve, scenarios, measurement, report.

pub mod attacks;
pub mod bulk;
pub mod eve;
pub mod evidence;
pub mod gate;
pub mod line;
pub mod loopback;
pub mod measure;
pub mod mesh;
pub mod model;
pub mod net;
pub mod pcapng;
pub mod report;
pub mod scenario;
pub mod search;
mod socket;
