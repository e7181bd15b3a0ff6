//! The HyperMesh domain: assets, allocations, executions, the catalog, this node's health.
//!
//! One handle, [`Mesh`], over the ledger (what is held), the store (what is remembered), the cgroups (what the kernel
//! enforces) and the workers (what runs). No HTTP: the edge above parses requests into [`requests`] and maps
//! [`MeshError`] to answers. Each noun has its module; `allocation/plan.rs` is the pure heart.

pub mod allocation;
mod assets;
mod blobs;
mod catalog;
mod error;
pub mod execution;
mod identity;
mod inspect;
mod internal;
mod logs;
mod machine;
mod ready;
mod reconcile;
mod records;
mod requests;
mod schedule;
mod scrape;
pub mod service;
mod start;
mod tokens;
mod workers;

use hypermesh_store::failpoint;

pub use allocation::{
    Allocated, Attached, EnforcementView, GpuUse, LeaseFolders, LeaseUsage, Place, Preview, QuotaView, Stays,
    VolumeView,
};
pub use assets::MAX_ASSETS;
pub use blobs::{BlobWriter, MAX_ARCHIVE_BYTES, MAX_BLOB_BYTES, MAX_COMPONENT_BYTES, Receiving, StoredBlob};
pub use catalog::{CatalogQuota, CatalogSettings, Export, compile_main, default_limits};
pub use error::{MeshError, Shortage};
pub use execution::{FileFollower, LogFollower};
pub use hypermesh_engine::Profile;
pub use hypermesh_planner::{Held, Quota};
pub use inspect::{Admission, inspect};
pub use logs::FollowLog;
pub use machine::{Machine, NodeReport, NodeState};
pub use requests::{
    AllocationRequest, AssetChange, AssetFilter, CancelOutcome, CpuAmount, ExecuteRequest, GpuSelection,
    LogPage, NewAsset, NewPackage, NewVm, Requirements, Resize,
};
pub use schedule::{
    ArrayItem, ArrayView, ItemPage, ItemStatus, MAX_ARRAY_SIZE, MAX_HISTORY, MAX_PARALLELISM, MAX_SCHEDULES,
    NewArray, NewSchedule, Order, ScheduleChange, ScheduleView, request_of,
};
pub use service::{
    Exchange, ExchangeEnd, MAX_SERVICES, NO_RESPONSE, ServeRequest, ServiceLogFollower, ServiceView,
};
pub use start::{Inner, Orphans, Parts, Settings};
pub use tokens::{MAX_TOKENS, Role, TokenView};

/// What keys compiled artefacts: the engine's version and configuration.
///
/// # Errors
/// When the engine can't be set up on this machine.
pub fn engine_hash(profile: Profile) -> Result<String, MeshError> {
    hypermesh_engine::compatibility_hash(profile)
        .map_err(|e| MeshError::internal("setting up the engine")(Box::new(e)))
}

use hypermesh_model::{BlobDigest, LeaseId, Location, NodeId};
use hypermesh_sandbox::CgroupError;
use hypermesh_store::{Batch, EventLog};
use std::collections::BTreeSet;
use std::future::Future;
use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// A handle to the domain; cheap to clone.
#[derive(Clone)]
pub struct Mesh(Arc<Inner>);

impl Deref for Mesh {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl std::fmt::Debug for Mesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mesh").field("node", &self.node_id).finish_non_exhaustive()
    }
}

impl Mesh {
    /// This node.
    pub fn node_id(&self) -> &NodeId {
        &self.node_id
    }

    /// What changed, in order.
    pub fn events(&self) -> &EventLog {
        self.store.events()
    }

    /// Begins to receive a component or an input.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn receive(&self, what: Receiving) -> Result<BlobWriter, MeshError> {
        self.blobs.receive(what)
    }

    /// A stored input.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub fn blob(&self, digest: &BlobDigest) -> Result<StoredBlob, MeshError> {
        self.blobs.get(Receiving::Blob, digest)
    }

    /// All stored inputs, by digest.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn blobs(&self) -> Result<Vec<StoredBlob>, MeshError> {
        self.blobs.all()
    }

    /// Removes a stored input; executions that were granted it keep theirs.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub async fn remove_blob(&self, digest: &BlobDigest) -> Result<(), MeshError> {
        let digest = digest.clone();
        self.blocking_mesh(move |mesh| mesh.blobs.remove(&digest)).await
    }

    /// Where this node is.
    pub(crate) fn location(&self) -> Location {
        Location {
            node_id: self.node_id.clone(),
            address: self.settings.address.clone(),
            region: String::new(),
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(crate) async fn commit(&self, batch: Batch, doing: &'static str) -> Result<(), MeshError> {
        let committed = self.store.commit(batch).await;
        committed.map(|_| ()).map_err(|source| MeshError::Internal { doing, source: Box::new(source) })
    }

    /// As [`Self::commit`], for an intention: safe from a crash of the node, not yet from one of the machine.
    pub(crate) async fn commit_intention(&self, batch: Batch, doing: &'static str) -> Result<(), MeshError> {
        let committed = self.store.commit_relaxed(batch).await;
        committed.map(|_| ()).map_err(|source| MeshError::Internal { doing, source: Box::new(source) })
    }

    /// Runs cgroup calls on a blocking thread.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Self) -> Result<T, CgroupError> + Send + 'static,
    ) -> Result<T, MeshError> {
        self.blocking_mesh(move |mesh| {
            work(mesh).map_err(|source| MeshError::Internal { doing, source: Box::new(source) })
        })
        .await
    }

    /// Runs file work on a blocking thread.
    pub(crate) async fn blocking_mesh<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, MeshError> + Send + 'static,
    ) -> Result<T, MeshError> {
        let mesh = self.clone();
        tokio::task::spawn_blocking(move || work(&mesh))
            .await
            .map_err(|e| MeshError::internal("waiting for a thread")(Box::new(e)))?
    }

    /// Runs work to its end even if the caller goes away.
    pub(crate) async fn spawned<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, MeshError> {
        tokio::spawn(work).await.map_err(|e| MeshError::internal("waiting for a task")(Box::new(e)))
    }
}

/// Leases that are being activated or ended now: one change of a lease at a time.
#[derive(Debug, Default)]
pub struct Changing(Arc<Mutex<BTreeSet<LeaseId>>>);

/// Held while a lease is being changed.
#[derive(Debug)]
pub struct ChangingGuard(Arc<Mutex<BTreeSet<LeaseId>>>, LeaseId);

impl Changing {
    /// Begins to change a lease; `None` when somebody else does already.
    fn enter(&self, id: &LeaseId) -> Option<ChangingGuard> {
        let new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        new.then(|| ChangingGuard(Arc::clone(&self.0), id.clone()))
    }

    fn contains(&self, id: &LeaseId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }
}

impl Drop for ChangingGuard {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}
