//! Services: HTTP guests that the node serves under `/guests/{name}/`. What goes there is `guests`' business.

use super::events::last_seen;
use super::executions::patience;
use super::logs::{MAX_AFTER, lines_wanted};
use super::streams::log_events;
use crate::auth::Caller;
use crate::convert;
use crate::docs::{ByService, Resume};
use crate::extract::{Body, Id, Params};
use crate::paging::page;
use crate::problem::Draft;
use crate::respond::{Answer, Created, message};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::response::sse::{Event, Sse};
use axum::{Extension, Json};
use futures_util::Stream;
use hypermesh_model::ServiceName;
use hypermesh_wire::assets::Message;
use hypermesh_wire::executions::{LogQuery, StreamLine};
use hypermesh_wire::services::{CreateService, Service, ServiceLogs, ServiceQuery};
use std::convert::Infallible;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(list_services))
        .routes(routes!(get_service))
        .routes(routes!(get_service_logs))
}

/// Those that may compile a component, or wait for guests to end.
pub(crate) fn slow_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default().routes(routes!(create_service)).routes(routes!(remove_service))
}

/// Those that last as long as the service.
pub(crate) fn stream_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default().routes(routes!(follow_service_log))
}

/// Serve an HTTP guest under `/guests/{name}/`, in an allocation of its own or in a given one
#[utoipa::path(post, path = "/api/v1/services", tag = "services", request_body = CreateService,
    responses((status = 201, description = "The service; it serves", body = Service, headers(("location" = String))),
        (status = 404, description = "There is no such vm"),
        (status = 409, description = "The name is taken, there are too many services, not enough capacity, or the vm or \
            the given allocation can not be used"),
        (status = 422, description = "The kernel would not enforce the limits, or the memory is too small for the \
            concurrency")))]
async fn create_service(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateService>,
) -> Answer<Created<Service>> {
    let request = convert::services::new(body)?;
    if let Some(lease) = request.lease.as_ref().and_then(|id| state.mesh.lease(id).ok()) {
        caller.must_use(&lease.requester, "allocation")?;
    }
    let made = state.mesh.serve(caller.subject(), request).await;
    let made = made.map_err(|error| Draft::from(error).naming("vm_asset_id"))?;
    let location = format!("/api/v1/services/{}", made.service.name);
    Ok(Created { location, body: convert::services::shown(&state.address, made) })
}

/// All services, those that have ended as long as they are kept
#[utoipa::path(get, path = "/api/v1/services", tag = "services", params(ServiceQuery),
    responses((status = 200, description = "Services by name; `link` leads to the next page", body = Vec<Service>)))]
async fn list_services(
    State(state): State<ApiState>,
    uri: Uri,
    Params(query): Params<ServiceQuery>,
) -> Answer<Response> {
    let services = state.mesh.services();
    let page = page(services, |view| view.service.name.as_str(), query.limit, query.after.as_deref())?;
    Ok(page.map(|view| convert::services::shown(&state.address, view)).answer(&uri))
}

/// One service
#[utoipa::path(get, path = "/api/v1/services/{name}", tag = "services", params(ByService),
    responses((status = 200, description = "The service", body = Service)))]
async fn get_service(State(state): State<ApiState>, Id(name): Id<ServiceName>) -> Answer<Json<Service>> {
    Ok(Json(convert::services::shown(&state.address, state.mesh.service(&name)?)))
}

/// End a service and remove it, with its log and the allocation that was made for it
#[utoipa::path(delete, path = "/api/v1/services/{name}", tag = "services", params(ByService),
    responses((status = 200, description = "It is ended, and its guests are gone", body = Message),
        (status = 409, description = "Its allocation is being changed right now")))]
async fn remove_service(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(name): Id<ServiceName>,
) -> Answer<Json<Message>> {
    caller.must_hold(&state.mesh.service(&name)?.service.requester, "service")?;
    state.mesh.remove_service(&name).await?;
    Ok(message(format!("the service {name} is ended and removed")))
}

/// A service's log; with `wait`, once there is a further line
#[utoipa::path(get, path = "/api/v1/services/{name}/logs", tag = "services", params(ByService, LogQuery),
    responses((status = 200, description = "Lines, oldest first; those that went over the limit are skipped",
        body = ServiceLogs)))]
async fn get_service_logs(
    State(state): State<ApiState>,
    Id(name): Id<ServiceName>,
    Params(query): Params<LogQuery>,
) -> Answer<Json<ServiceLogs>> {
    let after = convert::check::range("after", query.after.unwrap_or(0), 0, MAX_AFTER)?;
    let lines = lines_wanted(query.limit)?;
    let page = tokio::select! {
        page = state.mesh.service_logs(&name, after, lines, patience(query.wait)?) => page?,
        () = state.closing.cancelled() => state.mesh.service_logs(&name, after, lines, Duration::ZERO).await?,
    };
    Ok(Json(convert::services::logs(name, page)))
}

/// Follow a service's log; the stream ends with the service
#[utoipa::path(get, path = "/api/v1/services/{name}/logs/stream", tag = "services", params(ByService, Resume),
    responses((status = 200, description = "`id` is the number of the line, from 1; `event` is `line`, its `data` a line as \
        JSON. A last event `end` says how many lines were dropped over the limit. Without `Last-Event-ID` from the first \
        line that is kept.", content_type = "text/event-stream", body = StreamLine)))]
async fn follow_service_log(
    State(state): State<ApiState>,
    Id(name): Id<ServiceName>,
    headers: HeaderMap,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let permit = state.begin_stream()?;
    let after = last_seen(&headers)?.unwrap_or(0);
    let log = state.mesh.follow_service_log(&name, after)?;
    Ok(log_events(state, log, permit))
}
