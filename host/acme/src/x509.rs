//! What is read out of requests and certificates: names, key, and what a certificate is called.
//!
//! Reading only. Whether a request was signed by its key, and everything else about it, is the authority's to check.
//! Nothing may follow a structure, and nothing in it that says a name may be of a kind that ACME has no identifier for.

use crate::id::CertificateId;
use crate::identifier::{DnsName, Identifier};
use crate::jwk::Jwk;
use hypermesh_model::Timestamp;
use std::collections::BTreeSet;
use std::net::IpAddr;
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::oid_registry::{OID_SIG_ED25519, OID_X509_EXT_SUBJECT_ALT_NAME};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

/// Bytes of a certificate or request, DER. One with 100 names of full length is about 26 KiB.
const MAX_DER: usize = 48 << 10;

/// Why a structure can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum X509Error {
    #[error("it is larger than 48 KiB")]
    Size,
    #[error("it is no DER of the right structure, or something follows it")]
    Structure,
    #[error("a name in it is no identifier of type `dns` or `ip`: {0}")]
    Name(String),
    #[error("it has two lists of names")]
    Twice,
    #[error("the common name {0:?} is no name of a host")]
    CommonName(String),
    #[error("it lacks the key identifier of its issuer")]
    KeyIdentifier,
}

/// What a PKCS #10 request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Its names, each once.
    pub(crate) names: BTreeSet<Identifier>,
    /// Its key, if it is of a kind that an account could have.
    pub(crate) key: Option<Jwk>,
}

impl Request {
    /// Reads a request.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        if der.len() > MAX_DER {
            return Err(X509Error::Size);
        }
        let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| X509Error::Structure)?;
        if !rest.is_empty() {
            return Err(X509Error::Structure);
        }
        let info = &request.certification_request_info;
        let mut extensions = Vec::new();
        for attribute in info.iter_attributes() {
            // A password or anything else is no name; the authority decides what it makes of it.
            if let ParsedCriAttribute::ExtensionRequest(requested) = attribute.parsed_attribute() {
                extensions.extend(&requested.extensions);
            }
        }
        let names = names(extensions.into_iter())?;
        // Each stands in the common name, among the alternative names, or in both (RFC 8555, 7.4).
        let mut names = names.unwrap_or_default();
        names.extend(common_names(&info.subject)?);
        Ok(Self { names, key: key(&info.subject_pki) })
    }
}

/// What a certificate says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CertificateFacts {
    /// What it is called.
    pub(crate) id: CertificateId,
    /// Its names that ACME has identifiers for; `None` if it has others too.
    pub(crate) names: Option<BTreeSet<Identifier>>,
    /// Its key, if it is of a kind that an account could have.
    pub(crate) key: Option<Jwk>,
    /// When it ceases to be valid.
    pub(crate) not_after: Timestamp,
}

impl CertificateFacts {
    /// Reads a certificate.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        if der.len() > MAX_DER {
            return Err(X509Error::Size);
        }
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| X509Error::Structure)?;
        if !rest.is_empty() {
            return Err(X509Error::Structure);
        }
        let key_identifier = certificate.extensions().iter().find_map(|extension| {
            let ParsedExtension::AuthorityKeyIdentifier(found) = extension.parsed_extension() else {
                return None;
            };
            found.key_identifier.as_ref().map(|id| id.0)
        });
        let key_identifier = key_identifier.ok_or(X509Error::KeyIdentifier)?;
        let seconds = certificate.validity().not_after.timestamp();
        Ok(Self {
            id: CertificateId::new(key_identifier, certificate.raw_serial()),
            names: names(certificate.extensions().iter()).ok().flatten(),
            key: key(certificate.public_key()),
            not_after: Timestamp::from_millis(seconds.saturating_mul(1000)),
        })
    }
}

/// The alternative names among these extensions; `None` if there are none.
pub(crate) fn names<'a>(
    extensions: impl Iterator<Item = &'a X509Extension<'a>>,
) -> Result<Option<BTreeSet<Identifier>>, X509Error> {
    let mut found = None;
    for extension in extensions.filter(|extension| extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME) {
        if found.is_some() {
            return Err(X509Error::Twice);
        }
        // One that can't be parsed is a list all the same.
        let ParsedExtension::SubjectAlternativeName(list) = extension.parsed_extension() else {
            return Err(X509Error::Structure);
        };
        let names: Result<BTreeSet<_>, _> = list.general_names.iter().map(identifier).collect();
        found = Some(names?);
    }
    Ok(found)
}

fn identifier(name: &GeneralName<'_>) -> Result<Identifier, X509Error> {
    let wrong = || X509Error::Name(name.to_string().chars().take(100).collect());
    if let GeneralName::DNSName(text) = name {
        return DnsName::parse(text).map(Identifier::Dns).map_err(|_| wrong());
    }
    let GeneralName::IPAddress(octets) = name else { return Err(wrong()) };
    let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
    let address = v4.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from));
    address.map(Identifier::Ip).map_err(|_| wrong())
}

/// The common names of a subject, as identifiers.
fn common_names(subject: &X509Name<'_>) -> Result<Vec<Identifier>, X509Error> {
    let mut names = Vec::new();
    for attribute in subject.iter_common_name() {
        let wrong = || X509Error::CommonName("not a name".into());
        let text = attribute.as_str().map_err(|_| wrong())?;
        let name = text.parse().map(Identifier::Ip).ok();
        let name = name.or_else(|| DnsName::parse(text).map(Identifier::Dns).ok());
        names.push(name.ok_or_else(|| X509Error::CommonName(text.chars().take(100).collect()))?);
    }
    Ok(names)
}

fn key(spki: &SubjectPublicKeyInfo<'_>) -> Option<Jwk> {
    if spki.algorithm.algorithm == OID_SIG_ED25519 {
        let x = spki.subject_public_key.data.to_vec();
        return (x.len() == 32).then_some(Jwk::Ed25519 { x });
    }
    match spki.parsed().ok()? {
        PublicKey::RSA(key) => {
            let minimal = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect();
            Jwk::rsa(minimal(key.modulus), minimal(key.exponent)).ok()
        }
        PublicKey::EC(point) => Jwk::from_point(point.data()),
        PublicKey::DSA(_)
        | PublicKey::GostR3410(_)
        | PublicKey::GostR3410_2012(_)
        | PublicKey::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in any::<Vec<u8>>()) {
            let _ = Request::from_der(&bytes);
            let _ = CertificateFacts::from_der(&bytes);
            let nested = [&[0x30, 0x82, 0x01, 0x00][..], &bytes].concat();
            let _ = Request::from_der(&nested);
        }
    }
}
