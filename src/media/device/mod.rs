//! Microphone and loudspeaker of this machine, through cpal (ALSA, PulseAudio and its like on
//! Linux, CoreAudio on macOS).
//!
//! Devices come and go: a headset is unplugged, the sound server restarts, a laptop has none at
//! all. None of that may end a call. So opening never fails and never waits: a thread of its own
//! owns each stream, watches it, and opens it again when it falls silent; meanwhile a microphone
//! gives nothing and a loudspeaker takes everything. [`DeviceStatus`] tells a screen how it stands.
//!
//! The sound card's callback touches one ring buffer and a few atomic numbers: no lock, no
//! allocation, no system call.

pub mod card;
#[cfg(feature = "audio")]
mod choose;
#[cfg(feature = "audio")]
mod convert;
mod drift;
#[cfg(feature = "audio")]
mod owner;
mod ring;

#[cfg(feature = "audio")]
pub use choose::list_devices;

use crate::media::seams::{Pcm, PcmSink, PcmSource, SinkLost, SourceLost};
use crate::time::Now;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Which way sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Microphones.
    Input,
    /// Loudspeakers.
    Output,
}

impl Direction {
    /// "microphone" or "loudspeaker".
    pub fn word(self) -> &'static str {
        match self {
            Self::Input => "microphone",
            Self::Output => "loudspeaker",
        }
    }
}

/// A sound device of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Microphone or loudspeaker.
    pub direction: Direction,
    /// Its name, for people.
    pub name: String,
    /// Its name for the system; names it uniquely.
    pub id: String,
    /// The system's choice when none is named. Some systems name one without having any: only a
    /// running stream shows that it is real.
    pub default: bool,
    /// Not a microphone but the echo of a loudspeaker: never used for capture.
    pub monitor: bool,
}

/// How a device stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// Being opened; no sound has passed yet.
    Opening,
    /// Sound passes.
    Running,
    /// Gone or refused, with the reason; tried again every few seconds.
    Lost(String),
}

/// A device at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceReport {
    /// Name of the device in use, or what was asked for.
    pub name: String,
    /// How it stands.
    pub state: DeviceState,
    /// Times the device was lost so far.
    pub losses: u32,
    /// Sound thrown away because it piled up, in ms.
    pub skipped_ms: u64,
    /// Times the device ran dry.
    pub starved: u64,
}

/// A handle on the state of a microphone or loudspeaker; cheap to copy, usable after the device.
#[derive(Clone, Debug)]
pub struct DeviceStatus(Arc<Mutex<DeviceReport>>);

impl DeviceStatus {
    fn new(name: String, state: DeviceState) -> Self {
        let report = DeviceReport { name, state, losses: 0, skipped_ms: 0, starved: 0 };
        Self(Arc::new(Mutex::new(report)))
    }

