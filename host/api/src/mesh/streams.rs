//! What flows while an execution runs: its log as events, its standard output, its standard input.

use super::events::{KEEP_ALIVE, last_seen};
use crate::auth::Caller;
use crate::convert::{self, check};
use crate::docs::{Binary, ById, Resume};
use crate::extract::{Id, Params, broken_off, require_type};
use crate::problem::{Draft, Kind};
use crate::respond::Answer;
use crate::state::ApiState;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::{Stream, TryStreamExt, stream};
use hypermesh_mesh::{FileFollower, FollowLog};
use hypermesh_model::ExecutionId;
use hypermesh_wire::executions::{Sent, StdoutQuery, StreamLine};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The farthest byte that can be asked for.
const MAX_POSITION: u64 = 1_000_000_000_000;
/// How long one wait for more takes before it is begun anew.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Longest silence of a sender of standard input: somebody may be typing it.
const IDLE: Duration = Duration::from_secs(3600);
const BINARY: &str = "application/octet-stream";

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(follow_log))
        .routes(routes!(get_stdout))
        .routes(routes!(put_stdin))
}

/// Follow an execution's log; the stream ends with the log
#[utoipa::path(get, path = "/api/v1/vm/executions/{id}/logs/stream", tag = "executions", params(ById, Resume),
    responses((status = 200, description = "`id` is the number of the line, from 1; `event` is `line`, its `data` a line as \
        JSON. A last event `end` says how many lines were dropped over the limit. Without `Last-Event-ID` from the first line.",
        content_type = "text/event-stream", body = StreamLine)))]
async fn follow_log(
    State(state): State<ApiState>,
    Id(id): Id<ExecutionId>,
    headers: HeaderMap,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let permit = state.begin_stream()?;
    let after = last_seen(&headers)?.unwrap_or(0);
    let log = state.mesh.follow_log(&id, after)?;
    Ok(log_events(state, log, permit))
}

/// The lines of a log as events, to its end.
pub(super) fn log_events<L: FollowLog + 'static>(
    state: ApiState,
    log: L,
    permit: OwnedSemaphorePermit,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<L>> {
    let lines = Lines { state, log, ready: VecDeque::new(), ended: false, _permit: permit };
    let events = stream::unfold(lines, |mut lines| async move {
        let event = lines.next().await?;
        Some((Ok(event), lines))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// A listener to a log and what it has not been told yet.
struct Lines<L> {
    state: ApiState,
    log: L,
    ready: VecDeque<Event>,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl<L: FollowLog> Lines<L> {
    /// The next event; `None` at the end, and when the node stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            let (lines, ended) = self.log.read().await.ok()?;
            let none = lines.is_empty();
            self.ready.extend(lines.into_iter().map(|(number, line)| {
                let data = serde_json::json!(convert::executions::line(line)).to_string();
                Event::default().id(number.to_string()).event("line").data(data)
            }));
            if ended {
                self.ended = true;
                let data = serde_json::json!({ "dropped_log_lines": self.log.dropped().ok()? }).to_string();
                self.ready.push_back(Event::default().event("end").data(data));
            } else if none {
                tokio::select! {
                    changed = self.log.changed(Instant::now() + LOOK_AGAIN) => changed.ok()?,
                    () = self.state.closing.cancelled() => return None,
                }
            }
        }
    }
}

/// What a command writes to standard output, raw; with `follow` until it has ended
#[utoipa::path(get, path = "/api/v1/vm/executions/{id}/stdout", tag = "executions", params(ById, StdoutQuery),
    responses((status = 200, description = "The bytes", content_type = "application/octet-stream", body = inline(Binary)),
        (status = 409, description = "It is no command")))]
async fn get_stdout(
    State(state): State<ApiState>,
    Id(id): Id<ExecutionId>,
    Params(query): Params<StdoutQuery>,
) -> Answer<Response> {
    let offset = check::range("offset", query.offset.unwrap_or(0), 0, MAX_POSITION)?;
    let permit = state.begin_stream()?;
    let out = state.mesh.follow_stdout(&id, offset)?;
    let follow = query.follow.unwrap_or(false);
    let reading = Reading { state, out, follow, _permit: permit };
    let body = Body::from_stream(stream::try_unfold(reading, |mut reading| async move {
        Ok::<_, io::Error>(reading.next().await?.map(|bytes| (bytes, reading)))
    }));
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(BINARY))], body).into_response())
}

struct Reading {
    state: ApiState,
    out: FileFollower,
    follow: bool,
    _permit: OwnedSemaphorePermit,
}

impl Reading {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let (bytes, complete) = self.out.read().await.map_err(io::Error::other)?;
            if !bytes.is_empty() {
                return Ok(Some(bytes.into()));
            }
            if complete || !self.follow {
                return Ok(None);
            }
            tokio::select! {
                changed = self.out.changed(Instant::now() + LOOK_AGAIN) => changed.map_err(io::Error::other)?,
                () = self.state.closing.cancelled() => return Ok(None),
            }
        }
    }
}

/// Send a command its standard input; it ends with the body
#[utoipa::path(put, path = "/api/v1/vm/executions/{id}/stdin", tag = "executions", params(ById),
    request_body(content_type = "application/octet-stream", content = inline(Binary)),
    responses((status = 200, description = "How much the guest was given", body = Sent),
        (status = 409, description = "It takes none now: not asked for, taken already, or ended")))]
async fn put_stdin(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Id(id): Id<ExecutionId>,
    request: Request,
) -> Answer<Json<Sent>> {
    caller.must_hold(&state.mesh.execution(&id)?.requester, "execution")?;
    require_type(request.headers(), |essence| essence == BINARY, BINARY)?;
    let writer = state.mesh.stdin_of(&id)?;
    let mut writer = pipe::Sender::from_owned_fd(writer.into())
        .map_err(|error| Draft::internal("opening a standard input", error))?;
    let mut body = request.into_body().into_data_stream();
    let mut bytes = 0;
    loop {
        let next = tokio::select! {
            next = tokio::time::timeout(IDLE, body.try_next()) => next,
            () = state.closing.cancelled() => break,
        };
        let next = next.map_err(|_| Draft::new(Kind::Timeout, "nothing came for an hour"))?;
        let Some(chunk) = next.map_err(|_| broken_off())? else { break };
        // A guest that has ended, or closed its standard input, takes no more; that is no fault of the sender.
        if writer.write_all(&chunk).await.is_err() {
            return Ok(Json(Sent { bytes, closed_by_guest: true }));
        }
        bytes += chunk.len() as u64;
    }
    Ok(Json(Sent { bytes, closed_by_guest: false }))
}
