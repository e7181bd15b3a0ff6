//! The probe that goes over the network: which addresses, in which order, for how long.

use super::caa::{self, Asked};
use super::guard::may_connect;
use super::{Attempt, Probe, ProbeFailure, Resolve, ResolveError, dns, http, tls};
use crate::identifier::Identifier;
use crate::problem::ProblemKind;
use crate::record::ChallengeKind;
use async_trait::async_trait;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For one challenge, all connections and redirects together.
const PATIENCE: Duration = Duration::from_secs(10);
/// For one address, so that one that swallows packets leaves time for another.
const CONNECT: Duration = Duration::from_secs(4);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// How far a probe reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Globally reachable addresses, at the ports that the challenges have (80 and 443).
    Public,
    /// This machine too, at other ports. For a node that is bound to loopback, whose users are on the machine anyway.
    Loopback {
        /// Where http-01 begins.
        http_port: u16,
        /// Where tls-alpn-01 connects to.
        tls_port: u16,
    },
}

impl Reach {
    pub(super) fn http_port(self) -> u16 {
        match self {
            Self::Public => 80,
            Self::Loopback { http_port, .. } => http_port,
        }
    }

    pub(super) fn tls_port(self) -> u16 {
        match self {
            Self::Public => 443,
            Self::Loopback { tls_port, .. } => tls_port,
        }
    }

    /// Whether a redirect may lead to this port.
    pub(super) fn may_redirect_to(self, port: u16) -> bool {
        [80, 443, self.http_port(), self.tls_port()].contains(&port)
    }

    fn may_connect(self, address: IpAddr) -> bool {
        match self {
            Self::Public => may_connect(address, false),
            Self::Loopback { .. } => may_connect(address, true),
        }
    }
}

/// Looks over the network.
#[derive(Clone)]
pub struct NetworkProbe {
    resolve: Arc<dyn Resolve>,
    reach: Reach,
    authorities: Vec<String>,
}

impl NetworkProbe {
    /// A probe that asks `resolve`, and is called one of `caa_identities` in CAA records.
    pub fn new(resolve: Arc<dyn Resolve>, reach: Reach, caa_identities: Vec<String>) -> Self {
        Self { resolve, reach, authorities: caa_identities }
    }

    pub(super) fn reach(&self) -> Reach {
        self.reach
    }

    pub(super) fn resolve(&self) -> &dyn Resolve {
        self.resolve.as_ref()
    }

    /// Connects to a name or address, to an address that is allowed and no other.
    pub(super) async fn connect(&self, host: &Identifier, port: u16) -> Result<TcpStream, ProbeFailure> {
        let addresses = match host {
            Identifier::Ip(address) => vec![*address],
            Identifier::Dns(name) => self
                .resolve
                .addresses(name.as_str())
                .await
                .map_err(|error| unresolved(name.as_str(), &error))?,
        };
        if addresses.is_empty() {
            return Err(ProbeFailure::new(ProblemKind::Dns, format!("{host} has no address")));
        }
        let allowed = addresses.into_iter().filter(|address| self.reach.may_connect(*address));
        let mut why = format!("{host} has only addresses that are not reachable from everywhere");
        for address in allowed.take(MAX_ADDRESSES) {
            let target = SocketAddr::new(address, port);
            match timeout(CONNECT, TcpStream::connect(target)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => {
                    why = format!("{target}, an address of {host}, can't be connected to: {error}")
                }
                Err(_) => why = format!("{target}, an address of {host}, does not answer"),
            }
        }
        Err(ProbeFailure::new(ProblemKind::Connection, why))
    }

    /// Asks for the CAA records of a name and, while there are none, of those above it (RFC 8659, 3).
    async fn check_caa(&self, attempt: &Attempt) -> Result<(), ProbeFailure> {
        let Identifier::Dns(name) = &attempt.identifier else { return Ok(()) };
        let mut name = name.as_str();
        let records = loop {
            let records = self.resolve.caa(name).await.map_err(|error| unresolved(name, &error))?;
            match name.split_once('.') {
                Some((_, above)) if records.is_empty() => name = above,
                _ => break records,
            }
        };
        let asked = Asked {
            authorities: &self.authorities,
            wildcard: attempt.wildcard,
            account_url: &attempt.account_url,
            method: attempt.kind.name(),
        };
        caa::permits(&records, asked).map_err(|why| {
            ProbeFailure::new(ProblemKind::Caa, format!("the CAA records of {name} forbid it: {why}"))
        })
    }
}

#[async_trait]
impl Probe for NetworkProbe {
    async fn prove(&self, attempt: &Attempt) -> Result<(), ProbeFailure> {
        let proof = async {
            match attempt.kind {
                ChallengeKind::Http01 => http::prove(self, attempt).await,
                ChallengeKind::Dns01 => dns::prove(self, attempt).await,
                ChallengeKind::TlsAlpn01 => tls::prove(self, attempt).await,
            }
        };
        within(proof).await?;
        self.permits(attempt).await
    }

    async fn permits(&self, attempt: &Attempt) -> Result<(), ProbeFailure> {
        within(self.check_caa(attempt)).await
    }
}

async fn within(work: impl Future<Output = Result<(), ProbeFailure>>) -> Result<(), ProbeFailure> {
    let late = || ProbeFailure::new(ProblemKind::Connection, "there was no full answer within 10 seconds");
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(late()))
}

/// A question to DNS that has no answer.
pub(super) fn unresolved(name: &str, error: &ResolveError) -> ProbeFailure {
    ProbeFailure::new(ProblemKind::Dns, format!("{name} can't be looked up: {error}"))
}

impl fmt::Debug for NetworkProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkProbe")
            .field("reach", &self.reach)
            .field("authorities", &self.authorities)
            .finish_non_exhaustive()
    }
}
