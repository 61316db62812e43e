//! What a simulated call was like: one JSON value, the same bytes for the same binary, machine and
//! seed (keys beginning with `cpu` apart).
//!
//! Figures are rounded where they are made, so that they read well and compare exactly. Nothing in
//! here is derived from keys.

use super::scenario::{Compare, Expectation, Scenario};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Version of the report's shape.
pub const VERSION: u32 = 1;

/// A whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The scenario's name.
    pub scenario: String,
    /// The seed used.
    pub seed: u64,
    /// `virtual` or `real`.
    pub clock: &'static str,
    /// Every expectation held.
    pub ok: bool,
    /// Expectations that did not hold, with the value met.
    pub failures: Vec<String>,
    /// Expectations known not to hold yet, with the value met and the reason.
    pub short: Vec<String>,
    /// Expectations under `[short]` that held: move them.
    pub unexpected: Vec<String>,
    /// Who took part.
    pub participants: Vec<ParticipantReport>,
    /// Changes of the group that somebody asked for.
    pub changes: Vec<ChangeReport>,
    /// Downloads beside the call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flows: Vec<FlowReport>,
    /// What a long call left behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soak: Option<SoakReport>,
    /// What the taps saw.
    pub tap: TapReport,
}

/// One participant.
#[derive(Clone, Debug, Serialize)]
pub struct ParticipantReport {
    /// Name in the scenario.
    pub name: String,
    /// Epoch at the end.
    pub epoch: u64,
    /// Numbers it has had in the group: one, unless it was given up and came back.
    pub seats: u64,
    /// Cipher suite of the group.
    pub suite: &'static str,
    /// The call words were the same for all that were in the call with this one.
    pub call_words_agree: bool,
    /// From admission to the first remote picture, in ms; `None`: no picture.
    pub first_picture_ms: Option<f64>,
    /// On the wire, UDP payload.
    pub wire: WireReport,
    /// CPU time of the whole process per second of the call, in ms, shared by all participants.
    pub cpu_ms_per_s: f64,
    /// Its sound card, if it has one with a clock of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<CardReport>,
    /// What was received of each other participant.
    pub received: Vec<ReceivedReport>,
}

/// Rates of UDP payload.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct WireReport {
    /// Sent, kbit/s.
    pub up_kbps: f64,
    /// Received, kbit/s.
    pub down_kbps: f64,
    /// Datagrams sent.
    pub packets: u64,
}

/// One direction.
#[derive(Clone, Debug, Serialize)]
pub struct ReceivedReport {
    /// From whom.
    pub from: String,
    /// Pictures.
    pub video: VideoReport,
    /// Sound.
    pub audio: AudioReport,
    /// How far sound and picture of one moment are apart at the outputs, in ms, whichever comes
    /// first; percentiles over all pictures.
    pub av_skew_ms: Percentiles,
    /// How long the sender counted as lost, in ms.
    pub away_ms: f64,
    /// The same for the scenario's windows.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub windows: BTreeMap<String, WindowReport>,
}

/// Pictures of one direction.
#[derive(Clone, Debug, Default, Serialize)]
pub struct VideoReport {
    /// Coded for this receiver.
    pub frames_sent: u64,
    /// Handed to the sink.
    pub frames_painted: u64,
    /// Of those sent, painted within 400 ms of capture, in percent.
    pub on_time_pct: f64,
    /// Capture to sink.
    pub latency_ms: Percentiles,
    /// Gaps longer than max(3 × mean, mean + 150 ms) (W3C webrtc-stats, freezeCount).
    pub freezes_per_min: f64,
    /// Longest gap between pictures, in ms.
    pub longest_gap_ms: f64,
    /// Painted pictures per second.
    pub fps: f64,
    /// Mean luma SSIM against the source scaled to the tile.
    pub ssim: f64,
    /// Size of the last picture.
    pub size: String,
    /// Coded bits, kbit/s.
    pub kbps: f64,
}

/// Sound of one direction.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AudioReport {
    /// Capture to playout, mouth to ear without devices.
    pub latency_ms: Percentiles,
    /// Played time made up because nothing was there, in percent.
    pub concealed_pct: f64,
    /// Played time recovered from the coarse copies in later packets (LBRR), in percent.
    pub recovered_pct: f64,
    /// Played time spoken again from the deep redundancy of later packets (DRED), in percent.
    pub dred_pct: f64,
    /// Longest time without sound that was not made up, in ms.
    pub longest_gap_ms: f64,
    /// Short-time objective intelligibility against the source, 0…1; `None`: nothing spoken.
    pub stoi: Option<f64>,
    /// Coded bits, kbit/s.
    pub kbps: f64,
}

