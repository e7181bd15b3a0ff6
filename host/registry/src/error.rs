//! What can go wrong between this node and a registry.

use crate::artifact::ArtifactError;
use crate::reference::InvalidReference;
use hypermesh_model::BlobDigest;
use std::error::Error as StdError;
use std::io;
use thiserror::Error;

/// Why a pull or push failed. No variant holds a credential.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum RegistryError {
    #[error(transparent)]
    Reference(InvalidReference),
    #[error("this node may not use the registry `{registry}`; it may use {allowed}")]
    NotAllowed { registry: String, allowed: String },
    #[error("plain HTTP to `{host}` is not allowed; it is to this machine only, or by `catalog.plain_http`")]
    PlainHttp { host: String },
    #[error("no answer from `{host}`")]
    Unreachable {
        host: String,
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    #[error("`{registry}` wants other credentials for it")]
    Unauthorized { registry: String },
    #[error("`{registry}` has no {what}")]
    NotFound { registry: String, what: String },
    #[error("`{registry}` refused {what} with status {status}: {said}")]
    Refused { registry: String, what: String, status: u16, said: String },
    #[error("`{registry}` does not keep to the distribution protocol: {what}")]
    Protocol { registry: String, what: &'static str },
    #[error("{what} is longer than {limit} bytes")]
    TooLarge { what: &'static str, limit: u64 },
    #[error("{what} is not what it was asked for: sha256:{found} in place of sha256:{wanted}")]
    Content { what: &'static str, wanted: BlobDigest, found: BlobDigest },
    #[error("it is no component's artifact")]
    Artifact(#[source] ArtifactError),
    #[error("it took longer than {seconds} s")]
    Deadline { seconds: u64 },
    #[error("{what}")]
    Local {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the credentials file is not one of docker's")]
    CredentialsFile(#[source] Box<dyn StdError + Send + Sync>),
    #[error("no certificate authority can be read")]
    Certificates(#[source] Box<dyn StdError + Send + Sync>),
}
