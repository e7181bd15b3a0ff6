//! The node's own child processes: compiling a component and asking it what it can do.
//!
//! Same rules as for executions: a process of its own, a cgroup of its own, limits, a deadline. They hold no lease,
//! since nobody asked for one, and are bounded by a semaphore instead.

use crate::Mesh;
use crate::error::MeshError;
use crate::ready::has_ended;
use hypermesh_model::{Bytes, LeaseId};
use hypermesh_sandbox::{Entry, Limits, WorkerCommand};
use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Children of the node's own at a time: compiling is CPU-bound and takes up to 2 GiB.
pub(crate) const MAX_INTERNAL: usize = 2;
/// Requests that may wait for one; more are told to come again.
pub(crate) const MAX_INTERNAL_WAITING: usize = 16;

/// A child to run.
pub(crate) struct Child {
    pub(crate) args: Vec<OsString>,
    pub(crate) cwd: PathBuf,
    pub(crate) stderr: File,
    pub(crate) limits: Limits,
    pub(crate) largest_file: Bytes,
    pub(crate) deadline: Duration,
}

/// How a child ended.
#[derive(Debug)]
pub(crate) enum ChildEnd {
    /// By itself.
    Exited {
        /// Its exit code; `None` after a signal.
        code: Option<i32>,
    },
    /// At its memory limit.
    OutOfMemory,
    /// At its deadline.
    TimedOut,
}

impl Mesh {
    /// Runs a child to its end.
    pub(crate) async fn run_child(&self, child: Child) -> Result<ChildEnd, MeshError> {
        if self.internal.available_permits() == 0 && self.internal_waiting.available_permits() == 0 {
            return Err(MeshError::Busy {
                detail: "too many components are being compiled; try again later".into(),
            });
        }
        let busy = |_| MeshError::Busy { detail: "the node is stopping".into() };
        let waiting = self.internal_waiting.acquire().await.map_err(busy)?;
        let permit = Arc::clone(&self.internal).acquire_owned().await.map_err(busy)?;
        drop(waiting);
        let mesh = self.clone();
        // Cleaned up even if the caller hangs up.
        self.spawned(async move {
            let _permit = permit;
            let id = LeaseId::generate();
            mesh.ledger.enter_internal(&id);
            let end = mesh.run_child_in(&id, child).await;
            let cleaned = mesh.remove_group(&id).await;
            mesh.ledger.leave_internal(&id);
            cleaned.and(end)
        })
        .await?
    }

    async fn run_child_in(&self, id: &LeaseId, child: Child) -> Result<ChildEnd, MeshError> {
        const LEAF: &str = "child";
        let Child { args, cwd, stderr, limits, largest_file, deadline } = child;
        let group = id.clone();
        self.blocking("making a cgroup", move |mesh| {
            mesh.cgroups.create(&group, &limits, "{\"internal\":true}")?;
            mesh.cgroups.create_leaf(&group, LEAF, None)
        })
        .await?;
        let command = WorkerCommand {
            exe: self.settings.worker_exe.clone(),
            args,
            entry: Entry {
                file_bytes: Some(largest_file.0),
                ..Entry::joining(self.cgroups.join_files(id, LEAF))
            },
            cwd,
            stdout: None,
            stderr: Some(stderr),
            env: Vec::new(),
        };
        let mut process = tokio::task::spawn_blocking(move || hypermesh_sandbox::spawn(command))
            .await
            .map_err(|e| MeshError::internal("starting a child")(Box::new(e)))?
            .map_err(|e| MeshError::internal("starting a child")(Box::new(e)))?;
        let in_time = match tokio::time::timeout(deadline, has_ended(process.pidfd())).await {
            Ok(ended) => {
                ended.map(|()| true).map_err(|e| MeshError::internal("watching a child")(Box::new(e)))?
            }
            Err(_) => false,
        };
        let oom_kills = self.cgroups.usage(id, Some(LEAF)).ok().and_then(|u| u.oom_kills).unwrap_or(0);
        if !in_time {
            // The group is killed as a whole by the caller; without cgroups this is all there is.
            process.pidfd().kill().map_err(|e| MeshError::internal("killing a child")(Box::new(e)))?;
            process
                .pidfd()
                .wait(Duration::from_secs(1))
                .map_err(|e| MeshError::internal("killing a child")(Box::new(e)))?;
        }
        let status = process.try_wait().map_err(|e| MeshError::internal("reaping a child")(Box::new(e)))?;
        let code = status.and_then(|s| s.code());
        Ok(match (in_time, code) {
            (false, _) => ChildEnd::TimedOut,
            (true, None) if oom_kills > 0 => ChildEnd::OutOfMemory,
            (true, code) => ChildEnd::Exited { code },
        })
    }
}
