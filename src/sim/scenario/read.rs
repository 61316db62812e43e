//! The file of a scenario: its shape, and what of it makes sense.

use super::{
    AccessSpec, Action, Change, Expectation, FlowSpec, LinkSpec, MAX_PARTICIPANTS, MAX_SECONDS,
    Moment, Participant, Scenario, ScenarioError, Window, content,
};
use crate::config::parse_tile;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    name: String,
    seconds: f64,
    #[serde(default)]
    seed: u64,
    repeat_s: Option<f64>,
    #[serde(default)]
    soak: bool,
    participant: Vec<FileParticipant>,
    #[serde(default)]
    link: LinkSpec,
    #[serde(default)]
    path: Vec<FilePath>,
    #[serde(default)]
    at: Vec<FileMoment>,
    #[serde(default)]
    flow: Vec<FileFlow>,
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
    clock_ppm: Option<f64>,
    up_kbps: Option<f64>,
    up_queue_ms: Option<f64>,
    down_kbps: Option<f64>,
    down_queue_ms: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileFlow {
    from: String,
    to: String,
    at: Option<f64>,
    until: Option<f64>,
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
    up_kbps: Option<f64>,
    up_queue_ms: Option<f64>,
    down_kbps: Option<f64>,
    down_queue_ms: Option<f64>,
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

impl File {
    pub(super) fn check(self) -> Result<Scenario, ScenarioError> {
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
        if let Some(every) = self.repeat_s
            && !(timeline.last().map_or(0.0, |moment| moment.s) < every && every <= MAX_SECONDS)
        {
            return Err(content("repeat_s: later than the last [[at]]"));
        }
        check_stops(&timeline, &participants)?;
        if self.flow.len() > MAX_PARTICIPANTS {
            return Err(content("at most 16 [[flow]]s"));
        }
        let flows = self.flow.iter().map(|flow| {
            let (at, until) = (flow.at.unwrap_or(0.0), flow.until.unwrap_or(self.seconds));
            if !(on_stage(&at) && on_stage(&until) && at < until) {
                return Err(content("[[flow]] at and until: between 0 and 86400, in this order"));
            }
            match (who(&flow.from)?, who(&flow.to)?) {
                (from, to) if from == to => Err(content("[[flow]] from and to are the same")),
                (from, to) => Ok(FlowSpec { from, to, at, until }),
            }
        });
        let flows = flows.collect::<Result<_, _>>()?;
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
            flows,
            windows: self.window,
            repeat: self.repeat_s,
            soak: self.soak,
            expect,
            short,
        })
    }
}

/// Whoever is stopped does nothing until it goes on.
fn check_stops(timeline: &[Moment], participants: &[Participant]) -> Result<(), ScenarioError> {
    for (index, participant) in participants.iter().enumerate() {
        let mut stopped = false;
        for moment in timeline {
            let action = match moment.change {
                Change::Act(who, action) if who == index => action,
                Change::Remove { by, .. } if by == index => Action::Leave,
                _ => continue,
            };
            let complain = |why: &str| {
                let what = format!("[[at]] s = {}: {:?} {why}", moment.s, participant.name);
                Err(content(what))
            };
            match (action, stopped) {
                (Action::Suspend, true) => return complain("is stopped already"),
                (Action::Resume, false) => return complain("is not stopped"),
                (Action::Suspend | Action::Resume, _) => stopped = !stopped,
                // The network moves around it all the same.
                (Action::ChangeAddress | Action::NatRebind, _) | (_, false) => {}
                (_, true) => return complain("is stopped and can't do that"),
            }
        }
    }
    Ok(())
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

/// What a participant's own line is from the start.
fn check_access(spec: &AccessSpec) -> Result<(), ScenarioError> {
    check_amounts(spec)?;
    let alone = |rate: Option<f64>, queue: Option<f64>| rate.is_none() && queue.is_some();
    if alone(spec.up_kbps, spec.up_queue_ms) || alone(spec.down_kbps, spec.down_queue_ms) {
        return Err(content("a queue needs its rate: up_kbps for up_queue_ms, down_kbps likewise"));
    }
    Ok(())
}

fn check_amounts(spec: &AccessSpec) -> Result<(), ScenarioError> {
    let AccessSpec { up_kbps, up_queue_ms, down_kbps, down_queue_ms } = *spec;
    let amounts = [up_kbps, up_queue_ms, down_kbps, down_queue_ms];
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
        if self.clock_ppm.is_some_and(|ppm| !(-1000.0..=1000.0).contains(&ppm)) {
            return Err(bad(&"clock_ppm lies between -1000 and 1000"));
        }
        let access = AccessSpec {
            up_kbps: self.up_kbps,
            up_queue_ms: self.up_queue_ms,
            down_kbps: self.down_kbps,
            down_queue_ms: self.down_queue_ms,
        };
        check_access(&access).map_err(|e| bad(&e))?;
        Ok(Participant {
            name: self.name.clone(),
            video: video.parse().map_err(|e| bad(&e))?,
            audio: audio.parse().map_err(|e| bad(&e))?,
            tile: parse_tile(self.tile.as_deref().unwrap_or("160x96")).map_err(|e| bad(&e))?,
            decifps: (fps * 10.0).round() as u16,
            constant_rate: self.constant_rate,
            join_at,
            access,
            clock_ppm: self.clock_ppm,
        })
    }
}

impl FileMoment {
    fn check(
        &self,
        who: &dyn Fn(&str) -> Result<usize, ScenarioError>,
        n: usize,
    ) -> Result<Vec<Change>, ScenarioError> {
        let access = self.access();
        match (&self.who, self.action, &self.remove, &self.link) {
            (Some(name), None, None, None) if access != AccessSpec::default() => {
                check_amounts(&access)?;
                Ok(vec![Change::Access(who(name)?, access)])
            }
            _ if access != AccessSpec::default() => Err(self.shapeless()),
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
            _ => Err(self.shapeless()),
        }
    }

    fn access(&self) -> AccessSpec {
        AccessSpec {
            up_kbps: self.up_kbps,
            up_queue_ms: self.up_queue_ms,
            down_kbps: self.down_kbps,
            down_queue_ms: self.down_queue_ms,
        }
    }

    fn shapeless(&self) -> ScenarioError {
        content(format!(
            "[[at]] s = {}: needs who and action, who and remove, who and up_kbps (or another \
             figure of its own line), or link (with from and to, if not for all)",
            self.s
        ))
    }
}
