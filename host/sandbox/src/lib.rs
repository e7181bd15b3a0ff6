//! cgroups v1, v2 and hybrid behind one trait, the worker processes inside them, and the jail around those.
//!
//! ```text
//! <parent>/hypermesh/<node>/<lease>/<leaf>     limits on the lease, processes only in leaves
//! ```
//!
//! A lease is a group with limits; every limit that is written is read back, and the pair goes into the receipt. Which
//! kernel interface holds them is decided once, in [`open`], from what is mounted and writable. Where nothing is, the
//! backend that it returns keeps no kernel state and says why in every receipt.
//!
//! A worker that runs a guest is forked by a [`zygote`] and jailed ([`jail`]); a program of ours with a task of its own is
//! started by name ([`worker`]).
//!
//! Left to others: which limits a lease gets (mesh), when to kill or remove (node), what a worker does.
//! Fails with [`CgroupError`], which names the file and, on a refused write, the value.

mod attach;
pub mod backend;
mod cpu;
mod cpuset;
mod detect;
mod devices;
mod enforce;
mod error;
mod freeze;
mod io;
pub mod jail;
mod journal;
mod kernel_backend;
mod kernel_fs;
mod kill;
mod marks;
mod oom;
mod pressure;
mod probe;
mod reserve;
mod resize;
mod search;
mod setting;
mod tree;
mod types;
mod unenforced;
mod usage;
mod v1;
mod v2;
pub mod worker;
pub mod zygote;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod v2_live_tests;
#[cfg(test)]
mod v2_tests;

pub use backend::{CgroupBackend, GroupEntry, TellOom, open};
pub use error::CgroupError;
pub use jail::{JailError, NetSupervisor, confine};
pub use probe::{Finding, probe};
pub use types::{
    CgroupSettings, CgroupVersion, CpuSet, FoundLease, GpuAccess, GroupPressure, GroupUsage, IoRule, Limits,
    MigAccess,
};
pub use types::{Pressure, Stall};
pub use worker::{Entry, PidFd, ProcessId, WorkerCommand, WorkerProcess, enter, identify, is_alive, spawn};
pub use zygote::{
    FolderError, FromWorker, GrantedFolder, Order, OrderFolder, Parked, Task, Worker, WorkerExit, Zygote,
    ZygoteCommand, ZygoteError, zygote_main,
};
