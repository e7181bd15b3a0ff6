//! A worker's life: into its groups, then waiting, then one order, then its work.
//!
//! It dies with zygote or node while it waits. From its order on it doesn't, so that an execution outlives both. What it
//! holds open is its link and its standard streams, from its order on also what came with that. It never returns into
//! the zygote's code, not by a panic either.

use super::protocol::{Order, READY, Start, UNREADY};
use super::{EXIT_UNABLE, Task, socket, sys};
use crate::jail::{Jail, JailError, Open};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal, setsid, umask};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

/// How often a join is tried when the kernel says EINVAL: it does while a thread group is being set up, and a fresh
/// single-threaded process is past that within a millisecond or never.
const JOIN_TRIES: u32 = 5;
/// The pause between two tries.
const JOIN_PAUSE: Duration = Duration::from_millis(2);
/// What a worker exits with whose code panicked, as a Rust program does.
const EXIT_PANIC: u8 = 101;

/// What a worker is forked with.
pub(super) struct Seed {
    pub(super) link: OwnedFd,
    /// A cgroup2 folder that the fork did not put it in.
    pub(super) join_into: Option<OwnedFd>,
    /// Files to write `0` to.
    pub(super) join: Vec<OwnedFd>,
    pub(super) jail: Arc<Jail>,
}

/// Lives a worker's life to its end.
pub(super) fn live(seed: Seed, work: &dyn Fn(Task) -> u8) -> ! {
    let run = std::panic::AssertUnwindSafe(|| match get_ready(&seed) {
        Ok(()) => wait(seed, work),
        Err((what, error)) => {
            let words = [&[UNREADY], format!("it cannot {what}: {error}").as_bytes()].concat();
            // The node hears it, or is gone.
            let _ = socket::send_bytes(&seed.link, &words, &[]);
            EXIT_UNABLE
        }
    });
    // A panic was printed by the hook.
    let code = std::panic::catch_unwind(run).unwrap_or(EXIT_PANIC);
    std::process::exit(i32::from(code))
}

/// What failed, and what the kernel said.
type Failure = (&'static str, io::Error);

fn failed<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Failure {
    move |error| (what, error.into())
}

/// Joining comes first, so that all that follows is counted and killable.
fn get_ready(seed: &Seed) -> Result<(), Failure> {
    // A zygote that ended before this has closed the node's end of the link, or the node has: the wait ends at once.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed("ask to end with the zygote"))?;
    if let Some(group) = &seed.join_into {
        let file = rustix::fs::openat(group, "cgroup.procs", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        file.map_err(io::Error::from)
            .and_then(|file| join(file.as_fd()))
            .map_err(failed("join its group"))?;
    }
    for file in &seed.join {
        join(file.as_fd()).map_err(failed("join its groups"))?;
    }
    let keep = [seed.link.as_fd()];
    close_all_but(&keep);
    umask(Mode::RWXG | Mode::RWXO);
    setsid().map_err(failed("begin a session"))?;
    // For people who look at the processes of the machine.
    rustix::thread::set_name(c"guest-worker").map_err(failed("take a name"))?;
    crate::jail::limit_parked().map_err(failed("limit itself"))?;
    socket::send_bytes(&seed.link, &[READY], &[]).map_err(failed("say that it is ready"))
}

#[expect(
    unsafe_code,
    reason = "the owners of what is closed are the zygote's, and never dropped or used here"
)]
fn close_all_but(keep: &[BorrowedFd<'_>]) {
    // SAFETY: this process never returns into the zygote's code, and ends by exiting, which drops nothing; of the seed
    // only the link is used from here on, and what its other owners closed would be numbers that nothing has reused,
    // since they are forgotten in `wait`.
    unsafe { sys::close_all_but(keep) };
}

fn join(file: BorrowedFd<'_>) -> io::Result<()> {
    let mut tries = 1;
    loop {
        match rustix::io::pwrite(file, b"0", 0) {
            Err(Errno::INVAL) if tries < JOIN_TRIES => {
                tries += 1;
                std::thread::sleep(JOIN_PAUSE);
            }
            result => return result.map(|_| ()).map_err(Into::into),
        }
    }
}

/// Waits for the order and carries it out; what to exit with. Without an order: 0.
fn wait(seed: Seed, work: &dyn Fn(Task) -> u8) -> u8 {
    let Seed { link, join_into, join, jail } = seed;
    // Closed already: dropping them would close whatever has their numbers by then.
    std::mem::forget((join_into, join));
    let message = match socket::receive(&link) {
        Ok(Some(message)) => message,
        Ok(None) => return 0,
        Err(error) => return unable("receive its order", &error),
    };
    let begun = socket::parse::<Start>(&message)
        .map_err(failed("understand its order"))
        .and_then(|start| begin(&jail, start, message.fds));
    match begun {
        Ok((job, fds, open)) => work(Task { job, fds, link, jail: Some(open) }),
        Err((what, error)) => unable(what, &error),
    }
}

fn unable(what: &str, error: &io::Error) -> u8 {
    eprintln!("a worker cannot {what}: {error}");
    EXIT_UNABLE
}

type Begun = (Vec<u8>, Vec<OwnedFd>, Open);

/// Becomes what the order says, as far as can be before the work's code is loaded.
fn begin(jail: &Arc<Jail>, start: Start, fds: Vec<OwnedFd>) -> Result<Begun, Failure> {
    let Start { order, job_bytes } = start;
    set_parent_process_death_signal(None).map_err(failed("outlive its zygote"))?;
    let mut fds = fds.into_iter();
    let missing = || io::Error::from(Errno::BADMSG);
    let memory = fds.next().ok_or_else(missing).map_err(failed("find its job"))?;
    let mut job = vec![0; job_bytes];
    File::from(memory).read_exact_at(&mut job, 0).map_err(failed("read its job"))?;
    let fds: Vec<OwnedFd> = fds.collect();
    if let Some(stderr) = order.stderr {
        let file = fds.get(stderr).ok_or_else(missing).map_err(failed("find its standard error"))?;
        rustix::stdio::dup2_stderr(file).map_err(failed("set its standard error"))?;
    }
    let granted = folders(&order, &fds).ok_or_else(missing).map_err(failed("find its folders"))?;
    let open = jail.begin(&order, &granted).map_err(JailError::into_parts)?;
    drop(granted);
    Ok((job, fds, open))
}

fn folders<'a>(order: &Order, fds: &'a [OwnedFd]) -> Option<Vec<(BorrowedFd<'a>, bool)>> {
    order.folders.iter().map(|folder| Some((fds.get(folder.fd)?.as_fd(), folder.writable))).collect()
}
