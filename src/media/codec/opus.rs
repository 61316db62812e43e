//! Opus (RFC 6716) as `step()` functions: constant bit rate, in-band redundancy, concealment.
//!
//! Packets have one size whatever is said: a variable rate or discontinuous transmission would
//! show a listener on the network who speaks, when, and even which phrases. The encoder is held in
//! its speech mode, because only there a packet carries a coarse copy of the one before it (LBRR).

use crate::media::seams::SAMPLE_RATE;
use bytes::Bytes;
use opus::{Application, Bitrate, Channels, Signal};

/// Samples per millisecond.
const PER_MS: usize = (SAMPLE_RATE / 1000) as usize;
/// Longest Opus packet in milliseconds (RFC 6716 §3.2.5).
const MAX_MILLIS: u8 = 120;
/// Largest constant rate offered, in bit/s.
const MAX_BPS: u32 = 128_000;
/// Smallest rate at which wide-band speech stays intelligible, in bit/s.
const MIN_BPS: u32 = 8_000;

/// Encoder delay: how much later than it went in a sound comes out of the decoder, in samples at
/// 48 kHz (6.5 ms in the mode used here).
pub const LOOKAHEAD: usize = 312;

/// Why a step of the codec failed. Decoding errors are the sender's doing: treat as a lost packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpusError {
    /// A packet time other than 10, 20, 40 or 60 ms (encoder), or no multiple of 10 (decoder).
    #[error("{0} ms is no packet time of this program")]
    PacketTime(u8),
    /// The input isn't one packet long.
    #[error("{given} samples where {needed} were expected")]
    Length {
        /// Samples given.
        given: usize,
        /// Samples a packet of the current time holds.
        needed: usize,
    },
    /// The packet does not hold as much sound as its header says.
    #[error("the packet is not {0} ms long")]
    Mismatch(u8),
    /// libopus refused.
    #[error("libopus: {0}")]
    Library(&'static str),
}

impl From<opus::Error> for OpusError {
    fn from(error: opus::Error) -> Self {
        Self::Library(error.description())
    }
}

/// Encodes mono sound at 48 kHz into packets of constant size.
pub struct OpusEncoder {
    inner: opus::Encoder,
    bps: u32,
    millis: u8,
    loss_pct: u8,
}

impl OpusEncoder {
    /// An encoder of `bps` bit/s (8000…128000, clamped) with packets of `millis` (10, 20, 40, 60).
    pub fn new(bps: u32, millis: u8) -> Result<Self, OpusError> {
        let mut inner = opus::Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Voip)?;
        inner.set_vbr(false)?;
        inner.set_dtx(false)?;
        inner.set_signal(Signal::Voice)?;
        inner.set_inband_fec(true)?;
        inner.set_complexity(9)?;
        let mut encoder = Self { inner, bps: 0, millis, loss_pct: 0 };
        encoder.set(bps, millis, 10)?;
        Ok(encoder)
    }

    /// Changes rate, packet time and the loss to prepare for, from the next packet on. The codec's
    /// memory is kept: there is no click. Losses from about 5 % on make room for LBRR.
    pub fn set(&mut self, bps: u32, millis: u8, loss_pct: u8) -> Result<(), OpusError> {
        if ![10, 20, 40, 60].contains(&millis) {
            return Err(OpusError::PacketTime(millis));
        }
        let bps = bps.clamp(MIN_BPS, MAX_BPS);
        let loss_pct = loss_pct.min(50);
        if bps != self.bps {
            self.inner.set_bitrate(Bitrate::Bits(i32::try_from(bps).unwrap_or(i32::MAX)))?;
        }
        if loss_pct != self.loss_pct {
            self.inner.set_packet_loss_perc(i32::from(loss_pct))?;
        }
        (self.bps, self.millis, self.loss_pct) = (bps, millis, loss_pct);
        Ok(())
    }

    /// Packet time in milliseconds.
    pub fn millis(&self) -> u8 {
        self.millis
    }

    /// Rate in bit/s.
    pub fn bps(&self) -> u32 {
        self.bps
    }

    /// Samples one packet takes.
    pub fn samples(&self) -> usize {
        usize::from(self.millis) * PER_MS
    }

    /// Size in bytes of every packet at the present settings.
    pub fn packet_bytes(&self) -> usize {
        (self.bps as usize * usize::from(self.millis) / 8000).max(3)
    }

    /// Encodes one packet's worth of samples ([`OpusEncoder::samples`]).
    pub fn step(&mut self, pcm: &[f32]) -> Result<Bytes, OpusError> {
        if pcm.len() != self.samples() {
            return Err(OpusError::Length { given: pcm.len(), needed: self.samples() });
        }
        let size = self.packet_bytes();
        let mut packet = vec![0u8; size];
        let written = self.inner.encode_float(pcm, &mut packet)?;
        if written != size {
            // libopus pads constant-rate packets itself; this holds the promise if it ever doesn't.
            opus::packet::pad(&mut packet, written)?;
        }
        Ok(Bytes::from(packet))
    }
}

/// Decodes one member's packets into mono sound at 48 kHz.
pub struct OpusDecoder {
    inner: opus::Decoder,
}

impl OpusDecoder {
    /// A decoder without history.
    pub fn new() -> Result<Self, OpusError> {
        Ok(Self { inner: opus::Decoder::new(SAMPLE_RATE, Channels::Mono)? })
    }

