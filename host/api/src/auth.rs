//! Who calls: which host names are answered, which origins may write, and whose token it is. What its holder may do is
//! decided in `roles`.
//!
//! The `Host` list stops DNS rebinding: a page of `evil.example` that resolves to 127.0.0.1 still sends its own name. The
//! port is not compared, because a forwarded port is no attack and rebinding changes the name. The `Origin` check stops
//! pages of other sites from writing even if they got hold of a token; the token, or a client certificate, stops everybody
//! else. Reads are open to whoever reaches the loopback interface. From elsewhere they need a token or a certificate, too,
//! but for what anybody must be able to read: lists of revoked certificates, the transparency log, ACME.
//!
//! Decisions are pure functions; the two layers below only fetch the headers.

use crate::config::ApiConfig;
use crate::edge::Edge;
use crate::problem::{Draft, Kind};
use crate::roles::{self, Action, Permission};
use crate::server::Peer;
use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use hypermesh_mesh::Role;
use hypermesh_model::Subject;
use std::net::IpAddr;

/// The subject of the token that a node makes at its first start.
pub(crate) const ADMIN: &str = "admin";

/// The caller of a write and what it is about to do, put there by [`guard_access`].
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    subject: Subject,
    role: Role,
    action: Action,
}

impl Caller {
    /// Who it is.
    pub(crate) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Whether it may do everything.
    pub(crate) fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// Refuses to use what somebody else holds for something new, but for administrators.
    pub(crate) fn must_use(&self, holder: &Subject, noun: &str) -> Result<(), Draft> {
        if self.is_admin() || *holder == self.subject {
            return Ok(());
        }
        Err(self.foreign(holder, noun))
    }

    fn foreign(&self, holder: &Subject, noun: &str) -> Draft {
        let detail = format!("the {noun} is held by `{holder}`; yours is a token of `{}`", self.subject);
        Draft::new(Kind::ForbiddenRole, detail)
    }

    /// Refuses what somebody else holds, where the role allows only what is its own.
    pub(crate) fn must_hold(&self, holder: &Subject, noun: &str) -> Result<(), Draft> {
        match roles::permission(self.role, self.action) {
            Permission::Always => Ok(()),
            Permission::Own if *holder == self.subject => Ok(()),
            Permission::Own => Err(self.foreign(holder, noun)),
            Permission::Never => Err(roles::refusal(self.role)),
        }
    }
}

/// Whether a method changes nothing (RFC 9110, 9.2.1).
pub(crate) fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method)
}

/// Whether the node answers to this `Host`: `localhost`, a loopback address, or a configured name.
fn host_allowed(host: &Authority, allowed: &[String]) -> bool {
    let name = host.host();
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    let loopback = bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let known = |other: &String| name.eq_ignore_ascii_case(other) || bare.eq_ignore_ascii_case(other);
    !host.as_str().contains('@')
        && (loopback || name.eq_ignore_ascii_case("localhost") || allowed.iter().any(known))
}

/// Whether a page of this origin may read and write across origins: it is listed.
pub(crate) fn origin_listed(origin: &[u8], config: &ApiConfig) -> bool {
    config.allowed_origins.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin))
}

/// Whether a page of this origin may write: it is listed, or it is the node's own.
fn origin_allowed(origin: &[u8], host: &Authority, secure: bool, config: &ApiConfig) -> bool {
    let own = format!("{}://{host}", if secure { "https" } else { "http" });
    own.as_bytes().eq_ignore_ascii_case(origin) || origin_listed(origin, config)
}

/// The token of `Authorization: Bearer …` (RFC 6750); the scheme's case does not matter.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// What a request says of who sends it.
struct Credentials<'a> {
    host: &'a Authority,
    /// Whether it came over TLS.
    secure: bool,
    /// `Err` when the header is there more than once.
    origin: Result<Option<&'a [u8]>, Draft>,
    /// The same.
    authorization: Result<Option<&'a [u8]>, Draft>,
}

