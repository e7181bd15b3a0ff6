//! What can go wrong between the node and its zygote.

use std::io;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// A zygote or worker that could not do what was asked.
#[derive(Debug, Error)]
pub enum ZygoteError {
    /// The kernel refused to start it.
    #[error("cannot start {}", exe.display())]
    Start {
        /// The program.
        exe: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// It started and ended, or said why it can't work.
    #[error("the zygote did not get ready: {reason}")]
    NotReady {
        /// Its own words, or how it ended.
        reason: String,
    },
    /// It said nothing.
    #[error("the zygote said nothing for {waited:?}")]
    Silent {
        /// How long was waited.
        waited: Duration,
    },
    /// There is no zygote any more.
    #[error("the zygote has ended")]
    Ended,
    /// It could not fork or prepare a worker.
    #[error("cannot park a worker: {reason}")]
    Park {
        /// The kernel's words.
        reason: String,
    },
    /// It could not map users.
    #[error("cannot map a user: {reason}")]
    Map {
        /// The kernel's words.
        reason: String,
    },
    /// More descriptors than a message can carry, or an order that speaks of one that is not there.
    #[error("an order with {fds} descriptors, of which it names number {named}")]
    BadOrder {
        /// How many were given.
        fds: usize,
        /// The highest index in the order.
        named: usize,
    },
    /// A job over [`crate::zygote::MAX_JOB_BYTES`].
    #[error("a job of {bytes} bytes is too long")]
    JobTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A socket or file of memory failed.
    #[error("cannot {what}")]
    Io {
        /// The verb and its object.
        what: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl ZygoteError {
    /// For `map_err`.
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
