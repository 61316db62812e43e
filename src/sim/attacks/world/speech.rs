//! What participants say and hear in the [`World`]: packets that tell whose and which they are.

use super::{PACKET, Taped, World};
use crate::call::Input;
use crate::media::frame::{Coded, CodedAudio};
use crate::sim::attacks::LabError;
use crate::time::MediaTime;
use crate::wire::link::LinkEvent;
use bytes::Bytes;
use std::collections::BTreeSet;

/// The `n`th packet of a voice.
fn sound(voice: u8, n: u32) -> Bytes {
    let mut bytes = vec![voice; PACKET];
    bytes[PACKET - 4..].copy_from_slice(&n.to_be_bytes());
    bytes.into()
}

impl World {
    /// Somebody says one packet in their voice (its index plus one).
    pub(crate) fn speak(&mut self, party: usize) -> Result<(), LabError> {
        let n = self.parties[party].said;
        self.parties[party].said += 1;
        let packet = CodedAudio {
            seq: n,
            at: MediaTime(u64::from(n) * 20_000),
            millis: 20,
            level: 10,
            bytes: sound(voice(party), n),
        };
        self.input(party, Input::Coded(Vec::new(), Coded::Audio(packet)))
    }

    /// Everybody in the list talks for this many packets of 20 ms.
    pub(crate) fn talk(&mut self, who: &[usize], packets: u32) -> Result<(), LabError> {
        for _ in 0..packets {
            for party in who {
                self.speak(*party)?;
            }
            self.run(20)?;
        }
        Ok(())
    }

    /// Packets said so far.
    pub(crate) fn said(&self, party: usize) -> u64 {
        self.parties[party].said.into()
    }

    /// What a participant got to hear.
    pub(crate) fn heard(&self, party: usize) -> Heard {
        let mut seen = BTreeSet::new();
        let mut heard = Heard::default();
        for (_, coded) in &self.parties[party].media {
            let Coded::Audio(audio) = coded else { continue };
            let voice = audio.bytes.first().copied().unwrap_or(0);
            let true_sound = audio.bytes == sound(voice, audio.seq);
            heard.packets += 1;
            heard.altered += u64::from(!true_sound);
            heard.twice += u64::from(!seen.insert((voice, audio.seq)));
        }
        heard
    }

    /// Packets in somebody's voice that a participant heard.
    pub(crate) fn heard_of(&self, party: usize, speaker: usize) -> u64 {
        let of = |c: &Coded| match c {
            Coded::Audio(a) => a.bytes.first() == Some(&voice(speaker)),
            Coded::Video(_) => false,
        };
        self.parties[party].media.iter().filter(|(_, c)| of(c)).count() as u64
    }

    /// Sealed media on the tape since `mark`, as every tap with TLS broken has it.
    pub(crate) fn media_since(&self, mark: usize) -> Vec<Taped> {
        let media = |t: &&Taped| matches!(t.event, LinkEvent::Datagram(_) | LinkEvent::Frame(_));
        self.tape.iter().skip(mark).filter(media).cloned().collect()
    }
}

/// What somebody heard.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) packets: u64,
    /// Packets nobody said.
    pub(crate) altered: u64,
    /// Packets heard before.
    pub(crate) twice: u64,
}

/// The byte that marks a participant's packets.
pub(crate) fn voice(party: usize) -> u8 {
    u8::try_from(party + 1).unwrap_or(u8::MAX)
}
