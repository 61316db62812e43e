//! Sound from microphone blocks to packets, and from packets to loudspeaker blocks.
//!
//! Both directions run on 10 ms ticks. A muted microphone sends packets of silence, equal in size
//! and time to all others: the network can't tell who speaks. Each member has a jitter buffer and
//! a decoder; what they give is mixed.

use super::voice::Voice;
use crate::media::codec::opus::OpusEncoder;
use crate::media::dsp::{self, Gate, Mixer};
use crate::media::frame::CodedAudio;
use crate::media::playout::JitterStats;
use crate::media::seams::{BLOCK, Pcm};
use crate::time::MediaTime;
use crate::wire::link::MemberId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Capture stamps follow the clock by this share per block: smooths the scheduler's jitter.
const SLEW: i64 = 32;
/// A stamp this far off is a stall or a device change, not jitter.
const RESYNC_US: i64 = 60_000;
/// A member is heard as speaking above this level (−dBov, lower is louder).
const SPEAKING: f32 = 50.0;
/// A new speaker takes the floor when this much louder …
const LOUDER: f32 = 6.0;
/// … or when the present one has been silent for so many ticks.
const PAUSE_TICKS: u32 = 60;

/// How sound is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioSettings {
    /// Bit rate of the Opus stream, bit/s.
    pub bps: u32,
    /// Packet time in ms: 10, 20, 40 or 60.
    pub millis: u8,
    /// Loss to prepare for, in per cent: how much of the rate goes to the coarse copy.
    pub loss_pct: u8,
    /// How far back deep redundancy (DRED) reaches, in ms, instead of the coarse copy; 0: none.
    pub deep_ms: u16,
}

impl Default for AudioSettings {
    fn default() -> Self {
        Self { bps: 24_000, millis: 20, loss_pct: 10, deep_ms: 0 }
    }
}

/// One member's sound, as received.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AudioStats {
    /// From capture to playing without the network's least delay, in ms: what waiting costs.
    pub playout_ms: f32,
    /// Local instant at which the sound of the member's media time zero is heard; with a shared
    /// clock, minus the member's origin: mouth to ear. `None` while nothing is played.
    pub zero: Option<Instant>,
    /// Loudness now, −dBov (127: silence).
    pub level: u8,
    /// This member has the floor.
    pub speaking: bool,
    /// What arrived in the last second, in kbit/s, copies of earlier packets included.
    pub kbps: u32,
    /// Counters of the jitter buffer.
    pub jitter: JitterStats,
    /// Packets that could not be decoded.
    pub broken: u64,
}

/// The sound side of a call.
pub struct AudioEngine {
    send: Sending,
    members: BTreeMap<MemberId, Voice>,
    mixer: Mixer,
    floor: Option<(MemberId, u32)>,
}

/// Microphone to packets.
struct Sending {
    origin: Instant,
    encoder: Option<OpusEncoder>,
    /// Wanted; taken over between packets.
    settings: AudioSettings,
    pending: Vec<f32>,
    /// Capture time of `pending`'s first sample, and of the next block, in µs.
    pending_at: i64,
    next_at: Option<i64>,
    gate: Gate,
    seq: u32,
}

impl AudioEngine {
    /// An engine whose media clock starts at `origin`.
    pub fn new(origin: Instant) -> Self {
        let settings = AudioSettings::default();
        Self {
            send: Sending {
                origin,
                encoder: OpusEncoder::new(settings.bps, settings.millis).ok(),
                settings,
                pending: Vec::with_capacity(6 * BLOCK),
                pending_at: 0,
                next_at: None,
                gate: Gate::new(false),
                seq: 0,
            },
            members: BTreeMap::new(),
            mixer: Mixer::default(),
            floor: None,
        }
    }

    /// Uses other settings, from the next packet on. Impossible ones are ignored.
    pub fn set(&mut self, settings: AudioSettings) {
        if [10, 20, 40, 60].contains(&settings.millis) {
            self.send.settings = settings;
        }
    }

    /// Takes one captured block whose last sample was captured at `until`; every 1, 2, 4 or 6
    /// blocks a packet is ready. `muted` replaces the sound by silence (with a 5 ms ramp) and
    /// changes nothing else.
    pub fn captured(&mut self, block: &Pcm, muted: bool, until: Instant) -> Option<CodedAudio> {
        self.send.captured(block, muted, until)
    }

    /// Takes a member's packet.
    pub fn received(&mut self, from: MemberId, packet: CodedAudio, now: Instant) {
        let voice = self.members.entry(from).or_insert_with(Voice::new);
        voice.received(packet, now);
    }

    /// The next 10 ms to play: handed to the device at `now`, heard `device` later.
    pub fn playout(&mut self, now: Instant, device: Duration) -> Pcm {
        let mut blocks = Vec::with_capacity(self.members.len());
        for voice in self.members.values_mut() {
            if let Some(block) = voice.play(now, device) {
                blocks.push(block);
            }
        }
        self.give_the_floor();
        self.mixer.mix(&blocks)
    }

