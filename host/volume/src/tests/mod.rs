//! Volumes on the real kernel: made, filled, grown, crashed, removed.
//!
//! They need root and loop devices, or a filesystem with project quotas; what isn't there is skipped by name. Each test
//! has a folder of its own, and whatever it mounted is unmounted at its end, also when it fails.

mod crash;
mod image;
mod quota;

use crate::steps::Steps;
use crate::{Method, Preference, Volume, Volumes};
use hypermesh_model::LeaseId;
use rustix::mount::{UnmountFlags, unmount};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A folder of volumes. Drop the [`Volumes`] before it.
struct Ground {
    folder: tempfile::TempDir,
    preference: Preference,
}

impl Ground {
    /// `None`, and a line that says why, where images aren't possible.
    fn for_images(test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        match crate::probe(folder.path(), Path::new("/"), Preference::Image) {
            Method::LoopImage => Some(Self { folder, preference: Preference::Image }),
            other @ (Method::ProjectQuota | Method::Unavailable { .. }) => {
                eprintln!("SKIPPED {test}: {other:?}");
                None
            }
        }
    }

    fn path(&self) -> PathBuf {
        // As mountinfo and sysfs show it.
        self.folder.path().canonicalize().unwrap().join("volumes")
    }

    fn open(&self) -> Volumes {
        self.open_with(Steps::default())
    }

    fn open_with(&self, steps: Steps) -> Volumes {
        Volumes::open_with(&self.path(), Path::new("/"), self.preference, steps).unwrap()
    }

    /// What the kernel still has of this folder: mount points and loop devices.
    fn left_in_kernel(&self) -> Vec<String> {
        let below = self.folder.path().canonicalize().unwrap().display().to_string();
        let mut left = mount_points(&below);
        for entry in fs::read_dir("/sys/block").unwrap() {
            let file = entry.unwrap().path().join("loop/backing_file");
            left.extend(fs::read_to_string(file).ok().filter(|text| text.starts_with(&below)));
        }
        left
    }

    /// Nothing is left, in the kernel and on disk.
    fn assert_clean(&self) {
        // The filesystem of a test with quotas is one mount and one device.
        let own = if self.preference == Preference::Quota { 2 } else { 0 };
        let left = self.left_in_kernel();
        assert!(left.len() <= own, "{left:?}");
        let names: Vec<_> = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(names, Vec::<PathBuf>::new());
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for point in mount_points(&self.folder.path().display().to_string()).iter().rev() {
            if let Err(error) = unmount(point.as_str(), UnmountFlags::DETACH) {
                eprintln!("{point} stays mounted: {error}");
            }
        }
    }
}

/// The mount points that begin so, as mountinfo lists them: outer ones first.
fn mount_points(below: &str) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = text.lines().filter_map(|line| line.split(' ').nth(4));
    points.filter(|point| point.starts_with(below)).map(str::to_owned).collect()
}

fn lease(name: &str) -> LeaseId {
    LeaseId::parse(name).unwrap()
}

/// Writes until the kernel refuses a single block: how many bytes, and what it said. A large piece is refused as a whole
/// where a smaller one still fits.
fn fill(folder: &Path) -> (u64, io::Error) {
    let mut file = File::create(folder.join("filling")).unwrap();
    let mut piece = vec![0xA5; 64 << 10];
    let mut written = 0;
    loop {
        match file.write(&piece) {
            Ok(count) => written += count as u64,
            Err(_) if piece.len() > 4096 => piece.truncate(piece.len() / 2),
            Err(error) => {
                file.sync_all().unwrap();
                return (written, error);
            }
        }
    }
}

/// What the receipt says files can hold.
fn held(volume: &Volume) -> u64 {
    volume.receipt.actual.as_ref().unwrap().parse().unwrap()
}
