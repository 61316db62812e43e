//! How long drawing a picture takes: `cargo bench --bench source`.

use criterion::{Criterion, criterion_group, criterion_main};
use facetty::media::frame::Size;
use facetty::media::source::pattern::{ADA, BEN, PatternKind, Render, time_of};
use facetty::media::{marker, y4m};
use std::hint::black_box;
use std::sync::Arc;

fn faces(c: &mut Criterion) {
    for (w, h) in [(80, 48), (160, 96), (240, 144), (320, 192), (640, 384)] {
        let size = Size::new(w, h);
        for (name, identity) in [("ada", ADA), ("ben", BEN)] {
            let mut render = Render::new(PatternKind::Face, &identity, 1, Arc::new(|_| 0.5));
            let mut number = 0;
            c.bench_function(&format!("face {name} {size}"), |b| {
                b.iter(|| {
                    number += 1;
                    black_box(render.frame(size, time_of(number, 300), number))
                });
            });
        }
    }
    let size = Size::new(320, 192);
    let mut render = Render::new(PatternKind::Face, &ADA, 1, Arc::new(|_| 0.5));
    let frame = render.frame(size, time_of(7, 300), 7);
    c.bench_function("marker read 320x192", |b| b.iter(|| marker::read(black_box(&frame))));
    let mut bytes = Vec::new();
    y4m::write_frame(&frame, &mut bytes);
    let header = y4m::Header::parse(&y4m::header(size, 300)).expect("own header");
    c.bench_function("y4m picture 320x192", |b| {
        b.iter(|| header.picture(black_box(&bytes[6..]), frame.at));
    });
}

criterion_group!(benches, faces);
criterion_main!(benches);
