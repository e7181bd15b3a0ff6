//! Revocation lists (RFC 5280 §5), complete ones of one issuer.
//!
//! Entries are written straight into the list as they come, so that 100,000 of them cost no more than their bytes and
//! one hash.

use super::{Authority, IssueError};
use crate::certificate::KeyUsages;
use crate::der::{self, Writer, oid, tag};
use crate::revocation::{RevocationReason, Revoked};
use hypermesh_model::Timestamp;

/// About the bytes of an entry, to ask for memory once.
const ENTRY_BYTES: usize = 52;

/// What a revocation list says.
#[derive(Debug)]
pub struct CrlContent<I> {
    /// Larger than that of every list before (RFC 5280 §5.2.3).
    pub number: u64,
    /// When it is made.
    pub this_update: Timestamp,
    /// When the next will be there at the latest.
    pub next_update: Timestamp,
    /// Every revoked certificate that hasn't expired, each once.
    pub entries: I,
}

impl Authority {
    /// Signs a revocation list, DER.
    ///
    /// # Errors
    /// [`IssueError::NotACa`] if the certificate's key may not sign lists, [`IssueError::Dates`] if the next update
    /// doesn't follow this one, [`IssueError::Sign`].
    pub fn sign_crl<I: IntoIterator<Item = Revoked>>(
        &self,
        content: CrlContent<I>,
    ) -> Result<Vec<u8>, IssueError> {
        let CrlContent { number, this_update, next_update, entries } = content;
        if !self.certificate().key_usages().is_none_or(|usages| usages.contains(KeyUsages::CRL_SIGN)) {
            return Err(IssueError::NotACa);
        }
        if next_update <= this_update {
            return Err(IssueError::Dates { not_before: this_update, not_after: next_update });
        }
        let mut entries = entries.into_iter().peekable();
        let mut w = Writer::with_capacity(1024 + ENTRY_BYTES * entries.size_hint().0);
        w.sequence(|w| {
            w.number(1);
            self.key().algorithm().signature().write(w);
            w.raw(self.certificate().subject().der());
            der::time::write(w, this_update);
            der::time::write(w, next_update);
            if entries.peek().is_some() {
                w.sequence(|w| entries.for_each(|entry| write_entry(w, &entry)));
            }
            w.nested(tag::constructed(0), |w| w.sequence(|w| self.write_extensions(w, number)));
        });
        let tbs = w.finish();
        let signature = self.key().sign(&tbs).map_err(IssueError::Sign)?;
        let mut w = Writer::with_capacity(tbs.len() + 256);
        w.sequence(|w| {
            w.raw(&tbs);
            self.key().algorithm().signature().write(w);
            w.bits(&signature);
        });
        Ok(w.finish())
    }

    fn write_extensions(&self, w: &mut Writer, number: u64) {
        let [authority_key, _] = crate::certificate::extensions::key_ids(&[], &self.0.key_id);
        authority_key.write(w);
        w.sequence(|w| {
            w.oid(oid::CRL_NUMBER);
            w.nested(tag::OCTET_STRING, |w| w.number(number));
        });
    }
}

fn write_entry(w: &mut Writer, entry: &Revoked) {
    w.sequence(|w| {
        w.unsigned(entry.serial.as_bytes());
        der::time::write(w, entry.at);
        // RFC 5280 §5.3.1: no reason is said by leaving it out.
        if entry.reason != RevocationReason::Unspecified {
            w.sequence(|w| {
                w.sequence(|w| {
                    w.oid(oid::REASON_CODE);
                    w.nested(tag::OCTET_STRING, |w| w.element(tag::ENUMERATED, &[entry.reason.code()]));
                });
            });
        }
    });
}
