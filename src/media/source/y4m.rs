//! Pictures from a Y4M file.
