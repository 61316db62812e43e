//! How fast long control messages go: a change of the group takes tens of kilobytes to everybody, and
//! where all of it leaves by one line, beside everybody's sound.
//!
//! An urgent one goes as fast as makes sense. A gentle one goes at [`MOST`], half as fast after every
//! round trip that shows a queue, and twice as fast again while none does (the idea of LEDBAT, RFC 6817,
//! over a few round trips). Two links that see a queue see that of a line they share: then all go slower,
//! also those that come up in the middle of it and take it for the path. What was learned holds for the
//! next message: the changes of a call that begins come one after the other.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// Time between two portions.
pub(super) const EVERY: Duration = Duration::from_millis(8);
/// A gentle message goes at least so fast where no queue shows, in bit/s: a change must not wait for an
/// estimate that knows of little traffic only. Links with a line of their own carry that beside sound.
const MOST: u64 = 1_000_000;
/// Smallest portion: more headers than this pays for would delay the sound as well.
const LEAST: usize = 400;
/// Smallest portion of an urgent message, in the time of any other: 4.8 Mbit/s. Faster would only fill
/// small queues on the way; what it delays can't be used before it anyway.
const URGENT: usize = 4800;
/// A round trip longer than the shortest by less than this has no queue in it …
const CLEAR: Duration = Duration::from_millis(20);
/// … and by more than this has too long a one for sound.
const QUEUE: Duration = Duration::from_millis(60);
/// So many links see a queue: it is that of the line they share.
const SHARED: usize = 2;
/// Round trips shorter than this are not looked at one by one.
const LOOK: Duration = Duration::from_millis(25);
/// How often the rate is halved, at most: by a link and by all together.
const GAIN: RangeInclusive<i32> = -4..=0;

/// How fast a long control message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// The sound behind it must not be late.
    Gentle,
    /// The sound behind it waits for it.
    Urgent,
}

/// What all links of an endpoint that write long messages know together.
#[derive(Clone, Default)]
pub(crate) struct Writers(Arc<Mutex<Together>>);

#[derive(Default)]
struct Together {
    writing: usize,
    /// Of these, those that see a queue.
    full: usize,
    gain: Gain,
    /// Links with a picture under way that takes more than one portion.
    pictures: usize,
}

/// A link's large pictures under way, until dropped.
pub(super) struct Picture(Arc<Mutex<Together>>);

impl Picture {
    /// What `link` has under way already, or a beginning: whoever takes in nothing keeps one link busy with
    /// many pictures, and must not count for many.
    pub(super) fn begin(writers: &Writers, link: &mut Weak<Self>) -> Arc<Self> {
        link.upgrade().unwrap_or_else(|| {
            lock(&writers.0).pictures += 1;
            let begun = Arc::new(Self(writers.0.clone()));
            *link = Arc::downgrade(&begun);
            begun
        })
    }

    /// So many links have one under way, this one among them.
    pub(super) fn together(&self) -> usize {
        lock(&self.0).pictures
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        lock(&self.0).pictures -= 1;
    }
}

fn lock(all: &Mutex<Together>) -> MutexGuard<'_, Together> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A rate in powers of two of [`MOST`], looked at once in a round trip.
#[derive(Default)]
struct Gain {
    power: i32,
    looked: Option<Instant>,
}

impl Gain {
    /// Half as fast with a queue – and no faster than its part of [`MOST`], when so many share it –, twice
    /// as fast without one, at most once in a round trip.
    fn look(&mut self, slower: Option<usize>, faster: bool, rtt: Duration, now: Instant) {
        let due = |at: Instant| now.saturating_duration_since(at) >= rtt.max(LOOK);
        if self.looked.is_none_or(due) {
            self.looked = Some(now);
            let power = match slower {
                Some(links) => (self.power - 1).min(-(links.next_power_of_two().ilog2() as i32)),
                None => self.power + i32::from(faster),
            };
            self.power = power.clamp(*GAIN.start(), *GAIN.end());
        }
    }
}

/// One link that is writing, until dropped.
struct Writing {
    all: Arc<Mutex<Together>>,
    full: bool,
}

impl Writing {
    fn begin(writers: &Writers) -> Self {
        let all = writers.0.clone();
        lock(&all).writing += 1;
        Self { all, full: false }
    }

    /// This link sees a queue, or not. Whether it is that of all, and the power of two they go by.
    fn look(&mut self, queue: Duration, rtt: Duration, now: Instant) -> (bool, i32) {
        let mut all = lock(&self.all);
        let full = queue > QUEUE;
        all.full = all.full + usize::from(full) - usize::from(self.full);
        self.full = full;
        let (shared, none) = (all.full >= SHARED, all.full == 0 && queue < CLEAR);
        let writing = all.writing;
        all.gain.look(shared.then_some(writing), none, rtt, now);
        (shared, all.gain.power)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        all.full -= usize::from(self.full);
        all.writing -= 1;
    }
}

/// What is known of a link when the next portion goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    /// What the estimate allows, in bit/s.
    pub(super) rate: u64,
    /// Round trip now, and the shortest so far.
    pub(super) rtt: Duration,
    pub(super) shortest: Option<Duration>,
}

/// How one link's messages go, one after the other.
pub(super) struct Portions {
    writers: Writers,
    now: Option<(Pace, Writing)>,
    gain: Gain,
}

impl Portions {
    pub(super) fn new(writers: &Writers) -> Self {
        Self { writers: writers.clone(), now: None, gain: Gain::default() }
    }

    /// A message begins.
    pub(super) fn begin(&mut self, pace: Pace) {
        self.now = Some((pace, Writing::begin(&self.writers)));
    }

    /// It is written, or what is left of it goes at once: whoever takes in nothing must not count for longer.
    pub(super) fn end(&mut self) {
        self.now = None;
    }

