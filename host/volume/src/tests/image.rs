//! Volumes that are images.

use super::{Ground, fill, held, lease, mount_points};
use crate::{Owner, Removal, Volume, VolumeError, VolumeState};
use hypermesh_model::{Bytes, EnforcementState};
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

fn image(volume: &Volume) -> PathBuf {
    volume.receipt.file.as_ref().unwrap().into()
}

/// Bytes that a file has on the host's disk.
fn on_disk(path: &PathBuf) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

fn may_grow_mounted() -> bool {
    let held = rustix::thread::capabilities(None).unwrap();
    held.effective.contains(rustix::thread::CapabilitySet::SYS_RESOURCE)
}

#[test]
fn a_volume_takes_its_size_and_not_a_byte_more() {
    let Some(ground) = Ground::for_images("a_volume_takes_its_size_and_not_a_byte_more") else { return };
    let volumes = ground.open();
    // The last is neither a whole number of blocks nor within one group of ext4.
    for (name, size) in [("tiny", 1 << 20), ("small", 10 << 20), ("even", 64 << 20), ("odd", 150_000_001)] {
        let volume = volumes.create(&lease(name), Bytes(size), None).unwrap();
        assert_eq!(volume.receipt.state, EnforcementState::Enforced, "{:?}", volume.receipt);
        assert_eq!((volume.receipt.limit.as_str(), &volume.receipt.reason), ("storage", &None));
        let reserved = on_disk(&image(&volume));
        assert!(reserved >= fs::metadata(image(&volume)).unwrap().len());

        let (written, error) = fill(&volume.path);
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::NOSPC.raw_os_error()), "{error}");
        assert!(written <= size && written * 100 >= size * 95, "{written} of {size}");
        assert!(written <= held(&volume));
        assert_eq!(on_disk(&image(&volume)), reserved, "the host had given all blocks before");

        let usage = volumes.usage(&lease(name)).unwrap();
        assert_eq!((usage.size.0, usage.files), (held(&volume), 1));
        assert!(usage.used.0 >= written && usage.used.0 <= usage.size.0 + (64 << 10), "{usage:?}");
        eprintln!("{name}: size {size}, files hold {written}, on the host {reserved}");
        assert_eq!(volumes.remove(&lease(name)).unwrap(), Removal::Done);
    }
    ground.assert_clean();
}

#[test]
fn every_size_gets_between_95_and_100_percent() {
    let Some(ground) = Ground::for_images("every_size_gets_between_95_and_100_percent") else { return };
    let volumes = ground.open();
    let sizes =
        [2 << 20, 7 << 20, 33_333_333, 120 << 20, 127 << 20, 129 << 20, 260_000_000, 1_000_000_000, 5 << 29];
    for size in sizes {
        let volume = volumes.create(&lease("a"), Bytes(size), None).unwrap();
        let held = held(&volume);
        assert!(held <= size && held * 100 >= size * 95, "{held} of {size}");
        volumes.remove(&lease("a")).unwrap();
    }
    ground.assert_clean();
}

#[test]
fn a_new_volume_is_empty_closed_and_its_owners() {
    let Some(ground) = Ground::for_images("a_new_volume_is_empty_closed_and_its_owners") else { return };
    let volumes = ground.open();
    let owner = Owner { uid: 4711, gid: 4712 };
    let volume = volumes.create(&lease("a"), Bytes::mib(8), Some(owner)).unwrap();
    let held = fs::metadata(&volume.path).unwrap();
    assert_eq!((held.uid(), held.gid(), held.mode() & 0o7777), (4711, 4712, 0o700));
    assert_eq!(fs::read_dir(&volume.path).unwrap().count(), 0, "not even lost+found");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = mounts.lines().find(|line| line.contains(volume.path.to_str().unwrap())).unwrap();
    assert!(line.contains("nosuid") && line.contains("nodev") && !line.contains("shared:"), "{line}");
    assert_eq!(volumes.remove(&lease("a")).unwrap(), Removal::Done);
    ground.assert_clean();
}

