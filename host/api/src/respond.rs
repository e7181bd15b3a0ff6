//! Answers that several resources give: something made, and a file.

use crate::problem::Draft;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hypermesh_wire::assets::Message;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use tokio::fs::File;
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;

/// Bytes that are sent at once.
const CHUNK: usize = 64 << 10;

/// Chunks between the thread that writes and the socket.
const QUEUE: usize = 4;

/// What a handler gives.
pub(crate) type Answer<T> = Result<T, Draft>;

/// 201 with the place of what was made.
pub(crate) struct Created<T> {
    pub(crate) location: String,
    pub(crate) body: T,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, [(header::LOCATION, self.location)], Json(self.body)).into_response()
    }
}

/// A thing with its generation as its tag (RFC 9110, 8.8.3), for `if-match`.
pub(crate) struct Tagged<T> {
    pub(crate) generation: u64,
    pub(crate) body: T,
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        ([(header::ETAG, format!("\"{}\"", self.generation))], Json(self.body)).into_response()
    }
}

/// The answer of an action that gives nothing else.
pub(crate) fn message(text: impl Into<String>) -> Json<Message> {
    Json(Message { message: text.into() })
}

/// A file of a type, with the name that it is saved under.
pub(crate) fn file(media_type: &'static str, name: &str, content: impl Into<Bytes>) -> Response {
    let mut response = Body::from(content.into()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Ok(disposition) = HeaderValue::try_from(disposition(name)) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

/// The same answer, which caches may keep for some seconds.
pub(crate) fn cached(mut response: Response, seconds: u64) -> Response {
    if let Ok(control) = HeaderValue::try_from(format!("public, max-age={seconds}")) {
        response.headers_mut().insert(header::CACHE_CONTROL, control);
    }
    response
}

/// A download that is written while it is sent, on a thread of its own: a slow reader slows it down. Should it fail, the
/// connection breaks off before the promised length, which no reader takes for the end.
pub(crate) fn written(
    media_type: &'static str,
    name: &str,
    size: u64,
    write: impl FnOnce(BufWriter<Chunks>) -> io::Result<()> + Send + 'static,
) -> Response {
    let (parts, queue) = mpsc::channel(QUEUE);
    tokio::task::spawn_blocking(move || {
        let failure = parts.clone();
        if let Err(error) = write(BufWriter::with_capacity(CHUNK, Chunks(parts))) {
            // Nobody listens any more when the reader went away.
            let _ = failure.blocking_send(Err(error));
        }
    });
    let next = |mut queue: mpsc::Receiver<io::Result<Bytes>>| async move {
        let part = queue.recv().await?;
        Some((part, queue))
    };
    let mut response = Body::from_stream(futures_util::stream::unfold(queue, next)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_LENGTH, size.into());
    if let Ok(disposition) = HeaderValue::try_from(disposition(name)) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

/// Hands what is written to a response's body.
pub(crate) struct Chunks(mpsc::Sender<io::Result<Bytes>>);

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// RFC 8187: the form that takes every name.
fn disposition(name: &str) -> String {
    format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

/// A file as a download: never shown by a browser, because a guest wrote it.
pub(crate) async fn download(path: &Path, name: &str) -> Answer<Response> {
    let file = File::open(path).await.map_err(|error| {
        let gone = error.kind() == ErrorKind::NotFound;
        if gone { Draft::not_found("output", name) } else { Draft::internal("opening an output", error) }
    })?;
    let size =
        file.metadata().await.map_err(|error| Draft::internal("reading an output's size", error))?.len();
    let mut response = Body::from_stream(ReaderStream::new(file)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, size.into());
    if let Ok(disposition) = HeaderValue::try_from(disposition(name)) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}
