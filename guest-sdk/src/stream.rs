//! Files as `std::io` streams, because that is what every Rust library takes.
//!
//! Each read and write is a call to the host that carries at most [`MAX_CHUNK`] bytes: wrap them in `BufReader` and
//! `BufWriter` where pieces are small, and use [`Input::chunks`] or [`copy`] where they are large. A file may be longer than
//! the guest's memory either way. Fails by `std::io::Error`, whose source is a [`BlobError`].

use crate::BlobError;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// The most that one call to the host carries in either direction, in bytes. The host copies no more at once.
pub const MAX_CHUNK: usize = 1 << 20;

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

    /// The rest of it in pieces of up to `length` bytes (at most [`MAX_CHUNK`], at least 1): no more than one piece is in
    /// memory, however long the input is.
    ///
    /// ```
    /// use hypermesh_guest::{Context, testing::MemoryContext};
    /// let mut context = MemoryContext::new().with_input("numbers", &[1; 10]);
    /// let lengths: Vec<usize> =
    ///     context.open("numbers")?.chunks(4).map(|chunk| Ok(chunk?.len())).collect::<std::io::Result<_>>()?;
    /// assert_eq!(lengths, [4, 4, 2]);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn chunks(self, length: usize) -> Chunks {
        Chunks { input: self, length: length.clamp(1, MAX_CHUNK) }
    }
}

/// The pieces of an [`Input`]. After an error it gives nothing more.
#[derive(Debug)]
pub struct Chunks {
    input: Input,
    length: usize,
}

impl Iterator for Chunks {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut chunk = vec![0; self.length];
        // A host may give less than was asked; a piece is short only at the end.
        let mut filled = 0;
        while filled < chunk.len() {
            match self.input.read(&mut chunk[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) => {
                    self.length = 0;
                    return Some(Err(error));
                }
            }
        }
        chunk.truncate(filled);
        (filled > 0).then_some(Ok(chunk))
    }
}

/// Copies everything from `from` to `to`, [`MAX_CHUNK`] bytes at a time: as few calls to the host as there can be, with one
/// piece in memory. Gives the number of bytes.
///
/// ```
/// use hypermesh_guest::{Context, copy, testing::MemoryContext};
/// let mut context = MemoryContext::new().with_input("a.txt", b"hello");
/// let mut input = context.open("a.txt")?;
/// let mut output = context.create("b.txt")?;
/// assert_eq!(copy(&mut input, &mut output)?, 5);
/// assert_eq!(context.output("b.txt").as_deref(), Some(&b"hello"[..]));
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// What reading or writing says.
pub fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<u64> {
    let mut buffer = vec![0; MAX_CHUNK];
    let mut copied = 0;
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(copied);
        }
        to.write_all(&buffer[..count])?;
        copied += count as u64;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives at most three bytes at once, and fails at `broken`.
    struct Slow {
        bytes: Vec<u8>,
        broken: Option<u64>,
    }

    impl ReadAt for Slow {
        fn read_at(&mut self, offset: u64, length: u32) -> Result<Vec<u8>, BlobError> {
            if self.broken.is_some_and(|broken| offset >= broken) {
                return Err(BlobError::Io("it broke".into()));
            }
            let rest = self.bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
            Ok(rest[..rest.len().min(3).min(length as usize)].to_vec())
        }
    }

    fn slow(broken: Option<u64>) -> Input {
        let bytes: Vec<u8> = (0..10).collect();
        Input::new(Box::new(Slow { bytes, broken }), 10)
    }

    #[test]
    fn chunks_are_full_though_the_host_gives_less_at_once() {
        let chunks: Vec<Vec<u8>> = slow(None).chunks(4).map(Result::unwrap).collect();
        assert_eq!(chunks, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
        assert_eq!(slow(None).chunks(0).count(), 10);
    }

    #[test]
    fn after_an_error_there_are_no_more_chunks() {
        let mut chunks = slow(Some(6)).chunks(4);
        assert_eq!(chunks.next().unwrap().unwrap(), [0, 1, 2, 3]);
        let error = chunks.next().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the host could not read or write: it broke");
        assert!(chunks.next().is_none());
    }

    #[test]
    fn a_copy_goes_on_to_the_end() {
        let mut copied = Vec::new();
        assert_eq!(copy(&mut slow(None), &mut copied).unwrap(), 10);
        assert_eq!(copied, (0..10).collect::<Vec<u8>>());
        assert!(copy(&mut slow(Some(3)), &mut copied).is_err());
    }
}
