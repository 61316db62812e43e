//! Pictures from a camera, on a thread of its own: opened, watched, reopened when it comes back,
//! released while switched off. Device calls block for as long as a driver likes, so nothing but
//! that thread ever makes one.

mod convert;
// Without a backend nothing chooses among formats, but its tests still run.
#[cfg_attr(not(feature = "camera"), allow(dead_code))]
mod format;
#[cfg(feature = "camera")]
mod native;

pub use format::{Offer, Pixels};

use crate::media::frame::RawFrame;
use crate::media::seams::{FrameSource, SourceLost};
use crate::media::source::slot::{Slot, Wish};
use crate::media::source::{OpenError, VideoOptions, Wake};
use crate::time::{MediaTime, Now};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// How long a camera may take from opening to its first picture.
const PATIENCE: Duration = Duration::from_secs(6);
/// A camera that is on and silent for this long is lost, whatever its driver says.
const SILENCE: Duration = Duration::from_secs(3);
/// Pause before the first attempt to reopen a lost camera; doubles up to [`SLOWEST`].
const RETRY: Duration = Duration::from_millis(500);
/// Longest pause between two attempts.
const SLOWEST: Duration = Duration::from_secs(8);
/// How often the slot is looked into when nobody wakes the loop.
const POLL: Duration = Duration::from_millis(4);

/// A camera as `facetty devices` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number: the flag is `--video camera:N`.
    pub index: u32,
    /// The driver's name for it.
    pub name: String,
    /// What would be captured, or why nothing can be.
    pub chosen: Result<Offer, String>,
}

/// The cameras of this machine; empty where there is none or it can't be asked. Opens each device
/// for a moment.
pub fn list_cameras() -> Vec<Listed> {
    #[cfg(feature = "camera")]
    return native::list();
    #[cfg(not(feature = "camera"))]
    Vec::new()
}

/// An opened device: what the thread needs of it.
trait Device {
    /// The format it really delivers.
    fn offer(&self) -> Offer;
    /// Blocks until the next picture and passes its raw bytes on.
    fn picture(&mut self, take: &mut dyn FnMut(&Offer, &[u8])) -> Result<(), String>;
}

/// Opens the device; called again after every loss and every pause.
type Opener = Box<dyn FnMut() -> Result<Box<dyn Device>, String> + Send>;

/// `--video camera:N`. When the device is lost, [`FrameSource::next`] says so once; the thread
/// goes on trying, and pictures come again when the device does: keep polling.
pub struct Camera {
    name: String,
    slot: Arc<Slot>,
    woken: bool,
    on: bool,
    polled: Instant,
    /// When the last picture came, or the camera was switched on.
    heard: Instant,
    silent: bool,
}

impl Camera {
    /// Opens camera `index` and waits, at most six seconds, for its first picture.
    pub fn open(index: u32, options: VideoOptions) -> Result<Self, OpenError> {
        #[cfg(feature = "camera")]
        {
            let large = options.size.width > 640 || options.size.height > 480;
            let opener: Opener = Box::new(move || native::open(index, large));
            Self::start(format!("camera {index}"), opener, options)
        }
        #[cfg(not(feature = "camera"))]
        {
            let _ = options;
            let why = "this facetty was built without camera support; try --video pattern";
            Err(OpenError::Device { what: format!("camera {index}"), why: why.into() })
        }
    }

    #[cfg_attr(not(feature = "camera"), allow(dead_code))]
    fn start(name: String, opener: Opener, options: VideoOptions) -> Result<Self, OpenError> {
        let failed = |why: String| OpenError::Device { what: name.clone(), why };
        let slot = Arc::new(Slot::switched_on());
        let (ready, first) = mpsc::sync_channel(1);
        let worker = Worker {
            name: name.clone(),
            slot: Arc::clone(&slot),
            wake: options.wake.clone(),
            origin: options.origin,
            opener,
        };
        // Not joined: a driver may block for ever, and the thread owns all it touches.
        std::thread::Builder::new()
            .name("camera".into())
            .spawn(move || worker.run(ready))
            .map_err(|e| failed(format!("can't start a thread: {e}")))?;
        let outcome = match first.recv_timeout(PATIENCE) {
            Ok(outcome) => outcome,
            Err(_) => Err(format!(
                "no picture within {} s; is another program using it?",
                PATIENCE.as_secs()
            )),
        };
        if let Err(why) = outcome {
            slot.stop();
            return Err(failed(why));
        }
        let now = tokio::time::Instant::now().into_std();
        let woken = options.wake.is_some();
        Ok(Self { name, slot, woken, on: true, polled: now, heard: now, silent: false })
    }
}

