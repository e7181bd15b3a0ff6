//! What a running job can reach: log, progress, granted inputs, outputs.
//!
//! A trait, so that the same logic runs against the host's bindings in a guest and against memory in a test. What files
//! are is in `stream.rs`.
//!
//! Fails by [`BlobError`]; inside a stream it is the source of a `std::io::Error`.

use crate::{Input, Output};
use std::io;
use thiserror::Error;

/// How much a log line matters, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every step.
    Trace,
    /// For whoever debugs the guest.
    Debug,
    /// For everybody.
    Info,
    /// Something is off, and the job goes on.
    Warn,
    /// Something failed.
    Error,
}

/// An input that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The name that it was granted under.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
}

/// Why a file could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BlobError {
    /// No input was granted under this name.
    #[error("no input named `{0}` was granted")]
    NotFound(String),
    /// An output of this name was created before.
    #[error("there is already an output named `{0}`")]
    AlreadyExists(String),
    /// Not a name for an output.
    #[error("not a name for an output: {0}")]
    InvalidName(String),
    /// No more files at once.
    #[error("no more than {0} files at once")]
    TooMany(u32),
    /// The host could not read or write.
    #[error("the host could not read or write: {0}")]
    Io(String),
}

impl From<BlobError> for io::Error {
    fn from(error: BlobError) -> Self {
        let kind = match error {
            BlobError::NotFound(_) => io::ErrorKind::NotFound,
            BlobError::AlreadyExists(_) => io::ErrorKind::AlreadyExists,
            BlobError::InvalidName(_) => io::ErrorKind::InvalidInput,
            BlobError::TooMany(_) | BlobError::Io(_) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// What a running job can reach. The host gives one to [`Job::run`](crate::Job::run); tests use
/// [`MemoryContext`](crate::testing::MemoryContext).
pub trait Context {
    /// Writes a message to the execution's log. Lines over the host's limit are dropped there and counted.
    fn log(&mut self, level: Level, message: &str);

    /// Says that `done` of `total` units are done. Call it often; the host thins the reports out.
    fn progress(&mut self, done: u64, total: Option<u64>, note: &str);

    /// The inputs that were granted, in the order of the request.
    fn inputs(&mut self) -> Vec<Blob>;

    /// Opens a granted input.
    ///
    /// # Errors
    /// [`BlobError::NotFound`] unless it was granted; [`BlobError::TooMany`] with too many files open.
    fn open(&mut self, name: &str) -> Result<Input, BlobError>;

    /// Creates an output. `name` is one path component of 1 to 128 bytes without a leading dot.
    ///
    /// # Errors
    /// [`BlobError::InvalidName`], [`BlobError::AlreadyExists`], [`BlobError::TooMany`].
    fn create(&mut self, name: &str) -> Result<Output, BlobError>;

    /// Logs at [`Level::Trace`]; the macro [`trace!`](crate::trace) formats.
    fn trace(&mut self, message: &str) {
        self.log(Level::Trace, message);
    }

    /// Logs at [`Level::Debug`]; the macro [`debug!`](crate::debug) formats.
    fn debug(&mut self, message: &str) {
        self.log(Level::Debug, message);
    }

    /// Logs at [`Level::Info`]; the macro [`info!`](crate::info) formats.
    fn info(&mut self, message: &str) {
        self.log(Level::Info, message);
    }

    /// Logs at [`Level::Warn`]; the macro [`warn!`](crate::warn) formats.
    fn warn(&mut self, message: &str) {
        self.log(Level::Warn, message);
    }

    /// Logs at [`Level::Error`]; the macro [`error!`](crate::error) formats.
    fn error(&mut self, message: &str) {
        self.log(Level::Error, message);
    }
}
