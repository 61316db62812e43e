//! The three messages in which a stranger with an invite (or a contact) and a listener prove
//! themselves to each other over a fresh TLS connection: KNOCK, ANSWER, PROOF.
//!
//! Everything hangs on `k_proof`, which only holders of the invite have, and on the connection's
//! transcript: TLS exporter ‖ dialler's TLS key ‖ listener's TLS key. (The exporter alone doesn't
//! cover the client's key.) A message replayed or relayed on another connection has another
//! transcript and fails. KNOCK is an HMAC and names nobody; ANSWER and PROOF are sealed, so names
//! stay hidden from whoever lacks the invite even if TLS were broken.
//!
//! Afterwards each side checks the other's credential: signature, group, date, and *leaf key = TLS
//! key of this connection* ([`super::Credential::verify_for_key`]). That last equality is what
//! rules out presenting somebody else's credential.

use super::fingerprint::Fingerprint;
use crate::keys::IdentityPublic;
use crate::secret::Secret;
use crate::wire::ParseError;
use crate::wire::handshake::{Answer, AnswerBody, Knock, Proof, ProofBody};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What both ends of one TLS connection agree on and nobody else's connection shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transcript([u8; 96]);

/// Why a handshake message was refused. To the peer all of these look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The peer doesn't hold this invite, or the message belongs to another connection.
    #[error("not made with this invite for this connection")]
    NotProved,
    /// Proved, but the content isn't what belongs there.
    #[error("damaged message: {0}")]
    Parse(#[from] ParseError),
}

impl Transcript {
    /// `exporter`: TLS exporter, label `EXPORTER-facetty 1`, no context; then the raw Ed25519
    /// keys of who dialled and who listened.
    pub fn new(exporter: &[u8; 32], dialler: &[u8; 32], listener: &[u8; 32]) -> Self {
        let mut bytes = [0; 96];
        let parts = exporter.iter().chain(dialler).chain(listener);
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }
}

/// Dialler: proves holding the invite, and nothing about itself.
pub fn knock(k_proof: &Secret<32>, invite_id: [u8; 8], transcript: &Transcript) -> Knock {
    Knock { invite_id, mac: mac(k_proof, b"facetty/1 knock", &transcript.0) }
}

/// Listener: checks a knock in constant time.
pub fn check_knock(
    k_proof: &Secret<32>,
    knock: &Knock,
    transcript: &Transcript,
) -> Result<(), HandshakeError> {
    let expected = mac(k_proof, b"facetty/1 knock", &transcript.0);
    if bool::from(expected.ct_eq(&knock.mac)) { Ok(()) } else { Err(HandshakeError::NotProved) }
}

/// Listener: says who it is, readable only with the invite.
pub fn answer(k_proof: &Secret<32>, transcript: &Transcript, body: &AnswerBody) -> Answer {
    Answer { sealed: seal(k_proof, ANSWER, transcript, &body.encode()).into() }
}

/// Dialler: opens the answer. Check its credential next.
pub fn open_answer(
    k_proof: &Secret<32>,
    transcript: &Transcript,
    answer: &Answer,
) -> Result<AnswerBody, HandshakeError> {
    Ok(AnswerBody::decode(&open(k_proof, ANSWER, transcript, &answer.sealed)?)?)
}

/// Dialler: says who it is, with the key package the listener can add.
pub fn proof(k_proof: &Secret<32>, transcript: &Transcript, body: &ProofBody) -> Proof {
    Proof { sealed: seal(k_proof, PROOF, transcript, &body.encode()).into() }
}

/// Listener: opens the proof. Check the key package's credential next.
pub fn open_proof(
    k_proof: &Secret<32>,
    transcript: &Transcript,
    proof: &Proof,
) -> Result<ProofBody, HandshakeError> {
    Ok(ProofBody::decode(&open(k_proof, PROOF, transcript, &proof.sealed)?)?)
}

/// Listener: to the holder of an invite that is used up, by whom it was used. Told to nobody who
/// doesn't hold it, and believed of nobody else.
pub fn used(k_proof: &Secret<32>, transcript: &Transcript, by: &Fingerprint) -> Vec<u8> {
    seal(k_proof, USED, transcript, by.to_string().as_bytes())
}

