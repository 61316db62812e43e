//! The congestion hook. How fast to send is decided by our own delay-based estimator, outside QUIC,
//! and reaches the encoder as a budget; QUIC's window only has to stay out of its way. The usual
//! controllers can't: loss-based ones collapse when frames are lost that nobody needs, and starve
//! sound; model-based ones grow without bound while the application limits itself.
//!
//! So the window is a plain function of the rate set from outside and of the round-trip time,
//! generous enough never to hold back a sender that keeps to its rate, and small enough that a
//! sender that doesn't can't flood the path.

use quinn::congestion::{Controller, ControllerFactory};
use quinn_proto::RttEstimator;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Never less than this in flight, in bytes: a handshake, or a keyframe and some sound.
const FLOOR: u64 = 16 * 1024;
/// Added to the round-trip time: acknowledgements may be delayed, timers tick coarsely.
const SLACK: Duration = Duration::from_millis(50);
/// The round trip may be twice its shortest and this longer before the window stops following.
const LONGER: Duration = Duration::from_millis(100);
/// Acknowledgements so much later than the path is long are waited for.
const LATE_ACKS: Duration = Duration::from_secs(3);
/// How long the window stays open without any acknowledgement. Without this, an outage would fill
/// the window and silence the sender until a probe timer (backing off by powers of two) fires,
/// long after the path is back.
const OUTAGE: Duration = Duration::from_secs(6);
/// A packet that took so much longer than the shortest round trip has queued.
const QUEUED: Duration = Duration::from_millis(60);
/// Fewer bytes than this tell nothing of a rate.
const ENOUGH: u64 = 2000;
/// Nor does a shorter time: acknowledgements come together.
const LONG_ENOUGH: Duration = Duration::from_millis(50);

/// What a link and its controller tell each other.
#[derive(Debug)]
pub(crate) struct SharedRate {
    /// The rate the link may send at, in bit/s.
    rate: AtomicU64,
    /// Shortest round trip of the present path so far, in µs; 0: not known.
    shortest_rtt: AtomicU64,
    /// What the present path was seen to carry while it was full, in bit/s; 0: it wasn't.
    carries: AtomicU64,
}

impl SharedRate {
    pub(crate) fn new(bits_per_second: u64) -> Arc<Self> {
        let [shortest_rtt, carries] = [AtomicU64::new(0), AtomicU64::new(0)];
        Arc::new(Self { rate: AtomicU64::new(bits_per_second), shortest_rtt, carries })
    }

