//! Layouts of the control stream. What is accepted has one encoding.

use super::Feed;
use facetty::identity::Credential;
use facetty::identity::handshake::{self, Transcript};
use facetty::secret::Secret;
use facetty::time::Wall;
use facetty::wire::control::{Control, MemberMessage};
use facetty::wire::handshake::{Answer, AnswerBody, Knock, Proof, ProofBody};
use facetty::wire::report::{CAP, MAX_ENTRIES, Report};

/// Messages on the control stream and between members.
pub(super) fn control(data: &[u8]) {
    if let Ok(message) = Control::decode(data) {
        assert_eq!(message.encode(), data);
    }
    match MemberMessage::decode(data) {
        Ok(MemberMessage::Report(_)) | Err(_) => {}
        Ok(message) => assert_eq!(message.encode(), data),
    }
}

/// Arrival reports. Those a real sender could make are encoded into something with their meaning.
pub(super) fn report(data: &[u8]) {
    let Ok(report) = Report::decode(data) else { return };
    assert!(report.entries.len() <= MAX_ENTRIES);
    assert!(report.entries.is_sorted_by_key(|entry| entry.arrival_us));
    if report.entries.iter().all(|entry| entry.ctr < facetty::seal::CTR_LIMIT) {
        let again = report.encode();
        assert!(again.len() <= CAP);
        assert_eq!(Report::decode(&again), Ok(report));
    }
}

/// Bodies of KNOCK, ANSWER and PROOF, credentials, and sealed messages: nothing opens that was
/// not sealed with the invite for this connection.
pub(super) fn handshake(data: &[u8]) {
    let mut feed = Feed(data);
    let kind = feed.u8();
    let rest = feed.0;
    if let Ok(knock) = Knock::decode(rest) {
        assert_eq!(knock.encode(), rest);
    }
    if let Ok(body) = AnswerBody::decode(rest) {
        assert_eq!(body.encode(), rest);
    }
    if let Ok(body) = ProofBody::decode(rest) {
        assert_eq!(body.encode(), rest);
    }
    if let Ok(credential) = Credential::decode(rest) {
        assert_eq!(credential.encode(), rest);
        let _ = credential.verify(&credential.group_id, Wall(credential.not_after.0));
    }
    let k_proof = Secret::<32>::build(|bytes| bytes.fill(7));
    // Nothing is sealed with this one: fuzzers learn genuine messages from comparisons they watch.
    let unused = Secret::<32>::build(|bytes| bytes.fill(8));
    let transcript = Transcript::new(&[1; 32], &[2; 32], &[3; 32]);
    let own = rest.to_vec().into();
    match kind % 4 {
        0 => {
            let sealed = Answer { sealed: own };
            assert!(handshake::open_answer(&unused, &transcript, &sealed).is_err());
        }
        1 => {
            let sealed = Proof { sealed: own };
            assert!(handshake::open_proof(&unused, &transcript, &sealed).is_err());
        }
        2 => {
            let body = AnswerBody { group_id: [4; 16], credential: vec![5; 160].into() };
            let genuine = handshake::answer(&k_proof, &transcript, &body);
            let sealed = Answer { sealed: feed.patched(&genuine.sealed).into() };
            let opened = handshake::open_answer(&k_proof, &transcript, &sealed);
            assert_eq!(opened.ok(), (sealed == genuine).then_some(body));
        }
        _ => {
            let body = ProofBody { key_package: vec![6; 200].into() };
            let genuine = handshake::proof(&k_proof, &transcript, &body);
            let sealed = Proof { sealed: feed.patched(&genuine.sealed).into() };
            let opened = handshake::open_proof(&k_proof, &transcript, &sealed);
            assert_eq!(opened.ok(), (sealed == genuine).then_some(body));
        }
    }
}
