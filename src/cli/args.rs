//! The grammar of the command line, as clap types; completions and the manual come from the same.

use crate::app::exit::Exit;
use crate::app::options::Graphics;
use crate::config::{
    AudioSpec, SpeakerSpec, VideoSpec, ViewSpec, parse_duration, parse_fps, parse_tile,
};
use crate::identity::{DisplayName, Fingerprint};
use crate::media::frame::Size;
use crate::paint::{Depth, Look, Tint};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// End-to-end encrypted video calls in the terminal.
#[derive(Debug, Parser)]
#[command(name = "facetty", version, max_term_width = 100, after_long_help = exit_codes())]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Write the log here instead of the state folder (its level: FACETTY_LOG=debug)
    #[arg(long, global = true, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Call(CallArgs),
    Join(JoinArgs),
    Listen(super::listen::ListenArgs),
    Demo(DemoArgs),
    Prove(ProveArgs),
    Loopback(LoopbackArgs),
    Play(PlayArgs),
    Contacts(super::contacts::ContactsArgs),
    Ledger(super::ledger::LedgerArgs),
    Id(super::id::IdArgs),
    Devices(DevicesArgs),
    Doctor(DoctorArgs),
    Completions(CompletionsArgs),
    #[command(hide = true)]
    Man(ManArgs),
}

/// Open a call: prints an invite and waits for a knock; or call a contact, who needs no invite
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  facetty call                                    invite one person
  facetty call ben                                call a contact; Ben runs facetty listen (or call)
  facetty call --uses 2 --expires 2h              invite two, valid for two hours
  facetty call --listen 0.0.0.0:4433 --advertise call.example.org:4433
                                                  behind a router that forwards the port
  facetty call --json --admit --video pattern --audio voice --seconds 30
                                                  without a terminal, for scripts")]
pub(super) struct CallArgs {
    /// A contact: petname, name or fingerprint (see facetty contacts)
    #[arg(value_name = "WHO")]
    pub who: Option<String>,

    #[command(flatten)]
    pub party: PartyArgs,
}

/// Join a call by its invite
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  facetty join                  asks for the invite: it stays out of your shell's history
  facetty join - < invite.txt   reads it from a file
  facetty join facetty1…        takes it from the command line (others on this machine may see it)")]
pub(super) struct JoinArgs {
    /// The invite; "-" reads it from standard input; left out: asked for
    #[arg(value_name = "INVITE")]
    pub invite: Option<String>,

    #[command(flatten)]
    pub party: PartyArgs,
}

/// What `call` and `join` share.
#[derive(Debug, Args)]
pub(super) struct PartyArgs {
    /// Name shown to the others [default: settings, then login name]
    #[arg(long, value_parser = DisplayName::parse)]
    pub name: Option<DisplayName>,

    /// Pictures: camera, camera:N, pattern, pattern:card (flash, noise), y4m:FILE, pipe:COMMAND, none
    #[arg(long, value_name = "SOURCE", help_heading = "Sources and sinks")]
    pub video: Option<VideoSpec>,

    /// Sound: mic, wav:FILE, voice, tone, none
    #[arg(long, value_name = "SOURCE", help_heading = "Sources and sinks")]
    pub audio: Option<AudioSpec>,

    /// No pictures of your own (the same as --video none)
    #[arg(long, conflicts_with = "video", help_heading = "Sources and sinks")]
    pub audio_only: bool,

    /// Received pictures: tty, y4m:FILE, none
    #[arg(long, value_name = "SINK", help_heading = "Sources and sinks")]
    pub view: Option<ViewSpec>,

    /// Received sound: default, wav:FILE, none
    #[arg(long, value_name = "SINK", help_heading = "Sources and sinks")]
    pub speaker: Option<SpeakerSpec>,

    /// You wear a headset: the microphone doesn't hear the loudspeaker, so no echo is cancelled
    #[arg(long, help_heading = "Sources and sinks")]
    pub headset: bool,

