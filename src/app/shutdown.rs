//! Stopping from outside: the first SIGINT, SIGTERM or SIGHUP asks the run to leave in order, the
//! second ends the process at once. The screen's own Ctrl-C key pulls the same trigger.

use crate::app::exit::Exit;
use std::io;
use std::time::Duration;
use tokio::sync::watch;

/// Leaving in order (telling the others, wiping keys, restoring the screen) may take this long;
/// then the run ends anyway.
pub const GRACE: Duration = Duration::from_secs(2);

/// Why the run was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// SIGINT, or Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP: the terminal is gone.
    HangUp,
}

impl From<Cause> for Exit {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Interrupt => Self::Interrupted,
            Cause::Terminate | Cause::HangUp => Self::Terminated,
        }
    }
}

/// The pulling end.
#[derive(Clone, Debug)]
pub struct Trigger(watch::Sender<Option<Cause>>);

/// The waiting end; clones all see the same pull.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Option<Cause>>);

/// A trigger and the shutdown it causes.
pub fn pair() -> (Trigger, Shutdown) {
    let (send, receive) = watch::channel(None);
    (Trigger(send), Shutdown(receive))
}

impl Trigger {
    /// Asks the run to stop; the first cause stays. Returns whether it was the first.
    pub fn pull(&self, cause: Cause) -> bool {
        self.0.send_if_modified(|now| {
            let first = now.is_none();
            now.get_or_insert(cause);
            first
        })
    }
}

impl Shutdown {
    /// The cause, once there is one.
    pub fn cause(&self) -> Option<Cause> {
        *self.0.borrow()
    }

    /// Waits until the run is asked to stop; for ever if nobody is left to ask.
    pub async fn asked(&mut self) -> Cause {
        loop {
            if let Some(cause) = self.cause() {
                return cause;
            }
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Lets signals pull `trigger`. A second signal calls `last` (restore the terminal) and ends the
/// process at once.
pub fn on_signals(trigger: Trigger, last: impl FnOnce() + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let cause = match signal {
                SIGINT => Cause::Interrupt,
                SIGHUP => Cause::HangUp,
                _ => Cause::Terminate,
            };
            tracing::info!(?cause, "asked to stop by a signal");
            if !trigger.pull(cause) {
                last();
                std::process::exit(i32::from(Exit::from(cause).code()));
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_stays() {
        let (trigger, shutdown) = pair();
        assert_eq!(shutdown.cause(), None);
        assert!(trigger.pull(Cause::HangUp));
        assert!(!trigger.pull(Cause::Interrupt));
        assert_eq!(shutdown.cause(), Some(Cause::HangUp));
        assert_eq!(Exit::from(Cause::HangUp).code(), 143);
    }

    #[tokio::test]
    async fn all_who_wait_are_told() {
        let (trigger, shutdown) = pair();
        let (mut one, mut two) = (shutdown.clone(), shutdown);
        trigger.pull(Cause::Interrupt);
        assert_eq!(one.asked().await, Cause::Interrupt);
        assert_eq!(two.asked().await, Cause::Interrupt);
    }
}