/// Says who calls: by a token, of which `holder` knows those that were made beside the node's own, or by a certificate.
fn admit(
    given: Credentials<'_>,
    config: &ApiConfig,
    holder: impl FnOnce(&[u8]) -> Option<(Subject, Role)>,
    certified: impl FnOnce() -> Option<(Subject, Role)>,
) -> Result<(Subject, Role), Draft> {
    if let Some(origin) = given.origin?
        && !origin_allowed(origin, given.host, given.secure, config)
    {
        let detail = "the `origin` of this page is not in the node's list; add it to the configuration";
        return Err(Draft::new(Kind::Forbidden, detail));
    }
    match given.authorization? {
        Some(header) => match bearer(header) {
            Some(token) if config.token.matches(token) => Ok((Subject(ADMIN.to_owned()), Role::Admin)),
            Some(token) => holder(token).ok_or_else(|| {
                Draft::new(Kind::Unauthorized, "the token is not this node's, or was revoked")
            }),
            None => Err(unknown()),
        },
        None => certified().ok_or_else(unknown),
    }
}

fn unknown() -> Draft {
    let detail = "this needs `authorization: Bearer <token>`, or a client certificate; the token is in the node's data folder";
    Draft::new(Kind::Unauthorized, detail)
}

/// The only value of a header; `None` when it is absent.
fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&[u8]>, Draft> {
    let mut values = headers.get_all(&name).iter();
    let first = values.next().map(|value| value.as_bytes());
    if values.next().is_some() {
        return Err(Draft::invalid(name.as_str(), format!("`{name}` must be there once")));
    }
    Ok(first)
}

/// The host that a request is for (RFC 9112, 3.2.2: that of an absolute URI goes before the header).
fn host_of(request: &Request) -> Result<Authority, Draft> {
    let header = single(request.headers(), header::HOST)?;
    if let Some(authority) = request.uri().authority() {
        return Ok(authority.clone());
    }
    let text = header.ok_or_else(|| Draft::invalid("host", "the `host` header is missing"))?;
    Authority::try_from(text).map_err(|_| Draft::invalid("host", "the `host` header is not a host name"))
}

/// Layer: refuses requests for hosts that this node does not answer to.
pub(crate) async fn guard_host(
    State(edge): State<Edge>,
    request: Request,
    next: Next,
) -> Result<Response, Draft> {
    let host = host_of(&request)?;
    if !host_allowed(&host, &edge.config().allowed_hosts) {
        let detail = "use localhost or a loopback address, or add the name to the node's configuration";
        return Err(Draft::new(Kind::Misdirected, detail));
    }
    Ok(next.run(request).await)
}

/// Layer: lets a write through only for who may do it and from an allowed origin, and says who the caller is. Lets reads
/// through from this machine, and from others for who is known.
pub(crate) async fn guard_access(
    State(edge): State<Edge>,
    mut request: Request,
    next: Next,
) -> Result<Response, Draft> {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let write = !is_safe(request.method()) && !roles::proves_itself(request.method(), route);
    let local = request.extensions().get::<Peer>().is_none_or(|peer| is_local(peer.address.ip()));
    if !write && (local || roles::is_public(route)) {
        return Ok(next.run(request).await);
    }
    let (subject, role) = caller(&edge, &request)?;
    if write {
        let action = roles::action(request.method(), route);
        if roles::permission(role, action) == Permission::Never {
            return Err(roles::refusal(role));
        }
        request.extensions_mut().insert(Caller { subject, role, action });
    }
    Ok(next.run(request).await)
}

fn caller(edge: &Edge, request: &Request) -> Result<(Subject, Role), Draft> {
    let host = host_of(request)?;
    let (headers, peer) = (request.headers(), request.extensions().get::<Peer>());
    let given = Credentials {
        host: &host,
        secure: peer.is_some_and(|peer| peer.secure),
        origin: single(headers, header::ORIGIN),
        authorization: single(headers, header::AUTHORIZATION),
    };
    let holder = |token: &[u8]| edge.mesh().authenticate(token);
    admit(given, edge.config(), holder, || edge.certified(peer?))
}

