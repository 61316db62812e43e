//! What a run is asked to do: flags, settings and invite after validation. Whoever runs a call
//! takes these and checks nothing again.

use crate::app::log::Log;
use crate::app::paths::Paths;
use crate::config::{AudioSpec, SpeakerSpec, VideoSpec, ViewSpec};
use crate::identity::{DisplayName, Fingerprint, IdentityPublic};
use crate::invite::Invite;
use crate::media::frame::Size;
use crate::paint::{Depth, Look, Tones, UnknownLook};
use crate::term::Probe;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What every run has.
#[derive(Clone, Debug)]
pub struct Base {
    /// Files.
    pub paths: Paths,
    /// The running log.
    pub log: Log,
}

/// Where a run's events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// The call screen on the terminal.
    Screen,
    /// Lines of words (`--plain`, or no terminal).
    Plain,
    /// Lines of JSON (`--json`).
    Json,
}

/// How pictures are drawn: `--graphics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Graphics {
    /// What the terminal can do best, by probing it.
    #[default]
    Auto,
    /// This way, whatever the terminal is.
    Only(Look),
}

impl Graphics {
    /// The look to begin with.
    pub fn look(self, probe: &Probe) -> Look {
        match self {
            Self::Auto => probe.look(),
            Self::Only(look) => look,
        }
    }
}

impl FromStr for Graphics {
    type Err = UnknownLook;

    fn from_str(text: &str) -> Result<Self, UnknownLook> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Only) }
    }
}

/// Sources and sinks of one participant.
#[derive(Clone, Debug)]
pub struct MediaOptions {
    /// Pictures.
    pub video: VideoSpec,
    /// `video` was chosen by flag or settings; else a missing camera is no failure.
    pub video_chosen: bool,
    /// Sound.
    pub audio: AudioSpec,
    /// `audio` was chosen by flag or settings; else a missing microphone is no failure.
    pub audio_chosen: bool,
    /// Where received pictures go.
    pub view: ViewSpec,
    /// Where received sound goes.
    pub speaker: SpeakerSpec,
    /// The microphone doesn't hear the loudspeaker: no echo to cancel.
    pub headset: bool,
    /// Tile to ask of the others; `None`: what the view can show.
    pub tile: Option<Size>,
    /// Highest frame rate, in tenths of a frame per second; `None`: what the view can show.
    pub decifps: Option<u16>,
    /// How pictures become cells.
    pub graphics: Graphics,
    /// Contrast and tint of pictures on the screen.
    pub tones: Tones,
    /// What the line sees follows the network alone: `--constant-rate`.
    pub constant_rate: bool,
}

/// Who is let in without asking: `--admit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Ask on the screen; without one refuse at once.
    Ask,
    /// Whoever has the invite.
    Any,
    /// These identities only.
    Only(Vec<Fingerprint>),
}

/// What `call` and `join` share.
#[derive(Clone, Debug)]
pub struct PartyOptions {
    /// Files and log.
    pub base: Base,
    /// Name shown to the others.
    pub name: DisplayName,
    /// Sources and sinks.
    pub media: MediaOptions,
    /// Where events go.
    pub front: Front,
    /// Standard input gives commands.
    pub commands: bool,
    /// Figures go to this file: `--stats`.
    pub stats: Option<PathBuf>,
    /// Leave after this time.
    pub seconds: Option<Duration>,
    /// UDP address to bind; `None`: any port, IPv6 and IPv4.
    pub listen: Option<SocketAddr>,
    /// Further addresses under which this machine is reached.
    pub advertise: Vec<SocketAddr>,
    /// The other side must be this identity.
    pub expect: Option<Fingerprint>,
    /// Keep the ledger here.
    pub ledger: Option<PathBuf>,
    /// Who is let in without asking.
    pub admit: Admit,
    /// Uses of an invite.
    pub uses: u8,
    /// Life of an invite.
    pub expires: Duration,
}

/// `facetty call`.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// Everything.
    pub party: PartyOptions,
}

/// `facetty join`.
pub struct JoinOptions {
    /// Everything but the invite.
    pub party: PartyOptions,
    /// The invite.
    pub invite: Invite,
}