    /// Decodes `millis` (a multiple of 10, at most 120) of sound and appends it to `out`.
    ///
    /// - `packet` given, `fec` false: this packet.
    /// - `packet` given, `fec` true: the packet *before* it is lost; take the coarse copy in this
    ///   one (concealment if it has none). This packet itself is decoded by a second call.
    /// - `packet` not given: conceal.
    ///
    /// Whatever a peer sends, `out` grows by exactly `millis` or not at all (error).
    pub fn step(
        &mut self,
        packet: Option<&[u8]>,
        fec: bool,
        millis: u8,
        out: &mut Vec<f32>,
    ) -> Result<(), OpusError> {
        if millis == 0 || millis > MAX_MILLIS || !millis.is_multiple_of(10) {
            return Err(OpusError::PacketTime(millis));
        }
        let samples = usize::from(millis) * PER_MS;
        let input = packet.unwrap_or_default();
        if !input.is_empty() {
            let holds = opus::packet::get_nb_samples(input, SAMPLE_RATE)?;
            if !fec && holds != samples {
                return Err(OpusError::Mismatch(millis));
            }
        }
        let start = out.len();
        out.resize(start + samples, 0.0);
        let Some(room) = out.get_mut(start..) else { return Ok(()) };
        match self.inner.decode_float(input, room, fec && !input.is_empty()) {
            Ok(got) if got == samples => {}
            Ok(_) => {
                out.truncate(start);
                return Err(OpusError::Mismatch(millis));
            }
            Err(error) => {
                out.truncate(start);
                return Err(error.into());
            }
        }
        // A hostile stream can make a decoder produce values no mixer should see.
        for sample in out.iter_mut().skip(start) {
            *sample = if sample.is_finite() { sample.clamp(-4.0, 4.0) } else { 0.0 };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    /// A buzz with a slow envelope: voiced enough for the speech mode.
    fn buzz(n: usize, from: usize) -> Vec<f32> {
        (from..from + n)
            .map(|i| {
                let t = i as f32 / 48_000.0;
                let envelope = 0.5 + 0.5 * (t * 25.0).sin();
                (1..12).map(|h| (t * 754.0 * h as f32).sin() / h as f32).sum::<f32>()
                    * 0.2
                    * envelope
            })
            .collect()
    }

    #[test]
    fn packets_have_one_size_for_speech_noise_and_silence() {
        let mut rng = StdRng::seed_from_u64(1);
        for millis in [10, 20, 40, 60] {
            for bps in [12_000, 16_000, 24_000, 32_000, 64_000] {
                let mut encoder = OpusEncoder::new(bps, millis).unwrap();
                let n = encoder.samples();
                for i in 0..12 {
                    let pcm = match i / 4 {
                        0 => buzz(n, i * n),
                        1 => (0..n).map(|_| rng.random_range(-0.5..0.5)).collect(),
                        _ => vec![0.0; n],
                    };
                    let packet = encoder.step(&pcm).unwrap();
                    assert_eq!(packet.len(), bps as usize * usize::from(millis) / 8000);
                }
            }
        }
    }

    #[test]
    fn rate_and_packet_time_change_in_mid_stream() {
        let mut encoder = OpusEncoder::new(24_000, 20).unwrap();
        let mut decoder = OpusDecoder::new().unwrap();
        let mut out = Vec::new();
        let mut at = 0;
        for (bps, millis) in [(24_000, 20), (12_000, 60), (16_000, 40), (32_000, 10), (24_000, 20)]
        {
            encoder.set(bps, millis, 20).unwrap();
            for _ in 0..5 {
                let n = encoder.samples();
                let packet = encoder.step(&buzz(n, at)).unwrap();
                at += n;
                assert_eq!(packet.len(), encoder.packet_bytes());
                decoder.step(Some(&packet), false, millis, &mut out).unwrap();
            }
        }
        assert_eq!(out.len(), at);
        assert_eq!(encoder.set(24_000, 30, 0), Err(OpusError::PacketTime(30)));
    }

    #[test]
    fn the_coarse_copy_beats_concealment_after_one_lost_packet() {
        let error = |fec: bool| {
            let mut encoder = OpusEncoder::new(24_000, 20).unwrap();
            let mut whole = OpusDecoder::new().unwrap();
            let mut lossy = OpusDecoder::new().unwrap();
            let packets: Vec<_> =
                (0..60).map(|i| encoder.step(&buzz(960, i * 960)).unwrap()).collect();
            let (mut a, mut b) = (Vec::new(), Vec::new());
            for (i, packet) in packets.iter().enumerate() {
                whole.step(Some(packet), false, 20, &mut a).unwrap();
                if i % 6 == 5 {
                    let next = packets.get(i + 1).filter(|_| fec);
                    lossy.step(next.map(|p| &p[..]), true, 20, &mut b).unwrap();
                } else {
                    lossy.step(Some(packet), false, 20, &mut b).unwrap();
                }
            }
            a.iter().zip(&b).map(|(x, y)| (x - y).powi(2)).sum::<f32>()
        };
        assert!(error(true) < error(false) * 0.5, "{} {}", error(true), error(false));
    }

    #[test]
    fn no_bytes_from_a_peer_make_the_decoder_panic_or_change_the_length() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut decoder = OpusDecoder::new().unwrap();
        let mut out = Vec::new();
        for _ in 0..3000 {
            let length = rng.random_range(0..200);
            let bytes: Vec<u8> = (0..length).map(|_| rng.random()).collect();
            let millis = [10, 20, 40, 60][rng.random_range(0..4)];
            let before = out.len();
            let fec = rng.random();
            match decoder.step(Some(&bytes), fec, millis, &mut out) {
                Ok(()) => assert_eq!(out.len(), before + usize::from(millis) * 48),
                Err(_) => assert_eq!(out.len(), before),
            }
            assert!(out.iter().all(|s| s.is_finite()));
            out.clear();
        }
    }
}
