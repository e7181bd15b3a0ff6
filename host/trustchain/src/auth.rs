//! Who is it: proof that one has a certificate's key, and who holds the certificate of a TLS client.
//!
//! A challenge is a nonce that is good once and for a minute; what is signed names its purpose and the trust domain, so a
//! signature can't be one that was made for something else. Outstanding ones are in memory and bounded: a restart, or a
//! flood of them, costs a client another round.

use crate::TrustChain;
use crate::error::TrustError;
use crate::views::{Challenge, Peer};
use hypermesh_model::{CertificateId, CertificateProfile, CertificateStatus, Timestamp};
use hypermesh_pki::Certificate;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How long a challenge is good, seconds.
const GOOD_FOR: u64 = 60;
/// Challenges that are outstanding at once; the oldest go first.
const OUTSTANDING: usize = 10_000;
/// Random bytes of a nonce.
const NONCE: usize = 32;

/// The challenges that were given out and not answered.
#[derive(Debug, Default)]
pub(crate) struct Challenges(Mutex<BTreeMap<String, Timestamp>>);

impl Challenges {
    fn give(&self, now: Timestamp) -> Result<(String, Timestamp), TrustError> {
        let mut random = [0_u8; NONCE];
        getrandom::fill(&mut random).map_err(TrustError::internal("making a challenge"))?;
        let nonce: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let until = now.plus_seconds(GOOD_FOR);
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if given.len() >= OUTSTANDING {
            given.retain(|_, until| *until >= now);
        }
        while given.len() >= OUTSTANDING {
            let oldest = given.iter().min_by_key(|(_, until)| **until).map(|(nonce, _)| nonce.clone());
            oldest.map(|nonce| given.remove(&nonce));
        }
        given.insert(nonce.clone(), until);
        Ok((nonce, until))
    }

    /// Whether a nonce was given out and is good; it isn't any more afterwards.
    fn take(&self, nonce: &str, now: Timestamp) -> bool {
        let until = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(nonce);
        until.is_some_and(|until| now <= until)
    }
}

fn denied(detail: impl Into<String>) -> TrustError {
    TrustError::Unauthenticated { detail: detail.into() }
}

impl TrustChain {
    /// What is to be signed with a certificate's key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn challenge(&self) -> Result<Challenge, TrustError> {
        let (nonce, expires_at) = self.challenges.give(Timestamp::now())?;
        Ok(Challenge { message: self.challenge_message(&nonce), nonce, expires_at })
    }

    fn challenge_message(&self, nonce: &str) -> Vec<u8> {
        format!("HyperMesh authentication v1\n{}\n{nonce}\n", self.settings.trust_domain).into_bytes()
    }

    /// The holder of a certificate of ours, by the signature over a challenge's message.
    ///
    /// # Errors
    /// [`TrustError::Unauthenticated`] with the proof that failed.
    pub fn authenticate(
        &self,
        certificate_pem: &str,
        nonce: &str,
        signature: &[u8],
    ) -> Result<Peer, TrustError> {
        // Taken first: a nonce is good for one attempt, whatever it is.
        if !self.challenges.take(nonce, Timestamp::now()) {
            return Err(denied("the challenge is unknown, used or too old; ask for another"));
        }
        let certificate = Certificate::from_pem(certificate_pem)
            .map_err(|e| TrustError::invalid("certificate", e.to_string()))?;
        let peer = self.holder(&certificate)?;
        let message = self.challenge_message(nonce);
        if !hypermesh_pki::verify_possession(certificate.public_key(), &message, signature) {
            return Err(denied("the signature over the challenge is not the certificate's key's"));
        }
        Ok(peer)
    }

    /// The holder of a certificate that a TLS handshake proved possession of: ours byte by byte, valid now, not taken back,
    /// and for clients.
    ///
    /// # Errors
    /// [`TrustError::Unauthenticated`].
    pub fn identify(&self, certificate_der: &[u8]) -> Result<Peer, TrustError> {
        let certificate = Certificate::from_der(certificate_der).map_err(|e| denied(e.to_string()))?;
        let peer = self.holder(&certificate)?;
        let profile = self.index.get(&peer.certificate_id).and_then(|record| record.profile);
        match profile {
            Some(CertificateProfile::Client | CertificateProfile::Node) => Ok(peer),
            Some(CertificateProfile::Server | CertificateProfile::CodeSigning) | None => {
                Err(denied("the certificate is not for clients"))
            }
        }
    }

    fn holder(&self, certificate: &Certificate) -> Result<Peer, TrustError> {
        let id = CertificateId::parse(certificate.serial_hex())
            .map_err(|_| denied("the certificate is not ours"))?;
        let record = self.index.get(&id).ok_or_else(|| denied("the certificate is not ours"))?;
        if record.fingerprint != certificate.fingerprint() {
            return Err(denied("the certificate is not the one of that serial number"));
        }
        match self.status_of(&record, Timestamp::now()) {
            CertificateStatus::Active => Ok(Peer {
                certificate_id: record.id,
                subject: record.subject,
                names: record.names,
                expires_at: record.valid_to,
            }),
            CertificateStatus::Pending => Err(denied("the certificate is not valid yet")),
            CertificateStatus::Expired => Err(denied("the certificate has expired")),
            CertificateStatus::Revoked => Err(denied("the certificate was revoked")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_good_once_and_for_a_minute() {
        let challenges = Challenges::default();
        let now = Timestamp::from_millis(0);
        let (nonce, until) = challenges.give(now).unwrap();
        assert!(challenges.take(&nonce, until) && !challenges.take(&nonce, now));
        let (late, until) = challenges.give(now).unwrap();
        assert!(!challenges.take(&late, until.plus_seconds(1)));
        assert!(!challenges.take("", now));
    }

    #[test]
    fn a_flood_drops_the_oldest() {
        let challenges = Challenges::default();
        let now = Timestamp::from_millis(0);
        let (first, _) = challenges.give(now).unwrap();
        for _ in 0..OUTSTANDING {
            challenges.give(now.plus_seconds(1)).unwrap();
        }
        assert!(!challenges.take(&first, now.plus_seconds(1)));
    }
}
