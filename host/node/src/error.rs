//! Why a node could not start or run.

use crate::config::ConfigError;
use hypermesh_api::TlsError;
use hypermesh_mesh::MeshError;
use hypermesh_store::StoreError;
use hypermesh_trustchain::TrustError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use thiserror::Error;

/// See the module head.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum NodeError {
    #[error("the configuration is wrong")]
    Config(#[source] ConfigError),
    #[error("cannot {doing} {}", path.display())]
    Folder {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot open the node's store")]
    Store(#[source] StoreError),
    #[error("cannot start the node")]
    Mesh(#[source] MeshError),
    #[error(
        "cannot listen on {address} for {service}; choose another address with --listen-{service} (port 0: any free one)"
    )]
    Listen {
        service: &'static str,
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("cannot start TrustChain")]
    TrustChain(#[source] TrustError),
    #[error("cannot speak TLS")]
    Tls(#[source] TlsError),
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
    #[error("cannot set up logging")]
    Logging(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl NodeError {
    /// Whether the operator's configuration is at fault (exit code 64).
    pub fn is_configuration(&self) -> bool {
        match self {
            // Of logging only the filter can be wrong.
            Self::Config(_) | Self::Logging(_) => true,
            Self::Folder { .. }
            | Self::Store(_)
            | Self::Mesh(_)
            | Self::TrustChain(_)
            | Self::Tls(_)
            | Self::Listen { .. }
            | Self::Signals(_) => false,
        }
    }
}
