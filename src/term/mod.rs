//! The terminal: enter, leave, restore, probe, the one output thread.
