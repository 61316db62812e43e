//! One participant put together: identity, sources, sinks, socket, call and node.

use crate::app::contacts::known;
use crate::app::exit::{Exit, Failure};
use crate::app::figures;
use crate::app::options::{Admit, Callee, MediaOptions, PartyOptions, Way};
use crate::call::{self, Call, CallConfig, CallError, Tracks};
use crate::config::{AudioSpec, SpeakerSpec, VideoSpec};
use crate::identity::{IdentityKey, IdentityPublic};
use crate::media::apm::ApmConfig;
use crate::media::device::{Mic, Speaker};
use crate::media::frame::Size;
use crate::media::seams::{FrameSink, FrameSource, PcmSink, PcmSource};
use crate::media::sink::wav::WavWriter;
use crate::media::source::tone::Tone;
use crate::media::source::voice::{Speech, Voice};
use crate::media::source::wav::WavFile;
use crate::media::source::{self, Mouth, OpenError, VideoOptions};
use crate::node::{Clock, MediaEnds, Node, NodeConfig, NodeHandle, Runner};
use crate::store::contacts::Contacts;
use crate::store::port;
use crate::transport::{self, BindError, Endpoint, EndpointOptions, Socket};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Unanswered knocks are refused after this time.
const KNOCK_LIFE: Duration = Duration::from_secs(120);
/// A connection without a sign of life is gone after this time; the call redials.
const IDLE: Duration = Duration::from_secs(10);
/// … and gives one at least this often.
const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// What became of the media ends that could not be opened although nobody asked for them.
pub struct Party {
    /// The loop, to be run.
    pub node: Node,
    /// Its handle.
    pub handle: NodeHandle,
    /// Things the user should know: devices that are missing.
    pub notes: Vec<String>,
    /// Addresses in the invite, or those this participant can be reached at.
    pub addresses: Vec<SocketAddr>,
    /// Origin of the media clock.
    pub origin: Instant,
}

/// Puts a participant together. Must be called inside a tokio runtime.
pub fn assemble(
    party: &PartyOptions,
    identity: Arc<IdentityKey>,
    contacts: &Contacts,
    way: Way,
    view: Box<dyn FrameSink>,
    has_screen: bool,
) -> Result<Party, Failure> {
    let hosts = matches!(way, Way::Host);
    let clock = Clock::Real;
    let now = clock.now();
    let origin = now.mono;
    let mut notes = Vec::new();
    let stats = party.stats.as_deref().map(figures::file).transpose()?;
    let video = open_video(&party.media, origin, &identity.public(), &mut notes)?;
    let mic = open_mic(&party.media, origin, &identity.public(), &mut notes)?;
    let speaker = open_speaker(&party.media, &mut notes)?;

    let socket = bind(party, &mut notes)?;
    let local = socket.local_addr().map_err(|e| Failure::new(Exit::Unreachable, e))?;
    let addresses = transport::usable_addresses(local, &party.advertise);
    let tracks = Tracks { mic: mic.is_some(), camera: video.is_some() };
    let config = CallConfig {
        name: party.name.clone(),
        admit: admit(&party.admit, has_screen || party.commands),
        expect: party.expect,
        invite_uses: party.uses,
        invite_life: party.expires,
        tracks,
        known: known(contacts),
        addresses: addresses.clone(),
        knock_life: KNOCK_LIFE,
        constant_rate: party.media.constant_rate,
    };
    let mut rng = crate::app::entropy();
    let mut call = match way {
        Way::Host => Call::host(config, identity, addresses.clone(), now, &mut *rng),
        Way::Join(invite) => Call::join(config, identity, invite, now, &mut *rng),
        Way::Ring(Callee { identity: them, addresses, .. }) => {
            Ok(Call::ring(config, identity, them, addresses, now, &mut *rng))
        }
        Way::Listen { .. } => Call::listen(config, identity, now, &mut *rng),
    }
    .map_err(|e| call_failed(&e))?;
    if hosts {
        call.answer_contacts(true);
    }
    call.can_ask(has_screen);

    let options = EndpointOptions { idle: IDLE, keep_alive: KEEP_ALIVE, ..Default::default() };
    let seed = call.leaf_key().seed_for_tls_or_mls();
    let endpoint =
        Endpoint::bind(Socket::Udp(socket), seed, options).map_err(|e| cannot_bind(&e))?;
    let decifps = party.media.decifps.unwrap_or(300);
    let ends = MediaEnds { video, view, mic, speaker, apm: apm(&party.media), origin, decifps };
    let config = NodeConfig { runner: Runner::Threads, clock, witness: None, rng };
    let (node, handle) = Node::new(call, endpoint, ends, tracks, config)
        .map_err(|e| Failure::new(Exit::Bug, format_args!("cannot start a thread: {e}")))?;
    if let Some(stats) = stats {
        tokio::task::spawn_local(figures::keep(stats, handle.view.clone(), origin));
    }
    Ok(Party { node, handle, notes, addresses, origin })
}

