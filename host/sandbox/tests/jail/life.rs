//! Workers are parked, started, told of when they end; and who dies with whom.

use crate::Test;
use crate::bed::{Bed, OPEN_FILES, PATIENCE, listen, order, read, status, wait_readable};
use crate::worker::{UNPREPARED, ZYGOTE};
use hypermesh_sandbox::zygote::{MAX_JOB_BYTES, ZygoteError};
use hypermesh_sandbox::{
    FromWorker, GroupEntry, Order, OrderFolder, PidFd, ProcessId, Worker, WorkerExit, is_alive,
};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

pub(crate) const TESTS: &[Test] = &[
    ("a_worker_does_its_job_and_its_end_is_told", a_worker_does_its_job_and_its_end_is_told),
    ("a_parked_worker_holds_nothing_but_its_link", a_parked_worker_holds_nothing_but_its_link),
    ("what_is_parked_ends_with_the_zygote_and_what_runs_does_not", what_is_parked_ends_with_the_zygote),
    ("what_is_parked_ends_with_the_node_and_what_runs_does_not", what_is_parked_ends_with_the_node),
    ("dropping_the_zygote_ends_what_is_parked_only", dropping_the_zygote_ends_what_is_parked_only),
    ("an_order_that_names_what_is_not_there_is_refused", an_order_that_names_what_is_not_there_is_refused),
    ("a_zygote_that_cannot_prepare_says_why", a_zygote_that_cannot_prepare_says_why),
    ("a_worker_that_cannot_join_is_not_parked", a_worker_that_cannot_join_is_not_parked),
];

fn exit(code: i32) -> WorkerExit {
    WorkerExit { code: Some(code), signal: None }
}

fn a_worker_does_its_job_and_its_end_is_told(_: &str) {
    let bed = Bed::new();
    println!("{:#?}", bed.zygote.jail());
    assert_eq!(bed.run(order(), "exit 7", &[]).exit, exit(7));
    let outcome = bed.run(order(), "say 1 2 255", &[]);
    assert_eq!((outcome.exit, outcome.said), (exit(0), vec![1, 2, 255]));
    let outcome = bed.run(order(), "panic", &[]);
    assert_eq!(outcome.exit, exit(101), "{}", outcome.printed);
    assert!(outcome.printed.contains("as it was told"), "{}", outcome.printed);
    let long = format!("count {}", "x".repeat(MAX_JOB_BYTES - 6));
    let outcome = bed.run(order(), &long, &[]);
    assert_eq!(outcome.exit, exit(255), "{}", outcome.printed);
    let waiting = bed.park();
    let (reader, writer) = std::io::pipe().unwrap();
    let worker = waiting.parked.start(&order(), b"hold", &[reader.as_fd()]).unwrap();
    worker.pidfd().kill().unwrap();
    assert_eq!(waiting.ended.recv_timeout(PATIENCE).unwrap(), WorkerExit { code: None, signal: Some(9) });
    assert!(!is_alive(&worker.id()));
    drop(writer);
    assert_eq!(read(bed.log), "", "the zygote has nothing to complain of");
}

fn a_parked_worker_holds_nothing_but_its_link(_: &str) {
    let bed = Bed::new();
    let others: Vec<_> = (0..3).map(|_| bed.park()).collect();
    let waiting = bed.park();
    let pid = waiting.parked.id().pid;
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let mut open: Vec<String> = open
        .map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap().to_string_lossy().into_owned())
        .collect();
    open.sort();
    let sockets = open.iter().filter(|path| path.starts_with("socket:")).count();
    assert!(open.len() == 4 && sockets == 1, "{open:?}");
    assert_eq!(open.iter().filter(|path| *path == "/dev/null").count(), 2, "{open:?}");
    assert_eq!(std::fs::read(format!("/proc/{pid}/environ")).unwrap(), b"");
    assert_eq!(status(pid, "Umask"), "0077");
    assert_eq!(std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim(), "500");
    println!("a parked worker: VmRSS {}, RssAnon {}", status(pid, "VmRSS"), status(pid, "RssAnon"));
    // What is dropped ends by itself, and nobody else does.
    let id = waiting.parked.id();
    drop(waiting.parked);
    assert_eq!(waiting.ended.recv_timeout(PATIENCE).unwrap(), exit(0));
    assert!(!is_alive(&id));
    assert!(others.iter().all(|other| is_alive(&other.parked.id())));
}

fn what_is_parked_ends_with_the_zygote(_: &str) {
    let bed = Bed::new();
    let waiting = bed.park();
    let runner = bed.park();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let running = runner.parked.start(&order(), b"hold", &[reader.as_fd()]).unwrap();
    drop(reader);
    assert!(wait_for_say(&running));
    PidFd::open(&bed.zygote.id()).unwrap().kill().unwrap();
    let reason = bed.end.recv_timeout(PATIENCE).unwrap();
    assert!(reason.contains("signal: 9"), "{reason}");
    assert_eq!(waiting.ended.recv_timeout(PATIENCE).unwrap(), WorkerExit::default());
    assert!(waiting.parked.pidfd().wait(PATIENCE).unwrap());
    let (refused, _) = bed.try_park(GroupEntry::default());
    assert!(matches!(refused, Err(ZygoteError::Ended)));
    // Another zygote takes over while the worker of the first runs on.
    let next = Bed::new();
    assert_eq!(next.run(order(), "exit 3", &[]).exit, exit(3));
    assert!(is_alive(&running.id()));
    writer.write_all(&[5]).unwrap();
    assert_eq!(runner.ended.recv_timeout(PATIENCE).unwrap(), WorkerExit::default(), "nobody can say how");
    assert!(!is_alive(&running.id()));
}

