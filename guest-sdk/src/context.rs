//! What a running job can reach: log, progress, granted inputs, outputs.
//!
//! A trait, so that the same logic runs against the host's bindings in a guest and against memory in a test. Files are
//! `std::io` streams, because that is what every Rust library takes. Each read and write is a call to the host: wrap
//! them in `BufReader` and `BufWriter` where pieces are small.
//!
//! Fails by [`BlobError`]; inside a stream it is the source of a `std::io::Error`.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use thiserror::Error;

/// The most that one call to the host carries in either direction, in bytes. The host copies no more at once.
pub const MAX_CHUNK: usize = 1 << 20;

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

    /// Logs at [`Level::Info`].
    fn info(&mut self, message: &str) {
        self.log(Level::Info, message);
    }

    /// Logs at [`Level::Warn`].
    fn warn(&mut self, message: &str) {
        self.log(Level::Warn, message);
    }
}

/// Where an [`Input`] gets its bytes. For those who write a [`Context`].
pub trait ReadAt {
    /// Up to `length` bytes from `offset`; empty at the end and beyond.
    ///
    /// # Errors
    /// [`BlobError::Io`] when the bytes cannot be read.
    fn read_at(&mut self, offset: u64, length: u32) -> Result<Vec<u8>, BlobError>;
}

/// An open input: a stream with a known length that can seek.
pub struct Input {
    source: Box<dyn ReadAt>,
    size: u64,
    position: u64,
}

impl Input {
    /// An input of `size` bytes, at its start.
    pub fn new(source: Box<dyn ReadAt>, size: u64) -> Self {
        Self { source, size, position: 0 }
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("size", &self.size)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(MAX_CHUNK);
        let bytes = self.source.read_at(self.position, u32::try_from(wanted).unwrap_or(u32::MAX))?;
        // A source that gives more than was asked would otherwise lose bytes.
        let taken = bytes.len().min(wanted);
        buffer[..taken].copy_from_slice(&bytes[..taken]);
        self.position += taken as u64;
        Ok(taken)
    }
}

impl Seek for Input {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let position = match target {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "seek before the start of the input")
        })?;
        Ok(self.position)
    }
}

/// An output being written. Dropping it closes it.
pub struct Output {
    sink: Box<dyn Write>,
}

impl Output {
    /// An output that appends to `sink`, which is never given more than [`MAX_CHUNK`] bytes at once.
    pub fn new(sink: Box<dyn Write>) -> Self {
        Self { sink }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").finish_non_exhaustive()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink.write(&bytes[..bytes.len().min(MAX_CHUNK)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
