//! The operating system's cameras through nokhwa.

use crate::media::source::camera::{Device, Listed, Offer, Pixels, format};
use nokhwa::utils::{
    ApiBackend, CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType,
    Resolution,
};

const USABLE: &[FrameFormat] = &[
    FrameFormat::YUYV,
    FrameFormat::NV12,
    FrameFormat::MJPEG,
    FrameFormat::GRAY,
    FrameFormat::RAWRGB,
    FrameFormat::RAWBGR,
];

/// An open device with its stream running.
struct Native {
    camera: nokhwa::Camera,
    offer: Offer,
}

impl Device for Native {
    fn offer(&self) -> Offer {
        self.offer
    }

    fn picture(&mut self, take: &mut dyn FnMut(&Offer, &[u8])) -> Result<(), String> {
        let buffer = self.camera.frame().map_err(|e| e.to_string())?;
        let resolution = buffer.resolution();
        let seen = CameraFormat::new(resolution, buffer.source_frame_format(), self.offer.fps);
        // The buffer's own word counts: drivers change formats behind one's back.
        let offer = offer_of(seen).ok_or("it delivers an unknown pixel format")?;
        take(&offer, buffer.buffer());
        Ok(())
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        let _ = self.camera.stop_stream();
    }
}

/// Opens camera `index` in the best format its driver accepts.
pub(super) fn open(index: u32, large: bool) -> Result<Box<dyn Device>, String> {
    let (mut camera, offer) = configure(index, large)?;
    camera.open_stream().map_err(|e| format!("it doesn't start: {e}"))?;
    Ok(Box::new(Native { camera, offer }))
}

/// See [`super::list_cameras`].
pub(super) fn list() -> Vec<Listed> {
    let ask = || nokhwa::query(ApiBackend::Auto).unwrap_or_default();
    let found = std::panic::catch_unwind(ask).unwrap_or_default();
    let mut listed: Vec<Listed> = found
        .iter()
        .filter_map(|info| {
            let index = info.index().as_index().ok()?;
            let probe = || configure(index, false).map(|(_, offer)| offer);
            let chosen = std::panic::catch_unwind(probe)
                .unwrap_or_else(|_| Err("its driver failed unexpectedly".into()));
            Some(Listed { index, name: info.human_name(), chosen })
        })
        .collect();
    listed.sort_by_key(|camera| camera.index);
    listed
}

fn configure(index: u32, large: bool) -> Result<(nokhwa::Camera, Offer), String> {
    permitted()?;
    let any = RequestedFormat::with_formats(RequestedFormatType::None, USABLE);
    let mut camera =
        nokhwa::Camera::new(CameraIndex::Index(index), any).map_err(|e| explain(&e.to_string()))?;
    let formats = camera.compatible_camera_formats().unwrap_or_default();
    let offers: Vec<Offer> = formats.into_iter().filter_map(offer_of).collect();
    for offer in format::rank(&offers, large).into_iter().take(8) {
        let exact = RequestedFormatType::Exact(format_of(&offer));
        let request = RequestedFormat::with_formats(exact, USABLE);
        // The driver's answer counts, not the wish.
        if let Ok(accepted) = camera.set_camera_requset(request)
            && let Some(accepted) = offer_of(accepted)
        {
            return Ok((camera, accepted));
        }
    }
    let present =
        offer_of(camera.camera_format()).filter(|o| !format::rank(&[*o], large).is_empty());
    let offer = present.ok_or("it offers no usable picture format")?;
    Ok((camera, offer))
}

/// Asks for permission where the system wants that; blocks until the user has answered.
fn permitted() -> Result<(), String> {
    #[cfg(target_os = "macos")]
    if !nokhwa::nokhwa_check() {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        nokhwa::nokhwa_initialize(move |granted| {
            let _ = answer.try_send(granted);
        });
        if answered.recv_timeout(std::time::Duration::from_secs(60)) != Ok(true) {
            return Err("the system doesn't permit camera access to this terminal".into());
        }
    }
    Ok(())
}

/// nokhwa's errors name its insides; say what they mean.
fn explain(error: &str) -> String {
    if error.contains("Fufill") || error.contains("Fulfill") {
        return "it offers no pictures (a metadata node, or a loopback nobody feeds)".into();
    }
    if error.contains("os error 2") || error.contains("No such file") {
        return "there is no such camera; `facetty devices` lists them, \
                --video pattern needs none"
            .into();
    }
    if error.contains("os error 16") || error.contains("busy") {
        return "another program is using it".into();
    }
    if error.contains("os error 13") || error.contains("denied") {
        return "no permission; is this user in the group `video`?".into();
    }
    error.to_owned()
}

fn offer_of(format: CameraFormat) -> Option<Offer> {
    let pixels = match format.format() {
        FrameFormat::YUYV => Pixels::Yuyv,
        FrameFormat::NV12 => Pixels::Nv12,
        FrameFormat::MJPEG => Pixels::Mjpeg,
        FrameFormat::GRAY => Pixels::Gray,
        FrameFormat::RAWRGB => Pixels::Rgb,
        FrameFormat::RAWBGR => Pixels::Bgr,
    };
    Some(Offer {
        width: u16::try_from(format.width()).ok()?,
        height: u16::try_from(format.height()).ok()?,
        fps: format.frame_rate(),
        pixels,
    })
}

fn format_of(offer: &Offer) -> CameraFormat {
    let format = match offer.pixels {
        Pixels::Yuyv => FrameFormat::YUYV,
        Pixels::Nv12 => FrameFormat::NV12,
        Pixels::Mjpeg => FrameFormat::MJPEG,
        Pixels::Gray => FrameFormat::GRAY,
        Pixels::Rgb => FrameFormat::RAWRGB,
        Pixels::Bgr => FrameFormat::RAWBGR,
    };
    let resolution = Resolution::new(offer.width.into(), offer.height.into());
    CameraFormat::new(resolution, format, offer.fps)
}

#[cfg(test)]
mod tests {
    #[test]
    fn asking_for_cameras_never_fails_where_there_is_none() {
        // Whatever is plugged in: an answer, in order of number.
        let listed = super::list();
        assert!(listed.is_sorted_by_key(|camera| camera.index));
    }

    #[test]
    fn a_missing_camera_is_explained() {
        let Err(why) = super::open(4_000, false) else { panic!("camera 4000 exists") };
        assert!(why.contains("no such camera"), "{why}");
    }
}
