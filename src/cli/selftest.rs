//! The cryptography of this build on published vectors: a miscompiled or broken primitive must not
//! carry a call.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use ed25519_dalek::{Signer, SigningKey};
use hkdf::Hkdf;
use rustls::crypto::aws_lc_rs::kx_group::X25519MLKEM768;
use sha2::{Digest, Sha256};

/// One primitive, and whether it gave what its document says.
pub(super) struct Vector {
    /// Name and document.
    pub name: &'static str,
    /// Equal to the published value.
    pub passed: bool,
}

/// Runs all.
pub(super) fn all() -> Vec<Vector> {
    let vector = |name, passed: Option<bool>| Vector { name, passed: passed.unwrap_or(false) };
    vec![
        vector("SHA-256 (FIPS 180-4)", sha256()),
        vector("HKDF-SHA256 (RFC 5869 A.1)", hkdf()),
        vector("ChaCha20-Poly1305 (RFC 8439 2.8.2)", chacha()),
        vector("Ed25519 (RFC 8032 7.1, test 2)", ed25519()),
        vector("Argon2id (RFC 9106 5.3)", argon2id()),
        vector("X25519MLKEM768 (agreement of both sides)", hybrid()),
    ]
}

fn sha256() -> Option<bool> {
    let expected = hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")?;
    Some(Sha256::digest(b"abc").as_slice() == expected)
}

fn hkdf() -> Option<bool> {
    let key = hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b")?;
    let salt = hex("000102030405060708090a0b0c")?;
    let info = hex("f0f1f2f3f4f5f6f7f8f9")?;
    let expected = hex(
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    )?;
    let mut out = [0; 42];
    Hkdf::<Sha256>::new(Some(&salt), &key).expand(&info, &mut out).ok()?;
    Some(out.as_slice() == expected)
}

fn chacha() -> Option<bool> {
    let key: [u8; 32] =
        hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f")?.try_into().ok()?;
    let nonce: [u8; 12] = hex("070000004041424344454647")?.try_into().ok()?;
    let aad = hex("50515253c0c1c2c3c4c5c6c7")?;
    let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for \
                 the future, sunscreen would be it.";
    let expected = hex(
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69\
         da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad67594\
         5585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
    )?;
    let cipher = ChaCha20Poly1305::new(&Key::from(key));
    let payload = Payload { msg: text, aad: &aad };
    let sealed = cipher.encrypt(&Nonce::from(nonce), payload).ok()?;
    let mut broken = sealed.clone();
    *broken.last_mut()? ^= 1;
    let forged = cipher.decrypt(&Nonce::from(nonce), Payload { msg: &broken, aad: &aad });
    Some(sealed == expected && forged.is_err())
}

fn ed25519() -> Option<bool> {
    let seed: [u8; 32] =
        hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")?.try_into().ok()?;
    let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")?;
    let expected = hex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613\
         d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    )?;
    let key = SigningKey::from_bytes(&seed);
    let signature = key.sign(&[0x72]);
    Some(
        key.verifying_key().as_bytes().as_slice() == public
            && signature.to_bytes().as_slice() == expected
            && key.verifying_key().verify_strict(&[0x73], &signature).is_err(),
    )
}

/// RFC 9106's own vector, with its secret and associated data.
fn argon2id() -> Option<bool> {
    use argon2::{Algorithm, Argon2, AssociatedData, ParamsBuilder, Version};
    let expected = hex("0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659")?;
    let params = ParamsBuilder::new()
        .m_cost(32)
        .t_cost(3)
        .p_cost(4)
        .data(AssociatedData::new(&[4; 12]).ok()?)
        .output_len(32)
        .build()
        .ok()?;
    let argon =
        Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).ok()?;
    let mut out = [0; 32];
    argon.hash_password_into(&[1; 32], &[2; 16], &mut out).ok()?;
    Some(out.as_slice() == expected)
}

/// The key exchange of TLS: no published vector fits its random share, so both sides are played.
fn hybrid() -> Option<bool> {
    let client = X25519MLKEM768.start().ok()?;
    let server = X25519MLKEM768.start_and_complete(client.pub_key()).ok()?;
    let secret = client.complete(&server.pub_key).ok()?;
    Some(secret.secret_bytes() == server.secret.secret_bytes())
}

fn hex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_published_vector_comes_out() {
        for vector in super::all() {
            assert!(vector.passed, "{}", vector.name);
        }
    }
}
