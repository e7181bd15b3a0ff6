//! Certificates: asking for one, seeing one in its forms, renewing and revoking it.

use super::state::TrustState;
use crate::auth::Caller;
use crate::convert::trustchain::certificates as convert;
use crate::docs::ById;
use crate::extract::{Body, Id, Params, PathId};
use crate::paging;
use crate::problem::{Draft, Kind};
use crate::respond::{Answer, Created, file};
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hypermesh_model::{CertificateId, CertificateProfile};
use hypermesh_wire::trustchain::{
    Certificate, CertificateQuery, CreateCertificate, InclusionProof, IssuedCertificate, RenewCertificate,
    RevokeCertificate, Revoked,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A certificate, PEM (RFC 7468).
const PEM: &str = "application/x-pem-file";
/// A certificate, DER (RFC 2585 §4.1).
pub(crate) const DER: &str = "application/pkix-cert";
/// A certificate and those above it, PEM (RFC 8555 §9.1).
pub(crate) const CHAIN: &str = "application/pem-certificate-chain";

pub(crate) fn routes() -> OpenApiRouter<TrustState> {
    OpenApiRouter::default()
        .routes(routes!(list_certificates, create_certificate))
        .routes(routes!(get_certificate))
        .routes(routes!(get_chain))
        .routes(routes!(get_inclusion))
        .routes(routes!(renew_certificate))
        .routes(routes!(revoke_certificate))
}

/// A certificate in one of its forms: its id, and after it `.pem` or `.der`.
struct Formed {
    id: CertificateId,
    form: Form,
}

enum Form {
    Json,
    Pem,
    Der,
}

impl PathId for Formed {
    const NOUN: &'static str = "certificate";
    fn read(text: &str) -> Option<Self> {
        let (id, form) = match text.rsplit_once('.') {
            Some((id, "pem")) => (id, Form::Pem),
            Some((id, "der")) => (id, Form::Der),
            Some(_) | None => (text, Form::Json),
        };
        Some(Self { id: CertificateId::parse(id).ok()?, form })
    }
}

/// Certificates that this node issued, and its authorities'
#[utoipa::path(get, path = "/api/v1/certificates", tag = "certificates", params(CertificateQuery),
    responses((status = 200, description = "Authorities, then the others in the order in which they were logged; \
        `link` leads to the next page", body = Vec<Certificate>),
        (status = 422, description = "`after` is no certificate's id")))]
async fn list_certificates(
    State(state): State<TrustState>,
    uri: Uri,
    Params(query): Params<CertificateQuery>,
) -> Answer<Response> {
    let filter = convert::filter(&query)?;
    let limit = paging::limit(query.limit)?;
    let after = match query.after.as_deref() {
        Some(after) => Some(CertificateId::parse(after).map_err(|_| nothing_after())?),
        None => None,
    };
    let page = state.reading(move |trust| trust.certificates(&filter, after.as_ref(), limit)).await?;
    let next = page.items.last().map(|last| last.record.id.to_string()).filter(|_| page.more);
    Ok(paging::Page::of(page.items, next).map(convert::shown).answer(&uri))
}

fn nothing_after() -> Draft {
    Draft::new(Kind::Unprocessable, "`after` is no certificate's id").about("after")
}

/// Issue a certificate: by a subject, with a key that is made here and given out this once, or by a signing request
#[utoipa::path(post, path = "/api/v1/certificates", tag = "certificates", request_body = CreateCertificate,
    responses((status = 201, description = "The certificate; it was in the transparency log before it existed",
            body = IssuedCertificate, headers(("location" = String))),
        (status = 409, description = "Nothing can be issued now"),
        (status = 422, description = "What is asked for is not issued; `detail` says why")))]
async fn create_certificate(
    State(state): State<TrustState>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateCertificate>,
) -> Answer<Created<IssuedCertificate>> {
    let request = convert::issue(body, caller.subject())?;
    // Who has a client certificate acts as its subject, so no other role may make one.
    if request.profile != CertificateProfile::Server && !caller.is_admin() {
        let detail = "your token allows certificates of servers; this use needs an administrator's";
        return Err(Draft::new(Kind::ForbiddenRole, detail));
    }
    Ok(created(convert::issued(state.trust.issue(request).await?)))
}

