//! The one-picture hand-over between a device's thread and the loop that polls its source: the
//! newest picture wins, an untaken one is overwritten and counted.

use crate::media::frame::RawFrame;
use crate::media::seams::SourceLost;
use crate::media::source::Wake;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Shared by the two sides.
#[derive(Default)]
pub(super) struct Slot {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    newest: Option<RawFrame>,
    lost: Option<SourceLost>,
    overwritten: u64,
    described: String,
    on: bool,
    stop: bool,
}

/// What the polling side wants of the device's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Deliver pictures.
    On,
    /// Release the device and wait.
    Off,
    /// End.
    Stop,
}

impl Slot {
    /// A slot whose device is wanted on.
    pub(super) fn switched_on() -> Self {
        let slot = Self::default();
        slot.lock().on = true;
        slot
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panicked holder leaves whole values behind: every store is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Device side: hands over a picture.
    pub(super) fn put(&self, frame: RawFrame, wake: Option<&Wake>) {
        let mut state = self.lock();
        if state.newest.replace(frame).is_some() {
            state.overwritten += 1;
        }
        drop(state);
        if let Some(wake) = wake {
            wake();
        }
    }

    /// Device side: gives up for good.
    pub(super) fn lose(&self, lost: SourceLost, wake: Option<&Wake>) {
        self.lock().lost = Some(lost);
        if let Some(wake) = wake {
            wake();
        }
    }

    /// Polling side: the newest picture, once; then the loss, once.
    pub(super) fn take(&self) -> Result<Option<RawFrame>, SourceLost> {
        let mut state = self.lock();
        match (state.newest.take(), state.lost.take()) {
            (None, Some(lost)) => Err(lost),
            (frame, lost) => {
                state.lost = lost;
                Ok(frame)
            }
        }
    }

    /// Either side: what the source is now, for the screen.
    pub(super) fn describe(&self, text: String) {
        self.lock().described = text;
    }

    /// Either side: see [`Slot::describe`].
    pub(super) fn description(&self) -> String {
        self.lock().described.clone()
    }

    /// Polling side: switches the device.
    pub(super) fn enable(&self, on: bool) {
        let mut state = self.lock();
        state.on = on;
        if !on {
            // A picture from before the switch must not appear after it.
            state.newest = None;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Polling side: ends the device's thread.
    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    /// Device side: what is wanted now.
    pub(super) fn wish(&self) -> Wish {
        wish(&self.lock())
    }

    /// Device side: waits at most `limit` for the wish to become something else than `now`.
    pub(super) fn wait_while(&self, now: Wish, limit: Duration) -> Wish {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, limit, |state| wish(state) == now);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        wish(&state)
    }
}

fn wish(state: &State) -> Wish {
    match (state.stop, state.on) {
        (true, _) => Wish::Stop,
        (false, true) => Wish::On,
        (false, false) => Wish::Off,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::Size;
    use crate::time::MediaTime;

    #[test]
    fn the_newest_picture_wins_and_a_loss_comes_after_it() {
        let slot = Slot::switched_on();
        let frame = |t| RawFrame::black(Size::new(2, 2), MediaTime(t));
        slot.put(frame(1), None);
        slot.put(frame(2), None);
        slot.lose(SourceLost { what: "camera 0".into(), why: "unplugged".into() }, None);
        assert_eq!(slot.take().unwrap().unwrap().at, MediaTime(2));
        assert!(slot.take().is_err());
        assert!(slot.take().unwrap().is_none());
    }

    #[test]
    fn switching_off_forgets_the_untaken_picture() {
        let slot = Slot::switched_on();
        slot.put(RawFrame::black(Size::new(2, 2), MediaTime(1)), None);
        slot.enable(false);
        assert!(slot.take().unwrap().is_none());
        assert_eq!(slot.wish(), Wish::Off);
        slot.stop();
        assert_eq!(slot.wait_while(Wish::Off, Duration::ZERO), Wish::Stop);
    }
}
