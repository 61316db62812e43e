//! Figures of one direction: what one participant received of another.

use super::Sent;
use crate::media::frame::Size;
use crate::media::playout::JitterStats;
use crate::sim::report::{AudioReport, Percentiles, VideoReport, WindowReport, round};
use std::collections::BTreeSet;

/// A picture is in time when shown this long after its capture, in µs.
const IN_TIME: u64 = 400_000;
/// Frames over which the mean distance is taken (W3C webrtc-stats, freezeCount).
const MEAN_OF: usize = 30;
/// Sound and pictures older than this come from another time, in µs.
const STALE: u64 = 600_000;
/// Sound is played in blocks of this length, in µs.
const BLOCK_US: u64 = 10_000;

/// Everything noted about one direction. Times are µs since the beginning of the call.
#[derive(Clone, Debug, Default)]
pub struct Direction {
    shown: Vec<Shown>,
    heard: Vec<Latency>,
    skew: Vec<f64>,
    likeness: Vec<f64>,
    repairs: Vec<Repairs>,
    size: Option<Size>,
    zero: Option<u64>,
    /// Sound made up so far, as of the last block, in ms.
    concealed_ms: u64,
    /// When the sender counted as lost; open-ended while it does.
    away: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Shown {
    /// Capture.
    captured: u64,
    /// At the sink.
    at: u64,
}

#[derive(Clone, Copy, Debug)]
struct Latency {
    at: u64,
    us: u64,
    /// Not made up.
    real: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Repairs {
    at: u64,
    concealed_ms: u64,
    recovered_ms: u64,
    dred_ms: u64,
}

/// From capture to ear, block by block: capture time and latency in µs, by capture time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ear(Vec<(u64, u64)>);

impl Ear {
    /// When what was captured then is heard, in µs; `None` before the first block.
    pub fn heard_at(&self, captured: u64) -> Option<u64> {
        let after = self.0.partition_point(|(at, _)| *at <= captured);
        let (_, latency) = self.0.get(after.checked_sub(1)?)?;
        Some(captured + latency)
    }
}

/// Freezes of a stream of pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Freezes {
    /// How many.
    pub count: u64,
    /// Longest time between two pictures, in µs.
    pub longest: u64,
}

/// Freezes among pictures shown at `times`, watched until `end`: gaps of at least max(3 δ,
/// δ + 150 ms), δ being the mean of the last 30 gaps (W3C webrtc-stats). The time from the last
/// picture to the end is a gap too. Gaps that touch a span of `off` – the camera was off – are
/// nobody's fault.
pub fn freezes(times: &[u64], end: u64, off: &[(u64, u64)]) -> Freezes {
    let mut found = Freezes::default();
    for gap in gaps(times, end, off) {
        found.longest = found.longest.max(gap.until - gap.from);
        found.count += u64::from(gap.freeze);
    }
    found
}

/// The time from one picture to the next.
struct Gap {
    from: u64,
    until: u64,
    freeze: bool,
}

fn gaps(times: &[u64], end: u64, off: &[(u64, u64)]) -> Vec<Gap> {
    let mut found = Vec::new();
    let mut recent: Vec<u64> = Vec::new();
    for (i, at) in times.iter().enumerate() {
        let next = times.get(i + 1).copied();
        let until = next.unwrap_or(end).max(*at);
        let gap = until - *at;
        if off.iter().any(|(from, to)| *from < until && *to > *at) {
            recent.clear();
            continue;
        }
        let last = recent.get(recent.len().saturating_sub(MEAN_OF)..).unwrap_or_default();
        let freeze = !last.is_empty() && {
            let mean = last.iter().sum::<u64>() / last.len() as u64;
            gap >= (3 * mean).max(mean + 150_000)
        };
        found.push(Gap { from: *at, until, freeze });
        if next.is_some() {
            recent.push(gap);
        }
    }
    found
}

impl Direction {
    pub(super) fn shown(&mut self, captured: u64, at: u64, size: Size, likeness: Option<f64>) {
        self.shown.push(Shown { captured, at });
        self.size = Some(size);
        self.likeness.extend(likeness);
        if let Some(zero) = self.zero {
            self.skew.push(((zero + captured) as f64 - at as f64) / 1000.0);
        }
    }

    pub(super) fn heard(&mut self, at: u64, latency: u64, concealed_ms: u64) {
        self.zero = Some(latency);
        let real = concealed_ms == std::mem::replace(&mut self.concealed_ms, concealed_ms);
        self.heard.push(Latency { at, us: latency, real });
    }

