//! Files by content: inputs of executions, components, and what is compiled from them.
//!
//! Everything is stored under its SHA-256, written to a temporary file first, synced and renamed, so that a name that
//! exists has the content that it says. Total and single sizes are bounded.

use crate::error::MeshError;
use hypermesh_model::{BlobDigest, Bytes};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Largest component: the largest that is known in the wild (a Python interpreter) is 18 MB.
pub const MAX_COMPONENT_BYTES: u64 = 64 << 20;
/// Largest archive: the largest component with its manifests and signatures.
pub const MAX_ARCHIVE_BYTES: u64 = MAX_COMPONENT_BYTES + (4 << 20);
/// Largest input blob.
pub const MAX_BLOB_BYTES: u64 = 1 << 30;
/// All input blobs together, so that uploads can't fill the disk.
pub(crate) const MAX_ALL_BLOBS_BYTES: u64 = 8 << 30;

/// What is being received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receiving {
    /// A WebAssembly component.
    Component,
    /// An input file.
    Blob,
    /// An image-layout archive with a component: read once, never kept.
    Archive,
}

/// A stored file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlob {
    /// Its SHA-256.
    pub digest: BlobDigest,
    /// Its length.
    pub size: Bytes,
}

/// The folders of a node's files.
#[derive(Debug, Clone)]
pub(crate) struct BlobStore {
    root: PathBuf,
    used: Arc<AtomicU64>,
}

fn io_fault(doing: &'static str) -> impl FnOnce(io::Error) -> MeshError {
    move |source| MeshError::Internal { doing, source: Box::new(source) }
}

impl BlobStore {
    /// Opens or makes the folders below `root` and removes what an earlier crash left half-written.
    ///
    /// # Errors
    /// When a folder can't be made or read.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let store = Self { root: root.to_owned(), used: Arc::default() };
        let incoming = store.incoming();
        if incoming.exists() {
            fs::remove_dir_all(&incoming)?;
        }
        for folder in [incoming, store.folder(Receiving::Component), store.folder(Receiving::Blob)] {
            fs::create_dir_all(folder)?;
        }
        let used = fs::read_dir(store.folder(Receiving::Blob))?
            .map(|entry| Ok(entry?.metadata()?.len()))
            .sum::<io::Result<u64>>()?;
        store.used.store(used, Ordering::Relaxed);
        Ok(store)
    }

    fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    fn folder(&self, what: Receiving) -> PathBuf {
        self.root.join(match what {
            Receiving::Component => "components",
            Receiving::Blob => "blobs",
            Receiving::Archive => "incoming",
        })
    }

    /// Where a file is or would be.
    pub(crate) fn path(&self, what: Receiving, digest: &BlobDigest) -> PathBuf {
        self.folder(what).join(digest.as_str())
    }

    /// A stored file.
    ///
    /// # Errors
    /// [`MeshError::NotFound`] when it isn't there.
    pub(crate) fn get(&self, what: Receiving, digest: &BlobDigest) -> Result<StoredBlob, MeshError> {
        let size =
            fs::metadata(self.path(what, digest)).map_err(|_| MeshError::not_found("blob", digest))?.len();
        Ok(StoredBlob { digest: digest.clone(), size: Bytes(size) })
    }

    /// All input blobs, by digest.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub(crate) fn all(&self) -> Result<Vec<StoredBlob>, MeshError> {
        let entries = fs::read_dir(self.folder(Receiving::Blob)).map_err(io_fault("listing blobs"))?;
        let mut blobs: Vec<StoredBlob> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let digest = BlobDigest::parse(entry.file_name().to_str()?).ok()?;
                Some(StoredBlob { digest, size: Bytes(entry.metadata().ok()?.len()) })
            })
            .collect();
        blobs.sort_by(|a, b| a.digest.cmp(&b.digest));
        Ok(blobs)
    }

    /// The digests of all components, in no order.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub(crate) fn components(&self) -> io::Result<Vec<BlobDigest>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.folder(Receiving::Component))? {
            found.extend(entry?.file_name().to_str().and_then(|name| BlobDigest::parse(name).ok()));
        }
        Ok(found)
    }

    /// Removes an input blob. Executions that were granted it hold their own link.
    ///
    /// # Errors
    /// [`MeshError::NotFound`] when it isn't there.
    pub(crate) fn remove(&self, digest: &BlobDigest) -> Result<(), MeshError> {
        let blob = self.get(Receiving::Blob, digest)?;
        fs::remove_file(self.path(Receiving::Blob, digest)).map_err(io_fault("removing a blob"))?;
        self.used.fetch_sub(blob.size.0, Ordering::Relaxed);
        Ok(())
    }

    /// Begins to receive a file.
    ///
    /// # Errors
    /// When the temporary file can't be made.
    pub(crate) fn receive(&self, what: Receiving) -> Result<BlobWriter, MeshError> {
        let path = self.incoming().join(uuid::Uuid::now_v7().simple().to_string());
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            // Whoever is granted one reads it as another user; nobody else gets into the node's folder (mode 0700).
            .mode(0o644)
            .open(&path)
            .map_err(io_fault("making a temporary file"))?;
        Ok(BlobWriter {
            store: self.clone(),
            what,
            temporary: Some(path),
            file,
            hash: Sha256::new(),
            size: 0,
        })
    }
}