impl FrameSource for Camera {
    fn due(&self) -> Option<Instant> {
        if !self.on {
            return None;
        }
        // Woken by pictures, it still has to notice when none come.
        Some(if self.woken { self.polled + SILENCE / 2 } else { self.polled + POLL })
    }

    fn next(&mut self, now: Now) -> Result<Option<RawFrame>, SourceLost> {
        self.polled = now.mono;
        let taken = self.slot.take();
        if !self.on {
            return Ok(None);
        }
        if let Ok(None) = taken {
            let silence = now.mono.saturating_duration_since(self.heard);
            if silence < SILENCE || self.silent {
                return Ok(None);
            }
            self.silent = true;
            let why = format!("no picture for {} s", SILENCE.as_secs());
            return Err(SourceLost { what: self.name.clone(), why });
        }
        // A loss the thread has reported is not reported again as silence.
        self.silent = taken.is_err();
        self.heard = now.mono;
        taken
    }

    fn enable(&mut self, on: bool, now: Now) {
        self.on = on;
        self.polled = now.mono;
        self.heard = now.mono;
        self.silent = false;
        self.slot.enable(on);
    }

    fn describe(&self) -> String {
        self.slot.description()
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.slot.stop();
    }
}

/// The device's thread.
#[cfg_attr(not(feature = "camera"), allow(dead_code))]
struct Worker {
    name: String,
    slot: Arc<Slot>,
    wake: Option<Wake>,
    origin: Instant,
    opener: Opener,
}

#[cfg_attr(not(feature = "camera"), allow(dead_code))]
impl Worker {
    fn run(mut self, ready: mpsc::SyncSender<Result<(), String>>) {
        let mut first = Some(ready);
        let mut pause = RETRY;
        loop {
            match self.slot.wish() {
                Wish::Stop => return,
                Wish::Off => {
                    self.slot.describe(format!("{}, off", self.name));
                    // Any length will do: a change of wish ends the wait.
                    self.slot.wait_while(Wish::Off, Duration::from_secs(3600));
                    continue;
                }
                Wish::On => {}
            }
            // Whatever a driver's binding does, the call goes on.
            let session = std::panic::AssertUnwindSafe(|| self.session(&mut first, &mut pause));
            let ended = std::panic::catch_unwind(session)
                .unwrap_or_else(|_| Err("its driver failed unexpectedly".into()));
            let Err(why) = ended else { continue };
            if let Some(ready) = first.take() {
                let _ = ready.send(Err(why));
                return;
            }
            // Said once per loss, not once per attempt.
            if pause == RETRY {
                let lost = SourceLost { what: self.name.clone(), why };
                self.slot.lose(lost, self.wake.as_ref());
                self.slot.describe(format!("{}, lost, trying again", self.name));
            }
            self.slot.wait_while(Wish::On, pause);
            pause = (pause * 2).min(SLOWEST);
        }
    }

