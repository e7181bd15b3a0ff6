//! Configuration: a TOML file < environment < flags. Unknown keys are errors, and every value knows where it is from.

mod catalog;
mod trustchain;

pub use catalog::{CatalogConfig, TrustConfig};
pub use trustchain::TrustChainConfig;

use hypermesh_mesh::Orphans;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The configuration of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Everything that the node keeps lies below this folder.
    pub data_dir: PathBuf,
    /// Address of the TrustChain service.
    pub listen_trustchain: SocketAddr,
    /// Address of the STOQ service.
    pub listen_stoq: SocketAddr,
    /// Address of the HyperMesh service.
    pub listen_hypermesh: SocketAddr,
    /// Address of the DNS server, UDP and TCP.
    pub listen_dns: SocketAddr,
    /// Whether the three services speak TLS, with the node's own certificate.
    pub tls: bool,
    /// Lease even what the kernel does not enforce.
    pub allow_unenforced: bool,
    /// Absolute cgroup path below the mount under which the node's groups are made; `None` chooses the node's own.
    pub cgroup_parent: Option<String>,
    /// What becomes of cgroups of this node that its ledger does not know: `kill`, `freeze` or `adopt`.
    pub orphans: Orphans,
    /// Folders of this machine that guests may be granted, with everything below them; absolute.
    pub grant_folders: Vec<PathBuf>,
    /// NVIDIA's management library; `None` lets the dynamic linker find `libnvidia-ml.so.1`.
    pub nvml_library: Option<PathBuf>,
    /// `text` or `json`.
    pub log_format: String,
    /// What is logged, e.g. `info` or `warn,hypermesh_mesh=debug`.
    pub log_filter: String,
    /// Host names that the API answers to besides loopback.
    pub allowed_hosts: Vec<String>,
    /// Origins that browsers may write from besides the node's own and the contract's.
    pub allowed_origins: Vec<String>,
    /// How the catalog is run: the table `[catalog]`.
    pub catalog: CatalogConfig,
    /// How TrustChain is run: the table `[trustchain]`.
    pub trustchain: TrustChainConfig,
    #[serde(skip)]
    origins: BTreeMap<&'static str, Origin>,
}

/// Where a value is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said otherwise.
    Default,
    /// A line of this file.
    File(PathBuf),
    /// This environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "${name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// One setting, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// Where the value is from.
    pub origin: Origin,
}

/// What the command line said.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the key of the configuration")]
pub struct ConfigSources {
    pub file: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub listen_trustchain: Option<SocketAddr>,
    pub listen_stoq: Option<SocketAddr>,
    pub listen_hypermesh: Option<SocketAddr>,
    pub listen_dns: Option<SocketAddr>,
    pub tls: Option<bool>,
    pub zone: Option<String>,
    pub allow_unenforced: Option<bool>,
    pub cgroup_parent: Option<String>,
    pub log_format: Option<String>,
    pub log_filter: Option<String>,
}

/// What is wrong with a configuration.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum ConfigError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is not valid TOML", path.display())]
    Toml {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("{origin}: `{key}` is not a setting; the settings are {known}")]
    UnknownKey { key: String, origin: Origin, known: String },
    #[error("{origin}: `{value}` is no value for `{key}`: {expected}")]
    Value { key: &'static str, value: String, origin: Origin, expected: &'static str },
    #[error(
        "{key} is {address}, which is not loopback: that needs TLS; add --tls, or listen on 127.0.0.1 or [::1]"
    )]
    Public { key: &'static str, address: SocketAddr },
    #[error("{} can't be read as keys: {why}", path.display())]
    Key { path: PathBuf, why: String },
}

/// Every key, in the order in which they are shown.
fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.into_iter().chain(catalog::KEYS).chain(trustchain::KEYS)
}

/// The table in which the keys of the catalog stand.
const CATALOG: &str = "catalog";

/// The same of TrustChain.
const TRUSTCHAIN: &str = "trustchain";

