//! Eve: whoever carries the packets, given more than a real one would have.
//!
//! She sees every UDP datagram of the call, and besides – as if TLS were broken – every byte QUIC
//! delivers at either end. She tries to open, decode and paint what she gets, and searches it all
//! for what must not be there. What she lacks is a member's keys; [`Eve::given`] hands her one
//! member's, to show that her tools are real.

use super::search::{Entropy, Hits, Kind, Needles};
use crate::media::codec::VideoDecoder as _;
use crate::media::codec::h264::H264Decoder;
use crate::media::frame::{Coded, RawFrame, Size};
use crate::node::Witness;
use crate::seal::{Opener, Surrendered};
use crate::secret::Secret;
use crate::time::{MediaTime, Now};
use crate::wire::link::{LinkEvent, LinkId, MemberId};
use crate::wire::media;
use crate::wire::sframe::{Header, Kid, StreamKind};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Sealed pictures Eve keeps, to open them should she ever get a key.
const KEEP_BYTES: usize = 16 << 20;
/// Size at which bytes are painted as noise.
const NOISE: Size = Size::new(160, 96);
/// A picture Eve opened passes as live for this long.
const FRESH: Duration = Duration::from_millis(500);

/// Which of her two views is painted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EveView {
    /// The UDP datagrams, as they pass.
    Line,
    /// What QUIC delivers, as if TLS were broken.
    BrokenTls,
}

/// Counts of one tap.
#[derive(Clone, Debug, Default)]
pub struct TapCount {
    /// Objects (datagrams; messages and frames).
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What was found.
    pub hits: Hits,
    /// Of the bytes.
    pub entropy: Entropy,
}

impl TapCount {
    /// Everything found, of any kind.
    pub fn found(&self) -> u64 {
        self.hits.values().sum()
    }
}

/// What Eve has to show.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// UDP datagrams.
    pub line: TapCount,
    /// What QUIC delivered.
    pub quic: TapCount,
    /// The control: the same search over the bytes before the seal (frames) and over a buffer in
    /// which names and keys were planted.
    pub control: TapCount,
    /// Sealed pictures she tried to open with keys of her own making.
    pub tried: u64,
    /// Of those, how many opened.
    pub opened: u64,
    /// Sealed pictures that opened with a member's keys, handed to her.
    pub opened_with_given: u64,
    /// Ciphertexts she fed to an H.264 decoder as they were.
    pub decoded_raw: u64,
    /// Of those, how many gave a picture.
    pub pictures_raw: u64,
}

/// The eavesdropper.
pub struct Eve {
    needles: Needles,
    findings: Findings,
    /// 32 bytes of her own choice, to try as a key.
    guess: Secret<32>,
    raw: H264Decoder,
    opened: H264Decoder,
    kept: VecDeque<Bytes>,
    kept_bytes: usize,
    line_tail: VecDeque<u8>,
    quic_tail: VecDeque<u8>,
    key: Option<Opener>,
    picture: Option<(Instant, Arc<RawFrame>)>,
}

impl Eve {
    /// Eve with the keys she can make up herself. `guess`: 32 bytes of her choice.
    pub fn new(guess: Secret<32>) -> Result<Self, crate::media::codec::CodecError> {
        Ok(Self {
            needles: Needles::default(),
            findings: Findings::default(),
            guess,
            raw: H264Decoder::new()?,
            opened: H264Decoder::new()?,
            kept: VecDeque::new(),
            kept_bytes: 0,
            line_tail: VecDeque::new(),
            quic_tail: VecDeque::new(),
            key: None,
            picture: None,
        })
    }

    /// Adds something that must not be on the line, and plants it in the control's buffer.
    pub fn look_for(&mut self, kind: Kind, needle: &[u8]) {
        if self.needles.add(kind, needle) {
            let mut planted = vec![0x55; 64];
            planted.extend_from_slice(needle);
            planted.extend_from_slice(&[0xaa; 64]);
            self.needles.search(&planted, &mut self.findings.control.hits);
        }
    }

    /// A coded frame before its seal: becomes needles, and the control's haystack.
    pub fn before_seal(&mut self, coded: &Coded) {
        let bytes = match coded {
            Coded::Audio(a) => &a.bytes,
            Coded::Video(v) => &v.bytes,
        };
        self.needles.add_frame(bytes);
        let control = &mut self.findings.control;
        control.packets += 1;
        control.bytes += bytes.len() as u64;
        control.entropy.add(bytes);
        self.needles.search(bytes, &mut control.hits);
    }

    /// Forgets the frames that are being searched for; names and keys stay.
    pub fn forget_frames(&mut self) {
        self.needles.forget_frames();
    }

    /// One UDP datagram on the line.
    pub fn datagram(&mut self, bytes: &[u8]) {
        count(&mut self.findings.line, &self.needles, bytes);
        remember(&mut self.line_tail, bytes);
    }

    /// Keys of a new epoch: to be looked for.
    pub fn new_keys(&mut self, keys: &Surrendered) {
        self.look_for(Kind::MediaKey, keys.base().expose());
    }

    /// Something QUIC delivered. `picture`: from the member whose face Eve is after.
    pub fn delivered(&mut self, event: &LinkEvent, picture: bool, now: Now) {
        if let LinkEvent::Up(up) = event {
            self.look_for(Kind::PrivateKey, &up.exporter);
        }
        let (LinkEvent::Control(bytes) | LinkEvent::Datagram(bytes) | LinkEvent::Frame(bytes)) =
            event
        else {
            return;
        };
        count(&mut self.findings.quic, &self.needles, bytes);
        remember(&mut self.quic_tail, bytes);
        if picture && matches!(event, LinkEvent::Frame(_)) {
            self.try_picture(bytes, now);
        }
    }