/// Dialler: opens that.
pub fn open_used(
    k_proof: &Secret<32>,
    transcript: &Transcript,
    sealed: &[u8],
) -> Result<Fingerprint, HandshakeError> {
    let text = open(k_proof, USED, transcript, sealed)?;
    let text = std::str::from_utf8(&text).map_err(|_| HandshakeError::NotProved)?;
    text.parse().map_err(|_| HandshakeError::NotProved)
}

/// Of a branch that gave way, to a member of the other: the key package to be added by, which names
/// its owner. `k_proof` is that of the two ([`contact_proof`]): both know each other's identity. The
/// first 16 bytes are a hash of the package, so that each has a key of its own.
pub fn back(k_proof: &Secret<32>, transcript: &Transcript, package: &[u8]) -> Vec<u8> {
    let hash = Sha256::new().chain_update(b"facetty back 1").chain_update(package).finalize();
    let salt = hash.get(..SALT).unwrap_or_default();
    let sealed = seal(k_proof, &[BACK, salt].concat(), transcript, package);
    [salt, &sealed].concat()
}

/// The other member: opens it. Check the package's credential next.
pub fn open_back(
    k_proof: &Secret<32>,
    transcript: &Transcript,
    sealed: &[u8],
) -> Result<Vec<u8>, HandshakeError> {
    let (salt, sealed) = sealed.split_at_checked(SALT).ok_or(HandshakeError::NotProved)?;
    open(k_proof, &[BACK, salt].concat(), transcript, sealed)
}

/// "Who are you?", asked by the side that dialled or by the other: shows that the asker knows the
/// group's id, on this connection.
pub fn question(group_id: &[u8; 16], transcript: &Transcript, dialled: bool) -> [u8; 32] {
    let key = Secret::build(|k| k.iter_mut().zip(group_id).for_each(|(to, from)| *to = *from));
    let label: &[u8] = if dialled { b"facetty/1 who, listener" } else { b"facetty/1 who, dialler" };
    mac(&key, label, &transcript.0)
}

/// Checks a [`question`] in constant time; `dialled`: the asker did.
pub fn check_question(
    group_id: &[u8; 16],
    transcript: &Transcript,
    dialled: bool,
    tag: &[u8; 32],
) -> Result<(), HandshakeError> {
    let expected = question(group_id, transcript, dialled);
    if bool::from(expected.ct_eq(tag)) { Ok(()) } else { Err(HandshakeError::NotProved) }
}

/// The `k_proof` of two contacts who call without an invite. Everybody who knows both identity
/// keys can compute it: it only keeps strangers from learning who is there. What authenticates is
/// the pinned keys.
pub fn contact_proof(a: &IdentityPublic, b: &IdentityPublic) -> Secret<32> {
    let mut hash: [u8; 32] = Sha256::new()
        .chain_update(b"facetty contact 1")
        .chain_update(a.min(b).0)
        .chain_update(a.max(b).0)
        .finalize()
        .into();
    Secret::take(&mut hash)
}

/// The public number under which two contacts find each other's proof, in a KNOCK without invite.
pub fn contact_id(a: &IdentityPublic, b: &IdentityPublic) -> [u8; 8] {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(b"facetty contact id 1")
        .chain_update(a.min(b).0)
        .chain_update(a.max(b).0)
        .finalize()
        .into();
    let mut id = [0; 8];
    id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    id
}

const ANSWER: &[u8] = b"facetty/1 answer";
const PROOF: &[u8] = b"facetty/1 proof";
const USED: &[u8] = b"facetty/1 used";
const BACK: &[u8] = b"facetty/1 back";
/// Bytes of a [`back`] message's hash.
const SALT: usize = 16;

fn mac(key: &Secret<32>, label: &[u8], transcript: &[u8; 96]) -> [u8; 32] {
    // The fixed-size key type makes this HMAC infallible: 32 bytes zero-padded to one block.
    let mut block = zeroize::Zeroizing::new([0u8; 64]);
    block.iter_mut().zip(key.expose()).for_each(|(to, from)| *to = *from);
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new((&*block).into());
    mac.update(label);
    mac.update(transcript);
    mac.finalize().into_bytes().into()
}

