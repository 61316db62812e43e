//! A peer built on bare QUIC and TLS, so that it can do what our own transport never would.

use super::host;
use facetty::sim::net::Network;
use quinn::TransportConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::sync::Arc;

/// What a stranger brings to the handshake; the default is what we want to see.
#[derive(Clone)]
pub struct Manners {
    pub alpn: &'static [u8],
    pub kx: &'static dyn SupportedKxGroup,
    pub suite: rustls::SupportedCipherSuite,
    /// Shows a certificate instead of a raw key.
    pub certificate: bool,
    /// Shows this public key instead of its own.
    pub pretends: Option<[u8; 32]>,
    /// Uses a P-256 key.
    pub other_algorithm: bool,
    /// Shows no key at all when dialling.
    pub anonymous: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            alpn: b"facetty/1",
            kx: aws_lc_rs::kx_group::X25519MLKEM768,
            suite: aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            certificate: false,
            pretends: None,
            other_algorithm: false,
            anonymous: false,
        }
    }
}

const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

impl Manners {
    fn provider(&self) -> Arc<CryptoProvider> {
        Arc::new(CryptoProvider {
            cipher_suites: vec![self.suite],
            kx_groups: vec![self.kx],
            ..aws_lc_rs::default_provider()
        })
    }

    fn key(&self) -> Arc<CertifiedKey> {
        let key = if self.other_algorithm {
            // A P-256 key made for this test.
            let pkcs8 = p256_pkcs8();
            aws_lc_rs::sign::any_ecdsa_type(&PrivatePkcs8KeyDer::from(pkcs8).into())
        } else {
            let mut pkcs8 =
                vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 32];
            pkcs8.extend([99; 32]);
            aws_lc_rs::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8))
        }
        .expect("key");
        let shown = match self.pretends {
            Some(other) => [&ED25519_SPKI[..], &other].concat(),
            None => key.public_key().expect("public half").to_vec(),
        };
        Arc::new(CertifiedKey::new(vec![CertificateDer::from(shown)], key))
    }

    fn client(&self) -> quinn::ClientConfig {
        let verifier = Arc::new(Anything { raw: !self.certificate });
        let builder = rustls::ClientConfig::builder_with_provider(self.provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut tls = if self.anonymous {
            builder.with_no_client_auth()
        } else if self.certificate {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(
                Arc::into_inner(self.key()).expect("sole owner"),
            )))
        } else {
            builder.with_client_cert_resolver(Arc::new(
                rustls::client::AlwaysResolvesClientRawPublicKeys::new(self.key()),
            ))
        };
        tls.alpn_protocols = vec![self.alpn.to_vec()];
        let quic = QuicClientConfig::with_initial(Arc::new(tls), initial()).expect("initial suite");
        quinn::ClientConfig::new(Arc::new(quic))
    }

    fn server(&self) -> quinn::ServerConfig {
        let verifier = Arc::new(Anything { raw: !self.certificate });
        let builder = rustls::ServerConfig::builder_with_provider(self.provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_client_cert_verifier(verifier);
        let mut tls = if self.certificate {
            builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(
                Arc::into_inner(self.key()).expect("sole owner"),
            )))
        } else {
            builder.with_cert_resolver(Arc::new(
                rustls::server::AlwaysResolvesServerRawPublicKeys::new(self.key()),
            ))
        };
        tls.alpn_protocols = vec![self.alpn.to_vec()];
        let quic = QuicServerConfig::with_initial(Arc::new(tls), initial()).expect("initial suite");
        quinn::ServerConfig::with_crypto(Arc::new(quic))
    }

    /// A bare QUIC endpoint at host `n`.
    pub fn stranger(&self, net: &Network, n: u8) -> quinn::Endpoint {
        let mut config = quinn::EndpointConfig::default();
        config.rng_seed(Some([n; 32]));
        let socket = net.socket(host(n)).expect("free address");
        let runtime = Arc::new(quinn::TokioRuntime);
        let mut endpoint =
            quinn::Endpoint::new_with_abstract_socket(config, Some(self.server()), socket, runtime)
                .expect("endpoint");
        let mut client = self.client();
        let mut transport = TransportConfig::default();
        transport.max_idle_timeout(None).datagram_send_buffer_size(1 << 20);
        client.transport_config(Arc::new(transport));
        endpoint.set_default_client_config(client);
        endpoint
    }
}

fn initial() -> rustls::quic::Suite {
    aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256
        .tls13()
        .and_then(|suite| suite.quic_suite())
        .expect("AES-128")
}

fn p256_pkcs8() -> Vec<u8> {
    // RFC 5958 around an RFC 5915 key without public half; the scalar is 32 times 0x11.
    let mut der = vec![0x30, 0x41, 2, 1, 0, 0x30, 0x13, 6, 7];
    der.extend([0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8]);
    der.extend([0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
    der.extend([4, 0x27, 0x30, 0x25, 2, 1, 1, 4, 0x20]);
    der.extend([0x11; 32]);
    der
}

/// Believes everything: the stranger's own checks are not under test.
#[derive(Debug)]
struct Anything {
    raw: bool,
}

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw
    }
}

impl ClientCertVerifier for Anything {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw
    }
}
