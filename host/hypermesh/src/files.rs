//! Files that are sent and written: opened once, hashed, and only then uploaded from the same handle.
//!
//! A file that changes between the hash and the upload is noticed by its digest, which the node computes anew.

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

/// Bytes hashed at once.
const CHUNK: usize = 64 << 10;

/// A regular file, ready to be read from its beginning.
#[derive(Debug)]
pub(crate) struct LocalFile {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// In bytes.
    pub(crate) length: u64,
    /// SHA-256, 64 hexadecimal digits.
    pub(crate) digest: String,
}

impl LocalFile {
    /// Opens and hashes a file.
    ///
    /// # Errors
    /// When it can't be read, or is no regular file: a pipe or device has no length to announce.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let what = || format!("could not read {}", path.display());
        let mut file = File::open(path).with_context(what)?;
        if !file.metadata().with_context(what)?.is_file() {
            bail!("{} is not a regular file", path.display());
        }
        let (digest, length) = sha256(&mut file).with_context(what)?;
        file.rewind().with_context(what)?;
        Ok(Self { path: path.to_owned(), file, length, digest })
    }

    /// The last component of its path.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().map_or_else(|| "input".to_owned(), |name| name.to_string_lossy().into_owned())
    }
}

fn sha256(reader: &mut impl Read) -> std::io::Result<(String, u64)> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut length = 0;
    loop {
        let count = reader.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        hasher.update(&chunk[..count]);
        length += count as u64;
    }
    let digits = hasher.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    Ok((digits, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_hashed_and_read_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let mut local = LocalFile::open(&path).unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(local.digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let mut text = String::new();
        local.file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), local.length, local.name().as_str()), ("abc", 3, "abc"));
    }

    #[test]
    fn what_has_no_length_is_refused() {
        let error = LocalFile::open(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "/dev/zero is not a regular file");
        assert!(LocalFile::open(Path::new("/nowhere")).is_err());
    }
}
