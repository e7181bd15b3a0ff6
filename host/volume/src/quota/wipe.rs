//! Removing a folder that a stranger filled.
//!
//! Its depth is the stranger's choice, so nothing here recurses or keeps a descriptor a level: folders inside folders are
//! lifted to the top, one level a round, and what is in them goes. Symbolic links are removed, never followed.

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Rounds beyond the number of files that were counted before: each round removes at least one, unless a process makes new
/// ones meanwhile.
const SPARE_ROUNDS: u64 = 16;

/// Removes a folder and all that is in it; one that isn't there is fine. `files` is how many there are.
///
/// # Errors
/// What the kernel said; `ResourceBusy` when a process fills the folder as fast as it is emptied.
pub(crate) fn wipe(folder: &Path, files: u64) -> io::Result<()> {
    let top = match open(CWD, folder) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    let mut lifted = 0_u64;
    for _ in 0..files.saturating_add(SPARE_ROUNDS) {
        let names = names(&top)?;
        if names.is_empty() {
            return Ok(unlinkat(CWD, folder, AtFlags::REMOVEDIR)?);
        }
        for name in names {
            remove(top.as_fd(), &name, &mut lifted)?;
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// Removes an entry of the top; of a folder all but the folders in it, which are lifted.
fn remove(top: BorrowedFd<'_>, name: &CStr, lifted: &mut u64) -> io::Result<()> {
    if unlinked(top, name)? {
        return Ok(());
    }
    let folder = open(top, name)?;
    for inner in names(&folder)? {
        if !unlinked(folder.as_fd(), &inner)? {
            lift(folder.as_fd(), &inner, top, lifted)?;
        }
    }
    match unlinkat(top, name, AtFlags::REMOVEDIR) {
        // Somebody is still writing: the next round sees it.
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Moves a folder to the top, under a name that is free there.
fn lift(from: BorrowedFd<'_>, name: &CStr, top: BorrowedFd<'_>, lifted: &mut u64) -> io::Result<()> {
    loop {
        let target = format!("{lifted}.lifted");
        *lifted += 1;
        match renameat(from, name, top, target) {
            Ok(()) => return Ok(()),
            // The stranger has one of that name.
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Removes anything but a folder; whether it is gone.
fn unlinked(folder: BorrowedFd<'_>, name: &CStr) -> io::Result<bool> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        // EPERM is POSIX's answer for folders, EISDIR is Linux's.
        Err(Errno::ISDIR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn open(at: BorrowedFd<'_>, name: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, name, flags, Mode::empty())
}

fn names(folder: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folder_deeper_than_any_path_is_removed() {
        let outside = tempfile::tempdir().unwrap();
        let top = outside.path().join("top");
        fs::create_dir(&top).unwrap();
        fs::write(outside.path().join("kept"), "x").unwrap();
        fs::write(top.join("0.lifted"), "in the way").unwrap();
        std::os::unix::fs::symlink(outside.path(), top.join("link")).unwrap();
        // 3,000 levels are more than PATH_MAX, and than the descriptors of a process.
        let mut level = open(CWD, &top).unwrap();
        for depth in 0..3000 {
            let name = format!("level-{depth}");
            rustix::fs::mkdirat(&level, name.as_str(), Mode::RWXU).unwrap();
            level = open(level.as_fd(), name.as_str()).unwrap();
            if depth % 100 == 0 {
                openat(&level, "file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
            }
        }
        wipe(&top, 3040).unwrap();
        assert!(!top.exists() && outside.path().join("kept").exists());
        wipe(&top, 0).unwrap();
    }

    #[test]
    fn a_removal_that_can_not_end_gives_up() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("top");
        // Far deeper than what was counted, as if a process went on digging.
        fs::create_dir_all(top.join(["x"; 100].join("/"))).unwrap();
        assert_eq!(wipe(&top, 3).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        wipe(&top, 100).unwrap();
    }
}
