//! What the disk refuses is a typed error and leaves nothing half written.

use crate::{Key, append, block_on, entry, reopen, settings};
use hypermesh_ctlog::{Entry, Log, LogError, Signer as _, audit};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

const LIMITED: &str = "HYPERMESH_CTLOG_LIMIT_TEST";

/// Not a test by itself: run by [`a_write_that_the_disk_refuses_is_taken_back`] with a limit on the size of files, and
/// with that limit's signal ignored.
#[test]
fn child_whose_files_are_limited() {
    let Some(folder) = std::env::var_os(LIMITED) else { return };
    let folder = PathBuf::from(folder);
    let key = Key::generate();
    let log = Log::open(settings(&folder, &key)).unwrap();
    log.add_issuer(crate::ISSUER).unwrap();
    append(&log, 0..3);
    let before = folder.join("entries").metadata().unwrap().len();
    let large = Entry { precert: vec![5; 60_000], ..entry(&log, 3) };
    let refused = block_on(log.append(large)).unwrap_err();
    assert!(matches!(refused, LogError::Io { .. }), "{refused}");
    assert_eq!(folder.join("entries").metadata().unwrap().len(), before);
    append(&log, 4..6);
    assert_eq!(log.head().size, 5);
    assert_eq!(audit(&folder, key.spki_der()).unwrap().entries, 5);
    println!("taken back");
}

#[test]
fn a_write_that_the_disk_refuses_is_taken_back() {
    let folder = TempDir::new().unwrap();
    // Blocks of 1024 bytes in bash, of 512 in dash: 20 or 10 KiB, more than the small entries and less than the large.
    let output = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 20; exec \"$0\" --exact disk::child_whose_files_are_limited --nocapture",
        ])
        .arg(std::env::current_exe().unwrap())
        .env(LIMITED, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("taken back"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

const SMALL: &str = "HYPERMESH_CTLOG_FULL_TEST";

/// Not a test by itself: runs inside the mount namespace of [`a_full_disk_refuses_entries_until_there_is_room`].
#[test]
fn child_on_a_small_disk() {
    let Some(folder) = std::env::var_os(SMALL).map(PathBuf::from) else { return };
    let (path, key) = (folder.join("log"), Key::generate());
    let log = Log::open(settings(&path, &key)).unwrap();
    log.add_issuer(crate::ISSUER).unwrap();
    let large = |number| Entry { precert: vec![5; 60_000], ..entry(&log, number) };
    let put = |number| block_on(log.append(large(number)));
    let (logged, error) = (0..100).find_map(|number| put(number).err().map(|error| (number, error))).unwrap();
    assert!(logged > 3 && matches!(error, LogError::Full { .. }), "{error}");
    assert!(matches!(put(logged), Err(LogError::Full { .. })), "and again");
    assert_eq!(log.head().size, logged);
    let found = audit(&path, key.spki_der()).unwrap();
    assert_eq!((found.entries, found.torn_bytes), (logged, 0));
    fs::remove_file(folder.join("ballast")).unwrap();
    assert_eq!(put(logged).unwrap().index, logged);
    drop(log);
    assert_eq!(reopen(&settings(&path, &key)).unwrap().head().size, logged + 1);
    println!("done");
}

#[test]
fn a_full_disk_refuses_entries_until_there_is_room() {
    let folder = TempDir::new().unwrap();
    // A private mount namespace: the small disk is seen by that process only and goes with it.
    let script = "mount -t tmpfs -o size=1500k none \"$0\" || exit 77; \
                  head -c 500000 /dev/zero > \"$0/ballast\"; \
                  exec \"$1\" --exact disk::child_on_a_small_disk --nocapture";
    let run = |user: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(user).args(["--mount", "sh", "-c", script]);
        unshare.arg(folder.path()).arg(std::env::current_exe().unwrap()).env(SMALL, folder.path()).output()
    };
    let possible = |out: &std::io::Result<Output>| {
        out.as_ref().is_ok_and(|o| o.status.code() != Some(77) && !o.stderr.starts_with(b"unshare"))
    };
    let users: [&[&str]; 2] = [&[], &["--map-root-user"]];
    let out = users.into_iter().map(run).find(possible);
    let Some(Ok(out)) = out else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED a_full_disk_refuses_entries_until_there_is_room: no mount namespace"
        );
        return;
    };
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && stdout.contains("done"), "{stdout}\n{stderr}");
}
