//! Asking a node for leases and executions, in as few words as a test can say it.

use crate::Node;
use hypermesh_artifacts::Artifact;
use hypermesh_client::{ClientError, Upload};
use hypermesh_wire::allocations::CreateAllocation;
use hypermesh_wire::assets::ResourceLimits;
use hypermesh_wire::catalog::{CatalogApplication, Install, UploadQuery};
use hypermesh_wire::executions::{ExecuteVm, VmExecution};
use serde_json::{Map, Value};

/// Seconds that the node may hold back an answer: half of what it takes.
const WAIT: u32 = 30;
/// Longest execution of a test, in seconds.
const TIMEOUT: u64 = 120;
/// Longest lease of a test, in seconds.
const DURATION: u64 = 600;

/// A request for a lease of `amount` of an asset, for ten minutes.
pub fn allocation(asset: &str, amount: f64) -> CreateAllocation {
    CreateAllocation::new(asset, amount, DURATION)
}

/// A request to run an operation, with what a test mostly wants.
///
/// # Panics
/// When the parameters are no JSON object.
#[track_caller]
pub fn job(vm: &str, operation: &str, parameters: Value) -> ExecuteVm {
    let parameters: Map<String, Value> =
        serde_json::from_value(parameters).expect("parameters are an object");
    ExecuteVm {
        parameters,
        timeout: TIMEOUT,
        requires_consensus: false,
        allocation_duration: DURATION,
        ..ExecuteVm::new(vm, operation)
    }
}

/// Limits of a vm: percent of the pool, and memory as text. The rest is as the node has it.
pub fn with_limits(cpu: f64, memory: &str) -> ResourceLimits {
    ResourceLimits { max_cpu: cpu, max_memory: memory.into(), ..ResourceLimits::default() }
}

impl Node {
    /// Puts a component into the catalog.
    ///
    /// # Panics
    /// When the node refuses it.
    #[track_caller]
    pub fn add(&self, artifact: &Artifact) -> CatalogApplication {
        let about = UploadQuery {
            name: Some(artifact.name.into()),
            version: Some(artifact.version.into()),
            description: Some(artifact.description.into()),
        };
        self.upload_package(&about, artifact.component).expect("the node takes the component")
    }

    /// Uploads a component.
    ///
    /// # Errors
    /// What the node says.
    pub fn upload_package(
        &self,
        about: &UploadQuery,
        mut bytes: &[u8],
    ) -> Result<CatalogApplication, ClientError> {
        let length = bytes.len() as u64;
        self.client().upload_package(about, Upload { reader: &mut bytes, length, progress: &mut |_| {} })
    }

    /// Puts a component into the catalog and installs it. Gives the vm's id.
    ///
    /// # Panics
    /// When the node refuses.
    #[track_caller]
    pub fn install(&self, artifact: &Artifact, limits: Option<ResourceLimits>) -> String {
        let catalog_id = self.add(artifact).id;
        let request = Install { catalog_id, privacy_level: None, resource_limits: limits };
        self.client().install(&request).expect("the node installs it").vm_asset.id
    }

    /// Stores a file. Gives its digest.
    ///
    /// # Panics
    /// When the node refuses.
    #[track_caller]
    pub fn upload(&self, mut bytes: &[u8]) -> String {
        let length = bytes.len() as u64;
        let upload = Upload { reader: &mut bytes, length, progress: &mut |_| {} };
        self.client().upload_blob(upload).expect("the node takes the file").digest
    }

    /// Starts an execution; where others hold the capacity, waits for them.
    ///
    /// # Panics
    /// When the node refuses for another reason.
    #[track_caller]
    pub fn begin(&self, request: &ExecuteVm) -> VmExecution {
        crate::until("capacity for an execution", || match self.client().execute(request, 0) {
            Ok(execution) => Some(execution),
            Err(ClientError::Problem(problem)) if problem.problem_type.ends_with("not-enough-capacity") => {
                None
            }
            Err(error) => panic!("the node takes the execution: {error}"),
        })
    }

    /// Waits for the end of an execution.
    ///
    /// # Panics
    /// When it doesn't end.
    #[track_caller]
    pub fn finish(&self, id: &str) -> VmExecution {
        crate::until("the end of an execution", || {
            let execution = self.client().execution(id, WAIT).expect("the node knows the execution");
            execution.status.is_final().then_some(execution)
        })
    }

    /// Runs an operation to its end.
    ///
    /// # Panics
    /// When the node refuses it or it doesn't end.
    #[track_caller]
    pub fn run(&self, request: &ExecuteVm) -> VmExecution {
        self.finish(&self.begin(request).id)
    }
}
