//! Describing: a compiled component is asked, in a worker with limits, which operations it has.

use super::{child_limits, refuse_end};
use crate::Mesh;
use crate::error::MeshError;
use crate::execution::Folder;
use crate::internal::Child;
use hypermesh_engine::{JobCall, JobOutcome, JobSpec};
use hypermesh_model::{BlobDigest, Bytes, MilliCpu, Operation};
use std::time::Duration;

/// Wall time in which a guest must say what it can do.
const DESCRIBE_DEADLINE: Duration = Duration::from_secs(10);
/// Memory in which it must.
const DESCRIBE_MEMORY: Bytes = Bytes::mib(128);

impl Mesh {
    /// Asks a component, in a worker with limits, which operations it has.
    pub(super) async fn describe(&self, digest: &BlobDigest) -> Result<Vec<Operation>, MeshError> {
        let work = self.scratch()?;
        let result = self.describe_in(digest, &work).await;
        work.remove()?;
        result
    }

    async fn describe_in(&self, digest: &BlobDigest, work: &Folder) -> Result<Vec<Operation>, MeshError> {
        work.prepare(&[], &self.blobs)?;
        work.write_job(&JobSpec {
            cwasm: self.compiled_path(digest),
            call: JobCall::Describe,
            memory_limit: Bytes(DESCRIBE_MEMORY.0 / 2),
            inputs: Vec::new(),
            folder: None,
            output_dir: work.outputs(),
            output_bytes_limit: Bytes(1),
            result_bytes_limit: Bytes::mib(1),
            log_bytes_limit: Bytes::mib(1),
        })?;
        let child = Child {
            args: vec!["__worker".into(), work.path().into()],
            cwd: work.path().to_owned(),
            stderr: work.create_stderr()?,
            limits: child_limits(Some(MilliCpu(1000)), DESCRIBE_MEMORY),
            largest_file: Bytes::mib(16),
            deadline: DESCRIBE_DEADLINE,
        };
        let end = self.run_child(child).await?;
        refuse_end(&end, "`describe`", DESCRIBE_MEMORY, DESCRIBE_DEADLINE)?;
        match work.read_outcome() {
            Some(JobOutcome::Described(operations)) => Ok(operations),
            Some(JobOutcome::Failed { cause, .. }) => Err(MeshError::Unprocessable {
                detail: "the component failed when it was asked for its operations".into(),
                reasons: vec![serde_json::to_string(&cause).unwrap_or_default()],
            }),
            Some(JobOutcome::Completed { .. }) | None => {
                Err(MeshError::internal("describing a component")(work.stderr().into()))
            }
        }
    }
}
