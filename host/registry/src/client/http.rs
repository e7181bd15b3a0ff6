//! One conversation with one registry: requests with credentials, redirects and bounds.

use super::WHOLE;
use super::auth::{self, Challenge};
use super::credentials::Credentials;
use crate::error::RegistryError;
use crate::reference::{Reference, is_loopback};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::{Duration, Instant};
use ureq::http::{HeaderName, Method, Request, Response, StatusCode, Uri, header, request};
use ureq::{Agent, AsSendBody, Body, SendBody};

/// Most redirects that are followed: a blob's to its store is one.
const MAX_REDIRECTS: usize = 5;
/// Largest answer of an authorisation server.
const MAX_TOKEN: u64 = 64 << 10;
/// Largest error that is read.
const MAX_ERROR: u64 = 8 << 10;
/// Docker Hub's registry is not where its name says.
const HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// What a request carries.
pub(crate) enum Payload<'a> {
    Nothing,
    Bytes(&'a [u8]),
    /// A file from its beginning, of this length.
    File(&'a File, u64),
}

/// One conversation.
pub(crate) struct Session<'a> {
    agent: &'a Agent,
    reference: &'a Reference,
    origin: Uri,
    plain: bool,
    /// Whether plain text may go to other machines.
    plain_anywhere: bool,
    credentials: Option<Credentials>,
    authorization: Option<String>,
    deadline: Instant,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        agent: &'a Agent,
        reference: &'a Reference,
        plain: bool,
        plain_anywhere: bool,
        credentials: Option<Credentials>,
    ) -> Self {
        let registry = if reference.registry() == HUB.0 { HUB.1 } else { reference.registry() };
        let scheme = if plain { "http" } else { "https" };
        let origin = Uri::builder().scheme(scheme).authority(registry).path_and_query("/").build();
        Self {
            agent,
            reference,
            // A reference's registry is an authority: its grammar is narrower.
            origin: origin.unwrap_or_default(),
            plain,
            plain_anywhere,
            credentials,
            authorization: None,
            deadline: Instant::now() + WHOLE,
        }
    }

    pub(crate) fn registry(&self) -> String {
        self.reference.registry().to_owned()
    }

    pub(crate) fn reference(&self) -> &'a Reference {
        self.reference
    }

    /// The address of something below the repository.
    pub(crate) fn below(&self, path: &str) -> Result<Uri, RegistryError> {
        let hub = self.reference.registry() == HUB.0 && !self.reference.repository().contains('/');
        let library = if hub { "library/" } else { "" };
        self.at(&format!("/v2/{library}{}/{path}", self.reference.repository()))
    }

    fn at(&self, path: &str) -> Result<Uri, RegistryError> {
        let mut parts = self.origin.clone().into_parts();
        parts.path_and_query = Some(path.parse().map_err(|_| self.protocol("an address that is none"))?);
        Uri::from_parts(parts).map_err(|_| self.protocol("an address that is none"))
    }

    pub(crate) fn protocol(&self, what: &'static str) -> RegistryError {
        RegistryError::Protocol { registry: self.registry(), what }
    }

    /// Where an answer leads: a `location`, absolute or of this registry.
    pub(crate) fn led(&self, answer: &Response<Body>) -> Result<Uri, RegistryError> {
        let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| self.protocol("it leads nowhere"))?;
        let uri: Uri = if location.starts_with('/') {
            self.at(location)?
        } else {
            location.parse().map_err(|_| self.protocol("it leads to an address that is none"))?
        };
        self.check(&uri)?;
        Ok(uri)
    }

    /// Refuses plain text where it isn't allowed.
    fn check(&self, uri: &Uri) -> Result<(), RegistryError> {
        let host = uri.host().unwrap_or_default();
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if self.plain && (self.plain_anywhere || is_loopback(host)) => Ok(()),
            Some("http") => Err(RegistryError::PlainHttp { host: host.to_owned() }),
            _ => Err(self.protocol("it leads to an address that is none")),
        }
    }

    /// One request, with the credentials that the registry asks for, and redirects followed if it only reads.
    pub(crate) fn send(
        &mut self,
        method: &Method,
        uri: &Uri,
        headers: &[(HeaderName, &str)],
        payload: &Payload<'_>,
    ) -> Result<Response<Body>, RegistryError> {
        let mut uri = uri.clone();
        let reads = *method == Method::GET || *method == Method::HEAD;
        for _ in 0..=MAX_REDIRECTS {
            let mut answer = self.exchange(method, &uri, headers, payload)?;
            let is_own = uri.authority() == self.origin.authority();
            if answer.status() == StatusCode::UNAUTHORIZED && is_own && self.authorize(&answer)? {
                answer = self.exchange(method, &uri, headers, payload)?;
            }
            if !(reads && answer.status().is_redirection()) {
                return Ok(answer);
            }
            uri = self.led(&answer)?;
        }
        Err(self.protocol("it leads from one address to the next"))
    }

    fn exchange(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &[(HeaderName, &str)],
        payload: &Payload<'_>,
    ) -> Result<Response<Body>, RegistryError> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        if let Some(authorization) = &self.authorization
            && uri.authority() == self.origin.authority()
        {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let (mut reader, length) = payload.reader()?;
        match length {
            None => self.run(uri, request, ()),
            Some(length) => {
                let request = request.header(header::CONTENT_LENGTH, length);
                self.run(uri, request, SendBody::from_reader(&mut reader))
            }
        }
    }

    fn run(
        &self,
        uri: &Uri,
        request: request::Builder,
        body: impl AsSendBody,
    ) -> Result<Response<Body>, RegistryError> {
        let request = request.body(body).map_err(|_| self.protocol("a request that can't be written"))?;
        let mut configured = self.agent.configure_request(request).timeout_global(Some(self.left()?));
        if uri.host().is_some_and(is_loopback) {
            configured = configured.proxy(None);
        }
        self.agent.run(configured.build()).map_err(|error| self.failed(uri, error))
    }

    /// The time that is left.
    fn left(&self) -> Result<Duration, RegistryError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(RegistryError::Deadline { seconds: WHOLE.as_secs() }) } else { Ok(left) }
    }

    /// What the HTTP library said.
    pub(crate) fn failed(&self, uri: &Uri, error: ureq::Error) -> RegistryError {
        if matches!(error, ureq::Error::Timeout(ureq::Timeout::Global)) {
            return RegistryError::Deadline { seconds: WHOLE.as_secs() };
        }
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        RegistryError::Unreachable { host, source: Box::new(error) }
    }

    /// Gets what the registry's 401 asks for. `false` when there is nothing more to show.
    fn authorize(&mut self, answer: &Response<Body>) -> Result<bool, RegistryError> {
        let challenges = answer.headers().get_all(header::WWW_AUTHENTICATE).iter();
        let asked: Vec<Challenge> =
            challenges.filter_map(|value| value.to_str().ok().and_then(auth::parse)).collect();
        let bearer = asked.iter().find(|challenge| **challenge != Challenge::Basic);
        let next = match (bearer, asked.is_empty()) {
            (Some(Challenge::Bearer { realm, service, scope }), _) => {
                Some(format!("Bearer {}", self.token(realm, service.as_deref(), scope.as_deref())?))
            }
            (_, false) => self.credentials.as_ref().map(Credentials::basic),
            (_, true) => None,
        };
        let is_new = next.is_some() && next != self.authorization;
        self.authorization = next.or(self.authorization.take());
        Ok(is_new)
    }

    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<String, RegistryError> {
        let query = [("service", service), ("scope", scope)];
        let mut address = realm.to_owned();
        for (name, value) in query.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            address.push(if address.contains('?') { '&' } else { '?' });
            address.push_str(name);
            address.push('=');
            address.extend(value.bytes().map(escaped));
        }
        let uri: Uri = address.parse().map_err(|_| self.protocol("its token server has no address"))?;
        self.check(&uri)?;
        let mut request = Request::get(&uri);
        if let Some(credentials) = &self.credentials {
            request = request.header(header::AUTHORIZATION, credentials.basic());
        }
        let mut answer = self.run(&uri, request, ())?;
        if answer.status() != StatusCode::OK {
            return Err(RegistryError::Unauthorized { registry: self.registry() });
        }
        let text = self.read(&uri, &mut answer, "a token", MAX_TOKEN)?;
        let token: Token =
            serde_json::from_slice(&text).map_err(|_| self.protocol("its token server gives no token"))?;
        let token = if token.token.is_empty() { token.access_token } else { token.token };
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(self.protocol("its token server gives no token"));
        }
        Ok(token)
    }

    /// A whole body of bounded length.
    pub(crate) fn read(
        &self,
        uri: &Uri,
        answer: &mut Response<Body>,
        what: &'static str,
        limit: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        let read = answer.body_mut().as_reader().take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.failed(uri, error.into()))?;
        if bytes.len() as u64 > limit {
            return Err(RegistryError::TooLarge { what, limit });
        }
        Ok(bytes)
    }

    /// The answer, if it is a success; else what the registry said.
    pub(crate) fn succeeded(
        &self,
        mut answer: Response<Body>,
        what: &str,
    ) -> Result<Response<Body>, RegistryError> {
        let (registry, what) = (self.registry(), what.to_owned());
        match answer.status() {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(RegistryError::Unauthorized { registry }),
            StatusCode::NOT_FOUND => Err(RegistryError::NotFound { registry, what }),
            status => {
                let mut bytes = Vec::new();
                // What can't be read of an error is missing in its text.
                let _ = answer.body_mut().as_reader().take(MAX_ERROR).read_to_end(&mut bytes);
                let (status, said) = (status.as_u16(), said(&bytes));
                Err(RegistryError::Refused { registry, what, status, said })
            }
        }
    }
}

