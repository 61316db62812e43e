//! The program around a call: paths, log, validated options, runs, shutdown, exit codes.

pub mod exit;
pub mod identity;
pub mod log;
pub mod options;
pub mod out;
pub mod paths;
pub mod run;
pub mod shutdown;
