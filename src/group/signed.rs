//! Words members sign beside MLS, so that they can be passed on and still be checked: one form
//! for all of them, which no other signature of the same key has (RFC 8032 signatures; MLS and
//! TLS put other bytes first).

use ed25519_dalek::{Signature, VerifyingKey};

/// What is signed: purpose, then every field behind its length. No signature fits another purpose
/// or fields with moved borders.
pub(super) fn signed_bytes(purpose: &str, fields: &[&[u8]]) -> Vec<u8> {
    let mut out = b"facetty/1 ".to_vec();
    out.extend_from_slice(purpose.as_bytes());
    out.push(0);
    fields.iter().for_each(|field| super::bytes::put_bytes(&mut out, field));
    out
}

/// Strict: no small-order keys, no second encoding of a signature.
pub(super) fn fits(key: &[u8; 32], purpose: &str, fields: &[&[u8]], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| {
        let signature = Signature::from_bytes(signature);
        key.verify_strict(&signed_bytes(purpose, fields), &signature).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer as _, SigningKey};

    #[test]
    fn a_signature_fits_its_purpose_fields_and_key_only() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = key.verifying_key().to_bytes();
        let signature = key.sign(&signed_bytes("grant", &[b"ab", b"c"])).to_bytes();
        assert!(fits(&public, "grant", &[b"ab", b"c"], &signature));
        assert!(!fits(&public, "beat", &[b"ab", b"c"], &signature));
        assert!(!fits(&public, "grant", &[b"a", b"bc"], &signature));
        assert!(!fits(&public, "grant", &[b"abc"], &signature));
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes();
        assert!(!fits(&other, "grant", &[b"ab", b"c"], &signature));
        assert!(!fits(&[0; 32], "grant", &[b"ab", b"c"], &[0; 64]));
    }
}
