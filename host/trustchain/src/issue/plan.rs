//! From a request to an order: key, subject, names, dates, each with its rule.

use super::{names, read_csr};
use crate::TrustChain;
use crate::error::TrustError;
use crate::requests::{IssueRequest, KeyKind, KeySource, RenewRequest};
use hypermesh_model::{CertificateId, CertificateProfile, CertificateStatus, Timestamp};
use hypermesh_pki::{BACKDATE_S, DistinguishedName, KeyAlgorithm, Names, PrivateKey, Profile, PublicKey};

const DAY: u64 = 86_400;

/// A certificate that may be issued.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) profile: CertificateProfile,
    pub(crate) subject: DistinguishedName,
    pub(crate) names: Names,
    pub(crate) key: PublicKey,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

pub(crate) fn pki_profile(profile: CertificateProfile) -> Profile {
    match profile {
        CertificateProfile::Server => Profile::Server,
        CertificateProfile::Client => Profile::Client,
        CertificateProfile::Node => Profile::Node,
        CertificateProfile::CodeSigning => Profile::CodeSigning,
    }
}

/// How long a certificate is valid when nobody says: the contract's 90 days, and a day for a node.
fn usual_seconds(profile: CertificateProfile) -> u64 {
    match profile {
        CertificateProfile::Node => DAY,
        CertificateProfile::Server | CertificateProfile::Client | CertificateProfile::CodeSigning => 90 * DAY,
    }
}

pub(crate) fn make_key(kind: KeyKind) -> Result<PrivateKey, TrustError> {
    let algorithm = match kind {
        KeyKind::P256 => KeyAlgorithm::EcdsaP256,
        KeyKind::P384 => KeyAlgorithm::EcdsaP384,
        KeyKind::Ed25519 => KeyAlgorithm::Ed25519,
    };
    PrivateKey::generate(algorithm).map_err(TrustError::internal("making a key"))
}

impl TrustChain {
    /// What a request comes to, and the key that was made for it.
    pub(crate) fn plan(&self, request: IssueRequest) -> Result<(Plan, Option<PrivateKey>), TrustError> {
        let csr = read_csr(&request.key).transpose()?;
        let subject = request.subject.as_deref().map(parse_subject).transpose()?;
        let mut wanted = names::parse(&request.names)?;
        if let Some(csr) = csr.as_ref().filter(|_| wanted.is_empty()) {
            wanted = csr.names.clone();
        }
        let subject = subject.or_else(|| csr.as_ref().map(|csr| csr.subject.clone()));
        let (subject, wanted) = complete(subject, wanted, request.profile)?;
        let reasons = names::outside(&wanted, request.profile, &self.settings);
        if let Some(first) = reasons.first() {
            return Err(TrustError::Refused { detail: first.clone(), reasons });
        }
        let (key, private) = match (csr, request.key) {
            (Some(csr), _) => (csr.key, None),
            (None, KeySource::Generate(kind)) => {
                let private = make_key(kind)?;
                (private.public().clone(), Some(private))
            }
            (None, KeySource::Csr(_) | KeySource::CsrDer(_)) => {
                return Err(TrustError::invalid("csr", "it can't be read"));
            }
        };
        let plan = self.dated(request.profile, subject, wanted, key, request.validity_seconds);
        Ok((plan, private))
    }

    /// With the dates that were asked for, or the usual ones as far as the issuer is valid.
    pub(crate) fn dated(
        &self,
        profile: CertificateProfile,
        subject: DistinguishedName,
        names: Names,
        key: PublicKey,
        seconds: Option<u64>,
    ) -> Plan {
        let now = Timestamp::now();
        let issuer = self.ca().active.certificate.clone();
        let not_after = match seconds {
            Some(seconds) => now.plus_seconds(seconds),
            None => now.plus_seconds(usual_seconds(profile)).min(issuer.not_after()),
        };
        let not_before = now.minus_seconds(BACKDATE_S).max(issuer.not_before());
        Plan { profile, subject, names, key, not_before, not_after }
    }

    /// The same certificate again.
    pub(crate) fn plan_again(
        &self,
        id: &CertificateId,
        request: RenewRequest,
    ) -> Result<(Plan, Option<PrivateKey>), TrustError> {
        let old = self.index.get(id).ok_or_else(|| TrustError::not_found("certificate", id))?;
        if self.status_of(&old, Timestamp::now()) == CertificateStatus::Revoked {
            return Err(TrustError::conflict("the certificate was revoked; issue a new one"));
        }
        let certificate = self.read(&old)?;
        let profile =
            old.profile.ok_or_else(|| TrustError::conflict("an authority is replaced by a rollover"))?;
        let (key, private) = match &request.key {
            None => (certificate.public_key().clone(), None),
            Some(KeySource::Generate(kind)) => {
                let private = make_key(*kind)?;
                (private.public().clone(), Some(private))
            }
            Some(source @ (KeySource::Csr(_) | KeySource::CsrDer(_))) => match read_csr(source) {
                Some(csr) => (csr?.key, None),
                None => return Err(TrustError::invalid("csr", "it can't be read")),
            },
        };
        let life = old.valid_from.until(old.valid_to).as_secs().saturating_sub(BACKDATE_S);
        let issuer_end = self.ca().active.certificate.not_after();
        let longest = Timestamp::now().until(issuer_end).as_secs();
        let seconds = request.validity_seconds.unwrap_or_else(|| life.min(longest));
        let (subject, names) = (certificate.subject().clone(), certificate.names().clone());
        Ok((self.dated(profile, subject, names, key, Some(seconds)), private))
    }
}

fn parse_subject(text: &str) -> Result<DistinguishedName, TrustError> {
    // People write plain names where a distinguished name is meant.
    if text.contains('=') {
        DistinguishedName::parse(text).map_err(|e| TrustError::invalid("subject", e.to_string()))
    } else {
        DistinguishedName::common(text).map_err(|e| TrustError::invalid("subject", e.to_string()))
    }
}

/// Subject and names from each other: a host in the common name is a name, and without a subject the first name is it.
fn complete(
    subject: Option<DistinguishedName>,
    names: Names,
    profile: CertificateProfile,
) -> Result<(DistinguishedName, Names), TrustError> {
    let hosts = match profile {
        CertificateProfile::Server | CertificateProfile::Node => true,
        CertificateProfile::Client | CertificateProfile::CodeSigning => false,
    };
    let subject = subject.unwrap_or_else(DistinguishedName::empty);
    let common =
        subject.common_name().filter(|name| hosts && names::is_host(name)).map(str::to_ascii_lowercase);
    let known = |name: &String| {
        names.dns().contains(name) || name.parse().is_ok_and(|address| names.ips().contains(&address))
    };
    let names = match common.filter(|name| !known(name)) {
        None => names,
        Some(name) => {
            let mut texts = names::with_kinds(&names);
            texts.push(name);
            names::parse(&texts)?
        }
    };
    if !subject.is_empty() {
        return Ok((subject, names));
    }
    let first = names.dns().first().cloned().or_else(|| names.ips().first().map(ToString::to_string));
    // A name of more than 64 characters has no room in a common name (RFC 5280 appendix A.1), and needs none.
    let subject = first.and_then(|name| DistinguishedName::common(&name).ok());
    Ok((subject.unwrap_or_else(DistinguishedName::empty), names))
}
