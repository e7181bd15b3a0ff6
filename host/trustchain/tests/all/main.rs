//! The domain through real folders: a start, a restart, kills, lists that OpenSSL reads, a zone that is asked.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "test code")]

mod crash;
mod dns;
mod issuing;
mod measure;
mod openssl;
mod revoking;
mod rollover;
mod rotating;
mod start;

use hypermesh_model::{CertificateProfile, NodeId};
use hypermesh_store::Store;
use hypermesh_trustchain::{
    AcmeSettings, DnsSettings, IssueRequest, KeyKind, KeySource, NamePolicy, Settings, TrustChain,
};
use std::path::Path;
use std::time::Duration;

/// The zone of every test.
pub(crate) const ZONE: &str = "mesh.test";

pub(crate) fn settings(folder: &Path) -> Settings {
    Settings {
        data_dir: folder.to_path_buf(),
        zone: ZONE.to_owned(),
        trust_domain: ZONE.to_owned(),
        node_id: NodeId::parse("node-7").unwrap(),
        node_name: "n7".to_owned(),
        addresses: vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
        base_url: "http://127.0.0.1:8444".to_owned(),
        issuer_url: "http://127.0.0.1:8444".to_owned(),
        passphrase_file: None,
        names: NamePolicy::default(),
        log_window: Duration::from_millis(2),
        dns: DnsSettings {
            addresses: vec!["127.0.0.1:0".parse().unwrap()],
            forwarder: None,
            keys: Vec::new(),
            rate_limit: None,
        },
        acme: AcmeSettings {
            require_eab: false,
            eab_keys: Vec::new(),
            allow_loopback: true,
            http_port: 5002,
            tls_port: 5001,
            resolver: None,
        },
        distribute_for: Duration::from_secs(24 * 3600),
    }
}

pub(crate) async fn open(folder: &Path) -> TrustChain {
    open_with(settings(folder)).await
}

pub(crate) async fn open_with(settings: Settings) -> TrustChain {
    let store = Store::open(&settings.data_dir.join("node.sqlite")).unwrap();
    TrustChain::open(settings, store).await.unwrap()
}

/// A server's certificate with a key that is made here.
pub(crate) fn server(name: &str) -> IssueRequest {
    IssueRequest {
        subject: None,
        names: vec![name.to_owned()],
        profile: CertificateProfile::Server,
        validity_seconds: None,
        key: KeySource::Generate(KeyKind::P256),
        by: "test".to_owned(),
    }
}
