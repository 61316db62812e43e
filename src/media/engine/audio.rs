//! Sound: capture to coded packets, and received packets to one mixed playout.
