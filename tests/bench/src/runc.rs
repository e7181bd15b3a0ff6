//! The baseline of an execution: `runc run` of busybox's `true`, with limits of CPU, memory and processes.
//!
//! What both do is the same in kind: a new process, in a cgroup of its own with limits, that does next to nothing and is
//! waited for. runc is the container runtime under Docker and Kubernetes. `true` is static, so that nothing is loaded.

use crate::error::BenchError;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Where Debian's `busybox-static` puts it.
const BUSYBOX: &str = "/bin/busybox";
/// The period of the CPU limit, in microseconds: the kernel's default, and ours.
const PERIOD_US: u64 = 100_000;

/// The limits of each side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// CPU time per period, in thousandths of one CPU.
    pub(crate) cpu_millis: u64,
    /// Bytes.
    pub(crate) memory: u64,
    /// Processes and threads.
    pub(crate) pids: u32,
}

/// A bundle that can be run again and again.
#[derive(Debug)]
pub(crate) struct Runc {
    folder: TempDir,
    runs: u32,
}

impl Runc {
    /// Makes the bundle and runs it once. `Err` in the result says why it can't be a baseline on this machine.
    ///
    /// # Errors
    /// [`BenchError::Io`] when the bundle can't be written.
    pub(crate) fn prepare(limits: Limits) -> Result<Result<Self, String>, BenchError> {
        for (name, found) in [("runc", hypermesh_harness::has_tool("runc")), ("busybox-static", is_busybox())]
        {
            if !found {
                return Ok(Err(format!("{name} is not installed")));
            }
        }
        let folder = tempfile::tempdir().map_err(BenchError::io("making a folder for the bundle"))?;
        write_bundle(folder.path(), limits)?;
        let mut runc = Self { folder, runs: 0 };
        Ok(match runc.run() {
            Ok(_) => Ok(runc),
            Err(error) => Err(hypermesh_model::error_chain(&error)),
        })
    }

    /// Runs it once, and gives how long that took from start to end.
    ///
    /// # Errors
    /// [`BenchError::Unexpected`] with runc's words when it fails.
    pub(crate) fn run(&mut self) -> Result<Duration, BenchError> {
        self.runs += 1;
        let folder = self.folder.path();
        let mut command = Command::new("runc");
        command.arg("--root").arg(folder.join("state")).args(["run", "--bundle"]).arg(folder);
        command.arg(format!("hypermesh-bench-{}-{}", std::process::id(), self.runs));
        command.stdin(Stdio::null());
        let begun = Instant::now();
        let output = command.output().map_err(BenchError::io("starting runc"))?;
        let took = begun.elapsed();
        succeeded("runc run", &output).map(|()| took)
    }
}

/// A dynamic one would lack its libraries in the bundle; the first run finds that out.
fn is_busybox() -> bool {
    let listed = Command::new(BUSYBOX).arg("--list").output();
    listed.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).lines().any(|line| line == "true"))
}

fn write_bundle(folder: &Path, limits: Limits) -> Result<(), BenchError> {
    let bin = folder.join("rootfs/bin");
    fs::create_dir_all(&bin).map_err(BenchError::io("making the bundle"))?;
    fs::copy(BUSYBOX, bin.join("true")).map_err(BenchError::io("copying busybox"))?;
    let output = Command::new("runc").args(["spec", "--bundle"]).arg(folder).output();
    succeeded("runc spec", &output.map_err(BenchError::io("starting runc"))?)?;
    let path = folder.join("config.json");
    let text = fs::read_to_string(&path).map_err(BenchError::io("reading the bundle's configuration"))?;
    let configuration = configured(&text, limits)?;
    fs::write(&path, configuration.to_string()).map_err(BenchError::io("writing the bundle's configuration"))
}

/// runc's default configuration, with our command and limits (OCI runtime specification 1.0, `config-linux.md`).
fn configured(text: &str, limits: Limits) -> Result<Value, BenchError> {
    let mut configuration: Value = serde_json::from_str(text)
        .map_err(|error| BenchError::Unexpected(format!("runc spec wrote no JSON: {error}")))?;
    configuration["process"]["args"] = json!(["/bin/true"]);
    configuration["process"]["terminal"] = json!(false);
    let resources = &mut configuration["linux"]["resources"];
    resources["cpu"] = json!({ "quota": limits.cpu_millis * PERIOD_US / 1000, "period": PERIOD_US });
    resources["memory"] = json!({ "limit": limits.memory });
    resources["pids"] = json!({ "limit": limits.pids });
    Ok(configuration)
}

fn succeeded(what: &str, output: &Output) -> Result<(), BenchError> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(BenchError::Unexpected(format!("{what} failed ({}): {}", output.status, said.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_has_command_and_limits_and_keeps_the_rest() {
        let text = r#"{ "process": { "terminal": true, "cwd": "/" }, "linux": { "resources": { "devices": [1] } } }"#;
        let limits = Limits { cpu_millis: 500, memory: 1 << 20, pids: 8 };
        let configuration = configured(text, limits).unwrap();
        let expected = json!({
            "process": { "terminal": false, "cwd": "/", "args": ["/bin/true"] },
            "linux": { "resources": {
                "devices": [1], "cpu": { "quota": 50_000, "period": 100_000 },
                "memory": { "limit": 1_048_576 }, "pids": { "limit": 8 }
            } }
        });
        assert_eq!(configuration, expected);
        assert!(configured("not JSON", limits).is_err());
    }
}