#[test]
fn asking_again_is_no_second_volume() {
    let Some(ground) = Ground::for_images("asking_again_is_no_second_volume") else { return };
    let volumes = ground.open();
    let first = volumes.create(&lease("a"), Bytes::mib(8), None).unwrap();
    fs::write(first.path.join("file"), "kept").unwrap();
    let again = volumes.create(&lease("a"), Bytes::mib(8), None).unwrap();
    assert_eq!(fs::read_to_string(again.path.join("file")).unwrap(), "kept");
    let other = volumes.create(&lease("a"), Bytes::mib(9), None).unwrap_err();
    assert!(matches!(other, VolumeError::Exists { size, .. } if size == Bytes::mib(8)), "{other}");
    let small = volumes.create(&lease("b"), Bytes(4096), None).unwrap_err();
    assert!(matches!(small, VolumeError::TooSmall { .. }), "{small}");
    assert_eq!(volumes.list().unwrap().len(), 1);
    volumes.remove(&lease("a")).unwrap();
    assert_eq!(volumes.remove(&lease("a")).unwrap(), Removal::Done, "gone is gone");
    assert!(matches!(volumes.usage(&lease("a")), Err(VolumeError::Unknown { .. })));
    ground.assert_clean();
}

#[test]
fn more_than_the_host_has_is_refused_and_leaves_nothing() {
    let Some(ground) = Ground::for_images("more_than_the_host_has_is_refused_and_leaves_nothing") else {
        return;
    };
    let volumes = ground.open();
    let error = volumes.create(&lease("a"), Bytes(1 << 50), None).unwrap_err();
    assert!(matches!(error, VolumeError::NoRoom { needed, free } if needed > free), "{error}");
    ground.assert_clean();
    volumes.create(&lease("a"), Bytes::mib(8), None).unwrap();
    let error = volumes.resize(&lease("a"), Bytes(1 << 50)).unwrap_err();
    assert!(matches!(error, VolumeError::NoRoom { .. }), "{error}");
    let volume = volumes.list().unwrap().remove(0);
    assert_eq!((volume.size, volume.state), (Bytes::mib(8), VolumeState::Ready));
    assert_eq!(volume.receipt.state, EnforcementState::Enforced);
    volumes.remove(&lease("a")).unwrap();
    ground.assert_clean();
}

#[test]
fn trimming_inside_gives_the_host_nothing_back() {
    let Some(ground) = Ground::for_images("trimming_inside_gives_the_host_nothing_back") else { return };
    let volumes = ground.open();
    let volume = volumes.create(&lease("a"), Bytes::mib(32), None).unwrap();
    let reserved = on_disk(&image(&volume));
    let trim = Command::new("fstrim").arg(&volume.path).stderr(Stdio::null()).status();
    match trim {
        Ok(status) => assert!(!status.success(), "the device takes no discard"),
        Err(error) => eprintln!("SKIPPED trimming_inside_gives_the_host_nothing_back: fstrim: {error}"),
    }
    assert_eq!(on_disk(&image(&volume)), reserved);
    // What somebody else punches out is reserved again by the next start.
    let file = File::options().write(true).open(image(&volume)).unwrap();
    let (at, hole) = (file.metadata().unwrap().len() - (4 << 20), 1 << 20);
    let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, flags, at, hole).unwrap();
    let found = volumes.list().unwrap().remove(0);
    assert!(found.receipt.reason.unwrap().contains("aren't reserved"));
    drop(volumes);
    let volumes = ground.open();
    assert_eq!(on_disk(&image(&volume)), reserved);
    volumes.remove(&lease("a")).unwrap();
    ground.assert_clean();
}

