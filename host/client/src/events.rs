//! The node's events as an endless iterator that survives broken connections.
//!
//! Each event has a number. When the connection ends, the stream asks again with `Last-Event-ID`, and the node sends
//! what was missed; where it no longer has it, a [`Notice::Gone`] says so. It gives up, with the error, when a node
//! can't be reached [`ATTEMPTS`] times in a row, and at once when the node refuses.

use crate::sse::{Decoder, Frame};
use crate::{Client, ClientError};
use hypermesh_wire::events::Event;
use serde::Deserialize;
use std::collections::VecDeque;
use std::io::Read;
use std::time::Duration;
use ureq::BodyReader;
use ureq::http::{Method, header};

/// Connections tried in a row before giving up.
const ATTEMPTS: u32 = 5;
/// Pause before each further attempt: long enough for a node to restart within all of them.
const PAUSE: Duration = Duration::from_secs(1);
/// The node sends a comment at least every 15 s; after this silence the connection is dead.
const SILENCE: Duration = Duration::from_secs(60);
/// Silence after which a stream of recorded events has nothing more: the node sends those without a pause.
const QUIET: Duration = Duration::from_millis(500);
/// Bytes read at once.
const CHUNK: usize = 16 << 10;

/// Where a stream begins, and whether it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what happens from now on; never ends by itself.
    Now,
    /// With the event after this number, 0 for the oldest, and on with what happens; never ends by itself.
    After(u64),
    /// With the event after this number, up to the newest that is recorded.
    RecordedAfter(u64),
}

/// What the stream tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// Something happened.
    Event(Event),
    /// Events were asked for that the node no longer has; it goes on with this one.
    Gone {
        /// Number of the oldest event that it has, where it said so.
        oldest: Option<u64>,
    },
}

#[derive(Deserialize)]
struct GoneData {
    oldest: Option<u64>,
}

/// Events of a node. An error is its last item.
pub struct EventStream {
    client: Client,
    last: Option<u64>,
    recorded_only: bool,
    connection: Option<Connection>,
    ready: VecDeque<Frame>,
    ended: bool,
}

struct Connection {
    body: BodyReader<'static>,
    decoder: Decoder,
    received: bool,
}

impl Client {
    /// The node's events from `start` on. Connects with the first item.
    pub fn events(&self, start: Start) -> EventStream {
        let (last, recorded_only) = match start {
            Start::Now => (None, false),
            Start::After(sequence) => (Some(sequence), false),
            Start::RecordedAfter(sequence) => (Some(sequence), true),
        };
        let ready = VecDeque::new();
        EventStream { client: self.clone(), last, recorded_only, connection: None, ready, ended: false }
    }
}

impl EventStream {
    fn connect(&self) -> Result<Connection, ClientError> {
        let mut head = self
            .client
            .request(Method::GET, "/api/v1/events", None)
            .header(header::ACCEPT, "text/event-stream");
        if let Some(last) = self.last {
            head = head.header("last-event-id", last);
        }
        let silence = if self.recorded_only { QUIET } else { SILENCE };
        let answer = self.client.success(self.client.send(head, (), silence)?)?;
        let body = answer.into_body().into_with_config().limit(u64::MAX).reader();
        Ok(Connection { body, decoder: Decoder::default(), received: false })
    }

    fn reconnect(&self) -> Result<Connection, ClientError> {
        let mut attempt = 1;
        loop {
            match self.connect() {
                Err(ClientError::Unreachable { .. }) if attempt < ATTEMPTS => {
                    attempt += 1;
                    std::thread::sleep(PAUSE);
                }
                other => return other,
            }
        }
    }

    /// Reads on until an event is there. `None`: no more will come.
    fn next_frame(&mut self) -> Result<Option<Frame>, ClientError> {
        let mut chunk = [0; CHUNK];
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(Some(frame));
            }
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                // The first connection is the caller's question whether there is a node at all.
                None if self.ended => return Ok(None),
                None => self.connect()?,
            };
            match connection.body.read(&mut chunk) {
                Ok(count) if count > 0 => {
                    connection.received = true;
                    let mut frames = Vec::new();
                    let outcome = connection.decoder.push(&chunk[..count], &mut frames);
                    self.ready.extend(frames);
                    outcome.map_err(|source| ClientError::Protocol { source: source.into() })?;
                    self.connection = Some(connection);
                }
                _ if self.recorded_only => self.ended = true,
                // The end of the body and a broken connection are the same thing here: ask again.
                _ => {
                    if !connection.received {
                        std::thread::sleep(PAUSE);
                    }
                    self.connection = Some(self.reconnect()?);
                }
            }
        }
    }

    fn read(&mut self, frame: &Frame) -> Result<Notice, ClientError> {
        let protocol = |source: serde_json::Error| ClientError::Protocol { source: source.into() };
        if frame.event == "gone" {
            let data: GoneData = serde_json::from_str(&frame.data).map_err(protocol)?;
            self.last = data.oldest.map(|oldest| oldest.saturating_sub(1)).or(self.last);
            return Ok(Notice::Gone { oldest: data.oldest });
        }
        let event: Event = serde_json::from_str(&frame.data).map_err(protocol)?;
        self.last = Some(event.sequence);
        Ok(Notice::Event(event))
    }
}

impl Iterator for EventStream {
    type Item = Result<Notice, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended && self.ready.is_empty() {
            return None;
        }
        let item = match self.next_frame() {
            Ok(None) => return None,
            Ok(Some(frame)) => self.read(&frame),
            Err(error) => Err(error),
        };
        if item.is_err() {
            self.ended = true;
            self.ready.clear();
        }
        Some(item)
    }
}
