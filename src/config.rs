//! Settings: types and parsing of flag values, the same for flags, configuration file and
//! scenario. Every type prints itself as the text that parses to it.

use crate::media::frame::Size;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Why a setting can't be used, in words that say what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Not one of the words this setting knows.
    #[error("{given:?} is not one of {expected}")]
    Unknown {
        /// What was given.
        given: String,
        /// The grammar.
        expected: &'static str,
    },
    /// The part after the colon is missing or malformed.
    #[error("{given:?}: {why}")]
    Malformed {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

fn unknown(given: &str, expected: &'static str) -> SpecError {
    SpecError::Unknown { given: given.chars().take(60).collect(), expected }
}

fn malformed(given: &str, why: &'static str) -> SpecError {
    SpecError::Malformed { given: given.chars().take(60).collect(), why }
}

/// Splits `word[:rest]`.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once(':') {
        Some((word, rest)) => (word, Some(rest)),
        None => (text, None),
    }
}

fn file(text: &str, rest: Option<&str>) -> Result<PathBuf, SpecError> {
    match rest {
        Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
        _ => Err(malformed(text, "a file name belongs after the colon")),
    }
}

/// What the `pattern` source draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PatternKind {
    /// The talking head.
    #[default]
    Face,
    /// A moving test card.
    Card,
    /// The talking head with a white flash at every whole second.
    Flash,
    /// The talking head under sensor grain of luma σ 6.
    Noise,
}

/// Where pictures come from: `--video`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VideoSpec {
    /// A camera by its number.
    Camera(u32),
    /// Drawn pictures.
    Pattern(PatternKind),
    /// A Y4M file, repeated for ever.
    Y4m(PathBuf),
    /// A shell command with Y4M on its standard output.
    Pipe(String),
    /// No pictures.
    None,
}

impl VideoSpec {
    /// The grammar, for help and errors.
    pub const GRAMMAR: &'static str =
        "camera[:N] | pattern[:card|flash|noise] | y4m:FILE | pipe:COMMAND | none";
}

impl FromStr for VideoSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        match split(text) {
            ("camera", None) => Ok(Self::Camera(0)),
            ("camera", Some(n)) => n
                .parse()
                .map(Self::Camera)
                .map_err(|_| malformed(text, "a camera is named by its number, as in camera:0")),
            ("pattern", None) => Ok(Self::Pattern(PatternKind::Face)),
            ("pattern", Some("card")) => Ok(Self::Pattern(PatternKind::Card)),
            ("pattern", Some("flash")) => Ok(Self::Pattern(PatternKind::Flash)),
            ("pattern", Some("noise")) => Ok(Self::Pattern(PatternKind::Noise)),
            ("pattern", Some(_)) => {
                Err(malformed(text, "the patterns are pattern, pattern:card, :flash and :noise"))
            }
            ("y4m", path) => file(text, path).map(Self::Y4m),
            ("pipe", Some(command)) if !command.trim().is_empty() => {
                Ok(Self::Pipe(command.to_owned()))
            }
            ("pipe", _) => Err(malformed(text, "a shell command belongs after the colon")),
            ("none", None) => Ok(Self::None),
            _ => Err(unknown(text, Self::GRAMMAR)),
        }
    }
}

impl fmt::Display for VideoSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Camera(n) => write!(f, "camera:{n}"),
            Self::Pattern(PatternKind::Face) => f.write_str("pattern"),
            Self::Pattern(PatternKind::Card) => f.write_str("pattern:card"),
            Self::Pattern(PatternKind::Flash) => f.write_str("pattern:flash"),
            Self::Pattern(PatternKind::Noise) => f.write_str("pattern:noise"),
            Self::Y4m(path) => write!(f, "y4m:{}", path.display()),
            Self::Pipe(command) => write!(f, "pipe:{command}"),
            Self::None => f.write_str("none"),
        }
    }
}

/// Where sound comes from: `--audio`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioSpec {
    /// The default microphone.
    Mic,
    /// A WAV file, repeated for ever.
    Wav(PathBuf),
    /// A synthetic voice.
    Voice,
    /// A tone with a chirp at every whole second.
    Tone,
    /// Silence.
    None,
}

impl AudioSpec {
    /// The grammar, for help and errors.
    pub const GRAMMAR: &'static str = "mic | wav:FILE | voice | tone | none";
}

