//! Allocations: leases on a part of the machine.

use crate::uri::{path, with_query};
use crate::usage::UsageStream;
use crate::{Client, ClientError};
use hypermesh_wire::allocations::{
    Allocation, AllocationPlan, AllocationQuery, AllocationUsage, AttachProcess, Attached, CreateAllocation,
    CreateQuery, Enforcement, RenewAllocation, ResizeAllocation,
};
use hypermesh_wire::assets::Message;
use hypermesh_wire::queue::QueueEntry;
use hypermesh_wire::volumes::Volume;
use ureq::http::Method;

/// The header under which the same request sent twice makes one allocation.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The header that lets a change through only at a generation (RFC 9110, 13.1.1).
const IF_MATCH: &str = "if-match";

/// The headers of a change that is meant for this generation.
fn at(expected: Option<u64>) -> Option<(&'static str, String)> {
    expected.map(|generation| (IF_MATCH, format!("\"{generation}\"")))
}

impl Client {
    /// The allocations that match.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn allocations(&self, query: &AllocationQuery) -> Result<Vec<Allocation>, ClientError> {
        self.get_filtered(&path(&["allocations"]), query)
    }

    /// Leases a part of an asset. With `wait_s` or `start_time` it may answer with one that holds nothing yet: see its
    /// `phase`.
    ///
    /// # Errors
    /// A 409 problem with every dimension that was short; see [`ClientError`].
    pub fn allocate(&self, request: &CreateAllocation) -> Result<Allocation, ClientError> {
        self.post(&path(&["allocations"]), request)
    }

    /// The same under a key of 1 to 64 visible ASCII characters: sent again, it gives the allocation of the first time.
    ///
    /// # Errors
    /// As [`Self::allocate`], and a 422 problem where the key stands for another request.
    pub fn allocate_once(&self, request: &CreateAllocation, key: &str) -> Result<Allocation, ClientError> {
        let header = Some((IDEMPOTENCY_KEY, key.to_owned()));
        self.send_json(Method::POST, &path(&["allocations"]), header, request)
    }

    /// What [`Self::allocate`] would lead to. Makes nothing.
    ///
    /// # Errors
    /// As [`Self::allocate`], but what does not fit is an answer.
    pub fn preview(&self, request: &CreateAllocation) -> Result<AllocationPlan, ClientError> {
        let query = CreateQuery { dry_run: Some(true) };
        self.post(&with_query(&path(&["allocations"]), &query)?, request)
    }

    /// One allocation.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn allocation(&self, id: &str) -> Result<Allocation, ClientError> {
        self.get(&path(&["allocations", id]))
    }

    /// Changes the size of an allocation; if it is at the generation `expected`, where one is given.
    ///
    /// # Errors
    /// A 409 problem with the numbers where there is no room, or more in use; 412 at another generation; see
    /// [`ClientError`].
    pub fn resize(
        &self,
        id: &str,
        change: &ResizeAllocation,
        expected: Option<u64>,
    ) -> Result<Allocation, ClientError> {
        self.send_json(Method::PATCH, &path(&["allocations", id]), at(expected), change)
    }

    /// Lets an allocation end `duration` seconds from now; a frozen one goes on.
    ///
    /// # Errors
    /// A 409 problem where that is earlier than now, or runs into a reservation; 412 at another generation than
    /// `expected`; see [`ClientError`].
    pub fn renew(&self, id: &str, duration: u64, expected: Option<u64>) -> Result<Allocation, ClientError> {
        let body = RenewAllocation { duration };
        self.send_json(Method::POST, &path(&["allocations", id, "renew"]), at(expected), &body)
    }

    /// Ends an allocation and whatever runs in it; one that waits or is reserved is withdrawn.
    ///
    /// # Errors
    /// A 409 problem when it has ended; see [`ClientError`].
    pub fn release(&self, id: &str) -> Result<Message, ClientError> {
        self.post_empty(&path(&["allocations", id, "release"]))
    }

    /// Moves a running process of the node's machine into an allocation.
    ///
    /// # Errors
    /// A 409 problem where it can't be moved; see [`ClientError`].
    pub fn attach(&self, id: &str, pid: u32) -> Result<Attached, ClientError> {
        self.post(&path(&["allocations", id, "attach"]), &AttachProcess { pid })
    }

    /// What the kernel holds for an allocation, read now.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn enforcement(&self, id: &str) -> Result<Enforcement, ClientError> {
        self.get(&path(&["allocations", id, "enforcement"]))
    }

    /// What an allocation uses, read now.
    ///
    /// # Errors
    /// A 409 problem while there is nothing that could use something; see [`ClientError`].
    pub fn usage(&self, id: &str) -> Result<AllocationUsage, ClientError> {
        self.get(&path(&["allocations", id, "usage"]))
    }

    /// What an allocation uses, every `interval` seconds (1 to 60) until it ends. Connects at once.
    ///
    /// # Errors
    /// As [`Self::usage`].
    pub fn follow_usage(&self, id: &str, interval: u64) -> Result<UsageStream, ClientError> {
        UsageStream::open(self, id, interval)
    }

    /// The allocations that wait for room, the next one first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn queue(&self) -> Result<Vec<QueueEntry>, ClientError> {
        self.get(&path(&["queue"]))
    }

    /// The folders of allocations, live ones and those that were kept.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn volumes(&self) -> Result<Vec<Volume>, ClientError> {
        self.get(&path(&["volumes"]))
    }

    /// Removes a kept folder with what is in it.
    ///
    /// # Errors
    /// A 409 problem while its allocation lives; see [`ClientError`].
    pub fn remove_volume(&self, allocation: &str) -> Result<Message, ClientError> {
        self.delete(&path(&["volumes", allocation]))
    }
}