    /// Picture size to ask of the others [default: what the view can show]
    #[arg(long, value_name = "WxH", value_parser = parse_tile, help_heading = "Sources and sinks")]
    pub tile: Option<Size>,

    /// Most pictures per second [default: what the view can show]
    #[arg(long, value_name = "N", value_parser = parse_fps, help_heading = "Sources and sinks")]
    pub fps: Option<u16>,

    /// How pictures become cells
    #[arg(long, value_name = "MODE", value_parser = graphics(), help_heading = "Sources and sinks")]
    pub graphics: Option<Graphics>,

    /// Dark and dull pictures stretched over the whole range, or as they are [default: auto]
    #[arg(long, value_name = "HOW", value_enum, help_heading = "Sources and sinks")]
    pub contrast: Option<Contrast>,

    /// Pictures in one colour [default: none]
    #[arg(long, value_name = "TINT", value_parser = tint(), help_heading = "Sources and sinks")]
    pub tint: Option<Tint>,

    /// Hide from the line whether the camera is on and how much moves in it: one length for all
    /// pictures, cover when it is off; costs about twice the rate
    #[arg(long, help_heading = "Network")]
    pub constant_rate: bool,

    /// UDP address to bind; port 0 takes any [default: any free port]
    #[arg(long, value_name = "ADDR", value_parser = super::party::parse_listen, help_heading = "Network")]
    pub listen: Option<std::net::SocketAddr>,

    /// A further address under which you are reached; may be repeated
    #[arg(long, value_name = "HOST:PORT", help_heading = "Network")]
    pub advertise: Vec<String>,

    /// How many people an invite lets knock
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64), help_heading = "Admission")]
    pub uses: u8,

    /// How long an invite is valid: 90s, 10m, 2h
    #[arg(long, value_name = "T", default_value = "1h", value_parser = parse_duration, help_heading = "Admission")]
    pub expires: Duration,

    /// Let in without asking: anybody with the invite, or one fingerprint; may be repeated
    #[arg(
        long,
        value_name = "any|FINGERPRINT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "any",
        action = ArgAction::Append,
        value_parser = super::party::parse_admit,
        help_heading = "Admission"
    )]
    pub admit: Vec<AdmitArg>,

    /// The other side must have this fingerprint, else end with code 6
    #[arg(long, value_name = "FINGERPRINT", help_heading = "Admission")]
    pub expect: Option<Fingerprint>,

    /// Keep the ledger of the call in this file: who held keys when, line by line
    #[arg(long, value_name = "FILE", help_heading = "Scripts")]
    pub ledger: Option<PathBuf>,

    /// Keep figures of the call in this file: one JSON object per line and second
    #[arg(long, value_name = "FILE", help_heading = "Scripts")]
    pub stats: Option<PathBuf>,

    /// No terminal: one JSON object per line and event
    #[arg(long, help_heading = "Scripts")]
    pub json: bool,

    /// Take commands from standard input, one JSON object per line: {"do":"lock"}
    #[arg(long, requires = "json", help_heading = "Scripts")]
    pub commands: bool,

    /// Leave after this many seconds
    #[arg(long, value_name = "N", value_parser = parse_duration, help_heading = "Scripts")]
    pub seconds: Option<Duration>,
}

/// One `--admit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AdmitArg {
    Any,
    Only(Fingerprint),
}

/// `--contrast`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Contrast {
    Auto,
    Off,
}

impl std::str::FromStr for Contrast {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ValueEnum::from_str(text, false)
            .map_err(|_| "contrast must be one of: auto, off".to_string())
    }
}

/// The words of `--tint`.
fn tint() -> impl TypedValueParser<Value = Tint> {
    PossibleValuesParser::new(Tint::ALL.map(Tint::name)).try_map(|word| word.parse())
}

/// The words of `--graphics`.
fn graphics() -> impl TypedValueParser<Value = Graphics> {
    let words = std::iter::once("auto").chain(Look::names());
    PossibleValuesParser::new(words).try_map(|word| word.parse())
}

