//! A place to run one guest: its compiled artefact, inputs, an output folder, and an observer that writes down.

use hypermesh_artifacts::Artifact;
use hypermesh_engine::{JobCall, JobObserver, JobOutcome, JobSpec, run, vet_and_compile};
use hypermesh_model::{Bytes, LogLine};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// Artefacts that were compiled before, by the guest's name: compiling without optimisation takes seconds.
static COMPILED: Mutex<BTreeMap<&str, Vec<u8>>> = Mutex::new(BTreeMap::new());

pub(crate) struct Bench {
    pub(crate) spec: JobSpec,
    folder: TempDir,
}

impl Bench {
    pub(crate) fn new(artifact: Artifact) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cwasm = folder.path().join("guest.cwasm");
        {
            let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = compiled
                .entry(artifact.name)
                .or_insert_with(|| vet_and_compile(artifact.component).unwrap().1);
            fs::write(&cwasm, bytes).unwrap();
        }
        fs::set_permissions(&cwasm, Permissions::from_mode(0o600)).unwrap();
        let output_dir = folder.path().join("outputs");
        fs::create_dir(&output_dir).unwrap();
        let spec = JobSpec {
            cwasm,
            call: JobCall::Describe,
            memory_limit: Bytes::mib(64),
            inputs: Vec::new(),
            folder: None,
            output_dir,
            output_bytes_limit: Bytes::mib(4),
            result_bytes_limit: Bytes(64 << 10),
            log_bytes_limit: Bytes(64 << 10),
        };
        Self { spec, folder }
    }

    pub(crate) fn with_input(mut self, name: &str, path: &Path) -> Self {
        self.spec.inputs.push((name.to_owned(), path.to_owned()));
        self
    }

    pub(crate) fn add_input(&mut self, name: &str, bytes: &[u8]) {
        let path = self.folder.path().join(format!("input-{}", self.spec.inputs.len()));
        fs::write(&path, bytes).unwrap();
        self.spec.inputs.push((name.to_owned(), path));
    }

    pub(crate) fn output_dir(&self) -> PathBuf {
        self.spec.output_dir.clone()
    }

    pub(crate) fn call(&self, call: JobCall) -> (JobOutcome, Seen) {
        let mut seen = Seen::default();
        let outcome = run(&JobSpec { call, ..self.spec.clone() }, &mut seen);
        (outcome, seen)
    }

    pub(crate) fn run(&self, operation: &str, parameters: Value) -> (JobOutcome, Seen) {
        self.call(JobCall::Run { operation: operation.to_owned(), parameters: parameters.to_string() })
    }

    /// Runs an operation that must give a result.
    pub(crate) fn complete(&self, operation: &str, parameters: Value) -> (Value, Seen) {
        let (outcome, seen) = self.run(operation, parameters);
        let JobOutcome::Completed { result, .. } = outcome else { panic!("{operation}: {outcome:?}") };
        (serde_json::from_str(&result).unwrap(), seen)
    }
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
