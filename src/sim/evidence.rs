//! What a demonstration leaves for others to check: everything QUIC delivered, as a capture, and –
//! only if asked for – one call's media keys. `examples/verify.py` reads both.

use super::eve::Window;
use super::pcapng::PcapWriter;
use crate::media::frame::Coded;
use crate::node::Witness;
use crate::seal::Surrendered;
use crate::time::{Now, Wall};
use crate::wire::control::Control;
use crate::wire::link::{LinkEvent, LinkId, MemberId};
use crate::wire::sframe::{Header, Kid, StreamKind};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Sealed objects delivered, by the sender's leaf and stream.
pub type Delivered = BTreeMap<(u8, StreamKind), u64>;

/// Where it is kept. Cheap to clone.
#[derive(Clone)]
pub struct Evidence(Arc<Mutex<State>>);

struct State {
    capture: Option<PcapWriter<BufWriter<File>>>,
    keys: Option<File>,
    known: Vec<(u64, u8)>,
    delivered: Delivered,
    lost: Option<io::Error>,
    opened: (Instant, Wall),
}

impl Evidence {
    /// Keeps what QUIC delivers in `capture`, media keys in `keys` (made anew, readable by its
    /// owner only): each only if given.
    pub fn open(capture: Option<&Path>, keys: Option<&Path>, now: Now) -> io::Result<Self> {
        let capture = capture
            .map(|path| PcapWriter::objects(BufWriter::new(File::create(path)?), "quic"))
            .transpose()?;
        let keys = keys
            .map(|path| {
                let mut options = File::options();
                options.write(true).create(true).truncate(true).mode(0o600).open(path)
            })
            .transpose()?;
        let opened = (now.mono, now.wall);
        let (known, delivered) = (Vec::new(), Delivered::new());
        let state = State { capture, keys, known, delivered, lost: None, opened };
        Ok(Self(Arc::new(Mutex::new(state))))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was delivered so far.
    pub fn delivered(&self) -> Delivered {
        self.lock().delivered.clone()
    }

    /// Hands everything to the system; the first error of writing, if there was one.
    pub fn finish(&self) -> io::Result<()> {
        let mut state = self.lock();
        if let Some(error) = state.lost.take() {
            return Err(error);
        }
        if let Some(capture) = &mut state.capture {
            capture.flush()?;
        }
        state.keys.as_mut().map_or(Ok(()), Write::flush)
    }

    fn keep(&self, receiver: u8, event: &LinkEvent, now: Now) {
        let (kind, bytes) = match event {
            LinkEvent::Control(bytes) => (1, bytes),
            LinkEvent::Datagram(bytes) => (2, bytes),
            LinkEvent::Frame(bytes) => (3, bytes),
            LinkEvent::Up(_) | LinkEvent::Down(_) => return,
        };
        let mut state = self.lock();
        let sealed = match kind {
            1 => match Control::decode(bytes) {
                Ok(Control::Sealed(inner)) => Some(inner),
                _ => None,
            },
            _ => Some(bytes.clone()),
        };
        let kid = sealed.and_then(|b| Kid::from_u64(Header::decode(&b).ok()?.0.kid).ok());
        if let Some(kid) = kid {
            *state.delivered.entry((kid.leaf, kid.stream)).or_default() += 1;
        }
        let since = now.mono.saturating_duration_since(state.opened.0).as_micros();
        let micros = state.opened.1.0 * 1000 + u64::try_from(since).unwrap_or(u64::MAX / 2);
        let object = [&[kind, receiver][..], bytes].concat();
        if let Some(capture) = &mut state.capture
            && let Err(error) = capture.object(micros, &object)
        {
            state.capture = None;
            state.lost.get_or_insert(error);
        }
    }

    /// One line for each base key: epoch, leaf, key. Whoever has it opens that sender's frames of
    /// that epoch, and nothing else.
    fn export_key(&self, keys: &Surrendered) {
        let mut state = self.lock();
        let which = (keys.epoch(), keys.leaf());
        if state.keys.is_none() || state.known.contains(&which) {
            return;
        }
        state.known.push(which);
        let hex: String = keys.base().expose().iter().map(|b| format!("{b:02x}")).collect();
        let line = format!(
            "{{\"epoch\": {}, \"leaf\": {}, \"suite\": {}, \"base_key\": \"{hex}\"}}\n",
            which.0,
            which.1,
            crate::seal::SUITE
        );
        if let Some(file) = &mut state.keys
            && let Err(error) = file.write_all(line.as_bytes())
        {
            state.keys = None;
            state.lost.get_or_insert(error);
        }
    }
}

/// Eve's window into one participant, with a record kept of what passes it.
pub struct Recorded {
    /// Eve's window.
    pub window: Window,
    /// The record.
    pub evidence: Evidence,
    /// Which participant: 0 Ada, 1 Ben.
    pub receiver: u8,
}

impl Witness for Recorded {
    fn keys(&self, keys: Surrendered, now: Now) {
        self.window.keys(keys, now);
    }

    fn new_keys(&self, keys: &Surrendered) {
        self.evidence.export_key(keys);
        self.window.new_keys(keys);
    }

    fn before_seal(&self, coded: &Coded, now: Now) {
        self.window.before_seal(coded, now);
    }

    fn delivered(&self, link: LinkId, from: Option<MemberId>, event: &LinkEvent, now: Now) {
        self.evidence.keep(self.receiver, event, now);
        self.window.delivered(link, from, event, now);
    }
}
