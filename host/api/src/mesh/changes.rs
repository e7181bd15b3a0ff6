//! Changing a live allocation: its size, its end, the processes in it.

use super::allocations::tagged;
use crate::auth::Caller;
use crate::convert;
use crate::docs::{ById, Matching};
use crate::extract::{Body, Id, IfMatch};
use crate::respond::{Answer, Tagged};
use crate::state::ApiState;
use axum::extract::State;
use axum::{Extension, Json};
use hypermesh_model::LeaseId;
use hypermesh_wire::MAX_SECONDS;
use hypermesh_wire::allocations::{
    Allocation, AttachProcess, Attached, MAX_PIDS, RenewAllocation, ResizeAllocation,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(resize_allocation))
        .routes(routes!(renew_allocation))
        .routes(routes!(attach_process))
}

/// Change the size of an allocation, as a whole or not at all
#[utoipa::path(patch, path = "/api/v1/allocations/{id}", tag = "allocations", params(ById, Matching),
    request_body = ResizeAllocation,
    responses((status = 200, description = "The allocation as it is now", body = Allocation, headers(("etag" = String))),
        (status = 409, description = "There is no room, with the numbers; or more is in use; or it is not active"),
        (status = 412, description = "It was changed: `reasons` has the generation that it is at"),
        (status = 422, description = "Nothing is to be changed, or the allocation can not have it so")))]
async fn resize_allocation(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<LeaseId>,
    IfMatch(expected): IfMatch,
    Body(body): Body<ResizeAllocation>,
) -> Answer<Tagged<Allocation>> {
    let change = convert::allocations::change(&body)?;
    caller.must_hold(&state.mesh.lease(&id)?.requester, "allocation")?;
    Ok(tagged(&state.mesh, state.mesh.resize(&id, change, expected).await?))
}

/// Let an allocation end so many seconds from now; a frozen one goes on
#[utoipa::path(post, path = "/api/v1/allocations/{id}/renew", tag = "allocations", params(ById, Matching),
    request_body = RenewAllocation,
    responses((status = 200, description = "The allocation as it is now", body = Allocation, headers(("etag" = String))),
        (status = 409, description = "It would end earlier than now, or run into a reservation; or it is not active"),
        (status = 412, description = "It was changed: `reasons` has the generation that it is at")))]
async fn renew_allocation(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<LeaseId>,
    IfMatch(expected): IfMatch,
    Body(body): Body<RenewAllocation>,
) -> Answer<Tagged<Allocation>> {
    let seconds = convert::check::range("duration", body.duration, 1, MAX_SECONDS)?;
    caller.must_hold(&state.mesh.lease(&id)?.requester, "allocation")?;
    Ok(tagged(&state.mesh, state.mesh.renew(&id, seconds, expected).await?))
}

/// Move a running process into an allocation; the answer says what does not move with it
#[utoipa::path(post, path = "/api/v1/allocations/{id}/attach", tag = "allocations", params(ById),
    request_body = AttachProcess,
    responses((status = 200, description = "What moved, and what stays where it was", body = Attached),
        (status = 409, description = "The allocation is not active, or has no group to move into"),
        (status = 422, description = "There is no such process, or it can not be moved")))]
async fn attach_process(
    State(state): State<ApiState>,
    Id(id): Id<LeaseId>,
    Body(body): Body<AttachProcess>,
) -> Answer<Json<Attached>> {
    let pid = convert::check::range("pid", body.pid, 1, MAX_PIDS)?;
    let attached = state.mesh.attach(&id, pid).await?;
    Ok(Json(convert::allocations::attached(id, attached)))
}
