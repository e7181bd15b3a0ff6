//! Workers for real: this program starts itself as a worker, which enters its cgroup and reports what became of it.
//! Without a harness, since a worker has one thread.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints what it did"
)]

use hypermesh_model::{LeaseId, NodeId};
use hypermesh_sandbox::{
    CgroupBackend, CgroupSettings, Entry, PidFd, WorkerCommand, WorkerProcess, enter, identify, is_alive,
    open, spawn,
};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest wait for anything here: many times what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A test: its name, which it shows when it skips something, and itself.
type Test = (&'static str, fn(&str));

fn main() {
    // Part of the worker's environment only.
    if let Ok(task) = std::env::var("SANDBOX_TEST_TASK") {
        work(&task);
        return;
    }
    let tests: [Test; 4] = [
        ("a_worker_enters_its_group_with_its_limits", a_worker_enters_its_group_with_its_limits),
        ("a_worker_is_killed_through_its_pidfd", a_worker_is_killed_through_its_pidfd),
        (
            "an_adopted_worker_is_watched_without_being_a_child",
            an_adopted_worker_is_watched_without_being_a_child,
        ),
        ("a_worker_that_cannot_join_does_not_run", a_worker_that_cannot_join_does_not_run),
    ];
    let filter: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    for (name, test) in tests.iter().filter(|(name, _)| filter.iter().all(|f| name.contains(f.as_str()))) {
        test(name);
        println!("test {name} ... ok");
    }
}

/// The worker's side.
fn work(task: &str) {
    let entry = Entry::from_environment().unwrap();
    if let Err(error) = enter(&entry) {
        eprintln!("{error}: {:?}", std::error::Error::source(&error));
        std::process::exit(70);
    }
    match task {
        "report" => {
            eprintln!("{}", std::fs::read_to_string("/proc/self/cgroup").unwrap());
            eprintln!("{}", std::fs::read_to_string("/proc/self/status").unwrap());
            eprintln!("{}", std::fs::read_to_string("/proc/self/limits").unwrap());
            eprintln!("oom {}", std::fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim());
            let open: Vec<_> =
                std::fs::read_dir("/proc/self/fd").unwrap().map(|e| e.unwrap().file_name()).collect();
            eprintln!("open {open:?}");
            eprintln!("environment {:?}", std::env::vars().map(|(name, _)| name).collect::<Vec<_>>());
            std::process::exit(7);
        }
        "large" => {
            let mut file = File::create("large").unwrap();
            while file.write_all(&[0; 4096]).is_ok() {}
        }
        _ => loop {
            std::thread::sleep(Duration::from_secs(600));
        },
    }
}

fn command(task: &str, folder: &Path, entry: Entry) -> WorkerCommand {
    let log = OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    WorkerCommand {
        exe: std::env::current_exe().unwrap(),
        args: Vec::new(),
        entry,
        cwd: folder.to_owned(),
        stdout: None,
        stderr: Some(log),
        env: vec![("SANDBOX_TEST_TASK".into(), task.into())],
    }
}

fn finish(worker: &mut WorkerProcess) -> std::process::ExitStatus {
    assert!(worker.pidfd().wait(PATIENCE).unwrap(), "the worker never ended");
    assert!(!is_alive(&worker.id()), "a zombie is not alive");
    let status = worker.try_wait().unwrap().unwrap();
    assert_eq!(worker.try_wait().unwrap(), Some(status), "asked again, the same answer");
    status
}

fn a_worker_enters_its_group_with_its_limits(test: &str) {
    let node = NodeId::generate();
    let root = PathBuf::from("/");
    let backend =
        open(CgroupSettings { system_root: root, parent: None, node: node.clone(), gpu_minors: vec![] });
    let lease = LeaseId::generate();
    backend.create(&lease, &Default::default(), "").unwrap();
    backend.create_leaf(&lease, "exec-1", None).unwrap();
    let guard = Guard { backend: backend.as_ref(), lease: &lease };
    let folder = tempfile::tempdir().unwrap();
    // Something to inherit: a descriptor without close-on-exec, above the standard three.
    let inherited = rustix::io::fcntl_dupfd_cloexec(File::open("/dev/null").unwrap(), 50).unwrap();
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).unwrap();
    let entry = Entry { file_bytes: Some(65536), ..Entry::joining(backend.join_files(&lease, "exec-1")) };
    let mut worker = spawn(command("report", folder.path(), entry.clone())).unwrap();
    let status = finish(&mut worker);
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(status.code(), Some(7), "{log}");
    let squeezed: Vec<String> =
        log.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for wanted in ["NoNewPrivs: 1", "Umask: 0077", "oom 500", "Max core file size 0 0 bytes"] {
        assert!(squeezed.iter().any(|line| line == wanted), "no `{wanted}` in {log}");
    }
    assert!(squeezed.contains(&"Max open files 64 64 files".to_owned()), "{log}");
    assert!(squeezed.contains(&"Max file size 65536 65536 bytes".to_owned()), "{log}");
    // The fourth is the listing itself.
    assert!(squeezed.contains(&"open [\"0\", \"1\", \"2\", \"3\"]".to_owned()), "{log}");
    assert!(!log.contains("\"PATH\""), "the environment is cleared: {log}");
    if let Some(reason) = backend.unavailable_reason() {
        eprintln!("SKIPPED {test} (the part about its group): {reason}");
    } else {
        // Every group that it was told to join, and no other of the lease.
        let joined = |line: &&str| {
            let group = line.splitn(3, ':').nth(2).filter(|group| group.contains(lease.as_str()));
            let joins = backend.join_files(&lease, "exec-1");
            group.is_some_and(|group| {
                joins.iter().any(|file| file.ends_with(format!("{}/cgroup.procs", &group[1..])))
            })
        };
        let groups = log.lines().filter(joined).count();
        assert!(log.contains(&format!("hypermesh/{node}/{lease}/exec-1")), "{log}");
        assert_eq!(groups, backend.join_files(&lease, "exec-1").len(), "{log}");
        assert!(backend.usage(&lease, Some("exec-1")).unwrap().cpu_time_ns.unwrap() > 0);
    }
    let mut worker = spawn(command("large", folder.path(), entry)).unwrap();
    finish(&mut worker);
    assert_eq!(std::fs::metadata(folder.path().join("large")).unwrap().len(), 65536, "RLIMIT_FSIZE holds");
    drop(guard);
}

