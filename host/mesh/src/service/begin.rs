//! Making a service: its name, its artefact, its lease, its folder, its record.
//!
//! The record comes last and is what counts. A node that dies before it has written it finds a lease that was made for
//! something that is not there, and ends it.

use super::live::{Claim, Live};
use super::log::ServiceLog;
use super::{ServeRequest, ServiceView, check_memory};
use crate::Mesh;
use crate::allocation::{DEFAULT_PIDS, Ending, ForExecution};
use crate::error::MeshError;
use crate::failpoint::at;
use hypermesh_engine::Profile;
use hypermesh_model::{
    Asset, EventKind, Lease, LeaseId, LeaseStatus, MilliCpu, Package, Service, ServiceId, ServiceStatus,
    ServiceTerms, ServiceUsage, Subject, Terms, Timestamp, VmLimits, World, error_chain,
};
use hypermesh_planner::Wanted;
use hypermesh_store::Batch;
use std::fs;
use std::sync::Arc;

/// Processes and threads for each request: its worker, and one that is parked.
const PIDS_FOR_EACH: u32 = 4;

/// What was found to be right.
struct Checked {
    asset: Asset,
    limits: VmLimits,
    package: Package,
}

impl Mesh {
    /// Makes a service; it serves when this returns.
    ///
    /// # Errors
    /// [`MeshError::NotFound`] for the vm; [`MeshError::Conflict`] for a package that answers no HTTP, a name that is
    /// taken, too many services, or a lease that can't be used; [`MeshError::Unfit`] for memory that is too small for the
    /// concurrency and for folders; [`MeshError::Refused`] without capacity; [`MeshError::Forbidden`] for folders that
    /// the operator doesn't grant.
    pub async fn serve(&self, by: &Subject, request: ServeRequest) -> Result<ServiceView, MeshError> {
        if self.is_draining() {
            return Err(MeshError::Busy { detail: "the node is stopping".into() });
        }
        let checked = self.check_service(&request)?;
        let claim = Claim::of(self, &request.name)?;
        // From here on it is finished even if the caller hangs up.
        let (mesh, by) = (self.clone(), by.clone());
        self.spawned(async move { mesh.make_service(&by, request, checked, claim).await }).await?
    }

    fn check_service(&self, request: &ServeRequest) -> Result<Checked, MeshError> {
        let asset = self.asset(&request.vm_asset_id)?;
        let vm = asset
            .vm
            .clone()
            .ok_or_else(|| MeshError::unfit("vm_asset_id", format!("asset `{}` is not a vm", asset.id)))?;
        let id = vm.package.as_ref().ok_or_else(|| MeshError::Conflict {
            detail: format!("vm `{}` has no package; make one with catalog_metadata.catalog_id", asset.id),
        })?;
        let package = self.package(id)?;
        if package.world != World::Http {
            let detail = format!(
                "package `{id}` is a {} and answers no HTTP; a service needs one that exports wasi:http/incoming-handler",
                package.world.name()
            );
            return Err(MeshError::Conflict { detail });
        }
        self.check_folders(&request.terms.folders)?;
        let memory = match &request.lease {
            None => vm.limits.max_memory,
            Some(id) => self.usable_lease(id)?.grant.memory.unwrap_or_default(),
        };
        check_memory(memory, &request.terms)?;
        Ok(Checked { asset, limits: vm.limits, package })
    }

    /// A lease that somebody holds and a service can run in.
    fn usable_lease(&self, id: &LeaseId) -> Result<Lease, MeshError> {
        let lease = self
            .lease(id)
            .map_err(|_| MeshError::unfit("allocation_id", format!("there is no allocation `{id}`")))?;
        if lease.status != LeaseStatus::Active || lease.for_execution {
            let detail = format!("allocation `{id}` is not active, or was made for something else");
            return Err(MeshError::Conflict { detail });
        }
        match (lease.grant.cpu, lease.grant.memory) {
            (Some(_), Some(_)) => Ok(lease),
            _ => Err(MeshError::Conflict {
                detail: format!(
                    "allocation `{id}` must hold cpu and memory: ask for the other one in `requirements`"
                ),
            }),
        }
    }