/// See a call through the eyes of Ada, Ben and Eve, who taps the line
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  facetty demo                            on the screen; k, r, 1 to 9, e, ? and q
  facetty demo --plain                    ten seconds, the same facts as lines
  facetty demo --tap eve.pcapng           keep what Eve saw, for Wireshark or tcpdump
  facetty demo --plain --tap-quic inside.pcapng --export-keys keys.jsonl
                                          evidence for examples/verify.py

With --plain, or without a terminal, it ends with code 1 if anything readable was found on the
line, the search itself failed its control, call words differ, or a side painted nothing.")]
pub(super) struct DemoArgs {
    /// Lines instead of the screen
    #[arg(long)]
    pub plain: bool,

    /// End after this many seconds [default with --plain: 10]
    #[arg(long, value_name = "N", value_parser = parse_duration)]
    pub seconds: Option<Duration>,

    /// Keep everything Eve saw in this file (pcapng)
    #[arg(long, value_name = "FILE")]
    pub tap: Option<PathBuf>,

    /// Keep what QUIC delivers in this file, as if TLS were broken (pcapng)
    #[arg(long, value_name = "FILE")]
    pub tap_quic: Option<PathBuf>,

    /// Write this call's media keys to a file, for examples/verify.py: whoever has it can watch
    #[arg(long, value_name = "FILE")]
    pub export_keys: Option<PathBuf>,

    /// With --plain: Eve attacks after two seconds (1 to 9, as on the screen)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub attack: Option<u8>,

    /// Write a picture of the screen (SVG) and end
    #[arg(long, value_name = "FILE")]
    pub shot: Option<PathBuf>,

    /// How pictures become cells
    #[arg(long, value_name = "MODE", value_parser = graphics())]
    pub graphics: Option<Graphics>,
}

/// Attack everything that is promised, live, and report
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  facetty prove                 every claim: what Eve tries, what she gets, and what she gets when
                                given the one thing she lacks
  facetty prove 11 13           two of them
  facetty prove --json          for scripts

A claim is held if Eve tried and got nothing, and the same attack with the one thing she lacks (the
control) succeeded. It ends with code 1 if one is not held.")]
pub(super) struct ProveArgs {
    /// Numbers of claims [default: all]
    #[arg(value_name = "CLAIM")]
    pub claims: Vec<u8>,

    /// Ten million nonces and many seeds; takes minutes
    #[arg(long)]
    pub full: bool,

    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Play a scenario through the whole stack and report
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  facetty loopback                                  the scenario \"clean\", in virtual time
  facetty loopback loss-5 --json                    5 % loss; the report as JSON
  facetty loopback examples/scenarios/step-2m-300k-2m.toml --seed 7
  facetty loopback clean --real-time                real sockets and clock
  facetty loopback soak --seconds 8h                a long call: is anything left behind?
  facetty loopback --suite                          all scenarios, as many at once as there are cores:
                                                    the table in the README
  facetty loopback --suite --real-time              by the clock, what can be played so")]
pub(super) struct LoopbackArgs {
    /// A scenario file, or the name of a built-in one
    #[arg(value_name = "SCENARIO", default_value = "clean")]
    pub scenario: String,

    /// All built-in scenarios, and a table of what came out
    #[arg(long, conflicts_with_all = ["scenario", "seconds", "tap"])]
    pub suite: bool,

    /// With --suite: no more than 15 s of each, where nothing happens later
    #[arg(long, requires = "suite", conflicts_with = "real_time")]
    pub quick: bool,

    /// Seed of network and patterns, instead of the scenario's (keys are never seeded)
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Play it for so long, instead of as long as the scenario says
    #[arg(long, value_name = "N", value_parser = parse_duration)]
    pub seconds: Option<Duration>,

    /// Real sockets and clock instead of virtual ones
    #[arg(long)]
    pub real_time: bool,

    /// The report as JSON
    #[arg(long)]
    pub json: bool,

