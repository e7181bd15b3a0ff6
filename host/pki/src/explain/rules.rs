//! The rules of RFC 5280 §6.1 on a path, and those of [`crate::lint`] on each certificate of it.

use super::{Question, Rule, Verdict};
use crate::certificate::{Certificate, ExtendedKeyUsage, KeyUsages};
use crate::der::oid;
use crate::key::SignatureAlgorithm;
use crate::lint::{self, Severity};
use crate::name::host_matches;
use crate::revocation::Revocation;
use std::net::IpAddr;

/// Verdicts as they come.
struct Verdicts<'a> {
    rules: Vec<Rule>,
    /// The certificate that is looked at, first the root.
    certificate: &'a Certificate,
}

impl Verdicts<'_> {
    fn say(
        &mut self,
        name: &'static str,
        reference: &'static str,
        verdict: Verdict,
        detail: impl Into<String>,
    ) {
        let subject = if self.certificate.subject().is_empty() {
            format!("serial {}", self.certificate.serial_hex())
        } else {
            self.certificate.subject().to_string()
        };
        self.rules.push(Rule { name, reference, verdict, detail: detail.into(), subject });
    }

    /// A rule that is kept, or broken with this detail.
    fn check(&mut self, name: &'static str, reference: &'static str, broken: Option<String>, kept: &str) {
        match broken {
            Some(detail) => self.say(name, reference, Verdict::Fail, detail),
            None => self.say(name, reference, Verdict::Pass, kept),
        }
    }
}

/// Judges a path, the certificate first and the root last.
pub(super) fn judge(path: &[Certificate], question: &Question<'_>) -> Vec<Rule> {
    let Some(root) = path.last() else { return Vec::new() };
    let mut verdicts = Verdicts { rules: Vec::new(), certificate: root };
    trust_anchor(&mut verdicts, question);
    policies(&mut verdicts, path);
    for (at, certificate) in path.iter().enumerate().rev() {
        verdicts.certificate = certificate;
        match path.get(at + 1) {
            Some(issuer) => chained(&mut verdicts, issuer),
            None if !question.roots.contains(certificate) => unchained(&mut verdicts),
            None => {}
        }
        time(&mut verdicts, question);
        if path.len() > at + 1 || !question.roots.contains(certificate) {
            revocation(&mut verdicts, question);
        }
        name_constraints(&mut verdicts, at, path);
        if at > 0 {
            issuing(&mut verdicts, at, path);
        }
        if let Some(purpose) = question.purpose {
            extended_key_usage(&mut verdicts, at, purpose);
        }
        form(&mut verdicts);
    }
    if let Some(purpose) = question.purpose {
        let usages = verdicts.certificate.key_usages();
        let broken = usages.filter(|usages| !usages.contains(purpose.key_usages()));
        let broken = broken.map(|usages| format!("its key may be used for {usages} only"));
        verdicts.check("key-usage", "RFC 5280 §4.2.1.3", broken, "its key may sign");
    }
    if let Some(host) = question.host {
        let broken = other_host(verdicts.certificate, host);
        verdicts.check("host-name", "RFC 9525 §6.3", broken, "it is the host's");
    }
    verdicts.rules
}

fn trust_anchor(verdicts: &mut Verdicts<'_>, question: &Question<'_>) {
    let last = verdicts.certificate;
    let broken = (!question.roots.contains(last)).then(|| {
        if last.is_self_issued() {
            "it is self-signed and none of the roots".to_owned()
        } else {
            format!("its issuer `{}` is not known", last.issuer())
        }
    });
    verdicts.check("trust-anchor", "RFC 5280 §6.1.1 (d)", broken, "it is one of the roots");
}

/// §6.1.3 (d) to (f): every policy is acceptable to us, unless somebody on the path asks for more.
fn policies(verdicts: &mut Verdicts<'_>, path: &[Certificate]) {
    let (name, reference) = ("policies", "RFC 5280 §6.1.3 (d)");
    let asks = [oid::POLICY_CONSTRAINTS, oid::POLICY_MAPPINGS, oid::INHIBIT_ANY_POLICY];
    let of =
        |certificate: &&Certificate| asks.iter().any(|id| certificate.parts().extensions.get(id).is_some());
    match path.iter().find(of) {
        Some(it) => {
            let detail = format!("`{}` constrains policies, which is not processed here", it.subject());
            verdicts.say(name, reference, Verdict::Unchecked, detail);
        }
        None => verdicts.say(name, reference, Verdict::Pass, "no policy is required"),
    }
}