fn admit(admit: &Admit, has_screen: bool) -> call::Admit {
    match admit {
        Admit::Any => call::Admit::Any,
        Admit::Only(list) => call::Admit::Only(list.clone()),
        Admit::Ask if has_screen => call::Admit::Ask,
        Admit::Ask => call::Admit::Nobody,
    }
}

/// The socket at the address asked for; else at the port chosen once, so that contacts find us
/// again; else, if another facetty has that, at any.
fn bind(party: &PartyOptions, notes: &mut Vec<String>) -> Result<UdpSocket, Failure> {
    if party.listen.is_some() {
        return transport::bind_udp(party.listen).map_err(|e| cannot_bind(&e));
    }
    let kept = port::load(&party.base.paths.port);
    if let Some(port) = kept {
        let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        match transport::bind_udp(Some(both)).or_else(|_| transport::bind_udp(Some(v4))) {
            Ok(socket) => return Ok(socket),
            Err(e) => notes.push(format!("your usual port: {e}; contacts may not find this call")),
        }
    }
    let socket = transport::bind_udp(None).map_err(|e| cannot_bind(&e))?;
    if let (None, Ok(at)) = (kept, socket.local_addr())
        && let Err(e) = port::keep(&party.base.paths.port, at.port())
    {
        tracing::warn!(error = %e, "the port could not be kept");
    }
    Ok(socket)
}

fn cannot_bind(error: &BindError) -> Failure {
    Failure::new(Exit::Unreachable, error).next("choose another port with --listen, or port 0")
}

fn call_failed(error: &CallError) -> Failure {
    match error {
        CallError::InviteExpired => {
            Failure::new(Exit::Refused, "this invite has expired").next("ask for a new one")
        }
        CallError::OwnInvite => Failure::new(Exit::Usage, error)
            .next("pass it on; to try both sides on one machine, set FACETTY_HOME for one of them"),
        CallError::WrongIdentity { .. } => Failure::new(Exit::Untrusted, error)
            .cause("the invite, or the fingerprint given with --expect, is not the right one")
            .next("compare fingerprints with the other side (facetty id)"),
        other => Failure::new(Exit::Bug, other),
    }
}

/// Opens the picture source. A camera nobody asked for by flag or settings may be missing: then
/// the call begins without pictures, and says so.
pub fn open_video(
    media: &MediaOptions,
    origin: Instant,
    identity: &IdentityPublic,
    notes: &mut Vec<String>,
) -> Result<Option<Box<dyn FrameSource>>, Failure> {
    if media.video == VideoSpec::None {
        return Ok(None);
    }
    let options = VideoOptions {
        identity: identity.0.to_vec(),
        seed: u64::from(identity.0[0]),
        decifps: media.decifps.unwrap_or(300),
        size: media.tile.unwrap_or(Size::new(320, 192)),
        mouth: mouth(&media.audio, identity),
        ..VideoOptions::new(origin)
    };
    match source::open_video(&media.video, options) {
        Ok(source) => Ok(Some(source)),
        Err(error) => unavailable(&error, media.video_chosen, "picture", notes),
    }
}

