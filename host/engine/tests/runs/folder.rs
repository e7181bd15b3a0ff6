//! The folder of a lease, as a guest finds it: usable, bounded, and without a way out.

use crate::support::{Bench, cause};
use hypermesh_artifacts::HOSTILE;
use hypermesh_engine::{Call, GrantedFolder, JobOutcome, LEASE_FOLDER};
use hypermesh_model::Cause;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A folder that is granted, in one that isn't.
struct Ground {
    outside: TempDir,
}

impl Ground {
    fn new() -> Self {
        let ground = Self { outside: tempfile::tempdir().unwrap() };
        fs::create_dir(ground.granted()).unwrap();
        fs::write(ground.outside.path().join("secret"), "not yours").unwrap();
        ground
    }

    fn granted(&self) -> PathBuf {
        self.outside.path().join("granted")
    }

    fn run(&self, writable: bool, operation: &str, parameters: Value) -> Value {
        let mut bench = Bench::new(HOSTILE);
        bench.grant(&self.granted(), LEASE_FOLDER, writable);
        bench.complete(operation, parameters).0
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let entries =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }
}

#[test]
fn a_guest_keeps_files_in_the_folder_that_it_was_granted() {
    let ground = Ground::new();
    fs::write(ground.granted().join("before"), "x").unwrap();
    let found = ground.run(true, "folder-use", json!({ "name": "file", "text": "kept" }));
    assert_eq!(found, json!({ "written": null, "read": "kept", "names": ["before", "file"] }));
    assert_eq!(fs::read_to_string(ground.granted().join("file")).unwrap(), "kept");
    // For the next one, too, and then only to read.
    let found = ground.run(false, "folder-use", json!({ "name": "file", "text": "changed" }));
    assert_eq!((&found["read"], &found["names"]), (&json!("kept"), &json!(["before", "file"])));
    assert!(found["written"].is_string(), "{found}");
    assert_eq!(fs::read_to_string(ground.granted().join("file")).unwrap(), "kept");
}

#[test]
fn a_guest_that_was_granted_no_folder_has_none() {
    let (outcome, _) = Bench::new(HOSTILE).run("folder-use", json!({ "name": "file", "text": "x" }));
    let JobOutcome::Failed { cause: Cause::GuestError { .. }, .. } = outcome else { panic!("{outcome:?}") };
}

#[test]
fn a_write_to_a_full_folder_is_an_error_and_no_trap() {
    let ground = Ground::new();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "none"])
        .arg(ground.granted())
        .stdin(Stdio::null())
        .output();
    let refused = match mount {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(refused) = refused {
        eprintln!("SKIPPED a_write_to_a_full_folder_is_an_error_and_no_trap: {refused}");
        return;
    }
    let _unmount = Unmount(ground.granted());
    let found = ground.run(true, "folder-fill", json!({}));
    assert_eq!(found["written"], 256 << 10);
    // wasi-libc says EIO so far, whatever the host's reason was.
    let error = found["error"].as_str().unwrap();
    assert!(error.starts_with("I/O error") || error.starts_with("No space left"), "{error}");
}

/// Unmounts a folder at the end.
struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        match Command::new("umount").arg(&self.0).status() {
            Ok(status) if status.success() => {}
            other => eprintln!("{} stays mounted: {other:?}", self.0.display()),
        }
    }
}

#[test]
fn no_path_and_no_link_leads_out_of_the_folder() {
    let ground = Ground::new();
    fs::create_dir(ground.granted().join("inner")).unwrap();
    symlink(ground.outside.path().join("secret"), ground.granted().join("link")).unwrap();
    symlink("..", ground.granted().join("up")).unwrap();
    let found = ground.run(true, "folder-escape", json!({}));
    for read in found["read"].as_array().unwrap() {
        assert!(read["outcome"].is_string(), "{read}");
    }
    for way in [
        "through_own_link",
        "written_above",
        "written_through_link",
        "renamed_out",
        "linked_in",
        "listed_above",
        "removed_above",
    ] {
        assert!(found[way].is_string(), "{way}: {found}");
    }
    assert_eq!(ground.names(ground.outside.path()), ["granted", "secret"]);
    assert_eq!(fs::read_to_string(ground.outside.path().join("secret")).unwrap(), "not yours");
}

#[test]
fn a_folder_that_came_without_its_descriptor_is_a_fault_of_the_host() {
    let mut bench = Bench::new(HOSTILE);
    bench.spec.folders.push(GrantedFolder { guest_path: LEASE_FOLDER.to_owned(), writable: true });
    let (outcome, seen) = bench.call(Call::Describe);
    let Cause::WorkerLost { detail } = cause(outcome) else { panic!() };
    assert!(detail.contains("1 folders are granted, and 0 came"), "{detail}");
    assert_eq!(seen.running, 0, "it never began");
}

#[test]
fn what_is_no_folder_is_a_fault_of_the_host_that_names_it() {
    let ground = Ground::new();
    let mut bench = Bench::new(HOSTILE);
    bench.grant(&ground.outside.path().join("secret"), LEASE_FOLDER, true);
    let Cause::WorkerLost { detail } = cause(bench.call(Call::Describe).0) else { panic!() };
    assert!(detail.contains("/lease") && detail.contains("Not a directory"), "{detail}");
}
