//! Packages in and out of the node: archives, registries, signatures.

use crate::auth::Caller;
use crate::convert;
use crate::docs::{Binary, ById};
use crate::extract::{Body, Id};
use crate::mesh::catalog::{TAR, added, shown};
use crate::respond::{Answer, Created, written};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use hypermesh_model::CatalogId;
use hypermesh_wire::catalog::{CatalogApplication, PullPackage, PushPackage, PushedPackage, SignPackage};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default().routes(routes!(sign_application))
}

/// Routes that carry components and so take longer.
pub(crate) fn slow_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(export_application))
        .routes(routes!(pull_package))
        .routes(routes!(push_application))
}

/// A package as an OCI image layout (tar) in the CNCF Wasm artifact layout, with its signatures
#[utoipa::path(get, path = "/api/v1/catalog/applications/{id}/export", tag = "catalog", params(ById),
    responses((status = 200, description = "The archive", content_type = "application/x-tar", body = inline(Binary))))]
async fn export_application(State(state): State<ApiState>, Id(id): Id<CatalogId>) -> Answer<Response> {
    let export = state.mesh.export(&id).await?;
    let (archive, mut component) = (export.archive, export.component);
    let size = archive.size();
    Ok(written(TAR, &export.file_name, size, move |to| archive.write(&mut component, to)))
}

/// Pull a package from a registry; it is vetted and compiled before it is in the catalog
///
/// The artifact must have the CNCF Wasm layout. Signatures beside it (cosign, by key) are taken along and judged by the
/// node's policy.
#[utoipa::path(post, path = "/api/v1/catalog/pull", tag = "catalog", request_body = PullPackage,
    responses((status = 201, description = "The application", body = CatalogApplication,
            headers(("location" = String))),
        (status = 409, description = "Name and version are taken by another component, or a quota is used up"),
        (status = 422, description = "The registry may not be used, does not give it, or the component is not \
            admitted: the text says why")))]
async fn pull_package(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<PullPackage>,
) -> Answer<Created<CatalogApplication>> {
    let (reference, reach, about) = convert::catalog::pull(body)?;
    let package = state.mesh.pull(caller.subject(), about, reference, reach).await?;
    Ok(added(&state.mesh, package))
}

/// Push a package and its signatures to a registry
#[utoipa::path(post, path = "/api/v1/catalog/applications/{id}/push", tag = "catalog", params(ById),
    request_body = PushPackage,
    responses((status = 200, description = "Where it is", body = PushedPackage),
        (status = 422, description = "The registry may not be used, or does not take it: the text says why")))]
async fn push_application(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<CatalogId>,
    Body(body): Body<PushPackage>,
) -> Answer<Json<PushedPackage>> {
    let (reference, reach) = convert::catalog::push(body)?;
    caller.must_hold(&state.mesh.package(&id)?.author, "package")?;
    let pushed = state.mesh.push(&id, reference, reach).await?;
    Ok(Json(convert::catalog::pushed(&pushed)))
}

/// Add a signature over the package's manifest; the key stays with who signs
#[utoipa::path(post, path = "/api/v1/catalog/applications/{id}/signatures", tag = "catalog", params(ById),
    request_body = SignPackage,
    responses((status = 200, description = "The application", body = CatalogApplication),
        (status = 409, description = "The package has as many signatures as it can have"),
        (status = 422, description = "The payload is of something else")))]
async fn sign_application(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<CatalogId>,
    Body(body): Body<SignPackage>,
) -> Answer<Json<CatalogApplication>> {
    let signature = convert::catalog::signature(body)?;
    caller.must_hold(&state.mesh.package(&id)?.author, "package")?;
    let package = state.mesh.add_signature(&id, signature).await?;
    Ok(Json(shown(&state.mesh, package)))
}
