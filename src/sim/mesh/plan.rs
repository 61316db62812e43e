//! Who does what when, made from a seed. Whom an act concerns is drawn when its time comes, among
//! those who are there.

use super::path::{MOST_DELAY, MOST_LOSS, Path};
use super::seen::Vice;
use super::watch::Strictness;
use crate::sim::model::Dice;
use std::time::Duration;

/// Sorts of acts, to be switched on and off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u32);

impl Kinds {
    /// Only joining.
    pub const NONE: Self = Self(0);
    /// Members leave that are not the sequencer.
    pub const LEAVE: Self = Self(1);
    /// New keys at random times, by anybody.
    pub const UPDATE: Self = Self(1 << 1);
    /// Removals by decision.
    pub const REMOVE: Self = Self(1 << 2);
    /// Loss to 30 %, delay to 1 s, different each way, changing.
    pub const WEATHER: Self = Self(1 << 3);
    /// Cuts, one way or both, for less than anybody is given up after.
    pub const SHORT_CUT: Self = Self(1 << 4);
    /// Cuts and partitions of any length.
    pub const PARTITION: Self = Self(1 << 5);
    /// Members that are not the sequencer crash.
    pub const CRASH: Self = Self(1 << 6);
    /// The sequencer crashes, also between two deliveries of one commit.
    pub const CRASH_SEQUENCER: Self = Self(1 << 7);
    /// Who crashed, left or was lost comes back with a new program.
    pub const RETURN: Self = Self(1 << 8);
    /// Sleepers.
    pub const SLEEP: Self = Self(1 << 9);
    /// Locking.
    pub const LOCK: Self = Self(1 << 10);
    /// Slow screens.
    pub const SCREEN: Self = Self(1 << 11);
    /// Cheats.
    pub const CHEAT: Self = Self(1 << 12);
    /// The sequencer hands over and leaves.
    pub const HAND_OVER: Self = Self(1 << 13);

    /// Both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without these.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// All of `other` are in.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in the ordinary tests.
    pub const TODAY: Self = Self::LEAVE
        .and(Self::UPDATE)
        .and(Self::REMOVE)
        .and(Self::WEATHER)
        .and(Self::SHORT_CUT)
        .and(Self::CRASH)
        .and(Self::RETURN)
        .and(Self::SCREEN);

    /// Everything.
    pub const ALL: Self = Self((1 << 14) - 1);

    /// The kinds of these names, separated by commas; `today` and `all` are names, too.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut kinds = Self::NONE;
        for name in text.split(',').filter(|n| !n.is_empty()) {
            let found = NAMES.iter().find(|(n, _)| *n == name);
            let known = || NAMES.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", ");
            let (_, kind) =
                found.ok_or_else(|| format!("no kind {name:?}; there are {}", known()))?;
            kinds = kinds.and(*kind);
        }
        Ok(kinds)
    }
}

const NAMES: &[(&str, Kinds)] = &[
    ("leave", Kinds::LEAVE),
    ("update", Kinds::UPDATE),
    ("remove", Kinds::REMOVE),
    ("weather", Kinds::WEATHER),
    ("short-cut", Kinds::SHORT_CUT),
    ("partition", Kinds::PARTITION),
    ("crash", Kinds::CRASH),
    ("crash-sequencer", Kinds::CRASH_SEQUENCER),
    ("return", Kinds::RETURN),
    ("sleep", Kinds::SLEEP),
    ("lock", Kinds::LOCK),
    ("screen", Kinds::SCREEN),
    ("cheat", Kinds::CHEAT),
    ("hand-over", Kinds::HAND_OVER),
    ("today", Kinds::TODAY),
    ("all", Kinds::ALL),
];

/// One simulation, before it is played.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Decides everything.
    pub seed: u64,
    /// People at the start; drawn from 2 to 8 if not given.
    pub members: Option<usize>,
    /// What may happen.
    pub kinds: Kinds,
    /// Which rules count.
    pub strictness: Strictness,
    /// Keep the trace as text.
    pub keep: bool,
}

impl Setup {
    /// What today's call is meant to bear.
    pub fn new(seed: u64) -> Self {
        let strictness = Strictness::default();
        Self { seed, members: None, kinds: Kinds::TODAY, strictness, keep: false }
    }
}

/// Something that somebody does, or that is done to them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// Somebody new comes.
    Join,
    /// Somebody leaves who is not the sequencer.
    Leave,
    /// The sequencer leaves.
    HandOver,
    /// Somebody wants new keys.
    Rekey,
    /// The host removes somebody.
    Remove,
    /// The paths change.
    Weather(Path),
    /// One path gets its own character, each way another.
    Odd(Path, Path),
    /// Nothing passes between two people for this long, one way or both.
    Cut {
        /// Only from the first to the second.
        one_way: bool,
        /// How long.
        time: Duration,
    },
    /// Nothing passes between two halves for this long.
    Part(Duration),
    /// Nothing passes between one person and all others.
    Alone(Duration),
    /// A member crashes.
    Crash,
    /// The sequencer crashes.
    CrashSequencer,
    /// The sequencer crashes after this many recipients of its next commit.
    DieCommitting(usize),
    /// Somebody who is out comes back.
    Return,
    /// Somebody's machine sleeps.
    Sleep(Duration),
    /// The host locks the group, or opens it.
    Lock(bool),
    /// Screens need this long.
    Screens(Duration),
    /// Somebody starts to cheat.
    Cheat(Vice),
}

