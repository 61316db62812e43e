//! What a network path does to packets: delay, jitter, loss, a bottleneck with a queue, reordering,
//! duplication. A [`Pipe`] is one direction of one such path. It has no clock and no I/O, so the
//! same model runs in virtual time ([`net`](super::net)) and on real sockets
//! ([`line`](super::line)).

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// IPv4 and UDP headers, counted against the rate of a bottleneck, in bytes.
pub const HEADERS: usize = 28;

/// One direction of a network path. The default is perfect: no delay, no loss, no limit.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkModel {
    /// Nothing passes when false.
    pub up: bool,
    /// Propagation delay.
    pub delay: Duration,
    /// Varying additional delay.
    pub jitter: Option<Jitter>,
    /// Probability that a packet is lost, each on its own: 0…1.
    pub loss: f64,
    /// Losses in bursts, besides `loss`.
    pub bursts: Option<Bursts>,
    /// Bottleneck in bit/s, headers included.
    pub rate: Option<u64>,
    /// Queue before the bottleneck; what doesn't fit is lost (drop-tail).
    pub queue: Queue,
    /// Some packets are held back and overtaken.
    pub reorder: Option<Reorder>,
    /// Probability that a packet arrives twice: 0…1.
    pub duplicate: f64,
    /// Largest UDP payload that passes, in bytes.
    pub mtu: usize,
}

/// Varying delay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter {
    /// Distribution of the additional delay.
    pub shape: Shape,
    /// Packets never overtake each other, as on most real paths: one late packet delays all behind.
    pub keep_order: bool,
}

/// Distribution of a delay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Evenly between zero and this.
    Uniform(Duration),
    /// Exponential with this mean, cut off at ten times the mean.
    Exponential(Duration),
}

/// Losses in bursts (Gilbert model in *time*, not packets: the bad state passes whether or not
/// anybody sends, so that a sender can't prolong it by slowing down).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// Share of the time in which everything is lost: 0…0.99.
    pub share: f64,
    /// Mean length of such a time.
    pub mean: Duration,
}

/// Length of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// In bytes, headers included.
    Bytes(usize),
    /// In time at the bottleneck's present rate.
    Time(Duration),
}

/// Packets held back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reorder {
    /// Probability for each packet: 0…1.
    pub chance: f64,
    /// How long it is held back.
    pub by: Duration,
}

impl Default for LinkModel {
    fn default() -> Self {
        Self {
            up: true,
            delay: Duration::ZERO,
            jitter: None,
            loss: 0.0,
            bursts: None,
            rate: None,
            queue: Queue::Time(Duration::from_millis(200)),
            reorder: None,
            duplicate: 0.0,
            mtu: 1472,
        }
    }
}

impl LinkModel {
    /// Only a delay.
    pub fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// Nothing passes.
    pub fn cut() -> Self {
        Self { up: false, ..Self::default() }
    }

    /// The same with independent losses.
    pub fn with_loss(self, loss: f64) -> Self {
        Self { loss, ..self }
    }

    /// The same with a bottleneck of `rate` bit/s before a queue.
    pub fn with_rate(self, rate: u64, queue: Queue) -> Self {
        Self { rate: Some(rate), queue, ..self }
    }

    /// The same with jitter that keeps the order of packets.
    pub fn with_jitter(self, shape: Shape) -> Self {
        Self { jitter: Some(Jitter { shape, keep_order: true }), ..self }
    }

    /// The same with bursts of loss.
    pub fn with_bursts(self, share: f64, mean: Duration) -> Self {
        Self { bursts: Some(Bursts { share, mean }), ..self }
    }
}

/// Why a packet did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Random loss.
    Random,
    /// In a burst of loss.
    Burst,
    /// The queue before the bottleneck was full.
    QueueFull,
    /// Larger than the path carries.
    TooLarge,
    /// The path is down.
    Cut,
    /// Nobody listens at that address.
    NoSocket,
    /// The receiver didn't read fast enough.
    InboxFull,
    /// Somebody on the line took it.
    Intercepted,
}

/// A small seeded generator (SplitMix64), so that results never change with a library's.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator for `seed`; `purpose` separates the streams of one seed.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut dice = Self(seed ^ purpose.wrapping_mul(0xa076_1d64_78bd_642f));
        dice.roll();
        dice
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly in 0…1, never 1.
    pub fn unit(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Exponential with this mean.
    fn exponential(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.unit()).ln())
    }

    fn delay(&mut self, shape: Shape) -> Duration {
        match shape {
            Shape::Uniform(most) => most.mul_f64(self.unit()),
            Shape::Exponential(mean) => self.exponential(mean).min(mean * 10),
        }
    }
}

