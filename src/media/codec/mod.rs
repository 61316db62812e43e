//! H.264 and Opus as `step()` functions over the C libraries.

pub mod h264;
pub mod opus;

mod ffi;
