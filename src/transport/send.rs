//! The sending half of a link.

use super::error::Full;
use super::limits::{CONTROL_AFTER, CONTROL_QUEUE, FRAME, FRAMES_OUT};
use super::link::{Shared, count};
use super::pace::{Pace, Path, Picture, Portions, allowed};
use crate::wire::link::{LinkDown, close};
use bytes::Bytes;
use quinn::{SendDatagramError, SendStream, VarInt, WriteError};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

/// A large frame is written in portions this far apart, so that it doesn't delay the sound behind
/// it by filling the bottleneck's queue at once.
const PORTION_EVERY: Duration = Duration::from_millis(5);
/// Below this rate, in bit/s, two packets at once are a queue that the next packet of sound notices …
const NARROW: u64 = 800_000;
/// … so that portions are what the rate carries in this time …
const NARROW_EVERY: Duration = Duration::from_millis(30);
/// … but no smaller than this: every packet has headers …
const NARROW_PORTION: usize = 400;
/// … of so many bytes.
const HEADERS: usize = 58;
/// What is left to the sound meanwhile, in bit/s: 12 kbit/s of Opus in packets of 40 ms.
const SOUND: u64 = 24_000;
/// However little the rate is, the rest of a frame goes after this.
const NARROW_LONGEST: Duration = Duration::from_millis(200);
/// A picture goes to everybody at the same time, and no path alone shows what a line carries that all of
/// them share: from so many on …
const MANY: usize = 4;
/// … each takes no more than this part of what is left on a narrow one.
const SHARE: u64 = 2;
/// Smallest portion: two packets.
const PORTION: usize = 2 * 1200;
/// Reset codes of frame streams; for traces only, nobody acts on them.
const EXPIRED: VarInt = VarInt::from_u32(1);
const SUPERSEDED: VarInt = VarInt::from_u32(2);

/// Control messages waiting to be written.
#[derive(Default)]
pub(crate) struct ControlOut {
    queue: Mutex<VecDeque<(Bytes, Pace)>>,
    ready: Notify,
}

/// Frames under way: number → the signal to give it up.
#[derive(Default)]
pub(crate) struct FramesOut {
    state: Mutex<Frames>,
}

