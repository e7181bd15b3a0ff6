//! Certificates: asking for one, and how one looks.

use super::{optional_pem, pem};
use crate::convert::{check, same_names, time};
use crate::problem::{Draft, Kind};
use hypermesh_model::{self as model, CertificateProfile, Subject};
use hypermesh_trustchain::{
    self as trust, CertificateFilter, IssueRequest, KeyKind, KeySource, RenewRequest,
};
use hypermesh_wire::trustchain::{
    self as wire, Certificate, CertificateQuery, CreateCertificate, IssuedCertificate, MAX_NAMES,
    MAX_SUBJECT, RenewCertificate, TrustHierarchy,
};

/// Longest validity, days: what the CA/Browser Forum allowed at last before it began to shorten it.
const MAX_DAYS: u32 = 825;
/// Longest alternative name, in characters: a URI.
const MAX_NAME: usize = 512;

same_names!(profile: wire::Usage => CertificateProfile { Server, Client, Node, CodeSigning });
same_names!(shown_profile: CertificateProfile => wire::Usage { Server, Client, Node, CodeSigning });
same_names!(shown_status: model::CertificateStatus => wire::CertificateStatus {
    Active, Expired, Revoked, Pending
});
same_names!(status: wire::CertificateStatus => model::CertificateStatus { Active, Expired, Revoked, Pending });
same_names!(shown_level: model::TrustLevel => wire::TrustLevel { Root, Intermediate, Leaf });
same_names!(level: wire::TrustLevel => model::TrustLevel { Root, Intermediate, Leaf });

/// RFC 5280 §5.3.1's name of a reason.
pub(crate) fn reason(reason: wire::RevocationReason) -> &'static str {
    use wire::RevocationReason as Reason;
    match reason {
        Reason::Unspecified => "unspecified",
        Reason::KeyCompromise => "keyCompromise",
        Reason::CaCompromise => "cACompromise",
        Reason::AffiliationChanged => "affiliationChanged",
        Reason::Superseded => "superseded",
        Reason::CessationOfOperation => "cessationOfOperation",
        Reason::PrivilegeWithdrawn => "privilegeWithdrawn",
        Reason::AaCompromise => "aACompromise",
    }
}

/// The reason of this name; the unspecified one for a name that nobody gives.
fn shown_reason(name: &str) -> wire::RevocationReason {
    use wire::RevocationReason as Reason;
    let all = [
        Reason::KeyCompromise,
        Reason::CaCompromise,
        Reason::AffiliationChanged,
        Reason::Superseded,
        Reason::CessationOfOperation,
        Reason::PrivilegeWithdrawn,
        Reason::AaCompromise,
    ];
    all.into_iter().find(|known| reason(*known).eq_ignore_ascii_case(name)).unwrap_or(Reason::Unspecified)
}

/// A certificate that is wanted.
pub(crate) fn issue(body: CreateCertificate, by: &Subject) -> Result<IssueRequest, Draft> {
    let subject = check::optional_text("subject", body.subject, 1, MAX_SUBJECT)?;
    let key = key(body.csr, body.key_type, body.key_size)?;
    let has_csr = matches!(key, Some(KeySource::Csr(_)));
    if subject.is_none() && !has_csr {
        return Err(missing("subject", "a certificate needs a `subject` or a `csr`"));
    }
    let profile = match body.usage.as_deref() {
        None => CertificateProfile::Server,
        Some([usage]) => profile(*usage),
        Some(_) => return Err(Draft::invalid("usage", "`usage` must name one use")),
    };
    Ok(IssueRequest {
        subject,
        names: names(body.names.unwrap_or_default())?,
        profile,
        validity_seconds: validity(body.validity_days)?.map(seconds),
        key: key.unwrap_or(KeySource::Generate(KeyKind::default())),
        by: by.0.clone(),
    })
}

/// A certificate that is wanted again.
pub(crate) fn renew(body: RenewCertificate, by: &Subject) -> Result<RenewRequest, Draft> {
    Ok(RenewRequest {
        key: key(body.csr, body.key_type, None)?,
        validity_seconds: validity(body.validity_days)?.map(seconds),
        by: by.0.clone(),
    })
}

fn missing(member: &str, detail: &str) -> Draft {
    Draft::new(Kind::Unprocessable, detail).about(member)
}

fn key(
    csr: Option<String>,
    kind: Option<wire::KeyType>,
    size: Option<u32>,
) -> Result<Option<KeySource>, Draft> {
    let size = size.map(|size| check::range("key_size", size, 256, 384)).transpose()?;
    let csr = csr.map(|csr| pem("csr", csr)).transpose()?;
    let of_kind = kind.map(|kind| match kind {
        wire::KeyType::EcdsaP256 => KeyKind::P256,
        wire::KeyType::EcdsaP384 => KeyKind::P384,
        wire::KeyType::Ed25519 => KeyKind::Ed25519,
    });
    let of_size = match size {
        None => None,
        Some(256) => Some(KeyKind::P256),
        Some(384) => Some(KeyKind::P384),
        Some(_) => return Err(missing("key_size", "`key_size` is 256 (P-256) or 384 (P-384)")),
    };
    match (csr, of_kind, of_size) {
        (Some(_), Some(_), _) => Err(missing("key_type", "a `csr` brings its own key; leave `key_type` out")),
        (Some(_), None, Some(_)) => {
            Err(missing("key_size", "a `csr` brings its own key; leave `key_size` out"))
        }
        (Some(csr), None, None) => Ok(Some(KeySource::Csr(csr))),
        (None, Some(kind), Some(size)) if kind != size => {
            Err(missing("key_size", "`key_size` and `key_type` say different keys"))
        }
        (None, kind, size) => Ok(kind.or(size).map(KeySource::Generate)),
    }
}

