//! Services: HTTP guests that the node serves, an instance a request.
//!
//! ```text
//! request ─▶ its turn ─▶ worker from the lease's pool ─▶ one exchange over a socket pair ─▶ worker ends, leaf removed
//! ```
//! A service is a record and a lease. While nobody asks it holds no process but what the lease's pool keeps parked, so a
//! restarted node serves it again by reading its record. It ends with its lease; a lease that was made for it ends with it.
//!
//! * `live`: which there are · `turns`: whose turn it is · `begin`: making one · `end`: ending, adopting, remembering
//! * `request`: one request · `give`: what its worker gets · `drive`: that worker, to its end
//! * `log`, `lines`, `follow`: what the guests log
//!
//! Left to others: HTTP itself. What a caller of [`Mesh::begin_exchange`] gets is a socket on which a guest answers one
//! HTTP/1.1 request.

mod begin;
mod drive;
mod end;
mod follow;
mod give;
mod lines;
mod live;
mod log;
mod request;
mod turns;

pub use follow::ServiceLogFollower;
pub use hypermesh_engine::NO_RESPONSE;
pub use live::{MAX_SERVICES, Services};
pub use request::{Exchange, ExchangeEnd};

use crate::Mesh;
use crate::error::MeshError;
use crate::execution::WORKER_OVERHEAD;
use hypermesh_model::{AssetId, Bytes, Lease, LeaseId, Service, ServiceName, ServiceTerms};
use live::Live;
use std::path::PathBuf;

/// The smallest memory in which an HTTP guest can run beside its worker: some pages of code's data, a stack, a body's
/// pieces.
const MIN_GUEST_MEMORY: Bytes = Bytes::mib(8);

/// A service to make.
#[derive(Debug, Clone)]
pub struct ServeRequest {
    /// Its name.
    pub name: ServiceName,
    /// The vm asset whose component answers.
    pub vm_asset_id: AssetId,
    /// Run in this lease; `None` makes one.
    pub lease: Option<LeaseId>,
    /// Life of the lease that is made for it, seconds.
    pub allocation_seconds: u64,
    /// How it treats its requests.
    pub terms: ServiceTerms,
}

/// A service as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceView {
    /// Its record, with its numbers as they are now.
    pub service: Service,
    /// Requests that a guest has now.
    pub running: usize,
    /// Requests that wait for their turn now.
    pub waiting: usize,
    /// Memory that a guest may have for its request; `None` when the lease is no longer known.
    pub memory_per_request: Option<Bytes>,
    /// Log lines that are no longer there, or never were.
    pub dropped_log_lines: u64,
}

impl Mesh {
    /// All services, by name; those that have ended as long as they are kept.
    pub fn services(&self) -> Vec<ServiceView> {
        self.services.all().iter().map(|live| self.view(live)).collect()
    }

    /// One service.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub fn service(&self, name: &ServiceName) -> Result<ServiceView, MeshError> {
        Ok(self.view(&*self.services.get(name)?))
    }

    fn view(&self, live: &Live) -> ServiceView {
        let service = live.record();
        let lease = self.lease(&service.lease_id).ok();
        ServiceView {
            running: live.turns.running(),
            waiting: live.turns.waiting(),
            memory_per_request: lease
                .map(|lease| memory_of_each(&lease, &service.terms, service.limits.max_memory)),
            dropped_log_lines: live.log.dropped() + service.usage.dropped_log_lines,
            service,
        }
    }

    fn service_folder(&self, service: &Service) -> PathBuf {
        self.settings.data_dir.join("services").join(service.id.as_str())
    }
}

/// What a guest may hold: an equal part of the lease's memory, so that no request can take another's, less what its
/// worker needs; and no more than the vm's limit.
fn memory_of_each(lease: &Lease, terms: &ServiceTerms, most: Bytes) -> Bytes {
    let all = lease.grant.memory.unwrap_or(most).0;
    let part = all / u64::from(terms.concurrency.max(1));
    Bytes(part.min(most.0).saturating_sub(WORKER_OVERHEAD.0))
}

/// Refuses a concurrency for which the memory is too small.
fn check_memory(memory: Bytes, terms: &ServiceTerms) -> Result<(), MeshError> {
    let needed = (WORKER_OVERHEAD.0 + MIN_GUEST_MEMORY.0) * u64::from(terms.concurrency);
    if memory.0 >= needed {
        return Ok(());
    }
    let detail = format!(
        "{} requests at the same time need at least {} of memory, and there are {memory}: ask for fewer, or for more memory",
        terms.concurrency,
        Bytes(needed)
    );
    Err(MeshError::unfit("concurrency", detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn terms(concurrency: u32) -> ServiceTerms {
        ServiceTerms {
            concurrency,
            timeout_seconds: 30,
            max_body: Bytes::mib(1),
            folders: Vec::new(),
            network: Vec::new(),
        }
    }

    #[test]
    fn the_default_vm_serves_eight_at_the_same_time_and_no_more() {
        assert!(check_memory(Bytes::mib(256), &terms(8)).is_ok());
        assert!(
            matches!(check_memory(Bytes::mib(256), &terms(9)), Err(MeshError::Unfit { member, .. }) if member == "concurrency")
        );
    }

    proptest! {
        #[test]
        fn what_is_admitted_leaves_each_its_memory(memory in 0u64..1 << 36, concurrency in 1u32..=64) {
            let (memory, terms) = (Bytes(memory), terms(concurrency));
            let each = (memory.0 / u64::from(concurrency)).saturating_sub(WORKER_OVERHEAD.0);
            prop_assert_eq!(check_memory(memory, &terms).is_ok(), each >= MIN_GUEST_MEMORY.0);
        }
    }
}
