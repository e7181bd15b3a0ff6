//! Bodies on their way: passed on piece by piece, counted, and cut off at the limit.
//!
//! Neither side is read faster than the other takes: a piece is asked for when the one before has gone out.

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::{TryStreamExt, stream};
use hyper::body::Incoming;
use hypermesh_mesh::Exchange;
use std::io;
use std::sync::{Arc, OnceLock};

/// What was wrong with a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It passed the limit.
    TooLong,
    /// It ended before its end.
    BrokenOff,
}

/// The first fault, for whoever has to say why the exchange failed.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Arc<OnceLock<Fault>>);

impl Faults {
    pub(super) fn first(&self) -> Option<Fault> {
        self.0.get().copied()
    }

    fn note(&self, fault: Fault) -> io::Error {
        // Only the first counts.
        let _ = self.0.set(fault);
        io::Error::other("the request's body can't be passed on")
    }
}

/// What is left of a limit after a piece; `None` when the piece passes it.
fn after(left: u64, piece: &Bytes) -> Option<u64> {
    left.checked_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX))
}

/// A client's body, of at most `limit` bytes.
pub(super) fn bounded(body: Body, limit: u64, faults: &Faults) -> Body {
    let from = (body.into_data_stream(), limit, faults.clone());
    Body::from_stream(stream::try_unfold(from, |(mut body, left, faults)| async move {
        let piece = body.try_next().await.map_err(|_| faults.note(Fault::BrokenOff))?;
        let Some(piece) = piece else { return Ok(None) };
        let left = after(left, &piece).ok_or_else(|| faults.note(Fault::TooLong))?;
        Ok::<_, io::Error>(Some((piece, (body, left, faults))))
    }))
}

/// A guest's body, of at most `limit` bytes; it holds the exchange, and tells it when all has come. Of `length` bytes,
/// where the guest said so: whoever passes it on then need not ask for more than these.
pub(super) fn answer(incoming: Incoming, exchange: Exchange, length: Option<u64>, limit: u64) -> Body {
    let body = Body::new(incoming).into_data_stream();
    let answering = Answering { body, exchange, missing: length, left: limit };
    Body::from_stream(stream::try_unfold(answering, |mut answering| async move {
        Ok::<_, io::Error>(answering.next().await?.map(|piece| (piece, answering)))
    }))
}

struct Answering {
    body: BodyDataStream,
    exchange: Exchange,
    missing: Option<u64>,
    left: u64,
}

impl Answering {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let Some(piece) = self.body.try_next().await.map_err(io::Error::other)? else {
            self.exchange.answered();
            return Ok(None);
        };
        // The client sees a body that breaks off: its status and head have gone out.
        let over = || io::Error::other("the guest's answer passed the service's limit");
        self.left = after(self.left, &piece).ok_or_else(over)?;
        self.missing = self.missing.map(|missing| after(missing, &piece).unwrap_or(0));
        if self.missing == Some(0) {
            self.exchange.answered();
        }
        Ok(Some(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn pieces(sizes: &[usize]) -> Body {
        let pieces: Vec<Result<Bytes, io::Error>> =
            sizes.iter().map(|size| Ok(Bytes::from(vec![7; *size]))).collect();
        Body::from_stream(stream::iter(pieces))
    }

    fn read(body: Body) -> Option<usize> {
        let all = axum::body::to_bytes(body, usize::MAX).now_or_never().unwrap();
        all.ok().map(|bytes| bytes.len())
    }

    #[test]
    fn a_body_up_to_its_limit_passes_and_a_longer_one_is_cut_off() {
        let faults = Faults::default();
        assert_eq!(read(bounded(pieces(&[3, 0, 4]), 7, &faults)), Some(7));
        assert_eq!(faults.first(), None);
        assert_eq!(read(bounded(pieces(&[3, 5]), 7, &faults)), None);
        assert_eq!(faults.first(), Some(Fault::TooLong));
    }

    #[test]
    fn a_body_that_breaks_off_is_told_apart() {
        let faults = Faults::default();
        let broken = stream::iter([Ok(Bytes::from_static(b"abc")), Err(io::Error::other("gone"))]);
        assert_eq!(read(bounded(Body::from_stream(broken), 7, &faults)), None);
        assert_eq!(faults.first(), Some(Fault::BrokenOff));
    }
}
