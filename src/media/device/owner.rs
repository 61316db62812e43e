//! The thread that owns one stream: opens it, watches it, opens it again.
//!
//! Sound servers fail in ways no error tells: callbacks just stop, or a million errors a second
//! come from a server that died, or the stream is moved to another device when one is unplugged.
//! So the thread believes only what it sees: callbacks that come.

use super::ring::{Intake, Outlet, ring};
use super::{DeviceState, DeviceStatus, Direction, choose, convert};
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{Data, Device, ErrorKind, InputCallbackInfo, OutputCallbackInfo, Stream};
use rtrb::{Consumer, Producer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// The stream is looked at this often.
const LOOK: Duration = Duration::from_millis(100);
/// So many looks without a callback (0.5 s), and the stream is dead.
const DEAD_LOOKS: u32 = 5;
/// A new stream is given 3 s for its first callback.
const FIRST_LOOKS: u32 = 30;
/// So many errors between two looks, and the stream is dead however it calls.
const MANY_ERRORS: u32 = 50;
/// Between checks that the device is still there, in looks (0.5 s).
const PRESENCE: u32 = 5;
/// Opening is given so long before the backend is considered hung.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pauses between attempts: doubled from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));

/// What callbacks leave behind.
#[derive(Default)]
struct Signs {
    callbacks: AtomicU64,
    errors: AtomicU32,
    /// An error that says the stream is finished, or was moved to another device.
    over: AtomicBool,
    /// From the card to the callback or back, in µs.
    delay_us: AtomicU32,
    /// Samples that found no room, in the card's own rate.
    lost: AtomicU64,
}

impl Signs {
    /// In a callback of its own that may come a million times a second: counts, nothing else.
    fn error(&self, kind: ErrorKind) {
        match kind {
            ErrorKind::DeviceNotAvailable
            | ErrorKind::DeviceChanged
            | ErrorKind::HostUnavailable
            | ErrorKind::StreamInvalidated => self.over.store(true, Relaxed),
            ErrorKind::RealtimeDenied => {}
            _ => {
                self.errors.fetch_add(1, Relaxed);
            }
        }
    }

    fn delay(&self, delay: Duration) {
        let us = u32::try_from(delay.as_micros()).unwrap_or(0);
        // Some hosts report nonsense when they don't know.
        self.delay_us.store(if us < 1_000_000 { us } else { 0 }, Relaxed);
    }
}

/// The engine's end, kept supplied with rings by the owning thread, which ends with it.
pub(super) struct Owner<E> {
    end: E,
    fresh: Receiver<Attach<E>>,
    signs: Arc<Signs>,
    status: DeviceStatus,
    counted: (u64, u64),
    /// Dropping it ends the thread.
    _stop: SyncSender<()>,
}

/// Gives the engine's end the ring of a new stream.
type Attach<E> = Box<dyn FnOnce(&mut E) + Send>;

/// How the thread builds a stream and hands the other end of its ring over.
type Build<E> =
    fn(&Device, &choose::Setting, &Arc<Signs>) -> Result<(Stream, Attach<E>), cpal::Error>;

impl Owner<Intake> {
    pub(super) fn input(wanted: Option<&str>, status: DeviceStatus) -> Self {
        Self::start(Direction::Input, wanted, status, |device, setting, signs| {
            let rate = setting.config.sample_rate;
            let (producer, consumer) = ring(rate, 1024);
            let stream = build_input(device, setting, signs.clone(), producer)?;
            Ok((stream, Box::new(move |intake| intake.attach(consumer, rate))))
        })
    }
}

impl Owner<Outlet> {
    pub(super) fn output(wanted: Option<&str>, status: DeviceStatus) -> Self {
        Self::start(Direction::Output, wanted, status, |device, setting, signs| {
            let rate = setting.config.sample_rate;
            let (producer, consumer) = ring(rate, 1024);
            let stream = build_output(device, setting, signs.clone(), consumer)?;
            Ok((stream, Box::new(move |outlet| outlet.attach(producer, rate))))
        })
    }
}

impl<E: Default + 'static> Owner<E> {
    fn start(
        direction: Direction,
        wanted: Option<&str>,
        status: DeviceStatus,
        build: Build<E>,
    ) -> Self {
        let (stop, stopped) = sync_channel(1);
        let (hand_over, fresh) = sync_channel(1);
        let signs = Arc::new(Signs::default());
        let keeper = Keeper {
            direction,
            wanted: wanted.map(str::to_owned),
            status: status.clone(),
            signs: signs.clone(),
            build,
            hand_over,
            stopped,
        };
        let name = format!("facetty-{}", direction.word());
        if let Err(e) = thread::Builder::new().name(name).spawn(move || keeper.run()) {
            status.change(|r| r.state = DeviceState::Lost(e.to_string()));
        }
        Self { end: E::default(), fresh, signs, status, counted: (0, 0), _stop: stop }
    }

    /// The engine's end, with the newest ring.
    pub(super) fn end(&mut self) -> &mut E {
        while let Ok(attach) = self.fresh.try_recv() {
            attach(&mut self.end);
        }
        &mut self.end
    }

    pub(super) fn end_ref(&self) -> &E {
        &self.end
    }

    /// From the card to the callback, or from the callback to the card.
    pub(super) fn device_delay(&self) -> Duration {
        Duration::from_micros(u64::from(self.signs.delay_us.load(Relaxed)))
    }

    /// Keeps the report's counters; touches its lock only when something changed.
    pub(super) fn count(&mut self, skipped: u64, starved: u64) {
        let skipped = skipped + self.signs.lost.load(Relaxed);
        if self.counted != (skipped, starved) {
            self.counted = (skipped, starved);
            self.status.change(|r| (r.skipped_ms, r.starved) = (skipped / 48, starved));
        }
    }
}

