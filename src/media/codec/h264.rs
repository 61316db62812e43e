//! H.264 (ITU-T H.264) as `step()` functions.
