//! TLS of the listeners: version 1.3, aws-lc-rs, the hybrid key exchange X25519MLKEM768 first.
//!
//! The certificate comes from a place that can be changed while connections are made, so that a rotation drops none: what
//! was negotiated goes on, and the next handshake sees the new one. Client certificates are asked for and not demanded;
//! one that no root of ours stands above ends the handshake (RFC 8446 §4.4.2.4). What a client may do is `auth`'s
//! affair, which also asks whether its certificate was revoked.
//!
//! Fails only when it is set up: for a certificate or key that can't be read, or that don't belong together.

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

/// What is spoken inside.
const ALPN: &[u8] = b"http/1.1";

/// Why a listener can't speak TLS with these.
#[derive(Debug, Error)]
pub enum TlsError {
    /// They can't be used, or don't belong together.
    #[error("the certificate and its key can't be used")]
    Unusable(#[source] rustls::Error),
    /// Client certificates can't be verified with this root.
    #[error("the root of client certificates can't be used")]
    Root(#[source] VerifierBuilderError),
}

/// What listeners show: certificates and a key, DER.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// The node's certificate, and the one that signed it.
    pub chain: &'a [Vec<u8>],
    /// Its private key, PKCS #8.
    pub key: &'a [u8],
}

/// How listeners speak TLS. Cheap to clone; clones show the same certificate.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    current: Arc<Current>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(…)")
    }
}

/// The certificate that handshakes show now.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Tls {
    /// Shows a certificate, and takes client certificates below `root` (DER).
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(shown: Shown<'_>, root: &[u8]) -> Result<Self, TlsError> {
        let provider = Arc::new(provider());
        let current = Arc::new(Current(RwLock::new(certified(shown, &provider)?)));
        let mut anchors = RootCertStore::empty();
        anchors.add(CertificateDer::from(root.to_vec())).map_err(TlsError::Unusable)?;
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(TlsError::Root)?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Unusable)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { config: Arc::new(config), current, provider })
    }

    /// Shows another certificate from the next handshake on.
    ///
    /// # Errors
    /// [`TlsError`]; then the old one stays.
    pub fn replace(&self, shown: Shown<'_>) -> Result<(), TlsError> {
        let next = certified(shown, &self.provider)?;
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

/// aws-lc-rs with the hybrid key exchange first: who records traffic now can't read it with a later quantum computer.
fn provider() -> CryptoProvider {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    CryptoProvider {
        kx_groups: vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1],
        ..aws_lc_rs::default_provider()
    }
}

fn certified(shown: Shown<'_>, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = shown.chain.iter().map(|certificate| CertificateDer::from(certificate.clone())).collect();
    let key = PrivatePkcs8KeyDer::from(shown.key).clone_key();
    CertifiedKey::from_der(chain, key.into(), provider).map(Arc::new).map_err(TlsError::Unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hybrid_key_exchange_is_preferred() {
        assert_eq!(provider().kx_groups[0].name(), rustls::NamedGroup::X25519MLKEM768);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let nothing = Shown { chain: &[], key: b"nothing" };
        assert!(matches!(Tls::new(nothing, b""), Err(TlsError::Unusable(_))));
    }
}
