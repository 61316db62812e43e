//! Where received media goes: loudspeaker, files, nowhere.

pub mod null;
pub mod wav;
pub mod y4m;