    async fn make_service(
        &self,
        by: &Subject,
        request: ServeRequest,
        checked: Checked,
        claim: Claim,
    ) -> Result<ServiceView, MeshError> {
        // The first request would wait for it, and a refusal belongs here.
        self.compiled(&checked.package.digest, Profile::Plain).await?;
        let lease = match &request.lease {
            Some(id) => self.usable_lease(id)?,
            None => self.lease_for_service(by, &request, &checked).await?,
        };
        at("service-leased");
        let (id, owns) = (lease.id.clone(), request.lease.is_none());
        match self.record_service(by, request, checked, lease).await {
            Ok(live) => {
                drop(claim);
                // The lease may have ended before the service was known to be in it.
                if self.lease(&id).is_ok_and(|lease| lease.status.is_final()) {
                    self.end_services_in(&id, "its allocation ended").await;
                }
                self.wake_life();
                Ok(self.view(&live))
            }
            Err(error) => {
                if owns {
                    let ending = Ending::Failed { detail: "the service could not be made".into() };
                    if let Err(error) = self.end_lease(&id, ending).await {
                        tracing::error!(lease = %id, error = error_chain(&error), "a lease that was made for a service stays");
                    }
                }
                Err(error)
            }
        }
    }

    /// A lease of the vm's limits, active.
    async fn lease_for_service(
        &self,
        by: &Subject,
        request: &ServeRequest,
        checked: &Checked,
    ) -> Result<Lease, MeshError> {
        let pool = self.ledger.read(|book| book.machine().cpu);
        let percent = checked.limits.max_cpu_percent;
        let cpu = MilliCpu::from_percent_of(percent, pool)
            .map_err(|e| MeshError::invalid("vm_config.resource_limits.max_cpu", e.to_string()))?;
        let wanted = Wanted {
            cpu: Some(cpu),
            memory: Some(checked.limits.max_memory),
            pids: Some(DEFAULT_PIDS.max(request.terms.concurrency * PIDS_FOR_EACH)),
            ..Wanted::default()
        };
        let terms = ForExecution {
            id: LeaseId::generate(),
            amount: percent,
            duration_seconds: request.allocation_seconds,
            wait_seconds: None,
            priority: Terms::DEFAULT_PRIORITY,
        };
        let lease = self.reserve_for_execution(by, &checked.asset, &terms, &wanted)?;
        let mut batch = Batch::new();
        batch.put(&self.tables.leases, lease.clone());
        if let Err(error) = self.commit_intention(batch, "recording an allocation").await {
            self.ledger.remove(&lease.id);
            return Err(error);
        }
        self.activate(lease).await
    }

    async fn record_service(
        &self,
        by: &Subject,
        request: ServeRequest,
        checked: Checked,
        lease: Lease,
    ) -> Result<Arc<Live>, MeshError> {
        let service = Service {
            id: ServiceId::generate(),
            name: request.name,
            vm_asset_id: checked.asset.id,
            package: checked.package.id,
            lease_id: lease.id,
            owns_lease: request.lease.is_none(),
            requester: by.clone(),
            terms: ServiceTerms {
                timeout_seconds: request.terms.timeout_seconds.min(checked.limits.max_execution_seconds),
                ..request.terms
            },
            limits: checked.limits,
            status: ServiceStatus::Serving,
            end_reason: None,
            created_at: Timestamp::now(),
            ended_at: None,
            usage: ServiceUsage::default(),
        };
        let folder = self.service_folder(&service);
        let log = self
            .blocking_mesh(move |_| {
                let fault = |e: std::io::Error| MeshError::internal("making a service's folder")(Box::new(e));
                fs::create_dir_all(&folder).map_err(fault)?;
                ServiceLog::open(&folder).map_err(fault)
            })
            .await?;
        let before = self.services.get(&service.name).ok();
        let mut batch = Batch::new();
        if let Some(before) = &before {
            batch.delete(&self.tables.services, &before.record().id);
        }
        batch.put(&self.tables.services, service.clone());
        batch.event(EventKind::ServiceStarted, service.id.as_str(), super::end::event_data(&service));
        self.commit(batch, "recording a service").await?;
        at("service-recorded");
        let live = Arc::new(Live::new(service.clone(), log));
        self.services.insert(service.name, Arc::clone(&live));
        if let Some(before) = before {
            self.remove_service_folder(&before.record()).await;
        }
        Ok(live)
    }
}
