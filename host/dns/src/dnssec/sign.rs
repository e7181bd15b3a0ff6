//! One signature: what is signed, and the record that says so (RFC 4034, 3).

use super::{SignError, ZoneSigner};
use crate::name::Name;
use crate::record::with_length;
use crate::types::RecordType;
use crate::zone::{Cached, Rrset, head};

/// ECDSA P-256 with SHA-256 (RFC 6605).
const ALGORITHM: u8 = 13;
/// How long a signature is valid, in seconds: a week.
const LIFE: u64 = 7 * 86_400;
/// How long before now it begins, in seconds: clocks of validators may be behind.
const EARLIER: u64 = 3600;

pub(super) struct Signing<'s> {
    pub(super) origin: &'s Name,
    pub(super) key_tag: u16,
    /// In lower case.
    pub(super) owner: &'s [u8],
    pub(super) record_type: RecordType,
    pub(super) ttl: u32,
    /// In canonical order.
    pub(super) data: &'s [&'s [u8]],
    /// Seconds since 1970.
    pub(super) now: u64,
}

impl Signing<'_> {
    pub(super) fn make(&self, signer: &dyn ZoneSigner) -> Result<Cached, SignError> {
        let mut rrsig = self.statement();
        let message = [&rrsig[..], &unsigned(self.owner, self.record_type, self.ttl, self.data)].concat();
        rrsig.extend_from_slice(&signer.sign(&message)?);
        let wire = Rrset::raw(RecordType::RRSIG, self.ttl, &[&rrsig]).wire().into();
        Ok(Cached { wire, until: self.now + LIFE - LIFE / 4, ttl: self.ttl })
    }

    /// The data of the RRSIG up to the signature.
    fn statement(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(128);
        data.extend_from_slice(&self.record_type.code().to_be_bytes());
        data.extend_from_slice(&[ALGORITHM, labels(self.owner)]);
        data.extend_from_slice(&self.ttl.to_be_bytes());
        for time in [self.now + LIFE, self.now.saturating_sub(EARLIER)] {
            // Numbers of 32 bits that begin anew in 2106 (RFC 4034, 3.1.5).
            data.extend_from_slice(&u32::try_from(time & 0xffff_ffff).unwrap_or_default().to_be_bytes());
        }
        data.extend_from_slice(&self.key_tag.to_be_bytes());
        data.extend_from_slice(self.origin.wire());
        data
    }
}

/// The records as they are signed: each with its whole owner.
pub(super) fn unsigned(owner: &[u8], record_type: RecordType, ttl: u32, data: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    for octets in data {
        out.extend_from_slice(owner);
        head(&mut out, record_type, ttl);
        with_length(&mut out, |out| out.extend_from_slice(octets));
    }
    out
}

/// How many labels an owner has, neither the root's nor a wildcard's counted (RFC 4034, 3.1.3).
fn labels(owner: &[u8]) -> u8 {
    let mut count = 0;
    let mut at = 0;
    while owner[at] > 0 {
        at += usize::from(owner[at]) + 1;
        count += 1;
    }
    if owner.starts_with(b"\x01*") { count - 1 } else { count }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_counted_without_root_and_wildcard() {
        assert_eq!(labels(b"\0"), 0);
        assert_eq!(labels(b"\x01a\x01b\0"), 2);
        assert_eq!(labels(b"\x01*\x01b\0"), 1);
    }
}
