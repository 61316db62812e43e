//! The strip of frame-number blocks at a test picture's bottom edge.
