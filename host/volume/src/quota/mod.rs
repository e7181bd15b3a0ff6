//! Volumes that are folders with a project quota.
//!
//! The folder gets a project of its own, which all that is made in it inherits, and the project a limit in bytes and in
//! files. Nothing is mounted, so making, changing and finding again are each a few system calls on the folder.
//!
//! While a process holds a removed file open, its bytes still count: the limit stays until they are gone, and so does the
//! record, so that the project isn't given to another lease meanwhile.

mod wipe;

use crate::error::{Doing, VolumeError};
use crate::image::BYTES_PER_INODE;
use crate::record::{Place, make_folder};
use crate::steps::{Step, Steps};
use crate::sys::project;
use crate::sys::quotactl::{self, Project};
use crate::volume::VolumeUsage;
use hypermesh_model::Bytes;
use rustix::fs::statvfs;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;
pub(crate) use wipe::wipe;

/// Projects of volumes are numbered from here: `/etc/projects` and container runtimes count from small numbers.
const FIRST_PROJECT: u32 = 0x4859_0000;
/// How many numbers are tried.
const PROJECT_TRIES: u32 = 1 << 16;
/// Limits are whole blocks of the filesystem, which has no smaller ones than what it is asked for here.
const UNIT: u64 = 4096;
/// How long removed files may go on counting: XFS takes them out of its counts behind the caller's back, within
/// milliseconds. There is nothing to wait on, so it is looked at again and again.
const COUNT_TRIES: u32 = 40;
const COUNT_PAUSE: Duration = Duration::from_millis(5);
/// A small volume may have this many files even so.
const LEAST_FILES: u64 = 64;

/// Whether the filesystem that holds a folder enforces limits of projects.
pub(crate) fn is_enforced(folder: &Path) -> io::Result<bool> {
    quotactl::is_enforced(&File::open(folder)?)
}

/// What the kernel holds of a project on the filesystem that holds a folder.
pub(crate) fn held(folder: &Path, project: u32) -> Result<Project, VolumeError> {
    let open = File::open(folder).doing("open", folder)?;
    quotactl::read(&open, project).doing("read the quota of", folder)
}

/// A project that nobody uses: no file, no limit, and not in `taken`. The caller keeps others from looking meanwhile.
pub(crate) fn free_project(volumes: &Path, taken: &[u32]) -> Result<u32, VolumeError> {
    let folder = File::open(volumes).doing("open", volumes)?;
    for project in FIRST_PROJECT..FIRST_PROJECT + PROJECT_TRIES {
        let unused = !taken.contains(&project)
            && quotactl::read(&folder, project).doing("read the quota of", volumes)? == Project::default();
        if unused {
            return Ok(project);
        }
    }
    Err(VolumeError::NoProject { tries: PROJECT_TRIES })
}

/// The limit in bytes that a size means.
fn bytes(size: Bytes) -> u64 {
    size.0 - size.0 % UNIT
}

/// The most files: as an image of the size would have, so that a lease can't use up the filesystem's inodes.
fn files(size: Bytes) -> u64 {
    LEAST_FILES + size.0 / BYTES_PER_INODE
}

/// Makes the folder and bounds it. What was done before is done again.
pub(crate) fn make(place: &Place, project: u32, size: Bytes, steps: &Steps) -> Result<(), VolumeError> {
    let path = place.folder();
    make_folder(&path)?;
    let folder = File::open(&path).doing("open", &path)?;
    // The limit first: there is no moment in which the folder is granted without it.
    set(&folder, &path, project, size)?;
    steps.reach(Step::LimitSet);
    if project::inherited(&folder).doing("read the project of", &path)? != Some(project) {
        project::assign(&folder, project).doing("set the project of", &path)?;
    }
    steps.reach(Step::ProjectSet);
    Ok(())
}

/// Changes the limit of a volume; what it holds may not be more.
///
/// # Errors
/// `Err(Ok(used))` when it holds more than `size`: the old limit stays.
pub(crate) fn resize(
    place: &Place,
    project: u32,
    old: Bytes,
    size: Bytes,
) -> Result<Result<(), Bytes>, VolumeError> {
    let path = place.folder();
    let folder = File::open(&path).doing("open", &path)?;
    let used = |()| quotactl::read(&folder, project).doing("read the quota of", &path).map(|held| held.used);
    let before = used(())?;
    if before > bytes(size) {
        return Ok(Err(Bytes(before)));
    }
    set(&folder, &path, project, size)?;
    // A process may have written between the look and the limit.
    let after = used(())?;
    if after > bytes(size) {
        set(&folder, &path, project, old)?;
        return Ok(Err(Bytes(after)));
    }
    Ok(Ok(()))
}

fn set(folder: &File, path: &Path, project: u32, size: Bytes) -> Result<(), VolumeError> {
    let limit = bytes(size);
    quotactl::limit(folder, project, limit, files(size)).doing("set the quota of", path)?;
    let held = quotactl::read(folder, project).doing("read the quota of", path)?;
    if held.limit == limit {
        Ok(())
    } else {
        Err(VolumeError::NotHeld {
            path: path.to_owned(),
            requested: Bytes(limit),
            actual: Bytes(held.limit),
        })
    }
}

/// What the kernel holds of a volume, and whether its folder has its project and the filesystem enforces limits;
/// `None` for a folder that isn't there.
pub(crate) fn look(place: &Place, project: u32) -> Result<Option<(Project, bool)>, VolumeError> {
    let path = place.folder();
    let folder = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.doing("open", &path)?,
    };
    let held = quotactl::read(&folder, project).doing("read the quota of", &path)?;
    let bound = project::inherited(&folder).doing("read the project of", &path)? == Some(project);
    let enforced = quotactl::is_enforced(&folder).doing("read the quotas of", &path)?;
    Ok(Some((held, bound && enforced)))
}

/// What the kernel counts of a volume.
pub(crate) fn usage(held: &Project) -> VolumeUsage {
    VolumeUsage {
        size: Bytes(held.limit),
        used: Bytes(held.used),
        files: held.files.saturating_sub(1),
        max_files: held.file_limit.saturating_sub(1),
    }
}

/// Removes the folder with all that is in it, then the limit. Whether nothing holds its bytes any more.
pub(crate) fn remove(volumes: &Path, place: &Place, project: u32) -> Result<bool, VolumeError> {
    let before = held(volumes, project)?;
    match File::open(place.folder()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => other.and_then(|folder| project::release(&folder)).doing("release", &place.folder())?,
    }
    wipe(&place.folder(), before.files).doing("empty", &place.folder())?;
    if !counted_out(volumes, project)? {
        return Ok(false);
    }
    let folder = File::open(volumes).doing("open", volumes)?;
    quotactl::limit(&folder, project, 0, 0).doing("lift the quota of", volumes)?;
    Ok(true)
}

/// Waits a little until nothing is counted for a project any more.
fn counted_out(volumes: &Path, project: u32) -> Result<bool, VolumeError> {
    for _ in 0..COUNT_TRIES {
        if held(volumes, project)?.files == 0 {
            return Ok(true);
        }
        // Asking for the filesystem's state makes XFS finish what it has put off.
        statvfs(volumes).doing("measure", volumes)?;
        std::thread::sleep(COUNT_PAUSE);
    }
    Ok(false)
}