impl Payload<'_> {
    /// The bytes, from the first one, and how many there are.
    fn reader(&self) -> Result<(Box<dyn Read + '_>, Option<u64>), RegistryError> {
        let local = |source| RegistryError::Local { what: "reading the component", source };
        Ok(match self {
            Self::Nothing => (Box::new(io::empty()), None),
            Self::Bytes(bytes) => (Box::new(*bytes), Some(bytes.len() as u64)),
            Self::File(file, length) => {
                let mut file: &File = file;
                file.seek(SeekFrom::Start(0)).map_err(local)?;
                (Box::new(file.take(*length)), Some(*length))
            }
        })
    }
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<Said>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The first error of an answer (OCI Distribution Specification 1.1, "Error Codes"), for people.
fn said(bytes: &[u8]) -> String {
    let parsed = serde_json::from_slice::<Errors>(bytes).ok().and_then(|e| e.errors.into_iter().next());
    let text = match parsed {
        Some(Said { code, message }) => format!("{code} {message}"),
        None => String::from_utf8_lossy(bytes).into_owned(),
    };
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    let text = text.trim();
    if text.is_empty() { "nothing".to_owned() } else { text.to_owned() }
}

/// A byte of a query (RFC 3986, 3.4).
fn escaped(byte: u8) -> String {
    let plain = byte.is_ascii_alphanumeric() || b"-._~:/,".contains(&byte);
    if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_registry_is_one_line() {
        let bytes = br#"{"errors":[{"code":"DENIED","message":"not\n yours","detail":{}}]}"#;
        assert_eq!(said(bytes), "DENIED not  yours");
        assert_eq!(said(b"<html>"), "<html>");
        assert_eq!(said(b""), "nothing");
        assert!(said(&[b'x'; 5000]).len() <= 200);
    }

    #[test]
    fn plain_text_is_never_left_to_a_redirect() {
        let agent = Agent::new_with_defaults();
        let reference = Reference::parse("localhost:5000/a").unwrap();
        let check = |plain, anywhere, to: &str| {
            let session = Session::new(&agent, &reference, plain, anywhere, None);
            session.check(&to.parse().unwrap()).is_ok()
        };
        assert!(check(false, false, "https://store.example/x"));
        assert!(!check(false, false, "http://localhost:5000/x") && !check(false, true, "http://s.example/x"));
        assert!(check(true, false, "http://127.0.0.1:1/x") && !check(true, false, "http://s.example/x"));
        assert!(check(true, true, "http://s.example/x") && !check(true, true, "ftp://s.example/x"));
    }

    #[test]
    fn docker_hub_is_where_it_is() {
        let agent = Agent::new_with_defaults();
        let address = |text: &str| {
            let reference = Reference::parse(text).unwrap();
            Session::new(&agent, &reference, false, false, None).below("tags/list").unwrap().to_string()
        };
        let hub = "https://registry-1.docker.io/v2/library/busybox/tags/list";
        assert_eq!(address("docker.io/busybox"), hub);
        assert_eq!(address("r.example:444/a/b"), "https://r.example:444/v2/a/b/tags/list");
    }
}
