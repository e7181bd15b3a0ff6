//! Asking a component which operations it has: a run like any other, in a worker with limits, of which nothing is recorded.

use super::folder::{Folder, Needs};
use super::worker_uid;
use crate::Mesh;
use crate::error::MeshError;
use crate::workers::{Descriptors, Role, Slot, WorkerJob};
use hypermesh_engine::{Call, JobOutcome, JobSpec, Profile};
use hypermesh_model::{BlobDigest, Bytes, CpuMode, ExecutionId, MilliCpu, Operation};
use hypermesh_sandbox::{Limits, Order, WorkerExit};
use std::fs::File;
use std::time::Duration;

/// Wall time in which a guest must say what it can do.
const DEADLINE: Duration = Duration::from_secs(10);
/// Memory in which it must.
const MEMORY: Bytes = Bytes::mib(128);
/// Processes: the worker, which can't make any.
const PIDS: u32 = 4;
/// Open files of the worker.
const OPEN_FILES: u64 = 64;

/// How it went.
enum Asked {
    Ended(Option<WorkerExit>),
    OutOfMemory,
    TimedOut,
}

impl Mesh {
    /// What a component says that it can do.
    ///
    /// # Errors
    /// [`MeshError::Unprocessable`] when it does not say it within its limits.
    pub(crate) async fn ask_operations(&self, digest: &BlobDigest) -> Result<Vec<Operation>, MeshError> {
        let artefact = self.compiled(digest, Profile::Plain).await?;
        let folder = Folder::of(&self.settings.data_dir.join("work"), &ExecutionId::generate());
        let mesh = self.clone();
        // Cleaned up even if the caller hangs up.
        self.spawned(async move {
            let slot = match mesh.workers.take_own() {
                Some(slot) => slot,
                None => mesh.make_own_slot().await?,
            };
            let lease = slot.lease.clone();
            let asked = mesh.ask_in(slot, &folder, artefact).await;
            let said = asked.and_then(|asked| answer(&asked, &folder));
            mesh.remove_parked_group(&lease).await;
            mesh.blocking_mesh(move |_| folder.remove()).await?;
            said
        })
        .await?
    }

    async fn ask_in(
        &self,
        slot: Slot,
        folder: &Folder,
        artefact: std::path::PathBuf,
    ) -> Result<Asked, MeshError> {
        let (lease, leaf) = (slot.lease.clone(), slot.leaf.clone());
        let (id, folder) = (lease.clone(), folder.clone());
        let given = self
            .blocking_mesh(move |mesh| {
                let io_fault = |e: std::io::Error| MeshError::internal("asking a component")(Box::new(e));
                let limits = Limits {
                    // No lease waits for a stranger's upload.
                    cpu: Some(MilliCpu(250)),
                    cpu_mode: CpuMode::Shared,
                    memory: Some(MEMORY),
                    pids: Some(PIDS),
                    ..Limits::default()
                };
                let receipt = mesh.cgroups.limit(&id, &limits, crate::workers::PARKED_RECORD);
                receipt.map_err(|e| MeshError::internal("limiting a worker")(Box::new(e)))?;
                let mut fds = Descriptors::default();
                fds.add(Role::Artefact, File::open(artefact).map_err(io_fault)?);
                let uid = worker_uid(mesh, &id);
                let needs = Needs { inputs: &[], blobs: &mesh.blobs, outputs: false, stdout: false, uid };
                folder.prepare(&needs, &mut fds)?;
                let job = serde_json::to_vec(&WorkerJob { spec: spec(), roles: fds.roles() });
                let job = job.map_err(|e| MeshError::internal("writing a job")(Box::new(e)))?;
                let order = Order {
                    uid,
                    open_files: OPEN_FILES,
                    file_bytes: Some(16 << 20),
                    cpu_seconds: Some(DEADLINE.as_secs()),
                    folders: Vec::new(),
                    network: false,
                    stderr: fds.at(Role::Stderr),
                };
                let worker = slot.parked.start(&order, &job, &fds.borrowed());
                let worker =
                    worker.map_err(|e| MeshError::internal("giving a worker its job")(Box::new(e)))?;
                Ok((worker, slot.ended))
            })
            .await?;
        let (worker, ended) = given;
        let exit = match tokio::time::timeout(DEADLINE, ended).await {
            Ok(exit) => exit.ok(),
            Err(_) => {
                worker.pidfd().kill().map_err(|e| MeshError::internal("killing a worker")(Box::new(e)))?;
                return Ok(Asked::TimedOut);
            }
        };
        let counted =
            self.blocking("reading usage", move |mesh| mesh.cgroups.usage(&lease, Some(leaf.as_str())));
        let oom_kills = counted.await.ok().and_then(|usage| usage.oom_kills).unwrap_or(0);
        Ok(if oom_kills > 0 { Asked::OutOfMemory } else { Asked::Ended(exit) })
    }
}

fn spec() -> JobSpec {
    JobSpec {
        call: Call::Describe,
        artefact_owner: rustix::process::geteuid().as_raw(),
        memory_limit: Bytes(MEMORY.0 / 2),
        fuel: None,
        output_bytes_limit: Bytes(1),
        result_bytes_limit: Bytes::mib(1),
        log_bytes_limit: Bytes::mib(1),
        inputs: Vec::new(),
        folders: Vec::new(),
        hosts: Vec::new(),
    }
}

fn answer(asked: &Asked, folder: &Folder) -> Result<Vec<Operation>, MeshError> {
    let refused = |reason: String| MeshError::Unprocessable {
        detail: format!("the component is refused: asked for its operations, it {reason}"),
        reasons: vec![reason],
    };
    let exit = match asked {
        Asked::Ended(exit) => exit,
        Asked::OutOfMemory => return Err(refused(format!("needed more than {MEMORY}"))),
        Asked::TimedOut => return Err(refused(format!("took longer than {} s", DEADLINE.as_secs()))),
    };
    match folder.read_outcome().map(|outcome| outcome.ended) {
        Some(JobOutcome::Described(operations)) => Ok(operations),
        Some(JobOutcome::Failed { cause, .. }) => Err(MeshError::Unprocessable {
            detail: "the component is refused: it failed when it was asked for its operations".into(),
            reasons: vec![serde_json::to_string(&cause).unwrap_or_default()],
        }),
        Some(JobOutcome::Completed { .. }) | None => {
            Err(refused(format!("ended without an answer ({exit:?}) {}", folder.stderr())))
        }
    }
}
