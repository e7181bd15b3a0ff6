//! Blobs: files that executions are granted as inputs, stored by what is in them.

use crate::docs::{Binary, ByDigest};
use crate::extract::{Id, Params};
use crate::paging::page;
use crate::respond::{Answer, Created, message};
use crate::state::ApiState;
use crate::upload::receive;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use hypermesh_mesh::{Receiving, StoredBlob};
use hypermesh_model::BlobDigest;
use hypermesh_wire::assets::Message;
use hypermesh_wire::executions::{Blob, BlobQuery};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default().routes(routes!(list_blobs, upload_blob)).routes(routes!(get_blob, delete_blob))
}

fn shown(blob: StoredBlob) -> Blob {
    Blob { digest: blob.digest.into(), size: blob.size.0 }
}

/// All blobs
#[utoipa::path(get, path = "/api/v1/blobs", tag = "blobs", params(BlobQuery),
    responses((status = 200, description = "Blobs by digest; `link` leads to the next page", body = Vec<Blob>)))]
async fn list_blobs(
    State(state): State<ApiState>,
    uri: Uri,
    Params(query): Params<BlobQuery>,
) -> Answer<Response> {
    let blobs = state.mesh.blobs()?;
    let page = page(blobs, |blob| blob.digest.as_str(), query.limit, query.after.as_deref())?;
    Ok(page.map(shown).answer(&uri))
}

/// Upload a file; the same content again is the same blob
#[utoipa::path(post, path = "/api/v1/blobs", tag = "blobs",
    request_body(content = inline(Binary), content_type = "application/octet-stream"),
    responses((status = 201, description = "The blob", body = Blob, headers(("location" = String))),
        (status = 409, description = "All blobs together are as large as they may be")))]
async fn upload_blob(State(state): State<ApiState>, request: Request) -> Answer<Created<Blob>> {
    let blob = receive(&state, request, Receiving::Blob, "application/octet-stream").await?;
    let location = format!("/api/v1/blobs/{}", blob.digest);
    Ok(Created { location, body: shown(blob) })
}

/// Whether a blob is there, and its size
#[utoipa::path(get, path = "/api/v1/blobs/{digest}", tag = "blobs", params(ByDigest),
    responses((status = 200, description = "The blob", body = Blob)))]
async fn get_blob(State(state): State<ApiState>, Id(digest): Id<BlobDigest>) -> Answer<Json<Blob>> {
    Ok(Json(shown(state.mesh.blob(&digest)?)))
}

/// Remove a blob; executions that were granted it keep it
#[utoipa::path(delete, path = "/api/v1/blobs/{digest}", tag = "blobs", params(ByDigest),
    responses((status = 200, description = "It is removed", body = Message)))]
async fn delete_blob(State(state): State<ApiState>, Id(digest): Id<BlobDigest>) -> Answer<Json<Message>> {
    state.mesh.remove_blob(&digest).await?;
    Ok(message(format!("blob {digest} is removed")))
}