    /// The sender counts as lost from now on, or no longer.
    pub(super) fn missed(&mut self, lost: bool, at: u64) {
        match self.away.last_mut().filter(|(_, until)| *until == u64::MAX) {
            Some((_, until)) if !lost => *until = at,
            None if lost => self.away.push((at, u64::MAX)),
            _ => {}
        }
    }

    /// How long the sender counted as lost until `end`, in µs.
    pub fn away(&self, end: u64) -> u64 {
        self.away.iter().map(|(from, to)| (*to).min(end).saturating_sub(*from)).sum()
    }

    /// Longest time within a span in which no sound was played that was not made up, in µs; what
    /// came before the first sound is no gap.
    fn silence(&self, from: u64, to: u64) -> u64 {
        let begun = self.heard.first().is_some_and(|first| first.at < from);
        let mut last = begun.then_some(from);
        let mut longest = 0;
        for block in self.heard.iter().filter(|l| l.real && l.at >= from && l.at < to) {
            longest = longest.max(block.at.saturating_sub(last.unwrap_or(block.at)));
            last = Some(block.at + BLOCK_US);
        }
        longest.max(to.saturating_sub(last.unwrap_or(to)))
    }

    /// Lower quartile of the latency of the sound played in a span, in ms: what is waited when nothing
    /// happens.
    pub fn calm_latency(&self, from: u64, to: u64) -> f64 {
        let mut played: Vec<_> =
            self.heard.iter().filter(|l| l.at >= from && l.at < to).map(|l| l.us).collect();
        played.sort_unstable();
        played.get(played.len() / 4).map_or(0.0, |us| round(*us as f64 / 1000.0, 1))
    }

    /// Blocks played in a span whose sound was too old to be an answer to anything.
    fn stale_blocks(&self, from: u64, to: u64) -> u64 {
        let stale = |l: &&Latency| l.at >= from && l.at < to && l.us > STALE;
        self.heard.iter().filter(stale).count() as u64
    }

    /// Pictures shown in a span that were as old, or that nobody captured.
    fn stale_pictures(&self, from: u64, to: u64) -> u64 {
        let stale =
            |s: &&Shown| s.at >= from && s.at < to && s.at.saturating_sub(s.captured) > STALE;
        self.shown.iter().filter(stale).count() as u64
    }

    /// From the beginning of a span until sound was played that was captured in it, in ms.
    fn fresh_sound(&self, from: u64, to: u64) -> Option<f64> {
        let fresh = |l: &&Latency| l.real && l.at < to && l.at.saturating_sub(l.us) >= from;
        self.heard.iter().find(fresh).map(|l| round((l.at - from) as f64 / 1000.0, 1))
    }

    /// The same of a picture.
    fn fresh_picture(&self, from: u64, to: u64) -> Option<f64> {
        let fresh = |s: &&Shown| s.at < to && s.captured >= from;
        self.shown.iter().find(fresh).map(|s| round((s.at - from) as f64 / 1000.0, 1))
    }

    pub(super) fn repaired(&mut self, at: u64, stats: JitterStats) {
        let JitterStats { concealed_ms, recovered_ms, dred_ms, .. } = stats;
        self.repairs.push(Repairs { at, concealed_ms, recovered_ms, dred_ms });
    }

    /// When the first picture was shown.
    pub fn first_shown(&self) -> Option<u64> {
        self.shown.first().map(|s| s.at)
    }

    /// When what was captured is heard.
    pub fn ear(&self) -> Ear {
        let mut blocks: Vec<_> =
            self.heard.iter().map(|l| (l.at.saturating_sub(l.us), l.us)).collect();
        // While sound is made up, time at the ear goes on and capture time doesn't: the last block of
        // a capture time is the real one.
        let mut least = u64::MAX;
        for (captured, _) in blocks.iter_mut().rev() {
            least = least.min(*captured);
            *captured = least;
        }
        Ear(blocks)
    }

    /// Forgets what was noted so far, but not what goes on: counters, an absence.
    pub fn forget(&mut self) {
        let repairs = self.repairs.last().copied();
        (self.shown, self.heard, self.skew, self.likeness) = Default::default();
        self.repairs = repairs.into_iter().collect();
        self.away.retain(|(_, until)| *until == u64::MAX);
    }

