//! One node: a process of the real binary on a data folder of its own, with any free ports.

use crate::{Options, binary, cgroups, mounts, until};
use hypermesh_client::{Client, Trust};
use hypermesh_wire::allocations::Enforcement;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use tempfile::TempDir;

/// Variables of this name would make the program behave differently from what a test says.
const NOT_FOR_US: &str = "HYPERMESH_";

/// A node that runs, or ran and can run again. Dropping it ends it and everything in its leases.
#[derive(Debug)]
pub struct Node {
    folder: TempDir,
    options: Options,
    id: String,
    token: String,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    bound: Value,
    client: Client,
    /// Held open, so that the node never writes into a closed pipe.
    _stdout: ChildStdout,
}

impl Node {
    /// Starts a node with a new data folder.
    ///
    /// # Panics
    /// When it doesn't come up; its log is in the message.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a node with further flags of `serve`.
    ///
    /// # Panics
    /// When it doesn't come up; its log is in the message.
    #[track_caller]
    pub fn start_with(flags: &[&str]) -> Self {
        Self::configured(Options::default().flags(flags))
    }

    /// Starts a node with a new data folder, as the options say.
    ///
    /// # Panics
    /// When it doesn't come up; its log is in the message.
    #[track_caller]
    pub fn configured(options: Options) -> Self {
        let folder =
            tempfile::Builder::new().prefix("hypermesh-test-").tempdir().expect("a temporary folder");
        options.give(folder.path());
        Self::in_folder(folder, options)
    }

    /// Starts a node on the data folder `data` inside `folder`, which somebody may have used before.
    ///
    /// # Panics
    /// When it doesn't come up; its log is in the message.
    #[track_caller]
    pub fn start_in(folder: TempDir, flags: &[&str]) -> Self {
        Self::in_folder(folder, Options::default().flags(flags))
    }

    #[track_caller]
    fn in_folder(folder: TempDir, options: Options) -> Self {
        let mut node = Self { folder, options, id: String::new(), token: String::new(), running: None };
        node.restart();
        let token = fs::read_to_string(node.data_dir().join("token")).expect("the node made a token");
        token.trim().clone_into(&mut node.token);
        // Made again, now with the token.
        let data_dir = node.data_dir();
        if let Some(running) = &mut node.running {
            running.client = client(&running.bound, &node.token, &data_dir);
        }
        node.id = node.client().health().expect("the node answers").server_id;
        node
    }

    /// Starts it again on the same data folder, after [`Node::kill9`] or [`Node::stop`].
    ///
    /// # Panics
    /// When it runs already or doesn't come up.
    #[track_caller]
    pub fn restart(&mut self) {
        assert!(self.running.is_none(), "the node runs already");
        let log = OpenOptions::new().create(true).append(true).open(self.log_file()).expect("a log file");
        let mut child = serve(&self.data_dir(), &self.options, log).spawn().expect("the node starts");
        let stdout = child.stdout.take().expect("its stdout is a pipe");
        match first_line(stdout).and_then(|(line, stdout)| Some((serde_json::from_str(&line).ok()?, stdout)))
        {
            Some((bound, stdout)) => {
                let client = client(&bound, &self.token, &self.data_dir());
                self.running = Some(Running { child, bound, client, _stdout: stdout });
            }
            None => {
                // Its log says why; the process must not stay.
                let _ = child.kill();
                let _ = child.wait();
                panic!("the node did not say where it listens; its log:\n{}", self.log());
            }
        }
    }

    #[track_caller]
    fn running(&self) -> &Running {
        self.running.as_ref().expect("the node runs")
    }

    /// A client with its token.
    ///
    /// # Panics
    /// When the node is down; so do the other functions that need it up.
    #[track_caller]
    pub fn client(&self) -> &Client {
        &self.running().client
    }

    /// The URL of its API.
    #[track_caller]
    pub fn url(&self) -> &str {
        self.client().base_url()
    }

    /// The address of a service: `trustchain`, `stoq` or `hypermesh`.
    #[track_caller]
    pub fn address(&self, service: &str) -> SocketAddr {
        let url = self.service_url(service);
        let address = url.trim_start_matches("http://").trim_start_matches("https://");
        address.parse().expect("the node said an address")
    }

    /// The URL of a service: `trustchain`, `stoq` or `hypermesh`.
    #[track_caller]
    pub fn service_url(&self, service: &str) -> &str {
        self.running().bound[service].as_str().expect("the node named the service")
    }

    /// The address of its DNS server.
    #[track_caller]
    pub fn dns(&self) -> SocketAddr {
        let address = self.running().bound["dns"][0].as_str().expect("the node named its DNS server");
        address.parse().expect("the node said an address")
    }

    /// The file with the certificate of its root, PEM.
    pub fn root_file(&self) -> PathBuf {
        self.data_dir().join("root.pem")
    }

