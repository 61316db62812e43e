//! Scenarios: who calls, over what network, what happens when, and what is expected of it.
//!
//! A scenario is a TOML file; `examples/scenarios/` has one per claim. Times are seconds since the
//! start of the call. Links are directed: `from → to`; what a link leaves out it takes from `[link]`.
//! A participant's own line (`up_kbps` …) is one queue for all it sends, or gets, before or behind
//! the links.
//!
//! ```toml
//! name = "loss-5"
//! seconds = 30
//!
//! [[participant]]
//! name = "ada"            # the first participant is the host
//! [[participant]]
//! name = "ben"
//! up_kbps = 1000          # its own line: all it sends to anybody shares this
//! up_queue_ms = 300
//!
//! [link]
//! delay_ms = 50
//! loss_pct = 5
//!
//! [[at]]
//! s = 10
//! who = "ben"
//! action = "mute"
//!
//! [[flow]]                # a download beside the call
//! from = "ada"
//! to = "ben"
//!
//! [expect]
//! all = ["audio.concealed_pct <= 0.3", "video.on_time_pct >= 99.5"]
//! ```

mod read;

use crate::config::{AudioSpec, VideoSpec};
use crate::media::frame::Size;
use serde::Deserialize;

/// Most participants of a scenario: a group has at most 16 members.
const MAX_PARTICIPANTS: usize = 16;
/// Longest scenario, in seconds (a day).
pub const MAX_SECONDS: f64 = 86_400.0;
/// Longest scenario file, in bytes.
const MAX_FILE: usize = 256 * 1024;

/// Why a scenario cannot be used. Exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Not TOML, or not of this shape; the message names line and column.
    #[error("not a scenario: {0}")]
    Syntax(#[from] toml::de::Error),
    /// The shape is right but the content makes no sense.
    #[error("{0}")]
    Content(String),
}

/// A whole scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name, in the report.
    pub name: String,
    /// How long it runs, in seconds.
    pub seconds: f64,
    /// Seed of everything random about the network and the sources; never of keys.
    pub seed: u64,
    /// Who takes part; the first is the host.
    pub participants: Vec<Participant>,
    /// The links at the start, for every ordered pair, in order of the pairs.
    pub links: Vec<((usize, usize), LinkSpec)>,
    /// What happens when, in order of time.
    pub timeline: Vec<Moment>,
    /// Downloads beside the call.
    pub flows: Vec<FlowSpec>,
    /// Spans measured on their own.
    pub windows: Vec<Window>,
    /// The timeline begins again every so many seconds; `None`: it happens once.
    pub repeat: Option<f64>,
    /// A long call: figures and what the process holds are told for each quarter, and what was
    /// noted is forgotten after it. The rest of the report is about the last quarter then.
    pub soak: bool,
    /// What must hold.
    pub expect: Vec<Expectation>,
    /// What is known not to hold yet.
    pub short: Vec<Expectation>,
}

/// Somebody who takes part.
#[derive(Clone, Debug)]
pub struct Participant {
    /// Name, in the report and in the timeline.
    pub name: String,
    /// Where its pictures come from.
    pub video: VideoSpec,
    /// Where its sound comes from.
    pub audio: AudioSpec,
    /// The tile in which it shows each other member.
    pub tile: Size,
    /// Highest frame rate it sends and wants, in tenths of fps.
    pub decifps: u16,
    /// Shows the line a constant rate.
    pub constant_rate: bool,
    /// When it joins, in seconds; the host is there from the start.
    pub join_at: f64,
    /// Its own line to the network.
    pub access: AccessSpec,
    /// Microphone and loudspeaker run so many parts in a million fast; `None`: they are no devices,
    /// sound comes and goes on the call's clock.
    pub clock_ppm: Option<f64>,
}

/// A download beside the call, as fast as the network lets it (see [`bulk`](super::bulk)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowSpec {
    /// From whose host.
    pub from: usize,
    /// To whose.
    pub to: usize,
    /// When it begins, in seconds.
    pub at: f64,
    /// When it ends, in seconds.
    pub until: f64,
}

/// A participant's own line to the network: what it sends to all others shares one queue, and what
/// it gets from them another one. Unset: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AccessSpec {
    /// Rate of everything it sends, in kbit/s; 0: no limit.
    pub up_kbps: Option<f64>,
    /// Queue in front of it, in ms at that rate; what does not fit is dropped.
    pub up_queue_ms: Option<f64>,
    /// Rate of everything it gets, in kbit/s; 0: no limit.
    pub down_kbps: Option<f64>,
    /// Queue in front of it, in ms at that rate.
    pub down_queue_ms: Option<f64>,
}

impl AccessSpec {
    /// This specification where it says something, `base` elsewhere.
    pub fn over(self, base: Self) -> Self {
        Self {
            up_kbps: self.up_kbps.or(base.up_kbps),
            up_queue_ms: self.up_queue_ms.or(base.up_queue_ms),
            down_kbps: self.down_kbps.or(base.down_kbps),
            down_queue_ms: self.down_queue_ms.or(base.down_queue_ms),
        }
    }
}

