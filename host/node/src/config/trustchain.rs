//! The table `[trustchain]` of the configuration: the zone, which names are signed for, keys of others.
//!
//! ```toml
//! [trustchain]
//! zone = "mesh.example"
//! allowed_names = ["lab.example"]
//! tsig_file = "/etc/hypermesh/tsig.keys"
//! ```
//!
//! Files with keys are read once, at start, and one that can't be understood is a configuration that makes no sense. Their
//! lines are those that the tools of each take: `hmac-sha256:NAME:BASE64` as `nsupdate -y` does, and `ID:BASE64URL` for
//! ACME's external accounts. Who else could read such a file is told by `doctor`.

use super::ConfigError;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hypermesh_trustchain::{EabKey, NamePolicy, TsigKey};
use serde::Serialize;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The keys, as they stand in the list of all settings.
pub(super) const KEYS: [&str; 16] = [
    "trustchain.zone",
    "trustchain.trust_domain",
    "trustchain.node_name",
    "trustchain.base_url",
    "trustchain.issuer_url",
    "trustchain.passphrase_file",
    "trustchain.allowed_names",
    "trustchain.allowed_addresses",
    "trustchain.dns_forwarder",
    "trustchain.dns_rate_limit",
    "trustchain.tsig_file",
    "trustchain.acme_require_account",
    "trustchain.acme_accounts_file",
    "trustchain.acme_resolver",
    "trustchain.acme_http_port",
    "trustchain.acme_tls_port",
];

/// Settings that are lists of texts.
pub(super) const LISTS: [&str; 2] = ["trustchain.allowed_names", "trustchain.allowed_addresses"];

/// How TrustChain is run, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrustChainConfig {
    /// The zone that the node answers for.
    pub zone: String,
    /// The trust domain of SPIFFE ids; `None`: the zone.
    pub trust_domain: Option<String>,
    /// The node's name in the zone: one label.
    pub node_name: String,
    /// Where others reach the API; `None`: the address that is bound.
    pub base_url: Option<String>,
    /// Where others fetch revocation lists, status and issuers, by plain HTTP: baked into certificates. `None`: the address
    /// that is bound.
    pub issuer_url: Option<String>,
    /// The file with the passphrase of the private keys; `None`: one that is made beside them.
    pub passphrase_file: Option<PathBuf>,
    /// DNS names that are signed for beside the zone's: these, and those below them.
    pub allowed_names: Vec<String>,
    /// Addresses that are signed for beside loopback and the node's own.
    pub allowed_addresses: Vec<IpAddr>,
    /// Where questions about other zones go, for clients of this machine; `None`: they are refused.
    pub dns_forwarder: Option<SocketAddr>,
    /// Answers a second to one network that are alike, before they are limited; 0 for no limit.
    pub dns_rate_limit: u32,
    /// Keys that changes and transfers of the zone are signed with, a line each.
    pub tsig_file: Option<PathBuf>,
    /// Whether ACME accounts must be bound to one of the file's.
    pub acme_require_account: bool,
    /// Keys of external accounts, a line each.
    pub acme_accounts_file: Option<PathBuf>,
    /// The resolver that ACME asks about other zones; `None`: they can't be validated by DNS.
    pub acme_resolver: Option<SocketAddr>,
    /// Where http-01 looks; another port than 80 on a node that is bound to loopback only.
    pub acme_http_port: u16,
    /// Where tls-alpn-01 looks; another port than 443 on a node that is bound to loopback only.
    pub acme_tls_port: u16,
}

/// Answers a second that are alike: what BIND's documentation begins with is 5 to 20 for a public server; ours are asked by
/// benchmarks and monitors of the same machine as well.
const DNS_RATE_LIMIT: u32 = 100;

impl Default for TrustChainConfig {
    fn default() -> Self {
        Self {
            zone: "hypermesh.network".to_owned(),
            trust_domain: None,
            node_name: "node".to_owned(),
            base_url: None,
            issuer_url: None,
            passphrase_file: None,
            allowed_names: Vec::new(),
            allowed_addresses: Vec::new(),
            dns_forwarder: None,
            dns_rate_limit: DNS_RATE_LIMIT,
            tsig_file: None,
            acme_require_account: false,
            acme_accounts_file: None,
            acme_resolver: None,
            acme_http_port: 80,
            acme_tls_port: 443,
        }
    }
}

