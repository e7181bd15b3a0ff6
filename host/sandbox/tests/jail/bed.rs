//! What the tests share: a zygote, a worker with an order, and what came of it.

use crate::worker::ZYGOTE;
use hypermesh_sandbox::zygote::ZygoteError;
use hypermesh_sandbox::{FromWorker, GroupEntry, Order, Parked, Worker, WorkerExit, Zygote, ZygoteCommand};
use rustix::event::{PollFd, PollFlags, poll};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longest wait for anything here: many times what a loaded machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Descriptors of a worker.
pub(crate) const OPEN_FILES: u64 = 64;

/// A zygote and what it prints.
pub(crate) struct Bed {
    pub(crate) zygote: Zygote,
    pub(crate) log: File,
    pub(crate) end: Receiver<String>,
}

/// A worker that waits, and how it will end.
pub(crate) struct Waiting {
    pub(crate) parked: Parked,
    pub(crate) ended: Receiver<WorkerExit>,
}

/// What came of a task.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) exit: WorkerExit,
    pub(crate) said: Vec<u8>,
    pub(crate) printed: String,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self::with(&[ZYGOTE]).unwrap()
    }

    pub(crate) fn with(arguments: &[&str]) -> Result<Self, ZygoteError> {
        let log = tempfile::tempfile().unwrap();
        let command = ZygoteCommand {
            exe: std::env::current_exe().unwrap(),
            args: arguments.iter().map(Into::into).collect(),
            stderr: Some(log.try_clone().unwrap()),
        };
        let (told, end) = channel();
        let zygote = Zygote::start(command, Box::new(move |reason| told.send(reason).unwrap()))?;
        Ok(Self { zygote, log, end })
    }

    pub(crate) fn try_park(&self, group: GroupEntry) -> (Result<Parked, ZygoteError>, Receiver<WorkerExit>) {
        let (told, parked) = channel();
        let (tell_end, ended) = channel();
        let tell_end = move |exit| {
            // A test that doesn't care for the end is over by then.
            let _ = tell_end.send(exit);
        };
        self.zygote.park(group, Box::new(move |result| told.send(result).unwrap()), Box::new(tell_end));
        (parked.recv_timeout(PATIENCE).unwrap(), ended)
    }

    pub(crate) fn park(&self) -> Waiting {
        let (parked, ended) = self.try_park(GroupEntry::default());
        Waiting { parked: parked.unwrap(), ended }
    }

    /// Whether a layer is active.
    pub(crate) fn has(&self, layer: &str) -> bool {
        self.zygote.jail().iter().find(|l| l.layer == layer).unwrap_or_else(|| panic!("no {layer}")).active
    }

    /// Runs one task to its end, with a file of its own for what it prints.
    pub(crate) fn run(&self, order: Order, task: &str, fds: &[BorrowedFd<'_>]) -> Outcome {
        let Waiting { parked, ended } = self.park();
        let printed = tempfile::tempfile().unwrap();
        let fds: Vec<_> = fds.iter().copied().chain([printed.as_fd()]).collect();
        let order = Order { stderr: Some(fds.len() - 1), ..order };
        let worker = parked.start(&order, task.as_bytes(), &fds).unwrap();
        let said = listen(&worker);
        let exit = ended.recv_timeout(PATIENCE).unwrap();
        Outcome { exit, said, printed: read(printed) }
    }
}

/// An order without anything.
pub(crate) fn order() -> Order {
    Order { open_files: OPEN_FILES, ..Order::default() }
}

/// All that a worker says, until it closes its link.
pub(crate) fn listen(worker: &Worker) -> Vec<u8> {
    let mut said = Vec::new();
    loop {
        match worker.receive().unwrap() {
            Some(FromWorker::Said(byte)) => said.push(byte),
            Some(FromWorker::Ended) => return said,
            Some(FromWorker::Listener(_)) => {}
            None => wait_readable(worker),
        }
    }
}

/// Until the worker has sent something.
pub(crate) fn wait_readable(worker: &Worker) {
    let limit = PATIENCE.try_into().unwrap();
    assert!(poll(&mut [PollFd::new(&worker.link(), PollFlags::IN)], Some(&limit)).unwrap() > 0);
}

pub(crate) fn read(mut file: File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// The value of a line of `/proc/<pid>/status`.
pub(crate) fn status(pid: u32, key: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}