    /// This machine stood still for a while: what waited is left out, and playing begins anew with what
    /// comes.
    pub fn stood_still(&mut self, now: Instant) {
        self.members.values_mut().for_each(|voice| voice.stood_still(now));
    }

    /// Forgets a member who left.
    pub fn forget(&mut self, member: MemberId) {
        self.members.remove(&member);
        self.floor = self.floor.filter(|(holder, _)| *holder != member);
    }

    /// Per member whose sound is playing: the local instant at which the sound captured at its
    /// media time zero is (would be) heard. Lip sync shows pictures by the same map.
    pub fn clocks(&self) -> Vec<(MemberId, Instant)> {
        self.members.iter().filter_map(|(id, voice)| Some((*id, voice.zero()?))).collect()
    }

    /// The map of one member (see [`AudioEngine::clocks`]).
    pub fn audio_clock(&self, member: MemberId) -> Option<Instant> {
        self.members.get(&member)?.zero()
    }

    /// How much of a member's sound was made up so far, in ms.
    pub fn concealed_ms(&self, member: MemberId) -> u64 {
        self.members.get(&member).map_or(0, Voice::concealed_ms)
    }

    /// The member who is speaking, or spoke last.
    pub fn speaker(&self) -> Option<MemberId> {
        self.floor.map(|(member, _)| member)
    }

    /// What happened so far, per member.
    pub fn stats(&self) -> BTreeMap<MemberId, AudioStats> {
        let speaking = self.floor.filter(|(_, pause)| *pause == 0).map(|(member, _)| member);
        let one = |(id, voice): (&MemberId, &Voice)| {
            (*id, AudioStats { speaking: speaking == Some(*id), ..voice.stats() })
        };
        self.members.iter().map(one).collect()
    }

    fn give_the_floor(&mut self) {
        let loudest = self
            .members
            .iter()
            .filter(|(_, voice)| voice.level() < SPEAKING)
            .min_by(|a, b| a.1.level().total_cmp(&b.1.level()))
            .map(|(id, voice)| (*id, voice.level()));
        let holder = self.floor.and_then(|(id, pause)| {
            let level = self.members.get(&id)?.level();
            Some((id, if level < SPEAKING { 0 } else { pause.saturating_add(1) }, level))
        });
        self.floor = match (holder, loudest) {
            (None, loudest) => loudest.map(|(id, _)| (id, 0)),
            (Some((id, pause, level)), Some((other, loud)))
                if other != id && (loud + LOUDER < level || pause > PAUSE_TICKS) =>
            {
                let _ = (id, pause);
                Some((other, 0))
            }
            (Some((id, pause, _)), _) => Some((id, pause)),
        };
    }
}

impl Sending {
    fn captured(&mut self, block: &Pcm, muted: bool, until: Instant) -> Option<CodedAudio> {
        let start = self.stamp(until);
        if self.pending.is_empty() {
            self.pending_at = start;
            self.adopt_settings();
        }
        let mut block = *block;
        self.gate.apply(&mut block, !muted);
        self.pending.extend_from_slice(&block);
        let encoder = self.encoder.as_mut()?;
        if self.pending.len() < encoder.samples() {
            return None;
        }
        let millis = encoder.millis();
        let bytes = encoder.step(&self.pending).ok();
        let level = dsp::level_dbov(&self.pending);
        self.pending.clear();
        let bytes = bytes?;
        let packet = CodedAudio {
            seq: self.seq,
            at: MediaTime(u64::try_from(self.pending_at).unwrap_or(0)),
            millis,
            level,
            bytes,
        };
        self.seq = self.seq.wrapping_add(1);
        Some(packet)
    }

    /// Capture time of a block's first sample. Blocks are counted, and the count is pulled gently
    /// towards the clock: stamps are as even as the samples.
    fn stamp(&mut self, until: Instant) -> i64 {
        let end = i64::try_from(MediaTime::since(self.origin, until).0).unwrap_or(i64::MAX / 2);
        let measured = end - 10_000;
        let start = match self.next_at {
            Some(counted) if (measured - counted).abs() < RESYNC_US => {
                counted + (measured - counted) / SLEW
            }
            _ => measured,
        };
        self.next_at = Some(start + 10_000);
        start
    }

    fn adopt_settings(&mut self) {
        let AudioSettings { bps, millis, loss_pct, deep_ms } = self.settings;
        match &mut self.encoder {
            // A refusal leaves the encoder as it was.
            Some(encoder) => {
                let _ = encoder.set(bps, millis, loss_pct);
                let _ = encoder.reach_back(deep_ms);
            }
            None => self.encoder = OpusEncoder::new(bps, millis).ok(),
        }
    }
}
