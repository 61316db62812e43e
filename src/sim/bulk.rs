//! Somebody else's download on the same line: a greedy flow that only loss slows down, as most of
//! the Internet's traffic is. It fills whatever queue it finds.
//!
//! Reno in short (RFC 5681): a window that doubles per round trip until the first loss, then grows
//! by a packet per round trip and is halved by every loss. There is always more to send, so what
//! was lost is not sent again: the next packet takes its place.

use super::net::Network;
use super::socket::VirtualSocket;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

/// UDP payload of a packet: as large as TCP's on Ethernet, headers alike.
const PACKET: usize = 1472;
/// UDP payload of an acknowledgement: with headers 40 bytes, as TCP's.
const ACK: usize = 12;
/// Window at the beginning, in packets (RFC 6928).
const FIRST_WINDOW: f64 = 10.0;
/// So many later packets acknowledged mean that one is lost (RFC 5681 §3.2).
const DUPLICATES: u64 = 3;
/// Never a shorter time-out (RFC 6298 §2.4).
const LEAST_TIMEOUT: Duration = Duration::from_secs(1);
/// Time-out before anything is known of the round trip (RFC 6298 §2.1).
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
/// Ports of all such flows: what a tap sees of them is nobody's call.
pub const PORTS: std::ops::RangeInclusive<u16> = 5001..=5099;

/// The sending end: says when which packet may go.
#[derive(Debug)]
pub struct Greedy {
    /// Packets that may be on the way.
    window: f64,
    threshold: f64,
    next: u64,
    /// On the way: number → when sent.
    flying: BTreeMap<u64, Instant>,
    /// Losses before this number belong to the last halving.
    recover: u64,
    /// Smoothed round trip and its variation (RFC 6298).
    round_trip: Option<(Duration, Duration)>,
    timeout_at: Option<Instant>,
    figures: Figures,
}

/// What came of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Packets acknowledged.
    pub delivered: u64,
    /// Packets given up.
    pub lost: u64,
    /// Longest round trip.
    pub longest_round_trip: Duration,
}

impl Figures {
    /// What was delivered, in bytes with headers.
    pub fn bytes(&self) -> u64 {
        self.delivered * (PACKET + super::model::HEADERS) as u64
    }
}

impl Default for Greedy {
    fn default() -> Self {
        Self {
            window: FIRST_WINDOW,
            threshold: f64::INFINITY,
            next: 0,
            flying: BTreeMap::new(),
            recover: 0,
            round_trip: None,
            timeout_at: None,
            figures: Figures::default(),
        }
    }
}

impl Greedy {
    /// The packet that may be sent now, if one may.
    pub fn send(&mut self, now: Instant) -> Option<u64> {
        if self.flying.len() as f64 >= self.window.floor() {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.flying.insert(number, now);
        self.timeout_at.get_or_insert(now + self.timeout());
        Some(number)
    }

    /// A packet is acknowledged.
    pub fn acknowledged(&mut self, number: u64, now: Instant) {
        // Given up already, or acknowledged twice.
        let Some(sent) = self.flying.remove(&number) else { return };
        self.measured(now.saturating_duration_since(sent));
        self.figures.delivered += 1;
        self.timeout_at = (!self.flying.is_empty()).then(|| now + self.timeout());
        self.window += match self.window < self.threshold {
            true => 1.0,
            false => 1.0 / self.window,
        };
        while let Some(first) = self.flying.first_entry().filter(|f| f.key() + DUPLICATES <= number)
        {
            let (lost, _) = first.remove_entry();
            self.figures.lost += 1;
            if lost >= self.recover {
                self.recover = self.next;
                self.threshold = (self.window / 2.0).max(2.0);
                self.window = self.threshold;
            }
        }
    }

    /// When to call [`Greedy::tick`].
    pub fn wake_at(&self) -> Option<Instant> {
        self.timeout_at
    }

    /// Time has passed: nothing at all came back for too long.
    pub fn tick(&mut self, now: Instant) {
        if self.timeout_at.is_none_or(|at| at > now) {
            return;
        }
        self.figures.lost += self.flying.len() as u64;
        self.flying.clear();
        self.recover = self.next;
        self.threshold = (self.window / 2.0).max(2.0);
        self.window = 1.0;
        self.timeout_at = None;
    }

    /// What came of it so far.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    fn timeout(&self) -> Duration {
        let measured = self.round_trip.map(|(mean, variation)| mean + variation * 4);
        measured.map_or(FIRST_TIMEOUT, |timeout| timeout.max(LEAST_TIMEOUT))
    }

    fn measured(&mut self, sample: Duration) {
        self.figures.longest_round_trip = self.figures.longest_round_trip.max(sample);
        self.round_trip = Some(match self.round_trip {
            None => (sample, sample / 2),
            Some((mean, variation)) => {
                ((mean * 7 + sample) / 8, (variation * 3 + mean.abs_diff(sample)) / 4)
            }
        });
    }
}

