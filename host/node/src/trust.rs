//! TrustChain in a node: its settings from the configuration, and what the other services have of it: the certificate that
//! the listeners show, and who holds a client certificate.

use crate::config::{Config, ConfigError};
use crate::error::NodeError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hypermesh_api::{Identify, Shown, Tls};
use hypermesh_model::{AssetId, NodeId, Subject};
use hypermesh_store::Store;
use hypermesh_trustchain::{AcmeSettings, DnsSettings, Identity, Settings, TrustChain};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long the log gathers entries for one sync: within a human's blink, and enough for hundreds under load.
const LOG_WINDOW: Duration = Duration::from_millis(3);
/// How long a new intermediate is handed out before it signs: as long as a node's own certificate is valid, so that
/// everybody has asked for the chain meanwhile.
const DISTRIBUTE_FOR: Duration = Duration::from_secs(86_400);

/// What TrustChain is told.
///
/// # Errors
/// [`ConfigError`] for files that can't be read.
pub(crate) fn settings(
    config: &Config,
    data_dir: &Path,
    node_id: NodeId,
    bound: SocketAddr,
) -> Result<Settings, ConfigError> {
    let own = &config.trustchain;
    let loopback = config.is_loopback();
    let scheme = if config.tls { "https" } else { "http" };
    let base_url = own.base_url.clone().unwrap_or_else(|| format!("{scheme}://{}", reachable(bound)));
    Ok(Settings {
        data_dir: data_dir.to_owned(),
        zone: own.zone.clone(),
        trust_domain: own.trust_domain.clone().unwrap_or_else(|| own.zone.clone()),
        node_id,
        node_name: own.node_name.clone(),
        addresses: own_addresses(config),
        base_url,
        issuer_url: own.issuer_url.clone().unwrap_or_else(|| format!("http://{}", reachable(bound))),
        passphrase_file: own.passphrase_file.clone(),
        names: own.names(),
        log_window: LOG_WINDOW,
        dns: DnsSettings {
            addresses: vec![config.listen_dns],
            forwarder: own.dns_forwarder,
            keys: own.tsig_keys()?,
            rate_limit: (own.dns_rate_limit > 0).then_some(own.dns_rate_limit),
        },
        acme: AcmeSettings {
            require_eab: own.acme_require_account,
            eab_keys: own.external_accounts()?,
            allow_loopback: loopback,
            http_port: if loopback { own.acme_http_port } else { 80 },
            tls_port: if loopback { own.acme_tls_port } else { 443 },
            resolver: own.acme_resolver,
        },
        distribute_for: DISTRIBUTE_FOR,
    })
}

/// The addresses that other machines reach, of all services; loopback's on a node that none reach.
fn own_addresses(config: &Config) -> Vec<IpAddr> {
    let bound = config.listeners().into_iter().flat_map(|(_, address)| addresses(address.ip()));
    let (inner, outer): (BTreeSet<_>, BTreeSet<_>) = bound.partition(IpAddr::is_loopback);
    if outer.is_empty() { inner } else { outer }.into_iter().collect()
}

/// Opens the domain. Its DNS server listens when this returns.
///
/// # Errors
/// [`NodeError::TrustChain`].
pub(crate) async fn open(settings: Settings, store: Store) -> Result<TrustChain, NodeError> {
    TrustChain::open(settings, store).await.map_err(NodeError::TrustChain)
}

/// The same address as others on this machine can use it: one that stands for all is one of them.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The host of a URL, without its port.
pub(crate) fn host(url: &str) -> Option<String> {
    let authority = url.split_once("://")?.1.split('/').next()?;
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => authority.split(':').next()?,
    };
    (!host.is_empty()).then(|| host.to_owned())
}

/// The addresses under which the node is reached. For one that stands for all: those from which this machine would call
/// others, which the kernel says without anything being sent.
pub(crate) fn addresses(bound: IpAddr) -> Vec<IpAddr> {
    /// Addresses of documentation (RFC 5737, RFC 3849): nobody has them, and there is a route to them where there is any.
    const SOMEWHERE: [(&str, &str); 2] = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];
    if !bound.is_unspecified() {
        return vec![bound];
    }
    let source = |(any, target): (&str, &str)| -> io::Result<IpAddr> {
        let socket = UdpSocket::bind(any)?;
        socket.connect(target)?;
        Ok(socket.local_addr()?.ip())
    };
    let found: Vec<_> = SOMEWHERE.into_iter().filter_map(|pair| source(pair).ok()).collect();
    if found.is_empty() { vec![reachable(SocketAddr::new(bound, 0)).ip()] } else { found }
}

