//! What a worker is given: limits in the kernel, a record of who it is, its folder, its descriptors, its job.
//!
//! ```text
//! write the lease's limits ─▶ worker parked in its leaf ─▶ folder ─▶ commit `starting`, the lease `active` ─▶ give the job
//! ```
//! The record names the worker before it gets its job, so a node that dies in between finds either a worker that runs or
//! one that never began.

use super::folder::{MAX_LOG_BYTES, MAX_RESULT_BYTES, Needs};
use super::network::{Resolved, granted_hosts};
use super::supervision::Driven;
use super::watch::Watched;
use super::{WORKER_OVERHEAD, event_data};
use crate::Mesh;
use crate::blobs::Receiving;
use crate::error::MeshError;
use crate::failpoint::at;
use crate::workers::{Descriptors, Role, Slot, WorkerJob};
use hypermesh_engine::{Call, GrantedFolder, JobSpec, LEASE_FOLDER, Profile};
use hypermesh_model::{
    Bytes, EventKind, Execution, ExecutionStatus, FolderGrant, Lease, LeaseId, LeaseStatus, Package, Stdin,
    Timestamp, World,
};
use hypermesh_sandbox::{Order, OrderFolder, Worker};
use hypermesh_store::Batch;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::File;

/// `log.jsonl` and `outcome.json` are a few times their text; the largest single file that a worker may write beside
/// its outputs.
const MIN_FILE_BYTES: u64 = 40 << 20;
/// Open files of a worker where nobody says otherwise: its descriptors, streams, an event queue, with room.
const DEFAULT_OPEN_FILES: u32 = 64;
/// Users of workers on a node with root are in this range, one a lease: above what distributions hand out
/// (systemd's `UIDS-GIDS`), below 2^31.
const FIRST_UID: u32 = 0x4000_0000;
const UIDS: u32 = 0x2000_0000;

/// Gives an execution its worker.
pub(super) async fn begin(
    mesh: &Mesh,
    execution: &mut Execution,
    driven: &Driven,
    lease: &mut Lease,
    slot: Option<Box<Slot>>,
) -> Result<Watched, MeshError> {
    let package = mesh.package(&execution.package)?;
    let profile = Profile::of(execution.request.limits.fuel);
    let artefact = mesh.compiled(&package.digest, profile).await?;
    let network = super::network::resolve(&execution.request.network).await?;
    let fresh = lease.status == LeaseStatus::Pending;
    let spec = job_spec(mesh, execution, lease, &package, &network)?;
    // Beside each other: a lease that is made for an execution has no folder that one would wait for.
    let given = prepare(mesh, execution, driven, lease, spec, artefact);
    let given = if fresh {
        let mut limited = lease.clone();
        let (applied, given) = tokio::join!(apply(mesh, &mut limited, slot.is_some()), given);
        *lease = limited;
        applied.and(given)?
    } else {
        given.await?
    };
    let mut slot = match slot {
        Some(slot) => *slot,
        None if lease.for_execution => {
            mesh.make_slot(&lease.id, hypermesh_model::ExecutionId::generate().to_string()).await?
        }
        None => mesh.slot_in(lease).await?,
    };
    execution.status = ExecutionStatus::Starting;
    execution.started_at = Some(Timestamp::now());
    for retry in [true, false] {
        execution.worker = Some((slot.parked.id().pid, slot.parked.id().start_ticks));
        execution.leaf.clone_from(&slot.leaf);
        execution.cpu_before_ns = slot.cpu_before_ns;
        record_start(mesh, execution, lease, fresh).await?;
        at("execute-recorded");
        let Slot { parked, ended, .. } = slot;
        match parked.start(&given.order, &given.job, &given.fds.borrowed()) {
            Ok(worker) => {
                at("execute-given");
                return Watched::child(worker, ended, network);
            }
            // Whatever ended it while it was parked: one that was just made has not waited for that.
            Err(error) if retry => {
                tracing::warn!(execution = %execution.id, error = hypermesh_model::error_chain(&error), "a parked worker was gone");
                slot =
                    mesh.make_slot(&lease.id, hypermesh_model::ExecutionId::generate().to_string()).await?;
            }
            Err(error) => return Err(MeshError::internal("giving a worker its job")(Box::new(error))),
        }
    }
    unreachable!("the second try returns")
}

/// Writes the limits of a lease that was made for an execution; it is recorded as active with the execution's start.
async fn apply(mesh: &Mesh, lease: &mut Lease, is_parked: bool) -> Result<(), MeshError> {
    let Some(_changing) = mesh.changing.enter(&lease.id) else {
        return Err(MeshError::Conflict {
            detail: format!("allocation `{}` is being ended already", lease.id),
        });
    };
    match mesh.apply(lease, is_parked).await {
        Ok(receipt) => {
            at("activate-applied");
            lease.status = LeaseStatus::Active;
            lease.receipt = receipt;
            lease.generation += 1;
            mesh.metrics.lease_created(hypermesh_telemetry::CreateOutcome::Active).inc();
            Ok(())
        }
        Err(error) => {
            mesh.finish_lease(lease, LeaseStatus::Failed, &error.to_string()).await?;
            mesh.metrics.lease_created(hypermesh_telemetry::CreateOutcome::Failed).inc();
            Err(error)
        }
    }
}

