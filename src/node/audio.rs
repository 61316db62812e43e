//! The sound side: microphone → Opus, and jitter buffers → mix → loudspeaker, on one 10 ms tick.

use super::side::Side;
use crate::media::engine::audio::{AudioEngine, AudioSettings, AudioStats};
use crate::media::frame::CodedAudio;
use crate::media::seams::{BLOCK, PcmSink, PcmSource};
use crate::time::Now;
use crate::wire::link::MemberId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One block.
const TICK: Duration = Duration::from_millis(10);

/// To the sound side.
pub(super) enum AudioMessage {
    /// A packet of a member.
    Coded(MemberId, CodedAudio),
    /// Microphone on or off. Off sends silence: the network sees no difference.
    Mic(bool),
    /// Rate and packet time to use.
    Budget(AudioSettings),
    /// This member has left.
    Gone(MemberId),
    /// Is there anybody to send to?
    Anybody(bool),
}

/// From the sound side.
pub(super) enum AudioEvent {
    /// A packet for everybody.
    Coded(CodedAudio),
    /// When this member's sound of media time zero is (would be) played.
    Clock(MemberId, Instant),
    /// A device or file is gone.
    Lost(String, String),
    /// Statistics.
    Stats(AudioView),
}

/// What the sound side can tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AudioView {
    /// Loudness of the own microphone, −dBov (127: silence).
    pub mic_level: u8,
    /// Per member.
    pub members: BTreeMap<MemberId, AudioStats>,
    /// Blocks the microphone did not have in time.
    pub starved: u64,
    /// Microphone and loudspeaker in their own words.
    pub devices: (String, String),
}

/// Microphone, engine, loudspeaker.
pub(super) struct AudioSide {
    mic: Option<Box<dyn PcmSource>>,
    speaker: Option<Box<dyn PcmSink>>,
    /// An audio track exists at all (a lost microphone still sends silence).
    track: bool,
    engine: AudioEngine,
    mic_on: bool,
    anybody: bool,
    tick: Instant,
    view: AudioView,
    ticks: u64,
    witness: Option<Arc<dyn super::Witness>>,
}

impl AudioSide {
    pub(super) fn new(
        mic: Option<Box<dyn PcmSource>>,
        speaker: Option<Box<dyn PcmSink>>,
        origin: Instant,
        mic_on: bool,
        witness: Option<Arc<dyn super::Witness>>,
    ) -> Self {
        let devices = (
            mic.as_ref().map_or_else(|| "none".to_owned(), |m| m.describe()),
            speaker.as_ref().map_or_else(|| "none".to_owned(), |s| s.describe()),
        );
        Self {
            track: mic.is_some(),
            mic,
            speaker,
            engine: AudioEngine::new(origin),
            mic_on,
            anybody: false,
            tick: origin + TICK,
            view: AudioView { mic_level: 127, devices, ..AudioView::default() },
            ticks: 0,
            witness,
        }
    }

    fn capture(&mut self, now: Now, out: &mut Vec<AudioEvent>) {
        if !self.track {
            return;
        }
        let mut block = [0.0; BLOCK];
        let mut delay = Duration::ZERO;
        if let Some(mic) = &mut self.mic {
            match mic.read(now) {
                Ok(Some(pcm)) => block = pcm,
                Ok(None) => self.view.starved += 1,
                Err(lost) => {
                    out.push(AudioEvent::Lost(lost.what, lost.why));
                    self.mic = None;
                }
            }
        }
        if let Some(mic) = &self.mic {
            delay = mic.delay();
        }
        self.view.mic_level = crate::media::dsp::level_dbov(&block);
        let captured = now.mono.checked_sub(delay).unwrap_or(now.mono);
        if let Some(packet) = self.engine.captured(&block, !self.mic_on, captured)
            && self.anybody
        {
            out.push(AudioEvent::Coded(packet));
        }
    }

    fn play(&mut self, now: Now, out: &mut Vec<AudioEvent>) {
        let delay = self.speaker.as_ref().map_or(Duration::ZERO, |s| s.delay());
        let block = self.engine.playout(now.mono, delay);
        if let Some(witness) = &self.witness {
            witness.played(&block, now);
            for (member, zero) in self.engine.clocks() {
                witness.heard(member, zero, now);
            }
        }
        if let Some(speaker) = &mut self.speaker
            && let Err(lost) = speaker.write(&block, now)
        {
            out.push(AudioEvent::Lost(lost.what, lost.why));
            self.speaker = None;
        }
    }
}

impl Side for AudioSide {
    type Message = AudioMessage;
    type Event = AudioEvent;

    fn handle(&mut self, message: AudioMessage, now: Now, _out: &mut Vec<AudioEvent>) {
        match message {
            AudioMessage::Coded(from, packet) => self.engine.received(from, packet, now.mono),
            AudioMessage::Mic(on) => self.mic_on = on,
            AudioMessage::Budget(budget) => self.engine.set(budget),
            AudioMessage::Gone(member) => self.engine.forget(member),
            AudioMessage::Anybody(yes) => self.anybody = yes,
        }
    }

    fn due(&self) -> Option<Instant> {
        (self.track || self.speaker.is_some() || self.witness.is_some()).then_some(self.tick)
    }

    fn step(&mut self, now: Now, out: &mut Vec<AudioEvent>) {
        // After a stall (suspended machine) go on from now, rather than replay the past.
        if now.mono.saturating_duration_since(self.tick) > Duration::from_millis(200) {
            self.tick = now.mono;
        }
        while self.tick <= now.mono {
            self.tick += TICK;
            self.ticks += 1;
            self.capture(now, out);
            self.play(now, out);
        }
        if self.ticks.is_multiple_of(10) {
            self.view.members = self.engine.stats();
            for (member, zero) in self.engine.clocks() {
                out.push(AudioEvent::Clock(member, zero));
            }
            out.push(AudioEvent::Stats(self.view.clone()));
        }
    }
}
