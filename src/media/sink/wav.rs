//! Sound to a WAV file.
