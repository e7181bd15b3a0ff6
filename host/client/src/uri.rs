//! Paths and queries, percent-encoded as RFC 3986 §2 wants.
//!
//! A query is written from the same `hypermesh_wire` struct that the server reads it into, so that names can't drift.

use crate::ClientError;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;

/// A path of `segments` below the API's root, each encoded: an id can't climb out of its place.
pub(crate) fn path(segments: &[&str]) -> String {
    segments.iter().fold(String::from("/api/v1"), |mut path, segment| {
        path.push('/');
        encode(segment, &mut path);
        path
    })
}

/// `path` with the members of `query` that are set.
pub(crate) fn with_query<Q: Serialize>(path: &str, query: &Q) -> Result<String, ClientError> {
    let value =
        serde_json::to_value(query).map_err(|source| ClientError::Protocol { source: source.into() })?;
    let mut out = path.to_owned();
    let mut separator = '?';
    for (name, value) in value.as_object().into_iter().flatten() {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
        };
        out.push(separator);
        encode(name, &mut out);
        out.push('=');
        encode(&text, &mut out);
        separator = '&';
    }
    Ok(out)
}

fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            // A dot is unreserved too, but "." and ".." as a segment would be resolved away.
            b'.' if text != "." && text != ".." => out.push('.'),
            // Writing to a String can't fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_wire::assets::{AssetQuery, AssetType};
    use proptest::prelude::*;

    #[test]
    fn a_query_holds_what_is_set_under_the_names_of_the_contract() {
        let query = AssetQuery {
            asset_type: Some(AssetType::Cpu),
            owner: Some("a&b c".into()),
            limit: Some(5),
            ..AssetQuery::default()
        };
        let uri = with_query(&path(&["assets"]), &query).unwrap();
        let (path, query) = uri.split_once('?').unwrap();
        let mut pairs: Vec<_> = query.split('&').collect();
        pairs.sort_unstable();
        assert_eq!((path, pairs), ("/api/v1/assets", vec!["limit=5", "owner=a%26b%20c", "type=cpu"]));
        assert_eq!(with_query("/x", &AssetQuery::default()).unwrap(), "/x");
    }

    #[test]
    fn an_id_stays_one_segment() {
        assert_eq!(path(&["assets", "../../livez"]), "/api/v1/assets/..%2F..%2Flivez");
        assert_eq!(path(&["assets", ".."]), "/api/v1/assets/%2E%2E");
    }

    proptest! {
        #[test]
        fn any_text_becomes_a_segment_that_decodes_to_itself(text in "\\PC{0,40}") {
            let mut encoded = String::new();
            encode(&text, &mut encoded);
            prop_assert!(!encoded.contains(['/', '?', '#', '&', '=', ' ']));
            let mut bytes = Vec::new();
            let mut rest = encoded.as_bytes();
            while let Some((&first, tail)) = rest.split_first() {
                if first == b'%' {
                    let hex = std::str::from_utf8(&tail[..2]).unwrap();
                    bytes.push(u8::from_str_radix(hex, 16).unwrap());
                    rest = &tail[2..];
                } else {
                    bytes.push(first);
                    rest = tail;
                }
            }
            prop_assert_eq!(String::from_utf8(bytes).unwrap(), text);
        }
    }
}
