//! The guest's standard input: a pipe or socket, read as it comes, or a file.
//!
//! The descriptor is made non-blocking, and a guest that waits for input is waited for by the runtime: it may wait for a
//! timer or a socket at the same time, and what it has logged gets out. A file can't be waited for, and needn't be.

use bytes::Bytes;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, read, retry_on_intr};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdinStream};
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

/// The most that is read at once: what a pipe holds.
const CHUNK_BYTES: usize = 64 << 10;

/// Standard input. Clones read from the same place.
#[derive(Clone)]
pub(super) struct Stdin(Arc<Inner>);

struct Inner {
    source: Source,
    /// What was read while waiting, and whether that was the end.
    ahead: Mutex<Ahead>,
}

enum Source {
    /// Something that epoll(7) takes.
    Stream(AsyncFd<OwnedFd>),
    File(OwnedFd),
}

#[derive(Default)]
struct Ahead {
    bytes: Bytes,
    error: Option<io::Error>,
    ended: bool,
}

/// What a read gave: bytes, nothing yet, or the end.
fn read_some(source: &OwnedFd, most: usize) -> io::Result<Option<Bytes>> {
    let mut buffer = vec![0; most.min(CHUNK_BYTES)];
    match retry_on_intr(|| read(source, &mut *buffer)) {
        Ok(0) => Ok(None),
        Ok(length) => {
            buffer.truncate(length);
            Ok(Some(buffer.into()))
        }
        Err(error) => Err(error.into()),
    }
}

impl Stdin {
    /// Takes the descriptor over. Needs a tokio runtime that is entered and has I/O.
    #[expect(unsafe_code, reason = "AsyncFd asks for a promise about its descriptor")]
    pub(super) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let flags = fcntl_getfl(&descriptor)?;
        fcntl_setfl(&descriptor, flags | OFlags::NONBLOCK)?;
        // SAFETY: the descriptor stays open and the same as long as the `AsyncFd` lives: it owns it, and nothing here
        // takes it out or replaces it.
        let source = match unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) } {
            Ok(stream) => Source::Stream(stream),
            Err(error) => {
                let (descriptor, error) = error.into_parts();
                // epoll_ctl(2): the target does not support epoll, such as a regular file.
                if Errno::from_io_error(&error) != Some(Errno::PERM) {
                    return Err(error);
                }
                Source::File(descriptor)
            }
        };
        Ok(Self(Arc::new(Inner { source, ahead: Mutex::default() })))
    }
}

impl Inner {
    fn descriptor(&self) -> &OwnedFd {
        match &self.source {
            Source::Stream(stream) => stream.get_ref(),
            Source::File(file) => file,
        }
    }

    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        // Every step leaves the state whole.
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to `most` bytes, none if there are none yet, `None` at the end.
    fn read(&self, most: usize) -> io::Result<Option<Bytes>> {
        let mut ahead = self.ahead();
        if let Some(error) = ahead.error.take() {
            return Err(error);
        }
        if !ahead.bytes.is_empty() || most == 0 {
            let length = ahead.bytes.len().min(most);
            return Ok(Some(ahead.bytes.split_to(length)));
        }
        if ahead.ended {
            return Ok(None);
        }
        match read_some(self.descriptor(), most) {
            Ok(None) => {
                ahead.ended = true;
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Some(Bytes::new())),
            other => other,
        }
    }

    /// Waits until a read would give something, by reading ahead.
    async fn ready(&self) {
        let Source::Stream(stream) = &self.source else { return };
        loop {
            {
                let ahead = self.ahead();
                if !ahead.bytes.is_empty() || ahead.error.is_some() || ahead.ended {
                    return;
                }
            }
            let read = match stream.readable().await {
                Ok(mut guard) => match guard.try_io(|stream| read_some(stream.get_ref(), CHUNK_BYTES)) {
                    Ok(read) => read,
                    Err(_would_block) => continue,
                },
                Err(error) => Err(error),
            };
            let mut ahead = self.ahead();
            match read {
                Ok(Some(bytes)) => ahead.bytes = bytes,
                Ok(None) => ahead.ended = true,
                Err(error) => ahead.error = Some(error),
            }
        }
    }
}

impl IsTerminal for Stdin {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Stdin {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Stdin {
    async fn ready(&mut self) {
        self.0.ready().await;
    }
}

#[async_trait]
impl InputStream for Stdin {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        match self.0.read(size) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(StreamError::Closed),
            Err(error) => Err(StreamError::LastOperationFailed(error.into())),
        }
    }
}

impl AsyncRead for Stdin {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.0.read(buffer.remaining()) {
                Ok(Some(bytes)) if bytes.is_empty() && buffer.remaining() > 0 => {
                    let Source::Stream(stream) = &self.0.source else { return Poll::Ready(Ok(())) };
                    match stream.poll_read_ready(context) {
                        Poll::Ready(Ok(mut guard)) => guard.clear_ready(),
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Pending => return Poll::Pending,
                    }
                }
                Ok(bytes) => {
                    buffer.put_slice(&bytes.unwrap_or_default());
                    return Poll::Ready(Ok(()));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::pipe;
    use std::fs::File;
    use std::io::Write;
    use std::time::Duration;
    use tokio::io::AsyncReadExt;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn a_pipe_is_waited_for_and_ends_when_its_writer_does() {
        runtime().block_on(async {
            let (source, sink) = pipe().unwrap();
            let mut stdin = Stdin::new(source).unwrap();
            assert!(InputStream::read(&mut stdin, 10).unwrap().is_empty(), "nothing yet");
            let writer = tokio::task::spawn_blocking(move || {
                std::thread::sleep(Duration::from_millis(20));
                File::from(sink).write_all(b"hello").unwrap();
            });
            stdin.ready().await;
            let mut other = stdin.clone();
            assert_eq!(InputStream::read(&mut stdin, 2).unwrap(), "he");
            assert_eq!(InputStream::read(&mut other, 10).unwrap(), "llo");
            stdin.ready().await;
            assert!(matches!(InputStream::read(&mut stdin, 10), Err(StreamError::Closed)));
            writer.await.unwrap();
        });
    }

    #[test]
    fn a_file_is_read_to_its_end() {
        runtime().block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("input");
            std::fs::write(&path, "x".repeat(100_000)).unwrap();
            let mut stdin = Stdin::new(File::open(path).unwrap().into()).unwrap();
            let mut length = 0;
            loop {
                Pollable::ready(&mut stdin).await;
                match InputStream::read(&mut stdin, 70_000) {
                    Ok(bytes) => length += bytes.len(),
                    Err(StreamError::Closed) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(length, 100_000);
        });
    }

    #[test]
    fn an_asynchronous_reader_gets_the_same() {
        runtime().block_on(async {
            let (source, sink) = pipe().unwrap();
            let mut stream = Pin::from(Stdin::new(source).unwrap().async_stream());
            let writer = tokio::task::spawn_blocking(move || {
                std::thread::sleep(Duration::from_millis(20));
                File::from(sink).write_all(&[7; 200_000]).unwrap();
            });
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, [7; 200_000]);
            writer.await.unwrap();
        });
    }
}
