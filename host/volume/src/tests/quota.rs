//! Volumes that are folders with a project quota, on a filesystem made for the test.

use super::{Ground, fill, held, lease};
use crate::{Method, Preference, Removal, VolumeError, VolumeState, give_up_exemption};
use hypermesh_model::{Bytes, EnforcementState};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The size of each filesystem: the smallest that mkfs.xfs makes, and some.
const FILESYSTEM: u64 = 400 << 20;
/// Filesystems with project quotas, and how each is made.
const FILESYSTEMS: [(&str, &[&str]); 2] = [
    ("mkfs.ext4", &["-q", "-F", "-O", "project,quota", "-E", "quotatype=prjquota"]),
    ("mkfs.xfs", &["-q", "-f"]),
];

/// `EXT4_SUPER_MAGIC` of `<linux/magic.h>`.
const EXT4_MAGIC: rustix::fs::FsWord = 0xEF53;

/// A folder of volumes on each filesystem with project quotas; a line that says why for each that isn't possible.
pub(super) fn grounds(test: &str) -> Vec<Ground> {
    let mut grounds = Vec::new();
    for (mkfs, options) in FILESYSTEMS {
        let ground = Ground { folder: tempfile::tempdir().unwrap(), preference: Preference::Quota };
        if let Err(error) = make_filesystem(ground.folder.path(), mkfs, options) {
            eprintln!("SKIPPED {test} (with quotas of {mkfs}): {error}");
            continue;
        }
        fs::create_dir(ground.path()).unwrap();
        assert_eq!(crate::probe(&ground.path(), Path::new("/"), Preference::Quota), Method::ProjectQuota);
        grounds.push(ground);
    }
    grounds
}

/// Mounts one over the folder; it goes with the folder's guard.
fn make_filesystem(folder: &Path, mkfs: &str, options: &[&str]) -> io::Result<()> {
    let image = folder.join("filesystem");
    File::create(&image)?.set_len(FILESYSTEM)?;
    run(Command::new(mkfs).args(options).arg(&image))?;
    run(Command::new("mount").args(["-o", "loop,prjquota"]).arg(&image).arg(folder))
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
    if output.status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {said}"))) }
}

/// Fills a folder from a thread that the kernel makes no exception for.
fn fill_as_anybody(folder: &Path) -> (u64, io::Error) {
    let folder = folder.to_owned();
    let filling = std::thread::spawn(move || {
        give_up_exemption().unwrap();
        fill(&folder)
    });
    filling.join().unwrap()
}

#[test]
fn a_quota_holds_its_size_exactly_and_changes_while_it_is_used() {
    for ground in grounds("a_quota_holds_its_size_exactly_and_changes_while_it_is_used") {
        let volumes = ground.open();
        let volume = volumes.create(&lease("a"), Bytes::mib(16), None).unwrap();
        assert_eq!((volume.receipt.state, held(&volume)), (EnforcementState::Enforced, 16 << 20));
        assert!(volume.receipt.reason.unwrap().contains("CAP_SYS_RESOURCE"), "what it doesn't bound is said");
        assert!(volume.receipt.file.unwrap().starts_with("/dev/loop"));
        let (written, error) = fill_as_anybody(&volume.path);
        // ext4 says the one, XFS the other.
        let refused = [io::ErrorKind::QuotaExceeded, io::ErrorKind::StorageFull];
        assert!(refused.contains(&error.kind()), "{error}");
        assert!((16 << 20) - written <= 64 << 10, "{written}");
        let usage = volumes.usage(&lease("a")).unwrap();
        assert_eq!((usage.size, usage.files), (Bytes::mib(16), 1));
        assert!(usage.used.0 >= written && usage.used <= usage.size, "{usage:?}");

        let error = volumes.resize(&lease("a"), Bytes::mib(8)).unwrap_err();
        assert!(matches!(error, VolumeError::InUse { used, .. } if used > Bytes::mib(15)), "{error}");
        assert_eq!(held(&volumes.list().unwrap()[0]), 16 << 20, "the old limit stays");
        let open = File::open(volume.path.join("filling")).unwrap();
        assert_eq!(held(&volumes.resize(&lease("a"), Bytes::mib(24)).unwrap()), 24 << 20);
        assert!(fill_as_anybody(&volume.path).0 > 23 << 20);
        drop(open);
        fs::remove_file(volume.path.join("filling")).unwrap();
        assert_eq!(held(&volumes.resize(&lease("a"), Bytes::mib(2)).unwrap()), 2 << 20);
        assert!(fill_as_anybody(&volume.path).0 <= 2 << 20);
        assert_eq!(volumes.remove(&lease("a")).unwrap(), Removal::Done);
        ground.assert_clean();
    }
}

