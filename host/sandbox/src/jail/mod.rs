//! The jail around a guest: what surrounds it beside the limits of its group.
//!
//! | layer | made | what it takes away |
//! |---|---|---|
//! | namespaces | once, by the zygote; of processes: by each fork | files, networks, other processes, shared memory, names |
//! | identity | at the order | the user, groups, every capability, ways to get any back |
//! | limits | at fork and order | core dumps, locked memory, descriptors, file sizes |
//! | Landlock | when the code is mapped | opening anything but the granted folders; TCP; signals to others |
//! | seccomp | last | every call that is not on the list: it kills the process |
//!
//! Each layer is probed when the zygote starts. One that the kernel refuses is not active, says why, and the others
//! remain. One that is active and can't be put around a worker is an error of that worker: it ends before the guest
//! begins. What holds without rights: all but the other user; the namespaces come with one of users then.

mod confine;
mod identity;
mod landlock;
mod limits;
mod mount;
mod namespaces;
mod network;
mod seccomp;
mod sys;
mod users;

pub use confine::confine;
pub(crate) use limits::limit_parked;
pub(crate) use mount::Mount;
pub use network::NetSupervisor;

use crate::zygote::{Forked, IdMap, Order, Own, can_fork_into_group, fork};
use hypermesh_model::JailLayer;
use namespaces::Namespaces;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use thiserror::Error;

/// What a worker exits with whose jail can't be closed.
pub const EXIT_NO_JAIL: u8 = crate::zygote::EXIT_UNABLE;

/// A layer that should be active and isn't.
#[derive(Debug, Error)]
#[error("cannot {what}")]
pub struct JailError {
    what: &'static str,
    /// What the kernel said.
    #[source]
    source: io::Error,
}

impl JailError {
    /// What could not be done, and why.
    pub(crate) fn into_parts(self) -> (&'static str, io::Error) {
        (self.what, self.source)
    }

    /// For `map_err`.
    fn because<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self { what, source: error.into() }
    }
}

/// What the zygote found and made, for its workers.
#[derive(Debug)]
pub(crate) struct Jail {
    namespaces: Namespaces,
    into_group: Result<(), String>,
    /// The version of its interface.
    landlock: Result<i64, String>,
    programs: Result<seccomp::Programs, String>,
    answers: Result<(), String>,
    /// Whether a worker may become another user.
    uid: Result<(), String>,
}

/// A worker's jail, begun and still open.
#[derive(Debug)]
pub(crate) struct Open {
    jail: Arc<Jail>,
    needs: seccomp::Needs,
    /// What may be opened, where there is Landlock.
    files: Option<::landlock::RulesetCreated>,
}

impl Jail {
    /// Enters the namespaces that workers share, and probes what each worker can do.
    ///
    /// # Errors
    /// When the machine lacks what no layer is about, such as `/proc`.
    pub(crate) fn enter() -> io::Result<Self> {
        let as_root = identity::can_become();
        let namespaces = Namespaces::enter()?;
        let uid = match namespaces.users {
            Some(Ok(())) => as_root.and(Err("there is one user in the user namespace".to_owned())),
            Some(Err(_)) | None => as_root,
        };
        identity::forswear().map_err(io::Error::other)?;
        let around =
            seccomp::Around { empty_root: namespaces.mounts.is_ok(), own_pids: namespaces.pids.is_ok() };
        Ok(Self {
            into_group: can_fork_into_group().map_err(|error| format!("clone3(2): {error}")),
            landlock: landlock::probe(),
            programs: seccomp::Programs::build(around),
            answers: seccomp::can_answer(),
            uid,
            namespaces,
        })
    }

