//! What sealing costs per frame: an audio packet, a full datagram, a keyframe.
//!
//! `cargo bench --bench seal`

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use facetty::seal::{Opener, Receipt, Sealers};
use facetty::secret::Secret;
use facetty::wire::sframe::{Header, StreamKind};
use std::hint::black_box;

const SIZES: [usize; 3] = [100, 1200, 20_000];

fn base() -> Secret<32> {
    Secret::build(|key| key.fill(7))
}

fn sealers() -> Sealers {
    match Sealers::new(base(), 1, 0, &Receipt::shown(1, [0; 32]), &[0; 32]) {
        Ok(sealers) => sealers,
        Err(refused) => panic!("{refused}"),
    }
}

fn seal(c: &mut Criterion) {
    let mut group = c.benchmark_group("seal");
    for size in SIZES {
        let plaintext = vec![1; size];
        let mut sealers = sealers();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| sealers.of(StreamKind::Video).seal(black_box(&plaintext)));
        });
    }
    group.finish();
}

fn open(c: &mut Criterion) {
    let mut group = c.benchmark_group("open");
    for size in SIZES {
        let plaintext = vec![1; size];
        let mut sealers = sealers();
        let mut opener = Opener::new(&base(), 1, 0);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            // Every frame opens once only, so each measured one is sealed first, unmeasured.
            b.iter_batched(
                || sealers.of(StreamKind::Video).seal(&plaintext).map(|s| s.bytes),
                |frame| {
                    let frame = frame.unwrap_or_default();
                    let (header, _) =
                        Header::decode(&frame).unwrap_or((Header { kid: 0, ctr: 0 }, &[]));
                    opener.open(header, black_box(&frame))
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn epoch(c: &mut Criterion) {
    c.bench_function("sealers for a new epoch", |b| b.iter(sealers));
}

criterion_group!(benches, seal, open, epoch);
criterion_main!(benches);
