//! What every command shares: how to print, and which node to talk to with which token.
//!
//! A node that runs on the data folder leaves `endpoints.json` there, so that no address has to be typed, and `token`,
//! readable by its owner. The token of the file goes to loopback addresses only: it is this machine's. `root.pem` says
//! whom to trust where the node speaks TLS.

use crate::cli::Global;
use crate::failure::Failure;
use crate::output::{Output, Style};
use anyhow::Context as _;
use clap::ColorChoice;
use hypermesh_client::{Client, Trust};
use serde::Deserialize;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Where a node listens if nothing else is said.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8446";
/// Holds the addresses of a running node.
const ENDPOINTS_FILE: &str = "endpoints.json";
/// Holds the root certificate.
const ROOT_FILE: &str = "root.pem";
/// Holds the bearer token.
const TOKEN_FILE: &str = "token";

/// What every command shares.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) output: Output,
    /// The folder as given; `None` where it wasn't.
    pub(crate) given_data_dir: Option<PathBuf>,
    /// How talk on stderr is painted.
    pub(crate) talk: Style,
    server: Option<String>,
    ca: Option<PathBuf>,
    /// A client certificate and its key.
    identity: Option<(PathBuf, PathBuf)>,
    /// Whether the node was started for this command: then the environment's token is another's.
    is_private: bool,
}

/// What a running node says of itself.
#[derive(Deserialize)]
struct Endpoints {
    hypermesh: String,
    #[serde(default)]
    trustchain: Option<String>,
}

/// Which of a node's services is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// Port 8446.
    HyperMesh,
    /// Port 8444.
    TrustChain,
}

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        let color: ColorChoice = global.color;
        Self {
            output: Output { format: global.output, style: Style::of_stdout(color) },
            given_data_dir: global.data_dir,
            talk: Style::of_stderr(color),
            server: global.server,
            ca: global.ca,
            identity: global.client_cert.zip(global.client_key),
            is_private: false,
        }
    }

    /// The same for a node that this command started, on `data_dir`.
    pub(crate) fn for_node(&self, data_dir: PathBuf, server: &str) -> Self {
        let server = Some(server.to_owned());
        Self { given_data_dir: Some(data_dir), server, is_private: true, ..self.clone() }
    }

    /// A client of the node that is meant.
    ///
    /// # Errors
    /// [`Failure::Configuration`] for files of the data folder that can't be read or understood.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        self.client_of(Service::HyperMesh)
    }

    /// The same of one of its services. `--server` names the node's HyperMesh service; TrustChain's is told by the node
    /// that runs on the data folder, and else has its port two below.
    ///
    /// # Errors
    /// As [`Self::client`].
    pub(crate) fn client_of(&self, service: Service) -> anyhow::Result<Client> {
        let data_dir = self.data_dir();
        let server = self.server_of(service)?;
        let token = match std::env::var("HYPERMESH_TOKEN") {
            Ok(token) if !token.is_empty() && !self.is_private => Some(token),
            // Who shows a certificate means to be its holder.
            _ if self.identity.is_some() => None,
            _ if is_loopback(&server) => recorded_token(&data_dir)?,
            _ => None,
        };
        let mut trust = match &self.ca {
            Some(file) => Some(Trust { roots: needed(file)?, identity: None }),
            None => recorded_trust(&data_dir)?,
        };
        if let (Some(trust), Some((chain, key))) = (&mut trust, &self.identity) {
            trust.identity = Some((needed(chain)?, needed(key)?));
        }
        Ok(Client::trusting(&server, token, trust.as_ref())?)
    }

    /// The folder of the node that is meant.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.given_data_dir.clone().unwrap_or_else(hypermesh_node::default_data_dir)
    }

    /// Where a service of the node is.
    pub(crate) fn server_of(&self, service: Service) -> anyhow::Result<String> {
        let recorded = recorded(&self.data_dir())?;
        let server = match &self.server {
            Some(server) => server.clone(),
            None => match (service, recorded.as_ref()) {
                (Service::TrustChain, Some(Endpoints { trustchain: Some(url), .. })) => {
                    return Ok(url.clone());
                }
                (_, Some(endpoints)) => endpoints.hypermesh.clone(),
                (_, None) => DEFAULT_SERVER.to_owned(),
            },
        };
        Ok(match (service, recorded) {
            (Service::HyperMesh, _) => server,
            // The node on the data folder, named by its address.
            (Service::TrustChain, Some(Endpoints { hypermesh, trustchain: Some(url), .. }))
                if hypermesh == server =>
            {
                url
            }
            (Service::TrustChain, _) => beside(&server),
        })
    }
}