    /// How many bytes may go now, and how long after them the next.
    pub(super) fn next(&mut self, path: Path, now: Instant) -> (usize, Duration) {
        let Some((Pace::Gentle, writing)) = &mut self.now else {
            return (allowed(path.rate, EVERY).max(URGENT), EVERY);
        };
        let queue = path.rtt.saturating_sub(path.shortest.unwrap_or(path.rtt));
        let (shared, power) = writing.look(queue, path.rtt, now);
        let alone = (queue > QUEUE && !shared).then_some(1);
        self.gain.look(alone, queue < CLEAR, path.rtt, now);
        // What is the path's own anyway, less the sound's and the pictures' part.
        let own = if shared || queue > QUEUE { path.rate / 10 * 3 } else { path.rate / 10 * 7 };
        let rate = (MOST >> -(self.gain.power + power).max(*GAIN.start())).max(own);
        let portion = allowed(rate, EVERY).max(LEAST);
        let every = Duration::from_micros(portion as u64 * 8_000_000 / rate.max(1));
        (portion, every.max(EVERY))
    }
}

/// Bytes that a rate carries in a time.
pub(super) fn allowed(bits_per_second: u64, time: Duration) -> usize {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    usize::try_from(bits_per_second.saturating_mul(millis) / 8_000).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn path(rate: u64, queue: u64) -> Path {
        Path { rate, rtt: ms(40 + queue), shortest: Some(ms(40)) }
    }

    fn gentle(writers: &Writers) -> Portions {
        let mut one = Portions::new(writers);
        one.begin(Pace::Gentle);
        one
    }

    fn bits((bytes, every): (usize, Duration)) -> u64 {
        bytes as u64 * 8_000_000 / every.as_micros() as u64
    }

    /// The rates in bit/s after so many round trips with these queues in ms.
    fn after(all: &mut [Portions], queues: &[u64], trips: u32, now: Instant) -> Vec<u64> {
        let mut last = Vec::new();
        for trip in 0..trips {
            let at = now + ms(300) * trip;
            let next = all.iter_mut().zip(queues).map(|(one, q)| one.next(path(0, *q), at));
            last = next.map(bits).collect();
        }
        last
    }

    #[test]
    fn a_message_goes_slower_while_a_queue_shows_and_faster_again_when_it_is_gone() {
        let (writers, now) = (Writers::default(), Instant::now());
        let mut one = [gentle(&writers)];
        assert_eq!(after(&mut one, &[0], 9, now), [MOST], "no faster than a narrow line takes");
        let now = now + secs(9);
        assert_eq!(after(&mut one, &[40], 9, now), [MOST], "neither clear nor too much");
        let now = now + secs(9);
        assert_eq!(after(&mut one, &[200], 2, now), [MOST / 4]);
        // The next message, much later, goes on like that.
        one[0].end();
        one[0].begin(Pace::Gentle);
        let now = now + secs(60);
        assert_eq!(after(&mut one, &[40], 1, now), [MOST / 4]);
        assert_eq!(after(&mut one, &[200], 99, now + secs(1)), [MOST / 16], "not for ever");
        assert_eq!(after(&mut one, &[0], 4, now + secs(60)), [MOST]);
    }

    #[test]
    fn a_queue_that_two_links_see_is_everybodys_and_one_link_alone_slows_nobody_down() {
        let (writers, now) = (Writers::default(), Instant::now());
        let mut all: Vec<_> = (0..3).map(|_| gentle(&writers)).collect();
        assert_eq!(after(&mut all, &[200, 0, 0], 2, now), [MOST / 4, MOST, MOST]);
        let now = now + secs(9);
        assert_eq!(after(&mut all, &[0, 0, 0], 9, now), [MOST; 3]);
        let now = now + secs(9);
        let both = after(&mut all, &[200, 200, 0], 2, now);
        assert!(both.iter().all(|rate| *rate <= MOST / 4), "one line of three: {both:?}");
        // Somebody whose link came up in that queue takes it for the path.
        let mut late = [gentle(&writers)];
        assert!(after(&mut late, &[0], 1, now + secs(1))[0] <= MOST / 4);
        all.iter_mut().chain(&mut late).for_each(Portions::end);
        let left = lock(&writers.0);
        assert_eq!((left.writing, left.full), (0, 0));
    }

    #[test]
    fn pictures_under_way_are_counted_until_they_are_written_or_given_up() {
        let writers = Writers::default();
        let begin = |link: &mut Weak<Picture>| Picture::begin(&writers, link);
        let mut links: Vec<_> = (0..4).map(|_| Weak::new()).collect();
        let one = begin(&mut links[0]);
        let others: Vec<_> = links[1..].iter_mut().map(begin).collect();
        assert_eq!(one.together(), 4);
        drop(others);
        let stuck: Vec<_> = (0..9).map(|_| begin(&mut links[0])).collect();
        assert_eq!(one.together(), 1, "however many on one link");
        drop((one, stuck));
        assert_eq!(lock(&writers.0).pictures, 0);
    }

    #[test]
    fn a_wide_path_is_used_at_once_and_an_urgent_message_waits_for_no_queue() {
        let (writers, now) = (Writers::default(), Instant::now());
        assert_eq!(gentle(&writers).next(path(8_000_000, 0), now).0, 5600);
        let mut urgent = Portions::new(&writers);
        urgent.begin(Pace::Urgent);
        assert_eq!(urgent.next(path(0, 500), now).0, 4800);
        assert_eq!(urgent.next(path(8_000_000, 500), now).0, 8000);
        let most = usize::try_from(u64::MAX / 8_000).unwrap_or(usize::MAX);
        assert_eq!(allowed(u64::MAX, EVERY), most);
    }
}
