//! Getting out: every forbidden call, after the jail was closed, and what the kernel says about the worker.

use crate::Test;
use crate::attempts::{ATTEMPTS, Refused};
use crate::bed::{Bed, Outcome, order, status};
use crate::worker::DENIED;
use hypermesh_sandbox::{FromWorker, Order, OrderFolder, WorkerExit};
use std::fs;
use std::os::fd::AsFd;

pub(crate) const TESTS: &[Test] = &[
    ("no_forbidden_call_gets_a_worker_out", no_forbidden_call_gets_a_worker_out),
    ("a_worker_has_no_rights_left", a_worker_has_no_rights_left),
    ("what_a_runtime_needs_is_allowed", what_a_runtime_needs_is_allowed),
];

/// SIGSYS on Linux for x86_64, aarch64 and riscv64.
const SIGSYS: i32 = 31;

fn no_forbidden_call_gets_a_worker_out(test: &str) {
    let bed = Bed::new();
    if !bed.has("seccomp") || !bed.has("landlock") {
        eprintln!("SKIPPED {test}: {:?}", bed.zygote.jail());
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(place.path().join("secret"), "secret").unwrap();
    fs::write(folder.join("file"), "file").unwrap();
    std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
    let plain = fs::File::open(&folder).unwrap();
    let granted = bed.zygote.grant_folder(&folder, false, None).unwrap();
    println!("{:?}", granted.layers);
    let with_folder = Order { folders: vec![OrderFolder { fd: 0, writable: false }], ..order() };
    for attempt in ATTEMPTS {
        let job = format!("attempt {}", attempt.name);
        // Without a folder in its order, but with its descriptor.
        check(attempt.name, attempt.bare, &bed.run(order(), &job, &[plain.as_fd()]));
        check(attempt.name, attempt.with_folder, &bed.run(with_folder.clone(), &job, &[plain.as_fd()]));
        check(attempt.name, attempt.with_folder, &bed.run(with_folder.clone(), &job, &[granted.fd.as_fd()]));
    }
    assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "file");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    println!("{} forbidden calls, three times each", ATTEMPTS.len());
}

fn check(name: &str, refused: Refused, outcome: &Outcome) {
    let wanted = match refused {
        Refused::Killed => WorkerExit { code: None, signal: Some(SIGSYS) },
        Refused::Denied => WorkerExit { code: Some(DENIED.into()), signal: None },
    };
    assert_eq!(outcome.exit, wanted, "{name}: {outcome:?}");
}

fn a_worker_has_no_rights_left(test: &str) {
    let bed = Bed::new();
    let uid = bed.has("uid").then_some(2_345_678);
    if uid.is_none() {
        eprintln!("SKIPPED {test} (the part about its user): not root");
    }
    let waiting = bed.park();
    let (reader, writer) = std::io::pipe().unwrap();
    let order = Order { uid, file_bytes: Some(4096), cpu_seconds: Some(100), ..order() };
    let worker = waiting.parked.start(&order, b"hold", &[reader.as_fd()]).unwrap();
    crate::bed::wait_readable(&worker);
    assert!(matches!(worker.receive().unwrap(), Some(FromWorker::Said(1))));
    let pid = worker.id().pid;
    let own = status(std::process::id(), "Uid").split(' ').next().unwrap().parse::<u32>().unwrap();
    let user = uid.unwrap_or(own);
    for ids in ["Uid", "Gid"] {
        assert_eq!(status(pid, ids), format!("{user} {user} {user} {user}"));
    }
    assert!(uid.is_none() || status(pid, "Groups").is_empty());
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status(pid, set), "0000000000000000", "{set}");
    }
    assert_eq!((status(pid, "NoNewPrivs"), status(pid, "Seccomp")), ("1".to_owned(), "2".to_owned()));
    assert_eq!(status(pid, "Threads"), "1");
    if bed.has("pid_namespace") {
        assert!(status(pid, "NSpid").ends_with(" 1"), "{}", status(pid, "NSpid"));
    }
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limits: Vec<_> = limits.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for limit in [
        "Max open files 64 64 files",
        "Max file size 4096 4096 bytes",
        "Max core file size 0 0 bytes",
        "Max locked memory 0 0 bytes",
        "Max cpu time 100 100 seconds",
    ] {
        assert!(limits.contains(&limit.to_owned()), "{limit} is not in {limits:#?}");
    }
    // Each namespace that is said to be its own is another one than ours.
    for (layer, kind) in [
        ("mount", "mnt"),
        ("network", "net"),
        ("ipc", "ipc"),
        ("uts", "uts"),
        ("pid", "pid"),
        ("user", "user"),
    ] {
        let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/{kind}"));
        // The links of a process that can't be dumped are root's to read.
        if let (Ok(theirs), Ok(ours)) = (namespace(pid), namespace(std::process::id())) {
            assert_eq!(theirs != ours, bed.has(&format!("{layer}_namespace")), "{kind}");
        }
    }
    drop(writer);
    waiting.ended.recv_timeout(crate::bed::PATIENCE).unwrap();
}

fn what_a_runtime_needs_is_allowed(_: &str) {
    let bed = Bed::new();
    let outcome = bed.run(order(), "runtime", &[]);
    assert_eq!(outcome.exit, WorkerExit { code: Some(0), signal: None }, "{outcome:?}");
    let outcome = bed.run(order(), "abort", &[]);
    // The first process of a PID namespace can't be ended by its own SIGABRT: the C library then ends it by SIGSEGV.
    assert!(matches!(outcome.exit.signal, Some(libc::SIGABRT | libc::SIGSEGV | SIGSYS)), "{outcome:?}");
}
