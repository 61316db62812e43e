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

/// What a link and its controller tell each other.
#[derive(Debug)]
pub(crate) struct SharedRate {
    /// The rate the link may send at, in bit/s.
    rate: AtomicU64,
    /// Shortest round trip of the present path so far, in µs; 0: not known.
    shortest_rtt: AtomicU64,
}

impl SharedRate {
    pub(crate) fn new(bits_per_second: u64) -> Arc<Self> {
        Arc::new(Self { rate: AtomicU64::new(bits_per_second), shortest_rtt: AtomicU64::new(0) })
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
}

/// Makes the controllers of one link; a changed path gets a fresh one under the same rate.
pub(crate) struct WindowFactory(pub(crate) Arc<SharedRate>);

impl ControllerFactory for WindowFactory {
    fn build(self: Arc<Self>, now: Instant, _current_mtu: u16) -> Box<dyn Controller> {
        self.0.shortest_rtt.store(0, Ordering::Relaxed);
        Box::new(Window {
            rate: self.0.clone(),
            rtt: Duration::from_millis(100),
            shortest_rtt: Duration::from_millis(100),
            last_sent: now,
            unanswered_since: None,
        })
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
}

impl Window {
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

impl Controller for Window {
    fn on_sent(&mut self, now: Instant, _bytes: u64, _last_packet_number: u64) {
        self.last_sent = now;
        self.unanswered_since.get_or_insert(now);
    }

    fn on_ack(
        &mut self,
        _now: Instant,
        _sent: Instant,
        _bytes: u64,
        _app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.unanswered_since = None;
        self.rtt = rtt.get();
        self.shortest_rtt = rtt.min();
        let micros = u64::try_from(rtt.min().as_micros()).unwrap_or(u64::MAX);
        self.rate.shortest_rtt.store(micros, Ordering::Relaxed);
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

    #[test]
    fn late_acknowledgements_do_not_throttle_below_the_rate() {
        let start = tokio::time::Instant::now().into_std();
        let rate = SharedRate::new(800_000);
        let window = |rtt: u64| {
            let rtt = Duration::from_millis(rtt);
            let shortest_rtt = Duration::from_millis(60);
            let rate = rate.clone();
            Window { rate, rtt, shortest_rtt, last_sent: start, unanswered_since: None }.bytes()
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
