//! A process that runs already can be put into a lease, and it is said what does not come with it.

use hypermesh_harness::cgroups::{is_running, processes};
use hypermesh_harness::{Node, allocation, problem, require_cgroups, require_root, until};
use hypermesh_wire::tokens::Role;
use std::io::Read;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A process of the test's own, which ends with it.
struct Stranger {
    child: Child,
    stdout: ChildStdout,
}

impl Stranger {
    /// Runs `sh -c script` until it has written a line.
    fn start(script: &str) -> Self {
        let mut shell = Command::new("sh");
        let mut child =
            shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stranger = Self { stdout: child.stdout.take().unwrap(), child };
        stranger.line();
        stranger
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let mut byte = [0];
        while self.stdout.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            line.push(char::from(byte[0]));
        }
        line
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // It may have been killed with the lease.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_running_process_is_put_into_a_lease_and_what_stays_behind_is_said() {
    require_root!();
    let node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("memory", 0.064)).unwrap();
    // A device that is open, a child that was there before, and another one when it is told to go on.
    let has_device = Path::new("/dev/kmsg").exists();
    let opening = if has_device { "exec 3</dev/kmsg" } else { ":" };
    let script = format!("{opening}; sleep 1000 & echo $!; read x; sleep 1000 & echo $!; wait");
    let mut shell = Command::new("sh");
    let mut child = shell.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stranger = Stranger { stdout: child.stdout.take().unwrap(), child };
    let before: u32 = stranger.line().parse().unwrap();

    let attached = node.client().attach(&lease.id, stranger.pid()).unwrap();
    assert_eq!(
        (attached.pid, attached.threads, attached.command.as_deref()),
        (stranger.pid(), 1, Some("sh"))
    );
    let receipt = node.enforcement(&lease.id);
    let inside = || processes(&receipt.cgroups);
    assert!(inside().contains(&stranger.pid()), "{:?}", inside());
    assert!(
        attached.moved.iter().all(|group| group.contains(&lease.id) || group.contains("cpuset")),
        "{attached:?}"
    );
    let stays: Vec<&str> = attached.stays.iter().map(|stays| stays.what.as_str()).collect();
    assert!(stays.iter().any(|what| what.contains("memory")), "{attached:?}");
    assert!(stays.iter().any(|what| what.contains("child")), "{attached:?}");
    if has_device {
        let device = attached.stays.iter().find(|stays| stays.what.contains("device")).unwrap();
        assert!(device.detail.contains("/dev/kmsg"), "{device:?}");
    }
    let memory = attached.stays.iter().find(|stays| stays.what.contains("memory")).unwrap();
    assert!(memory.bytes.unwrap() > 0, "{memory:?}");
    assert!(!inside().contains(&before), "its child stayed where it was");
    let told = node.told("allocation_attached", &lease.id);
    assert_eq!(told.data["pid"], stranger.pid());

    std::io::Write::write_all(stranger.child.stdin.as_mut().unwrap(), b"go\n").unwrap();
    let after: u32 = stranger.line().parse().unwrap();
    until("what it starts is in the lease", || inside().contains(&after).then_some(()));
    node.client().release(&lease.id).unwrap();
    assert!(!is_running(after) && !is_running(stranger.pid()), "it ended with the lease");
    assert!(is_running(before), "and what was not in it did not");
    hypermesh_harness::cgroups::kill(before);
}

#[test]
fn what_can_not_be_attached_is_refused_and_nothing_moves() {
    require_root!();
    let node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("cpu", 5.0)).unwrap();
    let mut gone = Command::new("true").spawn().unwrap();
    let gone_pid = gone.id();
    gone.wait().unwrap();
    // The first process, a thread of the kernel (kthreadd), the node, and one that has ended.
    let mut refused = vec![1, node.pid(), gone_pid];
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd") {
        refused.push(2);
    }
    for pid in refused {
        let problem = problem(node.client().attach(&lease.id, pid));
        assert!(matches!(problem.status, 404 | 409 | 422), "{pid}: {problem:?}");
        assert!(problem.detail.contains(&pid.to_string()), "{pid}: {problem:?}");
    }
    let stranger = Stranger::start("echo ready; read x");
    let operator = node.client_of("tenant", Role::Operator);
    let problem_of = problem(operator.attach(&lease.id, stranger.pid()));
    assert_eq!(problem_of.status, 403, "only who may do everything moves processes: {problem_of:?}");
    assert!(processes(&node.enforcement(&lease.id).cgroups).is_empty());
    node.client().release(&lease.id).unwrap();
    assert_eq!(problem(node.client().attach(&lease.id, stranger.pid())).status, 409);
    assert!(is_running(stranger.pid()));
}