/// What brings the new key of a rotation.
pub(crate) fn csr(csr: Option<String>) -> Result<Option<KeySource>, Draft> {
    Ok(optional_pem("csr", csr)?.map(KeySource::Csr))
}

fn validity(days: Option<u32>) -> Result<Option<u32>, Draft> {
    days.map(|days| check::range("validity_days", days, 1, MAX_DAYS)).transpose()
}

fn seconds(days: u32) -> u64 {
    u64::from(days) * 86_400
}

fn names(names: Vec<String>) -> Result<Vec<String>, Draft> {
    if names.len() > MAX_NAMES {
        return Err(Draft::invalid("names", format!("a certificate has at most {MAX_NAMES} names")));
    }
    // The schema says nothing of each, so what is wrong with one is no matter of form.
    match names.iter().position(|name| name.is_empty() || name.chars().count() > MAX_NAME) {
        Some(index) => {
            Err(missing(&format!("names[{index}]"), &format!("a name has 1 to {MAX_NAME} characters")))
        }
        None => Ok(names),
    }
}

/// Which certificates.
pub(crate) fn filter(query: &CertificateQuery) -> Result<CertificateFilter, Draft> {
    let text = |member: &str, text: &Option<String>| match text {
        Some(text) if text.chars().count() > MAX_NAME => {
            Err(Draft::invalid(member, format!("`{member}` may be {MAX_NAME} characters long")))
        }
        Some(text) => Ok(Some(text.clone())),
        None => Ok(None),
    };
    Ok(CertificateFilter {
        status: query.status.map(status),
        trust_level: query.trust_level.map(level),
        profile: query.usage.map(profile),
        subject: text("subject", &query.subject)?,
        name: text("name", &query.name)?.map(|name| name.to_lowercase()),
        ..CertificateFilter::default()
    })
}

/// A certificate as a caller sees it.
pub(crate) fn shown(certificate: trust::Certificate) -> Certificate {
    let trust::Certificate { record, status, revocation, public_key_pem, updated_at } = certificate;
    let (revocation_reason, revoked_at) =
        revocation.map(|revocation| (shown_reason(&revocation.reason), time(revocation.at))).unzip();
    Certificate {
        serial_number: record.id.as_str().to_owned(),
        id: record.id.into(),
        subject: record.subject,
        issuer: record.issuer,
        valid_from: time(record.valid_from),
        valid_to: time(record.valid_to),
        fingerprint: record.fingerprint,
        public_key: public_key_pem,
        status: shown_status(status),
        trust_level: shown_level(record.trust_level),
        created_at: time(record.created_at),
        updated_at: time(updated_at),
        usage: record.profile.map(shown_profile),
        names: record.names,
        key_algorithm: record.key_algorithm,
        log_index: record.log_index,
        revocation_reason,
        revoked_at,
    }
}

/// A new certificate as its holder gets it.
pub(crate) fn issued(issued: trust::Issued) -> IssuedCertificate {
    IssuedCertificate {
        certificate: shown(issued.certificate),
        certificate_pem: issued.certificate_pem,
        chain_pem: issued.chain_pem,
        private_key_pem: issued.private_key_pem.map(|key| key.as_str().to_owned()),
    }
}

/// The hierarchy as a caller sees it.
pub(crate) fn hierarchy(hierarchy: trust::Hierarchy) -> TrustHierarchy {
    TrustHierarchy {
        root_ca: shown(hierarchy.root),
        intermediates: hierarchy.intermediates.into_iter().map(shown).collect(),
        leaves: hierarchy.leaves.into_iter().map(shown).collect(),
        validation_chain: hierarchy.validation_chain,
        last_validated: time(hierarchy.last_validated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: CreateCertificate) -> Result<IssueRequest, String> {
        issue(body, &Subject("ann".into())).map_err(|draft| draft.member().unwrap_or_default().to_owned())
    }

    #[test]
    fn a_certificate_is_for_a_server_unless_said_otherwise() {
        let request =
            asked(CreateCertificate { subject: Some("CN=a".into()), ..Default::default() }).unwrap();
        assert_eq!(request.profile, CertificateProfile::Server);
        assert_eq!(request.validity_seconds, None, "its profile's own");
        assert_eq!(request.key, KeySource::Generate(KeyKind::P256));
        assert_eq!(request.by, "ann");
    }

    #[test]
    fn what_contradicts_itself_names_the_member() {
        let with = |change: fn(&mut CreateCertificate)| {
            let mut body = CreateCertificate { subject: Some("CN=a".into()), ..Default::default() };
            change(&mut body);
            asked(body).unwrap_err()
        };
        assert_eq!(with(|body| body.subject = None), "subject");
        assert_eq!(with(|body| body.key_size = Some(300)), "key_size");
        assert_eq!(with(|body| body.validity_days = Some(826)), "validity_days");
        assert_eq!(with(|body| body.names = Some(vec!["a".into(); 101])), "names");
        assert_eq!(with(|body| body.names = Some(vec!["a".into(), String::new()])), "names[1]");
        assert_eq!(with(|body| body.usage = Some(vec![])), "usage");
        let both = |body: &mut CreateCertificate| {
            body.csr = Some("x".into());
            body.key_type = Some(wire::KeyType::Ed25519);
        };
        assert_eq!(with(both), "key_type");
        let split = |body: &mut CreateCertificate| {
            body.key_size = Some(384);
            body.key_type = Some(wire::KeyType::EcdsaP256);
        };
        assert_eq!(with(split), "key_size");
    }

    #[test]
    fn every_reason_is_shown_as_it_was_given() {
        for name in ["unspecified", "keyCompromise", "cACompromise", "superseded", "aACompromise"] {
            assert_eq!(reason(shown_reason(name)), name);
        }
    }
}
