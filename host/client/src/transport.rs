//! One HTTP exchange: address, token, time limits, and what an answer means by its status.
//!
//! Statuses are never the HTTP library's errors: a 409 carries a document that says why. Proxies of the environment and
//! redirects are not followed, since a node is on this machine and a token must not travel.

use crate::{ClientError, uri};
use hypermesh_wire::problem::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{Method, Request, Response, header};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::{Agent, AsSendBody, Body};

/// Longest time to connect: a node on loopback answers in microseconds or not at all.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest silence within an exchange: a node holds an answer back for at most 60 s (`wait`), so this is a dead one.
pub(crate) const SILENCE: Duration = Duration::from_secs(90);
/// Longest silence after an upload, in which the node vets and compiles a component.
pub(crate) const SILENCE_AFTER_UPLOAD: Duration = Duration::from_secs(600);
/// Most bytes of an answer that is held in memory: the longest page of a log is well below this. Files are streamed.
const MAX_ANSWER: u64 = 64 << 20;

/// A node's REST API. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    base: String,
    authorization: Option<String>,
}

/// Who is trusted over TLS, and who this client is.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Certificates of roots, PEM.
    pub roots: String,
    /// A client certificate with those above it, and its private key, PEM.
    pub identity: Option<(String, String)>,
}

/// An answer as it came, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case, and values; a value that isn't text is left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

pub(crate) fn method(name: &str) -> Result<Method, ClientError> {
    Method::from_bytes(name.as_bytes())
        .map_err(|_| ClientError::Configuration { reason: format!("{name:?} is not an HTTP method") })
}

impl Client {
    /// A client of the node at `base`, e.g. `http://127.0.0.1:8446`. Nothing is sent yet.
    ///
    /// `token` goes with every request; without one, writes are refused by the node.
    ///
    /// # Errors
    /// [`ClientError::Configuration`] for an address that isn't `http://HOST[:PORT]`, or a token that can't be sent.
    pub fn new(base: &str, token: Option<String>) -> Result<Self, ClientError> {
        Self::trusting(base, token, None)
    }

