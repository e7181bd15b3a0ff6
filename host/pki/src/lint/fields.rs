//! Rules on the fields that every certificate has (RFC 5280 §4.1).

use super::{Outcome, error, warning};
use crate::certificate::{Certificate, ExtendedKeyUsage};
use crate::key::SignatureAlgorithm;

/// Serials shorter than this have fewer than 64 random bits (BR §7.1).
const RANDOM_SERIAL_BYTES: usize = 8;
/// Longest serial (RFC 5280 §4.1.2.2).
const MAX_SERIAL_BYTES: usize = 20;
/// The longest life of a server's certificate, in days (BR §6.3.2), with the backdating of ours.
const SERVER_DAYS: u64 = 398;

pub(super) fn signature_algorithm(it: &Certificate) -> Outcome {
    let parts = it.parts();
    if !parts.algorithms_agree {
        return error("the algorithm that is signed differs from the one beside the signature");
    }
    // Nobody trusts a root for its signature.
    match parts.signature_algorithm {
        SignatureAlgorithm::Broken if it.is_self_issued() => warning("it is signed with SHA-1 or MD5"),
        SignatureAlgorithm::Broken => error("it is signed with SHA-1 or MD5, which can be forged"),
        SignatureAlgorithm::Unknown => error("it is signed with an algorithm that is not known here"),
        SignatureAlgorithm::EcdsaSha256
        | SignatureAlgorithm::EcdsaSha384
        | SignatureAlgorithm::EcdsaSha512
        | SignatureAlgorithm::Ed25519
        | SignatureAlgorithm::RsaSha256
        | SignatureAlgorithm::RsaSha384
        | SignatureAlgorithm::RsaSha512
        | SignatureAlgorithm::RsaPssSha256
        | SignatureAlgorithm::RsaPssSha384
        | SignatureAlgorithm::RsaPssSha512 => Ok(()),
    }
}

pub(super) fn version(it: &Certificate) -> Outcome {
    let parts = it.parts();
    match (parts.version, parts.extensions.all.is_empty()) {
        (3, _) => Ok(()),
        (version @ 1..=2, true) => warning(format!("its version is {version}, which has no extensions")),
        (version, _) => error(format!("its version is {version}; extensions are of version 3")),
    }
}

pub(super) fn serial_number(it: &Certificate) -> Outcome {
    let serial = &it.parts().serial;
    let digits = serial.strip_prefix(&[0]).unwrap_or(serial);
    if serial.first().is_some_and(|first| first & 0x80 != 0) {
        return error("the serial number is negative");
    }
    if digits.is_empty() {
        return error("the serial number is zero");
    }
    if serial.len() > MAX_SERIAL_BYTES {
        return error(format!("the serial number has {} bytes; at most 20 are allowed", serial.len()));
    }
    if digits.len() < RANDOM_SERIAL_BYTES && !it.is_self_issued() {
        return warning("the serial number has fewer than 64 bits, and so can be foreseen");
    }
    Ok(())
}

pub(super) fn issuer_name(it: &Certificate) -> Outcome {
    if it.issuer().is_empty() { error("the issuer has no name") } else { Ok(()) }
}

pub(super) fn dates(it: &Certificate) -> Outcome {
    if it.not_after() < it.not_before() { error("it ends before it begins") } else { Ok(()) }
}

pub(super) fn subject_name(it: &Certificate) -> Outcome {
    let extensions = &it.parts().extensions;
    let names = extensions.is_critical(crate::der::oid::SUBJECT_ALT_NAME);
    match (it.subject().is_empty(), it.is_ca(), names) {
        (true, true, _) => error("a CA has no subject"),
        (true, false, None) => error("it has neither subject nor alternative names"),
        (true, false, Some(false)) => error("its only names, the alternative ones, are not critical"),
        (true, false, Some(true)) | (false, ..) => Ok(()),
    }
}

pub(super) fn key_strength(it: &Certificate) -> Outcome {
    match it.public_key().check() {
        Ok(()) => Ok(()),
        Err(problem) => error(problem.to_string()),
    }
}

pub(super) fn lifetime(it: &Certificate) -> Outcome {
    let serves =
        it.extended_key_usages().is_some_and(|usages| usages.contains(&ExtendedKeyUsage::ServerAuth));
    let days =
        it.not_before().until(it.not_after()).as_secs().saturating_sub(crate::profile::BACKDATE_S) / 86_400;
    if serves && !it.is_ca() && days > SERVER_DAYS {
        return warning(format!(
            "a server's certificate is valid for {days} days; browsers take at most 398"
        ));
    }
    Ok(())
}
