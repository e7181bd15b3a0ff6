//! Which header fields pass between a client and a guest.
//!
//! What belongs to one connection ends there (RFC 9110, 7.6.1). What is the node's, or would act on its whole origin, does
//! not pass either: guests share the origin with the node's API and pages, and with each other.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Where a guest's paths begin for its clients, so that it can make links.
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Fields of one connection (RFC 9110, 7.6.1, and those that it still warns of), beside those that `connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields of requests that are for the node. Its token comes in `authorization` with every write, so nothing else can; a
/// guest's own credentials have to be in another field. Cookies are none of a guest's, since it can't set any; what a
/// browser sends was set by the node, or by another program on the same host, for which ports make no difference
/// (RFC 6265, 8.5). `expect` was answered by the node.
const FOR_THE_NODE: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::EXPECT];

/// Fields of answers that would change the whole origin and not one resource of it: cookies (a guest could set those of
/// the node and of other guests, RFC 6265, 8.6), its storage, the security of its connection, where else it can be found,
/// what its service workers control, where reports go, what browsers send to it.
const OF_THE_ORIGIN: [HeaderName; 12] = [
    header::SET_COOKIE,
    HeaderName::from_static("set-cookie2"),
    HeaderName::from_static("clear-site-data"),
    header::STRICT_TRANSPORT_SECURITY,
    header::PUBLIC_KEY_PINS,
    header::ALT_SVC,
    HeaderName::from_static("service-worker-allowed"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
    HeaderName::from_static("accept-ch"),
    HeaderName::from_static("critical-ch"),
    HeaderName::from_static("origin-agent-cluster"),
];

/// Makes a client's header fields those that a guest gets.
pub(super) fn of_request(headers: &mut HeaderMap, prefix: &str) {
    drop_hop_by_hop(headers);
    FOR_THE_NODE.iter().for_each(|name| drop(headers.remove(name)));
    // A client's own would lead links astray.
    headers.remove(FORWARDED_PREFIX);
    if let Ok(prefix) = HeaderValue::from_str(prefix) {
        headers.insert(FORWARDED_PREFIX, prefix);
    }
}

/// Makes a guest's header fields those that a client gets.
pub(super) fn of_answer(headers: &mut HeaderMap) {
    drop_hop_by_hop(headers);
    OF_THE_ORIGIN.iter().for_each(|name| drop(headers.remove(name)));
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // What every message needs can't be of one hop only (RFC 9110, 7.6.1).
        .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
        .collect();
    HOP_BY_HOP.iter().chain(&named).for_each(|name| drop(headers.remove(name)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_guest_gets_neither_the_token_nor_cookies_nor_what_was_for_the_node() {
        let mut headers = map(&[
            ("host", "localhost:8446"),
            ("authorization", "Bearer secret"),
            ("cookie", "session=secret"),
            ("connection", "keep-alive, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("x-forwarded-prefix", "/elsewhere"),
            ("accept", "text/html"),
            ("x-own", "kept"),
        ]);
        of_request(&mut headers, "/guests/hello");
        assert_eq!(names(&headers), ["accept", "host", "x-forwarded-prefix", "x-own"]);
        assert_eq!(headers["x-forwarded-prefix"], "/guests/hello");
        assert!(!format!("{headers:?}").contains("secret"));
    }

    #[test]
    fn an_answer_changes_nothing_of_the_whole_origin() {
        let mut headers = map(&[
            ("set-cookie", "admin=1"),
            ("clear-site-data", "\"*\""),
            ("strict-transport-security", "max-age=1"),
            ("service-worker-allowed", "/"),
            ("alt-svc", "h2=\":1\""),
            ("connection", "close"),
            ("content-type", "text/html"),
            ("content-length", "5"),
            ("location", "/elsewhere"),
            ("etag", "\"1\""),
        ]);
        of_answer(&mut headers);
        assert_eq!(names(&headers), ["content-length", "content-type", "etag", "location"]);
    }

    #[test]
    fn what_every_message_needs_can_not_be_named_away() {
        let mut headers =
            map(&[("host", "a"), ("content-length", "1"), ("connection", "host, content-length")]);
        of_request(&mut headers, "/guests/x");
        assert_eq!(names(&headers), ["content-length", "host", "x-forwarded-prefix"]);
    }

    proptest! {
        /// The rule again, from the other side.
        #[test]
        fn nothing_that_must_not_pass_passes(
            fields in proptest::collection::vec(("[a-z-]{1,12}", "[ -~]{0,12}"), 0..12),
            named in proptest::collection::vec("[a-zA-Z-]{1,12}", 0..4),
        ) {
            let mut headers: HeaderMap = fields
                .iter()
                .filter_map(|(name, value)| Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?)))
                .collect();
            if let Ok(value) = named.join(", ").parse::<HeaderValue>() {
                headers.append(header::CONNECTION, value);
            }
            headers.append(header::AUTHORIZATION, HeaderValue::from_static("x"));
            let (mut request, mut answer) = (headers.clone(), headers);
            of_request(&mut request, "/guests/x");
            of_answer(&mut answer);
            for name in HOP_BY_HOP.iter().chain(&FOR_THE_NODE) {
                prop_assert!(!request.contains_key(name), "{}", name);
            }
            for name in HOP_BY_HOP.iter().chain(&OF_THE_ORIGIN) {
                prop_assert!(!answer.contains_key(name), "{}", name);
            }
            for name in named.iter().filter(|name| !["host", "content-length"].contains(&name.to_lowercase().as_str())) {
                prop_assert!(!answer.contains_key(name.to_lowercase()), "{}", name);
            }
        }
    }
}
