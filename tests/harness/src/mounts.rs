//! What is mounted for one node, read and cleaned up without asking the node.
//!
//! Folders of leases outlive the node on purpose, so every test ends by taking away those of its own nodes: what is
//! mounted below the node's folder, and only that.

use rustix::mount::{UnmountFlags, unmount};
use std::fs;
use std::path::{Path, PathBuf};

/// Where something is mounted below a folder.
pub fn below(folder: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    points.filter(|point| point.starts_with(folder)).collect()
}

/// The files below a folder from which loop devices are made.
pub fn loop_files(folder: &Path) -> Vec<PathBuf> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let backing =
        devices.filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok());
    backing.map(|file| PathBuf::from(file.trim())).filter(|file| file.starts_with(folder)).collect()
}

/// Takes away what is mounted below a folder; its loop devices free themselves with it.
pub(crate) fn clean(folder: &Path) {
    for point in below(folder).iter().rev() {
        if let Err(error) = unmount(point, UnmountFlags::DETACH) {
            eprintln!("{} stays mounted: {error}", point.display());
        }
    }
}
