//! Programs that a test needs beside the node. Which of them a machine has is a fact about it, not a failure.

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
