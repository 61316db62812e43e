use super::*;

fn fill(producer: &mut Producer<f32>, n: usize, from: &mut usize) {
    for _ in 0..n {
        let x = (*from as f64 * 0.03).sin() as f32;
        let _ = producer.push(x);
        *from += 1;
    }
}

/// How far the worst sample is from going on like a sine of the frequency that `fill` makes: a
/// click, a hole or a repeated sample shows.
fn roughest(sound: &[f32]) -> f32 {
    let curve = 2.0 * 0.03f32.cos();
    let off = |w: &[f32]| (w[2] - (curve * w[1] - w[0])).abs();
    sound.windows(3).skip(200).map(off).fold(0.0, f32::max)
}

/// A card with a clock of its own, in lumps; samples so far.
struct Card {
    ppm: f64,
    lump: usize,
    done: usize,
}

impl Card {
    /// Lumps that are due by the end of this tick.
    fn due(&mut self, tick: usize) -> usize {
        let by = (tick * BLOCK) as f64 * (1.0 + self.ppm * 1e-6);
        let lumps = (by as usize - self.done) / self.lump;
        self.done += lumps * self.lump;
        lumps
    }
}

/// Depth over a call of so many seconds, as means of 10 s, in seconds; what was cut, times run dry.
struct Course {
    depths: Vec<f64>,
    counters: (u64, u64),
    /// The worst sample (see [`roughest`]).
    rough: f32,
}

impl Course {
    /// Spread of the depth from the second minute on.
    fn spread(&self) -> f64 {
        let late = || self.depths.iter().skip(6).copied();
        late().fold(0.0, f64::max) - late().fold(f64::MAX, f64::min)
    }
}

/// Records from a card for a while. `off`: ticks in which the card does nothing.
fn recording(ppm: f64, lump: usize, seconds: usize, off: std::ops::Range<usize>) -> Course {
    let (mut producer, consumer) = ring(48_000, lump);
    let mut intake = Intake::default();
    intake.attach(consumer, 48_000);
    let mut card = Card { ppm, lump, done: 0 };
    let (mut made, mut heard, mut depth, mut depths) = (0, Vec::new(), 0.0, Vec::new());
    for tick in 1..=seconds * 100 {
        for _ in 0..card.due(tick) {
            if !off.contains(&tick) {
                fill(&mut producer, lump, &mut made);
            }
        }
        if let Some(block) = intake.read()
            && heard.len() < 48_000 * 120
        {
            heard.extend(block);
        }
        depth += intake.delay().as_secs_f64();
        if tick % 1000 == 0 {
            depths.push(depth / 1000.0);
            depth = 0.0;
        }
    }
    let rough = if off.is_empty() { roughest(&heard) } else { 0.0 };
    Course { depths, counters: intake.counters(), rough }
}

/// Plays on a card for a while.
fn playing(ppm: f64, lump: usize, seconds: usize, off: std::ops::Range<usize>) -> Course {
    let (producer, mut consumer) = ring(48_000, lump);
    let mut outlet = Outlet::default();
    outlet.attach(producer, 48_000);
    let mut card = Card { ppm, lump, done: 0 };
    let (mut said, mut heard, mut depth, mut depths) = (0usize, Vec::new(), 0.0, Vec::new());
    for tick in 1..=seconds * 100 {
        let block = std::array::from_fn(|i| ((said + i) as f64 * 0.03).sin() as f32);
        said += BLOCK;
        outlet.write(&block);
        for _ in 0..card.due(tick) * lump {
            if !off.contains(&tick)
                && let Ok(sample) = consumer.pop()
                && heard.len() < 48_000 * 120
            {
                heard.push(sample);
            }
        }
        depth += outlet.delay().as_secs_f64();
        if tick % 1000 == 0 {
            depths.push(depth / 1000.0);
            depth = 0.0;
        }
    }
    let rough = if off.is_empty() { roughest(&heard[4800..]) } else { 0.0 };
    Course { depths, counters: outlet.counters(), rough }
}

#[test]
fn a_card_200_ppm_off_is_followed_for_ten_minutes_without_a_cut_or_a_gap() {
    let courses = [
        (200.0, 480, recording(200.0, 480, 600, 0..0)),
        (-200.0, 1024, playing(-200.0, 1024, 600, 0..0)),
    ];
    for (ppm, lump, course) in courses {
        assert_eq!(course.counters, (0, 0), "{ppm} ppm, lumps of {lump}");
        assert!(course.spread() < 10e-3, "{ppm} ppm, lumps of {lump}: {:?}", course.depths);
        assert!(course.rough < 2e-3, "{ppm} ppm, lumps of {lump}: {}", course.rough);
    }
}

#[test]
fn a_card_500_ppm_off_is_survived() {
    for ppm in [500.0, -500.0] {
        for course in [recording(ppm, 960, 120, 0..0), playing(ppm, 960, 120, 0..0)] {
            assert_eq!(course.counters.1, 0, "{ppm} ppm ran dry");
            assert!(course.counters.0 < 480, "{ppm} ppm: {} cut", course.counters.0);
            assert!(course.depths.iter().all(|depth| *depth < 0.05), "{ppm}: {:?}", course.depths);
        }
    }
}

