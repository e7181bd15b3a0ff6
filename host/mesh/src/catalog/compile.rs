//! Compiling: a component is vetted and becomes machine code in a process of its own, with limits on memory and time.
//!
//! The child writes code and report into a scratch folder; only the node moves the code to its place, so that a name
//! below `compiled/` always has code of our own compiler. A component's fault is a report, one of ours an error.

use crate::Mesh;
use crate::blobs::Receiving;
use crate::error::MeshError;
use crate::internal::{Child, ChildEnd};
use hypermesh_engine::{EngineError, Profile, Vetted};
use hypermesh_model::{BlobDigest, Bytes, CpuMode, MilliCpu, error_chain};
use hypermesh_sandbox::{Entry, Limits};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

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

/// Threads of the compiler.
const CHILD_PIDS: u32 = 64;
/// What a compile weighs against leases. Where nobody wants the CPU it may have all of it; no lease waits for a stranger's
/// upload, of which nobody knows yet how long it takes.
const CHILD_WEIGHT: MilliCpu = MilliCpu(250);

/// How the compile process is told whether fuel is to be counted.
const METERED: &str = "metered";
const PLAIN: &str = "plain";

/// EX_SOFTWARE of sysexits(3): the compile process failed, and not because of the component.
const CANNOT_COMPILE: u8 = 70;

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
    let [profile, component, compiled, report] = match <[OsString; 4]>::try_from(args) {
        Ok(arguments) => arguments,
        Err(_) => return 64,
    };
    let profile = if profile == METERED { Profile::Metered } else { Profile::Plain };
    match compile_to(profile, component.as_ref(), compiled.as_ref(), report.as_ref()) {
        Ok(()) => 0,
        Err(message) => {
            // The node reads it and logs it.
            let _ = writeln!(io::stderr(), "{message}");
            CANNOT_COMPILE
        }
    }
}

/// Compiles in this process, once it is in its cgroup. A component's fault is a report; an error is ours.
fn compile_to(profile: Profile, component: &Path, compiled: &Path, report: &Path) -> Result<(), String> {
    Entry::from_environment()
        .and_then(|entry| hypermesh_sandbox::enter(&entry))
        .map_err(|e| error_chain(&e))?;
    // What it reads is a stranger's: from here on it can only write its two files.
    let folder = compiled.parent().unwrap_or(compiled);
    hypermesh_sandbox::confine(&[component], &[folder]).map_err(|e| error_chain(&e))?;
    let bytes = fs::read(component).map_err(|e| format!("reading the component: {e}"))?;
    let found = match hypermesh_engine::vet_and_compile(&bytes, profile) {
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
    /// Where the machine code of a component is; compiled now if this version of the engine has not yet.
    ///
    /// # Errors
    /// As for the compile.
    pub(crate) async fn compiled(&self, digest: &BlobDigest, profile: Profile) -> Result<PathBuf, MeshError> {
        let path = self.compiled_path(digest, profile);
        if !path.exists() {
            self.compile(digest, profile).await?;
        }
        Ok(path)
    }

    pub(super) fn compiled_path(&self, digest: &BlobDigest, profile: Profile) -> PathBuf {
        let [plain, metered] = &self.engine_hashes;
        let hash = match profile {
            Profile::Plain => plain,
            Profile::Metered => metered,
        };
        self.settings.data_dir.join("compiled").join(hash).join(format!("{digest}.cwasm"))
    }

    pub(super) async fn compile(&self, digest: &BlobDigest, profile: Profile) -> Result<Vetted, MeshError> {
        let work = self.scratch()?;
        let result = self.compile_in(digest, profile, work.path()).await;
        work.remove()?;
        result
    }

    async fn compile_in(
        &self,
        digest: &BlobDigest,
        profile: Profile,
        work: &Path,
    ) -> Result<Vetted, MeshError> {
        let fault = |e: io::Error| MeshError::internal("compiling a component")(Box::new(e));
        fs::create_dir_all(work).map_err(fault)?;
        let (code, report) = (work.join("code"), work.join("report.json"));
        let component = self.blobs.path(Receiving::Component, digest);
        let deadline = compile_deadline(self.blobs.get(Receiving::Component, digest)?.size);
        let child = Child {
            args: vec![
                "__compile".into(),
                if profile == Profile::Metered { METERED } else { PLAIN }.into(),
                component.into(),
                code.clone().into(),
                report.clone().into(),
            ],
            cwd: work.to_owned(),
            stderr: fs::File::create(work.join("stderr.txt")).map_err(fault)?,
            limits: Limits {
                cpu: Some(CHILD_WEIGHT),
                cpu_mode: CpuMode::Shared,
                memory: Some(COMPILE_MEMORY),
                pids: Some(CHILD_PIDS),
                ..Limits::default()
            },
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
                let target = self.compiled_path(digest, profile);
                fs::create_dir_all(target.parent().unwrap_or(work)).map_err(fault)?;
                fs::File::open(&code).and_then(|f| f.sync_data()).map_err(fault)?;
                fs::rename(code, target).map_err(fault)?;
                Ok(vetted)
            }
        }
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
        ChildEnd::Exited { code: Some(0) } => Ok(()),
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
