//! The baseline of plain reads: the same JSON, served by FastAPI on uvicorn.
//!
//! FastAPI is what such services are mostly written in. It gets what it is usually given: one worker process a core, an
//! `async` handler, no access log, and `uvloop` and `httptools` where they are installed (uvicorn's own default).

use crate::error::BenchError;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The service: the list is in memory, as it is in a node, and is turned into JSON for each request.
const SERVICE: &str = "\
import json
from fastapi import FastAPI

app = FastAPI()
with open('assets.json') as file:
    ASSETS = json.load(file)


@app.get('/api/v1/assets')
async def assets(type: str | None = None, status: str | None = None):
    found = ASSETS
    if type is not None:
        found = [asset for asset in found if asset['type'] == type]
    if status is not None:
        found = [asset for asset in found if asset['status'] == status]
    return found
";

/// Longest time for one answer while it starts.
const ANSWER: Duration = Duration::from_secs(2);

/// A service that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct FastApi {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl FastApi {
    /// Starts it with this JSON. `Err` in the result says why it can't be a baseline on this machine.
    ///
    /// # Errors
    /// [`BenchError::Io`] when its files can't be written.
    ///
    /// # Panics
    /// When it is installed and doesn't come up.
    pub(crate) fn start(json: &[u8]) -> Result<Result<Self, String>, BenchError> {
        if !is_installed() {
            return Ok(Err("fastapi not installed".into()));
        }
        let folder = tempfile::tempdir().map_err(BenchError::io("making a folder for FastAPI"))?;
        let write = |name: &str, content: &[u8]| {
            fs::write(folder.path().join(name), content).map_err(BenchError::io(format!("writing {name}")))
        };
        write("service.py", SERVICE.as_bytes())?;
        write("assets.json", json)?;
        let address = free_address()?;
        let mut service = Self { child: spawn(folder.path(), address)?, address, _folder: folder };
        hypermesh_harness::until("FastAPI", || {
            let ended = service.child.try_wait().ok().flatten();
            assert!(ended.is_none(), "uvicorn ended at once: {ended:?}");
            answers(address).then_some(())
        });
        Ok(Ok(service))
    }

    /// Where its list of assets is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/api/v1/assets", self.address)
    }
}

impl Drop for FastApi {
    fn drop(&mut self) {
        // uvicorn ends its workers when it is told to stop, and leaves them behind when it is killed.
        let told = Command::new("kill").arg(self.child.id().to_string()).status();
        if !told.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        // It has ended either way.
        let _ = self.child.wait();
    }
}

fn is_installed() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import fastapi, uvicorn"]).stdout(Stdio::null()).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

/// An address that nobody listens on. Somebody could take it before the service does, which then ends at once.
pub(crate) fn free_address() -> Result<SocketAddr, BenchError> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map_err(BenchError::io("finding a free port"))
}

fn spawn(folder: &Path, address: SocketAddr) -> Result<Child, BenchError> {
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut python = Command::new("python3");
    python.current_dir(folder).args([
        "-m",
        "uvicorn",
        "service:app",
        "--no-access-log",
        "--log-level",
        "error",
    ]);
    python.args([
        "--host",
        "127.0.0.1",
        "--port",
        &address.port().to_string(),
        "--workers",
        &workers.to_string(),
    ]);
    python.stdin(Stdio::null()).stdout(Stdio::null());
    python.spawn().map_err(BenchError::io("starting uvicorn"))
}

fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(b"GET /api/v1/assets HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}