/// The thread's belongings.
struct Keeper<E> {
    direction: Direction,
    wanted: Option<String>,
    status: DeviceStatus,
    signs: Arc<Signs>,
    build: Build<E>,
    hand_over: SyncSender<Attach<E>>,
    stopped: Receiver<()>,
}

/// Why the watch over a stream ended.
enum End {
    /// The engine's end is gone.
    Stopped,
    /// The stream is dead, for this reason; it had worked or not.
    Dead(String, bool),
}

impl<E: 'static> Keeper<E> {
    fn run(self) {
        let mut pause = PAUSES.0;
        loop {
            let (why, worked) = match self.open() {
                Ok((host, id, stream)) => match self.watch(&host, &id) {
                    End::Stopped => return discard(stream),
                    End::Dead(why, worked) => {
                        discard(stream);
                        (why, worked)
                    }
                },
                Err(why) => (why, false),
            };
            tracing::warn!(device = self.direction.word(), why, "sound device lost");
            self.status.change(|report| {
                report.losses += u32::from(worked);
                report.state = DeviceState::Lost(why);
            });
            pause = if worked { PAUSES.0 } else { pause };
            if self.stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Opens the device with the first setting it takes. The host is made anew each time: the old
    /// one may be a connection to a server that has died.
    fn open(&self) -> Result<(cpal::Host, String, Stream), String> {
        let host = cpal::default_host();
        let device = choose::choose(&host, self.direction, self.wanted.as_deref())?;
        let (id, name) = choose::names(&device);
        self.signs.over.store(false, Relaxed);
        self.signs.errors.store(0, Relaxed);
        let mut why = format!("{name} offers no usable format");
        for setting in choose::settings(&device, self.direction) {
            match (self.build)(&device, &setting, &self.signs) {
                Ok((stream, attach)) => {
                    if let Err(e) = stream.play() {
                        why = e.to_string();
                        discard(stream);
                        continue;
                    }
                    // The engine's end takes it at its next tick; it only ever needs the newest.
                    if self.hand_over.try_send(attach).is_err() {
                        discard(stream);
                        return Err("the call is busy".to_owned());
                    }
                    self.status.change(|report| report.name.clone_from(&name));
                    return Ok((host, id, stream));
                }
                Err(e) => why = e.to_string(),
            }
        }
        Err(why)
    }

    fn watch(&self, host: &cpal::Host, id: &str) -> End {
        let mut seen = self.signs.callbacks.load(Relaxed);
        let (mut quiet, mut looks, mut worked) = (0, 0u32, false);
        loop {
            if self.stopped.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                return End::Stopped;
            }
            looks += 1;
            let callbacks = self.signs.callbacks.load(Relaxed);
            if callbacks != seen {
                (seen, quiet) = (callbacks, 0);
                if !worked {
                    worked = true;
                    self.status.change(|report| report.state = DeviceState::Running);
                }
            } else {
                quiet += 1;
            }
            let dead = |why: &str| End::Dead(why.to_owned(), worked);
            if self.signs.over.load(Relaxed) {
                return dead("the device is gone or was changed");
            }
            if self.signs.errors.swap(0, Relaxed) >= MANY_ERRORS {
                return dead("the sound system reports errors without end");
            }
            if quiet >= if worked { DEAD_LOOKS } else { FIRST_LOOKS } {
                return dead("the device fell silent");
            }
            if looks.is_multiple_of(PRESENCE) && !present(host, self.direction, id) {
                return dead("the device was unplugged");
            }
        }
    }
}

