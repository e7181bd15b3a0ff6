//! Allocations: leases on a part of the machine, and what the kernel enforces of them.

use crate::auth::Caller;
use crate::convert;
use crate::convert::allocations::Beside;
use crate::docs::ById;
use crate::extract::{Body, Id, Params};
use crate::paging::page;
use crate::problem::Draft;
use crate::respond::{Answer, Created, message};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::{Extension, Json};
use hypermesh_model::{Lease, LeaseId};
use hypermesh_wire::allocations::{Allocation, AllocationQuery, CreateAllocation, Enforcement};
use hypermesh_wire::assets::Message;
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

/// Lease a part of a cpu, memory or gpu asset
#[utoipa::path(post, path = "/api/v1/allocations", tag = "allocations", request_body = CreateAllocation,
    responses((status = 201, description = "The allocation, held by the kernel", body = Allocation,
            headers(("location" = String))),
        (status = 404, description = "There is no such asset"),
        (status = 409, description = "Not enough capacity: `reasons` has each dimension that is short; or the asset is out of use"),
        (status = 422, description = "The asset can not be leased, or the kernel would not enforce the limits")))]
async fn create_allocation(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateAllocation>,
) -> Answer<Created<Allocation>> {
    let leased = state.mesh.allocate(caller.subject(), convert::allocations::new(&body)?).await;
    let lease = leased.map_err(|error| Draft::from(error).naming("asset_id"))?;
    let location = format!("/api/v1/allocations/{}", lease.id);
    Ok(Created { location, body: shown(lease) })
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
    Ok(page.map(shown).answer(&uri))
}

/// One allocation
#[utoipa::path(get, path = "/api/v1/allocations/{id}", tag = "allocations", params(ById),
    responses((status = 200, description = "The allocation", body = Allocation)))]
async fn get_allocation(State(state): State<ApiState>, Id(id): Id<LeaseId>) -> Answer<Json<Allocation>> {
    Ok(Json(shown(state.mesh.lease(&id)?)))
}

/// What the kernel enforces of an allocation, read back now
#[utoipa::path(get, path = "/api/v1/allocations/{id}/enforcement", tag = "allocations", params(ById),
    responses((status = 200, description = "Each limit, its kernel file and the value in it", body = Enforcement)))]
async fn get_enforcement(State(state): State<ApiState>, Id(id): Id<LeaseId>) -> Answer<Json<Enforcement>> {
    let view = state.mesh.enforcement(&id).await?;
    let join = state.mesh.join_files(&id)?;
    Ok(Json(convert::allocations::enforcement(id, view, join)))
}

/// Release an allocation; what runs in it is killed
#[utoipa::path(post, path = "/api/v1/allocations/{id}/release", tag = "allocations", params(ById),
    responses((status = 200, description = "It is released", body = Message),
        (status = 409, description = "It is not active")))]
async fn release_allocation(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<LeaseId>,
) -> Answer<Json<Message>> {
    caller.must_hold(&state.mesh.lease(&id)?.requester, "allocation")?;
    state.mesh.release(&id).await?;
    Ok(message(format!("allocation {id} is released")))
}

fn shown(lease: Lease) -> Allocation {
    convert::allocations::shown(lease, Beside::default())
}
