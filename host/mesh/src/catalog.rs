//! The catalog: components that were vetted, compiled and asked what they can do, and the vms that run them.
//!
//! ```text
//! upload ─▶ stored by digest ─▶ vetted and compiled (own process, limits) ─▶ described (own process, limits) ─▶ package
//! ```
//! Nothing of a stranger's component runs before it is vetted, nothing of it runs in the node's own process, and the
//! machine code is only ever what our own compile process wrote.

use crate::Mesh;
use crate::blobs::{Receiving, StoredBlob};
use crate::error::MeshError;
use crate::execution::{Folder, MIN_EXECUTION_MEMORY};
use crate::internal::{Child, ChildEnd};
use crate::requests::{NewPackage, NewVm};
use hypermesh_engine::{EngineError, JobCall, JobOutcome, JobSpec, Vetted};
use hypermesh_model::{
    Asset, AssetType, BlobDigest, Bytes, CatalogId, CpuMode, EventKind, ExecutionId, MilliCpu, Operation,
    Package, PrivacyLevel, Subject, Timestamp, VmLimits, World, error_chain,
};
use hypermesh_sandbox::{Entry, Limits};
use hypermesh_store::Batch;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most packages.
pub(crate) const MAX_PACKAGES: usize = 1000;
/// Memory of a compile. Measured: 18 MB of component need about 1 GiB.
const COMPILE_MEMORY: Bytes = Bytes::mib(2048);
/// Wall time of the compile of a component without a byte: some hundred kilobytes take a second on a free core, and the
/// machine may be busy. A small component that takes longer was made to.
const COMPILE_DEADLINE: Duration = Duration::from_secs(30);
/// Wall time for each mebibyte on top. Measured on one core: 34 s of CPU for 12 MB, 36 s for 18 MB.
const COMPILE_DEADLINE_PER_MIB: Duration = Duration::from_secs(10);
/// The longest wall time of a compile.
const MAX_COMPILE_DEADLINE: Duration = Duration::from_secs(180);
/// Machine code of one component. Measured: 33 MB for 12 MB of component.
const MAX_COMPILED: Bytes = Bytes::mib(512);
/// Wall time in which a guest must say what it can do.
const DESCRIBE_DEADLINE: Duration = Duration::from_secs(10);
/// Memory in which it must.
const DESCRIBE_MEMORY: Bytes = Bytes::mib(128);
/// Threads of a child: the runtime's and the compiler's.
const CHILD_PIDS: u32 = 64;
/// What a child weighs against leases. Where nobody wants the CPU it may have all of it; no lease waits for a stranger's
/// upload, of which nobody knows yet how long it takes.
const CHILD_WEIGHT: MilliCpu = MilliCpu(250);

/// EX_SOFTWARE of sysexits(3): the compile process failed, and not because of the component.
const CANNOT_COMPILE: u8 = 70;

/// Limits of a vm that is installed without any: a quarter of the CPU, 256 MiB, 64 MiB of output, 5 minutes.
pub fn default_limits() -> VmLimits {
    VmLimits {
        max_cpu_percent: 25.0,
        max_memory: Bytes::mib(256),
        max_storage: Bytes::mib(64),
        max_execution_seconds: 300,
    }
}

/// What the compile process leaves: what it found, or why it refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum CompileReport {
    /// It may run.
    Admitted(Vetted),
    /// It may not.
    Refused { message: String, reasons: Vec<String> },
}

/// The compile process's main function: component in, machine code and report out. Returns the exit code.
pub fn compile_main(args: Vec<OsString>) -> u8 {
    let [component, compiled, report] = match <[OsString; 3]>::try_from(args) {
        Ok(paths) => paths.map(PathBuf::from),
        Err(_) => return 64,
    };
    match compile_to(&component, &compiled, &report) {
        Ok(()) => 0,
        Err(message) => {
            // The node reads it and logs it.
            let _ = writeln!(io::stderr(), "{message}");
            CANNOT_COMPILE
        }
    }
}

/// Compiles in this process, once it is in its cgroup. A component's fault is a report; an error is ours.
fn compile_to(component: &Path, compiled: &Path, report: &Path) -> Result<(), String> {
    Entry::from_environment()
        .and_then(|entry| hypermesh_sandbox::enter(&entry))
        .map_err(|e| error_chain(&e))?;
    let bytes = fs::read(component).map_err(|e| format!("reading the component: {e}"))?;
    let found = match hypermesh_engine::vet_and_compile(&bytes) {
        Ok((vetted, code)) => {
            fs::write(compiled, code).map_err(|e| format!("writing the code: {e}"))?;
            CompileReport::Admitted(vetted)
        }
        Err(error) if error.is_refusal() => {
            CompileReport::Refused { message: error_chain(&error), reasons: reasons(&error) }
        }
        Err(error) => return Err(error_chain(&error)),
    };
    let text = serde_json::to_vec(&found).map_err(|e| format!("writing the report: {e}"))?;
    fs::write(report, text).map_err(|e| format!("writing the report: {e}"))
}

