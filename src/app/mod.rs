//! The program around a call: runtime, paths, shutdown, demo.
