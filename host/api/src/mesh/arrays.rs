//! Arrays: one operation over many parameters.

use crate::auth::Caller;
use crate::convert;
use crate::convert::check;
use crate::docs::ById;
use crate::extract::{Body, Id, Params};
use crate::mesh::executions::{may_use_lease, patience};
use crate::paging::page;
use crate::problem::Draft;
use crate::respond::{Answer, Created};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::{Extension, Json};
use hypermesh_model::ArrayId;
use hypermesh_wire::arrays::{ArrayItemQuery, ArrayItems, ArrayQuery, CreateArray, VmArray};
use hypermesh_wire::executions::Cancelled;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Most indexes in one answer.
const MAX_ITEMS: u32 = 1000;
/// Most that can be skipped.
const MAX_AFTER: u64 = 1_000_000;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(list_arrays, create_array))
        .routes(routes!(get_array))
        .routes(routes!(list_array_items))
        .routes(routes!(cancel_array))
}

/// Run an operation of a vm over many parameters, so many at a time
#[utoipa::path(post, path = "/api/v1/vm/arrays", tag = "executions", request_body = CreateArray,
    responses((status = 201, description = "The array", body = VmArray, headers(("location" = String))),
        (status = 404, description = "There is no such vm"),
        (status = 409, description = "Too many arrays have not ended, or the vm can not be executed"),
        (status = 422, description = "It has no index or too many, or what it names is not there")))]
async fn create_array(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateArray>,
) -> Answer<Created<VmArray>> {
    let new = convert::arrays::new(body)?;
    may_use_lease(&state, &caller, &new.request)?;
    let begun = state.mesh.create_array(caller.subject(), new).await;
    let view = begun.map_err(|error| Draft::from(error).naming("execution.vm_asset_id"))?;
    let location = format!("/api/v1/vm/arrays/{}", view.array.id);
    Ok(Created { location, body: convert::arrays::shown(view) })
}

/// All arrays; ended ones as long as they are kept
#[utoipa::path(get, path = "/api/v1/vm/arrays", tag = "executions", params(ArrayQuery),
    responses((status = 200, description = "Arrays by id; `link` leads to the next page", body = Vec<VmArray>)))]
async fn list_arrays(
    State(state): State<ApiState>,
    uri: Uri,
    Params(query): Params<ArrayQuery>,
) -> Answer<Response> {
    let all = state.mesh.arrays();
    let page = page(all, |view| view.array.id.as_str(), query.limit, query.after.as_deref())?;
    Ok(page.map(convert::arrays::shown).answer(&uri))
}

/// One array: how far it is
#[utoipa::path(get, path = "/api/v1/vm/arrays/{id}", tag = "executions", params(ById),
    responses((status = 200, description = "The array", body = VmArray)))]
async fn get_array(State(state): State<ApiState>, Id(id): Id<ArrayId>) -> Answer<Json<VmArray>> {
    Ok(Json(convert::arrays::shown(state.mesh.array(&id)?)))
}

/// The indexes of an array, their executions and results
#[utoipa::path(get, path = "/api/v1/vm/arrays/{id}/items", tag = "executions", params(ById, ArrayItemQuery),
    responses((status = 200, description = "A page of them", body = ArrayItems)))]
async fn list_array_items(
    State(state): State<ApiState>,
    Id(id): Id<ArrayId>,
    Params(query): Params<ArrayItemQuery>,
) -> Answer<Json<ArrayItems>> {
    let after = check::range("after", query.after.unwrap_or(0), 0, MAX_AFTER)?;
    let limit = check::range("limit", query.limit.unwrap_or(MAX_ITEMS), 1, MAX_ITEMS)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let wait = patience(query.wait)?;
    let order = convert::arrays::order(query.order.unwrap_or_default());
    let read = |wait: Duration| state.mesh.array_items(&id, order, after, limit, wait);
    let items = tokio::select! {
        items = read(wait) => items?,
        () = state.closing.cancelled() => read(Duration::ZERO).await?,
    };
    Ok(Json(convert::arrays::items(id.clone(), items)))
}

/// Cancel an array: what runs is killed, what waits is dropped; answers when nothing runs any more
#[utoipa::path(post, path = "/api/v1/vm/arrays/{id}/cancel", tag = "executions", params(ById),
    responses((status = 200, description = "Whether it was cancelled, and if not, why", body = Cancelled),
        (status = 409, description = "It can not be cancelled yet")))]
async fn cancel_array(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<ArrayId>,
) -> Answer<Json<Cancelled>> {
    caller.must_hold(&state.mesh.array(&id)?.array.requester, "array")?;
    let outcome = state.mesh.cancel_array(&id, caller.subject()).await?;
    Ok(Json(convert::executions::cancelled(outcome)))
}
