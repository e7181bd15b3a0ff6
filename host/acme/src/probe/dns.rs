//! dns-01 (RFC 8555, 8.4): a TXT record holds the digest of the key authorization.

use super::network::{NetworkProbe, unresolved};
use super::{Attempt, ProbeFailure};
use crate::base64url;
use crate::identifier::Identifier;
use crate::problem::ProblemKind;
use aws_lc_rs::digest;

pub(super) async fn prove(probe: &NetworkProbe, attempt: &Attempt) -> Result<(), ProbeFailure> {
    let Identifier::Dns(name) = &attempt.identifier else {
        return Err(ProbeFailure::new(ProblemKind::Malformed, "an address has no TXT records"));
    };
    let name = format!("_acme-challenge.{name}");
    let expected =
        base64url::encode(digest::digest(&digest::SHA256, attempt.key_authorization.as_bytes()).as_ref());
    let found = probe.resolve().txt(&name).await.map_err(|error| unresolved(&name, &error))?;
    if found.iter().any(|text| text == expected.as_bytes()) {
        return Ok(());
    }
    let detail = match found.len() {
        0 => format!("{name} has no TXT record; it should be {expected:?}"),
        count => format!("none of the {count} TXT records of {name} is {expected:?}"),
    };
    Err(ProbeFailure::new(ProblemKind::IncorrectResponse, detail))
}
