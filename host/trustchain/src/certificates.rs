//! Certificates as they are read: one, lists, bytes, chains, the hierarchy, the proof that one is in the log.

use crate::TrustChain;
use crate::ca::Issuer;
use crate::error::TrustError;
use crate::issue::record_of;
use crate::records::AuthorityState;
use crate::requests::CertificateFilter;
use crate::views::{Certificate, CertificatePage, Hierarchy, Inclusion};
use hypermesh_ctlog::LogError;
use hypermesh_model::{
    CertificateId, CertificateRecord, CertificateStatus, Revocation, Timestamp, TrustLevel,
};

/// Leaves that [`TrustChain::hierarchy`] shows: the newest.
pub const MAX_HIERARCHY_LEAVES: usize = 1000;
/// Longest page of [`TrustChain::certificates`].
pub const MAX_PAGE: usize = 1000;

impl TrustChain {
    /// The certificate's bytes, parsed.
    pub(crate) fn read(&self, record: &CertificateRecord) -> Result<hypermesh_pki::Certificate, TrustError> {
        let fault = "reading a certificate from the archive";
        let offset =
            record.archive_offset.ok_or_else(|| TrustError::internal(fault)("it has no place there"))?;
        let frame = self.archive.read(offset).map_err(TrustError::internal(fault))?;
        hypermesh_pki::Certificate::from_der(&frame.der).map_err(TrustError::internal(fault))
    }

    fn parsed(&self, id: &CertificateId) -> Result<hypermesh_pki::Certificate, TrustError> {
        if let Some(issuer) = self.ca().get(id) {
            return Ok(issuer.certificate.clone());
        }
        let record = self.index.get(id).ok_or_else(|| TrustError::not_found("certificate", id))?;
        self.read(&record)
    }

    pub(crate) fn revocation(&self, id: &CertificateId) -> Option<Revocation> {
        self.tables.revocations.get(id).map(|row| row.0)
    }

    pub(crate) fn status_of(&self, record: &CertificateRecord, now: Timestamp) -> CertificateStatus {
        let revoked = self.tables.revocations.contains(&record.id);
        CertificateStatus::at(now, record.valid_from, record.valid_to, revoked)
    }

    pub(crate) fn view_of(
        &self,
        record: &CertificateRecord,
        certificate: &hypermesh_pki::Certificate,
    ) -> Certificate {
        let revocation = self.revocation(&record.id);
        Certificate {
            status: self.status_of(record, Timestamp::now()),
            public_key_pem: certificate.public_key().pem(),
            updated_at: revocation.as_ref().map_or(record.created_at, |revocation| revocation.at),
            record: record.clone(),
            revocation,
        }
    }

    fn view(&self, record: &CertificateRecord) -> Result<Certificate, TrustError> {
        Ok(self.view_of(record, &self.read(record)?))
    }

    fn authority_record(&self, issuer: &Issuer) -> CertificateRecord {
        let ca = self.ca();
        // Below the root everything is signed by it, and so is it.
        let mut record =
            record_of(&issuer.certificate, &ca.root, None).unwrap_or_else(|_| CertificateRecord {
                id: issuer.id.clone(),
                subject: issuer.certificate.subject().to_string(),
                issuer: issuer.certificate.issuer().to_string(),
                issuer_id: ca.root.id.clone(),
                trust_level: issuer.level,
                profile: None,
                names: Vec::new(),
                key_algorithm: issuer.certificate.public_key().algorithm().to_string(),
                valid_from: issuer.certificate.not_before(),
                valid_to: issuer.certificate.not_after(),
                fingerprint: issuer.certificate.fingerprint(),
                created_at: issuer.created_at,
                log_index: None,
                archive_offset: None,
            });
        record.trust_level = issuer.level;
        record.created_at = issuer.created_at;
        record
    }

    pub(crate) fn view_authority(&self, issuer: &Issuer) -> Certificate {
        self.view_of(&self.authority_record(issuer), &issuer.certificate)
    }

    /// One certificate.
    ///
    /// # Errors
    /// [`TrustError::NotFound`].
    pub fn certificate(&self, id: &CertificateId) -> Result<Certificate, TrustError> {
        if let Some(issuer) = self.ca().get(id) {
            return Ok(self.view_authority(issuer));
        }
        let record = self.index.get(id).ok_or_else(|| TrustError::not_found("certificate", id))?;
        self.view(&record)
    }

    /// A certificate, DER.
    ///
    /// # Errors
    /// [`TrustError::NotFound`].
    pub fn certificate_der(&self, id: &CertificateId) -> Result<Vec<u8>, TrustError> {
        Ok(self.parsed(id)?.der().to_vec())
    }

    /// A certificate, PEM.
    ///
    /// # Errors
    /// [`TrustError::NotFound`].
    pub fn certificate_pem(&self, id: &CertificateId) -> Result<String, TrustError> {
        Ok(self.parsed(id)?.pem())
    }

    /// A certificate and those above it, without the root (unless it is asked for itself), PEM.
    ///
    /// # Errors
    /// [`TrustError::NotFound`].
    pub fn chain_pem(&self, id: &CertificateId) -> Result<String, TrustError> {
        let certificate = self.parsed(id)?;
        let ca = self.ca();
        let above = ca.of(&certificate).filter(|issuer| issuer.level == TrustLevel::Intermediate);
        let above = above.map(|issuer| issuer.certificate.pem()).unwrap_or_default();
        Ok(format!("{}{above}", certificate.pem()))
    }

