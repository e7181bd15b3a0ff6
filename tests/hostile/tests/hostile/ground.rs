//! A node with the hostile guest on it, shared by the tests that only run it, and what every test of this crate asks: does the
//! node answer, what was the cause, is anything left.

use hypermesh_artifacts::HOSTILE;
use hypermesh_client::Client;
use hypermesh_harness::{Node, job, problem, until, with_limits};
use hypermesh_wire::catalog::{Install, UploadQuery};
use hypermesh_wire::executions::{CauseView, ExecuteVm, ExecutionStatus, VmExecution};
use hypermesh_wire::problem::Problem;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// Memory of an execution of the hostile guest.
pub(crate) const MEMORY: u64 = 64 << 20;
/// Pause between two questions whether the node is well.
const PULSE: Duration = Duration::from_millis(20);

/// The node and its vm.
pub(crate) struct Ground {
    pub(crate) node: Node,
    pub(crate) hostile: String,
}

impl Ground {
    /// The one that others use now, or a new one.
    pub(crate) fn shared() -> Arc<Self> {
        static CURRENT: Mutex<Weak<Ground>> = Mutex::new(Weak::new());
        // A test that panicked while it made one left none behind.
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ground) = current.upgrade() {
            return ground;
        }
        let node = Node::start();
        // Where nothing is enforced nothing can run, and compiling would be for nothing.
        let usable = node.unenforced().is_none();
        let limits = Some(with_limits(40.0, "64MiB"));
        let hostile = if usable { node.install(&HOSTILE, limits) } else { String::new() };
        let ground = Arc::new(Self { node, hostile });
        *current = Arc::downgrade(&ground);
        ground
    }

    /// Runs an operation of the hostile guest to its end.
    #[track_caller]
    pub(crate) fn run(&self, operation: &str, parameters: Value) -> VmExecution {
        run(&self.node, &job(&self.hostile, operation, parameters))
    }

    /// Runs an operation that must give a result.
    #[track_caller]
    pub(crate) fn complete(&self, operation: &str, parameters: Value) -> (Value, VmExecution) {
        let execution = self.run(operation, parameters);
        (result(&execution), execution)
    }

    /// Runs an operation that must fail.
    #[track_caller]
    pub(crate) fn cause(&self, operation: &str, parameters: Value) -> CauseView {
        failed(&self.run(operation, parameters)).clone()
    }
}

/// Runs to the end, and looks whether that was all.
#[track_caller]
pub(crate) fn run(node: &Node, request: &ExecuteVm) -> VmExecution {
    let execution = node.run(request);
    nothing_is_left_of(node, &execution);
    execution
}

/// What an execution gave.
#[track_caller]
pub(crate) fn result(execution: &VmExecution) -> Value {
    assert_eq!(execution.status, ExecutionStatus::Completed, "{:?}", execution.cause);
    serde_json::from_str(execution.execution.output.as_ref().unwrap()).unwrap()
}

/// Why an execution failed.
#[track_caller]
pub(crate) fn failed(execution: &VmExecution) -> &CauseView {
    assert_eq!(execution.status, ExecutionStatus::Failed, "{execution:?}");
    assert!(execution.execution.output.is_none() && execution.execution.end_time.is_some());
    execution.cause.as_ref().unwrap()
}

/// Whether the guest's stack was what it hit: a cause of its own, with the size and a backtrace, or a trap of that name.
#[track_caller]
pub(crate) fn assert_stack(cause: &CauseView) {
    match cause.kind.as_str() {
        "stack" => assert!(cause.data["limit"].as_u64().is_some_and(|limit| limit > 0), "{cause:?}"),
        "trap" => assert!(cause.message.contains("call stack exhausted"), "{cause:?}"),
        other => panic!("{other}: {cause:?}"),
    }
    assert!(cause.data["backtrace"].as_array().is_some_and(|frames| !frames.is_empty()), "{cause:?}");
}

/// Whether a guest was denied memory, and the numbers fit each other. Gives the limit.
#[track_caller]
pub(crate) fn assert_guest_memory(cause: &Value) -> u64 {
    assert_eq!(cause["kind"], "guest_memory", "{cause}");
    let (limit, wanted) = (cause["limit"].as_u64().unwrap(), cause["wanted"].as_u64().unwrap());
    assert!(limit > 0 && wanted > limit, "{cause}");
    limit
}

/// The whole cause as one value.
pub(crate) fn value(cause: &CauseView) -> Value {
    let mut data = cause.data.clone();
    data.insert("kind".into(), cause.kind.clone().into());
    data.into()
}

fn about(name: &str) -> UploadQuery {
    UploadQuery { name: Some(name.into()), ..UploadQuery::default() }
}

/// Uploads a component. Gives the refusal; `None` when it was taken.
#[track_caller]
pub(crate) fn offer(node: &Node, name: &str, bytes: &[u8]) -> Option<Problem> {
    let answer = node.upload_package(&about(name), bytes);
    let refused = answer.is_err().then(|| problem(answer));
    // Whatever it was, it was the upload's fault and not the node's.
    assert!(
        refused.as_ref().is_none_or(|problem| (400..500).contains(&problem.status)),
        "{name}: {refused:?}"
    );
    refused
}

