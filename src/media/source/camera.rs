//! Pictures from a camera.
