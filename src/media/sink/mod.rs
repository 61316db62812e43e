//! Where received media goes: loudspeaker, files, nowhere.

pub mod null;
pub mod speaker;
pub mod wav;
pub mod y4m;
