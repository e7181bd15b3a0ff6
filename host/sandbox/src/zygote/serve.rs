//! The zygote's own process: prepares, enters its namespaces, then forks when it is asked to and tells who ended.
//!
//! It ends when its control socket does, and so with the node. It has no parent-death signal, which would go off with
//! the thread of the node that started it. Everything that workers share is made before the first fork; afterwards
//! nothing here allocates what a worker would carry.

use super::child::{self, Seed};
use super::protocol::{Ask, Tell};
use super::socket::{self, Message};
use super::sys::{Forked, Own, fork};
use super::{EXIT_UNABLE, Task};
use crate::jail::Jail;
use rustix::event::epoll;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit, WaitId, WaitIdOptions, getrlimit, setrlimit, waitid};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// What epoll says for the control socket; workers have their number.
const CONTROL: u64 = u64::MAX;
/// Events a call of epoll_wait(2).
const EVENTS: usize = 64;
/// Descriptors of the zygote: one a worker, with room. The hard limit, if lower.
const OPEN_FILES: u64 = 16384;
/// When memory runs out on the machine, workers go before the node (range -1000 to 1000, proc_pid_oom_score_adj(5)).
const OOM_SCORE: &str = "500";

/// Runs a zygote in this process, started by [`crate::Zygote::start`], until the node ends; what to exit with. To be
/// called before there is a second thread. `prepare` makes what all workers begin with, and may start no thread that
/// stays; `work` does one worker's task in a process of its own and gives its exit code.
///
/// In `work` there is no file but the descriptors of the task, standard input and output are `/dev/null`.
pub fn zygote_main<T>(prepare: impl FnOnce() -> Result<T, String>, work: impl Fn(&T, Task) -> u8) -> u8 {
    let control = match take_control() {
        Ok(control) => control,
        Err(error) => {
            eprintln!("a zygote is started by a node only: {error}");
            return EXIT_UNABLE;
        }
    };
    let begun = check_threads().and_then(|()| prepare()).and_then(|prepared| {
        check_threads()?;
        let server = Server::new(control.as_fd()).map_err(|error| format!("cannot begin: {error}"))?;
        Ok((prepared, server))
    });
    match begun {
        Ok((prepared, mut server)) => match server.serve(&|task| work(&prepared, task)) {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("the zygote ends: {error}");
                EXIT_UNABLE
            }
        },
        Err(reason) => {
            eprintln!("the zygote cannot begin: {reason}");
            // The node hears it, or is gone.
            let _ = socket::send(&control, &Tell::Failed { reason }, &[]);
            EXIT_UNABLE
        }
    }
}

/// Takes the control socket from standard input, and puts `/dev/null` there and on standard output. Leaves the terminal's
/// session, whose Ctrl-C is meant for the node: it still has workers whose ends it wants to hear.
fn take_control() -> io::Result<OwnedFd> {
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::net::sockopt::socket_type(&control)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    match rustix::process::setsid() {
        // Started by hand, as the leader of a group.
        Ok(_) | Err(rustix::io::Errno::PERM) => Ok(control),
        Err(error) => Err(error.into()),
    }
}

/// A fork copies the calling thread alone; a lock that another one holds would be held for ever.
fn check_threads() -> Result<(), String> {
    let threads = std::fs::read_dir("/proc/self/task").map_err(|error| format!("/proc: {error}"))?.count();
    if threads == 1 { Ok(()) } else { Err(format!("a zygote has one thread, this one has {threads}")) }
}

struct Server<'a> {
    control: std::os::fd::BorrowedFd<'a>,
    epoll: OwnedFd,
    jail: Arc<Jail>,
    workers: HashMap<u64, OwnedFd>,
}

impl<'a> Server<'a> {
    fn new(control: std::os::fd::BorrowedFd<'a>) -> io::Result<Self> {
        // Both best effort: the first only decides who goes first when the whole machine is out of memory, without the
        // second there are fewer workers.
        let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
        let open_files = getrlimit(Resource::Nofile);
        let most = open_files.maximum.unwrap_or(OPEN_FILES).min(OPEN_FILES);
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: open_files.maximum });
        let jail = Arc::new(Jail::enter()?);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, control, epoll::EventData::new_u64(CONTROL), epoll::EventFlags::IN)?;
        socket::send(control, &Tell::Hello { jail: jail.layers() }, &[])?;
        Ok(Self { control, epoll, jail, workers: HashMap::new() })
    }

    fn serve(&mut self, work: &dyn Fn(Task) -> u8) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    CONTROL => match socket::receive(self.control)? {
                        Some(message) => self.answer(message, work)?,
                        None => return Ok(()),
                    },
                    park => self.reap(park)?,
                }
            }
        }
    }

    fn answer(&mut self, message: Message, work: &dyn Fn(Task) -> u8) -> io::Result<()> {
        match socket::parse(&message)? {
            Ask::Park { park, into } => {
                let mut fds = message.fds;
                let into = if into && !fds.is_empty() { Some(fds.remove(0)) } else { None };
                match self.park(park, into, fds, work) {
                    Ok((pid, pidfd, link)) => {
                        let told = socket::send(
                            self.control,
                            &Tell::Forked { park, pid },
                            &[pidfd.as_fd(), link.as_fd()],
                        );
                        self.workers.insert(park, pidfd);
                        told
                    }
                    Err(error) => {
                        socket::send(self.control, &Tell::Refused { park, reason: error.to_string() }, &[])
                    }
                }
            }
            Ask::Map { map, ids } => match self.jail.map(ids) {
                Ok(users) => socket::send(self.control, &Tell::Mapped { map }, &[users.as_fd()]),
                Err(error) => {
                    socket::send(self.control, &Tell::Unmapped { map, reason: error.to_string() }, &[])
                }
            },
        }
    }

    /// Forks a worker: its id, its pidfd, the node's end of its link.
    fn park(
        &self,
        park: u64,
        into: Option<OwnedFd>,
        join: Vec<OwnedFd>,
        work: &dyn Fn(Task) -> u8,
    ) -> io::Result<(u32, OwnedFd, OwnedFd)> {
        let (link, theirs) = socket::pair()?;
        rustix::io::ioctl_fionbio(&theirs, true)?;
        let own = Own { pids: self.jail.has_own_pids(), users: false };
        // Where the kernel can't fork into a group, the child joins it like the others.
        let (fork_into, join_into) =
            if self.jail.can_fork_into_group() { (into, None) } else { (None, into) };
        match fork(own, fork_into.as_ref().map(AsFd::as_fd))? {
            Forked::Child => child::live(Seed { link, join_into, join, jail: Arc::clone(&self.jail) }, work),
            Forked::Parent { pid, pidfd } => {
                let data = epoll::EventData::new_u64(park);
                epoll::add(&self.epoll, &pidfd, data, epoll::EventFlags::IN)?;
                Ok((pid.as_raw_nonzero().get().cast_unsigned(), pidfd, theirs))
            }
        }
    }

    fn reap(&mut self, park: u64) -> io::Result<()> {
        let Some(pidfd) = self.workers.remove(&park) else { return Ok(()) };
        let status = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)?;
        // The node has a copy of the descriptor, so closing this one doesn't take it out of the set.
        epoll::delete(&self.epoll, &pidfd)?;
        let code = status.as_ref().and_then(rustix::process::WaitIdStatus::exit_status);
        let signal = status.as_ref().and_then(rustix::process::WaitIdStatus::terminating_signal);
        socket::send(self.control, &Tell::Ended { park, code, signal }, &[])
    }
}
