//! Changing the zone: checked, durable, served, in that order.

use super::{Dns, kept, served};
use crate::TrustChain;
use crate::error::TrustError;
use crate::records::ZoneRecord;
use hypermesh_dns::{Change, Record, RecordData, RecordType};
use hypermesh_model::{DnsRecord, EventKind, Timestamp};
use hypermesh_store::Batch;
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

impl TrustChain {
    /// One record replaced by another, or added, or removed. Whoever calls has the turn.
    pub(super) async fn change_zone(
        &self,
        old: Option<DnsRecord>,
        new: Option<DnsRecord>,
    ) -> Result<(), TrustError> {
        let mut changes = Vec::new();
        let mut batch = Batch::new();
        // A new name server before the old one goes: a zone is never without.
        if let Some(new) = &new {
            changes.push(Change::Add(served(new)?));
            batch.put(&self.dns.records, new.clone());
        }
        if let Some(old) = &old {
            let gone = served(old)?;
            let stays = new
                .as_ref()
                .map(served)
                .transpose()?
                .is_some_and(|new| new.name == gone.name && new.data == gone.data);
            if !stays {
                // A CNAME has no place beside what it is replaced by, nor beside another.
                changes.insert(
                    usize::from(gone.record_type() == RecordType::NS && new.is_some()),
                    Change::Remove(gone),
                );
            }
            if new.is_none() {
                batch.delete(&self.dns.records, &old.id);
            }
        }
        let subject = new.or(old).map_or_else(String::new, |record| record.domain);
        self.commit_zone(&changes, batch, &subject).await
    }

    /// Checks changes against what is served, commits the batch with the zone's new serial number, and serves them.
    /// Whoever calls has the turn.
    pub(super) async fn commit_zone(
        &self,
        changes: &[Change],
        mut batch: Batch,
        subject: &str,
    ) -> Result<(), TrustError> {
        let current = self.dns.zones.current();
        let next = current.apply(changes).map_err(|e| TrustError::conflict(e.to_string()))?;
        batch.put(&self.dns.state, ZoneRecord { id: self.dns.origin.text(), serial: next.serial() });
        batch.event(EventKind::DnsChanged, subject, json!({ "serial": next.serial() }));
        self.commit(batch, "recording a change of the zone").await?;
        self.dns.zones.replace(next).map_err(TrustError::internal("serving a change of the zone"))?;
        self.counters.dns_changes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Adds the records of a master file (RFC 1035 §5) to the zone, all or none; the SOA is left out. How many were new.
    ///
    /// # Errors
    /// [`TrustError::Invalid`] with the line that is wrong; [`TrustError::Conflict`] where a record can't be beside another.
    pub async fn import_zone(&self, text: &str) -> Result<usize, TrustError> {
        let imported = hypermesh_dns::import(text, &self.dns.origin)
            .map_err(|e| TrustError::invalid("zone", e.to_string()))?;
        let _turn = self.dns.turn.lock().await;
        let mut changes = Vec::new();
        for record in imported {
            if record.record_type() != RecordType::SOA {
                changes.push(Change::Add(record));
            }
        }
        let (batch, count) = self.dns.rows_of(&changes)?;
        if count > 0 {
            let subject = self.dns.origin.text();
            self.commit_zone(&changes, batch, &subject).await?;
        }
        Ok(count)
    }
}

impl Dns {
    /// What changes of the snapshot are in the store, and how many rows they touch.
    pub(super) fn rows_of(&self, changes: &[Change]) -> Result<(Batch, usize), TrustError> {
        if changes.len() > super::MAX_DNS_RECORDS {
            let detail = format!("at most {} records are changed at once", super::MAX_DNS_RECORDS);
            return Err(TrustError::refused(detail));
        }
        let mut rows: HashMap<Record, DnsRecord> = HashMap::new();
        for row in self.records.all() {
            let key = served(&row).map_err(TrustError::internal("reading a record of the zone"))?;
            rows.insert(without_ttl(key), row);
        }
        let now = Timestamp::now();
        let (mut batch, mut count) = (Batch::new(), 0);
        for change in changes {
            match change {
                Change::Add(record) if matches!(record.data, RecordData::Soa(_)) => {}
                Change::Add(record) => {
                    let key = without_ttl(record.clone());
                    let known = rows.get(&key).cloned();
                    if known.as_ref().is_some_and(|row| row.ttl == record.ttl) {
                        continue;
                    }
                    let fresh = kept(record, now);
                    let row = DnsRecord { id: known.map_or(fresh.id, |row| row.id), ..kept(record, now) };
                    batch.put(&self.records, row.clone());
                    rows.insert(key, row);
                    count += 1;
                }
                Change::Remove(record) => {
                    if let Some(row) = rows.remove(&without_ttl(record.clone())) {
                        batch.delete(&self.records, &row.id);
                        count += 1;
                    }
                }
            }
        }
        Ok((batch, count))
    }
}

/// What identifies a record: its owner and what it says (RFC 2181 §5).
fn without_ttl(record: Record) -> Record {
    Record { ttl: 0, ..record }
}