/// What ties a certificate to its issuer.
fn chained(verdicts: &mut Verdicts<'_>, issuer: &Certificate) {
    let certificate = verdicts.certificate;
    let forged = (!certificate.is_signed_by(issuer.public_key())).then(|| {
        let by = certificate.signature_algorithm();
        if matches!(by, SignatureAlgorithm::Broken | SignatureAlgorithm::Unknown) {
            format!("its signature algorithm, {}, is not verified", by.name())
        } else {
            format!("its signature ({}) is not that of `{}`", by.name(), issuer.subject())
        }
    });
    verdicts.check("signature", "RFC 5280 §6.1.3 (a)(1)", forged, "its issuer's key signed it");
    let other = (certificate.issuer() != issuer.subject())
        .then(|| format!("its issuer is `{}` and not `{}`", certificate.issuer(), issuer.subject()));
    verdicts.check("issuer", "RFC 5280 §6.1.3 (a)(4)", other, "its issuer is the one before it");
    let (name, reference) = ("key-identifiers", "RFC 5280 §4.2.1.1");
    match (certificate.authority_key_id(), issuer.subject_key_id()) {
        (Some(wanted), Some(key)) if wanted == key => {
            verdicts.say(name, reference, Verdict::Pass, "it names its issuer's key");
        }
        // They help to find a path; the signature decides.
        (Some(_), Some(_)) => {
            verdicts.say(name, reference, Verdict::Warn, "it names another key of its issuer")
        }
        _ => verdicts.say(name, reference, Verdict::Unchecked, "one of both says no key identifier"),
    }
}

/// The end of a path that reaches no root: only a self-signed one can be verified.
fn unchained(verdicts: &mut Verdicts<'_>) {
    let (name, reference) = ("signature", "RFC 5280 §6.1.3 (a)(1)");
    if verdicts.certificate.is_self_issued() {
        let key = verdicts.certificate.public_key();
        let forged =
            (!verdicts.certificate.is_signed_by(key)).then(|| "its own key did not sign it".to_owned());
        verdicts.check(name, reference, forged, "its own key signed it");
    } else {
        verdicts.say(name, reference, Verdict::Unchecked, "its issuer's key is not known");
    }
}

fn time(verdicts: &mut Verdicts<'_>, question: &Question<'_>) {
    let (from, until) = (verdicts.certificate.not_before(), verdicts.certificate.not_after());
    // The last second belongs to it.
    let broken = if question.at < from {
        Some(format!("it is valid from {from}, and it is {}", question.at))
    } else if question.at.as_millis() >= until.as_millis() + 1000 {
        Some(format!("it expired at {until}, and it is {}", question.at))
    } else {
        None
    };
    verdicts.check("time", "RFC 5280 §6.1.3 (a)(2)", broken, &format!("it is valid from {from} to {until}"));
}

fn revocation(verdicts: &mut Verdicts<'_>, question: &Question<'_>) {
    let (name, reference) = ("revocation", "RFC 5280 §6.1.3 (a)(3)");
    match (question.revoked)(verdicts.certificate) {
        Revocation::Good => verdicts.say(name, reference, Verdict::Pass, "it is not revoked"),
        Revocation::Unknown => {
            verdicts.say(name, reference, Verdict::Unchecked, "nobody here knows whether it is revoked");
        }
        Revocation::Revoked { at, reason } if at > question.at => {
            verdicts.say(name, reference, Verdict::Warn, format!("it was revoked later, at {at} ({reason})"));
        }
        Revocation::Revoked { at, reason } => {
            verdicts.say(name, reference, Verdict::Fail, format!("it was revoked at {at} ({reason})"));
        }
    }
}

