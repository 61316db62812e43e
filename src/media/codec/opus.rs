//! Opus (RFC 6716) as `step()` functions.
