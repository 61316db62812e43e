//! Opus (RFC 6716) as `step()` functions: constant bit rate, in-band redundancy, concealment.
//!
//! Packets have one size whatever is said: a variable rate or discontinuous transmission would
//! show a listener on the network who speaks, when, and even which phrases. The encoder is held in
//! its speech mode, because only there a packet carries a coarse copy of the one before it (LBRR).
//!
//! What is missing is filled in by neural networks whose weights come with libopus: *deep
//! concealment* continues the voice from what was heard, and *deep redundancy* (DRED,
//! draft-ietf-mlcodec-opus-dred) speaks what was really said, from some 20 bits per 40 ms that later
//! packets carry in their padding. Redundancy takes its room from the voice in the same packet: sizes
//! don't change.

use super::opus_ffi::{FULL, RawDecoder, RawDred, RawEncoder, Setting, VOICE, WIDE, has_lbrr};
use crate::media::seams::SAMPLE_RATE;
use bytes::Bytes;

/// Samples per millisecond.
const PER_MS: usize = (SAMPLE_RATE / 1000) as usize;
/// Longest Opus packet in milliseconds (RFC 6716 §3.2.5).
const MAX_MILLIS: u8 = 120;
/// Largest constant rate offered, in bit/s.
const MAX_BPS: u32 = 128_000;
/// Smallest rate at which wide-band speech stays intelligible, in bit/s.
const MIN_BPS: u32 = 8_000;
/// Complexity of encoder and decoder, 0–10. The decoder conceals by neural network from 5 on.
const EFFORT: (i32, i32) = (9, 5);
/// Furthest that deep redundancy reaches back, in ms (the library's limit).
pub const FURTHEST_MS: u16 = 1_040;
/// Loss that deep redundancy is prepared for at least, in per cent: below 10 it gets no room.
const DEEP_LOSS_PCT: u8 = 25;

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

/// A return code of libopus.
fn library(code: i32) -> OpusError {
    OpusError::Library(match code {
        opusic_sys::OPUS_BAD_ARG => "invalid argument",
        opusic_sys::OPUS_BUFFER_TOO_SMALL => "buffer too small",
        opusic_sys::OPUS_INVALID_PACKET => "corrupted stream",
        opusic_sys::OPUS_UNIMPLEMENTED => "built without this",
        opusic_sys::OPUS_ALLOC_FAIL => "out of memory",
        _ => "internal error",
    })
}

/// Encodes mono sound at 48 kHz into packets of constant size.
pub struct OpusEncoder {
    inner: RawEncoder,
    bps: u32,
    millis: u8,
    loss_pct: u8,
    deep_ms: u16,
}

impl OpusEncoder {
    /// An encoder of `bps` bit/s (8000…128000, clamped) with packets of `millis` (10, 20, 40, 60).
    pub fn new(bps: u32, millis: u8) -> Result<Self, OpusError> {
        let mut inner = RawEncoder::new().map_err(library)?;
        for (setting, value) in [
            (Setting::Vbr, 0),
            (Setting::Dtx, 0),
            (Setting::Signal, VOICE),
            (Setting::InbandFec, 1),
            (Setting::Complexity, EFFORT.0),
        ] {
            inner.set(setting, value).map_err(library)?;
        }
        let mut encoder = Self { inner, bps: 0, millis, loss_pct: 0, deep_ms: 0 };
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
            let value = i32::try_from(bps).unwrap_or(i32::MAX);
            self.inner.set(Setting::Bitrate, value).map_err(library)?;
        }
        (self.bps, self.millis, self.loss_pct) = (bps, millis, loss_pct);
        self.prepare()
    }

    /// Lets packets carry deep redundancy for the `millis` before them (0: none, at most
    /// [`FURTHEST_MS`]), from the next packet on, in the place of LBRR and out of the same rate. Below
    /// some 16 kbit/s there is no room for it, and packets stay as they are.
    pub fn reach_back(&mut self, millis: u16) -> Result<(), OpusError> {
        self.deep_ms = millis.min(FURTHEST_MS);
        self.prepare()
    }

    /// Tells the library which losses to expect, and what is to be done about them.
    fn prepare(&mut self) -> Result<(), OpusError> {
        let deep = self.deep_ms > 0;
        // Redundancy speaks with a band of 8 kHz: what the voice takes beyond is taken from both, and
        // concealment is at its best in the speech layer alone.
        let loss_pct = if deep { self.loss_pct.max(DEEP_LOSS_PCT) } else { self.loss_pct };
        for (setting, value) in [
            (Setting::InbandFec, i32::from(!deep)),
            (Setting::PacketLoss, i32::from(loss_pct)),
            (Setting::MaxBandwidth, if deep { WIDE } else { FULL }),
            (Setting::DredDuration, i32::from(self.deep_ms / 10)),
        ] {
            self.inner.set(setting, value).map_err(library)?;
        }
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
        let written = self.inner.encode(pcm, &mut packet).map_err(library)?;
        if written != size {
            // libopus pads constant-rate packets itself; this holds the promise if it ever doesn't.
            opus::packet::pad(&mut packet, written)?;
        }
        Ok(Bytes::from(packet))
    }
}