fn created(body: IssuedCertificate) -> Created<IssuedCertificate> {
    Created { location: format!("/api/v1/certificates/{}", body.certificate.id), body }
}

/// A certificate: as JSON, and with `.pem` or `.der` after its id as itself
#[utoipa::path(get, path = "/api/v1/certificates/{id}", tag = "certificates", params(ById),
    responses((status = 200, description = "The certificate", content(
        (Certificate = "application/json"), (String = "application/x-pem-file"),
        (crate::docs::Binary = "application/pkix-cert")))))]
async fn get_certificate(
    State(state): State<TrustState>,
    Id(Formed { id, form }): Id<Formed>,
) -> Answer<Response> {
    Ok(match form {
        Form::Json => Json(convert::shown(state.trust.certificate(&id)?)).into_response(),
        Form::Pem => file(PEM, &format!("{id}.pem"), state.trust.certificate_pem(&id)?),
        Form::Der => file(DER, &format!("{id}.cer"), state.trust.certificate_der(&id)?),
    })
}

/// A certificate and those above it but the root: what a TLS server sends
#[utoipa::path(get, path = "/api/v1/certificates/{id}/chain", tag = "certificates", params(ById),
    responses((status = 200, description = "Certificates, PEM", body = String,
        content_type = "application/pem-certificate-chain")))]
async fn get_chain(State(state): State<TrustState>, Id(id): Id<CertificateId>) -> Answer<Response> {
    Ok(file(CHAIN, &format!("{id}-chain.pem"), state.trust.chain_pem(&id)?))
}

/// The proof that a certificate is in the transparency log
#[utoipa::path(get, path = "/api/v1/certificates/{id}/inclusion", tag = "certificates", params(ById),
    responses((status = 200, description = "The proof, and the signed checkpoint that it leads to",
            body = InclusionProof),
        (status = 409, description = "It is an authority's, which are not logged")))]
async fn get_inclusion(
    State(state): State<TrustState>,
    Id(id): Id<CertificateId>,
) -> Answer<Json<InclusionProof>> {
    let proof = state.trust.inclusion(&id)?;
    Ok(Json(InclusionProof {
        certificate_id: proof.certificate_id.into(),
        leaf_index: proof.leaf_index,
        leaf_hash: BASE64.encode(proof.leaf_hash),
        tree_size: proof.tree_size,
        audit_path: proof.audit_path.iter().map(|hash| BASE64.encode(hash)).collect(),
        root_hash: BASE64.encode(proof.root_hash),
        checkpoint: proof.checkpoint,
    }))
}

/// Issue a certificate of the same subject, names and use
#[utoipa::path(post, path = "/api/v1/certificates/{id}/renew", tag = "certificates", params(ById),
    request_body = RenewCertificate,
    responses((status = 201, description = "The new certificate; the old one stays valid", body = IssuedCertificate,
            headers(("location" = String))),
        (status = 409, description = "It can't be renewed: it was revoked, or is an authority's"),
        (status = 422, description = "What is asked for is not issued; `detail` says why")))]
async fn renew_certificate(
    State(state): State<TrustState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<CertificateId>,
    Body(body): Body<RenewCertificate>,
) -> Answer<Created<IssuedCertificate>> {
    let request = convert::renew(body, caller.subject())?;
    Ok(created(convert::issued(state.trust.renew(&id, request).await?)))
}

/// Take a certificate back, for ever; the list of revoked certificates has it at once
#[utoipa::path(post, path = "/api/v1/certificates/{id}/revoke", tag = "certificates", params(ById),
    request_body = RevokeCertificate,
    responses((status = 200, description = "It is revoked", body = Revoked),
        (status = 409, description = "It was revoked before"),
        (status = 422, description = "It is not revoked so; `detail` says why")))]
async fn revoke_certificate(
    State(state): State<TrustState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<CertificateId>,
    Body(body): Body<RevokeCertificate>,
) -> Answer<Json<Revoked>> {
    let revoked = state.trust.revoke(&id, convert::reason(body.reason), &caller.subject().0).await?;
    let message = format!("the certificate of {} is revoked", revoked.record.subject);
    Ok(Json(Revoked { message, certificate_id: revoked.record.id.into() }))
}
