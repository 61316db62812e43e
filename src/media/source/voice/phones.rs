//! The sounds of English the spelling alphabet needs, and its words spelt in them.
//!
//! Formants are round figures in the range of published averages for adult speakers; stops are two
//! or three short sounds: closure, burst, breath.

use super::Tract;

/// One steady sound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sound {
    millis: f32,
    formants: [f32; 3],
    voice: f32,
    breath: f32,
    friction: f32,
    noise: [f32; 2],
    open: f32,
}

impl Sound {
    /// Length at normal speed, in samples.
    pub(super) fn samples(&self) -> f32 {
        self.millis * 48.0
    }

    /// The tract in the middle of this sound (pitch is the speaker's business).
    pub(super) fn tract(&self) -> Tract {
        Tract {
            formants: self.formants,
            voice: self.voice,
            breath: self.breath,
            friction: self.friction,
            noise: self.noise,
            open: self.open,
            pitch: 0.0,
        }
    }
}

const fn vowel(millis: f32, f1: f32, f2: f32, f3: f32, open: f32) -> Sound {
    Sound {
        millis,
        formants: [f1, f2, f3],
        voice: 1.0,
        breath: 0.02,
        friction: 0.0,
        noise: [4000.0, 2000.0],
        open,
    }
}

const fn hum(millis: f32, f1: f32, f2: f32, f3: f32, voice: f32, open: f32) -> Sound {
    Sound { voice, ..vowel(millis, f1, f2, f3, open) }
}

const fn hiss(millis: f32, near: [f32; 3], hertz: f32, width: f32, loud: f32, voice: f32) -> Sound {
    Sound {
        millis,
        formants: near,
        voice,
        breath: 0.0,
        friction: loud,
        noise: [hertz, width],
        open: 0.15,
    }
}

const fn closure(millis: f32, near: [f32; 3], voice: f32) -> Sound {
    Sound {
        millis,
        formants: near,
        voice,
        breath: 0.0,
        friction: 0.0,
        noise: [4000.0, 2000.0],
        open: 0.0,
    }
}

const fn breath(millis: f32, near: [f32; 3], loud: f32) -> Sound {
    Sound {
        millis,
        formants: near,
        voice: 0.0,
        breath: loud,
        friction: 0.0,
        noise: [4000.0, 2000.0],
        open: 0.35,
    }
}

const NEUTRAL: [f32; 3] = [500.0, 1500.0, 2500.0];
const LIPS: [f32; 3] = [350.0, 900.0, 2200.0];
const TEETH: [f32; 3] = [350.0, 1750.0, 2700.0];
const PALATE: [f32; 3] = [300.0, 2100.0, 2700.0];

