//! The `checkpoint` file: the last two signed heads, as notes, each in 512 bytes of its own, filled up with newlines.
//!
//! They are overwritten in turns and in place, so that writing one costs no allocation and no second sync per batch, a
//! torn write leaves the one before, and `cat` shows both. It says what the log must still have when it is opened.

use super::files::{Paths, create_whole};
use crate::error::LogError;
use crate::merkle::Hash;
use crate::note::{NoteError, SignedTreeHead, check_origin};
use crate::sign::LogKey;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// A sector of a disk, which is written whole or not at all.
const SLOT: usize = 512;

/// What the two slots say: `None` for one that was never written.
pub(crate) type Heads = [Result<Option<Kept>, NoteError>; 2];

/// A head that was kept, and the origin in its note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) origin: String,
    pub(crate) head: SignedTreeHead,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Slots {
    file: File,
    path: PathBuf,
    next: usize,
}

impl Slots {
    /// Makes the file with a first head.
    pub(super) fn create(
        paths: &Paths,
        origin: &str,
        log_id: &Hash,
        head: &SignedTreeHead,
    ) -> Result<Self, LogError> {
        let content = [slot(&head.to_note(origin, log_id)), slot("")].concat();
        create_whole(&paths.checkpoint, &content)?;
        Self::open(paths, 1)
    }

    /// Opens the file, to write `next` next.
    pub(super) fn open(paths: &Paths, next: usize) -> Result<Self, LogError> {
        let path = paths.checkpoint.clone();
        let file = OpenOptions::new().write(true).open(&path);
        Ok(Self { file: file.map_err(|error| LogError::io("open", &path, error))?, path, next })
    }

    /// Writes a head over the older of the two.
    pub(super) fn write(&mut self, note: &str) -> Result<(), LogError> {
        let at = (self.next * SLOT) as u64;
        self.file.write_all_at(&slot(note), at).map_err(|error| LogError::io("write", &self.path, error))?;
        self.next ^= 1;
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<(), LogError> {
        self.file.sync_data().map_err(|error| LogError::io("sync", &self.path, error))
    }
}

/// What the file says; `None` if there is none.
pub(crate) fn heads_on_disk(paths: &Paths, key: &LogKey) -> Result<Option<Heads>, LogError> {
    let content = match std::fs::read(&paths.checkpoint) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LogError::io("read", &paths.checkpoint, error)),
    };
    let (slots, rest) = content.as_chunks::<SLOT>();
    let length = NoteError::Malformed("the file's length is not that of two slots");
    Ok(Some(match slots {
        [first, second] if rest.is_empty() => [first, second].map(|slot| read(slot, key)),
        _ => [Err(length.clone()), Err(length)],
    }))
}

/// One slot, of which every byte has to be as it was written.
fn read(content: &[u8; SLOT], key: &LogKey) -> Result<Option<Kept>, NoteError> {
    let text = std::str::from_utf8(content).map_err(|_| NoteError::Malformed("it is no UTF-8"))?;
    let note = text.trim_end_matches('\n');
    if note.is_empty() {
        return Ok(None);
    }
    let origin = note.lines().next().unwrap_or_default().to_owned();
    check_origin(&origin)?;
    let head = SignedTreeHead::from_note(&format!("{note}\n"), &origin, key)?;
    if slot(&head.to_note(&origin, key.id())) == content {
        Ok(Some(Kept { origin, head }))
    } else {
        Err(NoteError::Malformed("there is more in its place than the log writes"))
    }
}

/// A note filled up. Origins are bounded so that every note fits.
fn slot(note: &str) -> Vec<u8> {
    let mut slot = note.as_bytes().to_vec();
    slot.resize(SLOT, b'\n');
    slot
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::MAX_ORIGIN_BYTES;
    use crate::sign::Signer as _;
    use crate::sign::memory::MemoryKey;

    #[test]
    fn the_longest_note_fits() {
        let signer = MemoryKey::generate();
        let key = LogKey::from_spki_der(signer.spki_der()).unwrap();
        let origin = "o".repeat(MAX_ORIGIN_BYTES);
        for _ in 0..50 {
            let head = SignedTreeHead::sign(&signer, u64::MAX, u64::MAX, [255; 32]).unwrap();
            assert!(head.to_note(&origin, key.id()).len() < SLOT);
        }
    }

    #[test]
    fn heads_are_written_in_turns_and_a_torn_one_leaves_the_other() {
        let folder = tempfile::TempDir::new().unwrap();
        let paths = Paths::new(folder.path());
        let signer = MemoryKey::generate();
        let key = LogKey::from_spki_der(signer.spki_der()).unwrap();
        let head = |size| SignedTreeHead::sign(&signer, size, 1, [0; 32]).unwrap();
        assert!(heads_on_disk(&paths, &key).unwrap().is_none());
        let mut slots = Slots::create(&paths, "o", key.id(), &head(0)).unwrap();
        let sizes =
            || heads_on_disk(&paths, &key).unwrap().unwrap().map(|head| head.map(|h| h.map(|h| h.head.size)));
        assert_eq!(sizes(), [Ok(Some(0)), Ok(None)]);
        for (size, expected) in [(1, [0, 1]), (2, [2, 1]), (3, [2, 3])] {
            slots.write(&head(size).to_note("o", key.id())).unwrap();
            assert_eq!(sizes(), expected.map(|size| Ok(Some(size))));
        }
        slots.file.write_all_at(b"\r", 511).unwrap();
        assert!(matches!(sizes(), [Err(NoteError::Malformed(_)), Ok(Some(3))]));
        slots.file.write_all_at(b"torn", 2).unwrap();
        assert!(matches!(sizes(), [Err(_), Ok(Some(3))]));
        slots.file.set_len(1000).unwrap();
        assert!(matches!(sizes(), [Err(NoteError::Malformed(_)), Err(NoteError::Malformed(_))]));
    }
}
