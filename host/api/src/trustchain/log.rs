//! The transparency log as RFC 6962 §4 has it read, its checkpoint and its key. Nobody submits here: what is in the log,
//! this node issued.
//!
//! Reading is reading files, so it is done on threads that may wait.

use super::state::TrustState;
use crate::extract::Params;
use crate::problem::{Draft, Kind};
use crate::respond::{Answer, file};
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hypermesh_ctlog::{Log, LogError};
use hypermesh_model::{CertificateRecord, TrustLevel};
use hypermesh_wire::trustchain::{
    ConsistencyQuery, EntriesQuery, EntryQuery, LogConsistency, LogEntries, LogEntry, LogEntryAndProof,
    LogProof, LogRoots, LogTreeHead, ProofQuery, Rebuilt,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Largest number that a query may name, as the schema has it: more entries than a log of ours indexes.
const MAX: u64 = 1_000_000_000_000;

pub(crate) fn routes() -> OpenApiRouter<TrustState> {
    OpenApiRouter::default()
        .routes(routes!(get_checkpoint))
        .routes(routes!(get_key))
        .routes(routes!(get_sth))
        .routes(routes!(get_sth_consistency))
        .routes(routes!(get_proof_by_hash))
        .routes(routes!(get_entries))
        .routes(routes!(get_entry_and_proof))
        .routes(routes!(get_roots))
        .routes(routes!(rebuild_index))
}

/// Reads the log on a thread that may wait.
pub(super) async fn read<T: Send + 'static>(
    state: &TrustState,
    what: impl FnOnce(&Log) -> Result<T, LogError> + Send + 'static,
) -> Result<T, Draft> {
    state.trust.count_log_read();
    let log = state.trust.log().clone();
    let read = tokio::task::spawn_blocking(move || what(&log)).await;
    read.map_err(|error| Draft::internal("reading the log", error))?.map_err(refusal)
}

/// What is not there, and what can't be read.
fn refusal(error: LogError) -> Draft {
    if matches!(error, LogError::OutOfRange { .. }) {
        Draft::new(Kind::NotFound, error.to_string())
    } else {
        Draft::internal("reading the log", error)
    }
}

fn bounded(member: &str, number: u64, min: u64) -> Result<u64, Draft> {
    crate::convert::check::range(member, number, min, MAX)
}

fn texts(hashes: &[[u8; 32]]) -> Vec<String> {
    hashes.iter().map(|hash| BASE64.encode(hash)).collect()
}

/// The newest signed tree head as a note (c2sp.org/static-ct-api)
#[utoipa::path(get, path = "/checkpoint", tag = "log",
    responses((status = 200, description = "The note", body = String, content_type = "text/plain")))]
async fn get_checkpoint(State(state): State<TrustState>) -> Response {
    state.trust.count_log_read();
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], state.trust.log().checkpoint()).into_response()
}

/// The log's public key, PEM; its id is the SHA-256 of its DER form
#[utoipa::path(get, path = "/log/key.pem", tag = "log",
    responses((status = 200, description = "The key", body = String, content_type = "application/x-pem-file")))]
async fn get_key(State(state): State<TrustState>) -> Response {
    let pem = super::published::pem("PUBLIC KEY", &state.trust.log_key_der());
    file("application/x-pem-file", "log.pem", pem)
}

/// The newest signed tree head (RFC 6962, 4.3)
#[utoipa::path(get, path = "/ct/v1/get-sth", tag = "log",
    responses((status = 200, description = "The head", body = LogTreeHead)))]
async fn get_sth(State(state): State<TrustState>) -> Json<LogTreeHead> {
    state.trust.count_log_read();
    let head = state.trust.log().head();
    Json(LogTreeHead {
        tree_size: head.size,
        timestamp: head.timestamp_ms,
        sha256_root_hash: BASE64.encode(head.root),
        tree_head_signature: BASE64.encode(head.signature),
    })
}

/// That the log of one size begins with the log of another (RFC 6962, 4.4)
#[utoipa::path(get, path = "/ct/v1/get-sth-consistency", tag = "log", params(ConsistencyQuery),
    responses((status = 200, description = "The proof", body = LogConsistency),
        (status = 404, description = "The log was never of this size")))]
async fn get_sth_consistency(
    State(state): State<TrustState>,
    Params(query): Params<ConsistencyQuery>,
) -> Answer<Json<LogConsistency>> {
    let (first, second) = (bounded("first", query.first, 0)?, bounded("second", query.second, 0)?);
    let proof = read(&state, move |log| log.consistency(first, second)).await?;
    Ok(Json(LogConsistency { consistency: texts(&proof) }))
}

