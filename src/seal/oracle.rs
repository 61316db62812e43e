//! The key schedule and layout against everything outside that can say what they should be: the
//! published vectors, the `sframe` crate (which knows AES only), and vectors of our own suite made
//! by another implementation.

use super::schedule::{ChaCha, FrameKey, Suite, derive};
use crate::wire::sframe::Header;
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use proptest::prelude::*;
use serde_json::Value;
use sframe::CipherSuite;
use sframe::frame::{EncryptedFrame, MediaFrame, MonotonicCounter};
use sframe::key::{DecryptionKey, EncryptionKey};
use sha2::{Sha256, Sha512};

/// 0x0004 AES_128_GCM_SHA256_128.
struct Aes128;

impl Suite for Aes128 {
    type Aead = Aes128Gcm;
    type Hash = Sha256;
    const ID: u16 = 4;
}

/// 0x0005 AES_256_GCM_SHA512_128.
struct Aes256;

impl Suite for Aes256 {
    type Aead = Aes256Gcm;
    type Hash = Sha512;
    const ID: u16 = 5;
}

fn hex(case: &Value, field: &str) -> Vec<u8> {
    let text = case[field].as_str().unwrap();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn cases(file: &str, field: &str) -> Vec<Value> {
    serde_json::from_str::<Value>(file).unwrap()[field].as_array().unwrap().clone()
}

#[test]
fn the_published_key_schedules_of_all_five_suites_are_reproduced() {
    let file = include_str!("../../tests/vectors/sframe-header-and-kdf.json");
    let cases = cases(file, "sframe_kdf");
    assert_eq!(cases.len(), 5);
    for case in &cases {
        let suite = case["cipher_suite"].as_u64().unwrap() as u16;
        let kid = case["kid"].as_u64().unwrap();
        let (base, key, salt) =
            (hex(case, "base_key"), hex(case, "sframe_key"), hex(case, "sframe_salt"));
        let (mut own_key, mut own_salt) = (vec![0; key.len()], vec![0; salt.len()]);
        match suite {
            5 => derive::<Sha512>(suite, kid, &base, &mut own_key, &mut own_salt),
            _ => derive::<Sha256>(suite, kid, &base, &mut own_key, &mut own_salt),
        }
        assert_eq!(own_key, key, "suite {suite}");
        assert_eq!(own_salt, salt, "suite {suite}");
    }
}

#[test]
fn the_published_frames_of_both_gcm_suites_are_reproduced() {
    let file = include_str!("../../tests/vectors/sframe-gcm.json");
    let cases = cases(file, "sframe");
    assert_eq!(cases.len(), 2);
    published::<Aes128>(&cases[0]);
    published::<Aes256>(&cases[1]);
}

#[test]
fn frames_of_our_suite_are_those_of_another_implementation() {
    let file = include_str!("../../tests/vectors/sframe-f001.json");
    let cases = cases(file, "sframe");
    assert!(cases.len() >= 8);
    for case in &cases {
        published::<ChaCha>(case);
    }
}

/// One full case: key, salt, nonce, ciphertext, and opening it again.
fn published<S: Suite>(case: &Value) {
    assert_eq!(case["cipher_suite"].as_u64().unwrap(), u64::from(S::ID));
    let header = Header { kid: case["kid"].as_u64().unwrap(), ctr: case["ctr"].as_u64().unwrap() };
    let (metadata, plain, sealed) = (hex(case, "metadata"), hex(case, "pt"), hex(case, "ct"));
    let key = FrameKey::<S>::new(&hex(case, "base_key"), header.kid);
    assert_eq!(key.parts().0, hex(case, "sframe_key"));
    assert_eq!(key.parts().1[..], hex(case, "sframe_salt"));
    assert_eq!(key.nonce(header.ctr)[..], hex(case, "nonce"));
    assert_eq!(key.seal(header, &metadata, &plain).unwrap(), sealed);
    let (read, body) = Header::decode(&sealed).unwrap();
    assert_eq!(read, header);
    let head = &sealed[..sealed.len() - body.len()];
    assert_eq!(key.open(header.ctr, head, &metadata, body).unwrap(), plain);
}

proptest! {
    #![proptest_config(crate::wire::seeded())]

    #[test]
    fn the_sframe_crate_makes_and_opens_the_same_frames(
        kid in any::<u64>(), ctr in 0..u64::MAX, a in 0u32..64, b in 0u32..64,
        base in proptest::collection::vec(any::<u8>(), 1..64),
        plain in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let header = Header { kid: kid >> a, ctr: ctr >> b };
        both_ways::<Aes128>(CipherSuite::AesGcm128Sha256, header, &base, &plain);
        both_ways::<Aes256>(CipherSuite::AesGcm256Sha512, header, &base, &plain);
    }
}

fn both_ways<S: Suite>(suite: CipherSuite, header: Header, base: &[u8], plain: &[u8]) {
    let own = FrameKey::<S>::new(base, header.kid).seal(header, &[], plain).unwrap();

    let theirs = EncryptionKey::derive_from(suite, header.kid, base).unwrap();
    let mut counter = MonotonicCounter::with_start_value(header.ctr, u64::MAX);
    let frame = MediaFrame::try_new(&mut counter, plain).unwrap().encrypt(&theirs).unwrap();
    assert_eq!(frame.as_ref(), own);

    let theirs = DecryptionKey::derive_from(suite, header.kid, base).unwrap();
    let opened = EncryptedFrame::try_new(&own).unwrap().decrypt(&theirs).unwrap();
    assert_eq!(opened.payload(), plain);
}
