//! The program around a call: paths, log, validated options, runs, shutdown, exit codes.

pub mod exit;
pub mod log;
pub mod options;
pub mod paths;
pub mod run;
pub mod shutdown;
