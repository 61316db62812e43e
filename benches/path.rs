//! The whole path of one picture: drawn, coded, sealed, opened, decoded, painted – without the
//! network. `cargo bench --bench path`.

use criterion::{Criterion, criterion_group, criterion_main};
use facetty::config::PatternKind;
use facetty::media::codec::h264::{H264Decoder, H264Encoder};
use facetty::media::codec::{VideoDecoder, VideoEncoder};
use facetty::media::frame::{Coded, CodedVideo, Size};
use facetty::media::source::pattern::{ADA, Render, time_of};
use facetty::paint::{Depth, Mode, Painter, Rect};
use facetty::seal::{Opener, Receipt, Sealers};
use facetty::secret::Secret;
use facetty::wire::media::{Padding, decode, encode_video};
use facetty::wire::sframe::{Header, StreamKind};
use std::hint::black_box;
use std::sync::Arc;

const ROSTER: [u8; 32] = [7; 32];

fn base() -> Secret<32> {
    Secret::build(|bytes| bytes.fill(3))
}

#[expect(clippy::disallowed_macros, reason = "counts that criterion does not know")]
fn whole_path(c: &mut Criterion) {
    for (size, cols, rows) in [
        (Size::new(80, 48), 80, 24),
        (Size::new(240, 144), 120, 36),
        (Size::new(320, 192), 160, 48),
    ] {
        let mut render = Render::new(PatternKind::Face, &ADA, 1, Arc::new(|_| 0.3));
        let mut encoder = H264Encoder::new(size, 300, 300_000).expect("an encoder");
        let receipt = Receipt::shown(1, ROSTER);
        let mut sealers = Sealers::new(base(), 1, 0, &receipt, &ROSTER).expect("shown");
        let mut opener = Opener::new(&base(), 1, 0);
        let mut decoder = H264Decoder::new().expect("a decoder");
        let mut painter = Painter::new(Mode::Sextant, Depth::True);
        painter.place(Rect { x: 0, y: 0, cols, rows }, (1, 2));
        let (mut number, mut painted, mut bytes) = (0u32, 0u64, 0u64);
        c.bench_function(&format!("path {size} -> {cols}x{rows}"), |b| {
            b.iter(|| {
                let frame = render.frame(size, time_of(number, 300), number);
                let coded = encoder.step(&frame, number == 0).expect("coded");
                number += 1;
                let Some(picture) = coded else { return };
                let video = CodedVideo {
                    number,
                    at: frame.at,
                    keyframe: picture.keyframe,
                    size,
                    bytes: picture.bytes,
                    room: 0,
                };
                let sealer = sealers.of(StreamKind::Video);
                let sealed = sealer.seal(&encode_video(&video, Padding::Steps)).expect("sealed");
                let (header, _) = Header::decode(&sealed.bytes).expect("a header");
                let opened = opener.open(header, &sealed.bytes).expect("opened");
                let Ok(Coded::Video(video)) = decode(StreamKind::Video, &opened) else { return };
                if let Ok(Some(shown)) = decoder.step(&video.bytes, video.at) {
                    let mut out = Vec::new();
                    painter.paint(&shown, &mut out);
                    bytes += black_box(out).len() as u64;
                    painted += 1;
                }
            });
        });
        if let Some(mean) = bytes.checked_div(painted) {
            eprintln!("path {size}: {painted} pictures painted, {mean} bytes each");
        }
    }
}

criterion_group!(benches, whole_path);
criterion_main!(benches);
