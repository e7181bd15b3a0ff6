//! The archive: every certificate as it was given out, one after the other in one file.
//!
//! The log holds what was promised (the precertificate); the certificate itself carries a signature that can't be made
//! twice. So it is written here before anybody gets it. A process that is killed loses nothing, since a `write(2)` has
//! left it; a machine that loses power may lose the newest, which are then signed again from the log. The index syncs the
//! file before it says that something is in it.
//!
//! ```text
//! frame: length of the DER, u32 BE · place in the log, u64 BE · SHA-256 of both and the DER, first 8 bytes · DER
//! ```
//! Fails by `io::Error`; [`ArchiveError::Damaged`] when a frame is not what was written.

use crate::files::FILE_MODE;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use thiserror::Error;

/// Bytes before a frame's DER.
const HEAD: usize = 4 + 8 + 8;
/// Longest DER: a certificate of ours is some kilobytes.
const MAX_DER: usize = 1 << 20;

/// Why the archive can't be read or written.
#[derive(Debug, Error)]
pub(crate) enum ArchiveError {
    /// The file system refused.
    #[error("cannot {0} the archive of issued certificates")]
    Io(&'static str, #[source] io::Error),
    /// What is there was not written so.
    #[error(
        "the archive of issued certificates is damaged at byte {0}; moved away, it is made again from the log"
    )]
    Damaged(u64),
    /// A write failed in the middle and could not be taken back.
    #[error("the archive of issued certificates ends in half a frame; it is cut off at the next start")]
    Broken,
}

/// One certificate in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Where it begins, bytes.
    pub(crate) offset: u64,
    /// Its place in the log.
    pub(crate) log_index: u64,
    /// The certificate.
    pub(crate) der: Vec<u8>,
}

#[derive(Debug)]
struct Tail {
    length: u64,
    broken: bool,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Archive {
    file: File,
    tail: Mutex<Tail>,
}

impl Archive {
    /// Opens the file, looks at every frame from byte `from` on (where a frame begins), and cuts off what is not whole.
    /// Everything before `from` is known to be synced.
    pub(crate) fn open(path: &Path, from: u64, mut each: impl FnMut(Frame)) -> Result<Self, ArchiveError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(path)
            .map_err(|e| ArchiveError::Io("open", e))?;
        let length = file.metadata().map_err(|e| ArchiveError::Io("measure", e))?.len();
        if length < from {
            return Err(ArchiveError::Damaged(length));
        }
        let mut offset = from;
        while offset < length {
            match read_frame(&file, offset) {
                Ok(frame) => {
                    offset = end_of(frame.offset, frame.der.len());
                    each(frame);
                }
                Err(ArchiveError::Damaged(_)) => {
                    tracing::warn!(offset, length, "cutting off the unfinished end of the archive");
                    file.set_len(offset).map_err(|e| ArchiveError::Io("cut", e))?;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Self { file, tail: Mutex::new(Tail { length: offset, broken: false }) })
    }

    /// Every certificate that was appended so far, in order.
    pub(crate) fn scan(&self, each: &mut dyn FnMut(Frame)) -> Result<(), ArchiveError> {
        let length = self.tail.lock().unwrap_or_else(PoisonError::into_inner).length;
        let mut offset = 0;
        while offset < length {
            let frame = read_frame(&self.file, offset)?;
            offset = end_of(frame.offset, frame.der.len());
            each(frame);
        }
        Ok(())
    }

    /// Adds a certificate; afterwards a killed process doesn't lose it. Where it begins.
    pub(crate) fn append(&self, log_index: u64, der: &[u8]) -> Result<u64, ArchiveError> {
        let length = u32::try_from(der.len()).ok().filter(|_| der.len() <= MAX_DER);
        let Some(length) = length else {
            return Err(ArchiveError::Io("write to", io::Error::other("the certificate is too large")));
        };
        let mut frame = Vec::with_capacity(HEAD + der.len());
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&log_index.to_be_bytes());
        let sum = checksum(&frame, der);
        frame.extend_from_slice(&sum);
        frame.extend_from_slice(der);
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.broken {
            return Err(ArchiveError::Broken);
        }
        let offset = tail.length;
        if let Err(error) = self.file.write_all_at(&frame, offset) {
            tail.broken = self.file.set_len(offset).is_err();
            return Err(ArchiveError::Io("write to", error));
        }
        tail.length += frame.len() as u64;
        Ok(offset)
    }

