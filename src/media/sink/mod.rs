//! Where received media goes: loudspeaker, files.