/// TLS with the node's own certificate, and the task that shows each new one.
///
/// # Errors
/// [`NodeError::Tls`].
pub(crate) fn tls(
    trust: &TrustChain,
    closing: &CancellationToken,
) -> Result<(Tls, JoinHandle<()>), NodeError> {
    let mut identity = trust.identity();
    let first = Arc::clone(&identity.borrow_and_update());
    let tls = Tls::new(shown(&first), &first.root_der).map_err(NodeError::Tls)?;
    let (following, closing) = (tls.clone(), closing.clone());
    let follower = tokio::spawn(async move {
        loop {
            tokio::select! {
                () = closing.cancelled() => return,
                changed = identity.changed() => if changed.is_err() { return },
            }
            let next = Arc::clone(&identity.borrow_and_update());
            match following.replace(shown(&next)) {
                Ok(()) => {
                    tracing::info!(certificate = %next.certificate_id, "the listeners show a new certificate")
                }
                Err(error) => tracing::error!(
                    error = hypermesh_model::error_chain(&error),
                    "a new certificate can't be shown; the old one stays"
                ),
            }
        }
    });
    Ok((tls, follower))
}

/// A public key as PEM (RFC 7468 §13).
pub(crate) fn key_pem(spki: &[u8]) -> String {
    let text = STANDARD.encode(spki);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

fn shown(identity: &Identity) -> Shown<'_> {
    Shown { chain: &identity.chain_der, key: &identity.key_der }
}

/// Who holds client certificates, for the edge.
pub(crate) struct Clients(pub(crate) TrustChain);

impl Identify for Clients {
    fn service(&self) -> &'static str {
        if self.0.dns_addresses().is_empty() { "degraded" } else { "healthy" }
    }

    fn identify(&self, certificate: &[u8]) -> Option<Subject> {
        let peer = self.0.identify(certificate).ok()?;
        let name = common_name(&peer.subject)?;
        // The rules of a token's name: nobody else can hold something here.
        AssetId::parse(name).ok().map(|id| Subject(id.into()))
    }
}

/// The value of `CN` in a distinguished name as RFC 4514 writes it, if it is plain: with nothing escaped.
fn common_name(subject: &str) -> Option<String> {
    let parts = subject.split([',', '+']).map(str::trim_start);
    let mut names = parts.filter_map(|part| part.strip_prefix("CN="));
    let name = names.next().filter(|name| !name.contains(['\\', '#', '"']))?;
    // Two of them, or a comma that was escaped: then it is not said who is meant.
    (names.next().is_none() && !subject.contains('\\')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_name_is_taken_only_where_it_is_plain() {
        assert_eq!(common_name("CN=ann,O=Example").as_deref(), Some("ann"));
        assert_eq!(common_name("O=Example, CN=ann").as_deref(), Some("ann"));
        for wrong in ["O=x", "CN=a,CN=b", "O=a\\,CN=admin", "CN=a\\2cb", ""] {
            assert_eq!(common_name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_host_of_a_url_has_no_port() {
        let of = |url: &str| host(url).unwrap_or_default();
        assert_eq!(of("https://trust.example:8444"), "trust.example");
        assert_eq!(of("http://[2001:db8::1]:80/x"), "2001:db8::1");
        assert_eq!(of("http://a"), "a");
        assert_eq!((host("a"), host("http://")), (None, None));
    }

    #[test]
    fn an_address_that_stands_for_all_is_reached_as_one() {
        let of = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(of("0.0.0.0:8444"), "127.0.0.1:8444");
        assert_eq!(of("[::]:8444"), "[::1]:8444");
        assert_eq!(of("192.0.2.7:1"), "192.0.2.7:1");
        assert_eq!(addresses("192.0.2.7".parse().unwrap()), ["192.0.2.7".parse::<IpAddr>().unwrap()]);
        assert!(!addresses("0.0.0.0".parse().unwrap()).is_empty());
    }
}