    /// The certificates after `after` that are wanted, at most `limit` (1 to [`MAX_PAGE`]): the authorities, the root first,
    /// then the others as they were logged.
    ///
    /// # Errors
    /// [`TrustError::Invalid`] for an `after` that there is not, or a limit out of range.
    pub fn certificates(
        &self,
        filter: &CertificateFilter,
        after: Option<&CertificateId>,
        limit: usize,
    ) -> Result<CertificatePage, TrustError> {
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(TrustError::invalid("limit", format!("`limit` must be from 1 to {MAX_PAGE}")));
        }
        let now = Timestamp::now();
        let wanted = |record: &CertificateRecord| self.is_wanted(filter, record, now);
        let authorities: Vec<CertificateRecord> =
            self.ca().all().map(|issuer| self.authority_record(issuer)).collect();
        let unknown = || TrustError::invalid("after", "there is no certificate with this id to go on after");
        let (skipped, from) = match after {
            None => (0, 0),
            Some(id) => match authorities.iter().position(|record| record.id == *id) {
                Some(position) => (position + 1, 0),
                None => (authorities.len(), self.index.place(id).ok_or_else(unknown)? + 1),
            },
        };
        let mut records: Vec<CertificateRecord> =
            authorities.into_iter().skip(skipped).filter(&wanted).collect();
        let mut more = records.len() > limit;
        records.truncate(limit);
        if filter.trust_level.is_none_or(|level| level == TrustLevel::Leaf) && !more {
            let (rest, further) = self.index.page(from, limit - records.len(), wanted);
            records.extend(rest);
            more = further;
        }
        let view = |record: &CertificateRecord| match record.trust_level {
            TrustLevel::Leaf => self.view(record),
            TrustLevel::Root | TrustLevel::Intermediate => self.certificate(&record.id),
        };
        Ok(CertificatePage { items: records.iter().map(view).collect::<Result<_, _>>()?, more })
    }

    fn is_wanted(&self, filter: &CertificateFilter, record: &CertificateRecord, now: Timestamp) -> bool {
        let contains = |text: &str, part: &String| text.to_lowercase().contains(&part.to_lowercase());
        filter.trust_level.is_none_or(|level| record.trust_level == level)
            && filter.profile.is_none_or(|profile| record.profile == Some(profile))
            && filter.issuer_id.as_ref().is_none_or(|id| record.issuer_id == *id)
            && filter.expires_before.is_none_or(|before| record.valid_to < before)
            && filter.issued_after.is_none_or(|after| record.created_at > after)
            && filter.subject.as_ref().is_none_or(|part| contains(&record.subject, part))
            && filter.name.as_ref().is_none_or(|part| record.names.iter().any(|name| contains(name, part)))
            && filter.status.is_none_or(|status| self.status_of(record, now) == status)
    }

    /// The root, the intermediates and the newest active leaves.
    ///
    /// # Errors
    /// When the archive can't be read.
    pub fn hierarchy(&self) -> Result<Hierarchy, TrustError> {
        let ca = self.ca();
        let now = Timestamp::now();
        let mut leaves = Vec::new();
        let mut place = self.index.end();
        while let Some(index) = place.checked_sub(1).filter(|_| leaves.len() < MAX_HIERARCHY_LEAVES) {
            place = index;
            let active =
                |record: &CertificateRecord| self.status_of(record, now) == CertificateStatus::Active;
            if let Some(record) = self.index.at(index).filter(active) {
                leaves.push(self.view(&record)?);
            }
        }
        let shown = |issuer: &&std::sync::Arc<Issuer>| issuer.state != AuthorityState::Retired;
        let own = self.identity().borrow().certificate_id.clone();
        let own = self.certificate(&own)?;
        let validation_chain = vec![
            own.record.subject.clone(),
            own.record.issuer.clone(),
            ca.root.certificate.subject().to_string(),
        ];
        Ok(Hierarchy {
            root: self.view_authority(&ca.root),
            intermediates: ca
                .intermediates
                .iter()
                .filter(shown)
                .map(|issuer| self.view_authority(issuer))
                .collect(),
            leaves,
            validation_chain,
            last_validated: now,
        })
    }

    /// That a certificate is in the log, for the newest signed head.
    ///
    /// # Errors
    /// [`TrustError::NotFound`]; [`TrustError::Conflict`] for an authority's, which is in no log.
    pub fn inclusion(&self, id: &CertificateId) -> Result<Inclusion, TrustError> {
        if self.ca().get(id).is_some() {
            return Err(TrustError::conflict(
                "an authority's certificate is not in the log; its list of roots is",
            ));
        }
        let leaf_index = self.index.place(id).ok_or_else(|| TrustError::not_found("certificate", id))?;
        let fault = |e: LogError| TrustError::internal("proving that a certificate is in the log")(e);
        let head = self.log.head();
        Ok(Inclusion {
            certificate_id: id.clone(),
            leaf_index,
            leaf_hash: self.log.leaf_hash(leaf_index).map_err(fault)?,
            tree_size: head.size,
            root_hash: head.root,
            audit_path: self.log.inclusion(leaf_index, head.size).map_err(fault)?,
            checkpoint: head.to_note(self.log.origin(), self.log.key().id()),
        })
    }
}
