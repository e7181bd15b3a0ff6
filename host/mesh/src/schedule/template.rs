//! Between a request for an execution and what is stored of it: the one place that knows both.
//!
//! Members are written out on both sides, so that one that is added to a request can't be forgotten here.

use crate::Mesh;
use crate::error::MeshError;
use crate::execution::operation;
use crate::requests::ExecuteRequest;
use hypermesh_model::{ExecutionId, ExecutionTemplate, Stdin};

/// What is kept of a request.
pub(crate) fn template(request: ExecuteRequest) -> ExecutionTemplate {
    let ExecuteRequest {
        id: _,
        vm_asset_id,
        operation,
        parameters,
        timeout_seconds,
        cpu_limit_seconds,
        requires_consensus,
        allocation_seconds,
        lease,
        inputs,
        stdin,
        folders,
        network,
        limits,
        retries,
        wait_seconds,
        priority,
    } = request;
    ExecutionTemplate {
        vm_asset_id,
        operation,
        parameters,
        timeout_seconds,
        cpu_limit_seconds,
        requires_consensus,
        allocation_seconds,
        lease,
        inputs,
        stdin,
        folders,
        network,
        limits,
        retries,
        wait_seconds,
        priority,
    }
}

/// The request that is kept, for an execution of this id.
pub fn request(template: ExecutionTemplate, id: Option<ExecutionId>) -> ExecuteRequest {
    let ExecutionTemplate {
        vm_asset_id,
        operation,
        parameters,
        timeout_seconds,
        cpu_limit_seconds,
        requires_consensus,
        allocation_seconds,
        lease,
        inputs,
        stdin,
        folders,
        network,
        limits,
        retries,
        wait_seconds,
        priority,
    } = template;
    ExecuteRequest {
        id,
        vm_asset_id,
        operation,
        parameters,
        timeout_seconds,
        cpu_limit_seconds,
        requires_consensus,
        allocation_seconds,
        lease,
        inputs,
        stdin,
        folders,
        network,
        limits,
        retries,
        wait_seconds,
        priority,
    }
}

impl Mesh {
    /// Whether what is to be executed later could be, as things are: the vm, its package, the operation, the lease.
    /// Capacity is another question, of another time. Members are named as parts of `execution`.
    pub(crate) fn check_request(&self, request: &ExecuteRequest) -> Result<(), MeshError> {
        self.check_parts(request).map_err(|error| {
            if let MeshError::Unfit { member, detail } = error {
                MeshError::unfit(format!("execution.{member}"), detail)
            } else {
                error
            }
        })
    }

    fn check_parts(&self, request: &ExecuteRequest) -> Result<(), MeshError> {
        if request.stdin == Stdin::Stream {
            return Err(MeshError::unfit("stdin.stream", "nobody will be there to send it; give a `digest`"));
        }
        let asset = self.asset(&request.vm_asset_id)?;
        let vm = asset
            .vm
            .clone()
            .ok_or_else(|| MeshError::unfit("vm_asset_id", format!("asset `{}` is not a vm", asset.id)))?;
        operation(request, &vm, &self.package_of(&asset, &vm)?)?;
        if let Some(lease) = &request.lease {
            let unknown = |_| MeshError::unfit("allocation_id", format!("there is no allocation `{lease}`"));
            self.lease(lease).map_err(unknown)?;
        }
        Ok(())
    }
}