#[test]
fn a_process_with_cap_sys_resource_is_the_exception_that_the_receipt_names() {
    let test = "a_process_with_cap_sys_resource_is_the_exception_that_the_receipt_names";
    let exempt = rustix::thread::CapabilitySet::SYS_RESOURCE;
    if !rustix::thread::capabilities(None).unwrap().effective.contains(exempt) {
        eprintln!("SKIPPED {test}: no CAP_SYS_RESOURCE");
        return;
    }
    for ground in grounds(test) {
        let volumes = ground.open();
        let volume = volumes.create(&lease("a"), Bytes::mib(4), None).unwrap();
        let written = fs::write(volume.path.join("file"), vec![1; 8 << 20]);
        let is_ext4 = rustix::fs::statfs(&volume.path).unwrap().f_type == EXT4_MAGIC;
        assert_eq!(written.is_ok(), is_ext4, "XFS makes no exception");
        let used = volumes.usage(&lease("a")).unwrap().used;
        assert_eq!(used > Bytes::mib(8), is_ext4, "{used}: it is counted, and not refused");
        volumes.remove(&lease("a")).unwrap();
    }
}

#[test]
fn files_are_bounded_too() {
    for ground in grounds("files_are_bounded_too") {
        let volumes = ground.open();
        let volume = volumes.create(&lease("a"), Bytes::mib(1), None).unwrap();
        let most = volumes.usage(&lease("a")).unwrap().max_files;
        let path = volume.path.clone();
        let made = std::thread::spawn(move || {
            give_up_exemption().unwrap();
            (0..10_000).take_while(|number| File::create(path.join(number.to_string())).is_ok()).count()
        });
        assert_eq!(made.join().unwrap() as u64, most);
        assert_eq!(volumes.remove(&lease("a")).unwrap(), Removal::Done);
        ground.assert_clean();
    }
}

#[test]
fn what_quotas_have_promised_is_not_promised_again() {
    for ground in grounds("what_quotas_have_promised_is_not_promised_again") {
        let volumes = ground.open();
        volumes.create(&lease("a"), Bytes::mib(200), None).unwrap();
        let error = volumes.create(&lease("b"), Bytes::mib(200), None).unwrap_err();
        assert!(matches!(error, VolumeError::NoRoom { .. }), "{error}");
        let error = volumes.resize(&lease("a"), Bytes::mib(500)).unwrap_err();
        assert!(matches!(error, VolumeError::NoRoom { .. }), "{error}");
        volumes.create(&lease("b"), Bytes::mib(20), None).unwrap();
        assert_eq!(volumes.list().unwrap().len(), 2);
    }
}

#[test]
fn a_removed_file_that_is_open_keeps_its_limit_and_project() {
    for ground in grounds("a_removed_file_that_is_open_keeps_its_limit_and_project") {
        let volumes = ground.open();
        let volume = volumes.create(&lease("a"), Bytes::mib(4), None).unwrap();
        fs::write(volume.path.join("file"), vec![1; 1 << 20]).unwrap();
        let open = File::open(volume.path.join("file")).unwrap();
        assert_eq!(volumes.remove(&lease("a")).unwrap(), Removal::Held);
        assert_eq!(volumes.list().unwrap()[0].state, VolumeState::Removing);
        assert_eq!(open.metadata().unwrap().nlink(), 0);
        let other = volumes.create(&lease("b"), Bytes::mib(4), None).unwrap();
        assert_eq!(fs::read_dir(&other.path).unwrap().count(), 0);
        assert!(volumes.usage(&lease("b")).unwrap().used < Bytes(64 << 10), "it has another project");
        drop(open);
        assert_eq!(volumes.remove(&lease("a")).unwrap(), Removal::Done);
        assert_eq!(volumes.remove(&lease("b")).unwrap(), Removal::Done);
        ground.assert_clean();
    }
}

#[test]
fn sixteen_quotas_at_once_have_sixteen_projects() {
    for ground in grounds("sixteen_quotas_at_once_have_sixteen_projects") {
        let volumes = ground.open();
        std::thread::scope(|scope| {
            for number in 0..16 {
                let volumes = &volumes;
                scope.spawn(move || {
                    let lease = lease(&format!("alloc-{number}"));
                    let volume = volumes.create(&lease, Bytes::mib(2), None).unwrap();
                    fs::write(volume.path.join("file"), vec![1; 1 << 20]).unwrap();
                });
            }
        });
        for volume in volumes.list().unwrap() {
            let used = volumes.usage(&volume.lease).unwrap();
            assert_eq!(used.files, 1, "{}: its own project", volume.lease);
            assert_eq!(volumes.remove(&volume.lease).unwrap(), Removal::Done);
        }
        ground.assert_clean();
    }
}
