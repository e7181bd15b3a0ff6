//! What the worker of one request gets: the component, one end of a connection, a pipe for its log, memory for its last
//! words, and what the service grants.
//!
//! Nothing of it is a file of the node's: a request leaves nothing on the disk but its log lines, and what was taken over
//! by a guest has nothing of other requests in its hands.

use super::memory_of_each;
use crate::Mesh;
use crate::error::MeshError;
use crate::execution::{Resolved, granted_folders, granted_hosts, shown_to_guest, worker_uid};
use crate::workers::{Descriptors, Role, WorkerJob};
use hypermesh_engine::{Call, JobSpec};
use hypermesh_model::{Bytes, FolderGrant, Lease, Service};
use hypermesh_sandbox::{Order, Zygote};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::{self, PipeReader};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// Log text of one request; lines over it are dropped and counted. The log of the service has its own bound.
pub(super) const MAX_LOG: usize = 256 << 10;
/// Text of a message that a guest ends with.
const MAX_RESULT: Bytes = Bytes(64 << 10);
/// Open files of a worker: its descriptors, a few connections and folders, an event queue, with room.
const OPEN_FILES: u64 = 64;
/// The largest file that a worker may write beside what its folders hold: its outcome.
const MIN_FILE_BYTES: u64 = 16 << 20;

/// What goes to the worker, and the node's ends of it.
pub(super) struct Given {
    pub(super) order: Order,
    pub(super) job: Vec<u8>,
    pub(super) fds: Descriptors,
    /// Where the request goes in and the answer comes out.
    pub(super) connection: UnixStream,
    pub(super) left: Left,
}

/// What a worker leaves behind.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) log: PipeReader,
    /// How it ended.
    pub(super) outcome: File,
    /// Its own words.
    pub(super) stderr: File,
}

/// Opens everything for one request; folders, where there are any, through the zygote. Blocks.
pub(super) fn give(
    mesh: &Mesh,
    service: &Service,
    lease: &Lease,
    artefact: PathBuf,
    network: &[Resolved],
    zygote: Option<&Zygote>,
) -> Result<Given, MeshError> {
    let fault = |e: io::Error| MeshError::internal("opening what a worker is given")(Box::new(e));
    let memory_file = |name: &std::ffi::CStr| {
        memfd_create(name, MemfdFlags::CLOEXEC).map(File::from).map_err(|e| fault(e.into()))
    };
    let mut fds = Descriptors::default();
    fds.add(Role::Artefact, File::open(artefact).map_err(fault)?);
    let (connection, theirs) = UnixStream::pair().map_err(fault)?;
    connection.set_nonblocking(true).map_err(fault)?;
    fds.add(Role::Connection, theirs);
    let (log, writer) = io::pipe().map_err(fault)?;
    fds.add(Role::Log, writer);
    let (outcome, stderr) = (memory_file(c"outcome")?, memory_file(c"stderr")?);
    fds.add(Role::Outcome, outcome.try_clone().map_err(fault)?);
    fds.add(Role::Stderr, stderr.try_clone().map_err(fault)?);
    let uid = worker_uid(mesh, &lease.id);
    let granted = granted_folders(mesh, lease, &service.terms.folders);
    let folders = granted.iter().map(|folder| fds.grant(zygote, folder, uid)).collect::<Result<_, _>>()?;
    let order = Order {
        uid,
        open_files: OPEN_FILES,
        // A file as large as its folder must not end the worker (setrlimit(2)).
        file_bytes: Some(lease.grant.storage.map_or(0, |size| size.0).max(MIN_FILE_BYTES)),
        // Should the node die: one thread can't use more than it has time.
        cpu_seconds: Some(service.terms.timeout_seconds.saturating_add(1)),
        folders,
        network: !service.terms.network.is_empty(),
        stderr: fds.at(Role::Stderr),
    };
    let spec = job_spec(service, lease, granted, network);
    let job = serde_json::to_vec(&WorkerJob { spec, roles: fds.roles() })
        .map_err(|e| MeshError::internal("writing a job")(Box::new(e)))?;
    Ok(Given { order, job, fds, connection, left: Left { log, outcome, stderr } })
}

fn job_spec(service: &Service, lease: &Lease, granted: Vec<FolderGrant>, network: &[Resolved]) -> JobSpec {
    let terms = &service.terms;
    JobSpec {
        call: Call::Http,
        artefact_owner: rustix::process::geteuid().as_raw(),
        memory_limit: memory_of_each(lease, terms, service.limits.max_memory),
        fuel: None,
        output_bytes_limit: terms.max_body,
        result_bytes_limit: MAX_RESULT,
        log_bytes_limit: Bytes(MAX_LOG as u64),
        inputs: Vec::new(),
        folders: shown_to_guest(granted),
        hosts: granted_hosts(network),
    }
}