async fn record_start(
    mesh: &Mesh,
    execution: &Execution,
    lease: &Lease,
    fresh: bool,
) -> Result<(), MeshError> {
    let mut batch = Batch::new();
    if fresh {
        batch.put(&mesh.tables.leases, lease.clone());
        let data = crate::allocation::event_data(lease);
        batch.event(EventKind::AllocationActive, lease.id.as_str(), data);
    }
    batch.put(&mesh.tables.executions, execution.clone());
    batch.event(EventKind::ExecutionStarted, execution.id.as_str(), event_data(execution));
    mesh.commit_intention(batch, "recording an execution").await
}

/// What goes to the worker.
struct Given {
    order: Order,
    job: Vec<u8>,
    fds: Descriptors,
}

/// Makes the folder and opens everything.
async fn prepare(
    mesh: &Mesh,
    execution: &Execution,
    driven: &Driven,
    lease: &Lease,
    spec: JobSpec,
    artefact: std::path::PathBuf,
) -> Result<Given, MeshError> {
    let folder = mesh.folder(&execution.id);
    let request = execution.request.clone();
    let stream = driven.stdin();
    let uid = worker_uid(mesh, &lease.id);
    let granted = granted_folders(mesh, lease, &request.folders);
    // What it writes there is bounded by the folder; a file as large as that must not end the worker (setrlimit(2)).
    let folder_bytes = lease.grant.storage.map_or(0, |size| size.0);
    let zygote = if granted.is_empty() { None } else { Some(mesh.zygote().await?) };
    mesh.blocking_mesh(move |mesh| {
        let io_fault = |e: std::io::Error| MeshError::internal("opening what a worker is given")(Box::new(e));
        let mut fds = Descriptors::default();
        fds.add(Role::Artefact, File::open(artefact).map_err(io_fault)?);
        let needs = Needs {
            inputs: &request.inputs,
            blobs: &mesh.blobs,
            outputs: true,
            stdout: matches!(spec.call, Call::Command { .. }),
            uid,
        };
        folder.prepare(&needs, &mut fds)?;
        match (&request.stdin, stream) {
            (Stdin::Closed, _) | (Stdin::Stream, None) => {}
            (Stdin::Stream, Some(pipe)) => {
                fds.add(Role::Stdin, pipe);
            }
            (Stdin::Blob(digest), _) => {
                let path = mesh.blobs.path(Receiving::Blob, digest);
                fds.add(Role::Stdin, File::open(path).map_err(|_| MeshError::not_found("blob", digest))?);
            }
        }
        let folders = granted.iter().map(|folder| fds.grant(zygote.as_ref(), folder, uid));
        let folders: Vec<OrderFolder> = folders.collect::<Result<_, _>>()?;
        let order = Order {
            uid,
            open_files: u64::from(request.limits.open_files.unwrap_or(DEFAULT_OPEN_FILES)),
            file_bytes: Some(spec.output_bytes_limit.0.max(MIN_FILE_BYTES).max(folder_bytes)),
            cpu_seconds: request.cpu_limit_seconds.map(|seconds| seconds.saturating_add(1)),
            folders: own_folders(&fds).chain(folders).collect(),
            network: !request.network.is_empty(),
            stderr: fds.at(Role::Stderr),
        };
        let job = serde_json::to_vec(&WorkerJob { spec, roles: fds.roles() })
            .map_err(|e| MeshError::internal("writing a job")(Box::new(e)))?;
        Ok(Given { order, job, fds })
    })
    .await
}

/// The folders of the execution itself.
fn own_folders(fds: &Descriptors) -> impl Iterator<Item = OrderFolder> {
    let inputs = fds.at(Role::Inputs).map(|fd| OrderFolder { fd, writable: false });
    let outputs = fds.at(Role::Outputs).map(|fd| OrderFolder { fd, writable: true });
    inputs.into_iter().chain(outputs)
}

/// The user that a lease's workers are, on a node that may choose. Drawn from the lease's id, so that nobody has to
/// remember it; two leases that share one are still kept apart by everything else.
pub(crate) fn worker_uid(mesh: &Mesh, lease: &LeaseId) -> Option<u32> {
    use sha2::{Digest, Sha256};
    if !mesh.workers.has_layer("uid") {
        return None;
    }
    let hash = Sha256::digest(lease.as_str());
    let drawn = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    Some(FIRST_UID + drawn % UIDS)
}

/// The folders that a guest is given in a lease: the lease's own, where it has one, then those that were granted. The
/// worker's rights end where the folder does, and the lease's ends with the lease.
pub(crate) fn granted_folders(mesh: &Mesh, lease: &Lease, granted: &[FolderGrant]) -> Vec<FolderGrant> {
    let own = lease.grant.storage.map(|_| FolderGrant {
        path: mesh.volumes.path(&lease.id),
        guest_path: LEASE_FOLDER.into(),
        writable: true,
    });
    own.into_iter().chain(granted.iter().cloned()).collect()
}

