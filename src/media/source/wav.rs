//! Sound from a WAV file.