#[test]
fn a_restart_finds_volumes_and_a_reboot_mounts_them_again() {
    let Some(ground) = Ground::for_images("a_restart_finds_volumes_and_a_reboot_mounts_them_again") else {
        return;
    };
    let volumes = ground.open();
    let volume = volumes.create(&lease("a"), Bytes::mib(8), None).unwrap();
    fs::write(volume.path.join("file"), "stays").unwrap();
    let mut open = File::open(volume.path.join("file")).unwrap();
    drop(volumes);

    let volumes = ground.open();
    assert_eq!(mount_points(volume.path.to_str().unwrap()).len(), 1, "mounted once");
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert_eq!(text, "stays");
    drop((volumes, open));

    // A reboot leaves the files and nothing in the kernel.
    rustix::mount::unmount(&volume.path, rustix::mount::UnmountFlags::empty()).unwrap();
    assert!(!volume.path.join("file").exists());
    let volumes = ground.open();
    assert_eq!(fs::read_to_string(volume.path.join("file")).unwrap(), "stays");
    assert_eq!(volumes.list().unwrap()[0].receipt.state, EnforcementState::Enforced);
    volumes.remove(&lease("a")).unwrap();
    ground.assert_clean();
}

#[test]
fn a_folder_of_volumes_has_one_process() {
    let Some(ground) = Ground::for_images("a_folder_of_volumes_has_one_process") else { return };
    let volumes = ground.open();
    let second = crate::Volumes::open(&ground.path(), "/".as_ref(), crate::Preference::Image);
    assert!(matches!(second, Err(VolumeError::FolderTaken { .. })));
    drop(volumes);
    ground.open();
}

#[test]
fn an_unused_image_grows_and_never_shrinks() {
    let Some(ground) = Ground::for_images("an_unused_image_grows_and_never_shrinks") else { return };
    let volumes = ground.open();
    let volume = volumes.create(&lease("a"), Bytes::mib(20), None).unwrap();
    fs::write(volume.path.join("file"), vec![7; 1 << 20]).unwrap();
    for size in [50 << 20, 124 << 20, 130 << 20, 700_000_000] {
        let grown = volumes.resize(&lease("a"), Bytes(size)).unwrap();
        let held = held(&grown);
        assert!(held <= size && held * 100 >= size * 95, "{held} of {size}");
        assert_eq!((grown.size.0, grown.receipt.state), (size, EnforcementState::Enforced));
        assert!(on_disk(&image(&grown)) >= fs::metadata(image(&grown)).unwrap().len());
    }
    assert_eq!(fs::read(volume.path.join("file")).unwrap(), vec![7; 1 << 20]);
    assert_eq!(fs::read_dir(&volume.path).unwrap().count(), 1, "a check made no lost+found that stays");
    let error = volumes.resize(&lease("a"), Bytes::mib(20)).unwrap_err();
    assert!(matches!(error, VolumeError::ShrinkImage { .. }), "{error}");
    fs::write(volume.path.join("more"), vec![7; 30 << 20]).unwrap();
    let error = volumes.resize(&lease("a"), Bytes::mib(20)).unwrap_err();
    assert!(matches!(error, VolumeError::InUse { used, .. } if used > Bytes::mib(30)), "{error}");
    let (written, _) = fill(&volume.path);
    assert!(written + (31 << 20) <= 700_000_000);
    volumes.remove(&lease("a")).unwrap();
    ground.assert_clean();
}

#[test]
fn an_image_grows_while_a_file_is_open_or_says_why_not() {
    let test = "an_image_grows_while_a_file_is_open_or_says_why_not";
    let Some(ground) = Ground::for_images(test) else { return };
    let volumes = ground.open();
    let volume = volumes.create(&lease("a"), Bytes::mib(20), None).unwrap();
    let mut open = File::create_new(volume.path.join("file")).unwrap();
    open.write_all(b"before").unwrap();
    let length = fs::metadata(image(&volume)).unwrap().len();
    match volumes.resize(&lease("a"), Bytes::mib(200)) {
        Ok(grown) => {
            assert!(may_grow_mounted());
            assert!(held(&grown) <= 200 << 20 && held(&grown) >= 190 << 20, "{}", held(&grown));
        }
        Err(error) => {
            assert!(matches!(error, VolumeError::Busy { .. }), "{error}");
            assert!(!may_grow_mounted());
            eprintln!("SKIPPED {test}: growing under an open file takes CAP_SYS_RESOURCE");
            let found = volumes.list().unwrap().remove(0);
            assert_eq!((found.size, found.state), (Bytes::mib(20), VolumeState::Ready));
            assert_eq!(fs::metadata(image(&volume)).unwrap().len(), length, "nothing was taken for it");
        }
    }
    open.write_all_at(b"after!", 6).unwrap();
    open.sync_all().unwrap();
    open.rewind().unwrap();
    assert_eq!(fs::read_to_string(volume.path.join("file")).unwrap(), "beforeafter!");
    drop(open);
    assert_eq!(volumes.resize(&lease("a"), Bytes::mib(200)).unwrap().size, Bytes::mib(200));
    assert_eq!(fs::read_to_string(volume.path.join("file")).unwrap(), "beforeafter!");
    assert_eq!(volumes.remove(&lease("a")).unwrap(), Removal::Done);
    ground.assert_clean();
}