    /// The device as it is now.
    pub fn report(&self) -> DeviceReport {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[cfg(feature = "audio")]
    fn change(&self, with: impl FnOnce(&mut DeviceReport)) {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Is this the name of a loudspeaker's monitor, i.e. of the far end's own voice?
#[cfg(any(feature = "audio", test))]
fn is_monitor(id: &str, name: &str) -> bool {
    id.ends_with(".monitor") || name.to_lowercase().starts_with("monitor of ")
}

/// Does a device answer to what the user typed: a part of its name, any case?
#[cfg(any(feature = "audio", test))]
fn answers_to(wanted: &str, id: &str, name: &str) -> bool {
    let wanted = wanted.to_lowercase();
    id.to_lowercase().contains(&wanted) || name.to_lowercase().contains(&wanted)
}

/// A microphone.
pub struct Mic {
    status: DeviceStatus,
    #[cfg(feature = "audio")]
    owner: owner::Owner<ring::Intake>,
}

/// A loudspeaker.
pub struct Speaker {
    status: DeviceStatus,
    #[cfg(feature = "audio")]
    owner: owner::Owner<ring::Outlet>,
}

#[cfg(feature = "audio")]
impl Mic {
    /// Opens the microphone whose name contains `wanted` (default: the system's choice).
    pub fn open(wanted: Option<&str>) -> Self {
        let name = wanted.unwrap_or("default microphone").to_owned();
        let status = DeviceStatus::new(name, DeviceState::Opening);
        Self { owner: owner::Owner::input(wanted, status.clone()), status }
    }

    /// How the device stands.
    pub fn status(&self) -> DeviceStatus {
        self.status.clone()
    }
}

#[cfg(feature = "audio")]
impl PcmSource for Mic {
    fn read(&mut self, _now: Now) -> Result<Option<Pcm>, SourceLost> {
        let intake = self.owner.end();
        let block = intake.read();
        let (skipped, starved) = intake.counters();
        self.owner.count(skipped, starved);
        Ok(block)
    }

    fn delay(&self) -> Duration {
        self.owner.device_delay() + self.owner.end_ref().delay()
    }

    fn describe(&self) -> String {
        describe(&self.status)
    }
}

#[cfg(feature = "audio")]
impl Speaker {
    /// Opens the loudspeaker whose name contains `wanted` (default: the system's choice).
    pub fn open(wanted: Option<&str>) -> Self {
        let name = wanted.unwrap_or("default loudspeaker").to_owned();
        let status = DeviceStatus::new(name, DeviceState::Opening);
        Self { owner: owner::Owner::output(wanted, status.clone()), status }
    }

    /// How the device stands.
    pub fn status(&self) -> DeviceStatus {
        self.status.clone()
    }
}

#[cfg(feature = "audio")]
impl PcmSink for Speaker {
    fn write(&mut self, block: &Pcm, _now: Now) -> Result<(), SinkLost> {
        let outlet = self.owner.end();
        outlet.write(block);
        let (skipped, starved) = outlet.counters();
        self.owner.count(skipped, starved);
        Ok(())
    }

    fn delay(&self) -> Duration {
        self.owner.device_delay() + self.owner.end_ref().delay()
    }

    fn describe(&self) -> String {
        describe(&self.status)
    }
}

#[cfg(feature = "audio")]
fn describe(status: &DeviceStatus) -> String {
    let report = status.report();
    match report.state {
        DeviceState::Running => report.name,
        DeviceState::Opening => format!("{} (opening)", report.name),
        DeviceState::Lost(why) => format!("{} ({why})", report.name),
    }
}

#[cfg(not(feature = "audio"))]
mod without {
    //! Stand-ins of a build without sound devices: they say so and do nothing.
    use super::*;

    const WHY: &str = "this build has no sound devices: build with the feature `audio`";

    fn status(direction: Direction) -> DeviceStatus {
        DeviceStatus::new(direction.word().to_owned(), DeviceState::Lost(WHY.to_owned()))
    }

    /// No devices.
    pub fn list_devices() -> Result<Vec<DeviceInfo>, String> {
        Err(WHY.to_owned())
    }

    impl Mic {
        /// A microphone that gives nothing.
        pub fn open(_wanted: Option<&str>) -> Self {
            Self { status: status(Direction::Input) }
        }

        /// How the device stands: not there.
        pub fn status(&self) -> DeviceStatus {
            self.status.clone()
        }
    }

    impl PcmSource for Mic {
        fn read(&mut self, _now: Now) -> Result<Option<Pcm>, SourceLost> {
            Ok(None)
        }
        fn delay(&self) -> Duration {
            Duration::ZERO
        }
        fn describe(&self) -> String {
            format!("microphone ({WHY})")
        }
    }

    impl Speaker {
        /// A loudspeaker that plays nothing.
        pub fn open(_wanted: Option<&str>) -> Self {
            Self { status: status(Direction::Output) }
        }

        /// How the device stands: not there.
        pub fn status(&self) -> DeviceStatus {
            self.status.clone()
        }
    }

    impl PcmSink for Speaker {
        fn write(&mut self, _block: &Pcm, _now: Now) -> Result<(), SinkLost> {
            Ok(())
        }
        fn delay(&self) -> Duration {
            Duration::ZERO
        }
        fn describe(&self) -> String {
            format!("loudspeaker ({WHY})")
        }
    }
}

#[cfg(not(feature = "audio"))]
pub use without::list_devices;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monitors_are_told_from_microphones() {
        assert!(is_monitor("alsa_output.pci-0000.monitor", "x"));
        assert!(is_monitor("x", "Monitor of Built-in Audio"));
        assert!(!is_monitor("alsa_input.usb-headset", "USB headset"));
    }

    #[test]
    fn a_part_of_the_name_in_any_case_finds_a_device() {
        assert!(answers_to("headset", "alsa_input.usb", "USB Headset Mono"));
        assert!(answers_to("ALSA_INPUT", "alsa_input.usb", "x"));
        assert!(!answers_to("webcam", "alsa_input.usb", "USB Headset"));
    }
}
