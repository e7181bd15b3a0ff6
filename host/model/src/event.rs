//! Events: what changed, in one sequence per node.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "noun and verb say it")]
pub enum EventKind {
    NodeStarted,
    AssetRegistered,
    AssetUpdated,
    AssetRemoved,
    AllocationQueued,
    AllocationReserved,
    AllocationActive,
    AllocationExpiring,
    AllocationFrozen,
    AllocationRenewed,
    AllocationResized,
    AllocationAttached,
    AllocationDrifted,
    AllocationOverused,
    AllocationFailed,
    AllocationEnded,
    AllocationAdopted,
    QuotaChanged,
    PackageAdded,
    PackageDeprecated,
    PackageUndeprecated,
    PackageSigned,
    PackagePushed,
    PackageRemoved,
    ExecutionQueued,
    ExecutionStarted,
    ExecutionRunning,
    ExecutionAdopted,
    ExecutionRetried,
    ExecutionEnded,
    ScheduleCreated,
    ScheduleChanged,
    ScheduleRemoved,
    ScheduleRunStarted,
    ScheduleRunEnded,
    ScheduleRunRefused,
    ScheduleRunSkipped,
    ScheduleRunMissed,
    ArrayStarted,
    ArrayProgress,
    ArrayEnded,
    ServiceStarted,
    ServiceAdopted,
    ServiceEnded,
    AuthorityCreated,
    CertificatesIssued,
    CertificateRevoked,
    RotationWarning,
    RotationDone,
    RotationFailed,
    RolloverAdvanced,
    DnsChanged,
}

impl EventKind {
    /// The name on the wire, e.g. `allocation_active`.
    pub fn name(self) -> &'static str {
        match self {
            Self::NodeStarted => "node_started",
            Self::AssetRegistered => "asset_registered",
            Self::AssetUpdated => "asset_updated",
            Self::AssetRemoved => "asset_removed",
            Self::AllocationQueued => "allocation_queued",
            Self::AllocationReserved => "allocation_reserved",
            Self::AllocationActive => "allocation_active",
            Self::AllocationExpiring => "allocation_expiring",
            Self::AllocationFrozen => "allocation_frozen",
            Self::AllocationRenewed => "allocation_renewed",
            Self::AllocationResized => "allocation_resized",
            Self::AllocationAttached => "allocation_attached",
            Self::AllocationDrifted => "allocation_drifted",
            Self::AllocationOverused => "allocation_overused",
            Self::AllocationFailed => "allocation_failed",
            Self::AllocationEnded => "allocation_ended",
            Self::AllocationAdopted => "allocation_adopted",
            Self::QuotaChanged => "quota_changed",
            Self::PackageAdded => "package_added",
            Self::PackageDeprecated => "package_deprecated",
            Self::PackageUndeprecated => "package_undeprecated",
            Self::PackageSigned => "package_signed",
            Self::PackagePushed => "package_pushed",
            Self::PackageRemoved => "package_removed",
            Self::ExecutionQueued => "execution_queued",
            Self::ExecutionStarted => "execution_started",
            Self::ExecutionRunning => "execution_running",
            Self::ExecutionAdopted => "execution_adopted",
            Self::ExecutionRetried => "execution_retried",
            Self::ExecutionEnded => "execution_ended",
            Self::ScheduleCreated => "schedule_created",
            Self::ScheduleChanged => "schedule_changed",
            Self::ScheduleRemoved => "schedule_removed",
            Self::ScheduleRunStarted => "schedule_run_started",
            Self::ScheduleRunEnded => "schedule_run_ended",
            Self::ScheduleRunRefused => "schedule_run_refused",
            Self::ScheduleRunSkipped => "schedule_run_skipped",
            Self::ScheduleRunMissed => "schedule_run_missed",
            Self::ArrayStarted => "array_started",
            Self::ArrayProgress => "array_progress",
            Self::ArrayEnded => "array_ended",
            Self::ServiceStarted => "service_started",
            Self::ServiceAdopted => "service_adopted",
            Self::ServiceEnded => "service_ended",
            Self::AuthorityCreated => "authority_created",
            Self::CertificatesIssued => "certificates_issued",
            Self::CertificateRevoked => "certificate_revoked",
            Self::RotationWarning => "rotation_warning",
            Self::RotationDone => "rotation_done",
            Self::RotationFailed => "rotation_failed",
            Self::RolloverAdvanced => "rollover_advanced",
            Self::DnsChanged => "dns_changed",
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number, from 1, without gaps on one node.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// The id of what it is about.
    pub subject: String,
    /// What a listener needs to show it.
    pub data: Value,
}
