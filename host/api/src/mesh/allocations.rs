//! Allocations: leases on a part of the machine, and what the kernel enforces of them.

use crate::auth::Caller;
use crate::convert;
use crate::convert::allocations::Beside;
use crate::docs::{ById, Keyed, Matching};
use crate::extract::{Body, Id, IdempotencyKey, IfMatch, Params};
use crate::paging::page;
use crate::problem::Draft;
use crate::respond::{Answer, Tagged, message};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use hypermesh_mesh::{Allocated, AllocationRequest, Mesh};
use hypermesh_model::{Lease, LeaseId, LeaseStatus};
use hypermesh_wire::allocations::{
    Allocation, AllocationPlan, AllocationQuery, CreateAllocation, CreateQuery, Enforcement,
};
use hypermesh_wire::assets::Message;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest id to filter by.
const MAX_ASSET_ID: usize = 64;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(list_allocations, create_allocation))
        .routes(routes!(get_allocation))
        .routes(routes!(get_enforcement))
        .routes(routes!(release_allocation))
}

/// What a request gives that makes nothing new.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum NothingNew {
    /// What a dry run found.
    Plan(AllocationPlan),
    /// What an earlier request with the same key made.
    Replayed(Allocation),
}

/// Lease a part of a cpu, memory, storage or gpu asset: now, at a time, or when there is room
#[utoipa::path(post, path = "/api/v1/allocations", tag = "allocations", params(CreateQuery, Keyed),
    request_body = CreateAllocation,
    responses((status = 200, description = "A dry run's plan; or the allocation that an earlier request with the same key made",
            body = inline(NothingNew)),
        (status = 201, description = "The allocation, held by the kernel", body = Allocation,
            headers(("location" = String), ("etag" = String))),
        (status = 202, description = "The allocation, which waits or is reserved: see `phase`", body = Allocation,
            headers(("location" = String), ("etag" = String))),
        (status = 404, description = "There is no such asset"),
        (status = 409, description = "Not enough capacity: `reasons` has each dimension that is short; or the asset is out of use"),
        (status = 422, description = "The asset can not be leased so, the kernel would not enforce the limits, or the key stands for another request")))]
async fn create_allocation(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<CreateQuery>,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Body(body): Body<CreateAllocation>,
) -> Answer<Response> {
    let request = AllocationRequest { idempotency_key, ..convert::allocations::new(&body)? };
    let naming = |error| Draft::from(error).naming("asset_id");
    if query.dry_run == Some(true) {
        let plan = state.mesh.preview(caller.subject(), &request).map_err(naming)?;
        return Ok(Json(convert::allocations::plan(plan)).into_response());
    }
    let Allocated { lease, replayed } =
        state.mesh.allocate(caller.subject(), request).await.map_err(naming)?;
    let status = match lease.status {
        _ if replayed => StatusCode::OK,
        LeaseStatus::Queued | LeaseStatus::Reserved => StatusCode::ACCEPTED,
        LeaseStatus::Pending
        | LeaseStatus::Active
        | LeaseStatus::Frozen
        | LeaseStatus::Completed
        | LeaseStatus::Cancelled
        | LeaseStatus::Failed => StatusCode::CREATED,
    };
    let location = format!("/api/v1/allocations/{}", lease.id);
    Ok((status, [(header::LOCATION, location)], tagged(&state.mesh, lease)).into_response())
}

/// All allocations, ended ones included
#[utoipa::path(get, path = "/api/v1/allocations", tag = "allocations", params(AllocationQuery),
    responses((status = 200, description = "Allocations by id; `link` leads to the next page",
        body = Vec<Allocation>)))]
async fn list_allocations(
    State(state): State<ApiState>,
    uri: Uri,
    Params(query): Params<AllocationQuery>,
) -> Answer<Response> {
    let asset_id = convert::check::optional_text("asset_id", query.asset_id, 0, MAX_ASSET_ID)?;
    let mut leases = state.mesh.leases();
    leases.retain(|lease| {
        asset_id.as_deref().is_none_or(|id| id == lease.asset_id.as_str())
            && query.status.is_none_or(|status| status == convert::allocations::shown_status(lease.status))
            && query.phase.is_none_or(|phase| phase == convert::allocations::shown_phase(lease.status))
    });
    let page = page(leases, |lease| lease.id.as_str(), query.limit, query.after.as_deref())?;
    // Asked for once, not once a lease: each answer plans the whole queue.
    let places: BTreeMap<_, _> =
        state.mesh.queue().into_iter().map(|(lease, place)| (lease.id, place)).collect();
    let show = |lease: Lease| {
        let queue = places.get(&lease.id).map(|place| convert::allocations::place(*place, lease.wait_until));
        let storage_path = folder(&state.mesh, &lease);
        convert::allocations::shown(lease, Beside { queue, storage_path })
    };
    Ok(page.map(show).answer(&uri))
}

/// One allocation
#[utoipa::path(get, path = "/api/v1/allocations/{id}", tag = "allocations", params(ById),
    responses((status = 200, description = "The allocation", body = Allocation, headers(("etag" = String)))))]
async fn get_allocation(State(state): State<ApiState>, Id(id): Id<LeaseId>) -> Answer<Tagged<Allocation>> {
    Ok(tagged(&state.mesh, state.mesh.lease(&id)?))
}

/// What the kernel enforces of an allocation, read back now
#[utoipa::path(get, path = "/api/v1/allocations/{id}/enforcement", tag = "allocations", params(ById),
    responses((status = 200, description = "Each limit, its kernel file and the value in it", body = Enforcement)))]
async fn get_enforcement(State(state): State<ApiState>, Id(id): Id<LeaseId>) -> Answer<Json<Enforcement>> {
    let view = state.mesh.enforcement(&id).await?;
    Ok(Json(convert::allocations::enforcement(id, view)))
}

/// Release an allocation; what runs in it is killed, and one that waits or is reserved is withdrawn
#[utoipa::path(post, path = "/api/v1/allocations/{id}/release", tag = "allocations", params(ById, Matching),
    responses((status = 200, description = "It is released", body = Message),
        (status = 409, description = "It has ended, or is being changed"),
        (status = 412, description = "It was changed: `reasons` has the generation that it is at")))]
async fn release_allocation(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<LeaseId>,
    IfMatch(expected): IfMatch,
) -> Answer<Json<Message>> {
    caller.must_hold(&state.mesh.lease(&id)?.requester, "allocation")?;
    let ended = state.mesh.release(&id, expected).await?;
    let how =
        if ended.status == LeaseStatus::Cancelled { "withdrawn; it held nothing yet" } else { "released" };
    Ok(message(format!("allocation {id} is {how}")))
}

/// An allocation as a caller sees it, with its generation as its tag.
pub(crate) fn tagged(mesh: &Mesh, lease: Lease) -> Tagged<Allocation> {
    let waits = lease.status == LeaseStatus::Queued;
    let place = if waits { mesh.place(&lease.id) } else { None };
    let queue = place.map(|place| convert::allocations::place(place, lease.wait_until));
    let beside = Beside { queue, storage_path: folder(mesh, &lease) };
    Tagged { generation: lease.generation, body: convert::allocations::shown(lease, beside) }
}

fn folder(mesh: &Mesh, lease: &Lease) -> Option<String> {
    lease.grant.storage?;
    mesh.storage_path(&lease.id).map(|path| path.to_string_lossy().into_owned())
}
