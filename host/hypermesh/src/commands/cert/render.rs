//! How certificates, verdicts and proofs look to people.

use crate::human;
use crate::output::Style;
use crate::table::{Table, fields};
use hypermesh_wire::trustchain::{Certificate, InclusionProof, IssuedCertificate, RuleVerdict, Validation};

/// A line each.
pub(super) fn list(certificates: &[Certificate], style: Style) -> String {
    let mut table = Table::new(&["ID", "SUBJECT", "USE", "STATUS", "VALID TO"]);
    for certificate in certificates {
        table.row([
            certificate.id.clone(),
            certificate.subject.clone(),
            use_of(certificate),
            human::named(&certificate.status),
            format!("{:.0}", certificate.valid_to),
        ]);
    }
    table.render(style)
}

/// What it is for; an authority's level.
fn use_of(certificate: &Certificate) -> String {
    certificate.usage.map_or_else(|| human::named(&certificate.trust_level), |usage| human::named(&usage))
}

/// All that is known of one.
pub(super) fn certificate(certificate: &Certificate, style: Style) -> String {
    let log_index = certificate.log_index.map_or_else(|| "not logged".to_owned(), |index| index.to_string());
    let status = match (certificate.revoked_at, certificate.revocation_reason) {
        (Some(at), Some(reason)) => format!("revoked {at:.0}: {}", human::named(&reason)),
        (Some(at), None) => format!("revoked {at:.0}"),
        (None, _) => human::named(&certificate.status),
    };
    fields(
        &[
            ("id", certificate.id.clone()),
            ("subject", certificate.subject.clone()),
            ("issuer", certificate.issuer.clone()),
            ("names", certificate.names.join(", ")),
            ("use", use_of(certificate)),
            ("status", status),
            ("valid from", format!("{:.0}", certificate.valid_from)),
            ("valid to", format!("{:.0}", certificate.valid_to)),
            ("key", certificate.key_algorithm.clone()),
            ("fingerprint", certificate.fingerprint.clone()),
            ("log index", log_index),
        ],
        style,
    )
}

/// A new one with its PEM, and its key, which is nowhere else.
pub(super) fn issued(issued: &IssuedCertificate, style: Style) -> String {
    let mut text = certificate(&issued.certificate, style);
    text.push('\n');
    text.push_str(&issued.chain_pem);
    if let Some(key) = &issued.private_key_pem {
        text.push_str(key);
    }
    text
}

/// The verdict, and every rule that isn't simply kept.
pub(super) fn verdict(validation: &Validation, style: Style) -> String {
    let word = if validation.valid { style.good("valid") } else { style.error("not valid") };
    let mut text = format!("{word}: {}\n", human::printable(&validation.message));
    for subject in &validation.validation_path {
        text.push_str(&format!("  {}\n", human::printable(subject)));
    }
    let count = |wanted| validation.rules.iter().filter(|rule| rule.verdict == wanted).count();
    text.push_str(&format!(
        "{} rules kept, {} broken, {} that should not be, {} not checked\n",
        count(RuleVerdict::Pass),
        count(RuleVerdict::Fail),
        count(RuleVerdict::Warn),
        count(RuleVerdict::Unchecked)
    ));
    let mut table = Table::new(&["VERDICT", "RULE", "WHERE", "WHAT"]);
    for rule in validation.rules.iter().filter(|rule| rule.verdict != RuleVerdict::Pass) {
        let what = format!("{}: {}", rule.subject, rule.detail);
        table.row([human::named(&rule.verdict), rule.name.clone(), rule.reference.clone(), what]);
    }
    if validation.rules.iter().any(|rule| rule.verdict != RuleVerdict::Pass) {
        text.push_str(&table.render(style));
    }
    text
}

/// A proof of inclusion.
pub(super) fn proof(proof: &InclusionProof, style: Style) -> String {
    let head = fields(
        &[
            ("certificate", proof.certificate_id.clone()),
            ("leaf index", proof.leaf_index.to_string()),
            ("leaf hash", proof.leaf_hash.clone()),
            ("tree size", proof.tree_size.to_string()),
            ("root hash", proof.root_hash.clone()),
            ("audit path", proof.audit_path.join(" ")),
        ],
        style,
    );
    format!("{head}\n{}", human::printable_lines(&proof.checkpoint))
}
