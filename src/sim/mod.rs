//! Simulation: network, the tapping line, scenarios, measurement, report.