#[derive(Default)]
struct Frames {
    next: u64,
    under_way: BTreeMap<u64, Arc<Notify>>,
    /// The large ones among them.
    large: Weak<Picture>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FramesOut {
    pub(crate) fn len(&self) -> usize {
        lock(&self.state).under_way.len()
    }
}

/// Queues one control message; a full queue closes the link, because control may never be dropped.
pub(crate) fn control(shared: &Shared, message: Bytes, pace: Pace) -> Result<(), Full> {
    if message.len() > CONTROL_AFTER {
        return Err(Full::TooLong);
    }
    let mut queue = lock(&shared.control.queue);
    if queue.len() >= CONTROL_QUEUE {
        shared.close(LinkDown::TimedOut, close::TIMEOUT);
        return Err(Full::Control);
    }
    queue.push_back((message, pace));
    shared.control.ready.notify_one();
    Ok(())
}

/// Writes queued messages, each after its length (u32, big endian). Returns when the stream broke.
pub(crate) async fn control_writer(shared: &Shared, mut stream: SendStream) {
    // Control goes before every frame.
    let _ = stream.set_priority(i32::MAX);
    let mut portions = Portions::new(&shared.writers);
    loop {
        let next = lock(&shared.control.queue).pop_front();
        let Some((message, pace)) = next else {
            shared.control.ready.notified().await;
            continue;
        };
        portions.begin(pace);
        let written = write_control(shared, &mut stream, message, &mut portions).await;
        portions.end();
        match written {
            Ok(()) => {}
            // The connection is gone; whoever drives the link knows why.
            Err(WriteError::ConnectionLost(_)) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}

/// A long message – a change of the group takes tens of kilobytes – goes in portions, so that the
/// sound behind it is not late.
async fn write_control(
    shared: &Shared,
    stream: &mut SendStream,
    mut message: Bytes,
    portions: &mut Portions,
) -> Result<(), WriteError> {
    let path = || {
        let rtt = shared.connection.rtt();
        Path { rate: shared.rate.get(), rtt, shortest: shared.rate.shortest_rtt() }
    };
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let length = Bytes::copy_from_slice(&length);
    let (bytes, mut every) = portions.next(path(), Instant::now());
    let first = message.split_to(bytes.min(message.len()));
    if message.is_empty() {
        portions.end();
    }
    stream.write_all_chunks(&mut [length, first]).await?;
    while !message.is_empty() {
        sleep(every).await;
        let (bytes, then) = portions.next(path(), Instant::now());
        every = then;
        let portion = message.split_to(bytes.min(message.len()));
        if message.is_empty() {
            portions.end();
        }
        stream.write_chunk(portion).await?;
    }
    Ok(())
}

/// Hands over one datagram; when the buffer is full, the oldest waiting one is dropped.
pub(crate) fn datagram(shared: &Shared, bytes: Bytes) -> Result<(), Full> {
    let space = shared.connection.datagram_send_buffer_space();
    let length = bytes.len();
    match shared.connection.send_datagram(bytes) {
        Ok(()) => {
            if length > space {
                count(&shared.counters.datagrams_unsent);
            }
            Ok(())
        }
        Err(SendDatagramError::ConnectionLost(_)) => Err(Full::Down),
        Err(_) => Err(Full::TooLong),
    }
}

/// Starts sending one frame on a stream of its own.
pub(crate) fn frame(
    shared: &Arc<Shared>,
    bytes: Bytes,
    priority: i32,
    deadline: Instant,
    supersedes: bool,
) -> Result<(), Full> {
    if bytes.len() > FRAME {
        return Err(Full::TooLong);
    }
    let give_up = Arc::new(Notify::new());
    let mut frames = lock(&shared.frames.state);
    if supersedes {
        for older in std::mem::take(&mut frames.under_way).into_values() {
            older.notify_one();
        }
    } else if frames.under_way.len() >= FRAMES_OUT {
        return Err(Full::Frames);
    }
    let number = frames.next;
    frames.next += 1;
    frames.under_way.insert(number, give_up.clone());
    drop(frames);
    let task = send_frame(shared.clone(), bytes, rank(priority, number), deadline, give_up);
    let shared = shared.clone();
    shared.runtime.clone().spawn(async move {
        task.await;
        lock(&shared.frames.state).under_way.remove(&number);
    });
    Ok(())
}

async fn send_frame(
    shared: Arc<Shared>,
    bytes: Bytes,
    priority: i32,
    deadline: Instant,
    give_up: Arc<Notify>,
) {
    let mut stream = None;
    let (code, counter) = tokio::select! {
        biased;
        () = give_up.notified() => (SUPERSEDED, &shared.counters.frames_superseded),
        () = sleep_until(deadline) => (EXPIRED, &shared.counters.frames_expired),
        delivered = write_frame(&shared, &mut stream, bytes, priority) => {
            if delivered {
                count(&shared.counters.frames_delivered);
            }
            return;
        }
    };
    count(counter);
    if let Some(mut stream) = stream {
        let _ = stream.reset(code);
    }
}

/// QUIC's priority of frame `number`: by the caller's priority, and within it the oldest first,
/// since pictures need their predecessors. Always below control.
fn rank(priority: i32, number: u64) -> i32 {
    let age = i32::try_from(number & 0xf_ffff).unwrap_or(0);
    priority.clamp(-1000, 1000) * 0x10_0000 + (0xf_ffff - age)
}

/// True when every byte was acknowledged.
async fn write_frame(
    shared: &Shared,
    slot: &mut Option<SendStream>,
    mut bytes: Bytes,
    priority: i32,
) -> bool {
    let Ok(stream) = shared.connection.open_uni().await else { return false };
    let stream = slot.insert(stream);
    let _ = stream.set_priority(priority);
    let mut large: Option<Arc<Picture>> = None;
    loop {
        let together = large.as_ref().map_or(0, |large| large.together());
        let (portion, every) = portion(shared.rate.get(), together);
        if bytes.len() > portion && large.is_none() {
            let link = &mut lock(&shared.frames.state).large;
            large = Some(Picture::begin(&shared.writers, link));
        }
        let portion = bytes.split_to(portion.min(bytes.len()));
        if stream.write_chunk(portion).await.is_err() {
            return false;
        }
        if bytes.is_empty() {
            break;
        }
        sleep(every).await;
    }
    drop(large);
    stream.finish().is_ok() && matches!(stream.stopped().await, Ok(None))
}

/// How much to write at once, and how long after it the next: twice what the rate allows, at least two
/// packets; where that is little, what the rate allows beside the sound, headers counted.
fn portion(bits_per_second: u64, together: usize) -> (usize, Duration) {
    if bits_per_second >= NARROW {
        let portion = allowed(bits_per_second.saturating_mul(2), PORTION_EVERY).max(PORTION);
        return (portion, PORTION_EVERY);
    }
    let left = bits_per_second.saturating_sub(SOUND).max(bits_per_second / 2).max(1);
    let left = if together >= MANY { left / SHARE } else { left };
    let portion = allowed(left, NARROW_EVERY).clamp(NARROW_PORTION, PORTION);
    let every = Duration::from_micros((portion + HEADERS) as u64 * 8_000_000 / left);
    (portion, every.min(NARROW_LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_frame_outranks_control_and_older_frames_go_first() {
        assert!(rank(i32::MAX, 0) < i32::MAX);
        assert!(rank(1, 7) > rank(1, 8));
        assert!(rank(2, 1_000_000) > rank(1, 0));
        assert!(rank(-1, 0) < rank(0, 1_000_000));
        assert!(rank(i32::MIN, 5) > i32::MIN);
    }

    #[test]
    fn a_portion_is_two_packets_unless_the_rate_allows_more_or_less() {
        let (at_once, ms) = (|rate| portion(rate, 1).0, Duration::from_millis);
        assert_eq!((at_once(0), at_once(64_000)), (400, 400));
        let per_second = |rate| {
            let (bytes, every) = portion(rate, 1);
            (bytes + HEADERS) as u64 * 8_000_000 / every.as_micros() as u64
        };
        assert_eq!((at_once(140_000), at_once(600_000)), (435, 2_160));
        assert_eq!((per_second(140_000), per_second(64_000)), (116_000, 40_000));
        assert_eq!((portion(0, 1), per_second(30_000)), ((400, ms(200)), 18_320));
        let beside = |others: usize| {
            let (bytes, every) = portion(140_000, 1 + others);
            (bytes + HEADERS) as u64 * 8_000_000 / every.as_micros() as u64
        };
        assert_eq!((beside(2), beside(3), beside(14)), (116_000, 58_000, 58_000));
        assert_eq!((portion(800_000, 1), at_once(8_000_000)), ((2_400, ms(5)), 10_000));
        assert_eq!(at_once(u64::MAX), usize::try_from(u64::MAX / 8_000).unwrap_or(usize::MAX));
    }
}
