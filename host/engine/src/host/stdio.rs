//! The guest's standard output and error: lines of its log, or bytes into a descriptor.

use super::{Outbox, OutputMeter};
use bytes::Bytes;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// What a guest may write at once: as wasmtime-wasi's own streams allow.
const PERMIT_BYTES: usize = 64 << 10;

/// One of the two streams, as lines.
#[derive(Clone)]
pub(super) struct LogStream {
    name: &'static str,
    outbox: Outbox,
}

impl LogStream {
    pub(super) fn new(name: &'static str, outbox: &Outbox) -> Self {
        Self { name, outbox: outbox.clone() }
    }
}

/// Standard output, as bytes into a descriptor. A write blocks until it is done: a slow reader slows the guest down.
#[derive(Clone)]
pub(super) struct RawStream {
    file: Arc<File>,
    meter: OutputMeter,
    outbox: Outbox,
}

impl RawStream {
    pub(super) fn new(descriptor: OwnedFd, meter: OutputMeter, outbox: &Outbox) -> io::Result<Self> {
        let flags = fcntl_getfl(&descriptor)?;
        if flags.contains(OFlags::NONBLOCK) {
            fcntl_setfl(&descriptor, flags - OFlags::NONBLOCK)?;
        }
        Ok(Self { file: Arc::new(descriptor.into()), meter, outbox: outbox.clone() })
    }

    /// Writes what fits below the limit; what doesn't ends the guest.
    fn write_bytes(&self, bytes: &[u8]) -> StreamResult<()> {
        let fits = self.meter.count_what_fits(bytes.len());
        (&*self.file).write_all(&bytes[..fits]).map_err(|error| {
            // Its reader has gone: the guest sees what a program sees at a broken pipe.
            if error.kind() == io::ErrorKind::BrokenPipe {
                StreamError::Closed
            } else {
                StreamError::LastOperationFailed(error.into())
            }
        })?;
        if fits < bytes.len() { Err(StreamError::Trap(self.meter.reached().into())) } else { Ok(()) }
    }
}

macro_rules! output_stream {
    ($stream:ident, |$self:ident, $bytes:ident| $write:expr) => {
        impl IsTerminal for $stream {
            fn is_terminal(&self) -> bool {
                false
            }
        }

        impl StdoutStream for $stream {
            fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
                Box::new(self.clone())
            }

            fn p2_stream(&self) -> Box<dyn OutputStream> {
                Box::new(self.clone())
            }
        }

        #[async_trait]
        impl Pollable for $stream {
            async fn ready(&mut self) {
                self.outbox.delivered().await;
            }
        }

        impl OutputStream for $stream {
            fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
                let ($self, $bytes) = (self, &bytes[..]);
                $write
            }

            fn flush(&mut self) -> StreamResult<()> {
                Ok(())
            }

            fn check_write(&mut self) -> StreamResult<usize> {
                Ok(PERMIT_BYTES)
            }
        }

        // What WASI 0.3 would use.
        impl AsyncWrite for $stream {
            fn poll_write(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                let ($self, $bytes) = (self, bytes);
                Poll::Ready($write.map(|()| bytes.len()).map_err(io::Error::other))
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
        }
    };
}

output_stream!(LogStream, |stream, bytes| {
    stream.outbox.print(stream.name, bytes);
    StreamResult::Ok(())
});
output_stream!(RawStream, |stream, bytes| stream.write_bytes(bytes));