/// One direction of a path, with the packets now on it.
#[derive(Debug)]
pub struct Pipe<T> {
    model: LinkModel,
    /// Before the bottleneck: packet and size with headers. The first one is being sent.
    queue: VecDeque<(T, usize)>,
    queued_bytes: usize,
    /// When the first packet of the queue has passed the bottleneck.
    head_done: Option<Instant>,
    /// Behind the bottleneck: (arrival, number) → packet.
    flight: BTreeMap<(Instant, u64), T>,
    number: u64,
    /// Latest arrival so far, for jitter that keeps order.
    last_arrival: Option<Instant>,
    weather: Weather,
    loss: Dice,
    timing: Dice,
    extra: Dice,
}

/// The burst state and when it changes next.
#[derive(Debug)]
struct Weather {
    bad: bool,
    until: Option<Instant>,
    dice: Dice,
}

impl<T: Clone> Pipe<T> {
    /// An empty pipe. Equal seeds and equal packets give equal fates.
    pub fn new(model: LinkModel, seed: u64) -> Self {
        Self {
            model,
            queue: VecDeque::new(),
            queued_bytes: 0,
            head_done: None,
            flight: BTreeMap::new(),
            number: 0,
            last_arrival: None,
            weather: Weather { bad: false, until: None, dice: Dice::new(seed, 1) },
            loss: Dice::new(seed, 2),
            timing: Dice::new(seed, 3),
            extra: Dice::new(seed, 4),
        }
    }

    /// Changes the model at run time. Packets behind the bottleneck keep their arrival; those
    /// before it go on at the new rate.
    pub fn set_model(&mut self, model: LinkModel, now: Instant) {
        if let (Some(done), Some((_, bytes)), Some(old)) =
            (self.head_done, self.queue.front(), self.model.rate)
        {
            // The unsent part of the first packet, at the new rate.
            let left = done.saturating_duration_since(now);
            let whole = serialisation(*bytes, old);
            let share = left.as_secs_f64() / whole.as_secs_f64().max(1e-9);
            let at_new = model.rate.map_or(Duration::ZERO, |rate| serialisation(*bytes, rate));
            self.head_done = Some(now + at_new.mul_f64(share.min(1.0)));
        }
        if model.bursts != self.model.bursts {
            self.weather.bad = false;
            self.weather.until = None;
        }
        self.model = model;
    }

    /// The present model.
    pub fn model(&self) -> &LinkModel {
        &self.model
    }

    /// Puts a packet of `payload` UDP bytes in at `now`; moments must not go back.
    pub fn offer(&mut self, packet: T, payload: usize, now: Instant) -> Result<(), (T, Cause)> {
        // Every packet draws the same number of times, whatever its fate: changing one parameter
        // of a scenario doesn't reshuffle the others.
        let lost = self.loss.chance(self.model.loss);
        let burst = self.weather.is_bad(self.model.bursts, now);
        if !self.model.up {
            return Err((packet, Cause::Cut));
        }
        if payload > self.model.mtu {
            return Err((packet, Cause::TooLarge));
        }
        if burst {
            return Err((packet, Cause::Burst));
        }
        if lost {
            return Err((packet, Cause::Random));
        }
        let bytes = payload + HEADERS;
        let Some(rate) = self.model.rate else {
            self.launch(packet, now);
            return Ok(());
        };
        let fits = match self.model.queue {
            // The packet being sent is on the wire, not in the queue.
            _ if self.queue.is_empty() => true,
            Queue::Bytes(most) => self.queued_bytes + bytes <= most,
            Queue::Time(most) => serialisation(self.queued_bytes, rate) <= most,
        };
        if !fits {
            return Err((packet, Cause::QueueFull));
        }
        if self.queue.is_empty() {
            self.head_done = Some(now + serialisation(bytes, rate));
        } else {
            self.queued_bytes += bytes;
        }
        self.queue.push_back((packet, bytes));
        Ok(())
    }

