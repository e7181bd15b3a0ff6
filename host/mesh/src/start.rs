//! Starting and stopping the domain: measure, open, recover, then the loops (sampling, expiry, schedules,
//! reconciliation).

use crate::allocation::{LeaseFolders, Ledger, OOM_QUEUE, Overuse, QuotaRecord, ShareRecord};
use crate::assets::hardware_assets;
use crate::blobs::BlobStore;
use crate::catalog::{Catalog, CatalogSettings, SourceRecord};
use crate::error::MeshError;
use crate::execution::Supervision;
use crate::internal::{MAX_INTERNAL, MAX_INTERNAL_WAITING};
use crate::machine::Machine;
use crate::records::{NodeRecord, WaitingRecord};
use crate::schedule::{Arrays, TaskRecord, Turns};
use crate::service::Services;
use crate::tokens::TokenRecord;
use crate::workers::Workers;
use crate::{Changing, Mesh};
use hypermesh_engine::Profile;
use hypermesh_model::{
    Array, Asset, AssetStatus, EventKind, Execution, Lease, NodeId, Package, Run, Schedule, Service, Subject,
    Timestamp,
};
use hypermesh_sandbox::CgroupBackend;
use hypermesh_store::{Batch, Store, Table};
use hypermesh_telemetry::Metrics;
use serde::Serialize;
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, mpsc};

/// What the domain needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Everything that this node keeps.
    pub data_dir: PathBuf,
    /// This program: workers are hidden subcommands of it.
    pub worker_exe: PathBuf,
    /// Lease even what the kernel does not enforce.
    pub allow_unenforced: bool,
    /// What becomes of groups that no lease accounts for.
    pub orphans: Orphans,
    /// Folders of the host that guests may be granted, with everything below them; real paths.
    pub grant_folders: Vec<PathBuf>,
    /// Where this node's API is, for the `location` of its assets.
    pub address: String,
    /// How the catalog is run.
    pub catalog: CatalogSettings,
}

/// What becomes of a group that the ledger does not know: its node lost its database, or died while ending it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Orphans {
    /// What runs in it is killed, and it is removed.
    #[default]
    Kill,
    /// What runs in it is stopped, for a person to look at.
    Freeze,
    /// Its lease is entered again from the record that the group carries; without a readable one it is killed.
    Adopt,
}

impl Orphans {
    /// As configurations name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Adopt => "adopt",
        }
    }
}

/// The tables.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) assets: Table<Asset>,
    pub(crate) leases: Table<Lease>,
    pub(crate) executions: Table<Execution>,
    pub(crate) packages: Table<Package>,
    pub(crate) sources: Table<SourceRecord>,
    pub(crate) services: Table<Service>,
    pub(crate) node: Table<NodeRecord>,
    pub(crate) waiting: Table<WaitingRecord>,
    pub(crate) quotas: Table<QuotaRecord>,
    pub(crate) shares: Table<ShareRecord>,
    pub(crate) tokens: Table<TokenRecord>,
    pub(crate) schedules: Table<Schedule>,
    pub(crate) runs: Table<Run>,
    pub(crate) arrays: Table<Array>,
    pub(crate) array_tasks: Table<TaskRecord>,
}

/// The parts of a [`Mesh`]; nothing of it is for callers.
pub struct Inner {
    pub(crate) settings: Settings,
    pub(crate) node_id: NodeId,
    pub(crate) first_start: Timestamp,
    pub(crate) up_before: Duration,
    pub(crate) started: Instant,
    pub(crate) store: Store,
    pub(crate) tables: Tables,
    pub(crate) blobs: BlobStore,
    pub(crate) cgroups: Arc<dyn CgroupBackend>,
    pub(crate) machine: Machine,
    pub(crate) metrics: Metrics,
    pub(crate) ledger: Ledger,
    pub(crate) supervision: Supervision,
    pub(crate) workers: Workers,
    pub(crate) services: Services,
    pub(crate) changing: Changing,
    pub(crate) life: Notify,
    pub(crate) catalog: Catalog,
    pub(crate) turns: Turns,
    pub(crate) arrays: Arrays,
    pub(crate) volumes: LeaseFolders,
    /// One writer of the shared CPUs at a time.
    pub(crate) pins: tokio::sync::Mutex<()>,
    pub(crate) overuse: Overuse,
    /// For work that begins on a blocking thread.
    pub(crate) runtime: Handle,
    pub(crate) internal: Arc<Semaphore>,
    pub(crate) internal_waiting: Semaphore,
    pub(crate) draining: AtomicBool,
    /// Of artefacts without and with fuel.
    pub(crate) engine_hashes: [String; 2],
}

/// What the domain is made of.
pub struct Parts {
    /// What it needs to know.
    pub settings: Settings,
    /// What it remembers.
    pub store: Store,
    /// The machine.
    pub machine: Machine,
    /// What enforces.
    pub cgroups: Arc<dyn CgroupBackend>,
    /// Folders of bounded size.
    pub volumes: LeaseFolders,
    /// What is counted.
    pub metrics: Metrics,
}