/// Each forbidden import by itself, so that a caller can show them as a list.
fn reasons(error: &EngineError) -> Vec<String> {
    match error {
        EngineError::ForbiddenImports(imports) => {
            imports.iter().map(|c| format!("{}: {}", c.import, c.meaning)).collect()
        }
        EngineError::NotAComponent { .. }
        | EngineError::TooLarge { .. }
        | EngineError::Malformed(_)
        | EngineError::MissingExport { .. }
        | EngineError::Invalid(_)
        | EngineError::WrongTypes(_)
        | EngineError::Engine(_) => vec![error.to_string()],
    }
}

impl Mesh {
    /// All packages, by id.
    pub fn packages(&self) -> Vec<Package> {
        self.tables.packages.all()
    }

    /// One package.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub fn package(&self, id: &CatalogId) -> Result<Package, MeshError> {
        self.tables.packages.get(id).ok_or_else(|| MeshError::not_found("package", id))
    }

    /// The vm that was installed last from a package.
    pub fn installed_as(&self, id: &CatalogId) -> Option<Asset> {
        let runs = |a: &Asset| a.vm.as_ref().is_some_and(|vm| vm.package.as_ref() == Some(id));
        self.tables.assets.filter(|a| a.asset_type == AssetType::Vm && runs(a)).pop()
    }

    /// Vets, compiles and describes an uploaded component and adds it to the catalog. The same component under the
    /// same name and version is the same package.
    ///
    /// # Errors
    /// [`MeshError::Unprocessable`] with every reason when it can't be admitted; [`MeshError::Conflict`] when name and
    /// version are taken by another component.
    pub async fn add_package(
        &self,
        by: &Subject,
        new: NewPackage,
        upload: StoredBlob,
    ) -> Result<Package, MeshError> {
        let same = self.tables.packages.filter(|p| p.name == new.name && p.version == new.version);
        if let Some(existing) = same.into_iter().next() {
            if existing.digest == upload.digest {
                return Ok(existing);
            }
            let detail =
                format!("`{}` {} is another component; give this one a new version", new.name, new.version);
            return Err(MeshError::Conflict { detail });
        }
        if self.tables.packages.len() >= MAX_PACKAGES {
            return Err(MeshError::Conflict { detail: format!("the catalog holds {MAX_PACKAGES} packages") });
        }
        let vetted = self.compile(&upload.digest).await?;
        let operations = match vetted.world {
            World::Job => self.describe(&upload.digest).await?,
            World::Validator => Vec::new(),
        };
        let package = Package {
            id: CatalogId::generate(),
            name: new.name,
            version: new.version,
            description: new.description,
            author: by.clone(),
            digest: upload.digest,
            size: upload.size,
            world: vetted.world,
            capabilities: vetted.capabilities,
            operations,
            downloads: 0,
            created_at: Timestamp::now(),
        };
        let mut batch = Batch::new();
        batch.put(&self.tables.packages, package.clone());
        let data = json!({ "name": package.name, "version": package.version, "digest": package.digest });
        batch.event(EventKind::PackageAdded, package.id.as_str(), data);
        self.commit(batch, "adding a package").await?;
        Ok(package)
    }

    /// Makes a vm that runs a package. Gives the vm and what was done, for people.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Conflict`] for a validator.
    pub async fn install(
        &self,
        by: &Subject,
        id: &CatalogId,
        privacy_level: PrivacyLevel,
        limits: Option<VmLimits>,
    ) -> Result<(Asset, Vec<String>), MeshError> {
        let package = self.package(id)?;
        if package.world == World::Validator {
            let detail =
                format!("`{}` is a validator; it checks claims and is not run as a vm", package.name);
            return Err(MeshError::Conflict { detail });
        }
        let limits = limits.unwrap_or_else(default_limits);
        if limits.max_memory < MIN_EXECUTION_MEMORY {
            let detail = format!("a vm needs at least {MIN_EXECUTION_MEMORY} of memory");
            return Err(MeshError::unfit("resource_limits.max_memory", detail));
        }
        self.compiled(&package.digest).await?;
        let entrypoint = match package.operations.as_slice() {
            [only] => only.name.clone(),
            _ => String::new(),
        };
        let vm = NewVm {
            name: package.name.clone(),
            description: package.description.clone(),
            privacy_level,
            specifications: serde_json::Map::new(),
            package: Some(id.clone()),
            entrypoint,
            limits,
            declared: serde_json::Map::new(),
        };
        let asset = self.create_vm(by, vm).await?;
        let mut batch = Batch::new();
        batch.put(&self.tables.packages, Package { downloads: package.downloads + 1, ..package.clone() });
        self.commit(batch, "counting an installation").await?;
        let names: Vec<&str> = package.operations.iter().map(|o| o.name.as_str()).collect();
        let logs = vec![
            format!("component {} of {} is vetted and compiled", package.digest, package.size),
            format!("operations: {}", names.join(", ")),
            format!("vm asset {} made", asset.id),
        ];
        Ok((asset, logs))
    }

    /// Where the machine code of a component is; compiled now if this version of the engine has not yet.
    ///
    /// # Errors
    /// As for the compile.
    pub(crate) async fn compiled(&self, digest: &BlobDigest) -> Result<PathBuf, MeshError> {
        let path = self.compiled_path(digest);
        if !path.exists() {
            self.compile(digest).await?;
        }
        Ok(path)
    }

    fn compiled_path(&self, digest: &BlobDigest) -> PathBuf {
        self.settings.data_dir.join("compiled").join(&self.engine_hash).join(format!("{digest}.cwasm"))
    }

    async fn compile(&self, digest: &BlobDigest) -> Result<Vetted, MeshError> {
        let work = self.scratch()?;
        let result = self.compile_in(digest, work.path()).await;
        work.remove()?;
        result
    }

    async fn compile_in(&self, digest: &BlobDigest, work: &Path) -> Result<Vetted, MeshError> {
        let fault = |e: io::Error| MeshError::internal("compiling a component")(Box::new(e));
        fs::create_dir_all(work).map_err(fault)?;
        let (code, report) = (work.join("code"), work.join("report.json"));
        let component = self.blobs.path(Receiving::Component, digest);
        let deadline = compile_deadline(self.blobs.get(Receiving::Component, digest)?.size);
        let child = Child {
            args: vec!["__compile".into(), component.into(), code.clone().into(), report.clone().into()],
            cwd: work.to_owned(),
            stderr: fs::File::create(work.join("stderr.txt")).map_err(fault)?,
            limits: child_limits(COMPILE_MEMORY),
            largest_file: MAX_COMPILED,
            deadline,
        };
        let end = self.run_child(child).await?;
        if let ChildEnd::Exited { code: Some(code) } = end
            && code == i32::from(CANNOT_COMPILE)
        {
            let said = fs::read_to_string(work.join("stderr.txt")).unwrap_or_default();
            return Err(MeshError::internal("compiling a component")(said.into()));
        }
        refuse_end(&end, "compiling the component", COMPILE_MEMORY, deadline)?;
        let report = fs::read(report).map_err(fault)?;
        let report: CompileReport = serde_json::from_slice(&report)
            .map_err(|e| MeshError::internal("reading a report")(Box::new(e)))?;
        match report {
            CompileReport::Refused { message, reasons } => Err(MeshError::Unprocessable {
                detail: format!("the component is refused: {message}"),
                reasons,
            }),
            CompileReport::Admitted(vetted) => {
                let target = self.compiled_path(digest);
                fs::create_dir_all(target.parent().unwrap_or(work)).map_err(fault)?;
                fs::File::open(&code).and_then(|f| f.sync_data()).map_err(fault)?;
                fs::rename(code, target).map_err(fault)?;
                Ok(vetted)
            }
        }
    }

    /// Asks a component, in a worker with limits, which operations it has.
    async fn describe(&self, digest: &BlobDigest) -> Result<Vec<Operation>, MeshError> {
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
            limits: child_limits(DESCRIBE_MEMORY),
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

    fn scratch(&self) -> Result<Folder, MeshError> {
        let work = Folder::of(&self.settings.data_dir.join("work"), &ExecutionId::generate());
        work.remove()?;
        Ok(work)
    }
}

