//! The drawn talking head and the test patterns.
