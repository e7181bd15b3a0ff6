//! Quotas: how much one requester may hold at a time.

use crate::convert::quotas::{limits, shown};
use crate::docs::ByRequester;
use crate::extract::{Body, Id};
use crate::problem::Draft;
use crate::respond::{Answer, message};
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use hypermesh_mesh::Mesh;
use hypermesh_model::Subject;
use hypermesh_wire::assets::Message;
use hypermesh_wire::quotas::{Quota, QuotaLimits};
use std::collections::BTreeSet;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default().routes(routes!(list_quotas)).routes(routes!(get_quota, set_quota, remove_quota))
}

/// Every requester that can hold something: the holders of tokens, of leases and of quotas.
fn requesters(mesh: &Mesh) -> BTreeSet<Subject> {
    let holders =
        mesh.leases().into_iter().filter(|lease| !lease.status.is_final()).map(|lease| lease.requester);
    let tokens = mesh.tokens().into_iter().map(|token| token.name);
    let quotas = mesh.quotas().into_iter().map(|view| view.requester);
    let mut all: BTreeSet<_> = holders.chain(tokens).chain(quotas).collect();
    all.insert(Subject(crate::auth::ADMIN.to_owned()));
    all
}

fn known(mesh: &Mesh, requester: &Subject) -> Answer<()> {
    let known = requesters(mesh).contains(requester);
    if known { Ok(()) } else { Err(Draft::not_found("requester", &requester.0)) }
}

/// Every requester with its quota and what it holds
#[utoipa::path(get, path = "/api/v1/quotas", tag = "access",
    responses((status = 200, description = "By requester", body = Vec<Quota>)))]
async fn list_quotas(State(state): State<ApiState>) -> Json<Vec<Quota>> {
    let all = requesters(&state.mesh);
    Json(all.iter().map(|requester| shown(state.mesh.quota(requester))).collect())
}

/// A requester's quota and what it holds
#[utoipa::path(get, path = "/api/v1/quotas/{requester}", tag = "access", params(ByRequester),
    responses((status = 200, description = "The quota; without limits where none is set", body = Quota)))]
async fn get_quota(State(state): State<ApiState>, Id(requester): Id<Subject>) -> Answer<Json<Quota>> {
    known(&state.mesh, &requester)?;
    Ok(Json(shown(state.mesh.quota(&requester))))
}

/// Limit what a requester may hold; what it holds already stays
#[utoipa::path(put, path = "/api/v1/quotas/{requester}", tag = "access", params(ByRequester),
    request_body = QuotaLimits,
    responses((status = 200, description = "The quota", body = Quota)))]
async fn set_quota(
    State(state): State<ApiState>,
    Id(requester): Id<Subject>,
    Body(body): Body<QuotaLimits>,
) -> Answer<Json<Quota>> {
    let quota = limits(&body)?;
    known(&state.mesh, &requester)?;
    Ok(Json(shown(state.mesh.set_quota(requester, quota).await?)))
}

/// Lift a requester's quota
#[utoipa::path(delete, path = "/api/v1/quotas/{requester}", tag = "access", params(ByRequester),
    responses((status = 200, description = "It is lifted", body = Message)))]
async fn remove_quota(State(state): State<ApiState>, Id(requester): Id<Subject>) -> Answer<Json<Message>> {
    state.mesh.remove_quota(&requester).await?;
    Ok(message(format!("{requester} has no quota any more")))
}
