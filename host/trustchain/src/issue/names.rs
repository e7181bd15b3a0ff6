//! Names as callers write them, and which of them are signed for.
//!
//! An operator's word is enough for names of this node's zone, of this machine, and of what the configuration adds; others
//! are proven by ACME. A SPIFFE id below `/node/` is an identity in the mesh, and only a node's certificate has one.

use crate::error::TrustError;
use crate::settings::Settings;
use hypermesh_model::CertificateProfile;
use hypermesh_pki::Names;
use std::net::IpAddr;

/// Names by their form: addresses, URIs (`scheme:`), mail addresses (`@`), else DNS names.
pub(super) fn parse(texts: &[String]) -> Result<Names, TrustError> {
    let (mut dns, mut ips, mut uris, mut emails) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for text in texts {
        let (kind, plain) = match text.split_once(':') {
            Some((kind @ ("dns" | "ip" | "uri" | "email"), rest)) => (Some(kind), rest),
            Some(_) | None => (None, text.as_str()),
        };
        match (kind, plain.parse::<IpAddr>()) {
            (Some("ip") | None, Ok(address)) => ips.push(address),
            (Some("ip"), Err(_)) => {
                return Err(TrustError::invalid("names", format!("`{plain}` is no IP address")));
            }
            (Some("uri"), _) => uris.push(plain.to_owned()),
            (Some("email"), _) => emails.push(plain.to_owned()),
            (None, Err(_)) if plain.contains(':') => uris.push(plain.to_owned()),
            (None, Err(_)) if plain.contains('@') => emails.push(plain.to_owned()),
            (Some(_) | None, _) => dns.push(plain.to_owned()),
        }
    }
    Names::new(dns, ips, uris, emails).map_err(|e| TrustError::invalid("names", e.to_string()))
}

/// Names with their kinds, as they are shown and as [`parse`] reads them.
pub(crate) fn with_kinds(names: &Names) -> Vec<String> {
    let dns = names.dns().iter().map(|name| format!("dns:{name}"));
    let ips = names.ips().iter().map(|name| format!("ip:{name}"));
    let uris = names.uris().iter().map(|name| format!("uri:{name}"));
    let emails = names.emails().iter().map(|name| format!("email:{name}"));
    dns.chain(ips).chain(uris).chain(emails).collect()
}

/// Whether a common name is meant as a host's.
pub(super) fn is_host(common_name: &str) -> bool {
    let plain = common_name.strip_prefix("*.").unwrap_or(common_name);
    let is_name = plain == "localhost" || plain.contains('.');
    common_name.parse::<IpAddr>().is_ok() || (is_name && Names::of_dns([common_name.to_owned()]).is_ok())
}

/// Every name that is not signed for on an operator's word, with the reason.
pub(super) fn outside(names: &Names, profile: CertificateProfile, settings: &Settings) -> Vec<String> {
    let mut reasons = Vec::new();
    for name in names.dns().iter().filter(|name| !dns_allowed(name, settings)) {
        reasons.push(format!(
            "`{name}` is not in the zone {} and not among the names that the configuration allows; prove it by ACME",
            settings.zone
        ));
    }
    for address in names.ips() {
        let ours = address.is_loopback()
            || settings.addresses.contains(address)
            || settings.names.addresses.contains(address);
        if !ours {
            reasons.push(format!(
                "{address} is no address of this node, and the configuration doesn't allow it"
            ));
        }
    }
    for email in names.emails() {
        if !email.rsplit_once('@').is_some_and(|(_, host)| dns_allowed(host, settings)) {
            reasons.push(format!("the host of `{email}` is not in the zone {}", settings.zone));
        }
    }
    let domain = format!("spiffe://{}/", settings.trust_domain);
    for uri in names.uris() {
        match uri.strip_prefix(&domain) {
            None => {
                reasons.push(format!("`{uri}` is no SPIFFE id of the trust domain {}", settings.trust_domain))
            }
            Some(path) if path.starts_with("node/") != (profile == CertificateProfile::Node) => {
                reasons.push(format!(
                    "`{uri}`: ids below `/node/` are for the usage `node`, and it has no other"
                ));
            }
            Some(_) => {}
        }
    }
    reasons
}

fn dns_allowed(name: &str, settings: &Settings) -> bool {
    let plain = name.strip_prefix("*.").unwrap_or(name);
    let within = |suffix: &str| {
        let suffix = suffix.trim_end_matches('.');
        plain.eq_ignore_ascii_case(suffix)
            || (plain.len() > suffix.len()
                && plain.to_ascii_lowercase().ends_with(&format!(".{}", suffix.to_ascii_lowercase())))
    };
    within(&settings.zone)
        || within("localhost")
        || settings.names.dns.iter().any(|allowed| allowed == "*" || within(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_by_their_form_and_come_back_with_their_kind() {
        let texts = ["a.example", "192.0.2.1", "2001:db8::1", "spiffe://d/x", "me@a.example", "*.b.example"];
        let names = parse(&texts.map(str::to_owned)).unwrap();
        let shown = with_kinds(&names);
        assert_eq!(
            shown,
            [
                "dns:a.example",
                "dns:*.b.example",
                "ip:192.0.2.1",
                "ip:2001:db8::1",
                "uri:spiffe://d/x",
                "email:me@a.example"
            ]
        );
        assert_eq!(parse(&shown).unwrap(), names);
        assert!(parse(&["ip:no".to_owned()]).is_err() && parse(&["a b".to_owned()]).is_err());
    }

    #[test]
    fn only_what_looks_like_a_host_is_one() {
        assert!(["a.example", "localhost", "*.a.example", "192.0.2.1"].into_iter().all(is_host));
        assert!(!["Ann", "Ann Smith", "a..b", "", "node 7.5 beta"].into_iter().any(is_host));
    }
}
