//! Nodes and the network: as long as there are no peers, this node alone.

use crate::convert;
use crate::docs::ById;
use crate::extract::Id;
use crate::problem::Draft;
use crate::respond::Answer;
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use hypermesh_model::NodeId;
use hypermesh_wire::nodes::{NodeHealth, Topology};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(list_node_health))
        .routes(routes!(get_node_health))
        .routes(routes!(get_topology))
}

fn own_health(state: &ApiState) -> NodeHealth {
    convert::nodes::health(state.mesh.node_id().to_string(), state.mesh.health())
}

/// Health of all known nodes
#[utoipa::path(get, path = "/api/v1/nodes/health", tag = "nodes",
    responses((status = 200, description = "This node", body = Vec<NodeHealth>)))]
async fn list_node_health(State(state): State<ApiState>) -> Json<Vec<NodeHealth>> {
    Json(vec![own_health(&state)])
}

/// Health of one node
#[utoipa::path(get, path = "/api/v1/nodes/{id}/health", tag = "nodes", params(ById),
    responses((status = 200, description = "The node", body = NodeHealth)))]
async fn get_node_health(State(state): State<ApiState>, Id(id): Id<NodeId>) -> Answer<Json<NodeHealth>> {
    if id != *state.mesh.node_id() {
        return Err(Draft::not_found("node", id.as_str()));
    }
    Ok(Json(own_health(&state)))
}

/// The network as this node knows it
#[utoipa::path(get, path = "/api/v1/network/topology", tag = "nodes",
    responses((status = 200, description = "Nodes, connections, clusters", body = Topology)))]
async fn get_topology(State(state): State<ApiState>) -> Json<Topology> {
    let (id, address) = (state.mesh.node_id().to_string(), state.address.to_string());
    Json(convert::nodes::topology(id, address, state.mesh.health().status))
}