/// One direction of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkSpec {
    /// Delay in ms.
    pub delay_ms: Option<f64>,
    /// Mean of an exponentially distributed extra delay, in ms.
    pub jitter_ms: Option<f64>,
    /// May jitter change the order of packets?
    pub jitter_reorders: Option<bool>,
    /// Random loss in percent.
    pub loss_pct: Option<f64>,
    /// Loss in bursts, in percent of time.
    pub burst_pct: Option<f64>,
    /// Mean length of a burst, in ms.
    pub burst_ms: Option<f64>,
    /// Rate in kbit/s; 0: no limit.
    pub rate_kbps: Option<f64>,
    /// Queue in front of the rate, in ms at that rate; what does not fit is dropped.
    pub queue_ms: Option<f64>,
    /// Packets overtaken by others, in percent.
    pub reorder_pct: Option<f64>,
    /// Packets that come twice, in percent.
    pub duplicate_pct: Option<f64>,
    /// Nothing passes.
    pub down: Option<bool>,
}

impl LinkSpec {
    /// This specification where it says something, `base` elsewhere.
    pub fn over(self, base: Self) -> Self {
        Self {
            delay_ms: self.delay_ms.or(base.delay_ms),
            jitter_ms: self.jitter_ms.or(base.jitter_ms),
            jitter_reorders: self.jitter_reorders.or(base.jitter_reorders),
            loss_pct: self.loss_pct.or(base.loss_pct),
            burst_pct: self.burst_pct.or(base.burst_pct),
            burst_ms: self.burst_ms.or(base.burst_ms),
            rate_kbps: self.rate_kbps.or(base.rate_kbps),
            queue_ms: self.queue_ms.or(base.queue_ms),
            reorder_pct: self.reorder_pct.or(base.reorder_pct),
            duplicate_pct: self.duplicate_pct.or(base.duplicate_pct),
            down: self.down.or(base.down),
        }
    }
}

/// Something that happens at a time.
#[derive(Clone, Debug)]
pub struct Moment {
    /// When, in seconds.
    pub s: f64,
    /// What.
    pub change: Change,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A participant does something.
    Act(usize, Action),
    /// A decision removes a participant.
    Remove {
        /// Who decides.
        by: usize,
        /// Who goes.
        who: usize,
    },
    /// A link changes.
    Link((usize, usize), LinkSpec),
    /// A participant's own line changes.
    Access(usize, AccessSpec),
}

/// What a participant can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Leaves the call.
    Leave,
    /// Microphone off.
    Mute,
    /// Microphone on.
    Unmute,
    /// Camera off.
    CameraOff,
    /// Camera on.
    CameraOn,
    /// Asks for new keys.
    Rekey,
    /// Its machine moves to another network: another address, which the system knows.
    ChangeAddress,
    /// A router on its way forgets it: others see another port, and nothing of it knows.
    NatRebind,
    /// Its process is stopped (SIGSTOP): nothing of it runs, the clocks go on.
    Suspend,
    /// Its process goes on.
    Resume,
    /// Comes back after it has left: the same person with another process, by the invite.
    Return,
}

/// A span measured on its own.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Its name in the report.
    pub name: String,
    /// From, in seconds.
    pub from: f64,
    /// To, in seconds.
    pub to: f64,
}

/// One line that must hold (or, under `[short]`, does not yet).
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// As written.
    pub text: String,
    /// Path into the report: `audio.…`, `video.…`, `av_skew_ms.…`, `windows.NAME.…` stand for every
    /// received member of every participant; `wire.…` for every participant; `tap.…` for the tap;
    /// `flows.…` for every download beside the call; `soak.…` for what a long call left behind;
    /// `NAME.…` for one participant, `NAME.from.NAME.…` for one direction.
    pub path: Vec<String>,
    /// How to compare.
    pub compare: Compare,
    /// With what.
    pub value: f64,
    /// Why it is short, under `[short]`.
    pub why: Option<String>,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// At most.
    AtMost,
    /// At least.
    AtLeast,
    /// Equal.
    Equal,
}

impl Compare {
    /// Does `left` compare like this to `right`?
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::AtMost => left <= right,
            Self::AtLeast => left >= right,
            Self::Equal => (left - right).abs() < 1e-9,
        }
    }
}

impl Scenario {
    /// Reads a scenario.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        if text.len() > MAX_FILE {
            return Err(content("the file is longer than 256 kB"));
        }
        let file: read::File = toml::from_str(text)?;
        file.check()
    }

    /// The index of a participant.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.participants.iter().position(|p| p.name == name)
    }
}

fn content(what: impl Into<String>) -> ScenarioError {
    ScenarioError::Content(what.into())
}

