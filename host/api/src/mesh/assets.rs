//! Assets and vm assets.

use crate::auth::Caller;
use crate::convert;
use crate::docs::ById;
use crate::extract::{Body, Id, Params};
use crate::paging::page;
use crate::problem::Draft;
use crate::respond::{Answer, Created, message};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::{Extension, Json};
use hypermesh_mesh::Mesh;
use hypermesh_model::{self as model, AssetId};
use hypermesh_wire::assets::{Asset, AssetQuery, CreateAsset, CreateVm, Message, UpdateAsset};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Members of an asset that a caller sees and can't set.
const READ_ONLY: [&str; 9] = [
    "id",
    "type",
    "owner",
    "allocation",
    "proxy_address",
    "created_at",
    "updated_at",
    "vm_config",
    "catalog_metadata",
];

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(list_assets, create_asset))
        .routes(routes!(get_asset, update_asset, delete_asset))
        .routes(routes!(create_vm))
}

/// An asset as a caller sees it, with what its package says.
pub(crate) fn shown(mesh: &Mesh, asset: model::Asset) -> Asset {
    let package = asset.vm.as_ref().and_then(|vm| mesh.package(vm.package.as_ref()?).ok());
    convert::assets::shown(asset, package)
}

/// A vm or another asset, as just made.
pub(crate) fn created(mesh: &Mesh, asset: model::Asset) -> Created<Asset> {
    Created { location: format!("/api/v1/assets/{}", asset.id), body: shown(mesh, asset) }
}

/// All assets, the node's hardware included
#[utoipa::path(get, path = "/api/v1/assets", tag = "assets", params(AssetQuery),
    responses((status = 200, description = "Assets by id; `link` leads to the next page", body = Vec<Asset>)))]
async fn list_assets(
    State(state): State<ApiState>,
    uri: Uri,
    Params(query): Params<AssetQuery>,
) -> Answer<Response> {
    let assets = state.mesh.assets(&convert::assets::filter(&query)?);
    let page = page(assets, |asset| asset.id.as_str(), query.limit, query.after.as_deref())?;
    Ok(page.map(|asset| shown(&state.mesh, asset)).answer(&uri))
}

/// Register an asset that is neither hardware nor a vm
#[utoipa::path(post, path = "/api/v1/assets", tag = "assets", request_body = CreateAsset,
    responses((status = 201, description = "The asset", body = Asset, headers(("location" = String))),
        (status = 409, description = "As many assets are registered as may be")))]
async fn create_asset(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateAsset>,
) -> Answer<Created<Asset>> {
    let asset = state.mesh.register_asset(caller.subject(), convert::assets::new(body)?).await?;
    Ok(created(&state.mesh, asset))
}

/// One asset
#[utoipa::path(get, path = "/api/v1/assets/{id}", tag = "assets", params(ById),
    responses((status = 200, description = "The asset", body = Asset)))]
async fn get_asset(State(state): State<ApiState>, Id(id): Id<AssetId>) -> Answer<Json<Asset>> {
    Ok(Json(shown(&state.mesh, state.mesh.asset(&id)?)))
}

/// Change an asset's mutable members
#[utoipa::path(put, path = "/api/v1/assets/{id}", tag = "assets", params(ById), request_body = UpdateAsset,
    responses((status = 200, description = "The asset as it is now", body = Asset),
        (status = 422, description = "`specifications` of hardware are as measured")))]
async fn update_asset(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<AssetId>,
    body: Result<Body<UpdateAsset>, Draft>,
) -> Answer<Json<Asset>> {
    let Body(body) = body.map_err(read_only)?;
    let change = convert::assets::change(body)?;
    caller.must_hold(&state.mesh.asset(&id)?.owner, "asset")?;
    let asset = state.mesh.update_asset(&id, change).await?;
    Ok(Json(shown(&state.mesh, asset)))
}

/// Remove an asset that was registered by hand
#[utoipa::path(delete, path = "/api/v1/assets/{id}", tag = "assets", params(ById),
    responses((status = 200, description = "It is removed", body = Message),
        (status = 409, description = "It is hardware, or allocations or executions use it")))]
async fn delete_asset(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<AssetId>,
) -> Answer<Json<Message>> {
    caller.must_hold(&state.mesh.asset(&id)?.owner, "asset")?;
    state.mesh.remove_asset(&id).await?;
    Ok(message(format!("asset {id} is removed")))
}

/// Make a vm asset
#[utoipa::path(post, path = "/api/v1/assets/vm", tag = "assets", request_body = CreateVm,
    responses((status = 201, description = "The vm asset", body = Asset, headers(("location" = String))),
        (status = 404, description = "There is no such package"),
        (status = 409, description = "As many assets are registered as may be"),
        (status = 422, description = "It asks for a right that this build does not grant, or for an entrypoint that the package lacks")))]
async fn create_vm(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateVm>,
) -> Answer<Created<Asset>> {
    let made = state.mesh.create_vm(caller.subject(), convert::vm::new(body)?).await;
    let asset = made.map_err(|error| Draft::from(error).naming("catalog_metadata.catalog_id"))?;
    Ok(created(&state.mesh, asset))
}

/// An unknown member that an asset has is not misspelt; it is read-only.
fn read_only(draft: Draft) -> Draft {
    match draft.member() {
        Some(member) if READ_ONLY.contains(&member) => {
            Draft::invalid(member, format!("`{member}` is read-only"))
        }
        _ => draft,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_only_member_says_so() {
        let draft = read_only(Draft::invalid("owner", "unknown field `owner`"));
        assert!(format!("{draft:?}").contains("`owner` is read-only"));
        let draft = read_only(Draft::invalid("nmae", "unknown field `nmae`"));
        assert!(format!("{draft:?}").contains("unknown field"));
    }
}
