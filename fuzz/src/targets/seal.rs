//! Sealed frames.

use super::Feed;
use facetty::seal::{OpenError, Opener, Receipt, Sealers};
use facetty::secret::Secret;
use facetty::wire::sframe::{Header, Kid, StreamKind};
use std::collections::BTreeSet;

const EPOCH: u64 = 19;
const LEAF: u8 = 5;

fn base() -> Secret<32> {
    Secret::build(|bytes| bytes.fill(1))
}

/// A key nothing is sealed with: fuzzers learn whole genuine frames from the comparisons they watch.
fn unused() -> Secret<32> {
    Secret::build(|bytes| bytes.fill(2))
}

/// The header has one encoding, random bytes never open, and a script of sealing, delivering,
/// repeating and changing frames has just the outcomes a set of seen counters predicts.
pub(super) fn sframe(data: &[u8]) {
    let mut opener = Opener::new(&base(), EPOCH, LEAF);
    if let Ok((header, rest)) = Header::decode(data) {
        assert_eq!([&header.encode()[..], rest].concat(), data);
        assert!(Opener::new(&unused(), EPOCH, LEAF).open(header, data).is_err());
        if let Ok(kid) = Kid::from_u64(header.kid) {
            assert_eq!(kid.to_u64(), header.kid);
        }
    }
    script(Feed(data), &mut opener);
}

fn script(mut feed: Feed<'_>, opener: &mut Opener) {
    let receipt = Receipt::shown(EPOCH, [0; 32]);
    let sealers = Sealers::new(base(), EPOCH, LEAF, &receipt, &[0; 32]);
    let mut sealers = sealers.expect("the roster was shown");
    let mut sent: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut seen = BTreeSet::new();
    while !feed.is_empty() && sent.len() < 64 {
        let what = feed.u8();
        if what.is_multiple_of(4) || sent.is_empty() {
            let stream = StreamKind::ALL[usize::from(what >> 2) % 4];
            let plain = vec![what; usize::from(feed.u8())];
            let sealed = sealers.of(stream).seal(&plain).expect("below the limit");
            sent.push((sealed.bytes.to_vec(), plain));
            continue;
        }
        let at = usize::from(feed.u8()) % sent.len();
        let (genuine, plain) = &sent[at];
        let frame = if what % 4 == 1 { genuine.clone() } else { feed.patched(genuine) };
        let opened = match Header::decode(&frame) {
            Ok((header, _)) => opener.open(header, &frame),
            Err(e) => Err(e.into()),
        };
        // A changed frame may have become another of the frames sent.
        let known = sent.iter().position(|(bytes, _)| *bytes == frame);
        match known {
            Some(known) if seen.insert(known) => {
                assert_eq!(opened.as_ref(), Ok(if known == at { plain } else { &sent[known].1 }));
            }
            Some(_) => assert_eq!(opened, Err(OpenError::Replayed)),
            None => assert!(opened.is_err()),
        }
    }
}