/// A whole plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// People at the start.
    pub members: usize,
    /// What happens, in order of time.
    pub acts: Vec<(Duration, Act)>,
    /// From here on nothing more is done to anybody.
    pub quiet: Duration,
    /// The paths from then on: loss ≤ 5 %, round trip ≤ 300 ms.
    pub calm: Path,
}

/// Most people that may ever take part in one simulation.
pub const MOST: usize = 16;

impl Plan {
    /// Makes a plan.
    pub fn new(setup: &Setup) -> Self {
        let mut dice = Dice::new(setup.seed, 0x706c_616e);
        let has = |kind| setup.kinds.has(kind);
        let members = setup.members.unwrap_or(2 + between(&mut dice, 0, 6));
        let mut acts = Vec::new();
        let mut at = Duration::from_millis(100);
        for _ in 1..members {
            at += millis(&mut dice, 50, 1500);
            acts.push((at, Act::Join));
        }
        if has(Kinds::SCREEN) && dice.chance(0.3) {
            acts.push((Duration::ZERO, Act::Screens(millis(&mut dice, 1, 400))));
        }
        if has(Kinds::WEATHER) && dice.chance(0.7) {
            acts.push((Duration::from_millis(50), Act::Weather(weather(&mut dice))));
        }
        at += Duration::from_secs(2);
        let count = between(&mut dice, 4, 12);
        let cheat = has(Kinds::CHEAT) && dice.chance(0.5);
        let cheat_at = between(&mut dice, 0, count - 1);
        for i in 0..count {
            // Now and then several things at once.
            at += if dice.chance(0.3) {
                millis(&mut dice, 0, 300)
            } else {
                millis(&mut dice, 500, 9000)
            };
            if cheat && i == cheat_at {
                acts.push((at, Act::Cheat(vice(&mut dice))));
            } else if let Some(act) = act(&mut dice, setup.kinds) {
                acts.push((at, act));
            }
        }
        acts.sort_by_key(|(at, _)| *at);
        let calm = Path {
            open: true,
            loss: 0.05 * dice.unit(),
            delay: millis(&mut dice, 1, 130),
            jitter: Duration::from_millis(10),
        };
        Self { members, acts, quiet: at + Duration::from_secs(2), calm }
    }
}

pub(super) fn between(dice: &mut Dice, from: usize, to: usize) -> usize {
    let width = (to - from + 1) as u64;
    from + usize::try_from(dice.roll() % width).unwrap_or(0)
}

fn millis(dice: &mut Dice, from: u64, to: u64) -> Duration {
    Duration::from_millis(from + dice.roll() % (to - from + 1))
}

fn weather(dice: &mut Dice) -> Path {
    let most = MOST_DELAY.as_millis() as u64;
    // Mostly bad, sometimes as bad as it gets.
    let worst = dice.chance(0.2);
    let loss = if worst { MOST_LOSS } else { 0.1 } * dice.unit();
    let delay = if worst { millis(dice, 300, most) } else { millis(dice, 5, 300) };
    Path { open: true, loss, delay, jitter: millis(dice, 0, 60) }
}

fn vice(dice: &mut Dice) -> Vice {
    let all = [Vice::Silent, Vice::Censor, Vice::Equivocate, Vice::FalseAck, Vice::Poison];
    all[between(dice, 0, all.len() - 1)]
}

fn act(dice: &mut Dice, kinds: Kinds) -> Option<Act> {
    let options: &[(Kinds, u64)] = &[
        (Kinds::NONE, 3),
        (Kinds::LEAVE, 2),
        (Kinds::HAND_OVER, 1),
        (Kinds::UPDATE, 4),
        (Kinds::REMOVE, 2),
        (Kinds::WEATHER, 2),
        (Kinds::WEATHER, 2),
        (Kinds::SHORT_CUT, 3),
        (Kinds::PARTITION, 3),
        (Kinds::PARTITION, 2),
        (Kinds::CRASH, 2),
        (Kinds::CRASH_SEQUENCER, 2),
        (Kinds::CRASH_SEQUENCER, 2),
        (Kinds::RETURN, 3),
        (Kinds::SLEEP, 3),
        (Kinds::LOCK, 2),
        (Kinds::SCREEN, 1),
    ];
    let weight = |(kind, weight): &(Kinds, u64)| if kinds.has(*kind) { *weight } else { 0 };
    let total: u64 = options.iter().map(weight).sum();
    let mut drawn = dice.roll() % total.max(1);
    let index = options.iter().position(|o| match drawn.checked_sub(weight(o)) {
        Some(rest) => {
            drawn = rest;
            false
        }
        None => true,
    })?;
    Some(match index {
        0 => Act::Join,
        1 => Act::Leave,
        2 => Act::HandOver,
        3 => Act::Rekey,
        4 => Act::Remove,
        5 => Act::Weather(weather(dice)),
        6 => Act::Odd(weather(dice), weather(dice)),
        7 => Act::Cut { one_way: dice.chance(0.5), time: millis(dice, 200, 12_000) },
        8 => Act::Part(millis(dice, 500, 60_000)),
        9 => Act::Alone(millis(dice, 500, 60_000)),
        10 => Act::Crash,
        11 => Act::CrashSequencer,
        12 => Act::DieCommitting(between(dice, 0, 4)),
        13 => Act::Return,
        14 => Act::Sleep(millis(dice, 500, 60_000)),
        15 => Act::Lock(dice.chance(0.7)),
        _ => Act::Screens(millis(dice, 0, 400)),
    })
}