const KEYS: [&str; 15] = [
    "data_dir",
    "listen_trustchain",
    "listen_stoq",
    "listen_hypermesh",
    "listen_dns",
    "tls",
    "allow_unenforced",
    "cgroup_parent",
    "orphans",
    "grant_folders",
    "nvml_library",
    "log_format",
    "log_filter",
    "allowed_hosts",
    "allowed_origins",
];

/// The name of the file that is read from the data folder when no other is named.
const FILE_NAME: &str = "hypermesh.toml";

/// Where a node keeps its state when nobody says otherwise: `$XDG_STATE_HOME/hypermesh` or `~/.local/state/hypermesh`
/// (XDG Base Directory Specification 0.8), and `/var/lib/hypermesh` for who has no home.
pub fn default_data_dir() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map_or_else(|| PathBuf::from("/var/lib/hypermesh"), |state| state.join("hypermesh"))
}

impl Config {
    /// Reads file and environment, puts the flags over them, checks everything.
    ///
    /// # Errors
    /// [`ConfigError`], which names key, value and origin.
    pub fn load(sources: ConfigSources) -> Result<Self, ConfigError> {
        let environment = |key: &str| {
            let name = format!("HYPERMESH_{}", key.to_uppercase().replace('.', "_"));
            std::env::var(&name).ok().filter(|v| !v.is_empty()).map(|value| (name, value))
        };
        Self::layered(sources, environment)
    }

    fn layered(
        sources: ConfigSources,
        environment: impl Fn(&str) -> Option<(String, String)>,
    ) -> Result<Self, ConfigError> {
        let data_dir = sources
            .data_dir
            .clone()
            .or_else(|| environment("data_dir").map(|(_, v)| PathBuf::from(v)))
            .unwrap_or_else(default_data_dir);
        let mut config = Self::defaults(data_dir);
        let named = sources.file.clone().or_else(|| environment("config").map(|(_, v)| PathBuf::from(v)));
        let file = named.or_else(|| Some(config.data_dir.join(FILE_NAME)).filter(|f| f.exists()));
        if let Some(path) = file {
            config.read_file(&path)?;
        }
        for key in keys() {
            if let Some((name, value)) = environment(key) {
                let origin = Origin::Environment(name);
                config.set(key, &text_value(key, value, &origin)?, origin)?;
            }
        }
        config.flags(sources)?;
        config.check()?;
        Ok(config)
    }

