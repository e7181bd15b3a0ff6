//! Validation: what is asked, and the verdict with its rules.

use super::{optional_pem, pem};
use crate::convert::time;
use crate::problem::Draft;
use hypermesh_model::{CertificateProfile, Timestamp};
use hypermesh_trustchain::{self as trust, RuleView, ValidateRequest};
use hypermesh_wire::trustchain::{
    Purpose, RuleVerdict, ValidateCertificate, ValidateQuery, Validation, ValidationRule,
};

/// Longest host name (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;

fn profile(purpose: Purpose) -> CertificateProfile {
    match purpose {
        Purpose::Server => CertificateProfile::Server,
        Purpose::Client => CertificateProfile::Client,
        Purpose::CodeSigning => CertificateProfile::CodeSigning,
    }
}

/// A host name or an address, in the schema's notation.
fn host(host: Option<String>) -> Result<Option<String>, Draft> {
    let Some(host) = host else { return Ok(None) };
    let known = |c: char| c.is_ascii_alphanumeric() || ":._*-".contains(c);
    if (1..=MAX_HOST).contains(&host.len()) && host.chars().all(known) {
        return Ok(Some(host));
    }
    Err(Draft::invalid("host", format!("`host` is a DNS name or an address of 1 to {MAX_HOST} characters")))
}

/// What a certificate of ours is validated for.
pub(crate) fn of_ours(query: ValidateQuery) -> Result<ValidateRequest, Draft> {
    let usage = query.purpose.map(profile);
    Ok(ValidateRequest { usage, host: host(query.host)?, ..ValidateRequest::default() })
}

/// A posted certificate, and what it is validated for.
pub(crate) fn posted(body: ValidateCertificate) -> Result<(String, ValidateRequest), Draft> {
    let request = ValidateRequest {
        at: body.at.map(|at| Timestamp::from_millis(at.as_millisecond())),
        usage: body.purpose.map(profile),
        host: host(body.host)?,
        roots_pem: optional_pem("roots", body.roots)?,
        intermediates_pem: optional_pem("chain", body.chain)?,
    };
    Ok((pem("certificate", body.certificate)?, request))
}

fn verdict(name: &str) -> RuleVerdict {
    match name {
        "pass" => RuleVerdict::Pass,
        "fail" => RuleVerdict::Fail,
        "warn" => RuleVerdict::Warn,
        _ => RuleVerdict::Unchecked,
    }
}

/// A verdict as a caller sees it; `otherwise` names a certificate that isn't ours.
pub(crate) fn shown(validation: trust::Validation, otherwise: &str) -> Validation {
    let said = |wanted: &str| {
        let found = validation.rules.iter().filter(|rule| rule.verdict == wanted);
        found.map(sentence).collect::<Vec<_>>()
    };
    let (errors, warnings) = (said("fail"), said("warn"));
    let valid = validation.valid;
    let message = match (valid, errors.len()) {
        (true, _) => "the certificate is valid".to_owned(),
        (false, 1) => format!("the certificate is not valid: {}", errors[0]),
        (false, count) => format!("the certificate is not valid: it breaks {count} rules"),
    };
    let trust_chain = validation.path.iter().rev().cloned().collect();
    Validation {
        valid,
        certificate_id: validation.certificate_id.map_or_else(|| otherwise.to_owned(), Into::into),
        validation_path: validation.path,
        errors,
        warnings,
        validated_at: time(validation.at),
        status: if valid { "valid" } else { "invalid" }.to_owned(),
        validated_at_timestamp: validation.at.as_millis().div_euclid(1000),
        trust_chain,
        consensus_proof: None,
        message,
        rules: validation.rules.into_iter().map(rule).collect(),
    }
}

fn sentence(rule: &RuleView) -> String {
    format!("{}: {} ({})", rule.name, rule.detail, rule.reference)
}

fn rule(rule: RuleView) -> ValidationRule {
    ValidationRule {
        verdict: verdict(rule.verdict),
        name: rule.name,
        reference: rule.reference,
        detail: rule.detail,
        subject: rule.subject,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_rules_are_errors_and_the_path_is_shown_both_ways() {
        let rule = |name: &str, verdict| RuleView {
            name: name.into(),
            reference: "RFC 5280 §6.1.3".into(),
            verdict,
            detail: "why".into(),
            subject: "CN=a".into(),
        };
        let validation = trust::Validation {
            valid: false,
            certificate_id: None,
            path: vec!["CN=a".into(), "CN=b".into()],
            rules: vec![rule("dates", "fail"), rule("key", "warn"), rule("names", "pass")],
            at: Timestamp::from_millis(1500),
            status: None,
        };
        let seen = shown(validation, "SHA256:00");
        assert_eq!(seen.errors, ["dates: why (RFC 5280 §6.1.3)"]);
        assert_eq!((seen.warnings.len(), seen.validated_at_timestamp), (1, 1));
        assert_eq!((seen.certificate_id.as_str(), seen.trust_chain[0].as_str()), ("SHA256:00", "CN=b"));
        assert!(!seen.valid && seen.message.contains("dates"));
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for right in ["a.example", "127.0.0.1", "::1", "*.a"] {
            assert!(host(Some(right.into())).is_ok(), "{right}");
        }
        for wrong in ["", "a b", "é", "a/b", &"x".repeat(254)] {
            assert!(host(Some(wrong.into())).is_err(), "{wrong}");
        }
    }
}
