//! The baseline of issuing: `cfssl serve`, which signs what it is sent with a key in memory and keeps nothing.

use crate::error::BenchError;
use crate::post::Connection;
use crate::python::free_address;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Where it signs.
pub(crate) const PATH: &str = "/api/v1/cfssl/sign";

/// A service that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Cfssl {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Cfssl {
    /// Starts it with a P-256 authority. `Err` in the result says why it can't be a baseline on this machine.
    ///
    /// # Errors
    /// [`BenchError::Io`] when its files can't be written.
    ///
    /// # Panics
    /// When it is installed and doesn't come up.
    pub(crate) fn start() -> Result<Result<Self, String>, BenchError> {
        let folder = tempfile::tempdir().map_err(BenchError::io("making a folder for cfssl"))?;
        let wanted = json!({ "CN": "baseline", "key": { "algo": "ecdsa", "size": 256 } }).to_string();
        let write = |name: &str, content: &str| {
            fs::write(folder.path().join(name), content).map_err(BenchError::io(format!("writing {name}")))
        };
        write("request.json", &wanted)?;
        let mut init = Command::new("cfssl");
        init.current_dir(folder.path()).args(["gencert", "-initca", "request.json"]);
        let made = match init.stderr(Stdio::null()).output() {
            Ok(made) if made.status.success() => made.stdout,
            Ok(made) => return Ok(Err(format!("cfssl could not make an authority: {}", made.status))),
            Err(error) => return Ok(Err(format!("cfssl can't be run: {error}"))),
        };
        let made: Value = serde_json::from_slice(&made)
            .map_err(|error| BenchError::Unexpected(format!("cfssl wrote no JSON: {error}")))?;
        for (member, file) in [("cert", "ca.pem"), ("key", "ca-key.pem")] {
            write(file, made[member].as_str().unwrap_or_default())?;
        }
        let address = free_address()?;
        let mut service = Self { child: spawn(folder.path(), address)?, address, _folder: folder };
        hypermesh_harness::until("cfssl", || {
            let ended = service.child.try_wait().ok().flatten();
            assert!(ended.is_none(), "cfssl ended at once: {ended:?}");
            Connection::open(address).ok().map(drop)
        });
        Ok(Ok(service))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Cfssl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, address: SocketAddr) -> Result<Child, BenchError> {
    let log = File::create(folder.join("log")).map_err(BenchError::io("writing cfssl's log"))?;
    let mut serve = Command::new("cfssl");
    serve
        .current_dir(folder)
        .args(["serve", "-address", "127.0.0.1", "-port"])
        .arg(address.port().to_string());
    serve.args(["-ca", "ca.pem", "-ca-key", "ca-key.pem", "-loglevel", "3"]);
    serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    serve.spawn().map_err(BenchError::io("starting cfssl"))
}