fn child_limits(memory: Bytes) -> Limits {
    Limits {
        cpu: Some(CHILD_WEIGHT),
        cpu_mode: CpuMode::Shared,
        memory: Some(memory),
        pids: Some(CHILD_PIDS),
        ..Limits::default()
    }
}

/// How long compiling a component of this size may take.
fn compile_deadline(size: Bytes) -> Duration {
    let bytes = u32::try_from(size.0).unwrap_or(u32::MAX);
    let more = COMPILE_DEADLINE_PER_MIB.saturating_mul(bytes) / (1 << 20);
    (COMPILE_DEADLINE + more).min(MAX_COMPILE_DEADLINE)
}

fn refuse_end(end: &ChildEnd, what: &str, memory: Bytes, deadline: Duration) -> Result<(), MeshError> {
    let refused = |reason: String| {
        Err(MeshError::Unprocessable {
            detail: format!("the component is refused: {what} {reason}"),
            reasons: vec![reason],
        })
    };
    match end {
        // Exit code 1 of a worker is a guest's failure; its outcome says which.
        ChildEnd::Exited { code: Some(0 | 1) } => Ok(()),
        ChildEnd::Exited { code } => refused(format!("ended without an answer (exit code {code:?})")),
        ChildEnd::OutOfMemory => refused(format!("needed more than {memory}")),
        ChildEnd::TimedOut => refused(format!("took longer than {} s", deadline.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_component_gets_little_time_and_a_large_one_what_was_measured_and_more() {
        assert_eq!(compile_deadline(Bytes(0)), COMPILE_DEADLINE);
        assert_eq!(compile_deadline(Bytes::mib(1)), Duration::from_secs(40));
        for (mib, measured) in [(12, 34), (18, 36)] {
            assert!(compile_deadline(Bytes::mib(mib)) > 3 * Duration::from_secs(measured), "{mib} MiB");
        }
        assert_eq!(compile_deadline(Bytes(u64::MAX)), MAX_COMPILE_DEADLINE);
    }
}
