//! Volumes: the folders of allocations, live ones and those that were kept.

use crate::auth::Caller;
use crate::convert;
use crate::docs::ById;
use crate::extract::Id;
use crate::problem::{Draft, Kind};
use crate::respond::{Answer, message};
use crate::state::ApiState;
use axum::extract::State;
use axum::{Extension, Json};
use hypermesh_mesh::MeshError;
use hypermesh_model::LeaseId;
use hypermesh_wire::assets::Message;
use hypermesh_wire::volumes::Volume;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default().routes(routes!(list_volumes)).routes(routes!(remove_volume))
}

/// All folders
#[utoipa::path(get, path = "/api/v1/volumes", tag = "allocations",
    responses((status = 200, description = "Live ones and kept ones", body = Vec<Volume>)))]
async fn list_volumes(State(state): State<ApiState>) -> Answer<Json<Vec<Volume>>> {
    let volumes = state.mesh.volumes().await?;
    Ok(Json(volumes.into_iter().map(convert::allocations::volume).collect()))
}

/// Remove a kept folder with what is in it; `id` is that of its allocation
#[utoipa::path(delete, path = "/api/v1/volumes/{id}", tag = "allocations", params(ById),
    responses((status = 200, description = "It is removed", body = Message),
        (status = 409, description = "Its allocation lives")))]
async fn remove_volume(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<LeaseId>,
) -> Answer<Json<Message>> {
    match state.mesh.lease(&id) {
        Ok(lease) => caller.must_hold(&lease.requester, "volume")?,
        // The record of its allocation is no longer kept, so nobody can say whose it is.
        Err(MeshError::NotFound { .. }) if !caller.is_admin() => {
            let detail = "nobody knows any more who held this volume; it needs an administrator's token";
            return Err(Draft::new(Kind::ForbiddenRole, detail));
        }
        Err(MeshError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    state.mesh.remove_volume(&id).await?;
    Ok(message(format!("the volume of allocation {id} is removed")))
}
