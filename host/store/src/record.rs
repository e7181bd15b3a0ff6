//! What a table holds: records that name their table and their key.
//!
//! The model's own types get their tables here, since only this crate may give them the trait; what other crates keep
//! for themselves they implement where they define it.

use hypermesh_model::{
    Array, ArrayId, Asset, AssetId, CatalogId, DnsRecord, DnsRecordId, Execution, ExecutionId, Lease,
    LeaseId, Package, Rollover, RolloverId, Rotation, RotationId, RotationPolicy, RotationPolicyId, Run,
    RunId, Schedule, ScheduleId, Service, ServiceId,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;

/// A kind of row.
pub trait Record: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The table's name: 1 to 48 of `a-z 0-9 _`, starting with a letter. One record type a table.
    const TABLE: &'static str;
    /// What identifies a record. Its `Display` is the `id` column; distinct keys must print differently.
    type Key: Display + Ord + Clone + Send + Sync + 'static;
    /// This record's key.
    fn key(&self) -> Self::Key;
}

/// A record and the generation of the batch that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<R> {
    /// The record.
    pub value: R,
    /// Counts the batches of the whole store, from 1; never reused, also after a restart.
    pub generation: u64,
}

macro_rules! tables {
    ($($record:ident, $key:ident, $table:literal;)*) => {$(
        impl Record for $record {
            const TABLE: &'static str = $table;
            type Key = $key;
            fn key(&self) -> $key {
                self.id.clone()
            }
        }
    )*};
}

tables! {
    Asset, AssetId, "assets";
    Lease, LeaseId, "leases";
    Execution, ExecutionId, "executions";
    Package, CatalogId, "packages";
    Schedule, ScheduleId, "schedules";
    Run, RunId, "runs";
    Array, ArrayId, "arrays";
    Service, ServiceId, "services";
    DnsRecord, DnsRecordId, "dns_records";
    RotationPolicy, RotationPolicyId, "rotation_policies";
    Rotation, RotationId, "rotations";
    Rollover, RolloverId, "rollovers";
}
