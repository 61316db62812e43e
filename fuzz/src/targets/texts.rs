//! Texts that people paste or type.

use facetty::config::{
    AudioSpec, SpeakerSpec, VideoSpec, ViewSpec, parse_duration, parse_fps, parse_tile,
};
use facetty::identity::{DisplayName, Fingerprint};
use facetty::invite::Invite;
use facetty::wire::base32;
use sha2::{Digest as _, Sha256};
use std::fmt::Debug;
use std::str::FromStr;

/// An invite as text, and the same bytes behind a right checksum. What is read has one text.
pub(super) fn invite(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        one_invite(text);
    }
    let sum = Sha256::new().chain_update(b"facetty invite check 1").chain_update(data).finalize();
    let payload: Vec<u8> = data.iter().chain(sum.iter().take(4)).copied().collect();
    one_invite(&format!("facetty1{}", base32::encode(&payload)));
}

fn one_invite(text: &str) {
    let Ok(invite) = Invite::parse(text) else { return };
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    assert_eq!(invite.to_text(), plain.to_ascii_lowercase());
    let qr = Invite::parse(&invite.to_qr_text()).expect("its own QR text is read");
    assert_eq!((qr.id(), qr.group_id()), (invite.id(), invite.group_id()));
}

/// Names, fingerprints and the words of flags. What is accepted is safe to show, and reads back.
pub(super) fn texts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let clean = DisplayName::sanitise(&text);
    assert_eq!(DisplayName::parse(clean.as_str()).as_ref(), Ok(&clean));
    assert!(clean.as_str().len() <= DisplayName::MAX_BYTES);
    assert!(!clean.as_str().chars().any(char::is_control));
    let _ = clean.skeleton();
    if let Ok(name) = DisplayName::parse(&text) {
        assert_eq!(DisplayName::sanitise(name.as_str()), name);
    }
    if let Ok(print) = text.parse::<Fingerprint>() {
        let again = print.full().parse::<Fingerprint>().expect("its own text is read");
        assert_eq!(again, print);
    }
    reads_back::<VideoSpec>(&text);
    reads_back::<AudioSpec>(&text);
    reads_back::<ViewSpec>(&text);
    reads_back::<SpeakerSpec>(&text);
    if let Ok(tile) = parse_tile(&text) {
        assert!(tile.width > 0 && tile.height > 0 && tile.luma() <= 1920 * 1088);
        assert_eq!((tile.width % 2, tile.height % 2), (0, 0));
    }
    if let Ok(fps) = parse_fps(&text) {
        assert!((10..=600).contains(&fps));
    }
    let _ = parse_duration(&text);
}

fn reads_back<T: FromStr + ToString + PartialEq + Debug>(text: &str) {
    if let Ok(spec) = text.parse::<T>() {
        assert_eq!(spec.to_string().parse().ok(), Some(spec));
    }
}
