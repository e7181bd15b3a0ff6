//! The zone: its records in the store, its snapshot in the server.
//!
//! One writer at a time (`turn`). A change is checked against the snapshot that is served, committed to SQLite with the
//! serial number that it leads to, and then served: what is answered is on disk. REST, `nsupdate` and imports all take
//! that way. What a record may be is `hypermesh_dns`'s to say; who may change one is the edge's.

mod change;
mod start;
mod updates;

use crate::TrustChain;
use crate::error::TrustError;
use crate::records::ZoneRecord;
use crate::requests::{DnsFilter, DnsRecordChange, NewDnsRecord};
use hypermesh_dns::{InvalidRecord, Name, PublishedKey, Record, RecordData, RecordType, Server, Zones};
use hypermesh_model::{DnsRecord, DnsRecordId, DnsRecordStatus, Timestamp};
use hypermesh_store::Table;
pub(crate) use start::open;
use std::net::SocketAddr;
pub(crate) use updates::Gateway;

/// Records in one list or import: a zone of a large mesh, and a bound on one answer.
pub const MAX_DNS_RECORDS: usize = 100_000;

/// The zone's parts in the domain.
pub(crate) struct Dns {
    pub(crate) origin: Name,
    pub(crate) zones: Zones,
    pub(crate) records: Table<DnsRecord>,
    pub(crate) state: Table<ZoneRecord>,
    pub(crate) turn: tokio::sync::Mutex<()>,
    pub(crate) key: PublishedKey,
    /// Taken when the domain stops.
    pub(crate) server: std::sync::Mutex<Option<Server>>,
    pub(crate) addresses: Vec<SocketAddr>,
}

impl From<InvalidRecord> for TrustError {
    fn from(error: InvalidRecord) -> Self {
        Self::invalid(error.field, error.reason)
    }
}

/// What the server serves, of what the store keeps.
pub(crate) fn served(record: &DnsRecord) -> Result<Record, InvalidRecord> {
    let invalid = |field, reason: String| InvalidRecord { field, reason };
    let record_type: RecordType = record
        .record_type
        .parse()
        .map_err(|e: hypermesh_dns::UnknownType| invalid("record_type", e.to_string()))?;
    let name = Name::parse(&record.domain).map_err(|e| invalid("domain", e.to_string()))?;
    let data = RecordData::parse(record_type, &record.value, record.priority, record.weight, record.port)?;
    Record::new(name, record.ttl, data)
}

/// What the store keeps, of what the server serves.
pub(crate) fn kept(record: &Record, at: Timestamp) -> DnsRecord {
    DnsRecord {
        id: DnsRecordId::generate(),
        domain: record.name.text(),
        record_type: record.record_type().to_string(),
        value: record.data.value(),
        ttl: record.ttl,
        priority: record.data.priority(),
        weight: record.data.weight(),
        port: record.data.port(),
        last_updated: at,
        status: DnsRecordStatus::Active,
    }
}

impl TrustChain {
    /// The records that are wanted, by name, then type.
    pub fn dns_records(&self, filter: &DnsFilter) -> Vec<DnsRecord> {
        let domain = filter.domain.as_ref().map(|domain| domain.trim_end_matches('.').to_ascii_lowercase());
        let record_type = filter.record_type.as_ref().map(|text| text.to_ascii_uppercase());
        let mut found = self.dns.records.filter(|record| {
            domain.as_ref().is_none_or(|wanted| record.domain == *wanted)
                && record_type.as_ref().is_none_or(|wanted| record.record_type == *wanted)
                && filter.status.is_none_or(|wanted| record.status == wanted)
        });
        found.sort_by(|a, b| {
            (&a.domain, &a.record_type, &a.value, &a.id).cmp(&(&b.domain, &b.record_type, &b.value, &b.id))
        });
        found
    }

    /// One record.
    ///
    /// # Errors
    /// [`TrustError::NotFound`].
    pub fn dns_record(&self, id: &DnsRecordId) -> Result<DnsRecord, TrustError> {
        self.dns.records.get(id).ok_or_else(|| TrustError::not_found("DNS record", id))
    }

    /// Adds a record; the next answer has it.
    ///
    /// # Errors
    /// [`TrustError::Invalid`] with the member that is wrong; [`TrustError::Conflict`] when it is there already or can't be
    /// beside what is there.
    pub async fn create_dns_record(&self, new: NewDnsRecord) -> Result<DnsRecord, TrustError> {
        let _turn = self.dns.turn.lock().await;
        let record = checked(&DnsRecord {
            id: DnsRecordId::generate(),
            domain: new.domain,
            record_type: new.record_type,
            value: new.value,
            ttl: new.ttl,
            priority: new.priority,
            weight: new.weight,
            port: new.port,
            last_updated: Timestamp::now(),
            status: DnsRecordStatus::Active,
        })?;
        if let Some(there) = self.dns.find(&served(&record)?) {
            return Err(TrustError::conflict(format!("there is such a record already: `{}`", there.id)));
        }
        self.change_zone(None, Some(record.clone())).await?;
        Ok(record)
    }

