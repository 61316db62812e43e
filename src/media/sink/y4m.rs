//! Pictures to a Y4M file.
