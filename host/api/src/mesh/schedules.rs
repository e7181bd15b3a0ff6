//! Schedules: executions at a time, or again and again.

use crate::auth::Caller;
use crate::convert;
use crate::docs::ById;
use crate::extract::{Body, Id, Params};
use crate::mesh::executions::may_use_lease;
use crate::paging::page;
use crate::problem::Draft;
use crate::respond::{Answer, Created, message};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::{Extension, Json};
use hypermesh_mesh::MeshError;
use hypermesh_model::ScheduleId;
use hypermesh_wire::assets::Message;
use hypermesh_wire::schedules::{ChangeSchedule, CreateSchedule, Schedule, ScheduleQuery, ScheduleRun};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(list_schedules, create_schedule))
        .routes(routes!(get_schedule, change_schedule, remove_schedule))
        .routes(routes!(list_schedule_runs))
        .routes(routes!(run_schedule))
}

/// The vm is what isn't there.
fn naming(error: MeshError) -> Draft {
    Draft::from(error).naming("execution.vm_asset_id")
}

/// Have an execution run at a time, or again and again
#[utoipa::path(post, path = "/api/v1/schedules", tag = "schedules", request_body = CreateSchedule,
    responses((status = 201, description = "The schedule", body = Schedule, headers(("location" = String))),
        (status = 404, description = "There is no such vm"),
        (status = 409, description = "There are too many schedules, or the vm can not be executed"),
        (status = 422, description = "It would never run, its time is not understood, or what it names is not there")))]
async fn create_schedule(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateSchedule>,
) -> Answer<Created<Schedule>> {
    let new = convert::schedules::new(body)?;
    may_use_lease(&state, &caller, &new.request)?;
    let view = state.mesh.create_schedule(caller.subject(), new).await.map_err(naming)?;
    let location = format!("/api/v1/schedules/{}", view.schedule.id);
    Ok(Created { location, body: convert::schedules::shown(view) })
}

/// All schedules, paused and ended ones included
#[utoipa::path(get, path = "/api/v1/schedules", tag = "schedules", params(ScheduleQuery),
    responses((status = 200, description = "Schedules by id; `link` leads to the next page", body = Vec<Schedule>)))]
async fn list_schedules(
    State(state): State<ApiState>,
    uri: Uri,
    Params(query): Params<ScheduleQuery>,
) -> Answer<Response> {
    let all = state.mesh.schedules();
    let page = page(all, |view| view.schedule.id.as_str(), query.limit, query.after.as_deref())?;
    Ok(page.map(convert::schedules::shown).answer(&uri))
}

/// One schedule
#[utoipa::path(get, path = "/api/v1/schedules/{id}", tag = "schedules", params(ById),
    responses((status = 200, description = "The schedule", body = Schedule)))]
async fn get_schedule(State(state): State<ApiState>, Id(id): Id<ScheduleId>) -> Answer<Json<Schedule>> {
    Ok(Json(convert::schedules::shown(state.mesh.schedule(&id)?)))
}

/// Change a schedule, pause it, or let it run again
#[utoipa::path(patch, path = "/api/v1/schedules/{id}", tag = "schedules", params(ById),
    request_body = ChangeSchedule,
    responses((status = 200, description = "The schedule as it is now", body = Schedule),
        (status = 409, description = "The vm can not be executed"),
        (status = 422, description = "It would never run, its time is not understood, or what it names is not there")))]
async fn change_schedule(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<ScheduleId>,
    Body(body): Body<ChangeSchedule>,
) -> Answer<Json<Schedule>> {
    let change = convert::schedules::change(body)?;
    caller.must_hold(&state.mesh.schedule(&id)?.schedule.requester, "schedule")?;
    if let Some(request) = &change.request {
        may_use_lease(&state, &caller, request)?;
    }
    let view = state.mesh.change_schedule(&id, change).await.map_err(naming)?;
    Ok(Json(convert::schedules::shown(view)))
}

/// Remove a schedule and the records of its runs; what runs goes on
#[utoipa::path(delete, path = "/api/v1/schedules/{id}", tag = "schedules", params(ById),
    responses((status = 200, description = "It is removed", body = Message)))]
async fn remove_schedule(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<ScheduleId>,
) -> Answer<Json<Message>> {
    caller.must_hold(&state.mesh.schedule(&id)?.schedule.requester, "schedule")?;
    state.mesh.remove_schedule(&id).await?;
    Ok(message(format!("schedule {id} is removed")))
}

/// The runs of a schedule that are kept
#[utoipa::path(get, path = "/api/v1/schedules/{id}/runs", tag = "schedules", params(ById, ScheduleQuery),
    responses((status = 200, description = "Runs by id, that is by age; `link` leads to the next page",
        body = Vec<ScheduleRun>)))]
async fn list_schedule_runs(
    State(state): State<ApiState>,
    uri: Uri,
    Id(id): Id<ScheduleId>,
    Params(query): Params<ScheduleQuery>,
) -> Answer<Response> {
    state.mesh.schedule(&id)?;
    let runs = state.mesh.runs_of(&id);
    let page = page(runs, |run| run.id.as_str(), query.limit, query.after.as_deref())?;
    Ok(page.map(convert::schedules::run).answer(&uri))
}

/// Have a schedule run now, whatever its times are; the answer comes when it has begun, was skipped or refused
#[utoipa::path(post, path = "/api/v1/schedules/{id}/run", tag = "schedules", params(ById),
    responses((status = 201, description = "The run: see its `status`", body = ScheduleRun)))]
async fn run_schedule(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<ScheduleId>,
) -> Answer<(axum::http::StatusCode, Json<ScheduleRun>)> {
    caller.must_hold(&state.mesh.schedule(&id)?.schedule.requester, "schedule")?;
    let run = state.mesh.run_now(&id).await?;
    Ok((axum::http::StatusCode::CREATED, Json(convert::schedules::run(run))))
}