/// A flow that runs until it is dropped.
pub struct Flow {
    end: Arc<Mutex<Greedy>>,
    tasks: [JoinHandle<()>; 2],
}

impl Flow {
    /// Starts one from host to host, on a port of [`PORTS`]. Must be called within a tokio runtime.
    pub fn start(network: &Network, from: IpAddr, to: IpAddr, port: u16) -> io::Result<Self> {
        let (from, to) = (SocketAddr::new(from, port), SocketAddr::new(to, port));
        let (sender, receiver) = (network.socket(from)?, network.socket(to)?);
        let end = Arc::new(Mutex::new(Greedy::default()));
        let sending = tokio::spawn(send(sender, to, Arc::clone(&end)));
        let receiving = tokio::spawn(answer(receiver));
        Ok(Self { end, tasks: [sending, receiving] })
    }

    /// What came of it so far.
    pub fn figures(&self) -> Figures {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).figures()
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn send(socket: Arc<VirtualSocket>, to: SocketAddr, end: Arc<Mutex<Greedy>>) {
    loop {
        let wake = {
            let mut end = end.lock().unwrap_or_else(PoisonError::into_inner);
            let now = tokio::time::Instant::now().into_std();
            end.tick(now);
            while let Some(number) = end.send(now) {
                let mut packet = vec![0; PACKET];
                packet[..8].copy_from_slice(&number.to_be_bytes());
                // A host that has moved away sends no more.
                if socket.send_to(to, packet.into()).is_err() {
                    return;
                }
            }
            end.wake_at()
        };
        let timeout = async {
            match wake {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = socket.recv() => {
                let Ok(answer) = answer else { return };
                let Some(number) = number(&answer.bytes) else { continue };
                let now = tokio::time::Instant::now().into_std();
                end.lock().unwrap_or_else(PoisonError::into_inner).acknowledged(number, now);
            }
            () = timeout => {}
        }
    }
}

async fn answer(socket: Arc<VirtualSocket>) {
    while let Ok(packet) = socket.recv().await {
        let Some(number) = packet.bytes.get(..8) else { continue };
        let mut answer = [0; ACK];
        answer[..8].copy_from_slice(number);
        if socket.send_to(packet.from, Bytes::copy_from_slice(&answer)).is_err() {
            return;
        }
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::model::{LinkModel, Queue};

    const MS: Duration = Duration::from_millis(1);

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// Everything that may go now.
    fn burst(end: &mut Greedy, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| end.send(now)).collect()
    }

    #[test]
    fn the_window_doubles_until_the_first_loss_and_is_halved_once_per_round_trip() {
        let (mut end, origin) = (Greedy::default(), start());
        let first = burst(&mut end, origin);
        assert_eq!(first.len(), 10);
        first.iter().for_each(|n| end.acknowledged(*n, origin + 100 * MS));
        let second = burst(&mut end, origin + 100 * MS);
        assert_eq!(second.len(), 20);
        // Packets 12 and 15 are lost: one halving.
        let came = second.iter().filter(|n| ![12, 15].contains(*n));
        came.for_each(|n| end.acknowledged(*n, origin + 200 * MS));
        assert_eq!(end.figures().lost, 2);
        assert!((10.0..30.0).contains(&end.window), "{}", end.window);
        let before = end.window;
        let third = burst(&mut end, origin + 200 * MS);
        third.iter().for_each(|n| end.acknowledged(*n, origin + 300 * MS));
        assert!(end.window - before <= 1.1, "a packet per round trip");
    }

    #[test]
    fn silence_begins_it_anew_with_one_packet() {
        let (mut end, origin) = (Greedy::default(), start());
        assert_eq!(burst(&mut end, origin).len(), 10);
        end.tick(origin + 999 * MS);
        assert!(burst(&mut end, origin + 999 * MS).is_empty());
        end.tick(origin + 1000 * MS);
        assert_eq!(end.figures().lost, 10);
        assert_eq!(burst(&mut end, origin + 1000 * MS), [10]);
        // What comes back after all changes nothing.
        end.acknowledged(3, origin + 1001 * MS);
        assert_eq!(end.figures().delivered, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn it_fills_a_line_and_its_queue() {
        let network = Network::new(5);
        let ip = |n: u8| IpAddr::from([10, 0, 0, n]);
        let queue = Queue::Time(500 * MS);
        network.set_uplink(ip(1), LinkModel::default().with_rate(1_000_000, queue));
        network.set_path_between(ip(1), ip(2), LinkModel::delayed(20 * MS));
        let flow = Flow::start(&network, ip(1), ip(2), *PORTS.start()).expect("two sockets");
        tokio::time::sleep(Duration::from_secs(30)).await;
        let figures = flow.figures();
        let share = figures.bytes() as f64 * 8.0 / 30.0 / 1_000_000.0;
        assert!((0.9..=1.0).contains(&share), "{share} of the line: {figures:?}");
        assert!(figures.lost > 0);
        assert!((520 * MS..600 * MS).contains(&figures.longest_round_trip), "{figures:?}");
    }
}
