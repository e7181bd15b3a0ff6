//! Allocations: leases on a part of the machine.

use crate::uri::path;
use crate::{Client, ClientError};
use hypermesh_wire::allocations::{Allocation, AllocationQuery, CreateAllocation, Enforcement};
use hypermesh_wire::assets::Message;

impl Client {
    /// The allocations that match.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn allocations(&self, query: &AllocationQuery) -> Result<Vec<Allocation>, ClientError> {
        self.get_filtered(&path(&["allocations"]), query)
    }

    /// Leases a part of an asset.
    ///
    /// # Errors
    /// A 409 problem with every dimension that was short; see [`ClientError`].
    pub fn allocate(&self, request: &CreateAllocation) -> Result<Allocation, ClientError> {
        self.post(&path(&["allocations"]), request)
    }

    /// One allocation.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn allocation(&self, id: &str) -> Result<Allocation, ClientError> {
        self.get(&path(&["allocations", id]))
    }

    /// Ends an allocation and whatever runs in it.
    ///
    /// # Errors
    /// A 409 problem when it isn't active; see [`ClientError`].
    pub fn release(&self, id: &str) -> Result<Message, ClientError> {
        self.post_empty(&path(&["allocations", id, "release"]))
    }

    /// What the kernel holds for an allocation, read now.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn enforcement(&self, id: &str) -> Result<Enforcement, ClientError> {
        self.get(&path(&["allocations", id, "enforcement"]))
    }
}