    /// Keep everything that went over the line in this file (pcapng)
    #[arg(long, value_name = "FILE")]
    pub tap: Option<PathBuf>,
}

/// Play pictures in the terminal: the painter of the calls as a player
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  facetty play                                the drawn face
  facetty play clip.y4m --graphics sextant    a file (Y4M: ffmpeg -i clip.mp4 -pix_fmt yuv420p clip.y4m)
  facetty play camera                         your own camera: nothing is sent anywhere
  facetty play clip.y4m --budget 100000       as over a line of 100 kB/s
  facetty play clip.y4m --frames 300 --stats json
                                              figures for comparisons
  facetty play clip.y4m --size 200x60 --frames 300 > stream
                                              the bytes for a terminal of 200x60, as fast as they are made

Keys: g next graphics mode, f bars or cut, c contrast, t tint, space pause, s figures, q quit.")]
pub(super) struct PlayArgs {
    /// A Y4M file, camera, camera:N, pattern, pattern:card (flash, noise), y4m:FILE, pipe:COMMAND
    #[arg(value_name = "SOURCE", default_value = "pattern")]
    pub source: String,

    /// How pictures become cells
    #[arg(long, visible_alias = "mode", value_name = "MODE", value_parser = graphics())]
    pub graphics: Option<Graphics>,

    /// Dark and dull pictures stretched over the whole range, or as they are [default: off]
    #[arg(long, value_name = "HOW", value_enum)]
    pub contrast: Option<Contrast>,

    /// Pictures in one colour
    #[arg(long, value_name = "TINT", value_parser = tint(), default_value = "none")]
    pub tint: Tint,

    /// Colours [default: what the terminal has]
    #[arg(long, value_name = "COLOURS", value_parser = depth())]
    pub colours: Option<Depth>,

    /// Most pictures per second [default: as many as the source has and the terminal takes]
    #[arg(long, value_name = "N", value_parser = parse_fps)]
    pub fps: Option<u16>,

    /// Most bytes per second to the terminal [default: what it eats]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1000..))]
    pub budget: Option<u32>,

    /// What a byte may cost in fidelity, instead of what the budget makes of it; 0: best picture
    #[arg(long, value_name = "L", conflicts_with = "budget", value_parser = parse_lambda)]
    pub lambda: Option<f32>,

    /// End after this many pictures
    #[arg(long, value_name = "N")]
    pub frames: Option<u64>,

    /// Black bars instead of cutting
    #[arg(long)]
    pub letterbox: bool,

    /// Figures: on the last line, and at the end (text or json)
    #[arg(long, value_name = "AS", num_args = 0..=1, default_missing_value = "text", value_enum)]
    pub stats: Option<StatsArg>,

    /// Without a terminal: columns and rows to paint for
    #[arg(long, value_name = "CxR", value_parser = parse_cells)]
    pub size: Option<(u16, u16)>,

    /// With --size: pixels of a cell
    #[arg(long, value_name = "WxH", value_parser = parse_cells, default_value = "10x20")]
    pub cell: (u16, u16),
}

/// `--stats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum StatsArg {
    Text,
    Json,
}

/// The words of `--colours`.
fn depth() -> impl TypedValueParser<Value = Depth> {
    const WORDS: [(&str, Depth); 4] = [
        ("true", Depth::True),
        ("256", Depth::Indexed256),
        ("16", Depth::Ansi16),
        ("mono", Depth::Mono),
    ];
    PossibleValuesParser::new(WORDS.map(|(word, _)| word)).map(|word| {
        let known = WORDS.into_iter().find(|(name, _)| *name == word);
        known.map_or(Depth::True, |(_, depth)| depth)
    })
}

fn parse_lambda(text: &str) -> Result<f32, String> {
    let lambda = text.parse().ok().filter(|l: &f32| l.is_finite() && (0.0..=1000.0).contains(l));
    lambda.ok_or_else(|| "a number from 0 to 1000".to_owned())
}

fn parse_cells(text: &str) -> Result<(u16, u16), String> {
    let parts = text.split_once('x').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    let sane = |(a, b): &(u16, u16)| (1..=1000).contains(a) && (1..=1000).contains(b);
    parts.filter(sane).ok_or_else(|| "two numbers from 1 to 1000, as in 200x60".to_owned())
}

