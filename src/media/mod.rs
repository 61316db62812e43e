//! The media path: sources → codec → (seal, network, open) → playout → sinks.

pub mod apm;
pub mod codec;
pub mod device;
pub mod dsp;
pub mod engine;
pub mod frame;
pub mod marker;
pub mod playout;
pub mod rate;
pub mod scale;
pub mod seams;
pub mod sink;
pub mod source;
pub mod ssim;
pub mod stoi;
pub mod wav;
pub mod y4m;
