//! Measuring a call from outside: what was captured, what came out, when, and what a tap saw.
//!
//! Nothing here asks the program how well it does. A picture is recognised by the number in its
//! strip, its quality is the likeness to the very picture that was captured, and sound is compared
//! with what was said. One clock stamps both ends, so latencies are differences of two readings.

mod align;
mod changes;
mod direction;
mod sound;

pub use changes::Asked;
pub use direction::{Direction, Freezes, freezes};
pub use sound::{Recorder, Track, intelligibility};

use super::eve::Eve;
use super::net::{Happened, Tapped};
use super::report::{TapReport, WireReport, round};
use super::search::Kind;
use crate::call::EpochWhy;
use crate::identity::words::CallWords;
use crate::media::device::card::SharedFigures;
use crate::media::frame::{Coded, CodedVideo, RawFrame, Size, Want};
use crate::media::seams::{FrameSink, Pcm, SinkLost};
use crate::media::source::pattern::Render;
use crate::media::{marker, scale, ssim};
use crate::node::{NodeView, OWN, Witness};
use crate::time::{MediaTime, Now};
use crate::wire::link::{LinkEvent, LinkId, MemberId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Every so many captured pictures, one is kept to compare with.
const SAMPLED: u32 = 11;
/// Captured pictures are remembered this long, in µs: nobody would show an older one.
const REMEMBERED: u64 = 5_000_000;
/// Two stamps of one picture differ at most by the steps in which times travel.
const SAME_US: u64 = 100;

/// Where a measured call keeps its figures. Cheap to clone.
#[derive(Clone)]
pub struct Bench(Arc<Mutex<State>>);

/// Sends something past the seal, to prove that the tap would notice.
pub type Leak = Arc<dyn Fn(usize, &[u8]) + Send + Sync>;

pub(super) struct State {
    origin: Instant,
    pub(super) eve: Eve,
    /// Which participant a member number stands for; learnt from the roster.
    pub(super) who: BTreeMap<MemberId, usize>,
    pub(super) people: Vec<Person>,
    /// By receiver and the sender's number.
    pub(super) directions: BTreeMap<(usize, MemberId), Direction>,
    /// By sender and the receiver's number.
    coded: BTreeMap<(usize, MemberId), Vec<Sent>>,
    by_address: BTreeMap<SocketAddr, usize>,
    /// When a member was let in, in µs.
    pub(super) joined: BTreeMap<MemberId, u64>,
    changes: changes::Changes,
}

/// One coded picture for one receiver.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Capture time, µs since the beginning of the call.
    pub at: u64,
    /// Coded bytes.
    pub bytes: u32,
}

