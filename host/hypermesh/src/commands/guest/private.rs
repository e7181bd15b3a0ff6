//! A node of this same binary that lives as long as a command needs it: a data folder in the temporary folder, loopback, any
//! free ports.
//!
//! It is a process of its own, as every node is, so what runs on it runs in the real jail. When it is dropped it is told to
//! end and drains; its leases, groups and folder go with it. If it doesn't come up, the last lines of its log say why.

use crate::context::{Context, recorded_token};
use anyhow::{Context as _, bail};
use hypermesh_client::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);
/// Lines of its log that are shown when it fails.
const LAST_LINES: usize = 10;

/// A running node.
#[derive(Debug)]
pub(super) struct Private {
    child: Child,
    folder: TempDir,
    client: Client,
}

#[derive(Deserialize)]
struct Bound {
    hypermesh: String,
}

impl Private {
    /// Starts one, with `flags` of `serve`.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub(super) fn start(allow_unenforced: bool) -> anyhow::Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("hypermesh-guest-").tempdir().context("no temporary folder")?;
        let log = File::create(folder.path().join("node.log")).context("no file for the node's log")?;
        let mut serve = Command::new(std::env::current_exe().context("could not find this program")?);
        for (name, _) in std::env::vars_os() {
            // What this user's own node is told is not for this one.
            if name.to_string_lossy().starts_with("HYPERMESH_") {
                serve.env_remove(&name);
            }
        }
        serve
            .args(["serve", "--output", "json", "--log-filter", "warn", "--data-dir"])
            .arg(data_dir(&folder));
        for service in ["trustchain", "stoq", "hypermesh", "dns"] {
            serve.args([format!("--listen-{service}"), "127.0.0.1:0".to_owned()]);
        }
        if allow_unenforced {
            serve.arg("--allow-unenforced");
        }
        let mut child = serve
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("could not start a node")?;
        match bound(&mut child) {
            Some(bound) => {
                let client = Client::new(&bound.hypermesh, recorded_token(&data_dir(&folder))?)?;
                Ok(Self { child, folder, client })
            }
            None => {
                // Its log says why; the process must not stay.
                let _ = child.kill();
                let _ = child.wait();
                bail!("a node for this command did not start:\n{}", last_lines(&folder))
            }
        }
    }

    /// A client of it.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The same command's context, with this node as the one that is meant.
    pub(super) fn context(&self, outer: &Context) -> Context {
        outer.for_node(data_dir(&self.folder), self.client.base_url())
    }
}

fn data_dir(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}

/// Where it listens, as its first line says; `None` where it ended before.
fn bound(child: &mut Child) -> Option<Bound> {
    let mut line = String::new();
    // The pipe is closed with this reader: a node writes one line and no more.
    BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

fn last_lines(folder: &TempDir) -> String {
    let log = fs::read_to_string(folder.path().join("node.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

impl Drop for Private {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }
}