/// `facetty call WHO`.
pub struct RingOptions {
    /// Everything but the contact.
    pub party: PartyOptions,
    /// The contact.
    pub callee: Callee,
}

/// A contact to be called.
#[derive(Clone, Debug)]
pub struct Callee {
    /// The pinned key.
    pub identity: IdentityPublic,
    /// What our user calls them.
    pub name: String,
    /// Where they were reached before, best first.
    pub addresses: Vec<SocketAddr>,
}

/// `facetty listen`.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// Everything.
    pub party: PartyOptions,
    /// End after the first call.
    pub once: bool,
}

/// How a participant comes into a call.
pub enum Way {
    /// Opens one, with an invite.
    Host,
    /// Joins by an invite.
    Join(Invite),
    /// Calls a contact.
    Ring(Callee),
    /// Waits for contacts.
    Listen {
        /// Ends after the first call.
        once: bool,
    },
}

/// `facetty demo`.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Files and log; the demonstration reads and writes no identity.
    pub base: Base,
    /// Screen or lines.
    pub front: Front,
    /// End after this time; `None`: on the screen until `q`.
    pub seconds: Option<Duration>,
    /// Keep Eve's capture here.
    pub tap: Option<PathBuf>,
    /// Keep what QUIC delivers here.
    pub tap_quic: Option<PathBuf>,
    /// Write the call's media keys here.
    pub export_keys: Option<PathBuf>,
    /// Without a screen: Eve attacks once the call is in full swing, 1 to 9.
    pub attack: Option<u8>,
    /// Write a picture of the screen here and end.
    pub shot: Option<PathBuf>,
    /// How pictures become cells.
    pub graphics: Graphics,
}

/// What `loopback` plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// One that is built in.
    Named(String),
    /// A file.
    File(PathBuf),
}

/// `facetty loopback`.
#[derive(Clone, Debug)]
pub struct LoopbackOptions {
    /// Files and log.
    pub base: Base,
    /// What to play.
    pub scenario: Scenario,
    /// Seed of network and patterns, if not the scenario's; keys are never seeded.
    pub seed: Option<u64>,
    /// How long, in seconds, if not as the scenario says.
    pub seconds: Option<f64>,
    /// Real sockets and clock instead of virtual ones.
    pub real_time: bool,
    /// Report as JSON.
    pub json: bool,
    /// Keep the capture here.
    pub tap: Option<PathBuf>,
}

/// `facetty loopback --suite`.
#[derive(Clone, Copy, Debug)]
pub struct SuiteOptions {
    /// Short runs.
    pub quick: bool,
    /// Seed of networks and patterns, if not the scenarios' own.
    pub seed: Option<u64>,
    /// Real sockets and clock; what needs virtual time is left out.
    pub real_time: bool,
    /// Reports as JSON.
    pub json: bool,
}

/// `facetty play`.
#[derive(Clone, Debug)]
pub struct PlayOptions {
    /// Files and log.
    pub base: Base,
    /// What to play.
    pub source: VideoSpec,
    /// How pictures become cells.
    pub graphics: Graphics,
    /// Contrast and tint.
    pub tones: Tones,
    /// Colours; `None`: what the terminal has, and true colour without one.
    pub depth: Option<Depth>,
    /// Pictures per second at most, in tenths.
    pub decifps: Option<u16>,
    /// Bytes per second at most; `None`: what the terminal eats.
    pub budget: Option<u32>,
    /// λ that stays, instead of what the budget makes of it.
    pub lambda: Option<f32>,
    /// Ends after this many pictures.
    pub frames: Option<u64>,
    /// Black bars instead of cutting.
    pub letterbox: bool,
    /// Figures at the end, and a line of them meanwhile.
    pub stats: Option<StatsAs>,
    /// Without a terminal: write for one of this many columns and rows to standard output.
    pub size: Option<(u16, u16)>,
    /// … whose cells have this many pixels.
    pub cell: (u16, u16),
}

/// How figures are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsAs {
    /// In words.
    Text,
    /// One JSON object.
    Json,
}
