//! What an allocation uses: once, or as server-sent events until it ends.
//!
//! A follower reads at its own interval and hears of the end at once, because it listens to the node's events too. What
//! it reads is the kernel's at that moment; nothing is kept for a slow one.

use crate::convert::allocations::{shown_phase, usage};
use crate::convert::check;
use crate::docs::ById;
use crate::extract::{Id, Params};
use crate::respond::Answer;
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use hypermesh_mesh::{LeaseUsage, MeshError};
use hypermesh_model::{self as model, Lease, LeaseId, error_chain};
use hypermesh_wire::allocations::{AllocationUsage, MAX_INTERVAL_S, UsageEnded, UsageQuery};
use hypermesh_wire::events::StreamEvent;
use serde_json::json;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Silence after which a comment is sent, so that a listener that went away is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default().routes(routes!(get_usage))
}

/// What an allocation uses now; with `follow`, again and again until it ends
#[utoipa::path(get, path = "/api/v1/allocations/{id}/usage", tag = "allocations", params(ById, UsageQuery),
    responses((status = 200, description = "What it uses. As a stream: `usage` events with the same as `data`, and at the \
            end one `ended`, whose `data` has `allocation_id`, `phase` and `end_reason`",
            content((AllocationUsage = "application/json"), (StreamEvent = "text/event-stream"))),
        (status = 409, description = "It holds nothing that could be used: it waits, or has ended")))]
async fn get_usage(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Id(id): Id<LeaseId>,
    Params(query): Params<UsageQuery>,
) -> Answer<Response> {
    let interval = check::range("interval", query.interval.unwrap_or(1), 1, MAX_INTERVAL_S)?;
    let lease = state.mesh.lease(&id)?;
    // Before the stream begins, so that a refusal is an answer and not an event.
    let now = state.mesh.lease_usage(&id).await?;
    if !query.follow.unwrap_or_else(|| asks_for_stream(&headers)) {
        return Ok(Json(usage(&lease, now, None)).into_response());
    }
    let permit = state.begin_stream()?;
    let mut ticks = tokio::time::interval(Duration::from_secs(interval));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let wake = state.mesh.events().subscribe();
    let meter = Meter { state, id, ticks, wake, before: None, ended: false, _permit: permit };
    let events = stream::unfold(meter, |mut meter| async move {
        let event = meter.next().await?;
        Some((Ok::<_, Infallible>(event), meter))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// Whether a client asks for server-sent events (RFC 9110, 12.5.1), as browsers' `EventSource` does.
fn asks_for_stream(headers: &HeaderMap) -> bool {
    let texts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = texts.flat_map(|text| text.split(','));
    ranges.any(|range| range.split(';').next().is_some_and(|kind| kind.trim() == "text/event-stream"))
}

/// A follower of one allocation.
struct Meter {
    state: ApiState,
    id: LeaseId,
    ticks: Interval,
    wake: Receiver<model::Event>,
    /// When it was read last, and the CPU time then, nanoseconds.
    before: Option<(Instant, u64)>,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Meter {
    /// The next event; `None` after the end, and when the node stops.
    async fn next(&mut self) -> Option<Event> {
        while !self.ended {
            tokio::select! {
                () = self.state.closing.cancelled() => return None,
                _ = self.ticks.tick() => return self.read().await,
                woken = self.wake.recv() => match woken {
                    Ok(event) if event.subject != self.id.as_str() => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => {
                        let lease = self.state.mesh.lease(&self.id).ok()?;
                        if !lease.status.has_group() {
                            return Some(self.end(lease));
                        }
                    }
                    Err(RecvError::Closed) => return None,
                },
            }
        }
        None
    }

    async fn read(&mut self) -> Option<Event> {
        let lease = self.state.mesh.lease(&self.id).ok()?;
        if !lease.status.has_group() {
            return Some(self.end(lease));
        }
        match self.state.mesh.lease_usage(&self.id).await {
            Ok(now) => {
                let cores = self.cores(&now);
                let body = usage(&lease, now, cores);
                Some(Event::default().event("usage").data(json!(body).to_string()))
            }
            // It ended while it was read.
            Err(MeshError::Conflict { .. }) => Some(self.end(self.state.mesh.lease(&self.id).ok()?)),
            Err(error) => {
                tracing::error!(lease = %self.id, error = error_chain(&error), "a followed usage can't be read");
                None
            }
        }
    }

    /// CPUs in use since the reading before.
    fn cores(&mut self, now: &LeaseUsage) -> Option<f64> {
        let (at, used) = (Instant::now(), now.group.cpu_time_ns?);
        let (before, used_before) = self.before.replace((at, used))?;
        let seconds = at.duration_since(before).as_secs_f64();
        let used = crate::convert::allocations::seconds(used.checked_sub(used_before)?);
        (seconds > 0.0).then(|| used / seconds)
    }

    fn end(&mut self, lease: Lease) -> Event {
        self.ended = true;
        let body = UsageEnded {
            allocation_id: lease.id.into(),
            phase: shown_phase(lease.status),
            end_reason: lease.end_reason,
        };
        Event::default().event("ended").data(json!(body).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_s_event_source_asks_for_a_stream() {
        let asks = |text: &'static str| {
            asks_for_stream(&HeaderMap::from_iter([(header::ACCEPT, text.parse().unwrap())]))
        };
        assert!(asks("text/event-stream") && asks("application/json;q=0.1, text/event-stream;q=0.9"));
        assert!(!asks("*/*") && !asks("application/json") && !asks_for_stream(&HeaderMap::new()));
    }
}