#[test]
fn a_card_that_pauses_is_followed_as_before_when_it_comes_back() {
    for course in [recording(200.0, 480, 240, 9000..9300), playing(-200.0, 480, 240, 9000..9300)] {
        // Once for the pause itself.
        assert!(course.counters.1 <= 1, "{:?}", course.counters);
        let (before, after) = (course.depths[8], &course.depths[11..]);
        // Within a lump and a tick of where it was.
        assert!(after.iter().all(|depth| (depth - before).abs() < 0.012), "{:?}", course.depths);
    }
}

#[test]
fn lumps_of_any_size_become_even_blocks() {
    for lump in [128, 441, 512, 640, 960, 1024] {
        let (mut producer, consumer) = ring(48_000, lump);
        let mut intake = Intake::default();
        intake.attach(consumer, 48_000);
        let (mut made, mut heard) = (0, Vec::new());
        for tick in 1..=1000usize {
            while made + lump <= tick * BLOCK {
                fill(&mut producer, lump, &mut made);
            }
            heard.extend(intake.read().into_iter().flatten());
        }
        assert_eq!(intake.counters(), (0, 0), "lumps of {lump}");
        assert!(heard.len() >= 995 * BLOCK);
        assert!(roughest(&heard) < 2e-3, "lumps of {lump}: {}", roughest(&heard));
    }
}

#[test]
fn a_stall_is_skipped_rather_than_kept_as_delay() {
    let (mut producer, consumer) = ring(48_000, 960);
    let mut intake = Intake::default();
    intake.attach(consumer, 48_000);
    let mut made = 0;
    fill(&mut producer, 4800, &mut made);
    assert!(intake.read().is_some());
    assert!(intake.delay() <= Duration::from_millis(30));
    assert!(intake.counters().0 > 0);
}

#[test]
fn a_fast_card_never_builds_up_delay() {
    let (mut producer, consumer) = ring(48_000, 480);
    let mut intake = Intake::default();
    intake.attach(consumer, 48_000);
    let mut made = 0;
    for tick in 0..6000usize {
        // 0.1 % fast: 60 ms in a minute.
        fill(&mut producer, BLOCK + usize::from(tick % 2 == 0), &mut made);
        intake.read();
        assert!(intake.delay() <= Duration::from_millis(45));
    }
    assert_eq!(intake.counters().1, 0);
}

#[test]
fn a_card_at_another_rate_is_heard_at_48_khz() {
    let (mut producer, consumer) = ring(44_100, 441);
    let mut intake = Intake::default();
    intake.attach(consumer, 44_100);
    let (mut made, mut blocks) = (0, 0);
    for _ in 0..500 {
        fill(&mut producer, 441, &mut made);
        blocks += usize::from(intake.read().is_some());
    }
    assert!(blocks >= 494, "{blocks}");
}

#[test]
fn a_loudspeaker_gets_every_sample_in_lumps() {
    for lump in [480, 512, 960, 1024] {
        let (producer, mut consumer) = ring(48_000, lump);
        let mut outlet = Outlet::default();
        outlet.attach(producer, 48_000);
        let (mut played, mut dry) = (0usize, 0);
        for tick in 1..=1000usize {
            outlet.write(&[0.5; BLOCK]);
            while played + lump <= tick * BLOCK {
                for _ in 0..lump {
                    dry += usize::from(consumer.pop().is_err());
                }
                played += lump;
            }
        }
        assert_eq!((dry, outlet.counters().1), (0, 0), "lumps of {lump}");
    }
}

#[test]
fn a_stuck_loudspeaker_never_holds_more_than_90_ms() {
    let (producer, _consumer) = ring(48_000, 960);
    let mut outlet = Outlet::default();
    outlet.attach(producer, 48_000);
    for _ in 0..1000 {
        outlet.write(&[0.5; BLOCK]);
        assert!(outlet.delay() <= Duration::from_millis(91));
    }
    assert!(outlet.counters().0 > 0);
}

#[test]
fn a_slow_loudspeaker_never_builds_up_delay() {
    let (producer, mut consumer) = ring(48_000, 480);
    let mut outlet = Outlet::default();
    outlet.attach(producer, 48_000);
    for tick in 0..6000usize {
        outlet.write(&[0.1; BLOCK]);
        for _ in 0..BLOCK - usize::from(tick % 2 == 0) {
            let _ = consumer.pop();
        }
        assert!(outlet.delay() <= Duration::from_millis(55), "{:?}", outlet.delay());
    }
    assert_eq!(outlet.counters().1, 0);
}

#[test]
fn without_a_device_nothing_is_read_and_everything_taken() {
    assert!(Intake::default().read().is_none());
    Outlet::default().write(&[0.0; BLOCK]);
}
