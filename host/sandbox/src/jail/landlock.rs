//! Landlock: no file can be opened but in the granted folders (`Documentation/userspace-api/landlock.rst`).
//!
//! It holds whether or not there is an empty root, and is what keeps a worker in a folder that it got as a plain
//! descriptor. Files that are open already stay usable. The crate is that of Landlock's own maintainer; its rules take
//! descriptors, and it asks for as much as the kernel knows.

use super::sys;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// The newest that this crate can ask for; a kernel that knows less is asked for what it knows.
const NEWEST: ABI = ABI::V7;

/// The version of its interface that the kernel speaks; why there is none.
pub(super) fn probe() -> Result<i64, String> {
    sys::landlock_version().map_err(|error| format!("landlock_create_ruleset(2): {error}"))
}

/// What a version holds back, for people.
pub(super) fn describe(version: i64) -> String {
    let mut text = format!("interface {version}: only the granted folders can be opened");
    if version >= 4 {
        text += ", no TCP";
    }
    if version >= 6 {
        text += ", no signals and abstract sockets to others";
    }
    text
}

/// Everything denied, nothing granted yet.
pub(super) fn closed() -> io::Result<RulesetCreated> {
    let closed = || {
        Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()
    };
    closed().map_err(of)
}

/// Grants a folder with all below it.
pub(super) fn grant(
    ruleset: RulesetCreated,
    folder: impl AsFd,
    is_writable: bool,
) -> io::Result<RulesetCreated> {
    ruleset.add_rule(PathBeneath::new(folder, rights(is_writable))).map_err(of)
}

/// Grants a file or folder by name.
pub(super) fn grant_path(
    ruleset: RulesetCreated,
    path: &Path,
    is_writable: bool,
) -> io::Result<RulesetCreated> {
    let rights =
        if path.is_dir() { rights(is_writable) } else { rights(is_writable) & AccessFs::from_file(NEWEST) };
    let opened = PathFd::new(path).map_err(io::Error::other)?;
    ruleset.add_rule(PathBeneath::new(opened, rights)).map_err(of)
}

/// Neither executing, nor devices, pipes and sockets.
fn rights(is_writable: bool) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSym
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    if is_writable { read | write } else { read }
}

/// Closes it around this thread, for good.
pub(super) fn restrict(ruleset: RulesetCreated) -> io::Result<()> {
    match ruleset.restrict_self().map_err(of)?.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => Err(rustix::io::Errno::OPNOTSUPP.into()),
    }
}

fn of(error: RulesetError) -> io::Error {
    io::Error::other(error)
}
