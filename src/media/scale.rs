//! Scaling of I420 pictures.
