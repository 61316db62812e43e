//! The ladder of picture sizes, and what each size and frame rate is worth in bits. Few sizes, so
//! that receivers with similar tiles share one encoding; multiples of 16, the encoder's block.

use crate::media::frame::{Size, Want};
use std::time::{Duration, Instant};

/// Picture sizes, smallest first; all about 5:3, the shape of a pane.
pub const LADDER: [Size; 8] = [
    Size { width: 48, height: 32 },
    Size { width: 80, height: 48 },
    Size { width: 112, height: 64 },
    Size { width: 160, height: 96 },
    Size { width: 240, height: 144 },
    Size { width: 320, height: 192 },
    Size { width: 480, height: 288 },
    Size { width: 640, height: 384 },
];
/// A new size must be wanted this long before it is taken: a change costs a keyframe.
pub const HYSTERESIS: Duration = Duration::from_secs(1);
/// Frame rates worth stepping down to, in tenths of fps.
pub(super) const PACES: [u16; 8] = [300, 250, 200, 150, 125, 100, 80, 60];
/// Lowest frame rate that still looks like motion; below it the picture shrinks instead.
const SLOWEST: u16 = 80;
/// Share of [`demand`] at which a picture is still good (about SSIM .95).
const GOOD: f64 = 0.4;

/// The rung for a wanted tile: the smallest that fills the tile with a 5:3 picture, up to 18 %
/// enlarged by the receiver.
pub fn rung(want: Size) -> Size {
    let width = f64::from(want.width).min(f64::from(want.height) * 5.0 / 3.0);
    let fills = |rung: &Size| f64::from(rung.width) >= 0.85 * width;
    LADDER.into_iter().find(fills).unwrap_or(LADDER[LADDER.len() - 1])
}

/// The size to encode a source of `picture`'s aspect at on this rung: the rung itself when the
/// aspect is near, else the largest size of the source's aspect inside it. Nothing is cut off.
pub fn shape(rung: Size, picture: Size) -> Size {
    let aspect = |s: Size| f64::from(s.width.max(1)) / f64::from(s.height.max(1));
    let ratio = aspect(rung) / aspect(picture);
    if (0.945..=1.058).contains(&ratio) { rung } else { crate::media::scale::fit(picture, rung) }
}

/// The bit rate that an encoding of this size and frame rate (tenths of fps) can use: about SSIM
/// .98 at 80x48 and .96–.98 at 240x144 on a lively talking head. More isn't worth sending.
pub fn demand(size: Size, decifps: u16) -> u32 {
    let area = (size.luma() as f64 / 3840.0).max(0.1).powf(0.6);
    let pace = (f64::from(decifps.max(1)) / 125.0).powf(0.55);
    (29_000.0 * area * pace) as u32
}

/// What to encode for one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Rung of the ladder.
    pub size: Size,
    /// Frame rate in tenths of fps.
    pub decifps: u16,
    /// Bit rate of the coded pictures, without packet overhead.
    pub bits_per_second: u32,
}

/// The best picture for `want` within `bits_per_second` of coded video: first fewer frames, then a
/// smaller rung. `None` when paused, or when no rung moves at this rate.
pub fn plan(want: &Want, bits_per_second: u64) -> Option<Plan> {
    let mut budget = u32::try_from(bits_per_second).unwrap_or(u32::MAX);
    if want.max_kbps > 0 {
        budget = budget.min(u32::from(want.max_kbps) * 1000);
    }
    if want.paused || want.decifps == 0 || budget < 4_000 {
        return None;
    }
    let largest = rung(want.size);
    let enough =
        |size: Size, decifps: u16| f64::from(budget) >= GOOD * f64::from(demand(size, decifps));
    let slower = PACES.into_iter().filter(|pace| *pace < want.decifps);
    let paces: Vec<u16> = std::iter::once(want.decifps.min(600)).chain(slower).collect();
    for size in LADDER.into_iter().rev().filter(|size| size.width <= largest.width) {
        let smallest = size == LADDER[0];
        let moves = |pace: u16| smallest || pace >= SLOWEST || pace == want.decifps;
        let found = paces.iter().copied().find(|&pace| moves(pace) && enough(size, pace));
        // On the last rung anything is better than nothing.
        if let Some(decifps) = found.or(paces.last().copied().filter(|_| smallest)) {
            let bits_per_second = budget.min(demand(size, decifps));
            return Some(Plan { size, decifps, bits_per_second });
        }
    }
    None
}

