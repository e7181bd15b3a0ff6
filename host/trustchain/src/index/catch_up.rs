//! Catching up at the start, and making the index again from nothing: archive and log against the table.
//!
//! What is in the archive and not in the table is read. What is in the log and not in the archive was promised and never
//! given out: it is finished now, as the log's entry says, byte by byte but for the signatures. An entry that can't be
//! finished (its authority's key is gone) is counted and said; its serial number can still be revoked by hand.

use super::Reached;
use crate::archive::{Archive, Frame, end_of};
use crate::ca::{Ca, urls_of_certificate};
use crate::error::TrustError;
use crate::issue::{record_of, timestamp};
use crate::records::{IndexMark, LogIndex, Logged};
use crate::views::Rebuilt;
use hypermesh_ctlog::{Entry, Log};
use hypermesh_model::{CertificateProfile, CertificateRecord, error_chain};
use hypermesh_pki::{Certificate, ExtendedKeyUsage, Order};
use hypermesh_store::{Batch, Store, Table};
use std::collections::HashSet;

/// Rows in one transaction.
const BATCH: usize = 4096;

/// What catching up needs. Blocks.
pub(crate) struct CatchUp<'a> {
    pub(crate) ca: &'a Ca,
    pub(crate) log: &'a Log,
    pub(crate) archive: &'a Archive,
    pub(crate) store: &'a Store,
    pub(crate) table: &'a Table<Logged>,
    pub(crate) marks: &'a Table<IndexMark>,
}