/// List cameras, microphones and loudspeakers with the flag to paste
#[derive(Debug, Args)]
pub(super) struct DevicesArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Check terminal, devices, network and cryptography
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Print a completion script
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  facetty completions bash > ~/.local/share/bash-completion/completions/facetty
  facetty completions zsh  > ~/.zfunc/_facetty
  facetty completions fish > ~/.config/fish/completions/facetty.fish")]
pub(super) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Shells with completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Print a manual page
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Of this subcommand instead of the program
    pub subcommand: Option<String>,
}

/// The whole grammar, for completions, the manual and tests.
pub fn command() -> clap::Command {
    Cli::command()
}

fn exit_codes() -> String {
    let mut text = String::from("Exit codes:\n");
    for exit in Exit::ALL {
        text.push_str(&format!("  {:>3}  {}\n", exit.code(), exit.meaning()));
    }
    text.push_str(
        "\nFiles are kept in the platform's usual folders, or all in $FACETTY_HOME.\n\
         NO_COLOR turns colours of the screen off (pictures keep theirs).",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(args: &[&str]) -> PartyArgs {
        let all = ["facetty", "call"].iter().chain(args);
        match Cli::try_parse_from(all).expect("valid").command {
            Some(Command::Call(call)) => call.party,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_grammar_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn graphics_modes_are_known_by_name() {
        for name in Look::names() {
            let play = Cli::try_parse_from(["facetty", "play", "--mode", name]);
            let Some(Command::Play(play)) = play.expect("valid").command else { panic!("{name}") };
            assert_eq!(play.graphics, name.parse().ok().map(Graphics::Only));
        }
        let wrong = Cli::try_parse_from(["facetty", "play", "--mode", "oil"]);
        assert!(wrong.expect_err("refused").to_string().contains("sextant"));
    }

    #[test]
    fn sizes_and_colours_are_what_they_say() {
        assert_eq!(parse_cells("200x60"), Ok((200, 60)));
        for wrong in ["", "x", "0x5", "5x0", "70000x2", "10", "1001x1", "-1x4"] {
            assert!(parse_cells(wrong).is_err(), "{wrong}");
        }
        assert!(parse_lambda("NaN").is_err() && parse_lambda("-1").is_err());
        assert_eq!(parse_lambda("0.5"), Ok(0.5));
        let play = Cli::try_parse_from(["facetty", "play", "--colours", "256", "--stats"]);
        let Some(Command::Play(play)) = play.expect("valid").command else { panic!("play") };
        assert_eq!((play.colours, play.stats), (Some(Depth::Indexed256), Some(StatsArg::Text)));
    }

    #[test]
    fn admit_takes_nothing_any_or_fingerprints() {
        assert!(party(&[]).admit.is_empty());
        assert_eq!(party(&["--admit"]).admit, [AdmitArg::Any]);
        assert_eq!(party(&["--admit=any"]).admit, [AdmitArg::Any]);
        let one = "abcd-efgh-ijkl-mnop";
        let admit = format!("--admit={one}");
        let fingerprint: Fingerprint = one.parse().expect("valid");
        assert_eq!(party(&[&admit]).admit, [AdmitArg::Only(fingerprint)]);
        let wrong = Cli::try_parse_from(["facetty", "call", "--admit=somebody"]);
        assert!(wrong.expect_err("refused").to_string().contains("fingerprint"));
    }

    #[test]
    fn audio_only_and_a_video_source_exclude_each_other() {
        let both = ["facetty", "call", "--audio-only", "--video", "pattern"];
        assert!(Cli::try_parse_from(both).is_err());
    }

    #[test]
    fn flags_of_sources_say_what_would_be_right() {
        let wrong = Cli::try_parse_from(["facetty", "join", "--video", "webcam"]);
        let message = wrong.expect_err("refused").to_string();
        assert!(message.contains("camera[:N]"), "{message}");
    }
}
