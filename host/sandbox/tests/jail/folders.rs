//! Granted folders: what can be done in them, and as whom.

use crate::Test;
use crate::bed::{Bed, order};
use hypermesh_sandbox::{Order, OrderFolder, WorkerExit};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

pub(crate) const TESTS: &[Test] = &[
    ("a_writable_folder_is_written_and_a_read_only_one_read", a_writable_folder_is_written),
    ("the_owner_of_a_folder_appears_as_the_worker", the_owner_of_a_folder_appears_as_the_worker),
    ("a_folder_that_is_none_is_an_error", a_folder_that_is_none_is_an_error),
];

const OK: WorkerExit = WorkerExit { code: Some(0), signal: None };

fn a_writable_folder_is_written(_: &str) {
    let bed = Bed::new();
    let place = tempfile::tempdir().unwrap();
    let (source, target) = (place.path().join("source"), place.path().join("target"));
    fs::create_dir_all(source.join("below")).unwrap();
    fs::create_dir(&target).unwrap();
    fs::write(source.join("below/file"), "content").unwrap();
    let read = bed.zygote.grant_folder(&source, false, None).unwrap();
    let written = bed.zygote.grant_folder(&target, true, None).unwrap();
    let folders = vec![OrderFolder { fd: 0, writable: false }, OrderFolder { fd: 1, writable: true }];
    let outcome = bed.run(Order { folders, ..order() }, "copy", &[read.fd.as_fd(), written.fd.as_fd()]);
    assert_eq!(outcome.exit, OK, "{outcome:?}");
    assert_eq!(fs::read_to_string(target.join("deep/copy")).unwrap(), "content");
    let is_mount = rustix::process::geteuid().is_root();
    assert_eq!((read.layers.len(), read.layers[0].active), (1, is_mount), "{:?}", read.layers);
}

fn the_owner_of_a_folder_appears_as_the_worker(test: &str) {
    let bed = Bed::new();
    if !bed.has("uid") {
        eprintln!("SKIPPED {test}: not root");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (source, target) = (place.path().join("source"), place.path().join("target"));
    for folder in [&source, &target] {
        fs::create_dir_all(folder.join("below")).unwrap();
        fs::write(folder.join("below/file"), "content").unwrap();
        for path in [folder.clone(), folder.join("below"), folder.join("below/file")] {
            let mode = if path.is_dir() { 0o700 } else { 0o600 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            chown(path, Some(4242), Some(4343)).unwrap();
        }
    }
    let uid = 2_345_678;
    let read = bed.zygote.grant_folder(&source, false, Some(uid)).unwrap();
    let written = bed.zygote.grant_folder(&target, true, Some(uid)).unwrap();
    println!("{:?}", written.layers);
    if let Some(layer) = written.layers.iter().find(|layer| !layer.active) {
        eprintln!("SKIPPED {test}: {}", layer.detail);
        return;
    }
    let folders = vec![OrderFolder { fd: 0, writable: false }, OrderFolder { fd: 1, writable: true }];
    let order = Order { folders, uid: Some(uid), ..order() };
    let outcome = bed.run(order, "copy", &[read.fd.as_fd(), written.fd.as_fd()]);
    assert_eq!(outcome.exit, OK, "{outcome:?}");
    let made = fs::metadata(target.join("deep/copy")).unwrap();
    assert_eq!((made.uid(), made.gid()), (4242, 4343), "on disk it is the owner's");
}

fn a_folder_that_is_none_is_an_error(_: &str) {
    let bed = Bed::new();
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("file"), "").unwrap();
    for path in ["file", "nothing"] {
        let error = bed.zygote.grant_folder(&place.path().join(path), false, None).unwrap_err();
        assert!(error.to_string().contains(path), "{error}");
    }
}
