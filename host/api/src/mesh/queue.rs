//! The queue: who waits for room.

use crate::convert;
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use hypermesh_wire::queue::QueueEntry;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default().routes(routes!(list_queue))
}

/// Allocations that wait for room, the next one first
#[utoipa::path(get, path = "/api/v1/queue", tag = "allocations",
    responses((status = 200, description = "In the order in which they get it, if nobody renews or leaves",
        body = Vec<QueueEntry>)))]
async fn list_queue(State(state): State<ApiState>) -> Json<Vec<QueueEntry>> {
    let waiting = state.mesh.queue().into_iter();
    Json(waiting.map(|(lease, place)| convert::allocations::waiting(lease, place)).collect())
}
