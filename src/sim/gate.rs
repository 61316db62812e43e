//! Stopping a participant as a whole, like a process that gets SIGSTOP: nothing of it runs, its
//! sockets take in what fits, and the clocks go on.
//!
//! Whatever runs for it runs behind its [`Gate`]: its node, and the tasks of its QUIC endpoint (the
//! gate is the endpoint's runtime). The few tasks in between have nothing to pass on meanwhile.

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// A gate that tasks run behind while it is open. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    closed: bool,
    /// Tasks that wanted to run meanwhile.
    waiting: Vec<Waker>,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing behind it runs from now on.
    pub fn close(&self) {
        self.lock().closed = true;
    }

    /// Everything goes on.
    pub fn open(&self) {
        let waiting = {
            let mut state = self.lock();
            state.closed = false;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Puts a task behind the gate.
    pub fn hold<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        let (gate, mut task) = (self.clone(), Box::pin(task));
        std::future::poll_fn(move |cx| gate.poll(task.as_mut(), cx))
    }

    fn poll<F: Future + ?Sized>(&self, task: Pin<&mut F>, cx: &mut Context) -> Poll<F::Output> {
        {
            let mut state = self.lock();
            if state.closed {
                if !state.waiting.iter().any(|known| known.will_wake(cx.waker())) {
                    state.waiting.push(cx.waker().clone());
                }
                return Poll::Pending;
            }
        }
        task.poll(cx)
    }
}

impl Runtime for Gate {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let (gate, mut task) = (self.clone(), task);
        TokioRuntime.spawn(Box::pin(std::future::poll_fn(move |cx| gate.poll(task.as_mut(), cx))));
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn nothing_runs_behind_a_closed_gate_and_all_goes_on_at_once() {
        let gate = Gate::default();
        let ticks = Arc::new(AtomicU32::new(0));
        for _ in 0..3 {
            let ticks = Arc::clone(&ticks);
            gate.spawn(Box::pin(async move {
                loop {
                    sleep(Duration::from_millis(10)).await;
                    ticks.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        let count = || ticks.load(Ordering::Relaxed);
        sleep(Duration::from_millis(105)).await;
        assert_eq!(count(), 30);
        gate.close();
        sleep(Duration::from_secs(3)).await;
        assert_eq!(count(), 30);
        gate.open();
        // The timers ran out long ago.
        sleep(Duration::from_millis(1)).await;
        assert_eq!(count(), 33);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_is_held_returns_what_it_returns() {
        let gate = Gate::default();
        gate.close();
        let held = tokio::spawn(gate.hold(async { 7 }));
        sleep(Duration::from_secs(1)).await;
        assert!(!held.is_finished());
        gate.open();
        assert_eq!(held.await.expect("not aborted"), 7);
    }
}
