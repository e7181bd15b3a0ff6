//! How a process that the node does not start gets into a lease: the files to write to.
//!
//! Which groups a lease has, and which of them take in processes themselves, differs between v1, v2 and hybrid and
//! between pinned leases and others. The backend knows; a caller is told files and nothing else.

use crate::Mesh;
use crate::error::MeshError;
use hypermesh_model::LeaseId;

/// Stands in a path for the name of the leaf that the joiner makes.
const LEAF: &str = "{leaf}";

impl Mesh {
    /// The `cgroup.procs` files to which a process writes `0` to join a lease, all of them, in this order; `{leaf}` in
    /// one stands for a group that it makes itself. Empty for a lease that has no group.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub fn join_files(&self, id: &LeaseId) -> Result<Vec<String>, MeshError> {
        if !self.lease(id)?.status.has_group() {
            return Ok(Vec::new());
        }
        let files = self.cgroups.join_files(id, LEAF);
        Ok(files.into_iter().map(|file| file.to_string_lossy().into_owned()).collect())
    }
}
