//! What the edge is told at start: names that it answers to, origins that it trusts, the token, and its limits.
//!
//! Where the token is kept is the node's affair. Nothing here fails; wrong hosts or origins simply match nothing.

use hypermesh_mesh::{MAX_BLOB_BYTES, MAX_COMPONENT_BYTES};
use std::fmt;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Origins that the contract allows besides the node's own pages: dashboards on their usual development ports.
const DEFAULT_ORIGINS: [&str; 3] = ["http://localhost:1337", "http://[::1]:1337", "http://localhost:5173"];

/// A request that neither waits nor carries a file takes milliseconds; one that takes this long hangs.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest JSON body: parameters of an execution are the largest member, and files go through `/api/v1/blobs`.
const MAX_JSON_BODY: usize = 1 << 20;

/// The bearer token. Its `Debug` hides it, so that it can't reach a log by accident.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps the token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// Whether `given` is the token, in a time that tells only the length. An empty secret matches nothing.
    pub(crate) fn matches(&self, given: &[u8]) -> bool {
        !self.0.is_empty() && bool::from(self.0.as_bytes().ct_eq(given))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Configuration of the edge.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Host names or addresses that it answers to besides `localhost` and loopback addresses; without port.
    pub allowed_hosts: Vec<String>,
    /// Origins, e.g. `http://localhost:5173`, whose pages may read and write. The node's own pages always may.
    pub allowed_origins: Vec<String>,
    /// The token that writes need.
    pub token: Secret,
    /// Longest time until an answer begins, for requests that neither wait nor carry a file.
    pub request_timeout: Duration,
    /// Largest JSON body in bytes.
    pub max_json_body: usize,
    /// Largest uploaded component in bytes; the domain bounds it too, this refuses before the first byte.
    pub max_component: u64,
    /// Largest uploaded blob in bytes.
    pub max_blob: u64,
}

impl ApiConfig {
    /// The defaults, with this token.
    pub fn new(token: Secret) -> Self {
        Self {
            allowed_hosts: Vec::new(),
            allowed_origins: DEFAULT_ORIGINS.map(str::to_owned).to_vec(),
            token,
            request_timeout: REQUEST_TIMEOUT,
            max_json_body: MAX_JSON_BODY,
            max_component: MAX_COMPONENT_BYTES,
            max_blob: MAX_BLOB_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_never_shows_and_an_empty_one_opens_nothing() {
        let config = ApiConfig::new(Secret::new("s3cret"));
        assert!(!format!("{config:?}").contains("s3cret"));
        assert!(config.token.matches(b"s3cret") && !config.token.matches(b"s3creT"));
        assert!(!config.token.matches(b"") && !Secret::new("").matches(b""));
    }
}