// Vowels.
const AE: Sound = vowel(120.0, 690.0, 1700.0, 2450.0, 0.8);
const AA: Sound = vowel(120.0, 720.0, 1150.0, 2500.0, 1.0);
const AH: Sound = vowel(85.0, 600.0, 1250.0, 2450.0, 0.6);
const AO: Sound = vowel(110.0, 560.0, 880.0, 2450.0, 0.8);
const EH: Sound = vowel(95.0, 560.0, 1800.0, 2500.0, 0.65);
const ER: Sound = vowel(110.0, 480.0, 1320.0, 1700.0, 0.45);
const IH: Sound = vowel(75.0, 400.0, 1980.0, 2580.0, 0.4);
const IY: Sound = vowel(105.0, 290.0, 2260.0, 2960.0, 0.35);
const UW: Sound = vowel(115.0, 320.0, 920.0, 2250.0, 0.3);
const OH: Sound = vowel(70.0, 520.0, 950.0, 2400.0, 0.65);
const UH: Sound = vowel(60.0, 380.0, 950.0, 2300.0, 0.35);
const EI: Sound = vowel(70.0, 480.0, 1950.0, 2550.0, 0.55);
// Glides, liquids, nasals.
const W: Sound = hum(60.0, 300.0, 700.0, 2200.0, 0.6, 0.15);
const Y: Sound = hum(55.0, 270.0, 2250.0, 2950.0, 0.6, 0.25);
const R: Sound = hum(65.0, 340.0, 1150.0, 1500.0, 0.6, 0.3);
const L: Sound = hum(65.0, 350.0, 1100.0, 2600.0, 0.55, 0.35);
const M: Sound = hum(75.0, 260.0, 1000.0, 2200.0, 0.4, 0.0);
const N: Sound = hum(65.0, 260.0, 1500.0, 2500.0, 0.4, 0.2);
const NG: Sound = hum(70.0, 260.0, 2000.0, 2600.0, 0.4, 0.25);
// Fricatives.
const F: Sound = hiss(95.0, LIPS, 6500.0, 5000.0, 0.25, 0.0);
const V: Sound = hiss(60.0, LIPS, 6000.0, 5000.0, 0.1, 0.4);
const S: Sound = hiss(95.0, TEETH, 6200.0, 2200.0, 0.7, 0.0);
const Z: Sound = hiss(80.0, TEETH, 6000.0, 2200.0, 0.35, 0.4);
const SH: Sound = hiss(60.0, PALATE, 3000.0, 1500.0, 0.7, 0.0);
const ZH: Sound = hiss(45.0, PALATE, 2900.0, 1500.0, 0.4, 0.35);
const H: Sound = breath(60.0, NEUTRAL, 0.35);
// Stops: closure, burst, and breath after the voiceless ones.
const P0: Sound = closure(55.0, LIPS, 0.0);
const P1: Sound = hiss(12.0, LIPS, 1200.0, 1500.0, 0.5, 0.0);
const T0: Sound = closure(50.0, TEETH, 0.0);
const T1: Sound = hiss(15.0, TEETH, 4800.0, 2500.0, 0.8, 0.0);
const K0: Sound = closure(55.0, PALATE, 0.0);
const K1: Sound = hiss(18.0, PALATE, 2000.0, 1000.0, 0.8, 0.0);
const B0: Sound = closure(50.0, LIPS, 0.18);
const B1: Sound = hiss(8.0, LIPS, 1000.0, 1200.0, 0.3, 0.5);
const D0: Sound = closure(45.0, TEETH, 0.18);
const D1: Sound = hiss(10.0, TEETH, 4300.0, 2500.0, 0.45, 0.5);
const G0: Sound = closure(45.0, PALATE, 0.18);
const G1: Sound = hiss(14.0, PALATE, 1900.0, 1000.0, 0.5, 0.5);
/// Breath after a voiceless stop.
const X: Sound = breath(25.0, NEUTRAL, 0.3);

/// The spelling alphabet.
pub(super) const WORDS: [(&str, &[Sound]); 26] = [
    ("alfa", &[AE, L, F, AH]),
    ("bravo", &[B0, B1, R, AA, V, OH, UH]),
    ("charlie", &[T0, SH, AA, R, L, IY]),
    ("delta", &[D0, D1, EH, L, T0, T1, X, AH]),
    ("echo", &[EH, K0, K1, X, OH, UH]),
    ("foxtrot", &[F, AA, K0, K1, S, T0, T1, R, AA, T0, T1]),
    ("golf", &[G0, G1, AA, L, F]),
    ("hotel", &[H, OH, UH, T0, T1, X, EH, L]),
    ("india", &[IH, N, D0, D1, IY, AH]),
    ("juliett", &[D0, ZH, UW, L, IY, EH, T0, T1]),
    ("kilo", &[K0, K1, X, IY, L, OH, UH]),
    ("lima", &[L, IY, M, AH]),
    ("mike", &[M, AA, IH, K0, K1, X]),
    ("november", &[N, OH, V, EH, M, B0, B1, ER]),
    ("oscar", &[AO, S, K0, K1, ER]),
    ("papa", &[P0, P1, X, AH, P0, P1, X, AA]),
    ("quebec", &[K0, K1, X, EH, B0, B1, EH, K0, K1, X]),
    ("romeo", &[R, OH, M, IY, OH, UH]),
    ("sierra", &[S, IY, EH, R, AH]),
    ("tango", &[T0, T1, X, AE, NG, G0, G1, OH, UH]),
    ("uniform", &[Y, UW, N, IH, F, AO, R, M]),
    ("victor", &[V, IH, K0, K1, T0, T1, X, ER]),
    ("whiskey", &[W, IH, S, K0, K1, IY]),
    ("x-ray", &[EH, K0, K1, S, R, EI, IH]),
    ("yankee", &[Y, AE, NG, K0, K1, X, IY]),
    ("zulu", &[Z, UW, L, UW]),
];
