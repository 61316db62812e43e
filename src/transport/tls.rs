//! TLS 1.3 (RFC 8446) as this program uses it: one key exchange, one cipher suite, raw Ed25519
//! public keys (RFC 7250) both ways, and nothing to negotiate down to. TLS proves that the peer
//! *holds* the key it shows. *Whose* key that is, is decided above, before anything else is read.

use crate::secret::Secret;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme, quic,
};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The protocol's name in ALPN (RFC 7301).
pub const ALPN: &[u8] = b"facetty/1";
/// Label of the TLS exporter (RFC 8446 §7.5) the handshake above binds itself to.
pub const EXPORTER: &[u8] = b"EXPORTER-facetty 1";
/// SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 §4) up to the 32 key bytes.
const SPKI_ED25519: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];
/// PKCS#8 of an Ed25519 private key (RFC 8410 §7) up to the 32 seed bytes.
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The TLS halves of an endpoint: it can dial and listen with the same key.
pub(crate) struct TlsConfigs {
    pub(crate) client: Arc<QuicClientConfig>,
    pub(crate) server: Arc<QuicServerConfig>,
}

/// Builds both halves for the key whose Ed25519 seed is `seed`.
pub(crate) fn configs(seed: &Secret<32>) -> Result<TlsConfigs, Error> {
    let provider = Arc::new(provider());
    let key = certified_key(seed)?;
    let verifier = Arc::new(AnyEd25519 { algorithms: provider.signature_verification_algorithms });

    let mut client = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone())
        .with_client_cert_resolver(Arc::new(
            rustls::client::AlwaysResolvesClientRawPublicKeys::new(key.clone()),
        ));
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.enable_sni = false;
    client.enable_early_data = false;
    client.resumption = rustls::client::Resumption::disabled();

    let mut server = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(rustls::server::AlwaysResolvesServerRawPublicKeys::new(key)));
    server.alpn_protocols = vec![ALPN.to_vec()];
    server.max_early_data_size = 0;
    server.send_tls13_tickets = 0;
    server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});

    let unusable =
        |_| Error::General("the cipher suite for QUIC Initial packets is missing".into());
    Ok(TlsConfigs {
        client: Arc::new(
            QuicClientConfig::with_initial(Arc::new(client), initial_suite()?).map_err(unusable)?,
        ),
        server: Arc::new(
            QuicServerConfig::with_initial(Arc::new(server), initial_suite()?).map_err(unusable)?,
        ),
    })
}

/// X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem) and TLS_CHACHA20_POLY1305_SHA256, alone.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256],
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    }
}

/// QUIC Initial packets are masked with AES-128-GCM under a key anyone can compute (RFC 9001 §5.2);
/// it protects nothing and is never used for traffic.
fn initial_suite() -> Result<quic::Suite, Error> {
    aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256
        .tls13()
        .and_then(|suite| suite.quic_suite())
        .ok_or_else(|| Error::General("AES-128-GCM for QUIC Initial packets is missing".into()))
}

fn certified_key(seed: &Secret<32>) -> Result<Arc<CertifiedKey>, Error> {
    let mut pkcs8 = Zeroizing::new([0u8; 48]);
    pkcs8[..16].copy_from_slice(&PKCS8_ED25519);
    pkcs8[16..].copy_from_slice(seed.expose());
    let key = aws_lc_rs::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8.as_slice()))?;
    let spki = key
        .public_key()
        .ok_or_else(|| Error::General("the key has no public half".into()))?
        .to_vec();
    Ok(Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], key)))
}

/// The 32 bytes of an Ed25519 key in SubjectPublicKeyInfo form; anything else is `None`.
pub(crate) fn ed25519_of_spki(spki: &[u8]) -> Option<[u8; 32]> {
    spki.strip_prefix(&SPKI_ED25519)?.try_into().ok()
}

/// Accepts every well-formed Ed25519 key and checks for real that the peer signed with it.
#[derive(Debug)]
struct AnyEd25519 {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyEd25519 {
    fn check_form(key: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<(), Error> {
        if !more.is_empty() || ed25519_of_spki(key).is_none() {
            return Err(Error::InvalidCertificate(CertificateError::BadEncoding));
        }
        Ok(())
    }

    fn check_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if dss.scheme != SignatureScheme::ED25519 {
            return Err(Error::InvalidCertificate(CertificateError::BadSignature));
        }
        rustls::crypto::verify_tls13_signature_with_raw_key(
            message,
            &SubjectPublicKeyInfoDer::from(key.as_ref()),
            dss,
            &self.algorithms,
        )
    }
}

/// TLS 1.2 isn't even compiled in; if it ever were, this still refuses it.
fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::PeerIncompatible(rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13))
}

impl ServerCertVerifier for AnyEd25519 {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Self::check_form(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for AnyEd25519 {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Self::check_form(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_key_shown_is_the_ed25519_key_of_the_seed() {
        let seed = Secret::build(|b| b.fill(7));
        let key = certified_key(&seed).expect("a seed is always a key");
        let shown = ed25519_of_spki(&key.cert[0]).expect("Ed25519");
        let expected = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
        assert_eq!(shown, expected.to_bytes());
    }

    #[test]
    fn only_ed25519_keys_of_the_exact_form_are_taken() {
        let mut spki = SPKI_ED25519.to_vec();
        spki.extend([9; 32]);
        assert_eq!(ed25519_of_spki(&spki), Some([9; 32]));
        assert_eq!(ed25519_of_spki(&spki[..43]), None);
        assert_eq!(ed25519_of_spki(&[spki.as_slice(), &[0]].concat()), None);
        spki[8] = 0x71; // Ed448
        assert_eq!(ed25519_of_spki(&spki), None);
    }

    #[test]
    fn there_is_nothing_to_negotiate_down_to() {
        let provider = provider();
        let kx: Vec<_> = provider.kx_groups.iter().map(|g| g.name()).collect();
        assert_eq!(kx, [rustls::NamedGroup::X25519MLKEM768]);
        let suites: Vec<_> = provider.cipher_suites.iter().map(|s| s.suite()).collect();
        assert_eq!(suites, [rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256]);
        assert!(rustls::ALL_VERSIONS.iter().all(|v| v.version == rustls::ProtocolVersion::TLSv1_3));
    }
}
