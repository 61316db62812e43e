//! Pictures from a command's standard output.
