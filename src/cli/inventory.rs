//! Devices of this machine, for `devices` and `doctor`.

/// One device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    /// The flag that chooses it.
    pub flag: String,
    /// Its name and what it offers.
    pub name: String,
}

/// Devices, or why they can't be listed.
pub(super) type Found = Result<Vec<Device>, String>;

/// Cameras.
pub(super) fn cameras() -> Found {
    Err("this build has no camera support".into())
}

/// Microphones.
pub(super) fn microphones() -> Found {
    Err("this build has no sound support".into())
}

/// Loudspeakers.
pub(super) fn loudspeakers() -> Found {
    Err("this build has no sound support".into())
}

/// Sources that need no device.
pub(super) fn synthetic() -> Found {
    let device = |flag: &str, name: &str| Device { flag: flag.into(), name: name.into() };
    Ok(vec![
        device("--video pattern", "a drawn talking head"),
        device("--video pattern:card", "a moving test card"),
        device("--audio voice", "a synthetic voice"),
        device("--audio tone", "a tone"),
    ])
}
