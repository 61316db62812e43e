//! The H.264 encoder's C interface, as far as its safe wrapper does not reach: entropy mode, and a
//! quantiser that can be changed between two pictures without a keyframe. One of the three files
//! that may hold `unsafe`; every pointer handed to C comes from a slice whose length is checked
//! first, and nothing a peer sends passes through here (decoding uses the safe wrapper).
#![expect(unsafe_code, reason = "the encoder's run-time options exist only in the C interface")]

use crate::media::frame::{RawFrame, Size};
use openh264_sys2::{
    API as _, CAMERA_VIDEO_REAL_TIME, CM_SMPTE170M, CONSTANT_ID, CP_SMPTE170M, DynamicAPI,
    ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, ENCODER_OPTION_TRACE_CALLBACK,
    ENCODER_OPTION_TRACE_CALLBACK_CONTEXT, ENCODER_OPTION_TRACE_LEVEL, ISVCEncoder,
    ISVCEncoderVtbl, MEDIUM_COMPLEXITY, PRO_HIGH, RC_OFF_MODE, SEncParamExt, SFrameBSInfo,
    SM_SINGLE_SLICE, SSourcePicture, TRC_SMPTE170M, WELS_LOG_INFO, WELS_LOG_QUIET,
    WelsTraceCallback, videoFormatI420, videoFrameTypeIDR,
};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{NonNull, null_mut};
use std::sync::OnceLock;

/// An encoder for one picture size. `Err` carries the C library's return code.
pub(super) struct RawEncoder {
    encoder: NonNull<ISVCEncoder>,
    params: SEncParamExt,
    info: Box<SFrameBSInfo>,
}

// SAFETY: the C object has no thread affinity and no globals; all calls go through `&mut self`.
unsafe impl Send for RawEncoder {}

impl RawEncoder {
    /// A single-threaded, quiet encoder with an endless group of pictures and its own rate control
    /// off: each picture is coded with the quantiser last set.
    pub(super) fn new(size: Size, fps: f32, qp: u8) -> Result<Self, i32> {
        let mut raw = Self::create()?;
        raw.option(ENCODER_OPTION_TRACE_LEVEL, &mut c_int::from(WELS_LOG_QUIET))?;
        raw.open(size, fps, qp)?;
        Ok(raw)
    }

    fn create() -> Result<Self, i32> {
        let mut encoder = null_mut::<ISVCEncoder>();
        // SAFETY: the out-pointer is valid; on success it holds an object we own until `drop`.
        let code = unsafe { DynamicAPI::from_source().WelsCreateSVCEncoder(&raw mut encoder) };
        let encoder = NonNull::new(encoder).filter(|_| code == 0).ok_or(code)?;
        Ok(Self { encoder, params: SEncParamExt::default(), info: Box::default() })
    }

    fn open(&mut self, size: Size, fps: f32, qp: u8) -> Result<(), i32> {
        let (get, init) = (self.table().GetDefaultParams, self.table().InitializeExt);
        // SAFETY: the object is alive, `params` is a plain C structure owned by us.
        check(unsafe { get.ok_or(-1)?(self.encoder.as_ptr(), &raw mut self.params) })?;
        self.tune(size, fps, qp);
        // SAFETY: as above; the library copies the parameters.
        check(unsafe { init.ok_or(-1)?(self.encoder.as_ptr(), &raw const self.params) })
    }

    fn tune(&mut self, size: Size, fps: f32, qp: u8) {
        let p = &mut self.params;
        p.iUsageType = CAMERA_VIDEO_REAL_TIME;
        p.iPicWidth = size.width.into();
        p.iPicHeight = size.height.into();
        p.fMaxFrameRate = fps;
        p.iRCMode = RC_OFF_MODE;
        p.bEnableFrameSkip = false;
        p.iTargetBitrate = 1_000_000; // must be set, is not used with rate control off
        p.iMinQp = 0;
        p.iMaxQp = 51;
        p.iTemporalLayerNum = 1;
        p.iSpatialLayerNum = 1;
        p.iComplexityMode = MEDIUM_COMPLEXITY;
        p.uiIntraPeriod = 0; // keyframes on request only
        p.iNumRefFrame = 1;
        p.eSpsPpsIdStrategy = CONSTANT_ID;
        p.iEntropyCodingModeFlag = 1; // CABAC
        p.iMultipleThreadIdc = 1;
        p.bEnableDenoise = false;
        p.bEnableBackgroundDetection = false;
        p.bEnableAdaptiveQuant = false;
        p.bEnableSceneChangeDetect = false;
        p.bEnableLongTermReference = false;
        let layer = &mut p.sSpatialLayers[0];
        layer.iVideoWidth = size.width.into();
        layer.iVideoHeight = size.height.into();
        layer.fFrameRate = fps;
        layer.iSpatialBitrate = p.iTargetBitrate;
        layer.iMaxSpatialBitrate = 0;
        layer.iDLayerQp = qp.into();
        layer.uiProfileIdc = PRO_HIGH;
        layer.sSliceArgument.uiSliceMode = SM_SINGLE_SLICE;
        layer.sSliceArgument.uiSliceNum = 1;
        layer.bVideoSignalTypePresent = true; // BT.601, limited range
        layer.bColorDescriptionPresent = true;
        layer.bFullRange = false;
        layer.uiColorPrimaries = CP_SMPTE170M as u8;
        layer.uiTransferCharacteristics = TRC_SMPTE170M as u8;
        layer.uiColorMatrix = CM_SMPTE170M as u8;
    }