impl FromStr for AudioSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        match split(text) {
            ("mic", None) => Ok(Self::Mic),
            ("wav", path) => file(text, path).map(Self::Wav),
            ("voice", None) => Ok(Self::Voice),
            ("tone", None) => Ok(Self::Tone),
            ("none", None) => Ok(Self::None),
            _ => Err(unknown(text, Self::GRAMMAR)),
        }
    }
}

impl fmt::Display for AudioSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mic => f.write_str("mic"),
            Self::Wav(path) => write!(f, "wav:{}", path.display()),
            Self::Voice => f.write_str("voice"),
            Self::Tone => f.write_str("tone"),
            Self::None => f.write_str("none"),
        }
    }
}

/// Where received pictures go: `--view`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ViewSpec {
    /// The terminal.
    #[default]
    Tty,
    /// A Y4M file of constant rate.
    Y4m(PathBuf),
    /// Nowhere; they are decoded and counted.
    None,
}

impl ViewSpec {
    /// The grammar, for help and errors.
    pub const GRAMMAR: &'static str = "tty | y4m:FILE | none";
}

impl FromStr for ViewSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        match split(text) {
            ("tty", None) => Ok(Self::Tty),
            ("y4m", path) => file(text, path).map(Self::Y4m),
            ("none", None) => Ok(Self::None),
            _ => Err(unknown(text, Self::GRAMMAR)),
        }
    }
}

impl fmt::Display for ViewSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tty => f.write_str("tty"),
            Self::Y4m(path) => write!(f, "y4m:{}", path.display()),
            Self::None => f.write_str("none"),
        }
    }
}

/// Where received sound goes: `--speaker`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SpeakerSpec {
    /// The default loudspeaker.
    #[default]
    Default,
    /// A WAV file, 48 kHz, 16 bits, mono.
    Wav(PathBuf),
    /// Nowhere; it is decoded and counted.
    None,
}

impl SpeakerSpec {
    /// The grammar, for help and errors.
    pub const GRAMMAR: &'static str = "default | wav:FILE | none";
}

impl FromStr for SpeakerSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        match split(text) {
            ("default", None) => Ok(Self::Default),
            ("wav", path) => file(text, path).map(Self::Wav),
            ("none", None) => Ok(Self::None),
            _ => Err(unknown(text, Self::GRAMMAR)),
        }
    }
}

impl fmt::Display for SpeakerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Wav(path) => write!(f, "wav:{}", path.display()),
            Self::None => f.write_str("none"),
        }
    }
}

/// Parses a tile size as `240x144`: 16x16 to 1920x1080, odd values rounded up to even ones.
pub fn parse_tile(text: &str) -> Result<Size, SpecError> {
    let why = "a tile size is written WIDTHxHEIGHT, as in 240x144, from 16x16 to 1920x1080";
    let (w, h) = text.split_once(['x', 'X']).ok_or_else(|| malformed(text, why))?;
    match (digits::<u16>(w), digits::<u16>(h)) {
        (Some(w @ 16..=1920), Some(h @ 16..=1080)) => Ok(Size::new(w, h)),
        _ => Err(malformed(text, why)),
    }
}

/// Parses a duration: whole seconds (`90`), or a number with `ms`, `s`, `m`, `h` or `d`; at most
/// a year.
pub fn parse_duration(text: &str) -> Result<Duration, SpecError> {
    let why = "a duration is a number with ms, s, m, h or d, as in 10s, 2m, 1h";
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let millis: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(malformed(text, why)),
    };
    let total = digits::<u64>(number).and_then(|n| n.checked_mul(millis));
    match total {
        Some(ms) if ms <= 366 * 86_400_000 => Ok(Duration::from_millis(ms)),
        _ => Err(malformed(text, why)),
    }
}

/// Parses a frame rate from 1 to 60, with at most one decimal, into tenths of a frame per second.
pub fn parse_fps(text: &str) -> Result<u16, SpecError> {
    let why = "a frame rate is a number from 1 to 60, as in 30 or 12.5";
    let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
    let decifps = match (digits::<u16>(whole), digits::<u16>(tenth)) {
        (Some(whole @ 0..=60), Some(digit)) if tenth.len() == 1 => whole * 10 + digit,
        _ => return Err(malformed(text, why)),
    };
    if (10..=600).contains(&decifps) { Ok(decifps) } else { Err(malformed(text, why)) }
}

