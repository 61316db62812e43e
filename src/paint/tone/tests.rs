use super::*;
use crate::paint::{Depth, Look, Mode, Rect, Tile};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const SIZE: Size = Size { width: 240, height: 144 };

/// A room: shaded wall, a face that is brighter, dark hair; lumas within `low`…`high`, grain of
/// standard deviation `grain`, drawn anew by every call.
fn room(low: f32, high: f32, grain: f32, rng: &mut StdRng) -> RawFrame {
    let mut f = RawFrame::black(SIZE, MediaTime::default());
    let (w, h) = (usize::from(SIZE.width), usize::from(SIZE.height));
    for (i, luma) in f.y.iter_mut().enumerate() {
        let (x, y) = ((i % w) as f32 / w as f32 - 0.5, (i / w) as f32 / h as f32 - 0.5);
        let oval = |rx: f32, ry: f32| (x / rx).powi(2) + (y / ry).powi(2) < 1.0;
        let share = if oval(0.16, 0.32) {
            0.92 + 0.4 * x - 0.5 * y * y
        } else if oval(0.22, 0.4) {
            0.02
        } else {
            0.3 + 0.25 * x + 0.1 * (x * 40.0).sin()
        };
        // Four uniform numbers, near enough to Gauss: their sum has a deviation of 147.8.
        let sum: u32 = rng.random::<[u8; 4]>().into_iter().map(u32::from).sum();
        let noise = (sum as f32 - 510.0) / 147.8;
        *luma = (low + (high - low) * share + grain * noise).round().clamp(16.0, 235.0) as u8;
    }
    let half = w / 2;
    for (i, (u, v)) in f.u.iter_mut().zip(&mut f.v).enumerate() {
        let x = (i % half) as f32 / half as f32 - 0.5;
        (*u, *v) = if x.abs() < 0.16 { (120, 138) } else { (131, 126) };
    }
    f
}

fn dark(rng: &mut StdRng) -> RawFrame {
    room(18.0, 78.0, 1.5, rng)
}

fn stretching() -> Tone {
    let mut tone = Tone::default();
    tone.set(Tones { stretch: true, tint: Tint::None });
    tone
}

/// The stretch in use after each of `pictures`, 15 a second.
fn stretches(tone: &mut Tone, pictures: impl Iterator<Item = RawFrame>) -> Vec<Stretch> {
    pictures
        .enumerate()
        .map(|(n, mut f)| {
            f.at = MediaTime(n as u64 * 66_667);
            tone.show(&f, 0.0);
            tone.held
        })
        .collect()
}

fn percentile(plane: &[u8], share: f32) -> u8 {
    let mut all = plane.to_vec();
    all.sort_unstable();
    all[((all.len() - 1) as f32 * share) as usize]
}

#[test]
fn a_dark_room_comes_out_bright_and_its_black_stays() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut f = dark(&mut rng);
    f.y[..480].fill(16);
    let mut tone = stretching();
    let shown = tone.show(&f, 0.0);
    assert!(percentile(&f.y, 0.99) < 80 && percentile(&shown.y, 0.99) > 170);
    assert!(percentile(&shown.y, 0.02) < 40);
    assert!(shown.y[..480].iter().all(|y| *y == 16));
    assert_eq!((shown.size, shown.y.len(), shown.u.len()), (f.size, f.y.len(), f.u.len()));
}

#[test]
fn a_picture_that_uses_the_range_passes_bit_for_bit() {
    let mut rng = StdRng::seed_from_u64(2);
    let noise = {
        let mut f = room(16.0, 235.0, 0.0, &mut rng);
        f.y.iter_mut()
            .zip(1u32..)
            .for_each(|(y, i)| *y = (i.wrapping_mul(2_654_435_769) >> 24) as u8);
        f.y.chunks_mut(4 * 240).for_each(|rows| {
            let first = rows[..240].to_vec();
            for (i, y) in rows.iter_mut().enumerate() {
                *y = first[i % 240 / 4 * 4];
            }
        });
        f
    };
    for f in [room(16.0, 235.0, 2.0, &mut rng), room(20.0, 225.0, 4.0, &mut rng), noise] {
        let mut tone = stretching();
        let shown = tone.show(&f, 0.0);
        assert!(std::ptr::eq(shown, &f), "not even copied");
    }
}

#[test]
fn black_and_a_covered_lens_stay_as_they_are() {
    let mut rng = StdRng::seed_from_u64(3);
    let black = RawFrame::black(SIZE, MediaTime::default());
    let covered = room(20.0, 20.0, 6.0, &mut rng);
    let veiled = room(40.0, 43.0, 4.0, &mut rng);
    for f in [black, covered, veiled] {
        let mut tone = stretching();
        assert_eq!(tone.show(&f, 0.0), &f);
    }
}

