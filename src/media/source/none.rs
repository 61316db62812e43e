//! No pictures.
