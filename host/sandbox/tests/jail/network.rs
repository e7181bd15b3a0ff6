//! A worker with a network: it reaches what is granted through the node, and nothing else.

use crate::Test;
use crate::bed::{Bed, PATIENCE, order, read};
use hypermesh_sandbox::{FromWorker, NetSupervisor, Order, Worker, WorkerExit};
use rustix::event::{PollFd, PollFlags, poll};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;

pub(crate) const TESTS: &[Test] = &[
    ("a_worker_talks_to_what_is_granted", a_worker_talks_to_what_is_granted),
    ("a_worker_reaches_nothing_else", a_worker_reaches_nothing_else),
];

/// Answers its calls until it closes its link.
fn supervise(worker: &Worker, granted: &[SocketAddr]) {
    let mut supervisor = None;
    let limit = PATIENCE.try_into().unwrap();
    loop {
        let link = worker.link();
        let mut fds = vec![PollFd::new(&link, PollFlags::IN)];
        fds.extend(supervisor.as_ref().map(|one| PollFd::new(one, PollFlags::IN)));
        assert!(poll(&mut fds, Some(&limit)).unwrap() > 0);
        let is_ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if is_ready[0] {
            match worker.receive().unwrap() {
                Some(FromWorker::Listener(fd)) => {
                    supervisor = Some(NetSupervisor::new(worker, fd, granted.to_vec()).unwrap());
                }
                Some(FromWorker::Ended) => return,
                Some(FromWorker::Said(_)) | None => {}
            }
        } else if is_ready.get(1) == Some(&true) && !supervisor.as_ref().unwrap().handle_one().unwrap() {
            return;
        }
    }
}

fn run(bed: &Bed, job: &str, granted: &[SocketAddr]) -> (WorkerExit, String) {
    let waiting = bed.park();
    let printed = tempfile::tempfile().unwrap();
    let uid = bed.has("uid").then_some(2_345_678);
    let order = Order { network: true, uid, stderr: Some(0), ..order() };
    let worker = waiting.parked.start(&order, job.as_bytes(), &[printed.as_fd()]).unwrap();
    supervise(&worker, granted);
    (waiting.ended.recv_timeout(PATIENCE).unwrap(), read(printed))
}

/// Skips where the kernel can't, or where there is no address of that kind.
fn bed(test: &str) -> Option<Bed> {
    let bed = Bed::new();
    if bed.has("network_grants") && bed.has("seccomp") {
        return Some(bed);
    }
    eprintln!("SKIPPED {test}: {:?}", bed.zygote.jail());
    None
}

fn a_worker_talks_to_what_is_granted(test: &str) {
    let Some(bed) = bed(test) else { return };
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = match TcpListener::bind(address) {
            Ok(listener) => listener,
            Err(error) => {
                eprintln!("SKIPPED {test} ({address}): {error}");
                continue;
            }
        };
        let here = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut word = [0; 4];
            stream.read_exact(&mut word).unwrap();
            stream.write_all(b"pong").unwrap();
            word
        });
        let (exit, printed) = run(&bed, &format!("talk {here}"), &[here]);
        assert_eq!(exit, WorkerExit { code: Some(0), signal: None }, "{printed}");
        assert_eq!(&server.join().unwrap(), b"ping");
    }
    // A v4 grant, asked for in the notation of IPv6; nobody listens there.
    let here = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (exit, printed) = run(&bed, &format!("talk [::ffff:127.0.0.1]:{}", here.port()), &[here]);
    assert!(exit.code == Some(101) && printed.contains("ConnectionRefused"), "{exit:?} {printed}");
}

fn a_worker_reaches_nothing_else(test: &str) {
    let Some(bed) = bed(test) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap();
    let port = here.port();
    let other = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let all = WorkerExit { code: Some(0), signal: None };
    for job in [
        // Not granted.
        format!("refused {other}"),
        format!("refused 127.0.0.2:{port}"),
        format!("refused 0.0.0.0:{port}"),
        format!("refused [::ffff:127.0.0.2]:{port}"),
        // Not TCP, or not outwards.
        "no-sockets".to_owned(),
        format!("blocking {here}"),
        format!("listen {here}"),
        format!("wild-address {here}"),
    ] {
        let (exit, printed) = run(&bed, &job, &[here]);
        assert_eq!(exit, all, "{job}: {printed}");
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody came");
    for job in [format!("fast-open {here}"), "options".to_owned()] {
        let (exit, printed) = run(&bed, &job, &[here]);
        assert_eq!(exit.signal, Some(31), "{job}: {printed}");
    }
}
