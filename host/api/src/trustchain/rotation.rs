//! Rotation: policies, rotations now, and what was done.

use super::state::TrustState;
use crate::auth::Caller;
use crate::convert::trustchain::rotation as convert;
use crate::docs::ById;
use crate::extract::{Body, Id, Params};
use crate::paging::page;
use crate::problem::{Draft, Kind};
use crate::respond::{Answer, Created, message};
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::{Extension, Json};
use hypermesh_model::{CertificateId, RotationPolicyId};
use hypermesh_wire::assets::Message;
use hypermesh_wire::trustchain::{
    ChangeRotationPolicy, CreateRotationPolicy, ExecuteRotation, PolicyQuery, Rotated, RotationPolicy,
    RotationQuery, RotationRecord,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<TrustState> {
    OpenApiRouter::default()
        .routes(routes!(list_policies, create_policy))
        .routes(routes!(change_policy, remove_policy))
        .routes(routes!(execute_rotation))
        .routes(routes!(rotation_history))
}

/// Rotation policies
#[utoipa::path(get, path = "/api/v1/rotation/policies", tag = "rotation", params(PolicyQuery),
    responses((status = 200, description = "Policies by id; `link` leads to the next page",
        body = Vec<RotationPolicy>)))]
async fn list_policies(
    State(state): State<TrustState>,
    uri: Uri,
    Params(query): Params<PolicyQuery>,
) -> Answer<Response> {
    let policies = state.trust.rotation_policies();
    let page = page(policies, |policy| policy.id.as_str(), query.limit, query.after.as_deref())?;
    Ok(page.map(convert::policy).answer(&uri))
}

/// Make a policy: when a certificate is replaced
#[utoipa::path(post, path = "/api/v1/rotation/policies", tag = "rotation", request_body = CreateRotationPolicy,
    responses((status = 201, description = "The policy", body = RotationPolicy, headers(("location" = String))),
        (status = 404, description = "There is no such certificate"),
        (status = 409, description = "The certificate has a policy, or can't be rotated"),
        (status = 422, description = "Its times don't fit each other")))]
async fn create_policy(
    State(state): State<TrustState>,
    Body(body): Body<CreateRotationPolicy>,
) -> Answer<Created<RotationPolicy>> {
    let wanted = convert::new(body)?;
    state.trust.certificate(&wanted.certificate_id).map_err(naming)?;
    let body = convert::policy(state.trust.create_rotation_policy(wanted).await?);
    Ok(Created { location: format!("/api/v1/rotation/policies/{}", body.id), body })
}

/// A missing certificate is about the member that names it.
fn naming(error: hypermesh_trustchain::TrustError) -> Draft {
    Draft::from(error).naming("certificate_id")
}

/// Change a policy
#[utoipa::path(put, path = "/api/v1/rotation/policies/{id}", tag = "rotation", params(ById),
    request_body = ChangeRotationPolicy,
    responses((status = 200, description = "The policy as it is now", body = RotationPolicy),
        (status = 409, description = "The certificate has another policy, or can't be rotated"),
        (status = 422, description = "Its times don't fit each other")))]
async fn change_policy(
    State(state): State<TrustState>,
    Id(id): Id<RotationPolicyId>,
    Body(body): Body<ChangeRotationPolicy>,
) -> Answer<Json<RotationPolicy>> {
    let change = convert::change(body)?;
    let wanted = convert::changed(state.trust.rotation_policy(&id)?, change);
    state.trust.certificate(&wanted.certificate_id).map_err(naming)?;
    Ok(Json(convert::policy(state.trust.replace_rotation_policy(&id, wanted).await?)))
}

/// Remove a policy; the certificate stays
#[utoipa::path(delete, path = "/api/v1/rotation/policies/{id}", tag = "rotation", params(ById),
    responses((status = 200, description = "It is removed", body = Message),
        (status = 409, description = "It is the node's own certificate's")))]
async fn remove_policy(
    State(state): State<TrustState>,
    Id(id): Id<RotationPolicyId>,
) -> Answer<Json<Message>> {
    state.trust.remove_rotation_policy(&id).await?;
    Ok(message(format!("the policy {id} is removed")))
}

/// Replace a certificate now, with a new key
#[utoipa::path(post, path = "/api/v1/rotation/execute", tag = "rotation", request_body = ExecuteRotation,
    responses((status = 200, description = "Both certificates", body = Rotated),
        (status = 404, description = "There is no such certificate"),
        (status = 409, description = "It can't be rotated: it was revoked, or is an authority's"),
        (status = 422, description = "What is asked for is not issued")))]
async fn execute_rotation(
    State(state): State<TrustState>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<ExecuteRotation>,
) -> Answer<Json<Rotated>> {
    let request = convert::request(body, caller.subject())?;
    state.trust.certificate(&request.certificate_id).map_err(naming)?;
    Ok(Json(convert::rotated(state.trust.rotate(request).await?)))
}

/// Rotations that were done or tried
#[utoipa::path(get, path = "/api/v1/rotation/history", tag = "rotation", params(RotationQuery),
    responses((status = 200, description = "Rotations by id, that is by age; `link` leads to the next page",
            body = Vec<RotationRecord>),
        (status = 422, description = "`certificate_id` is no certificate's id")))]
async fn rotation_history(
    State(state): State<TrustState>,
    uri: Uri,
    Params(query): Params<RotationQuery>,
) -> Answer<Response> {
    let wrong = |_| {
        Draft::new(Kind::Unprocessable, "`certificate_id` is no certificate's id").about("certificate_id")
    };
    let certificate = query.certificate_id.map(CertificateId::parse).transpose().map_err(wrong)?;
    let rotations = state.trust.rotation_history(certificate.as_ref());
    let page = page(rotations, |rotation| rotation.id.as_str(), query.limit, query.after.as_deref())?;
    Ok(page.map(convert::record).answer(&uri))
}
