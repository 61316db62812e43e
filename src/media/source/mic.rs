//! Sound from a microphone.