#[test]
fn black_bars_do_not_count_as_shadows() {
    let mut rng = StdRng::seed_from_u64(4);
    let whole = dark(&mut rng);
    let mut barred = whole.clone();
    let mut bare = stretching();
    bare.show(&whole, 0.0);
    for row in barred.y.chunks_mut(240) {
        row[..60].fill(16);
        row[180..].fill(16);
    }
    let mut tone = stretching();
    tone.show(&barred, 0.0);
    assert!(tone.held.distance(&bare.held) < 25.0, "{:?} {:?}", tone.held, bare.held);
}

#[test]
fn the_measuring_strip_does_not_count() {
    let mut rng = StdRng::seed_from_u64(5);
    let mut f = dark(&mut rng);
    let mut tone = stretching();
    tone.show(&f, 1.0 / 9.0);
    let plain = tone.held;
    f.y[240 * 128..]
        .chunks_mut(8)
        .enumerate()
        .for_each(|(n, run)| run.fill(16 + 219 * (n as u8 % 2)));
    let mut tone = stretching();
    tone.show(&f, 1.0 / 9.0);
    assert_eq!(tone.held, plain);
}

#[test]
fn the_curve_of_a_still_picture_with_grain_stands_exactly_still() {
    for seed in 0..4 {
        let mut rng = StdRng::seed_from_u64(seed);
        let grain = 0.5 + seed as f32 * 1.5;
        let high = 50.0 + 40.0 * seed as f32;
        let pictures = (0..60).map(|_| room(18.0, high, grain, &mut rng));
        let held = stretches(&mut stretching(), pictures);
        assert!(held.iter().all(|s| *s == held[0]), "grain {grain}, high {high}");
    }
}

#[test]
fn after_the_light_has_changed_the_curve_follows_and_stands_still_again() {
    let mut rng = StdRng::seed_from_u64(6);
    let level = |n: usize| if n < 30 { 70.0 } else { (70.0 + (n - 30) as f32).min(100.0) };
    let pictures = (0..200).map(|n| room(18.0, level(n), 1.5, &mut rng));
    let held = stretches(&mut stretching(), pictures);
    assert!(held[..30].iter().all(|s| *s == held[0]));
    // No step shows: at most a few levels from one picture to the next.
    assert!(held.windows(2).all(|w| w[0].distance(&w[1]) < 6.0));
    let last = held[199];
    assert!(held[180..].iter().all(|s| *s == last));
    let right = stretches(&mut stretching(), std::iter::once(room(18.0, 100.0, 1.5, &mut rng)))[0];
    assert!(last.distance(&right) < 12.0, "{last:?} {right:?}");
}

#[test]
fn another_scene_has_its_own_curve_at_once() {
    let mut rng = StdRng::seed_from_u64(7);
    let scenes = [(18.0, 70.0), (16.0, 235.0), (18.0, 70.0)];
    let pictures = (0..9).map(|n| room(scenes[n / 3].0, scenes[n / 3].1, 0.0, &mut rng));
    let held = stretches(&mut stretching(), pictures);
    assert_eq!(held[3], Stretch::NONE);
    assert_eq!((held[0], held[2]), (held[6], held[8]));
    assert!(held[0].gain > 2.0);
}

#[test]
fn every_curve_rises_within_the_range_and_its_slope_is_bounded() {
    for (low, mid, high) in (16..=235u8)
        .step_by(9)
        .flat_map(|l| (l..=235).step_by(7).map(move |h| (l, h)))
        .flat_map(|(l, h)| [0.1, 0.5, 0.9].map(|m| (l, f32::from(l) + m * f32::from(h - l), h)))
    {
        let stretch = Stretch::of(&Levels { low: low.into(), mid, high: high.into() });
        let table: Vec<u8> = (0..=255).map(|l| stretch.shown(l as f32).round() as u8).collect();
        assert!(stretch == Stretch::NONE || table.is_sorted());
        assert_eq!(table[16], 16);
        let steepest = table[16..=235].windows(2).map(|w| w[1] - w[0]).max().unwrap();
        assert!(f32::from(steepest) <= MOST_GAIN * (1.0 + MOST_LIFT), "{stretch:?}");
        assert!(table[16] >= 16 && table[235] <= 235);
        assert!((1.0..=MOST_COLOUR).contains(&stretch.colour));
        // What was bright stays so.
        assert!(f32::from(table[usize::from(high)]) + 1.5 >= f32::from(high).min(BRIGHT));
    }
}

