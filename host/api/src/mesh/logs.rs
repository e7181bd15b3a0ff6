//! What an execution leaves behind: its log and its output files.

use super::executions::patience;
use crate::convert;
use crate::docs::{Binary, ById, ByIdAndName};
use crate::extract::{Id, Name, Params};
use crate::respond::{Answer, download};
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use hypermesh_model::ExecutionId;
use hypermesh_wire::executions::{LogQuery, Logs};
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Lines in one answer when the caller names no number.
const DEFAULT_LINES: u32 = 1000;
/// Most lines in one answer: a few megabytes.
const MAX_LINES: u32 = 10_000;
/// The farthest line; a log's size is bounded far below.
pub(super) const MAX_AFTER: u64 = 1_000_000_000_000;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default().routes(routes!(get_logs)).routes(routes!(get_output))
}

/// An execution's log; with `wait`, once there is a further line
#[utoipa::path(get, path = "/api/v1/vm/executions/{id}/logs", tag = "executions", params(ById, LogQuery),
    responses((status = 200, description = "Lines, oldest first", body = Logs)))]
async fn get_logs(
    State(state): State<ApiState>,
    Id(id): Id<ExecutionId>,
    Params(query): Params<LogQuery>,
) -> Answer<Json<Logs>> {
    let after = convert::check::range("after", query.after.unwrap_or(0), 0, MAX_AFTER)?;
    let lines = lines_wanted(query.limit)?;
    let page = tokio::select! {
        page = state.mesh.logs(&id, after, lines, patience(query.wait)?) => page?,
        () = state.closing.cancelled() => state.mesh.logs(&id, after, lines, Duration::ZERO).await?,
    };
    Ok(Json(convert::executions::logs(id, page)))
}

/// How many lines a caller wants.
pub(super) fn lines_wanted(limit: Option<u32>) -> Answer<usize> {
    let lines = convert::check::range("limit", limit.unwrap_or(DEFAULT_LINES), 1, MAX_LINES)?;
    Ok(usize::try_from(lines).unwrap_or(usize::MAX))
}

/// A file that the guest wrote
#[utoipa::path(get, path = "/api/v1/vm/executions/{id}/outputs/{name}", tag = "executions", params(ByIdAndName),
    responses((status = 200, description = "The file", content_type = "application/octet-stream", body = inline(Binary),
        headers(("content-disposition" = String)))))]
async fn get_output(
    State(state): State<ApiState>,
    Id(id): Id<ExecutionId>,
    Name(name): Name,
) -> Answer<Response> {
    let path = state.mesh.output_file(&id, &name)?;
    download(&path, &name).await
}
