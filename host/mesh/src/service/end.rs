//! The end of a service, its way over a restart, and what is remembered of its numbers.
//!
//! A service ends once: it takes no request any more, the guests that have one are killed, then its record says so. Who
//! ends it by name also has its record, its log and the lease that was made for it removed.

use super::live::{Live, Stop};
use super::log::ServiceLog;
use crate::Mesh;
use crate::allocation::Ending;
use crate::error::MeshError;
use hypermesh_model::{
    EventKind, ExecutionId, Lease, LeaseId, LeaseStatus, Service, ServiceName, ServiceStatus, Timestamp,
    error_chain,
};
use hypermesh_store::Batch;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::Arc;

/// Ended services that are kept; older ones are forgotten with their logs.
const MAX_ENDED_KEPT: usize = 64;

impl Mesh {
    /// Ends a service and removes it, with its log and, if it was made for it, its lease. One that has ended is removed.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Conflict`] while its own lease is being changed.
    pub async fn remove_service(&self, name: &ServiceName) -> Result<(), MeshError> {
        let live = self.services.get(name)?;
        let mesh = self.clone();
        self.spawned(async move { mesh.remove_live(&live).await }).await?
    }

    async fn remove_live(&self, live: &Arc<Live>) -> Result<(), MeshError> {
        let service = live.record();
        let leased = self.lease(&service.lease_id).is_ok_and(|lease| !lease.status.is_final());
        if service.owns_lease && leased {
            // The lease's end ends the service first.
            match self.end_lease(&service.lease_id, Ending::ServiceEnded).await {
                // It is what ended the service, and is about to be gone.
                Err(MeshError::Conflict { .. }) if service.status == ServiceStatus::Ended => {}
                ended => drop(ended?),
            }
        }
        self.end_live(live, "somebody ended it").await?;
        self.services.remove(live);
        self.forget_service(&live.record()).await
    }

    /// Ends the services of a lease that ends.
    pub(crate) async fn end_services_in(&self, lease: &LeaseId, reason: &str) {
        for live in self.services.serving_in(lease) {
            if let Err(error) = self.end_live(&live, reason).await {
                // The next start finds it without a lease.
                tracing::error!(service = %live.record().name, error = error_chain(&error), "a service's end could not be recorded");
            }
        }
    }

    async fn end_live(&self, live: &Live, reason: &str) -> Result<(), MeshError> {
        live.turns.close();
        live.stop.send_replace(Stop::Ended);
        live.turns.idle().await;
        let ends = live.change(|service| {
            let serves = service.status == ServiceStatus::Serving;
            if serves {
                service.status = ServiceStatus::Ended;
                service.end_reason = Some(reason.to_owned());
                service.ended_at = Some(Timestamp::now());
            }
            serves
        });
        if !ends {
            return Ok(());
        }
        let service = live.record();
        let mut batch = Batch::new();
        batch.event(EventKind::ServiceEnded, service.id.as_str(), event_data(&service));
        batch.put(&self.tables.services, service);
        let committed = self.commit(batch, "recording the end of a service").await;
        live.log.wake();
        self.forget_ended_services().await?;
        committed
    }

    /// Drops the oldest ended services beyond [`MAX_ENDED_KEPT`].
    async fn forget_ended_services(&self) -> Result<(), MeshError> {
        let mut ended: Vec<_> = self
            .services
            .all()
            .into_iter()
            .filter(|live| live.record().status == ServiceStatus::Ended)
            .collect();
        ended.sort_by_key(|live| live.record().ended_at);
        for live in ended.iter().take(ended.len().saturating_sub(MAX_ENDED_KEPT)) {
            self.services.remove(live);
            self.forget_service(&live.record()).await?;
        }
        Ok(())
    }

    async fn forget_service(&self, service: &Service) -> Result<(), MeshError> {
        let mut batch = Batch::new();
        batch.delete(&self.tables.services, &service.id);
        self.commit(batch, "forgetting a service").await?;
        self.remove_service_folder(service).await;
        Ok(())
    }