    /// First and last time at which sound was played.
    pub fn heard_span(&self) -> Option<(u64, u64)> {
        Some((self.heard.first()?.at, self.heard.last()?.at))
    }

    /// How far sound and picture are apart.
    pub fn skew(&self) -> Percentiles {
        let magnitudes: Vec<_> = self.skew.iter().map(|s| s.abs()).collect();
        Percentiles::of(&magnitudes)
    }

    /// The pictures, of which `sent` were coded for this receiver, watched until `end`.
    pub fn video(&self, sent: &[Sent], end: u64, off: &[(u64, u64)]) -> VideoReport {
        // What was captured at the very end had no time to arrive.
        let due: BTreeSet<u64> =
            sent.iter().map(|s| s.at).filter(|at| at + IN_TIME <= end).collect();
        let shown: Vec<_> = self.shown.iter().copied().filter(|s| s.at <= end).collect();
        let in_time: BTreeSet<u64> = shown
            .iter()
            .filter(|s| s.at.saturating_sub(s.captured) <= IN_TIME && due.contains(&s.captured))
            .map(|s| s.captured)
            .collect();
        let times: Vec<_> = shown.iter().map(|s| s.at).collect();
        let first = times.first().copied().unwrap_or(end);
        let seconds = end.saturating_sub(first) as f64 / 1e6;
        let off_seconds: f64 = off
            .iter()
            .map(|(a, b)| (*b).min(end).saturating_sub((*a).max(first)) as f64 / 1e6)
            .sum();
        let watched = (seconds - off_seconds).max(1e-3);
        let freezes = freezes(&times, end, off);
        let since = sent.first().map_or(end, |s| s.at);
        let coded: f64 = sent.iter().map(|s| f64::from(s.bytes)).sum();
        VideoReport {
            frames_sent: sent.len() as u64,
            frames_painted: shown.len() as u64,
            on_time_pct: match due.len() {
                0 => 0.0,
                n => round(in_time.len() as f64 * 100.0 / n as f64, 2),
            },
            latency_ms: Percentiles::of(&self.latencies(0, end)),
            freezes_per_min: round(freezes.count as f64 * 60.0 / watched, 2),
            longest_gap_ms: round(freezes.longest as f64 / 1000.0, 1),
            fps: round(times.len() as f64 / watched, 2),
            ssim: round(mean(&self.likeness), 4),
            size: self.size.map_or_else(String::new, |s| s.to_string()),
            kbps: round(coded * 8.0 / 1000.0 / span_seconds(since, end), 1),
        }
    }

    /// The sound, `coded` (time, bytes) by the sender, without its intelligibility.
    pub fn audio(&self, coded: &[(u64, u32)], end: u64) -> AudioReport {
        let (from, to) = self.heard_span().unwrap_or((end, end));
        let to = to.min(end);
        let inside = coded.iter().filter(|(at, _)| *at >= from && *at <= to);
        let bytes: f64 = inside.map(|(_, bytes)| f64::from(*bytes)).sum();
        let (first, last) = (self.repairs_at(from), self.repairs_at(end));
        let blocks = self.heard.partition_point(|l| l.at <= end);
        AudioReport {
            latency_ms: Percentiles::of(&self.sound_latencies(0, end)),
            concealed_pct: share(last.concealed_ms.saturating_sub(first.concealed_ms), blocks),
            recovered_pct: share(last.recovered_ms.saturating_sub(first.recovered_ms), blocks),
            dred_pct: share(last.dred_ms.saturating_sub(first.dred_ms), blocks),
            longest_gap_ms: round(self.silence(0, end) as f64 / 1000.0, 1),
            stoi: None,
            kbps: round(bytes * 8.0 / 1000.0 / span_seconds(from, to), 1),
        }
    }

