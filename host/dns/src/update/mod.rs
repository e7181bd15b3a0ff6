//! Updates of clients (RFC 2136): read and checked here, made durable by the domain, applied by it, answered here.
//!
//! An update is turned into plain changes against one snapshot, with the prerequisites checked against the same. Between
//! that and the commit the zone may change; so the domain gets the snapshot's serial number and refuses what is
//! [`Refusal::Stale`], and it is all done again against the new one. Every change moves the serial number, so nothing
//! slips between.

mod perform;
mod plan;
mod read;

pub(crate) use perform::perform;

use crate::name::Name;
use crate::zone::Change;
use std::pin::Pin;
use thiserror::Error;

/// What a client wants changed, and may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// In their order; all or none. Only what isn't so already.
    pub changes: Vec<Change>,
    /// The serial number of the snapshot that this was checked against.
    pub base_serial: u32,
    /// The key that signed it.
    pub key: Name,
}

/// A commit on its way.
pub type Commit<'a> = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send + 'a>>;

/// Who keeps the records.
pub trait Updates: Send + Sync {
    /// Makes the changes durable, then applies them to the [`Zones`](crate::Zones) that the server has, in one critical
    /// section with the check that `base_serial` is still the newest.
    fn commit(&self, update: Update) -> Commit<'_>;
}

/// An update that wasn't made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The zone has changed since; it is checked and tried again.
    #[error("the zone has changed in the meantime")]
    Stale,
    /// A rule of the domain forbids it: REFUSED.
    #[error("the update is not allowed: {0}")]
    Denied(String),
    /// It can't be kept just now: SERVFAIL.
    #[error("the update could not be made: {0}")]
    Failed(String),
}
