//! What can't be logged or opened is a typed error, and changes nothing.

use crate::{ISSUER, Key, append, block_on, entry, fresh, reopen, settings};
use hypermesh_ctlog::{Entry, EntryError, Log, LogError, MAX_CERTIFICATE_BYTES, Settings, SignError, Signer};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

#[test]
fn entries_that_are_none_are_refused() {
    let (_folder, _key, log) = fresh();
    let good = entry(&log, 0);
    let long = Entry { precert: vec![0; MAX_CERTIFICATE_BYTES + 1], ..good.clone() };
    assert!(matches!(block_on(log.append(long)), Err(LogError::Entry(EntryError::Size { .. }))));
    let stranger = Entry { chain: vec![[9; 32]], ..good };
    let refused = block_on(log.append(stranger)).unwrap_err();
    assert_eq!(refused.to_string(), format!("the issuer {} is not known to the log", "09".repeat(32)));
    assert!(matches!(log.add_issuer(b""), Err(LogError::IssuerSize { bytes: 0 })));
    assert_eq!(log.head().size, 0);
}

#[test]
fn an_issuer_is_kept() {
    let (folder, key, log) = fresh();
    let fingerprint = log.add_issuer(ISSUER).unwrap();
    drop(log);
    let log = reopen(&settings(folder.path(), &key)).unwrap();
    assert_eq!(log.issuer(&fingerprint).as_deref(), Some(ISSUER));
    assert_eq!(log.issuer(&[0; 32]), None);
}

#[test]
fn a_second_open_is_refused() {
    let (folder, key, _log) = fresh();
    let second = Log::open(settings(folder.path(), &key)).unwrap_err();
    assert!(matches!(&second, LogError::InUse { path } if path == folder.path()), "{second}");
}

#[test]
fn the_files_are_the_owners_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("deep/log");
    let _log = Log::open(settings(&path, &Key::generate())).unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for item in std::fs::read_dir(&path).unwrap() {
        let path = item.unwrap().path();
        assert_eq!(mode(&path), if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
}

#[test]
fn another_key_or_origin_is_refused() {
    let (folder, key, log) = fresh();
    append(&log, 0..3);
    drop(log);
    let other = reopen(&settings(folder.path(), &Key::generate()));
    assert!(matches!(other, Err(LogError::OtherKey { .. })));
    let elsewhere = Settings { origin: "elsewhere/log".into(), ..settings(folder.path(), &key) };
    assert!(matches!(reopen(&elsewhere), Err(LogError::Origin(_))));
    let spaced = Settings { origin: "no origin".into(), ..settings(folder.path(), &key) };
    assert!(matches!(reopen(&spaced), Err(LogError::Origin(_))));
    assert_eq!(reopen(&settings(folder.path(), &key)).unwrap().head().size, 3);
}

/// A signer that is away at times, or whose key is not the one that it shows.
struct Moody {
    key: Arc<Key>,
    shown: Arc<Key>,
    away: AtomicBool,
}

impl Signer for Moody {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        if self.away.load(Ordering::SeqCst) {
            Err("the token is not plugged in".into())
        } else {
            self.key.sign(message)
        }
    }
    fn spki_der(&self) -> &[u8] {
        self.shown.spki_der()
    }
}

#[test]
fn a_signer_that_signs_with_another_key_is_refused_at_once() {
    let folder = TempDir::new().unwrap();
    let key = Key::generate();
    let moody = Moody { key: Key::generate(), shown: Arc::clone(&key), away: AtomicBool::new(false) };
    let wrong = Settings { signer: Arc::new(moody), ..settings(folder.path(), &key) };
    assert!(matches!(Log::open(wrong), Err(LogError::Signer(_))));
    assert_eq!(reopen(&settings(folder.path(), &key)).unwrap().head().size, 0);
}

#[test]
fn a_signer_that_is_away_gives_no_timestamp_and_loses_no_entry() {
    let folder = TempDir::new().unwrap();
    let key = Key::generate();
    let moody =
        Arc::new(Moody { key: Arc::clone(&key), shown: Arc::clone(&key), away: AtomicBool::new(false) });
    let log = Log::open(Settings { signer: moody.clone(), ..settings(folder.path(), &key) }).unwrap();
    log.add_issuer(ISSUER).unwrap();
    append(&log, 0..2);
    moody.away.store(true, Ordering::SeqCst);
    let refused = block_on(log.append(entry(&log, 2))).unwrap_err();
    assert!(matches!(refused, LogError::Sign(_)), "{refused}");
    assert_eq!(log.head().size, 2);
    moody.away.store(false, Ordering::SeqCst);
    append(&log, 3..5);
    assert_eq!(log.head().size, 5);
    assert_eq!(log.entry(2).unwrap(), entry(&log, 2));
    hypermesh_ctlog::audit(folder.path(), key.spki_der()).unwrap();
}
