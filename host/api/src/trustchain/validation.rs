//! Validation of a certificate, rule by rule.

use super::state::TrustState;
use crate::convert::trustchain::validation as convert;
use crate::docs::ById;
use crate::extract::{Body, Id, Params};
use crate::respond::Answer;
use axum::Json;
use axum::extract::State;
use hypermesh_model::CertificateId;
use hypermesh_wire::trustchain::{ValidateCertificate, ValidateQuery, Validation};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<TrustState> {
    OpenApiRouter::default().routes(routes!(validate_posted)).routes(routes!(validate_certificate))
}

/// Validate a certificate of this node up to its root
#[utoipa::path(post, path = "/api/v1/certificates/{id}/validate", tag = "certificates", params(ById, ValidateQuery),
    responses((status = 200, description = "The verdict, also when it is that it is not valid", body = Validation)))]
async fn validate_certificate(
    State(state): State<TrustState>,
    Id(id): Id<CertificateId>,
    Params(query): Params<ValidateQuery>,
) -> Answer<Json<Validation>> {
    let request = convert::of_ours(query)?;
    Ok(Json(convert::shown(state.trust.validate(&id, &request)?, id.as_str())))
}

/// Validate any certificate, up to this node's root or to others
#[utoipa::path(post, path = "/api/v1/certificates/validate", tag = "certificates",
    request_body = ValidateCertificate,
    responses((status = 200, description = "The verdict, also when it is that it is not valid", body = Validation),
        (status = 422, description = "There is no certificate in it")))]
async fn validate_posted(
    State(state): State<TrustState>,
    Body(body): Body<ValidateCertificate>,
) -> Answer<Json<Validation>> {
    let (pem, request) = convert::posted(body)?;
    let validation = state.reading(move |trust| trust.validate_pem(&pem, &request)).await?;
    Ok(Json(convert::shown(validation, "unknown")))
}