/// What a guest is told of them.
pub(crate) fn shown_to_guest(folders: Vec<FolderGrant>) -> Vec<GrantedFolder> {
    let shown =
        |folder: FolderGrant| GrantedFolder { guest_path: folder.guest_path, writable: folder.writable };
    folders.into_iter().map(shown).collect()
}

fn job_spec(
    mesh: &Mesh,
    execution: &Execution,
    lease: &Lease,
    package: &Package,
    network: &[Resolved],
) -> Result<JobSpec, MeshError> {
    let vm = mesh.asset(&execution.vm_asset_id)?.vm;
    let vm = vm.map(|vm| vm.limits).ok_or_else(|| MeshError::not_found("vm", &execution.vm_asset_id))?;
    let request = &execution.request;
    let memory = lease.grant.memory.unwrap_or(vm.max_memory).min(vm.max_memory);
    let room = Bytes(memory.0.saturating_sub(WORKER_OVERHEAD.0));
    Ok(JobSpec {
        call: call(execution, package)?,
        artefact_owner: rustix::process::geteuid().as_raw(),
        memory_limit: request.limits.memory.unwrap_or(room).min(room),
        fuel: request.limits.fuel,
        output_bytes_limit: request.limits.output.unwrap_or(vm.max_storage).min(vm.max_storage),
        result_bytes_limit: Bytes(MAX_RESULT_BYTES),
        log_bytes_limit: request.limits.log.unwrap_or(Bytes(MAX_LOG_BYTES)).min(Bytes(MAX_LOG_BYTES)),
        inputs: request.inputs.iter().map(|input| input.name.clone()).collect(),
        folders: shown_to_guest(granted_folders(mesh, lease, &request.folders)),
        hosts: granted_hosts(network),
    })
}

/// What a command is given: arguments, environment.
type CommandInput = (Vec<String>, BTreeMap<String, String>);

/// Arguments and environment of a command together, in bytes: far below what a native program may have (execve(2)).
const MAX_COMMAND_BYTES: usize = 128 << 10;

/// What a command is given, from its parameters.
///
/// # Errors
/// [`MeshError::Unfit`] for what no program can be given.
pub(super) fn command_parameters(parameters: &Map<String, Value>) -> Result<CommandInput, MeshError> {
    let unfit = |member: &str, detail: &str| Err(MeshError::unfit(format!("parameters{member}"), detail));
    let (mut arguments, mut environment, mut bytes) = (Vec::new(), BTreeMap::new(), 0);
    for (name, value) in parameters {
        match (name.as_str(), value) {
            ("arguments", Value::Array(given)) => {
                for value in given {
                    let Some(text) = value.as_str().filter(|text| !text.contains('\0')) else {
                        return unfit(".arguments", "arguments are texts without NUL");
                    };
                    bytes += text.len() + 1;
                    arguments.push(text.to_owned());
                }
            }
            ("environment", Value::Object(given)) => {
                for (name, value) in given {
                    let text = value.as_str().filter(|text| !text.contains('\0'));
                    let is_name = !name.is_empty() && !name.contains(['=', '\0']);
                    let (true, Some(text)) = (is_name, text) else {
                        return unfit(
                            ".environment",
                            "variables are texts without NUL, their names without `=`",
                        );
                    };
                    bytes += name.len() + text.len() + 2;
                    environment.insert(name.clone(), text.to_owned());
                }
            }
            ("arguments", _) => return unfit(".arguments", "must be a list of texts"),
            ("environment", _) => return unfit(".environment", "must be an object of texts"),
            (_, _) => return unfit("", "a command has the parameters `arguments` and `environment`"),
        }
    }
    if bytes > MAX_COMMAND_BYTES {
        return unfit("", "arguments and environment together may have 128 KiB");
    }
    Ok((arguments, environment))
}

/// How the component is called. A command finds its arguments and its environment in the parameters.
fn call(execution: &Execution, package: &Package) -> Result<Call, MeshError> {
    let request = &execution.request;
    match package.world {
        World::Command => {
            let (arguments, environment) = command_parameters(&request.parameters)?;
            let arguments = std::iter::once(package.name.clone()).chain(arguments).collect();
            Ok(Call::Command { arguments, environment })
        }
        World::Job | World::Validator | World::Http => {
            let parameters = serde_json::to_string(&request.parameters)
                .map_err(|e| MeshError::internal("writing parameters")(Box::new(e)))?;
            Ok(Call::Run { operation: request.operation.clone(), parameters })
        }
    }
}

impl Watched {
    fn child(
        worker: Worker,
        ended: tokio::sync::oneshot::Receiver<hypermesh_sandbox::WorkerExit>,
        network: Vec<Resolved>,
    ) -> Result<Self, MeshError> {
        let allowed = network.into_iter().flat_map(|(_, _, addresses)| addresses).collect();
        Self::new(worker, ended, allowed)
    }
}
