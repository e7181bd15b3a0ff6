//! A place to run one guest: its compiled artefact, inputs, an output folder, and an observer that writes down.

use hypermesh_artifacts::Artifact;
use hypermesh_engine::{
    Call, GrantedFolder, Handles, JobObserver, JobOutcome, JobSpec, Profile, Runtime, vet_and_compile,
};
use hypermesh_model::{Bytes, Cause, LogLine};
use rustix::process::geteuid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use tempfile::TempDir;

/// Artefacts that were compiled before, by the guest's name: compiling without optimisation takes seconds.
static COMPILED: Mutex<BTreeMap<(&str, bool), Vec<u8>>> = Mutex::new(BTreeMap::new());

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

pub(crate) struct Bench {
    pub(crate) spec: JobSpec,
    /// What the next runs read as standard input.
    pub(crate) stdin: Option<PathBuf>,
    /// The folders of `spec.folders`.
    folders: Vec<PathBuf>,
    folder: TempDir,
}

impl Bench {
    pub(crate) fn new(artifact: Artifact) -> Self {
        Self::of(artifact.name, artifact.component, None)
    }

    /// A component that no crate makes.
    pub(crate) fn of_text(name: &'static str, text: &str) -> Self {
        Self::of(name, &wat::parse_str(text).unwrap(), None)
    }

    /// A guest that has so much fuel.
    pub(crate) fn metered(artifact: Artifact, fuel: u64) -> Self {
        Self::of(artifact.name, artifact.component, Some(fuel))
    }

    pub(crate) fn of(name: &'static str, component: &[u8], fuel: Option<u64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cwasm = folder.path().join("guest.cwasm");
        {
            let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = compiled
                .entry((name, fuel.is_some()))
                .or_insert_with(|| vet_and_compile(component, Profile::of(fuel)).unwrap().1);
            fs::write(&cwasm, bytes).unwrap();
        }
        fs::set_permissions(&cwasm, Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        let spec = JobSpec {
            call: Call::Describe,
            artefact_owner: geteuid().as_raw(),
            memory_limit: Bytes::mib(64),
            fuel,
            output_bytes_limit: Bytes::mib(4),
            result_bytes_limit: Bytes(64 << 10),
            log_bytes_limit: Bytes(64 << 10),
            inputs: Vec::new(),
            folders: Vec::new(),
            hosts: Vec::new(),
        };
        Self { spec, stdin: None, folders: Vec::new(), folder }
    }

    pub(crate) fn with_input(mut self, name: &str, path: &Path) -> Self {
        fs::copy(path, self.next_input()).unwrap();
        self.spec.inputs.push(name.to_owned());
        self
    }

    pub(crate) fn add_input(&mut self, name: &str, bytes: &[u8]) {
        fs::write(self.next_input(), bytes).unwrap();
        self.spec.inputs.push(name.to_owned());
    }

    fn next_input(&self) -> PathBuf {
        self.folder.path().join("in").join(self.spec.inputs.len().to_string())
    }

    pub(crate) fn grant(&mut self, path: &Path, guest_path: &str, writable: bool) {
        self.spec.folders.push(GrantedFolder { guest_path: guest_path.to_owned(), writable });
        self.folders.push(path.to_owned());
    }

    pub(crate) fn output_dir(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    pub(crate) fn artefact(&self) -> PathBuf {
        self.folder.path().join("guest.cwasm")
    }

    /// The descriptors that a run has by itself.
    pub(crate) fn handles(&self) -> Handles {
        let open = |path: &Path| OwnedFd::from(File::open(path).unwrap());
        Handles {
            inputs: Some(open(&self.folder.path().join("in"))),
            outputs: Some(open(&self.output_dir())),
            folders: self.folders.iter().map(|path| open(path)).collect(),
            stdin: self.stdin.as_deref().map(open),
            ..Handles::new(open(&self.artefact()))
        }
    }

    pub(crate) fn call(&self, call: Call) -> (JobOutcome, Seen) {
        self.call_with(call, self.handles())
    }

    pub(crate) fn call_with(&self, call: Call, handles: Handles) -> (JobOutcome, Seen) {
        let mut seen = Seen::default();
        let spec = JobSpec { call, ..self.spec.clone() };
        let outcome = match RUNTIME.load(&spec, handles) {
            Ok(mut loaded) => loaded.run(&mut seen),
            Err(cause) => JobOutcome::Failed { cause, dropped_log_lines: 0 },
        };
        (outcome, seen)
    }

    pub(crate) fn run(&self, operation: &str, parameters: Value) -> (JobOutcome, Seen) {
        self.call(Call::Run { operation: operation.to_owned(), parameters: parameters.to_string() })
    }

    /// Runs an operation that must give a result.
    pub(crate) fn complete(&self, operation: &str, parameters: Value) -> (Value, Seen) {
        let (outcome, seen) = self.run(operation, parameters);
        let JobOutcome::Completed { result, .. } = outcome else { panic!("{operation}: {outcome:?}") };
        (serde_json::from_str(&result).unwrap(), seen)
    }

    /// Runs an operation that must fail.
    pub(crate) fn fail(&self, operation: &str, parameters: Value) -> Cause {
        cause(self.run(operation, parameters).0)
    }
}

/// The cause of an outcome that must be a failure.
pub(crate) fn cause(outcome: JobOutcome) -> Cause {
    let JobOutcome::Failed { cause, .. } = outcome else { panic!("{outcome:?}") };
    cause
}

/// What an observer was told.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) running: u32,
    pub(crate) lines: Vec<(String, String)>,
    pub(crate) progress: Vec<(u64, Option<u64>, String)>,
}

impl JobObserver for Seen {
    fn running(&mut self) {
        self.running += 1;
    }

    fn log(&mut self, line: LogLine) {
        self.lines.push((line.level, line.message));
    }

    fn progress(&mut self, done: u64, total: Option<u64>, note: &str) {
        self.progress.push((done, total, note.to_owned()));
    }
}
