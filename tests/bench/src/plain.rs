//! The baseline of guests: the same component under plain wasmtime, in this process and on this thread.
//!
//! As `wasmtime run` of a file that `wasmtime compile` made: the engine and the linker are made anew for each run, the
//! artefact is mapped, instantiated and called. No process, no group, no jail, no limits but those of the engine, and
//! nobody is told. It is our own engine crate, so that both sides run the same machine code with the same imports.

use crate::error::BenchError;
use hypermesh_engine::{Call, Handles, JobObserver, JobOutcome, JobSpec, Profile, Runtime, vet_and_compile};
use hypermesh_model::{Bytes, LogLine};
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Of the guest; more than any of ours needs.
const MEMORY: Bytes = Bytes::mib(512);
/// What it may say.
const TEXT: Bytes = Bytes::mib(1);

/// A compiled component, and what it is granted.
#[derive(Debug)]
pub(crate) struct Plain {
    folder: TempDir,
    owner: u32,
    inputs: Vec<String>,
}

impl Plain {
    /// Compiles a component.
    ///
    /// # Errors
    /// When it is none, or the artefact can't be written.
    pub(crate) fn compile(component: &[u8]) -> Result<Self, BenchError> {
        let (_, artefact) = vet_and_compile(component, Profile::Plain)
            .map_err(|error| BenchError::Unexpected(hypermesh_model::error_chain(&error)))?;
        let folder = tempfile::tempdir().map_err(BenchError::io("making a folder for an artefact"))?;
        let plain = Self { folder, owner: 0, inputs: Vec::new() };
        let path = plain.artefact();
        let owner = fs::write(&path, artefact)
            .and_then(|()| fs::set_permissions(&path, PermissionsExt::from_mode(0o600)))
            .and_then(|()| fs::metadata(&path))
            .map_err(BenchError::io("writing an artefact"))?
            .uid();
        fs::create_dir(plain.granted()).map_err(BenchError::io("making a folder for inputs"))?;
        Ok(Self { owner, ..plain })
    }

    /// Grants an input.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn grant(&mut self, name: &str, bytes: &[u8]) -> Result<(), BenchError> {
        // An input is the file of its number.
        let path = self.granted().join(self.inputs.len().to_string());
        fs::write(path, bytes).map_err(BenchError::io("writing an input"))?;
        self.inputs.push(name.to_owned());
        Ok(())
    }

    fn artefact(&self) -> PathBuf {
        self.folder.path().join("artefact")
    }

    fn granted(&self) -> PathBuf {
        self.folder.path().join("in")
    }

    /// Runs an operation; from nothing to its result.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn run(&self, operation: &str, parameters: &Value) -> Result<Duration, BenchError> {
        let begun = Instant::now();
        let failed = |what: String| BenchError::Unexpected(format!("plain wasmtime: {what}"));
        let runtime = Runtime::new().map_err(|error| failed(hypermesh_model::error_chain(&error)))?;
        let spec = JobSpec {
            call: Call::Run { operation: operation.to_owned(), parameters: parameters.to_string() },
            artefact_owner: self.owner,
            memory_limit: MEMORY,
            fuel: None,
            output_bytes_limit: TEXT,
            result_bytes_limit: TEXT,
            log_bytes_limit: TEXT,
            inputs: self.inputs.clone(),
            folders: Vec::new(),
            hosts: Vec::new(),
        };
        let open = |path: &Path| File::open(path).map_err(BenchError::io("opening what a guest is granted"));
        let mut handles = Handles::new(open(&self.artefact())?.into());
        if !self.inputs.is_empty() {
            handles.inputs = Some(open(&self.granted())?.into());
        }
        let mut loaded = runtime.load(&spec, handles).map_err(|cause| failed(format!("{cause:?}")))?;
        let outcome = loaded.run(&mut Deaf);
        let took = begun.elapsed();
        match outcome {
            JobOutcome::Completed { .. } => Ok(took),
            JobOutcome::Described(_) | JobOutcome::Failed { .. } => Err(failed(format!("{outcome:?}"))),
        }
    }
}

/// Hears nothing.
struct Deaf;

impl JobObserver for Deaf {
    fn running(&mut self) {}
    fn log(&mut self, _: LogLine) {}
    fn progress(&mut self, _: u64, _: Option<u64>, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_artifacts::HASH_FILES;
    use serde_json::json;

    #[test]
    fn a_guest_runs_here_with_its_input_and_a_failure_is_no_number() {
        let mut plain = Plain::compile(HASH_FILES.component).unwrap();
        assert!(plain.run("hash", &json!({})).is_err(), "nothing is granted");
        plain.grant("a", b"abc").unwrap();
        assert!(plain.run("hash", &json!({})).is_ok());
    }
}
