//! What a worker is given: its order, and descriptors with a role each.
//!
//! A worker has no filesystem, so everything that it may touch is a descriptor that the node opened.

use crate::error::MeshError;
use hypermesh_engine::JobSpec;
use hypermesh_model::FolderGrant;
use hypermesh_sandbox::{OrderFolder, Zygote};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a descriptor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// The compiled artefact, read-only.
    Artefact,
    /// Log lines, one JSON text a line.
    Log,
    /// How it ended.
    Outcome,
    /// The worker's own words.
    Stderr,
    /// The folder of the granted inputs.
    Inputs,
    /// The folder of the guest's outputs.
    Outputs,
    /// Standard input of the guest.
    Stdin,
    /// Standard output of the guest.
    Stdout,
    /// A granted folder; in the order of the specification's.
    Folder,
    /// A connection to serve one HTTP request on.
    Connection,
}

/// The job as the worker reads it: the descriptors come in the order of `roles`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WorkerJob {
    pub(crate) spec: JobSpec,
    pub(crate) roles: Vec<Role>,
}

/// Descriptors that are collected for a worker.
#[derive(Debug, Default)]
pub(crate) struct Descriptors {
    roles: Vec<Role>,
    fds: Vec<OwnedFd>,
}

impl Descriptors {
    /// Adds one; its index.
    pub(crate) fn add(&mut self, role: Role, fd: impl Into<OwnedFd>) -> usize {
        self.roles.push(role);
        self.fds.push(fd.into());
        self.fds.len() - 1
    }

    /// Opens a granted folder through the zygote and adds it.
    ///
    /// # Errors
    /// When it can't be opened, or there is no zygote.
    pub(crate) fn grant(
        &mut self,
        zygote: Option<&Zygote>,
        folder: &FolderGrant,
        uid: Option<u32>,
    ) -> Result<OrderFolder, MeshError> {
        let fault = MeshError::internal("granting a folder");
        let Some(zygote) = zygote else { return Err(fault("no zygote".into())) };
        let opened =
            zygote.grant_folder(&folder.path, folder.writable, uid).map_err(|e| fault(Box::new(e)))?;
        Ok(OrderFolder { fd: self.add(Role::Folder, opened.fd), writable: folder.writable })
    }

    /// What each is for.
    pub(crate) fn roles(&self) -> Vec<Role> {
        self.roles.clone()
    }

    /// The first one with a role, by index.
    pub(crate) fn at(&self, role: Role) -> Option<usize> {
        self.roles.iter().position(|r| *r == role)
    }

    /// The descriptors.
    pub(crate) fn borrowed(&self) -> Vec<BorrowedFd<'_>> {
        self.fds.iter().map(AsFd::as_fd).collect()
    }
}