/// A file that is being received. Dropped before [`BlobWriter::finish`], it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    store: BlobStore,
    what: Receiving,
    temporary: Option<PathBuf>,
    file: File,
    hash: Sha256,
    size: u64,
}

impl BlobWriter {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`MeshError::TooLarge`] past the limit of what is received, [`MeshError::Busy`] when all blobs together would
    /// pass theirs.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), MeshError> {
        let (limit, name) = match self.what {
            Receiving::Component => (MAX_COMPONENT_BYTES, "the component"),
            Receiving::Blob => (MAX_BLOB_BYTES, "the blob"),
            Receiving::Archive => (MAX_ARCHIVE_BYTES, "the archive"),
        };
        self.size += bytes.len() as u64;
        if self.size > limit {
            return Err(MeshError::TooLarge { what: name, limit });
        }
        if self.what == Receiving::Blob
            && self.store.used.load(Ordering::Relaxed) + self.size > MAX_ALL_BLOBS_BYTES
        {
            let detail = format!("all blobs together would pass {MAX_ALL_BLOBS_BYTES} bytes; delete some");
            return Err(MeshError::Conflict { detail });
        }
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(io_fault("writing an upload"))
    }

    /// The file itself, from its beginning, and no longer in any folder.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn into_file(mut self) -> Result<File, MeshError> {
        let reopened = File::open(self.temporary.clone().unwrap_or_default());
        let file = reopened.map_err(io_fault("reading an upload"))?;
        if let Some(path) = self.temporary.take() {
            fs::remove_file(path).map_err(io_fault("removing a temporary file"))?;
        }
        Ok(file)
    }

    /// Makes the file durable under its digest.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(mut self) -> Result<StoredBlob, MeshError> {
        let digest = BlobDigest::from_bytes(&self.hash.finalize_reset().into());
        let target = self.store.path(self.what, &digest);
        let new = !target.exists();
        if new {
            self.file.sync_data().map_err(io_fault("syncing an upload"))?;
            let temporary = self.temporary.take().unwrap_or_default();
            fs::rename(temporary, &target).map_err(io_fault("storing an upload"))?;
            File::open(self.store.folder(self.what))
                .and_then(|folder| folder.sync_all())
                .map_err(io_fault("syncing a folder"))?;
            if self.what == Receiving::Blob {
                self.store.used.fetch_add(self.size, Ordering::Relaxed);
            }
        }
        Ok(StoredBlob { digest, size: Bytes(self.size) })
    }
}

/// Lets what writes to any writer write into the store, and tells what the store said.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    pub(crate) writer: &'a mut BlobWriter,
    pub(crate) refused: Option<MeshError>,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.writer.write(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.refused = Some(error);
                Err(io::Error::other("the store refused it"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if let Some(path) = self.temporary.take() {
            // What stays is removed at the next start.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_stored_under_its_digest_and_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        for _ in 0..2 {
            let mut writer = store.receive(Receiving::Blob).unwrap();
            writer.write(b"ab").unwrap();
            writer.write(b"c").unwrap();
            let blob = writer.finish().unwrap();
            assert_eq!(
                blob.digest.as_str(),
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            );
        }
        assert_eq!(store.used.load(Ordering::Relaxed), 3);
        assert_eq!(store.all().unwrap().len(), 1);
        assert_eq!(fs::read_dir(store.incoming()).unwrap().count(), 0);
    }

    #[test]
    fn an_upload_that_breaks_off_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        let mut writer = store.receive(Receiving::Component).unwrap();
        writer.write(b"half").unwrap();
        drop(writer);
        assert_eq!(fs::read_dir(store.incoming()).unwrap().count(), 0);
        assert_eq!(fs::read_dir(store.folder(Receiving::Component)).unwrap().count(), 0);
    }

    #[test]
    fn a_component_over_the_limit_is_refused_while_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        let mut writer = store.receive(Receiving::Component).unwrap();
        let chunk = vec![0u8; 1 << 20];
        let refused = (0..65).find_map(|_| writer.write(&chunk).err());
        assert!(matches!(refused, Some(MeshError::TooLarge { .. })));
    }
}
