//! What a person should know of TrustChain's keys, of TLS and of the DNS server before relying on them.

use super::{Finding, Level, finding};
use crate::config::Config;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where the private keys are, below the data folder.
const KEYS: &str = "trustchain/keys";
/// A passphrase that the node made.
const PASSPHRASE: &str = "passphrase";

/// Looks, and changes nothing.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    vec![keys(config), root_key(config), tls(config), dns(config)]
}

/// Whether anybody else could read a file.
fn is_open(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

/// How the private keys are protected.
fn keys(config: &Config) -> Finding {
    let folder = config.data_dir.join(KEYS);
    let own = &config.trustchain;
    let files = [&own.passphrase_file, &own.tsig_file, &own.acme_accounts_file];
    let secret: Vec<PathBuf> = files.into_iter().flatten().cloned().chain(names(&folder)).collect();
    if let Some(path) = secret.iter().find(|path| is_open(path)) {
        let detail = format!("others can read {}; take their rights with chmod 600", path.display());
        return finding("trust keys", Level::Fail, detail);
    }
    match &own.passphrase_file {
        Some(file) if !file.exists() => {
            finding("trust keys", Level::Fail, format!("there is no passphrase in {}", file.display()))
        }
        Some(file) => {
            let detail = format!("encrypted, with the passphrase in {}", file.display());
            finding("trust keys", Level::Ok, detail)
        }
        None if folder.join(PASSPHRASE).exists() => finding(
            "trust keys",
            Level::Warn,
            format!(
                "encrypted, with a passphrase that was made beside them: whoever copies {} has both; \
                 trustchain.passphrase_file keeps it elsewhere",
                folder.display()
            ),
        ),
        None => finding("trust keys", Level::Ok, "none yet; the first start makes them"),
    }
}

/// The files of a folder; none where it can't be read.
fn names(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Where the root's key is: it signs once a year, and had best be elsewhere in between.
fn root_key(config: &Config) -> Finding {
    let folder = config.data_dir.join(KEYS);
    let root = names(&folder).into_iter().find(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("root"))
    });
    match root {
        Some(path) => finding(
            "root key",
            Level::Warn,
            format!(
                "{} is on this machine; it is needed for a new intermediate only, so move it to a safe place",
                path.display()
            ),
        ),
        None if folder.exists() => finding("root key", Level::Ok, "not on this machine"),
        None => finding("root key", Level::Ok, "none yet; the first start makes it"),
    }
}

/// Who reaches the services, and how.
fn tls(config: &Config) -> Finding {
    let detail = match (config.tls, config.is_loopback()) {
        (true, true) => "TLS 1.3 on loopback",
        (true, false) => "TLS 1.3; other machines reach it, and need a token or a client certificate",
        (false, _) => "plain HTTP on loopback; --tls encrypts it",
    };
    finding("tls", Level::Ok, detail)
}

/// Whether the DNS server can have its port. A node that runs already has it.
fn dns(config: &Config) -> Finding {
    let address = config.listen_dns;
    if config.data_dir.join("endpoints.json").exists() {
        return finding("dns", Level::Ok, format!("{}, zone {}", address, config.trustchain.zone));
    }
    match UdpSocket::bind(address) {
        Ok(_) => finding("dns", Level::Ok, format!("{} is free, zone {}", address, config.trustchain.zone)),
        Err(error) => {
            finding("dns", Level::Fail, format!("{address}: {error}; choose another with --listen-dns"))
        }
    }
}
