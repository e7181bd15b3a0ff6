//! http-01 (RFC 8555, 8.3): a file below `/.well-known/acme-challenge/` holds the key authorization.
//!
//! Redirects are followed, ten at most, to names (never to address literals), at the usual ports. Where one leads to
//! TLS, the certificate is not judged: who asks for one may not have one yet.

use super::network::{NetworkProbe, Reach};
use super::response::{Reader, Response, is_redirect};
use super::{Attempt, ProbeFailure, tls};
use crate::identifier::{DnsName, Identifier};
use crate::problem::ProblemKind;
use std::io::ErrorKind;
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Redirects of one challenge.
const MAX_REDIRECTS: usize = 10;
/// Bytes of a URL that a redirect leads to.
const MAX_URL: usize = 2048;

/// Where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    tls: bool,
    host: Identifier,
    port: u16,
    path: String,
}

pub(super) async fn prove(probe: &NetworkProbe, attempt: &Attempt) -> Result<(), ProbeFailure> {
    let mut target = Target {
        tls: false,
        host: attempt.identifier.clone(),
        port: probe.reach().http_port(),
        path: format!("/.well-known/acme-challenge/{}", attempt.token),
    };
    for _ in 0..=MAX_REDIRECTS {
        let response = ask(probe, &target).await?;
        if is_redirect(response.status) {
            target = target.redirected(response.location.as_deref(), probe.reach())?;
        } else {
            return check(&response, attempt, &target);
        }
    }
    Err(ProbeFailure::new(ProblemKind::Connection, format!("more than {MAX_REDIRECTS} redirects")))
}

fn check(response: &Response, attempt: &Attempt, target: &Target) -> Result<(), ProbeFailure> {
    let wrong = |why: String| {
        let detail = format!("{}{}: {why}", target.host, target.path);
        Err(ProbeFailure::new(ProblemKind::IncorrectResponse, detail))
    };
    if response.status != 200 {
        return wrong(format!("the answer is {}", response.status));
    }
    if response.body.trim_ascii_end() != attempt.key_authorization.as_bytes() {
        // What a server answers is not repeated: a stranger chose which server that is.
        return wrong("the answer is not the key authorization".into());
    }
    Ok(())
}

async fn ask(probe: &NetworkProbe, target: &Target) -> Result<Response, ProbeFailure> {
    let stream = probe.connect(&target.host, target.port).await?;
    if target.tls {
        exchange(tls::open(stream, &target.host, &[]).await?, target).await
    } else {
        exchange(stream, target).await
    }
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    target: &Target,
) -> Result<Response, ProbeFailure> {
    let failed = |why: String| {
        ProbeFailure::new(ProblemKind::Connection, format!("{} at port {}: {why}", target.host, target.port))
    };
    stream.write_all(target.request().as_bytes()).await.map_err(|error| failed(error.to_string()))?;
    let mut reader = Reader::default();
    let mut buffer = [0; 8192];
    loop {
        let count = match stream.read(&mut buffer).await {
            Ok(count) => count,
            // TLS that ends without saying so. What was cut off is not the key authorization.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(failed(error.to_string())),
        };
        if count == 0 {
            return reader.close().map_err(|error| failed(error.to_string()));
        }
        if let Some(response) = reader.push(&buffer[..count]).map_err(|error| failed(error.to_string()))? {
            return Ok(response);
        }
    }
}

impl Target {
    fn request(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        let host = match &self.host {
            Identifier::Ip(IpAddr::V6(address)) => format!("[{address}]"),
            Identifier::Ip(IpAddr::V4(address)) => address.to_string(),
            Identifier::Dns(name) => name.to_string(),
        };
        let port = if self.port == usual { String::new() } else { format!(":{}", self.port) };
        let agent = concat!("hypermesh-acme/", env!("CARGO_PKG_VERSION"));
        format!(
            "GET {} HTTP/1.1\r\nHost: {host}{port}\r\nUser-Agent: {agent}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            self.path
        )
    }

    /// Where a redirect leads.
    fn redirected(&self, location: Option<&str>, reach: Reach) -> Result<Self, ProbeFailure> {
        let refuse = |why: &str| Err(ProbeFailure::new(ProblemKind::Connection, format!("a redirect {why}")));
        let Some(location) = location else { return refuse("says not where to") };
        // It goes into a request line, so what could end that must not be in it.
        if location.len() > MAX_URL || !location.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse("leads to no URL");
        }
        let location = location.split('#').next().unwrap_or_default();
        if location.starts_with('/') && !location.starts_with("//") {
            return Ok(Self { path: location.to_owned(), ..self.clone() });
        }
        let Some((scheme, rest)) = location.split_once("://") else {
            return refuse("is neither absolute nor a path");
        };
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return refuse("leads to another scheme than http and https"),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, port.parse().unwrap_or(0)),
            None => (authority, if tls { 443 } else { 80 }),
        };
        let Ok(host) = DnsName::parse(host) else { return refuse("leads to no DNS name") };
        if host.is_wildcard() || !reach.may_redirect_to(port) {
            return refuse("leads to another port than 80 and 443");
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { tls, host: Identifier::Dns(host), port, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn start() -> Target {
        let host = Identifier::parse("dns", "a.test").unwrap();
        Target { tls: false, host, port: 80, path: "/x".into() }
    }

    fn redirected(location: &str) -> Option<String> {
        let target = start().redirected(Some(location), Reach::Public).ok()?;
        Some(format!("{}{}:{}{}", if target.tls { "s " } else { "" }, target.host, target.port, target.path))
    }

    #[test]
    fn a_redirect_leads_to_a_name_at_a_usual_port() {
        assert_eq!(redirected("/y?z#f").as_deref(), Some("a.test:80/y?z"));
        assert_eq!(redirected("http://B.test").as_deref(), Some("b.test:80/"));
        assert_eq!(redirected("HTTPS://b.test/y").as_deref(), Some("s b.test:443/y"));
        assert_eq!(redirected("https://b.test:80?q").as_deref(), Some("s b.test:80/?q"));
    }

    #[test]
    fn a_redirect_to_anywhere_else_is_refused() {
        for location in [
            "",
            "y",
            "//b.test/y",
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://2130706433/",
            "http://b.test:22/",
            "http://b.test:8444/",
            "http://b.test:99999/",
            "http://a@b.test/",
            "http://a:80@b.test/",
            "file:///etc",
            "gopher://b.test/",
            "http:///y",
            "http://b.test/\r\nX: y",
            "http://b.test/ y",
            "http://*.b.test/",
        ] {
            assert_eq!(redirected(location), None, "{location}");
        }
        assert_eq!(start().redirected(None, Reach::Public).unwrap_err().kind, ProblemKind::Connection);
    }

    proptest! {
        #[test]
        fn a_request_has_no_line_of_a_redirects_making(location in "(/|http://b.test/)[ -~\r\n]{0,20}") {
            if let Ok(target) = start().redirected(Some(&location), Reach::Public) {
                prop_assert_eq!(target.request().matches("\r\n").count(), 6);
            }
        }
    }
}