/// Whether an address is this machine's own, also as IPv6 writes IPv4's (RFC 4291 §2.5.5.2).
fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use proptest::prelude::*;

    fn config() -> ApiConfig {
        ApiConfig { allowed_hosts: vec!["node.lan".into()], ..ApiConfig::new(Secret::new("t0ken")) }
    }

    fn allowed(host: &str) -> bool {
        Authority::try_from(host).is_ok_and(|host| host_allowed(&host, &config().allowed_hosts))
    }

    fn status(origin: Option<&str>, authorization: Option<&str>) -> u16 {
        let host = Authority::from_static("127.0.0.1:8446");
        let bytes = |text: Option<&'static str>| text.map(str::as_bytes);
        let (origin, authorization) = (origin.map(str::to_owned), authorization.map(str::to_owned));
        let (origin, authorization) = (origin.map(String::leak), authorization.map(String::leak));
        let holder = |token: &[u8]| (token == b"0ther").then(|| (Subject("ann".into()), Role::Viewer));
        let (origin, authorization) = (bytes(origin.map(|s| &*s)), bytes(authorization.map(|s| &*s)));
        let given =
            Credentials { host: &host, secure: false, origin: Ok(origin), authorization: Ok(authorization) };
        let verdict = admit(given, &config(), holder, || None);
        verdict.map_or_else(|draft| draft.render("/", "r").status().as_u16(), |_| 200)
    }

    #[test]
    fn only_loopback_and_configured_hosts_are_answered() {
        for host in ["localhost", "LOCALHOST:8446", "127.0.0.1:1", "127.8.9.1", "[::1]:8446", "node.lan:80"] {
            assert!(allowed(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "a@127.0.0.1",
            "10.0.0.1",
            "[::2]",
            "0.0.0.0",
        ] {
            assert!(!allowed(host), "{host}");
        }
    }

    #[test]
    fn a_write_needs_the_token() {
        assert_eq!(status(None, Some("Bearer t0ken")), 200);
        assert_eq!(status(None, Some("bearer t0ken")), 200);
        assert_eq!(status(None, Some("Bearer 0ther")), 200);
        for bad in ["t0ken", "Bearer", "Bearer ", "Bearer t0ke", "Bearer t0ken2", "Basic t0ken", ""] {
            assert_eq!(status(None, Some(bad)), 401, "{bad}");
        }
        assert_eq!(status(None, None), 401);
    }

    #[test]
    fn a_certificate_is_as_good_as_a_token_but_does_not_hide_a_wrong_one() {
        let host = Authority::from_static("node.lan");
        let ask = |authorization: Option<&'static [u8]>, certified: bool| {
            let given =
                Credentials { host: &host, secure: true, origin: Ok(None), authorization: Ok(authorization) };
            let certified = || certified.then(|| (Subject("ann".into()), Role::Operator));
            admit(given, &config(), |_| None, certified).map(|(subject, _)| subject.0).ok()
        };
        assert_eq!(ask(None, true).as_deref(), Some("ann"));
        assert_eq!(ask(None, false), None);
        assert_eq!(ask(Some(b"Bearer wrong"), true), None);
        assert_eq!(ask(Some(b"Basic wrong"), true), None);
        assert_eq!(ask(Some(b"Bearer t0ken"), true).as_deref(), Some(ADMIN));
    }

    #[test]
    fn this_machine_is_local_however_its_address_is_written() {
        let local = |text: &str| is_local(text.parse().unwrap());
        assert!(local("127.0.0.1") && local("127.9.9.9") && local("::1") && local("::ffff:127.0.0.1"));
        assert!(!local("10.0.0.1") && !local("::2") && !local("::ffff:10.0.0.1") && !local("::"));
    }

    #[test]
    fn a_foreign_page_may_not_write_even_with_the_token() {
        let token = Some("Bearer t0ken");
        assert_eq!(status(Some("http://localhost:5173"), token), 200);
        assert_eq!(status(Some("http://127.0.0.1:8446"), token), 200);
        for origin in ["http://127.0.0.1:9999", "https://127.0.0.1:8446", "http://evil.example", "null", ""] {
            assert_eq!(status(Some(origin), token), 403, "{origin}");
        }
    }

    proptest! {
        /// The rule again, from the other side: a name that is let in is a loopback address or one of two names.
        #[test]
        fn no_other_host_is_let_in(name in "[a-z0-9.@:\\[\\]-]{1,24}", port in proptest::option::of(any::<u16>())) {
            let host = port.map_or(name.clone(), |port| format!("{name}:{port}"));
            if allowed(&host) {
                let authority = Authority::try_from(host.as_str()).unwrap();
                let bare = authority.host().trim_matches(['[', ']']).to_owned();
                let loopback = bare.starts_with("127.") || bare.parse() == Ok(std::net::Ipv6Addr::LOCALHOST);
                prop_assert!(loopback || bare == "localhost" || bare == "node.lan", "{}", host);
            }
        }

        #[test]
        fn no_other_token_is_let_in(header in "(Bearer )?[ -~]{0,20}") {
            let expected = header.get(..7).is_some_and(|s| s.eq_ignore_ascii_case("bearer "))
                && header[7..].trim() == "t0ken";
            prop_assert_eq!(status(None, Some(&header)) == 200, expected);
        }
    }
}