/// Uploads a component that must not be taken. Gives the refusal.
#[track_caller]
pub(crate) fn refused(node: &Node, name: &str, bytes: &[u8]) -> Problem {
    let refused = offer(node, name, bytes).unwrap_or_else(|| panic!("{name} was taken"));
    assert!(matches!(refused.status, 400 | 422), "{name}: {refused:?}");
    refused
}

/// The reasons of a refusal as texts.
pub(crate) fn reasons(refused: &Problem) -> Vec<String> {
    let text = |reason: &Value| reason["reason"].as_str().map_or_else(|| reason.to_string(), str::to_owned);
    refused.reasons.iter().map(text).collect()
}

/// The cause that a component had when it was asked for its operations.
#[track_caller]
pub(crate) fn cause_at_upload(node: &Node, name: &str, bytes: &[u8]) -> Value {
    let refused = refused(node, name, bytes);
    let cause = reasons(&refused).first().and_then(|text| serde_json::from_str::<Value>(text).ok());
    cause.filter(|cause| cause["kind"].is_string()).unwrap_or_else(|| panic!("{name}: {refused:?}"))
}

/// Uploads a component that must be taken, and installs it with the limits of the hostile guest. Gives its vm.
#[track_caller]
pub(crate) fn install(node: &Node, name: &str, bytes: &[u8]) -> String {
    let package = node.upload_package(&about(name), bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    let limits = Some(with_limits(40.0, "64MiB"));
    let request = Install { catalog_id: package.id, privacy_level: None, resource_limits: limits };
    node.client().install(&request).unwrap().vm_asset.id
}

/// Waits until nothing of an execution is left but its record and its files.
#[track_caller]
pub(crate) fn nothing_is_left_of(node: &Node, execution: &VmExecution) {
    let id = execution.id.as_str();
    until("nothing of the execution is left", || {
        let groups = node.groups();
        let group = execution.request_lease_is_its_own(node) && groups.contains(&execution.allocation_id);
        (!group && open_below(node.pid(), id).is_empty() && processes_that_name(id).is_empty()).then_some(())
    });
}

/// Waits until nothing is left of what a node did for an upload: no group, no process, no file.
#[track_caller]
pub(crate) fn nothing_is_left(node: &Node) {
    let work = node.data_dir().join("work");
    until("nothing of the uploads is left", || {
        let files = fs::read_dir(&work).map_or(0, Iterator::count);
        let shown = work.to_str().unwrap();
        let rest =
            files == 0 && open_below(node.pid(), shown).is_empty() && processes_that_name(shown).is_empty();
        (rest && node.groups().is_empty()).then_some(())
    });
}

trait OwnLease {
    /// Whether its lease was made for it and has to be gone with it.
    fn request_lease_is_its_own(&self, node: &Node) -> bool;
}

impl OwnLease for VmExecution {
    fn request_lease_is_its_own(&self, node: &Node) -> bool {
        // One that was given is still there.
        node.client().allocation(&self.allocation_id).map_or(true, |lease| lease.phase.is_final())
    }
}

/// What a process has open whose path has this in it.
fn open_below(pid: u32, part: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.filter(|target| target.to_string_lossy().contains(part)).collect()
}

/// Processes whose command line has this in it.
fn processes_that_name(part: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = |path: &Path| {
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(part)
    };
    entries.map(|entry| entry.path()).filter(|path| names(path)).collect()
}

/// Asks a node whether it is well, over and over, until dropped; the test fails if it once was not.
pub(crate) struct Vigil {
    over: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    asking: Option<JoinHandle<Vec<String>>>,
}

impl Vigil {
    pub(crate) fn over(node: &Node) -> Self {
        let (over, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = Client::new(node.url(), None).unwrap();
        let (stop, count) = (Arc::clone(&over), Arc::clone(&answers));
        let asking = std::thread::spawn(move || {
            let mut wrong = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                match client.health() {
                    Ok(_) => drop(count.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => wrong.push(error.to_string()),
                }
                std::thread::sleep(PULSE);
            }
            wrong
        });
        Self { over, answers, asking: Some(asking) }
    }
}

impl Drop for Vigil {
    fn drop(&mut self) {
        let failing = std::thread::panicking();
        if !failing {
            until("the node said that it is well", || {
                (self.answers.load(Ordering::Relaxed) > 0
                    || self.asking.as_ref().is_none_or(JoinHandle::is_finished))
                .then_some(())
            });
        }
        self.over.store(true, Ordering::Relaxed);
        let wrong = self.asking.take().map(JoinHandle::join);
        // One failure is enough to report.
        assert!(
            failing || matches!(&wrong, Some(Ok(wrong)) if wrong.is_empty()),
            "the node was not well: {wrong:?}"
        );
    }
}
