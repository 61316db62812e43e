//! The sound side: microphone → Opus, and jitter buffers → mix → loudspeaker, on one 10 ms tick.

use super::side::{STOOD_STILL, Side};
use crate::media::apm::{self, ApmConfig, ApmReport, CaptureProcessor};
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

/// Ticks after which the processor is told again what the devices say of their delay.
const EXPECT_EVERY: u64 = 100;

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
    /// What is done to captured sound, and how well; `None`: nothing.
    pub apm: Option<ApmReport>,
    /// Microphone and loudspeaker in their own words.
    pub devices: (String, String),
}

/// Microphone, engine, loudspeaker.
pub(super) struct AudioSide {
    mic: Option<Box<dyn PcmSource>>,
    speaker: Option<Box<dyn PcmSink>>,
    /// Takes echo and noise off captured sound; `None`: leave it.
    processor: Option<Box<dyn CaptureProcessor>>,
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
        apm: ApmConfig,
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
            processor: (apm != ApmConfig::OFF && mic.is_some()).then(|| apm::processor(apm)),
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
                Ok(Some(pcm)) => {
                    block = pcm;
                    if let Some(processor) = &mut self.processor {
                        processor.capture(&mut block);
                    }
                }
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
        if let Some(processor) = &self.processor {
            delay += processor.delay();
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
                witness.heard(member, zero, self.engine.concealed_ms(member), now);
            }
        }
        if let Some(processor) = self.processor.as_mut().filter(|_| self.speaker.is_some()) {
            processor.render(&block);
            if self.ticks.is_multiple_of(EXPECT_EVERY) {
                let captured = self.mic.as_ref().map_or(Duration::ZERO, |mic| mic.delay());
                processor.expect(delay + captured);
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
        let behind = now.mono.saturating_duration_since(self.tick);
        if behind > Duration::from_millis(200) {
            self.tick = now.mono;
        }
        if behind > STOOD_STILL {
            self.engine.stood_still(now.mono);
        }
        while self.tick <= now.mono {
            self.tick += TICK;
            self.ticks += 1;
            self.capture(now, out);
            self.play(now, out);
        }
        if self.ticks.is_multiple_of(10) {
            self.view.members = self.engine.stats();
            self.view.apm = self.processor.as_ref().map(|processor| processor.report());
            for (member, zero) in self.engine.clocks() {
                out.push(AudioEvent::Clock(member, zero));
            }
            out.push(AudioEvent::Stats(self.view.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::engine::audio::AudioEngine;
    use crate::media::seams::{Pcm, SinkLost, SourceLost};
    use crate::media::source::voice::{Speech, Voice};
    use crate::time::Wall;
    use std::collections::VecDeque;
    use std::sync::Mutex;

    /// A loudspeaker in front of a microphone: what is played is heard 40 ms later, at half its
    /// level.
    #[derive(Clone, Default)]
    struct Room(Arc<Mutex<VecDeque<Pcm>>>);

    impl PcmSink for Room {
        fn write(&mut self, block: &Pcm, _now: Now) -> Result<(), SinkLost> {
            self.0.lock().expect("one thread").push_back(block.map(|s| s * 0.5));
            Ok(())
        }
        fn describe(&self) -> String {
            "loudspeaker".into()
        }
    }

    impl PcmSource for Room {
        fn read(&mut self, _now: Now) -> Result<Option<Pcm>, SourceLost> {
            let mut waiting = self.0.lock().expect("one thread");
            let heard = if waiting.len() > 3 { waiting.pop_front() } else { None };
            Ok(Some(heard.unwrap_or([0.0; BLOCK])))
        }
        fn describe(&self) -> String {
            "microphone".into()
        }
    }

    /// Mean power of what is sent over the last two of eight seconds while Ben speaks, in dBov.
    fn sent_back(apm: ApmConfig) -> f32 {
        let origin = tokio::time::Instant::now().into_std();
        let room = Room::default();
        let (mic, speaker) = (Box::new(room.clone()), Box::new(room));
        let mut side = AudioSide::new(Some(mic), Some(speaker), apm, origin, true, None);
        let mut ben = AudioEngine::new(origin);
        let mut voice = Voice::new(Speech::new(3, 0, 2), origin);
        let mut levels = Vec::new();
        side.anybody = true;
        for tick in 1..=800u64 {
            let now = Now { mono: origin + TICK * tick as u32, wall: Wall(0) };
            let block = voice.read(now).ok().flatten().unwrap_or([0.0; BLOCK]);
            let mut out = Vec::new();
            if let Some(packet) = ben.captured(&block, false, now.mono) {
                side.handle(AudioMessage::Coded(MemberId(1), packet), now, &mut out);
            }
            side.step(now, &mut out);
            if tick > 600 {
                levels.extend(out.into_iter().filter_map(|event| match event {
                    AudioEvent::Coded(packet) => Some(10f32.powf(f32::from(packet.level) / -10.0)),
                    _ => None,
                }));
            }
        }
        10.0 * (levels.iter().sum::<f32>() / levels.len() as f32).log10()
    }

    #[test]
    fn nobody_hears_their_own_voice_back_from_a_loudspeaker() {
        let (as_it_is, cleaned) = (sent_back(ApmConfig::OFF), sent_back(ApmConfig::SPEAKERS));
        assert!(as_it_is > -50.0, "the echo is there: {as_it_is} dBov");
        assert!(cleaned < as_it_is - 20.0, "{as_it_is} dBov, cleaned {cleaned} dBov");
    }
}
