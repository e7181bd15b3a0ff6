//! The transparency log as static files (c2sp.org/static-ct-api): tiles, and the issuers that entries name.
//!
//! What a full tile has never changes, so caches may keep it for ever. The paths have any number of segments, which the
//! OpenAPI document can't say; their document is the specification.

use super::certificates::DER;
use super::log::read;
use super::state::TrustState;
use crate::problem::Draft;
use crate::respond::{Answer, cached};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hypermesh_ctlog::merkle::TilePath;

/// Seconds that a cache may keep what never changes: a week, as the specification has it.
const FOR_EVER: u64 = 604_800;
/// Entries in a full tile.
const FULL: u16 = 256;

pub(crate) fn router() -> Router<TrustState> {
    Router::new().route("/tile/{*path}", get(get_tile)).route("/issuer/{fingerprint}", get(get_issuer))
}

async fn get_tile(State(state): State<TrustState>, Path(path): Path<String>) -> Answer<Response> {
    let missing = || Draft::not_found("tile", &path);
    let tile: TilePath = format!("tile/{path}").parse().map_err(|_| missing())?;
    let content = read(&state, move |log| log.tile(tile)).await?.ok_or_else(missing)?;
    let response =
        ([(header::CONTENT_TYPE, "application/octet-stream")], Bytes::from(content)).into_response();
    // A part of a tile is replaced by the whole one soon, but what it has stays right.
    Ok(if tile.width == FULL { cached(response, FOR_EVER) } else { response })
}

async fn get_issuer(State(state): State<TrustState>, Path(fingerprint): Path<String>) -> Answer<Response> {
    let missing = || Draft::not_found("issuer", &fingerprint);
    let hash = unhex(&fingerprint).ok_or_else(missing)?;
    state.trust.count_log_read();
    let issuer = state.trust.log().issuer(&hash).ok_or_else(missing)?;
    Ok(cached(([(header::CONTENT_TYPE, DER)], Bytes::from(issuer.to_vec())).into_response(), FOR_EVER))
}

/// 32 bytes in lower-case hexadecimal digits.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let fine = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate().filter(|_| fine) {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    fine.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_64_digits() {
        assert_eq!(unhex(&"0f".repeat(32)), Some([0x0f; 32]));
        for wrong in ["", "0f", &"0F".repeat(32), &"0g".repeat(32), &"é".repeat(32)] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
