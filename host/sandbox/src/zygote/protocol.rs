//! What node, zygote and worker say to each other.

use hypermesh_model::JailLayer;
use serde::{Deserialize, Serialize};

/// From the node to the zygote.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// Fork a worker. Descriptors: a cgroup2 folder if `into`, then files to write `0` to.
    Park {
        /// Names it in the answers.
        park: u64,
        into: bool,
    },
    /// Make a user namespace that maps one user and one group.
    Map { map: u64, ids: IdMap },
}

/// One user and one group, as a file system has them and as a worker is to see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct IdMap {
    pub(crate) from_uid: u32,
    pub(crate) from_gid: u32,
    pub(crate) to: u32,
}

/// From the zygote to the node.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Tell {
    /// It is ready.
    Hello { jail: Vec<JailLayer> },
    /// It is not, and ends.
    Failed { reason: String },
    /// A worker was forked. Descriptors: its pidfd, the node's end of its link.
    Forked { park: u64, pid: u32 },
    /// A worker could not be forked.
    Refused { park: u64, reason: String },
    /// A worker ended.
    Ended { park: u64, code: Option<i32>, signal: Option<i32> },
    /// Descriptor: the user namespace.
    Mapped { map: u64 },
    /// There is no such namespace.
    Unmapped { map: u64, reason: String },
}

/// What a worker is to become, and which of the descriptors of its one order are what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The user and group that it becomes, with no other groups. `None`: those of the zygote. An error of the worker where
    /// the layer `uid` is not active.
    pub uid: Option<u32>,
    /// RLIMIT_NOFILE.
    pub open_files: u64,
    /// RLIMIT_FSIZE: the largest file that it may write, in bytes; `None` leaves it as it is.
    pub file_bytes: Option<u64>,
    /// RLIMIT_CPU in seconds of CPU time, after which the kernel kills it: a last net, the cgroup's limits come first.
    pub cpu_seconds: Option<u64>,
    /// The folders that it may open files in.
    pub folders: Vec<OrderFolder>,
    /// Whether it may ask the node for TCP connections (see [`crate::NetSupervisor`]).
    pub network: bool,
    /// The descriptor that becomes its standard error, by index; `None`: the zygote's.
    pub stderr: Option<usize>,
}

/// A folder that a worker may open files in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderFolder {
    /// Its descriptor, by index.
    pub fd: usize,
    /// Whether files may be written, made, renamed and removed in it.
    pub writable: bool,
}

/// From the node to a parked worker. Descriptors: the job, then those that the order speaks of.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) order: Order,
    pub(crate) job_bytes: usize,
}

/// First byte of a worker's first message: it is in its groups and waits.
pub(crate) const READY: u8 = b'R';
/// First byte of a worker's first message: it could not get ready; the rest says why.
pub(crate) const UNREADY: u8 = b'E';
/// The message that carries the listener of its network calls. Two bytes, since what a worker says has one.
pub(crate) const LISTENER: &[u8] = b"N!";
