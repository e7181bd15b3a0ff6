//! What an allocation uses, as an iterator over the node's stream of readings.
//!
//! It ends after the word that the allocation ended, or when the node closes the stream because it stops. A reading that
//! was missed is gone and the next one says as much, so a broken connection is an error and not tried again.

use crate::sse::{Decoder, Frame};
use crate::uri::{path, with_query};
use crate::{Client, ClientError};
use hypermesh_wire::allocations::{AllocationUsage, UsageEnded, UsageQuery};
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::io::Read;
use std::time::Duration;
use ureq::BodyReader;
use ureq::http::{Method, header};

/// The event after which no more come.
const ENDED: &str = "ended";
/// The node sends a reading every 60 s at the latest, and comments in between; after this silence it is gone.
const SILENCE: Duration = Duration::from_secs(90);
/// Bytes read at once: a reading is about 1 KiB.
const CHUNK: usize = 8 << 10;

/// What the stream tells.
#[derive(Debug, Clone, PartialEq)]
pub enum UsageNotice {
    /// What is in use now.
    Reading(Box<AllocationUsage>),
    /// The allocation has ended; nothing comes after it.
    Ended(UsageEnded),
}

/// Readings of one allocation. An error is its last item.
pub struct UsageStream {
    base: String,
    body: BodyReader<'static>,
    decoder: Decoder,
    ready: VecDeque<Frame>,
    ended: bool,
}

impl UsageStream {
    pub(crate) fn open(client: &Client, id: &str, interval: u64) -> Result<Self, ClientError> {
        let query = UsageQuery { follow: Some(true), interval: Some(interval) };
        let target = with_query(&path(&["allocations", id, "usage"]), &query)?;
        let head = client.request(Method::GET, &target, None).header(header::ACCEPT, "text/event-stream");
        let answer = client.success(client.send(head, (), SILENCE)?)?;
        let body = answer.into_body().into_with_config().limit(u64::MAX).reader();
        let base = client.base_url().to_owned();
        Ok(Self { base, body, decoder: Decoder::default(), ready: VecDeque::new(), ended: false })
    }

    /// Reads on until a frame is there; `None` at the stream's end.
    fn next_frame(&mut self) -> Result<Option<Frame>, ClientError> {
        let mut chunk = [0; CHUNK];
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(Some(frame));
            }
            let count = self.body.read(&mut chunk);
            let count = count.map_err(|error| ClientError::from_http(&self.base, error.into()))?;
            if count == 0 {
                return Ok(None);
            }
            let mut frames = Vec::new();
            let outcome = self.decoder.push(&chunk[..count], &mut frames);
            self.ready.extend(frames);
            outcome.map_err(|source| ClientError::Protocol { source: source.into() })?;
        }
    }
}

fn notice(frame: &Frame) -> Result<UsageNotice, ClientError> {
    if frame.event == ENDED {
        parse(frame).map(UsageNotice::Ended)
    } else {
        parse(frame).map(|usage| UsageNotice::Reading(Box::new(usage)))
    }
}

fn parse<T: DeserializeOwned>(frame: &Frame) -> Result<T, ClientError> {
    serde_json::from_str(&frame.data).map_err(|source| ClientError::Protocol { source: source.into() })
}

impl Iterator for UsageStream {
    type Item = Result<UsageNotice, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = match self.next_frame() {
            Ok(None) => {
                self.ended = true;
                return None;
            }
            Ok(Some(frame)) => notice(&frame),
            Err(error) => Err(error),
        };
        self.ended = !matches!(item, Ok(UsageNotice::Reading(_)));
        Some(item)
    }
}
