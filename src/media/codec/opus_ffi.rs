//! libopus by its C interface: the safe wrapper reaches neither deep redundancy (DRED) nor the
//! decoder's complexity, which turns on deep concealment.
//!
//! Every pointer handed to C comes from a slice whose length goes with it, and every object is made,
//! owned and destroyed here. What a peer sends passes through [`RawDecoder::decode`],
//! [`RawDecoder::rebuild`], [`RawDred::parse`] and [`has_lbrr`]; the library checks it (it is built
//! with its hardening on), and the fuzz target `opus` tries to prove it wrong.
#![expect(unsafe_code, reason = "deep redundancy exists only in the C interface")]

use crate::media::seams::SAMPLE_RATE;
use opusic_sys as sys;
use std::ffi::c_int;
use std::ptr::{NonNull, null};

/// The library's return code where something of ours is out of range.
const BAD_ARG: i32 = sys::OPUS_BAD_ARG;
/// The rate of everything, as C wants it.
const RATE: i32 = SAMPLE_RATE as i32;

/// An option of the encoder or decoder that is one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// bit/s.
    Bitrate,
    /// 1: variable rate.
    Vbr,
    /// 1: leave out packets of silence.
    Dtx,
    /// What is to be coded, [`VOICE`].
    Signal,
    /// 1: carry coarse copies (LBRR).
    InbandFec,
    /// Loss to expect, in per cent.
    PacketLoss,
    /// 0–10, of encoder or decoder.
    Complexity,
    /// Widest band to code, [`WIDE`] or [`FULL`].
    MaxBandwidth,
    /// How far deep redundancy reaches, in units of 10 ms.
    DredDuration,
}

/// Value of [`Setting::Signal`] for speech.
pub(super) const VOICE: i32 = sys::OPUS_SIGNAL_VOICE;
/// Values of [`Setting::MaxBandwidth`]: up to 8 kHz, and up to 20.
pub(super) const WIDE: i32 = sys::OPUS_BANDWIDTH_WIDEBAND;
pub(super) const FULL: i32 = sys::OPUS_BANDWIDTH_FULLBAND;

impl Setting {
    const fn request(self) -> c_int {
        match self {
            Self::Bitrate => sys::OPUS_SET_BITRATE_REQUEST,
            Self::Vbr => sys::OPUS_SET_VBR_REQUEST,
            Self::Dtx => sys::OPUS_SET_DTX_REQUEST,
            Self::Signal => sys::OPUS_SET_SIGNAL_REQUEST,
            Self::InbandFec => sys::OPUS_SET_INBAND_FEC_REQUEST,
            Self::PacketLoss => sys::OPUS_SET_PACKET_LOSS_PERC_REQUEST,
            Self::Complexity => sys::OPUS_SET_COMPLEXITY_REQUEST,
            Self::MaxBandwidth => sys::OPUS_SET_MAX_BANDWIDTH_REQUEST,
            Self::DredDuration => sys::OPUS_SET_DRED_DURATION_REQUEST,
        }
    }
}

/// A mono encoder for speech at 48 kHz. `Err` carries libopus' code.
pub(super) struct RawEncoder(NonNull<sys::OpusEncoder>);

// SAFETY: the C object has no thread affinity and shares nothing; all calls go through `&mut self`.
unsafe impl Send for RawEncoder {}

impl RawEncoder {
    pub(super) fn new() -> Result<Self, i32> {
        let mut code = 0;
        // SAFETY: the out-pointer is valid; what comes back is ours until `drop`.
        let encoder =
            unsafe { sys::opus_encoder_create(RATE, 1, sys::OPUS_APPLICATION_VOIP, &raw mut code) };
        NonNull::new(encoder).filter(|_| code == sys::OPUS_OK).map(Self).ok_or(code)
    }

    pub(super) fn set(&mut self, setting: Setting, value: i32) -> Result<(), i32> {
        // SAFETY: the object is alive, and each of these requests takes one 32-bit integer.
        let code = unsafe { sys::opus_encoder_ctl(self.0.as_ptr(), setting.request(), value) };
        positive(code).map(drop)
    }

    /// Encodes one packet of `pcm.len()` samples into `packet`; returns its length.
    pub(super) fn encode(&mut self, pcm: &[f32], packet: &mut [u8]) -> Result<usize, i32> {
        let samples = length(pcm)?;
        let most = length(packet)?;
        // SAFETY: both buffers are as long as said, and the channel is one.
        let code = unsafe {
            sys::opus_encode_float(
                self.0.as_ptr(),
                pcm.as_ptr(),
                samples,
                packet.as_mut_ptr(),
                most,
            )
        };
        positive(code)
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        // SAFETY: created by the same library, not used afterwards.
        unsafe { sys::opus_encoder_destroy(self.0.as_ptr()) }
    }
}

/// A mono decoder at 48 kHz.
pub(super) struct RawDecoder(NonNull<sys::OpusDecoder>);

// SAFETY: as for the encoder.
unsafe impl Send for RawDecoder {}

impl RawDecoder {
    pub(super) fn new() -> Result<Self, i32> {
        let mut code = 0;
        // SAFETY: the out-pointer is valid; what comes back is ours until `drop`.
        let decoder = unsafe { sys::opus_decoder_create(RATE, 1, &raw mut code) };
        NonNull::new(decoder).filter(|_| code == sys::OPUS_OK).map(Self).ok_or(code)
    }