/// Keeps a choice until another one has been wanted for [`HYSTERESIS`] without a break.
#[derive(Clone, Copy, Debug)]
pub struct Steady<T> {
    current: T,
    pending: Option<(T, Instant)>,
}

impl<T: Copy + PartialEq> Steady<T> {
    /// Starts with this choice.
    pub fn new(choice: T) -> Self {
        Self { current: choice, pending: None }
    }

    /// What holds now.
    pub fn current(&self) -> T {
        self.current
    }

    /// `choice` is wanted at `now`; returns what holds.
    pub fn offer(&mut self, choice: T, now: Instant) -> T {
        match self.pending {
            _ if choice == self.current => self.pending = None,
            Some((waiting, since)) if waiting == choice => {
                if now.saturating_duration_since(since) >= HYSTERESIS {
                    self.current = choice;
                    self.pending = None;
                }
            }
            _ => self.pending = Some((choice, now)),
        }
        self.current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(width: u16, height: u16, decifps: u16) -> Want {
        Want { size: Size::new(width, height), decifps, max_kbps: 0, paused: false, focus: false }
    }

    #[test]
    fn every_rung_is_its_own_choice_and_odd_tiles_get_a_near_one() {
        for size in LADDER {
            assert_eq!(rung(size), size);
        }
        assert_eq!(rung(Size::new(90, 54)).width, 80);
        assert_eq!(rung(Size::new(100, 60)).width, 112);
        assert_eq!(rung(Size::new(400, 60)).width, 112, "height limits a wide pane");
        assert_eq!(rung(Size::new(64, 400)).width, 80, "width limits a tall pane");
        assert_eq!(rung(Size::new(8, 8)).width, 48);
        assert_eq!(rung(Size::new(4000, 3000)).width, 640);
    }

    #[test]
    fn a_near_aspect_takes_the_rung_another_one_fits_inside() {
        let tile = Size::new(80, 48);
        assert_eq!(shape(tile, Size::new(400, 240)), tile);
        assert_eq!(shape(tile, Size::new(640, 480)), Size::new(64, 48));
        assert_eq!(shape(Size::new(112, 64), Size::new(1280, 720)), Size::new(112, 64));
    }

    #[test]
    fn demand_of_the_measured_tiles() {
        assert!(demand(Size::new(80, 48), 125) <= 30_000);
        let large = demand(Size::new(240, 144), 300);
        assert!((165_000..=178_000).contains(&large), "{large}");
    }

    #[test]
    fn ample_rate_gives_the_wanted_picture_and_no_more_than_it_can_use() {
        let plan = plan(&want(240, 144, 300), 10_000_000).unwrap();
        assert_eq!((plan.size, plan.decifps), (Size::new(240, 144), 300));
        assert!(plan.bits_per_second <= 178_000);
    }

    #[test]
    fn a_thin_rate_takes_frames_first_and_size_last() {
        let some = plan(&want(160, 96, 150), 25_000).unwrap();
        assert_eq!(some.size, Size::new(160, 96));
        assert!(some.decifps < 150 && some.decifps >= 80);
        let little = plan(&want(160, 96, 150), 10_000).unwrap();
        assert_eq!(little.size, Size::new(80, 48));
        assert!(little.decifps >= 80);
    }

    #[test]
    fn more_rate_never_means_a_smaller_picture() {
        let mut last = 0;
        for kbps in (4..400).step_by(4) {
            let area = plan(&want(320, 192, 300), kbps * 1000).unwrap().size.luma();
            assert!(area >= last, "{kbps}");
            last = area;
        }
    }

    #[test]
    fn paused_or_starved_means_no_picture() {
        assert_eq!(plan(&Want { paused: true, ..want(80, 48, 125) }, 100_000), None);
        assert_eq!(plan(&want(80, 48, 125), 3_000), None);
        let capped = Want { max_kbps: 20, ..want(80, 48, 125) };
        assert_eq!(plan(&capped, 1_000_000).unwrap().bits_per_second, 20_000);
    }

    #[test]
    fn a_choice_changes_after_one_steady_second_only() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut steady = Steady::new(1);
        assert_eq!(steady.offer(2, at(0)), 1);
        assert_eq!(steady.offer(2, at(900)), 1);
        assert_eq!(steady.offer(1, at(950)), 1);
        assert_eq!(steady.offer(2, at(1000)), 1, "the break started the second anew");
        assert_eq!(steady.offer(2, at(1999)), 1);
        assert_eq!(steady.offer(2, at(2000)), 2);
    }
}
