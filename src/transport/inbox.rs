//! What came in on a link and waits to be taken: bounded, control first, then sound, then pictures.

use super::limits::{
    CONTROL_INBOX, CONTROL_INBOX_BYTES, DATAGRAM_INBOX, FRAME_INBOX, FRAME_INBOX_BYTES,
};
use crate::wire::link::{LinkDown, LinkEvent, LinkUp};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The waiting events of one link.
pub(crate) struct Inbox {
    state: Mutex<State>,
    /// Something may be taken.
    ready: Notify,
    /// A control message was taken.
    room: Notify,
}

#[derive(Default)]
struct State {
    up: Option<LinkUp>,
    control: VecDeque<Bytes>,
    control_bytes: usize,
    datagrams: VecDeque<Bytes>,
    frames: VecDeque<Bytes>,
    frame_bytes: usize,
    down: Option<LinkDown>,
    dropped: u64,
}

impl Inbox {
    pub(crate) fn new(up: LinkUp) -> Self {
        let state = State { up: Some(up), ..State::default() };
        Self { state: Mutex::new(state), ready: Notify::new(), room: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next event. After [`LinkEvent::Down`] it is `Down` again and again.
    pub(crate) async fn next(&self) -> LinkEvent {
        loop {
            if let Some(event) = self.take() {
                return event;
            }
            self.ready.notified().await;
        }
    }

    fn take(&self) -> Option<LinkEvent> {
        let mut state = self.lock();
        if let Some(up) = state.up.take() {
            return Some(LinkEvent::Up(up));
        }
        if let Some(message) = state.control.pop_front() {
            state.control_bytes -= message.len();
            self.room.notify_one();
            return Some(LinkEvent::Control(message));
        }
        if let Some(datagram) = state.datagrams.pop_front() {
            return Some(LinkEvent::Datagram(datagram));
        }
        if let Some(frame) = state.frames.pop_front() {
            state.frame_bytes -= frame.len();
            return Some(LinkEvent::Frame(frame));
        }
        state.down.map(LinkEvent::Down)
    }

    /// Waits for room: control is never dropped, so the stream isn't read on meanwhile.
    pub(crate) async fn control(&self, message: Bytes) {
        loop {
            {
                let mut state = self.lock();
                let fits = state.control.len() < CONTROL_INBOX
                    && state.control_bytes + message.len() <= CONTROL_INBOX_BYTES;
                if fits || state.control.is_empty() {
                    state.control_bytes += message.len();
                    state.control.push_back(message);
                    break;
                }
            }
            self.room.notified().await;
        }
        self.ready.notify_one();
    }

    pub(crate) fn datagram(&self, datagram: Bytes) {
        let mut state = self.lock();
        if state.datagrams.len() >= DATAGRAM_INBOX {
            state.datagrams.pop_front();
            state.dropped += 1;
        }
        state.datagrams.push_back(datagram);
        drop(state);
        self.ready.notify_one();
    }

    pub(crate) fn frame(&self, frame: Bytes) {
        let mut state = self.lock();
        state.frame_bytes += frame.len();
        state.frames.push_back(frame);
        while state.frames.len() > FRAME_INBOX || state.frame_bytes > FRAME_INBOX_BYTES {
            let Some(oldest) = state.frames.pop_front() else { break };
            state.frame_bytes -= oldest.len();
            state.dropped += 1;
        }
        drop(state);
        self.ready.notify_one();
    }

    pub(crate) fn down(&self, why: LinkDown) {
        self.lock().down.get_or_insert(why);
        self.ready.notify_one();
    }

    pub(crate) fn is_down(&self) -> bool {
        self.lock().down.is_some()
    }

    /// Datagrams and frames dropped because nobody took them in time.
    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
    }
}