/// Argument of this program as a node.
pub(crate) const NODE: &str = "node";

/// A node: a zygote, a worker that waits, one that runs until standard input ends. Names them and waits to be killed.
pub(crate) fn node() -> ! {
    let bed = Bed::new();
    let (waiting, runner) = (bed.park(), bed.park());
    let running = runner.parked.start(&order(), b"hold", &[std::io::stdin().as_fd()]).unwrap();
    assert!(wait_for_say(&running));
    println!("{}", serde_json::to_string(&[bed.zygote.id(), waiting.parked.id(), running.id()]).unwrap());
    loop {
        std::thread::park();
    }
}

fn what_is_parked_ends_with_the_node(_: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut node = command.arg(NODE).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(node.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let [zygote, parked, running]: [ProcessId; 3] = serde_json::from_str(&line).unwrap();
    let watched = [zygote, parked, running].map(|id| PidFd::open(&id).unwrap());
    let stdin = node.stdin.take();
    node.kill().unwrap();
    node.wait().unwrap();
    assert!(watched[0].wait(PATIENCE).unwrap() && watched[1].wait(PATIENCE).unwrap());
    assert!(is_alive(&running));
    drop(stdin);
    assert!(watched[2].wait(PATIENCE).unwrap(), "it ends when its work does");
}

fn wait_for_say(worker: &Worker) -> bool {
    wait_readable(worker);
    matches!(worker.receive().unwrap(), Some(FromWorker::Said(1)))
}

fn dropping_the_zygote_ends_what_is_parked_only(_: &str) {
    let bed = Bed::new();
    let zygote = bed.zygote.id();
    let watched = PidFd::open(&zygote).unwrap();
    let (waiting, runner) = (bed.park(), bed.park());
    let (reader, writer) = std::io::pipe().unwrap();
    let running = runner.parked.start(&order(), b"hold", &[reader.as_fd()]).unwrap();
    drop(reader);
    assert!(wait_for_say(&running));
    let Bed { zygote, end, .. } = bed;
    drop(zygote);
    assert!(watched.wait(PATIENCE).unwrap());
    assert!(waiting.parked.pidfd().wait(PATIENCE).unwrap());
    assert!(is_alive(&running.id()));
    drop(writer);
    assert!(running.pidfd().wait(PATIENCE).unwrap());
    assert!(end.recv_timeout(PATIENCE).is_err(), "it did not end by itself");
    assert_eq!(listen(&running), b"");
}

fn an_order_that_names_what_is_not_there_is_refused(_: &str) {
    let bed = Bed::new();
    let null = File::open("/dev/null").unwrap();
    let waiting = bed.park();
    let wrong = Order { folders: vec![OrderFolder { fd: 1, writable: false }], ..order() };
    let refused = waiting.parked.start(&wrong, b"exit 1", &[null.as_fd()]);
    assert!(matches!(refused, Err(ZygoteError::BadOrder { fds: 1, named: 1 })));
    assert_eq!(waiting.ended.recv_timeout(PATIENCE).unwrap(), exit(0), "it ends without having begun");
    let refused = bed.park().parked.start(&order(), &vec![0; MAX_JOB_BYTES + 1], &[]);
    assert!(matches!(refused, Err(ZygoteError::JobTooLong { .. })));
    // More descriptors than it may have are still received: the limit comes after them.
    let many: Vec<_> = (0..OPEN_FILES * 2).map(|_| null.as_fd()).collect();
    assert_eq!(bed.run(order(), "exit 4", &many).exit, exit(4));
}

fn a_zygote_that_cannot_prepare_says_why(_: &str) {
    let Err(ZygoteError::NotReady { reason }) = Bed::with(&[ZYGOTE, UNPREPARED]) else {
        panic!("it is ready")
    };
    assert_eq!(reason, "nothing to prepare with");
    // A program that is no zygote.
    let Err(ZygoteError::NotReady { reason }) = Bed::with(&["no-such-test", "neither"]) else {
        panic!("it is ready")
    };
    assert!(reason.contains("exit status"), "{reason}");
}

fn a_worker_that_cannot_join_is_not_parked(_: &str) {
    let bed = Bed::new();
    let group = GroupEntry { into: None, join: vec![File::open("/dev/null").unwrap().into()] };
    let (parked, _) = bed.try_park(group);
    let Err(ZygoteError::Park { reason }) = parked else { panic!("it is parked") };
    assert!(reason.contains("cannot join its groups: Bad file descriptor"), "{reason}");
    assert_eq!(bed.run(order(), "exit 2", &[]).exit, exit(2), "the zygote goes on");
}
