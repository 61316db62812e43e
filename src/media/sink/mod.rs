//! Where received media goes: loudspeaker, files, nowhere.

pub mod null;
pub mod wav;
pub mod y4m;

use crate::config::ViewSpec;
use crate::media::frame::Want;
use crate::media::seams::FrameSink;
use crate::time::Now;

/// Opens the picture sink that `spec` names, asking every member for `want`; `None` for the
/// terminal, which is not a file's business. Fails when the file can't be made.
pub fn open_view(
    spec: &ViewSpec,
    want: Want,
    now: Now,
) -> std::io::Result<Option<Box<dyn FrameSink>>> {
    Ok(match spec {
        ViewSpec::Tty => None,
        ViewSpec::Y4m(path) => Some(Box::new(y4m::Y4mView::create(path, want, now)?)),
        ViewSpec::None => Some(Box::new(null::Null::new(want))),
    })
}