/// One window of one direction.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WindowReport {
    /// Sound latency.
    pub audio_latency_ms: Percentiles,
    /// Picture latency.
    pub video_latency_ms: Percentiles,
    /// Painted pictures per second.
    pub fps: f64,
    /// Coded video bits, kbit/s.
    pub video_kbps: f64,
    /// Sound made up, in percent.
    pub concealed_pct: f64,
    /// Longest time without sound that was not made up, in ms.
    pub audio_gap_ms: f64,
    /// Longest time between two pictures, in ms.
    pub video_gap_ms: f64,
    /// Sound played that was more than 600 ms old, in ms.
    pub stale_sound_ms: u64,
    /// Pictures shown that were as old.
    pub stale_pictures: u64,
    /// Freezes that touch the window.
    pub freezes: u64,
    /// From the window's beginning until sound was played that was captured in it, in ms; `None`:
    /// never.
    pub fresh_sound_ms: Option<f64>,
    /// The same of a picture.
    pub fresh_picture_ms: Option<f64>,
}

/// One change of the group.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeReport {
    /// `join`, `leave`, `remove` or `rekey`.
    pub what: &'static str,
    /// The epoch it led to.
    pub epoch: u64,
    /// Members of that epoch.
    pub members: usize,
    /// When it was asked for: a proven knock reached who lets in, or a member said so; seconds.
    pub s: f64,
    /// From there to the commit, in ms; of another member's wish, its way to the sequencer too.
    pub committed_ms: f64,
    /// … until the last member was in the epoch; `None`: one never was.
    pub entered_ms: Option<f64>,
    /// … until the last member sealed its first frame in it.
    pub sealing_ms: Option<f64>,
    /// Most sound made up between two members within 1.5 s, in ms.
    pub concealed_ms: u64,
}

/// A simulated sound card.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CardReport {
    /// Between microphone and program.
    pub mic: RingReport,
    /// Between program and loudspeaker.
    pub speaker: RingReport,
}

/// What happened between a card and the program.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct RingReport {
    /// Times the one who takes found nothing.
    pub underruns: u64,
    /// Sound thrown away because it piled up, in ms.
    pub skipped_ms: f64,
    /// Shortest wait of sound in between, in ms, after the first ten seconds.
    pub least_ms: f64,
    /// Longest wait.
    pub most_ms: f64,
    /// How far they are apart.
    pub swing_ms: f64,
}

/// A download beside the call.
#[derive(Clone, Debug, Serialize)]
pub struct FlowReport {
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: String,
    /// Delivered, headers included, kbit/s.
    pub kbps: f64,
    /// Packets lost, in percent.
    pub lost_pct: f64,
    /// Longest round trip, in ms: what it made of the queue.
    pub longest_round_trip_ms: f64,
}

/// A long call, quarter by quarter, and its last quarter compared with the first; memory, where tables with
/// a bound fill, with the third.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SoakReport {
    /// The quarters.
    pub quarters: Vec<QuarterReport>,
    /// Largest change of the sound's calm latency in any direction since the first quarter, in ms.
    pub sound_drift_ms: f64,
    /// Tasks more at the end than after the first quarter.
    pub tasks_more: i64,
    /// Connections more.
    pub links_more: i64,
    /// Memory more than after the third quarter, in percent; below 0: less.
    pub cpu_memory_more_pct: f64,
}

/// One quarter of a long call.
#[derive(Clone, Debug, Default, Serialize)]
pub struct QuarterReport {
    /// When it ended, in seconds.
    pub until_s: f64,
    /// Tasks alive at its end.
    pub tasks: usize,
    /// Connections open then, at both ends.
    pub links: usize,
    /// Memory in use then, in kB, after what was noted of the quarter was forgotten: resident, or as
    /// counted by the caller.
    pub cpu_memory_kb: u64,
    /// Directions between those who were there.
    pub directions: Vec<QuarterDirection>,
}

/// One direction in one quarter.
#[derive(Clone, Debug, Default, Serialize)]
pub struct QuarterDirection {
    /// To whom.
    pub to: String,
    /// From whom.
    pub from: String,
    /// Lower quartile of the sound's latency, in ms: what adds up lifts it, whatever share of a quarter is
    /// rough. (The median lies between two waits where that is half of it.)
    pub sound_ms: f64,
    /// Sound made up, in percent.
    pub concealed_pct: f64,
    /// Painted pictures per second.
    pub fps: f64,
    /// Freezes.
    pub freezes: u64,
}

