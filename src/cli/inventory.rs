//! Devices of this machine, for `devices` and `doctor`.

use crate::media::device::{DeviceInfo, Direction, list_devices};
use crate::media::source::camera::{Listed, list_cameras};

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
    if !cfg!(feature = "camera") {
        return Err("this build has no camera support".into());
    }
    let device = |listed: Listed| {
        let offer = match &listed.chosen {
            Ok(offer) => offer.to_string(),
            Err(why) => format!("unusable: {why}"),
        };
        Device {
            flag: format!("--video camera:{}", listed.index),
            name: format!("{} ({offer})", clean(&listed.name)),
        }
    };
    Ok(quietly(list_cameras).into_iter().map(device).collect())
}

/// Microphones and loudspeakers.
pub(super) fn sound() -> (Found, Found) {
    let all = match quietly(list_devices) {
        Ok(all) => all,
        Err(why) => return (Err(why.clone()), Err(why)),
    };
    let of = |direction: Direction, flag: &str| -> Found {
        let mut found: Vec<&DeviceInfo> = all
            .iter()
            .filter(|d| d.direction == direction && !d.monitor && !is_plumbing(d))
            .collect();
        found.sort_by_key(|d| !d.default);
        Ok(found.iter().map(|info| sound_device(info, flag)).collect())
    };
    (of(Direction::Input, "--audio mic"), of(Direction::Output, "--speaker default"))
}

/// ALSA lists its plug-ins as if they were devices.
fn is_plumbing(info: &DeviceInfo) -> bool {
    const PLUGINS: [&str; 12] = [
        "null",
        "lavrate",
        "samplerate",
        "speexrate",
        "speex",
        "jack",
        "oss",
        "pulse",
        "upmix",
        "vdownmix",
        "usbstream",
        "pipewire",
    ];
    let head = info.id.rsplit('/').next().unwrap_or(&info.id);
    let head = head.split(':').next().unwrap_or(head);
    !info.default && PLUGINS.contains(&head)
}

/// Only the system's default has a flag; the others are chosen in the system's sound settings.
fn sound_device(info: &DeviceInfo, flag: &str) -> Device {
    Device {
        flag: if info.default { flag.into() } else { "(system's settings)".into() },
        name: clean(&info.name),
    }
}

/// A driver's text may hold anything; the terminal gets what can be shown.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Runs `work` with standard error shut: the sound libraries print dozens of lines while asked.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let saved = rustix::io::dup(rustix::stdio::stderr()).ok();
    let null = std::fs::File::options().write(true).open("/dev/null").ok();
    if let (Some(_), Some(null)) = (&saved, &null) {
        let _ = rustix::stdio::dup2_stderr(null);
    }
    let result = work();
    if let Some(saved) = saved {
        let _ = rustix::stdio::dup2_stderr(&saved);
    }
    result
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_default_device_has_a_flag_to_paste() {
        let info = |default| DeviceInfo {
            direction: Direction::Input,
            name: "Head\u{1b}set".into(),
            id: "x".into(),
            default,
            monitor: false,
        };
        let device = sound_device(&info(true), "--audio mic");
        assert_eq!((device.flag.as_str(), device.name.as_str()), ("--audio mic", "Headset"));
        assert!(is_plumbing(&DeviceInfo { id: "null".into(), ..info(false) }));
        assert!(!is_plumbing(&DeviceInfo { id: "pulse".into(), ..info(true) }));
        assert!(!sound_device(&info(false), "--audio mic").flag.starts_with("--"));
    }
}
