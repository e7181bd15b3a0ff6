//! What the disk, the folder or the file refuses is a typed error.

use std::io::Write as _;

use crate::{Note, batch, fresh, note};
use hypermesh_model::EventKind;
use hypermesh_store::{Store, StoreError};
use rusqlite::Connection;
use serde_json::Value;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

#[test]
fn a_second_open_is_refused_and_names_the_holder() {
    let (folder, store) = fresh();
    let path = folder.path().join("node.db");
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(&error, StoreError::InUse { pid, .. } if *pid == Some(std::process::id())), "{error}");
    assert!(error.to_string().ends_with(&format!("in use by process {}", std::process::id())));
    drop(store);
    Store::open(&path).unwrap();
}

#[test]
fn the_files_are_the_owners_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("node.db");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let store = Store::open(&path).unwrap();
    store.table::<Note>().unwrap();
    let modes: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|f| f.unwrap().metadata().unwrap().permissions().mode() & 0o777)
        .collect();
    assert!(modes.len() >= 3 && modes.iter().all(|mode| *mode == 0o600), "{modes:?}");
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("node.db");
    fs::write(&path, "certainly not a database ".repeat(400)).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Corrupt { .. })));
    let missing = Store::open(&folder.path().join("missing/node.db"));
    assert!(matches!(missing, Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound));
    assert!(matches!(Store::open(Path::new("/proc/node.db")), Err(StoreError::Io { .. })));
}

#[test]
fn a_damaged_page_is_found_at_opening() {
    let (folder, store) = fresh();
    let notes = store.table::<Note>().unwrap();
    let rows = batch(|b| (0..2000).fold(b, |b, i| b.put(&notes, note(i, "some text"))));
    store.commit_blocking(rows).unwrap();
    drop(store);
    let path = folder.path().join("node.db");
    let mut bytes = fs::read(&path).unwrap();
    for page in bytes.chunks_mut(4096).skip(6).step_by(5) {
        page[..64].fill(0xa5);
    }
    fs::write(&path, bytes).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Corrupt { .. })));
}

/// Runs SQL on a closed store and opens it again.
fn edited(sql: &str) -> (TempDir, Result<Store, StoreError>) {
    let (folder, store) = fresh();
    let notes = store.table::<Note>().unwrap();
    store
        .commit_blocking(batch(|b| {
            b.put(&notes, note("a", ""));
            (0..3).fold(b, |b, _| b.event(EventKind::NodeStarted, "n", Value::Null))
        }))
        .unwrap();
    drop(store);
    let path = folder.path().join("node.db");
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    let store = Store::open(&path);
    (folder, store)
}

#[test]
fn a_newer_schema_is_refused() {
    let (_folder, store) = edited("INSERT INTO schema_version VALUES (99, 'later')");
    assert!(matches!(store, Err(StoreError::NewerSchema { found: 99, supported: 1 })));
}

#[test]
fn a_row_that_is_not_readable_is_named_not_skipped() {
    let (_folder, store) = edited("UPDATE notes SET body = '{}'");
    let error = store.unwrap().table::<Note>().unwrap_err();
    assert!(matches!(&error, StoreError::UnreadableRow { table: "notes", id, .. } if id == "a"), "{error}");
    let (_folder, store) = edited("UPDATE notes SET id = 'b'");
    let error = store.unwrap().table::<Note>().unwrap_err();
    assert!(matches!(&error, StoreError::InconsistentRow { table: "notes", id, .. } if id == "b"), "{error}");
    let (_folder, store) = edited("DELETE FROM events WHERE sequence = 2");
    assert!(matches!(store, Err(StoreError::InconsistentRow { table: "events", .. })));
    let (_folder, store) = edited("UPDATE events SET kind = 'unheard_of' WHERE sequence = 2");
    assert!(matches!(store, Err(StoreError::UnreadableRow { table: "events", .. })));
}

const FOLDER: &str = "HYPERMESH_STORE_FULL_TEST";

/// Not a test by itself: runs inside the mount namespace of [`a_full_and_a_read_only_disk_are_typed_errors`].
#[test]
fn child_on_a_small_disk() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let path = folder.join("node.db");
    let store = Store::open(&path).unwrap();
    let notes = store.table::<Note>().unwrap();
    let text = "x".repeat(10_000);
    let put = |i: usize| store.commit_blocking(batch(|b| b.put(&notes, note(i, &text))));
    let (stored, error) = (0..).find_map(|i| put(i).err().map(|e| (i, e))).unwrap();
    println!("full after {stored}");
    assert!(stored > 3 && matches!(error, StoreError::Full { .. }), "{error:?}");
    assert_eq!(notes.len(), stored, "what failed is not visible");
    fs::remove_file(folder.join("ballast")).unwrap();
    put(stored).unwrap();
    drop(store);
    let reopened = Store::open(&path).unwrap();
    assert_eq!(reopened.table::<Note>().unwrap().len(), stored + 1);
    drop(reopened);
    assert!(Command::new("mount").args(["-o", "remount,ro"]).arg(&folder).status().unwrap().success());
    let error = Store::open(&path).unwrap_err();
    assert!(
        matches!(&error, StoreError::Io { source, .. } if source.kind() == ErrorKind::ReadOnlyFilesystem)
    );
    println!("done");
}

#[test]
fn a_full_and_a_read_only_disk_are_typed_errors() {
    let folder = TempDir::new().unwrap();
    // A private mount namespace: the small disk is seen by that process only and goes with it.
    let script = "mount -t tmpfs -o size=1500k none \"$0\" || exit 77; \
                  head -c 500000 /dev/zero > \"$0/ballast\"; \
                  exec \"$1\" --exact disk::child_on_a_small_disk --nocapture";
    let run = |user: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(user).args(["--mount", "sh", "-c", script]);
        unshare.arg(folder.path()).arg(std::env::current_exe().unwrap()).env(FOLDER, folder.path()).output()
    };
    let possible = |out: &std::io::Result<std::process::Output>| {
        out.as_ref().is_ok_and(|o| o.status.code() != Some(77) && !o.stderr.starts_with(b"unshare"))
    };
    let mut out = run(&[]);
    if !possible(&out) {
        out = run(&["--map-root-user"]);
    }
    if !possible(&out) {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED a_full_and_a_read_only_disk_are_typed_errors: no mount namespace: {out:?}"
        );
        return;
    }
    let out = out.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && stdout.contains("done"), "{stdout}\n{stderr}");
}
