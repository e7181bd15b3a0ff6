//! Chains with at most one thing wrong each, and the rules that they break.

use super::tests::Chain;
use crate::certificate::extensions::Extension;
use crate::certificate::{ExtendedKeyUsage, KeyUsages};
use crate::der::{Writer, oid, tag};
use crate::forge::{Forge, now, usage};
use crate::name::{DistinguishedName, NameConstraints, Subtree};

/// A chain below the root.
pub(super) struct Case {
    pub(super) what: &'static str,
    pub(super) intermediate: Forge,
    pub(super) leaf: Forge,
    pub(super) broken: &'static [&'static str],
    /// OpenSSL doesn't look at this, or has a rule of its own.
    pub(super) openssl_differs: bool,
}

/// All of them.
pub(super) fn cases(chain: &Chain) -> Vec<Case> {
    let mut cases = leaves(chain);
    cases.extend(intermediates(chain));
    cases.extend(constraints(chain));
    cases
}

fn extended(usages: &[ExtendedKeyUsage]) -> Option<Extension> {
    Some(Extension::new(oid::EXTENDED_KEY_USAGE, false, |w| ExtendedKeyUsage::write_all(usages, w)))
}

fn null(id: &[u8], critical: bool) -> Option<Extension> {
    Some(Extension::new(id, critical, |w| w.element(tag::NULL, &[])))
}

fn leaves(chain: &Chain) -> Vec<Case> {
    let case = |what, leaf, broken| {
        let intermediate = chain.intermediate.clone();
        Case { what, intermediate, leaf, broken, openssl_differs: false }
    };
    let differs = |what, leaf, broken| Case { openssl_differs: true, ..case(what, leaf, broken) };
    let leaf = || chain.leaf.clone();
    let serial = |serial: &[u8]| Forge { serial: serial.to_vec(), ..leaf() };
    let with = |id: &[u8], extension| leaf().set(id, extension);
    let both = KeyUsages::KEY_CERT_SIGN.with(KeyUsages::DIGITAL_SIGNATURE);
    let encrypts = usage(KeyUsages::KEY_ENCIPHERMENT);
    vec![
        case("nothing", leaf(), &[]),
        case("expired", Forge { not_after: now().minus_seconds(1), ..leaf() }, &["time"]),
        case("not yet valid", Forge { not_before: now().plus_seconds(1), ..leaf() }, &["time"]),
        // RFC 5280 includes the last second; OpenSSL 3.0 doesn't.
        differs("the last second", Forge { not_after: now(), ..leaf() }, &[]),
        case(
            "a client",
            with(oid::EXTENDED_KEY_USAGE, extended(&[ExtendedKeyUsage::ClientAuth])),
            &["extended-key-usage"],
        ),
        // OpenSSL wants the purpose itself.
        differs("any usage", with(oid::EXTENDED_KEY_USAGE, extended(&[ExtendedKeyUsage::Any])), &[]),
        // OpenSSL takes a key that encrypts, for TLS 1.2 with RSA.
        differs("a key that doesn't sign", with(oid::KEY_USAGE, Some(encrypts)), &["key-usage"]),
        case("another host", Forge::server("b.mesh.example"), &["host-name"]),
        case("an unknown extension", with(&[0x2a, 3, 4], null(&[0x2a, 3, 4], false)), &[]),
        case(
            "an unknown critical extension",
            with(&[0x2a, 3, 4], null(&[0x2a, 3, 4], true)),
            &["unknown-critical-extension"],
        ),
        // OpenSSL knows the extension, and processes policies on request.
        differs(
            "a critical constraint on policies",
            with(oid::POLICY_CONSTRAINTS, null(oid::POLICY_CONSTRAINTS, true)),
            &["unknown-critical-extension"],
        ),
        case("a precertificate", with(oid::CT_POISON, null(oid::CT_POISON, true)), &["precertificate"]),
        differs("serial 0", serial(&[0]), &["serial-number"]),
        differs("a negative serial", serial(&[0x80]), &["serial-number"]),
        differs("a serial of 21 bytes", serial(&[1; 21]), &["serial-number"]),
        case("version 1 with extensions", Forge { version: 1, ..leaf() }, &["version"]),
        case("a leaf that signs", with(oid::KEY_USAGE, Some(usage(both))), &["key-usage-extension"]),
    ]
}

fn intermediates(chain: &Chain) -> Vec<Case> {
    let case = |what, intermediate, broken| Case {
        what,
        intermediate,
        leaf: chain.leaf.clone(),
        broken,
        openssl_differs: false,
    };
    let with = |id: &[u8], extension| chain.intermediate.clone().set(id, extension);
    let lax = Extension::new(oid::BASIC_CONSTRAINTS, false, |w| w.sequence(Writer::yes));
    let lists = usage(KeyUsages::CRL_SIGN);
    let expired = Forge { not_after: now().minus_seconds(1), ..chain.intermediate.clone() };
    vec![
        case("no CA", Forge::server("i.mesh.example"), &["basic-constraints", "key-cert-sign"]),
        case("a CA for lists", with(oid::KEY_USAGE, Some(lists)), &["key-cert-sign", "key-usage-extension"]),
        case("lax constraints", with(oid::BASIC_CONSTRAINTS, Some(lax)), &["basic-constraints-extension"]),
        case("an expired CA", expired, &["time"]),
        case(
            "a CA for clients",
            with(oid::EXTENDED_KEY_USAGE, extended(&[ExtendedKeyUsage::ClientAuth])),
            &["extended-key-usage"],
        ),
    ]
}

fn constraints(chain: &Chain) -> Vec<Case> {
    let case = |what, permitted: Vec<Subtree>, excluded: Vec<Subtree>, broken| {
        let constraints = NameConstraints { permitted, excluded };
        let extension = Extension::new(oid::NAME_CONSTRAINTS, true, |w| constraints.write(w));
        let intermediate = chain.intermediate.clone().set(oid::NAME_CONSTRAINTS, Some(extension));
        Case { what, intermediate, leaf: chain.leaf.clone(), broken, openssl_differs: false }
    };
    let dns = |name: &str| vec![Subtree::Dns(name.into())];
    let directory = DistinguishedName::parse("O=Mesh").map(Subtree::Directory).into_iter().collect();
    vec![
        case("within its names", dns("mesh.example"), vec![], &[]),
        case("outside its names", dns("other.example"), vec![], &["name-constraints"]),
        case("in an excluded name", vec![], dns("a.mesh.example"), &["name-constraints"]),
        case("beside an excluded name", vec![], dns("b.mesh.example"), &[]),
        case("a subject elsewhere", directory, vec![], &["name-constraints"]),
    ]
}
