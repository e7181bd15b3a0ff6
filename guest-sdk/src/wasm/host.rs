//! The context that calls the host.

use super::job::hypermesh::guest::{blobs, logging, progress};
use crate::{Blob, BlobError, Context, Input, Level, Output, ReadAt};
use std::io::{self, Write};

/// Every method is one call to the host.
pub(super) struct HostContext;

impl Context for HostContext {
    fn log(&mut self, level: Level, message: &str) {
        let level = match level {
            Level::Trace => logging::Level::Trace,
            Level::Debug => logging::Level::Debug,
            Level::Info => logging::Level::Info,
            Level::Warn => logging::Level::Warn,
            Level::Error => logging::Level::Error,
        };
        logging::log(level, message);
    }

    fn progress(&mut self, done: u64, total: Option<u64>, note: &str) {
        progress::report(done, total, note);
    }

    fn inputs(&mut self) -> Vec<Blob> {
        blobs::inputs().into_iter().map(|blob| Blob { name: blob.name, size: blob.size }).collect()
    }

    fn open(&mut self, name: &str) -> Result<Input, BlobError> {
        let input = blobs::open(name)?;
        let size = input.size();
        Ok(Input::new(Box::new(HostInput(input)), size))
    }

    fn create(&mut self, name: &str) -> Result<Output, BlobError> {
        Ok(Output::new(Box::new(HostOutput(blobs::create(name)?))))
    }
}

impl From<blobs::BlobError> for BlobError {
    fn from(error: blobs::BlobError) -> Self {
        match error {
            blobs::BlobError::NotFound(name) => Self::NotFound(name),
            blobs::BlobError::AlreadyExists(name) => Self::AlreadyExists(name),
            blobs::BlobError::InvalidName(reason) => Self::InvalidName(reason),
            blobs::BlobError::TooMany(limit) => Self::TooMany(limit),
            blobs::BlobError::Io(reason) => Self::Io(reason),
        }
    }
}

struct HostInput(blobs::Input);

impl ReadAt for HostInput {
    fn read_at(&mut self, offset: u64, length: u32) -> Result<Vec<u8>, BlobError> {
        Ok(self.0.read(offset, length)?)
    }
}

struct HostOutput(blobs::Output);

impl Write for HostOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(BlobError::from)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
