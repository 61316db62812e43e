//! H.264 and Opus as `step()` functions over the C libraries.