impl Expectation {
    /// Reads `path <= value`, `path >= value` or `path == value`.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let words: Vec<_> = text.split_whitespace().collect();
        let [path, compare, value] = words.as_slice() else {
            return Err(content(format!("{text:?}: write `path <= number`")));
        };
        let compare = match *compare {
            "<=" => Compare::AtMost,
            ">=" => Compare::AtLeast,
            "==" => Compare::Equal,
            other => return Err(content(format!("{text:?}: {other} is not <=, >= or =="))),
        };
        let value =
            value.parse().map_err(|_| content(format!("{text:?}: {value} is no number")))?;
        let path = path.split('.').map(str::to_owned).collect();
        Ok(Self { text: text.to_owned(), path, compare, value, why: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str =
        "name='x'\nseconds=10\n[[participant]]\nname='ada'\n[[participant]]\nname='ben'\n";

    #[test]
    fn defaults_reach_every_link_and_paths_override_them() {
        let text = format!(
            "{TWO}[link]\ndelay_ms=50\nloss_pct=5\n[[path]]\nfrom='ben'\nto='ada'\nloss_pct=20\n"
        );
        let scenario = Scenario::parse(&text).unwrap();
        let link = |pair| scenario.links.iter().find(|(p, _)| *p == pair).unwrap().1;
        assert_eq!(link((0, 1)).loss_pct, Some(5.0));
        assert_eq!(link((1, 0)).loss_pct, Some(20.0));
        assert_eq!(link((1, 0)).delay_ms, Some(50.0));
    }

    #[test]
    fn a_link_change_without_ends_is_for_all_pairs() {
        let text = format!(
            "{TWO}[[at]]\ns=3\nlink={{rate_kbps=300}}\n[[at]]\ns=1\nwho='ben'\naction='mute'\n"
        );
        let scenario = Scenario::parse(&text).unwrap();
        assert_eq!(scenario.timeline.len(), 3);
        assert_eq!(scenario.timeline[0].change, Change::Act(1, Action::Mute));
    }

    #[test]
    fn a_line_of_ones_own_may_change_later() {
        let text =
            format!("{TWO}up_kbps=1000\nup_queue_ms=300\n[[at]]\ns=3\nwho='ben'\nup_kbps=200\n");
        let scenario = Scenario::parse(&text).unwrap();
        let access = scenario.participants[1].access;
        assert_eq!((access.up_kbps, access.up_queue_ms), (Some(1000.0), Some(300.0)));
        assert_eq!(scenario.participants[0].access, AccessSpec::default());
        let Change::Access(1, later) = scenario.timeline[0].change else { panic!("ben's line") };
        assert_eq!(later.over(access).up_queue_ms, Some(300.0));
        assert_eq!(later.over(access).up_kbps, Some(200.0));
    }

    #[test]
    fn who_is_stopped_goes_on_and_not_twice() {
        let at = |s: u32, action: &str| format!("[[at]]\ns={s}\nwho='ben'\naction='{action}'\n");
        let parse = |text: &[String]| Scenario::parse(&format!("{TWO}{}", text.concat()));
        assert!(parse(&[at(4, "resume"), at(2, "suspend"), at(6, "suspend")]).is_ok());
        for text in [vec![at(4, "resume")], vec![at(4, "suspend"), at(5, "suspend")]] {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains("\"ben\""), "{error}");
        }
        let error = parse(&[at(4, "suspend"), at(5, "mute")]).unwrap_err().to_string();
        assert!(error.contains("is stopped"), "{error}");
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        for (text, reason) in [
            ("name='x'\nseconds=10\nparticipant=[]", "2 to 16"),
            (&format!("{TWO}[link]\nloss_pct=120\n"), "between 0 and 100"),
            (&format!("{TWO}[link]\nspeed=3\n"), "unknown field"),
            (&format!("{TWO}[expect]\nall=['a < 3']\n"), "is not <="),
            (&format!("{TWO}[[at]]\ns=1\nwho='eve'\naction='mute'\n"), "no participant"),
            (&TWO.replace("seconds=10", "seconds=-1"), "between 0 and 86400"),
            (&TWO.replace("'ben'", "'ada'"), "two participants"),
            (&format!("{TWO}clock_ppm=5000\n"), "clock_ppm"),
            (&format!("{TWO}[[flow]]\nfrom='ada'\nto='ada'\n"), "from and to are the same"),
            (&format!("{TWO}[[flow]]\nfrom='ada'\nto='eve'\n"), "no participant"),
            (&format!("{TWO}[[flow]]\nfrom='ada'\nto='ben'\nat=5\nuntil=4\n"), "[[flow]] at"),
            (&format!("{TWO}up_kbps=-5\n"), "not negative"),
            (&format!("{TWO}up_queue_ms=300\n"), "a queue needs its rate"),
            (&format!("{TWO}[[at]]\ns=1\nwho='ben'\nup_kbps=100\naction='mute'\n"), "needs who"),
            (&format!("{TWO}[[at]]\ns=1\nup_kbps=100\n"), "needs who"),
        ] {
            let error = Scenario::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
