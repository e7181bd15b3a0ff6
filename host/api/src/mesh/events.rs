//! What changed, as server-sent events (WHATWG HTML, 9.2).
//!
//! A listener reads from the journal at its own pace; the broadcast only wakes it up, so nothing is buffered for a slow
//! one and none loses an event that the journal still has. One that was away for too long gets an event `gone` and goes
//! on from the oldest. The stream ends when the node stops.

use crate::convert::{check, time};
use crate::docs::Resume;
use crate::extract::header_text;
use crate::problem::Draft;
use crate::respond::Answer;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use hypermesh_model as model;
use hypermesh_wire::events as wire;
use serde_json::json;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Events taken from the journal at once.
const BATCH: usize = 100;
/// The largest number that is taken for that of an event: a node would need ages to get there.
const MAX_EVENT_ID: u64 = 1_000_000_000_000;
/// Silence after which a comment is sent, so that a listener that went away is noticed.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default().routes(routes!(follow_events))
}

/// Follow what changes on this node; the stream does not end
#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    params(Resume),
    responses((status = 200, description = "`id` is the sequence, `event` the kind, `data` an Event as JSON. \
        An event `gone` says that some were missed and which is the oldest that is kept.",
        content_type = "text/event-stream", body = wire::StreamEvent)))]
async fn follow_events(
    State(state): State<ApiState>,
    headers: HeaderMap,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let permit = state.begin_stream()?;
    // Subscribed before the journal is read: what happens in between wakes us up.
    let wake = state.mesh.events().subscribe();
    let last = last_seen(&headers)?.unwrap_or_else(|| state.mesh.events().last_sequence());
    let follower = Follower { state, wake, last, ready: VecDeque::new(), _permit: permit };
    let events = stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

pub(super) fn last_seen(headers: &HeaderMap) -> Answer<Option<u64>> {
    let text = header_text(headers, &LAST_EVENT_ID)?;
    let number = text.map(str::parse).transpose();
    let number = number
        .map_err(|_| Draft::invalid("last-event-id", "`last-event-id` must be the number of an event"))?;
    number.map(|number| check::range("last-event-id", number, 0, MAX_EVENT_ID)).transpose()
}

/// A listener and how far it has read.
struct Follower {
    state: ApiState,
    wake: Receiver<model::Event>,
    last: u64,
    ready: VecDeque<model::Event>,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// The next event; `None` when the node stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.last = event.sequence;
                return Some(shown(event));
            }
            match self.state.mesh.events().since(self.last, BATCH) {
                Ok(events) if events.is_empty() => self.sleep().await?,
                Ok(events) => self.ready = events.into(),
                Err(gone) => {
                    self.last = gone.oldest.saturating_sub(1);
                    let data = json!({ "oldest": gone.oldest }).to_string();
                    return Some(Event::default().event("gone").data(data));
                }
            }
        }
    }

    /// Until there may be more.
    async fn sleep(&mut self) -> Option<()> {
        tokio::select! {
            woken = self.wake.recv() => match woken {
                // How many were missed does not matter: the journal has them.
                Ok(_) | Err(RecvError::Lagged(_)) => Some(()),
                Err(RecvError::Closed) => None,
            },
            () = self.state.closing.cancelled() => None,
        }
    }
}

fn shown(event: model::Event) -> Event {
    let (id, kind) = (event.sequence.to_string(), event.kind.name());
    let body = wire::Event {
        sequence: event.sequence,
        at: time(event.at),
        kind: kind.to_owned(),
        subject: event.subject,
        data: event.data,
    };
    Event::default().id(id).event(kind).data(json!(body).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_event_id_is_a_number() {
        let seen =
            |text: &'static str| last_seen(&HeaderMap::from_iter([(LAST_EVENT_ID, text.parse().unwrap())]));
        assert_eq!(seen("7").ok(), Some(Some(7)));
        for bad in ["", "-1", "x", "1.5", "99999999999999999999"] {
            assert_eq!(seen(bad).err().unwrap().member(), Some("last-event-id"), "{bad}");
        }
        assert_eq!(last_seen(&HeaderMap::new()).ok(), Some(None));
    }
}
