//! Scenarios: who calls, over what network, what happens when, and what is expected of it.
//!
//! A scenario is a TOML file; `examples/scenarios/` has one per claim. Times are seconds since the
//! start of the call. Links are directed: `from → to`; what a link leaves out it takes from `[link]`.
//!
//! ```toml
//! name = "loss-5"
//! seconds = 30
//!
//! [[participant]]
//! name = "ada"            # the first participant is the host
//! [[participant]]
//! name = "ben"
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
//! [expect]
//! all = ["audio.concealed_pct <= 0.3", "video.on_time_pct >= 99.5"]
//! ```

use crate::config::{AudioSpec, VideoSpec, parse_tile};
use crate::media::frame::Size;
use serde::Deserialize;

/// Most participants of a scenario: a group has at most 16 members.
const MAX_PARTICIPANTS: usize = 16;
/// Longest scenario, in seconds (a day).
const MAX_SECONDS: f64 = 86_400.0;
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
    /// Spans measured on their own.
    pub windows: Vec<Window>,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    seconds: f64,
    #[serde(default)]
    seed: u64,
    participant: Vec<FileParticipant>,
    #[serde(default)]
    link: LinkSpec,
    #[serde(default)]
    path: Vec<FilePath>,
    #[serde(default)]
    at: Vec<FileMoment>,
    #[serde(default)]
    window: Vec<Window>,
    #[serde(default)]
    expect: FileExpect,
    #[serde(default)]
    short: Vec<FileShort>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileParticipant {
    name: String,
    video: Option<String>,
    audio: Option<String>,
    tile: Option<String>,
    fps: Option<f64>,
    #[serde(default)]
    constant_rate: bool,
    join_at: Option<f64>,
}