/// Removes the groups of a test, also when it fails.
struct Guard<'a> {
    backend: &'a dyn CgroupBackend,
    lease: &'a LeaseId,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.backend.kill(self.lease, None).unwrap();
        self.backend.remove(self.lease).unwrap();
        self.backend.close();
    }
}

fn a_worker_is_killed_through_its_pidfd(_: &str) {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let mut worker = spawn(command("wait", folder.path(), Entry::joining(Vec::new()))).unwrap();
    println!("spawned in {:?}", began.elapsed());
    assert_eq!(worker.try_wait().unwrap(), None);
    assert!(is_alive(&worker.id()) && !worker.pidfd().has_ended().unwrap());
    worker.pidfd().kill().unwrap();
    let status = finish(&mut worker);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    worker.pidfd().kill().unwrap();
    assert!(PidFd::open(&worker.id()).is_err(), "it is gone");
}

/// The parent is a shell that ends at once, so that the process is nobody's child here, as after a crash of the node.
fn an_adopted_worker_is_watched_without_being_a_child(_: &str) {
    let script = "sleep 600 >/dev/null 2>&1 & echo $!";
    let output = std::process::Command::new("sh").args(["-c", script]).output().unwrap();
    let pid: u32 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    let id = identify(pid).unwrap();
    let adopted = PidFd::open(&id).unwrap();
    assert!(is_alive(&id) && !adopted.has_ended().unwrap());
    adopted.kill().unwrap();
    assert!(adopted.wait(PATIENCE).unwrap());
    assert!(!is_alive(&id));
}

fn a_worker_that_cannot_join_does_not_run(_: &str) {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("cgroup.procs");
    let mut worker = spawn(command("report", folder.path(), Entry::joining(vec![nowhere.clone()]))).unwrap();
    assert_eq!(finish(&mut worker).code(), Some(70));
    assert!(!nowhere.exists(), "joining makes no file");
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("cannot join"), "{log}");
}