impl CatchUp<'_> {
    /// Takes in frames of the archive, then finishes what the log has from `log_from` on and they lack. `all` says that the
    /// table may hold anything, and only what is in log and archive stays.
    pub(crate) fn run(
        &self,
        frames: Vec<Frame>,
        log_from: u64,
        all: bool,
    ) -> Result<(Vec<CertificateRecord>, Reached, Rebuilt), TrustError> {
        let mut known = HashSet::new();
        let mut records = Vec::new();
        let mut archive_end = 0;
        for frame in &frames {
            archive_end = end_of(frame.offset, frame.der.len());
            if known.insert(frame.log_index) {
                records.extend(self.record_of_frame(frame)?);
            }
        }
        let mut rebuilt = Rebuilt { entries: self.log.head().size, ..Rebuilt::default() };
        let mut missing = Vec::new();
        self.log
            .scan(log_from, &mut |index, entry| {
                if !known.contains(&index) && (all || !self.table.contains(&LogIndex(index))) {
                    missing.push((index, entry));
                }
            })
            .map_err(TrustError::internal("reading the log"))?;
        for (index, entry) in missing {
            match self.finish(index, &entry) {
                Ok((record, end)) => {
                    archive_end = end;
                    records.push(record);
                    rebuilt.signed_again += 1;
                }
                Err(error) => tracing::error!(
                    index,
                    error = error_chain(&error),
                    "an entry of the log can't be finished; its certificate was never given out"
                ),
            }
        }
        let reached = self.reached(rebuilt.entries, archive_end);
        rebuilt.written = self.write(&mut records, &reached, all)?;
        Ok((records, reached, rebuilt))
    }

    /// Everything that there is now is in the table.
    fn reached(&self, log_next: u64, archive_end: u64) -> Reached {
        let before = Reached::from(self.marks);
        Reached::at(log_next, archive_end.max(before.archive.next()))
    }

    fn write(
        &self,
        records: &mut [CertificateRecord],
        reached: &Reached,
        all: bool,
    ) -> Result<u64, TrustError> {
        let fault = "writing the index";
        records.sort_by_key(|record| record.log_index);
        let mut written = 0;
        if all {
            let stays: HashSet<Option<u64>> = records.iter().map(|record| record.log_index).collect();
            let gone = self.table.filter(|row| !stays.contains(&row.0.log_index));
            for rows in gone.chunks(BATCH) {
                let mut batch = Batch::new();
                for row in rows {
                    batch.delete(self.table, &LogIndex(row.0.log_index.unwrap_or(u64::MAX)));
                }
                self.store.commit_blocking(batch).map_err(TrustError::internal(fault))?;
            }
        }
        for rows in records.chunks(BATCH) {
            let mut batch = Batch::new();
            for record in rows {
                let row = Logged(record.clone());
                let place = LogIndex(record.log_index.unwrap_or(u64::MAX));
                if self.table.get(&place).as_ref() != Some(&row) {
                    batch.put(self.table, row);
                    written += 1;
                }
            }
            self.store.commit_blocking(batch).map_err(TrustError::internal(fault))?;
        }
        self.archive.sync().map_err(TrustError::internal(fault))?;
        let mut batch = Batch::new();
        batch.put(self.marks, reached.mark());
        self.store.commit_blocking(batch).map_err(TrustError::internal(fault))?;
        Ok(written)
    }

    fn record_of_frame(&self, frame: &Frame) -> Result<Option<CertificateRecord>, TrustError> {
        let fault = "reading the archive of issued certificates";
        let certificate = Certificate::from_der(&frame.der).map_err(TrustError::internal(fault))?;
        let Some(issuer) = self.ca.of(&certificate) else {
            tracing::error!(
                index = frame.log_index,
                "a certificate in the archive is by an authority that is gone"
            );
            return Ok(None);
        };
        let entry = self.log.entry(frame.log_index).map_err(TrustError::internal(fault))?;
        Ok(Some(CertificateRecord {
            created_at: timestamp(entry.timestamp_ms),
            log_index: Some(frame.log_index),
            archive_offset: Some(frame.offset),
            ..record_of(&certificate, issuer, profile_of(&certificate))?
        }))
    }

    /// Makes the certificate that an entry of the log promises, and archives it.
    fn finish(&self, index: u64, entry: &Entry) -> Result<(CertificateRecord, u64), TrustError> {
        let fault = "finishing a certificate from the log";
        let promised = Certificate::from_der(&entry.precert).map_err(TrustError::internal(fault))?;
        let issuer =
            self.ca.of(&promised).ok_or_else(|| TrustError::internal(fault)("its authority is gone"))?;
        let authority = issuer
            .authority
            .as_ref()
            .ok_or_else(|| TrustError::internal(fault)("its authority's key is gone"))?;
        let profile = profile_of(&promised)
            .ok_or_else(|| TrustError::internal(fault)("it is of no profile of ours"))?;
        let order = Order {
            profile: crate::issue::pki_profile(profile),
            subject: promised.subject().clone(),
            names: promised.names().clone(),
            key: promised.public_key().clone(),
            serial: promised
                .serial()
                .ok_or_else(|| TrustError::internal(fault)("its serial number is not ours"))?,
            not_before: promised.not_before(),
            not_after: promised.not_after(),
        };
        let urls = urls_of_certificate(&promised);
        let urls = urls.ok_or_else(|| TrustError::internal(fault)("it names no revocation list"))?;
        let precertificate = authority.prepare(&order, &urls).map_err(TrustError::internal(fault))?;
        if precertificate.tbs != entry.tbs {
            return Err(TrustError::internal(fault)("what it would be is not what the log says"));
        }
        let sct = self.log.sct(index).map_err(TrustError::internal(fault))?;
        let certificate = precertificate.finish(&[sct]).map_err(TrustError::internal(fault))?;
        let offset = self.archive.append(index, certificate.der()).map_err(TrustError::internal(fault))?;
        let record = CertificateRecord {
            created_at: timestamp(entry.timestamp_ms),
            log_index: Some(index),
            archive_offset: Some(offset),
            ..record_of(&certificate, issuer, Some(profile))?
        };
        Ok((record, end_of(offset, certificate.der().len())))
    }
}

/// What a certificate of ours was issued for: its extended key usages say it.
fn profile_of(certificate: &Certificate) -> Option<CertificateProfile> {
    let usages = certificate.extended_key_usages()?;
    let has = |usage: ExtendedKeyUsage| usages.contains(&usage);
    let pair = (has(ExtendedKeyUsage::ServerAuth), has(ExtendedKeyUsage::ClientAuth));
    match pair {
        (true, true) => Some(CertificateProfile::Node),
        (true, false) => Some(CertificateProfile::Server),
        (false, true) => Some(CertificateProfile::Client),
        (false, false) => has(ExtendedKeyUsage::CodeSigning).then_some(CertificateProfile::CodeSigning),
    }
}
