//! What the domain needs to know, and which names it signs for.

use hypermesh_model::NodeId;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// What the domain needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Everything that this node keeps; ours is the folder `trustchain` in it.
    pub data_dir: PathBuf,
    /// The zone that this node answers for, without the root's dot, e.g. `hypermesh.network`.
    pub zone: String,
    /// The trust domain of SPIFFE ids, e.g. `hypermesh.network`.
    pub trust_domain: String,
    /// This node; its SPIFFE id is `spiffe://TRUST_DOMAIN/node/NODE_ID`.
    pub node_id: NodeId,
    /// This node's name in the zone: one label.
    pub node_name: String,
    /// The addresses under which this node is reached: the zone's first records, and in the node's own certificate.
    pub addresses: Vec<IpAddr>,
    /// Where others reach the API, without a slash at the end: the base of ACME's URLs.
    pub base_url: String,
    /// Where others find revocation lists, the OCSP responder and issuers' certificates, without a slash at the end:
    /// `http` whatever the API has, since fetching these over TLS would need the very certificates that they are about. It
    /// is baked into certificates.
    pub issuer_url: String,
    /// The file with the passphrase of the private keys; `None`: one that is made beside them.
    pub passphrase_file: Option<PathBuf>,
    /// Which names are signed for without a challenge.
    pub names: NamePolicy,
    /// How long the log gathers entries for one sync: 2 to 5 ms.
    pub log_window: Duration,
    /// The zone's server.
    pub dns: DnsSettings,
    /// The ACME server.
    pub acme: AcmeSettings,
    /// How long a new intermediate is handed out before it signs.
    pub distribute_for: Duration,
}

/// Which names are signed for when an operator asks. ACME proves its names instead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamePolicy {
    /// DNS names that are these or below them; the node's zone and `localhost` always are. `*` is every name.
    pub dns: Vec<String>,
    /// Addresses beside loopback and the node's own.
    pub addresses: Vec<IpAddr>,
}

/// The zone's server.
#[derive(Debug, Clone)]
pub struct DnsSettings {
    /// Where it listens, UDP and TCP; port 0 takes a free one, the same for both.
    pub addresses: Vec<SocketAddr>,
    /// Where questions about other zones go, for loopback clients only; `None`: they are refused.
    pub forwarder: Option<SocketAddr>,
    /// Who may change and transfer the zone.
    pub keys: Vec<TsigKey>,
    /// Answers a second to one network that are alike, before they are rate limited; `None`: no limit.
    pub rate_limit: Option<u32>,
}

/// A key that changes and transfers of the zone are signed with (RFC 8945).
#[derive(Clone)]
pub struct TsigKey {
    /// Its name, as clients say it.
    pub name: String,
    /// `hmac-sha256` or `hmac-sha512`.
    pub algorithm: String,
    /// The secret's bytes.
    pub secret: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TsigKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A key that an external account is bound with (RFC 8555 §7.3.4).
#[derive(Clone)]
pub struct EabKey {
    /// Its identifier.
    pub id: String,
    /// The secret's bytes, for HMAC-SHA-256.
    pub secret: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for EabKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EabKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The ACME server.
#[derive(Debug, Clone)]
pub struct AcmeSettings {
    /// Accounts need an external binding (RFC 8555 §7.3.4).
    pub require_eab: bool,
    /// The external accounts' keys.
    pub eab_keys: Vec<EabKey>,
    /// Whether challenges may be looked for on loopback and private addresses: only on a node that is bound to loopback.
    pub allow_loopback: bool,
    /// The port of http-01; 80 unless loopback is allowed.
    pub http_port: u16,
    /// The port of tls-alpn-01; 443 unless loopback is allowed.
    pub tls_port: u16,
    /// The resolver that dns-01 asks about other zones.
    pub resolver: Option<SocketAddr>,
}