#[test]
fn kept_volumes_are_listed_until_they_are_removed() {
    let Some(ground) = Ground::for_images("kept_volumes_are_listed_until_they_are_removed") else { return };
    let volumes = ground.open();
    for name in ["a", "b"] {
        volumes.create(&lease(name), Bytes::mib(4), None).unwrap();
    }
    volumes.keep(&lease("b")).unwrap();
    assert!(matches!(volumes.keep(&lease("c")), Err(VolumeError::Unknown { .. })));
    drop(volumes);
    let volumes = ground.open();
    let kept = volumes.kept().unwrap();
    assert_eq!(kept.iter().map(|volume| volume.lease.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(volumes.list().unwrap().len(), 2);
    for name in ["a", "b"] {
        assert_eq!(volumes.remove(&lease(name)).unwrap(), Removal::Done);
    }
    ground.assert_clean();
}

#[test]
fn sixteen_are_made_and_removed_at_once() {
    let Some(ground) = Ground::for_images("sixteen_are_made_and_removed_at_once") else { return };
    let volumes = ground.open();
    std::thread::scope(|scope| {
        for number in 0..16 {
            let volumes = &volumes;
            scope.spawn(move || {
                let lease = lease(&format!("alloc-{number}"));
                let volume = volumes.create(&lease, Bytes::mib(4 + number), None).unwrap();
                fs::write(volume.path.join("number"), number.to_string()).unwrap();
            });
        }
    });
    let found = volumes.list().unwrap();
    assert_eq!(found.len(), 16);
    for volume in &found {
        let number = fs::read_to_string(volume.path.join("number")).unwrap();
        assert_eq!(volume.lease, lease(&format!("alloc-{number}")), "no two share a filesystem");
    }
    std::thread::scope(|scope| {
        for volume in &found {
            scope.spawn(|| assert_eq!(volumes.remove(&volume.lease).unwrap(), Removal::Done));
        }
    });
    ground.assert_clean();
}

/// A process that ends with the test.
struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_process_that_stays_inside_holds_the_bytes_but_not_the_folder() {
    let test = "a_process_that_stays_inside_holds_the_bytes_but_not_the_folder";
    let Some(ground) = Ground::for_images(test) else { return };
    let volumes = ground.open();
    let volume = volumes.create(&lease("a"), Bytes::mib(4), None).unwrap();
    let sleeper = Sleeper(Command::new("sleep").arg("600").current_dir(&volume.path).spawn().unwrap());
    assert_eq!(volumes.remove(&lease("a")).unwrap(), Removal::Held);
    assert!(mount_points(volume.path.to_str().unwrap()).is_empty(), "it is out of the tree");
    assert_eq!(volumes.list().unwrap()[0].state, VolumeState::Removing);
    assert!(image(&volume).exists(), "the host's disk is still in use, and so it is said");
    assert!(matches!(volumes.create(&lease("a"), Bytes::mib(4), None), Err(VolumeError::Removing { .. })));
    drop(volumes);
    let volumes = ground.open();
    assert_eq!(volumes.list().unwrap()[0].state, VolumeState::Removing, "a restart doesn't forget it");
    drop(sleeper);
    assert_eq!(volumes.remove(&lease("a")).unwrap(), Removal::Done);
    ground.assert_clean();
}
