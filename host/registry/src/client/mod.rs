//! A client of the OCI Distribution Specification 1.1: just what a catalog needs of it.
//!
//! Small and our own: the crates that exist bring a second time library and a second HTTP client, and here every bound
//! has its place. Size, time and the number of redirects are limited; every byte is checked against its digest; plain HTTP
//! is for this machine, unless the operator allowed more; a redirect never leads from TLS to plain text, and takes no
//! credentials to another host.
//! Blocking: callers are on threads of their own.

mod auth;
mod credentials;
mod http;
mod pull;
mod push;

pub use credentials::Credentials;
pub use pull::Pulled;
pub use push::Pushed;

use crate::error::RegistryError;
use crate::reference::Reference;
use http::Session;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

/// Longest silence until a connection is there.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest silence in the middle of something.
const SILENCE: Duration = Duration::from_secs(30);
/// Longest whole pull or push: 64 MiB at 2 Mbit/s.
const WHOLE: Duration = Duration::from_secs(300);

/// What registries a node may use, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryAccess {
    /// Only these, each `host` or `host:port`; empty for any.
    pub allowed: Vec<String>,
    /// Whether plain HTTP may be spoken to other machines, too.
    pub plain_http: bool,
    /// A file as `docker login` writes it.
    pub credentials: Option<PathBuf>,
    /// A PEM file of certificate authorities that are trusted besides the system's.
    pub certificates: Option<PathBuf>,
}

/// How one registry is reached.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// By plain HTTP.
    pub insecure: bool,
    /// With these credentials, in place of the file's.
    pub credentials: Option<Credentials>,
}

/// Reaches registries.
#[derive(Debug)]
pub struct RegistryClient {
    access: RegistryAccess,
    agent: OnceLock<Agent>,
}

impl RegistryClient {
    /// A client with these rights. Certificates are read when they are first needed.
    pub fn new(access: RegistryAccess) -> Self {
        Self { access, agent: OnceLock::new() }
    }

    fn session<'a>(&'a self, reference: &'a Reference, reach: &Reach) -> Result<Session<'a>, RegistryError> {
        let registry = reference.registry();
        let allowed = &self.access.allowed;
        if !allowed.is_empty() && !allowed.iter().any(|known| known.eq_ignore_ascii_case(registry)) {
            let allowed = allowed.join(", ");
            return Err(RegistryError::NotAllowed { registry: registry.to_owned(), allowed });
        }
        if reach.insecure && !reference.is_loopback() && !self.access.plain_http {
            return Err(RegistryError::PlainHttp { host: registry.to_owned() });
        }
        let credentials = match (&reach.credentials, &self.access.credentials) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(file)) => credentials::from_file(file, registry)?,
            (None, None) => None,
        };
        Ok(Session::new(self.agent()?, reference, reach.insecure, self.access.plain_http, credentials))
    }

    fn agent(&self) -> Result<&Agent, RegistryError> {
        if let Some(agent) = self.agent.get() {
            return Ok(agent);
        }
        let roots = self.roots()?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("hypermesh/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_resolve(Some(CONNECT))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .build();
        Ok(self.agent.get_or_init(|| config.new_agent()))
    }

    /// The system's authorities and the operator's. None at all only shows when TLS is spoken.
    fn roots(&self) -> Result<Vec<Certificate<'static>>, RegistryError> {
        let mut roots: Vec<CertificateDer<'static>> = rustls_native_certs::load_native_certs().certs;
        if let Some(file) = &self.access.certificates {
            let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            roots.extend(read.map_err(|e| RegistryError::Certificates(Box::new(e)))?);
        }
        Ok(roots.iter().map(|der| Certificate::from_der(der.as_ref()).to_owned()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(access: RegistryAccess, reference: &str, insecure: bool) -> Option<String> {
        let client = RegistryClient::new(access);
        let reference = Reference::parse(reference).unwrap();
        let reach = Reach { insecure, credentials: None };
        client.session(&reference, &reach).err().map(|error| error.to_string())
    }

    #[test]
    fn only_allowed_registries_are_reached_and_others_never_in_plain_text() {
        let only = || RegistryAccess { allowed: vec!["Ghcr.io".into()], ..RegistryAccess::default() };
        assert_eq!(refused(only(), "ghcr.io/a/b", false), None);
        let other = refused(only(), "ghcr.io.evil.example/a/b", false).unwrap();
        assert!(other.contains("it may use Ghcr.io"), "{other}");
        assert!(refused(only(), "ghcr.io:444/a/b", false).is_some(), "another port is another registry");
        assert!(refused(RegistryAccess::default(), "r.example/a", true).is_some());
        assert_eq!(refused(RegistryAccess::default(), "localhost:5000/a", true), None);
        let plain = RegistryAccess { plain_http: true, ..RegistryAccess::default() };
        assert_eq!(refused(plain, "r.example/a", true), None);
    }
}
