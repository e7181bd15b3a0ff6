//! tls-alpn-01 (RFC 8737): a TLS server shows a certificate that was made for the challenge.
//!
//! No certificate is trusted here, so none is refused by its chain: that the server has its key is verified by the
//! handshake, what the certificate says is compared in `check`. The same connections serve http-01 where it is led to
//! TLS.

use super::network::NetworkProbe;
use super::{Attempt, ProbeFailure};
use crate::identifier::Identifier;
use crate::problem::ProblemKind;
use crate::x509;
use aws_lc_rs::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// The protocol that a server speaks for this challenge.
const PROTOCOL: &[u8] = b"acme-tls/1";
/// id-pe-acmeIdentifier.
const ACME_IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";

pub(super) async fn prove(probe: &NetworkProbe, attempt: &Attempt) -> Result<(), ProbeFailure> {
    let stream = probe.connect(&attempt.identifier, probe.reach().tls_port()).await?;
    let stream = open(stream, &attempt.identifier, &[PROTOCOL]).await?;
    let (_, connection) = stream.get_ref();
    let wrong = |why: &str| {
        let detail = format!("the TLS server of {} {why}", attempt.identifier);
        ProbeFailure::new(ProblemKind::IncorrectResponse, detail)
    };
    if connection.alpn_protocol() != Some(PROTOCOL) {
        return Err(wrong("does not speak acme-tls/1"));
    }
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    let certificate = certificate.ok_or_else(|| wrong("shows no certificate"))?;
    check(certificate, &attempt.identifier, &attempt.key_authorization).map_err(wrong)
}

/// A TLS connection whose certificate nobody judged.
pub(super) async fn open(
    stream: TcpStream,
    host: &Identifier,
    protocols: &[&[u8]],
) -> Result<TlsStream<TcpStream>, ProbeFailure> {
    let failed =
        |why: String| ProbeFailure::new(ProblemKind::Tls, format!("the TLS server of {host}: {why}"));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| failed(error.to_string()))?;
    let mut config = config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from(server_name(host)).map_err(|error| failed(error.to_string()))?;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| failed(error.to_string()))
}

/// What a server is asked for; for an address its name in the reverse zones (RFC 8738, 6), without the final dot.
fn server_name(host: &Identifier) -> String {
    match host {
        Identifier::Dns(name) => name.to_string(),
        Identifier::Ip(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Identifier::Ip(IpAddr::V6(address)) => {
            let nibbles = address.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa"
        }
    }
}

/// What is wrong with a challenge's certificate, if anything (RFC 8737, 3).
fn check(der: &[u8], identifier: &Identifier, key_authorization: &str) -> Result<(), &'static str> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| "shows what is no certificate")?;
    if !rest.is_empty() {
        return Err("shows a certificate with something behind it");
    }
    let names = x509::names(certificate.extensions().iter()).ok().flatten();
    if names != Some(BTreeSet::from([identifier.clone()])) {
        return Err("shows a certificate that is not for this identifier alone");
    }
    let mut found =
        certificate.extensions().iter().filter(|extension| extension.oid.to_id_string() == ACME_IDENTIFIER);
    let (Some(extension), None) = (found.next(), found.next()) else {
        return Err("shows a certificate without exactly one acmeIdentifier extension");
    };
    if !extension.critical {
        return Err("shows a certificate whose acmeIdentifier extension is not critical");
    }
    // An OCTET STRING of 32 octets.
    let digest = digest::digest(&digest::SHA256, key_authorization.as_bytes());
    if extension.value != [&[0x04, 0x20], digest.as_ref()].concat() {
        return Err("shows a certificate for another key authorization");
    }
    Ok(())
}

/// Takes any certificate whose key the server has.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl AnyCertificate {
    /// The key of a certificate, as it stands there. webpki refuses certificates with critical extensions that it does
    /// not know, and this challenge's have one.
    fn key(der: &CertificateDer<'_>) -> Result<(Vec<u8>, Vec<u8>), rustls::Error> {
        let bad = |_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
        let (_, certificate) = X509Certificate::from_der(der).map_err(bad)?;
        let spki = certificate.public_key();
        Ok((spki.raw.to_vec(), spki.subject_public_key.data.to_vec()))
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let (_, key) = Self::key(certificate)?;
        let known = self.0.signature_verification_algorithms.mapping.iter();
        let algorithms =
            known.filter(|(scheme, _)| *scheme == signature.scheme).flat_map(|(_, all)| all.iter());
        let mut verified =
            algorithms.map(|algorithm| algorithm.verify_signature(&key, message, signature.signature()));
        if verified.any(|result| result.is_ok()) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(rustls::Error::InvalidCertificate(CertificateError::BadSignature))
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let (spki, _) = Self::key(certificate)?;
        let spki = SubjectPublicKeyInfoDer::from(spki);
        verify_tls13_signature_with_raw_key(
            message,
            &spki,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_for_by_its_name_in_the_reverse_zone() {
        let name = |text| server_name(&Identifier::parse("ip", text).unwrap());
        assert_eq!(name("1.2.3.4"), "4.3.2.1.in-addr.arpa");
        assert_eq!(
            name("2001:db8::567:89ab"),
            "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }
}
