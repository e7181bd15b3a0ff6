//! The order of what reaches the disk and what is signed, as the kernel sees it; and a sync that fails. `strace` watches
//! and lies.

use crate::{ISSUER, Key, append, block_on, entry, reopen, settings};
use hypermesh_ctlog::{Log, LogError, Settings, SignError, Signer, audit};
use std::error::Error as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

const WATCHED: &str = "HYPERMESH_CTLOG_ORDER_TEST";
const FAILING: &str = "HYPERMESH_CTLOG_SYNC_TEST";

/// Runs a child test under `strace` with more arguments; `None`, and why on stderr, where that can't be done.
fn strace(test: &str, arguments: &[&str], (variable, folder): (&str, &Path)) -> Option<String> {
    let skip = |why: &str| {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
        None
    };
    let mut probe = Command::new("strace");
    if !probe.args(["-qq", "-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success()) {
        return skip("strace is not there, or may not trace");
    }
    let output = Command::new("strace")
        .args(["-f", "-qq", "-y", "-s", "12"])
        .args(arguments)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(variable, folder)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("done"), "{out}{err}");
    Some(out.into_owned())
}

/// Says on stdout what it signs.
struct Loud(Arc<Key>);

impl Signer for Loud {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        // The second byte of what a log signs is the type of signature: 0 for a timestamp, 1 for a head.
        let what: &[u8] = if message[1] == 0 { b"sign sct\n" } else { b"sign head\n" };
        std::io::stdout().write_all(what)?;
        self.0.sign(message)
    }
    fn spki_der(&self) -> &[u8] {
        self.0.spki_der()
    }
}

/// Not a test by itself: the process that [`nothing_is_signed_before_it_is_synced`] watches.
#[test]
fn child_that_is_watched() {
    let Some(folder) = std::env::var_os(WATCHED).map(PathBuf::from) else { return };
    let key = Key::generate();
    let log =
        Log::open(Settings { signer: Arc::new(Loud(Arc::clone(&key))), ..settings(&folder, &key) }).unwrap();
    log.add_issuer(ISSUER).unwrap();
    for number in 0..20 {
        block_on(log.append(entry(&log, number))).unwrap();
    }
    println!("done");
}

#[test]
fn nothing_is_signed_before_it_is_synced() {
    let folder = TempDir::new().unwrap();
    let calls = folder.path().join("calls");
    let log = folder.path().join("log");
    let traced = ["-e", "trace=fdatasync,fsync,pwrite64,write", "-o", calls.to_str().unwrap()];
    if strace("sync::child_that_is_watched", &traced, (WATCHED, &log)).is_none() {
        return;
    }
    let entries = format!("<{}>", log.join("entries").display());
    let checkpoint = format!("<{}>", log.join("checkpoint").display());
    // Whether bytes of `entries` are not synced yet, and the thread whose sync of it is going on.
    let (mut dirty, mut syncing) = (false, None);
    let (mut signed, mut written) = ([0, 0], 0);
    for line in std::fs::read_to_string(&calls).unwrap().lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        let sync = call.starts_with("fdatasync(") || call.starts_with("fsync(");
        if call.starts_with("pwrite64(") && call.contains(&entries) {
            (dirty, written) = (true, written + 1);
        } else if sync && call.contains(&entries) {
            syncing = call.contains("<unfinished").then(|| thread.to_owned());
            dirty = dirty && syncing.is_some();
        } else if call.contains("sync resumed>") && syncing.as_deref() == Some(thread) {
            (dirty, syncing) = (false, None);
        } else if call.contains("sign sct") || call.contains("sign head") {
            assert!(!dirty, "signed before the sync: {line}");
            signed[usize::from(call.contains("sign head"))] += 1;
        } else if call.starts_with("pwrite64(") && call.contains(&checkpoint) {
            assert!(!dirty, "a head was kept before the sync: {line}");
        }
    }
    // The header and twenty entries; a head at opening and with each.
    assert_eq!((written, signed), (21, [20, 21]));
}

/// Not a test by itself: the process in whose writer the syncs of `entries` fail from the fifth on.
#[test]
fn child_whose_syncs_fail() {
    let Some(folder) = std::env::var_os(FAILING).map(PathBuf::from) else { return };
    let key = Key::from_pkcs8(&std::fs::read(folder.join("key")).unwrap());
    let log = Log::open(settings(&folder.join("log"), &key)).unwrap();
    log.add_issuer(ISSUER).unwrap();
    let put = |number| block_on(log.append(entry(&log, number)));
    let (logged, error) = (0..50).find_map(|number| put(number).err().map(|error| (number, error))).unwrap();
    assert!(matches!(error, LogError::Io { action: "sync", .. }), "{error}");
    let next = put(100).unwrap_err();
    assert!(matches!(next, LogError::Failed(_)) && next.source().is_some(), "{next}");
    assert_eq!(log.head().size, logged, "no head covers what may not be on disk");
    assert_eq!(log.entry(logged - 1).unwrap(), entry(&log, logged - 1), "reading goes on");
    println!("logged {logged} done");
}

#[test]
fn a_sync_that_fails_ends_appending_until_the_log_is_opened_again() {
    let folder = TempDir::new().unwrap();
    let (pkcs8, log) = (Key::new_pkcs8(), folder.path().join("log"));
    std::fs::write(folder.path().join("key"), &pkcs8).unwrap();
    let entries = log.join("entries");
    let lie =
        ["-P", entries.to_str().unwrap(), "-e", "inject=fdatasync:error=EIO:when=5+", "-o", "/dev/null"];
    let Some(said) = strace("sync::child_whose_syncs_fail", &lie, (FAILING, folder.path())) else { return };
    // Calls are counted for each thread, and all of the writer's are for entries.
    assert!(said.contains("logged 4 done"), "{said}");
    let key = Key::from_pkcs8(&pkcs8);
    let reopened = reopen(&settings(&log, &key)).unwrap();
    let size = reopened.head().size;
    // The entry whose sync failed was written, and nobody was told so: it may be there.
    assert!((4..=5).contains(&size), "{size}");
    append(&reopened, 10..12);
    drop(reopened);
    assert_eq!(audit(&log, key.spki_der()).unwrap().entries, size + 2);
}