    /// The report, in the order in which they are put around a worker.
    pub(crate) fn layers(&self) -> Vec<JailLayer> {
        let always = Ok(());
        let mut layers = self.namespaces.layers();
        let files = self.landlock.as_ref().copied().map_or_else(|_| String::new(), landlock::describe);
        let programs = self.programs.as_ref().map(|_| ()).map_err(String::clone);
        layers.extend([
            layer(
                "fork_into_cgroup",
                &self.into_group,
                "a worker is in its cgroup2 group from its first instruction",
            ),
            layer("descriptors", &always, "none but those of its order"),
            layer("rlimits", &always, "core, memlock, nofile; fsize and cpu as ordered"),
            layer("uid", &self.uid, "a user of its own, as ordered, in no other group"),
            layer("capabilities", &always, "none, and none to be had"),
            layer("no_new_privileges", &always, "programs can't raise them"),
            layer("landlock", &self.landlock.as_ref().map(|_| ()).map_err(String::clone), &files),
            layer("seccomp", &programs, "a call that is not on the list kills the worker"),
            layer(
                "network_grants",
                &self.answers,
                "the node connects for the worker, to granted addresses only",
            ),
        ]);
        layers
    }

    pub(crate) fn has_own_pids(&self) -> bool {
        self.namespaces.pids.is_ok()
    }

    pub(crate) fn can_fork_into_group(&self) -> bool {
        self.into_group.is_ok()
    }

    /// A user namespace with a map.
    pub(crate) fn map(&self, ids: IdMap) -> io::Result<OwnedFd> {
        users::map(&self.namespaces, ids)
    }

    /// In a worker, at its order: becomes who it is to be and takes the limits on. `folders` with whether they are
    /// writable.
    pub(crate) fn begin(
        self: &Arc<Self>,
        order: &Order,
        folders: &[(BorrowedFd<'_>, bool)],
    ) -> Result<Open, JailError> {
        let refused = |what, reason: &String| Err(JailError::because(what)(io::Error::other(reason.clone())));
        match (&self.uid, order.uid) {
            (Err(reason), Some(_)) => return refused("become another user", reason),
            (Ok(()), _) | (Err(_), None) => {}
        }
        match (&self.answers, order.network) {
            (Err(reason), true) => return refused("have a network", reason),
            (Ok(()), _) | (Err(_), false) => {}
        }
        let files = match self.landlock {
            Ok(_) => Some(landlock::closed().and_then(|closed| {
                folders
                    .iter()
                    .try_fold(closed, |ruleset, (fd, is_writable)| landlock::grant(ruleset, fd, *is_writable))
            })),
            Err(_) => None,
        };
        let files = files.transpose().map_err(JailError::because("make a Landlock ruleset"))?;
        limits::limit(order)?;
        // The node answers network calls by looking into the worker, which without root only the same user's may do
        // who finds it open; the kernel's other conditions for that still hold (ptrace(2), "Ptrace access mode checking").
        let is_watched = order.network && self.uid.is_err();
        identity::become_nobody(order.uid, is_watched)?;
        let needs = seccomp::Needs { folders: !folders.is_empty(), network: order.network };
        Ok(Open { jail: Arc::clone(self), needs, files })
    }
}

impl Open {
    /// Closes it for good. `hand_over` gets the listener of network calls, where the order has a network.
    pub(crate) fn close(self, hand_over: impl FnOnce(OwnedFd) -> io::Result<()>) -> Result<(), JailError> {
        if let Some(files) = self.files {
            landlock::restrict(files).map_err(JailError::because("close Landlock"))?;
        }
        match &self.jail.programs {
            Ok(programs) => programs.install(self.needs, hand_over),
            Err(_not_active) => Ok(()),
        }
    }
}

/// An entry of the report.
pub(crate) fn layer(name: &str, state: &Result<(), String>, detail: &str) -> JailLayer {
    JailLayer {
        layer: name.to_owned(),
        active: state.is_ok(),
        detail: state.as_ref().err().cloned().unwrap_or_else(|| detail.to_owned()),
    }
}

/// Whether a fork can have a PID namespace of its own: one that ends at once tells.
fn probe_pids() -> io::Result<()> {
    match fork(Own { pids: true, users: false }, None)? {
        Forked::Child => std::process::exit(0),
        Forked::Parent { pidfd, .. } => {
            waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)?;
            Ok(())
        }
    }
}
