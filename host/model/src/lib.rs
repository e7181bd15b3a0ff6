//! Domain types of HyperMesh: typed ids, units, leases, executions, packages, events.
//!
//! Everything here is plain data plus the rules that need no I/O: what a valid id is, what a unit may hold, which
//! state may follow which. Nothing here knows HTTP, SQL, cgroups or WebAssembly; the layers above do.
#![forbid(unsafe_code)]

pub mod array;
pub mod asset;
pub mod enforcement;
pub mod error;
pub mod event;
pub mod execution;
pub mod id;
pub mod lease;
pub mod package;
pub mod requirement;
pub mod schedule;
pub mod service;
pub mod time;
pub mod trustchain;
pub mod units;

pub use array::{Array, ArrayStatus, Items};
pub use asset::{Asset, AssetStatus, AssetType, Capacity, Location, PrivacyLevel, VmLimits, VmSpec};
pub use enforcement::{EnforcementEntry, EnforcementReceipt, EnforcementState, JailLayer};
pub use error::error_chain;
pub use event::{Event, EventKind};
pub use execution::{
    Attempt, Cause, Execution, ExecutionLimits, ExecutionRequest, ExecutionStatus, FolderGrant, HostGrant,
    InputFile, LogLine, MAX_BACKOFF_SECONDS, OutputFile, ResourceUsage, Retries, Stdin,
};
pub use id::{
    ArrayId, AssetId, BlobDigest, CatalogId, CertificateId, DnsRecordId, ExecutionId, GpuUuid, InvalidId,
    LeaseId, NodeId, RolloverId, RotationId, RotationPolicyId, RunId, ScheduleId, ServiceId, Subject,
};
pub use lease::{CpuMode, Grant, Idempotency, IoLimits, Lease, LeaseStatus, OnExpiry, Terms};
pub use package::{
    Capability, Deprecation, MAX_PACKAGE_NAME, MAX_PACKAGE_VERSION, Operation, Package, PackageMetadata,
    PackageSignature, World, is_package_name, package_name_of,
};
pub use requirement::{InvalidRequirement, NoMatch, PackageRequirement};
pub use schedule::{CatchUp, Concurrency, ExecutionTemplate, Run, RunStatus, Schedule, Timing};
pub use semver::{Version, VersionReq};
pub use service::{InvalidServiceName, Service, ServiceName, ServiceStatus, ServiceTerms, ServiceUsage};
pub use time::Timestamp;
pub use trustchain::{
    CertificateProfile, CertificateRecord, CertificateStatus, DnsRecord, DnsRecordStatus, Revocation,
    Rollover, RolloverPhase, RolloverStep, Rotation, RotationPolicy, RotationStatus, RotationType,
    TrustLevel, UnknownName,
};
pub use units::{Bytes, InvalidUnit, MilliCpu};