impl Mesh {
    /// Opens the domain, recovers what an earlier run left, registers the hardware, starts the loops.
    ///
    /// # Errors
    /// When the store, the data folder or the kernel can't be read.
    pub async fn start(parts: Parts) -> Result<Self, MeshError> {
        let mesh = Self::open(parts)?;
        mesh.blocking_mesh(|mesh| {
            mesh.first_samples();
            mesh.drop_orphaned_components()?;
            mesh.complete_sources()
        })
        .await?;
        let (tell, told) = mpsc::channel(OOM_QUEUE);
        let watched = mesh.cgroups.on_oom(Arc::new(move |lease| {
            // A full queue drops the news: a thousand leases are being ended already.
            let _ = tell.try_send(lease);
        }));
        watched.map_err(|e| MeshError::internal("watching memory limits")(Box::new(e)))?;
        mesh.recover().await?;
        mesh.register_hardware().await?;
        tokio::spawn(mesh.clone().park_for_ever());
        mesh.recover_schedules().await?;
        mesh.recover_arrays();
        tokio::spawn(mesh.clone().sample_for_ever());
        tokio::spawn(mesh.clone().live_for_ever());
        tokio::spawn(mesh.clone().keep_schedules());
        tokio::spawn(mesh.clone().end_out_of_memory(told));
        tokio::spawn(mesh.clone().reconcile_for_ever());
        Ok(mesh)
    }

    fn open(parts: Parts) -> Result<Self, MeshError> {
        let Parts { settings, store, machine, cgroups, volumes, metrics } = parts;
        let store_fault = |e| MeshError::internal("opening the tables")(Box::new(e));
        let io_fault = |e: std::io::Error| MeshError::internal("opening the data folder")(Box::new(e));
        let tables = Tables {
            assets: store.table().map_err(store_fault)?,
            leases: store.table().map_err(store_fault)?,
            executions: store.table().map_err(store_fault)?,
            packages: store.table().map_err(store_fault)?,
            sources: store.table().map_err(store_fault)?,
            services: store.table().map_err(store_fault)?,
            node: store.table().map_err(store_fault)?,
            waiting: store.table().map_err(store_fault)?,
            quotas: store.table().map_err(store_fault)?,
            shares: store.table().map_err(store_fault)?,
            tokens: store.table().map_err(store_fault)?,
            schedules: store.table().map_err(store_fault)?,
            runs: store.table().map_err(store_fault)?,
            arrays: store.table().map_err(store_fault)?,
            array_tasks: store.table().map_err(store_fault)?,
        };
        let record = tables.node.all().pop().ok_or_else(|| MeshError::not_found("node record", ""))?;
        let work = settings.data_dir.join("work");
        if work.exists() {
            fs::remove_dir_all(&work).map_err(io_fault)?;
        }
        for folder in [work, settings.data_dir.join("executions"), settings.data_dir.join("compiled")] {
            fs::create_dir_all(folder).map_err(io_fault)?;
        }
        Ok(Self(Arc::new(Inner {
            blobs: BlobStore::open(&settings.data_dir).map_err(io_fault)?,
            ledger: Ledger::new(machine.capacity()),
            node_id: record.id,
            first_start: record.first_start,
            up_before: Duration::from_secs(record.up_seconds),
            started: Instant::now(),
            supervision: Supervision::default(),
            workers: Workers::default(),
            services: Services::default(),
            changing: Changing::default(),
            life: Notify::new(),
            catalog: Catalog::new(settings.catalog.registries.clone()),
            turns: Turns::default(),
            arrays: Arrays::default(),
            volumes,
            pins: tokio::sync::Mutex::default(),
            overuse: Overuse::default(),
            runtime: Handle::current(),
            internal: Arc::new(Semaphore::new(MAX_INTERNAL)),
            internal_waiting: Semaphore::new(MAX_INTERNAL_WAITING),
            draining: AtomicBool::new(false),
            engine_hashes: [crate::engine_hash(Profile::Plain)?, crate::engine_hash(Profile::Metered)?],
            settings,
            store,
            tables,
            cgroups,
            machine,
            metrics,
        })))
    }

    /// Registers what was measured. What a person changed (name, description, privacy, status) stays; what is gone is
    /// marked offline.
    async fn register_hardware(&self) -> Result<(), MeshError> {
        let owner = Subject(self.node_id.to_string());
        let measured = hardware_assets(self.machine.inventory(), &self.location(), &owner);
        let mut batch = Batch::new();
        for mut asset in measured.clone() {
            if let Some(known) = self.tables.assets.get(&asset.id) {
                asset.name = known.name;
                asset.description = known.description;
                asset.privacy_level = known.privacy_level;
                asset.status = known.status;
                asset.location.region = known.location.region;
                asset.created_at = known.created_at;
            }
            batch.put(&self.tables.assets, asset);
        }
        let gone = |a: &Asset| {
            a.asset_type.is_measured()
                && a.status != AssetStatus::Offline
                && !measured.iter().any(|m| m.id == a.id)
        };
        for asset in self.tables.assets.filter(gone) {
            tracing::warn!(asset = %asset.id, "hardware that was there before is gone");
            batch.put(&self.tables.assets, Asset { status: AssetStatus::Offline, ..asset });
        }
        let version = env!("CARGO_PKG_VERSION");
        batch.event(EventKind::NodeStarted, self.node_id.as_str(), json!({ "version": version }));
        self.commit(batch, "registering the hardware").await
    }

    /// Stops taking work. Leases and the workers in them outlive the node, as their holders were promised; the next
    /// start adopts them. Without any, the node's cgroups are removed.
    ///
    /// # Errors
    /// When the end can't be recorded.
    pub async fn stop(&self) -> Result<(), MeshError> {
        self.draining.store(true, Ordering::Release);
        self.remember_uptime().await?;
        let stopped = self.stop_services().await;
        self.stop_workers().await;
        stopped?;
        let live = self.tables.leases.filter(|l| l.status.has_group());
        if live.is_empty() {
            self.blocking_mesh(|mesh| {
                mesh.cgroups.close();
                Ok(())
            })
            .await?;
        }
        Ok(())
    }
}
