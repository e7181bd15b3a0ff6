//! Who signs: the hierarchy, the authorities, and the replacement of the one that signs now.

use super::state::TrustState;
use crate::auth::Caller;
use crate::convert::trustchain::{certificates, rotation};
use crate::docs::ById;
use crate::extract::Id;
use crate::respond::{Answer, Created};
use axum::extract::State;
use axum::{Extension, Json};
use hypermesh_model::RolloverId;
use hypermesh_wire::trustchain::{Authority, Rollover, TrustHierarchy};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<TrustState> {
    OpenApiRouter::default()
        .routes(routes!(get_hierarchy))
        .routes(routes!(list_authorities))
        .routes(routes!(list_rollovers, prepare_rollover))
        .routes(routes!(advance_rollover))
        .routes(routes!(abandon_rollover))
}

/// The root, the intermediates, and what they signed
#[utoipa::path(get, path = "/api/v1/trust/hierarchy", tag = "trust",
    responses((status = 200, description = "The hierarchy", body = TrustHierarchy)))]
async fn get_hierarchy(State(state): State<TrustState>) -> Answer<Json<TrustHierarchy>> {
    Ok(Json(certificates::hierarchy(state.reading(|trust| trust.hierarchy()).await?)))
}

/// The authorities, and what each does now
#[utoipa::path(get, path = "/api/v1/trust/authorities", tag = "trust",
    responses((status = 200, description = "Authorities, the root first", body = Vec<Authority>)))]
async fn list_authorities(State(state): State<TrustState>) -> Answer<Json<Vec<Authority>>> {
    Ok(Json(state.trust.authorities()?.into_iter().map(rotation::authority).collect()))
}

/// Rollovers of the authority that signs, done and under way
#[utoipa::path(get, path = "/api/v1/trust/rollovers", tag = "trust",
    responses((status = 200, description = "Rollovers by age", body = Vec<Rollover>)))]
async fn list_rollovers(State(state): State<TrustState>) -> Json<Vec<Rollover>> {
    Json(state.trust.rollovers().into_iter().map(rotation::rollover).collect())
}

/// Begin a rollover: make the authority that is to sign next. Nothing else changes
#[utoipa::path(post, path = "/api/v1/trust/rollovers", tag = "trust",
    responses((status = 201, description = "The rollover", body = Rollover, headers(("location" = String))),
        (status = 409, description = "One is under way, or the root's key is not on this machine")))]
async fn prepare_rollover(
    State(state): State<TrustState>,
    Extension(caller): Extension<Caller>,
) -> Answer<Created<Rollover>> {
    let body = rotation::rollover(state.trust.prepare_rollover(&caller.subject().0).await?);
    Ok(Created { location: format!("/api/v1/trust/rollovers/{}", body.id), body })
}

/// Take a rollover to its next phase
#[utoipa::path(post, path = "/api/v1/trust/rollovers/{id}/advance", tag = "trust", params(ById),
    responses((status = 200, description = "The rollover", body = Rollover),
        (status = 409, description = "It is over, or too early")))]
async fn advance_rollover(
    State(state): State<TrustState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<RolloverId>,
) -> Answer<Json<Rollover>> {
    Ok(Json(rotation::rollover(state.trust.advance_rollover(&id, &caller.subject().0).await?)))
}

/// Give a rollover up, before the new authority signs
#[utoipa::path(post, path = "/api/v1/trust/rollovers/{id}/abandon", tag = "trust", params(ById),
    responses((status = 200, description = "The rollover", body = Rollover),
        (status = 409, description = "The new authority signs already, or it is over")))]
async fn abandon_rollover(
    State(state): State<TrustState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<RolloverId>,
) -> Answer<Json<Rollover>> {
    Ok(Json(rotation::rollover(state.trust.abandon_rollover(&id, &caller.subject().0).await?)))
}
