//! A media side: a small state machine that runs either on its own thread or inside the loop.

use super::Clock;
use crate::time::Now;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Messages to a side wait here; media that finds it full is dropped and counted.
const INBOX: usize = 256;

/// A side that did nothing for so long stood still: what waited is no longer the present. All have something
/// to do far more often.
pub(super) const STOOD_STILL: Duration = Duration::from_millis(500);

/// A media side.
pub(super) trait Side: Send + 'static {
    /// What it is told.
    type Message: Send + 'static;
    /// What it says.
    type Event: Send + 'static;
    /// Takes a message.
    fn handle(&mut self, message: Self::Message, now: Now, out: &mut Vec<Self::Event>);
    /// When [`Side::step`] wants to run.
    fn due(&self) -> Option<Instant>;
    /// Runs what is due.
    fn step(&mut self, now: Now, out: &mut Vec<Self::Event>);
}

/// A side where it runs.
pub(super) enum Hosted<S: Side> {
    /// Inside the loop.
    Inline(Box<S>, Vec<S::Event>),
    /// On a thread; dropping the sender ends it.
    Thread { inbox: Option<SyncSender<S::Message>>, thread: Option<JoinHandle<()>>, dropped: u64 },
}

impl<S: Side> Hosted<S> {
    pub(super) fn inline(side: S) -> Self {
        Self::Inline(Box::new(side), Vec::new())
    }

    /// Starts a thread named `name` whose events go into `events`.
    pub(super) fn thread(
        name: &str,
        mut side: S,
        clock: Clock,
        events: mpsc::Sender<S::Event>,
    ) -> std::io::Result<Self> {
        let (inbox, messages) = sync_channel(INBOX);
        let thread = std::thread::Builder::new()
            .name(format!("facetty {name}"))
            .spawn(move || run(&mut side, &messages, clock, &events))?;
        Ok(Self::Thread { inbox: Some(inbox), thread: Some(thread), dropped: 0 })
    }

    pub(super) fn send(&mut self, message: S::Message, now: Now) {
        match self {
            Self::Inline(side, out) => side.handle(message, now, out),
            Self::Thread { inbox, dropped, .. } => {
                let full = inbox.as_ref().map(|i| i.try_send(message));
                if matches!(full, Some(Err(TrySendError::Full(_)))) {
                    *dropped += 1;
                }
            }
        }
    }

    /// When the loop must call [`Hosted::step`]; a thread looks after itself.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Inline(side, out) if out.is_empty() => side.due(),
            Self::Inline(side, _) => side.due().map(|t| t - Duration::from_secs(1)),
            Self::Thread { .. } => None,
        }
    }

    /// Runs what is due and hands over what was said since.
    pub(super) fn step(&mut self, now: Now) -> Vec<S::Event> {
        match self {
            Self::Inline(side, out) => {
                if side.due().is_some_and(|t| t <= now.mono) {
                    side.step(now, out);
                }
                std::mem::take(out)
            }
            Self::Thread { .. } => Vec::new(),
        }
    }
}

impl<S: Side> Drop for Hosted<S> {
    fn drop(&mut self) {
        if let Self::Thread { inbox, thread, .. } = self {
            inbox.take();
            if let Some(thread) = thread.take() {
                // A side that panicked has said so in the log already.
                let _ = thread.join();
            }
        }
    }
}

fn run<S: Side>(
    side: &mut S,
    messages: &Receiver<S::Message>,
    clock: Clock,
    events: &mpsc::Sender<S::Event>,
) {
    let mut out = Vec::new();
    loop {
        let now = clock.now();
        let wait = match side.due() {
            Some(due) => due.saturating_duration_since(now.mono),
            None => Duration::from_millis(500),
        };
        match messages.recv_timeout(wait) {
            Ok(message) => {
                let now = clock.now();
                side.handle(message, now, &mut out);
                while let Ok(message) = messages.try_recv() {
                    side.handle(message, now, &mut out);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = clock.now();
        if side.due().is_some_and(|t| t <= now.mono) {
            side.step(now, &mut out);
        }
        for event in out.drain(..) {
            // The loop is gone: so is the call. A full channel means it is far behind: media may
            // be lost, and waiting here would only make it older.
            if let Err(mpsc::error::TrySendError::Closed(_)) = events.try_send(event) {
                return;
            }
        }
    }
}
