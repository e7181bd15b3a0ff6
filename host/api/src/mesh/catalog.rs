//! The catalog: packages, their upload and their installation.

use crate::auth::Caller;
use crate::convert;
use crate::docs::{Binary, ById, Signed};
use crate::extract::{Body, Id, Params, essence, header_text, require_type};
use crate::mesh::assets;
use crate::problem::Draft;
use crate::respond::{Answer, Created, message};
use crate::state::ApiState;
use crate::upload::{receive, receive_archive};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Uri};
use axum::response::Response;
use axum::{Extension, Json};
use hypermesh_mesh::{Mesh, Receiving};
use hypermesh_model::{CatalogId, Package};
use hypermesh_wire::assets::Message;
use hypermesh_wire::catalog::{
    CatalogApplication, CatalogQuery, Deprecate, Install, Installation, Installed, ResolveQuery, UploadQuery,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A component.
const WASM: &str = "application/wasm";
/// An image-layout archive.
pub(super) const TAR: &str = "application/x-tar";
/// A signature over an uploaded component.
const SIGNATURE: HeaderName = HeaderName::from_static("hypermesh-signature");
/// Longest signature in base64.
const MAX_SIGNATURE: usize = 1024;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(list_applications))
        .routes(routes!(get_application, remove_application))
        .routes(routes!(deprecate_application, undeprecate_application))
        .routes(routes!(resolve_application))
}

/// Routes that compile and so take longer.
pub(crate) fn slow_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default().routes(routes!(upload_package)).routes(routes!(install_application))
}

pub(super) fn shown(mesh: &Mesh, package: Package) -> CatalogApplication {
    let installed = mesh.installed_as(&package.id);
    convert::catalog::shown(package, installed)
}

/// All packages, by name, of each name the newest version first
#[utoipa::path(get, path = "/api/v1/catalog/applications", tag = "catalog", params(CatalogQuery),
    responses((status = 200, description = "Applications; `link` leads to the next page",
        body = Vec<CatalogApplication>)))]
async fn list_applications(
    State(state): State<ApiState>,
    uri: Uri,
    Params(query): Params<CatalogQuery>,
) -> Answer<Response> {
    convert::catalog::check_query(&query)?;
    let packages = state.mesh.packages().into_iter().map(|package| shown(&state.mesh, package));
    let selected = packages.filter(|application| convert::catalog::selects(&query, application)).collect();
    Ok(convert::catalog::page_of(selected, &query)?.answer(&uri))
}

/// One package
#[utoipa::path(get, path = "/api/v1/catalog/applications/{id}", tag = "catalog", params(ById),
    responses((status = 200, description = "The application", body = CatalogApplication)))]
async fn get_application(
    State(state): State<ApiState>,
    Id(id): Id<CatalogId>,
) -> Answer<Json<CatalogApplication>> {
    Ok(Json(shown(&state.mesh, state.mesh.package(&id)?)))
}

/// Remove a package that nothing uses, and its component with the last package that has it
#[utoipa::path(delete, path = "/api/v1/catalog/applications/{id}", tag = "catalog", params(ById),
    responses((status = 200, description = "It is removed", body = Message),
        (status = 409, description = "Vm assets or executions use it; the text names them")))]
async fn remove_application(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<CatalogId>,
) -> Answer<Json<Message>> {
    caller.must_hold(&state.mesh.package(&id)?.author, "package")?;
    state.mesh.remove_package(&id).await?;
    Ok(message(format!("package {id} is removed")))
}

/// Say that a version should not be chosen any more; it still runs
#[utoipa::path(put, path = "/api/v1/catalog/applications/{id}/deprecation", tag = "catalog", params(ById),
    request_body = Deprecate,
    responses((status = 200, description = "The application", body = CatalogApplication)))]
async fn deprecate_application(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<CatalogId>,
    Body(body): Body<Deprecate>,
) -> Answer<Json<CatalogApplication>> {
    let reason = convert::catalog::reason(body)?;
    caller.must_hold(&state.mesh.package(&id)?.author, "package")?;
    let package = state.mesh.deprecate(caller.subject(), &id, reason).await?;
    Ok(Json(shown(&state.mesh, package)))
}

/// Take a deprecation back
#[utoipa::path(delete, path = "/api/v1/catalog/applications/{id}/deprecation", tag = "catalog", params(ById),
    responses((status = 200, description = "The application", body = CatalogApplication),
        (status = 409, description = "It is not deprecated")))]
async fn undeprecate_application(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<CatalogId>,
) -> Answer<Json<CatalogApplication>> {
    caller.must_hold(&state.mesh.package(&id)?.author, "package")?;
    Ok(Json(shown(&state.mesh, state.mesh.undeprecate(&id).await?)))
}

