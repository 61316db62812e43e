//! Bodies of the three messages between strangers: KNOCK, ANSWER, PROOF. How they are made and
//! checked is `identity::handshake`; here are only their bytes.

use crate::wire::varint::{ParseError, Reader, Writer};
use bytes::Bytes;

/// Longest credential inside an ANSWER, in bytes.
pub const CREDENTIAL_CAP: usize = 512;
/// Longest key package inside a PROOF, in bytes (an X-Wing key package takes about 2.6 kB).
pub const KEY_PACKAGE_CAP: usize = 7 * 1024;

/// First message, from the dialler: "I hold this invite" – and not yet who I am.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knock {
    /// Public number of the invite, so that the listener finds its secret.
    pub invite_id: [u8; 8],
    /// HMAC-SHA256 under the invite's proof key over this connection's transcript.
    pub mac: [u8; 32],
}

/// Second message, from the listener: an [`AnswerBody`], sealed under a key only holders of the
/// invite have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Ciphertext ‖ tag.
    pub sealed: Bytes,
}

/// Third message, from the dialler: a [`ProofBody`], sealed likewise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Ciphertext ‖ tag.
    pub sealed: Bytes,
}

/// What the listener says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerBody {
    /// The call's group.
    pub group_id: [u8; 16],
    /// The listener's encoded credential.
    pub credential: Bytes,
}

/// What the dialler says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofBody {
    /// MLS key package (RFC 9420 §10); its leaf holds the dialler's credential.
    pub key_package: Bytes,
}

impl Knock {
    /// Encodes: 40 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(40);
        w.raw(&self.invite_id).raw(&self.mac);
        w.finish()
    }

    /// Decodes; nothing may follow.
    pub fn decode(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut r = Reader::new(bytes);
        let knock = Self { invite_id: r.array()?, mac: r.array()? };
        r.finish()?;
        Ok(knock)
    }
}

impl AnswerBody {
    /// Encodes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(18 + self.credential.len());
        w.raw(&self.group_id).prefixed(&self.credential);
        w.finish()
    }

    /// Decodes; nothing may follow.
    pub fn decode(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut r = Reader::new(bytes);
        let group_id = r.array()?;
        let credential = Bytes::copy_from_slice(r.prefixed("credential", CREDENTIAL_CAP)?);
        r.finish()?;
        Ok(Self { group_id, credential })
    }
}

impl ProofBody {
    /// Encodes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(2 + self.key_package.len());
        w.prefixed(&self.key_package);
        w.finish()
    }

    /// Decodes; nothing may follow.
    pub fn decode(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut r = Reader::new(bytes);
        let key_package = Bytes::copy_from_slice(r.prefixed("key package", KEY_PACKAGE_CAP)?);
        r.finish()?;
        Ok(Self { key_package })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::wire::seeded())]

        #[test]
        fn bodies_round_trip_and_truncated_ones_are_refused(
            id in any::<[u8; 8]>(), mac in any::<[u8; 32]>(), group_id in any::<[u8; 16]>(),
            payload in vec(any::<u8>(), 0..CREDENTIAL_CAP),
        ) {
            let knock = Knock { invite_id: id, mac };
            let answer = AnswerBody { group_id, credential: payload.clone().into() };
            let proof = ProofBody { key_package: payload.into() };
            prop_assert_eq!(Knock::decode(&knock.encode()), Ok(knock.clone()));
            prop_assert_eq!(AnswerBody::decode(&answer.encode()), Ok(answer.clone()));
            prop_assert_eq!(ProofBody::decode(&proof.encode()), Ok(proof.clone()));
            for cut in 0..40 {
                prop_assert!(Knock::decode(&knock.encode()[..cut]).is_err());
            }
            for cut in 0..answer.encode().len() {
                prop_assert!(AnswerBody::decode(&answer.encode()[..cut]).is_err());
            }
            for cut in 0..proof.encode().len() {
                prop_assert!(ProofBody::decode(&proof.encode()[..cut]).is_err());
            }
        }
    }

    #[test]
    fn an_oversized_key_package_is_refused() {
        let body = ProofBody { key_package: vec![0; KEY_PACKAGE_CAP + 1].into() };
        assert_eq!(
            ProofBody::decode(&body.encode()),
            Err(ParseError::TooLarge { what: "key package", cap: KEY_PACKAGE_CAP })
        );
    }

    #[test]
    fn bytes_after_the_end_are_refused() {
        let mut bytes = Knock { invite_id: [1; 8], mac: [2; 32] }.encode();
        bytes.push(0);
        assert_eq!(Knock::decode(&bytes), Err(ParseError::Trailing));
    }
}