    /// The certificate at an offset.
    pub(crate) fn read(&self, offset: u64) -> Result<Frame, ArchiveError> {
        read_frame(&self.file, offset)
    }

    /// Has the disk hold everything that was appended; how many bytes that are.
    pub(crate) fn sync(&self) -> Result<u64, ArchiveError> {
        let length = self.tail.lock().unwrap_or_else(PoisonError::into_inner).length;
        self.file.sync_data().map_err(|e| ArchiveError::Io("sync", e))?;
        Ok(length)
    }
}

/// Where the next frame begins.
pub(crate) fn end_of(offset: u64, der: usize) -> u64 {
    offset + (HEAD + der) as u64
}

fn checksum(head: &[u8], der: &[u8]) -> [u8; 8] {
    let digest = Sha256::new().chain_update(head).chain_update(der).finalize();
    let mut sum = [0; 8];
    sum.copy_from_slice(&digest[..8]);
    sum
}

fn read_frame(file: &File, offset: u64) -> Result<Frame, ArchiveError> {
    let short = |e: io::Error| {
        let ended = e.kind() == io::ErrorKind::UnexpectedEof;
        if ended { ArchiveError::Damaged(offset) } else { ArchiveError::Io("read", e) }
    };
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, offset).map_err(short)?;
    let mut length = [0; 4];
    length.copy_from_slice(&head[..4]);
    let length = u32::from_be_bytes(length) as usize;
    if length == 0 || length > MAX_DER {
        return Err(ArchiveError::Damaged(offset));
    }
    let mut der = vec![0; length];
    file.read_exact_at(&mut der, offset + HEAD as u64).map_err(short)?;
    if checksum(&head[..12], &der) != head[12..] {
        return Err(ArchiveError::Damaged(offset));
    }
    let mut log_index = [0; 8];
    log_index.copy_from_slice(&head[4..12]);
    Ok(Frame { offset, log_index: u64::from_be_bytes(log_index), der })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(path: &Path, from: u64) -> (Archive, Vec<Frame>) {
        let mut frames = Vec::new();
        let archive = Archive::open(path, from, |frame| frames.push(frame)).unwrap();
        (archive, frames)
    }

    #[test]
    fn what_was_written_is_read_and_a_start_may_skip_what_it_knows() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("issued");
        let (archive, none) = all(&path, 0);
        assert!(none.is_empty());
        let first = archive.append(7, b"one").unwrap();
        let second = archive.append(8, b"two").unwrap();
        assert_eq!(archive.read(first).unwrap().der, b"one");
        assert_eq!(archive.sync().unwrap(), end_of(second, 3));
        assert_eq!(all(&path, second).1, [Frame { offset: second, log_index: 8, der: b"two".to_vec() }]);
        assert!(matches!(Archive::open(&path, 1 << 20, |_| ()), Err(ArchiveError::Damaged(_))));
    }

    proptest! {
        #[test]
        fn a_torn_or_flipped_end_costs_what_it_hit_and_nothing_before(
            lengths in prop::collection::vec(1usize..200, 1..8),
            cut in any::<prop::sample::Index>(),
            flip in any::<bool>(),
        ) {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("issued");
            let (archive, _) = all(&path, 0);
            let mut ends = vec![0];
            for (i, length) in lengths.iter().enumerate() {
                archive.append(i as u64, &vec![b'x'; *length]).unwrap();
                ends.push(archive.sync().unwrap());
            }
            drop(archive);
            let mut bytes = std::fs::read(&path).unwrap();
            let at = cut.index(bytes.len());
            if flip { bytes[at] ^= 1 } else { bytes.truncate(at) }
            std::fs::write(&path, &bytes).unwrap();
            let whole = ends.iter().skip(1).filter(|end| **end <= at as u64).count();
            let (archive, frames) = all(&path, 0);
            prop_assert_eq!(frames.len(), whole);
            let offset = archive.append(99, b"next").unwrap();
            prop_assert_eq!(offset, ends[whole]);
            prop_assert_eq!(all(&path, 0).1.len(), whole + 1);
        }
    }
}
