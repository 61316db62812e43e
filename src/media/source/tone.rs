//! A steady tone with a chirp at every whole second.
