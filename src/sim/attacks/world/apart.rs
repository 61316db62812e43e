//! Being apart in the [`World`]: lines that carry nothing, and machines that sleep.

use super::{DELAY, Taped, World};
use crate::call::Input;
use crate::sim::attacks::{LabError, setup};
use crate::time::Now;
use crate::wire::link::{LinkDown, LinkEvent};
use std::time::{Duration, Instant};

/// A connection is lost when nothing was heard for this long, as in QUIC.
pub(crate) const IDLE: Duration = Duration::from_secs(30);

/// The clock and the mail of a machine that sleeps now and then.
#[derive(Default)]
pub(super) struct Bed {
    /// Slept so far: its monotonic clock is behind by this.
    slept: Duration,
    /// Asleep since.
    since: Option<Instant>,
    /// What came in meanwhile.
    queued: Vec<Input>,
}

impl Bed {
    pub(super) fn is_awake(&self) -> bool {
        self.since.is_none()
    }

    /// A moment of its own clock on everybody else's.
    pub(super) fn to_world(&self, at: Instant) -> Instant {
        at + self.slept
    }

    pub(super) fn queue(&mut self, input: Input) {
        self.queued.push(input);
    }
}

impl World {
    /// What somebody's clocks say.
    pub(super) fn clock(&self, party: usize) -> Now {
        Now { mono: self.now.mono - self.parties[party].bed.slept, wall: self.now.wall }
    }

    /// What is sent from one to the other is kept back from now on.
    pub(crate) fn hold(&mut self, from: usize, to: usize) {
        self.held.insert((from, to));
    }

    /// Nothing is kept back any more. What was comes now, in order, where the connection still is.
    pub(crate) fn release(&mut self) -> Result<(), LabError> {
        self.held.clear();
        for taped in std::mem::take(&mut self.kept) {
            if self.pairs.iter().flatten().any(|end| *end == (taped.to, taped.link)) {
                self.input(taped.to, Input::Link(taped.link, taped.event))?;
            }
        }
        Ok(())
    }

    /// What was kept back stays with whoever holds the line.
    pub(crate) fn confiscate(&mut self) -> Vec<Taped> {
        self.held.clear();
        std::mem::take(&mut self.kept)
    }

    /// Nothing passes between these and those; their connections die of silence.
    pub(crate) fn part(&mut self, here: &[usize], there: &[usize]) {
        let apart = |a: usize, b: usize| here.contains(&a) && there.contains(&b);
        for a in here {
            for b in there {
                self.held.extend([(*a, *b), (*b, *a)]);
            }
        }
        let crosses =
            |[a, b]: &&[(usize, crate::wire::link::LinkId); 2]| apart(a.0, b.0) || apart(b.0, a.0);
        let ends: Vec<_> = self.pairs.iter().filter(crosses).flatten().copied().collect();
        for (party, link) in ends {
            let down = LinkEvent::Down(LinkDown::TimedOut);
            self.later(party, IDLE - DELAY, Input::Link(link, down));
        }
        self.parted = Some(self.now.mono);
    }

    /// The cut is over; what was kept stays with whoever made it.
    pub(crate) fn heal(&mut self) -> Result<Vec<Taped>, LabError> {
        let long_enough = self.parted.take().is_some_and(|at| at + IDLE < self.now.mono);
        if !long_enough {
            return Err(setup("a cut shorter than connections live would lose part of a stream"));
        }
        let held = std::mem::take(&mut self.held);
        self.pairs.retain(|[a, b]| !held.contains(&(a.0, b.0)));
        Ok(std::mem::take(&mut self.kept))
    }

    /// Somebody's machine falls asleep.
    pub(crate) fn sleep(&mut self, party: usize) {
        self.parties[party].bed.since = Some(self.now.mono);
    }

    /// It wakes, notices, and takes in what has come.
    pub(crate) fn wake(&mut self, party: usize) -> Result<(), LabError> {
        let bed = &mut self.parties[party].bed;
        let Some(since) = bed.since.take() else { return Ok(()) };
        bed.slept += self.now.mono.saturating_duration_since(since);
        let queued = std::mem::take(&mut bed.queued);
        for input in [Input::Woke].into_iter().chain(queued).chain([Input::Tick]) {
            self.input(party, input)?;
        }
        Ok(())
    }
}
