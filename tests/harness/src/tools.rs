//! Programs and processes that a test needs beside the node. What a machine has is a fact about it, not a failure.

use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Whether a program of this name can be started.
pub fn has_tool(name: &str) -> bool {
    let mut probe = Command::new(name);
    probe.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok()
}

/// Runs `curl -sS` with these arguments; `None` where it isn't installed.
///
/// # Panics
/// When it is installed and can't be started.
pub fn curl(arguments: &[&str]) -> Option<Output> {
    has_tool("curl").then(|| Command::new("curl").arg("-sS").args(arguments).output().expect("curl starts"))
}

/// Why no file system can be mounted from a file here; `None` where one can.
pub fn no_loop_mounts() -> Option<String> {
    if !crate::is_root() {
        return Some("it takes root".to_owned());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("there is no /dev/loop-control".to_owned());
    }
    let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    let has_mkfs = folders.iter().any(|dir| Path::new(dir).join("mkfs.ext4").exists());
    (!has_mkfs).then(|| "mkfs.ext4 is not installed".to_owned())
}

/// Sends a signal to a process of this test; one that has ended already is no failure.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}