/// A file that was named.
fn needed(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file)
        .with_context(|| Failure::Configuration(format!("could not read {}", file.display())))
}

/// TrustChain's address where only HyperMesh's is known: the contract's ports are 8444 and 8446.
fn beside(server: &str) -> String {
    match server.strip_suffix(":8446") {
        Some(rest) => format!("{rest}:8444"),
        None => server.to_owned(),
    }
}

/// Whom a node's clients trust, as the node on `data_dir` wrote it; `None` where there was none.
pub(crate) fn recorded_trust(data_dir: &Path) -> anyhow::Result<Option<Trust>> {
    Ok(read(&data_dir.join(ROOT_FILE))?.map(|roots| Trust { roots, identity: None }))
}

/// The file that holds the token of a node on `data_dir`.
pub(crate) fn token_file(data_dir: &Path) -> PathBuf {
    data_dir.join(TOKEN_FILE)
}

/// The token of a node on `data_dir`; `None` where it has made none, or for another user than its owner.
pub(crate) fn recorded_token(data_dir: &Path) -> anyhow::Result<Option<String>> {
    Ok(read(&token_file(data_dir))?.map(|text| text.trim().to_owned()).filter(|token| !token.is_empty()))
}

fn recorded(data_dir: &Path) -> anyhow::Result<Option<Endpoints>> {
    let file = data_dir.join(ENDPOINTS_FILE);
    let Some(text) = read(&file)? else { return Ok(None) };
    let endpoints = serde_json::from_str(&text)
        .context(Failure::Configuration(format!("{} is not what a node writes", file.display())))?;
    Ok(Some(endpoints))
}

fn read(file: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        // Without permission one may still read the API: a write is then refused by the node, with the reason.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            Ok(None)
        }
        Err(error) => {
            Err(error).context(Failure::Configuration(format!("could not read {}", file.display())))
        }
    }
}

fn is_loopback(server: &str) -> bool {
    let rest = server.strip_prefix("http://").or_else(|| server.strip_prefix("https://"));
    let authority = rest.unwrap_or(server).split('/').next().unwrap_or("");
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    };
    // With user information before the host, what looks like the host isn't it.
    let plain = !authority.contains('@');
    plain && (host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::exit_code;

    #[test]
    fn the_token_of_this_machine_stays_on_it() {
        for server in
            ["http://127.0.0.1:8446", "http://localhost:1/", "https://[::1]:8446", "http://127.9.9.9"]
        {
            assert!(is_loopback(server), "{server}");
        }
        for server in [
            "http://10.0.0.1:8446",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1@evil:80",
            "http://127.0.0.1:1@evil:80",
            "",
        ] {
            assert!(!is_loopback(server), "{server}");
        }
    }

    #[test]
    fn trustchain_is_two_ports_below() {
        assert_eq!(beside("https://node.lan:8446"), "https://node.lan:8444");
        assert_eq!(beside("http://127.0.0.1:9"), "http://127.0.0.1:9");
    }

    #[test]
    fn a_node_s_files_are_found_and_a_broken_one_is_bad_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let recorded_server =
            |folder: &Path| recorded(folder).map(|endpoints| endpoints.map(|known| known.hypermesh));
        assert_eq!(recorded_server(folder.path()).unwrap(), None);
        assert_eq!(recorded_token(folder.path()).unwrap(), None);
        std::fs::write(folder.path().join("token"), "abc\n").unwrap();
        assert_eq!(recorded_token(folder.path()).unwrap().as_deref(), Some("abc"));
        let endpoints = folder.path().join("endpoints.json");
        std::fs::write(&endpoints, r#"{"trustchain":"a","stoq":"b","hypermesh":"http://127.0.0.1:9"}"#)
            .unwrap();
        assert_eq!(recorded_server(folder.path()).unwrap().as_deref(), Some("http://127.0.0.1:9"));
        std::fs::write(&endpoints, "{").unwrap();
        assert_eq!(exit_code(&recorded_server(folder.path()).unwrap_err()), 64);
    }
}
