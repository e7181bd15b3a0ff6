//! A folder of bounded size: full inside is not full outside, and it goes or stays as asked.

use hypermesh_harness::{Inside, Node, allocation, mounts, problem, require_cgroups, require_loop, until};
use hypermesh_wire::allocations::{Allocation, CreateAllocation, EnforcementState, Phase};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

const SIZE: u64 = 16 << 20;

fn request() -> CreateAllocation {
    let mut request = allocation("cpu", 5.0);
    request.requirements.storage = Some("16MiB".into());
    request
}

fn folder(lease: &Allocation) -> PathBuf {
    PathBuf::from(lease.resources.storage_path.as_ref().unwrap())
}

/// Nothing is left of any folder: not on disk, not mounted, no device.
fn nothing_is_left(node: &Node) -> bool {
    let volumes =
        fs::read_dir(node.data_dir().join("volumes")).map_or(0, |entries| entries.flatten().count());
    volumes == 0
        && mounts::below(&node.data_dir()).is_empty()
        && mounts::loop_files(&node.data_dir()).is_empty()
}

/// Writes until the folder is full. Gives how much went in, and the error.
fn fill(folder: &Path) -> (u64, std::io::Error) {
    let mut file = fs::File::create(folder.join("fill")).unwrap();
    let block = vec![7; 64 << 10];
    let mut written = 0;
    loop {
        match file.write(&block).and_then(|count| file.sync_data().map(|()| count)) {
            Ok(count) => written += count as u64,
            Err(error) => return (written, error),
        }
        assert!(written <= 4 * SIZE, "it is not bounded");
    }
}

#[test]
fn a_full_folder_is_full_inside_only_and_wiped_at_the_end() {
    require_loop!();
    let node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&request()).unwrap();
    assert_eq!(lease.resources.storage_bytes, Some(SIZE));
    let receipt = node.enforcement(&lease.id);
    let entry = receipt.entries.iter().find(|entry| entry.limit == "storage").unwrap();
    assert_eq!(entry.state, EnforcementState::Enforced, "{entry:?}");
    let path = folder(&lease);
    assert!(path.starts_with(node.data_dir()), "{}", path.display());
    let script = format!(
        "dd if=/dev/zero of='{}/inside' bs=64k count=4; echo from inside > '{0}/note'",
        path.display()
    );
    assert_eq!(Inside::join(&receipt, &script).code(), 0);
    assert_eq!(fs::read_to_string(path.join("note")).unwrap(), "from inside\n");
    let (written, error) = fill(&path);
    assert!(matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded), "{error}");
    assert!(written + (256 << 10) <= SIZE && written > SIZE * 9 / 10, "{written}");
    fs::write(node.data_dir().join("beside"), vec![7; 1 << 20]).unwrap();
    let used = node.client().usage(&lease.id).unwrap().storage.unwrap();
    assert!(used.used.unwrap() >= written && used.size.unwrap() <= SIZE, "{used:?}");
    let volumes = node.client().volumes().unwrap();
    assert_eq!(volumes.len(), 1);
    assert_eq!(
        (volumes[0].allocation_id.as_str(), volumes[0].size, volumes[0].kept),
        (lease.id.as_str(), SIZE, false)
    );
    let live = problem(node.client().remove_volume(&lease.id));
    assert_eq!(live.status, 409, "{live:?}");
    node.client().release(&lease.id).unwrap();
    assert!(!path.join("note").exists() && node.client().volumes().unwrap().is_empty());
    until("all of it is gone", || nothing_is_left(&node).then_some(()));
}

#[test]
fn a_folder_that_is_to_be_kept_stays_until_it_is_removed() {
    require_loop!();
    let mut node = Node::start();
    require_cgroups!(node);
    let request = CreateAllocation { keep_storage: Some(true), ..request() };
    let lease = node.client().allocate(&request).unwrap();
    fs::write(folder(&lease).join("result"), b"forty-two").unwrap();
    node.client().release(&lease.id).unwrap();
    let kept = |node: &Node| {
        let volumes = node.client().volumes().unwrap();
        let [volume] = &volumes[..] else { panic!("{volumes:?}") };
        assert!(volume.kept && volume.allocation_id == lease.id, "{volume:?}");
        assert_eq!(fs::read(Path::new(&volume.path).join("result")).unwrap(), b"forty-two");
    };
    kept(&node);
    node.kill9();
    node.restart();
    kept(&node);
    node.client().remove_volume(&lease.id).unwrap();
    assert_eq!(problem(node.client().remove_volume(&lease.id)).status, 404);
    until("all of it is gone", || nothing_is_left(&node).then_some(()));
}

#[test]
fn a_folder_survives_kill_9_and_is_the_same_to_who_has_it_open() {
    require_loop!();
    let mut node = Node::start();
    require_cgroups!(node);
    let [lease, ends] =
        [600, 2].map(|duration| node.client().allocate(&CreateAllocation { duration, ..request() }).unwrap());
    let path = folder(&lease);
    let script =
        format!("cd '{}' && exec 3>open && while :; do echo x >&3; sleep 0.05; done", path.display());
    let mut inside = Inside::join(&node.enforcement(&lease.id), &script);
    until("it writes", || fs::metadata(path.join("open")).ok().filter(|file| file.len() > 0));
    node.kill9();
    let expired = || jiff::Timestamp::now() > ends.end_time;
    until("the other's time is over while the node is down", || expired().then_some(()));
    node.restart();
    node.reaches(&ends.id, Phase::Completed);
    assert!(!folder(&ends).join("lost+found").exists(), "its folder went with it");
    let now = node.client().allocation(&lease.id).unwrap();
    assert_eq!((now.phase, now.resources.storage_path), (Phase::Active, lease.resources.storage_path));
    let before = fs::metadata(path.join("open")).unwrap().len();
    until("the open file grows on", || {
        (fs::metadata(path.join("open")).unwrap().len() > before).then_some(())
    });
    assert!(inside.is_running());
    node.client().release(&lease.id).unwrap();
    assert!(!inside.is_running());
    until("all of it is gone", || nothing_is_left(&node).then_some(()));
}

#[test]
fn storage_that_the_disk_does_not_have_is_refused_with_the_numbers() {
    require_loop!();
    let node = Node::start();
    require_cgroups!(node);
    let mut request = allocation("cpu", 5.0);
    request.requirements.storage = Some("900TiB".into());
    let refused = problem(node.client().allocate(&request));
    let reason = &refused.reasons[0];
    assert_eq!(
        (refused.status, &reason["dimension"], &reason["unit"]),
        (409, &"storage".into(), &"GB".into())
    );
    assert!(reason["available"].as_f64().unwrap() > 0.0 && reason["fits_at"].is_null(), "{reason}");
    assert!(nothing_is_left(&node) && node.groups().is_empty());
}
