//! A response's body, counted against the limit on output.

use crate::host::{OutputLimitReached, OutputMeter};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// Fails where the limit is passed; what was before it has gone out.
pub(super) struct Metered {
    body: HyperOutgoingBody,
    meter: OutputMeter,
}

impl Metered {
    pub(super) fn new(body: HyperOutgoingBody, meter: OutputMeter) -> Self {
        Self { body, meter }
    }
}

impl Body for Metered {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map(|frame| {
            frame.map(|frame| {
                let frame = frame?;
                self.meter.count(frame.data_ref().map_or(0, |data| data.len() as u64))?;
                Ok(frame)
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The limit that ended a connection, if one did.
pub(super) fn limit_reached(error: &hyper::Error) -> Option<hypermesh_model::Bytes> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(OutputLimitReached { limit }) = error.downcast_ref() {
            return Some(*limit);
        }
        source = error.source();
    }
    None
}