/// §6.1.3 (b) and (c): the names against the constraints of every CA before it.
fn name_constraints(verdicts: &mut Verdicts<'_>, at: usize, path: &[Certificate]) {
    let (name, reference) = ("name-constraints", "RFC 5280 §6.1.3 (b), (c)");
    let certificate = verdicts.certificate;
    // A CA that renames itself, e.g. with a new key, is exempt; the end isn't.
    if at > 0 && certificate.is_self_issued() {
        return;
    }
    let constrained =
        path[at + 1..].iter().filter_map(|ca| Some((ca, ca.parts().extensions.constraints.as_ref()?)));
    let mut any = false;
    for (ca, constraints) in constrained {
        any = true;
        let others = certificate.parts().extensions.other_names > 0;
        if let Some(violation) = constraints.violation(certificate.subject(), certificate.names(), others) {
            let detail = format!("`{}` may not certify it: {violation}", ca.subject());
            return verdicts.say(name, reference, Verdict::Fail, detail);
        }
    }
    let detail =
        if any { "its names are within its issuers' constraints" } else { "no issuer constrains names" };
    verdicts.say(name, reference, Verdict::Pass, detail);
}

/// §6.1.4: whether it may sign what follows.
fn issuing(verdicts: &mut Verdicts<'_>, at: usize, path: &[Certificate]) {
    let certificate = verdicts.certificate;
    let no_ca = (!certificate.is_ca()).then(|| "it is no CA, and signed a certificate".to_owned());
    verdicts.check("basic-constraints", "RFC 5280 §6.1.4 (k)", no_ca, "it is a CA");
    let below = path[1..at].iter().filter(|ca| !ca.is_self_issued()).count();
    let below = u64::try_from(below).unwrap_or(u64::MAX);
    let length = certificate.path_len();
    let broken = length.filter(|length| below > *length);
    let broken = broken.map(|length| format!("{below} CAs follow, and it allows {length}"));
    let kept = length.map_or("it doesn't limit what follows".into(), |length| {
        format!("{below} CAs follow, and it allows {length}")
    });
    verdicts.check("path-length", "RFC 5280 §6.1.4 (l), (m)", broken, &kept);
    let usages = certificate.key_usages();
    let broken = usages.filter(|usages| !usages.contains(KeyUsages::KEY_CERT_SIGN));
    let broken = broken.map(|usages| format!("its key may be used for {usages} only"));
    verdicts.check("key-cert-sign", "RFC 5280 §6.1.4 (n)", broken, "its key may sign certificates");
}

fn extended_key_usage(verdicts: &mut Verdicts<'_>, at: usize, purpose: super::Purpose) {
    let (name, reference) = ("extended-key-usage", "RFC 5280 §4.2.1.12");
    let wanted = purpose.extended();
    let broken = verdicts.certificate.extended_key_usages().and_then(|usages| {
        let allowed = usages.contains(&wanted) || usages.contains(&ExtendedKeyUsage::Any);
        let list = || usages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        (!allowed).then(|| format!("it is for {} and not for {wanted}", list()))
    });
    // That a CA's usages bound those below it isn't in the standard, and every browser does it.
    let kept = if at > 0 { "it may certify for this purpose" } else { "it is for this purpose" };
    verdicts.check(name, reference, broken, kept);
}

fn other_host(certificate: &Certificate, host: &str) -> Option<String> {
    let wanted = host.trim_end_matches('.').to_ascii_lowercase();
    let address = wanted.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let names = certificate.names();
    let matches = match address {
        Ok(address) => names.ips().contains(&address),
        Err(_) => names.dns().iter().any(|name| host_matches(name, &wanted)),
    };
    let list = || names.texts().collect::<Vec<_>>().join(", ");
    (!matches).then(|| format!("it is not for `{wanted}` but for: {}", list()))
}

/// What the certificate says about itself.
fn form(verdicts: &mut Verdicts<'_>) {
    for check in lint::checks(verdicts.certificate) {
        match check.outcome {
            Ok(()) => verdicts.say(check.rule, check.reference, Verdict::Pass, "as it should be"),
            Err((Severity::Warning, detail)) => {
                verdicts.say(check.rule, check.reference, Verdict::Warn, detail);
            }
            Err((Severity::Error, detail)) => {
                verdicts.say(check.rule, check.reference, Verdict::Fail, detail)
            }
        }
    }
    let poison = verdicts.certificate.parts().extensions.get(oid::CT_POISON);
    let poison = poison.map(|_| "it is a precertificate, which is for logs alone".to_owned());
    verdicts.check("precertificate", "RFC 6962 §3.1", poison, "it is a certificate");
}
