//! When received sound and pictures are due: jitter buffers, clock mapping, lip sync.
