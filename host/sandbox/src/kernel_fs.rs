//! The file layer: kernel files are opened without O_CREAT, written in one call, and read back by others.
//!
//! O_CREAT would turn a wrong path inside the tmpfs above the v1 mounts into a plain file that takes every limit and
//! enforces none. Making and removing folders goes through [`Folders`], the one thing that a fixture must imitate:
//! only the kernel fills a new folder with files.

use crate::CgroupError;
use crate::error::is_missing;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Makes and removes single group folders.
pub(crate) trait Folders: Send + Sync {
    /// `mkdir(2)`.
    fn make(&self, path: &Path) -> io::Result<()>;
    /// `rmdir(2)`.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The kernel's own.
pub(crate) struct KernelFolders;

impl Folders for KernelFolders {
    fn make(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }
}

/// Makes a group; whether it was made now. One that exists is fine, a file in its place is not.
pub(crate) fn make_group(folders: &dyn Folders, path: &Path) -> Result<bool, CgroupError> {
    match folders.make(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            Err(CgroupError::NotAGroup { path: path.to_owned() })
        }
        Err(source) => Err(CgroupError::Io { action: "create", path: path.to_owned(), source }),
    }
}

/// More than most kernel files hold: one call reads such a file, a second one finds its end.
const PIECE: usize = 4096;

/// These files have a length of 0 for who asks, and std then reads a few bytes at a time.
fn read_to_string(path: &Path) -> io::Result<String> {
    let mut text = String::with_capacity(PIECE);
    // `Take` asks for no length.
    fs::File::open(path)?.take(u64::MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Reads a file, without its last newline.
pub(crate) fn read(path: &Path) -> Result<String, CgroupError> {
    match read_to_string(path) {
        Ok(mut text) => {
            text.truncate(text.trim_end().len());
            Ok(text)
        }
        Err(source) => Err(CgroupError::Io { action: "read", path: path.to_owned(), source }),
    }
}

/// Reads a file that this kernel may not have.
pub(crate) fn read_optional(path: &Path) -> Result<Option<String>, CgroupError> {
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.is_missing() => Ok(None),
        Err(e) => Err(e),
    }
}

/// Writes to a file that exists.
pub(crate) fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)
        .and_then(|mut file| file.write_all(value.as_bytes()))
        .map_err(|source| CgroupError::Write { path: path.to_owned(), value: value.to_owned(), source })
}

/// Writes to a file that exists and reads what it then holds, without its last newline, through one descriptor.
pub(crate) fn write_and_read(path: &Path, value: &str) -> Result<String, CgroupError> {
    let refused = |source| CgroupError::Write { path: path.to_owned(), value: value.to_owned(), source };
    let mut file = OpenOptions::new().read(true).write(true).truncate(true).open(path).map_err(refused)?;
    file.write_all(value.as_bytes()).map_err(refused)?;
    let mut text = String::with_capacity(PIECE);
    // The kernel makes the text anew for a read from the beginning.
    let from_start = file.seek(io::SeekFrom::Start(0));
    match from_start.and_then(|_| file.take(u64::MAX).read_to_string(&mut text)) {
        Ok(_) => {
            text.truncate(text.trim_end().len());
            Ok(text)
        }
        Err(source) => Err(CgroupError::Io { action: "read", path: path.to_owned(), source }),
    }
}

/// Reads one number; `None` when the file does not exist.
pub(crate) fn number(path: &Path) -> Result<Option<u64>, CgroupError> {
    let Some(text) = read_optional(path)? else { return Ok(None) };
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(CgroupError::Malformed {
            path: path.to_owned(),
            text: text.chars().take(80).collect(),
            expected: "a number",
        }),
    }
}

/// The number after `key` in a file of `key number` lines; `None` when the file or the key does not exist.
pub(crate) fn keyed(path: &Path, key: &str) -> Result<Option<u64>, CgroupError> {
    Ok(read_optional(path)?.and_then(|text| keyed_in(&text, key)))
}

pub(crate) fn keyed_in(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The words of a file; none when it does not exist.
pub(crate) fn words(path: &Path) -> Result<Vec<String>, CgroupError> {
    Ok(read_optional(path)?.unwrap_or_default().split_whitespace().map(str::to_owned).collect())
}

/// The processes directly in a group; none when it does not exist. Processes of other PID namespaces read as 0 and
/// are left out: they have no name here.
pub(crate) fn processes(group: &Path) -> Result<Vec<u32>, CgroupError> {
    let text = read_optional(&group.join("cgroup.procs"))?.unwrap_or_default();
    Ok(text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid != 0).collect())
}

/// The groups directly below one; none when it does not exist.
pub(crate) fn children(group: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(group)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                found.push(entry.path());
            }
        }
        Ok(found)
    };
    match list() {
        Ok(found) => Ok(found),
        Err(e) if is_missing(&e) => Ok(Vec::new()),
        Err(source) => Err(CgroupError::Io { action: "list", path: group.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_never_makes_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory.max");
        assert!(write(&path, "1").unwrap_err().is_missing());
        assert!(!path.exists());
    }

    #[test]
    fn a_key_is_a_whole_word() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3";
        assert_eq!(keyed_in(text, "oom_kill"), Some(3));
        assert_eq!(keyed_in(text, "oom"), None);
    }

    #[test]
    fn a_file_in_the_place_of_a_group_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasks");
        fs::write(&path, "").unwrap();
        assert!(matches!(make_group(&KernelFolders, &path), Err(CgroupError::NotAGroup { .. })));
    }
}