impl SoakReport {
    /// Compares the last quarter with the first and, for memory, with the third.
    pub fn of(quarters: Vec<QuarterReport>) -> Self {
        let [first, .., third, last] = quarters.as_slice() else { return Self::default() };
        let more = |of: fn(&QuarterReport) -> usize| of(last) as i64 - of(first) as i64;
        let before = |d: &QuarterDirection| {
            first.directions.iter().find(|f| (&f.to, &f.from) == (&d.to, &d.from))
        };
        let drift = |d: &QuarterDirection| before(d).map(|f| (d.sound_ms - f.sound_ms).abs());
        let memory = last.cpu_memory_kb as f64 / third.cpu_memory_kb.max(1) as f64;
        Self {
            sound_drift_ms: round(last.directions.iter().filter_map(drift).fold(0.0, f64::max), 1),
            tasks_more: more(|q| q.tasks),
            links_more: more(|q| q.links),
            cpu_memory_more_pct: round((memory - 1.0) * 100.0, 1),
            quarters,
        }
    }
}

/// Percentiles of a set of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

/// What the taps saw of the whole call.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct TapReport {
    /// UDP datagrams.
    pub packets: u64,
    /// Bytes of UDP payload.
    pub bytes: u64,
    /// Needles found in the bytes before the seal and in the planted buffer: must not be 0.
    pub control_hits: u64,
    /// Needles found on the line and in what QUIC delivered: must be 0.
    pub plaintext_hits: u64,
    /// Of the UDP payload; rounded down to one place, so that nothing of the keys shows.
    pub entropy_bits_per_byte: f64,
}

/// Rounds to `places` decimals.
pub fn round(value: f64, places: i32) -> f64 {
    let factor = 10f64.powi(places);
    (value * factor).round() / factor
}

impl Percentiles {
    /// Of `values` (any order; NaN-free), to one decimal. Empty: all zero.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let index = ((sorted.len() as f64 * share).ceil() as usize).max(1) - 1;
            sorted.get(index.min(sorted.len().saturating_sub(1))).map_or(0.0, |v| round(*v, 1))
        };
        Self { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1.0) }
    }
}

impl Report {
    /// Compares the figures with what the scenario expects and fills `ok`, `failures`, `short` and
    /// `unexpected`.
    pub fn judge(&mut self, scenario: &Scenario) {
        let value = serde_json::to_value(&*self).unwrap_or(Value::Null);
        for expectation in &scenario.expect {
            for (place, met) in failures(&value, expectation) {
                self.failures.push(format!("{}: {place} is {met}", expectation.text));
            }
        }
        for expectation in &scenario.short {
            let missed = failures(&value, expectation);
            let why = expectation.why.as_deref().unwrap_or("no reason given");
            if missed.is_empty() {
                self.unexpected.push(format!("{} holds ({why})", expectation.text));
            }
            for (place, met) in missed {
                self.short.push(format!("{}: {place} is {met} ({why})", expectation.text));
            }
        }
        self.ok = self.failures.is_empty();
    }
}

/// Where the expectation does not hold, and what was met there.
fn failures(report: &Value, expectation: &Expectation) -> Vec<(String, String)> {
    let places = places(report, &expectation.path);
    if places.is_empty() {
        return vec![(expectation.path.join("."), "not in the report".into())];
    }
    places
        .into_iter()
        .filter(|(_, value)| !holds(value, expectation.compare, expectation.value))
        .map(|(place, value)| (place, value.to_string()))
        .collect()
}

fn holds(value: &Value, compare: Compare, wanted: f64) -> bool {
    let number = match value {
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        other => other.as_f64(),
    };
    number.is_some_and(|n| compare.holds(n, wanted))
}