/// The part of the past that a packet's deep redundancy tells of, in ms before the packet's own
/// beginning. Where it ends before that, the sender was silent since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Where it begins.
    pub from_ms: u16,
    /// Where it ends; less than `from_ms`.
    pub to_ms: u16,
}

/// Decodes one member's packets into mono sound at 48 kHz.
pub struct OpusDecoder {
    inner: RawDecoder,
    dred: RawDred,
    /// The packet whose redundancy `dred` holds, and how much of it.
    parsed: (Bytes, u16),
}

impl OpusDecoder {
    /// A decoder without history.
    pub fn new() -> Result<Self, OpusError> {
        let mut inner = RawDecoder::new().map_err(library)?;
        inner.set(Setting::Complexity, EFFORT.1).map_err(library)?;
        let dred = RawDred::new().map_err(library)?;
        Ok(Self { inner, dred, parsed: (Bytes::new(), 0) })
    }

    /// Whether a packet carries a coarse copy of the one before it (LBRR).
    pub fn repeats(packet: &[u8]) -> bool {
        has_lbrr(packet)
    }

    /// What a packet's deep redundancy tells of; `None` without any. Costs little.
    pub fn reach(&mut self, packet: &[u8]) -> Option<Reach> {
        self.parsed = (Bytes::new(), 0);
        let most = i32::from(FURTHEST_MS) * PER_MS as i32;
        let (from, to) = self.dred.parse(packet, most, false).ok()?;
        let ms =
            |samples: usize| u16::try_from(samples / PER_MS).unwrap_or(u16::MAX).min(FURTHEST_MS);
        (ms(from) > ms(to)).then_some(Reach { from_ms: ms(from), to_ms: ms(to) })
    }

    /// Speaks `millis` of lost sound that began `before_ms` before `packet`, from the packet's deep
    /// redundancy, and appends it to `out`; both are multiples of 10. Follows what was decoded or
    /// concealed up to there. As with [`OpusDecoder::step`], `out` grows by exactly `millis` or not at
    /// all.
    pub fn rebuild(
        &mut self,
        packet: &Bytes,
        before_ms: u16,
        millis: u8,
        out: &mut Vec<f32>,
    ) -> Result<(), OpusError> {
        let samples = checked(millis)?;
        if before_ms > FURTHEST_MS {
            return Err(OpusError::Library("beyond the reach of redundancy"));
        }
        if self.parsed.0 != *packet || self.parsed.1 < before_ms {
            self.parsed = (Bytes::new(), 0);
            let most = i32::from(before_ms.max(10)) * PER_MS as i32;
            self.dred.parse(packet, most, true).map_err(library)?;
            self.parsed = (packet.clone(), before_ms);
        }
        let before = i32::from(before_ms) * PER_MS as i32;
        let Self { inner, dred, .. } = self;
        append(out, samples, millis, |room| inner.rebuild(dred, before, room))
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
        let samples = checked(millis)?;
        let input = packet.unwrap_or_default();
        if !input.is_empty() {
            let holds = opus::packet::get_nb_samples(input, SAMPLE_RATE)?;
            if !fec && holds != samples {
                return Err(OpusError::Mismatch(millis));
            }
        }
        let inner = &mut self.inner;
        append(out, samples, millis, |room| inner.decode(input, room, fec && !input.is_empty()))
    }
}