    /// The same for an address that may be `https://HOST[:PORT]`, whose certificate must lead to one of the roots.
    ///
    /// # Errors
    /// As [`Self::new`], and for roots or an identity that can't be read, or `https` without roots.
    pub fn trusting(base: &str, token: Option<String>, trust: Option<&Trust>) -> Result<Self, ClientError> {
        let base = base.trim_end_matches('/').to_owned();
        let parsed: Option<ureq::http::Uri> = base.parse().ok();
        let secure = base.starts_with("https://");
        if secure && trust.is_none() {
            let reason =
                format!("{base} speaks TLS, and no root certificate says whom to trust; give one with --ca");
            return Err(ClientError::Configuration { reason });
        }
        let usable = parsed.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.path() == "/"
        });
        if !usable {
            let reason =
                format!("{base:?} is not a node's address; write http://HOST:PORT or https://HOST:PORT");
            return Err(ClientError::Configuration { reason });
        }
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            let reason = "the token has characters that no token has".to_owned();
            return Err(ClientError::Configuration { reason });
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .user_agent(concat!("hypermesh/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .tls_config(trust.map_or_else(|| Ok(TlsConfig::default()), tls)?)
            .build();
        let authorization = token.map(|token| format!("Bearer {token}"));
        Ok(Self { agent: config.new_agent(), base, authorization })
    }

    /// The node's address, without a slash at its end.
    pub fn base_url(&self) -> &str {
        &self.base
    }

    /// One exchange as it is: `path` begins with `/`, `body` is JSON. Any status is an answer, not an error.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`]; [`ClientError::Configuration`] for a method or path that HTTP doesn't know.
    pub fn raw(&self, method: &str, path: &str, body: Option<&[u8]>) -> Result<RawAnswer, ClientError> {
        let request = self.request(self::method(method)?, path, body.map(|_| "application/json"));
        let answer = match body {
            Some(body) => self.send(request, body, SILENCE)?,
            None => self.send_empty(request)?,
        };
        self.raw_answer(answer)
    }

    pub(crate) fn raw_answer(&self, mut answer: Response<Body>) -> Result<RawAnswer, ClientError> {
        let headers = answer.headers().iter();
        let headers = headers
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect();
        Ok(RawAnswer { status: answer.status().as_u16(), headers, body: self.read(&mut answer)? })
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.result(self.send_empty(self.request(Method::GET, path, None))?)
    }

    pub(crate) fn get_filtered<T, Q>(&self, path: &str, query: &Q) -> Result<T, ClientError>
    where
        T: DeserializeOwned,
        Q: Serialize,
    {
        self.get(&uri::with_query(path, query)?)
    }

    pub(crate) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.result(self.send_empty(self.request(Method::DELETE, path, None))?)
    }

    /// A POST that says nothing but its path.
    pub(crate) fn post_empty<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.result(self.send_empty(self.request(Method::POST, path, None))?)
    }

    pub(crate) fn post<T: DeserializeOwned, B: Serialize>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.send_json(Method::POST, path, None, body)
    }

    /// A POST whose answer comes when the node has carried a file or compiled one.
    pub(crate) fn post_slow<T: DeserializeOwned, B: Serialize>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let body =
            serde_json::to_vec(body).map_err(|source| ClientError::Protocol { source: source.into() })?;
        let request = self.request(Method::POST, path, Some("application/json"));
        self.result(self.send(request, body.as_slice(), SILENCE_AFTER_UPLOAD)?)
    }

    pub(crate) fn put<T: DeserializeOwned, B: Serialize>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.send_json(Method::PUT, path, None, body)
    }

    /// A JSON body, with one header more where one is given.
    pub(crate) fn send_json<T, B>(
        &self,
        method: Method,
        path: &str,
        extra: Option<(&'static str, String)>,
        body: &B,
    ) -> Result<T, ClientError>
    where
        T: DeserializeOwned,
        B: Serialize,
    {
        let body =
            serde_json::to_vec(body).map_err(|source| ClientError::Protocol { source: source.into() })?;
        let mut request = self.request(method, path, Some("application/json"));
        if let Some((name, value)) = extra {
            request = request.header(name, value);
        }
        self.result(self.send(request, body.as_slice(), SILENCE)?)
    }

    /// A body of text.
    pub(crate) fn send_text<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        content: &str,
        text: &str,
    ) -> Result<T, ClientError> {
        self.result(self.send(self.request(method, path, Some(content)), text.as_bytes(), SILENCE)?)
    }

    /// The head of a request, with the token where there is one.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        content: Option<&str>,
    ) -> ureq::http::request::Builder {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(value) = &self.authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some(content) = content {
            request = request.header(header::CONTENT_TYPE, content);
        }
        request
    }

    pub(crate) fn send_empty(
        &self,
        head: ureq::http::request::Builder,
    ) -> Result<Response<Body>, ClientError> {
        let sends_length = matches!(head.method_ref(), Some(&Method::POST | &Method::PUT | &Method::PATCH));
        if sends_length { self.send(head, &[][..], SILENCE) } else { self.send(head, (), SILENCE) }
    }

    pub(crate) fn send(
        &self,
        head: ureq::http::request::Builder,
        body: impl AsSendBody,
        silence: Duration,
    ) -> Result<Response<Body>, ClientError> {
        let request = head
            .body(body)
            .map_err(|error| ClientError::Configuration { reason: format!("not a request: {error}") })?;
        let request = self.agent.configure_request(request).timeout_per_read(Some(silence)).build();
        self.agent.run(request).map_err(|error| ClientError::from_http(&self.base, error))
    }

    /// The result of a success, or the error that the answer stands for.
    pub(crate) fn result<T: DeserializeOwned>(&self, answer: Response<Body>) -> Result<T, ClientError> {
        let mut answer = self.success(answer)?;
        let body = self.read(&mut answer)?;
        serde_json::from_slice(&body).map_err(|source| ClientError::Protocol { source: source.into() })
    }

    /// The answer, if its status says success; else what it says.
    pub(crate) fn success(&self, mut answer: Response<Body>) -> Result<Response<Body>, ClientError> {
        if answer.status().is_success() {
            return Ok(answer);
        }
        let is_problem = answer.body().mime_type() == Some("application/problem+json");
        let body = self.read(&mut answer)?;
        let problem: Option<Problem> = is_problem.then(|| serde_json::from_slice(&body).ok()).flatten();
        Err(match problem {
            Some(problem) => ClientError::Problem(Box::new(problem)),
            None => ClientError::Unexpected {
                status: answer.status().as_u16(),
                body: String::from_utf8_lossy(&body).into_owned(),
            },
        })
    }

    fn read(&self, answer: &mut Response<Body>) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        let mut reader = answer.body_mut().with_config().limit(MAX_ANSWER).reader();
        reader.read_to_end(&mut body).map_err(|error| ClientError::from_http(&self.base, error.into()))?;
        Ok(body)
    }
}

/// TLS by aws-lc-rs, which trusts these roots alone.
fn tls(trust: &Trust) -> Result<TlsConfig, ClientError> {
    let unusable = |what: &str| ClientError::Configuration { reason: format!("{what} can't be read as PEM") };
    let certificates = |pem: &str, what: &str| {
        let items: Result<Vec<_>, _> = parse_pem(pem.as_bytes()).collect();
        let found = items.map_err(|_| unusable(what))?.into_iter().filter_map(|item| {
            let PemItem::Certificate(certificate) = item else { return None };
            Some(certificate)
        });
        let found: Vec<Certificate<'static>> = found.collect();
        if found.is_empty() { Err(unusable(what)) } else { Ok(found) }
    };
    let identity = trust.identity.as_ref().map(|(chain, key)| {
        let key = PrivateKey::from_pem(key.as_bytes()).map_err(|_| unusable("the client key"))?;
        Ok(ClientCert::new_with_certs(&certificates(chain, "the client certificate")?, key))
    });
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::new_with_certs(&certificates(&trust.roots, "the root certificate")?))
        .client_cert(identity.transpose()?)
        .build())
}
