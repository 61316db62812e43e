//! Flags of `call` and `join` → validated options.

use super::args::{AdmitArg, Contrast, PartyArgs};
use crate::app::exit::{Exit, Failure};
use crate::app::options::{Admit, Base, Front, MediaOptions, PartyOptions};
use crate::config::{AudioSpec, SpeakerSpec, VideoSpec, ViewSpec};
use crate::identity::{DisplayName, Fingerprint, FingerprintError};
use crate::paint::Tones;
use crate::store::settings::Settings;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::str::FromStr;

/// Validates `args`; what they leave open comes from the settings file, then from defaults.
pub(super) fn validate(args: PartyArgs, base: Base) -> Result<PartyOptions, Failure> {
    let settings = Settings::load(&base.paths.settings)?;
    let front = front(args.json)?;
    let name = match args.name.clone() {
        Some(name) => name,
        None => default_name(&settings, &base.paths.settings)?,
    };
    let media = media(&args, &settings, &base.paths.settings, front)?;
    let listen = match (args.listen, &settings.listen) {
        (Some(listen), _) => Some(listen),
        (None, Some(text)) => {
            Some(parse_listen(text).map_err(|e| in_settings(&base.paths.settings, "listen", e))?)
        }
        (None, None) => None,
    };
    let mut advertise = Vec::new();
    for text in &args.advertise {
        advertise.extend(resolve(text)?);
    }
    Ok(PartyOptions {
        name,
        media,
        front,
        commands: args.commands,
        seconds: args.seconds,
        listen,
        advertise,
        expect: args.expect,
        ledger: args.ledger,
        stats: args.stats,
        admit: admit(&args.admit),
        uses: args.uses,
        expires: args.expires,
        base,
    })
}

/// `IP:PORT`, `IP` (any port) or `PORT` (all addresses).
pub(super) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, 0));
    }
    match text.parse::<u16>() {
        Ok(port) => Ok(SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port))),
        Err(_) => Err("an address is written 0.0.0.0:4433, [::]:4433, or just the port".into()),
    }
}

/// `any` or a fingerprint.
pub(super) fn parse_admit(text: &str) -> Result<AdmitArg, FingerprintError> {
    if text == "any" {
        return Ok(AdmitArg::Any);
    }
    Fingerprint::from_str(text).map(AdmitArg::Only)
}

fn front(json: bool) -> Result<Front, Failure> {
    if json {
        return Ok(Front::Json);
    }
    if super::has_terminal() {
        return Ok(Front::Screen);
    }
    Err(Failure::new(Exit::Device, "there is no terminal to show the call on")
        .cause("standard output is a pipe or a file, or TERM is \"dumb\"")
        .next("run it in a terminal, or with --json for scripts"))
}

fn media(
    args: &PartyArgs,
    settings: &Settings,
    file: &Path,
    front: Front,
) -> Result<MediaOptions, Failure> {
    let video = match (&args.video, args.audio_only) {
        (_, true) => Some(VideoSpec::None),
        (Some(video), _) => Some(video.clone()),
        (None, false) => set(settings.video.as_deref(), file, "video")?,
    };
    let audio = match &args.audio {
        Some(audio) => Some(audio.clone()),
        None => set(settings.audio.as_deref(), file, "audio")?,
    };
    let speaker = match &args.speaker {
        Some(speaker) => Some(speaker.clone()),
        None => set::<SpeakerSpec>(settings.speaker.as_deref(), file, "speaker")?,
    };
    let view = match (&args.view, front) {
        (Some(ViewSpec::Tty), Front::Json) => {
            return Err(Failure::new(Exit::Usage, "--json and --view tty exclude each other")
                .next("--view y4m:FILE keeps the pictures, --view none only counts them"));
        }
        (Some(view), _) => view.clone(),
        (None, Front::Screen) => ViewSpec::Tty,
        (None, Front::Plain | Front::Json) => ViewSpec::None,
    };
    let graphics = match (args.graphics, &settings.graphics) {
        (None, Some(text)) => text.parse().map_err(|e| in_settings(file, "graphics", e))?,
        (arg, _) => arg.unwrap_or_default(),
    };
    let tint = match (args.tint, &settings.tint) {
        (None, Some(text)) => text.parse().map_err(|e| in_settings(file, "tint", e))?,
        (arg, _) => arg.unwrap_or_default(),
    };
    let contrast = match (args.contrast, &settings.contrast) {
        (None, Some(text)) => text.parse().map_err(|e| in_settings(file, "contrast", e))?,
        (arg, _) => arg.unwrap_or(Contrast::Auto),
    };
    Ok(MediaOptions {
        video_chosen: video.is_some(),
        audio_chosen: audio.is_some(),
        video: video.unwrap_or(default_video()),
        audio: audio.unwrap_or(default_audio()),
        view,
        speaker: speaker.unwrap_or_default(),
        headset: args.headset || settings.headset.unwrap_or(false),
        tile: args.tile,
        decifps: args.fps,
        graphics,
        tones: Tones { stretch: contrast == Contrast::Auto, tint },
        constant_rate: args.constant_rate,
    })
}

