//! The C options of the video codec that its safe interface does not reach.
