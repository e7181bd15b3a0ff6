//! Where the log's files are, how they are made and locked. For the owner alone, though nothing in them is secret: what
//! the log serves it serves over its API.

use crate::error::LogError;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The paths of a log's files.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    pub(crate) folder: PathBuf,
    pub(crate) entries: PathBuf,
    pub(crate) checkpoint: PathBuf,
    pub(crate) leaves: PathBuf,
    pub(crate) issuers: PathBuf,
    pub(crate) lock: PathBuf,
}

impl Paths {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            entries: folder.join("entries"),
            checkpoint: folder.join("checkpoint"),
            leaves: folder.join("leaves"),
            issuers: folder.join("issuers"),
            lock: folder.join("lock"),
        }
    }

    /// Makes the folders.
    pub(super) fn make(&self) -> Result<(), LogError> {
        let make = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.issuers)?;
            self.folder.parent().filter(|parent| *parent != Path::new("")).map_or(Ok(()), sync_folder)
        };
        make().map_err(|error| LogError::io("make", &self.issuers, error))
    }

    /// Locks the log for this process, until the file is closed.
    pub(super) fn lock(&self) -> Result<File, LogError> {
        let file = open(&self.lock)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(LogError::InUse { path: self.folder.clone() }),
            Err(TryLockError::Error(error)) => Err(LogError::io("lock", &self.lock, error)),
        }
    }
}

/// Opens a file for reading and writing, made if need be.
pub(super) fn open(path: &Path) -> Result<File, LogError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(|error| LogError::io("open", path, error))
}

pub(super) fn length(file: &File, path: &Path) -> Result<u64, LogError> {
    Ok(file.metadata().map_err(|error| LogError::io("examine", path, error))?.len())
}

/// Makes a file with this content at once and for good: written beside, synced, renamed, and the folder synced.
pub(super) fn create_whole(path: &Path, content: &[u8]) -> Result<(), LogError> {
    let write = || -> io::Result<()> {
        let beside = path.with_extension("new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        sync_folder(path.parent().unwrap_or(Path::new(".")))
    };
    write().map_err(|error| LogError::io("write", path, error))
}

/// Makes the names in a folder survive a power cut.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
