//! Which device, and with which settings.

use super::convert::FORMATS;
use super::{DeviceInfo, Direction, answers_to, is_monitor};
use crate::media::seams::SAMPLE_RATE;
use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{BufferSize, Device, SampleFormat, StreamConfig, SupportedBufferSize};

/// Frames per callback asked for: 20 ms. A PulseAudio server left to its own choice takes two
/// seconds.
const PERIOD: u32 = 960;

/// Settings to try, best first.
pub(super) struct Setting {
    pub(super) config: StreamConfig,
    pub(super) format: SampleFormat,
}

/// All devices of the system's sound host. Slow, and C libraries print to standard error while it
/// runs: not for use in a call.
pub fn list_devices() -> Result<Vec<DeviceInfo>, String> {
    let host = cpal::default_host();
    let id = |d: Option<Device>| d.and_then(|d| d.id().ok()).map(|id| id.id().to_owned());
    let defaults = (id(host.default_input_device()), id(host.default_output_device()));
    let mut found = Vec::new();
    for device in host.devices().map_err(|e| e.to_string())? {
        let (id, name) = names(&device);
        for (direction, usable, default) in [
            (Direction::Input, device.supports_input(), &defaults.0),
            (Direction::Output, device.supports_output(), &defaults.1),
        ] {
            if usable {
                found.push(DeviceInfo {
                    direction,
                    default: default.as_ref() == Some(&id),
                    monitor: direction == Direction::Input && is_monitor(&id, &name),
                    id: id.clone(),
                    name: name.clone(),
                });
            }
        }
    }
    Ok(found)
}

/// System name and readable name.
pub(super) fn names(device: &Device) -> (String, String) {
    let id = device.id().map(|id| id.id().to_owned()).unwrap_or_default();
    (id, device.to_string())
}

/// The device to use now. Naming one costs an enumeration, the default doesn't.
pub(super) fn choose(
    host: &cpal::Host,
    direction: Direction,
    wanted: Option<&str>,
) -> Result<Device, String> {
    let Some(wanted) = wanted else {
        let device = match direction {
            Direction::Input => host.default_input_device(),
            Direction::Output => host.default_output_device(),
        };
        let device = device.ok_or_else(|| format!("there is no {}", direction.word()))?;
        let (id, name) = names(&device);
        if direction == Direction::Input && is_monitor(&id, &name) {
            return Err(format!("{name} is a loudspeaker's monitor, not a microphone"));
        }
        return Ok(device);
    };
    let mut refused = None;
    for device in host.devices().map_err(|e| e.to_string())? {
        let (id, name) = names(&device);
        let usable = match direction {
            Direction::Input => device.supports_input(),
            Direction::Output => device.supports_output(),
        };
        if !usable || !answers_to(wanted, &id, &name) {
            continue;
        }
        if direction == Direction::Input && is_monitor(&id, &name) {
            refused = Some(name);
            continue;
        }
        return Ok(device);
    }
    Err(match refused {
        Some(name) => format!("{name} is a loudspeaker's monitor, not a microphone"),
        None => format!("no {} is called {wanted:?} now", direction.word()),
    })
}

/// What to try on this device, best first: 48 kHz floats, mono, 20 ms at a time; then what it
/// offers; then its own choice.
pub(super) fn settings(device: &Device, direction: Direction) -> Vec<Setting> {
    let ranges: Vec<_> = match direction {
        Direction::Input => device.supported_input_configs().map(Iterator::collect),
        Direction::Output => device.supported_output_configs().map(Iterator::collect),
    }
    .unwrap_or_default();
    let default = match direction {
        Direction::Input => device.default_input_config(),
        Direction::Output => device.default_output_config(),
    };
    let mut ranked: Vec<_> = ranges
        .iter()
        .filter_map(|range| {
            let format = FORMATS.iter().position(|f| *f == range.sample_format())?;
            let fits = range.contains_rate(SAMPLE_RATE);
            // Mono is mixed by the server better than by us; many cards offer stereo only.
            let channels = match range.channels() {
                1 => 0,
                2 => 1,
                n => n,
            };
            Some(((!fits, channels, format), range))
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    let mut settings = Vec::new();
    for (_, range) in ranked.iter().take(3) {
        let rate = SAMPLE_RATE.clamp(range.min_sample_rate(), range.max_sample_rate());
        let mut sizes = vec![BufferSize::Fixed(PERIOD)];
        if let SupportedBufferSize::Range { min, max } = range.buffer_size()
            && *min <= *max
            && !(*min..=*max).contains(&PERIOD)
        {
            sizes = vec![BufferSize::Fixed(PERIOD.clamp(*min, *max))];
        }
        sizes.push(BufferSize::Default);
        for buffer_size in sizes {
            settings.push(Setting {
                config: StreamConfig { channels: range.channels(), sample_rate: rate, buffer_size },
                format: range.sample_format(),
            });
        }
    }
    if let Ok(default) = default
        && FORMATS.contains(&default.sample_format())
    {
        for buffer_size in [BufferSize::Fixed(PERIOD), BufferSize::Default] {
            let config = StreamConfig { buffer_size, ..default.config() };
            settings.push(Setting { config, format: default.sample_format() });
        }
    }
    settings
}
