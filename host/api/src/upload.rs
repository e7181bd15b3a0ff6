//! Receiving a file: the body goes chunk by chunk to a thread that hashes and writes, with a bounded queue in between.
//!
//! Memory does not grow with the file, and a slow disk slows the sender down. The end of the body is a message of its own,
//! because a sender that goes away also just stops: without that message the writer is dropped, which removes the file.

use crate::extract::{broken_off, content_length, require_type};
use crate::problem::{Draft, Kind};
use crate::state::ApiState;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use futures_util::TryStreamExt;
use hypermesh_mesh::{BlobWriter, MAX_ARCHIVE_BYTES, MAX_COMPONENT_BYTES, MeshError, Receiving, StoredBlob};
use std::fs::File;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

/// Chunks between the socket and the disk; hyper's are at most 400 KiB.
const QUEUE: usize = 8;

/// Longest silence of a sender.
const IDLE: Duration = Duration::from_secs(30);

/// What an archive has beside its component.
const ARCHIVE_OVERHEAD: u64 = MAX_ARCHIVE_BYTES - MAX_COMPONENT_BYTES;

enum Part {
    Chunk(Bytes),
    End,
}

/// Takes a body of `media_type` into the node's store.
pub(crate) async fn receive(
    state: &ApiState,
    request: Request,
    what: Receiving,
    media_type: &str,
) -> Result<StoredBlob, Draft> {
    require_type(request.headers(), |essence| essence == media_type, media_type)?;
    receive_with(state, request, what, BlobWriter::finish).await
}

/// Takes an archive into a file that is gone when it is closed. Its type was looked at.
pub(crate) async fn receive_archive(state: &ApiState, request: Request) -> Result<File, Draft> {
    receive_with(state, request, Receiving::Archive, BlobWriter::into_file).await
}

async fn receive_with<T: Send + 'static>(
    state: &ApiState,
    request: Request,
    what: Receiving,
    end: fn(BlobWriter) -> Result<T, MeshError>,
) -> Result<T, Draft> {
    let limit = match what {
        Receiving::Component => state.config.max_component,
        Receiving::Blob => state.config.max_blob,
        Receiving::Archive => state.config.max_component.saturating_add(ARCHIVE_OVERHEAD),
    };
    if content_length(request.headers()).is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let _permit = state.begin_upload()?;
    let writer = state.mesh.receive(what)?;
    let (parts, queue) = mpsc::channel(QUEUE);
    let writing = spawn_blocking(move || write(writer, queue, end));
    let sent = forward(request.into_body(), &parts, limit).await;
    drop(parts);
    let stored = finish(writing).await;
    // A writer that gave up closes the queue, so its own error is the cause of ours.
    match (sent, stored) {
        (Ok(()), Ok(Some(blob))) => Ok(blob),
        (_, Err(error)) => Err(error),
        (Err(error), Ok(_)) => Err(error),
        (Ok(()), Ok(None)) => Err(broken_off()),
    }
}

async fn forward(body: Body, parts: &mpsc::Sender<Part>, limit: u64) -> Result<(), Draft> {
    let mut stream = body.into_data_stream();
    let mut size = 0;
    loop {
        let next = tokio::time::timeout(IDLE, stream.try_next()).await;
        let next =
            next.map_err(|_| Draft::new(Kind::Timeout, format!("nothing came for {} s", IDLE.as_secs())))?;
        let Some(chunk) = next.map_err(|_| broken_off())? else { break };
        size += chunk.len() as u64;
        if size > limit {
            return Err(too_large(limit));
        }
        parts.send(Part::Chunk(chunk)).await.map_err(|_| broken_off())?;
    }
    parts.send(Part::End).await.map_err(|_| broken_off())
}

/// `None` when the body broke off.
fn write<T>(
    mut writer: BlobWriter,
    mut queue: mpsc::Receiver<Part>,
    end: fn(BlobWriter) -> Result<T, MeshError>,
) -> Result<Option<T>, MeshError> {
    while let Some(part) = queue.blocking_recv() {
        match part {
            Part::Chunk(bytes) => writer.write(&bytes)?,
            Part::End => return end(writer).map(Some),
        }
    }
    Ok(None)
}

async fn finish<T>(writing: JoinHandle<Result<Option<T>, MeshError>>) -> Result<Option<T>, Draft> {
    Ok(writing.await.map_err(|error| Draft::internal("receiving a file", error))??)
}

fn too_large(limit: u64) -> Draft {
    Draft::new(Kind::TooLarge, format!("the file may be {limit} bytes long"))
}
