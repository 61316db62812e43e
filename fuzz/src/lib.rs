//! The fuzz targets as a library; `tests/fuzz_corpus.rs` of facetty uses the same source.

pub mod targets;