impl TrustChainConfig {
    /// Sets one key; the error says what would be right.
    pub(super) fn set(&mut self, key: &str, value: &toml::Value) -> Result<(), &'static str> {
        let text = || value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let path = || {
            let absolute = value.as_str().filter(|path| path.starts_with('/'));
            absolute.map(PathBuf::from).ok_or("an absolute path")
        };
        let address = || {
            let parsed = value.as_str().and_then(|text| text.parse().ok());
            parsed.ok_or("an address such as 192.0.2.1:53")
        };
        let port = || {
            let number = value.as_integer().and_then(|number| u16::try_from(number).ok());
            number.filter(|port| *port > 0).ok_or("a port from 1 to 65535")
        };
        match key {
            "trustchain.zone" => self.zone = text().and_then(name).ok_or(A_NAME)?,
            "trustchain.trust_domain" => {
                self.trust_domain = Some(text().and_then(name).ok_or(A_NAME)?);
            }
            "trustchain.node_name" => {
                let label = text().and_then(name).filter(|name| !name.contains('.'));
                self.node_name = label.ok_or("one label such as n7")?;
            }
            "trustchain.base_url" => {
                let url = text().filter(|url| url.starts_with("http://") || url.starts_with("https://"));
                let url = url.ok_or("a URL such as https://trust.example:8444")?;
                self.base_url = Some(url.trim_end_matches('/').to_owned());
            }
            "trustchain.issuer_url" => {
                let url = text().filter(|url| url.starts_with("http://"));
                let url = url.ok_or("a URL such as http://trust.example:8444")?;
                self.issuer_url = Some(url.trim_end_matches('/').to_owned());
            }
            "trustchain.passphrase_file" => self.passphrase_file = Some(path()?),
            "trustchain.allowed_names" => {
                self.allowed_names = list(value).ok_or("a list of names such as lab.example")?;
            }
            "trustchain.allowed_addresses" => {
                let texts = list(value).unwrap_or_default();
                let parsed: Option<Vec<_>> = texts.iter().map(|text| text.parse().ok()).collect();
                self.allowed_addresses = parsed.ok_or("a list of addresses such as 192.0.2.1")?;
            }
            "trustchain.dns_forwarder" => self.dns_forwarder = Some(address()?),
            "trustchain.dns_rate_limit" => {
                let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
                self.dns_rate_limit = number.ok_or("a number of answers a second")?;
            }
            "trustchain.tsig_file" => self.tsig_file = Some(path()?),
            "trustchain.acme_require_account" => {
                self.acme_require_account = value.as_bool().ok_or("true or false")?;
            }
            "trustchain.acme_accounts_file" => self.acme_accounts_file = Some(path()?),
            "trustchain.acme_resolver" => self.acme_resolver = Some(address()?),
            "trustchain.acme_http_port" => self.acme_http_port = port()?,
            _ => self.acme_tls_port = port()?,
        }
        Ok(())
    }

    /// The value of a key, for people.
    pub(super) fn shown(&self, key: &str) -> String {
        fn or<T: ToString>(value: Option<T>, otherwise: &str) -> String {
            value.map_or_else(|| otherwise.to_owned(), |value| value.to_string())
        }
        let path =
            |path: &Option<PathBuf>, otherwise: &str| or(path.as_ref().map(|p| p.display()), otherwise);
        match key {
            "trustchain.zone" => self.zone.clone(),
            "trustchain.trust_domain" => or(self.trust_domain.as_ref(), "(the zone)"),
            "trustchain.node_name" => self.node_name.clone(),
            "trustchain.base_url" => or(self.base_url.as_ref(), "(the address that is bound)"),
            "trustchain.issuer_url" => or(self.issuer_url.as_ref(), "(the address that is bound)"),
            "trustchain.passphrase_file" => path(&self.passphrase_file, "(made beside the keys)"),
            "trustchain.allowed_names" => self.allowed_names.join(", "),
            "trustchain.allowed_addresses" => {
                self.allowed_addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            }
            "trustchain.dns_forwarder" => or(self.dns_forwarder, "(none)"),
            "trustchain.dns_rate_limit" => self.dns_rate_limit.to_string(),
            "trustchain.tsig_file" => path(&self.tsig_file, "(none)"),
            "trustchain.acme_require_account" => self.acme_require_account.to_string(),
            "trustchain.acme_accounts_file" => path(&self.acme_accounts_file, "(none)"),
            "trustchain.acme_resolver" => or(self.acme_resolver, "(none)"),
            "trustchain.acme_http_port" => self.acme_http_port.to_string(),
            _ => self.acme_tls_port.to_string(),
        }
    }

    /// Which names are signed for.
    pub(crate) fn names(&self) -> NamePolicy {
        NamePolicy { dns: self.allowed_names.clone(), addresses: self.allowed_addresses.clone() }
    }

    /// The keys that changes and transfers of the zone are signed with.
    ///
    /// # Errors
    /// [`ConfigError::Key`] for a file that can't be read or understood.
    pub(crate) fn tsig_keys(&self) -> Result<Vec<TsigKey>, ConfigError> {
        lines(self.tsig_file.as_deref(), |line| {
            let (algorithm, rest) = line.split_once(':')?;
            let (name, secret) = rest.split_once(':')?;
            let known = matches!(algorithm, "hmac-sha256" | "hmac-sha512");
            let secret = Zeroizing::new(STANDARD.decode(secret).ok()?);
            let key = TsigKey { name: name.to_owned(), algorithm: algorithm.to_owned(), secret };
            known.then_some(key)
        })
    }

    /// The keys of ACME's external accounts.
    ///
    /// # Errors
    /// [`ConfigError::Key`] for a file that can't be read or understood.
    pub(crate) fn external_accounts(&self) -> Result<Vec<EabKey>, ConfigError> {
        lines(self.acme_accounts_file.as_deref(), |line| {
            let (id, secret) = line.split_once(':')?;
            let secret = Zeroizing::new(URL_SAFE_NO_PAD.decode(secret).ok()?);
            Some(EabKey { id: id.to_owned(), secret })
        })
    }
}

