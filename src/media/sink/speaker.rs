//! Sound to a loudspeaker.
