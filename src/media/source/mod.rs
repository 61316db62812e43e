//! Where media comes from: camera, microphone, synthetic pattern and voice, files, pipes.

pub mod camera;
pub mod mic;
pub mod none;
pub mod pattern;
pub mod pipe;
pub mod tone;
pub mod voice;
pub mod wav;
pub mod y4m;
