//! Sending: one encoding for each size that anybody wants.