/// The version that a name or a requirement means: the highest that matches, never a deprecated one by choice
#[utoipa::path(get, path = "/api/v1/catalog/resolve", tag = "catalog", params(ResolveQuery),
    responses((status = 200, description = "The application", body = CatalogApplication),
        (status = 404, description = "No version fits; the text says which there are"),
        (status = 422, description = "The text is no requirement")))]
async fn resolve_application(
    State(state): State<ApiState>,
    Params(query): Params<ResolveQuery>,
) -> Answer<Json<CatalogApplication>> {
    let wanted = convert::catalog::requirement("package", &query.package, query.prerelease)?;
    Ok(Json(shown(&state.mesh, state.mesh.resolve(&wanted)?)))
}

/// Upload a component; it is vetted and compiled before it is in the catalog
///
/// `application/x-tar`: an OCI image layout with one component's artifact, as an export gives it; what the query doesn't say
/// its manifest does.
#[utoipa::path(post, path = "/api/v1/catalog/packages", tag = "catalog", params(UploadQuery, Signed),
    request_body(content((inline(Binary) = "application/wasm"), (inline(Binary) = "application/x-tar"))),
    responses((status = 201, description = "The application", body = CatalogApplication,
            headers(("location" = String))),
        (status = 409, description = "Name and version are taken by another component, or a quota is used up"),
        (status = 422, description = "The component is not admitted, or not signed as the node's policy wants it: \
            `reasons` says why")))]
async fn upload_package(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<UploadQuery>,
    request: Request,
) -> Answer<Created<CatalogApplication>> {
    let new = convert::catalog::new(query, detached_signature(request.headers())?)?;
    let is_archive = essence(request.headers()) == TAR;
    require_type(
        request.headers(),
        |essence| is_archive || essence == WASM,
        "application/wasm or application/x-tar",
    )?;
    let package = if is_archive {
        let archive = receive_archive(&state, request).await?;
        state.mesh.import(caller.subject(), new, archive).await?
    } else {
        let upload = receive(&state, request, Receiving::Component, WASM).await?;
        state.mesh.add_package(caller.subject(), new, upload).await?
    };
    Ok(added(&state.mesh, package))
}

/// The answer to whatever made a package.
pub(super) fn added(mesh: &Mesh, package: Package) -> Created<CatalogApplication> {
    let location = format!("/api/v1/catalog/applications/{}", package.id);
    Created { location, body: shown(mesh, package) }
}

fn detached_signature(headers: &HeaderMap) -> Answer<Option<String>> {
    let Some(text) = header_text(headers, &SIGNATURE)? else { return Ok(None) };
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
    if (4..=MAX_SIGNATURE).contains(&text.len()) && text.bytes().all(is_base64) {
        return Ok(Some(text.to_owned()));
    }
    Err(Draft::invalid(SIGNATURE.as_str(), format!("`{SIGNATURE}` must be a signature in base64")))
}

/// An id, or a name and a requirement.
fn catalog_id(mesh: &Mesh, text: &str) -> Answer<CatalogId> {
    if !text.contains('@') {
        return convert::check::id("catalog_id", text, CatalogId::parse);
    }
    let wanted = convert::catalog::requirement("catalog_id", text, false)?;
    let package = mesh.resolve(&wanted).map_err(|error| Draft::from(error).naming("catalog_id"))?;
    Ok(package.id)
}

/// Make a vm asset that runs a package
#[utoipa::path(post, path = "/api/v1/catalog/install", tag = "catalog", request_body = Install,
    responses((status = 201, description = "The vm asset and what was done", body = Installed,
            headers(("location" = String))),
        (status = 404, description = "There is no such package"),
        (status = 409, description = "The package is not one that runs as a vm"),
        (status = 422, description = "The component can not be compiled by this version")))]
async fn install_application(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<Install>,
) -> Answer<Created<Installed>> {
    let id = catalog_id(&state.mesh, &body.catalog_id)?;
    let privacy = body.privacy_level.map(convert::assets::privacy).unwrap_or_default();
    let limits =
        body.resource_limits.map(|given| convert::vm::limits("resource_limits", &given)).transpose()?;
    let installed = state.mesh.install(caller.subject(), &id, privacy, limits).await;
    let (asset, logs) = installed.map_err(|error| Draft::from(error).naming("catalog_id"))?;
    let Created { location, body: vm_asset } = assets::created(&state.mesh, asset);
    let installation = Installation { status: "completed".to_owned(), progress: 100, logs };
    Ok(Created { location, body: Installed { vm_asset, installation } })
}
