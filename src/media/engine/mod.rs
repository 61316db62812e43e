//! From source to coded frames and back: every step takes `now`, nothing here knows a connection.

pub mod audio;
pub mod denoise;
pub mod video_recv;
pub mod video_send;
mod voice;
