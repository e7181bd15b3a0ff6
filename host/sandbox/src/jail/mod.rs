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

mod identity;
mod limits;
mod namespaces;
mod users;

pub(crate) use limits::limit_parked;

use crate::zygote::{Forked, IdMap, Order, Own, fork};
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
    layers: Vec<JailLayer>,
}

/// A worker's jail, begun and still open.
#[derive(Debug)]
pub(crate) struct Open {}

impl Jail {
    /// Enters the namespaces that workers share, and probes what each worker can do.
    ///
    /// # Errors
    /// When the machine lacks what no layer is about, such as `/proc`.
    pub(crate) fn enter() -> io::Result<Self> {
        let into_group = crate::zygote::can_fork_into_group().map_err(|error| error.to_string());
        let namespaces = Namespaces::enter()?;
        let mut layers = namespaces.layers();
        layers.push(layer("fork_into_cgroup", &into_group, "a worker never runs outside its group"));
        layers.push(identity::uid_layer(&namespaces));
        Ok(Self { namespaces, into_group, layers })
    }

    pub(crate) fn layers(&self) -> &[JailLayer] {
        &self.layers
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

    /// In a worker, at its order: becomes who it is to be and takes the limits on.
    pub(crate) fn begin(
        self: &Arc<Self>,
        order: &Order,
        _folders: &[(BorrowedFd<'_>, bool)],
    ) -> Result<Open, JailError> {
        limits::limit(order)?;
        identity::become_nobody(order.uid, false)?;
        Ok(Open {})
    }
}

impl Open {
    /// Closes it for good.
    pub(crate) fn close(self, _hand_over: impl FnOnce(OwnedFd) -> io::Result<()>) -> Result<(), JailError> {
        Ok(())
    }
}

/// An entry of the report.
fn layer(name: &str, state: &Result<(), String>, detail: &str) -> JailLayer {
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