    /// The same for a span of the call; the camera was `off` at times.
    pub fn window(&self, sent: &[Sent], from: u64, to: u64, off: &[(u64, u64)]) -> WindowReport {
        let seconds = span_seconds(from, to);
        let shown = self.shown.iter().filter(|s| s.at >= from && s.at < to).count();
        let coded: f64 =
            sent.iter().filter(|s| s.at >= from && s.at < to).map(|s| f64::from(s.bytes)).sum();
        let blocks = self.heard.iter().filter(|l| l.at >= from && l.at < to).count();
        let concealed = self.concealed_between(from, to);
        let times: Vec<_> = self.shown.iter().map(|s| s.at).filter(|at| *at < to).collect();
        let gaps: Vec<_> =
            gaps(&times, to, off).into_iter().filter(|gap| gap.until > from).collect();
        let within = |gap: &Gap| gap.until - gap.from.max(from);
        let longest = gaps.iter().map(within).max().unwrap_or_default();
        WindowReport {
            audio_latency_ms: Percentiles::of(&self.sound_latencies(from, to)),
            video_latency_ms: Percentiles::of(&self.latencies(from, to)),
            fps: round(shown as f64 / seconds, 2),
            video_kbps: round(coded * 8.0 / 1000.0 / seconds, 1),
            concealed_pct: share(concealed, blocks),
            audio_gap_ms: round(self.silence(from, to) as f64 / 1000.0, 1),
            video_gap_ms: round(longest as f64 / 1000.0, 1),
            stale_sound_ms: 10 * self.stale_blocks(from, to),
            stale_pictures: self.stale_pictures(from, to),
            freezes: gaps.iter().filter(|gap| gap.freeze).count() as u64,
            fresh_sound_ms: self.fresh_sound(from, to),
            fresh_picture_ms: self.fresh_picture(from, to),
        }
    }

    /// Sound made up in a span of the call, in ms.
    pub fn concealed_between(&self, from: u64, to: u64) -> u64 {
        let before = self.repairs_at(from).concealed_ms;
        self.repairs_at(to).concealed_ms.saturating_sub(before)
    }

    fn repairs_at(&self, at: u64) -> Repairs {
        let index = self.repairs.partition_point(|r| r.at <= at);
        index.checked_sub(1).and_then(|i| self.repairs.get(i)).copied().unwrap_or_default()
    }

    fn latencies(&self, from: u64, to: u64) -> Vec<f64> {
        let inside = self.shown.iter().filter(|s| s.at >= from && s.at < to);
        inside.map(|s| s.at.saturating_sub(s.captured) as f64 / 1000.0).collect()
    }

