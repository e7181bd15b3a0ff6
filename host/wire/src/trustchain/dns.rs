//! DNS records of the node's zone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Types of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsRecordType {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Another name of the same thing.
    Cname,
    /// Text.
    Txt,
    /// Who takes mail.
    Mx,
    /// Where a service is.
    Srv,
    /// Who may issue certificates.
    Caa,
    /// Which certificate a service has.
    Tlsa,
    /// Who answers for a part of the zone.
    Ns,
    /// The zone's own parameters.
    Soa,
}

/// Whether a record is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DnsRecordStatus {
    /// It is.
    Active,
    /// Recorded, not served yet.
    Pending,
    /// It contradicts another one.
    Failed,
}

/// A DNS record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DnsRecord {
    /// Its id.
    pub id: String,
    /// The name that it is about.
    pub domain: String,
    /// Its type.
    pub record_type: DnsRecordType,
    /// Its value as a zone file writes it, without what the members below say.
    pub value: String,
    /// How long others may keep it, seconds.
    pub ttl: u32,
    /// MX and SRV: lower goes first.
    pub priority: Option<u16>,
    /// SRV: the share among equal priorities.
    pub weight: Option<u16>,
    /// SRV: the port.
    pub port: Option<u16>,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub last_updated: Timestamp,
    /// Whether it is answered.
    pub status: DnsRecordStatus,
}

/// Adds a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDnsRecord {
    /// The name, within the node's zone.
    #[schema(min_length = 1, max_length = 254, pattern = r"^[A-Za-z0-9._*-]+$")]
    pub domain: String,
    /// The type.
    pub record_type: DnsRecordType,
    /// The value as a zone file writes it, without what the members below say.
    #[schema(min_length = 1, max_length = 4096, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub value: String,
    /// How long others may keep it, seconds; 300 when not given.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 0, maximum = 604_800)]
    pub ttl: Option<u32>,
    /// MX and SRV: lower goes first.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 0, maximum = 65_535)]
    pub priority: Option<u16>,
    /// SRV: the share among equal priorities.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 0, maximum = 65_535)]
    pub weight: Option<u16>,
    /// SRV: the port.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 0, maximum = 65_535)]
    pub port: Option<u16>,
}

/// Changes the members of a record that are given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeDnsRecord {
    /// The name, within the node's zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 254, pattern = r"^[A-Za-z0-9._*-]+$")]
    pub domain: Option<String>,
    /// The type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_type: Option<DnsRecordType>,
    /// The value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 4096, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub value: Option<String>,
    /// How long others may keep it, seconds.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 0, maximum = 604_800)]
    pub ttl: Option<u32>,
    /// MX and SRV: lower goes first.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 0, maximum = 65_535)]
    pub priority: Option<u16>,
    /// SRV: the share among equal priorities.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 0, maximum = 65_535)]
    pub weight: Option<u16>,
    /// SRV: the port.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 0, maximum = 65_535)]
    pub port: Option<u16>,
}

/// Asks the node's DNS server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveDns {
    /// The name.
    #[schema(min_length = 1, max_length = 254, pattern = r"^[A-Za-z0-9._*-]+$")]
    pub domain: String,
    /// The type; `A` when not given.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub record_type: Option<DnsRecordType>,
}

/// Which records.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DnsQuery {
    /// Only those of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 254)]
    pub domain: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only those after this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64)]
    pub after: Option<String>,
}

/// A zone file was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// Records that were added.
    pub added: u64,
}

/// The zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ZoneView {
    /// Its name.
    pub name: String,
    /// Records in it.
    pub records: u64,
    /// Where it is served over UDP and TCP.
    pub addresses: Vec<String>,
    /// What the zone above it says of its key (DS), as a zone file writes it.
    pub ds: String,
    /// The key that signs it (DNSKEY), as a zone file writes it.
    pub dnskey: String,
}