/// What is known of one participant.
pub(super) struct Person {
    pub(super) name: String,
    pub(super) tile: Size,
    captured: BTreeMap<u64, Captured>,
    /// Draws what the source drew, without its grain.
    clean: Option<Render>,
    pub(super) said: Track,
    pub(super) heard: Track,
    /// Coded sound: time in µs, bytes.
    pub(super) audio: Vec<(u64, u32)>,
    /// When the camera was off, in µs; open-ended while it is.
    pub(super) camera_off: Vec<(u64, u64)>,
    pub(super) wire: Wire,
    pub(super) me: Option<MemberId>,
    /// Numbers it has had in the group.
    pub(super) seats: u64,
    pub(super) in_call: Option<(u64, u64)>,
    /// When it began to leave.
    pub(super) left: Option<u64>,
    pub(super) epoch: u64,
    pub(super) words: BTreeMap<u64, CallWords>,
    pub(super) ended: Option<String>,
    pub(super) troubles: Vec<String>,
    /// Microphone and loudspeaker with a clock of their own.
    pub(super) card: Option<(SharedFigures, SharedFigures)>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wire {
    up: u64,
    down: u64,
    packets: u64,
}

struct Captured {
    number: Option<u32>,
    frame: Option<RawFrame>,
}

impl Bench {
    /// An empty bench; all participants' media clocks start at `origin`.
    pub fn new(origin: Instant, eve: Eve) -> Self {
        Self(Arc::new(Mutex::new(State {
            origin,
            eve,
            who: BTreeMap::new(),
            people: Vec::new(),
            directions: BTreeMap::new(),
            coded: BTreeMap::new(),
            by_address: BTreeMap::new(),
            joined: BTreeMap::new(),
            changes: changes::Changes::default(),
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a participant who shows others in tiles of this size; returns its index. `clean` draws
    /// the pictures it captures without their grain, if they have any worth mentioning.
    pub fn participant(&self, name: &str, tile: Size, clean: Option<Render>) -> usize {
        let mut state = self.lock();
        state.people.push(Person {
            name: name.to_owned(),
            tile,
            captured: BTreeMap::new(),
            clean,
            said: Track::default(),
            heard: Track::default(),
            audio: Vec::new(),
            camera_off: Vec::new(),
            wire: Wire::default(),
            me: None,
            seats: 0,
            in_call: None,
            left: None,
            epoch: 0,
            words: BTreeMap::new(),
            ended: None,
            troubles: Vec::new(),
            card: None,
        });
        state.people.len() - 1
    }

    /// This participant has a sound card with a clock of its own: microphone, loudspeaker.
    pub fn card(&self, index: usize, mic: SharedFigures, speaker: SharedFigures) {
        if let Some(person) = self.lock().people.get_mut(index) {
            person.card = Some((mic, speaker));
        }
    }

    /// Packets from and to this address are this participant's.
    pub fn address(&self, index: usize, address: SocketAddr) {
        self.lock().by_address.insert(address, index);
    }

    /// Something that must not be on the line.
    pub fn look_for(&self, kind: Kind, needle: &[u8]) {
        self.lock().eve.look_for(kind, needle);
    }

    /// A datagram on the line.
    pub fn tapped(&self, tapped: Tapped<'_>) {
        let mut state = self.lock();
        let bytes = tapped.datagram.bytes.len() as u64;
        match tapped.what {
            Happened::Sent => {
                state.eve.datagram(&tapped.datagram.bytes);
                if let Some(wire) = state.wire(tapped.datagram.from) {
                    wire.up += bytes;
                    wire.packets += 1;
                }
            }
            Happened::Delivered => {
                if let Some(wire) = state.wire(tapped.datagram.to) {
                    wire.down += bytes;
                }
            }
            Happened::Lost(_) => {}
        }
    }

    /// A participant's view of the call.
    pub fn saw(&self, index: usize, view: &NodeView) {
        let mut state = self.lock();
        let at = state.micros(view.at);
        for member in &view.call.members {
            let named = state.people.iter().position(|p| display_name(&p.name) == member.claimed);
            if let Some(named) = named {
                state.who.insert(member.id, named);
            }
        }
        for (from, stats) in &view.media.audio.members {
            let direction = state.directions.entry((index, *from)).or_default();
            direction.repaired(at, stats.jitter);
        }
        let Some(person) = state.people.get_mut(index) else { return };
        if let Some(me) = view.call.me {
            person.seats += u64::from(person.me != Some(me));
            person.me = Some(me);
            // The founder is in from the start; what is measured begins with the others.
            if view.call.members.len() > 1 {
                let since = person.in_call.map_or(at, |(since, _)| since);
                person.in_call = Some((since, at));
            }
            person.epoch = view.call.epoch;
        }
    }

    /// A member was let in.
    pub fn joined(&self, member: MemberId, now: Instant) {
        let mut state = self.lock();
        let at = state.micros(now);
        let first = state.joined.entry(member).or_insert(at);
        *first = (*first).min(at);
    }

    /// Somebody asked for a change of the group.
    pub fn asks(&self, what: Asked, now: Instant) {
        let mut state = self.lock();
        let at = state.micros(now);
        state.changes.asked(what, at);
    }

    /// A participant is in a new epoch.
    pub fn entered(&self, index: usize, epoch: u64, why: EpochWhy, now: Instant) {
        let mut state = self.lock();
        let at = state.micros(now);
        state.changes.entered(index, epoch, why, at);
    }

    /// A participant sealed its first frame in this epoch.
    pub fn sealing(&self, index: usize, epoch: u64, now: Instant) {
        let mut state = self.lock();
        let at = state.micros(now);
        state.changes.sealing(index, epoch, at);
    }

    /// A participant has new call words.
    pub fn words(&self, index: usize, epoch: u64, words: CallWords) {
        if let Some(person) = self.lock().people.get_mut(index) {
            person.words.insert(epoch, words);
        }
    }

    /// A participant's call is over, or something went wrong with it.
    pub fn ended(&self, index: usize, why: String) {
        if let Some(person) = self.lock().people.get_mut(index) {
            person.ended = Some(why);
        }
    }

    /// A participant leaves now: what comes after is nobody's loss.
    pub fn leaves(&self, index: usize, now: Instant) {
        let mut state = self.lock();
        let at = state.micros(now);
        if let Some(person) = state.people.get_mut(index) {
            person.left.get_or_insert(at);
        }
    }

    /// A participant that left is back.
    pub fn returns(&self, index: usize) {
        if let Some(person) = self.lock().people.get_mut(index) {
            person.left = None;
        }
    }

    /// Forgets what was noted so far but for counters: a call may be longer than memory lasts.
    pub fn forget(&self) {
        let mut state = self.lock();
        state.coded.clear();
        state.eve.forget_frames();
        state.directions.values_mut().for_each(Direction::forget);
        for person in &mut state.people {
            person.said.close();
            person.heard.close();
            person.audio = Vec::new();
        }
    }

    /// Whether a participant was to leave, or to be removed.
    pub fn has_left(&self, index: usize) -> bool {
        self.lock().people.get(index).is_some_and(|p| p.left.is_some())
    }

    /// Something a participant was told that should not happen.
    pub fn trouble(&self, index: usize, what: String) {
        if let Some(person) = self.lock().people.get_mut(index) {
            person.troubles.push(what);
        }
    }

    /// A participant begins, or ceases, to count another as lost.
    pub fn misses(&self, index: usize, other: MemberId, lost: bool, now: Instant) {
        let mut state = self.lock();
        let at = state.micros(now);
        state.directions.entry((index, other)).or_default().missed(lost, at);
    }

    /// A participant's camera goes off or on.
    pub fn camera(&self, index: usize, on: bool, now: Instant) {
        let mut state = self.lock();
        let at = state.micros(now);
        let Some(person) = state.people.get_mut(index) else { return };
        match person.camera_off.last_mut() {
            Some((_, until)) if *until == u64::MAX && on => *until = at,
            Some((_, until)) if *until == u64::MAX => {}
            _ if !on => person.camera_off.push((at, u64::MAX)),
            _ => {}
        }
    }

    /// What was said, for this participant's recorder.
    pub(super) fn said(&self, index: usize, block: &Pcm, now: Instant) {
        let mut state = self.lock();
        let at = state.micros(now).saturating_sub(10_000);
        if let Some(person) = state.people.get_mut(index) {
            person.said.add(block, at);
        }
    }
}

/// Under this name a participant of a scenario takes part: long enough to be searched for.
pub fn display_name(name: &str) -> String {
    format!("{name} of the rehearsal")
}

impl State {
    pub(super) fn micros(&self, at: Instant) -> u64 {
        MediaTime::since(self.origin, at).0
    }

    fn wire(&mut self, address: SocketAddr) -> Option<&mut Wire> {
        let index = *self.by_address.get(&address)?;
        self.people.get_mut(index).map(|p| &mut p.wire)
    }

    fn captured(&mut self, index: usize, frame: &RawFrame) {
        let Some(person) = self.people.get_mut(index) else { return };
        let number = marker::read(frame);
        let count = number.unwrap_or_else(|| u32::try_from(frame.at.0 / 33_333).unwrap_or(0));
        let keep = count.is_multiple_of(SAMPLED).then(|| match (&mut person.clean, number) {
            (Some(render), Some(number)) => render.clean_frame(frame.size, frame.at, number),
            _ => frame.clone(),
        });
        person.captured.insert(frame.at.0, Captured { number, frame: keep });
        while let Some(first) = person.captured.first_entry()
            && first.key() + REMEMBERED < frame.at.0
        {
            first.remove();
        }
    }

    fn shown(&mut self, receiver: usize, from: MemberId, frame: &RawFrame, now: Now) {
        let at = self.micros(now.mono);
        let tile = self.people.get(receiver).map(|p| p.tile);
        let sender = self.who.get(&from).and_then(|i| self.people.get(*i));
        let mut captured_at = frame.at.0;
        let mut likeness = None;
        if let Some(sender) = sender {
            match sender.recognise(frame) {
                Some((when, captured)) => {
                    captured_at = when;
                    likeness = captured.frame.as_ref().zip(tile).and_then(|(source, tile)| {
                        let (a, b) = (scale::resize(source, tile), scale::resize(frame, tile));
                        ssim::ssim(&a, &b)
                    });
                }
                // A picture nobody captured: counts as shown, never as in time.
                None => captured_at = 0,
            }
        }
        let direction = self.directions.entry((receiver, from)).or_default();
        direction.shown(captured_at, at, frame.size, likeness);
    }

    /// The wire figures of a participant over the time it was in the call.
    pub(super) fn wire_report(person: &Person, from: u64, to: u64) -> WireReport {
        let millis = (to.saturating_sub(from) as f64 / 1000.0).max(1.0);
        let kbps = |bytes: u64| round(bytes as f64 * 8.0 / millis, 1);
        WireReport {
            up_kbps: kbps(person.wire.up),
            down_kbps: kbps(person.wire.down),
            packets: person.wire.packets,
        }
    }

    /// What was coded by one participant for another.
    pub(super) fn sent(&self, sender: usize, receiver: usize) -> Vec<Sent> {
        let is_receiver = |id: &MemberId| self.who.get(id) == Some(&receiver);
        self.coded
            .iter()
            .filter(|((from, to), _)| *from == sender && is_receiver(to))
            .flat_map(|(_, sent)| sent.iter().copied())
            .collect()
    }

    /// What was received by one participant of another; of one that came back from another branch,
    /// what was received since: it has a new number.
    pub(super) fn direction(&self, receiver: usize, sender: usize) -> Option<&Direction> {
        self.directions
            .iter()
            .rfind(|((to, from), _)| *to == receiver && self.who.get(from) == Some(&sender))
            .map(|(_, direction)| direction)
    }

    /// How long one participant counted another as lost until `end`, in ms, under whatever number;
    /// whoever came back with a new one was away until it was seen again.
    pub(super) fn away_ms(&self, receiver: usize, sender: usize, end: u64) -> f64 {
        let mine = |((to, from), _): &(&(usize, MemberId), &Direction)| {
            *to == receiver && self.who.get(from) == Some(&sender)
        };
        let seats = self.directions.iter().filter(mine).map(|(_, d)| d).rev();
        let mut until = end;
        let mut away = 0;
        for direction in seats {
            away += direction.away(until);
            let seen = direction.heard_span().map(|(first, _)| first);
            until = until.min(seen.into_iter().chain(direction.first_shown()).min().unwrap_or(end));
        }
        round(away as f64 / 1000.0, 1)
    }

    /// Everybody who shared an epoch's membership with this participant has the same words.
    pub(super) fn words_agree(&self, index: usize) -> bool {
        let Some(own) = self.people.get(index) else { return false };
        let mut compared = BTreeSet::new();
        for (other, person) in self.people.iter().enumerate().filter(|(other, _)| *other != index) {
            for (epoch, words) in &person.words {
                match own.words.get(epoch) {
                    Some(mine) if mine == words => drop(compared.insert(other)),
                    Some(_) => return false,
                    None => {}
                }
            }
        }
        !compared.is_empty()
    }

    pub(super) fn tap_report(&self) -> TapReport {
        let found = self.eve.findings();
        TapReport {
            packets: found.line.packets,
            bytes: found.line.bytes,
            control_hits: found.control.found(),
            plaintext_hits: found.line.found() + found.quic.found(),
            // Rounded down, and coarsely: ciphertext depends on keys, the report must not.
            entropy_bits_per_byte: found
                .line
                .entropy
                .bits_per_byte()
                .map_or(0.0, |b| (b * 10.0).floor() / 10.0),
        }
    }
}

impl Person {
    /// Which captured picture this is: by its number, else by its time.
    fn recognise(&self, frame: &RawFrame) -> Option<(u64, &Captured)> {
        let number = marker::read(frame);
        let near = frame.at.0.saturating_sub(SAME_US)..=frame.at.0 + SAME_US;
        let by_time = self.captured.range(near).next();
        let found = match (number, by_time) {
            (Some(n), Some((_, c))) if c.number == Some(n) => by_time,
            (Some(n), _) => self.captured.iter().rev().find(|(_, c)| c.number == Some(n)),
            (None, found) => found,
        };
        found.map(|(at, captured)| (*at, captured))
    }
}

/// Watches one participant from inside.
pub struct Probe {
    bench: Bench,
    index: usize,
    leak: Option<Leak>,
}

impl Probe {
    /// For the participant of this index. `leak` gets every coded frame unsealed: to prove that
    /// what the search does not find is not there.
    pub fn new(bench: Bench, index: usize, leak: Option<Leak>) -> Self {
        Self { bench, index, leak }
    }
}

impl Witness for Probe {
    fn captured(&self, frame: &RawFrame, _now: Now) {
        self.bench.lock().captured(self.index, frame);
    }

    fn before_seal(&self, coded: &Coded, now: Now) {
        {
            let mut state = self.bench.lock();
            state.eve.before_seal(coded);
            if let Coded::Audio(packet) = coded {
                let at = state.micros(now.mono);
                let bytes = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
                if let Some(person) = state.people.get_mut(self.index) {
                    person.audio.push((at, bytes));
                }
            }
        }
        // Not under the lock: what leaks passes the tap, and the tap takes it.
        if let Some(leak) = &self.leak {
            let (Coded::Audio(crate::media::frame::CodedAudio { bytes, .. })
            | Coded::Video(CodedVideo { bytes, .. })) = coded;
            leak(self.index, bytes);
        }
    }

    fn coded_for(&self, to: &[MemberId], frame: &CodedVideo, _now: Now) {
        let mut state = self.bench.lock();
        let bytes = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        for member in to {
            let sent = state.coded.entry((self.index, *member)).or_default();
            sent.push(Sent { at: frame.at.0, bytes });
        }
    }

    fn delivered(&self, _link: LinkId, _from: Option<MemberId>, event: &LinkEvent, now: Now) {
        self.bench.lock().eve.delivered(event, false, now);
    }

    fn played(&self, block: &Pcm, now: Now) {
        let mut state = self.bench.lock();
        let at = state.micros(now.mono);
        if let Some(person) = state.people.get_mut(self.index) {
            person.heard.add(block, at);
        }
    }

    fn heard(&self, from: MemberId, zero: Instant, concealed_ms: u64, now: Now) {
        let mut state = self.bench.lock();
        let (at, origin) = (state.micros(now.mono), state.origin);
        // Before the origin only if something is badly wrong; then it reads as no latency.
        let latency = zero.saturating_duration_since(origin);
        let direction = state.directions.entry((self.index, from)).or_default();
        let latency = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        direction.heard(at, latency, concealed_ms);
    }
}

/// Takes the place of a screen: shows nothing, notes everything.
pub struct Eyes {
    bench: Bench,
    index: usize,
    want: Want,
}

impl Eyes {
    /// For the participant of this index, wanting this of everybody.
    pub fn new(bench: Bench, index: usize, want: Want) -> Self {
        Self { bench, index, want }
    }
}

impl FrameSink for Eyes {
    fn want(&self, _who: MemberId) -> Want {
        self.want
    }

    fn show(&mut self, who: MemberId, frame: Arc<RawFrame>, now: Now) -> Result<(), SinkLost> {
        if who != OWN {
            self.bench.lock().shown(self.index, who, &frame, now);
        }
        Ok(())
    }
}