    fn sound_latencies(&self, from: u64, to: u64) -> Vec<f64> {
        let inside = self.heard.iter().filter(|l| l.at >= from && l.at < to);
        inside.map(|l| l.us as f64 / 1000.0).collect()
    }
}

/// So many ms as a share of so many blocks of 10 ms, in percent.
fn share(ms: u64, blocks: usize) -> f64 {
    match blocks {
        0 => 0.0,
        blocks => round(ms as f64 * 10.0 / blocks as f64, 2),
    }
}

fn mean(values: &[f64]) -> f64 {
    match values.len() {
        0 => 0.0,
        n => values.iter().sum::<f64>() / n as f64,
    }
}

fn span_seconds(from: u64, to: u64) -> f64 {
    (to.saturating_sub(from) as f64 / 1e6).max(1e-3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u64 = 66_667;

    fn steady(n: u64) -> Vec<u64> {
        (0..n).map(|i| i * FRAME).collect()
    }

    #[test]
    fn a_steady_stream_never_freezes_and_a_stopped_one_does() {
        assert_eq!(freezes(&steady(60), 60 * FRAME, &[]).count, 0);
        let stopped = freezes(&steady(60), 59 * FRAME + 2_000_000, &[]);
        assert_eq!(stopped, Freezes { count: 1, longest: 2_000_000 });
    }

    #[test]
    fn the_ear_follows_a_wait_that_grows_and_shrinks() {
        let mut direction = Direction::default();
        // Capture time stands still for 50 ms at 1 s, and 30 ms are left out at 2 s.
        for at in (0..3_000_000).step_by(10_000) {
            let held = u64::clamp(at, 1_000_000, 1_050_000) - 1_000_000;
            let cut = if at > 2_000_000 { 30_000 } else { 0 };
            direction.heard(at, 100_000 + held - cut, 0);
        }
        let ear = direction.ear();
        assert_eq!(ear.heard_at(500_000), Some(600_000));
        assert_eq!(ear.heard_at(899_000), Some(999_000));
        assert_eq!(ear.heard_at(901_000), Some(1_051_000));
        assert_eq!(ear.heard_at(2_500_000), Some(2_620_000));
        assert_eq!(Direction::default().ear().heard_at(0), None);
    }

    #[test]
    fn a_gap_counts_from_three_frames_and_150_ms_on() {
        let mut times = steady(40);
        let last = times[39];
        times.push(last + 3 * FRAME);
        assert_eq!(freezes(&times, last + 4 * FRAME, &[]).count, 0);
        times.push(last + 3 * FRAME + 260_000);
        assert_eq!(freezes(&times, last + 3 * FRAME + 300_000, &[]).count, 1);
    }

    #[test]
    fn a_camera_switched_off_is_no_freeze() {
        let mut times = steady(30);
        times.extend((0..30).map(|i| 10_000_000 + i * FRAME));
        let off = [(29 * FRAME + 1000, 9_990_000)];
        assert_eq!(freezes(&times, 12_000_000, &off).count, 0);
        assert_eq!(freezes(&times, 12_000_000, &[]).count, 1);
    }

    #[test]
    fn late_and_missing_pictures_are_not_in_time() {
        let mut direction = Direction::default();
        let size = Size::new(160, 96);
        let sent: Vec<_> = (0..20).map(|i| Sent { at: i * FRAME, bytes: 500 }).collect();
        for (i, frame) in sent.iter().enumerate().filter(|(i, _)| *i != 3) {
            let latency = if i == 5 { 450_000 } else { 50_000 };
            direction.shown(frame.at, frame.at + latency, size, Some(0.9));
        }
        let report = direction.video(&sent, 10_000_000, &[]);
        assert_eq!((report.frames_sent, report.frames_painted), (20, 19));
        assert_eq!(report.on_time_pct, 90.0);
        assert_eq!(report.latency_ms.p50, 50.0);
        assert_eq!(report.latency_ms.max, 450.0);
    }

    /// 20 s of even sound, 80 ms old, and what `but` says of some blocks.
    fn sound(but: impl Fn(u64) -> Option<(u64, u64)>) -> Direction {
        let mut direction = Direction::default();
        let mut made_up = 0;
        for at in (0..2000).map(|n| n * BLOCK_US) {
            let Some((latency, concealed)) = but(at) else { continue };
            made_up += concealed;
            direction.heard(at, latency, made_up);
        }
        direction
    }

    #[test]
    fn a_gap_is_what_was_made_up_and_what_was_not_played_at_all() {
        let even = sound(|_| Some((80_000, 0)));
        assert_eq!(even.silence(0, 20_000_000), 0);
        let torn = sound(|at| match at {
            5_000_000..5_120_000 => Some((80_000, 10)),
            5_120_000..5_400_000 => None,
            _ => Some((80_000, 0)),
        });
        assert_eq!(torn.silence(0, 20_000_000), 400_000);
        assert_eq!(torn.silence(6_000_000, 9_000_000), 0);
        assert_eq!(torn.silence(5_200_000, 9_000_000), 200_000);
    }

    #[test]
    fn old_sound_played_late_is_not_fresh() {
        // Stopped from 5 to 8 s; then 200 ms of what was said before.
        let direction = sound(|at| match at {
            5_000_000..8_000_000 => None,
            8_000_000..8_200_000 => Some((2_500_000, 0)),
            _ => Some((80_000, 0)),
        });
        assert_eq!(direction.fresh_sound(8_000_000, 9_000_000), Some(200.0));
        let window = direction.window(&[], 8_000_000, 9_000_000, &[]);
        assert_eq!((window.audio_latency_ms.max, window.stale_sound_ms), (2500.0, 200));
        assert_eq!(window.fresh_picture_ms, None);
        assert_eq!(direction.fresh_sound(5_000_000, 8_000_000), None);
    }

    #[test]
    fn a_window_counts_the_freezes_that_touch_it() {
        let mut direction = Direction::default();
        let size = Size::new(160, 96);
        for at in steady(100).into_iter().filter(|at| !(3_000_000..3_500_000).contains(at)) {
            direction.shown(at, at + 50_000, size, None);
        }
        let window = |from: u64, to: u64| direction.window(&[], from, to, &[]);
        assert_eq!(window(2_000_000, 4_000_000).freezes, 1);
        assert!(window(2_000_000, 4_000_000).video_gap_ms > 500.0);
        assert_eq!(window(4_000_000, 6_000_000).freezes, 0);
        assert!(window(4_000_000, 6_000_000).fresh_picture_ms.is_some_and(|ms| ms < 130.0));
    }

    #[test]
    fn absences_add_up() {
        let mut direction = Direction::default();
        for (lost, at) in [(true, 1_000_000), (true, 1_500_000), (false, 3_000_000)] {
            direction.missed(lost, at);
        }
        direction.missed(true, 9_000_000);
        assert_eq!(direction.away(10_000_000), 3_000_000);
    }
}