const A_NAME: &str = "a name such as mesh.example";

/// A DNS name in lower case, without the root's dot.
fn name(text: String) -> Option<String> {
    let text = text.trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (1..=63).contains(&label.len()) && label.chars().all(known) && !label.starts_with('-')
    };
    (text.len() <= 253 && text.split('.').all(label)).then_some(text)
}

fn list(value: &toml::Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// What the lines of a file say; empty ones and those that begin with `#` say nothing.
fn lines<T>(path: Option<&Path>, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, ConfigError> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let wrong = |why: String| ConfigError::Key { path: path.to_owned(), why };
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?);
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| read(line).ok_or_else(|| wrong(format!("line {} is no key", number + 1))))
        .collect()
}

/// A value from the environment: numbers and truths read as such.
pub(super) fn text_value(key: &str, value: &str) -> toml::Value {
    let text = || toml::Value::String(value.to_owned());
    match key {
        "trustchain.dns_rate_limit" | "trustchain.acme_http_port" | "trustchain.acme_tls_port" => {
            value.parse().map_or_else(|_| text(), toml::Value::Integer)
        }
        "trustchain.acme_require_account" => value.parse().map_or_else(|_| text(), toml::Value::Boolean),
        _ => text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_a_name_and_a_node_is_one_label() {
        let mut config = TrustChainConfig::default();
        let value = |text: &str| toml::Value::String(text.to_owned());
        config.set("trustchain.zone", &value("Mesh.Example.")).unwrap();
        assert_eq!(config.zone, "mesh.example");
        for wrong in ["", "a..b", "-a", "a b", &"x".repeat(64)] {
            assert!(config.set("trustchain.zone", &value(wrong)).is_err(), "{wrong}");
        }
        assert!(config.set("trustchain.node_name", &value("a.b")).is_err());
        assert!(config.set("trustchain.acme_http_port", &toml::Value::Integer(0)).is_err());
    }

    #[test]
    fn keys_of_others_are_read_as_their_tools_write_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        let config = |text: &str| {
            fs::write(&file, text).unwrap();
            let file = Some(file.clone());
            TrustChainConfig { tsig_file: file.clone(), acme_accounts_file: file, ..Default::default() }
        };
        let keys = config("# for nsupdate\nhmac-sha256:update.:c2VjcmV0\n\n").tsig_keys().unwrap();
        assert_eq!((keys.len(), keys[0].name.as_str(), &keys[0].secret[..]), (1, "update.", &b"secret"[..]));
        assert!(config("hmac-md5:a:c2VjcmV0").tsig_keys().is_err());
        let error = config("\nnonsense").tsig_keys().unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
        let accounts = config("kid-1:c2VjcmV0").external_accounts().unwrap();
        assert_eq!((accounts[0].id.as_str(), &accounts[0].secret[..]), ("kid-1", &b"secret"[..]));
    }
}
