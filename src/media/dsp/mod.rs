//! Sound on samples: resampling, mixing, limiting, levels.
