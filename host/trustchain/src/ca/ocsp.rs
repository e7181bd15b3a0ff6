//! The OCSP responder (RFC 6960): each authority answers about what it signed, from the tables in memory.
//!
//! A certificate that was never issued is `unknown`, also one with the form of ours. What can't be answered gets the
//! unsigned response that says so; nothing here fails towards the caller.

use crate::TrustChain;
use hypermesh_model::{CertificateId, Timestamp};
use hypermesh_pki::{Authority, OcspError, OcspRequest, Revocation, SerialNumber};
use std::sync::atomic::Ordering;

/// How long an answer is good, seconds: an hour, so that a client that keeps it learns of a revocation soon.
const GOOD_FOR: u64 = 3600;

impl TrustChain {
    /// Answers the body of a POST: always an OCSPResponse, DER.
    pub fn ocsp(&self, request_der: &[u8]) -> Vec<u8> {
        self.answer(OcspRequest::from_der(request_der))
    }

    /// Answers the last part of a GET's path, percent-encoded base64 (RFC 6960 appendix A.1).
    pub fn ocsp_get(&self, path: &str) -> Vec<u8> {
        self.answer(OcspRequest::from_get(path))
    }

    fn answer(&self, request: Result<OcspRequest, OcspError>) -> Vec<u8> {
        self.counters.ocsp_requests.fetch_add(1, Ordering::Relaxed);
        let signed = request.and_then(|request| {
            let authority = self.responder(&request);
            let now = Timestamp::now();
            authority.sign_ocsp(
                &request,
                |serial| self.ocsp_status(&authority, serial),
                now,
                now.plus_seconds(GOOD_FOR),
            )
        });
        signed.unwrap_or_else(|error| error.response())
    }

    /// The authority that the request is about; for others' certificates, the one that signs: it says `unknown`.
    fn responder(&self, request: &OcspRequest) -> Authority {
        let ca = self.ca();
        let asked = ca.all().filter_map(|issuer| issuer.authority.as_ref()).find(|it| request.is_for(it));
        asked.unwrap_or(&ca.signer).clone()
    }

    fn ocsp_status(&self, authority: &Authority, serial: &SerialNumber) -> Revocation {
        let Ok(id) = CertificateId::parse(serial.to_string()) else { return Revocation::Unknown };
        let issued = self.index.get(&id).is_some_and(|record| {
            self.ca().get(&record.issuer_id).is_some_and(|it| it.certificate == *authority.certificate())
        });
        if issued { self.known_revocation(&id) } else { Revocation::Unknown }
    }

    /// What our tables say of a certificate of ours.
    pub(crate) fn known_revocation(&self, id: &CertificateId) -> Revocation {
        match self.revocation(id) {
            Some(revocation) => Revocation::Revoked {
                at: revocation.at,
                reason: revocation.reason.parse().unwrap_or_default(),
            },
            None => Revocation::Good,
        }
    }
}
