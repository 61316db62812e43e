//! When even the coarsest picture of a mode is more than the terminal eats in time: a plainer mode,
//! then fewer colours – and back, when there is room again. What comes before (λ, the price of a
//! byte) the painters do, what comes after (fewer pictures) follows from what the terminal takes.

use crate::paint::{Depth, Mode, Quality};
use std::time::{Duration, Instant};

/// Fewer pictures a second than this, at the highest price of a byte, are too few …
const FEW: f32 = 10.0;
/// … when it lasts this long.
const TOO_LONG: Duration = Duration::from_secs(3);
/// At this price there is room for the step above …
const CHEAP: f32 = 1.0;
/// … when it lasts this long; twice as long for each further step up: one that has to be taken back
/// costs two whole screens.
const PATIENCE: Duration = Duration::from_secs(15);
/// And at most this long.
const LONGEST: Duration = Duration::from_secs(240);
/// No picture for so long tells nothing about the terminal.
const PAUSE: Duration = Duration::from_secs(2);
/// Plainer modes, in this order: each is for modes before it, or as fine as it.
const PLAINER: [Mode; 3] = [Mode::Mixed, Mode::Quadrant, Mode::Half];

/// How many of them are not plainer than this one.
fn not_plainer(mode: Mode) -> usize {
    match mode {
        Mode::MixedOctant | Mode::Octant => 0,
        Mode::Mixed | Mode::Sextant => 1,
        Mode::Quadrant => 2,
        _ => PLAINER.len(),
    }
}

/// Where on the ladder we stand.
#[derive(Debug)]
pub(super) struct Ladder {
    /// The best the terminal can do first.
    steps: Vec<(Mode, Depth)>,
    at: usize,
    bad_since: Option<Instant>,
    good_since: Option<Instant>,
    patience: Duration,
    last: Option<Instant>,
}

impl Ladder {
    /// From the best mode and depth of a terminal downwards.
    pub(super) fn new(mode: Mode, depth: Depth) -> Self {
        let plainer = PLAINER.iter().skip(not_plainer(mode));
        let mut steps = vec![(mode, depth)];
        steps.extend(plainer.map(|m| (*m, depth)));
        if let (Depth::True, Some((plainest, _))) = (depth, steps.last().copied()) {
            steps.push((plainest, Depth::Indexed256));
        }
        Self { steps, at: 0, bad_since: None, good_since: None, patience: PATIENCE, last: None }
    }

    /// Takes in how it goes, at each picture: the price of a byte, and pictures a second that the
    /// terminal took. Gives the mode and depth to change to.
    pub(super) fn step(&mut self, lambda: f32, fps: f32, now: Instant) -> Option<(Mode, Depth)> {
        let paused = self.last.replace(now).is_some_and(|last| now > last + PAUSE);
        if paused {
            (self.bad_since, self.good_since) = (None, None);
        }
        let since = |what: &mut Option<Instant>, holds: bool| {
            let began = what.filter(|_| holds).or(holds.then_some(now));
            *what = began;
            began.map(|began| now.saturating_duration_since(began))
        };
        let bad = since(&mut self.bad_since, lambda >= Quality::MAX * 0.9 && fps < FEW);
        let good = since(&mut self.good_since, lambda <= CHEAP);
        let to = if bad.is_some_and(|t| t >= TOO_LONG) && self.at + 1 < self.steps.len() {
            self.at + 1
        } else if good.is_some_and(|t| t >= self.patience) && self.at > 0 {
            self.patience = (self.patience * 2).min(LONGEST);
            self.at - 1
        } else {
            return None;
        };
        (self.at, self.bad_since, self.good_since) = (to, None, None);
        self.steps.get(to).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::stage::instant;

    /// Steps once a tenth of a second for `seconds`; what came of it.
    fn run(
        ladder: &mut Ladder,
        t: &mut Instant,
        seconds: u64,
        (lambda, fps): (f32, f32),
    ) -> Vec<(Mode, Depth)> {
        let mut steps = Vec::new();
        for _ in 0..seconds * 10 {
            *t += Duration::from_millis(100);
            steps.extend(ladder.step(lambda, fps, *t));
        }
        steps
    }

    #[test]
    fn a_terminal_that_can_not_keep_up_gets_plainer_modes_and_then_fewer_colours() {
        let mut t = instant();
        let mut ladder = Ladder::new(Mode::MixedOctant, Depth::True);
        let steps = run(&mut ladder, &mut t, 30, (Quality::MAX, 4.0));
        let expected = [
            (Mode::Mixed, Depth::True),
            (Mode::Quadrant, Depth::True),
            (Mode::Half, Depth::True),
            (Mode::Half, Depth::Indexed256),
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_dear_byte_or_a_low_rate_alone_changes_nothing() {
        let mut t = instant();
        let mut ladder = Ladder::new(Mode::Sextant, Depth::True);
        assert!(run(&mut ladder, &mut t, 60, (Quality::MAX, 20.0)).is_empty());
        assert!(run(&mut ladder, &mut t, 60, (4.0, 4.0)).is_empty(), "the sender sends no more");
    }

    #[test]
    fn with_room_again_it_climbs_back_more_slowly_each_time() {
        let mut t = instant();
        let mut ladder = Ladder::new(Mode::Sextant, Depth::True);
        let (bad, good) = ((Quality::MAX, 4.0), (0.5, 30.0));
        let mut waits = Vec::new();
        for _ in 0..6 {
            assert_eq!(run(&mut ladder, &mut t, 4, bad), [(Mode::Quadrant, Depth::True)]);
            let before = t;
            while ladder.step(good.0, good.1, t).is_none() {
                t += Duration::from_millis(100);
            }
            waits.push(t.saturating_duration_since(before).as_secs());
        }
        assert_eq!(waits, [15, 30, 60, 120, 240, 240]);
    }

    #[test]
    fn while_no_pictures_come_nothing_is_concluded() {
        let mut t = instant();
        let mut ladder = Ladder::new(Mode::Sextant, Depth::True);
        for _ in 0..20 {
            t += Duration::from_secs(3);
            assert_eq!(ladder.step(Quality::MAX, 1.0, t), None);
        }
    }

    #[test]
    fn modes_without_a_plainer_one_have_no_steps_but_colours() {
        let mut t = instant();
        let mut ascii = Ladder::new(Mode::Ascii, Depth::Indexed256);
        assert!(run(&mut ascii, &mut t, 30, (Quality::MAX, 1.0)).is_empty());
    }
}