    pub(super) fn set(&mut self, setting: Setting, value: i32) -> Result<(), i32> {
        // SAFETY: the object is alive, and each of these requests takes one 32-bit integer.
        let code = unsafe { sys::opus_decoder_ctl(self.0.as_ptr(), setting.request(), value) };
        positive(code).map(drop)
    }

    /// Decodes into the whole of `pcm`; an empty packet is concealed. `fec`: take the coarse copy of
    /// the packet before. Returns how many samples were written.
    pub(super) fn decode(
        &mut self,
        packet: &[u8],
        pcm: &mut [f32],
        fec: bool,
    ) -> Result<usize, i32> {
        let bytes = length(packet)?;
        let samples = length(pcm)?;
        let data = if packet.is_empty() { null() } else { packet.as_ptr() };
        // SAFETY: both buffers are as long as said, and the channel is one.
        let code = unsafe {
            sys::opus_decode_float(
                self.0.as_ptr(),
                data,
                bytes,
                pcm.as_mut_ptr(),
                samples,
                c_int::from(fec),
            )
        };
        positive(code)
    }

    /// Fills the whole of `pcm` with the sound that began `before` samples before the packet whose
    /// redundancy was parsed.
    pub(super) fn rebuild(
        &mut self,
        dred: &RawDred,
        before: i32,
        pcm: &mut [f32],
    ) -> Result<usize, i32> {
        if !dred.ready {
            return Err(BAD_ARG);
        }
        let samples = length(pcm)?;
        // SAFETY: the redundancy was parsed and processed, the buffer is as long as said.
        let code = unsafe {
            sys::opus_decoder_dred_decode_float(
                self.0.as_ptr(),
                dred.dred.as_ptr(),
                before,
                pcm.as_mut_ptr(),
                samples,
            )
        };
        positive(code)
    }
}

impl Drop for RawDecoder {
    fn drop(&mut self) {
        // SAFETY: created by the same library, not used afterwards.
        unsafe { sys::opus_decoder_destroy(self.0.as_ptr()) }
    }
}

/// The deep redundancy of one packet, and what reads it.
pub(super) struct RawDred {
    reader: NonNull<sys::OpusDREDDecoder>,
    dred: NonNull<sys::OpusDRED>,
    /// `dred` holds what [`RawDecoder::rebuild`] needs.
    ready: bool,
}

// SAFETY: as for the encoder.
unsafe impl Send for RawDred {}

impl RawDred {
    pub(super) fn new() -> Result<Self, i32> {
        let mut code = 0;
        // SAFETY: the out-pointer is valid; what comes back is ours until `drop`.
        let reader = unsafe { sys::opus_dred_decoder_create(&raw mut code) };
        let reader = NonNull::new(reader).filter(|_| code == sys::OPUS_OK).ok_or(code)?;
        // SAFETY: as above.
        let dred = unsafe { sys::opus_dred_alloc(&raw mut code) };
        let Some(dred) = NonNull::new(dred) else {
            // SAFETY: created above, not used afterwards.
            unsafe { sys::opus_dred_decoder_destroy(reader.as_ptr()) };
            return Err(code);
        };
        Ok(Self { reader, dred, ready: false })
    }

    /// Reads the redundancy of a packet, as far back as `most` samples; returns how many samples
    /// before the packet it begins, and how many before it it ends. `whole`: get ready for
    /// [`RawDecoder::rebuild`], rather than only look.
    pub(super) fn parse(
        &mut self,
        packet: &[u8],
        most: i32,
        whole: bool,
    ) -> Result<(usize, usize), i32> {
        self.ready = false;
        let bytes = length(packet)?;
        if packet.is_empty() || most <= 0 {
            return Err(BAD_ARG);
        }
        let mut end = 0;
        // SAFETY: both objects are alive, the packet is as long as said, the out-pointer valid.
        let code = unsafe {
            sys::opus_dred_parse(
                self.reader.as_ptr(),
                self.dred.as_ptr(),
                packet.as_ptr(),
                bytes,
                most,
                RATE,
                &raw mut end,
                c_int::from(!whole),
            )
        };
        let begin = positive(code)?;
        self.ready = whole && begin > 0;
        Ok((begin, usize::try_from(end).unwrap_or(0)))
    }
}

impl Drop for RawDred {
    fn drop(&mut self) {
        // SAFETY: created by the same library, not used afterwards.
        unsafe {
            sys::opus_dred_free(self.dred.as_ptr());
            sys::opus_dred_decoder_destroy(self.reader.as_ptr());
        }
    }
}

/// Does the packet carry a coarse copy (LBRR) of the one before it?
pub(super) fn has_lbrr(packet: &[u8]) -> bool {
    let Ok(bytes) = length(packet) else { return false };
    // SAFETY: the packet is as long as said, and not empty.
    bytes > 0 && unsafe { sys::opus_packet_has_lbrr(packet.as_ptr(), bytes) } > 0
}

/// A slice's length, as C wants it.
fn length<T>(slice: &[T]) -> Result<i32, i32> {
    i32::try_from(slice.len()).map_err(|_| BAD_ARG)
}

/// libopus answers with a count, or a negative code.
fn positive(code: c_int) -> Result<usize, i32> {
    usize::try_from(code).map_err(|_| code)
}
