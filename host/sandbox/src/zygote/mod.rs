//! The zygote, and the workers that it forks.
//!
//! ```text
//! node ── control socket ── zygote ── fork ── worker, parked ── one order ── worker, jailed ── end
//!   └───────────────────────────── link ─────────┘
//! ```
//!
//! The node never forks: its page tables are large, and a fork of it costs tens of milliseconds. The zygote is a small
//! process of one thread that has prepared what workers need ([`zygote_main`]), so that a worker begins with it. It
//! enters the namespaces that workers share once; each worker is forked into its group, waits for one order, becomes
//! another user, gives up what it may ([`crate::jail`]), does its work and ends.
//!
//! | who ends | what ends with it |
//! |---|---|
//! | the node | the zygote, since its control socket does; what is parked, since its link does |
//! | the zygote | what is parked, by its parent-death signal |
//! | either | not what has started: it runs on, and the node that comes next finds it again |
//!
//! Left to others: which work, which limits the groups have, how many are parked, what an end means.

mod child;
mod error;
mod folder;
mod node;
mod parked;
mod protocol;
mod reader;
mod serve;
mod socket;
mod sys;
mod task;

pub(crate) use protocol::IdMap;
pub(crate) use sys::{Forked, Own, can_fork_into_group, close_all_but, fork, unshare};

pub use error::ZygoteError;
pub use folder::{FolderError, GrantedFolder};
pub use node::{TellEnd, TellEnded, TellParked, Zygote, ZygoteCommand};
pub use parked::{FromWorker, Parked, Worker};
pub use protocol::{Order, OrderFolder};
pub use serve::zygote_main;
pub use task::Task;

use std::fmt;

/// Longest job. It is copied twice.
pub const MAX_JOB_BYTES: usize = 4 << 20;
/// What a zygote or worker exits with that could not set itself up (`EX_SOFTWARE` of sysexits.h).
pub(crate) const EXIT_UNABLE: u8 = 70;

/// How a worker ended. Both `None`: nobody knows, since its zygote had ended before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerExit {
    /// What it exited with, 0 to 255.
    pub code: Option<i32>,
    /// The signal that ended it: 9 by the node or the OOM killer, 31 (SIGSYS) for a call that its jail forbids.
    pub signal: Option<i32>,
}

impl fmt::Display for WorkerExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("an unknown end"),
        }
    }
}
