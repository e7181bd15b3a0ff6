//! OCSP responses (RFC 6960 §4.2), signed by the issuer's own key and named by it.

use super::OcspError;
use super::request::{CertId, OcspRequest};
use crate::authority::Authority;
use crate::der::{Writer, oid, tag, time, to_vec};
use crate::revocation::{Revocation, RevocationReason};
use crate::serial::SerialNumber;
use hypermesh_model::Timestamp;

impl Authority {
    /// Answers a request, DER: `status` says what is known of a serial of ours, others are `unknown`. The response is
    /// produced at `this_update`, repeats the nonce and has no certificates in it.
    ///
    /// # Errors
    /// [`OcspError::Sign`].
    pub fn sign_ocsp(
        &self,
        request: &OcspRequest,
        status: impl Fn(&SerialNumber) -> Revocation,
        this_update: Timestamp,
        next_update: Timestamp,
    ) -> Result<Vec<u8>, OcspError> {
        let tbs = to_vec(|w| {
            w.sequence(|w| {
                let key_hash = self.certificate().public_key().sha1();
                w.nested(tag::constructed(2), |w| w.element(tag::OCTET_STRING, &key_hash));
                time::write_generalized(w, this_update);
                w.sequence(|w| {
                    for id in &request.certificates {
                        let known = id.serial().filter(|_| id.is_of(self));
                        let found = known.map_or(Revocation::Unknown, |serial| status(&serial));
                        write_single(w, id, found, this_update, next_update);
                    }
                });
                if let Some(nonce) = &request.nonce {
                    w.nested(tag::constructed(1), |w| {
                        w.sequence(|w| {
                            w.sequence(|w| {
                                w.oid(oid::OCSP_NONCE);
                                w.element(tag::OCTET_STRING, nonce);
                            });
                        });
                    });
                }
            });
        });
        let signature = self.key().sign(&tbs).map_err(OcspError::Sign)?;
        let basic = to_vec(|w| {
            w.sequence(|w| {
                w.raw(&tbs);
                self.key().algorithm().signature().write(w);
                w.bits(&signature);
            });
        });
        Ok(to_vec(|w| {
            w.sequence(|w| {
                w.element(tag::ENUMERATED, &[0]);
                w.nested(tag::constructed(0), |w| {
                    w.sequence(|w| {
                        w.oid(oid::OCSP_BASIC);
                        w.element(tag::OCTET_STRING, &basic);
                    });
                });
            });
        }))
    }
}

fn write_single(w: &mut Writer, id: &CertId, status: Revocation, this: Timestamp, next: Timestamp) {
    w.sequence(|w| {
        w.raw(&id.der);
        match status {
            Revocation::Good => w.element(tag::context(0), &[]),
            Revocation::Unknown => w.element(tag::context(2), &[]),
            Revocation::Revoked { at, reason } => w.nested(tag::constructed(1), |w| {
                time::write_generalized(w, at);
                if reason != RevocationReason::Unspecified {
                    w.nested(tag::constructed(0), |w| w.element(tag::ENUMERATED, &[reason.code()]));
                }
            }),
        }
        time::write_generalized(w, this);
        w.nested(tag::constructed(0), |w| time::write_generalized(w, next));
    });
}
