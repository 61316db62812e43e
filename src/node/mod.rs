//! The one loop that joins call, links and media engine, with two runners.
