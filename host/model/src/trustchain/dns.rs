//! A DNS record as it is remembered. What its value may be is the zone's business.

use crate::{DnsRecordId, Timestamp};
use serde::{Deserialize, Serialize};

/// Whether a record is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DnsRecordStatus {
    /// In the zone that is served.
    Active,
    /// Recorded, not yet served.
    Pending,
    /// It can't be served: it contradicts another one.
    Failed,
}

/// A record of the zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsRecord {
    /// Its id.
    pub id: DnsRecordId,
    /// Its owner name, lower case, without the root's dot.
    pub domain: String,
    /// Its type, upper case: `A`, `AAAA`, `CNAME` and so on.
    pub record_type: String,
    /// Its value as it was given, without what the next members say.
    pub value: String,
    /// How long others may keep it, seconds.
    pub ttl: u32,
    /// MX and SRV: lower goes first.
    pub priority: Option<u16>,
    /// SRV: share among equal priorities.
    pub weight: Option<u16>,
    /// SRV: the port.
    pub port: Option<u16>,
    /// When it was last changed.
    pub last_updated: Timestamp,
    /// Whether it is answered.
    pub status: DnsRecordStatus,
}
