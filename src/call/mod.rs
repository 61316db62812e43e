//! The call as a state machine without I/O: members, knocks, epochs, tracks.