    /// One opening of the device, until the wish changes (`Ok`) or it is lost.
    fn session(
        &mut self,
        first: &mut Option<mpsc::SyncSender<Result<(), String>>>,
        pause: &mut Duration,
    ) -> Result<(), String> {
        let mut device = (self.opener)()?;
        self.slot.describe(format!("{}, {}", self.name, device.offer()));
        let mut bad = 0;
        while self.slot.wish() == Wish::On {
            let mut frame = None;
            device.picture(&mut |offer, bytes| {
                let now = tokio::time::Instant::now().into_std();
                frame = convert::to_i420(offer, bytes, MediaTime::since(self.origin, now));
            })?;
            let Some(frame) = frame else {
                // The first pictures of a webcam are often cut short; a hundred are a defect.
                bad += 1;
                if bad > 100 {
                    return Err("its pictures can't be decoded".into());
                }
                continue;
            };
            bad = 0;
            *pause = RETRY;
            if let Some(ready) = first.take() {
                let _ = ready.send(Ok(()));
            }
            if self.slot.wish() == Wish::On {
                self.slot.put(frame, self.wake.as_ref());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Wall;

    const TINY: Offer = Offer { width: 4, height: 2, fps: 30, pixels: Pixels::Gray };

    /// A device that delivers what the test sends and tells when it is opened and closed.
    struct Fake {
        pictures: Arc<std::sync::Mutex<mpsc::Receiver<Result<(), String>>>>,
        told: mpsc::SyncSender<&'static str>,
    }

    impl Device for Fake {
        fn offer(&self) -> Offer {
            TINY
        }

        fn picture(&mut self, take: &mut dyn FnMut(&Offer, &[u8])) -> Result<(), String> {
            self.pictures.lock().unwrap().recv().unwrap_or(Err("gone".into()))?;
            take(&TINY, &[100; 8]);
            Ok(())
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            self.told.send("closed").unwrap();
        }
    }

    struct Bench {
        camera: Camera,
        pictures: mpsc::SyncSender<Result<(), String>>,
        told: mpsc::Receiver<&'static str>,
        woken: mpsc::Receiver<()>,
        now: Now,
    }

    fn bench() -> Bench {
        let (pictures, rx) = mpsc::sync_channel(8);
        let (tell, told) = mpsc::sync_channel(8);
        let rx = Arc::new(std::sync::Mutex::new(rx));
        let opener: Opener = Box::new(move || {
            tell.send("opened").unwrap();
            Ok(Box::new(Fake { pictures: Arc::clone(&rx), told: tell.clone() }))
        });
        let (ring, woken) = mpsc::sync_channel(64);
        let mono = tokio::time::Instant::now().into_std();
        let mut options = VideoOptions::new(mono);
        options.wake = Some(Arc::new(move || ring.send(()).unwrap()));
        pictures.send(Ok(())).unwrap();
        let camera = Camera::start("camera 7".into(), opener, options).unwrap();
        assert_eq!(told.recv(), Ok("opened"));
        woken.recv().unwrap();
        Bench { camera, pictures, told, woken, now: Now { mono, wall: Wall(0) } }
    }

    #[test]
    fn switching_off_releases_the_device_and_on_opens_it_again() {
        let mut b = bench();
        assert!(b.camera.next(b.now).unwrap().is_some());
        b.camera.enable(false, b.now);
        assert_eq!(b.camera.due(), None);
        // The driver's pending picture comes; nobody sees it, and the device is let go.
        b.pictures.send(Ok(())).unwrap();
        assert_eq!(b.told.recv(), Ok("closed"));
        assert!(b.camera.next(b.now).unwrap().is_none());
        b.camera.enable(true, b.now);
        assert_eq!(b.told.recv(), Ok("opened"));
        b.pictures.send(Ok(())).unwrap();
        b.woken.recv().unwrap();
        assert!(b.camera.next(b.now).unwrap().is_some());
    }

    #[test]
    fn a_lost_camera_is_reported_once_and_comes_back() {
        let mut b = bench();
        b.camera.next(b.now).unwrap();
        b.pictures.send(Err("unplugged".into())).unwrap();
        b.woken.recv().unwrap();
        let lost = b.camera.next(b.now).unwrap_err();
        assert_eq!(lost.to_string(), "camera 7: unplugged");
        assert!(b.camera.next(b.now).unwrap().is_none());
        assert_eq!((b.told.recv(), b.told.recv()), (Ok("closed"), Ok("opened")));
        b.pictures.send(Ok(())).unwrap();
        b.woken.recv().unwrap();
        assert!(b.camera.next(b.now).unwrap().is_some());
    }

    #[test]
    fn a_camera_gone_silent_is_lost_whatever_its_driver_says() {
        let mut b = bench();
        b.camera.next(b.now).unwrap();
        let later = Now { mono: b.now.mono + SILENCE, ..b.now };
        assert!(b.camera.next(later).is_err());
        assert!(b.camera.next(later).unwrap().is_none());
    }

    #[test]
    fn a_camera_that_cannot_be_opened_is_a_device_error() {
        let opener: Opener = Box::new(|| Err("busy".into()));
        let options = VideoOptions::new(tokio::time::Instant::now().into_std());
        let Err(error) = Camera::start("camera 0".into(), opener, options) else { panic!() };
        assert_eq!(error, OpenError::Device { what: "camera 0".into(), why: "busy".into() });
    }
}