    pub(super) async fn remove_service_folder(&self, service: &Service) {
        let folder = self.service_folder(service);
        let removed = self.blocking_mesh(move |_| match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(MeshError::internal("removing a service's folder")(Box::new(error)))
            }
            Ok(()) | Err(_) => Ok(()),
        });
        if let Err(error) = removed.await {
            tracing::warn!(service = %service.name, error = error_chain(&error), "a service's folder stays behind");
        }
    }

    /// Ends the requests of all services, since the node stops; the services serve again after its next start.
    pub(crate) async fn stop_services(&self) -> Result<(), MeshError> {
        for live in self.services.all() {
            live.turns.close();
            live.stop.send_if_modified(|stop| {
                let goes_on = *stop == Stop::Not;
                if goes_on {
                    *stop = Stop::NodeStops;
                }
                goes_on
            });
            live.turns.idle().await;
        }
        self.remember_services().await
    }

    /// Records the numbers of services that have changed.
    pub(crate) async fn remember_services(&self) -> Result<(), MeshError> {
        let mut batch = Batch::new();
        let mut changed = false;
        for service in self.services.all().iter().filter_map(|live| live.take_changed()) {
            changed = true;
            batch.put(&self.tables.services, service);
        }
        if changed { self.commit_intention(batch, "recording what services did").await } else { Ok(()) }
    }

    /// The leases that were made for services that serve: those are needed after a restart.
    pub(crate) fn leases_of_services(&self) -> Vec<LeaseId> {
        let own = |service: &Service| service.owns_lease && service.status == ServiceStatus::Serving;
        self.tables.services.filter(own).into_iter().map(|service| service.lease_id).collect()
    }

    /// Takes over the services that an earlier run of this node had, once their leases were recovered.
    pub(crate) async fn recover_services(&self) -> Result<(), MeshError> {
        for service in self.tables.services.all() {
            let folder = self.service_folder(&service);
            let log = self
                .blocking_mesh(move |_| {
                    let fault = |e: io::Error| MeshError::internal("opening a service's log")(Box::new(e));
                    fs::create_dir_all(&folder).map_err(fault)?;
                    ServiceLog::open(&folder).map_err(fault)
                })
                .await?;
            let live = Arc::new(Live::new(service.clone(), log));
            self.services.insert(service.name.clone(), Arc::clone(&live));
            if service.status == ServiceStatus::Ended {
                continue;
            }
            match self.lease(&service.lease_id) {
                Ok(lease) if matches!(lease.status, LeaseStatus::Active | LeaseStatus::Frozen) => {
                    self.end_lost_requests(&lease).await;
                    let mut batch = Batch::new();
                    batch.event(EventKind::ServiceAdopted, service.id.as_str(), event_data(&service));
                    self.commit(batch, "recording an adoption").await?;
                }
                Ok(_) | Err(_) => {
                    self.end_live(&live, "its allocation ended while the node was down").await?
                }
            }
        }
        Ok(())
    }

    /// Kills the guests whose requests ended with the node: nobody is left who hears their answer. Their leaves, and
    /// those of workers that were parked, are named as those of executions are; what was put into the lease otherwise
    /// stays.
    async fn end_lost_requests(&self, lease: &Lease) {
        let id = lease.id.clone();
        let kept: BTreeSet<String> = self
            .tables
            .executions
            .filter(|execution| execution.lease_id == id && !execution.status.is_final())
            .into_iter()
            .map(|execution| execution.leaf)
            .collect();
        let ended = self.blocking("ending what is left of requests", move |mesh| {
            for leaf in mesh.cgroups.leaves(&id)? {
                let ours = leaf.starts_with(LEAF_PREFIX) && ExecutionId::parse(leaf.as_str()).is_ok();
                if ours && !kept.contains(&leaf) {
                    mesh.cgroups.kill(&id, Some(leaf.as_str()))?;
                    mesh.cgroups.remove_leaf(&id, leaf.as_str())?;
                }
            }
            Ok(())
        });
        if let Err(error) = ended.await {
            tracing::warn!(lease = %lease.id, error = error_chain(&error), "what is left of requests could not be ended");
        }
    }
}

/// How the leaves begin in which workers are parked: they are named by ids of executions.
const LEAF_PREFIX: &str = "exec-";

/// What an event says of a service.
pub(super) fn event_data(service: &Service) -> serde_json::Value {
    json!({
        "name": service.name,
        "vm_asset_id": service.vm_asset_id,
        "allocation_id": service.lease_id,
        "requester_id": service.requester,
        "status": service.status,
        "reason": service.end_reason,
    })
}