    /// Changes a record; the next answer has it.
    ///
    /// # Errors
    /// As [`Self::create_dns_record`], and [`TrustError::NotFound`].
    pub async fn change_dns_record(
        &self,
        id: &DnsRecordId,
        change: DnsRecordChange,
    ) -> Result<DnsRecord, TrustError> {
        let _turn = self.dns.turn.lock().await;
        let old = self.dns_record(id)?;
        let retyped =
            change.record_type.as_ref().is_some_and(|new| !new.eq_ignore_ascii_case(&old.record_type));
        // The numbers of another type mean nothing for this one.
        let keep = |number: Option<u16>| number.filter(|_| !retyped);
        let new = checked(&DnsRecord {
            id: old.id.clone(),
            domain: change.domain.unwrap_or_else(|| old.domain.clone()),
            record_type: change.record_type.unwrap_or_else(|| old.record_type.clone()),
            value: change.value.unwrap_or_else(|| old.value.clone()),
            ttl: change.ttl.unwrap_or(old.ttl),
            priority: change.priority.or(keep(old.priority)),
            weight: change.weight.or(keep(old.weight)),
            port: change.port.or(keep(old.port)),
            last_updated: Timestamp::now(),
            status: DnsRecordStatus::Active,
        })?;
        if let Some(there) = self.dns.find(&served(&new)?).filter(|there| there.id != *id) {
            return Err(TrustError::conflict(format!("there is such a record already: `{}`", there.id)));
        }
        self.change_zone(Some(old), Some(new.clone())).await?;
        Ok(new)
    }

    /// Removes a record; the next answer hasn't it.
    ///
    /// # Errors
    /// [`TrustError::NotFound`]; [`TrustError::Conflict`] for the zone's last name server.
    pub async fn remove_dns_record(&self, id: &DnsRecordId) -> Result<(), TrustError> {
        let _turn = self.dns.turn.lock().await;
        let old = self.dns_record(id)?;
        self.change_zone(Some(old), None).await
    }

    /// Asks this node's own server, as anybody else would; the answer's records, CNAMEs on the way included.
    ///
    /// # Errors
    /// [`TrustError::Invalid`] for a name or type that is none; [`TrustError::Busy`] when the server doesn't answer.
    pub async fn resolve(&self, domain: &str, record_type: &str) -> Result<Vec<DnsRecord>, TrustError> {
        let name = Name::parse(domain).map_err(|e| TrustError::invalid("domain", e.to_string()))?;
        let wanted: RecordType = record_type
            .parse()
            .map_err(|e: hypermesh_dns::UnknownType| TrustError::invalid("type", e.to_string()))?;
        let server = self.dns.address().ok_or_else(|| TrustError::Busy {
            detail: "this node's name server is not running".to_owned(),
        })?;
        let reply = hypermesh_dns::ask(server, &name, wanted).await.map_err(|e| TrustError::Busy {
            detail: format!("this node's name server did not answer: {e}"),
        })?;
        let now = Timestamp::now();
        let known = |record: &Record| self.dns.find(record).unwrap_or_else(|| kept(record, now));
        Ok(reply.records.iter().map(known).collect())
    }

    /// Where the zone's server listens.
    pub fn dns_addresses(&self) -> Vec<SocketAddr> {
        self.dns.addresses.clone()
    }

    /// The zone as a master file (RFC 1035 §5).
    pub fn export_zone(&self) -> String {
        hypermesh_dns::export(&self.dns.zones.current())
    }

    /// The zone's DNSKEY as a line of a zone file: what a validator trusts.
    pub fn dns_key(&self) -> String {
        format!("{} IN DNSKEY {}", self.dns.origin, self.dns.key.dnskey())
    }

    /// The DS of the zone's key as a line of the parent's zone file.
    pub fn dns_ds(&self) -> String {
        format!("{} IN DS {}", self.dns.origin, self.dns.key.ds())
    }
}

/// The record as it is kept: in one spelling.
fn checked(record: &DnsRecord) -> Result<DnsRecord, TrustError> {
    let right = served(record)?;
    if right.record_type() == RecordType::SOA {
        return Err(TrustError::invalid("record_type", "the zone's SOA is kept by the server itself"));
    }
    let normal = kept(&right, record.last_updated);
    Ok(DnsRecord { id: record.id.clone(), ..normal })
}

impl Dns {
    /// The record in the store that says this, whatever its time to live.
    pub(crate) fn find(&self, wanted: &Record) -> Option<DnsRecord> {
        let (domain, record_type) = (wanted.name.text(), wanted.record_type().to_string());
        let same = |record: &DnsRecord| {
            record.domain == domain
                && record.record_type == record_type
                && served(record).is_ok_and(|record| record.data == wanted.data)
        };
        self.records.filter(same).pop()
    }

    /// An address of the server that this machine can ask.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let ip = |address: &SocketAddr| match address {
            SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
                SocketAddr::new([127, 0, 0, 1].into(), v4.port())
            }
            SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
                SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), v6.port())
            }
            SocketAddr::V4(_) | SocketAddr::V6(_) => *address,
        };
        self.addresses.first().map(ip)
    }

    /// Questions that the server got, and changes of the zone that came by update.
    pub(crate) fn stats(&self) -> hypermesh_dns::Stats {
        let server = self.server.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        server.as_ref().map(Server::stats).unwrap_or_default()
    }
}

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dns").field("origin", &self.origin).finish_non_exhaustive()
    }
}