/// All values that a path stands for, each with its full name.
fn places<'a>(report: &'a Value, path: &[String]) -> Vec<(String, &'a Value)> {
    let Some((first, rest)) = path.split_first() else { return Vec::new() };
    if first == "tap" {
        return dig(&report["tap"], rest).map(|v| (path.join("."), v)).into_iter().collect();
    }
    if first == "soak" {
        return dig(&report["soak"], rest).map(|v| (path.join("."), v)).into_iter().collect();
    }
    if first == "flows" {
        let flows = report["flows"].as_array().map(Vec::as_slice).unwrap_or_default();
        return flows.iter().filter_map(|f| Some((path.join("."), dig(f, rest)?))).collect();
    }
    let everybody = report["participants"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(one) = everybody.iter().find(|p| p["name"] == first.as_str()) {
        return within(one, rest);
    }
    everybody.iter().flat_map(|p| within(p, path)).collect()
}

/// In one participant: a figure of its own, or one of each direction.
fn within<'a>(participant: &'a Value, path: &[String]) -> Vec<(String, &'a Value)> {
    let name = participant["name"].as_str().unwrap_or_default();
    if let Some(value) = dig(participant, path) {
        return vec![(format!("{name}.{}", path.join(".")), value)];
    }
    let received = participant["received"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (only, path) = match path {
        [from, who, rest @ ..] if from == "from" => (Some(who), rest),
        path => (None, path),
    };
    received
        .iter()
        .filter(|r| only.is_none_or(|who| r["from"] == who.as_str()))
        .filter_map(|r| {
            let from = r["from"].as_str().unwrap_or_default();
            Some((format!("{name}.from.{from}.{}", path.join(".")), dig(r, path)?))
        })
        .collect()
}

fn dig<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |v, key| v.get(key)).filter(|v| !v.is_object())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let received = |from: &str, p95| ReceivedReport {
            from: from.into(),
            video: VideoReport::default(),
            audio: AudioReport {
                latency_ms: Percentiles { p95, ..Percentiles::default() },
                ..AudioReport::default()
            },
            av_skew_ms: Percentiles::default(),
            away_ms: 0.0,
            windows: BTreeMap::new(),
        };
        let participant = |name: &str, from: &str, p95| ParticipantReport {
            name: name.into(),
            epoch: 1,
            seats: 1,
            suite: "x",
            call_words_agree: true,
            first_picture_ms: Some(1.0),
            wire: WireReport::default(),
            cpu_ms_per_s: 0.0,
            card: None,
            received: vec![received(from, p95)],
        };
        Report {
            version: VERSION,
            scenario: "x".into(),
            seed: 1,
            clock: "virtual",
            ok: true,
            failures: vec![],
            short: vec![],
            unexpected: vec![],
            participants: vec![participant("ada", "ben", 80.0), participant("ben", "ada", 120.0)],
            changes: Vec::new(),
            flows: Vec::new(),
            soak: None,
            tap: TapReport { control_hits: 5, ..TapReport::default() },
        }
    }

    fn judged(expect: &[&str], short: &[&str]) -> Report {
        let toml =
            "name='x'\nseconds=1\n[[participant]]\nname='ada'\n[[participant]]\nname='ben'\n";
        let mut scenario = Scenario::parse(toml).unwrap();
        scenario.expect = expect.iter().map(|t| Expectation::parse(t).unwrap()).collect();
        scenario.short = short.iter().map(|t| Expectation::parse(t).unwrap()).collect();
        let mut report = report();
        report.judge(&scenario);
        report
    }

    #[test]
    fn an_expectation_holds_for_every_direction_or_fails_by_name() {
        let report = judged(&["audio.latency_ms.p95 <= 100"], &[]);
        assert!(!report.ok);
        assert_eq!(report.failures.len(), 1);
        assert!(report.failures[0].contains("ben.from.ada"), "{:?}", report.failures);
        assert!(judged(&["ada.audio.latency_ms.p95 <= 100"], &[]).ok);
        assert!(judged(&["ben.from.ada.audio.latency_ms.p95 == 120"], &[]).ok);
    }

    #[test]
    fn a_misspelt_path_is_a_failure() {
        assert!(!judged(&["audio.latncy_ms.p95 <= 100"], &[]).ok);
        assert!(!judged(&["tap.nothing == 0"], &[]).ok);
    }

    #[test]
    fn short_is_printed_and_an_unexpected_pass_is_reported() {
        let report =
            judged(&["tap.control_hits >= 1"], &["audio.latency_ms.p95 <= 100", "epoch == 1"]);
        assert!(report.ok);
        assert_eq!(report.short.len(), 1);
        assert_eq!(report.unexpected.len(), 1);
    }

    #[test]
    fn percentiles_of_known_values() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let p = Percentiles::of(&values);
        assert_eq!((p.p50, p.p95, p.p99, p.max), (50.0, 95.0, 99.0, 100.0));
        assert_eq!(Percentiles::of(&[]), Percentiles::default());
    }
}
