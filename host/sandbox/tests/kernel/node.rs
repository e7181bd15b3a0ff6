//! A node of a test's own, whose groups go away with it, and processes inside its leases.

use hypermesh_model::{Bytes, LeaseId, MilliCpu, NodeId};
use hypermesh_sandbox::{CgroupBackend, CgroupSettings, CgroupVersion, Limits, open};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// In the environment where the CPU is emulated, 10 to 30 times slower (`tests/vm/init` sets it).
pub(crate) const EMULATED: &str = "HYPERMESH_TEST_EMULATED";
/// The leaf in which a test's processes run.
pub(crate) const LEAF: &str = "exec-1";
/// Tests that keep CPUs busy, or judge who gets them, run one after the other.
static CPUS: Mutex<()> = Mutex::new(());

pub(crate) fn is_emulated() -> bool {
    std::env::var_os(EMULATED).is_some()
}

/// Says what a test could not show; past the harness, which keeps what passing tests print.
pub(crate) fn skip(test: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
}

/// Waits for its turn on the CPUs.
pub(crate) fn busy() -> MutexGuard<'static, ()> {
    CPUS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A node, and the machine's root as it sees it.
pub(crate) struct Node(
    pub(crate) Arc<dyn CgroupBackend>,
    #[expect(dead_code, reason = "kept as long as the node")] Option<tempfile::TempDir>,
);

impl Node {
    /// `None`, visibly, where this machine enforces nothing.
    pub(crate) fn start(test: &str, gpu_minors: Vec<u32>) -> Option<Self> {
        Self::start_as(test, NodeId::generate(), PathBuf::from("/"), gpu_minors).map(|b| Self(b, None))
    }

    /// One start of a node that may be started again.
    pub(crate) fn start_again(test: &str, node: &NodeId) -> Option<Self> {
        Self::start_as(test, node.clone(), PathBuf::from("/"), vec![]).map(|b| Self(b, None))
    }

    /// The real v1 hierarchies with the cgroup2 mount kept out of sight; `None`, visibly, where there are none.
    pub(crate) fn start_on_v1(test: &str) -> Option<Self> {
        let root = tempfile::tempdir().unwrap();
        let procfs = root.path().join("proc/self");
        std::fs::create_dir_all(&procfs).unwrap();
        std::os::unix::fs::symlink("/sys", root.path().join("sys")).unwrap();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let v1: String =
            mounts.lines().filter(|l| !l.contains("cgroup2")).map(|l| format!("{l}\n")).collect();
        std::fs::write(procfs.join("mountinfo"), v1).unwrap();
        std::fs::copy("/proc/self/cgroup", procfs.join("cgroup")).unwrap();
        let backend = Self::start_as(test, NodeId::generate(), root.path().to_owned(), vec![])?;
        Some(Self(backend, Some(root)))
    }

    /// As the machine is, and on a hybrid one once more without cgroup2.
    pub(crate) fn start_on_each(test: &str) -> Vec<Self> {
        let real = Self::start(test, vec![]);
        let is_hybrid = real.as_ref().is_some_and(|node| node.0.version() == CgroupVersion::Hybrid);
        let on_v1 = if is_hybrid { Self::start_on_v1(test) } else { None };
        real.into_iter().chain(on_v1).collect()
    }

    fn start_as(
        test: &str,
        node: NodeId,
        system_root: PathBuf,
        gpu_minors: Vec<u32>,
    ) -> Option<Arc<dyn CgroupBackend>> {
        let backend = open(CgroupSettings { system_root, parent: None, node, gpu_minors });
        if let Some(reason) = backend.unavailable_reason() {
            skip(test, &reason);
            return None;
        }
        Some(backend)
    }

    /// Ends like a node that crashes: nothing is removed.
    pub(crate) fn crash(self) {
        std::mem::forget(self);
    }

    /// A lease with one leaf.
    pub(crate) fn lease(&self, limits: &Limits) -> LeaseId {
        let lease = LeaseId::generate();
        self.0.create(&lease, limits, "").unwrap();
        self.0.create_leaf(&lease, LEAF, None).unwrap();
        lease
    }

    /// A shell that joins the leaf by itself and then becomes `script`.
    pub(crate) fn shell(&self, lease: &LeaseId, script: &str) -> Child {
        self.shell_in(lease, LEAF, script)
    }

    pub(crate) fn shell_in(&self, lease: &LeaseId, leaf: &str, script: &str) -> Child {
        let joins = self.0.join_files(lease, leaf);
        let join: String = joins.iter().map(|f| format!("echo 0 > '{}' || exit 99\n", f.display())).collect();
        shell(&format!("{join}{script}"))
    }

    /// A process that takes all the CPU that it can get, after it has begun to.
    pub(crate) fn spinner(&self, lease: &LeaseId) -> Child {
        let spinner = self.shell(lease, "while :; do :; done");
        let before = self.cpu_time(lease);
        until("spinning", || self.cpu_time(lease) > before + 20_000_000);
        spinner
    }

    /// CPU time of a lease in nanoseconds.
    pub(crate) fn cpu_time(&self, lease: &LeaseId) -> u64 {
        self.0.usage(lease, None).unwrap().cpu_time_ns.unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for found in self.0.leases().unwrap() {
            let lease = LeaseId::parse(found.id).unwrap();
            self.0.kill(&lease, None).unwrap();
            self.0.remove(&lease).unwrap();
        }
        self.0.close();
    }
}

/// `sh -c`, silent.
pub(crate) fn shell(script: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null()).stderr(Stdio::null());
    command.stdout(Stdio::null()).spawn().unwrap()
}

pub(crate) fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !reached() {
        assert!(Instant::now() < deadline, "{what} never happened");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn small() -> Limits {
    Limits { cpu: Some(MilliCpu(500)), memory: Some(Bytes::mib(64)), pids: Some(16), ..Limits::default() }
}

/// The value after `key:` in `/proc/<pid>/status`.
pub(crate) fn status(pid: u32, key: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap().trim().to_owned()
}

/// Ends a process of the test and reaps it.
pub(crate) fn end(mut child: Child) {
    let _ = child.kill();
    child.wait().unwrap();
}