    fn defaults(data_dir: PathBuf) -> Self {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            data_dir,
            listen_trustchain: loopback(8444),
            listen_stoq: loopback(8445),
            listen_hypermesh: loopback(8446),
            listen_dns: loopback(8453),
            tls: false,
            allow_unenforced: false,
            cgroup_parent: None,
            orphans: Orphans::default(),
            grant_folders: Vec::new(),
            nvml_library: None,
            log_format: "text".into(),
            log_filter: "info".into(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            catalog: CatalogConfig::default(),
            trustchain: TrustChainConfig::default(),
            origins: BTreeMap::new(),
        }
    }

    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let table: toml::Table = toml::from_str(&text)
            .map_err(|source| ConfigError::Toml { path: path.to_owned(), source: Box::new(source) })?;
        for (key, value) in table.into_iter().flat_map(flat) {
            let origin = Origin::File(path.to_owned());
            let Some(known) = keys().find(|known| *known == key) else {
                let known = keys().collect::<Vec<_>>().join(", ");
                return Err(ConfigError::UnknownKey { key, origin, known });
            };
            self.set(known, &value, origin)?;
        }
        Ok(())
    }

    fn flags(&mut self, sources: ConfigSources) -> Result<(), ConfigError> {
        let text = |v: Option<String>| v.map(toml::Value::String);
        let address = |v: Option<SocketAddr>| text(v.map(|a| a.to_string()));
        let given = [
            ("data_dir", text(sources.data_dir.map(|d| d.to_string_lossy().into_owned()))),
            ("listen_trustchain", address(sources.listen_trustchain)),
            ("listen_stoq", address(sources.listen_stoq)),
            ("listen_hypermesh", address(sources.listen_hypermesh)),
            ("listen_dns", address(sources.listen_dns)),
            ("tls", sources.tls.map(toml::Value::Boolean)),
            ("trustchain.zone", text(sources.zone)),
            ("allow_unenforced", sources.allow_unenforced.map(toml::Value::Boolean)),
            ("cgroup_parent", text(sources.cgroup_parent)),
            ("log_format", text(sources.log_format)),
            ("log_filter", text(sources.log_filter)),
        ];
        for (key, value) in given {
            if let Some(value) = value {
                self.set(key, &value, Origin::Flag)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &'static str, value: &toml::Value, origin: Origin) -> Result<(), ConfigError> {
        let wrong = |expected| {
            let value = value.to_string();
            Err(ConfigError::Value { key, value, origin: origin.clone(), expected })
        };
        let text = value.as_str();
        let list = || {
            let items = value.as_array()?.iter();
            items.map(|v| v.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        match (key, text, value.as_bool()) {
            ("data_dir", Some(path), _) => self.data_dir = PathBuf::from(path),
            ("listen_trustchain" | "listen_stoq" | "listen_hypermesh" | "listen_dns", Some(address), _) => {
                let Ok(address) = address.parse() else { return wrong("an address such as 127.0.0.1:8446") };
                match key {
                    "listen_trustchain" => self.listen_trustchain = address,
                    "listen_stoq" => self.listen_stoq = address,
                    "listen_dns" => self.listen_dns = address,
                    _ => self.listen_hypermesh = address,
                }
            }
            ("tls", _, Some(tls)) => self.tls = tls,
            ("allow_unenforced", _, Some(allow)) => self.allow_unenforced = allow,
            ("cgroup_parent", Some(path), _) if path.starts_with('/') && !path.contains("..") => {
                self.cgroup_parent = Some(path.to_owned());
            }
            ("cgroup_parent", ..) => return wrong("an absolute cgroup path such as /hypermesh.slice"),
            ("orphans", Some("kill"), _) => self.orphans = Orphans::Kill,
            ("orphans", Some("freeze"), _) => self.orphans = Orphans::Freeze,
            ("orphans", Some("adopt"), _) => self.orphans = Orphans::Adopt,
            ("orphans", ..) => return wrong("`kill`, `freeze` or `adopt`"),
            ("grant_folders", ..) => match list() {
                Some(folders) if folders.iter().all(|folder| folder.starts_with('/')) => {
                    self.grant_folders = folders.into_iter().map(PathBuf::from).collect();
                }
                Some(_) | None => return wrong("a list of absolute paths"),
            },
            ("nvml_library", Some(path), _) if path.starts_with('/') => self.nvml_library = Some(path.into()),
            ("nvml_library", ..) => return wrong("the absolute path of a libnvidia-ml.so"),
            ("log_format", Some(format @ ("text" | "json")), _) => self.log_format = format.to_owned(),
            ("log_format", ..) => return wrong("`text` or `json`"),
            ("log_filter", Some(filter), _) => self.log_filter = filter.to_owned(),
            ("allowed_hosts" | "allowed_origins", ..) => match list() {
                Some(hosts) if key == "allowed_hosts" => self.allowed_hosts = hosts,
                Some(origins) => self.allowed_origins = origins,
                None => return wrong("a list of texts"),
            },
            ("allow_unenforced" | "tls", ..) => return wrong("true or false"),
            (key, ..) if key.starts_with(CATALOG) => {
                if let Err(expected) = self.catalog.set(key, value) {
                    return wrong(expected);
                }
            }
            (key, ..) if key.starts_with(TRUSTCHAIN) => {
                if let Err(expected) = self.trustchain.set(key, value) {
                    return wrong(expected);
                }
            }
            _ => return wrong("a text"),
        }
        self.origins.insert(key, origin);
        Ok(())
    }

    /// The addresses of the three services, with their keys.
    pub(crate) fn listeners(&self) -> [(&'static str, SocketAddr); 3] {
        [
            ("listen_trustchain", self.listen_trustchain),
            ("listen_stoq", self.listen_stoq),
            ("listen_hypermesh", self.listen_hypermesh),
        ]
    }

    /// Whether no other machine reaches the services.
    pub fn is_loopback(&self) -> bool {
        self.listeners().into_iter().all(|(_, address)| address.ip().is_loopback())
    }

    fn check(&self) -> Result<(), ConfigError> {
        match self.listeners().into_iter().find(|(_, address)| !address.ip().is_loopback()) {
            Some((key, address)) if !self.tls => Err(ConfigError::Public { key, address }),
            Some(_) | None => Ok(()),
        }
    }

    /// Every setting with its value and where it is from.
    pub fn explain(&self) -> Vec<Setting> {
        let value = |key: &str| match key {
            "data_dir" => self.data_dir.display().to_string(),
            "listen_trustchain" => self.listen_trustchain.to_string(),
            "listen_stoq" => self.listen_stoq.to_string(),
            "listen_hypermesh" => self.listen_hypermesh.to_string(),
            "listen_dns" => self.listen_dns.to_string(),
            "tls" => self.tls.to_string(),
            "allow_unenforced" => self.allow_unenforced.to_string(),
            "cgroup_parent" => self.cgroup_parent.clone().unwrap_or_else(|| "(the node's own group)".into()),
            "orphans" => self.orphans.name().into(),
            "grant_folders" => {
                let folders: Vec<_> =
                    self.grant_folders.iter().map(|folder| folder.to_string_lossy()).collect();
                folders.join(", ")
            }
            "nvml_library" => {
                let path = self.nvml_library.as_ref().map(|path| path.display().to_string());
                path.unwrap_or_else(|| "(found by the dynamic linker)".into())
            }
            "log_format" => self.log_format.clone(),
            "log_filter" => self.log_filter.clone(),
            "allowed_hosts" => self.allowed_hosts.join(", "),
            key if key.starts_with(CATALOG) => self.catalog.shown(key),
            key if key.starts_with(TRUSTCHAIN) => self.trustchain.shown(key),
            _ => self.allowed_origins.join(", "),
        };
        keys()
            .map(|key| Setting {
                key,
                value: value(key),
                origin: self.origins.get(key).cloned().unwrap_or(Origin::Default),
            })
            .collect()
    }
}

/// The keys of a table with the table's name before them.
fn flat((key, value): (String, toml::Value)) -> Vec<(String, toml::Value)> {
    match value.as_table() {
        Some(table) if key == CATALOG || key == TRUSTCHAIN => {
            table.iter().map(|(inner, value)| (format!("{key}.{inner}"), value.clone())).collect()
        }
        _ => vec![(key, value)],
    }
}

/// Settings that are lists of texts.
const TEXTS: [&str; 3] = ["allowed_hosts", "allowed_origins", "grant_folders"];

/// A value from the environment: a flag reads as one, a list is separated by commas.
fn text_value(key: &str, value: String, origin: &Origin) -> Result<toml::Value, ConfigError> {
    Ok(match key {
        "allow_unenforced" | "tls" => value.parse().map_or(toml::Value::String(value), toml::Value::Boolean),
        key if TEXTS.contains(&key) || trustchain::LISTS.contains(&key) => {
            toml::Value::Array(value.split(',').map(|v| toml::Value::String(v.trim().to_owned())).collect())
        }
        key if key.starts_with(CATALOG) => catalog::text_value(key, &value, origin)?,
        key if key.starts_with(TRUSTCHAIN) => trustchain::text_value(key, &value),
        _ => toml::Value::String(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, environment: &[(&str, &str)], sources: ConfigSources) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), file).unwrap();
        let sources = ConfigSources { data_dir: Some(folder.path().to_owned()), ..sources };
        Config::layered(sources, |key| {
            let found = environment.iter().find(|(k, _)| *k == key)?;
            Some((found.0.to_owned(), found.1.to_owned()))
        })
    }

    #[test]
    fn flags_win_over_environment_over_file_over_default() {
        let file = "log_filter = 'a'\nlog_format = 'json'\nlisten_stoq = '127.0.0.1:1'";
        let environment = [("log_filter", "b"), ("listen_stoq", "127.0.0.1:2")];
        let flags = ConfigSources { listen_stoq: "127.0.0.1:3".parse().ok(), ..ConfigSources::default() };
        let config = load(file, &environment, flags).unwrap();
        assert_eq!((config.log_format.as_str(), config.log_filter.as_str()), ("json", "b"));
        assert_eq!(config.listen_stoq.port(), 3);
        let origin = |key| config.explain().into_iter().find(|s| s.key == key).unwrap().origin;
        assert_eq!(origin("listen_stoq"), Origin::Flag);
        assert_eq!(origin("log_filter"), Origin::Environment("log_filter".into()));
        assert_eq!(origin("listen_hypermesh"), Origin::Default);
        assert!(matches!(origin("log_format"), Origin::File(_)));
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_errors_that_name_them() {
        let error = load("listen = 'x'", &[], ConfigSources::default()).unwrap_err();
        assert!(error.to_string().contains("`listen` is not a setting"), "{error}");
        for wrong in
            ["log_format = 'xml'", "allow_unenforced = 'maybe'", "listen_stoq = 'here'", "data_dir = 3"]
        {
            let error = load(wrong, &[], ConfigSources::default()).unwrap_err();
            assert!(error.to_string().contains(wrong.split(' ').next().unwrap()), "{error}");
        }
    }

    #[test]
    fn the_catalog_has_a_table_of_its_own() {
        let file = "[catalog]\nmax_packages = 7\nmax_bytes = '1GiB'";
        let environment = [("catalog.max_packages", "9")];
        let config = load(file, &environment, ConfigSources::default()).unwrap();
        assert_eq!((config.catalog.max_packages, config.catalog.max_bytes.0), (9, 1 << 30));
        for (wrong, said) in [
            ("[catalog]\nmax = 1", "`catalog.max` is not a setting"),
            ("[catalog]\nmax_packages = -1", "catalog.max_packages"),
            ("[catalog]\nmax_bytes = 5", "a size such as 8GiB"),
            ("catalog = 1", "`catalog` is not a setting"),
            ("[catalog]\nsignatures = 'maybe'", "`off`, `verify` or `require`"),
            ("[catalog]\ntrust = [{ prefix = 'a', key = 'b' }]", "catalog.trust"),
            ("[catalog]\ncredentials = 'relative'", "an absolute path"),
        ] {
            let error = load(wrong, &[], ConfigSources::default()).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn keys_are_read_at_start_and_one_that_is_none_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.pub");
        fs::write(&path, "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n").unwrap();
        let file = format!(
            "[catalog]\nsignatures = 'require'\n[[catalog.trust]]\nprefix = 'acme-'\nkeys = ['{}']",
            path.display()
        );
        let trust = |file: &str| {
            let config = load(file, &[], ConfigSources::default()).unwrap();
            config.catalog.settings().map(|settings| settings.trust)
        };
        assert_eq!(trust(&file).unwrap().keys_for("acme-x", None).len(), 1);
        let value = format!("[{{ keys = ['{}'] }}]", path.display());
        let from_environment = load("", &[("catalog.trust", &value)], ConfigSources::default()).unwrap();
        assert_eq!(from_environment.catalog.trust[0].keys, std::slice::from_ref(&path));
        fs::write(&path, "no key").unwrap();
        assert!(matches!(trust(&file), Err(ConfigError::Key { .. })));
    }

    #[test]
    fn an_address_that_is_not_loopback_is_refused() {
        let flags =
            ConfigSources { listen_hypermesh: "0.0.0.0:8446".parse().ok(), ..ConfigSources::default() };
        assert!(matches!(load("", &[], flags.clone()), Err(ConfigError::Public { .. })));
        let secured = load("", &[], ConfigSources { tls: Some(true), ..flags }).unwrap();
        assert!(secured.tls && !secured.is_loopback());
        let file = "[trustchain]\nzone = 'mesh.example'\nallowed_names = ['lab.example']";
        let config = load(file, &[("trustchain.acme_http_port", "5002")], ConfigSources::default()).unwrap();
        assert_eq!(
            (config.trustchain.zone.as_str(), config.trustchain.acme_http_port),
            ("mesh.example", 5002)
        );
    }
}
