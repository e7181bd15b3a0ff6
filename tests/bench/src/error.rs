//! Why a row could not be measured.

use hypermesh_client::ClientError;
use std::io;
use thiserror::Error as ThisError;

/// Why a row could not be measured.
#[derive(Debug, ThisError)]
pub(crate) enum BenchError {
    /// The node refused or couldn't be reached.
    #[error("the node, {doing}")]
    Node {
        /// What was asked of it.
        doing: &'static str,
        /// What it said.
        #[source]
        source: Box<ClientError>,
    },
    /// A file or a process of a baseline.
    #[error("{doing}")]
    Io {
        /// What was done.
        doing: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something answered other than it must for the number to mean anything.
    #[error("{0}")]
    Unexpected(String),
}

impl BenchError {
    /// Names what was asked of the node.
    pub(crate) fn node(doing: &'static str) -> impl FnOnce(ClientError) -> Self {
        move |source| Self::Node { doing, source: Box::new(source) }
    }

    /// Names what was done with a file or a process.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing: doing.into(), source }
    }
}