/// Opens the sound source, by the same rule.
pub fn open_mic(
    media: &MediaOptions,
    origin: Instant,
    identity: &IdentityPublic,
    notes: &mut Vec<String>,
) -> Result<Option<Box<dyn PcmSource>>, Failure> {
    if media.audio == AudioSpec::None {
        return Ok(None);
    }
    let lost = |e: &dyn std::fmt::Display| OpenError::Device {
        what: "microphone".into(),
        why: e.to_string(),
    };
    let opened: Result<Box<dyn PcmSource>, OpenError> = match &media.audio {
        AudioSpec::Mic if cfg!(feature = "audio") => Ok(Box::new(Mic::open(None))),
        AudioSpec::Mic => Err(lost(&"this facetty was built without sound devices")),
        AudioSpec::Wav(path) => WavFile::open(path, false).map(|w| Box::new(w) as _),
        AudioSpec::Voice => Ok(Box::new(Voice::new(speech(identity), origin))),
        AudioSpec::Tone => Ok(Box::new(Tone::new(origin))),
        AudioSpec::None => return Ok(None),
    };
    match opened {
        Ok(source) => Ok(Some(source)),
        Err(error) => unavailable(&error, media.audio_chosen, "sound", notes),
    }
}

/// What a real microphone hears is cleaned; files and drawn voices are clean.
fn apm(media: &MediaOptions) -> ApmConfig {
    match media.audio {
        AudioSpec::Mic if media.headset => ApmConfig::HEADSET,
        AudioSpec::Mic => ApmConfig::SPEAKERS,
        _ => ApmConfig::OFF,
    }
}

/// The drawn voice of an identity; low and high voices by a bit of it.
pub fn speech(identity: &IdentityPublic) -> Speech {
    Speech::new(u64::from(identity.0[1]), u32::from(identity.0[2] & 1), 2)
}

fn open_speaker(
    media: &MediaOptions,
    notes: &mut Vec<String>,
) -> Result<Option<Box<dyn PcmSink>>, Failure> {
    match &media.speaker {
        SpeakerSpec::None => Ok(None),
        SpeakerSpec::Wav(path) => match WavWriter::create(path) {
            Ok(writer) => Ok(Some(Box::new(writer))),
            Err(lost) => {
                Err(Failure::new(Exit::Usage, lost).next("choose a path that can be written"))
            }
        },
        SpeakerSpec::Default if media.audio == AudioSpec::None => Ok(None),
        SpeakerSpec::Default if cfg!(feature = "audio") => Ok(Some(Box::new(Speaker::open(None)))),
        SpeakerSpec::Default => {
            notes.push("no sound output: this facetty was built without sound devices".into());
            Ok(None)
        }
    }
}

fn unavailable<T>(
    error: &OpenError,
    chosen: bool,
    what: &str,
    notes: &mut Vec<String>,
) -> Result<Option<T>, Failure> {
    match error {
        OpenError::InvalidInput { .. } => Err(Failure::new(Exit::Usage, error)),
        OpenError::Device { .. } if chosen => Err(Failure::new(Exit::Device, error)
            .next("see what there is with: facetty devices; or go on without (--video none, --audio none)")),
        OpenError::Device { .. } => {
            notes.push(format!("no {what}: {error}"));
            Ok(None)
        }
    }
}

/// The mouth of a drawn face follows the drawn voice, if that is what speaks.
fn mouth(audio: &AudioSpec, identity: &IdentityPublic) -> Mouth {
    match audio {
        AudioSpec::Voice => Voice::mouth(speech(identity)),
        _ => Arc::new(|_| 0.0),
    }
}
