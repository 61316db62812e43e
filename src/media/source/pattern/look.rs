//! What a face looks like: chosen by the bytes of an identity's fingerprint.

use super::canvas::{Colour, rgb};

/// Identity bytes of Ada, one of the two people of demonstrations.
pub const ADA: [u8; 8] = [1, 1, 1, 0, 1, 0, 1, 0];
/// Identity bytes of Ben, the other one.
pub const BEN: [u8; 8] = [2, 3, 0, 1, 3, 2, 2, 1];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hair {
    Short,
    Long,
    Bun,
    Curls,
    Bald,
    Parted,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub skin: Colour,
    pub lips: Colour,
    pub hair_colour: Colour,
    pub hair: Hair,
    pub glasses: bool,
    pub beard: bool,
    pub shirt: (Colour, Colour),
    pub wall: Colour,
    /// Width of the head relative to its height, around 1.
    pub width: f32,
    pub jaw: f32,
    pub iris: Colour,
    /// The lamp stands on the left (−1) or right (1).
    pub side: f32,
    /// Number that the room's books and the person's movements follow.
    pub seed: u64,
}

const SKIN: [Colour; 6] = [
    rgb(248.0, 208.0, 182.0),
    rgb(238.0, 190.0, 156.0),
    rgb(220.0, 164.0, 126.0),
    rgb(184.0, 126.0, 90.0),
    rgb(144.0, 94.0, 66.0),
    rgb(108.0, 70.0, 52.0),
];
const LIPS: [Colour; 6] = [
    rgb(206.0, 108.0, 104.0),
    rgb(196.0, 96.0, 90.0),
    rgb(178.0, 88.0, 78.0),
    rgb(146.0, 70.0, 62.0),
    rgb(118.0, 58.0, 52.0),
    rgb(96.0, 48.0, 46.0),
];
const HAIR: [Colour; 6] = [
    rgb(38.0, 32.0, 34.0),
    rgb(78.0, 48.0, 32.0),
    rgb(118.0, 80.0, 48.0),
    rgb(182.0, 94.0, 44.0),
    rgb(222.0, 186.0, 118.0),
    rgb(172.0, 170.0, 168.0),
];
const SHIRTS: [(Colour, Colour); 6] = [
    (rgb(236.0, 230.0, 220.0), rgb(52.0, 74.0, 128.0)),
    (rgb(28.0, 122.0, 124.0), rgb(226.0, 236.0, 226.0)),
    (rgb(176.0, 52.0, 56.0), rgb(244.0, 222.0, 196.0)),
    (rgb(42.0, 54.0, 92.0), rgb(232.0, 152.0, 64.0)),
    (rgb(110.0, 72.0, 138.0), rgb(222.0, 208.0, 236.0)),
    (rgb(74.0, 112.0, 62.0), rgb(236.0, 226.0, 168.0)),
];
const WALLS: [Colour; 5] = [
    rgb(168.0, 142.0, 118.0),
    rgb(122.0, 138.0, 118.0),
    rgb(106.0, 124.0, 148.0),
    rgb(150.0, 122.0, 132.0),
    rgb(140.0, 138.0, 130.0),
];
const IRIS: [Colour; 4] = [
    rgb(84.0, 56.0, 34.0),
    rgb(70.0, 112.0, 150.0),
    rgb(84.0, 122.0, 76.0),
    rgb(110.0, 88.0, 48.0),
];

impl Look {
    /// The look of whoever has these fingerprint bytes; missing bytes count as 0.
    pub(super) fn of(identity: &[u8]) -> Self {
        let byte = |i: usize| usize::from(identity.get(i).copied().unwrap_or(0));
        let skin = byte(0) % SKIN.len();
        let hair = [Hair::Short, Hair::Long, Hair::Bun, Hair::Curls, Hair::Bald, Hair::Parted]
            [byte(2) % 6];
        // Dark skin with blond hair is rare enough not to look like a person first.
        let hair_colour = if skin >= 4 { [0, 0, 1, 0, 1, 5] } else { [0, 1, 2, 3, 4, 5] };
        let longish = matches!(hair, Hair::Long | Hair::Bun);
        let beard = !longish && byte(3) % 4 != 0;
        Self {
            skin: SKIN[skin],
            lips: LIPS[skin],
            hair_colour: HAIR[hair_colour[byte(1) % 6]],
            hair,
            glasses: longish && byte(3) % 4 != 3 || byte(3).is_multiple_of(2),
            beard,
            shirt: SHIRTS[byte(4) % SHIRTS.len()],
            wall: WALLS[byte(5) % WALLS.len()],
            width: 0.94 + 0.05 * (byte(6) % 4) as f32,
            jaw: 0.08 + 0.05 * (byte(6) / 4 % 4) as f32,
            iris: IRIS[byte(7) / 2 % IRIS.len()],
            side: if byte(7).is_multiple_of(2) { -1.0 } else { 1.0 },
            seed: identity.iter().fold(0xFACE, |h, &b| super::motion::hash(h ^ u64::from(b))),
        }
    }
}
