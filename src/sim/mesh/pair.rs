//! One connection: two ends, each with what it has under way to the other.

use super::seen::Run;
use crate::wire::link::LinkId;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// A connection is lost when nothing was heard for this long, as in QUIC.
pub const IDLE: Duration = Duration::from_secs(30);
/// A dialling without an answer ends after this time.
pub const DIAL: Duration = Duration::from_secs(8);
/// Bytes of one packet, for the loss of long messages.
const PACKET: usize = 1200;
/// First and longest wait before what was lost is sent again, beside the round trip.
const AGAIN: (Duration, Duration) = (Duration::from_millis(60), Duration::from_secs(2));

/// When the newest word of each person left them, as far as it got: who could have heard whom.
pub type Heard = Rc<[Option<Duration>]>;

/// A control message under way.
pub struct Message {
    pub(super) bytes: Bytes,
    pub(super) heard: Heard,
    /// Packets of it that are still missing on the other side.
    pub(super) missing: usize,
    /// Wait before the next attempt.
    pub(super) again: Duration,
}

impl Message {
    pub(super) fn new(bytes: Bytes, heard: Heard) -> Self {
        let missing = bytes.len().div_ceil(PACKET).max(1);
        Self { bytes, heard, missing, again: AGAIN.0 }
    }

    /// The wait after an attempt that lost something; doubles.
    pub(super) fn wait(&mut self, round_trip: Duration) -> Duration {
        let wait = round_trip + self.again;
        self.again = (self.again * 2).min(AGAIN.1);
        wait
    }
}

/// One end of a connection.
pub struct End {
    pub(super) run: Run,
    pub(super) id: LinkId,
    /// Up, and not closed or timed out.
    pub(super) up: bool,
    /// Last time anything could come in.
    pub(super) alive: Duration,
    /// Control messages on their way to the other end, by number.
    pub(super) sent: BTreeMap<u64, Message>,
    pub(super) next: u64,
    /// Messages that arrived here, in order up to this one.
    pub(super) taken: u64,
}

impl End {
    fn new(run: Run, id: LinkId) -> Self {
        let alive = Duration::ZERO;
        Self { run, id, up: false, alive, sent: BTreeMap::new(), next: 0, taken: 0 }
    }
}

/// A connection; the dialler's end is the first.
pub struct Pair(pub(super) [End; 2]);

impl Pair {
    pub(super) fn new(dialler: (Run, LinkId), listener: (Run, LinkId)) -> Self {
        Self([End::new(dialler.0, dialler.1), End::new(listener.0, listener.1)])
    }

    /// Which end is this run's under this number?
    pub(super) fn side(&self, run: Run, id: LinkId) -> Option<usize> {
        self.0.iter().position(|e| e.run == run && e.id == id)
    }

    /// The next message that can be taken in order at `side`: all of it is there.
    pub(super) fn take(&mut self, side: usize) -> Option<Message> {
        let [a, b] = &mut self.0;
        let (here, there) = if side == 0 { (a, b) } else { (b, a) };
        let whole = there.sent.get(&here.taken).is_some_and(|m| m.missing == 0);
        if !whole {
            return None;
        }
        here.taken += 1;
        there.sent.remove(&(here.taken - 1))
    }
}
