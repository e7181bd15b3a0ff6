//! Executions of vms: start, follow, cancel.

use crate::auth::Caller;
use crate::convert;
use crate::docs::ById;
use crate::extract::{Body, Id, Params};
use crate::paging::page;
use crate::problem::Draft;
use crate::respond::{Answer, Created};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::{Extension, Json};
use hypermesh_mesh::ExecuteRequest;
use hypermesh_model::{Execution, ExecutionId};
use hypermesh_wire::executions::{Cancelled, ExecuteVm, ExecutionQuery, VmExecution, WaitQuery};
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest wait in one request, seconds: below the idle limits of proxies.
pub(crate) const MAX_WAIT: u32 = 60;
/// Longest id to filter by.
const MAX_VM_ID: usize = 64;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(execute_vm))
        .routes(routes!(list_executions))
        .routes(routes!(get_execution))
        .routes(routes!(cancel_execution))
}

/// Run an operation of a vm, in an allocation of its own or in a given one
#[utoipa::path(post, path = "/api/v1/vm/execute", tag = "executions", params(WaitQuery), request_body = ExecuteVm,
    responses((status = 201, description = "The execution; ended, if it did within `wait`", body = VmExecution,
            headers(("location" = String))),
        (status = 404, description = "There is no such vm"),
        (status = 409, description = "Not enough capacity, or the vm or the given allocation can not be used now"),
        (status = 422, description = "The kernel would not enforce the limits, or the component can not be run")))]
async fn execute_vm(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<WaitQuery>,
    Body(body): Body<ExecuteVm>,
) -> Answer<Created<VmExecution>> {
    let wait = patience(query.wait)?;
    let request = convert::executions::new(body)?;
    may_use_lease(&state, &caller, &request)?;
    let waits = !wait.is_zero();
    let started = state.mesh.execute(caller.subject(), request, waits).await;
    let execution = started.map_err(|error| Draft::from(error).naming("vm_asset_id"))?;
    let execution = wait_for(&state, &execution.id, wait).await?;
    if waits && !execution.status.is_final() {
        state.mesh.settle().await?;
    }
    let location = format!("/api/v1/vm/executions/{}", execution.id);
    Ok(Created { location, body: convert::executions::shown(execution) })
}

/// All executions, ended ones included
#[utoipa::path(get, path = "/api/v1/vm/executions", tag = "executions", params(ExecutionQuery),
    responses((status = 200, description = "Executions by id; `link` leads to the next page",
        body = Vec<VmExecution>)))]
async fn list_executions(
    State(state): State<ApiState>,
    uri: Uri,
    Params(query): Params<ExecutionQuery>,
) -> Answer<Response> {
    let vm = convert::check::optional_text("vm_asset_id", query.vm_asset_id, 0, MAX_VM_ID)?;
    let mut executions = state.mesh.executions();
    executions.retain(|execution| vm.as_deref().is_none_or(|vm| vm == execution.vm_asset_id.as_str()));
    let page = page(executions, |execution| execution.id.as_str(), query.limit, query.after.as_deref())?;
    Ok(page.map(convert::executions::shown).answer(&uri))
}

/// One execution; with `wait`, once it has ended
#[utoipa::path(get, path = "/api/v1/vm/executions/{id}", tag = "executions", params(ById, WaitQuery),
    responses((status = 200, description = "The execution", body = VmExecution)))]
async fn get_execution(
    State(state): State<ApiState>,
    Id(id): Id<ExecutionId>,
    Params(query): Params<WaitQuery>,
) -> Answer<Json<VmExecution>> {
    let execution = wait_for(&state, &id, patience(query.wait)?).await?;
    Ok(Json(convert::executions::shown(execution)))
}

/// Cancel an execution; answers when its processes are gone
#[utoipa::path(post, path = "/api/v1/vm/executions/{id}/cancel", tag = "executions", params(ById),
    responses((status = 200, description = "Whether it was cancelled, and if not, why", body = Cancelled),
        (status = 409, description = "It can not be cancelled yet")))]
async fn cancel_execution(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<ExecutionId>,
) -> Answer<Json<Cancelled>> {
    caller.must_hold(&state.mesh.execution(&id)?.requester, "execution")?;
    let outcome = state.mesh.cancel(&id, caller.subject()).await?;
    Ok(Json(convert::executions::cancelled(outcome)))
}

/// Refuses to run, now or later, in a lease that somebody else holds.
pub(crate) fn may_use_lease(state: &ApiState, caller: &Caller, request: &ExecuteRequest) -> Answer<()> {
    match request.lease.as_ref().and_then(|id| state.mesh.lease(id).ok()) {
        Some(lease) => caller.must_use(&lease.requester, "allocation"),
        None => Ok(()),
    }
}

/// How long a caller wants to wait.
pub(crate) fn patience(wait: Option<u32>) -> Answer<Duration> {
    let seconds = convert::check::range("wait", wait.unwrap_or(0), 0, MAX_WAIT)?;
    Ok(Duration::from_secs(seconds.into()))
}

/// The execution when it has ended, when `wait` is over, or when the node begins to stop.
async fn wait_for(state: &ApiState, id: &ExecutionId, wait: Duration) -> Answer<Execution> {
    let execution = state.mesh.execution(id)?;
    if wait.is_zero() || execution.status.is_final() {
        return Ok(execution);
    }
    tokio::select! {
        execution = state.mesh.wait(id, wait) => Ok(execution?),
        () = state.closing.cancelled() => Ok(state.mesh.execution(id)?),
    }
}