#[derive(Deserialize)]
struct FilePath {
    from: String,
    to: String,
    #[serde(flatten)]
    link: LinkSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileMoment {
    s: f64,
    who: Option<String>,
    action: Option<Action>,
    remove: Option<String>,
    from: Option<String>,
    to: Option<String>,
    link: Option<LinkSpec>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileExpect {
    #[serde(default)]
    all: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileShort {
    expect: String,
    why: String,
}

impl Scenario {
    /// Reads a scenario.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        if text.len() > MAX_FILE {
            return Err(content("the file is longer than 256 kB"));
        }
        let file: File = toml::from_str(text)?;
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

impl File {
    fn check(self) -> Result<Scenario, ScenarioError> {
        if !(self.seconds > 0.0 && self.seconds <= MAX_SECONDS) {
            return Err(content("seconds: between 0 and 86400"));
        }
        let participants =
            self.participant.iter().map(FileParticipant::check).collect::<Result<Vec<_>, _>>()?;
        if participants.len() < 2 || participants.len() > MAX_PARTICIPANTS {
            return Err(content("a scenario needs 2 to 16 [[participant]]s"));
        }
        for (i, p) in participants.iter().enumerate() {
            if participants.iter().take(i).any(|q| q.name == p.name) {
                return Err(content(format!("two participants are called {:?}", p.name)));
            }
        }
        let who = |name: &str| {
            participants
                .iter()
                .position(|p| p.name == name)
                .ok_or_else(|| content(format!("there is no participant {name:?}")))
        };
        let mut links = Vec::new();
        for from in 0..participants.len() {
            for to in 0..participants.len() {
                if from != to {
                    links.push(((from, to), self.link));
                }
            }
        }
        for path in &self.path {
            let pair = (who(&path.from)?, who(&path.to)?);
            let link = links.iter_mut().find(|(p, _)| *p == pair);
            let (_, spec) = link.ok_or_else(|| content("[[path]] from and to are the same"))?;
            *spec = path.link.over(*spec);
        }
        for (_, spec) in &links {
            check_link(spec)?;
        }
        let on_stage = |s: &f64| (0.0..=MAX_SECONDS).contains(s);
        if self.window.iter().any(|w| !on_stage(&w.from) || !on_stage(&w.to)) {
            return Err(content("[[window]] from and to: between 0 and 86400"));
        }
        let mut timeline = Vec::new();
        for moment in &self.at {
            if !on_stage(&moment.s) {
                return Err(content("[[at]] s: between 0 and 86400"));
            }
            let changes = moment.check(&who, participants.len())?;
            timeline.extend(changes.into_iter().map(|change| Moment { s: moment.s, change }));
        }
        timeline.sort_by(|a, b| a.s.total_cmp(&b.s));
        let expect =
            self.expect.all.iter().map(|t| Expectation::parse(t)).collect::<Result<_, _>>()?;
        let short = self
            .short
            .into_iter()
            .map(|s| Ok(Expectation { why: Some(s.why), ..Expectation::parse(&s.expect)? }))
            .collect::<Result<_, ScenarioError>>()?;
        Ok(Scenario {
            name: self.name,
            seconds: self.seconds,
            seed: self.seed,
            participants,
            links,
            timeline,
            windows: self.window,
            expect,
            short,
        })
    }
}

fn check_link(spec: &LinkSpec) -> Result<(), ScenarioError> {
    let percents = [spec.loss_pct, spec.burst_pct, spec.reorder_pct, spec.duplicate_pct];
    if percents.iter().flatten().any(|p| !(0.0..=100.0).contains(p)) {
        return Err(content("percentages lie between 0 and 100"));
    }
    let amounts = [spec.delay_ms, spec.jitter_ms, spec.burst_ms, spec.rate_kbps, spec.queue_ms];
    if amounts.iter().flatten().any(|a| !(0.0..=1e9).contains(a)) {
        return Err(content("times and rates are not negative"));
    }
    Ok(())
}

impl FileParticipant {
    fn check(&self) -> Result<Participant, ScenarioError> {
        let bad = |e: &dyn std::fmt::Display| content(format!("participant {:?}: {e}", self.name));
        if self.name.len() < 2 || !self.name.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(bad(&"a name is two or more letters and digits"));
        }
        let video = self.video.as_deref().unwrap_or("pattern");
        let audio = self.audio.as_deref().unwrap_or("voice");
        let fps = self.fps.unwrap_or(15.0);
        if !(1.0..=60.0).contains(&fps) {
            return Err(bad(&"fps lies between 1 and 60"));
        }
        let join_at = self.join_at.unwrap_or(0.0);
        if !(0.0..=MAX_SECONDS).contains(&join_at) {
            return Err(bad(&"join_at lies between 0 and 86400"));
        }
        Ok(Participant {
            name: self.name.clone(),
            video: video.parse().map_err(|e| bad(&e))?,
            audio: audio.parse().map_err(|e| bad(&e))?,
            tile: parse_tile(self.tile.as_deref().unwrap_or("160x96")).map_err(|e| bad(&e))?,
            decifps: (fps * 10.0).round() as u16,
            constant_rate: self.constant_rate,
            join_at,
        })
    }
}

impl FileMoment {
    fn check(
        &self,
        who: &dyn Fn(&str) -> Result<usize, ScenarioError>,
        n: usize,
    ) -> Result<Vec<Change>, ScenarioError> {
        match (&self.who, self.action, &self.remove, &self.link) {
            (Some(name), Some(action), None, None) => Ok(vec![Change::Act(who(name)?, action)]),
            (Some(by), None, Some(name), None) => {
                Ok(vec![Change::Remove { by: who(by)?, who: who(name)? }])
            }
            (None, None, None, Some(link)) => {
                check_link(link)?;
                let from = self.from.as_deref().map(who).transpose()?;
                let to = self.to.as_deref().map(who).transpose()?;
                let mut changes = Vec::new();
                for a in 0..n {
                    for b in 0..n {
                        if a != b && from.is_none_or(|f| f == a) && to.is_none_or(|t| t == b) {
                            changes.push(Change::Link((a, b), *link));
                        }
                    }
                }
                Ok(changes)
            }
            _ => Err(content(format!(
                "[[at]] s = {}: needs who and action, who and remove, or link (with from and to, if not for all)",
                self.s
            ))),
        }
    }
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
    fn nonsense_is_refused_with_its_reason() {
        for (text, reason) in [
            ("name='x'\nseconds=10\nparticipant=[]", "2 to 16"),
            (&format!("{TWO}[link]\nloss_pct=120\n"), "between 0 and 100"),
            (&format!("{TWO}[link]\nspeed=3\n"), "unknown field"),
            (&format!("{TWO}[expect]\nall=['a < 3']\n"), "is not <="),
            (&format!("{TWO}[[at]]\ns=1\nwho='eve'\naction='mute'\n"), "no participant"),
            (&TWO.replace("seconds=10", "seconds=-1"), "between 0 and 86400"),
            (&TWO.replace("'ben'", "'ada'"), "two participants"),
        ] {
            let error = Scenario::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
