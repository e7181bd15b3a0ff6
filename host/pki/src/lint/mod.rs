//! What a certificate says about itself, against RFC 5280 and, where that leaves a choice, the CA/Browser Forum's
//! baseline (BR).
//!
//! Every certificate that leaves passes these rules first, and [`crate::explain`] tells them of each in a chain. A rule
//! looks at one certificate alone; what needs a second one, a time or a purpose is `explain`'s.

mod fields;
mod rules;

use crate::certificate::Certificate;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// A SHOULD isn't kept, or clients may differ.
    Warning,
    /// A MUST isn't kept, or the certificate can't be trusted.
    Error,
}

/// A rule that a certificate breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule, e.g. `serial-number`.
    pub rule: &'static str,
    /// Where it is written.
    pub reference: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub detail: String,
}

/// What a rule found: nothing, or how bad and what.
pub(crate) type Outcome = Result<(), (Severity, String)>;

/// A rule, and what it found.
pub(crate) struct Check {
    pub(crate) rule: &'static str,
    pub(crate) reference: &'static str,
    pub(crate) outcome: Outcome,
}

type Rule = (&'static str, &'static str, fn(&Certificate) -> Outcome);

/// Every rule, in the order of RFC 5280.
const RULES: [Rule; 18] = [
    ("signature-algorithm", "RFC 5280 §4.1.1.2", fields::signature_algorithm),
    ("version", "RFC 5280 §4.1.2.1", fields::version),
    ("serial-number", "RFC 5280 §4.1.2.2", fields::serial_number),
    ("issuer-name", "RFC 5280 §4.1.2.4", fields::issuer_name),
    ("dates", "RFC 5280 §4.1.2.5", fields::dates),
    ("subject-name", "RFC 5280 §4.1.2.6", fields::subject_name),
    ("key-strength", "CA/Browser Forum BR §6.1.5", fields::key_strength),
    ("authority-key-identifier", "RFC 5280 §4.2.1.1", rules::authority_key_identifier),
    ("subject-key-identifier", "RFC 5280 §4.2.1.2", rules::subject_key_identifier),
    ("key-usage-extension", "RFC 5280 §4.2.1.3", rules::key_usage),
    ("alternative-names", "RFC 5280 §4.2.1.6", rules::alternative_names),
    ("basic-constraints-extension", "RFC 5280 §4.2.1.9", rules::basic_constraints),
    ("name-constraints-extension", "RFC 5280 §4.2.1.10", rules::name_constraints),
    ("extended-key-usage-extension", "RFC 5280 §4.2.1.12", rules::extended_key_usage),
    ("criticality", "RFC 5280 §4.2", rules::criticality),
    ("unknown-critical-extension", "RFC 5280 §4.2", rules::unknown_critical),
    ("common-name", "CA/Browser Forum BR §7.1.4.3", rules::common_name),
    ("lifetime", "CA/Browser Forum BR §6.3.2", fields::lifetime),
];

/// Every rule with what it found.
pub(crate) fn checks(certificate: &Certificate) -> impl Iterator<Item = Check> + '_ {
    RULES.iter().map(|(rule, reference, look)| Check { rule, reference, outcome: look(certificate) })
}

/// Every rule that the certificate breaks.
pub fn lint(certificate: &Certificate) -> Vec<Finding> {
    let finding = |check: Check| {
        let (severity, detail) = check.outcome.err()?;
        Some(Finding { rule: check.rule, reference: check.reference, severity, detail })
    };
    checks(certificate).filter_map(finding).collect()
}

/// Those that forbid it to leave.
pub(crate) fn errors(certificate: &Certificate) -> Vec<Finding> {
    let mut findings = lint(certificate);
    findings.retain(|finding| finding.severity == Severity::Error);
    findings
}

pub(crate) fn error(detail: impl Into<String>) -> Outcome {
    Err((Severity::Error, detail.into()))
}

pub(crate) fn warning(detail: impl Into<String>) -> Outcome {
    Err((Severity::Warning, detail.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::extensions::Extension;
    use crate::der::{oid, tag};
    use crate::forge::{Forge, usage};
    use crate::{DistinguishedName, KeyUsages};

    fn found(forge: Forge) -> Vec<(&'static str, Severity)> {
        let root = Forge::ca("CN=Root", None).root();
        lint(&forge.under(&root).certificate).iter().map(|finding| (finding.rule, finding.severity)).collect()
    }

    #[test]
    fn each_broken_rule_is_found_alone() {
        let leaf = || Forge::server("a.example");
        let with = |id: &[u8], critical, content: fn(&mut crate::der::Writer)| {
            leaf().set(id, Some(Extension::new(id, critical, content)))
        };
        let (error, warning) = (Severity::Error, Severity::Warning);
        let names = |w: &mut crate::der::Writer| w.sequence(|w| w.element(tag::context(2), b"b.example"));
        for (forge, expected) in [
            (leaf(), vec![]),
            (Forge { serial: vec![5], ..leaf() }, vec![("serial-number", warning)]),
            (Forge { not_after: crate::forge::now().minus_seconds(9000), ..leaf() }, vec![("dates", error)]),
            (Forge { subject: DistinguishedName::empty(), ..leaf() }, vec![("subject-name", error)]),
            (
                with(oid::AUTHORITY_KEY_ID, false, |w| w.sequence(|_| ())),
                vec![("authority-key-identifier", error)],
            ),
            (
                with(oid::SUBJECT_KEY_ID, false, |w| w.element(tag::OCTET_STRING, &[])),
                vec![("subject-key-identifier", error)],
            ),
            (
                with(oid::SUBJECT_KEY_ID, true, |w| w.element(tag::OCTET_STRING, &[1])),
                vec![("criticality", error)],
            ),
            (leaf().set(oid::KEY_USAGE, None), vec![("key-usage-extension", warning)]),
            (
                leaf().set(oid::SUBJECT_ALT_NAME, None),
                vec![("alternative-names", error), ("common-name", warning)],
            ),
            (with(oid::SUBJECT_ALT_NAME, false, names), vec![("common-name", warning)]),
            (
                Forge::ca("CN=x", None).set(oid::BASIC_CONSTRAINTS, None),
                vec![("key-usage-extension", error), ("extended-key-usage-extension", warning)],
            ),
            (leaf().set(oid::EXTENDED_KEY_USAGE, None), vec![("extended-key-usage-extension", warning)]),
            (
                Forge { not_after: crate::forge::now().plus_seconds(400 * 86_400), ..leaf() },
                vec![("lifetime", warning)],
            ),
            (leaf().set(oid::KEY_USAGE, Some(usage(KeyUsages::CRL_SIGN))), vec![]),
        ] {
            assert_eq!(found(forge), expected);
        }
    }
}