    /// When something happens next.
    pub fn next(&self) -> Option<Instant> {
        let arrival = self.flight.first_key_value().map(|((at, _), _)| *at);
        match (self.head_done, arrival) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// One packet that has arrived by `now`, and when; call until `None`.
    pub fn poll(&mut self, now: Instant) -> Option<(T, Instant)> {
        while let Some(done) = self.head_done.filter(|done| *done <= now) {
            let arrived_before =
                self.flight.first_key_value().is_some_and(|((at, _), _)| *at < done);
            if arrived_before {
                break;
            }
            let Some((packet, _)) = self.queue.pop_front() else {
                self.head_done = None;
                break;
            };
            self.launch(packet, done);
            self.head_done = self.queue.front().map(|(_, bytes)| {
                self.queued_bytes = self.queued_bytes.saturating_sub(*bytes);
                done + self.model.rate.map_or(Duration::ZERO, |rate| serialisation(*bytes, rate))
            });
        }
        let entry = self.flight.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((at, _), packet) = entry.remove_entry();
        Some((packet, at))
    }

    /// Past the bottleneck: decides the arrival.
    fn launch(&mut self, packet: T, at: Instant) {
        let jitter = self.model.jitter.map(|j| (self.timing.delay(j.shape), j.keep_order));
        let held = self.model.reorder.is_some_and(|r| self.extra.chance(r.chance));
        let twice = self.extra.chance(self.model.duplicate);
        let mut arrival = at + self.model.delay + jitter.map_or(Duration::ZERO, |(d, _)| d);
        if jitter.is_some_and(|(_, keep_order)| keep_order) {
            arrival = self.last_arrival.map_or(arrival, |last| arrival.max(last));
        }
        if held {
            arrival += self.model.reorder.map_or(Duration::ZERO, |r| r.by);
        } else {
            self.last_arrival = Some(self.last_arrival.map_or(arrival, |last| arrival.max(last)));
        }
        if twice {
            self.insert(packet.clone(), arrival);
        }
        self.insert(packet, arrival);
    }

    fn insert(&mut self, packet: T, arrival: Instant) {
        self.flight.insert((arrival, self.number), packet);
        self.number += 1;
    }
}

impl Weather {
    fn is_bad(&mut self, bursts: Option<Bursts>, now: Instant) -> bool {
        let Some(Bursts { share, mean }) = bursts else { return false };
        let share = share.clamp(0.0, 0.99);
        let good = mean.mul_f64((1.0 - share) / share.max(1e-6));
        let mut until = match self.until {
            Some(until) => until,
            None => now + self.dice.exponential(good),
        };
        while until <= now {
            self.bad = !self.bad;
            until += self.dice.exponential(if self.bad { mean } else { good });
        }
        self.until = Some(until);
        self.bad
    }
}

/// Time a packet occupies a bottleneck.
fn serialisation(bytes: usize, bits_per_second: u64) -> Duration {
    let nanos = bytes as u128 * 8 * 1_000_000_000 / u128::from(bits_per_second.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// Sends `count` packets `gap` apart; returns arrival delays by packet, `None` for losses.
    fn run(model: LinkModel, seed: u64, count: usize, gap: Duration) -> Vec<Option<Duration>> {
        let origin = start();
        let mut pipe = Pipe::new(model, seed);
        let mut result = vec![None; count];
        let collect = |pipe: &mut Pipe<usize>, now, result: &mut Vec<Option<Duration>>| {
            while let Some((n, at)) = pipe.poll(now) {
                result[n].get_or_insert(at - (origin + gap * n as u32));
            }
        };
        for n in 0..count {
            let now = origin + gap * n as u32;
            collect(&mut pipe, now, &mut result);
            let _ = pipe.offer(n, 972, now);
        }
        while let Some(next) = pipe.next() {
            collect(&mut pipe, next, &mut result);
        }
        result
    }

    fn lost(fates: &[Option<Duration>]) -> f64 {
        fates.iter().filter(|f| f.is_none()).count() as f64 / fates.len() as f64
    }

    #[test]
    fn a_perfect_pipe_only_delays() {
        let fates = run(LinkModel::delayed(30 * MS), 1, 100, MS);
        assert!(fates.iter().all(|f| *f == Some(30 * MS)));
    }

    #[test]
    fn equal_seeds_give_equal_fates_and_others_do_not() {
        let model = LinkModel::delayed(30 * MS)
            .with_loss(0.1)
            .with_jitter(Shape::Exponential(10 * MS))
            .with_bursts(0.1, 60 * MS);
        let fates = run(model.clone(), 7, 1000, 5 * MS);
        assert_eq!(fates, run(model.clone(), 7, 1000, 5 * MS));
        assert_ne!(fates, run(model, 8, 1000, 5 * MS));
    }

    #[test]
    fn random_loss_has_the_share_asked_for() {
        let share = lost(&run(LinkModel::default().with_loss(0.2), 3, 20_000, MS));
        assert!((share - 0.2).abs() < 0.01, "{share}");
    }

    #[test]
    fn bursts_have_the_share_and_length_asked_for_whatever_the_packet_rate() {
        let model = LinkModel::default().with_bursts(0.4, 80 * MS);
        for gap in [MS, 20 * MS] {
            let fates = run(model.clone(), 5, 100_000, gap);
            let share = lost(&fates);
            assert!((share - 0.4).abs() < 0.05, "{share} at {gap:?}");
            let bursts =
                fates.windows(2).filter(|pair| pair[0].is_some() && pair[1].is_none()).count();
            let mean = gap.mul_f64(fates.len() as f64 * share / bursts as f64);
            assert!(mean > 70 * MS && mean < 110 * MS, "{mean:?} at {gap:?}");
        }
    }

    #[test]
    fn a_bottleneck_serialises_and_its_queue_drops_the_tail() {
        // 1000 bytes with headers at 800 kbit/s: 10 ms each, offered twice as fast.
        let model = LinkModel::default().with_rate(800_000, Queue::Time(100 * MS));
        let fates = run(model, 1, 1000, 5 * MS);
        let worst = fates.iter().flatten().max().expect("some arrive");
        assert!(*worst <= 121 * MS && *worst >= 109 * MS, "{worst:?}");
        let share = lost(&fates);
        assert!((share - 0.5).abs() < 0.02, "{share}");
        assert_eq!(fates[0], Some(10 * MS));
        assert_eq!(fates[1], Some(15 * MS));
    }

    #[test]
    fn a_queue_in_bytes_holds_that_many() {
        let model = LinkModel::default().with_rate(800_000, Queue::Bytes(5000));
        let fates = run(model, 1, 20, Duration::ZERO);
        // One on the wire, five in the queue.
        assert_eq!(fates.iter().flatten().count(), 6);
    }

    #[test]
    fn a_rate_change_moves_what_is_queued_and_never_reorders() {
        let origin = start();
        let slow = LinkModel::default().with_rate(80_000, Queue::Time(Duration::from_secs(9)));
        let mut pipe = Pipe::new(slow.clone(), 1);
        for n in 0..4 {
            pipe.offer(n, 972, origin).expect("queued");
        }
        // 100 ms each; after 150 ms the second is half through. Ten times faster from then on.
        let change = origin + 150 * MS;
        assert_eq!(pipe.poll(change).map(|(n, at)| (n, at - origin)), Some((0, 100 * MS)));
        pipe.set_model(LinkModel { rate: Some(800_000), ..slow }, change);
        pipe.offer(4, 972, change).expect("queued");
        let mut arrivals = Vec::new();
        while let Some(next) = pipe.next() {
            while let Some((n, at)) = pipe.poll(next) {
                arrivals.push((n, at - origin));
            }
        }
        assert_eq!(arrivals, [(1, 155 * MS), (2, 165 * MS), (3, 175 * MS), (4, 185 * MS)]);
    }

    #[test]
    fn jitter_keeps_order_when_told_and_overtakes_when_not() {
        let jitter = |keep_order| LinkModel {
            jitter: Some(Jitter { shape: Shape::Uniform(50 * MS), keep_order }),
            ..LinkModel::default()
        };
        let in_order = |fates: &[Option<Duration>]| {
            let at: Vec<_> =
                fates.iter().flatten().enumerate().map(|(n, d)| MS * n as u32 + *d).collect();
            at.is_sorted()
        };
        assert!(in_order(&run(jitter(true), 2, 500, MS)));
        assert!(!in_order(&run(jitter(false), 2, 500, MS)));
    }

    #[test]
    fn duplicates_arrive_twice_and_held_packets_late() {
        let origin = start();
        let model = LinkModel {
            duplicate: 1.0,
            reorder: Some(Reorder { chance: 0.5, by: 30 * MS }),
            ..LinkModel::default()
        };
        let mut pipe = Pipe::new(model, 1);
        for n in 0..100 {
            pipe.offer(n, 100, origin).expect("sent");
        }
        let mut counts = [0; 100];
        let mut late = 0;
        while let Some(next) = pipe.next() {
            while let Some((n, at)) = pipe.poll(next) {
                counts[n] += 1;
                late += usize::from(at > origin);
            }
        }
        assert_eq!(counts, [2; 100]);
        assert!((60..140).contains(&late), "{late}");
    }

    #[test]
    fn a_cut_path_and_an_oversized_packet_say_so() {
        let mut pipe = Pipe::new(LinkModel::cut(), 1);
        assert_eq!(pipe.offer(1, 10, start()), Err((1, Cause::Cut)));
        let mut pipe = Pipe::new(LinkModel { mtu: 1200, ..LinkModel::default() }, 1);
        assert_eq!(pipe.offer(1, 1201, start()), Err((1, Cause::TooLarge)));
        assert_eq!(pipe.offer(1, 1200, start()), Ok(()));
    }
}