/// That a leaf is in a tree (RFC 6962, 4.5)
#[utoipa::path(get, path = "/ct/v1/get-proof-by-hash", tag = "log", params(ProofQuery),
    responses((status = 200, description = "The proof", body = LogProof),
        (status = 404, description = "There is no such leaf, or the log was never of this size")))]
async fn get_proof_by_hash(
    State(state): State<TrustState>,
    Params(query): Params<ProofQuery>,
) -> Answer<Json<LogProof>> {
    let size = bounded("tree_size", query.tree_size, 1)?;
    let decoded = BASE64.decode(&query.hash).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let wrong = || Draft::invalid("hash", "`hash` is the base64 of 32 bytes; in a URL its + is %2B");
    let hash = decoded.ok_or_else(wrong)?;
    let found = read(&state, move |log| log.inclusion_by_hash(&hash, size)).await?;
    let (leaf_index, path) = found.ok_or_else(|| Draft::new(Kind::NotFound, "there is no such leaf"))?;
    Ok(Json(LogProof { leaf_index, audit_path: texts(&path) }))
}

/// A range of entries, at most 256 (RFC 6962, 4.6)
#[utoipa::path(get, path = "/ct/v1/get-entries", tag = "log", params(EntriesQuery),
    responses((status = 200, description = "The entries", body = LogEntries),
        (status = 404, description = "There are none at `start`")))]
async fn get_entries(
    State(state): State<TrustState>,
    Params(query): Params<EntriesQuery>,
) -> Answer<Json<LogEntries>> {
    let (start, end) = (bounded("start", query.start, 0)?, bounded("end", query.end, 0)?);
    let found = read(&state, move |log| log.entries(start, end)).await?;
    let entry = |entry: &hypermesh_ctlog::LeafEntry| LogEntry {
        leaf_input: BASE64.encode(&entry.leaf_input),
        extra_data: BASE64.encode(&entry.extra_data),
    };
    Ok(Json(LogEntries { entries: found.iter().map(entry).collect() }))
}

/// An entry, and that it is in a tree (RFC 6962, 4.8)
#[utoipa::path(get, path = "/ct/v1/get-entry-and-proof", tag = "log", params(EntryQuery),
    responses((status = 200, description = "The entry and the proof", body = LogEntryAndProof),
        (status = 404, description = "There is no such entry, or the log was never of this size")))]
async fn get_entry_and_proof(
    State(state): State<TrustState>,
    Params(query): Params<EntryQuery>,
) -> Answer<Json<LogEntryAndProof>> {
    let (index, size) =
        (bounded("leaf_index", query.leaf_index, 0)?, bounded("tree_size", query.tree_size, 1)?);
    let (path, entries) = read(&state, move |log| {
        // The proof first: it knows whether the tree has the entry.
        Ok((log.inclusion(index, size)?, log.entries(index, index)?))
    })
    .await?;
    let entry = entries.into_iter().next();
    let entry = entry.ok_or_else(|| Draft::new(Kind::NotFound, "there is no such entry"))?;
    Ok(Json(LogEntryAndProof {
        leaf_input: BASE64.encode(entry.leaf_input),
        extra_data: BASE64.encode(entry.extra_data),
        audit_path: texts(&path),
    }))
}

/// The roots that logged certificates lead to (RFC 6962, 4.7)
#[utoipa::path(get, path = "/ct/v1/get-roots", tag = "log",
    responses((status = 200, description = "Certificates", body = LogRoots)))]
async fn get_roots(State(state): State<TrustState>) -> Answer<Json<LogRoots>> {
    state.trust.count_log_read();
    let all = state.trust.authorities()?.into_iter().map(|authority| authority.certificate.record);
    let roots = all.filter(|record| record.trust_level == TrustLevel::Root);
    let der = |record: CertificateRecord| state.trust.authority_der(&record.id).map(|der| BASE64.encode(der));
    Ok(Json(LogRoots { certificates: roots.map(der).collect::<Result<_, _>>()? }))
}

/// Make the index of certificates again from the log, which is the truth
#[utoipa::path(post, path = "/api/v1/log/rebuild", tag = "log",
    responses((status = 200, description = "What was read and written", body = Rebuilt)))]
async fn rebuild_index(State(state): State<TrustState>) -> Answer<Json<Rebuilt>> {
    let done = state.trust.rebuild().await?;
    Ok(Json(Rebuilt { entries: done.entries, written: done.written, signed_again: done.signed_again }))
}
