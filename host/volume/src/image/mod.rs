//! Volumes that are images: attached, detached, measured.
//!
//! The image is a file that a loop device shows as a disk, on which an ext4 is mounted at the volume's folder. Attaching
//! and detaching start from what the kernel says is there, not from what was done before, so that each can be repeated:
//! mountinfo tells what is mounted, sysfs which device has the file. A second device over the same file would let two
//! filesystems write the same blocks, so a device that exists is used again.

mod format;
mod grow;
pub(crate) mod programs;
mod search;
mod superblock;

pub(crate) use format::{make, reserve, unreserved};
pub(crate) use grow::Growth;
pub(crate) use programs::{BYTES_PER_INODE, Depth};

use crate::error::{Doing, VolumeError};
use crate::record::{Place, absent, make_folder};
use crate::steps::{Step, Steps};
use crate::sys::SystemRoot;
use crate::sys::loop_device::{self, BIND_TRIES, LoopDevice};
use crate::sys::mounts;
use crate::volume::VolumeUsage;
use hypermesh_model::Bytes;
use rustix::fs::statvfs;
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

/// A damaged filesystem becomes read-only instead of worse.
const MOUNT_OPTIONS: &std::ffi::CStr = c"errors=remount-ro";
/// How long a device may take to let go of its file after the unmount: the kernel does it at once, but udev may be
/// looking at the device. There is nothing to wait on, so it is looked at again and again.
const RELEASE_TRIES: u32 = 40;
const RELEASE_PAUSE: Duration = Duration::from_millis(5);
/// Inodes that ext4 counts as used and that are no files of the volume: the first ten, the root among them.
const OWN_INODES: u64 = 10;
/// Blocks that ext4 counts as used and that are no file's of the volume: the root's first, and one that finds the blocks
/// into which the group descriptors may grow.
const OWN_BLOCKS: u64 = 2;

/// Whether the bytes are free to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    /// No device has the image.
    Free,
    /// A process, or another mount namespace, keeps the filesystem alive.
    Held,
}

/// The number of the device that is mounted at the volume's folder, if any; it is the volume's own.
fn mounted(system: &SystemRoot, place: &Place) -> Result<Option<u32>, VolumeError> {
    let folder = place.folder();
    let Some(found) = mounts::at(system, &folder).doing("look for", &folder)? else { return Ok(None) };
    let image = place.image();
    let number = loop_device::number_of(system, &image).doing("find the device of", &image)?;
    // The folder of device nodes may be another than it was: only the name counts.
    let own = number.filter(|number| found.source.ends_with(&format!("/loop{number}")));
    own.map(Some).ok_or(VolumeError::NotOurs { path: folder, source_device: found.source })
}

/// Mounts the image at its folder, if it isn't, and reserves what was punched out of it.
pub(crate) fn attach(system: &SystemRoot, place: &Place, steps: &Steps) -> Result<(), VolumeError> {
    let (path, folder) = (place.image(), place.folder());
    let image = OpenOptions::new().read(true).write(true).open(&path).doing("open", &path)?;
    if unreserved(&path).doing("measure", &path)?.0 > 0 {
        reserve(&image, &path)?;
    }
    if mounted(system, place)?.is_some() {
        return Ok(());
    }
    let device = match LoopDevice::of(system, &path).doing("find the device of", &path)? {
        Some(device) => device,
        None => LoopDevice::bind(system, &image)
            .doing("bind a loop device to", &path)?
            .ok_or(VolumeError::NoLoopDevice { tries: BIND_TRIES })?,
    };
    steps.reach(Step::Bound);
    make_folder(&folder)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RELATIME;
    mount(&device.path, &folder, c"ext4", flags, MOUNT_OPTIONS).doing("mount", &folder)?;
    // Mounts and unmounts below the folder are the lease's own business.
    mount_change(&folder, MountPropagationFlags::PRIVATE).doing("make private", &folder)?;
    // For e2fsck, which makes it again when it needs it.
    let lost = folder.join("lost+found");
    match absent(fs::remove_dir(&lost)) {
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
            Err(error).doing("remove", &lost)?
        }
        Ok(()) | Err(_) => {}
    }
    steps.reach(Step::Mounted);
    Ok(())
}