fn digits<T: FromStr>(text: &str) -> Option<T> {
    // `parse` alone would take a sign.
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_video_source_of_the_grammar_parses_and_prints_back() {
        for (text, spec) in [
            ("camera:0", VideoSpec::Camera(0)),
            ("camera:3", VideoSpec::Camera(3)),
            ("pattern", VideoSpec::Pattern(PatternKind::Face)),
            ("pattern:card", VideoSpec::Pattern(PatternKind::Card)),
            ("pattern:flash", VideoSpec::Pattern(PatternKind::Flash)),
            ("pattern:noise", VideoSpec::Pattern(PatternKind::Noise)),
            ("y4m:a b:c.y4m", VideoSpec::Y4m("a b:c.y4m".into())),
            ("pipe:ffmpeg -i x:y -", VideoSpec::Pipe("ffmpeg -i x:y -".into())),
            ("none", VideoSpec::None),
        ] {
            assert_eq!(text.parse(), Ok(spec.clone()));
            assert_eq!(spec.to_string(), text);
        }
        assert_eq!("camera".parse(), Ok(VideoSpec::Camera(0)));
    }

    #[test]
    fn every_sound_source_view_and_speaker_parses_and_prints_back() {
        for text in ["mic", "wav:in.wav", "voice", "tone", "none"] {
            assert_eq!(text.parse::<AudioSpec>().unwrap().to_string(), text);
        }
        for text in ["tty", "y4m:out.y4m", "none"] {
            assert_eq!(text.parse::<ViewSpec>().unwrap().to_string(), text);
        }
        for text in ["default", "wav:out.wav", "none"] {
            assert_eq!(text.parse::<SpeakerSpec>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_in_the_grammar_is_refused() {
        for text in [
            "",
            "Camera",
            "camera:",
            "camera:x",
            "camera:-1",
            "pattern:",
            "pattern:face2",
            "y4m",
            "y4m:",
            "pipe",
            "pipe:",
            "pipe:  ",
            "none:1",
            "webcam",
            "camera:4294967296",
        ] {
            assert!(text.parse::<VideoSpec>().is_err(), "{text:?}");
        }
        for text in ["", "mic:", "wav", "wav:", "voice:2", "none:"] {
            assert!(text.parse::<AudioSpec>().is_err(), "{text:?}");
        }
        assert!("y4m:".parse::<ViewSpec>().is_err() && "tty:1".parse::<ViewSpec>().is_err());
        assert!("wav:".parse::<SpeakerSpec>().is_err() && "".parse::<SpeakerSpec>().is_err());
    }

    #[test]
    fn a_refusal_says_what_would_be_right() {
        let error = "webcam".parse::<VideoSpec>().unwrap_err().to_string();
        assert!(error.contains("webcam") && error.contains("camera[:N]"), "{error}");
    }

    #[test]
    fn tiles_durations_and_rates_parse() {
        assert_eq!(parse_tile("240x144"), Ok(Size::new(240, 144)));
        assert_eq!(parse_tile("81X49"), Ok(Size::new(82, 50)));
        for bad in ["", "x", "240", "240x", "x144", "8x8", "1921x100", "100x1081", "+80x48"] {
            assert!(parse_tile(bad).is_err(), "{bad}");
        }
        for (text, ms) in
            [("10", 10_000), ("10s", 10_000), ("2m", 120_000), ("1h", 3_600_000), ("250ms", 250)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)));
        }
        for bad in ["", "s", "-1s", "1.5h", "1w", "99999999999999999999", "9999d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        for (text, decifps) in [("30", 300), ("12.5", 125), ("1", 10), ("60", 600), ("60.0", 600)] {
            assert_eq!(parse_fps(text), Ok(decifps));
        }
        for bad in ["", "0", "0.9", "60.1", "61", "12.55", "12.", ".5", "-3", "12.05"] {
            assert!(parse_fps(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,40}") {
            let _ = text.parse::<VideoSpec>();
            let _ = text.parse::<AudioSpec>();
            let _ = (parse_tile(&text), parse_duration(&text), parse_fps(&text));
        }
    }
}