    /// A client of its TrustChain service, with its token.
    #[track_caller]
    pub fn trustchain(&self) -> Client {
        client_at(self.service_url("trustchain"), &self.token, &self.data_dir())
    }

    /// Its token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Its id, the same after a restart.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its process.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.running().child.id()
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("node.log")
    }

    /// What it has written to stderr, over all its runs.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// SIGKILL, as a crash: nothing is tidied up.
    #[track_caller]
    pub fn kill9(&mut self) {
        let mut running = self.running.take().expect("the node runs");
        running.child.kill().expect("it can be killed");
        running.child.wait().expect("it ends");
    }

    /// Waits until it dies by itself, and how.
    ///
    /// # Panics
    /// When it goes on.
    #[track_caller]
    pub fn died(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("the node runs");
        until("the node dies", || running.child.try_wait().expect("it can be waited for"))
    }

    /// Sets a variable of its environment from the next start on, or takes it away.
    pub fn set_environment(&mut self, name: &str, value: Option<&str>) {
        self.options.set(name, value);
    }

    /// SIGTERM, and how it ended.
    ///
    /// # Panics
    /// When it doesn't end.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("the node runs");
        let pid = i32::try_from(running.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::TERM).expect("it can be told to stop");
        until("the end of the node", || running.child.try_wait().expect("it can be waited for"))
    }

    /// Runs the binary as a user of this node would.
    ///
    /// # Panics
    /// When it can't be started.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("hypermesh starts")
    }

    /// The same, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(arguments).env("HYPERMESH_DATA_DIR", self.data_dir()).stdin(Stdio::null());
        command
    }

    /// What the kernel holds for a lease.
    ///
    /// # Panics
    /// When the node doesn't know the lease.
    #[track_caller]
    pub fn enforcement(&self, lease: &str) -> Enforcement {
        self.client().enforcement(lease).expect("the node knows the lease")
    }

    /// The groups that the kernel holds for this node now.
    pub fn groups(&self) -> std::collections::BTreeSet<String> {
        cgroups::leases_of(&self.id)
    }

    /// Why leases are not enforced on this machine; `None` where they are. Found out once a process, by trying.
    #[track_caller]
    pub fn unenforced(&self) -> Option<&'static str> {
        static REASON: OnceLock<Option<String>> = OnceLock::new();
        REASON.get_or_init(|| self.unenforced_now()).as_deref()
    }

    /// The same for this node alone, which may be allowed less than others; tried again each time.
    #[track_caller]
    pub fn unenforced_now(&self) -> Option<String> {
        let lease = match self.client().allocate(&crate::allocation("cpu", 1.0)) {
            Ok(lease) => lease,
            Err(error) if error.status() == Some(422) => return Some(error.to_string()),
            Err(error) => panic!("a first lease: {error}"),
        };
        self.client().release(&lease.id).expect("it is released");
        (!lease.enforced).then(|| "the node was told to lease without enforcement".to_owned())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the node's log:\n{}", self.log());
        }
        if let Some(mut running) = self.running.take() {
            // Either may fail only because it has ended already.
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
        if !self.id.is_empty() {
            cgroups::clean(&self.id);
        }
        // What is mounted below can't be removed with the folder.
        mounts::clean(self.folder.path());
    }
}

/// The binary, without what this process's environment would tell it.
///
/// # Panics
/// When it can't be built.
pub fn program() -> Command {
    let mut command = Command::new(binary());
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name.to_string_lossy().starts_with(NOT_FOR_US)) {
        command.env_remove(name);
    }
    command
}

fn serve(data_dir: &Path, options: &Options, log: File) -> Command {
    let mut command = program();
    command.args(["serve", "--output", "json", "--data-dir"]).arg(data_dir);
    for service in ["trustchain", "stoq", "hypermesh", "dns"] {
        let flag = format!("--listen-{service}");
        if !options.has(&flag) {
            command.arg(flag).arg("127.0.0.1:0");
        }
    }
    options.apply(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    command
}

fn client(bound: &Value, token: &str, data_dir: &Path) -> Client {
    client_at(bound["hypermesh"].as_str().expect("the node named its API"), token, data_dir)
}

fn client_at(url: &str, token: &str, data_dir: &Path) -> Client {
    let token = (!token.is_empty()).then(|| token.to_owned());
    let trust = fs::read_to_string(data_dir.join("root.pem")).ok();
    let trust = trust.map(|roots| Trust { roots, identity: None });
    Client::trusting(url, token, trust.as_ref()).expect("the node said a URL")
}

/// The first line, if it comes in time; `None` when the process ended or hangs.
fn first_line(stdout: ChildStdout) -> Option<(String, ChildStdout)> {
    let (line, read) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut text = String::new();
        let count = reader.read_line(&mut text).unwrap_or(0);
        // Nobody waits for it any more when it comes too late.
        let _ = line.send((count > 0).then_some((text, reader.into_inner())));
    });
    read.recv_timeout(crate::PATIENCE).ok().flatten()
}
