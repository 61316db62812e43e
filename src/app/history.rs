//! The last half minute of each member's figures, for the small plots in the figures pane.

use crate::app::figures::EVERY;
use crate::node::NodeView;
use crate::tui::model::{PeerPlots, Plot};
use crate::wire::link::MemberId;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// One value a second, so many of them.
const SECONDS: usize = 30;

/// Every member's.
#[derive(Debug, Default)]
pub struct History {
    at: Option<Instant>,
    members: BTreeMap<MemberId, Past>,
}

/// One member's.
#[derive(Clone, Debug, Default)]
pub struct Past {
    fps: Line,
    kbps: Line,
    wait_ms: Line,
    rtt_ms: Line,
    loss_pct: Line,
    concealed: Line,
    /// Concealed so far, in ms.
    concealed_ms: u64,
}

#[derive(Clone, Debug, Default)]
struct Line(VecDeque<f32>);

impl Line {
    fn push(&mut self, value: f32) {
        if self.0.len() == SECONDS {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    fn plot(&self, least_top: f32) -> Plot {
        Plot { values: self.0.iter().copied().collect(), least_top }
    }
}

impl History {
    /// Takes a view; one a second counts.
    pub fn take(&mut self, view: &NodeView) {
        if self.at.is_some_and(|at| view.at.saturating_duration_since(at) < EVERY) {
            return;
        }
        let elapsed = self.at.map_or(EVERY, |at| view.at.saturating_duration_since(at));
        self.at = Some(view.at);
        let others = || view.call.members.iter().filter(|m| !m.is_me).map(|m| m.id);
        self.members.retain(|id, _| others().any(|other| other == *id));
        for id in others() {
            self.members.entry(id).or_default().take(view, id, elapsed);
        }
    }

    /// What there is of this member.
    pub fn plots(&self, member: MemberId) -> PeerPlots {
        let Some(past) = self.members.get(&member) else { return PeerPlots::default() };
        PeerPlots {
            fps: past.fps.plot(15.0),
            kbps: past.kbps.plot(64.0),
            wait_ms: past.wait_ms.plot(150.0),
            rtt_ms: past.rtt_ms.plot(100.0),
            loss_pct: past.loss_pct.plot(10.0),
            concealed: past.concealed.plot(10.0),
        }
    }
}

impl Past {
    fn take(&mut self, view: &NodeView, id: MemberId, elapsed: Duration) {
        let video = view.media.received.get(&id);
        let audio = view.media.audio.members.get(&id).copied().unwrap_or_default();
        self.fps.push(video.map_or(0.0, |v| v.fps));
        self.kbps.push((video.map_or(0, |v| v.kbps) + audio.kbps) as f32);
        self.wait_ms.push(audio.playout_ms);
        self.rtt_ms.push(view.links.get(&id).map_or(0.0, |l| l.rtt.as_secs_f32() * 1e3));
        self.loss_pct.push(view.budgets.get(&id).map_or(0.0, |b| (b.loss * 100.0) as f32));
        let concealed = audio.jitter.concealed_ms.saturating_sub(self.concealed_ms) as f32;
        self.concealed_ms = audio.jitter.concealed_ms;
        self.concealed.push(concealed / 10.0 / elapsed.as_secs_f32().max(0.1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_minute_is_kept_and_no_more() {
        let mut line = Line::default();
        for n in 0..1000 {
            line.push(n as f32);
        }
        let plot = line.plot(10.0);
        assert_eq!((plot.values.len(), plot.values.last()), (SECONDS, Some(&999.0)));
    }
}