/// Samples of a packet time that a decoder may be asked for.
fn checked(millis: u8) -> Result<usize, OpusError> {
    if millis == 0 || millis > MAX_MILLIS || !millis.is_multiple_of(10) {
        return Err(OpusError::PacketTime(millis));
    }
    Ok(usize::from(millis) * PER_MS)
}

/// Lengthens `out` by what `decode` writes, which has to be `samples`, or leaves it as it is.
fn append(
    out: &mut Vec<f32>,
    samples: usize,
    millis: u8,
    decode: impl FnOnce(&mut [f32]) -> Result<usize, i32>,
) -> Result<(), OpusError> {
    let start = out.len();
    out.resize(start + samples, 0.0);
    let Some(room) = out.get_mut(start..) else { return Ok(()) };
    match decode(room) {
        Ok(got) if got == samples => {}
        Ok(_) => {
            out.truncate(start);
            return Err(OpusError::Mismatch(millis));
        }
        Err(code) => {
            out.truncate(start);
            return Err(library(code));
        }
    }
    // A hostile stream can make a decoder produce values no mixer should see.
    for sample in out.iter_mut().skip(start) {
        *sample = if sample.is_finite() { sample.clamp(-4.0, 4.0) } else { 0.0 };
    }
    Ok(())
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
    fn packets_with_deep_redundancy_have_the_same_one_size() {
        let mut rng = StdRng::seed_from_u64(3);
        for millis in [10, 20, 40, 60] {
            for bps in [12_000, 16_000, 20_000, 24_000, 32_000, 64_000] {
                let mut encoder = OpusEncoder::new(bps, millis).unwrap();
                let mut decoder = OpusDecoder::new().unwrap();
                let n = encoder.samples();
                let mut furthest = 0;
                for i in 0..24 {
                    encoder.reach_back(if i < 20 { 240 } else { 0 }).unwrap();
                    let pcm = match i / 4 {
                        0 | 1 | 3 => buzz(n, i * n),
                        2 => (0..n).map(|_| rng.random_range(-0.5..0.5)).collect(),
                        _ => vec![0.0; n],
                    };
                    let packet = encoder.step(&pcm).unwrap();
                    assert_eq!(packet.len(), bps as usize * usize::from(millis) / 8000);
                    let reach = decoder.reach(&packet);
                    assert!(i < 20 || reach.is_none(), "switched off");
                    furthest = furthest.max(reach.map_or(0, |r| r.from_ms));
                }
                let has_room = bps >= 24_000 && millis >= 20;
                assert!(!has_room || furthest >= 160, "{bps} {millis}: {furthest}");
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

    /// Packets with deep redundancy of a sound that changes.
    fn deep_packets() -> Vec<Bytes> {
        let mut encoder = OpusEncoder::new(32_000, 20).unwrap();
        encoder.reach_back(FURTHEST_MS).unwrap();
        (0..60).map(|i| encoder.step(&buzz(960, i * 960)).unwrap()).collect()
    }

    #[test]
    fn what_is_rebuilt_is_what_was_lost_and_not_what_came_before() {
        // A buzz that becomes silent inside the gap: concealment can't know, redundancy does.
        let mut encoder = OpusEncoder::new(32_000, 20).unwrap();
        encoder.reach_back(240).unwrap();
        let packet = |i: usize| {
            let mut pcm = buzz(960, i * 960);
            if i >= 52 {
                pcm.iter_mut().for_each(|s| *s *= 0.01);
            }
            pcm
        };
        let packets: Vec<_> = (0..62).map(|i| encoder.step(&packet(i)).unwrap()).collect();
        let energy = |rebuilt: bool| {
            let mut decoder = OpusDecoder::new().unwrap();
            let mut out = Vec::new();
            for p in packets.iter().take(52) {
                decoder.step(Some(p), false, 20, &mut out).unwrap();
            }
            out.clear();
            let later = packets.get(58).unwrap();
            for lost in 52..58u16 {
                let before = (58 - lost) * 20;
                match rebuilt {
                    true => decoder.rebuild(later, before, 20, &mut out).unwrap(),
                    false => decoder.step(None, false, 20, &mut out).unwrap(),
                }
            }
            assert_eq!(out.len(), 6 * 960);
            out.iter().skip(1920).map(|s| s * s).sum::<f32>()
        };
        assert!(energy(true) < 0.2 * energy(false), "{} {}", energy(true), energy(false));
    }

    #[test]
    fn no_redundancy_from_a_peer_makes_the_decoder_panic_or_change_the_length() {
        let mut rng = StdRng::seed_from_u64(4);
        let genuine = deep_packets();
        assert!(OpusDecoder::new().unwrap().reach(genuine.last().unwrap()).is_some());
        let mut decoder = OpusDecoder::new().unwrap();
        let mut out = Vec::new();
        let mut reached = 0;
        for round in 0..3000 {
            let mut bytes = genuine[rng.random_range(30..60)].to_vec();
            match round % 5 {
                0 => {
                    // The extension begins behind the voice: garbage from somewhere on.
                    let from = rng.random_range(0..bytes.len());
                    bytes.iter_mut().skip(from).for_each(|b| *b = rng.random());
                }
                1 => bytes.truncate(rng.random_range(0..bytes.len())),
                2 => {
                    let at = rng.random_range(0..bytes.len());
                    bytes[at] = rng.random();
                }
                3 => {
                    // A packet that is almost nothing but an extension of random bytes, whose first
                    // ones (quantisers, offset) claim anything.
                    let own: Vec<u8> =
                        (0..rng.random_range(0..220)).map(|_| rng.random()).collect();
                    bytes = extension(&own);
                }
                _ => {}
            }
            let bytes = Bytes::from(bytes);
            if let Some(reach) = decoder.reach(&bytes) {
                assert!(reach.from_ms <= FURTHEST_MS && reach.to_ms < reach.from_ms);
                reached += 1;
            }
            let before_ms = 10 * rng.random_range(0..120u16);
            let millis = [10, 20, 40, 60, 120, 0, 25][rng.random_range(0..7)];
            let before = out.len();
            match decoder.rebuild(&bytes, before_ms, millis, &mut out) {
                Ok(()) => assert_eq!(out.len(), before + usize::from(millis) * 48),
                Err(_) => assert_eq!(out.len(), before),
            }
            assert!(out.iter().all(|s| s.is_finite() && s.abs() <= 4.0));
            out.clear();
            // The voice itself goes on.
            let _ = decoder.step(Some(&bytes), false, 20, &mut out);
            out.clear();
        }
        assert!(reached > 1000, "most of them do reach the neural decoder: {reached}");
    }

    /// A packet of one silent frame whose padding holds this as deep redundancy.
    fn extension(own: &[u8]) -> Vec<u8> {
        // Extension number 126 without a length: it goes on to the end (RFC 6716 §3.2.5, and the
        // draft's §2 for numbers and version).
        let padding = 3 + own.len();
        // One frame of 20 ms, wide-band speech; code 3: one frame, constant rate, padding.
        let mut bytes = vec![9 << 3 | 3, 0x41];
        let mut left = padding;
        while left > 254 {
            bytes.push(255);
            left -= 254;
        }
        bytes.push(left as u8);
        bytes.extend_from_slice(&[0; 8]);
        bytes.push(126 << 1);
        bytes.extend_from_slice(b"D\x0c");
        bytes.extend_from_slice(own);
        bytes
    }
}