/// One direction, one key, one message: the key belongs to this transcript and label alone, so the
/// nonce may be zero.
fn message_key(k_proof: &Secret<32>, label: &[u8], transcript: &Transcript) -> Secret<32> {
    Secret::build(|key| {
        let hkdf = Hkdf::<Sha256>::new(None, k_proof.expose());
        let done = hkdf.expand_multi_info(&[label, &transcript.0], key);
        debug_assert!(done.is_ok(), "HKDF gives up to 8160 bytes");
    })
}

fn cipher(key: &Secret<32>) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&Key::from(*key.expose()))
}

fn seal(k_proof: &Secret<32>, label: &[u8], transcript: &Transcript, body: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: body, aad: &transcript.0 };
    let key = message_key(k_proof, label, transcript);
    // ChaCha20-Poly1305 fails only beyond 256 GB; an empty message is refused by the peer.
    cipher(&key).encrypt(&Nonce::default(), payload).unwrap_or_default()
}

fn open(
    k_proof: &Secret<32>,
    label: &[u8],
    transcript: &Transcript,
    sealed: &[u8],
) -> Result<Vec<u8>, HandshakeError> {
    let payload = Payload { msg: sealed, aad: &transcript.0 };
    let key = message_key(k_proof, label, transcript);
    cipher(&key).decrypt(&Nonce::default(), payload).map_err(|_| HandshakeError::NotProved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn k(byte: u8) -> Secret<32> {
        Secret::take(&mut [byte; 32])
    }

    fn transcript(exporter: u8, dialler: u8, listener: u8) -> Transcript {
        Transcript::new(&[exporter; 32], &[dialler; 32], &[listener; 32])
    }

    fn answer_body() -> AnswerBody {
        AnswerBody { group_id: [5; 16], credential: Bytes::from_static(b"Alice's credential") }
    }

    fn proof_body() -> ProofBody {
        ProofBody { key_package: Bytes::from_static(b"Bob's key package") }
    }

    #[test]
    fn both_ends_of_one_connection_with_one_invite_understand_each_other() {
        let t = transcript(1, 2, 3);
        assert_eq!(check_knock(&k(9), &knock(&k(9), [7; 8], &t), &t), Ok(()));
        assert_eq!(open_answer(&k(9), &t, &answer(&k(9), &t, &answer_body())), Ok(answer_body()));
        assert_eq!(open_proof(&k(9), &t, &proof(&k(9), &t, &proof_body())), Ok(proof_body()));
    }

    #[test]
    fn another_invite_exporter_or_tls_key_proves_nothing() {
        let t = transcript(1, 2, 3);
        let others = [
            (k(8), transcript(1, 2, 3)),
            (k(9), transcript(0, 2, 3)),
            (k(9), transcript(1, 0, 3)),
            (k(9), transcript(1, 2, 0)),
            (k(9), transcript(1, 3, 2)),
        ];
        for (key, other) in &others {
            let no = HandshakeError::NotProved;
            assert_eq!(check_knock(key, &knock(&k(9), [7; 8], &t), other), Err(no));
            let sealed = answer(&k(9), &t, &answer_body());
            assert_eq!(open_answer(key, other, &sealed), Err(no));
            let sealed = proof(&k(9), &t, &proof_body());
            assert_eq!(open_proof(key, other, &sealed), Err(no));
        }
    }

    #[test]
    fn an_answer_reflected_as_a_proof_is_refused() {
        let t = transcript(1, 2, 3);
        let reflected = Proof { sealed: answer(&k(9), &t, &answer_body()).sealed };
        assert_eq!(open_proof(&k(9), &t, &reflected), Err(HandshakeError::NotProved));
    }

    #[test]
    fn a_package_on_its_way_back_is_for_one_member_on_one_connection() {
        let t = transcript(1, 2, 3);
        let sealed = back(&k(9), &t, b"Ben's key package");
        assert!(!sealed.windows(3).any(|w| w == b"Ben"));
        assert_eq!(open_back(&k(9), &t, &sealed).as_deref(), Ok(&b"Ben's key package"[..]));
        let no = Err(HandshakeError::NotProved);
        assert_eq!(open_back(&k(8), &t, &sealed), no);
        assert_eq!(open_back(&k(9), &transcript(0, 2, 3), &sealed), no);
        for cut in 0..sealed.len() {
            assert_eq!(open_back(&k(9), &t, &sealed[..cut]), no);
        }
        for bit in 0..sealed.len() * 8 {
            let mut bytes = sealed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open_back(&k(9), &t, &bytes), no);
        }
        // Two packages, two keys: what they have in common doesn't show.
        let (a, b) = (back(&k(9), &t, &[7; 64]), back(&k(9), &t, &[&[7; 63][..], &[8]].concat()));
        assert_ne!(a[..SALT], b[..SALT]);
        assert_ne!(a[SALT..SALT + 32], b[SALT..SALT + 32]);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let t = transcript(1, 2, 3);
        let good = answer(&k(9), &t, &answer_body()).sealed;
        for bit in 0..good.len() * 8 {
            let mut bytes = good.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(open_answer(&k(9), &t, &Answer { sealed: bytes.into() }).is_err());
        }
        for cut in 0..good.len() {
            assert!(open_answer(&k(9), &t, &Answer { sealed: good.slice(..cut) }).is_err());
        }
        let mut forged = knock(&k(9), [7; 8], &t);
        forged.mac[31] ^= 1;
        assert!(check_knock(&k(9), &forged, &t).is_err());
    }

    #[test]
    fn names_are_not_readable_in_sealed_messages() {
        let t = transcript(1, 2, 3);
        let sealed = answer(&k(9), &t, &answer_body()).sealed;
        assert!(!sealed.windows(5).any(|w| w == b"Alice"));
    }

    /// Values computed with Python's hmac module and the `cryptography` package.
    #[test]
    fn the_messages_are_those_of_another_implementation() {
        let hex = |b: &[u8]| b.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let t = transcript(1, 2, 3);
        assert_eq!(
            hex(&knock(&k(9), [7; 8], &t).mac),
            "65e1c04515074c02438eb7d071dd891759d415702afb95b5160957b638d783d8"
        );
        assert_eq!(
            hex(&answer(&k(9), &t, &answer_body()).sealed),
            "0d98d6f0cd377f16f6991dfc8a935681bb1df504668868a8d754c85b058497a6fea21702d666cf8aca3b5321bd2983c31bae5a"
        );
        assert_eq!(
            hex(&proof(&k(9), &t, &proof_body()).sealed),
            "6d4b61ffa825c31fa76523a4944a39c5556551b0846631abd9ca0d04402d811d80c1"
        );
        let contact = contact_proof(&IdentityPublic([2; 32]), &IdentityPublic([1; 32]));
        assert_eq!(
            hex(contact.expose()),
            "b3cec3acd9d92f8bca303666b1bfe72e33eee88d0685b052a6254e56683f3ebb"
        );
    }

    #[test]
    fn a_contact_proof_is_the_same_for_both_and_for_nobody_else() {
        let [a, b, c] = [1, 2, 3].map(|i| IdentityPublic([i; 32]));
        assert_eq!(contact_proof(&a, &b).expose(), contact_proof(&b, &a).expose());
        assert_ne!(contact_proof(&a, &b).expose(), contact_proof(&a, &c).expose());
        assert_eq!(contact_id(&a, &b), contact_id(&b, &a));
        assert_ne!(contact_id(&a, &b), contact_id(&a, &c));
        assert_ne!(contact_id(&a, &b), contact_proof(&a, &b).expose()[..8], "the id is public");
    }

    #[test]
    fn a_question_belongs_to_one_group_connection_and_side() {
        let t = transcript(1, 2, 3);
        let tag = question(&[4; 16], &t, true);
        assert_eq!(check_question(&[4; 16], &t, true, &tag), Ok(()));
        assert!(check_question(&[5; 16], &t, true, &tag).is_err());
        assert!(check_question(&[4; 16], &transcript(1, 3, 2), true, &tag).is_err());
        assert!(check_question(&[4; 16], &t, false, &tag).is_err(), "not to be sent back");
    }
}
