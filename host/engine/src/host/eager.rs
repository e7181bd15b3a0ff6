//! Streams of files that do their work at once, on the guest's thread.
//!
//! wasmtime-wasi reads and writes files on other threads, except in calls that block, where it can be told to use the
//! guest's own. A locked-in worker can't make threads, and nothing else would run meanwhile. So the streams that it
//! makes for files are wrapped: what doesn't block calls what does, which is done when it returns.

use super::GuestState;
use bytes::Bytes;
use std::mem;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::filesystem::WasiFilesystemView;
use wasmtime_wasi::p2::bindings::filesystem::types::{Descriptor, ErrorCode, HostDescriptor};
use wasmtime_wasi::p2::pipe::{ClosedInputStream, ClosedOutputStream};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, FsResult, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

/// The interface whose streams are wrapped.
const FILES: &str = "wasi:filesystem/types@0.2.12";
/// What a guest may write at once: as wasmtime-wasi's own streams allow.
const PERMIT_BYTES: usize = 64 << 10;

/// A stream that never waits.
struct Eager<Stream>(Stream);

/// The result of what is done when it is first asked for.
fn now<T>(work: impl Future<Output = StreamResult<T>>) -> StreamResult<T> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(StreamError::trap("a file would have to be waited for")),
    }
}

#[async_trait]
impl<Stream: Send + 'static> Pollable for Eager<Stream> {
    async fn ready(&mut self) {}
}

#[async_trait]
impl InputStream for Eager<DynInputStream> {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        // At size 0 the streams themselves differ from what WASI says: nothing, and no error.
        if size == 0 { Ok(Bytes::new()) } else { now(self.0.blocking_read(size)) }
    }
}

#[async_trait]
impl OutputStream for Eager<DynOutputStream> {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.is_empty() { Ok(()) } else { now(self.0.blocking_write_and_flush(bytes)) }
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.0.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.0.check_write().map(|_| PERMIT_BYTES)
    }
}

type Host<'a> = StoreContextMut<'a, GuestState>;

/// Wraps what a call of wasmtime-wasi gave.
fn input(
    host: &mut Host<'_>,
    made: FsResult<Resource<DynInputStream>>,
) -> wasmtime::Result<Made<DynInputStream>> {
    let stream = match made {
        Ok(stream) => stream,
        Err(error) => return Ok((Err(error.downcast()?),)),
    };
    let slot = host.data_mut().table.get_mut(&stream)?;
    let inner = mem::replace(slot, Box::new(ClosedInputStream));
    *slot = Box::new(Eager(inner));
    Ok((Ok(stream),))
}

fn output(
    host: &mut Host<'_>,
    made: FsResult<Resource<DynOutputStream>>,
) -> wasmtime::Result<Made<DynOutputStream>> {
    let stream = match made {
        Ok(stream) => stream,
        Err(error) => return Ok((Err(error.downcast()?),)),
    };
    let slot = host.data_mut().table.get_mut(&stream)?;
    let inner = mem::replace(slot, Box::new(ClosedOutputStream));
    *slot = Box::new(Eager(inner));
    Ok((Ok(stream),))
}

type Made<Stream> = (Result<Resource<Stream>, ErrorCode>,);

/// Replaces what makes streams of files.
pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut instance = linker.instance(FILES)?;
    instance.func_wrap(
        "[method]descriptor.read-via-stream",
        |mut host: Host<'_>, (file, offset): (Resource<Descriptor>, u64)| {
            let made = host.data_mut().filesystem().read_via_stream(file, offset);
            input(&mut host, made)
        },
    )?;
    instance.func_wrap(
        "[method]descriptor.write-via-stream",
        |mut host: Host<'_>, (file, offset): (Resource<Descriptor>, u64)| {
            let made = host.data_mut().filesystem().write_via_stream(file, offset);
            output(&mut host, made)
        },
    )?;
    instance.func_wrap(
        "[method]descriptor.append-via-stream",
        |mut host: Host<'_>, (file,): (Resource<Descriptor>,)| {
            let made = host.data_mut().filesystem().append_via_stream(file);
            output(&mut host, made)
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
