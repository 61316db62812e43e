//! What lies between people: delay, loss and cuts, one way each.

use crate::sim::model::Dice;
use std::collections::BTreeMap;
use std::time::Duration;

/// Somebody who takes part, over all restarts of their program: numbered from 0, the founder.
pub type Person = usize;

/// Most of what a path may lose, as a share.
pub const MOST_LOSS: f64 = 0.3;
/// Most of what a path may delay, one way.
pub const MOST_DELAY: Duration = Duration::from_secs(1);

/// The way from one person to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Path {
    /// Something passes at all.
    pub open: bool,
    /// Share of packets lost.
    pub loss: f64,
    /// Shortest time of a packet.
    pub delay: Duration,
    /// At most this much is added, evenly.
    pub jitter: Duration,
}

impl Path {
    /// A good home connection: 20 ms, nothing lost.
    pub const CLEAN: Self = Self {
        open: true,
        loss: 0.0,
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(2),
    };

    /// The time of one packet, `None` when it is lost.
    pub fn packet(&self, dice: &mut Dice) -> Option<Duration> {
        if !self.open || dice.chance(self.loss) {
            return None;
        }
        Some(self.time(dice))
    }

    /// The time of a packet that arrives.
    pub fn time(&self, dice: &mut Dice) -> Duration {
        self.delay + self.jitter.mul_f64(dice.unit())
    }
}

/// All paths.
#[derive(Clone, Debug)]
pub struct Paths {
    usual: Path,
    special: BTreeMap<(Person, Person), Path>,
}

impl Default for Paths {
    fn default() -> Self {
        Self { usual: Path::CLEAN, special: BTreeMap::new() }
    }
}

impl Paths {
    /// The path from one person to another.
    pub fn get(&self, from: Person, to: Person) -> Path {
        self.special.get(&(from, to)).copied().unwrap_or(self.usual)
    }

    /// Changes one direction.
    pub fn change(&mut self, from: Person, to: Person, change: impl FnOnce(&mut Path)) {
        change(self.special.entry((from, to)).or_insert(self.usual));
    }

    /// One path for all, cuts healed.
    pub fn all(&mut self, path: Path) {
        self.usual = path;
        self.special.clear();
    }

    /// Opens or cuts both ways between every one of `here` and every one of `there`.
    pub fn part(&mut self, here: &[Person], there: &[Person], open: bool) {
        for a in here {
            for b in there {
                self.change(*a, *b, |p| p.open = open);
                self.change(*b, *a, |p| p.open = open);
            }
        }
    }

    /// Something passes both ways.
    pub fn both_ways(&self, a: Person, b: Person) -> bool {
        self.get(a, b).open && self.get(b, a).open
    }
}