/// Checks the filesystem of an image that nobody uses, after a crash or a reboot: a small one has no journal, and one that
/// was being grown may be half of each.
pub(crate) fn check_if_unused(system: &SystemRoot, place: &Place, depth: Depth) -> Result<(), VolumeError> {
    let image = place.image();
    match loop_device::number_of(system, &image).doing("find the device of", &image)? {
        Some(_) => Ok(()),
        None => programs::check(&image, depth),
    }
}

/// Takes the folder away. `Held` when somebody uses the filesystem: it is then out of the tree, but alive.
pub(crate) fn detach(system: &SystemRoot, place: &Place) -> Result<Release, VolumeError> {
    if unmount_once(system, place)? == Release::Held {
        let folder = place.folder();
        tracing::warn!(folder = %folder.display(), "a volume is in use; it leaves the tree and goes when its last user does");
        unmount(&folder, UnmountFlags::DETACH).doing("detach", &folder)?;
    }
    released(system, place)
}

/// Unmounts what is ours; `Held` when it is in use and stays.
fn unmount_once(system: &SystemRoot, place: &Place) -> Result<Release, VolumeError> {
    if mounted(system, place)?.is_none() {
        return Ok(Release::Free);
    }
    let folder = place.folder();
    match unmount(&folder, UnmountFlags::NOFOLLOW) {
        Ok(()) => Ok(Release::Free),
        Err(Errno::BUSY) => Ok(Release::Held),
        Err(error) => Err(error).doing("unmount", &folder),
    }
}

/// Waits a little for the device to let go of the image.
fn released(system: &SystemRoot, place: &Place) -> Result<Release, VolumeError> {
    let image = place.image();
    let mut last = None;
    for _ in 0..RELEASE_TRIES {
        match loop_device::number_of(system, &image).doing("find the device of", &image)? {
            Some(number) => last = Some(number),
            None => {
                if let Some(number) = last {
                    loop_device::restore_discard(system, number);
                }
                return Ok(Release::Free);
            }
        }
        std::thread::sleep(RELEASE_PAUSE);
    }
    Ok(Release::Held)
}

/// What the kernel counts. `None` when it isn't mounted.
pub(crate) fn usage(system: &SystemRoot, place: &Place) -> Result<Option<VolumeUsage>, VolumeError> {
    let Some(number) = mounted(system, place)? else { return Ok(None) };
    let folder = place.folder();
    let held = statvfs(&folder).doing("measure", &folder)?;
    Ok(Some(VolumeUsage {
        size: capacity(system, number, &folder)?,
        used: Bytes((held.f_blocks - held.f_bfree).saturating_sub(OWN_BLOCKS) * held.f_frsize),
        files: (held.f_files - held.f_ffree).saturating_sub(OWN_INODES),
        max_files: held.f_files.saturating_sub(OWN_INODES),
    }))
}

/// What files can hold on a device's mounted filesystem: all blocks but its own and those that the kernel holds back.
fn capacity(system: &SystemRoot, number: u32, folder: &Path) -> Result<Bytes, VolumeError> {
    let held = statvfs(folder).doing("measure", folder)?;
    // Not `f_bfree - f_bavail`: that shrinks when the filesystem is full and the kernel begins to use its reserve.
    let file = system.path(&format!("/sys/fs/ext4/loop{number}/reserved_clusters"));
    let text = fs::read_to_string(&file).doing("read", &file)?;
    let held_back: u64 = text.trim().parse().map_err(io::Error::other).doing("read a number from", &file)?;
    Ok(Bytes(held.f_blocks.saturating_sub(held_back + OWN_BLOCKS) * held.f_frsize))
}