/// Is the device still there? A server moves the stream of an unplugged one elsewhere without a
/// word: a microphone perhaps to a monitor, which would send people their own voices. Asked only
/// where asking is quiet and quick.
fn present(host: &cpal::Host, direction: Direction, id: &str) -> bool {
    if !host.id().name().to_lowercase().contains("pulse") {
        return true;
    }
    let Ok(mut devices) = host.devices() else { return false };
    devices.any(|device| {
        let usable = match direction {
            Direction::Input => device.supports_input(),
            Direction::Output => device.supports_output(),
        };
        usable && device.id().is_ok_and(|other| other.id() == id)
    })
}

/// Closing the stream of a hung server can hang too: not in the thread that has to open the next.
fn discard(stream: Stream) {
    // Without threads left there is nothing better than to close it here.
    let _ = thread::Builder::new().name("facetty-close".to_owned()).spawn(move || drop(stream));
}

fn build_input(
    device: &Device,
    setting: &choose::Setting,
    signs: Arc<Signs>,
    mut ring: Producer<f32>,
) -> Result<Stream, cpal::Error> {
    let channels = usize::from(setting.config.channels);
    let on_error = signs.clone();
    device.build_input_stream_raw(
        setting.config,
        setting.format,
        move |data: &Data, info: &InputCallbackInfo| {
            let lost = convert::capture(data, channels, &mut ring);
            signs.lost.fetch_add(lost as u64, Relaxed);
            let stamp = info.timestamp();
            signs.delay(stamp.callback.duration_since(stamp.capture));
            signs.callbacks.fetch_add(1, Relaxed);
        },
        move |error| on_error.error(error.kind()),
        Some(PATIENCE),
    )
}

fn build_output(
    device: &Device,
    setting: &choose::Setting,
    signs: Arc<Signs>,
    mut ring: Consumer<f32>,
) -> Result<Stream, cpal::Error> {
    let channels = usize::from(setting.config.channels);
    let on_error = signs.clone();
    device.build_output_stream_raw(
        setting.config,
        setting.format,
        move |data: &mut Data, info: &OutputCallbackInfo| {
            convert::play(data, channels, &mut ring);
            let stamp = info.timestamp();
            signs.delay(stamp.playback.duration_since(stamp.callback));
            signs.callbacks.fetch_add(1, Relaxed);
        },
        move |error| on_error.error(error.kind()),
        Some(PATIENCE),
    )
}