    pub(crate) fn set(&self, bits_per_second: u64) {
        self.rate.store(bits_per_second, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.rate.load(Ordering::Relaxed)
    }

    /// Shortest round trip of the present path so far.
    pub(crate) fn shortest_rtt(&self) -> Option<Duration> {
        let micros = self.shortest_rtt.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// What the present path was seen to carry while it was full, in bit/s, IP and UDP headers not counted.
    /// `None`: nothing has filled it so far.
    pub(crate) fn carries(&self) -> Option<u64> {
        Some(self.carries.load(Ordering::Relaxed)).filter(|carries| *carries > 0)
    }
}

/// Makes the controllers of one link; a changed path gets a fresh one under the same rate.
pub(crate) struct WindowFactory(pub(crate) Arc<SharedRate>);

impl ControllerFactory for WindowFactory {
    fn build(self: Arc<Self>, now: Instant, _current_mtu: u16) -> Box<dyn Controller> {
        self.0.shortest_rtt.store(0, Ordering::Relaxed);
        self.0.carries.store(0, Ordering::Relaxed);
        Box::new(Window::new(self.0.clone(), now))
    }
}

#[derive(Clone)]
struct Window {
    rate: Arc<SharedRate>,
    rtt: Duration,
    shortest_rtt: Duration,
    last_sent: Instant,
    /// First packet sent since the last acknowledgement.
    unanswered_since: Option<Instant>,
    /// Bytes acknowledged.
    delivered: u64,
    /// Since when packets come back that queued, and what had been acknowledged by then.
    full_since: Option<(Instant, u64)>,
    /// When the latest packet of those now acknowledged was sent.
    acked: Option<Instant>,
}

impl Window {
    fn new(rate: Arc<SharedRate>, now: Instant) -> Self {
        Self {
            rate,
            rtt: Duration::from_millis(100),
            shortest_rtt: Duration::from_millis(100),
            last_sent: now,
            unanswered_since: None,
            delivered: 0,
            full_since: None,
            acked: None,
        }
    }

    fn bytes(&self) -> u64 {
        // A queue of our own making lengthens the round trip; following it without limit would
        // lengthen the queue. A path that really became longer still gets its share, and where only
        // the acknowledgements are late – somebody's upload in the other direction –, sending goes
        // on at the rate.
        let rtt = self.rtt.min(2 * self.shortest_rtt + LONGER);
        let beyond = self.rtt.saturating_sub(rtt).min(LATE_ACKS);
        // While acknowledgements come, this stays below one round trip.
        let since = self.unanswered_since.unwrap_or(self.last_sent);
        let silence = self.last_sent.saturating_duration_since(since).min(OUTAGE);
        let span = rtt.max(silence) + SLACK;
        let micros = 2 * span.as_micros() + beyond.as_micros() * 5 / 4;
        let bytes = u128::from(self.rate.get()) * micros / 8_000_000;
        FLOOR.max(u64::try_from(bytes).unwrap_or(u64::MAX)).min(u64::from(u32::MAX))
    }
}

impl Window {
    /// Packets came back, the latest of them sent at `sent`. From one that had to queue to another, with
    /// none between that hadn't, the path was full: what came back meanwhile is what it carries.
    /// Handshakes and changes of the group fill narrow paths before anything else is known of them.
    fn look_at_rate(&mut self, now: Instant, sent: Instant) {
        if now.saturating_duration_since(sent) < self.shortest_rtt + QUEUED {
            self.full_since = None;
            return;
        }
        let (since, delivered) = *self.full_since.get_or_insert((now, self.delivered));
        let (took, bytes) = (now.saturating_duration_since(since), self.delivered - delivered);
        if bytes >= ENOUGH && took >= LONG_ENOUGH {
            let rate = u128::from(bytes) * 8_000_000 / took.as_micros();
            self.rate.carries.store(u64::try_from(rate).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

impl Controller for Window {
    fn on_sent(&mut self, now: Instant, _bytes: u64, _last_packet_number: u64) {
        self.last_sent = now;
        self.unanswered_since.get_or_insert(now);
    }

    fn on_ack(
        &mut self,
        _now: Instant,
        sent: Instant,
        bytes: u64,
        _app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.unanswered_since = None;
        self.rtt = rtt.get();
        self.shortest_rtt = rtt.min();
        let micros = u64::try_from(rtt.min().as_micros()).unwrap_or(u64::MAX);
        self.rate.shortest_rtt.store(micros, Ordering::Relaxed);
        self.delivered += bytes;
        self.acked = self.acked.max(Some(sent));
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        _in_flight: u64,
        _limited: bool,
        _largest: Option<u64>,
    ) {
        // What a lost acknowledgement left unanswered is old news; the latest packet tells.
        if let Some(sent) = self.acked.take() {
            self.look_at_rate(now, sent);
        }
    }

    fn on_congestion_event(
        &mut self,
        _now: Instant,
        _sent: Instant,
        _is_persistent_congestion: bool,
        _lost_bytes: u64,
    ) {
        // Loss alone says nothing about the path's capacity; the estimator judges it by delay.
    }

    fn on_mtu_update(&mut self, _new_mtu: u16) {}

    fn window(&self) -> u64 {
        self.bytes()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.bytes()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(rate: &Arc<SharedRate>, start: Instant) -> Box<dyn Controller> {
        Arc::new(WindowFactory(rate.clone())).build(start, 1200)
    }

    #[test]
    fn the_window_follows_the_rate_and_never_falls_below_its_floor() {
        let start = tokio::time::Instant::now().into_std();
        let rate = SharedRate::new(8_000_000);
        let controller = window(&rate, start);
        // 1 MB/s × 2 × (100 ms + 50 ms)
        assert_eq!(controller.window(), 300_000);
        rate.set(1_000);
        assert_eq!(controller.window(), FLOOR);
        rate.set(u64::MAX);
        assert_eq!(controller.window(), u64::from(u32::MAX));
    }

    #[test]
    fn loss_never_shrinks_the_window() {
        let start = tokio::time::Instant::now().into_std();
        let rate = SharedRate::new(8_000_000);
        let mut controller = window(&rate, start);
        for _ in 0..100 {
            controller.on_congestion_event(start, start, true, 100_000);
        }
        assert_eq!(controller.window(), 300_000);
    }

    /// Packets sent and come back at these times in ms, of so many bytes, the shortest round trip being
    /// 60 ms; with the rate seen in bit/s.
    fn seen(acks: &[(u64, u64, u64)]) -> Option<u64> {
        let start = tokio::time::Instant::now().into_std();
        let at = |ms| start + Duration::from_millis(ms);
        let rate = SharedRate::new(150_000);
        let mut window = Window::new(rate.clone(), start);
        window.shortest_rtt = Duration::from_millis(60);
        for (sent, back, bytes) in acks {
            window.delivered += bytes;
            window.look_at_rate(at(*back), at(*sent));
        }
        rate.carries()
    }

    #[test]
    fn a_narrow_path_that_is_full_shows_what_it_carries() {
        // 64 kbit/s: a packet of 1200 bytes every 150 ms.
        let welcome =
            [(0, 60, 100), (100, 310, 1200), (100, 460, 1200), (120, 610, 1200), (140, 760, 1200)];
        let carries = seen(&welcome).unwrap_or(0);
        assert!((60_000..=66_000).contains(&carries), "{carries}");
    }

    #[test]
    fn a_path_without_a_queue_shows_nothing_however_long_it_is() {
        let long = [(0, 60, 1200), (100, 161, 4000), (110, 172, 4000), (300, 361, 9000)];
        assert_eq!(seen(&long), None);
        // One acknowledgement that comes late – its predecessor was lost – is no queue.
        let late = [(0, 60, 1200), (100, 400, 4000), (300, 420, 4000), (420, 481, 1200)];
        assert_eq!(seen(&late), None);
    }

    #[test]
    fn late_acknowledgements_do_not_throttle_below_the_rate() {
        let start = tokio::time::Instant::now().into_std();
        let rate = SharedRate::new(800_000);
        let window = |rtt: u64| {
            let rtt = Duration::from_millis(rtt);
            let shortest_rtt = Duration::from_millis(60);
            Window { rtt, shortest_rtt, ..Window::new(rate.clone(), start) }.bytes()
        };
        // 100 kB/s × 2 × (60 ms + 50 ms), and then what flows in the time acknowledgements take.
        assert_eq!(window(60), 22_000);
        for rtt in [1_000, 2_000, 3_000] {
            assert!(window(rtt) >= 100 * rtt, "{rtt} ms");
        }
        assert_eq!(window(60_000), window(10_000));
    }

    #[test]
    fn silence_after_idling_is_not_an_outage_but_unanswered_sending_is() {
        let start = tokio::time::Instant::now().into_std();
        let rate = SharedRate::new(8_000_000);
        let mut controller = window(&rate, start);
        let later = start + Duration::from_secs(60);
        controller.on_sent(later, 1200, 1);
        assert_eq!(controller.window(), 300_000);
        controller.on_sent(later + Duration::from_secs(1), 1200, 2);
        assert_eq!(controller.window(), 2_100_000);
        controller.on_sent(later + Duration::from_secs(30), 1200, 3);
        assert_eq!(controller.window(), 12_100_000);
    }
}