    /// The quantiser (0–51) for the pictures to come. Does not cost a keyframe.
    pub(super) fn set_qp(&mut self, qp: u8) -> Result<(), i32> {
        let qp = c_int::from(qp.min(51));
        if self.params.sSpatialLayers[0].iDLayerQp == qp {
            return Ok(());
        }
        self.params.sSpatialLayers[0].iDLayerQp = qp;
        let mut params = self.params;
        self.option(ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, &mut params)
    }

    /// The next picture becomes an IDR with parameter sets.
    pub(super) fn force_keyframe(&mut self) -> Result<(), i32> {
        let force = self.table().ForceIntraFrame.ok_or(-1)?;
        // SAFETY: the object is alive and initialised.
        check(unsafe { force(self.encoder.as_ptr(), true) })
    }

    /// Codes one picture; its size and plane lengths must be those the encoder was made for.
    /// Returns the access unit (Annex B) and whether it is an IDR.
    pub(super) fn encode(&mut self, frame: &RawFrame, millis: i64) -> Result<(Vec<u8>, bool), i32> {
        let fits = c_int::from(frame.size.width) == self.params.iPicWidth
            && c_int::from(frame.size.height) == self.params.iPicHeight
            && frame.y.len() == frame.size.luma()
            && frame.u.len() == frame.size.chroma()
            && frame.v.len() == frame.size.chroma();
        if !fits {
            return Err(-1);
        }
        let half = self.params.iPicWidth / 2;
        // The encoder only reads the planes, though its structure holds mutable pointers.
        let (y, u, v) = (frame.y.as_ptr(), frame.u.as_ptr(), frame.v.as_ptr());
        let source = SSourcePicture {
            iColorFormat: videoFormatI420,
            iStride: [self.params.iPicWidth, half, half, 0],
            pData: [y.cast_mut(), u.cast_mut(), v.cast_mut(), null_mut()],
            iPicWidth: self.params.iPicWidth,
            iPicHeight: self.params.iPicHeight,
            uiTimeStamp: millis,
            bPsnrY: false,
            bPsnrU: false,
            bPsnrV: false,
        };
        let encode = self.table().EncodeFrame.ok_or(-1)?;
        // SAFETY: the planes are as long as size and strides say (checked above) and outlive the
        // call; `info` is ours.
        check(unsafe { encode(self.encoder.as_ptr(), &raw const source, &raw mut *self.info) })?;
        Ok((self.access_unit(), self.info.eFrameType == videoFrameTypeIDR))
    }

    fn access_unit(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let layers = usize::try_from(self.info.iLayerNum).unwrap_or(0);
        for layer in self.info.sLayerInfo.iter().take(layers) {
            let count = usize::try_from(layer.iNalCount).unwrap_or(0);
            if layer.pBsBuf.is_null() || layer.pNalLengthInByte.is_null() {
                continue;
            }
            // SAFETY: the library filled `iNalCount` lengths, whose sum is the length of the
            // buffer; both stay valid until the next call on this object.
            let bytes = unsafe {
                let lengths = std::slice::from_raw_parts(layer.pNalLengthInByte, count);
                let sum: usize = lengths.iter().filter_map(|&n| usize::try_from(n).ok()).sum();
                std::slice::from_raw_parts(layer.pBsBuf, sum)
            };
            out.extend_from_slice(bytes);
        }
        out
    }

    fn table(&self) -> &ISVCEncoderVtbl {
        // SAFETY: a live object starts with a pointer to its constant function table.
        unsafe { &**self.encoder.as_ptr() }
    }

    fn option<T>(&mut self, option: c_int, value: &mut T) -> Result<(), i32> {
        let set = self.table().SetOption.ok_or(-1)?;
        // SAFETY: callers pass the type this option takes; the library copies it.
        check(unsafe { set(self.encoder.as_ptr(), option, (&raw mut *value).cast::<c_void>()) })
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        // SAFETY: created by the same library, not used afterwards.
        unsafe {
            if let Some(close) = self.table().Uninitialize {
                close(self.encoder.as_ptr());
            }
            DynamicAPI::from_source().WelsDestroySVCEncoder(self.encoder.as_ptr());
        }
    }
}

fn check(code: c_int) -> Result<(), i32> {
    if code == 0 { Ok(()) } else { Err(code) }
}

/// Whether the H.264 library was built with its assembly (nasm on x86): without it encoding takes
/// 2.5 times as long. On x86 the library reports the CPU features it uses only in that case.
pub(super) fn has_assembler() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    if cfg!(not(any(target_arch = "x86", target_arch = "x86_64"))) {
        return cfg!(target_arch = "aarch64");
    }
    *FOUND.get_or_init(|| probe_assembler().unwrap_or(false))
}

fn probe_assembler() -> Result<bool, i32> {
    let mut seen = false;
    let mut raw = RawEncoder::create()?;
    let mut callback: WelsTraceCallback = Some(trace);
    let mut context: *mut c_void = (&raw mut seen).cast();
    raw.option(ENCODER_OPTION_TRACE_LEVEL, &mut c_int::from(WELS_LOG_INFO))?;
    raw.option(ENCODER_OPTION_TRACE_CALLBACK, &mut callback)?;
    raw.option(ENCODER_OPTION_TRACE_CALLBACK_CONTEXT, &mut context)?;
    raw.open(Size::new(32, 32), 10.0, 40)?;
    drop(raw); // the callback's target must outlive the encoder
    Ok(seen)
}

extern "C" fn trace(context: *mut c_void, _level: c_int, message: *const c_char) {
    // SAFETY: `context` is the bool of `probe_assembler`, alive as long as the encoder; the
    // message is a terminated C string.
    unsafe {
        if CStr::from_ptr(message).to_bytes().windows(12).any(|w| w == b"CPU features") {
            *context.cast::<bool>() = true;
        }
    }
}