#[test]
fn colours_get_stronger_and_stay_within_what_rgb_has() {
    let mut rng = StdRng::seed_from_u64(8);
    let f = dark(&mut rng);
    let mut tone = stretching();
    let shown = tone.show(&f, 0.0);
    let (before, after) = (f.v[60], shown.v[60]);
    assert!(after > before + 5, "{before} {after}");
    // Whatever was a colour is one: no channel falls below black.
    let channels = |y: f32, u: f32, v: f32| {
        let (y, d, e) = (1.164 * (y - 16.0), u - 128.0, v - 128.0);
        [y + 1.596 * e, y - 0.392 * d - 0.813 * e, y + 2.017 * d]
    };
    let curve = &tone.curve;
    let Colour::Own(own) = &curve.colour else { panic!() };
    for (y, u, v) in (16..80u8).flat_map(|y| {
        (90..166u8).step_by(5).flat_map(move |u| (90..166u8).step_by(5).map(move |v| (y, u, v)))
    }) {
        let least = |y: u8, u: u8, v: u8| {
            channels(y.into(), u.into(), v.into()).into_iter().fold(f32::INFINITY, f32::min)
        };
        if least(y, u, v) >= 0.0 {
            let least = least(curve.y.whole(y), own.whole(u), own.whole(v));
            assert!(least > -3.0, "{y} {u} {v}: {least}");
        }
    }
}

#[test]
fn a_tint_leaves_no_colour_but_its_own_also_at_odd_sizes() {
    let mut rng = StdRng::seed_from_u64(9);
    for size in [SIZE, Size { width: 7, height: 5 }, Size { width: 1, height: 1 }] {
        let mut f = RawFrame::black(size, MediaTime::default());
        f.y.iter_mut().chain(&mut f.u).chain(&mut f.v).for_each(|v| *v = rng.random());
        let mut tone = Tone::default();
        tone.set(Tones { stretch: false, tint: Tint::Gray });
        let gray = tone.show(&f, 0.0);
        assert!(is_whole(gray) && gray.u.iter().chain(&gray.v).all(|c| *c == 128));
        tone.set(Tones { stretch: true, tint: Tint::Amber });
        let amber = tone.show(&f, 0.0);
        assert!(is_whole(amber) && amber.u.iter().all(|u| *u <= 128));
        assert!(amber.v.iter().all(|v| *v >= 128));
    }
}

#[test]
fn what_is_no_whole_picture_passes_on() {
    let mut f = RawFrame::black(SIZE, MediaTime::default());
    f.y.truncate(100);
    let mut tone = Tone::default();
    tone.set(Tones { stretch: true, tint: Tint::Green });
    assert_eq!(tone.show(&f, 0.0), &f);
    let none = RawFrame::black(Size::new(0, 0), MediaTime::default());
    assert_eq!(tone.show(&none, 0.0), &none);
}

/// Bytes that a tile writes for `pictures`: of the first, and a picture of the last twenty.
fn bytes(look: Look, tones: Tones, pictures: &[RawFrame]) -> (usize, usize) {
    let mut tile = Tile::new(look, Depth::True, Default::default());
    tile.place(Rect { x: 0, y: 0, cols: 80, rows: 24 }, (10, 20));
    tile.tone(tones);
    assert_eq!(tile.tones(), tones);
    let written: Vec<usize> =
        pictures.iter().map(|f| tile.paint(f, &mut Vec::new()).bytes).collect();
    (written[0], written[written.len() - 20..].iter().sum::<usize>() / 20)
}

#[test]
fn a_still_scene_costs_hardly_more_bytes_stretched() {
    let mut rng = StdRng::seed_from_u64(10);
    for (high, grain) in [(78.0, 0.0), (78.0, 1.5), (120.0, 1.5), (160.0, 3.0)] {
        let pictures: Vec<RawFrame> = (0..40u64)
            .map(|n| RawFrame { at: MediaTime(n * 66_667), ..room(18.0, high, grain, &mut rng) })
            .collect();
        let look = Look::Cells(Mode::Sextant);
        let plain = bytes(look, Tones::default(), &pictures);
        let stretched = bytes(look, Tones { stretch: true, tint: Tint::None }, &pictures);
        // A picture with more to see has more bytes, whole or in the parts that are written anew to
        // heal; but no more of it changes.
        let share = |(whole, each): (usize, usize)| each as f32 / whole as f32;
        assert!(share(stretched) < 1.2 * share(plain), "{high} {grain}: {plain:?} {stretched:?}");
    }
}
