//! The catalog: packages, their upload and their installation.

use crate::auth::Caller;
use crate::convert;
use crate::docs::{Binary, ById};
use crate::extract::{Body, Id, Params};
use crate::mesh::assets;
use crate::paging::page;
use crate::problem::Draft;
use crate::respond::{Answer, Created};
use crate::state::ApiState;
use crate::upload::receive;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use axum::{Extension, Json};
use hypermesh_mesh::{Mesh, Receiving};
use hypermesh_model::{CatalogId, Package};
use hypermesh_wire::catalog::{
    CatalogApplication, CatalogQuery, Install, Installation, Installed, UploadQuery,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default().routes(routes!(list_applications)).routes(routes!(get_application))
}

/// Routes that compile and so take longer.
pub(crate) fn slow_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default().routes(routes!(upload_package)).routes(routes!(install_application))
}

fn shown(mesh: &Mesh, package: Package) -> CatalogApplication {
    let installed = mesh.installed_as(&package.id);
    convert::catalog::shown(package, installed)
}

/// All packages
#[utoipa::path(get, path = "/api/v1/catalog/applications", tag = "catalog", params(CatalogQuery),
    responses((status = 200, description = "Applications by id; `link` leads to the next page",
        body = Vec<CatalogApplication>)))]
async fn list_applications(
    State(state): State<ApiState>,
    uri: Uri,
    Params(query): Params<CatalogQuery>,
) -> Answer<Response> {
    convert::catalog::check_query(&query)?;
    let packages = state.mesh.packages().into_iter().map(|package| shown(&state.mesh, package));
    let selected = packages.filter(|application| convert::catalog::selects(&query, application)).collect();
    let page = page(selected, |application| &application.id, query.limit, query.after.as_deref())?;
    Ok(page.answer(&uri))
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

/// Upload a component; it is vetted and compiled before it is in the catalog
#[utoipa::path(post, path = "/api/v1/catalog/packages", tag = "catalog", params(UploadQuery),
    request_body(content = inline(Binary), content_type = "application/wasm"),
    responses((status = 201, description = "The application", body = CatalogApplication,
            headers(("location" = String))),
        (status = 409, description = "Name and version are taken by another component, or the catalog is full"),
        (status = 422, description = "The component is not admitted: `reasons` says why")))]
async fn upload_package(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<UploadQuery>,
    request: Request,
) -> Answer<Created<CatalogApplication>> {
    let new = convert::catalog::new(query)?;
    let upload = receive(&state, request, Receiving::Component, "application/wasm").await?;
    let package = state.mesh.add_package(caller.subject(), new, upload).await?;
    let location = format!("/api/v1/catalog/applications/{}", package.id);
    Ok(Created { location, body: shown(&state.mesh, package) })
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
    let id = convert::check::id("catalog_id", &body.catalog_id, CatalogId::parse)?;
    let privacy = body.privacy_level.map(convert::assets::privacy).unwrap_or_default();
    let limits =
        body.resource_limits.map(|given| convert::vm::limits("resource_limits", &given)).transpose()?;
    let installed = state.mesh.install(caller.subject(), &id, privacy, limits).await;
    let (asset, logs) = installed.map_err(|error| Draft::from(error).naming("catalog_id"))?;
    let Created { location, body: vm_asset } = assets::created(&state.mesh, asset);
    let installation = Installation { status: "completed".to_owned(), progress: 100, logs };
    Ok(Created { location, body: Installed { vm_asset, installation } })
}