/// A build without device support has no camera to try.
fn default_video() -> VideoSpec {
    if cfg!(feature = "camera") { VideoSpec::Camera(0) } else { VideoSpec::None }
}

fn default_audio() -> AudioSpec {
    if cfg!(feature = "audio") { AudioSpec::Mic } else { AudioSpec::None }
}

fn set<T: FromStr<Err: std::fmt::Display>>(
    text: Option<&str>,
    file: &Path,
    entry: &str,
) -> Result<Option<T>, Failure> {
    text.map(|text| text.parse().map_err(|e| in_settings(file, entry, e))).transpose()
}

fn in_settings(file: &Path, entry: &str, e: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Config, format_args!("{}: {entry}: {e}", file.display()))
        .next("correct or remove the line")
}

fn default_name(settings: &Settings, file: &Path) -> Result<DisplayName, Failure> {
    if let Some(name) = &settings.name {
        return DisplayName::parse(name).map_err(|e| in_settings(file, "name", e));
    }
    let login = ["LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok());
    Ok(DisplayName::sanitise(&login.unwrap_or_default()))
}

fn admit(args: &[AdmitArg]) -> Admit {
    let mut only = Vec::new();
    for arg in args {
        match arg {
            AdmitArg::Any => return Admit::Any,
            AdmitArg::Only(fingerprint) => only.push(*fingerprint),
        }
    }
    if only.is_empty() { Admit::Ask } else { Admit::Only(only) }
}

fn resolve(text: &str) -> Result<Vec<SocketAddr>, Failure> {
    let wrong = |e: &dyn std::fmt::Display| {
        Failure::new(Exit::Usage, format_args!("--advertise {text}: {e}"))
            .next("write HOST:PORT, as in call.example.org:4433 or 203.0.113.5:4433")
    };
    let found: Vec<SocketAddr> = text.to_socket_addrs().map_err(|e| wrong(&e))?.collect();
    if found.is_empty() || found.iter().any(|a| a.port() == 0) {
        return Err(wrong(&"no address with a port"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_takes_address_ip_or_port() {
        assert_eq!(parse_listen("127.0.0.1:0").unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(parse_listen("::1").unwrap().to_string(), "[::1]:0");
        assert_eq!(parse_listen("4433").unwrap().to_string(), "[::]:4433");
        assert!(parse_listen("here").is_err() && parse_listen("70000").is_err());
    }

    #[test]
    fn advertised_addresses_need_a_port() {
        assert_eq!(resolve("203.0.113.5:4433").unwrap().len(), 1);
        for text in ["203.0.113.5", "203.0.113.5:0", ":::"] {
            assert_eq!(resolve(text).unwrap_err().exit, Exit::Usage, "{text}");
        }
    }

    #[test]
    fn any_wins_over_single_fingerprints() {
        let one: Fingerprint = "abcd-efgh-ijkl-mnop".parse().unwrap();
        assert_eq!(admit(&[]), Admit::Ask);
        assert_eq!(admit(&[AdmitArg::Only(one)]), Admit::Only(vec![one]));
        assert_eq!(admit(&[AdmitArg::Only(one), AdmitArg::Any]), Admit::Any);
    }
}
