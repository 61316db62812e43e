//! A stranger on bare QUIC and TLS, who can do what our own transport never would: speak another
//! protocol, offer other keys and suites, show somebody else's key, say anything on any stream.

use super::{LabError, setup};
use crate::sim::net::Network;
use quinn::TransportConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme, version};
use std::net::SocketAddr;
use std::sync::Arc;

/// What a stranger brings to the handshake; the default is what a member brings.
#[derive(Clone)]
pub struct Manners {
    /// Protocol offered (RFC 7301).
    pub alpn: &'static [u8],
    /// The one key exchange offered.
    pub kx: &'static dyn SupportedKxGroup,
    /// The one cipher suite offered.
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
            alpn: crate::transport::ALPN,
            kx: aws_lc_rs::kx_group::X25519MLKEM768,
            suite: aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            certificate: false,
            pretends: None,
            other_algorithm: false,
            anonymous: false,
        }
    }
}

/// Every way of being incompatible, or lying, with its name; `somebody` is the key lied about.
pub fn bad(somebody: [u8; 32]) -> Vec<(&'static str, Manners)> {
    use aws_lc_rs::{cipher_suite as suite, kx_group as kx};
    let good = Manners::default;
    vec![
        ("another protocol", Manners { alpn: b"h3", ..good() }),
        ("an older version of ours", Manners { alpn: b"facetty/0", ..good() }),
        ("X25519 alone", Manners { kx: kx::X25519, ..good() }),
        ("ML-KEM alone", Manners { kx: kx::MLKEM768, ..good() }),
        ("P-256", Manners { kx: kx::SECP256R1, ..good() }),
        ("AES-256", Manners { suite: suite::TLS13_AES_256_GCM_SHA384, ..good() }),
        ("AES-128", Manners { suite: suite::TLS13_AES_128_GCM_SHA256, ..good() }),
        ("a certificate", Manners { certificate: true, ..good() }),
        ("a P-256 key", Manners { other_algorithm: true, ..good() }),
        ("somebody else's key", Manners { pretends: Some(somebody), ..good() }),
    ]
}

const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

impl Manners {
    fn provider(&self) -> Arc<CryptoProvider> {
        Arc::new(CryptoProvider {
            cipher_suites: vec![self.suite],
            kx_groups: vec![self.kx],
            ..aws_lc_rs::default_provider()
        })
    }

    fn key(&self) -> Result<CertifiedKey, LabError> {
        let key = if self.other_algorithm {
            aws_lc_rs::sign::any_ecdsa_type(&PrivatePkcs8KeyDer::from(p256_pkcs8()).into())
        } else {
            let pkcs8 = [&PKCS8[..], &[99; 32]].concat();
            aws_lc_rs::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8))
        };
        let key = key.map_err(setup)?;
        let shown = match self.pretends {
            Some(other) => [&SPKI[..], &other].concat(),
            None => key.public_key().ok_or_else(|| setup("no public half"))?.to_vec(),
        };
        Ok(CertifiedKey::new(vec![CertificateDer::from(shown)], key))
    }

    fn client(&self) -> Result<quinn::ClientConfig, LabError> {
        let verifier = Arc::new(Anything { raw: !self.certificate });
        let builder = rustls::ClientConfig::builder_with_provider(self.provider())
            .with_protocol_versions(&[&version::TLS13])
            .map_err(setup)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let key = self.key()?;
        let mut tls = if self.anonymous {
            builder.with_no_client_auth()
        } else if self.certificate {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        } else {
            builder.with_client_cert_resolver(Arc::new(
                rustls::client::AlwaysResolvesClientRawPublicKeys::new(Arc::new(key)),
            ))
        };
        tls.alpn_protocols = vec![self.alpn.to_vec()];
        let quic = QuicClientConfig::with_initial(Arc::new(tls), initial()?).map_err(setup)?;
        Ok(quinn::ClientConfig::new(Arc::new(quic)))
    }

    fn server(&self) -> Result<quinn::ServerConfig, LabError> {
        let verifier = Arc::new(Anything { raw: !self.certificate });
        let builder = rustls::ServerConfig::builder_with_provider(self.provider())
            .with_protocol_versions(&[&version::TLS13])
            .map_err(setup)?
            .with_client_cert_verifier(verifier);
        let key = self.key()?;
        let mut tls = if self.certificate {
            builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        } else {
            builder.with_cert_resolver(Arc::new(
                rustls::server::AlwaysResolvesServerRawPublicKeys::new(Arc::new(key)),
            ))
        };
        tls.alpn_protocols = vec![self.alpn.to_vec()];
        let quic = QuicServerConfig::with_initial(Arc::new(tls), initial()?).map_err(setup)?;
        Ok(quinn::ServerConfig::with_crypto(Arc::new(quic)))
    }

    /// A bare QUIC endpoint of this kind, at `at`. Equal addresses give equal packets: QUIC's own
    /// random choices follow from the address.
    pub fn stranger(&self, net: &Network, at: SocketAddr) -> Result<quinn::Endpoint, LabError> {
        let socket = net.socket(at).map_err(setup)?;
        let runtime = Arc::new(quinn::TokioRuntime);
        let mut config = quinn::EndpointConfig::default();
        config.rng_seed(Some(seed(at)));
        let server = Some(self.server()?);
        let mut endpoint =
            quinn::Endpoint::new_with_abstract_socket(config, server, socket, runtime)
                .map_err(setup)?;
        let mut client = self.client()?;
        let mut transport = TransportConfig::default();
        // It never hangs up by itself, and sends as fast as it likes.
        transport.max_idle_timeout(None).datagram_send_buffer_size(1 << 20);
        client.transport_config(Arc::new(transport));
        endpoint.set_default_client_config(client);
        Ok(endpoint)
    }
}

/// Seed of an endpoint at this address.
fn seed(at: SocketAddr) -> [u8; 32] {
    let mut seed = [0; 32];
    for (to, from) in seed.iter_mut().zip(at.to_string().bytes()) {
        *to = from;
    }
    seed
}

/// A P-256 key in PKCS #8 (RFC 5958) around an RFC 5915 key without public half; the scalar is 32
/// times 0x11.
fn p256_pkcs8() -> Vec<u8> {
    let mut der = vec![0x30, 0x41, 2, 1, 0, 0x30, 0x13, 6, 7];
    der.extend([0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8]);
    der.extend([0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
    der.extend([4, 0x27, 0x30, 0x25, 2, 1, 1, 4, 0x20]);
    der.extend([0x11; 32]);
    der
}

fn initial() -> Result<rustls::quic::Suite, LabError> {
    aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256
        .tls13()
        .and_then(|suite| suite.quic_suite())
        .ok_or_else(|| setup("no AES-128 for QUIC's first packets"))
}

/// Believes everything: the stranger's own checks are not under attack.
#[derive(Debug)]
struct Anything {
    raw: bool,
}

const SCHEMES: [SignatureScheme; 2] =
    [SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256];

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
        SCHEMES.to_vec()
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
        SCHEMES.to_vec()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw
    }
}