    fn try_picture(&mut self, bytes: &Bytes, now: Now) {
        self.kept.push_back(bytes.clone());
        self.kept_bytes += bytes.len();
        while self.kept_bytes > KEEP_BYTES {
            if let Some(old) = self.kept.pop_front() {
                self.kept_bytes -= old.len();
            }
        }
        let Ok((header, ciphertext)) = Header::decode(bytes) else { return };
        // With a member's key first, as any member would.
        if let Some(frame) = self.open_with_key(header, bytes) {
            self.picture = Some((now.mono, Arc::new(frame)));
            return;
        }
        // Then with what she has herself: a key of her own, and the ciphertext as it is.
        self.findings.tried += 1;
        let own = Kid::from_u64(header.kid)
            .map(|kid| Opener::new(&self.guess, u64::from(kid.epoch), kid.leaf));
        if own.is_ok_and(|mut own| own.open(header, bytes).is_ok()) {
            self.findings.opened += 1;
        }
        self.findings.decoded_raw += 1;
        if let Ok(Some(_)) = self.raw.step(ciphertext, MediaTime(0)) {
            self.findings.pictures_raw += 1;
        }
    }

    fn open_with_key(&mut self, header: Header, sealed: &[u8]) -> Option<RawFrame> {
        let key = self.key.as_mut()?;
        let plaintext = key.open(header, sealed).ok()?;
        self.findings.opened_with_given += 1;
        let Ok(Coded::Video(video)) = media::decode(StreamKind::Video, &plaintext) else {
            return None;
        };
        self.opened.step(&video.bytes, video.at).ok()?
    }

    /// Somebody hands Eve a member's frame keys: now everything kept of that epoch opens too.
    pub fn given(&mut self, keys: Surrendered, now: Now) {
        self.key = Some(Opener::from_surrendered(keys));
        let kept: Vec<_> = self.kept.iter().cloned().collect();
        for bytes in kept {
            let Ok((header, _)) = Header::decode(&bytes) else { continue };
            if let Some(frame) = self.open_with_key(header, &bytes) {
                self.picture = Some((now.mono, Arc::new(frame)));
            }
        }
    }

    /// The newest sealed pictures she kept, at most this many.
    pub fn kept(&self, most: usize) -> Vec<Bytes> {
        self.kept.iter().rev().take(most).cloned().collect()
    }

    /// Are the keys she was given good for the newest sealed picture?
    pub fn can_see(&self, now: Instant) -> bool {
        self.picture.as_ref().is_some_and(|(at, _)| now.saturating_duration_since(*at) <= FRESH)
    }

    /// What her tile shows, and whether it is a face (`true`) or bytes painted as pixels.
    pub fn picture(&self, view: EveView, now: Instant) -> (Arc<RawFrame>, bool) {
        if view == EveView::BrokenTls
            && let Some((at, frame)) = &self.picture
            && now.saturating_duration_since(*at) <= FRESH
        {
            return (Arc::clone(frame), true);
        }
        let tail = match view {
            EveView::Line => &self.line_tail,
            EveView::BrokenTls => &self.quic_tail,
        };
        let bytes: Vec<u8> = tail.iter().copied().collect();
        (Arc::new(crate::paint::bytes_view(&bytes, NOISE)), false)
    }

    /// What she found so far.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// How many needles she looks for.
    pub fn needles(&self) -> usize {
        self.needles.len()
    }

    /// Streams by key id that Eve can tell apart in an SFrame header: the header is authenticated
    /// but not hidden (RFC 9605 §4.3).
    pub fn stream_of(bytes: &[u8]) -> Option<StreamKind> {
        let (header, _) = Header::decode(bytes).ok()?;
        Kid::from_u64(header.kid).ok().map(|k| k.stream)
    }
}

fn count(tap: &mut TapCount, needles: &Needles, bytes: &[u8]) {
    tap.packets += 1;
    tap.bytes += bytes.len() as u64;
    tap.entropy.add(bytes);
    needles.search(bytes, &mut tap.hits);
}

/// Keeps the newest bytes, enough for one picture of noise.
fn remember(tail: &mut VecDeque<u8>, bytes: &[u8]) {
    tail.extend(bytes);
    let most = NOISE.luma();
    while tail.len() > most {
        tail.pop_front();
    }
}

/// Eve's window into one participant: she sees what passes there, and is handed keys there.
pub struct Window {
    /// Eve.
    pub eve: Arc<Mutex<Eve>>,
    /// The pictures delivered here are those she is after.
    pub watched: bool,
}

impl Window {
    fn eve(&self) -> MutexGuard<'_, Eve> {
        self.eve.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness for Window {
    fn keys(&self, keys: Surrendered, now: Now) {
        self.eve().given(keys, now);
    }

    fn new_keys(&self, keys: &Surrendered) {
        self.eve().new_keys(keys);
    }

    fn before_seal(&self, coded: &Coded, _now: Now) {
        self.eve().before_seal(coded);
    }

    fn delivered(&self, _link: LinkId, _from: Option<MemberId>, event: &LinkEvent, now: Now) {
        self.eve().delivered(event, self.watched, now);
    }
}
