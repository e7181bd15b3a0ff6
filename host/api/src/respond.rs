//! Answers that several resources give: something made, and a file.

use crate::problem::Draft;
use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hypermesh_wire::assets::Message;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use std::io::ErrorKind;
use std::path::Path;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

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

/// A file as a download: never shown by a browser, because a guest wrote it.
pub(crate) async fn download(path: &Path, name: &str) -> Answer<Response> {
    let file = File::open(path).await.map_err(|error| {
        let gone = error.kind() == ErrorKind::NotFound;
        if gone { Draft::not_found("output", name) } else { Draft::internal("opening an output", error) }
    })?;
    let size =
        file.metadata().await.map_err(|error| Draft::internal("reading an output's size", error))?.len();
    // RFC 8187: the form that takes every name.
    let disposition = format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
    let mut response = Body::from_stream(ReaderStream::new(file)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, size.into());
    if let Ok(disposition) = HeaderValue::try_from(disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}
