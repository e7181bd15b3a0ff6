//! The folder of a lease in the hands of a hostile guest: no way out, bounded in bytes and files, and whatever is left in it
//! goes with the lease.

use crate::ground::{Ground, Vigil, result, run};
use hypermesh_harness::{Node, allocation, job, mounts, require_cgroups, require_loop, until};
use hypermesh_wire::allocations::Allocation;
use hypermesh_wire::executions::{ExecuteVm, VmExecution};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const SIZE: u64 = 16 << 20;

/// A lease with a folder, for executions of the hostile guest.
struct Leased<'a> {
    ground: &'a Ground,
    lease: Allocation,
}

impl<'a> Leased<'a> {
    fn new(ground: &'a Ground) -> Self {
        Self::of(ground, SIZE)
    }

    fn of(ground: &'a Ground, size: u64) -> Self {
        let mut request = allocation("cpu", 20.0);
        request.requirements.memory = Some("64MiB".into());
        request.requirements.storage = Some(format!("{}MiB", size >> 20));
        let lease = until("room for the lease", || ground.node.client().allocate(&request).ok());
        Self { ground, lease }
    }

    fn folder(&self) -> PathBuf {
        PathBuf::from(self.lease.resources.storage_path.as_ref().unwrap())
    }

    fn run(&self, operation: &str, parameters: Value) -> VmExecution {
        let request = job(&self.ground.hostile, operation, parameters);
        let request = ExecuteVm { allocation_id: Some(self.lease.id.clone()), ..request };
        run(&self.ground.node, &request)
    }

    fn complete(&self, operation: &str, parameters: Value) -> Value {
        result(&self.run(operation, parameters))
    }

    /// Ends the lease and waits until nothing is left of its folder.
    fn release(self) {
        let node = &self.ground.node;
        let folder = self.folder();
        node.client().release(&self.lease.id).unwrap();
        until("the folder is gone", || nothing_is_left(node, &self.lease.id, &folder).then_some(()));
    }
}

fn nothing_is_left(node: &Node, lease: &str, folder: &Path) -> bool {
    let volume = node.data_dir().join("volumes").join(lease);
    let mounted = mounts::below(&volume).len() + mounts::loop_files(&volume).len();
    !folder.exists() && !volume.exists() && mounted == 0 && !node.groups().contains(lease)
}

#[test]
fn no_path_and_no_link_leads_out_of_a_leases_folder() {
    require_loop!();
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let leased = Leased::new(&ground);
    let folder = leased.folder();
    let secret = folder.parent().unwrap().join("secret");
    fs::write(&secret, "not yours").unwrap();
    fs::create_dir(folder.join("inner")).unwrap();
    symlink(&secret, folder.join("link")).unwrap();
    symlink("..", folder.join("up")).unwrap();
    let beside = || {
        let mut names: Vec<_> =
            fs::read_dir(folder.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = beside();
    let found = leased.complete("folder-escape", json!({}));
    assert_eq!(found["read"].as_array().map(Vec::len), Some(6));
    for outcome in found["read"].as_array().unwrap() {
        assert!(outcome["outcome"].is_string(), "{outcome}");
    }
    for (way, outcome) in found.as_object().unwrap().iter().filter(|(way, _)| *way != "read") {
        assert!(outcome.is_string(), "{way}: {found}");
    }
    assert_eq!(beside(), before);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "not yours");
    fs::remove_file(&secret).unwrap();
    leased.release();
}

#[test]
fn links_that_are_left_in_a_folder_go_with_it_and_nothing_else_does() {
    require_loop!();
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let leased = Leased::new(&ground);
    let found = leased.complete("folder-links", json!({}));
    for link in found["links"].as_array().unwrap() {
        // One to the folder itself leads nowhere else.
        assert!(link["written"].is_string() || link["target"] == ".", "{link}");
    }
    assert_eq!(found["names"], 50, "{found}");
    // Whoever measures the folder meets them too.
    assert!(ground.node.client().usage(&leased.lease.id).unwrap().storage.unwrap().used.is_some());
    let data = ground.node.data_dir();
    let written = ["written", "executions/written", "volumes/written"].map(|name| data.join(name));
    assert!(!written.iter().any(|path| path.exists()), "{written:?}");
    leased.release();
    assert!(
        Path::new("/etc/passwd").exists() && data.join("token").exists() && data.join("node.sqlite").exists()
    );
}

#[test]
fn a_tree_deeper_than_any_path_goes_with_its_lease() {
    require_loop!();
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    // A folder takes a block and an inode.
    let leased = Leased::of(&ground, 8 * SIZE);
    let made = leased.complete("folder-pit", json!({ "count": 2 }));
    assert!(made["rows"] == 2 && made["error"].is_null(), "{made}");
    leased.release();
}

#[test]
fn a_hundred_thousand_files_end_at_what_the_folder_holds() {
    require_loop!();
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let leased = Leased::new(&ground);
    let made = leased.complete("folder-crowd", json!({ "count": 100_000 }));
    assert!(made["error"].is_string(), "{made}");
    assert!(made["made"].as_u64().is_some_and(|made| made > 100 && made < 100_000), "{made}");
    let used = ground.node.client().usage(&leased.lease.id).unwrap().storage.unwrap();
    assert!(used.size.unwrap() <= SIZE, "{used:?}");
    leased.release();
}

#[test]
fn open_files_are_bounded_and_what_is_open_goes_on() {
    require_loop!();
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let leased = Leased::new(&ground);
    let found = leased.complete("folder-handles", json!({}));
    let held = found["held"].as_u64().unwrap();
    assert!((8..1024).contains(&held) && found["error"].is_string(), "{found}");
    assert!(found["last"].is_null(), "a file that is open can be written: {found}");
    leased.release();
}
